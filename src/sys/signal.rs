//! Signals: dispositions, and the set of those that arrived and wait to be handled.
//!
//! A handler may do almost nothing, so ours sets one bit; whoever runs the main loop takes the bits. That set is
//! the one piece of process-wide state, because a handler has no other way to speak.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::time::TimeSpec;

static PENDING: AtomicU64 = AtomicU64::new(0);

extern "C" fn arrived(number: libc::c_int) {
    PENDING.fetch_or(1 << (number & 63), Ordering::Relaxed);
}

/// Whether [`Disposition::End`] waits for somebody to take the signal.
static HELD: AtomicBool = AtomicBool::new(false);

extern "C" fn end(number: libc::c_int) {
    match HELD.load(Ordering::Relaxed) {
        true => arrived(number),
        false => super::exit((128 + number) as u8),
    }
}

/// What a process does on a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    Default,
    Ignore,
    /// Remember it for [`take`]; system calls end with EINTR.
    Catch,
    /// End with the status that shells show for a death by it: what PID 1 must do itself, since the kernel does not.
    End,
}

/// Sets the disposition and returns what it was. `None` for a handler that is not ours.
pub fn set(signal: Signal, disposition: Disposition) -> nix::Result<Option<Disposition>> {
    let handler = match disposition {
        Disposition::Default => SigHandler::SigDfl,
        Disposition::Ignore => SigHandler::SigIgn,
        Disposition::Catch => SigHandler::Handler(arrived),
        Disposition::End => SigHandler::Handler(end),
    };
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handlers only touch atomics and call _exit(2).
    let old = unsafe { nix::sys::signal::sigaction(signal, &action) }?;
    Ok(match old.handler() {
        SigHandler::SigDfl => Some(Disposition::Default),
        SigHandler::SigIgn => Some(Disposition::Ignore),
        SigHandler::Handler(handler) if handler as usize == arrived as *const () as usize => Some(Disposition::Catch),
        SigHandler::Handler(handler) if handler as usize == end as *const () as usize => Some(Disposition::End),
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

/// Makes signals that would end the process wait to be taken, for as long as it has a child to tell.
pub fn hold(held: bool) {
    HELD.store(held, Ordering::Relaxed);
}

/// Whether this caught signal waits to be taken.
pub fn is_pending(signal: Signal) -> bool {
    PENDING.load(Ordering::Relaxed) & 1 << signal as i32 != 0
}

/// Holds all signals back for as long as it lives.
pub struct Blocked {
    before: SigSet,
}

impl Blocked {
    pub fn all() -> nix::Result<Blocked> {
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut before))?;
        Ok(Blocked { before })
    }

    /// Lets signals come until one has come.
    pub fn suspend(&self) -> nix::Result<()> {
        self.before.suspend()
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // A mask that was in force is a valid one.
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }
}

/// What asks a process to end.
const ENDINGS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Catches signals for as long as it lives: there is something to tidy up.
pub struct Caught {
    before: Vec<(Signal, Disposition)>,
}

impl Caught {
    /// What was ignored from the start stays so: nohup.
    pub fn new(signals: &[Signal]) -> Caught {
        let mut before = Vec::new();
        for signal in signals {
            if !ignored(*signal)
                && let Ok(old) = set(*signal, Disposition::Catch)
            {
                before.push((*signal, old.unwrap_or(Disposition::Default)));
            }
        }
        Caught { before }
    }

    /// What asks the process to end.
    pub fn endings() -> Caught {
        Caught::new(&ENDINGS)
    }

    /// The one that has come, if one has.
    pub fn asked() -> Option<Signal> {
        ENDINGS.into_iter().find(|signal| is_pending(*signal))
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            let _ = set(*signal, *before);
        }
    }
}

/// Waits until `fd` can be read, at most for `timeout`: whether it can. EINTR for a caught signal, also for one that came
/// just before, which read(2) and poll(2) alone would sleep through.
pub fn wait_readable(fd: BorrowedFd<'_>, timeout: Option<TimeSpec>) -> nix::Result<bool> {
    wait(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout)
}

/// The same for several descriptors, and for what each of them waits for.
pub fn wait(fds: &mut [PollFd<'_>], timeout: Option<TimeSpec>) -> nix::Result<bool> {
    let blocked = Blocked::all()?;
    if pending() {
        return Err(Errno::EINTR);
    }
    ppoll(fds, timeout, Some(blocked.before)).map(|ready| ready > 0)
}

/// kill(2) by number, which may be 0, or a real-time signal's. `pid` may name a group: 0, -1, or a negative one.
pub fn send(pid: i32, number: i32) -> nix::Result<()> {
    // SAFETY: two numbers that the kernel checks.
    nix::errno::Errno::result(unsafe { libc::kill(pid, number) }).map(drop)
}

/// What a signal does to a process, in the system's words: `Terminated`.
pub fn description(number: i32) -> String {
    // SAFETY: the C library's table is constant; it has a text for every number.
    let text = unsafe { CStr::from_ptr(libc::strsignal(number)) };
    text.to_string_lossy().into_owned()
}

/// The names of the signals without `SIG`, by number; 0 is `EXIT`, as the shell's `trap` has it. Real-time signals
/// have no fixed numbers: the C library keeps some of the kernel's for itself.
pub const NAMES: [&str; 32] = [
    "EXIT", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
    "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH",
    "IO", "PWR", "SYS",
];

/// The name of a signal without `SIG`: `TERM`, `RTMIN+3`.
pub fn name(number: i32) -> Option<String> {
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    match usize::try_from(number).ok()? {
        index if index < NAMES.len() => Some(String::from(NAMES[index])),
        _ if number == first => Some(String::from("RTMIN")),
        _ if number == last => Some(String::from("RTMAX")),
        _ if (first..last).contains(&number) && number - first <= last - number => {
            Some(format!("RTMIN+{}", number - first))
        }
        _ if (first..last).contains(&number) => Some(format!("RTMAX-{}", last - number)),
        _ => None,
    }
}

/// A signal's number from its number or its name, with or without `SIG`, in any case.
pub fn number(text: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(text).ok()?.to_ascii_uppercase();
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|number| (0..=last).contains(number));
    }
    let name = text.strip_prefix("SIG").unwrap_or(&text);
    let known = NAMES.iter().position(|known| *known == name).and_then(|index| i32::try_from(index).ok());
    let real_time = || {
        let (base, rest) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(rest), _) => (first, rest),
            (_, Some(rest)) => (last, rest),
            _ => return None,
        };
        let step: i32 = if rest.is_empty() { 0 } else { rest.parse().ok()? };
        base.checked_add(step).filter(|number| (first..=last).contains(number))
    };
    let other = || match name {
        "POLL" => Some(libc::SIGIO),
        "CLD" => Some(libc::SIGCHLD),
        "IOT" => Some(libc::SIGABRT),
        _ => None,
    };
    known.or_else(real_time).or_else(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, signal) in
            [("TERM", 15), ("sigkill", 9), ("15", 15), ("0", 0), ("POLL", 29), ("RTMAX-1", libc::SIGRTMAX() - 1)]
        {
            assert_eq!(number(text.as_bytes()), Some(signal), "{text}");
        }
        for text in ["", "SIG", "65", "-1", "RTMIN-1", "RTMIN+99", "KIL"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
        for (signal, text) in NAMES.iter().enumerate() {
            assert_eq!(number(text.as_bytes()), i32::try_from(signal).ok());
        }
        assert_eq!(name(libc::SIGRTMIN() + 1).as_deref(), Some("RTMIN+1"));
        assert_eq!(name(65), None);
    }
}
