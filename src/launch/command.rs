//! Becoming a command that an applet was given: one of ours as the shell runs it, without exec and without PATH, also
//! where the root directory holds nothing; else what PATH leads to, or the path that was given.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::prctl;

use super::{Found, execute, search, start_status};
use crate::applet::{self, Applet, Context, Environment, Error, Exit, Result};
use crate::output::Safe;
use crate::sys;
use crate::target::Files;

/// The command of those who name none.
pub const SHELL: &str = "sh";

/// Runs `args`, the first of which names the command, in place of the applet that was asked for it.
pub fn replace(cx: &mut Context<'_>, args: &[OsString], env: &Environment) -> Result<Exit> {
    let Some(name) = args.first() else { return Err(Error::usage("needs a command")) };
    if let Some(applet) = applet::find(cx.applets, name.as_bytes()) {
        return Ok(run(cx, applet, name, &args[1..], env));
    }
    let program = match search(name, env.get("PATH")) {
        Found::Program(program) => program,
        Found::NotExecutable(path) => {
            return Err(Error::Status(126, format!("{}: cannot be executed", Safe::path(&path))));
        }
        Found::Nothing => return Err(Error::Status(127, format!("{}: not found", Safe::os(name)))),
    };
    execute_or_interpret(cx, &program, args, env)
}

/// Runs a shell: the one that SHELL names, where it is there, else ours. `login`: as login(1) names it; else it is asked
/// to be interactive.
pub fn shell(cx: &mut Context<'_>, login: bool, env: &Environment) -> Result<Exit> {
    let chosen = env.get("SHELL").filter(|path| path.as_bytes().contains(&b'/'));
    let mut args = Vec::new();
    if let Some(path) = chosen
        && let Found::Program(program) = search(path, None)
    {
        let base = path.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        match login {
            true => args.push(applet::os(&[b"-", base].concat())),
            false => args.extend([path.to_os_string(), OsString::from("-i")]),
        }
        return execute_or_interpret(cx, &program, &args, env);
    }
    args.push(OsString::from(SHELL));
    if !login {
        args.push(OsString::from("-i"));
    }
    replace(cx, &args, env)
}

fn run(cx: &mut Context<'_>, applet: &'static Applet, name: &OsStr, args: &[OsString], env: &Environment) -> Exit {
    // As execve(2) would: ps and pgrep find a command by its name.
    if let Ok(name) = sys::c_string(name.as_bytes()) {
        let _ = prctl::set_name(&name);
    }
    let files = Files::new(env.get("SIDEBOX_TARGET"));
    let name = applet.names.iter().find(|known| known.as_bytes() == name.as_bytes()).unwrap_or(&applet.names[0]);
    let mut inner = Context::new(name, args.to_vec(), env, cx.io, &files, cx.applets);
    Exit(applet::run(applet, &mut inner))
}

fn execute_or_interpret(cx: &mut Context<'_>, program: &Path, args: &[OsString], env: &Environment) -> Result<Exit> {
    cx.io.out.flush()?;
    let error = execute(program, args, env);
    // A file that the kernel does not know how to run is a script (POSIX.1-2024, execvp).
    if error.raw_os_error() == Some(libc::ENOEXEC)
        && let Some(applet) = applet::find(cx.applets, SHELL.as_bytes())
    {
        let words = std::iter::once(program.as_os_str().to_os_string()).chain(args.iter().skip(1).cloned());
        return Ok(run(cx, applet, OsStr::new(SHELL), &words.collect::<Vec<_>>(), env));
    }
    Err(Error::Status(start_status(&error), format!("{}: {}", Safe::path(program), applet::reason(&error))))
}

/// Whether the applet has a process of its own, which it can move into other namespaces or another root. Where no
/// process could be forked, it has not, and the shell around it would be moved.
pub fn needs_process(cx: &Context<'_>) -> Result<()> {
    match cx.caller {
        Some(_) => Err(Error::message("needs a process of its own, and none can be forked")),
        None => Ok(()),
    }
}
