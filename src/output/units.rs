//! Numbers as people read them.

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

#[cfg(test)]
mod tests {
    use super::{bytes, duration};

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
