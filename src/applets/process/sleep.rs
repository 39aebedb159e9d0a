//! sleep: POSIX.1-2024 XCU `sleep`; like GNU's it adds up several operands, with fractions, the units `s m h d`, and
//! `infinity`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::applet::{Applet, Context, Error, Exit, Place, Result};
use crate::output::Safe;

pub static APPLET: Applet = Applet {
    names: &["sleep"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

/// Wait for a time
#[derive(clap::Parser)]
struct Options {
    /// Seconds, or with a unit: 0.5, 90s, 2m, 1h, 1d, infinity
    #[arg(value_name = "TIME", required = true)]
    times: Vec<OsString>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let mut total = Duration::ZERO;
    for time in &options.times {
        let wrong = || Error::message(format_args!("{}: not a length of time", Safe::os(time)));
        total = total.saturating_add(length(time.as_bytes()).ok_or_else(wrong)?);
    }
    std::thread::sleep(total);
    Ok(Exit(0))
}

fn length(text: &[u8]) -> Option<Duration> {
    let (number, unit) = match text {
        [number @ .., b's'] => (number, 1.0),
        [number @ .., b'm'] => (number, 60.0),
        [number @ .., b'h'] => (number, 3600.0),
        [number @ .., b'd'] => (number, 86400.0),
        number => (number, 1.0),
    };
    let seconds = std::str::from_utf8(number).ok()?.parse::<f64>().ok()? * unit;
    // Beyond the clock's range, which infinity is, it is for ever.
    (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::{Captured, capture};

    #[test]
    fn lengths_of_time() {
        for (text, millis) in
            [("0", 0), ("1.5", 1500), (".25s", 250), ("2m", 120_000), ("1h", 3_600_000), ("1d", 86_400_000)]
        {
            assert_eq!(length(text.as_bytes()), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["infinity", "inf", "1e300d"] {
            assert_eq!(length(text.as_bytes()), Some(Duration::MAX), "{text}");
        }
        for text in ["", "s", "1x", "-1", "nan", "1 s", "1ss"] {
            assert_eq!(length(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn wrong_use() {
        let done = capture(&APPLET, &["0", "x\n"], b"");
        assert_eq!(
            done,
            Captured { status: 1, out: String::new(), err: String::from("sleep: x\\n: not a length of time\n") }
        );
        assert_eq!(capture(&APPLET, &[], b"").status, 2);
        assert_eq!(capture(&APPLET, &["0", "0.0s"], b"").status, 0);
    }
}
