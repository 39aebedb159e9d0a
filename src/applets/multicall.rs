//! The binary's own face: which applet a name means, the list, the help, the links.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::applet::{self, Context, Environment, Streams, Table, find, nearest};
use crate::output::{Safe, order};
use crate::target::Files;

use super::TABLE;

const NAME: &str = "sidebox";

/// From argv to the exit status.
pub fn main(mut args: Vec<OsString>, io: &mut Streams) -> u8 {
    let mut env = Environment::of_process();
    let called = if args.is_empty() { OsString::from(NAME) } else { args.remove(0) };
    let base = called.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    // A login shell is started with a dash before its name.
    let name = base.strip_prefix(b"-").unwrap_or(base).to_vec();
    if name != NAME.as_bytes() {
        return start(&name, Some(called), args, &env, io);
    }
    loop {
        let Some(word) = (!args.is_empty()).then(|| args.remove(0)) else {
            return finish(io, list(TABLE));
        };
        match word.as_bytes() {
            b"--target" => {
                let Some(pid) = (!args.is_empty()).then(|| args.remove(0)) else {
                    return complain(io, 2, "--target: needs a process id");
                };
                env.set(OsString::from("SIDEBOX_TARGET"), pid);
            }
            b"--list" => return finish(io, names(TABLE)),
            b"--version" => return finish(io, format!("{NAME} {}\n", env!("CARGO_PKG_VERSION"))),
            b"--install" => return install(&args, io),
            b"help" | b"--help" => return help(&args, io),
            option if option.starts_with(b"-") => {
                return complain(io, 2, format!("{}: no such option (see '{NAME} help')", Safe(option)));
            }
            name => return start(name, None, args, &env, io),
        }
    }
}

/// Runs the applet of that name.
fn start(name: &[u8], called: Option<OsString>, args: Vec<OsString>, env: &Environment, io: &mut Streams) -> u8 {
    let Some(applet) = find(TABLE, name) else { return unknown(name, io) };
    // Inside the shell `echo --help` prints `--help`; called by itself it helps, as GNU's does.
    if applet::asks_for_help(&args) {
        return finish(io, applet::help(applet));
    }
    let files = Files::new(env.get("SIDEBOX_TARGET"));
    let name = applet.names.iter().find(|known| known.as_bytes() == name).copied().unwrap_or(applet.names[0]);
    let mut cx = Context::new(name, args, env, io, &files, TABLE);
    cx.called = called;
    applet::run(applet, &mut cx)
}

fn unknown(name: &[u8], io: &mut Streams) -> u8 {
    let near = nearest(TABLE, name).map(|near| format!(", did you mean '{near}'?")).unwrap_or_default();
    complain(io, 127, format!("{}: no such command{near}", Safe(name)))
}

fn complain(io: &mut Streams, status: u8, message: impl std::fmt::Display) -> u8 {
    let _ = writeln!(io.err, "{NAME}: {message}");
    status
}

fn finish(io: &mut Streams, text: String) -> u8 {
    let written = io.out.write_all(text.as_bytes()).and_then(|()| io.out.flush());
    match written {
        Ok(()) => 0,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => 128 + libc::SIGPIPE as u8,
        Err(error) => complain(io, 1, format!("write error: {}", applet::reason(&error))),
    }
}

fn list(table: Table) -> String {
    let mut text = format!(
        "{NAME} {}: debugs containers that have no shell. Called as '{NAME} NAME ARGS' or by a link named NAME.\n\
         Every path may be @/path: the live root of the target.\n",
        env!("CARGO_PKG_VERSION")
    );
    for group in table.iter().filter(|group| !group.applets.is_empty()) {
        text.push_str(&format!("\n{}: {}\n", group.name, group.about));
        for applet in group.applets {
            text.push_str(&format!("  {:<18} {}\n", applet.names.join(" "), applet::about(applet)));
        }
    }
    text.push_str(&format!(
        "\n'{NAME} help NAME' tells more. --list: the names alone. --install DIR: links. --target PID: another target.\n"
    ));
    text
}

fn names(table: Table) -> String {
    let mut names: Vec<&str> = table.iter().flat_map(|g| g.applets).flat_map(|a| a.names).copied().collect();
    order::sort(&mut names);
    names.iter().map(|name| format!("{name}\n")).collect()
}

fn help(args: &[OsString], io: &mut Streams) -> u8 {
    match args.first() {
        None => finish(io, list(TABLE)),
        Some(name) => match find(TABLE, name.as_bytes()) {
            Some(applet) => finish(io, applet::help(applet)),
            None => unknown(name.as_bytes(), io),
        },
    }
}

/// Makes a relative link to the binary for every name, in the directory where the binary is or will be.
fn install(args: &[OsString], io: &mut Streams) -> u8 {
    let [directory] = args else { return complain(io, 2, "--install: needs one directory") };
    let directory = Path::new(directory);
    if let Err(error) = std::fs::read_dir(directory) {
        return complain(io, 1, format!("--install: {}: {}", Safe::path(directory), applet::reason(&error)));
    }
    for name in names(TABLE).lines() {
        let link = directory.join(name);
        let made = match std::fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => std::os::unix::fs::symlink(NAME, &link),
        };
        if let Err(error) = made {
            return complain(io, 1, format!("{}: {}", Safe::path(&link), applet::reason(&error)));
        }
    }
    0
}
