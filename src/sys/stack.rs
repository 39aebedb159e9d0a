//! How much of the thread's stack is left, for code that calls itself as deep as its input nests.
//!
//! The kernel lets the main thread's stack grow as long as the soft limit of the moment allows, and leaves at least
//! 128 MiB below it free (mmap_base in the kernel's arch/*/mm). So a process can give itself more than it was started
//! with. A program that it executes gets back the limit that there was.

use std::cell::Cell;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// What the shell asks for: enough for commands nested 10,000 deep.
const WANTED: rlim_t = 64 << 20;

/// What a thread of which nothing is known has at least left: Rust's own threads get 2 MiB.
const ASSUMED: usize = 1 << 20;

thread_local! {
    /// The address that the stack must not grow beyond; 0: not yet known.
    static FLOOR: Cell<usize> = const { Cell::new(0) };
    /// The soft limit before it was raised.
    static BEFORE: Cell<Option<rlim_t>> = const { Cell::new(None) };
}

/// Raises the soft limit of the main thread, as far as the hard limit allows.
pub fn raise() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_STACK) else { return };
    let wanted = WANTED.min(hard);
    if soft < wanted && setrlimit(Resource::RLIMIT_STACK, wanted, hard).is_ok() {
        BEFORE.set(Some(soft));
    }
    // Read back: an emulator says yes and changes nothing.
    let size = getrlimit(Resource::RLIMIT_STACK).map_or(soft, |(soft, _)| soft).min(WANTED);
    // A quarter is left for the arguments, the environment and what one level does by itself.
    FLOOR.set(here().saturating_sub(size as usize / 4 * 3));
}

/// The soft limit as others see it.
pub fn limit() -> nix::Result<(rlim_t, rlim_t)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_STACK)?;
    Ok((BEFORE.get().unwrap_or(soft), hard))
}

/// Takes a limit that somebody chose: it is the one that programs get.
pub fn set_limit(soft: rlim_t, hard: rlim_t) -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_STACK, soft, hard)?;
    BEFORE.set(None);
    raise();
    Ok(())
}

/// Brings the limit back for a program that is executed.
pub fn restore() {
    if let (Some(soft), Ok((_, hard))) = (BEFORE.take(), getrlimit(Resource::RLIMIT_STACK)) {
        // It was allowed before.
        let _ = setrlimit(Resource::RLIMIT_STACK, soft, hard);
    }
}

/// Whether it is time to refuse going deeper.
pub fn is_exhausted() -> bool {
    let floor = FLOOR.get();
    if floor == 0 {
        FLOOR.set(here().saturating_sub(ASSUMED));
        return false;
    }
    here() < floor
}

fn here() -> usize {
    let local = 0u8;
    &raw const local as usize
}
