//! A forked child that goes on in place of its parent, which only waits for it and passes signals on.

use std::io;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgrp, setpgid, tcgetpgrp};

use super::{Fork, fork, wait_or_signal};
use crate::applet::Streams;
use crate::sys;
use crate::sys::signal::{self, Blocked, Disposition};

/// What asks a process for something.
const PASSED: [Signal; 6] =
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGTERM];

/// The side of the fork that goes on.
pub enum Side {
    Child,
    /// In the parent, when the child has ended.
    Parent(Ended),
}

/// How the child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// 128 and the signal for a child that a signal ended.
    pub status: u8,
    /// The last signal that was passed on.
    pub signal: Option<Signal>,
}

/// Forks, and in the parent waits. `group`: the child leads a process group of its own, and signals reach all of it.
pub fn go_on_in_child(io: &mut Streams, group: bool) -> io::Result<Side> {
    // What comes before the parent is ready waits.
    let blocked = Blocked::all()?;
    let child = match fork(io)? {
        Fork::Child => {
            if group {
                let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
            }
            drop(blocked);
            return Ok(Side::Child);
        }
        Fork::Parent(child) => child,
    };
    if group {
        // Both sides do it, so that it is done whoever comes first.
        let _ = setpgid(child, child);
    }
    let mut before = Vec::new();
    for signal in PASSED.into_iter().filter(|signal| !signal::ignored(*signal)) {
        before.push((signal, signal::set(signal, Disposition::Catch)?));
    }
    drop(blocked);
    let ended = wait(child, group);
    for (signal, disposition) in before {
        signal::set(signal, disposition.unwrap_or(Disposition::Default))?;
    }
    Ok(Side::Parent(ended?))
}

fn wait(child: Pid, group: bool) -> io::Result<Ended> {
    let mut passed = None;
    loop {
        match wait_or_signal(false) {
            Ok(Some(change)) if change.pid() == child => return Ok(Ended { status: change.status(), signal: passed }),
            Ok(_) => {}
            Err(Errno::EINTR) => {
                for signal in signal::take().filter(|signal| PASSED.contains(signal)) {
                    passed = Some(signal);
                    // One that has ended has nothing to be told.
                    let _ = match group {
                        true => killpg(child, signal),
                        false if typed(signal) => Ok(()),
                        false => kill(child, signal),
                    };
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the keyboard sends it, and so to the child as well: the terminal's foreground group is ours.
fn typed(signal: Signal) -> bool {
    let here = |fd| tcgetpgrp(sys::borrow(fd)) == Ok(getpgrp());
    matches!(signal, Signal::SIGINT | Signal::SIGQUIT) && (0..3).any(here)
}
