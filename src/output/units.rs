//! Numbers as people read and write them.

use std::time::Duration;

/// A count of bytes with three significant digits: `0 B`, `999 B`, `1.00 KiB`, `12.3 MiB`, `256 GiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1023.5 && unit < 6 {
        value /= 1024.0;
        unit += 1;
    }
    match value {
        _ if unit == 0 => format!("{count} B"),
        v if v < 9.995 => format!("{v:.2} {}", UNITS[unit]),
        v if v < 99.95 => format!("{v:.1} {}", UNITS[unit]),
        v => format!("{v:.0} {}", UNITS[unit]),
    }
}

/// A span of time as people compare it: `84 µs`, `1.2 ms`, `1.50 s`.
pub fn span(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1000 => format!("{micros} µs"),
        micros @ 1000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        micros => format!("{:.2} s", micros as f64 / 1e6),
    }
}

/// A part in percent, with one digit behind the point: `33.3`; `-` of nothing.
pub fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => String::from("-"),
        _ => format!("{:.1}", part as f64 * 100.0 / whole as f64),
    }
}

/// A length of time in its two largest units: `5s`, `3m12s`, `2h05m`, `41d03h`.
pub fn duration(seconds: u64) -> String {
    let (days, hours, minutes, rest) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match seconds {
        0..60 => format!("{rest}s"),
        60..3600 => format!("{minutes}m{rest:02}s"),
        3600..86400 => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

/// A moment, by its seconds since the epoch: `2026-11-27 15:49:34 UTC`.
pub fn utc(seconds: i64) -> String {
    let (day, second) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    // Days since the first of March of the year 0, in eras of 400 years, so that a leap day ends a year.
    let day = day.saturating_add(719_468);
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era.saturating_mul(400).saturating_add(year + later);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// A size as `ls -h` and its kin have it: at most four characters, rounded up so that nothing looks smaller than it is.
pub fn short(count: u64) -> String {
    let mut unit = 0;
    let mut size = 1u64;
    while count.div_ceil(size) >= 1024 && unit < 6 {
        size *= 1024;
        unit += 1;
    }
    if unit == 0 {
        return count.to_string();
    }
    let letter = char::from(b"BKMGTPE"[unit]);
    let tenths = (u128::from(count) * 10).div_ceil(u128::from(size));
    if tenths < 100 {
        format!("{}.{}{letter}", tenths / 10, tenths % 10)
    } else {
        format!("{}{letter}", count.div_ceil(size))
    }
}

/// A count with a unit as `head -c 10K` has it: `b` is 512; `k K M G T P E` and these with `iB` are powers of 1024,
/// with `B` powers of 1000. What exceeds 64 bits is the largest count.
pub fn count(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return None;
    }
    let number = number.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    let power = |letter: u8| b"KMGTPE".iter().position(|known| *known == letter.to_ascii_uppercase());
    let size = match unit {
        [] => 1,
        b"b" => 512,
        [letter] | [letter, b'i', b'B'] => 1024u64.pow(power(*letter)? as u32 + 1),
        [letter, b'B'] => 1000u64.pow(power(*letter)? as u32 + 1),
        _ => return None,
    };
    Some(number.saturating_mul(size))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{bytes, count, duration, percent, short, span, utc};

    #[test]
    fn spans() {
        let shown: Vec<String> = [84, 1234, 1_500_000].map(|micros| span(Duration::from_micros(micros))).to_vec();
        assert_eq!(shown, ["84 µs", "1.2 ms", "1.50 s"]);
    }

    #[test]
    fn parts() {
        assert_eq!([percent(1, 3), percent(0, 7), percent(5, 5), percent(0, 0)], ["33.3", "0.0", "100.0", "-"]);
    }

    #[test]
    fn moments() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (951_825_600, "2000-02-29 12:00:00 UTC"),
            (1_795_794_574, "2026-11-27 15:49:34 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(utc(seconds), text);
        }
        assert!(utc(i64::MAX).ends_with(" UTC") && utc(i64::MIN).ends_with(" UTC"));
    }

    #[test]
    fn four_characters() {
        for (size, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1.0K"),
            (1025, "1.1K"),
            (10_137, "9.9K"),
            (10_138, "10K"),
            (1_047_552, "1023K"),
            (1_047_553, "1.0M"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(short(size), text);
        }
    }

    #[test]
    fn counts_with_units() {
        for (text, value) in [
            ("0", Some(0)),
            ("2b", Some(1024)),
            ("1k", Some(1024)),
            ("1kB", Some(1000)),
            ("3MiB", Some(3_145_728)),
            ("1E", Some(1 << 60)),
            ("99E", Some(u64::MAX)),
            ("", None),
            ("K", None),
            ("1x", None),
            ("-1", None),
            ("1KiBs", None),
        ] {
            assert_eq!(count(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn three_digits_and_a_unit() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10_240, "10.0 KiB"),
            (268_435_456, "256 MiB"),
            (1_073_741_823, "1.00 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn two_units_of_time() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (192, "3m12s"), (7500, "2h05m"), (3_553_200, "41d03h")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
