//! top: processes by what they use at the moment, the target's told apart, under a head with the numbers of the target's
//! control group next to the machine's. Live on a terminal; `-b` writes one table after the other, for logs.
//!
//! Rows have ps's columns. %CPU is of one processor: over the interval between two looks, over the life of the process in the
//! first one. Keys are in the last line of the head: q, P M T N sort by processor, memory, time and number, R turns the
//! order, H threads, t the target's processes only, c command lines, i no idle ones, space looks at once.
//!
//! What deviates from procps:
//!
//! - Without a terminal it writes one table and says so.
//! - `-o` takes ps's names of columns, and procps' titles where these are others (`RES`, `VIRT`, `TIME+`).
//! - Keys and files for settings, colours, other windows and sending signals (`pkill`) are missing.
//!
//! Longer than most because it is drawn and typed at. `head` has the lines above the rows.
//!
//! Status: 0; 130 and 143 when SIGINT or SIGTERM ended the live view, after the terminal was restored.

mod head;

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::applet::processes::{Clock, Field, Row, field, order};
use crate::applet::screen::{self, Screen};
use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::Safe;
use crate::output::table::{self, Cell, Column};
use crate::sys::terminal;
use crate::target::activity::{Machine, Usage, moment};
use crate::target::cgroup::Cgroups;
use crate::target::machine::Memory;
use crate::target::process::{Stat, gone};
use crate::target::{Kinship, Reader, Users, Whose, mounts};

pub static APPLET: Applet = Applet {
    names: &["top"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

/// Show processes by what they use at the moment, and the target's limits
#[derive(clap::Parser)]
struct Options {
    /// Tables one after the other, for logs
    #[arg(short, long)]
    batch: bool,
    /// So many tables
    #[arg(short = 'n', long, value_name = "COUNT")]
    iterations: Option<u64>,
    /// Seconds between two
    #[arg(short, long, value_name = "SECONDS")]
    delay: Option<OsString>,
    /// Threads, each on a row of its own
    #[arg(short = 'H', long)]
    threads: bool,
    /// Only these processes
    #[arg(short, long, value_name = "PIDS", value_delimiter = ',')]
    pid: Vec<i32>,
    /// Only of these users, by name or number
    #[arg(short, long, visible_short_alias = 'U', value_name = "USERS", value_delimiter = ',')]
    user: Vec<OsString>,
    /// The column to sort by, with + the smallest first
    #[arg(short = 'o', long, value_name = "COLUMN", allow_hyphen_values = true)]
    sort: Option<OsString>,
    /// Command lines, not names
    #[arg(short, long)]
    command: bool,
    /// None that did nothing
    #[arg(short, long)]
    idle: bool,
    /// Only the target's processes
    #[arg(short = 'N', long)]
    target_only: bool,
    /// Cut lines to so many columns
    #[arg(short, long, value_name = "COLUMNS")]
    width: Option<usize>,
    /// With -b: one JSON object a line, rows only
    #[arg(long)]
    json: bool,
}

/// What can be changed by a key.
struct View {
    field: &'static Field,
    descending: bool,
    threads: bool,
    target_only: bool,
    commands: bool,
    idle: bool,
}

/// A process or a thread at one moment.
struct Task {
    /// Of the process, also for a thread.
    pid: i32,
    stat: Stat,
    whose: Whose,
    /// Of one processor since the last look; over its life where there was none.
    cpu: Option<f64>,
}

/// All that is seen at one moment.
struct Look {
    moment: f64,
    machine: Machine,
    memory: Memory,
    usage: Option<Usage>,
    tasks: Vec<Task>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let delay = options.delay.as_ref().map(seconds).transpose()?;
    let (field, descending) = match &options.sort {
        None => (sort_field("%cpu")?, true),
        Some(name) => sorting(name)?,
    };
    let (threads, target_only, commands, idle) = (options.threads, options.target_only, options.command, options.idle);
    let mut view = View { field, descending, threads, target_only, commands, idle };
    let live = !options.batch && !options.json;
    let terminal = cx.terminal() && cx.io.stdin.is_terminal();
    if live && !terminal {
        cx.note("no terminal: one table, as -b -n 1 would");
    }
    let unreadable = |error| Error::message(format_args!("the list of processes: {}", reason(&error)));
    let mut reader = Reader::open().map_err(unreadable)?;
    let target = match cx.files.target() {
        Ok(target) => Some(target.pid),
        Err(absent) if options.target_only => return Err(Error::message(absent)),
        Err(_) => None,
    };
    let own = reader.own_pid();
    let of = |reader: &Reader, pid: Option<i32>| pid.and_then(|pid| mounts::of(reader, pid).ok()).unwrap_or_default();
    let (theirs, ours) = (of(&reader, target), of(&reader, own));
    let cgroups = target.and_then(|pid| Cgroups::of(&mut reader, pid, cx.files, &theirs, &ours).ok());
    let users = Users::new(cx.files);
    let mut eye = Eye { reader, target, cgroups, users: &users, options: &options, known: HashMap::new() };
    if live && terminal {
        return watch(cx, &mut eye, &mut view, delay.unwrap_or(3.0));
    }
    let count = match live {
        true => Some(options.iterations.unwrap_or(1)),
        false => options.iterations,
    };
    let mut before = None;
    let mut written = 0;
    loop {
        let look = eye.look(&view).map_err(unreadable)?;
        if !options.json {
            cx.io.out.write_all(if written > 0 { b"\n" } else { b"" })?;
            for mut line in head::lines(&eye, &look, before.as_ref(), cx.env.get("TZ")) {
                line.push('\n');
                cx.io.out.write_all(line.as_bytes())?;
            }
            writeln!(cx.io.out)?;
        }
        let width = options.width;
        for line in eye.rows(&view, &look, None, cx.env.get("TZ"), options.json) {
            cx.io.out.write_all(&shortened(line, width))?;
        }
        cx.io.out.flush()?;
        written += 1;
        if count.is_some_and(|count| written >= count) {
            return Ok(Exit(0));
        }
        std::thread::sleep(Duration::from_secs_f64(delay.unwrap_or(3.0)));
        before = Some(look);
    }
}

fn shortened(mut line: Vec<u8>, width: Option<usize>) -> Vec<u8> {
    if let Some(width) = width {
        table::cut(&mut line, width);
    }
    line
}

fn seconds(text: &OsString) -> Result<f64> {
    let seconds = text.to_str().and_then(|text| text.parse::<f64>().ok()).filter(|it| (0.0..=1e6).contains(it));
    seconds.ok_or_else(|| Error::usage(format_args!("{}: not a number of seconds", Safe::os(text))))
}

/// `-o`: the largest come first, with a `+` the smallest.
fn sorting(name: &OsString) -> Result<(&'static Field, bool)> {
    let wrong = || Error::usage(format_args!("{}: no such column to sort by", Safe(name.as_bytes())));
    let text = name.to_str().ok_or_else(wrong)?;
    let bare = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    let name = match bare.as_str() {
        "time+" => "time",
        "res" => "rss",
        "virt" => "vsz",
        "pr" => "priority",
        other => other,
    };
    Ok((sort_field(name).map_err(|_| wrong())?, !text.starts_with('+')))
}

fn sort_field(name: &str) -> Result<&'static Field> {
    field(name).ok_or_else(|| Error::message(format_args!("{}: no such column", Safe(name.as_bytes()))))
}

/// What looks, and remembers what it saw.
struct Eye<'a> {
    reader: Reader,
    target: Option<i32>,
    cgroups: Option<Cgroups<'a>>,
    users: &'a Users<'a>,
    options: &'a Options,
    /// Processor time by number and start at the last look, and when that was.
    known: HashMap<(i32, u64), (u64, f64)>,
}

impl Eye<'_> {
    fn look(&mut self, view: &View) -> std::io::Result<Look> {
        let now = moment();
        let machine = Machine::read(&mut self.reader)?;
        let memory = Memory::read()?;
        let mut kinship = Kinship::new(&mut self.reader, self.target);
        let mut tasks = Vec::new();
        for pid in self.reader.pids()? {
            if !self.options.pid.is_empty() && !self.options.pid.contains(&pid) {
                continue;
            }
            // What ends while it is read is not there.
            let Ok(stat) = self.reader.stat(pid) else { continue };
            let whose = kinship.whose(&mut self.reader, &stat);
            if !self.takes_user(pid, whose) {
                continue;
            }
            if !view.threads {
                tasks.push(Task { pid, stat, whose, cpu: None });
                continue;
            }
            for thread in self.reader.threads(pid).unwrap_or_default() {
                if let Ok(stat) = self.reader.thread_stat(pid, thread) {
                    tasks.push(Task { pid, stat, whose, cpu: None });
                }
            }
        }
        let ticks = procfs::ticks_per_second().max(1) as f64;
        let mut known = HashMap::with_capacity(tasks.len());
        for task in &mut tasks {
            let (key, time) = ((task.stat.pid, task.stat.start), task.stat.cpu_time);
            if let Some((before, then)) = self.known.get(&key)
                && now > *then
            {
                task.cpu = Some(time.saturating_sub(*before) as f64 / ticks * 100.0 / (now - then));
            }
            known.insert(key, (time, now));
        }
        self.known = known;
        Ok(Look { moment: now, machine, memory, usage: self.cgroups.as_ref().map(Usage::of), tasks })
    }

    fn takes_user(&self, pid: i32, whose: Whose) -> bool {
        let wanted = &self.options.user;
        wanted.is_empty()
            || self
                .reader
                .owner(pid)
                .is_ok_and(|owner| wanted.iter().any(|user| self.users.is(user.as_bytes(), owner.user, whose)))
    }

    /// The titles and the rows, as lines; at most `limit` rows, for which alone more is read.
    fn rows(
        &mut self,
        view: &View,
        look: &Look,
        limit: Option<usize>,
        zone: Option<&std::ffi::OsStr>,
        json: bool,
    ) -> Vec<Vec<u8>> {
        let clock = Clock::now(zone);
        let (columns, fields) = columns(view);
        let mut tasks: Vec<&Task> = look.tasks.iter().filter(|task| view.takes(task)).collect();
        self.sort(view, &mut tasks, &clock);
        let mut lines = Vec::new();
        let mut line = Vec::new();
        if !json && table::heading(&mut line, &columns).is_ok() {
            lines.push(line);
        }
        for task in tasks.into_iter().take(limit.unwrap_or(usize::MAX)) {
            let mut row = row(&mut self.reader, self.users, &clock, task);
            let mut cells = Vec::with_capacity(fields.len());
            for field in &fields {
                match (field.value)(&mut row) {
                    Err(error) if gone(&error) => break,
                    cell => cells.push(cell.unwrap_or(Cell::Unknown)),
                }
            }
            let mut line = Vec::new();
            let written = match json {
                _ if cells.len() < fields.len() => continue,
                true => table::json_row(&mut line, &columns, &cells),
                false => table::row(&mut line, &columns, &cells),
            };
            lines.extend(written.is_ok().then_some(line));
        }
        lines
    }

    /// The largest first; what is equal in the order of numbers.
    fn sort(&mut self, view: &View, tasks: &mut Vec<&Task>, clock: &Clock<'_>) {
        let mut keyed: Vec<(Cell, &Task)> = Vec::with_capacity(tasks.len());
        for task in tasks.drain(..) {
            let mut row = row(&mut self.reader, self.users, clock, task);
            keyed.push(((view.field.value)(&mut row).unwrap_or(Cell::Unknown), task));
        }
        crate::output::order::sort_by(&mut keyed, |(a, _), (b, _)| {
            let order = order::compare(a, b);
            if view.descending { order.reverse() } else { order }
        });
        tasks.extend(keyed.into_iter().map(|(_, task)| task));
    }
}

fn row<'a>(reader: &'a mut Reader, users: &'a Users<'a>, clock: &'a Clock<'a>, task: &Task) -> Row<'a> {
    let mut row = Row::new(reader, users, clock, task.whose, task.stat.clone());
    (row.pid, row.cpu) = (task.pid, task.cpu);
    row
}

impl View {
    fn takes(&self, task: &Task) -> bool {
        (!self.target_only || task.whose == Whose::Target)
            && (!self.idle || task.cpu.is_none_or(|cpu| cpu > 0.0) || task.stat.state == b'R')
    }
}

fn columns(view: &View) -> (Vec<Column<'static>>, Vec<&'static Field>) {
    let pid = if view.threads { ("spid", "PID") } else { ("pid", "PID") };
    let command = if view.commands && !view.threads { ("args", "COMMAND") } else { ("comm", "COMMAND") };
    let others = [
        ("user", "USER"),
        ("whose", "WHOSE"),
        ("ni", "NI"),
        ("nlwp", "NLWP"),
        ("vsz", "VIRT"),
        ("rss", "RES"),
        ("s", "S"),
        ("%cpu", "%CPU"),
        ("%mem", "%MEM"),
        ("time", "TIME"),
    ];
    let all = [&[pid][..], &others, &[command]].concat();
    let fields = all.iter().filter_map(|(name, title)| field(name).map(|field| (field, *title)));
    fields.map(|(field, title)| (Column { title, ..field.column }, field)).unzip()
}

/// The live view, until it is left.
fn watch(cx: &mut Context<'_>, eye: &mut Eye<'_>, view: &mut View, delay: f64) -> Result<Exit> {
    let unreadable = |error| Error::message(format_args!("the list of processes: {}", reason(&error)));
    let stopped = |error: Errno| Error::message(format_args!("the terminal: {}", error.desc()));
    let zone = cx.env.get("TZ");
    let mut screen = Screen::take(&cx.io.stdin, &cx.io.out.file).map_err(stopped)?;
    let mut before: Option<Look> = None;
    let mut look = eye.look(view).map_err(unreadable)?;
    // The first interval is short: until then shares are those of whole lives.
    let mut next = look.moment + delay.min(0.5);
    let mut looks = 1;
    loop {
        let (columns, lines) = terminal::size(&cx.io.out.file).unwrap_or_default();
        let (columns, lines) = (if columns > 0 { columns } else { 80 }, if lines > 0 { lines } else { 24 });
        let mut text: Vec<Vec<u8>> =
            head::lines(eye, &look, before.as_ref(), zone).into_iter().map(|line| (line + "\n").into_bytes()).collect();
        text.push(head::keys(view).into_bytes());
        let room = lines.saturating_sub(text.len() + 1);
        text.extend(eye.rows(view, &look, Some(room), zone, false));
        text.truncate(lines);
        screen.show(&mut cx.io.out, text, columns)?;
        if eye.options.iterations.is_some_and(|count| looks >= count) {
            return Ok(Exit(0));
        }
        let mut again = false;
        match screen.wait(&cx.io.stdin, (next - moment()).max(0.0)).map_err(stopped)? {
            screen::Event::Time => again = true,
            screen::Event::Signal(Signal::SIGWINCH) => {}
            screen::Event::Signal(Signal::SIGTSTP) => screen.suspend().map_err(stopped)?,
            screen::Event::Signal(signal) => return Ok(Exit(128 + signal as u8)),
            screen::Event::End => return Ok(Exit(0)),
            screen::Event::Keys(keys) => {
                for key in keys {
                    match view.press(key) {
                        Pressed::Leave => return Ok(Exit(0)),
                        Pressed::Look => again = true,
                        Pressed::Draw => {}
                    }
                }
            }
        }
        if again {
            before = Some(look);
            look = eye.look(view).map_err(unreadable)?;
            looks += 1;
            next = look.moment + delay;
        }
    }
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pressed {
    Leave,
    Look,
    Draw,
}

impl View {
    fn press(&mut self, key: u8) -> Pressed {
        let mut sort = |name: &str, descending| {
            if let Some(field) = field(name) {
                (self.field, self.descending) = (field, descending);
            }
        };
        match key {
            b'q' | 3 | 4 => return Pressed::Leave,
            b'P' => sort("%cpu", true),
            b'M' => sort("%mem", true),
            b'T' => sort("time", true),
            b'N' => sort("pid", true),
            b'R' => self.descending = !self.descending,
            b't' => self.target_only = !self.target_only,
            b'c' => self.commands = !self.commands,
            b'i' => self.idle = !self.idle,
            b'H' => {
                self.threads = !self.threads;
                return Pressed::Look;
            }
            b' ' | b'\r' | b'\n' => return Pressed::Look,
            _ => {}
        }
        Pressed::Draw
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[test]
    fn keys() {
        let field = sort_field("%cpu").unwrap();
        let mut view =
            View { field, descending: true, threads: false, target_only: false, commands: false, idle: false };
        assert_eq!(view.press(b'q'), Pressed::Leave);
        assert_eq!((view.press(b'H'), view.threads), (Pressed::Look, true));
        assert_eq!((view.press(b't'), view.target_only), (Pressed::Draw, true));
        assert_eq!((view.press(b'M'), view.field.names[0]), (Pressed::Draw, "%mem"));
        assert_eq!((view.press(b'R'), view.descending), (Pressed::Draw, false));
        assert_eq!((view.press(b'T'), view.field.names[0], view.descending), (Pressed::Draw, "time", true));
        assert_eq!(view.press(0x1b), Pressed::Draw);
    }

    #[test]
    fn columns_to_sort_by() {
        for (name, expected) in
            [("%MEM", ("%mem", true)), ("+PID", ("pid", false)), ("RES", ("rss", true)), ("TIME+", ("time", true))]
        {
            let (field, descending) = sorting(&OsString::from(name)).unwrap();
            assert_eq!((field.names[0], descending), expected);
        }
        assert!(sorting(&OsString::from("nosuch")).is_err());
        assert_eq!(seconds(&OsString::from("0.5")).unwrap(), 0.5);
        assert!(["-1", "x", "inf", "nan"].iter().all(|text| seconds(&OsString::from(text)).is_err()));
    }

    #[test]
    fn tables_for_logs() {
        let own = std::process::id().to_string();
        let done = capture(&APPLET, &["-b", "-n", "2", "-d", "0.05", "-p", &own, "-H"], b"");
        assert_eq!(done.status, 0);
        assert_eq!(done.out.lines().filter(|line| line.starts_with("top - ")).count(), 2, "{}", done.out);
        let title = "PID USER WHOSE NI NLWP VIRT RES S %CPU %MEM TIME COMMAND";
        let is_title = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") == title;
        assert_eq!(done.out.lines().filter(|line| is_title(line)).count(), 2, "{}", done.out);
        assert!(done.out.lines().any(|line| line.split_whitespace().next() == Some(own.as_str())), "{}", done.out);
        let json = capture(&APPLET, &["--json", "-n", "1", "-p", &own], b"").out;
        assert!(json.starts_with(&format!("{{\"pid\":{own},\"user\":")), "{json}");
    }

    #[test]
    fn without_a_terminal() {
        let done = capture(&APPLET, &["-p", "1"], b"");
        assert_eq!((done.status, done.err.as_str()), (0, "top: no terminal: one table, as -b -n 1 would\n"));
        assert!(done.out.starts_with("top - "));
    }
}
