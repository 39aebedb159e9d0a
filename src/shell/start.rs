//! From the arguments of `sh` to its exit status (POSIX.1-2024, XCU sh).

mod origin;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::rc::Rc;

use nix::unistd::{Pid, getppid, isatty};

use super::builtins::directory;
use super::execute::simple;
use super::interactive::idle::seconds;
use super::options::Options;
use super::variables::Variables;
use super::{Shell, Text};
use crate::applet::{Context, Error, Exit, Result, os};
use crate::launch::DEFAULT_PATH;
use crate::output::Safe;
use crate::sys;

pub fn usage() -> clap::Command {
    let option = |name: &'static str, help: &'static str| {
        clap::Arg::new(name).short(name.chars().next()).action(clap::ArgAction::SetTrue).help(help)
    };
    clap::Command::new("sh")
        .about("The shell")
        .override_usage("sh [-abCefhilmnquvx] [-o NAME] [--idle TIME] [-c COMMANDS [NAME [ARG]...] | -s [ARG]... | FILE [ARG]...]")
        .args([
            option("c", "Run the commands in the first operand"),
            option("e", "End at the first command that fails"),
            option("i", "Be interactive, terminal or not"),
            option("l", "Be a login shell: read /etc/profile and ~/.profile first"),
            option("q", "Say nothing about the target at the start"),
            option("s", "Read commands from standard input"),
            option("u", "Treat unset variables as errors"),
            option("x", "Show commands before they run"),
            clap::Arg::new("idle").long("idle").value_name("TIME").help(
                "End after this time without a key at the prompt: 90, 30m, 12h; the same as seconds in the variable TMOUT",
            ),
        ])
        .after_help("Every path may be @/path, the target's live root. 'help' inside the shell lists its commands.")
}

/// What the arguments ask for.
struct Request {
    options: Options,
    origin: Origin,
    name: Text,
    arguments: Vec<Text>,
    manner: Manner,
    /// `--idle`, in seconds.
    idle: Option<u32>,
    /// `-o` or `+o` without a name: list the options, for people or as commands.
    list: Option<bool>,
}

/// How the shell behaves before the first command.
pub struct Manner {
    /// Reads the profiles.
    pub login: bool,
    /// Says nothing about the target.
    pub quiet: bool,
}

/// Where the commands are.
pub enum Origin {
    Commands(Text),
    File(Text),
    Input,
}

/// Runs the shell.
pub fn main(cx: &mut Context<'_>) -> Result<Exit> {
    let request = parse(cx)?;
    sys::stack::raise();
    let mut variables = Variables::default();
    for (name, value) in cx.env.iter() {
        let name = name.as_bytes();
        if super::syntax::word::is_name(name) {
            // Nothing is readonly yet.
            let _ = variables.set(name, value.as_bytes().to_vec());
            variables.export(name, true);
        }
    }
    if let Some(idle) = request.idle {
        let _ = variables.set(b"TMOUT", idle.to_string().into_bytes());
    }
    let mut shell = Shell {
        files: crate::target::Files::new(cx.env.get("SIDEBOX_TARGET")),
        io: cx.io,
        applets: cx.applets,
        variables,
        functions: Default::default(),
        commands: simple::commands(cx.applets),
        aliases: Rc::default(),
        hash: Default::default(),
        peek: Default::default(),
        directory: None,
        typed: request.options.interactive,
        options: request.options,
        local_options: None,
        name: request.name,
        arguments: request.arguments.into(),
        status: 0,
        pid: Pid::this(),
        last_background: None,
        jobs: Default::default(),
        traps: Default::default(),
        line: 0,
        loops: 0,
        calls: 0,
        tested: 0,
        subshell: false,
        virtuals: Default::default(),
        substituted: None,
        keeps_redirections: false,
        terminal: None,
        history: Default::default(),
        dynamic: Default::default(),
    };
    shell.catch_fatal();
    shell.set_defaults();
    if let Some(people) = request.list {
        shell.list_options(people);
    }
    let status = shell.run_origin(request.origin, &request.manner);
    // The process ends: what the shell holds need not be given back piece by piece.
    std::mem::forget(shell);
    Ok(Exit(status))
}

fn parse(cx: &mut Context<'_>) -> Result<Request> {
    let mut options = Options { hashall: true, ..Options::default() };
    let called = cx.called.take().map(OsString::into_vec);
    let mut name = called.unwrap_or_else(|| cx.name.as_bytes().to_vec());
    // As login(1) starts it.
    let mut manner = Manner { login: name.starts_with(b"-"), quiet: false };
    let (mut commands, mut list, mut idle) = (false, None, None);
    let mut args = cx.args.iter().map(|arg| arg.as_bytes().to_vec()).peekable();
    while let Some(word) = args.next_if(|word| word.len() > 1 && matches!(word[0], b'-' | b'+') || word == b"-") {
        if word == b"--" || word == b"-" {
            break;
        }
        if let Some(rest) = word.strip_prefix(b"--idle")
            && let Some(length) =
                if rest.is_empty() { args.next() } else { rest.strip_prefix(b"=").map(<[u8]>::to_vec) }
        {
            let wrong = || Error::usage(format_args!("--idle: {}: not a length of time", Safe(&length)));
            idle = Some(seconds(&length).ok_or_else(wrong)?);
            continue;
        }
        if word.starts_with(b"--") {
            return Err(Error::usage(format_args!("{}: no such option", Safe(&word))));
        }
        let on = word[0] == b'-';
        for letter in &word[1..] {
            match letter {
                b'c' => commands = true,
                b'l' => manner.login = on,
                b'q' => manner.quiet = on,
                b'o' => match args.next() {
                    None => list = Some(on),
                    Some(name) if options.set_name(&name, on) => {}
                    Some(name) => return Err(Error::usage(format_args!("-o {}: no such option", Safe(&name)))),
                },
                letter if options.set_letter(*letter, on) => {}
                letter => return Err(Error::usage(format_args!("-{}: no such option", Safe(&[*letter])))),
            }
        }
    }
    let origin = if commands {
        options.command = true;
        let text = args.next().ok_or_else(|| Error::usage("-c: needs commands"))?;
        name = args.next().unwrap_or(name);
        Origin::Commands(text)
    } else if let Some(file) = args.next_if(|_| !options.stdin) {
        name.clone_from(&file);
        Origin::File(file)
    } else {
        options.stdin = true;
        if isatty(&cx.io.stdin) == Ok(true) && isatty(&cx.io.err) == Ok(true) {
            options.interactive = true;
        }
        Origin::Input
    };
    Ok(Request { options, origin, name, arguments: args.collect(), manner, idle, list })
}

impl Shell<'_> {
    /// The variables that every shell has (XCU 2.5.3).
    fn set_defaults(&mut self) {
        let defaults: [(&[u8], Text); 5] = [
            (b"IFS", b" \t\n".to_vec()),
            (b"OPTIND", b"1".to_vec()),
            (b"PPID", getppid().to_string().into_bytes()),
            (b"PS2", b"> ".to_vec()),
            (b"PS4", b"+ ".to_vec()),
        ];
        for (name, value) in defaults {
            if !name.starts_with(b"PS") || self.variables.get(name).is_none() {
                // Nothing is readonly yet.
                let _ = self.variables.set(name, value);
            }
        }
        let inherited = self.variables.get(b"PWD").map(<[u8]>::to_vec);
        self.directory = inherited.filter(|path| self.is_here(path)).or_else(directory::current);
        if let Some(directory) = self.directory.clone() {
            let _ = self.variables.set(b"PWD", directory);
            self.variables.export(b"PWD", true);
        }
        if self.variables.get(b"PATH").is_none() {
            let _ = self.variables.set(b"PATH", DEFAULT_PATH.as_bytes().to_vec());
        }
    }

    /// Whether an inherited PWD can be kept: an absolute name of the working directory without `.` and `..`.
    fn is_here(&self, path: &[u8]) -> bool {
        let same = || {
            let there = self.files.metadata(Path::new(&os(path))).ok()?;
            let here = nix::sys::stat::stat(".").ok()?;
            Some((there.st_dev, there.st_ino) == (here.st_dev, here.st_ino))
        };
        directory::is_logical(path) && same() == Some(true)
    }
}

pub fn path_bytes(path: &Path) -> Text {
    path.as_os_str().to_os_string().into_vec()
}
