//! The contract of a command: what it is given, what it gives back, how it is run.
//!
//! The caller owns the name, the streams, the environment and the exit. A command never touches the process-global
//! versions of these, so that the same function runs from `main`, inside the shell, in a forked child, and in a test
//! on memory files.

mod capture;
mod nearest;
pub mod primary;
pub mod processes;
pub mod screen;

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::fstat;

use crate::output::Safe;
use crate::target::{Files, Target};

pub use capture::{Captured, capture};
pub use nearest::{nearest, nearest_of};

/// One command: a row of the table.
pub struct Applet {
    /// The name, which is also its file's, and then its other names (`test`, `[`).
    pub names: &'static [&'static str],
    /// The one declaration of options and help.
    pub usage: fn() -> clap::Command,
    pub run: fn(&mut Context<'_>) -> Result<Exit>,
    pub place: Place,
    /// The status when something went wrong: 2 where 1 already means no, 1 where the command's standard says so.
    pub trouble: u8,
}

/// Where the shell runs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the shell's own process: tiny, never blocks, measured. It gets no environment, which the shell would have to
    /// make for it.
    Inline,
    /// In a forked child, without exec.
    Child,
    /// The same, but in a script, where nobody could tell the difference, in the shell's own process
    /// (`shell/execute/guest.rs`): it changes nothing of the process and ends by itself, unless it waits for standard input.
    Guest { reads: Reads },
}

/// When a command reads standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    Never,
    /// Where no file is named, or `-` is.
    WithoutFiles,
}

/// The commands of one group, sorted by name.
pub struct Group {
    pub name: &'static str,
    pub about: &'static str,
    pub applets: &'static [&'static Applet],
}

pub type Table = &'static [Group];

/// Finds a command by any of its names.
pub fn find(table: Table, name: &[u8]) -> Option<&'static Applet> {
    let mut applets = table.iter().flat_map(|group| group.applets);
    applets.find(|applet| applet.names.iter().any(|known| known.as_bytes() == name)).copied()
}

/// Everything a command may use.
pub struct Context<'a> {
    /// The name it was called by.
    pub name: &'a str,
    /// The same as the process was started with it, `argv[0]`; not for what a command runs by itself.
    pub called: Option<OsString>,
    /// The arguments after the name.
    pub args: Vec<OsString>,
    pub env: &'a Environment,
    pub io: &'a mut Streams,
    pub files: &'a Files,
    pub applets: Table,
    /// The shell in whose process it runs.
    pub caller: Option<Caller<'a>>,
    failed: bool,
}

/// The shell that complains: `sh: line 3: `.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub name: &'a [u8],
    pub line: Option<u32>,
}

impl Display for Caller<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let base = self.name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        write!(f, "{}: ", Safe(base))?;
        self.line.map_or(Ok(()), |line| write!(f, "line {line}: "))
    }
}

impl<'a> Context<'a> {
    pub fn new(
        name: &'a str,
        args: Vec<OsString>,
        env: &'a Environment,
        io: &'a mut Streams,
        files: &'a Files,
        applets: Table,
    ) -> Context<'a> {
        Context { name, called: None, args, env, io, files, applets, caller: None, failed: false }
    }

    /// Complains and goes on: `name: what: why` on standard error, and the final status is the applet's `trouble`.
    pub fn warn(&mut self, message: impl Display) {
        self.failed = true;
        self.note(message);
    }

    /// Says something on standard error that is no complaint.
    pub fn note(&mut self, message: impl Display) {
        let _ = self.io.out.flush();
        let caller = self.caller.map(|caller| caller.to_string()).unwrap_or_default();
        let line = format!("{caller}{}: {message}\n", Safe(self.name.as_bytes()));
        let _ = self.io.err.write_all(line.as_bytes());
    }

    /// Whether standard output is a terminal: untrusted names are escaped there, and raw in a pipe.
    pub fn terminal(&self) -> bool {
        !self.io.out.is_captured() && self.io.out.file.is_terminal()
    }

    /// The target, or the reason why there is none.
    pub fn target(&self) -> Result<&'a Target> {
        self.files.target().map_err(Error::message)
    }

    /// Parses the arguments by the declaration. `--help` prints and ends the command; a mistake is one line, status 2.
    pub fn parse<T: clap::Parser>(&mut self) -> Result<T> {
        let matches = self.matches(T::command())?;
        T::from_arg_matches(&matches).map_err(|error| Error::Usage(first_line(&error)))
    }

    fn matches(&mut self, command: clap::Command) -> Result<clap::ArgMatches> {
        match complete(command).try_get_matches_from(&self.args) {
            Ok(matches) => Ok(matches),
            Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {
                writeln!(self.io.out, "{}", error.render().to_string().trim_end())?;
                Err(Error::Exit(Exit(0)))
            }
            Err(error) => Err(Error::Usage(first_line(&error))),
        }
    }
}

/// What every declaration has in common: no program name among the arguments, `--help` but no `-h`, and the last of
/// several contradicting options wins.
fn complete(command: clap::Command) -> clap::Command {
    let help = clap::Arg::new("help").long("help").global(true).action(clap::ArgAction::Help).help("Print this help");
    command.no_binary_name(true).disable_help_flag(true).disable_version_flag(true).args_override_self(true).arg(help)
}

/// Whether help is all that is asked for.
pub fn asks_for_help(args: &[OsString]) -> bool {
    matches!(args, [only] if only == "--help")
}

/// The help text of an applet.
pub fn help(applet: &Applet) -> String {
    let text = complete((applet.usage)()).name(applet.names[0]).render_help().to_string();
    text.trim_end().to_string() + "\n"
}

/// The one line that the list of commands shows.
pub fn about(applet: &Applet) -> String {
    (applet.usage)().get_about().map(ToString::to_string).unwrap_or_default()
}

fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // A list of missing arguments stands on the lines below; the rest is usage and hints.
    let text = text.split("\n\n").next().unwrap_or_default();
    Safe(text.split_whitespace().collect::<Vec<_>>().join(" ").as_bytes()).to_string()
}

/// An exit status that was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u8);

/// Why a command stopped.
#[derive(Debug)]
pub enum Error {
    /// Said on standard error; the status is the applet's `trouble`.
    Message(String),
    /// Said on standard error; a status of its own (125, 126, 127 of `env`).
    Status(u8, String),
    /// A wrong use; status 2.
    Usage(String),
    /// Standard output could not be written. A closed pipe ends quietly.
    Write(io::Error),
    /// All has been said.
    Exit(Exit),
}

impl Error {
    pub fn message(message: impl Display) -> Error {
        Error::Message(message.to_string())
    }

    pub fn usage(message: impl Display) -> Error {
        Error::Usage(message.to_string())
    }
}

/// Only writes to standard output give a bare `io::Error`; what fails on a file is a message that names it.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Write(error)
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// Runs an applet to its exit status. All output is written when it returns.
pub fn run(applet: &Applet, cx: &mut Context<'_>) -> u8 {
    if applet.place != Place::Inline {
        crate::sys::descriptor::occupy_standard();
    }
    let asked = asks_for_help(&cx.args);
    let result = match (applet.run)(cx) {
        // Not known to the command as an operand, as it is to `echo` and `test`.
        Err(Error::Usage(_)) if asked => {
            cx.io.out.write_all(help(applet).as_bytes()).map(|()| Exit(0)).map_err(Error::from)
        }
        result => result,
    };
    let mut status = match result {
        Ok(Exit(0)) if cx.failed => applet.trouble,
        Ok(Exit(status)) => status,
        Err(error) => report(applet, cx, error),
    };
    if let Err(error) = cx.io.out.flush() {
        status = report(applet, cx, Error::Write(error));
    }
    status
}

fn report(applet: &Applet, cx: &mut Context<'_>, error: Error) -> u8 {
    match error {
        Error::Message(message) => {
            cx.note(message);
            applet.trouble
        }
        Error::Status(status, message) => {
            cx.note(message);
            status
        }
        Error::Usage(message) => {
            cx.note(format_args!("{message} (see '{} --help')", applet.names[0]));
            2
        }
        // What the same command's status would be where SIGPIPE is not ignored. A shell's own command does not end of it.
        Error::Write(error) if error.kind() == io::ErrorKind::BrokenPipe && cx.caller.is_none() => {
            128 + libc::SIGPIPE as u8
        }
        Error::Write(error) => {
            cx.note(format_args!("write error: {}", reason(&error)));
            applet.trouble
        }
        Error::Exit(Exit(status)) => status,
    }
}

/// The reason in an I/O error, in the system's words and without its number.
pub fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        // The one that everybody else words differently.
        Some(libc::EBADF) => String::from("Bad file descriptor"),
        Some(number) => String::from(nix::errno::Errno::from_raw(number).desc()),
        None => error.to_string(),
    }
}

/// Standard input, output and error as descriptors.
pub struct Streams {
    pub stdin: File,
    pub out: Out,
    pub err: File,
}

impl Streams {
    pub fn new(stdin: File, out: File, err: File) -> Streams {
        Streams { stdin, out: Out { file: out, buffer: Vec::new(), captures: Vec::new() }, err }
    }

    /// Descriptors 0, 1 and 2. For `main`, once.
    pub fn standard() -> Streams {
        Streams::new(crate::sys::file(0), crate::sys::file(1), crate::sys::file(2))
    }
}

/// Buffered standard output. Unlike `BufWriter` it forgets what could not be written, so that a shell can go on after
/// a full disk, and it writes nothing when dropped, so that a forked child cannot write it twice.
pub struct Out {
    pub file: File,
    buffer: Vec<u8>,
    /// Innermost last: what is written while there is one comes here and not to the file.
    captures: Vec<Capture>,
}

/// The output of a command substitution that runs in this process.
#[derive(Default)]
struct Capture {
    text: Vec<u8>,
    /// Above zero: the descriptor was redirected, and what is written goes there after all.
    masked: usize,
}

impl Out {
    pub fn start_capture(&mut self) {
        self.captures.push(Capture::default());
    }

    pub fn end_capture(&mut self) -> Vec<u8> {
        self.captures.pop().unwrap_or_default().text
    }

    /// Lets what is written go to the descriptor (`true`), or again into the innermost capture.
    pub fn mask_capture(&mut self, masked: bool) {
        if let Some(capture) = self.captures.last_mut() {
            capture.masked = if masked { capture.masked + 1 } else { capture.masked.saturating_sub(1) };
        }
    }

    /// Adds all that comes from `input` to the outermost capture.
    pub fn capture_from(&mut self, input: impl Into<File>) -> io::Result<usize> {
        match self.captures.first_mut() {
            Some(capture) => input.into().read_to_end(&mut capture.text),
            None => Ok(0),
        }
    }

    /// In a forked child whose descriptor is what the outermost capture reads.
    pub fn release_capture(&mut self) {
        if !self.captures.is_empty() {
            self.captures.remove(0);
        }
    }

    /// Whether what is written does not go to the descriptor.
    pub fn is_captured(&self) -> bool {
        self.captures.last().is_some_and(|capture| capture.masked == 0)
    }

    /// Whether what is read from `file` would be what was just written, for ever.
    pub fn feeds(&self, file: &File) -> bool {
        if self.is_captured() {
            return false;
        }
        let (Ok(from), Ok(to)) = (fstat(file), fstat(&self.file)) else { return false };
        if (from.st_dev, from.st_ino) != (to.st_dev, to.st_ino) || to.st_mode & libc::S_IFMT != libc::S_IFREG {
            return false;
        }
        let flags = fcntl(&self.file, FcntlArg::F_GETFL).map(OFlag::from_bits_truncate);
        let appends = flags.is_ok_and(|flags| flags.contains(OFlag::O_APPEND));
        let position = |mut file: &File| file.stream_position().unwrap_or(0);
        let start = position(file);
        start < u64::try_from(from.st_size).unwrap_or(0) && (appends || start < position(&self.file))
    }
}

const OUT_CAPACITY: usize = 64 * 1024;

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(capture) = self.captures.last_mut().filter(|capture| capture.masked == 0) {
            capture.text.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        if self.buffer.len() + bytes.len() > OUT_CAPACITY {
            self.flush()?;
            if bytes.len() >= OUT_CAPACITY {
                return self.file.write_all(bytes).map(|()| bytes.len());
            }
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.buffer);
        self.buffer.clear();
        written
    }
}

/// The exported variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The environment that this process was started with.
    #[expect(clippy::disallowed_methods)]
    pub fn of_process() -> Environment {
        Environment(std::env::vars_os().collect())
    }

    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    pub fn set(&mut self, name: OsString, value: OsString) {
        self.0.insert(name, value);
    }

    pub fn remove(&mut self, name: &OsStr) {
        self.0.remove(name);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// `NAME=value` strings for execve(2); what holds a NUL byte cannot be passed on and is left out.
    pub fn to_exec(&self) -> Vec<CString> {
        let pair =
            |(name, value): (&OsStr, &OsStr)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok();
        self.iter().filter_map(pair).collect()
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(pairs: I) -> Environment {
        Environment(pairs.into_iter().collect())
    }
}

/// Bytes as an argument.
pub fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}
