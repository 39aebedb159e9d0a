//! The header of a member: 512 bytes (POSIX.1-2024 XCU pax, "ustar Interchange Format"), with what GNU tar adds: names
//! and numbers that do not fit into their fields.

/// Everything in an archive is a multiple of this.
pub const BLOCK: usize = 512;

/// The largest number that the octal fields of 12 and of 8 bytes hold.
const MOST_IN_12: u64 = 0o77_777_777_777;
const MOST_IN_8: u64 = 0o7_777_777;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    /// Another name of a member before it.
    Link,
    Symlink,
    Character,
    Block,
    Directory,
    Fifo,
    /// Extended headers (pax): for the next member, and for all that follow.
    Extended,
    Global,
    /// GNU's long name and long link name of the next member.
    LongName,
    LongLink,
    Other(u8),
}

impl Kind {
    fn of(flag: u8) -> Kind {
        match flag {
            b'0' | 0 | b'7' => Kind::File,
            b'1' => Kind::Link,
            b'2' => Kind::Symlink,
            b'3' => Kind::Character,
            b'4' => Kind::Block,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'x' => Kind::Extended,
            b'g' => Kind::Global,
            b'L' => Kind::LongName,
            b'K' => Kind::LongLink,
            other => Kind::Other(other),
        }
    }

    fn flag(self) -> u8 {
        match self {
            Kind::File => b'0',
            Kind::Link => b'1',
            Kind::Symlink => b'2',
            Kind::Character => b'3',
            Kind::Block => b'4',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
            Kind::Extended => b'x',
            Kind::Global => b'g',
            Kind::LongName => b'L',
            Kind::LongLink => b'K',
            Kind::Other(flag) => flag,
        }
    }

    /// The kind of file, as in stat(2)'s mode.
    pub fn mode(self) -> u32 {
        match self {
            Kind::Symlink => libc::S_IFLNK,
            Kind::Character => libc::S_IFCHR,
            Kind::Block => libc::S_IFBLK,
            Kind::Directory => libc::S_IFDIR,
            Kind::Fifo => libc::S_IFIFO,
            _ => libc::S_IFREG,
        }
    }
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: Vec<u8>,
    pub kind: Kind,
    pub mode: u32,
    pub user: u64,
    pub group: u64,
    /// Of what follows in the archive.
    pub size: u64,
    /// Seconds since the epoch.
    pub time: i64,
    /// Where a link leads.
    pub link: Vec<u8>,
    pub user_name: Vec<u8>,
    pub group_name: Vec<u8>,
    /// Major and minor number of a device.
    pub device: (u64, u64),
}

/// Why a block is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Nothing but zeroes: the end.
    Zero,
    Checksum,
    Number,
}

impl Header {
    pub fn parse(block: &[u8; BLOCK]) -> Result<Header, Wrong> {
        if block.iter().all(|byte| *byte == 0) {
            return Err(Wrong::Zero);
        }
        let field = |from: usize, to: usize| &block[from..to];
        let number = |from, to| number(field(from, to)).ok_or(Wrong::Number);
        let unsigned = |from, to| number(from, to).and_then(|value| u64::try_from(value).map_err(|_| Wrong::Number));
        let stated = number(148, 156).map_err(|_| Wrong::Checksum)?;
        // Some old programs added the bytes up as signed ones.
        if stated != sum(block, i64::from) && stated != sum(block, |byte| i64::from(byte as i8)) {
            return Err(Wrong::Checksum);
        }
        let ustar = field(257, 263) == b"ustar\0";
        let named = ustar || field(257, 263) == b"ustar ";
        let mut name = text(field(0, 100)).to_vec();
        let prefix = text(field(345, 500));
        if ustar && !prefix.is_empty() {
            name = [prefix, b"/", name.as_slice()].concat();
        }
        let mut kind = Kind::of(block[156]);
        // Before there was a kind for it.
        if kind == Kind::File && name.ends_with(b"/") {
            kind = Kind::Directory;
        }
        let names = if named { (text(field(265, 297)), text(field(297, 329))) } else { (&[][..], &[][..]) };
        let device = match kind {
            Kind::Character | Kind::Block => (unsigned(329, 337)?, unsigned(337, 345)?),
            _ => (0, 0),
        };
        Ok(Header {
            name,
            kind,
            mode: u32::try_from(unsigned(100, 108)? & 0o7777).map_err(|_| Wrong::Number)?,
            user: unsigned(108, 116)?,
            group: unsigned(116, 124)?,
            size: unsigned(124, 136)?,
            time: number(136, 148)?,
            link: text(field(157, 257)).to_vec(),
            user_name: names.0.to_vec(),
            group_name: names.1.to_vec(),
            device,
        })
    }

    /// Appends the header, after the headers for what does not fit into its fields. GNU's form, which all of today's
    /// programs read, busybox included.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (kind, text) in [(Kind::LongLink, &self.link), (Kind::LongName, &self.name)] {
            if text.len() > 100 {
                let size = text.len() as u64 + 1;
                let name = b"././@LongLink".to_vec();
                out.extend(Header { name, kind, size, ..Header::empty() }.block());
                out.extend(text);
                out.push(0);
                out.resize(out.len().next_multiple_of(BLOCK), 0);
            }
        }
        out.extend(self.block());
    }

    /// A member of which nothing is known.
    pub fn empty() -> Header {
        Header {
            name: Vec::new(),
            kind: Kind::File,
            mode: 0,
            user: 0,
            group: 0,
            size: 0,
            time: 0,
            link: Vec::new(),
            user_name: Vec::new(),
            group_name: Vec::new(),
            device: (0, 0),
        }
    }

    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, most: usize, text: &[u8]| {
            let length = text.len().min(most);
            block[at..at + length].copy_from_slice(&text[..length]);
        };
        put(0, 100, &self.name);
        put(100, 8, &octal(u64::from(self.mode), 8));
        put(108, 8, &octal(self.user, 8));
        put(116, 8, &octal(self.group, 8));
        put(124, 12, &octal(self.size, 12));
        match u64::try_from(self.time) {
            Ok(time) => put(136, 12, &octal(time, 12)),
            Err(_) => put(136, 12, &binary(self.time, 12)),
        }
        put(148, 8, b"        ");
        put(156, 1, &[self.kind.flag()]);
        put(157, 100, &self.link);
        put(257, 8, b"ustar  \0");
        // One byte less, for a NUL at the end.
        put(265, 31, &self.user_name);
        put(297, 31, &self.group_name);
        if matches!(self.kind, Kind::Character | Kind::Block) {
            put(329, 8, &octal(self.device.0, 8));
            put(337, 8, &octal(self.device.1, 8));
        }
        let checksum = format!("{:06o}\0 ", sum(&block, i64::from));
        block[148..156].copy_from_slice(checksum.as_bytes());
        block
    }
}

/// The checksum's own field counts as spaces.
fn sum(block: &[u8; BLOCK], value: impl Fn(u8) -> i64) -> i64 {
    let bytes = block.iter().enumerate();
    bytes.map(|(at, byte)| value(if (148..156).contains(&at) { b' ' } else { *byte })).sum()
}

/// What stands before the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits between spaces and up to a space or NUL, nothing at all for 0; or GNU's binary form, which begins with
/// a bit that no digit has.
fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        // Two's complement without the first bit.
        let start = if first & 0x40 != 0 { -1 } else { i128::from(first & 0x3f) };
        let value = field.get(1..)?.iter().try_fold(start, |sum, byte| {
            let next = sum.checked_mul(256)?.checked_add(i128::from(*byte))?;
            // No more bits than can count; leading ones and zeroes fall out.
            (-(1i128 << 64)..1i128 << 64).contains(&next).then_some(next)
        });
        return i64::try_from(value?).ok();
    }
    let start = field.iter().position(|byte| *byte != b' ').unwrap_or(field.len());
    let digits = field.get(start..)?;
    let end = digits.iter().position(|byte| matches!(byte, b' ' | 0)).unwrap_or(digits.len());
    digits.get(..end)?.iter().try_fold(0i64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

fn octal(value: u64, width: usize) -> Vec<u8> {
    let most = if width == 12 { MOST_IN_12 } else { MOST_IN_8 };
    match value <= most {
        true => format!("{value:0digits$o}", digits = width - 1).into_bytes(),
        false => binary(i64::try_from(value).unwrap_or(i64::MAX), width),
    }
}

fn binary(value: i64, width: usize) -> Vec<u8> {
    let bytes = i128::from(value).to_be_bytes();
    let mut field = bytes[bytes.len() - width..].to_vec();
    field[0] |= 0x80;
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `tar --format=gnu` of GNU writes for an empty file `f` of root, mode 0644, at 1 s after the epoch.
    fn gnu() -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let fields: [(usize, &[u8]); 10] = [
            (0, b"f"),
            (100, b"0000644\0"),
            (108, b"0000000\0"),
            (116, b"0000000\0"),
            (124, b"00000000000\0"),
            (136, b"00000000001\0"),
            (148, b"007654\0 "),
            (156, b"0"),
            (257, b"ustar  \0"),
            (265, b"root"),
        ];
        for (at, text) in fields {
            block[at..at + text.len()].copy_from_slice(text);
        }
        block[297..301].copy_from_slice(b"root");
        block
    }

    fn file() -> Header {
        Header {
            name: b"f".to_vec(),
            mode: 0o644,
            time: 1,
            user_name: b"root".to_vec(),
            group_name: b"root".to_vec(),
            ..Header::empty()
        }
    }

    /// With the checksum that it should have.
    fn sealed(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
        let checksum = format!("{:06o}\0 ", sum(&block, i64::from));
        block[148..156].copy_from_slice(checksum.as_bytes());
        block
    }

    #[test]
    fn a_header_of_gnu() {
        assert_eq!(Header::parse(&gnu()), Ok(file()));
        let mut out = Vec::new();
        file().write(&mut out);
        assert_eq!(out, gnu());
    }

    #[test]
    fn what_is_no_header() {
        assert_eq!(Header::parse(&[0; BLOCK]), Err(Wrong::Zero));
        assert_eq!(Header::parse(&[b'x'; BLOCK]), Err(Wrong::Checksum));
        let mut block = gnu();
        block[0] = b'g';
        assert_eq!(Header::parse(&block), Err(Wrong::Checksum));
        let mut block = gnu();
        block[124] = b'9';
        assert_eq!(Header::parse(&sealed(block)), Err(Wrong::Number));
        let mut block = gnu();
        block[124..136].copy_from_slice(&binary(-1, 12));
        assert_eq!(Header::parse(&sealed(block)), Err(Wrong::Number));
    }

    #[test]
    fn a_prefix_is_a_part_of_the_name_in_ustar_only() {
        let mut block = gnu();
        block[345..348].copy_from_slice(b"a/b");
        assert_eq!(Header::parse(&sealed(block)).unwrap().name, b"f");
        block[257..265].copy_from_slice(b"ustar\x0000");
        assert_eq!(Header::parse(&sealed(block)).unwrap().name, b"a/b/f");
    }

    #[test]
    fn an_old_directory_is_a_file_whose_name_ends_with_a_slash() {
        let mut block = gnu();
        block[1] = b'/';
        block[156] = 0;
        assert_eq!(Header::parse(&sealed(block)).unwrap().kind, Kind::Directory);
    }

    #[test]
    fn numbers() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"  644 \0\0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"77777777", Some(0o77_777_777)),
            (b"12x4567\0", None),
            (b"-1\0", None),
            (b"\x80\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\x80\0\0\0\0\0\0\0", None),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(number(field), value, "{}", field.escape_ascii());
        }
        assert_eq!(octal(0o7_777_777, 8), b"7777777");
        assert_eq!(octal(0o10_000_000, 8), b"\x80\0\0\0\0\x20\0\0");
        assert_eq!(octal(1 << 33, 12), b"\x80\0\0\0\0\0\0\x02\0\0\0\0");
        assert_eq!(number(&binary(-62_135_596_800, 12)), Some(-62_135_596_800));
    }

    #[test]
    fn long_names_stand_before_the_member() {
        let mut out = Vec::new();
        Header { name: vec![b'n'; 101], kind: Kind::Symlink, link: vec![b'l'; 600], ..file() }.write(&mut out);
        let flags: Vec<u8> = [0, 3, 5].iter().map(|block| out[block * BLOCK + 156]).collect();
        assert_eq!((out.len() / BLOCK, flags.as_slice()), (6, &b"KL2"[..]));
        assert_eq!(out[BLOCK..BLOCK + 601], [vec![b'l'; 600], vec![0]].concat());
    }
}
