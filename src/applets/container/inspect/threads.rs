//! `inspect threads`: where the threads of the target's first process wait, looked at many times without attaching, so
//! that it never stops. A row for each place, by the name of the threads; one object a row with `--json`.
//!
//! Exit status: 0, or 2 without a target.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::applet::{Context, Error, Exit, Result, reason};
use crate::inspect::report::threads::word;
use crate::output::order;
use crate::output::table::{Cell, Column, fitted, json_row};
use crate::target::threads::{MOST, Profile, Profiles, look};
use crate::target::{Reader, access};

/// Say where the target's threads wait, in percent of many looks
#[derive(clap::Parser)]
#[command(name = "inspect threads")]
struct Options {
    /// How long to look
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Milliseconds between two looks
    #[arg(long, value_name = "MS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    interval: u64,
    /// Write one JSON object for each row
    #[arg(long)]
    json: bool,
}

const COLUMNS: [Column<'static>; 7] = [
    Column::left("NAME", "name", 1),
    Column::right("THREADS", "threads", 1),
    Column::right("RAN%", "ran_percent", 1),
    Column::right("QUEUED%", "queued_percent", 1),
    Column::right("SEEN%", "seen_percent", 1),
    Column::left("STATE", "state", 1),
    Column::left("WAITS IN", "wait_channel", 1),
];

pub fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let pid = cx.target()?.pid;
    let unread = |error: std::io::Error| Error::message(format_args!("process {pid}: {}", reason(&error)));
    let mut reader = Reader::open().map_err(unread)?;
    let started = Instant::now();
    let end = started + Duration::from_secs(options.seconds);
    let interval = Duration::from_millis(options.interval);
    let mut profiles = Profiles::default();
    let (mut looks, mut most) = (0, 0);
    let mut last = started;
    loop {
        let now = Instant::now();
        match look(&mut reader, pid) {
            Ok((seen, count)) => {
                most = most.max(count);
                profiles.add(seen);
                (looks, last) = (looks + 1, now);
            }
            Err(error) if looks == 0 => return Err(unread(error)),
            Err(_) => {
                cx.note(format_args!("process {pid} has ended"));
                break;
            }
        }
        let next = now + interval;
        if next > end {
            break;
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let named = profiles.finish();
    let known = named.values().any(|profile| profile.places.keys().any(|place| place.channel.is_some()));
    let rows = rows(named.into_iter().collect(), last - started);
    match options.json {
        true => rows.iter().try_for_each(|row| json_row(&mut cx.io.out, &COLUMNS, row))?,
        false => {
            fitted(&mut cx.io.out, &COLUMNS, &rows)?;
            writeln!(cx.io.out, "\n{looks} looks in {:.1} s", (last - started).as_secs_f64())?;
        }
    }
    if !known {
        match access::allowed(&reader, pid) {
            Err(_) => cx.note(format_args!("wait channels: {}", access::explain(pid, "wait channels"))),
            Ok(()) => cx.note("wait channels: the kernel names none of them"),
        }
    }
    if most > MOST {
        cx.note(format_args!("{} of {most} threads were not looked at", most - MOST));
    }
    Ok(Exit(0))
}

/// The busiest names first, and of each the places where it was seen most.
fn rows(mut named: Vec<(Vec<u8>, Profile)>, time: Duration) -> Vec<Vec<Cell>> {
    let ran = |profile: &Profile| profile.scheduled.map_or(0, |scheduled| scheduled.ran);
    order::sort_by(&mut named, |(a, one), (b, other)| (ran(other), other.seen, a).cmp(&(ran(one), one.seen, b)));
    let mut rows = Vec::new();
    for (name, profile) in named {
        let share = |nanoseconds: u64| {
            let all = time.as_secs_f64() * 1e9 * profile.threads as f64;
            // A thread that was seen once has no time between.
            if all > 0.0 { Cell::Float((nanoseconds as f64 / all * 1000.0).round() / 10.0) } else { Cell::Unknown }
        };
        let (ran, queued) = match profile.scheduled {
            Some(scheduled) => (share(scheduled.ran), share(scheduled.waited)),
            None => (Cell::Unknown, Cell::Unknown),
        };
        let mut places: Vec<_> = profile.places.into_iter().collect();
        order::sort_by(&mut places, |(a, one), (b, other)| (other, a).cmp(&(one, b)));
        for (place, count) in places {
            let percent = (count as f64 * 1000.0 / profile.seen.max(1) as f64).round() / 10.0;
            rows.push(vec![
                Cell::Bytes(name.clone()),
                Cell::Number(profile.threads as u64),
                ran.clone(),
                queued.clone(),
                Cell::Float(percent),
                Cell::Text(String::from(word(place.state))),
                place.channel.map_or(Cell::Unknown, Cell::Bytes),
            ]);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::table::heading;
    use crate::target::threads::{Place, Scheduled};
    use std::collections::HashMap;

    #[test]
    fn rows_by_name_and_place() {
        let place =
            |state, channel: Option<&str>| Place { state, channel: channel.map(|name| name.as_bytes().to_vec()) };
        let idle = Profile {
            threads: 2,
            seen: 8,
            places: HashMap::from([(place(b'S', Some("futex")), 6), (place(b'R', None), 2)]),
            scheduled: Some(Scheduled { ran: 40_000_000, waited: 0 }),
        };
        let busy = Profile {
            threads: 1,
            seen: 4,
            places: HashMap::from([(place(b'R', None), 4)]),
            scheduled: Some(Scheduled { ran: 2_000_000_000, waited: 500_000_000 }),
        };
        let rows = rows(vec![(b"idle\x1b".to_vec(), idle), (b"busy".to_vec(), busy)], Duration::from_secs(2));
        let mut out = Vec::new();
        heading(&mut out, &COLUMNS).unwrap();
        rows.iter().for_each(|row| json_row(&mut out, &COLUMNS, row).unwrap());
        let expected = concat!(
            "NAME THREADS RAN% QUEUED% SEEN% STATE WAITS IN\n",
            r#"{"name":"busy","threads":1,"ran_percent":100,"queued_percent":25,"seen_percent":100,"state":"running","wait_channel":null}"#,
            "\n",
            r#"{"name":"idle\u001b","threads":2,"ran_percent":1,"queued_percent":0,"seen_percent":75,"state":"sleeping","wait_channel":"futex"}"#,
            "\n",
            r#"{"name":"idle\u001b","threads":2,"ran_percent":1,"queued_percent":0,"seen_percent":25,"state":"running","wait_channel":null}"#,
            "\n",
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
