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
    /// An array for machines, of strings that end in a NUL each, and its form for people: a command line.
    Strings(Vec<u8>, Vec<u8>),
    /// No value for machines, and what people expect to see there: `?` where a process has no terminal.
    Null(String),
    Unknown,
    /// A value, and for people what draws its place in a tree before it.
    Branch(String, Box<Cell>),
}

impl Cell {
    fn write(&self, out: &mut String) {
        match self {
            Cell::Bytes(bytes) | Cell::Strings(_, bytes) => Safe(bytes).append(out),
            Cell::Text(text) | Cell::Shown(_, text) | Cell::Null(text) => Safe(text.as_bytes()).append(out),
            Cell::Number(number) => decimal(out, *number),
            Cell::Signed(number) => {
                out.push_str(if *number < 0 { "-" } else { "" });
                decimal(out, number.unsigned_abs());
            }
            Cell::Float(number) => {
                let _ = write!(out, "{number:.1}");
            }
            Cell::Bool(yes) => out.push_str(if *yes { "yes" } else { "no" }),
            Cell::Unknown => out.push('-'),
            Cell::Branch(lines, cell) => {
                out.push_str(lines);
                cell.write(out);
            }
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
                let strings = strings.strip_suffix(b"\0").map_or((!strings.is_empty()).then_some(&strings[..]), Some);
                for (index, string) in strings.iter().flat_map(|all| all.split(|byte| *byte == 0)).enumerate() {
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
    line(out, columns, |index, text| text.push_str(columns[index].title))
}

/// One row as text.
pub fn row(out: &mut dyn Write, columns: &[Column], cells: &[Cell]) -> io::Result<()> {
    debug_assert_eq!(columns.len(), cells.len());
    line(out, columns, |index, text| cells[index].write(text))
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
        let widest = rows.iter().map(|row| width(&row[index])).max().unwrap_or(0);
        column.width = column.width.max(column.title.len()).max(widest);
    }
    heading(out, &columns)?;
    rows.iter().try_for_each(|cells| row(out, &columns, cells))
}

/// The characters that a cell takes.
pub fn width(cell: &Cell) -> usize {
    let mut text = String::new();
    cell.write(&mut text);
    text.chars().count()
}

/// `cell` appends the cell of a column. One buffer for the whole line, and no formatter: lists are long.
fn line(out: &mut dyn Write, columns: &[Column], cell: impl Fn(usize, &mut String)) -> io::Result<()> {
    const SPACES: &str = "                                ";
    let mut text = String::with_capacity(256);
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        let start = text.len();
        cell(index, &mut text);
        let mut missing = column.width.saturating_sub(text[start..].chars().count());
        if !column.right && index + 1 == columns.len() {
            missing = 0;
        }
        while missing > 0 {
            let spaces = &SPACES[..missing.min(SPACES.len())];
            text.insert_str(if column.right { start } else { text.len() }, spaces);
            missing -= spaces.len();
        }
    }
    // An empty cell at the end leaves nothing.
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
    out.write_all(text.as_bytes())
}

/// Keeps as many characters of a line as a terminal has columns.
pub fn cut(line: &mut Vec<u8>, columns: usize) {
    let starts = line.iter().enumerate().filter(|(_, byte)| **byte & 0xc0 != 0x80);
    if let Some((end, _)) = starts.map(|(at, byte)| (at, *byte)).nth(columns)
        && line[end] != b'\n'
    {
        line.truncate(end);
        line.push(b'\n');
    }
}

/// Appends a number; the formatter takes five times as long.
fn decimal(out: &mut String, number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&digits[start..]).unwrap_or_default());
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
    fn numbers_and_wide_columns() {
        let columns = [Column::right("A", "a", 40), Column::left("B", "b", 3), Column::right("C", "c", 4)];
        let mut out = Vec::new();
        row(&mut out, &columns, &[Cell::Number(u64::MAX), Cell::Signed(i64::MIN), Cell::Float(1.25)]).unwrap();
        row(&mut out, &columns, &[Cell::Text(String::from("é")), Cell::Number(0), Cell::Bool(false)]).unwrap();
        let expected = "                    18446744073709551615 -9223372036854775808  1.2\n                                       é 0     no\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn strings_are_an_array_for_machines() {
        let cells = [Cell::Null(String::from("?")), Cell::Strings(b"a\0b c\0\xff\0".to_vec(), b"a b c\n".to_vec())];
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

    #[test]
    fn lines_are_cut_between_characters() {
        let cut = |text: &str, columns| {
            let mut line = text.as_bytes().to_vec();
            super::cut(&mut line, columns);
            String::from_utf8(line).unwrap()
        };
        assert_eq!(cut("abc\n", 3), "abc\n");
        assert_eq!(cut("abcd\n", 3), "abc\n");
        assert_eq!(cut("日本語\n", 2), "日本\n");
        assert_eq!(cut("ab\n", 80), "ab\n");
    }
}
