//! How Go writes and reads what etcdctl prints and takes: quoted text, JSON, durations, numbers, sizes. Scripts parse it.

use std::fmt::Write;
use std::time::Duration;

/// `%q`.
pub fn quote(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\x07' => out.push_str("\\a"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\x0b' => out.push_str("\\v"),
                '\0'..='\x1f' | '\x7f' => _ = write!(out, "\\x{:02x}", u32::from(char)),
                char if is_printable(char) => out.push(char),
                '\u{10000}'.. => _ = write!(out, "\\U{:08x}", u32::from(char)),
                _ => _ = write!(out, "\\u{:04x}", u32::from(char)),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// No control, no invisible format, no space but the one.
fn is_printable(char: char) -> bool {
    match char {
        ' ' => true,
        '\u{ad}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{feff}' => false,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => false,
        '\u{e000}'..='\u{f8ff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{10ffff}' => false,
        _ => !char.is_control() && !char.is_whitespace(),
    }
}

/// What a quoted text at the start of `text` means, and how long it is there: `"…"` with escapes, or raw in backquotes.
pub fn unquote(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    if let [b'`', rest @ ..] = text {
        let end = memchr::memchr(b'`', rest)?;
        return Some((rest.get(..end)?.to_vec(), end + 2));
    }
    let mut rest = text.strip_prefix(b"\"")?;
    let mut out = Vec::new();
    loop {
        let (first, tail) = rest.split_first()?;
        rest = tail;
        match first {
            b'"' => return Some((out, text.len() - rest.len())),
            b'\n' => return None,
            b'\\' => {
                let (letter, tail) = rest.split_first()?;
                let mut number = |skip: usize, count: usize, radix: u32| -> Option<u32> {
                    let digits = std::str::from_utf8(rest.get(skip..skip + count)?).ok()?;
                    rest = rest.get(skip + count..)?;
                    digits.chars().all(|char| char.is_digit(radix)).then(|| u32::from_str_radix(digits, radix).ok())?
                };
                match letter {
                    b'x' => out.push(u8::try_from(number(1, 2, 16)?).ok()?),
                    b'0'..=b'7' => out.push(u8::try_from(number(0, 3, 8)?).ok()?),
                    b'u' | b'U' => {
                        let char = char::from_u32(number(1, if *letter == b'u' { 4 } else { 8 }, 16)?)?;
                        out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                    letter => {
                        rest = tail;
                        out.push(match letter {
                            b'a' => 7,
                            b'b' => 8,
                            b'f' => 12,
                            b'n' => b'\n',
                            b'r' => b'\r',
                            b't' => b'\t',
                            b'v' => 11,
                            b'\\' | b'"' => *letter,
                            _ => return None,
                        });
                    }
                }
            }
            byte => out.push(*byte),
        }
    }
}

/// A JSON string: also what HTML would take for its own is escaped, and what is no UTF-8 is replaced.
pub fn json_text(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for char in String::from_utf8_lossy(bytes).chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            _ => out.push(char),
        }
    }
    out.push('"');
}

/// `3.047308ms`, `1m0.5s`.
pub fn duration(time: Duration) -> String {
    let nanoseconds = time.as_nanos();
    let fraction = |value: u128, unit: u128| {
        let text = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        match text.trim_end_matches('0') {
            "" => format!("{}", value / unit),
            rest => format!("{}.{rest}", value / unit),
        }
    };
    match nanoseconds {
        0 => String::from("0s"),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => fraction(nanoseconds, 1_000) + "µs",
        1_000_000..1_000_000_000 => fraction(nanoseconds, 1_000_000) + "ms",
        _ => {
            const MINUTE: u128 = 60_000_000_000;
            let (minutes, rest) = (nanoseconds / MINUTE, nanoseconds % MINUTE);
            let seconds = fraction(rest, 1_000_000_000) + "s";
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("time: invalid duration {}", quote(text.as_bytes()));
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !(char.is_ascii_digit() || char == '.')).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let end = tail.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        sum += number
            * match unit {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "" => return Err(format!("time: missing unit in duration {}", quote(text.as_bytes()))),
                unit => {
                    let unit = quote(unit.as_bytes());
                    return Err(format!("time: unknown unit {unit} in duration {}", quote(text.as_bytes())));
                }
            };
        rest = tail;
    }
    Duration::try_from_secs_f64(sum).map_err(|_| wrong())
}

pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(text.as_bytes()))),
    }
}

/// A flag's number: `0x10` and `1_000` are numbers too.
pub fn parse_int(text: &str) -> Result<i64, String> {
    let (sign, digits) = match text.as_bytes() {
        [b'-', ..] => ("-", &text[1..]),
        [b'+', ..] => ("", &text[1..]),
        _ => ("", text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    let why = |why: &str| format!("strconv.ParseInt: parsing {}: {why}", quote(text.as_bytes()));
    if digits.is_empty() || !digits.chars().all(|char| char.is_digit(radix)) {
        return Err(why("invalid syntax"));
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).map_err(|_| why("value out of range"))
}

/// An argument's number in a base, without signs for what has none.
pub fn parse_radix(text: &[u8], radix: u32, signed: bool) -> Result<u64, String> {
    let name = if signed { "ParseInt" } else { "ParseUint" };
    let why = |why: &str| format!("strconv.{name}: parsing {}: {why}", quote(text));
    let text = std::str::from_utf8(text).map_err(|_| why("invalid syntax"))?;
    let digits = if signed { text.strip_prefix('-').unwrap_or(text) } else { text };
    if digits.is_empty() || !digits.chars().all(|char| char.is_digit(radix)) {
        return Err(why("invalid syntax"));
    }
    match signed {
        true => i64::from_str_radix(text, radix).map(|number| number as u64).map_err(|_| why("value out of range")),
        false => u64::from_str_radix(text, radix).map_err(|_| why("value out of range")),
    }
}

/// `20 kB`, `2.1 GB`: powers of 1000, two digits.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog10() / 3).min(6);
    let value = (bytes as f64 / 1000f64.powi(power as i32) * 10.0 + 0.5).floor() / 10.0;
    let unit = UNITS[power as usize];
    if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted() {
        assert_eq!(quote("a\x01\né\"\\".as_bytes()), "\"a\\x01\\né\\\"\\\\\"");
        assert_eq!(quote(b"\xff\x7f"), "\"\\xff\\x7f\"");
        assert_eq!(quote("\u{a0}\u{200b}日".as_bytes()), "\"\\u00a0\\u200b日\"");
    }

    #[test]
    fn unquoted() {
        for (text, bytes, used) in [
            ("\"a\\n\\x41\\101\\u20ac\\\"\" rest", &b"a\nAA\xe2\x82\xac\""[..], 21),
            ("\"\"", b"", 2),
            ("`a\\n`x", b"a\\n", 5),
        ] {
            assert_eq!(unquote(text.as_bytes()), Some((bytes.to_vec(), used)), "{text}");
        }
        for text in ["", "a", "\"a", "\"\\", "\"\\x4\"", "\"\\q\"", "`a", "\"\\400\"", "\"\\ud800\""] {
            assert_eq!(unquote(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn json() {
        let mut out = String::new();
        json_text(&mut out, b"a<b>&\"\\\n\x01\x7f\xff");
        assert_eq!(out, "\"a\\u003cb\\u003e\\u0026\\\"\\\\\\n\\u0001\x7f\u{fffd}\"");
    }

    #[test]
    fn durations() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (15, "15ns"),
            (1_500, "1.5µs"),
            (3_047_308, "3.047308ms"),
            (2_279_680, "2.27968ms"),
            (1_000_000_000, "1s"),
            (60_500_000_000, "1m0.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), text);
        }
        for (text, milliseconds) in [("5s", 5000), ("1m30s", 90_000), ("1.5s", 1500), ("250ms", 250), ("0", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for (text, why) in [
            ("", "time: invalid duration \"\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5x", "time: unknown unit \"x\" in duration \"5x\""),
            ("x", "time: invalid duration \"x\""),
            ("-5s", "time: invalid duration \"-5s\""),
        ] {
            assert_eq!(parse_duration(text), Err(why.into()), "{text}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!((parse_int("10"), parse_int("-0x10"), parse_int("010")), (Ok(10), Ok(-16), Ok(8)));
        assert!(parse_int("").is_err() && parse_int("1 ").is_err() && parse_int("--1").is_err());
        assert_eq!(parse_radix(b"ff", 16, false), Ok(255));
        let why = "strconv.ParseUint: parsing \"zz\": invalid syntax";
        assert_eq!(parse_radix(b"zz", 16, false), Err(why.into()));
        assert_eq!(parse_radix(b"-1", 16, true), Ok(u64::MAX));
    }

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (10, "10 B"),
            (999, "999 B"),
            (16_384, "16 kB"),
            (20_480, "20 kB"),
            (2_147_483_648, "2.1 GB"),
            (192_400_000, "192 MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
