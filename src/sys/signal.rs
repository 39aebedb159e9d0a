//! Signals: dispositions, and the set of those that arrived and wait to be handled.
//!
//! A handler may do almost nothing, so ours sets one bit; whoever runs the main loop takes the bits. That set is
//! the one piece of process-wide state, because a handler has no other way to speak.

use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal};

static PENDING: AtomicU64 = AtomicU64::new(0);

extern "C" fn arrived(number: libc::c_int) {
    PENDING.fetch_or(1 << (number & 63), Ordering::Relaxed);
}

/// What a process does on a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    Default,
    Ignore,
    /// Remember it for [`take`]; system calls end with EINTR.
    Catch,
}

/// Sets the disposition and returns what it was. `None` for a handler that is not ours.
pub fn set(signal: Signal, disposition: Disposition) -> nix::Result<Option<Disposition>> {
    let handler = match disposition {
        Disposition::Default => SigHandler::SigDfl,
        Disposition::Ignore => SigHandler::SigIgn,
        Disposition::Catch => SigHandler::Handler(arrived),
    };
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only touches an atomic.
    let old = unsafe { nix::sys::signal::sigaction(signal, &action) }?;
    Ok(match old.handler() {
        SigHandler::SigDfl => Some(Disposition::Default),
        SigHandler::SigIgn => Some(Disposition::Ignore),
        SigHandler::Handler(handler) if handler as usize == arrived as *const () as usize => Some(Disposition::Catch),
        _ => None,
    })
}

/// Whether the process was started with this signal ignored (or has ignored it since).
pub fn ignored(signal: Signal) -> bool {
    // SAFETY: a null new action only asks; the old one is written into `old`.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal as libc::c_int, std::ptr::null(), &mut old) == 0 && old.sa_sigaction == libc::SIG_IGN
    }
}

/// The signals that arrived since the last call, lowest first.
pub fn take() -> impl Iterator<Item = Signal> {
    let set = if PENDING.load(Ordering::Relaxed) == 0 { 0 } else { PENDING.swap(0, Ordering::Relaxed) };
    (1..64).filter(move |number| set & (1 << number) != 0).filter_map(|number| Signal::try_from(number).ok())
}

/// Whether a caught signal waits to be taken.
pub fn pending() -> bool {
    PENDING.load(Ordering::Relaxed) != 0
}
