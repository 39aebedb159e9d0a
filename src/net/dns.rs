//! Messages of the domain name system: a question to bytes, bytes to the addresses or services in an answer (RFC 1035,
//! section 4; RFC 3596 for AAAA; RFC 2782 for SRV). Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    A = 1,
    Aaaa = 28,
    Srv = 33,
}

/// Where a service is: a host, and the order in which those of one name should be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The lower, the sooner.
    pub priority: u16,
    /// Among those of one priority, the share of the calls.
    pub weight: u16,
    pub port: u16,
    pub host: Vec<u8>,
}

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// None: the name exists, without an address of this kind.
    Addresses(Vec<IpAddr>),
    /// The same for SRV.
    Services(Vec<Service>),
    NoSuchName,
    /// More than a datagram holds: to be asked again over TCP.
    Truncated,
    /// A server that cannot or will not say; the response code.
    Failure(u8),
}

const HEADER: usize = 12;
/// More addresses or services of one name than anyone tries.
const MAX_RECORDS: usize = 48;

/// A question with recursion desired; `None` for what cannot be a name.
pub fn query(id: u16, name: &[u8], kind: Kind) -> Option<Vec<u8>> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let mut message = Vec::with_capacity(HEADER + name.len() + 6);
    message.extend_from_slice(&id.to_be_bytes());
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split(|byte| *byte == b'.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend_from_slice(label);
    }
    message.push(0);
    if message.len() > HEADER + 255 {
        return None;
    }
    message.extend_from_slice(&[0, kind as u8, 0, 1]);
    Some(message)
}

/// Reads a reply to `query`; `None` for what is no reply to it, or is damaged.
pub fn answer(message: &[u8], query: &[u8]) -> Option<Answer> {
    let header = message.first_chunk::<HEADER>()?;
    let question = query.get(HEADER..)?;
    let (id, flags, code) = (&header[..2], header[2], header[3] & 0x0f);
    // A reply, to a standard query, with our id.
    if id != &query[..2] || flags & 0xf8 != 0x80 {
        return None;
    }
    // A server that cannot read the question may leave it out; every other reply repeats it, in any case of letters.
    let questions = u16::from_be_bytes([header[4], header[5]]);
    let echoed = message.get(HEADER..HEADER + question.len());
    if questions != 1 || !echoed.is_some_and(|echoed| echoed.eq_ignore_ascii_case(question)) {
        return (questions == 0 && code != 0 && code != 3).then_some(Answer::Failure(code));
    }
    match code {
        _ if flags & 0x02 != 0 => return Some(Answer::Truncated),
        0 => {}
        3 => return Some(Answer::NoSuchName),
        code => return Some(Answer::Failure(code)),
    }
    let kind = question[question.len() - 3];
    let (mut addresses, mut services) = (Vec::new(), Vec::new());
    let mut at = HEADER + question.len();
    for _ in 0..u16::from_be_bytes([header[6], header[7]]) {
        at = skip_name(message, at)?;
        let record = message.get(at..)?.first_chunk::<10>()?;
        let length = usize::from(u16::from_be_bytes([record[8], record[9]]));
        let start = at + 10;
        let data = message.get(start..start + length)?;
        at = start + length;
        // Aliases (CNAME) stand in between; what they lead to follows in the same answer.
        if record[..4] != [0, kind, 0, 1] || addresses.len() + services.len() >= MAX_RECORDS {
            continue;
        }
        match kind {
            SRV => {
                let fields = data.first_chunk::<6>()?;
                let field = |at: usize| u16::from_be_bytes([fields[at], fields[at + 1]]);
                let host = name(message, start + 6)?;
                // A lone root: decidedly no such service here.
                if !host.is_empty() {
                    services.push(Service { priority: field(0), weight: field(2), port: field(4), host });
                }
            }
            1 => addresses.push(IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?))),
            _ => addresses.push(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?))),
        }
    }
    Some(if kind == SRV { Answer::Services(services) } else { Answer::Addresses(addresses) })
}

const SRV: u8 = Kind::Srv as u8;

/// The name at a place, without its last dot. It should not be compressed (RFC 2782), but some servers do so. A pointer leads
/// backwards only, so that nothing can loop.
fn name(message: &[u8], mut at: usize) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    loop {
        match *message.get(at)? {
            0 => return Some(name),
            length @ 1..=63 => {
                let label = message.get(at + 1..at + 1 + usize::from(length))?;
                if !name.is_empty() {
                    name.push(b'.');
                }
                name.extend_from_slice(label);
                if name.len() > 255 {
                    return None;
                }
                at += 1 + usize::from(length);
            }
            high @ 0xc0.. => {
                let to = usize::from(high & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                at = Some(to).filter(|to| *to < at)?;
            }
            _ => return None,
        }
    }
}

/// The place behind a name. A compression pointer ends it, so nothing is followed and nothing can loop.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(flags: [u8; 2], answers: u8, records: &[u8]) -> Vec<u8> {
        let question = &query(7, b"db.example", Kind::A).unwrap()[HEADER..];
        [&[0, 7, flags[0], flags[1], 0, 1, 0, answers, 0, 0, 0, 0], question, records].concat()
    }

    fn read(message: &[u8]) -> Option<Answer> {
        answer(message, &query(7, b"DB.example.", Kind::A).unwrap())
    }

    const ALIAS: &[u8] = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01a\xc0\x0f";
    const ADDRESS: &[u8] = b"\x01a\xc0\x0f\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x07";

    #[test]
    fn a_question() {
        let bytes = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x02bc\x00\x00\x1c\x00\x01";
        assert_eq!(query(0x1234, b"a.bc", Kind::Aaaa).unwrap(), bytes);
    }

    #[test]
    fn what_is_no_name() {
        let (label, name) = ([b'a'; 64], [b"abcdefg.".as_slice(); 32].concat());
        for name in [b"".as_slice(), b".", b"a..b", b".a", &label, &name] {
            assert_eq!(query(1, name, Kind::A), None);
        }
    }

    #[test]
    fn addresses_behind_an_alias() {
        let message = reply([0x81, 0x80], 2, &[ALIAS, ADDRESS].concat());
        assert_eq!(read(&message), Some(Answer::Addresses(vec![IpAddr::from([10, 0, 0, 7])])));
    }

    #[test]
    fn services() {
        let question = query(7, b"_s._tcp.db.example", Kind::Srv).unwrap();
        let records = [
            &b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x3c\x00\x09\x00\x0a\x00\x05\x09\x4b\x01a\x00"[..],
            b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x3c\x00\x0a\x00\x00\x00\x00\x00\x01\x01b\xc0\x14",
            b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x3c\x00\x07\x00\x00\x00\x00\x00\x01\x00",
        ]
        .concat();
        let message = [&[0, 7, 0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0], &question[HEADER..], &records].concat();
        let service =
            |priority, weight, port, host: &str| Service { priority, weight, port, host: host.as_bytes().to_vec() };
        let found = vec![service(10, 5, 2379, "a"), service(0, 0, 1, "b.db.example")];
        assert_eq!(answer(&message, &question), Some(Answer::Services(found)));
        for length in 0..message.len() {
            assert_eq!(answer(&message[..length], &question), None, "cut at {length}");
        }
        for at in 0..message.len() {
            for byte in 0..=255 {
                let mut message = message.clone();
                message[at] = byte;
                let _ = answer(&message, &question);
            }
        }
    }

    #[test]
    fn codes() {
        assert_eq!(read(&reply([0x81, 0x80], 0, b"")), Some(Answer::Addresses(vec![])));
        assert_eq!(read(&reply([0x81, 0x83], 0, b"")), Some(Answer::NoSuchName));
        assert_eq!(read(&reply([0x81, 0x82], 0, b"")), Some(Answer::Failure(2)));
        assert_eq!(read(&reply([0x83, 0x80], 0, b"")), Some(Answer::Truncated));
        assert_eq!(read(&[0, 7, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]), Some(Answer::Failure(1)));
    }

    #[test]
    fn forged_and_damaged_replies() {
        let good = reply([0x81, 0x80], 2, &[ALIAS, ADDRESS].concat());
        for length in 0..good.len() {
            assert_eq!(read(&good[..length]), None, "cut at {length}");
        }
        let change = |at: usize, to: u8| {
            let mut message = good.clone();
            message[at] = to;
            read(&message)
        };
        assert_eq!(change(1, 8), None, "another id");
        assert_eq!(change(2, 0x01), None, "a question");
        assert_eq!(change(5, 0), None, "no question repeated");
        assert_eq!(change(14, b'x'), None, "another name");
        assert_eq!(change(HEADER + 13, 28), None, "another kind");
    }

    #[test]
    fn any_byte_anywhere_is_survived() {
        let good = reply([0x81, 0x80], 2, &[ALIAS, ADDRESS].concat());
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut message = good.clone();
                message[at] = byte;
                let _ = read(&message);
            }
        }
    }
}
