//! kill: POSIX.1-2024 XCU `kill` for process ids; the shell turns `%job` into them. Signals by name (with or without
//! `SIG`, any case) or number, `-l` with names, numbers and exit statuses as in dash and GNU's.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use clap::Arg;
use nix::errno::Errno;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, os};
use crate::output::Safe;
use crate::sys::signal;

pub static APPLET: Applet = Applet { names: &["kill"], usage, run, place: Place::Child, trouble: 1 };

fn usage() -> clap::Command {
    clap::Command::new("kill")
        .about("Send a signal to processes")
        .arg(Arg::new("SIGNAL").short('s').help("The signal, by name or number; also -SIGNAL. Without it: TERM"))
        .arg(Arg::new("l").short('l').num_args(0).help("List names, or translate names, numbers and exit statuses"))
        .arg(Arg::new("PID").num_args(1..).help("A process; 0: our group; -1: all we may; -PID: a group"))
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let args = std::mem::take(&mut cx.args);
    let (number, pids) = match args.split_first() {
        None => return Err(Error::usage("needs a process id")),
        Some((first, rest)) => match first.as_bytes() {
            b"-l" | b"-L" | b"--list" | b"--table" => return list(cx, rest),
            [b'-', b'l', name @ ..] if signal::number(&first.as_bytes()[1..]).is_none() => {
                return list(cx, &[os(name)]);
            }
            [b'-', b'-', b'l', b'i', b's', b't', b'=', name @ ..] => return list(cx, &[os(name)]),
            b"-s" | b"-n" | b"--signal" => match rest.split_first() {
                Some((name, rest)) => (known(name.as_bytes())?, rest),
                None => return Err(Error::usage(format_args!("{}: needs a signal", Safe::os(first)))),
            },
            b"--" => (libc::SIGTERM, &args[..]),
            [b'-', b'-', long @ ..] => match long.strip_prefix(b"signal=") {
                Some(name) => (known(name)?, rest),
                None => return Err(Error::usage(format_args!("{}: no such option", Safe::os(first)))),
            },
            [b'-', b's', name @ ..] if signal::number(&first.as_bytes()[1..]).is_none() => (known(name)?, rest),
            [b'-', name @ ..] => (known(name)?, rest),
            _ => (libc::SIGTERM, &args[..]),
        },
    };
    let pids = match pids.split_first() {
        Some((first, rest)) if first == "--" => rest,
        _ => pids,
    };
    if pids.is_empty() {
        return Err(Error::usage("needs a process id"));
    }
    for pid in pids {
        match std::str::from_utf8(pid.as_bytes()).ok().and_then(|text| text.parse::<i32>().ok()) {
            None => cx.warn(format_args!("{}: not a process id", Safe::os(pid))),
            Some(number_of_process) => {
                if let Err(error) = signal::send(number_of_process, number) {
                    cx.warn(format_args!("{}: {}", Safe::os(pid), Errno::desc(error)));
                }
            }
        }
    }
    Ok(Exit(0))
}

fn known(name: &[u8]) -> Result<i32> {
    signal::number(name).ok_or_else(|| Error::usage(format_args!("{}: no such signal", Safe(name))))
}

fn list(cx: &mut Context<'_>, operands: &[OsString]) -> Result<Exit> {
    if operands.is_empty() {
        for name in (1..=libc::SIGRTMAX()).filter_map(signal::name) {
            writeln!(cx.io.out, "{name}")?;
        }
    }
    for operand in operands {
        let number = std::str::from_utf8(operand.as_bytes()).ok().and_then(|text| text.parse::<i32>().ok());
        // A status above 128 tells the signal that ended a process.
        let name = number.and_then(|number| signal::name(if number > 128 { number - 128 } else { number }));
        match (name, signal::number(operand.as_bytes())) {
            (Some(name), _) => writeln!(cx.io.out, "{name}")?,
            (None, Some(number)) => writeln!(cx.io.out, "{number}")?,
            (None, None) => cx.warn(format_args!("{}: no such signal", Safe::os(operand))),
        }
    }
    Ok(Exit(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[track_caller]
    fn kill(args: &[&str], status: u8, out: &str, err: &str) {
        let done = capture(&APPLET, args, b"");
        assert_eq!((done.status, done.out.as_str(), done.err.as_str()), (status, out, err));
    }

    #[test]
    fn names_numbers_and_statuses() {
        kill(&["-l", "9", "137", "TERM", "sigint", "0"], 0, "KILL\nKILL\n15\n2\nEXIT\n", "");
        kill(&["-l", "x", "1"], 1, "HUP\n", "kill: x: no such signal\n");
        kill(&["-lTERM"], 0, "15\n", "");
        kill(&["--list=9"], 0, "KILL\n", "");
        assert!(capture(&APPLET, &["-l"], b"").out.starts_with("HUP\nINT\nQUIT\nILL\n"));
    }

    #[test]
    fn signal_0_asks_whether_a_process_is_there() {
        let own = std::process::id().to_string();
        for args in [["-0", &own].as_slice(), &["-s", "0", &own], &["-n", "0", "--", &own], &["--signal=EXIT", &own]] {
            kill(args, 0, "", "");
        }
    }

    #[test]
    fn one_wrong_process_does_not_stop_the_others() {
        let own = std::process::id().to_string();
        kill(
            &["-0", "abc", "2147483647", &own],
            1,
            "",
            "kill: abc: not a process id\nkill: 2147483647: No such process\n",
        );
    }

    #[test]
    fn wrong_use() {
        kill(&[], 2, "", "kill: needs a process id (see 'kill --help')\n");
        kill(&["-9"], 2, "", "kill: needs a process id (see 'kill --help')\n");
        kill(&["-FOO", "1"], 2, "", "kill: FOO: no such signal (see 'kill --help')\n");
        kill(&["-s"], 2, "", "kill: -s: needs a signal (see 'kill --help')\n");
        kill(&["--foo", "1"], 2, "", "kill: --foo: no such option (see 'kill --help')\n");
    }
}
