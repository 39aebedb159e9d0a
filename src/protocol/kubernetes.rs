//! What Kubernetes stores: an object in protobuf in an envelope, in JSON, or encrypted. Of protobuf the common part of all
//! objects is known, the rest is shown by the numbers of its fields. Pure functions on bytes, which may be anything.

/// Before an object in protobuf.
const MAGIC: &[u8] = b"k8s\0";
const ENCRYPTED: &[u8] = b"k8s:enc:";

/// How deep messages are nested, and how many fields are kept of all.
const DEEPEST: usize = 24;
const MOST: usize = 20_000;

/// How a value is stored.
#[derive(Debug, PartialEq, Eq)]
pub enum Stored<'a> {
    Protobuf(Box<Object<'a>>),
    Json,
    /// With the provider and the key's name: `aescbc:v1:key1`.
    Encrypted(&'a [u8]),
    Other,
}

/// The common part of an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Object<'a> {
    pub version: &'a [u8],
    pub kind: &'a [u8],
    pub name: &'a [u8],
    pub namespace: &'a [u8],
    pub uid: &'a [u8],
    pub generation: Option<u64>,
    /// Seconds since the epoch.
    pub created: Option<i64>,
    pub deleted: Option<i64>,
    pub labels: Vec<(&'a [u8], &'a [u8])>,
    pub annotations: Vec<(&'a [u8], &'a [u8])>,
    /// Kind and name.
    pub owners: Vec<(&'a [u8], &'a [u8])>,
    pub finalizers: Vec<&'a [u8]>,
    /// Who has written, and when.
    pub managers: Vec<(&'a [u8], Option<i64>)>,
    /// All other fields.
    pub fields: Vec<Field<'a>>,
    /// Not all of it could be read.
    pub cut: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub number: u64,
    pub value: Value<'a>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Number(u64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Message(Vec<Field<'a>>),
}

pub fn parse(value: &[u8]) -> Stored<'_> {
    if let Some(rest) = value.strip_prefix(ENCRYPTED) {
        // The name of the key ends at the third colon, and what is encrypted begins.
        let end = memchr::memchr_iter(b':', rest).nth(2).unwrap_or(rest.len().min(64));
        return Stored::Encrypted(rest.get(..end).unwrap_or_default());
    }
    if value.trim_ascii_start().starts_with(b"{") {
        return Stored::Json;
    }
    let Some(envelope) = value.strip_prefix(MAGIC) else { return Stored::Other };
    let mut object = Object::default();
    let mut raw = &b""[..];
    for (number, value) in messages(envelope, &mut object.cut) {
        match number {
            1 => {
                for (number, value) in messages(value, &mut object.cut) {
                    match number {
                        1 => object.version = value,
                        2 => object.kind = value,
                        _ => {}
                    }
                }
            }
            2 => raw = value,
            _ => {}
        }
    }
    let mut left = MOST;
    let mut reader = Reader(raw);
    while let Some((number, wire)) = reader.next() {
        match wire {
            // Whatever the object is, its first field is its metadata.
            Wire::Bytes(value) if number == 1 => metadata(value, &mut object),
            wire => object.fields.push(Field { number, value: value_of(wire, DEEPEST, &mut left) }),
        }
        if left == 0 {
            object.cut = true;
            break;
        }
    }
    object.cut |= !reader.0.is_empty();
    Stored::Protobuf(Box::new(object))
}

fn metadata<'a>(text: &'a [u8], object: &mut Object<'a>) {
    let mut reader = Reader(text);
    while let Some((number, wire)) = reader.next() {
        let value = match wire {
            Wire::Bytes(value) => value,
            Wire::Number(value) => {
                if number == 7 {
                    object.generation = Some(value);
                }
                continue;
            }
        };
        let mut cut = false;
        match number {
            1 => object.name = value,
            3 => object.namespace = value,
            5 => object.uid = value,
            8 => object.created = seconds(value),
            9 => object.deleted = seconds(value),
            11 => object.labels.push(pair(value, 1, 2, &mut cut)),
            12 => object.annotations.push(pair(value, 1, 2, &mut cut)),
            13 => object.owners.push(pair(value, 1, 3, &mut cut)),
            14 => object.finalizers.push(value),
            17 => {
                let (manager, time) = pair(value, 1, 4, &mut cut);
                object.managers.push((manager, seconds(time)));
            }
            _ => {}
        }
        object.cut |= cut;
    }
    object.cut |= !reader.0.is_empty();
}

/// Two of a message's fields.
fn pair<'a>(text: &'a [u8], first: u64, second: u64, cut: &mut bool) -> (&'a [u8], &'a [u8]) {
    let mut found = (&b""[..], &b""[..]);
    for (number, value) in messages(text, cut) {
        match number {
            number if number == first => found.0 = value,
            number if number == second => found.1 = value,
            _ => {}
        }
    }
    found
}

/// A moment: its first field.
fn seconds(text: &[u8]) -> Option<i64> {
    let mut reader = Reader(text);
    while let Some((number, wire)) = reader.next() {
        if let (1, Wire::Number(value)) = (number, wire) {
            return Some(value as i64);
        }
    }
    None
}

/// The fields that have a length.
fn messages<'a>(text: &'a [u8], cut: &mut bool) -> Vec<(u64, &'a [u8])> {
    let mut reader = Reader(text);
    let mut found = Vec::new();
    while let Some((number, wire)) = reader.next() {
        if let Wire::Bytes(value) = wire
            && found.len() < MOST
        {
            found.push((number, value));
        }
    }
    *cut |= !reader.0.is_empty();
    found
}

#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Fields one behind the other; what is left when it stops is no field.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<(u64, Wire<'a>)> {
        let mut rest = self.0;
        let key = varint(&mut rest)?;
        let number = key >> 3;
        // The largest number that a field may have.
        if number == 0 || number >= 1 << 29 {
            return None;
        }
        let wire = match key & 7 {
            0 => Wire::Number(varint(&mut rest)?),
            1 => {
                let (value, after) = rest.split_first_chunk::<8>()?;
                rest = after;
                Wire::Number(u64::from_le_bytes(*value))
            }
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (value, after) = rest.split_at_checked(length)?;
                rest = after;
                Wire::Bytes(value)
            }
            5 => {
                let (value, after) = rest.split_first_chunk::<4>()?;
                rest = after;
                Wire::Number(u32::from_le_bytes(*value).into())
            }
            _ => return None,
        };
        self.0 = rest;
        Some((number, wire))
    }
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// What bytes most probably are: text that can be read, a message in which every byte belongs to a field, or bytes.
fn value_of<'a>(wire: Wire<'a>, depth: usize, left: &mut usize) -> Value<'a> {
    *left = left.saturating_sub(1);
    let bytes = match wire {
        Wire::Number(number) => return Value::Number(number),
        Wire::Bytes(bytes) => bytes,
    };
    match std::str::from_utf8(bytes) {
        Ok(text)
            if text.chars().all(|char| !char.is_control() || matches!(char, '\n' | '\t' | '\r'))
                && !is_short_message(bytes) =>
        {
            Value::Text(text)
        }
        _ => message(bytes, depth, left).map_or(Value::Bytes(bytes), Value::Message),
    }
}

/// A newline is also the key of a first field with a length, and text does not begin with one.
fn is_short_message(bytes: &[u8]) -> bool {
    let mut reader = Reader(bytes);
    let begins = matches!(bytes, [b'\n' | b'\t' | b'\r', _, ..]);
    begins && std::iter::from_fn(|| reader.next()).count() > 0 && reader.0.is_empty()
}

fn message<'a>(bytes: &'a [u8], depth: usize, left: &mut usize) -> Option<Vec<Field<'a>>> {
    let depth = depth.checked_sub(1)?;
    let mut reader = Reader(bytes);
    // Only what is a message to its end is looked into.
    while reader.next().is_some() {}
    if !reader.0.is_empty() {
        return None;
    }
    let mut reader = Reader(bytes);
    let mut fields = Vec::new();
    while let Some((number, wire)) = reader.next() {
        if *left == 0 {
            break;
        }
        fields.push(Field { number, value: value_of(wire, depth, left) });
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Lease of kube-system, as an API server stores it.
    const LEASE: &[u8] =
        b"k8s\0\n\x1f\n\x16coordination.k8s.io/v1\x12\x05Lease\x12\x9e\x01\nl\n\x09scheduler\x12\0\x1a\x0bkube\
        -system\"\0*\x06uid-122\08\x02B\x08\x08\xc0\xbd\xa7\xc8\x06\x10\0Z\x08\n\x03app\x12\x01xj\x15\n\x04N\
        ode\x1a\x02n1\"\x03u-1*\x02v10\x01r\x03fin\x8a\x01\x11\n\x07manager\"\x06\x08\xc0\xbd\xa7\xc8\x06\
        \x12.\n\x10scheduler_holder\x10\x0f*\0\x1a\x16\n\x03abc\x09\x01\0\0\0\0\0\0\0\x15\x02\0\0\0\x1a\x01\
        \xff\x1a\0\"\0";

    #[test]
    fn a_lease() {
        let Stored::Protobuf(object) = parse(LEASE) else { panic!() };
        assert_eq!((object.version, object.kind), (&b"coordination.k8s.io/v1"[..], &b"Lease"[..]));
        assert_eq!((object.name, object.namespace), (&b"scheduler"[..], &b"kube-system"[..]));
        assert_eq!((object.uid, object.generation), (&b"uid-12"[..], Some(2)));
        assert_eq!((object.created, object.deleted), (Some(1_762_254_528), None));
        assert_eq!(object.labels, [(&b"app"[..], &b"x"[..])]);
        assert_eq!(object.owners, [(&b"Node"[..], &b"n1"[..])]);
        assert_eq!(object.finalizers, [&b"fin"[..]]);
        assert_eq!(object.managers, [(&b"manager"[..], Some(1_762_254_528))]);
        let field = |number, value| Field { number, value };
        let inner = vec![
            field(1, Value::Text("abc")),
            field(1, Value::Number(1)),
            field(2, Value::Number(2)),
            field(3, Value::Bytes(b"\xff")),
        ];
        let expected = vec![
            field(1, Value::Text("scheduler_holder")),
            field(2, Value::Number(15)),
            field(5, Value::Text("")),
            field(3, Value::Message(inner)),
        ];
        assert_eq!(object.fields, [field(2, Value::Message(expected))]);
        assert!(!object.cut);
    }

    #[test]
    fn other_ways_to_store() {
        assert_eq!(parse(b"{\"kind\":\"X\"}"), Stored::Json);
        assert_eq!(parse(b"k8s:enc:aescbc:v1:key1:\x01\x02"), Stored::Encrypted(b"aescbc:v1:key1"));
        assert_eq!(parse(b"plain"), Stored::Other);
    }

    #[test]
    fn cut_at_every_byte() {
        for length in 4..LEASE.len() {
            let Stored::Protobuf(object) = parse(&LEASE[..length]) else { panic!() };
            // Between the fields of the envelope.
            let whole = [4, 37, LEASE.len() - 4, LEASE.len() - 2];
            assert!(object.cut || whole.contains(&length), "cut at {length}");
        }
        // Deeper than anything that is looked into.
        let mut deep = b"\x08\x01".to_vec();
        for _ in 0..100 {
            deep = [&[0x12, u8::try_from(deep.len()).unwrap_or(0)][..], &deep].concat();
        }
        let _ = parse(&[b"k8s\0\x12\x7f".as_slice(), &deep].concat());
    }
}
