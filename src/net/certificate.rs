//! X.509 certificates (RFC 5280), as far as people ask for: whose, by whom, for which names, and from when to when.
//! Pure functions on bytes, which may be anything. No signature is checked.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::pem;
use crate::output::json::Object;
use crate::output::order;

/// More certificates than the largest bundle of authorities has.
const MOST: usize = 1000;

/// More names than a certificate has in practice; those beyond it are counted only.
const NAMES: usize = 100;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
const OCTETS: u8 = 0x04;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// `CN=x, O=y`, as untrusted as the rest.
    pub subject: Vec<u8>,
    pub issuer: Vec<u8>,
    /// The names that it is good for (subjectAltName).
    pub names: Vec<Vec<u8>>,
    /// How many these are.
    pub names_count: usize,
    /// Seconds since the epoch.
    pub not_before: i64,
    pub not_after: i64,
}

/// All certificates in a file, in DER: those in PEM, or the one that the file itself is. `None` for one that is damaged.
pub fn encoded(file: &[u8]) -> Vec<Option<Vec<u8>>> {
    /// `TRUSTED` ones have more behind the certificate.
    const LABELS: [&[u8]; 3] = [b"CERTIFICATE", b"TRUSTED CERTIFICATE", b"X509 CERTIFICATE"];
    if Certificate::parse(file).is_some() {
        return vec![first(file)];
    }
    let texts = pem::blocks(file).filter(|(label, _)| LABELS.contains(label)).take(MOST);
    texts.map(|(_, text)| first(&pem::decode(text)?)).collect()
}

/// All certificates in a file, as far as they can be read.
pub fn all(file: &[u8]) -> Vec<Certificate> {
    encoded(file).iter().flatten().filter_map(|der| Certificate::parse(der)).collect()
}

/// The first value of several.
fn first(der: &[u8]) -> Option<Vec<u8>> {
    let mut rest = Der(der);
    rest.take(SEQUENCE)?;
    der.get(..der.len() - rest.0.len()).map(<[u8]>::to_vec)
}

/// Values one behind the other in DER (X.690): a tag, a length, that many bytes.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value, if its length is within what there is. Tags of several bytes are in no certificate.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    /// The next value, which has that tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }

    /// The next value if it has that tag; else it stays.
    fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let value = ahead.take(tag)?;
        *self = ahead;
        Some(value)
    }
}

impl Certificate {
    /// One certificate in DER; nothing for what is none.
    pub fn parse(der: &[u8]) -> Option<Certificate> {
        let mut signed = Der(Der(der).take(SEQUENCE)?);
        let mut fields = Der(signed.take(SEQUENCE)?);
        fields.optional(0xa0); // The version.
        fields.take(0x02)?; // The serial number.
        fields.take(SEQUENCE)?; // The algorithm of the signature.
        let issuer = name(fields.take(SEQUENCE)?)?;
        let mut validity = Der(fields.take(SEQUENCE)?);
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = name(fields.take(SEQUENCE)?)?;
        fields.take(SEQUENCE)?; // The public key.
        fields.optional(0x81);
        fields.optional(0x82);
        let (names, names_count) = fields.optional(0xa3).and_then(alternatives).unwrap_or_default();
        Some(Certificate { subject, issuer, names, names_count, not_before, not_after })
    }

    /// Its fields, as machines get them.
    pub fn describe(&self, object: &mut Object) {
        object.bytes("subject", &self.subject).bytes("issuer", &self.issuer);
        object.strings("names", self.names.iter().map(Vec::as_slice));
        object.signed("not_before_epoch", Some(self.not_before)).signed("not_after_epoch", Some(self.not_after));
    }
}

/// `CN=x, O=y`, the most telling first; attributes without a short name are left out.
fn name(sequence: &[u8]) -> Option<Vec<u8>> {
    const KNOWN: [(u8, &[u8]); 6] = [(3, b"CN="), (10, b"O="), (11, b"OU="), (7, b"L="), (8, b"ST="), (6, b"C=")];
    let mut found: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut sets = Der(sequence);
    while let Some((SET, set)) = sets.next() {
        let mut attributes = Der(set);
        while let Some((SEQUENCE, attribute)) = attributes.next() {
            let mut attribute = Der(attribute);
            // 2.5.4.N
            let [0x55, 4, kind] = attribute.take(OBJECT)? else { continue };
            if let Some(place) = KNOWN.iter().position(|(number, _)| number == kind) {
                let (tag, value) = attribute.next()?;
                found.push((place, [KNOWN[place].1, &text(tag, value)].concat()));
            }
        }
    }
    order::sort_by_key(&mut found, |(place, _)| *place);
    let parts: Vec<Vec<u8>> = found.into_iter().map(|(_, part)| part).collect();
    Some(parts.join(&b", "[..]))
}

/// A character string in UTF-8, where that needs another form than it has.
fn text(tag: u8, value: &[u8]) -> Vec<u8> {
    match tag {
        // BMPString: two bytes a character.
        0x1e => {
            let units = value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            let chars = char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER));
            chars.collect::<String>().into_bytes()
        }
        _ => value.to_vec(),
    }
}

/// UTCTime and GeneralizedTime, in the one form that certificates may have them: UTC, with seconds.
fn time((tag, value): (u8, &[u8])) -> Option<i64> {
    let digits = value.strip_suffix(b"Z")?;
    let pair = |at: usize| match digits.get(at..at + 2)? {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0')),
        _ => None,
    };
    let (year, rest) = match (tag, digits.len()) {
        (0x17, 12) => match pair(0)? {
            year @ 0..50 => (2000 + year, 2),
            year => (1900 + year, 2),
        },
        (0x18, 14) => (pair(0)? * 100 + pair(2)?, 4),
        _ => return None,
    };
    let (month, day) = (pair(rest)?, pair(rest + 2)?);
    let (hour, minute, second) = (pair(rest + 4)?, pair(rest + 6)?, pair(rest + 8)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second)
}

/// Days since the epoch of a date in the Gregorian calendar. Years start in March, so that a leap day ends one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + of_year - 719_468
}

/// The names among the extensions, as people write them; names of other kinds are counted only.
fn alternatives(extensions: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let mut list = Der(Der(extensions).take(SEQUENCE)?);
    while let Some((SEQUENCE, extension)) = list.next() {
        let mut extension = Der(extension);
        // 2.5.29.17
        if extension.take(OBJECT)? != [0x55, 0x1d, 0x11] {
            continue;
        }
        extension.optional(0x01); // Whether it is critical.
        let mut values = Der(Der(extension.take(OCTETS)?).take(SEQUENCE)?);
        let (mut names, mut count) = (Vec::new(), 0);
        while let Some((tag, value)) = values.next() {
            count += 1;
            let name = match (tag, value.len()) {
                (0x81 | 0x82 | 0x86, _) => value.to_vec(),
                (0x87, 4) => <[u8; 4]>::try_from(value).map(Ipv4Addr::from).ok()?.to_string().into_bytes(),
                (0x87, 16) => <[u8; 16]>::try_from(value).map(Ipv6Addr::from).ok()?.to_string().into_bytes(),
                _ => continue,
            };
            if names.len() < NAMES {
                names.push(name);
            }
        }
        return Some((names, count));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Self-signed, made by OpenSSL: valid from a UTCTime to a GeneralizedTime.
    const PEM: &[u8] = include_bytes!("../../tests/fuzz/seeds/certificate/pem");
    const DER: &[u8] = include_bytes!("../../tests/fuzz/seeds/certificate/der");

    #[test]
    fn fields() {
        let found = Certificate::parse(DER).unwrap();
        assert_eq!(found.subject, b"CN=cache.example, O=Acme, C=DE");
        assert_eq!(found.issuer, found.subject);
        // Nov 27 15:49:34 2026 GMT, Apr 14 15:49:34 2054 GMT
        assert_eq!((found.not_before, found.not_after), (1_795_794_574, 2_659_794_574));
        let names: Vec<&str> = found.names.iter().map(|name| std::str::from_utf8(name).unwrap()).collect();
        let expected = ["cache.example", "*.cache.example", "10.0.0.1", "::1", "a@b.example", "spiffe://x/y"];
        assert_eq!((names.as_slice(), found.names_count), (&expected[..], 6));
    }

    #[test]
    fn files() {
        assert_eq!(encoded(PEM), [Some(DER.to_vec())]);
        assert_eq!(encoded(&[DER, b"\n"].concat()), [Some(DER.to_vec())]);
        let two =
            [b"subject=x\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", PEM, b"\n", PEM].concat();
        assert_eq!(all(&two).len(), 2);
        assert_eq!(encoded(b"-----BEGIN CERTIFICATE-----\n!\n-----END "), [None]);
        for bad in
            [&b""[..], b"0", b"-----BEGIN CERTIFICATE-----", b"-----BEGIN CERTIFICATE-----\n!\n-----END ", b"\x7fELF"]
        {
            assert_eq!(all(bad), []);
        }
    }

    #[test]
    fn what_is_cut_off_or_changed_is_no_trouble() {
        for length in 0..DER.len() {
            assert_eq!(Certificate::parse(&DER[..length]), None);
        }
        for at in 0..DER.len() {
            let mut changed = DER.to_vec();
            changed[at] = 0xff;
            let _ = Certificate::parse(&changed);
        }
    }

    #[test]
    fn times() {
        let utc = |text: &str| time((0x17, text.as_bytes()));
        let general = |text: &str| time((0x18, text.as_bytes()));
        assert_eq!([utc("491231235959Z"), utc("500101000000Z")], [Some(2_524_607_999), Some(-631_152_000)]);
        assert_eq!(
            [general("20000229120000Z"), general("99991231235959Z")],
            [Some(951_825_600), Some(253_402_300_799)]
        );
        for bad in ["", "Z", "4912312359Z", "491331235959Z", "4912312359590Z", "49123123595xZ", "+91231235959Z"] {
            assert_eq!(utc(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_in_other_alphabets() {
        assert_eq!(text(0x1e, b"\x00a\x20\xac"), "a€".as_bytes());
        // CN=a in a set, and an attribute that is not 2.5.4.N.
        let sequence = b"\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01\x1b\x31\x08\x30\x06\x06\x01\x2a\x0c\x01b";
        assert_eq!(name(sequence), Some(b"CN=\x1b".to_vec()));
    }
}
