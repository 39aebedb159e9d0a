//! fuser: the processes that have a file, a file system or a port open, the target's and ours, or a signal to them. psmisc's
//! options and output: ids on standard output, everything else on standard error.
//!
//! What deviates:
//!
//! - A port is looked for in the network namespace of each process, so the target's is found from another network, too.
//! - `-v` says in a last column whose a process is.
//! - `-m` shows no mounts of the kernel, which hold no file.
//! - Processes whose files may not be read are counted, and the reason is said once.
//! - `-k` never signals ourselves.
//!
//! Status: 0 somebody has one of them open, 1 nobody, or trouble; 2 a wrong use.
//!
//! Longer than most because it has its own options for three kinds of names.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::FileStat;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::Safe;
use crate::sys::signal;
use crate::target::endpoints::{Endpoint, Endpoints};
use crate::target::open::{self, Descriptors, Open};
use crate::target::process::{Stat, gone};
use crate::target::sockets::Protocol;
use crate::target::{Kinship, Reader, Users, Whose, access};

pub static APPLET: Applet = Applet {
    names: &["fuser"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

/// Find the processes that have files, file systems or ports open, or send them a signal
#[derive(clap::Parser)]
struct Options {
    /// Show names that nobody has open too
    #[arg(short, long)]
    all: bool,
    /// Send them SIGKILL, or -SIGNAL
    #[arg(short, long)]
    kill: bool,
    /// Ask before each signal
    #[arg(short, long)]
    interactive: bool,
    /// All that is open on the file system, or on the block device
    #[arg(short, long, visible_short_alias = 'c')]
    mount: bool,
    /// Only if the name is a mount point
    #[arg(short = 'M', long)]
    ismountpoint: bool,
    /// What the names are: file, tcp or udp
    #[arg(short, long, value_name = "SPACE")]
    namespace: Option<OsString>,
    /// Print nothing, the status tells
    #[arg(short, long)]
    silent: bool,
    /// With users, kinds of access and names
    #[arg(short, long)]
    verbose: bool,
    /// Show the user
    #[arg(short, long)]
    user: bool,
    /// Send a signal only to those that may write
    #[arg(short, long)]
    writeonly: bool,
    /// Only IPv4
    #[arg(short = '4', long, overrides_with = "ipv6")]
    ipv4: bool,
    /// Only IPv6
    #[arg(short = '6', long)]
    ipv6: bool,
    /// List the names of signals
    #[arg(short, long)]
    list_signals: bool,
    /// Only the target's processes
    #[arg(short = 'N', long)]
    target_only: bool,
    /// Nothing; for POSIX
    #[arg(short = 'f', hide = true)]
    _posix: bool,
    /// Paths, or ports: PORT/tcp, or PORT[,ADDRESS[,PORT]] with -n
    #[arg(value_name = "NAME")]
    names: Vec<OsString>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let dashed = take_signal(&mut cx.args);
    let options: Options = cx.parse()?;
    if options.list_signals {
        let names: Vec<String> = (1..=libc::SIGRTMAX()).filter_map(signal::name).collect();
        writeln!(cx.io.out, "{}", names.join(" "))?;
        return Ok(Exit(0));
    }
    if options.names.is_empty() {
        return Err(Error::usage("needs a name"));
    }
    let mut wanted = Vec::new();
    for name in &options.names {
        match Wanted::of(cx, &options, name)? {
            Ok(what) => wanted.push(Sought { name: name.as_bytes().to_vec(), what, found: Vec::new() }),
            Err(why) => cx.warn(format_args!("{}: {why}", Safe::os(name))),
        }
    }
    let unreadable = |error| Error::message(format_args!("the list of processes: {}", reason(&error)));
    let mut reader = Reader::open().map_err(unreadable)?;
    let target = if options.target_only { Some(cx.target()?.pid) } else { cx.files.target().ok().map(|it| it.pid) };
    let own = reader.own_pid();
    let mut kinship = Kinship::new(&mut reader, target);
    let mut endpoints = Endpoints::default();
    let (mut denials, mut denied) = (0, None);
    for pid in reader.pids().map_err(unreadable)? {
        let Ok(stat) = reader.stat(pid) else { continue };
        let whose = kinship.whose(&mut reader, &stat);
        if stat.is_kernel_thread() || Some(pid) == own || options.target_only && whose != Whose::Target {
            continue;
        }
        let Ok(owner) = reader.owner(pid) else { continue };
        let process = Process { stat, whose, user: owner.user };
        if let Err(error) = look(&reader, &process, &mut wanted, &mut endpoints)
            && !gone(&error)
        {
            denials += 1;
            if denied.is_none() || whose == Whose::Target && Some(pid) == target {
                denied = Some(pid);
            }
        }
    }
    let found = wanted.iter().any(|sought| !sought.found.is_empty());
    if !options.silent {
        show(cx, &options, &wanted)?;
    }
    if let Some(pid) = denied.filter(|_| !options.silent) {
        let processes = if denials == 1 { "1 process has" } else { &format!("{denials} processes have") };
        cx.note(format_args!("{processes} files that cannot be seen: {}", access::explain(pid, "open files")));
    }
    if options.kill {
        // The numbers would be those of other processes.
        if own != Some(nix::unistd::getpid().as_raw()) {
            return Err(Error::message("the process ids that are seen here are those of another PID namespace"));
        }
        kill(cx, &options, &wanted, dashed.unwrap_or(libc::SIGKILL))?;
    }
    Ok(Exit(u8::from(!found)))
}

/// Takes the first argument that is a signal after a dash out of the options. `-4` and `-6` are no signals here.
fn take_signal(args: &mut Vec<OsString>) -> Option<i32> {
    let options = args.iter().take_while(|arg| *arg != "--").enumerate();
    let mut signals = options.filter_map(|(at, arg)| match arg.as_bytes().strip_prefix(b"-")? {
        b"4" | b"6" => None,
        name => Some((at, signal::number(name)?)),
    });
    let (at, number) = signals.next()?;
    args.remove(at);
    Some(number)
}

/// What a name stands for.
enum Wanted {
    File {
        device: u64,
        inode: u64,
    },
    System {
        device: u64,
    },
    /// A local socket, by the path that it was bound to.
    Local {
        path: Vec<u8>,
        device: u64,
        inode: u64,
    },
    Port {
        udp: bool,
        local: Option<u16>,
        address: Option<IpAddr>,
        remote: Option<u16>,
        sixth: Option<bool>,
    },
}

/// A name, and who has it open.
struct Sought {
    name: Vec<u8>,
    what: Wanted,
    found: Vec<(Process, Access)>,
}

#[derive(Clone)]
struct Process {
    stat: Stat,
    whose: Whose,
    user: u32,
}

/// In which ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Access {
    file: bool,
    writes: bool,
    root: bool,
    directory: bool,
    program: bool,
    mapped: bool,
}

impl Access {
    fn add(&mut self, open: &Open) {
        match open.place {
            open::Place::Directory => self.directory = true,
            open::Place::Root => self.root = true,
            open::Place::Program => self.program = true,
            open::Place::Mapped => self.mapped = true,
            open::Place::Descriptor(_) => {
                self.file = true;
                self.writes |= open.writes;
            }
        }
    }

    /// The letters behind an id; an open file has none.
    fn letters(self) -> String {
        let letters =
            [(self.directory, 'c'), (self.program, 'e'), (self.root, 'r'), (self.mapped && !self.program, 'm')];
        letters.iter().filter(|(set, _)| *set).map(|(_, letter)| *letter).collect()
    }

    /// The column of `-v`.
    fn column(self) -> String {
        let file = if self.writes { 'F' } else { 'f' };
        let letters = [
            (self.file, file),
            (self.root, 'r'),
            (self.directory, 'c'),
            (self.program, 'e'),
            (self.mapped && !self.program, 'm'),
        ];
        letters.iter().map(|(set, letter)| if *set { *letter } else { '.' }).collect()
    }
}

impl Wanted {
    /// The inner error says why the name stands for nothing.
    fn of(cx: &Context<'_>, options: &Options, name: &OsString) -> Result<std::result::Result<Wanted, String>> {
        let space = match options.namespace.as_ref().map(|space| space.as_bytes()) {
            None | Some(b"file") => None,
            Some(b"tcp") => Some(false),
            Some(b"udp") => Some(true),
            Some(other) => return Err(Error::usage(format_args!("{}: not file, tcp or udp", Safe(other)))),
        };
        let text = name.as_bytes();
        let (port, space) = match (space, text.strip_suffix(b"/tcp"), text.strip_suffix(b"/udp")) {
            (Some(udp), _, _) => (text, Some(udp)),
            // As psmisc has it: a path that is there comes first.
            (None, Some(port), _) if cx.files.metadata(Path::new(name)).is_err() => (port, Some(false)),
            (None, _, Some(port)) if cx.files.metadata(Path::new(name)).is_err() => (port, Some(true)),
            _ => (text, None),
        };
        if let Some(udp) = space {
            let sixth = options.ipv6.then_some(true).or(options.ipv4.then_some(false));
            return Ok(parse_port(port, udp, sixth).ok_or_else(|| String::from("not a port")));
        }
        let stat = match cx.files.metadata(Path::new(name)) {
            Ok(stat) => stat,
            Err(error) => return Ok(Err(reason(&error))),
        };
        if options.ismountpoint && !is_mount_point(cx, name, &stat) {
            return Ok(Err(String::from("not a mount point")));
        }
        let kind = stat.st_mode & libc::S_IFMT;
        Ok(Ok(match kind {
            libc::S_IFBLK if options.mount => Wanted::System { device: stat.st_rdev },
            _ if options.mount => Wanted::System { device: stat.st_dev },
            libc::S_IFSOCK => {
                let path = text.strip_prefix(b"@").filter(|path| path.starts_with(b"/")).unwrap_or(text).to_vec();
                Wanted::Local { path, device: stat.st_dev, inode: stat.st_ino }
            }
            _ => Wanted::File { device: stat.st_dev, inode: stat.st_ino },
        }))
    }

    fn is(&self, open: &Open, endpoint: Option<&Endpoint>) -> bool {
        let has = |device, inode| open.stat.is_some_and(|stat| (stat.st_dev, stat.st_ino) == (device, inode));
        match (self, endpoint) {
            (Wanted::File { device, inode }, _) => has(*device, *inode),
            (Wanted::System { device }, _) => open.stat.is_some_and(|stat| stat.st_dev == *device),
            (Wanted::Local { path, device, inode }, endpoint) => {
                let bound = matches!(endpoint, Some(Endpoint::Unix { path: own, .. }) if own == path);
                bound || has(*device, *inode)
            }
            (
                Wanted::Port { udp, local, address, remote, sixth },
                Some(Endpoint::Internet { protocol, local: own, remote: other, .. }),
            ) => {
                let is_udp = matches!(protocol, Protocol::Udp | Protocol::Udp6);
                let is_tcp = matches!(protocol, Protocol::Tcp | Protocol::Tcp6);
                (if *udp { is_udp } else { is_tcp })
                    && sixth.is_none_or(|sixth| sixth == own.is_ipv6())
                    && local.is_none_or(|port| port == own.port())
                    && address.is_none_or(|address| address == other.ip())
                    && remote.is_none_or(|port| port == other.port())
            }
            (Wanted::Port { .. }, _) => false,
        }
    }

    fn needs_sockets(&self) -> bool {
        matches!(self, Wanted::Port { .. } | Wanted::Local { .. })
    }
}

/// `LOCAL[,[ADDRESS][,[REMOTE]]]`, each of which may be empty but not all.
fn parse_port(text: &[u8], udp: bool, sixth: Option<bool>) -> Option<Wanted> {
    fn optional<T: std::str::FromStr>(part: Option<&str>) -> Option<Option<T>> {
        match part {
            None | Some("") => Some(None),
            Some(text) => text.parse().ok().map(Some),
        }
    }
    let mut parts = std::str::from_utf8(text).ok()?.splitn(3, ',');
    let (local, address, remote) = (optional(parts.next())?, optional(parts.next())?, optional(parts.next())?);
    let some = local.is_some() || address.is_some() || remote.is_some();
    some.then_some(Wanted::Port { udp, local, address, remote, sixth })
}

fn is_mount_point(cx: &Context<'_>, path: &OsString, stat: &FileStat) -> bool {
    let parent = cx.files.metadata(&Path::new(path).join(".."));
    parent.is_ok_and(|parent| parent.st_dev != stat.st_dev || parent.st_ino == stat.st_ino)
}

/// Compares all that a process has open.
fn look(reader: &Reader, process: &Process, wanted: &mut [Sought], endpoints: &mut Endpoints) -> io::Result<()> {
    let pid = process.stat.pid;
    let mut found = vec![None::<Access>; wanted.len()];
    let mut compare = |open: &Open, endpoint: Option<&Endpoint>| {
        for (sought, access) in wanted.iter().zip(&mut found) {
            if sought.what.is(open, endpoint) {
                access.get_or_insert_default().add(open);
            }
        }
    };
    let files = wanted.iter().any(|sought| !matches!(sought.what, Wanted::Port { .. }));
    let sockets = wanted.iter().any(|sought| sought.what.needs_sockets());
    if files {
        for place in [open::Place::Directory, open::Place::Root, open::Place::Program] {
            if let Some(open) = open::place(reader, pid, place)? {
                compare(&open, None);
            }
        }
        for open in open::mapped(reader, pid).unwrap_or_default() {
            compare(&open, None);
        }
    }
    let mut descriptors = Descriptors::of(reader, pid)?;
    while let Some(open) = descriptors.next() {
        let open = open?;
        let endpoint = open.socket().filter(|_| sockets).and_then(|inode| endpoints.of(reader, pid, inode));
        compare(&open, endpoint);
    }
    for (sought, access) in wanted.iter_mut().zip(found) {
        sought.found.extend(access.map(|access| (process.clone(), access)));
    }
    Ok(())
}

/// Where the ids begin.
const NAME: usize = 20;

fn show(cx: &mut Context<'_>, options: &Options, wanted: &[Sought]) -> Result<()> {
    let users = Users::new(cx.files);
    let user = |process: &Process| {
        let name = users.user(process.user, process.whose).map(|name| Safe(name).to_string());
        name.unwrap_or_else(|| process.user.to_string())
    };
    if options.verbose && wanted.iter().any(|sought| options.all || !sought.found.is_empty()) {
        note(cx, &format!("{:NAME$} USER        PID ACCESS COMMAND         WHOSE\n", ""))?;
    }
    for sought in wanted.iter().filter(|sought| options.all || !sought.found.is_empty()) {
        let mut name = format!("{}:", Safe(&sought.name));
        note(cx, &format!("{name:<NAME$}"))?;
        for (process, access) in &sought.found {
            if options.verbose {
                let indent = if name.is_empty() { format!("{:NAME$}", "") } else { String::new() };
                note(cx, &format!("{indent} {:<8} ", user(process)))?;
                name.clear();
            }
            write!(cx.io.out, "{:>6}", process.stat.pid)?;
            let comm = Safe(&process.stat.comm);
            match options.verbose {
                true => note(cx, &format!(" {} {comm:<15} {}\n", access.column(), process.whose.word()))?,
                false if options.user => note(cx, &format!("{}({})", access.letters(), user(process)))?,
                false => note(cx, &access.letters())?,
            }
        }
        if !options.verbose || sought.found.is_empty() {
            note(cx, "\n")?;
        }
    }
    Ok(())
}

/// Writes a piece on standard error, in its place among what goes to standard output.
fn note(cx: &mut Context<'_>, text: &str) -> Result<()> {
    cx.io.out.flush()?;
    // Nobody to tell.
    let _ = cx.io.err.write_all(text.as_bytes());
    Ok(())
}

fn kill(cx: &mut Context<'_>, options: &Options, wanted: &[Sought], number: i32) -> Result<()> {
    let mut done = Vec::new();
    for (process, access) in wanted.iter().flat_map(|sought| &sought.found) {
        let pid = process.stat.pid;
        if options.writeonly && !access.writes || done.contains(&pid) {
            continue;
        }
        done.push(pid);
        if options.interactive {
            note(cx, &format!("Kill process {pid} ({})? (y/N) ", Safe(&process.stat.comm)))?;
            if !yes(&mut cx.io.stdin) {
                continue;
            }
        }
        match signal::send(pid, number) {
            // It ended by itself.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => cx.warn(format_args!("{pid} ({}): {}", Safe(&process.stat.comm), error.desc())),
        }
    }
    Ok(())
}

/// Reads a line, byte by byte: what follows it is not ours.
fn yes(input: &mut impl Read) -> bool {
    let mut first = None;
    let mut byte = [0];
    while matches!(input.read(&mut byte), Ok(1)) && byte[0] != b'\n' {
        first = first.or(Some(byte[0]));
    }
    matches!(first, Some(b'y' | b'Y'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[test]
    fn ports() {
        let parse = |text: &str| match parse_port(text.as_bytes(), false, None) {
            Some(Wanted::Port { local, address, remote, .. }) => {
                Some((local, address.map(|it| it.to_string()), remote))
            }
            _ => None,
        };
        assert_eq!(parse("80"), Some((Some(80), None, None)));
        assert_eq!(parse(",10.0.0.1,80"), Some((None, Some(String::from("10.0.0.1")), Some(80))));
        assert_eq!(parse("80,,443"), Some((Some(80), None, Some(443))));
        assert_eq!(parse("80,::1"), Some((Some(80), Some(String::from("::1")), None)));
        for text in ["", ",", ",,", "http", "70000", "80,x", "80,,x", "80,,1,2"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn letters_of_access() {
        let all = Access { file: true, writes: true, root: true, directory: true, program: true, mapped: true };
        assert_eq!((all.letters().as_str(), all.column().as_str()), ("cer", "Frce."));
        let mapped = Access { mapped: true, file: true, ..Access::default() };
        assert_eq!((mapped.letters().as_str(), mapped.column().as_str()), ("m", "f...m"));
    }

    #[test]
    fn signals_among_options() {
        let mut args: Vec<OsString> = ["-k", "-4", "-TERM", "x"].map(OsString::from).to_vec();
        assert_eq!(take_signal(&mut args), Some(15));
        assert_eq!(args, ["-k", "-4", "x"]);
    }

    #[test]
    fn never_ourselves_and_wrong_uses() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let name = format!("{}/tcp", listener.local_addr().unwrap().port());
        let done = capture(&APPLET, &[&name], b"");
        assert_eq!((done.status, done.out.as_str()), (1, ""));
        let done = capture(&APPLET, &["/no such file"], b"");
        assert!(done.status == 1 && done.err.starts_with("fuser: /no such file: No such file"), "{}", done.err);
        assert_eq!(capture(&APPLET, &[], b"").status, 2);
        assert_eq!(capture(&APPLET, &["-n", "x", "1"], b"").status, 2);
        assert!(capture(&APPLET, &["-l"], b"").out.starts_with("HUP INT "));
    }

    #[test]
    fn our_parent_by_its_program() {
        let parent = nix::unistd::getppid().as_raw();
        let reader = Reader::open().unwrap();
        let program = reader.program(parent).unwrap();
        let path = String::from_utf8(program).unwrap();
        let done = capture(&APPLET, &[&path], b"");
        assert!(done.out.split_whitespace().any(|pid| pid == parent.to_string()), "{done:?}");
        assert!(done.err.starts_with(&format!("{path}:")), "{done:?}");
    }

    #[test]
    fn answers() {
        assert!(yes(&mut &b"y\nn\n"[..]) && yes(&mut &b"Yes"[..]));
        assert!(!yes(&mut &b"\n"[..]) && !yes(&mut &b""[..]) && !yes(&mut &b"no\ny\n"[..]));
    }
}
