//! Names in as few lines as fit a width: in columns, sorted down or along the lines, or with commas between them.

use std::io::{self, Write};

/// The spaces between two columns.
const GAP: usize = 2;

/// Which way the order goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Down,
    Across,
}

/// Writes names, each with the width that it takes on a terminal.
pub fn write(out: &mut dyn Write, names: &[(Vec<u8>, usize)], width: usize, order: Order) -> io::Result<()> {
    let (lines, widths) = layout(names, width, order);
    let columns = widths.len();
    for line in 0..lines {
        let mut missing = 0;
        for (column, width) in widths.iter().enumerate() {
            let index = match order {
                Order::Down => column * lines + line,
                Order::Across => line * columns + column,
            };
            let Some((name, length)) = names.get(index) else { break };
            write!(out, "{:missing$}", "")?;
            out.write_all(name)?;
            missing = (width + GAP).saturating_sub(*length);
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// The number of lines and the widths of the columns.
fn layout(names: &[(Vec<u8>, usize)], width: usize, order: Order) -> (usize, Vec<usize>) {
    let shortest = names.iter().map(|(_, length)| *length).min().unwrap_or(0);
    // No more columns than shortest names would need.
    let most = ((width + GAP) / (shortest + GAP)).clamp(1, names.len().max(1));
    for columns in (2..=most).rev() {
        let lines = names.len().div_ceil(columns);
        if order == Order::Down && names.len().div_ceil(lines) != columns {
            continue;
        }
        let mut widths = vec![0; columns];
        let mut total = GAP * (columns - 1);
        let fits = names.iter().enumerate().all(|(index, (_, length))| {
            let column = if order == Order::Down { index / lines } else { index % columns };
            let grown = length.saturating_sub(widths[column]);
            widths[column] += grown;
            total += grown;
            total <= width
        });
        if fits {
            return (lines, widths);
        }
    }
    (names.len(), vec![0])
}

/// Writes names with commas between them.
pub fn commas(out: &mut dyn Write, names: &[(Vec<u8>, usize)], width: usize) -> io::Result<()> {
    let mut used = 0;
    for (index, (name, length)) in names.iter().enumerate() {
        let last = index + 1 == names.len();
        if used > 0 && used + GAP + length + usize::from(!last) > width {
            out.write_all(b",\n")?;
            used = 0;
        } else if index > 0 {
            out.write_all(b", ")?;
            used += GAP;
        }
        out.write_all(name)?;
        used += length;
    }
    out.write_all(if names.is_empty() { b"" } else { b"\n" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(names: &[&str], width: usize, order: Order) -> String {
        let names: Vec<_> = names.iter().map(|name| (name.as_bytes().to_vec(), name.len())).collect();
        let mut out = Vec::new();
        write(&mut out, &names, width, order).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn commas_between_names() {
        let names: Vec<_> = ["aa", "bb", "cc"].map(|name| (name.as_bytes().to_vec(), 2)).to_vec();
        let mut out = Vec::new();
        commas(&mut out, &names, 8).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "aa, bb,\ncc\n");
    }

    #[test]
    fn as_few_lines_as_fit() {
        assert_eq!(written(&["a", "bbb", "c", "d"], 10, Order::Down), "a    c\nbbb  d\n");
        assert_eq!(written(&["a", "bbb", "c", "d"], 10, Order::Across), "a  bbb  c\nd\n");
        assert_eq!(written(&["a", "b", "c"], 7, Order::Down), "a  b  c\n");
        assert_eq!(written(&["too long", "b"], 5, Order::Down), "too long\nb\n");
        assert_eq!(written(&[], 80, Order::Down), "");
    }
}
