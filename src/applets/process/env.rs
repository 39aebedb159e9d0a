//! env: POSIX.1-2024 XCU `env`, with `-u`, `-0` and `-C` as GNU's. A command of ours is run as the shell runs it, without
//! exec and without PATH; others are searched in the PATH that the command will have.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::applet::{self, Applet, Context, Environment, Error, Exit, Place, Result};
use crate::launch::command;
use crate::output::{Safe, shown};
use crate::target::Files;

pub static APPLET: Applet = Applet {
    names: &["env"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 125,
};

/// Print the environment, or run a command in a changed one
#[derive(clap::Parser)]
#[command(after_help = "Status: the command's; 125 env failed, 126 the command cannot run, 127 there is none.")]
struct Options {
    /// Begin with nothing
    #[arg(short, long)]
    ignore_environment: bool,
    /// Leave a variable out
    #[arg(short, long, value_name = "NAME")]
    unset: Vec<OsString>,
    /// End lines with a NUL byte
    #[arg(short = '0', long)]
    null: bool,
    /// Go to a directory first
    #[arg(short = 'C', long, value_name = "DIR")]
    chdir: Option<PathBuf>,
    /// Variables, and then the command with its arguments; a lone - is -i
    #[arg(value_name = "NAME=VALUE… COMMAND", trailing_var_arg = true)]
    rest: Vec<OsString>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let mut env = cx.env.clone();
    let mut rest = options.rest.as_slice();
    let dash = rest.first().is_some_and(|first| first == "-");
    rest = &rest[usize::from(dash)..];
    if options.ignore_environment || dash {
        env.clear();
    }
    for name in &options.unset {
        if name.is_empty() || name.as_bytes().contains(&b'=') {
            return Err(Error::message(format_args!("{}: not a name of a variable", Safe::os(name))));
        }
        env.remove(name);
    }
    while let Some((name, value)) = rest.first().and_then(assignment) {
        env.set(name.to_os_string(), value.to_os_string());
        rest = &rest[1..];
    }
    if rest.is_empty() {
        return print(cx, &env, if options.null { b'\0' } else { b'\n' });
    }
    if options.null {
        return Err(Error::usage("-0 goes with no command"));
    }
    if let Some(path) = &options.chdir {
        enter(cx.files, path)?;
    }
    command::replace(cx, rest, &env)
}

fn assignment(word: &OsString) -> Option<(&OsStr, &OsStr)> {
    let at = memchr::memchr(b'=', word.as_bytes())?;
    let (name, value) = word.as_bytes().split_at(at);
    (at > 0).then(|| (OsStr::from_bytes(name), OsStr::from_bytes(&value[1..])))
}

fn print(cx: &mut Context<'_>, env: &Environment, end: u8) -> Result<Exit> {
    let terminal = cx.terminal();
    for (name, value) in env.iter() {
        let line = [name.as_bytes(), b"=", value.as_bytes()].concat();
        cx.io.out.write_all(&shown(&line, terminal))?;
        cx.io.out.write_all(&[end])?;
    }
    Ok(Exit(0))
}

fn enter(files: &Files, path: &Path) -> Result<()> {
    let entered = files.directory(path).and_then(|directory| Ok(nix::unistd::fchdir(directory)?));
    entered.map_err(|error| Error::message(format_args!("{}: {}", Safe::path(path), applet::reason(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[test]
    fn variables_are_set_unset_and_printed() {
        assert_eq!(capture(&APPLET, &["A=1", "B=", "C=x=y"], b"").out, "A=1\nB=\nC=x=y\n");
        assert_eq!(capture(&APPLET, &["-i", "A=1"], b"").out, "A=1\n");
        assert_eq!(capture(&APPLET, &["-", "A=1"], b"").out, "A=1\n");
        assert_eq!(capture(&APPLET, &["-0", "A=1\n2"], b"").out, "A=1\n2\0");
    }

    #[test]
    fn what_cannot_run_has_a_status_of_its_own() {
        let done = capture(&APPLET, &["no-such-command", "-x"], b"");
        assert_eq!((done.status, done.err.as_str()), (127, "env: no-such-command: not found\n"));
        let done = capture(&APPLET, &["/"], b"");
        assert_eq!((done.status, done.err.as_str()), (126, "env: /: cannot be executed\n"));
        let done = capture(&APPLET, &["-C", "/none", "true"], b"");
        assert_eq!((done.status, done.err.as_str()), (125, "env: /none: No such file or directory\n"));
        assert_eq!(capture(&APPLET, &["-u", "A=B"], b"").status, 125);
        assert_eq!(capture(&APPLET, &["--none"], b"").status, 2);
    }
}
