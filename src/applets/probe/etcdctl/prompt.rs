//! Passwords: typed without being shown, or read from a pipe where that is asked for.

use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

use super::{Session, status};
use crate::applet::{Error, Exit, Result, reason};
use crate::sys::signal::{self, Disposition};

/// Asks at the terminal. A signal that ends this does so when the terminal shows again what is typed.
pub fn password(session: &mut Session<'_, '_>, prompt: &str) -> Result<String> {
    if !session.cx.io.stdin.is_terminal() {
        return Err(session.fail(status::BAD_ARGS, "failed to ask password: standard input is no terminal"));
    }
    session.cx.io.out.flush()?;
    let _ = session.cx.io.err.write_all(prompt.as_bytes());
    let mut caught = Vec::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        if !signal::ignored(signal)
            && let Ok(Some(before)) = signal::set(signal, Disposition::Catch)
        {
            caught.push((signal, before));
        }
    }
    let shown = tcgetattr(&session.cx.io.stdin).ok();
    if let Some(mut hidden) = shown.clone() {
        hidden.local_flags.remove(LocalFlags::ECHO);
        let _ = tcsetattr(&session.cx.io.stdin, SetArg::TCSAFLUSH, &hidden);
    }
    let mut came = None;
    while came.is_none() && signal::wait_readable(session.cx.io.stdin.as_fd(), None) == Err(Errno::EINTR) {
        came = signal::take().find(|signal| caught.iter().any(|(known, _)| known == signal));
    }
    let typed = match came {
        None => line(session),
        Some(_) => Err(Error::Exit(Exit(status::INTERRUPTED))),
    };
    if let Some(shown) = shown {
        let _ = tcsetattr(&session.cx.io.stdin, SetArg::TCSAFLUSH, &shown);
    }
    let _ = session.cx.io.err.write_all(b"\n");
    for (signal, before) in caught {
        let _ = signal::set(signal, before);
    }
    if let Some(signal) = came {
        let _ = nix::sys::signal::raise(signal);
    }
    typed
}

/// A new password, typed twice.
pub fn new_password(session: &mut Session<'_, '_>, user: &str) -> Result<String> {
    let first = password(session, &format!("Password of {user}: "))?;
    session.expect(!first.is_empty(), "empty password")?;
    let again = password(session, &format!("Type password of {user} again for confirmation: "))?;
    session.expect(first == again, "given passwords are different")?;
    Ok(first)
}

/// One line of standard input, byte by byte, so that the rest is still there for whoever reads next.
pub fn line(session: &mut Session<'_, '_>) -> Result<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    loop {
        match session.cx.io.stdin.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte == *b"\n" || bytes.len() > 4096 => break,
            Ok(_) => bytes.extend_from_slice(&byte),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(session.fail(status::IO, format_args!("standard input: {}", reason(&error))));
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| session.fail(status::BAD_ARGS, "a password is UTF-8"))
}
