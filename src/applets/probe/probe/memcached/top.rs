//! top: which keys, prefixes or connections the server looks up most, by `watch fetchers`, the one class that harms no version.
//! Live on a terminal; `-b` writes one table after the other. Longer than most: it counts, draws and is typed at.
//!
//! A server logs each lookup, also the one that a store begins with. It drops lines rather than wait, and tells how many.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::super::duration;
use super::options::Shared;
use super::server::{Server, Session};
use super::watch::{failure, open};
use super::{Answer, Ask, Outcome, Stop};
use crate::applet::screen::{Event, Screen};
use crate::applet::{Context, Error, Exit, Result};
use crate::inspect::memcached::frequent::{Frequent, Tally};
use crate::inspect::memcached::keyspace::Cut;
use crate::inspect::memcached::tables::rows;
use crate::net::Deadline;
use crate::output::table::{self, Cell, Column};
use crate::output::{Safe, json, json::Object, units};
use crate::protocol::memcached::client::{Error as Trouble, Heard, Stats};
use crate::protocol::memcached::text::number;
use crate::sys::terminal;

/// What lookups are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Key,
    Prefix,
    Connection,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            By::Key => "key",
            By::Prefix => "prefix",
            By::Connection => "conn",
        }
    }
}

fn by(text: &str) -> std::result::Result<By, &'static str> {
    [By::Key, By::Prefix, By::Connection].into_iter().find(|by| by.name() == text).ok_or("key, prefix or conn")
}

/// Show the keys, prefixes or connections that are looked up most, live
///
/// Keys: q leaves, k p c count by key, prefix, connection, 1 to 9 set the depth of prefixes, space looks at once.
#[derive(clap::Parser)]
#[command(
    name = "memcached top",
    override_usage = "probe memcached [OPTIONS] [ADDRESS] top [-b] [-n COUNT] [-d TIME] [--by key|prefix|conn]"
)]
pub struct Top {
    #[command(flatten)]
    shared: Shared,
    /// Tables one after the other, for logs
    #[arg(short, long)]
    batch: bool,
    /// So many tables
    #[arg(short = 'n', long, value_name = "COUNT")]
    iterations: Option<u64>,
    /// Time from one to the next
    #[arg(short, long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    delay: Duration,
    /// Count by key, prefix or conn
    #[arg(long, value_name = "NAME", default_value = "key", value_parser = by)]
    by: By,
    /// With --by prefix: the characters that a prefix ends with
    #[arg(long, value_name = "CHARS", default_value = ":")]
    delimiter: std::ffi::OsString,
    /// With --by prefix: behind how many of them it ends
    #[arg(long, value_name = "N", default_value_t = 1)]
    depth: usize,
    /// With -b: as many rows
    #[arg(long, value_name = "N", default_value_t = 20)]
    rows: usize,
}

/// More keys than are looked up often in a few seconds.
const NAMES: usize = 8192;
/// How long a key may wait that is typed.
const PATIENCE: Duration = Duration::from_millis(50);

/// What happened in one interval.
struct Interval {
    started: Instant,
    found: Frequent,
    all: Tally,
    skipped: u64,
}

impl Interval {
    fn new() -> Interval {
        Interval { started: Instant::now(), found: Frequent::new(NAMES), all: Tally::default(), skipped: 0 }
    }
}

/// What can be changed by a key.
struct View {
    by: By,
    cut: Cut,
}

/// The two sessions, and what the server counted when it was asked last.
struct Eye<'a> {
    top: &'a Top,
    server: &'a Server,
    session: Session,
    monitor: Session,
    before: Stats,
}

/// An interval that is over, in numbers.
struct Seen {
    seconds: f64,
    interval: Interval,
    /// Gets and sets in all, as the server counts them.
    gets: Option<u64>,
    sets: Option<u64>,
    dropped: Option<u64>,
    addresses: BTreeMap<u64, Vec<u8>>,
}

impl Seen {
    /// The part of all lookups that was told.
    fn share(&self) -> Option<f64> {
        let told = self.interval.all.count;
        let lost = self.dropped?.saturating_add(self.interval.skipped);
        (told > 0 || lost > 0).then(|| told as f64 / told.saturating_add(lost) as f64)
    }
}

impl Ask for Top {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn check(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        match self.depth {
            0 => Err(Error::usage("--depth begins with 1")),
            _ => Ok(()),
        }
    }

    fn has_heading(&self) -> bool {
        false
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let (session, mut monitor) = open(cx, server, &self.shared, &[b"fetchers"], false)?;
        let before = stats(server, &mut monitor, &self.shared, None);
        let mut eye = Eye { top: self, server, session, monitor, before };
        let cut = Cut { delimiters: self.delimiter.as_bytes().to_vec(), depth: self.depth };
        let mut view = View { by: self.by, cut };
        let live = !self.batch && !self.shared.json;
        let terminal = cx.terminal() && cx.io.stdin.is_terminal();
        if live && terminal {
            return eye.live(cx, &mut view);
        }
        let mut count = self.iterations;
        // Of several servers one is told after the other, so that there has to be an end.
        if !self.batch || eye.server.among {
            if live && !eye.server.among && count.is_none() {
                cx.note("no terminal: one table, as -b -n 1 would");
            }
            count = count.or(Some(1));
        }
        let mut written = 0;
        let mut data = Object::new();
        let mut lead = String::from("{\"server\":");
        json::bytes(&mut lead, &eye.server.address());
        while count.is_none_or(|count| written < count) {
            let mut interval = Interval::new();
            let end = Deadline::after(self.delay);
            while !end.left().is_zero() {
                eye.listen(&view, &mut interval, end)?;
            }
            let seen = eye.look(&view, interval);
            written += 1;
            if self.shared.json {
                let object = eye.machine(&view, &seen);
                if count.is_some_and(|count| written == count) {
                    data = object;
                } else {
                    let text = object.finish();
                    writeln!(cx.io.out, "{lead},{}", text.trim_start_matches('{'))?;
                }
            } else {
                cx.io.out.write_all(if written > 1 { b"\n" } else { b"" })?;
                for line in eye.lines(&view, &seen, self.rows) {
                    cx.io.out.write_all(&line)?;
                }
            }
            cx.io.out.flush()?;
        }
        Ok(Answer::new(0, data))
    }
}

fn stats(server: &Server, monitor: &mut Session, shared: &Shared, name: Option<&[u8]>) -> Stats {
    monitor.again(shared.timeout);
    // What cannot be asked any more is not known.
    super::stats::fetch(server, monitor, name, shared.timeout).unwrap_or_default()
}

impl Eye<'_> {
    /// Counts what comes before a moment, or a part of it.
    fn listen(&mut self, view: &View, interval: &mut Interval, until: Deadline) -> Outcome<()> {
        self.session.client.stream().set_deadline(until);
        let mut key = Vec::new();
        let heard = self.session.client.hear(&mut |heard| {
            match heard {
                Heard::Begin => {}
                Heard::Skipped(count) => interval.skipped = interval.skipped.saturating_add(count),
                Heard::Event(event) if event.kind == b"item_get" => {
                    let tally = Tally {
                        count: 1,
                        bytes: event.number(b"size").unwrap_or(0),
                        hits: u64::from(event.field(b"status") == Some(b"found")),
                        ..Tally::default()
                    };
                    interval.all.add(&tally);
                    let name = match view.by {
                        By::Connection => event.field(b"cfd").unwrap_or_default(),
                        by => {
                            event.key(&mut key);
                            if by == By::Key { &key } else { view.cut.prefix(&key) }
                        }
                    };
                    interval.found.add(name, 1, &tally);
                }
                Heard::Event(_) => {}
            }
            Ok(true)
        });
        match heard {
            Ok(()) => Ok(()),
            Err(Trouble::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut => Ok(()),
            Err(trouble) => Err(failure(self.server, &trouble, &self.top.shared).into()),
        }
    }

    /// Ends an interval.
    fn look(&mut self, view: &View, interval: Interval) -> Seen {
        let seconds = interval.started.elapsed().as_secs_f64();
        let now = stats(self.server, &mut self.monitor, &self.top.shared, None);
        let value = |stats: &Stats, name: &[u8]| {
            stats.iter().find(|(known, _)| known == name).and_then(|(_, value)| number(value))
        };
        let rise = |name: &[u8]| value(&now, name)?.checked_sub(value(&self.before, name)?);
        let (gets, sets, dropped) = (rise(b"cmd_get"), rise(b"cmd_set"), rise(b"log_worker_dropped"));
        self.before = now;
        let addresses = match view.by {
            By::Connection => {
                let conns = stats(self.server, &mut self.monitor, &self.top.shared, Some(b"conns"));
                let address = |(descriptor, row): (u64, _)| {
                    let row: crate::inspect::memcached::tables::Row = row;
                    Some((descriptor, row.text("addr")?.to_vec()))
                };
                rows(&conns, "").into_iter().filter_map(address).collect()
            }
            _ => BTreeMap::new(),
        };
        Seen { seconds, interval, gets, sets, dropped, addresses }
    }

    fn name(view: &View, seen: &Seen, name: &[u8]) -> Vec<u8> {
        match view.by {
            By::Connection => {
                let address = number(name).and_then(|descriptor| seen.addresses.get(&descriptor));
                let address = address.map_or(&b"gone"[..], Vec::as_slice);
                [b"fd ", name, b" ", address].concat()
            }
            By::Prefix if name.is_empty() => b"(none)".to_vec(),
            _ => name.to_vec(),
        }
    }

    fn lines(&self, view: &View, seen: &Seen, most: usize) -> Vec<Vec<u8>> {
        let all = &seen.interval.all;
        let per_second = |count: u64| format!("{:.0}/s", count as f64 / seen.seconds);
        let counted = |count: Option<u64>| count.map_or_else(|| String::from("-"), per_second);
        let share = seen.share().map_or_else(|| String::from("-"), |share| format!("{:.0}%", share * 100.0));
        let mut lines = vec![
            format!(
                "{}  memcached {}  in {:.1} s: {} gets, {} sets\n",
                Safe(&self.server.address()),
                Safe(&self.session.version),
                seen.seconds,
                counted(seen.gets),
                counted(seen.sets)
            )
            .into_bytes(),
            format!(
                "lookups {} (with those of sets), hit {}%, {}/s; {share} of them seen\n",
                per_second(all.count),
                units::percent(all.hits, all.count),
                units::bytes((all.bytes as f64 / seen.seconds) as u64)
            )
            .into_bytes(),
        ];
        let columns = [
            Column::right("/s", "per_second", 8),
            Column::right("%", "ratio", 5),
            Column::right("hit", "hit_ratio", 6),
            Column::right("bytes/s", "bytes_per_second", 7),
            Column::right("size", "mean_bytes", 6),
            Column::left(view.by.name(), "name", 0),
        ];
        let mut line = Vec::new();
        let _ = table::heading(&mut line, &columns);
        lines.push(line);
        for (name, tally) in seen.interval.found.largest(most) {
            let rate = tally.count as f64 / seen.seconds;
            let cells = [
                Cell::Text(if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }),
                Cell::Text(units::percent(tally.count, all.count)),
                Cell::Text(units::percent(tally.hits, tally.count)),
                Cell::Text(units::short((tally.bytes as f64 / seen.seconds) as u64)),
                tally.bytes.checked_div(tally.hits).map_or(Cell::Unknown, |mean| Cell::Text(units::short(mean))),
                Cell::Bytes(Eye::name(view, seen, name)),
            ];
            let mut line = Vec::new();
            let _ = table::row(&mut line, &columns, &cells);
            lines.push(line);
        }
        lines
    }

    fn machine(&self, view: &View, seen: &Seen) -> Object {
        let all = &seen.interval.all;
        let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let mut data = Object::new();
        data.text("by", view.by.name())
            .float("seconds", Some((seen.seconds * 1e3).round() / 1e3))
            .number("lookups", Some(all.count))
            .number("hits", Some(all.hits))
            .number("bytes", Some(all.bytes))
            .number("gets", seen.gets)
            .number("sets", seen.sets)
            .number("dropped", seen.dropped)
            .number("skipped", Some(seen.interval.skipped))
            .float("seen_ratio", seen.share())
            .number("missing_at_most", Some(seen.interval.found.missing()));
        let row = |(name, tally): (&[u8], &Tally)| {
            let mut row = Object::new();
            match view.by {
                By::Connection => {
                    let descriptor = number(name);
                    row.number("fd", descriptor);
                    match descriptor.and_then(|descriptor| seen.addresses.get(&descriptor)) {
                        Some(address) => row.bytes("address", address),
                        None => row.null("address"),
                    };
                }
                by => {
                    row.bytes(by.name(), name);
                }
            }
            row.number("lookups", Some(tally.count))
                .float("per_second", Some((tally.count as f64 / seen.seconds * 10.0).round() / 10.0))
                .float("ratio", ratio(tally.count, all.count))
                .float("hit_ratio", ratio(tally.hits, tally.count))
                .number("bytes", Some(tally.bytes));
            row
        };
        data.objects("rows", seen.interval.found.largest(self.top.rows).into_iter().map(row));
        data
    }

    /// The live view, until it is left.
    fn live(&mut self, cx: &mut Context<'_>, view: &mut View) -> Outcome<Answer> {
        let stopped = |error: Errno| Stop::Error(Error::message(format_args!("the terminal: {}", error.desc())));
        let done = |status: u8| match status {
            0 => Ok(Answer::new(0, Object::new())),
            status => Err(Stop::Error(Error::Exit(Exit(status)))),
        };
        let mut screen = Screen::take(&cx.io.stdin, &cx.io.out.file).map_err(stopped)?;
        let mut looks = 0;
        // The first interval is short, so that there is something to see.
        let mut delay = self.top.delay.min(Duration::from_millis(500));
        let mut seen: Option<Seen> = None;
        loop {
            let mut interval = Interval::new();
            let end = Deadline::after(delay);
            let mut draw = seen.is_none();
            while !end.left().is_zero() {
                if draw {
                    self.draw(cx, &mut screen, view, seen.as_ref())?;
                    draw = false;
                }
                let slice = end.min(Deadline::after(PATIENCE));
                while !slice.left().is_zero() {
                    self.listen(view, &mut interval, slice)?;
                }
                match screen.wait(&cx.io.stdin, 0.0).map_err(stopped)? {
                    Event::Time => {}
                    Event::Signal(Signal::SIGWINCH) => draw = true,
                    Event::Signal(Signal::SIGTSTP) => screen.suspend().map_err(stopped)?,
                    Event::Signal(signal) => return done(128 + signal as u8),
                    Event::End => return done(0),
                    Event::Keys(keys) => {
                        let mut again = false;
                        for key in keys {
                            match view.press(key) {
                                Pressed::Leave => return done(0),
                                Pressed::Look => again = true,
                                // What has been counted is another thing.
                                Pressed::Count => (interval, again) = (Interval::new(), false),
                                Pressed::Nothing => {}
                            }
                        }
                        if again {
                            break;
                        }
                    }
                }
            }
            seen = Some(self.look(view, interval));
            self.draw(cx, &mut screen, view, seen.as_ref())?;
            looks += 1;
            if self.top.iterations.is_some_and(|count| looks >= count) {
                return done(0);
            }
            delay = self.top.delay;
        }
    }

    fn draw(&self, cx: &mut Context<'_>, screen: &mut Screen, view: &View, seen: Option<&Seen>) -> Outcome<()> {
        let (columns, lines) = terminal::size(&cx.io.out.file).unwrap_or_default();
        let (columns, lines) = (if columns > 0 { columns } else { 80 }, if lines > 0 { lines } else { 24 });
        let mut text = match seen {
            Some(seen) => self.lines(view, seen, lines.saturating_sub(4)),
            None => vec![format!("{}  listening\n", Safe(&self.server.address())).into_bytes()],
        };
        let keys = format!("by {}; q quit, k key, p prefix, c connection, 1-9 depth, space now\n", view.by.name());
        text.insert(text.len().min(2), keys.into_bytes());
        text.truncate(lines);
        Ok(screen.show(&mut cx.io.out, text, columns)?)
    }
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pressed {
    Leave,
    Look,
    Count,
    Nothing,
}

impl View {
    fn press(&mut self, key: u8) -> Pressed {
        match key {
            b'q' | 3 | 4 => return Pressed::Leave,
            b'k' => self.by = By::Key,
            b'p' => self.by = By::Prefix,
            b'c' => self.by = By::Connection,
            b'1'..=b'9' => self.cut.depth = usize::from(key - b'0'),
            b' ' | b'\r' | b'\n' => return Pressed::Look,
            _ => return Pressed::Nothing,
        }
        Pressed::Count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let mut view = View { by: By::Key, cut: Cut { delimiters: b":".to_vec(), depth: 1 } };
        assert_eq!((view.press(b'q'), view.press(b' '), view.press(b'x')), {
            (Pressed::Leave, Pressed::Look, Pressed::Nothing)
        });
        assert_eq!((view.press(b'p'), view.by), (Pressed::Count, By::Prefix));
        assert_eq!((view.press(b'3'), view.cut.depth), (Pressed::Count, 3));
        assert_eq!((view.press(b'c'), view.by), (Pressed::Count, By::Connection));
    }
}
