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
//! It takes as long as the kernel needs to make up stat, command line and owner of each process, and a tenth more:
//! `cargo bench -- ps` has that floor beside it. busybox takes as long, procps more than twice.
//!
//! Longer than most because a third of it is options. `selection` has which processes; their order and what is shown of them
//! is in [`crate::applet::processes`].

mod selection;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use crate::applet::processes::order::{self, Forest, Kept, Keys};
use crate::applet::processes::{Clock, FIELDS, Field, Row, field};
use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::Safe;
use crate::output::table::{self, Column};
use crate::sys::terminal;
use crate::target::process::gone;
use crate::target::users::Users;
use crate::target::{Absent, Kinship, Reader, Target, Whose, access};

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
    /// The full listing with SZ, RSS and the processor too
    #[arg(short = 'F')]
    fuller: bool,
    /// With the scheduling class and priority in place of C
    #[arg(short = 'c')]
    class: bool,
    /// With -l: no flags, and the resident size
    #[arg(short = 'y')]
    resident: bool,
    /// With the security label
    #[arg(short = 'Z', visible_short_alias = 'M')]
    label: bool,
    /// The columns: names between commas, each perhaps with :WIDTH and =TITLE
    #[arg(short = 'o', long = "format", value_name = "COLUMNS")]
    format: Vec<OsString>,
    /// More columns, behind the process id
    #[arg(short = 'O', value_name = "COLUMNS")]
    more: Vec<OsString>,
    /// Only these process ids
    #[arg(short = 'p', visible_short_alias = 'q', long = "pid", visible_alias = "quick-pid", value_name = "PIDS")]
    pids: Vec<OsString>,
    /// Only processes of these users, by name or number
    #[arg(short = 'u', long = "user", value_name = "USERS")]
    users: Vec<OsString>,
    /// Only processes of these real users
    #[arg(short = 'U', long = "User", value_name = "USERS")]
    real_users: Vec<OsString>,
    /// Only processes of these real groups
    #[arg(short = 'G', long = "Group", value_name = "GROUPS")]
    real_groups: Vec<OsString>,
    /// Only processes of these groups
    #[arg(long = "group", value_name = "GROUPS")]
    groups: Vec<OsString>,
    /// Only of these sessions, by number, or of these groups, by name
    #[arg(short = 'g', value_name = "SIDS|GROUPS")]
    leaders: Vec<OsString>,
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
    /// All processes but those selected
    #[arg(long)]
    deselect: bool,
    /// Only those that run or want to
    #[arg(short = 'r')]
    running: bool,
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
    /// Cut lines to so many columns
    #[arg(long, visible_aliases = ["cols", "width"], value_name = "NUMBER")]
    columns: Option<usize>,
    /// No line of titles
    #[arg(long, visible_alias = "no-heading")]
    no_headers: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Options without a dash (aux, l, j, v, s, e, axo COLUMNS), or process ids
    #[arg(value_name = "WORDS")]
    words: Vec<OsString>,
    /// Without a dash only: the environment, the name as the command, no names of users.
    #[arg(skip)]
    environment: bool,
    #[arg(skip)]
    name_only: bool,
    #[arg(skip)]
    numeric: bool,
}

/// The usual listings, in the language of `-o`. JSON has them all.
const DEFAULT: &str = "pid,user,whose,stat,time,etime,command";
const FULL: &str = "user=UID,pid,ppid,c,stime=STIME,tty,time,whose,cmd";
const FULLER: &str = "user=UID,pid,ppid,c,sz,rss,psr,stime=STIME,tty,time,whose,cmd";
const LONG: &str = "f,s,uid,pid,ppid,c,pri,ni,sz,wchan,tty,time,whose,comm=CMD";
const LONG_RESIDENT: &str = "s,uid,pid,ppid,c,pri,ni,rss,sz,wchan,tty,time,whose,comm=CMD";
const FULL_LONG: &str = "f,s,user=UID,pid,ppid,c,pri,ni,sz,wchan,stime=STIME,tty,time,whose,cmd";
const JOBS: &str = "pid,pgid,sid,tty,time,whose,comm=CMD";
const USER: &str = "user,pid,%cpu,%mem,vsz,rss,tty,stat,start,bsdtime,whose,command";
const BSD_LONG: &str = "f,uid,pid,ppid,pri,ni,vsz,rss,wchan,stat,tty,bsdtime,whose,command";
const BSD_JOBS: &str = "ppid,pid,pgid,sid,tty,tpgid,stat,uid,bsdtime,whose,command";
const BSD_SIGNALS: &str = "uid,pid,pending,blocked,ignored,caught,stat,tty,bsdtime,whose,command";
const BSD_MEMORY: &str = "pid,tty,stat,bsdtime,maj_flt,trs,drs,rss,%mem,whose,command";
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
    let mut columns = Columns::choose(&options, listing)?;
    let selection = Selection::of(&options)?;
    let keys = Keys::parse(&options.sort)?;
    let forest = options.forest.then_some(Forest::Lines).or(options.hierarchy.then_some(Forest::Spaces));
    let unreadable = |error| Error::message(format_args!("the list of processes: {}", reason(&error)));
    let mut reader = Reader::open().map_err(|_| Error::message(Absent::NoProc))?;
    let known = match options.target_only || selection.only_pids() {
        true => Some(cx.files.target()),
        false => cx.files.known_target(),
    };
    let target = match known {
        Some(Ok(target)) => Some(target.pid),
        Some(Err(absent)) if options.target_only || *absent == Absent::NoProc => return Err(Error::message(absent)),
        _ => None,
    };
    let pids = reader.pids().map_err(unreadable)?;
    if pids.is_empty() {
        return Err(Error::message(Absent::NoProc));
    }
    let (mut kinship, users) = (Kinship::new(&mut reader, target), Users::new(cx.files));
    let mut absent = match known {
        Some(Err(absent)) => Some(absent.clone()),
        Some(Ok(_)) => None,
        // Found by the way: whoever looks at all processes need not look at them twice, and memory stays flat. Those with
        // lower numbers are judged before it is known, which only a wrap of the numbers can make wrong.
        None => Some(Absent::NotShared),
    };
    let clock = Clock::now(cx.env.get("TZ"));
    let screen = (cx.terminal() && options.wide == 0).then(|| terminal::columns(&cx.io.out.file)).flatten();
    let limit = options.columns.or(screen);
    let mut lines = Lines { out: &mut cx.io.out, columns: &columns.columns.clone(), json: options.json, limit };
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
        let whose = match known {
            Some(_) => kinship.whose(&mut reader, &stat),
            None => kinship.find(&mut reader, &stat),
        };
        if known.is_none() && absent.is_some() {
            match whose {
                Whose::Target => {
                    cx.files.tell(Ok(Target { pid, comm: stat.comm.clone() }));
                    absent = None;
                }
                Whose::Pause => absent = Some(Absent::OnlyPause),
                _ => {}
            }
        }
        let mut row = Row::new(&mut reader, &users, &clock, whose, stat);
        row.environment = options.environment;
        if !selection.takes(&mut row) {
            continue;
        }
        if keys.is_empty() && forest.is_none() {
            shown |= lines.process(&mut columns, &mut row, options.threads)?;
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
        row.environment = options.environment;
        shown |= lines.process(&mut columns, &mut row, options.threads)?;
    }
    if let Some(absent) = absent {
        cx.note(&absent);
        if known.is_none() {
            cx.files.tell(Err(absent));
        }
    }
    if let Some((pid, what)) = columns.denied {
        let others = match columns.denials {
            0 | 1 => String::new(),
            count => format!(", nor of {} more", count - 1),
        };
        cx.note(format_args!("{what} of process {pid} is not shown{others}: {}", access::explain(pid, what)));
    }
    Ok(Exit(u8::from(!shown)))
}

/// Takes the words without a dash apart: options as BSD has them, what belongs to `o`, `p`, `U` and their like (the rest of
/// the word, or the next one), and process ids. Returns the listing that they chose.
fn words(options: &mut Options) -> Result<Option<&'static str>> {
    let mut listing = None;
    let mut words = std::mem::take(&mut options.words).into_iter();
    while let Some(word) = words.next() {
        if word.as_bytes().iter().all(|byte| byte.is_ascii_digit() || *byte == b',') {
            options.pids.push(word);
            continue;
        }
        let mut letters = word.as_bytes();
        while let Some((letter, rest)) = letters.split_first() {
            letters = rest;
            let list = match letter {
                b'k' => &mut options.sort,
                b't' => &mut options.terminals,
                b'o' => &mut options.format,
                b'O' => &mut options.more,
                b'p' | b'q' => &mut options.pids,
                b'U' => &mut options.users,
                b'a' | b'x' | b'g' | b'S' => continue,
                b'u' => {
                    listing = Some(USER);
                    continue;
                }
                _ => {
                    match letter {
                        b'l' => listing = Some(BSD_LONG),
                        b'j' => listing = Some(BSD_JOBS),
                        b's' => listing = Some(BSD_SIGNALS),
                        b'v' => listing = Some(BSD_MEMORY),
                        b'e' => options.environment = true,
                        b'c' => options.name_only = true,
                        b'n' => options.numeric = true,
                        b'r' => options.running = true,
                        b'w' => options.wide = 1,
                        b'h' => options.no_headers = true,
                        b'Z' | b'M' => options.label = true,
                        b'T' | b'H' | b'm' => options.threads = true,
                        b'L' => options.light = true,
                        b'f' => options.forest = true,
                        _ => {
                            let message =
                                format!("{}: no such option without a dash: {}", Safe::os(&word), Safe(&[*letter]));
                            return Err(Error::usage(message));
                        }
                    }
                    continue;
                }
            };
            let missing = || Error::usage(format_args!("{}: needs a value", Safe(&[*letter])));
            list.push(match rest.is_empty() {
                true => words.next().ok_or_else(missing)?,
                false => OsStr::from_bytes(rest).to_os_string(),
            });
            break;
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
    /// What was denied first, and of how many processes something was.
    denied: Option<(i32, &'static str)>,
    denials: usize,
}

impl<'a> Columns<'a> {
    fn choose(options: &'a Options, listing: Option<&'static str>) -> Result<Columns<'a>> {
        let listing = match (options.full, options.long) {
            _ if listing.is_some() => listing,
            _ if options.fuller => Some(FULLER),
            (true, true) => Some(FULL_LONG),
            (true, false) => Some(FULL),
            (false, true) if options.resident => Some(LONG_RESIDENT),
            (false, true) => Some(LONG),
            (false, false) => options.jobs.then_some(JOBS),
        };
        let mut chosen = Columns { columns: Vec::new(), fields: Vec::new(), titled: false, denied: None, denials: 0 };
        if options.label {
            chosen.add("label", options)?;
        }
        for more in &options.more {
            let more = words_of(more)?;
            for list in ["pid", more, "s,tty,time,whose,command"] {
                chosen.add(list, options)?;
            }
        }
        if options.format.is_empty() && options.more.is_empty() {
            let listing = listing.unwrap_or(if options.json { JSON } else { DEFAULT });
            for item in listing.split(',') {
                chosen.add(if item == "c" && options.class { "cls,pri" } else { item }, options)?;
                if item == "pid" && options.threads {
                    chosen.add(if options.light { "lwp=LWP,nlwp" } else { "spid" }, options)?;
                }
            }
        }
        for format in &options.format {
            chosen.add(words_of(format)?, options)?;
        }
        Ok(chosen)
    }

    /// Columns between commas, each `NAME[:WIDTH][=TITLE]`.
    fn add(&mut self, format: &'a str, options: &Options) -> Result<()> {
        for item in format.split([',', ' ']).filter(|item| !item.is_empty()) {
            let (name, title) = item.split_once('=').map_or((item, None), |(name, title)| (name, Some(title)));
            let (name, width) = match name.split_once(':') {
                Some((name, width)) => (name, Some(width)),
                None => (name, None),
            };
            let wanted = width.map(|width| width.parse::<usize>().ok().filter(|width| (1..=WIDEST).contains(width)));
            if let (Some(None), Some(width)) = (wanted, width) {
                return Err(Error::usage(format_args!("{}: not a width", Safe(width.as_bytes()))));
            }
            let Some(mut field) = field(name) else {
                let known: Vec<&str> = FIELDS.iter().map(|field| field.names[0]).collect();
                let message = format!("{}: no such column, there are {}", Safe(name.as_bytes()), known.join(" "));
                return Err(Error::usage(message));
            };
            let mut column = field.column;
            match column.key {
                "args" if options.name_only => field = self::field("comm").unwrap_or(field),
                "user" if options.numeric => field = self::field("uid").unwrap_or(field),
                _ => {}
            }
            column.title = title.unwrap_or(column.title);
            column.width = wanted.flatten().unwrap_or(column.width).max(column.title.chars().count());
            self.titled |= !column.title.is_empty();
            self.columns.push(column);
            self.fields.push(field);
        }
        Ok(())
    }

    /// `None` when the process ended meanwhile.
    fn cells(&mut self, row: &mut Row) -> Option<Vec<table::Cell>> {
        let mut cells = Vec::with_capacity(self.fields.len());
        let mut denied = None;
        for field in &self.fields {
            match (field.value)(row) {
                Ok(cell) => cells.push(cell),
                Err(error) if gone(&error) => return None,
                Err(error) => {
                    let refused = error.kind() == std::io::ErrorKind::PermissionDenied;
                    denied = denied.or(refused.then_some((row.pid, field.names[0])));
                    cells.push(table::Cell::Unknown);
                }
            }
        }
        self.denials += usize::from(denied.is_some());
        self.denied = self.denied.or(denied);
        Some(cells)
    }
}

/// No column is made wider.
const WIDEST: usize = 10_000;

fn words_of(format: &OsString) -> Result<&str> {
    format.to_str().ok_or_else(|| Error::usage(format_args!("{}: no such column", Safe::os(format))))
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
    fn process(&mut self, columns: &mut Columns, row: &mut Row, threads: bool) -> Result<bool> {
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
        match (self.json, self.limit) {
            (true, _) => table::json_row(&mut self.out, self.columns, cells)?,
            (false, None) => table::row(&mut self.out, self.columns, cells)?,
            (false, Some(_)) => {
                let mut line = Vec::new();
                table::row(&mut line, self.columns, cells)?;
                self.put(line)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, mut line: Vec<u8>) -> Result<()> {
        if let Some(limit) = self.limit.filter(|_| !self.json) {
            table::cut(&mut line, limit);
        }
        Ok(self.out.write_all(&line)?)
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
        assert_eq!(heading(&["-ylp", &pid]), "S UID PID PPID C PRI NI RSS SZ WCHAN TTY TIME WHOSE CMD");
        assert_eq!(heading(&["-eFp", &pid]), "UID PID PPID C SZ RSS PSR STIME TTY TIME WHOSE CMD");
        assert_eq!(heading(&["-fcp", &pid]), "UID PID PPID CLS PRI STIME TTY TIME WHOSE CMD");
        assert_eq!(heading(&["l", &pid]), "F UID PID PPID PRI NI VSZ RSS WCHAN STAT TTY TIME WHOSE COMMAND");
        assert_eq!(heading(&["j", &pid]), "PPID PID PGID SID TTY TPGID STAT UID TIME WHOSE COMMAND");
        assert_eq!(heading(&["s", &pid]), "UID PID PENDING BLOCKED IGNORED CAUGHT STAT TTY TIME WHOSE COMMAND");
        assert_eq!(heading(&["v", &pid]), "PID TTY STAT TIME MAJFLT TRS DRS RSS %MEM WHOSE COMMAND");
        assert_eq!(heading(&["-O", "rss,nlwp", "-p", &pid]), "PID RSS NLWP S TTY TIME WHOSE COMMAND");
        assert_eq!(heading(&["-Zfp", &pid]), format!("LABEL {full}"));
    }

    #[test]
    fn widths_and_values_in_the_same_word() {
        let pid = own_pid();
        let out = |args: &[&str]| capture(&APPLET, args, b"").out;
        assert_eq!(out(&["-p", &pid, "-o", "pid:12="]), format!("{pid:>12}\n"));
        assert_eq!(out(&["-p", &pid, "-o", "pid:3=NUMBER"]), format!("NUMBER\n{pid:>6}\n"));
        assert_eq!(out(&[&format!("p{pid}"), "opid="]), format!("{pid:>5}\n"));
        assert_eq!(out(&["nu", &pid, "opid=", "--no-headers"]), format!("{pid:>5}\n"));
        assert_eq!(out(&["-p", &pid, "--cols", "3", "-o", "user:8=,pid="]).len(), 4);
        let environment = out(&["e", &pid, "-o", "args="]);
        assert!(environment.contains(" PATH="), "{environment}");
    }

    #[test]
    fn groups_real_users_and_all_others() {
        let pid = own_pid();
        let (user, group) = (nix::unistd::getuid().to_string(), nix::unistd::getgid().to_string());
        let has = |args: &[&str]| {
            let out = capture(&APPLET, &[args, &["-o", "pid="]].concat(), b"").out;
            out.lines().any(|line| line.trim() == pid)
        };
        assert!(has(&["-U", &user]) && has(&["-G", &group]) && has(&["--group", &group]) && has(&["--User", &user]));
        assert!(!has(&["-U", "4294967294"]) && !has(&["-G", "4294967294"]) && !has(&["--group", "4294967294"]));
        assert!(!has(&["--deselect", "-p", &pid]) && has(&["--deselect", "-p", "1"]));
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
            (&["-o", "pid:x"], "ps: x: not a width"),
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
}
