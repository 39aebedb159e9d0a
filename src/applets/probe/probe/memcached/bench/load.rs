//! The loop that loads: one thread, one poll(2) over all connections. On each, as many requests as wanted go out at once,
//! and when all of them are answered the next ones do. Nothing is allocated in the loop, and no request is made anew but
//! for its number.
//!
//! Two things save the client half of its time. A server may send the answers to one batch one by one: the kernel is told
//! how many bytes will come, and wakes us only when they have (SO_RCVLOWAT). And where there is only one connection, a
//! read that waits does it, without poll(2). Longer than most, because requests, replies and the loop belong together.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use super::Histogram;
use crate::net::{Connection, Deadline, wait};
use crate::protocol::memcached::client::Error as Trouble;
use crate::protocol::memcached::text::{Element, Malformed, element};
use crate::sys::signal::Caught;
use crate::sys::socket::set_low_water;

/// What is read at once.
const PIECE: usize = 64 * 1024;

/// Answers that were counted on and do not come, are waited for so long at a time.
const DOUBT: Duration = Duration::from_millis(20);

/// More than this is not waited for at once: the kernel's buffers are finite.
const MOST_MISSING: usize = 32 * 1024;

/// So much can be written without waiting for the other side to read.
const FITS: usize = 16 * 1024;

/// The digits of a key's number.
const DIGITS: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Get,
    Set,
    Delete,
}

/// Requests for numbered keys.
pub struct Keys {
    get: Request,
    set: Request,
    delete: Request,
    size: usize,
    /// Bytes of the answer to a get that hits.
    hit: usize,
}

/// One request, and where its key's number stands in it.
struct Request {
    text: Vec<u8>,
    digits: usize,
}

impl Request {
    fn new(word: &str, prefix: &[u8], rest: &str, data: &[u8]) -> Request {
        let head = [word.as_bytes(), b" ", prefix, b":"].concat();
        let digits = head.len();
        Request { text: [&head, &b"000000"[..], rest.as_bytes(), b"\r\n", data].concat(), digits }
    }

    fn write(&self, out: &mut Vec<u8>, number: u32) {
        let start = out.len() + self.digits;
        out.extend_from_slice(&self.text);
        let mut rest = number;
        for digit in out[start..start + DIGITS].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
}

impl Keys {
    pub fn new(prefix: &[u8], count: u32, size: u32, seconds: u32) -> Keys {
        debug_assert!(count <= 10u32.pow(DIGITS as u32));
        let mut data = vec![b'x'; size as usize];
        data.extend_from_slice(b"\r\n");
        Keys {
            get: Request::new("get", prefix, "", b""),
            set: Request::new("set", prefix, &format!(" 0 {seconds} {size}"), &data),
            delete: Request::new("delete", prefix, "", b""),
            size: size as usize,
            hit: format!("VALUE :000000 0 {size}\r\n\r\nEND\r\n").len() + prefix.len() + size as usize,
        }
    }

    fn write(&self, out: &mut Vec<u8>, operation: Operation, number: u32) {
        let request = match operation {
            Operation::Get => &self.get,
            Operation::Set => &self.set,
            Operation::Delete => &self.delete,
        };
        request.write(out, number);
    }

    /// Bytes of the answer, if nothing is wrong.
    fn answer(&self, operation: Operation) -> usize {
        match operation {
            Operation::Get => self.hit,
            Operation::Set => b"STORED\r\n".len(),
            Operation::Delete => b"DELETED\r\n".len(),
        }
    }
}

/// What is to be done.
pub enum Work {
    /// The same with every key.
    Once { operation: Operation, next: u32, count: u32 },
    /// Sets and gets of any key, in turn as the ratio has it, until the time is up.
    Mixed { sets: u32, all: u32, turn: u32, count: u32, random: u64, end: Deadline },
}

impl Work {
    pub fn each_once(operation: Operation, count: u32) -> Work {
        Work::Once { operation, next: 0, count }
    }

    pub fn mixed((sets, gets): (u32, u32), count: u32, end: Deadline) -> Work {
        Work::Mixed { sets, all: sets + gets, turn: 0, count, random: 0x9e37_79b9_7f4a_7c15, end }
    }

    /// Whether a further batch is begun.
    fn goes_on(&self, now: Instant) -> bool {
        match self {
            // What was stored goes, whoever wants us to end.
            Work::Once { operation: Operation::Delete, next, count } => next < count,
            Work::Once { next, count, .. } => next < count && Caught::asked().is_none(),
            Work::Mixed { end, .. } => *end > Deadline::at(now) && Caught::asked().is_none(),
        }
    }

    fn next(&mut self) -> Option<(Operation, u32)> {
        match self {
            Work::Once { operation, next, count } => {
                let number = Some(*next).filter(|next| *next < *count)?;
                *next += 1;
                Some((*operation, number))
            }
            Work::Mixed { sets, all, turn, count, random, .. } => {
                // xorshift, by Marsaglia: any number will do.
                *random ^= *random << 13;
                *random ^= *random >> 7;
                *random ^= *random << 17;
                let number = ((*random >> 32) * u64::from(*count)) >> 32;
                let operation = if *turn < *sets { Operation::Set } else { Operation::Get };
                *turn = if *turn + 1 == *all { 0 } else { *turn + 1 };
                Some((operation, number as u32))
            }
        }
    }
}

/// What has come of it.
pub struct Tally {
    pub gets: Histogram,
    pub sets: Histogram,
    deletes: Histogram,
    pub hits: u64,
    pub refused: u64,
    /// The words of the first refusal.
    pub refusal: Option<Vec<u8>>,
}

impl Tally {
    fn new() -> Tally {
        let [gets, sets, deletes] = [(); 3].map(|()| Histogram::new());
        Tally { gets, sets, deletes, hits: 0, refused: 0, refusal: None }
    }

    pub fn count(&self) -> u64 {
        self.gets.count + self.sets.count
    }

    pub fn operations(&self) -> [(&'static str, &Histogram); 2] {
        [("get", &self.gets), ("set", &self.sets)]
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reply {
    /// Done, or a hit.
    Yes,
    /// A miss.
    No,
    Refused(Vec<u8>),
}

/// Reads the answer to an operation, and says how many bytes it took; nothing where more have to come.
fn reply(bytes: &[u8], operation: Operation, size: usize) -> Result<Option<(Reply, usize)>, Trouble> {
    let Some((found, used)) = element(bytes).map_err(Trouble::Malformed)? else { return Ok(None) };
    let reply = match (operation, found) {
        (_, Element::Refused(refusal)) => Reply::Refused(refusal.to_string().into_bytes()),
        (Operation::Set, Element::Stored) | (Operation::Delete, Element::Deleted) => Reply::Yes,
        (Operation::Delete, Element::NotFound) | (Operation::Get, Element::End) => Reply::No,
        (Operation::Get, Element::Value(value)) => {
            const END: &[u8] = b"\r\nEND\r\n";
            if value.length != size as u64 {
                return Err(Trouble::Unexpected);
            }
            let end = used + size;
            return match bytes.get(end..end + END.len()) {
                None => Ok(None),
                Some(END) => Ok(Some((Reply::Yes, end + END.len()))),
                Some(_) => Err(Trouble::Malformed(Malformed::Foreign(None, b"a value without an end".to_vec()))),
            };
        }
        _ => return Err(Trouble::Unexpected),
    };
    Ok(Some((reply, used)))
}

/// One connection, and where it stands.
struct Lane<'a> {
    socket: &'a Connection,
    out: Vec<u8>,
    sent: usize,
    input: Vec<u8>,
    /// What is held of the input, and not read yet.
    start: usize,
    end: usize,
    /// What was asked for; the first `answered` have been answered.
    asked: Vec<Operation>,
    answered: usize,
    /// Bytes of answers that have not come.
    missing: usize,
    /// What the kernel was told of it.
    low_water: usize,
    since: Instant,
}

impl Lane<'_> {
    /// Asks for as much as is wanted at once. False where nothing is left to do.
    fn ask(&mut self, keys: &Keys, work: &mut Work, depth: usize, now: Instant) -> bool {
        self.out.clear();
        self.asked.clear();
        (self.sent, self.answered, self.missing, self.since) = (0, 0, 0, now);
        if !work.goes_on(now) {
            return false;
        }
        while self.asked.len() < depth
            && let Some((operation, number)) = work.next()
        {
            keys.write(&mut self.out, operation, number);
            self.asked.push(operation);
            self.missing += keys.answer(operation);
        }
        true
    }

    /// Asks the kernel to be woken when all answers have come, or else with the first byte.
    fn wake_for(&mut self, all: bool) -> io::Result<()> {
        let wanted = if all { self.missing.clamp(1, MOST_MISSING) } else { 1 };
        if wanted != self.low_water {
            set_low_water(self.socket, wanted as i32)?;
            self.low_water = wanted;
        }
        Ok(())
    }

    /// Writes what fits.
    fn send(&mut self) -> io::Result<()> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.socket.try_write(rest) {
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there, once.
    fn receive(&mut self) -> Result<(), Trouble> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.input.len() - self.end < PIECE / 2 {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.input.len() - self.end < PIECE / 2 {
                self.input.resize(self.end + PIECE, 0);
            }
        }
        match self.socket.try_read(&mut self.input[self.end..]) {
            Ok(0) => Err(Trouble::Closed(self.end - self.start)),
            Ok(length) => {
                self.end += length;
                self.missing = self.missing.saturating_sub(length);
                Ok(())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks at what has been answered. True when everything is.
    fn look(&mut self, size: usize, tally: &mut Tally, now: Instant) -> Result<bool, Trouble> {
        let time = now.saturating_duration_since(self.since);
        let [mut gets, mut sets, mut deletes] = [0, 0, 0];
        while let Some(operation) = self.asked.get(self.answered).copied() {
            let held = self.input.get(self.start..self.end).unwrap_or_default();
            let Some((reply, used)) = reply(held, operation, size)? else { break };
            self.start += used;
            self.answered += 1;
            match operation {
                Operation::Get => gets += 1,
                Operation::Set => sets += 1,
                Operation::Delete => deletes += 1,
            }
            match reply {
                Reply::Yes => tally.hits += u64::from(operation == Operation::Get),
                Reply::No => {}
                Reply::Refused(words) => {
                    tally.refused += 1;
                    tally.refusal.get_or_insert(words);
                }
            }
        }
        for (histogram, count) in [(&mut tally.gets, gets), (&mut tally.sets, sets), (&mut tally.deletes, deletes)] {
            if count > 0 {
                histogram.add(time, count);
            }
        }
        Ok(self.answered == self.asked.len())
    }
}

/// Does the work, `depth` requests at once on each connection. Afterwards each is where it was before.
pub fn run(
    sockets: &[&Connection],
    keys: &Keys,
    work: &mut Work,
    depth: usize,
    deadline: Deadline,
) -> Result<Tally, Trouble> {
    let longest = keys.set.text.len().max(keys.get.text.len());
    let alone = match sockets {
        [alone] if depth * longest <= FITS => Some(*alone),
        _ => None,
    };
    if let Some(alone) = alone {
        waits(alone, true)?;
    }
    let done = rounds(sockets, keys, work, depth, deadline, alone.is_some());
    for socket in sockets {
        let _ = set_low_water(socket, 1);
    }
    if let Some(alone) = alone {
        waits(alone, false)?;
    }
    done
}

/// Whether reads and writes wait, reads for [`DOUBT`].
fn waits(socket: &Connection, wait: bool) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(socket, FcntlArg::F_GETFL)?);
    let flags = if wait { flags - OFlag::O_NONBLOCK } else { flags | OFlag::O_NONBLOCK };
    fcntl(socket, FcntlArg::F_SETFL(flags))?;
    setsockopt(socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(DOUBT.as_millis() as i64))?;
    Ok(())
}

fn rounds(
    sockets: &[&Connection],
    keys: &Keys,
    work: &mut Work,
    depth: usize,
    deadline: Deadline,
    alone: bool,
) -> Result<Tally, Trouble> {
    let mut tally = Tally::new();
    let now = Instant::now();
    // Until something does not come that was counted on.
    let mut all = depth > 1;
    let (mut lanes, mut fds) = (Vec::new(), Vec::new());
    for socket in sockets {
        let mut lane = Lane {
            socket,
            out: Vec::new(),
            sent: 0,
            input: vec![0; PIECE],
            start: 0,
            end: 0,
            asked: Vec::with_capacity(depth),
            answered: 0,
            missing: 0,
            low_water: 1,
            since: now,
        };
        if lane.ask(keys, work, depth, now) {
            lane.wake_for(all)?;
            lane.send()?;
            fds.push(PollFd::new(socket.as_fd(), events(&lane)));
            lanes.push(lane);
        }
    }
    while !lanes.is_empty() {
        let until = if all { deadline.min(Deadline::after(DOUBT)) } else { deadline };
        let late = match alone {
            true => deadline.left().is_zero(),
            false => match wait(&mut fds, until) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => true,
                waited => waited.map(|()| false)?,
            },
        };
        if late && deadline.left().is_zero() {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        let mut index = lanes.len();
        while index > 0 {
            index -= 1;
            let ready = if alone { PollFlags::POLLIN } else { fds[index].revents().unwrap_or(PollFlags::empty()) };
            let lane = &mut lanes[index];
            if late {
                all = false;
                lane.wake_for(all)?;
            }
            if ready.is_empty() {
                continue;
            }
            if lane.sent < lane.out.len() {
                lane.send()?;
            }
            if ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
                let missing = lane.missing;
                lane.receive()?;
                let now = Instant::now();
                if lane.look(keys.size, &mut tally, now)? {
                    if !lane.ask(keys, work, depth, now) {
                        drop(lanes.swap_remove(index));
                        fds.swap_remove(index);
                        continue;
                    }
                    lane.wake_for(all)?;
                    lane.send()?;
                } else if all {
                    // The read gave up waiting, or it was too much for once.
                    all = !alone || missing > MOST_MISSING;
                    lane.wake_for(all)?;
                }
            }
            fds[index].set_events(events(lane));
        }
    }
    Ok(tally)
}

fn events(lane: &Lane<'_>) -> PollFlags {
    match lane.sent < lane.out.len() {
        true => PollFlags::POLLIN | PollFlags::POLLOUT,
        false => PollFlags::POLLIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(operation: Operation, numbers: &[u32]) -> String {
        let keys = Keys::new(b"sidebox:bench:1", 1000, 3, 65);
        let mut out = Vec::new();
        numbers.iter().for_each(|number| keys.write(&mut out, operation, *number));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_sent() {
        assert_eq!(
            requests(Operation::Get, &[0, 99_999]),
            "get sidebox:bench:1:000000\r\nget sidebox:bench:1:099999\r\n"
        );
        assert_eq!(requests(Operation::Set, &[7]), "set sidebox:bench:1:000007 0 65 3\r\nxxx\r\n");
        assert_eq!(requests(Operation::Delete, &[12]), "delete sidebox:bench:1:000012\r\n");
    }

    #[test]
    fn what_is_to_be_done() {
        let mut once = Work::each_once(Operation::Set, 2);
        let now = Instant::now();
        assert!(once.goes_on(now));
        let done: Vec<_> = std::iter::from_fn(|| once.next()).collect();
        assert_eq!((done, once.goes_on(now)), (vec![(Operation::Set, 0), (Operation::Set, 1)], false));
        let mut mixed = Work::mixed((1, 3), 10, Deadline::after(std::time::Duration::from_secs(60)));
        let some: Vec<_> = (0..1000).filter_map(|_| mixed.next()).collect();
        assert_eq!(some.iter().filter(|(operation, _)| *operation == Operation::Set).count(), 250);
        let numbers: std::collections::BTreeSet<u32> = some.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(mixed.goes_on(now));
    }

    #[test]
    fn what_comes_back() {
        let hit = b"VALUE k 0 3\r\nxxx\r\nEND\r\nEND\r\n";
        for length in 0..hit.len() {
            let found = reply(&hit[..length], Operation::Get, 3).unwrap();
            assert_eq!(found, (length >= 23).then_some((Reply::Yes, 23)), "cut at {length}");
        }
        assert_eq!(reply(b"END\r\n", Operation::Get, 3).unwrap(), Some((Reply::No, 5)));
        assert_eq!(reply(b"STORED\r\n", Operation::Set, 3).unwrap(), Some((Reply::Yes, 8)));
        assert_eq!(reply(b"DELETED\r\n", Operation::Delete, 3).unwrap(), Some((Reply::Yes, 9)));
        assert_eq!(reply(b"NOT_FOUND\r\n", Operation::Delete, 3).unwrap(), Some((Reply::No, 11)));
        let refused = reply(b"SERVER_ERROR out of memory storing object\r\n", Operation::Set, 3).unwrap();
        assert_eq!(refused, Some((Reply::Refused(b"SERVER_ERROR out of memory storing object".to_vec()), 43)));
        for wrong in [&b"STORED\r\n"[..], b"VALUE k 0 4\r\n", b"VALUE k 0 3\r\nxxxxx\r\nEND\r\n", b"HTTP/1.1 200\r\n"] {
            assert!(reply(wrong, Operation::Get, 3).is_err());
        }
    }
}
