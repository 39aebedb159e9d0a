//! The name that a mistyped one was meant to be.

use super::Table;

/// The known name that takes the fewest edits, where these are few for its length.
pub fn nearest(table: Table, name: &[u8]) -> Option<&'static str> {
    nearest_of(&mut table.iter().flat_map(|group| group.applets).flat_map(|applet| applet.names).copied(), name)
}

/// The same among any names.
pub fn nearest_of(names: &mut dyn Iterator<Item = &'static str>, name: &[u8]) -> Option<&'static str> {
    let scored = names.map(|known| (distance(known.as_bytes(), name), known));
    scored
        .filter(|(edits, known)| *edits <= known.len().max(name.len()) / 3 + 1 && *edits < known.len())
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's distance, for short words; two neighbours that are swapped count once.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let above = row.clone();
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            row[j + 1] = (above[j] + usize::from(from != to)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = above;
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn edits() {
        assert_eq!(distance(b"netstat", b"netsat"), 1);
        assert_eq!(distance(b"", b"ab"), 2);
        assert_eq!(distance(b"ls", b"sl"), 1);
        assert_eq!((distance(b"true", b"ture"), distance(b"tar", b"ture")), (1, 2));
    }
}
