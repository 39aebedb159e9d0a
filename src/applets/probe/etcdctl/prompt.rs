//! Passwords: typed without being shown, or read from a pipe where that is asked for.

use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::termios::SetArg;

use super::{Session, status};
use crate::applet::{Error, Exit, Result, reason};
use crate::sys::signal::{self, Caught};
use crate::sys::terminal::Hidden;

/// Asks at the terminal. A signal that ends this does so when the terminal shows again what is typed.
pub fn password(session: &mut Session<'_, '_>, prompt: &str) -> Result<String> {
    if !session.cx.io.stdin.is_terminal() {
        return Err(session.fail(status::BAD_ARGS, "failed to ask password: standard input is no terminal"));
    }
    session.cx.io.out.flush()?;
    let _ = session.cx.io.err.write_all(prompt.as_bytes());
    let caught = Caught::endings();
    let hidden = Hidden::new(session.cx.io.stdin.try_clone()?, SetArg::TCSAFLUSH);
    while Caught::asked().is_none() && signal::wait_readable(session.cx.io.stdin.as_fd(), None) == Err(Errno::EINTR) {}
    let came = Caught::asked();
    let typed = match came {
        None => line(session),
        Some(_) => Err(Error::Exit(Exit(status::INTERRUPTED))),
    };
    drop(hidden);
    let _ = session.cx.io.err.write_all(b"\n");
    drop(caught);
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
