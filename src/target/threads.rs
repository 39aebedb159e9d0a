//! What the threads of a process do, looked at again and again without attaching to it: state and wait channel, and how
//! long the scheduler had them run and wait for a processor.

use std::collections::HashMap;
use std::io;

use super::process::{Fields, Reader, Stat};

/// More threads than this are not looked at.
pub const MOST: usize = 2000;

/// /proc/PID/task/TID/schedstat (Documentation/scheduler/sched-stats.rst): nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduled {
    pub ran: u64,
    /// Ready to run, but another one had the processor.
    pub waited: u64,
}

impl Scheduled {
    pub fn parse(line: &[u8]) -> Option<Scheduled> {
        let mut fields = Fields(line);
        Some(Scheduled { ran: fields.number()?, waited: fields.number()? })
    }
}

/// Where a thread was seen: its state and the function of the kernel in which it slept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub state: u8,
    /// `None` where it runs, or where that may not be known.
    pub channel: Option<Vec<u8>>,
}

/// One thread at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub thread: i32,
    pub name: Vec<u8>,
    pub place: Place,
    /// `None` where the kernel keeps no account.
    pub scheduled: Option<Scheduled>,
}

/// A look at all threads of a process, at most [`MOST`] of them, and how many there are.
pub fn look(reader: &mut Reader, pid: i32) -> io::Result<(Vec<Seen>, usize)> {
    let threads = reader.threads(pid)?;
    let mut seen = Vec::with_capacity(threads.len().min(MOST));
    for thread in threads.iter().take(MOST).copied() {
        // It may have ended meanwhile.
        let Ok(Stat { comm: name, state, .. }) = reader.thread_stat(pid, thread) else { continue };
        let channel = reader.wait_channel(pid, thread).ok().flatten().map(<[u8]>::to_vec);
        let scheduled = reader.read(&format!("{pid}/task/{thread}/schedstat")).ok().and_then(Scheduled::parse);
        seen.push(Seen { thread, name, place: Place { state, channel }, scheduled });
    }
    Ok((seen, threads.len()))
}

/// All threads of one name over all looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// How many different threads there were.
    pub threads: usize,
    /// How often they were seen, and where.
    pub seen: u64,
    pub places: HashMap<Place, u64>,
    /// Between the first and the last look at each of them.
    pub scheduled: Option<Scheduled>,
}

/// What many looks have found, by the names of the threads.
#[derive(Debug, Default)]
pub struct Profiles {
    pub by_name: HashMap<Vec<u8>, Profile>,
    first: HashMap<i32, Option<Scheduled>>,
    last: HashMap<i32, (Vec<u8>, Option<Scheduled>)>,
}

/// More different threads over all looks are not told apart, so that one that makes them all the time takes no memory.
const KNOWN: usize = 10 * MOST;

impl Profiles {
    pub fn add(&mut self, seen: Vec<Seen>) {
        for Seen { thread, name, place, scheduled } in seen {
            if !self.first.contains_key(&thread) && self.first.len() >= KNOWN {
                continue;
            }
            let profile = self.by_name.entry(name.clone()).or_default();
            profile.seen += 1;
            *profile.places.entry(place).or_default() += 1;
            self.first.entry(thread).or_insert(scheduled);
            self.last.insert(thread, (name, scheduled));
        }
    }

    /// Sums up what each thread got between its first and its last look, under its last name.
    pub fn finish(mut self) -> HashMap<Vec<u8>, Profile> {
        for (thread, (name, last)) in self.last {
            let Some(profile) = self.by_name.get_mut(&name) else { continue };
            profile.threads += 1;
            let (Some(Some(first)), Some(last)) = (self.first.get(&thread), last) else { continue };
            let sum = profile.scheduled.get_or_insert_default();
            sum.ran = sum.ran.saturating_add(last.ran.saturating_sub(first.ran));
            sum.waited = sum.waited.saturating_add(last.waited.saturating_sub(first.waited));
        }
        self.by_name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_schedstat() {
        assert_eq!(Scheduled::parse(b"100 20 3\n"), Some(Scheduled { ran: 100, waited: 20 }));
        assert_eq!((Scheduled::parse(b"1"), Scheduled::parse(b""), Scheduled::parse(b"x y")), (None, None, None));
    }

    #[test]
    fn ourselves() {
        let mut reader = Reader::open().unwrap();
        let own = reader.own_pid().unwrap();
        let (seen, count) = look(&mut reader, own).unwrap();
        assert!(count >= 1 && seen.iter().any(|seen| seen.place.state == b'R'));
    }

    #[test]
    fn many_looks() {
        let seen = |thread, name: &str, channel: Option<&str>, ran| Seen {
            thread,
            name: name.as_bytes().to_vec(),
            place: Place { state: b'S', channel: channel.map(|name| name.as_bytes().to_vec()) },
            scheduled: Some(Scheduled { ran, waited: ran / 10 }),
        };
        let mut profiles = Profiles::default();
        profiles.add(vec![seen(1, "a", Some("poll"), 1000), seen(2, "b", Some("futex"), 5)]);
        profiles.add(vec![seen(1, "a", Some("poll"), 1500), seen(3, "b", None, 7), seen(4, "b", None, 0)]);
        let found = profiles.finish();
        let place =
            |channel: Option<&str>| Place { state: b'S', channel: channel.map(|name| name.as_bytes().to_vec()) };
        let a = Profile {
            threads: 1,
            seen: 2,
            places: HashMap::from([(place(Some("poll")), 2)]),
            scheduled: Some(Scheduled { ran: 500, waited: 50 }),
        };
        let b = Profile {
            threads: 3,
            seen: 3,
            places: HashMap::from([(place(Some("futex")), 1), (place(None), 2)]),
            scheduled: Some(Scheduled::default()),
        };
        assert_eq!(found, HashMap::from([(b"a".to_vec(), a), (b"b".to_vec(), b)]));
    }
}
