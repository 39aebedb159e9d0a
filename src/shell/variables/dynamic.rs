//! Variables that the shell computes when they are read, until a script makes them ordinary ones.

use std::cell::Cell;
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::unistd::{Pid, geteuid, gethostname, getpid, getuid};

use super::super::arithmetic::{self, Decimal};
use super::super::{Shell, Text};

/// A name, and what it stands for as long as no variable has it.
struct Dynamic {
    name: &'static [u8],
    read: fn(&Shell<'_>) -> Text,
    /// Takes the value of an assignment, which makes an ordinary variable of the others.
    assign: Option<fn(&mut State, i64)>,
}

const fn plain(name: &'static [u8], read: fn(&Shell<'_>) -> Text) -> Dynamic {
    Dynamic { name, read, assign: None }
}

/// Sorted by name.
static TABLE: [Dynamic; 8] = [
    plain(b"EPOCHREALTIME", |_| format!("{}.{:06}", epoch().as_secs(), epoch().subsec_micros()).into_bytes()),
    plain(b"EPOCHSECONDS", |_| number(epoch().as_secs() as i64)),
    plain(b"EUID", |_| number(geteuid().as_raw().into())),
    plain(b"HOSTNAME", |_| gethostname().map(OsStringExt::into_vec).unwrap_or_default()),
    plain(b"LINENO", |shell| number(shell.line.into())),
    Dynamic { name: b"RANDOM", read: |shell| number(shell.dynamic.random()), assign: Some(State::set_random) },
    Dynamic { name: b"SECONDS", read: |shell| number(shell.dynamic.seconds()), assign: Some(State::set_seconds) },
    plain(b"UID", |_| number(getuid().as_raw().into())),
];

fn number(value: i64) -> Text {
    Decimal::from(value).to_vec()
}

fn epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What stands behind the table.
#[derive(Clone)]
pub struct State {
    /// A bit for each row: `unset` has taken its meaning away.
    gone: u16,
    /// `SECONDS` was `offset` then.
    since: Instant,
    offset: i64,
    /// The generator, and the process that it was seeded in: a subshell does not repeat what others get, be it a process
    /// or not.
    random: Rc<Cell<(u32, Option<Pid>)>>,
}

impl Default for State {
    fn default() -> State {
        State { gone: 0, since: Instant::now(), offset: 0, random: Rc::default() }
    }
}

impl State {
    fn seconds(&self) -> i64 {
        self.offset.wrapping_add(self.since.elapsed().as_secs() as i64)
    }

    fn set_seconds(&mut self, value: i64) {
        self.since = Instant::now();
        self.offset = value;
    }

    /// 15 bits of a linear congruential generator, as the C standard's example has it.
    fn random(&self) -> i64 {
        let pid = getpid();
        let (mut state, owner) = self.random.get();
        if owner != Some(pid) {
            state ^= epoch().subsec_nanos() ^ (pid.as_raw() as u32).rotate_left(16);
        }
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12345);
        self.random.set((state, Some(pid)));
        i64::from(state >> 16 & 0x7fff)
    }

    fn set_random(&mut self, value: i64) {
        self.random.set((value as u32, Some(getpid())));
    }

    fn row(&self, name: &[u8]) -> Option<(usize, &'static Dynamic)> {
        // Most names are lower case; none in the table is.
        name.first().filter(|first| first.is_ascii_uppercase())?;
        let row = TABLE.binary_search_by(|dynamic| dynamic.name.cmp(name)).ok()?;
        (self.gone & 1 << row == 0).then_some((row, &TABLE[row]))
    }

    /// Whether the name takes this value in its own way.
    pub fn assign(&mut self, name: &[u8], value: &[u8]) -> bool {
        let assign = self.row(name).and_then(|(_, dynamic)| dynamic.assign);
        if let Some(assign) = assign {
            assign(self, arithmetic::number(value).unwrap_or(0));
        }
        assign.is_some()
    }

    /// `unset`: from now on the name is one like others.
    pub fn forget(&mut self, name: &[u8]) {
        if let Some((row, _)) = self.row(name) {
            self.gone |= 1 << row;
        }
    }
}

impl Shell<'_> {
    /// What a name that no variable has stands for.
    pub(in crate::shell) fn dynamic(&self, name: &[u8]) -> Option<Text> {
        self.dynamic.row(name).map(|(_, dynamic)| (dynamic.read)(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted() {
        assert!(TABLE.is_sorted_by_key(|dynamic| dynamic.name));
    }

    #[test]
    fn a_seed_repeats_and_unset_forgets() {
        let mut state = State::default();
        let three = |state: &mut State| {
            assert!(state.assign(b"RANDOM", b"5"));
            [(); 3].map(|()| state.random())
        };
        assert_eq!(three(&mut state), three(&mut state));
        state.forget(b"RANDOM");
        assert!(!state.assign(b"RANDOM", b"5"));
        assert!(!state.assign(b"LINENO", b"5"));
    }
}
