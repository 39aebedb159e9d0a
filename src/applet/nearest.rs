//! The name that a mistyped one was meant to be.

use super::Table;

/// The known name that takes the fewest edits, where these are few for its length.
pub fn nearest(table: Table, name: &[u8]) -> Option<&'static str> {
    let names = table.iter().flat_map(|group| group.applets).flat_map(|applet| applet.names).copied();
    let scored = names.map(|known| (distance(known.as_bytes(), name), known));
    scored
        .filter(|(edits, known)| *edits <= known.len().max(name.len()) / 3 + 1 && *edits < known.len())
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's distance, for short words.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = corner + usize::from(from != to);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
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
        assert_eq!(distance(b"ls", b"sl"), 2);
    }
}
