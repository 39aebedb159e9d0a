//! A snapshot as it comes: the database, and behind it the SHA-256 of it.

use std::fmt;

use bytes::Bytes;
use ring::digest::{Context, SHA256};

use super::file::trailer;
use super::message::SnapshotResponse;

/// Sums up what comes, and knows at the end whether it is all.
pub struct Receiver {
    sum: Context,
    /// What may be the checksum, as long as nothing follows it.
    held: Vec<u8>,
    pub total: u64,
    /// What the server says is still to come.
    pub left: u64,
    /// The server's version, from 3.6 on.
    pub version: String,
}

/// Why it is no snapshot.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    Short(u64),
    Damaged,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Short(total) => write!(f, "snapshot is cut short: {total} bytes, without a checksum"),
            Broken::Damaged => f.write_str("snapshot is damaged: its checksum is another"),
        }
    }
}

impl Receiver {
    #[expect(clippy::new_without_default, reason = "a sum is begun, not defaulted")]
    pub fn new() -> Receiver {
        Receiver { sum: Context::new(&SHA256), held: Vec::new(), total: 0, left: 0, version: String::new() }
    }

    /// Takes the next part, and gives the bytes to be written.
    pub fn take(&mut self, part: SnapshotResponse) -> Bytes {
        if self.version.is_empty() {
            self.version = part.version;
        }
        self.left = part.remaining_bytes;
        self.total += part.blob.len() as u64;
        self.held.extend_from_slice(&part.blob);
        let sure = self.held.len().saturating_sub(trailer::LENGTH as usize);
        self.sum.update(self.held.get(..sure).unwrap_or_default());
        self.held.drain(..sure);
        part.blob
    }

    /// All has come: the checksum, if it is right.
    pub fn finish(self) -> Result<Vec<u8>, Broken> {
        if !trailer::has(self.total) {
            return Err(Broken::Short(self.total));
        }
        if self.sum.finish().as_ref() != self.held { Err(Broken::Damaged) } else { Ok(self.held) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(parts: &[&[u8]]) -> Result<Vec<u8>, Broken> {
        let mut receiver = Receiver::new();
        for part in parts {
            let blob = Bytes::copy_from_slice(part);
            assert_eq!(receiver.take(SnapshotResponse { blob, ..SnapshotResponse::default() }), part);
        }
        receiver.finish()
    }

    #[test]
    fn a_checksum_in_pieces() {
        // printf '%512s' | tr ' ' a | sha256sum
        let sum = b"\x47\x1b\xe6\x55\x8b\x66\x5e\x4f\x6d\xd4\x9f\x11\x84\x81\x4d\x14\x91\xb0\x31\x5d\x46\x6b\xee\xa7\x68\xc1\x53\xcc\x55\x00\xc8\x36";
        let page = [b'a'; 512];
        assert_eq!(received(&[&page, sum]), Ok(sum.to_vec()));
        assert_eq!(received(&[&page[..7], &page[7..], &sum[..20], &sum[20..]]), Ok(sum.to_vec()));
        assert_eq!(received(&[&page, &sum[..31], b"x"]), Err(Broken::Damaged));
        assert_eq!(received(&[&page]), Err(Broken::Short(512)));
        assert_eq!(received(&[]), Err(Broken::Short(0)));
    }
}
