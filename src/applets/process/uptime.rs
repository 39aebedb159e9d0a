//! uptime: how long the machine has been up, and its load, on one line as procps and busybox write it; and since when
//! the target's process runs, on a second one. It counts no users: containers keep no record of them.

use std::io::Write;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::{Safe, units};
use crate::sys::time::local;
use crate::target::Reader;
use crate::target::machine::{self, Clock};

pub static APPLET: Applet = Applet {
    names: &["uptime"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

/// Tell how long the machine and the target have been running, and the load
#[derive(clap::Parser)]
struct Options {
    /// Only how long, in words
    #[arg(short, long)]
    pretty: bool,
    /// Only since when
    #[arg(short, long)]
    since: bool,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let clock = Clock::now();
    let up = clock.since_boot as u64;
    let zone = cx.env.get("TZ");
    let unknown = || Error::message("the clock shows no time of any calendar");
    if options.pretty {
        writeln!(cx.io.out, "up {}", pretty(up))?;
        return Ok(Exit(0));
    }
    if options.since {
        let start = local(clock.now - up as i64, zone).ok_or_else(unknown)?;
        let (day, time) = (start.day, (start.hour, start.minute, start.second));
        writeln!(cx.io.out, "{:04}-{:02}-{day:02} {:02}:{:02}:{:02}", start.year, start.month, time.0, time.1, time.2)?;
        return Ok(Exit(0));
    }
    let now = local(clock.now, zone).ok_or_else(unknown)?;
    let load = machine::load().map_err(|error| Error::message(format_args!("the load: {}", reason(&error))))?;
    let [one, five, fifteen] = load;
    writeln!(
        cx.io.out,
        " {:02}:{:02}:{:02} up {},  load average: {one:.2}, {five:.2}, {fifteen:.2}",
        now.hour,
        now.minute,
        now.second,
        plain(up)
    )?;
    if let Ok(target) = cx.files.target()
        && let Ok(stat) = Reader::open().and_then(|mut reader| reader.stat(target.pid))
    {
        let age = clock.age(stat.start) as u64;
        writeln!(cx.io.out, " target {} ({}) up {}", Safe(&stat.comm), stat.pid, units::duration(age))?;
    }
    Ok(Exit(0))
}

/// `3 days,  2:05`, `12 min`
fn plain(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    let days = match days {
        0 => String::new(),
        1 => String::from("1 day, "),
        _ => format!("{days} days, "),
    };
    match hours {
        0 => format!("{days}{minutes} min"),
        _ => format!("{days}{hours:2}:{minutes:02}"),
    }
}

/// `1 week, 2 hours, 1 minute`
fn pretty(seconds: u64) -> String {
    let minutes = seconds / 60;
    let parts =
        [(minutes / 10080, "week"), (minutes / 1440 % 7, "day"), (minutes / 60 % 24, "hour"), (minutes % 60, "minute")];
    let shown = parts.iter().filter(|(count, unit)| *count > 0 || minutes == 0 && *unit == "minute");
    let words = shown.map(|(count, unit)| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" }));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[test]
    fn lengths() {
        for (seconds, text) in
            [(59, "0 min"), (720, "12 min"), (19_640, " 5:27"), (86_400, "1 day, 0 min"), (266_700, "3 days,  2:05")]
        {
            assert_eq!(plain(seconds), text);
        }
        for (seconds, text) in [
            (0, "0 minutes"),
            (19_640, "5 hours, 27 minutes"),
            (86_460, "1 day, 1 minute"),
            (612_060, "1 week, 2 hours, 1 minute"),
        ] {
            assert_eq!(pretty(seconds), text);
        }
    }

    #[test]
    fn one_line_for_the_machine() {
        let done = capture(&APPLET, &[], b"");
        assert_eq!((done.status, done.err.as_str()), (0, ""));
        let line = done.out.lines().next().unwrap();
        assert!(line.contains(" up ") && line.contains(",  load average: "), "{line}");
        assert_eq!(capture(&APPLET, &["-s"], b"").out.len(), "2026-11-21 05:52:32\n".len());
    }
}
