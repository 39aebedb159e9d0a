//! UDP: eight bytes before each datagram (request, number, how many, nothing), and replies in pieces that may come in any
//! order, twice, or not at all. Pure.

pub const HEADER: usize = 8;

/// As many pieces as one reply may have: 64 KiB times 1400 bytes are more than anybody asks for over UDP.
const MAX_PIECES: u16 = 4096;

/// The one datagram of a request.
pub fn request(id: u16, text: &[u8]) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    [&[high, low, 0, 0, 0, 1, 0, 0], text].concat()
}

/// A reply as it comes together.
#[derive(Debug, Default)]
pub struct Assembly {
    id: u16,
    pieces: Vec<Option<Vec<u8>>>,
    missing: usize,
}

/// What a datagram was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of another request, a piece that was there, or no reply at all.
    Ignored,
    More,
    Complete,
}

impl Assembly {
    pub fn new(id: u16) -> Assembly {
        Assembly { id, ..Assembly::default() }
    }

    pub fn add(&mut self, datagram: &[u8]) -> Outcome {
        let Some((header, text)) = datagram.split_at_checked(HEADER) else { return Outcome::Ignored };
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let (id, number, total) = (word(0), usize::from(word(2)), word(4));
        if id != self.id || total == 0 || total > MAX_PIECES {
            return Outcome::Ignored;
        }
        if self.pieces.is_empty() {
            self.missing = usize::from(total);
            self.pieces.resize(self.missing, None);
        }
        if usize::from(total) != self.pieces.len() {
            return Outcome::Ignored;
        }
        match self.pieces.get_mut(number) {
            Some(piece @ None) => {
                *piece = Some(text.to_vec());
                self.missing -= 1;
                if self.missing == 0 { Outcome::Complete } else { Outcome::More }
            }
            _ => Outcome::Ignored,
        }
    }

    /// How many pieces came, and of how many; nothing where none came.
    pub fn progress(&self) -> (usize, usize) {
        (self.pieces.len() - self.missing, self.pieces.len())
    }

    /// The text, when it is complete.
    pub fn take(&mut self) -> Vec<u8> {
        let text = self.pieces.iter().flatten().flatten().copied().collect();
        self.pieces.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(id: u16, number: u16, total: u16, text: &str) -> Vec<u8> {
        let words = [id, number, total, 0].map(u16::to_be_bytes).concat();
        [words.as_slice(), text.as_bytes()].concat()
    }

    #[test]
    fn pieces_in_any_order() {
        let mut assembly = Assembly::new(7);
        assert_eq!(assembly.progress(), (0, 0));
        assert_eq!(assembly.add(&piece(7, 2, 3, "c")), Outcome::More);
        assert_eq!(assembly.add(&piece(6, 0, 3, "x")), Outcome::Ignored);
        assert_eq!(assembly.add(&piece(7, 2, 3, "again")), Outcome::Ignored);
        assert_eq!(assembly.add(&piece(7, 0, 3, "a")), Outcome::More);
        assert_eq!(assembly.progress(), (2, 3));
        assert_eq!(assembly.add(&piece(7, 1, 3, "b")), Outcome::Complete);
        assert_eq!(assembly.take(), b"abc");
    }

    #[test]
    fn datagrams_that_lie() {
        let mut assembly = Assembly::new(7);
        for bytes in [
            &b""[..],
            b"short",
            &piece(7, 0, 0, ""),
            &piece(7, 0, u16::MAX, ""),
            &piece(7, 3, 3, ""),
            &piece(7, 0, 4, ""),
        ] {
            assert_eq!(assembly.add(bytes), Outcome::Ignored, "{bytes:?}");
        }
        assert_eq!(request(0x102, b"version\r\n"), b"\x01\x02\0\0\0\x01\0\0version\r\n");
    }
}
