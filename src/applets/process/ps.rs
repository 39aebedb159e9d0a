//! ps: processes, and whose they are: the target's, the sidecar's (ours), a pod's pause process, or another container's.
//!
//! After POSIX.1-2024 XCU `ps` and procps: options with and without a dash, `-o`, the columns of `-f`, `-l`, `-j`, `aux`. What
//! deviates:
//!
//! - All processes are shown unless some are selected: in a sidecar nobody asks for those of the own terminal. So `-e`,
//!   `-A`, `-a`, `-x` change nothing.
//! - A column WHOSE stands before the command, and the default columns are wider.
//! - Names are looked up in the target's own /etc/passwd for its processes, in ours for ours, and nowhere for others.
//! - Rows come in the order of process ids and are written as they are read, unless `--sort` or a forest wants them all
//!   first. `--sort` orders processes; their threads stay with them.
//! - `-N` selects the target's processes; where procps has it, that is the opposite of the selection.
//! - Nothing in a name reaches the terminal or a pipe raw, and lines are cut only on a terminal, without `-w`.
//! - STAT has no `L` (pages locked in memory), which would take another file of each process.
//!
//! Longer than most because a third of it is options. `selection` has which processes, `order` their order, `columns` what is
//! shown of them.

mod columns;
mod order;
mod selection;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::Safe;
use crate::output::table::{self, Column};
use crate::sys::terminal;
use crate::target::process::gone;
use crate::target::users::Users;
use crate::target::{Absent, Kinship, Reader};

use columns::{Clock, Field, Row, field};
use order::{Forest, Kept, Keys};
use selection::Selection;

pub static APPLET: Applet =
    Applet { names: &["ps"], usage: <Options as clap::CommandFactory>::command, run, place: Place::Child, trouble: 1 };

/// List processes, and whose they are: the target's or the sidecar's
#[derive(clap::Parser)]
#[command(name = "ps")]
struct Options {
    /// Select all processes, which is the default
    #[arg(short = 'e', visible_short_aliases = ['A', 'a', 'x', 'd'])]
    _all: bool,
    /// The full listing: UID PID PPID C STIME TTY TIME CMD
    #[arg(short)]
    full: bool,
    /// The long listing: with priority, nice value and size
    #[arg(short)]
    long: bool,
    /// The jobs listing: with process group and session
    #[arg(short)]
    jobs: bool,
    /// The columns: names between commas, each perhaps with =TITLE
    #[arg(short = 'o', long = "format", value_name = "COLUMNS")]
    format: Vec<OsString>,
    /// Only these process ids
    #[arg(short = 'p', long = "pid", value_name = "PIDS")]
    pids: Vec<OsString>,
    /// Only processes of these users, by name or number
    #[arg(short = 'u', visible_short_alias = 'U', long = "user", value_name = "USERS")]
    users: Vec<OsString>,
    /// Only processes of these names
    #[arg(short = 'C', value_name = "NAMES")]
    names: Vec<OsString>,
    /// Only children of these processes
    #[arg(long = "ppid", value_name = "PIDS")]
    parents: Vec<OsString>,
    /// Only these sessions
    #[arg(short = 's', long = "sid", value_name = "SIDS")]
    sessions: Vec<OsString>,
    /// Only processes on these terminals; - is none
    #[arg(short = 't', long = "tty", value_name = "TTYS", allow_hyphen_values = true)]
    terminals: Vec<OsString>,
    /// Only the target's processes
    #[arg(short = 'N', long)]
    target_only: bool,
    /// Only processes of the target, the sidecar, pause or other
    #[arg(long, value_name = "WHOSE")]
    whose: Vec<OsString>,
    /// Threads too, each on a row of its own
    #[arg(short = 'T', visible_short_alias = 'm')]
    threads: bool,
    /// The same with the columns LWP and NLWP
    #[arg(short = 'L')]
    light: bool,
    /// The order: columns between commas, with - the largest first
    #[arg(long, visible_alias = "order", value_name = "COLUMNS", allow_hyphen_values = true)]
    sort: Vec<OsString>,
    /// Children below their parents, with lines
    #[arg(long)]
    forest: bool,
    /// Children below their parents, indented
    #[arg(short = 'H')]
    hierarchy: bool,
    /// Do not cut lines on a terminal
    #[arg(short, action = clap::ArgAction::Count)]
    wide: u8,
    /// No line of titles
    #[arg(long, visible_alias = "no-heading")]
    no_headers: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Options without a dash (aux, l, j, axo COLUMNS), or process ids
    #[arg(value_name = "WORDS")]
    words: Vec<OsString>,
}

/// The usual listings, in the language of `-o`. JSON has them all.
const DEFAULT: &str = "pid,user,whose,stat,time,etime,command";
const FULL: &str = "user=UID,pid,ppid,c,stime=STIME,tty,time,whose,cmd";
const LONG: &str = "f,s,uid,pid,ppid,c,pri,ni,sz,wchan,tty,time,whose,comm=CMD";
const FULL_LONG: &str = "f,s,user=UID,pid,ppid,c,pri,ni,sz,wchan,stime=STIME,tty,time,whose,cmd";
const JOBS: &str = "pid,pgid,sid,tty,time,whose,comm=CMD";
const USER: &str = "user,pid,%cpu,%mem,vsz,rss,tty,stat,start,bsdtime,whose,command";
const JSON: &str = "pid,ppid,pgid,sid,user,uid,group,gid,whose,state,stat,tty,ni,nlwp,vsz,rss,%cpu,%mem,time,etimes,\
                    start,comm,args";

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    // As in procps, which takes `-aux` for `aux`: nobody means the user x.
    for arg in &mut cx.args {
        if arg.as_bytes().starts_with(b"-aux") {
            *arg = OsStr::from_bytes(&arg.as_bytes()[1..]).to_os_string();
        }
    }
    let mut options = cx.parse::<Options>()?;
    let listing = words(&mut options)?;
    let columns = Columns::choose(&options, listing)?;
    let selection = Selection::of(&options)?;
    let keys = Keys::parse(&options.sort)?;
    let forest = options.forest.then_some(Forest::Lines).or(options.hierarchy.then_some(Forest::Spaces));
    let unreadable = |error| Error::message(format_args!("the list of processes: {}", reason(&error)));
    let mut reader = Reader::open().map_err(|_| Error::message(Absent::NoProc))?;
    // The search for the target may have to look at all processes, too.
    reader.keep();
    let target = match cx.files.target_by(&mut reader) {
        Ok(target) => Some(target.pid),
        Err(absent) if options.target_only || *absent == Absent::NoProc => return Err(Error::message(absent)),
        Err(absent) => {
            cx.note(absent);
            None
        }
    };
    let pids = reader.pids().map_err(unreadable)?;
    let (mut kinship, users) = (Kinship::new(&mut reader, target), Users::new(cx.files));
    let clock = Clock::now(cx.env.get("TZ"));
    let limit = (cx.terminal() && options.wide == 0).then(|| terminal::columns(&cx.io.out.file)).flatten();
    let mut lines = Lines { out: &mut cx.io.out, columns: &columns.columns, json: options.json, limit };
    if !options.json && !options.no_headers && columns.titled {
        lines.heading()?;
    }
    let mut shown = false;
    let mut kept = Vec::new();
    for pid in pids {
        if selection.only_pids() && !selection.pids.contains(&pid) {
            continue;
        }
        // What ends while it is read is not there; so is what hidepid or a security module hides.
        let Ok(stat) = reader.stat(pid) else { continue };
        let whose = kinship.whose(&mut reader, &stat);
        reader.forget(pid);
        let mut row = Row::new(&mut reader, &users, &clock, whose, stat);
        if !selection.takes(&mut row) {
            continue;
        }
        if keys.is_empty() && forest.is_none() {
            shown |= lines.process(&columns, &mut row, options.threads)?;
        } else {
            let keys = keys.of(&mut row);
            kept.push(Kept { stat: row.stat, whose, keys, lines: String::new() });
        }
    }
    keys.sort(&mut kept);
    if let Some(forest) = forest {
        kept = order::plant(kept, forest);
    }
    for Kept { stat, whose, lines: branch, .. } in kept {
        let mut row = Row::new(&mut reader, &users, &clock, whose, stat);
        row.lines = &branch;
        shown |= lines.process(&columns, &mut row, options.threads)?;
    }
    Ok(Exit(u8::from(!shown)))
}

/// Takes the words without a dash apart: options as BSD has them, what belongs to `o`, `p`, `U`, and process ids.
/// Returns the listing that they chose.
fn words(options: &mut Options) -> Result<Option<&'static str>> {
    let mut listing = None;
    let mut words = std::mem::take(&mut options.words).into_iter();
    while let Some(word) = words.next() {
        if word.as_bytes().iter().all(|byte| byte.is_ascii_digit() || *byte == b',') {
            options.pids.push(word);
            continue;
        }
        for letter in word.as_bytes() {
            let mut value =
                || words.next().ok_or_else(|| Error::usage(format_args!("{}: needs a value", Safe(&[*letter]))));
            match letter {
                b'a' | b'x' | b'g' => {}
                b'u' => listing = Some(USER),
                b'l' => listing = Some(LONG),
                b'j' => listing = Some(JOBS),
                b'w' => options.wide = 1,
                b'h' => options.no_headers = true,
                b'T' | b'H' | b'm' => options.threads = true,
                b'L' => options.light = true,
                b'f' => options.forest = true,
                b'k' => options.sort.push(value()?),
                b't' => options.terminals.push(value()?),
                b'o' | b'O' => options.format.push(value()?),
                b'p' => options.pids.push(value()?),
                b'U' => options.users.push(value()?),
                _ => {
                    let message = format!("{}: no such option without a dash: {}", Safe::os(&word), Safe(&[*letter]));
                    return Err(Error::usage(message));
                }
            }
        }
    }
    options.threads |= options.light;
    Ok(listing)
}

/// The columns of this listing.
struct Columns<'a> {
    columns: Vec<Column<'a>>,
    fields: Vec<&'static Field>,
    /// Whether any has a title: `-o pid=` prints no heading.
    titled: bool,
}

impl<'a> Columns<'a> {
    fn choose(options: &'a Options, listing: Option<&'static str>) -> Result<Columns<'a>> {
        let listing = match (options.full, options.long) {
            _ if listing.is_some() => listing,
            (true, true) => Some(FULL_LONG),
            (true, false) => Some(FULL),
            (false, true) => Some(LONG),
            (false, false) => options.jobs.then_some(JOBS),
        };
        let mut chosen = Columns { columns: Vec::new(), fields: Vec::new(), titled: false };
        if options.format.is_empty() {
            let listing = listing.unwrap_or(if options.json { JSON } else { DEFAULT });
            for item in listing.split(',') {
                chosen.add(item)?;
                if item == "pid" && options.threads {
                    chosen.add(if options.light { "lwp=LWP,nlwp" } else { "spid" })?;
                }
            }
        }
        for format in &options.format {
            let message = || Error::usage(format_args!("{}: no such column", Safe::os(format)));
            chosen.add(format.to_str().ok_or_else(message)?)?;
        }
        Ok(chosen)
    }

    fn add(&mut self, format: &'a str) -> Result<()> {
        for item in format.split([',', ' ']).filter(|item| !item.is_empty()) {
            let (name, title) = item.split_once('=').map_or((item, None), |(name, title)| (name, Some(title)));
            let Some(field) = field(name) else {
                let known: Vec<&str> = columns::FIELDS.iter().map(|field| field.names[0]).collect();
                let message = format!("{}: no such column, there are {}", Safe(name.as_bytes()), known.join(" "));
                return Err(Error::usage(message));
            };
            let mut column = field.column;
            column.title = title.unwrap_or(column.title);
            column.width = column.width.max(column.title.chars().count());
            self.titled |= !column.title.is_empty();
            self.columns.push(column);
            self.fields.push(field);
        }
        Ok(())
    }

    /// `None` when the process ended meanwhile.
    fn cells(&self, row: &mut Row) -> Option<Vec<table::Cell>> {
        let mut cells = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            match (field.value)(row) {
                Ok(cell) => cells.push(cell),
                Err(error) if gone(&error) => return None,
                Err(_) => cells.push(table::Cell::Unknown),
            }
        }
        Some(cells)
    }
}

/// Where the rows go: text, which may have to be cut, or JSON.
struct Lines<'a, W: Write> {
    out: &'a mut W,
    columns: &'a [Column<'a>],
    json: bool,
    limit: Option<usize>,
}

impl<W: Write> Lines<'_, W> {
    /// A process, or all of its threads; false if it ended meanwhile.
    fn process(&mut self, columns: &Columns, row: &mut Row, threads: bool) -> Result<bool> {
        let ids = if threads { row.reader.threads(row.pid).unwrap_or_default() } else { vec![row.pid] };
        let mut shown = false;
        for id in ids {
            if threads {
                let Ok(stat) = row.reader.thread_stat(row.pid, id) else { continue };
                row.stat = stat;
            }
            if let Some(cells) = columns.cells(row) {
                self.row(&cells)?;
                shown = true;
            }
        }
        Ok(shown)
    }

    fn heading(&mut self) -> Result<()> {
        let mut line = Vec::new();
        table::heading(&mut line, self.columns)?;
        self.put(line)
    }

    fn row(&mut self, cells: &[table::Cell]) -> Result<()> {
        let mut line = Vec::new();
        match self.json {
            true => table::json_row(&mut line, self.columns, cells)?,
            false => table::row(&mut line, self.columns, cells)?,
        }
        self.put(line)
    }

    fn put(&mut self, mut line: Vec<u8>) -> Result<()> {
        if let Some(limit) = self.limit.filter(|_| !self.json) {
            cut(&mut line, limit);
        }
        Ok(self.out.write_all(&line)?)
    }
}

/// Keeps as many characters of a line as a terminal has columns.
fn cut(line: &mut Vec<u8>, columns: usize) {
    let starts = line.iter().enumerate().filter(|(_, byte)| **byte & 0xc0 != 0x80);
    if let Some((end, _)) = starts.map(|(at, byte)| (at, *byte)).nth(columns)
        && line[end] != b'\n'
    {
        line.truncate(end);
        line.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    fn own_pid() -> String {
        std::process::id().to_string()
    }

    #[test]
    fn columns_by_name_with_and_without_titles() {
        let pid = own_pid();
        let out = |args: &[&str]| capture(&APPLET, args, b"").out;
        assert_eq!(out(&["-p", &pid, "-o", "pid=,ppid="]).lines().count(), 1);
        assert_eq!(out(&["-p", &pid, "-o", "pid=NUMBER"]), format!("NUMBER\n{pid:>6}\n"));
        assert_eq!(out(&["-o", "pid=", "-p", &pid, "-o", "whose="]), format!("{pid:>5} sidecar\n"));
        assert_eq!(out(&["-p", &pid, "--no-headers", "-o", "pid"]), format!("{pid:>5}\n"));
        assert_eq!(out(&["axo", "pid=", "p", &pid]), format!("{pid:>5}\n"));
    }

    #[test]
    fn the_usual_listings() {
        let pid = own_pid();
        let heading = |args: &[&str]| {
            let captured = capture(&APPLET, args, b"");
            assert_eq!((captured.status, captured.out.lines().count()), (0, 2), "{captured:?}");
            captured.out.lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let full = "UID PID PPID C STIME TTY TIME WHOSE CMD";
        let user = "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME WHOSE COMMAND";
        assert_eq!(heading(&["-p", &pid]), "PID USER WHOSE STAT TIME ELAPSED COMMAND");
        assert_eq!(heading(&[&pid]), "PID USER WHOSE STAT TIME ELAPSED COMMAND");
        assert_eq!(heading(&["-efp", &pid]), full);
        assert_eq!(heading(&["-Afw", "-p", &pid]), full);
        assert_eq!(heading(&["aux", "-p", &pid]), user);
        assert_eq!(heading(&["auxww", "-p", &pid]), user);
        assert_eq!(heading(&["-aux", "-p", &pid]), user);
        assert_eq!(heading(&["-elp", &pid]), "F S UID PID PPID C PRI NI SZ WCHAN TTY TIME WHOSE CMD");
    }

    #[test]
    fn all_processes_without_an_option() {
        let pids = capture(&APPLET, &["-o", "pid="], b"").out;
        assert!(pids.lines().any(|line| line.trim() == "1"));
        assert!(pids.lines().any(|line| line.trim() == own_pid()));
    }

    #[test]
    fn sorted_and_planted() {
        let numbers = |args: &[&str]| -> Vec<i64> {
            let out = capture(&APPLET, args, b"").out;
            out.lines().map(|line| line.trim().parse().unwrap()).collect()
        };
        assert!(numbers(&["--sort", "-pid", "-o", "pid="]).is_sorted_by(|a, b| a > b));
        assert!(numbers(&["k", "rss,-pid", "-o", "rss="]).is_sorted());
        let (own, parent) = (own_pid(), nix::unistd::getppid().to_string());
        let both = format!("{own},{parent}");
        for (args, branch) in [(["-fp", "--forest"], "\\_ "), (["-fp", "-H"], "  ")] {
            let out = capture(&APPLET, &[args[0], &both, args[1], "-o", "args=", "--no-headers"], b"").out;
            assert_eq!(out.lines().filter(|line| line.trim_start_matches(' ').len() < line.len()).count(), 1, "{out}");
            assert!(out.lines().last().unwrap().contains(branch), "{out}");
        }
        let json = capture(&APPLET, &["-p", &own, "f", "--json", "-o", "pid,comm"], b"").out;
        assert!(json.starts_with(&format!("{{\"pid\":{own},\"comm\":\"")), "{json}");
        assert_eq!(capture(&APPLET, &["--sort", "pid,nosuch"], b"").status, 2);
    }

    #[test]
    fn columns_of_namespaces_and_groups() {
        let out = capture(&APPLET, &["-p", &own_pid(), "-o", "mntns=,netns=,pidns="], b"").out;
        assert!(out.split_whitespace().all(|number| number.parse::<u64>().is_ok_and(|number| number > 0)), "{out}");
        let out = capture(&APPLET, &["-p", &own_pid(), "-o", "cgroup="], b"").out;
        assert!(out.contains(":/"), "{out}");
    }

    #[test]
    fn lists_add_up_and_a_container_narrows() {
        let pid = own_pid();
        let out = |args: &[&str]| capture(&APPLET, args, b"").out;
        assert_eq!(out(&["-p", &pid, "-C", "no such name", "-o", "pid="]), format!("{pid:>5}\n"));
        assert_eq!(out(&["-p", &pid, "--whose", "sidecar", "-o", "pid="]), format!("{pid:>5}\n"));
        assert_eq!(out(&["-p", &pid, "--whose", "pause", "-o", "pid="]), "");
        let own = nix::unistd::geteuid().to_string();
        assert!(out(&["-u", &own, "-o", "pid="]).lines().any(|line| line.trim() == pid));
        assert_eq!(out(&["-u", "4294967294", "-o", "pid="]), "");
    }

    #[test]
    fn threads_have_rows() {
        let one = capture(&APPLET, &["-T", "-o", "spid=", "-p", &own_pid()], b"").out;
        assert!(one.lines().any(|line| line.trim() == own_pid()));
        assert!(one.lines().count() >= 2, "the test's thread is one more");
    }

    #[test]
    fn wrong_use_is_one_line_and_status_2() {
        for (args, message) in [
            (&["-o", "pid,nosuch"][..], "ps: nosuch: no such column, there are "),
            (&["-p", "x"], "ps: x: not a process id"),
            (&["--whose", "mine"], "ps: mine: not target, sidecar, pause or other"),
            (&["auxQ"], "ps: auxQ: no such option without a dash: Q"),
            (&["axo"], "ps: o: needs a value"),
            (&["--nosuch"], "ps: unexpected argument '--nosuch' found"),
        ] {
            let captured = capture(&APPLET, args, b"");
            assert_eq!((captured.status, captured.out.as_str()), (2, ""));
            assert!(captured.err.starts_with(message), "{}", captured.err);
            assert_eq!(captured.err.lines().count(), 1);
        }
    }

    #[test]
    fn nothing_found_is_status_1() {
        let captured = capture(&APPLET, &["-p", "2147483647", "--no-headers"], b"");
        assert_eq!((captured.status, captured.out.as_str()), (1, ""));
    }

    #[test]
    fn lines_are_cut_between_characters() {
        let cut = |text: &str, columns| {
            let mut line = text.as_bytes().to_vec();
            super::cut(&mut line, columns);
            String::from_utf8(line).unwrap()
        };
        assert_eq!(cut("abc\n", 3), "abc\n");
        assert_eq!(cut("abcd\n", 3), "abc\n");
        assert_eq!(cut("日本語\n", 2), "日本\n");
        assert_eq!(cut("ab\n", 80), "ab\n");
    }
}
