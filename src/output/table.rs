//! Rows of cells: described once, written as aligned columns or as one JSON object a line.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::{Safe, json};

/// One column. `width` is the least it takes, so that rows can be written as they are found; a longer cell pushes
/// the rest of its row to the right.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    pub title: &'a str,
    /// The key in JSON: a contract, unlike the title.
    pub key: &'static str,
    pub width: usize,
    pub right: bool,
}

impl<'a> Column<'a> {
    pub const fn left(title: &'a str, key: &'static str, width: usize) -> Column<'a> {
        Column { title, key, width, right: false }
    }

    pub const fn right(title: &'a str, key: &'static str, width: usize) -> Column<'a> {
        Column { title, key, width, right: true }
    }
}

/// One value. What is unknown is `Unknown`, shown as `-` and `null`, never as an empty text or a zero.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Untrusted bytes, escaped where they are shown.
    Bytes(Vec<u8>),
    /// Text of our own making.
    Text(String),
    Number(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    /// A value for machines and its form for people: bytes and `12.3 MiB`, seconds and `2h05m`.
    Shown(u64, String),
    /// An array for machines, and its form for people: a command line.
    Strings(Vec<Vec<u8>>, Vec<u8>),
    /// No value for machines, and what people expect to see there: `?` where a process has no terminal.
    Null(String),
    Unknown,
    /// A value, and for people what draws its place in a tree before it.
    Branch(String, Box<Cell>),
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Cell::Bytes(bytes) | Cell::Strings(_, bytes) => Safe(bytes).to_string(),
            Cell::Text(text) | Cell::Shown(_, text) | Cell::Null(text) => Safe(text.as_bytes()).to_string(),
            Cell::Number(number) => number.to_string(),
            Cell::Signed(number) => number.to_string(),
            Cell::Float(number) => format!("{number:.1}"),
            Cell::Bool(yes) => String::from(if *yes { "yes" } else { "no" }),
            Cell::Unknown => String::from("-"),
            Cell::Branch(lines, cell) => format!("{lines}{}", cell.text()),
        }
    }

    fn json(&self, out: &mut String) {
        match self {
            Cell::Bytes(bytes) => json::bytes(out, bytes),
            Cell::Text(text) => json::string(out, text),
            Cell::Number(number) | Cell::Shown(number, _) => {
                let _ = write!(out, "{number}");
            }
            Cell::Signed(number) => {
                let _ = write!(out, "{number}");
            }
            Cell::Float(number) => json::float(out, *number),
            Cell::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
            Cell::Strings(strings, _) => {
                out.push('[');
                for (index, string) in strings.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    json::bytes(out, string);
                }
                out.push(']');
            }
            Cell::Null(_) | Cell::Unknown => out.push_str("null"),
            Cell::Branch(_, cell) => cell.json(out),
        }
    }
}

/// The line of titles.
pub fn heading(out: &mut dyn Write, columns: &[Column]) -> io::Result<()> {
    line(out, columns, columns.iter().map(|column| String::from(column.title)))
}

/// One row as text.
pub fn row(out: &mut dyn Write, columns: &[Column], cells: &[Cell]) -> io::Result<()> {
    debug_assert_eq!(columns.len(), cells.len());
    line(out, columns, cells.iter().map(Cell::text))
}

/// One row as a JSON object on a line of its own.
pub fn json_row(out: &mut dyn Write, columns: &[Column], cells: &[Cell]) -> io::Result<()> {
    debug_assert_eq!(columns.len(), cells.len());
    let mut text = String::from("{");
    for (index, (column, cell)) in columns.iter().zip(cells).enumerate() {
        if index > 0 {
            text.push(',');
        }
        json::string(&mut text, column.key);
        text.push(':');
        cell.json(&mut text);
    }
    text.push_str("}\n");
    out.write_all(text.as_bytes())
}

/// Few rows, all known: each column as wide as its widest cell.
pub fn fitted(out: &mut dyn Write, columns: &[Column], rows: &[Vec<Cell>]) -> io::Result<()> {
    let mut columns = columns.to_vec();
    for (index, column) in columns.iter_mut().enumerate() {
        let widest = rows.iter().map(|row| row[index].text().chars().count()).max().unwrap_or(0);
        column.width = column.width.max(column.title.len()).max(widest);
    }
    heading(out, &columns)?;
    rows.iter().try_for_each(|cells| row(out, &columns, cells))
}

fn line(out: &mut dyn Write, columns: &[Column], cells: impl Iterator<Item = String>) -> io::Result<()> {
    let mut text = String::new();
    for (index, (column, cell)) in columns.iter().zip(cells).enumerate() {
        if index > 0 {
            text.push(' ');
        }
        let _ = match (column.right, index + 1 == columns.len()) {
            (true, _) => write!(text, "{cell:>0$}", column.width),
            (false, true) => write!(text, "{cell}"),
            (false, false) => write!(text, "{cell:<0$}", column.width),
        };
    }
    text.push('\n');
    out.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{Cell, Column, fitted, heading, json_row, row};

    const COLUMNS: [Column; 3] =
        [Column::right("PID", "pid", 5), Column::left("USER", "user", 8), Column::left("COMMAND", "command", 0)];

    #[test]
    fn columns_are_aligned_and_the_last_is_not_padded() {
        let mut out = Vec::new();
        heading(&mut out, &COLUMNS).unwrap();
        let cells = [Cell::Number(7), Cell::Unknown, Cell::Bytes(b"a\x1b[0m b".to_vec())];
        row(&mut out, &COLUMNS, &cells).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "  PID USER     COMMAND\n    7 -        a\\x1b[0m b\n");
    }

    #[test]
    fn json_has_the_keys_and_types() {
        let mut out = Vec::new();
        let cells = [Cell::Number(u64::MAX), Cell::Unknown, Cell::Bytes(b"\xff".to_vec())];
        json_row(&mut out, &COLUMNS, &cells).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"pid\":18446744073709551615,\"user\":null,\"command\":{\"bytes\":\"/w==\"}}\n"
        );
    }

    #[test]
    fn strings_are_an_array_for_machines() {
        let cells = [
            Cell::Null(String::from("?")),
            Cell::Strings(vec![b"a".to_vec(), b"b c".to_vec(), b"\xff".to_vec()], b"a b c\n".to_vec()),
        ];
        let mut out = Vec::new();
        json_row(&mut out, &COLUMNS[1..], &cells).unwrap();
        row(&mut out, &COLUMNS[1..], &cells).unwrap();
        json_row(&mut out, &COLUMNS[2..], &[Cell::Strings(Vec::new(), b"[kthreadd]".to_vec())]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"user\":null,\"command\":[\"a\",\"b c\",{\"bytes\":\"/w==\"}]}\n?        a b c\\n\n{\"command\":[]}\n"
        );
    }

    #[test]
    fn a_branch_is_drawn_for_people_only() {
        let cells = [Cell::Branch(String::from(" \\_ "), Box::new(Cell::Bytes(b"a\\b".to_vec())))];
        let mut out = Vec::new();
        row(&mut out, &COLUMNS[2..], &cells).unwrap();
        json_row(&mut out, &COLUMNS[2..], &cells).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), " \\_ a\\\\b\n{\"command\":\"a\\\\b\"}\n");
    }

    #[test]
    fn fitted_columns_grow() {
        let mut out = Vec::new();
        let rows = [vec![Cell::Number(123_456), Cell::Text(String::from("memcached")), Cell::Bool(true)]];
        fitted(&mut out, &COLUMNS, &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "   PID USER      COMMAND\n123456 memcached yes\n");
    }
}
