//! Extended headers (POSIX.1-2024 XCU pax, "pax Extended Header"): records `LENGTH KEY=VALUE\n`, for what does not fit
//! into a header.

use super::Header;

/// Records one by one; `None` in place of what is not one, and nothing after it.
pub struct Records<'a>(pub &'a [u8]);

impl<'a> Iterator for Records<'a> {
    /// Key and value.
    type Item = Option<(&'a [u8], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = std::mem::take(&mut self.0);
        // Some writers fill up with zeroes.
        if text.iter().all(|byte| *byte == 0) {
            return None;
        }
        Some(record(text).map(|(key, value, rest)| {
            self.0 = rest;
            (key, value)
        }))
    }
}

/// Key, value and what follows.
fn record(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = text.iter().position(|byte| *byte == b' ')?;
    // The length counts the whole record.
    let length: usize = std::str::from_utf8(text.get(..space)?).ok()?.parse().ok()?;
    let (record, rest) = (text.get(space + 1..length)?, text.get(length..)?);
    let record = record.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

/// What extended headers say of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extension {
    pub name: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    size: Option<u64>,
    time: Option<i64>,
    user: Option<u64>,
    group: Option<u64>,
    user_name: Option<Vec<u8>>,
    group_name: Option<Vec<u8>>,
    /// Its data are not the file's, but a map of it and what is not a hole.
    pub sparse: bool,
}

impl Extension {
    /// Adds records; `None` for what is malformed. An empty value takes back what was said before.
    pub fn read(&mut self, records: &[u8]) -> Option<()> {
        for record in Records(records) {
            let (key, value) = record?;
            let text = || (!value.is_empty()).then(|| value.to_vec());
            let number = || if value.is_empty() { Some(None) } else { digits(value).map(Some) };
            match key {
                b"path" => self.name = text(),
                b"linkpath" => self.link = text(),
                b"uname" => self.user_name = text(),
                b"gname" => self.group_name = text(),
                b"size" => self.size = number()?,
                b"uid" => self.user = number()?,
                b"gid" => self.group = number()?,
                b"mtime" => self.time = if value.is_empty() { None } else { Some(seconds(value)?) },
                b"GNU.sparse.name" => {
                    self.sparse = true;
                    self.name = text();
                }
                _ if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
        Some(())
    }

    pub fn apply(&self, header: &mut Header) {
        fn put<T: Clone>(field: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                field.clone_from(value);
            }
        }
        put(&mut header.name, self.name.as_ref());
        put(&mut header.link, self.link.as_ref());
        put(&mut header.user_name, self.user_name.as_ref());
        put(&mut header.group_name, self.group_name.as_ref());
        put(&mut header.size, self.size.as_ref());
        put(&mut header.user, self.user.as_ref());
        put(&mut header.group, self.group.as_ref());
        put(&mut header.time, self.time.as_ref());
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    let plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| plain)?.parse().ok()
}

/// Whole seconds; what is before the epoch and no whole second is the one before.
fn seconds(text: &[u8]) -> Option<i64> {
    let (before, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let whole = i64::try_from(digits(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let some = fraction.iter().any(|digit| *digit != b'0');
    Some(if before { -whole - i64::from(some) } else { whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let all: Vec<_> = Records(b"12 path=a=b\n5 x=\n\0\0").collect();
        assert_eq!(all, [Some((&b"path"[..], &b"a=b"[..])), Some((b"x", b""))]);
        for wrong in [
            &b"12 path=a"[..],
            b"x path=a\n",
            b"7 path\n",
            b"10 path=a\nx",
            b"3 =\n",
            b"0 a=\n",
            b"99999999999999999999 a=b\n",
        ] {
            assert_eq!(Records(wrong).collect::<Vec<_>>().last(), Some(&None), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn what_a_member_gets() {
        let mut header = Header::empty();
        let mut extension = Extension::default();
        extension
            .read(b"9 path=x\n14 linkpath=y\n19 size=8589934592\n16 mtime=-1.500\n10 uid=70\n11 uname=u\n")
            .unwrap();
        extension.apply(&mut header);
        assert_eq!((header.name.as_slice(), header.link.as_slice()), (&b"x"[..], &b"y"[..]));
        assert_eq!((header.size, header.time, header.user, header.user_name), (1 << 33, -2, 70, b"u".to_vec()));
        extension.read(b"8 path=\n").unwrap();
        assert_eq!(extension.name, None);
        assert_eq!(extension.read(b"10 size=x\n"), None);
        assert_eq!(extension.read(b"24 GNU.sparse.major=1\n\n"), None);
        extension.read(b"22 GNU.sparse.major=1\n").unwrap();
        assert!(extension.sparse);
    }

    #[test]
    fn times() {
        for (text, value) in [
            ("0", Some(0)),
            ("1.999", Some(1)),
            ("-1", Some(-1)),
            ("-0.1", Some(-1)),
            ("1.x", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), value, "{text}");
        }
    }
}
