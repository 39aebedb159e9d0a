//! The members of a tar archive, one after the other, out of a stream. Memory does not grow with what is in it.

use std::io::{self, Read};

use super::header::{BLOCK, Header, Kind, Wrong};
use super::pax::Extension;
use super::{corrupt, gzip};

/// As much as a name or an extended header may take: more than the kernel has use for.
const MOST_EXTRA: u64 = 1 << 20;

/// What writers fill up to, so that a reader that stops earlier would break their pipe.
const RECORD: u64 = 10240;

/// What other programs compress archives with: their first bytes.
const COMPRESSED: [(&[u8], &str); 4] =
    [(b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4")];

pub struct Archive<'a> {
    input: Box<dyn Read + 'a>,
    /// What was read of it.
    position: u64,
    /// What is left of the member's data, and of the zeroes behind them.
    data: u64,
    padding: u64,
    global: Extension,
    /// The last member's data are in a form that is not read.
    pub sparse: bool,
    members: u64,
}

impl<'a> Archive<'a> {
    /// Looks at the first bytes to see whether it is compressed; where `packed`, it has to be.
    pub fn new(mut input: impl Read + 'a, packed: bool) -> io::Result<Archive<'a>> {
        let mut start = [0; 6];
        let length = fill(&mut input, &mut start)?;
        let start = start.get(..length).unwrap_or_default().to_vec();
        let other = COMPRESSED.iter().find(|(magic, _)| start.starts_with(magic));
        let is_packed = start.starts_with(&gzip::MAGIC);
        if let Some((_, name)) = other {
            return Err(corrupt(format!("is compressed with {name}, which is not known here")));
        }
        let whole = io::Cursor::new(start).chain(input);
        let input: Box<dyn Read + 'a> = match is_packed || packed {
            true => Box::new(gzip::Decoder::new(whole)),
            false => Box::new(whole),
        };
        let (position, data, padding, members) = (0, 0, 0, 0);
        Ok(Archive { input, position, data, padding, global: Extension::default(), sparse: false, members })
    }

    /// The next member; what the last one has left unread is passed over.
    pub fn member(&mut self) -> io::Result<Option<Header>> {
        let mut own = self.global.clone();
        let (mut name, mut link) = (None, None);
        loop {
            self.pass()?;
            let Some(header) = self.header()? else { return Ok(None) };
            self.data = header.size;
            self.padding = padding(header.size);
            match header.kind {
                Kind::Extended => own.read(&self.extra()?).ok_or_else(|| self.malformed("an extended header"))?,
                Kind::Global => {
                    let text = self.extra()?;
                    self.global.read(&text).ok_or_else(|| self.malformed("a global header"))?;
                    own.read(&text);
                }
                Kind::LongName => name = Some(without_nul(self.extra()?)),
                Kind::LongLink => link = Some(without_nul(self.extra()?)),
                _ => return Ok(Some(self.described(header, &own, name, link))),
            }
        }
    }

    fn described(
        &mut self,
        mut header: Header,
        own: &Extension,
        name: Option<Vec<u8>>,
        link: Option<Vec<u8>>,
    ) -> Header {
        header.name = name.unwrap_or(header.name);
        header.link = link.unwrap_or(header.link);
        own.apply(&mut header);
        self.sparse = own.sparse || header.kind == Kind::Other(b'S');
        self.members += 1;
        // The others have none, whatever they say: some writers put a link's size there.
        if !matches!(header.kind, Kind::File | Kind::Other(_)) {
            header.size = 0;
        }
        self.data = header.size;
        self.padding = padding(header.size);
        header
    }

    /// The next block, where it is a header; nothing at the end.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut block = [0; BLOCK];
        let at = self.position;
        match self.read_block(&mut block)? {
            // Many writers leave out the zeroes at the end.
            0 if self.members > 0 => return Ok(None),
            0 => return Err(corrupt("this is no tar archive, but empty")),
            BLOCK => {}
            _ if self.members == 0 => return Err(corrupt("this is no tar archive")),
            _ => return Err(truncated()),
        }
        match Header::parse(&block) {
            Ok(header) => Ok(Some(header)),
            Err(Wrong::Zero) => {
                self.drain()?;
                Ok(None)
            }
            Err(_) if self.members == 0 => Err(corrupt("this is no tar archive")),
            Err(_) => Err(corrupt(format!("is corrupt: no header at byte {at}, where one has to be"))),
        }
    }

    fn malformed(&self, what: &str) -> io::Error {
        corrupt(format!("is corrupt: {what} before byte {} is malformed", self.position))
    }

    /// Up to the end of the record, and of the compressed stream, which is checked there.
    fn drain(&mut self) -> io::Result<()> {
        let mut block = [0; BLOCK];
        while !self.position.is_multiple_of(RECORD) {
            if self.read_block(&mut block)? < BLOCK {
                return Ok(());
            }
        }
        Ok(())
    }

    fn read_block(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let length = fill(&mut self.input, block)?;
        self.position += length as u64;
        Ok(length)
    }

    /// All data of a member that says something about the next one.
    fn extra(&mut self) -> io::Result<Vec<u8>> {
        if self.data > MOST_EXTRA {
            return Err(corrupt(format!("is corrupt: a name of {} bytes", self.data)));
        }
        let mut text = Vec::new();
        self.read_to_end(&mut text)?;
        Ok(text)
    }

    /// Passes over what is left of the member.
    fn pass(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * BLOCK];
        self.data = self.data.saturating_add(std::mem::take(&mut self.padding));
        while self.data > 0 {
            let _passed = self.read(&mut buffer)?;
        }
        Ok(())
    }
}

/// The data of the last member.
impl Read for Archive<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.data).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        loop {
            match self.input.read(&mut buffer[..most]) {
                Ok(0) => return Err(truncated()),
                Ok(length) => {
                    self.position += length as u64;
                    self.data -= length as u64;
                    return Ok(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn truncated() -> io::Error {
    corrupt("ends in the middle of a member: the archive is truncated")
}

/// What is missing from `size` to full blocks.
pub fn padding(size: u64) -> u64 {
    let rest = size % BLOCK as u64;
    if rest == 0 { 0 } else { BLOCK as u64 - rest }
}

fn without_nul(mut text: Vec<u8>) -> Vec<u8> {
    text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(text.len()));
    text
}

/// Reads until the buffer is full or there is no more.
pub fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match input.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &[u8], kind: Kind, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Header { name: name.to_vec(), kind, size: data.len() as u64, ..Header::empty() }.write(&mut out);
        out.extend(data);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out
    }

    /// Names, data and how it ended.
    fn all(archive: &[u8]) -> (Vec<(String, String)>, Option<String>) {
        let mut found = Vec::new();
        let mut reader = match Archive::new(archive, false) {
            Ok(reader) => reader,
            Err(error) => return (found, Some(error.to_string())),
        };
        loop {
            let header = match reader.member() {
                Ok(Some(header)) => header,
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error.to_string())),
            };
            let mut data = String::new();
            if let Err(error) = reader.read_to_string(&mut data) {
                return (found, Some(error.to_string()));
            }
            found.push((String::from_utf8(header.name).unwrap(), data));
        }
    }

    fn names(archive: &[u8]) -> Vec<String> {
        let (found, error) = all(archive);
        assert_eq!(error, None);
        found.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn members_with_their_data() {
        let archive =
            [member(b"a", Kind::File, b"one"), member(b"d", Kind::Directory, b""), member(b"b", Kind::File, b"")];
        let mut archive = archive.concat();
        let found = [("a", "one"), ("d", ""), ("b", "")].map(|(name, data)| (String::from(name), String::from(data)));
        assert_eq!(all(&archive), (found.to_vec(), None));
        // Behind two blocks of zeroes there may be anything.
        archive.extend([0; 2 * BLOCK]);
        archive.extend([b'x'; 100]);
        assert_eq!(all(&archive), (found.to_vec(), None));
    }

    #[test]
    fn names_from_before_the_member() {
        let long = vec![b'n'; 300];
        let both =
            [member(b"x", Kind::Extended, b"12 path=long\n").as_slice(), &member(&long, Kind::File, b"")].concat();
        // 12 is too short for this record.
        assert_eq!(all(&both).1.unwrap(), "is corrupt: an extended header before byte 525 is malformed");
        let pax = |text: &[u8], kind| member(b"x", kind, text);
        let archive = [
            pax(b"13 path=long\n", Kind::Extended),
            member(b"a", Kind::File, b""),
            member(&long, Kind::File, b""),
            pax(b"14 path=every\n", Kind::Global),
            member(b"a", Kind::File, b""),
            member(b"b", Kind::File, b""),
        ];
        let long = String::from_utf8(long).unwrap();
        assert_eq!(names(&archive.concat()), ["long", &long, "every", "every"]);
    }

    #[test]
    fn what_ends_early_and_what_is_damaged() {
        let archive = [member(b"a", Kind::File, &[b'x'; 700]), member(b"b", Kind::File, b"y")].concat();
        let truncated = "ends in the middle of a member: the archive is truncated";
        for length in [513, 1000, 1535, 1537, 2047, 2049] {
            assert_eq!(all(&archive[..length]).1.as_deref(), Some(truncated), "{length}");
        }
        assert_eq!(all(&archive[..1536]).1, None);
        let mut damaged = archive.clone();
        damaged[1536] = b'c';
        assert_eq!(all(&damaged).1.unwrap(), "is corrupt: no header at byte 1536, where one has to be");
        assert_eq!(all(b"").1.unwrap(), "this is no tar archive, but empty");
        assert_eq!(all(b"hello").1.unwrap(), "this is no tar archive");
        assert_eq!(all(&[b'x'; 600]).1.unwrap(), "this is no tar archive");
        assert_eq!(all(b"BZh91").1.unwrap(), "is compressed with bzip2, which is not known here");
        assert_eq!(names(&[0; 1024]), [""; 0]);
        // A size that no file has, and a name that no memory holds.
        let mut huge = Vec::new();
        Header { name: b"a".to_vec(), size: i64::MAX as u64, ..Header::empty() }.write(&mut huge);
        assert_eq!(all(&huge).1.as_deref(), Some(truncated));
        let mut huge = Vec::new();
        Header { kind: Kind::LongName, size: 1 << 40, ..Header::empty() }.write(&mut huge);
        assert_eq!(all(&huge).1.unwrap(), "is corrupt: a name of 1099511627776 bytes");
    }

    #[test]
    fn a_link_has_no_data_whatever_it_says() {
        let mut archive = Vec::new();
        Header { name: b"l".to_vec(), kind: Kind::Link, size: 700, ..Header::empty() }.write(&mut archive);
        archive.extend(member(b"a", Kind::File, b"x"));
        assert_eq!(names(&archive), ["l", "a"]);
    }
}
