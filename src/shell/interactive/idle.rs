//! The end of a shell at which nobody types: after TMOUT seconds without a key, as bash, ksh and mksh have it after the
//! prompt. A key starts the time anew.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

use super::super::Shell;

/// Waits beside the editor, which has no timeout of its own but lets SIGINT end the reading of a line. Lives no longer than
/// that, since a forked child does not have the timer.
pub struct Idle {
    length: Duration,
    state: RefCell<(Timer, Instant)>,
}

/// The signal comes again, should the first one have come before the editor was ready for it.
const AGAIN: Duration = Duration::from_secs(1);

impl Idle {
    /// Nothing where the kernel has no timer left: then the shell waits as it would without TMOUT.
    pub fn start(length: Duration) -> Option<Idle> {
        let signal = SigEvent::new(SigevNotify::SigevSignal { signal: Signal::SIGINT, si_value: 0 });
        let timer = Timer::new(ClockId::CLOCK_MONOTONIC, signal).ok()?;
        let idle = Idle { length, state: RefCell::new((timer, Instant::now())) };
        idle.key();
        Some(idle)
    }

    /// A key was typed.
    pub fn key(&self) {
        let (timer, end) = &mut *self.state.borrow_mut();
        *end = Instant::now() + self.length;
        let times = Expiration::IntervalDelayed(TimeSpec::from(self.length), TimeSpec::from(AGAIN));
        // The numbers are valid ones.
        let _ = timer.set(times, TimerSetTimeFlags::empty());
    }

    pub fn is_over(&self) -> bool {
        Instant::now() >= self.state.borrow().1
    }
}

impl Shell<'_> {
    /// How long to wait for input at the prompt: TMOUT, if it is a number of seconds and not 0.
    pub(super) fn patience(&self) -> Option<Duration> {
        let seconds = std::str::from_utf8(self.variables.get(b"TMOUT")?).ok()?.trim().parse::<u32>().ok()?;
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }
}

/// The seconds in `90`, `90s`, `30m`, `12h`, `1d`, as the option `--idle` has them.
pub fn seconds(text: &[u8]) -> Option<u32> {
    let (digits, unit) = match text {
        [digits @ .., b's'] => (digits, 1),
        [digits @ .., b'm'] => (digits, 60),
        [digits @ .., b'h'] => (digits, 60 * 60),
        [digits @ .., b'd'] => (digits, 24 * 60 * 60),
        digits => (digits, 1),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse::<u32>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn lengths_of_time() {
        for (text, length) in [("90", 90), ("90s", 90), ("30m", 1800), ("12h", 43_200), ("1d", 86_400), ("0", 0)] {
            assert_eq!(seconds(text.as_bytes()), Some(length), "{text}");
        }
        for text in ["", "m", "+5", "-5", "1.5", "1 m", "30x", "99999999999", "4294967295d"] {
            assert_eq!(seconds(text.as_bytes()), None, "{text}");
        }
    }
}
