//! The fields of a protobuf message (protobuf.dev/programming-guides/encoding), as they stand in its bytes.

/// One field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A varint; a negative number has all of its 64 bits. Fixed widths are the same here.
    Number(u64),
    /// A text, bytes, or a message.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub fn number(self) -> u64 {
        match self {
            Value::Number(number) => number,
            Value::Bytes(_) => 0,
        }
    }

    /// A signed 64-bit number.
    pub fn signed(self) -> i64 {
        self.number() as i64
    }

    pub fn bytes(self) -> &'a [u8] {
        match self {
            Value::Bytes(bytes) => bytes,
            Value::Number(_) => &[],
        }
    }
}

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Number and value of each field, in the order of the bytes; ends after the first that cannot be read.
pub struct Fields<'a>(Result<&'a [u8], Malformed>);

pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields(Ok(message))
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.0.ok().filter(|rest| !rest.is_empty())?;
        let found = field(&mut rest);
        self.0 = found.map(|_| rest).ok_or(Malformed);
        Some(found.ok_or(Malformed))
    }
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let tag = varint(rest)?;
    let value = match tag & 7 {
        0 => Value::Number(varint(rest)?),
        1 => Value::Number(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
        2 => {
            let length = varint(rest)?;
            Value::Bytes(take(rest, usize::try_from(length).ok()?)?)
        }
        5 => Value::Number(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?).into()),
        // Groups went out of use before etcd began.
        _ => return None,
    };
    (tag >> 3 > 0).then_some((tag >> 3, value))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (index, byte) in rest.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            *rest = &rest[index + 1..];
            return Some(number);
        }
    }
    None
}

/// Makes a message.
#[derive(Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Also a zero, as gogoproto writes fields that are not nullable.
    pub fn number(mut self, field: u64, number: u64) -> Message {
        self.varint(field << 3);
        self.varint(number);
        self
    }

    pub fn bytes(mut self, field: u64, bytes: &[u8]) -> Message {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_field() {
        let message = b"\x08\x96\x01\x12\x02hi\x1d\x01\x00\x00\x00\x21\x02\x00\x00\x00\x00\x00\x00\x00\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        let found: Result<Vec<_>, Malformed> = fields(message).collect();
        let expected = [
            (1, Value::Number(150)),
            (2, Value::Bytes(b"hi")),
            (3, Value::Number(1)),
            (4, Value::Number(2)),
            (5, Value::Number(u64::MAX)),
        ];
        assert_eq!(found.as_deref(), Ok(&expected[..]));
        assert_eq!(expected[4].1.signed(), -1);
        assert_eq!((expected[1].1.number(), expected[0].1.bytes()), (0, &b""[..]));
    }

    #[test]
    fn what_is_no_message() {
        for bytes in [
            &b"\x08"[..],
            b"\x08\x80",
            b"\x12\x03hi",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0b",
            b"\x1d\x00",
            b"\x21\x00",
            b"\x00\x00",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            let mut fields = fields(bytes);
            assert_eq!((fields.next(), fields.next()), (Some(Err(Malformed)), None), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_made_reads_back() {
        let message = Message::default().number(1, 300).bytes(2, b"key").number(20, 0);
        assert_eq!(message.0, b"\x08\xac\x02\x12\x03key\xa0\x01\x00");
    }
}
