//! The write-ahead log (etcd's server/storage/wal): frames of a length, a walpb.Record and up to seven bytes of padding.
//! A record has a type, a CRC-32C over all data so far, and data. Read only.
//!
//! The length's lowest 56 bits are the record's; if the highest bit is set, the next lower ones count the padding. A file
//! is allocated before it is written, so that it ends with zeros.

use super::checksum::Crc32c;
use super::field::{Malformed, fields};
use super::{Error, Source};

/// The largest record that is taken into memory.
const MOST_BYTES: u64 = 128 << 20;

/// The types of records.
pub const METADATA: u64 = 1;
pub const ENTRY: u64 = 2;
pub const STATE: u64 = 3;
pub const SUM: u64 = 4;
pub const SNAPSHOT: u64 = 5;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub offset: u64,
    pub kind: Kind<'a>,
    pub size: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    Metadata {
        node: u64,
        cluster: u64,
    },
    Entry {
        term: u64,
        index: u64,
        entry: Entry<'a>,
    },
    State {
        term: u64,
        vote: u64,
        commit: u64,
    },
    /// The sum that the file before ended with.
    Sum(u32),
    Snapshot {
        term: u64,
        index: u64,
    },
    Unknown(u64),
}

/// What raft agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A new leader's first.
    Empty,
    /// A request by its name, and what it is about: a key, or a path of the second API.
    Request(&'static str, &'a [u8]),
    /// Change, member, and what the member is.
    Member(&'static str, u64, &'a [u8]),
    Unknown,
}

/// Where and why a log ends before its end.
#[derive(Debug)]
pub enum Damage {
    /// The last write did not come to its end: the zeros of the allocated file stand in it.
    Torn,
    Cut,
    Sum {
        recorded: u32,
        computed: u32,
    },
    Malformed,
    File(Error),
}

impl From<Malformed> for Damage {
    fn from(_: Malformed) -> Damage {
        Damage::Malformed
    }
}

/// The records of one file.
pub struct Records<'s> {
    source: &'s dyn Source,
    pub offset: u64,
    sum: Crc32c,
    record: Vec<u8>,
}

impl<'s> Records<'s> {
    pub fn new(source: &'s dyn Source) -> Records<'s> {
        Records { source, offset: 0, sum: Crc32c::from(0), record: Vec::new() }
    }

    /// The sum of all so far, which the next file begins with.
    pub fn sum(&self) -> u32 {
        self.sum.sum()
    }

    #[expect(clippy::should_implement_trait, reason = "what it gives is borrowed from it")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, Damage> {
        let file = |error| Damage::File(Error::Read(error));
        let left = self.source.size().map_err(file)?.saturating_sub(self.offset);
        if left == 0 {
            return Ok(None);
        }
        if left < 8 {
            return Err(Damage::Cut);
        }
        let mut frame = [0; 8];
        self.source.read_at(&mut frame, self.offset).map_err(file)?;
        let frame = u64::from_le_bytes(frame);
        if frame == 0 {
            return Ok(None);
        }
        let length = frame & 0x00ff_ffff_ffff_ffff;
        let padding = if frame >> 63 == 1 { frame >> 56 & 7 } else { 0 };
        if length + padding > left - 8 {
            return Err(Damage::Cut);
        }
        if length > MOST_BYTES {
            return Err(Damage::Malformed);
        }
        self.record.resize(length as usize, 0);
        self.source.read_at(&mut self.record, self.offset + 8).map_err(file)?;
        let (mut kind, mut recorded, mut data) = (0, 0, &b""[..]);
        let mut parsed: Result<(), Damage> = Ok(());
        for field in fields(&self.record) {
            match field {
                Ok((1, value)) => kind = value.number(),
                Ok((2, value)) => recorded = value.number() as u32,
                Ok((3, value)) => data = value.bytes(),
                Ok(_) => {}
                Err(malformed) => parsed = Err(malformed.into()),
            }
        }
        if kind == SUM && parsed.is_ok() {
            // The sum begins anew with the one of the file before.
            let begun = self.offset > 0 || self.sum.sum() != 0;
            if begun && self.sum.sum() != recorded {
                return Err(Damage::Sum { recorded, computed: self.sum.sum() });
            }
            self.sum = Crc32c::from(recorded);
        } else {
            let mut sum = self.sum;
            sum.add(data);
            if parsed.is_err() || sum.sum() != recorded {
                let torn = is_torn(self.offset, &self.record);
                parsed?;
                return Err(if torn { Damage::Torn } else { Damage::Sum { recorded, computed: sum.sum() } });
            }
            self.sum = sum;
        }
        let offset = self.offset;
        self.offset += 8 + length + padding;
        Ok(Some(Record { offset, kind: Kind::parse(kind, recorded, data)?, size: data.len() }))
    }
}

/// A sector of the disk in which nothing but zeros stand was not written.
fn is_torn(offset: u64, record: &[u8]) -> bool {
    const SECTOR: usize = 512;
    let first = SECTOR - (offset + 8) as usize % SECTOR;
    let (head, rest) = record.split_at(first.min(record.len()));
    std::iter::once(head)
        .chain(rest.chunks(SECTOR))
        .any(|sector| !sector.is_empty() && sector.iter().all(|byte| *byte == 0))
}

impl<'a> Kind<'a> {
    fn parse(kind: u64, recorded: u32, data: &'a [u8]) -> Result<Kind<'a>, Damage> {
        // All five have small numbers for their fields.
        let mut numbers = [0u64; 4];
        let mut content = &b""[..];
        if (METADATA..=SNAPSHOT).contains(&kind) {
            for field in fields(data) {
                let (number, value) = field?;
                match numbers.get_mut(number as usize) {
                    Some(place) => *place = value.number(),
                    None => content = value.bytes(),
                }
            }
        }
        let [_, one, two, three] = numbers;
        Ok(match kind {
            METADATA => Kind::Metadata { node: one, cluster: two },
            ENTRY => Kind::Entry { term: two, index: three, entry: Entry::parse(one, content)? },
            STATE => Kind::State { term: one, vote: two, commit: three },
            SUM => Kind::Sum(recorded),
            SNAPSHOT => Kind::Snapshot { index: one, term: two },
            other => Kind::Unknown(other),
        })
    }
}

/// Of etcdserverpb.InternalRaftRequest: the field, its name, and which field of it says what it is about.
const REQUESTS: &[(u64, &str, u64)] = &[
    (3, "range", 1),
    (4, "put", 1),
    (5, "delete", 1),
    (6, "txn", 0),
    (7, "compaction", 0),
    (8, "lease grant", 0),
    (9, "lease revoke", 0),
    (10, "alarm", 0),
    (11, "lease checkpoint", 0),
    (1000, "auth enable", 0),
    (1011, "auth disable", 0),
    (1012, "authenticate", 1),
    (1013, "auth status", 0),
    (1100, "user add", 1),
    (1101, "user delete", 1),
    (1102, "user get", 1),
    (1103, "user password", 1),
    (1104, "user grant role", 1),
    (1105, "user revoke role", 1),
    (1106, "user list", 0),
    (1107, "role list", 0),
    (1200, "role add", 1),
    (1201, "role delete", 1),
    (1202, "role get", 1),
    (1203, "role grant permission", 1),
    (1204, "role revoke permission", 1),
    (1300, "cluster version", 1),
    (1301, "member attributes", 2),
    (1302, "downgrade", 0),
];

impl<'a> Entry<'a> {
    fn parse(kind: u64, data: &'a [u8]) -> Result<Entry<'a>, Damage> {
        match kind {
            0 if data.is_empty() => Ok(Entry::Empty),
            0 => Ok(Entry::request(data)),
            1 => {
                let (mut change, mut node, mut context) = (0, 0, &b""[..]);
                for field in fields(data) {
                    match field? {
                        (2, value) => change = value.number(),
                        (3, value) => node = value.number(),
                        (4, value) => context = value.bytes(),
                        _ => {}
                    }
                }
                let name = ["add", "remove", "update", "add learner"].get(change as usize).copied();
                Ok(Entry::Member(name.unwrap_or("change"), node, context))
            }
            _ => Ok(Entry::Unknown),
        }
    }

    fn request(data: &'a [u8]) -> Entry<'a> {
        // A request of the second API stands in the second field, or in place of the message.
        let second = |message: &'a [u8]| {
            let methods = ["GET", "PUT", "POST", "DELETE", "QGET", "SYNC"];
            let text = |wanted| {
                fields(message).flatten().find_map(|(number, value)| (number == wanted).then(|| value.bytes()))
            };
            let method = methods.into_iter().find(|name| text(2) == Some(name.as_bytes()))?;
            Some(Entry::Request(method, text(3).unwrap_or_default()))
        };
        if let Some(entry) = second(data) {
            return entry;
        }
        for (number, value) in fields(data).flatten() {
            if number == 2
                && let Some(entry) = second(value.bytes())
            {
                return entry;
            }
            if let Some((_, name, wanted)) = REQUESTS.iter().find(|(field, ..)| *field == number) {
                let about = fields(value.bytes()).flatten().find(|(number, _)| number == wanted);
                return Entry::Request(name, about.map_or(&[], |(_, value)| value.bytes()));
            }
        }
        Entry::Unknown
    }
}

/// Makes a log.
#[derive(Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
    sum: Option<Crc32c>,
}

impl Writer {
    pub fn record(&mut self, kind: u64, data: Option<&[u8]>) {
        let sum = self.sum.get_or_insert(Crc32c::from(0));
        sum.add(data.unwrap_or_default());
        let record = super::field::Message::default().number(1, kind).number(2, sum.sum().into());
        let record = data.map_or(super::field::Message(record.0.clone()), |data| record.bytes(3, data)).0;
        let padding = record.len().next_multiple_of(8) - record.len();
        let mark = if padding > 0 { (0x80 | padding as u64) << 56 } else { 0 };
        self.bytes.extend((record.len() as u64 | mark).to_le_bytes());
        self.bytes.extend(record);
        self.bytes.resize(self.bytes.len() + padding, 0);
    }
}

/// Whether a name is one of a log's files: `SEQUENCE-INDEX.wal`, both of 16 hexadecimal digits.
pub fn is_name(name: &[u8]) -> bool {
    let digits = |part: &[u8]| part.len() == 16 && part.iter().all(u8::is_ascii_hexdigit);
    match name.strip_suffix(b".wal").and_then(|name| name.split_at_checked(16)) {
        Some((sequence, index)) => digits(sequence) && index.strip_prefix(b"-").is_some_and(digits),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::etcd::file::field::Message;

    fn log() -> Vec<u8> {
        let mut log = Writer::default();
        log.record(4, None);
        log.record(1, Some(&Message::default().number(1, 0xa).number(2, 0xb).0));
        let put = Message::default().bytes(100, b"").bytes(4, &Message::default().bytes(1, b"foo").bytes(2, b"bar").0);
        for (kind, index, data) in [(0, 1, &b""[..]), (0, 2, &put.0), (1, 3, b"\x08\x01\x10\x01\x18\x05\x22\x02{}")] {
            let entry = Message::default().number(1, kind).number(2, 2).number(3, index).bytes(4, data);
            log.record(2, Some(&entry.0));
        }
        log.record(3, Some(&Message::default().number(1, 2).number(2, 7).number(3, 3).0));
        log.record(5, Some(&Message::default().number(1, 3).number(2, 2).0));
        log.record(9, Some(b""));
        log.bytes
    }

    fn read(bytes: &[u8]) -> (Vec<String>, Option<Damage>) {
        let mut records = Records::new(&bytes);
        let mut found = Vec::new();
        loop {
            match records.next() {
                Ok(Some(record)) => found.push(format!("{:?}", record.kind)),
                Ok(None) => return (found, None),
                Err(damage) => return (found, Some(damage)),
            }
        }
    }

    #[test]
    fn each_kind_of_record() {
        let mut bytes = log();
        bytes.resize(bytes.len() + 100, 0);
        let (found, damage) = read(&bytes);
        assert!(damage.is_none(), "{damage:?}");
        let expected = [
            "Sum(0)",
            "Metadata { node: 10, cluster: 11 }",
            "Entry { term: 2, index: 1, entry: Empty }",
            "Entry { term: 2, index: 2, entry: Request(\"put\", [102, 111, 111]) }",
            "Entry { term: 2, index: 3, entry: Member(\"remove\", 5, [123, 125]) }",
            "State { term: 2, vote: 7, commit: 3 }",
            "Snapshot { term: 2, index: 3 }",
            "Unknown(9)",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn requests_of_the_second_api() {
        let request = Message::default().number(1, 5).bytes(2, b"PUT").bytes(3, b"/0/members").0;
        let expected = Entry::Request("PUT", b"/0/members");
        assert_eq!(Entry::parse(0, &request).unwrap(), expected);
        assert_eq!(Entry::parse(0, &Message::default().number(1, 5).bytes(2, &request).0).unwrap(), expected);
        assert_eq!(Entry::parse(0, b"\x08\x01").unwrap(), Entry::Unknown);
        assert_eq!(Entry::parse(2, b"").unwrap(), Entry::Unknown);
    }

    #[test]
    fn where_a_log_is_damaged() {
        let bytes = log();
        for length in [bytes.len() - 1, 9, 7] {
            assert!(matches!(read(&bytes[..length]).1, Some(Damage::Cut)), "{length}");
        }
        let mut changed = bytes.clone();
        changed[16 + 8 + 8] ^= 1;
        assert!(matches!(read(&changed), (found, Some(_)) if found.len() == 1));
        let mut long = bytes.clone();
        long[..8].copy_from_slice(&0x7fff_ffff_ffff_ffffu64.to_le_bytes());
        assert!(matches!(read(&long), (found, Some(Damage::Cut)) if found.is_empty()));
    }

    #[test]
    fn a_torn_write_is_known_by_its_zeros() {
        let mut log = Writer::default();
        log.record(4, None);
        let value = Message::default().number(1, 0).number(2, 1).number(3, 1).bytes(4, &[7; 2000]);
        log.record(2, Some(&value.0));
        let mut bytes = log.bytes;
        bytes[1024..].fill(0);
        assert!(matches!(read(&bytes), (found, Some(Damage::Torn)) if found.len() == 1));
    }

    #[test]
    fn the_next_file_begins_with_the_sum() {
        let mut next = Writer { sum: Some(Crc32c::from(0x1234)), ..Writer::default() };
        next.record(4, None);
        next.record(3, Some(b""));
        let (found, damage) = read(&next.bytes);
        assert!(damage.is_none(), "{damage:?}");
        assert_eq!(found, ["Sum(4660)", "State { term: 0, vote: 0, commit: 0 }"]);
    }

    #[test]
    fn names() {
        assert!(is_name(b"0000000000000000-00000000000000ff.wal"));
        for wrong in
            [&b"0.tmp"[..], b"0000000000000000-00000000000000ff.wal.broken", b"0000000000000000x00000000000000ff.wal"]
        {
            assert!(!is_name(wrong));
        }
    }
}
