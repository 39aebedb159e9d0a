//! CRC-32C (RFC 3720, section 12.1), eight bytes at a time by eight tables, and FNV-1a.

use std::sync::LazyLock;

/// The polynomial, bits reversed.
const CASTAGNOLI: u32 = 0x82f6_3b78;

/// `TABLES[n][b]` is what byte `b` adds when `n` bytes follow it. Made when first used: 8 KiB less in the binary.
static TABLES: LazyLock<[[u32; 256]; 8]> = LazyLock::new(|| {
    let mut tables = [[0; 256]; 8];
    let bit = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ CASTAGNOLI } else { sum >> 1 };
    tables[0] = std::array::from_fn(|byte| (0..8).fold(byte as u32, bit));
    for table in 1..8 {
        let before = tables[table - 1];
        tables[table] = before.map(|sum| sum >> 8 ^ tables[0][(sum & 0xff) as usize]);
    }
    tables
});

/// A sum that grows: the same for `ab` as for `a` and then `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc32c(u32);

impl Crc32c {
    /// Goes on where another one ended; 0 to begin.
    pub fn from(sum: u32) -> Crc32c {
        Crc32c(!sum)
    }

    pub fn add(&mut self, bytes: &[u8]) {
        let tables = &*TABLES;
        let (eights, rest) = bytes.as_chunks::<8>();
        let mut sum = self.0;
        for eight in eights {
            let [a, b, c, d] = (u32::from_le_bytes([eight[0], eight[1], eight[2], eight[3]]) ^ sum).to_le_bytes();
            sum = tables[7][usize::from(a)]
                ^ tables[6][usize::from(b)]
                ^ tables[5][usize::from(c)]
                ^ tables[4][usize::from(d)]
                ^ tables[3][usize::from(eight[4])]
                ^ tables[2][usize::from(eight[5])]
                ^ tables[1][usize::from(eight[6])]
                ^ tables[0][usize::from(eight[7])];
        }
        for byte in rest {
            sum = sum >> 8 ^ tables[0][((sum ^ u32::from(*byte)) & 0xff) as usize];
        }
        self.0 = sum;
    }

    pub fn sum(self) -> u32 {
        !self.0
    }
}

/// FNV-1a with 64 bits, of bbolt's meta pages.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc(bytes: &[u8]) -> u32 {
        let mut sum = Crc32c::from(0);
        sum.add(bytes);
        sum.sum()
    }

    /// RFC 3720, appendix B.4, and the check value of the catalogues.
    #[test]
    fn known_sums() {
        let ascending: Vec<u8> = (0..32).collect();
        let descending: Vec<u8> = (0..32).rev().collect();
        assert_eq!(crc(b""), 0);
        assert_eq!(crc(b"123456789"), 0xe306_9283);
        assert_eq!(crc(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc(&ascending), 0x46dd_794e);
        assert_eq!(crc(&descending), 0x113f_db5c);
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn pieces_of_any_length_add_up() {
        let mut sum = Crc32c::from(0);
        for piece in [&b"1"[..], b"", b"23456", b"789"] {
            sum.add(piece);
        }
        assert_eq!(sum.sum(), 0xe306_9283);
        let mut rest = Crc32c::from(crc(b"12345"));
        rest.add(b"6789");
        assert_eq!(rest.sum(), 0xe306_9283);
    }
}
