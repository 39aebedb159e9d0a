//! The SHA-256 that `snapshot save` puts behind the pages.

use ring::digest::{Context, SHA256};

use super::{Error, Source};

pub const LENGTH: u64 = 32;

/// What stands behind the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailer {
    /// Nothing: a member's own file, or a copy of it.
    Missing,
    Matches,
    /// The pages are not those that were saved.
    Differs {
        recorded: [u8; 32],
        computed: [u8; 32],
    },
}

/// Whether a file of this size has one. Pages are multiples of 512 bytes.
pub fn has(size: u64) -> bool {
    size % 512 == LENGTH
}

/// Reads all of the file.
pub fn check(source: &dyn Source) -> Result<Trailer, Error> {
    let size = source.size()?;
    if !has(size) {
        return Ok(Trailer::Missing);
    }
    let end = size - LENGTH;
    let computed = compute(source, end)?;
    let mut recorded = [0; 32];
    source.read_at(&mut recorded, end)?;
    Ok(if recorded == computed { Trailer::Matches } else { Trailer::Differs { recorded, computed } })
}

/// The sum of all up to `end`.
pub fn compute(source: &dyn Source, end: u64) -> Result<[u8; 32], Error> {
    let mut context = Context::new(&SHA256);
    let mut chunk = vec![0; 128 << 10];
    let mut at = 0;
    while at < end {
        let length = (end - at).min(chunk.len() as u64) as usize;
        source.read_at(&mut chunk[..length], at)?;
        context.update(&chunk[..length]);
        at += length as u64;
    }
    let mut sum = [0; 32];
    sum.copy_from_slice(context.finish().as_ref());
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1 has the sum of `abc`; this is the one of 512 zeros.
    const ZEROS: [u8; 32] = [
        0x07, 0x6a, 0x27, 0xc7, 0x9e, 0x5a, 0xce, 0x2a, 0x3d, 0x47, 0xf9, 0xdd, 0x2e, 0x83, 0xe4, 0xff, 0x6e, 0xa8,
        0x87, 0x2b, 0x3c, 0x22, 0x18, 0xf6, 0x6c, 0x92, 0xb8, 0x9b, 0x55, 0xf3, 0x65, 0x60,
    ];

    #[test]
    fn a_sum_is_there_and_right() {
        let mut file = vec![0; 512];
        assert_eq!(check(&file.as_slice()).unwrap(), Trailer::Missing);
        file.extend(ZEROS);
        assert_eq!(check(&file.as_slice()).unwrap(), Trailer::Matches);
        file[511] = 1;
        assert!(matches!(check(&file.as_slice()).unwrap(), Trailer::Differs { recorded: ZEROS, .. }));
        file.truncate(540);
        assert_eq!(check(&file.as_slice()).unwrap(), Trailer::Missing);
    }
}
