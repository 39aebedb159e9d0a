//! From the arguments of `sh` to its exit status.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::rc::Rc;

use nix::unistd::{Pid, getppid, isatty};

use super::builtins::directory;
use super::source::{Input, Script, Source, Text as Lines};
use super::variables::Variables;
use super::{Shell, Text, simple};
use crate::applet::{self, Context, Error, Exit, Result, os};
use crate::launch::DEFAULT_PATH;
use crate::output::Safe;
use crate::sys;

pub fn usage() -> clap::Command {
    let option = |name: &'static str, help: &'static str| {
        clap::Arg::new(name).short(name.chars().next()).action(clap::ArgAction::SetTrue).help(help)
    };
    clap::Command::new("sh")
        .about("The shell")
        .override_usage("sh [-abCefhimnuvx] [-o NAME] [-c COMMANDS [NAME [ARG]...] | -s [ARG]... | FILE [ARG]...]")
        .args([
            option("c", "Run the commands in the first operand"),
            option("e", "End at the first command that fails"),
            option("i", "Be interactive, terminal or not"),
            option("s", "Read commands from standard input"),
            option("u", "Treat unset variables as errors"),
            option("x", "Show commands before they run"),
        ])
        .after_help("Every path may be @/path, the target's live root. 'help' inside the shell lists its commands.")
}

/// What the arguments ask for.
struct Request {
    options: super::options::Options,
    script: Origin,
    name: Text,
    arguments: Vec<Text>,
}

enum Origin {
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
        if super::word::is_name(name) {
            // Nothing is readonly yet.
            let _ = variables.set(name, value.as_bytes().to_vec());
            variables.export(name, true);
        }
    }
    let mut shell = Shell {
        files: crate::target::Files::new(cx.env.get("SIDEBOX_TARGET")),
        io: cx.io,
        applets: cx.applets,
        variables,
        functions: Default::default(),
        commands: simple::commands(cx.applets),
        aliases: Rc::default(),
        typed: request.options.interactive,
        options: request.options,
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
        option_place: (1, 0),
        terminal: None,
        started: std::time::Instant::now(),
    };
    shell.catch_fatal();
    shell.set_defaults();
    let status = shell.run_origin(request.script);
    Ok(Exit(status))
}

fn parse(cx: &Context<'_>) -> Result<Request> {
    let mut options = super::options::Options { hashall: true, ..Default::default() };
    let mut args = cx.args.iter().map(|arg| arg.as_bytes().to_vec()).peekable();
    let mut commands = false;
    while let Some(word) = args.next_if(|word| word.len() > 1 && matches!(word[0], b'-' | b'+') || word == b"-") {
        if word == b"--" || word == b"-" {
            break;
        }
        if word.starts_with(b"--") {
            return Err(Error::usage(format_args!("{}: no such option", Safe(&word))));
        }
        let on = word[0] == b'-';
        for letter in &word[1..] {
            match letter {
                b'c' => commands = true,
                // A login shell; it reads no profile.
                b'l' => {}
                b'o' => {
                    let name = args.next().ok_or_else(|| Error::usage("-o: needs a name"))?;
                    if !options.set_name(&name, on) {
                        return Err(Error::usage(format_args!("-o {}: no such option", Safe(&name))));
                    }
                }
                letter if options.set_letter(*letter, on) => {}
                letter => return Err(Error::usage(format_args!("-{}: no such option", Safe(&[*letter])))),
            }
        }
    }
    let mut name = cx.name.as_bytes().to_vec();
    let script = if commands {
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
    Ok(Request { options, script, name, arguments: args.collect() })
}

impl Shell<'_> {
    /// The variables that every shell has.
    fn set_defaults(&mut self) {
        let here = directory::current();
        let inherited = self.variables.get(b"PWD").map(<[u8]>::to_vec);
        let same = |path: &Text| {
            let there = self.files.metadata(Path::new(&os(path))).ok()?;
            let here = nix::sys::stat::stat(".").ok()?;
            Some((there.st_dev, there.st_ino) == (here.st_dev, here.st_ino))
        };
        let absolute = |path: &Text| path.starts_with(b"/") || path.starts_with(b"@/");
        let directory = inherited.filter(|path| absolute(path) && same(path) == Some(true)).or(here);
        let defaults: [(&[u8], Text); 3] =
            [(b"IFS", b" \t\n".to_vec()), (b"OPTIND", b"1".to_vec()), (b"PPID", getppid().to_string().into_bytes())];
        for (name, value) in defaults {
            // Nothing is readonly yet.
            let _ = self.variables.set(name, value);
        }
        let unless_inherited: [(&[u8], &[u8]); 3] =
            [(b"PATH", DEFAULT_PATH.as_bytes()), (b"PS2", b"> "), (b"PS4", b"+ ")];
        for (name, value) in unless_inherited {
            if self.variables.get(name).is_none() {
                let _ = self.variables.set(name, value.to_vec());
            }
        }
        if let Some(directory) = directory {
            let _ = self.variables.set(b"PWD", directory);
            self.variables.export(b"PWD", true);
        }
    }

    fn run_origin(&mut self, origin: Origin) -> u8 {
        match origin {
            // All its text is there from the start.
            Origin::Commands(text) => self.run_script(Box::new(Lines::new(text)), true),
            Origin::File(name) => match self.files.open(Path::new(&os(&name))) {
                // A private number, so that the script's own redirections cannot meet it.
                Ok(file) => match sys::descriptor::save(std::os::fd::AsRawFd::as_raw_fd(&file)) {
                    Ok(private) => {
                        drop(file);
                        let script: OwnedFd = sys::owned(private);
                        self.run_script(Box::new(Script(script)), false)
                    }
                    Err(_) => self.run_script(Box::new(Script(file)), false),
                },
                Err(error) => {
                    self.complain(format_args!("cannot open {}: {}", Safe(&name), applet::reason(&error)));
                    if error.raw_os_error() == Some(libc::EACCES) { 126 } else { 127 }
                }
            },
            Origin::Input if self.options.interactive => self.run_interactive(),
            Origin::Input => self.run_script(Box::new(Input(sys::borrow(0))), false),
        }
    }

    fn run_script(&mut self, source: Box<dyn Source + '_>, last: bool) -> u8 {
        self.run_to_end(|shell| shell.run_source(source, last))
    }
}

pub fn path_bytes(path: &Path) -> Text {
    path.as_os_str().to_os_string().into_vec()
}
