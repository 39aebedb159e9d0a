//! The meta commands (`mg ms md ma mn me`): the head of a reply, and what its flags mean. Pure.

use super::text::{Malformed, number, sample};

/// More flags than there are letters.
const MAX_FLAGS: usize = 64;

/// The first line of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// `HD`, `VA`, `EN`, `NS`, `EX`, `NF`, `MN`, `ME`.
    pub code: [u8; 2],
    /// How many bytes of data follow: only `VA` has any.
    pub length: Option<u64>,
    /// A letter, and what stands behind it.
    pub flags: Vec<(u8, Vec<u8>)>,
    /// Of `ME`: the words as they are.
    pub debug: Vec<u8>,
}

/// Reads what [`super::text::element`] gave for such a line.
pub fn reply(code: [u8; 2], rest: &[u8]) -> Result<Reply, Malformed> {
    let wrong = || Malformed::Foreign(None, sample(&[&code, &b" "[..], rest].concat()));
    let mut reply = Reply { code, length: None, flags: Vec::new(), debug: Vec::new() };
    if &code == b"ME" {
        reply.debug = rest.to_vec();
        return Ok(reply);
    }
    let mut words = rest.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    if &code == b"VA" {
        reply.length = Some(words.next().and_then(number).ok_or_else(wrong)?);
    }
    for word in words {
        let (letter, token) = word.split_first().ok_or_else(wrong)?;
        if reply.flags.len() == MAX_FLAGS {
            return Err(wrong());
        }
        reply.flags.push((*letter, token.to_vec()));
    }
    Ok(reply)
}

impl Reply {
    pub fn flag(&self, letter: u8) -> Option<&[u8]> {
        self.flags.iter().find(|(known, _)| *known == letter).map(|(_, token)| token.as_slice())
    }

    pub fn number(&self, letter: u8) -> Option<u64> {
        self.flag(letter).and_then(number)
    }
}

/// What a code says.
pub fn meaning(code: [u8; 2]) -> &'static str {
    match &code {
        b"HD" => "done",
        b"VA" => "a value",
        b"EN" => "a miss",
        b"NS" => "not stored",
        b"EX" => "the item has changed (cas)",
        b"NF" => "not found",
        b"MN" => "no operation",
        b"ME" => "internals of the item",
        _ => "",
    }
}

/// What a flag of a reply says.
pub fn flag_meaning(letter: u8) -> &'static str {
    match letter {
        b'b' => "the key is base64",
        b'c' => "cas",
        b'f' => "client flags",
        b'h' => "fetched before (1) or not (0)",
        b'k' => "key",
        b'l' => "seconds since the last access",
        b'O' => "opaque, as sent",
        b's' => "size of the value",
        b't' => "seconds left to live, -1 for ever",
        b'W' => "you won the right to renew it",
        b'X' => "it is stale",
        b'Z' => "somebody else has won that already",
        _ => "unknown to this version",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        let value = reply(*b"VA", b"2 t-1 f30 h0 W kfoo").unwrap();
        assert_eq!((value.length, value.number(b'f'), value.flag(b't')), (Some(2), Some(30), Some(&b"-1"[..])));
        assert_eq!((value.flag(b'W'), value.flag(b'k'), value.flag(b'X')), (Some(&b""[..]), Some(&b"foo"[..]), None));
        let done = Reply { code: *b"HD", length: None, flags: vec![(b's', b"5".to_vec())], debug: vec![] };
        assert_eq!(reply(*b"HD", b"s5 "), Ok(done));
        assert_eq!(reply(*b"ME", b"k exp=-1 la=3").unwrap().debug, b"k exp=-1 la=3");
    }

    #[test]
    fn replies_that_lie() {
        for rest in [&b""[..], b"x", b"-1", b"18446744073709551616", b"t1"] {
            assert!(matches!(reply(*b"VA", rest), Err(Malformed::Foreign(None, _))), "{rest:?}");
        }
        assert!(reply(*b"HD", &b"t ".repeat(MAX_FLAGS)).is_ok());
        assert!(reply(*b"HD", &b"t ".repeat(MAX_FLAGS + 1)).is_err());
    }
}
