//! Work that is done at the same time, each piece in a forked child, so that the whole takes as long as the slowest piece.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;

use super::{Fork, fork, wait};
use crate::applet::Streams;
use crate::sys;

/// As many at a time: a limit of processes is often not far above.
const AT_ONCE: usize = 32;

/// The bytes that `work` gives for each number below `count`, in their order; none for a child that died before it had said
/// all. Where no process can be had, and where there is one piece only, the work is done here.
pub fn parallel(io: &mut Streams, count: usize, work: &mut dyn FnMut(usize) -> Vec<u8>) -> Vec<Vec<u8>> {
    if count == 1 {
        return vec![work(0)];
    }
    let mut results = Vec::new();
    while results.len() < count {
        let numbers = results.len()..count.min(results.len() + AT_ONCE);
        let mut pieces: Vec<Piece> = numbers.map(|number| start(io, number, work)).collect();
        gather(&mut pieces);
        results.extend(pieces.into_iter().map(|piece| piece.stream.bytes));
    }
    results
}

/// What comes from a pipe.
#[derive(Default)]
pub struct Stream {
    /// Until all has come.
    pipe: Option<File>,
    pub bytes: Vec<u8>,
}

impl Stream {
    pub fn new(pipe: impl Into<File>) -> Stream {
        Stream { pipe: Some(pipe.into()), bytes: Vec::new() }
    }
}

/// Reads all of them at the same time, until each has ended; of each at most `most` bytes are kept.
pub fn drain(mut streams: Vec<&mut Stream>, most: usize) {
    loop {
        streams.retain(|stream| stream.pipe.is_some());
        if streams.is_empty() {
            return;
        }
        let pipes = streams.iter().filter_map(|stream| stream.pipe.as_ref());
        let mut fds: Vec<PollFd<'_>> = pipes.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)).collect();
        let _ = poll(&mut fds, PollTimeout::NONE);
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        let mut buffer = [0; 16 * 1024];
        for (stream, ready) in streams.iter_mut().zip(ready) {
            let Some(pipe) = stream.pipe.as_mut().filter(|_| ready) else { continue };
            match pipe.read(&mut buffer) {
                Ok(length @ 1..) => {
                    let room = most.saturating_sub(stream.bytes.len()).min(length);
                    stream.bytes.extend_from_slice(buffer.get(..room).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => stream.pipe = None,
            }
        }
    }
}

struct Piece {
    stream: Stream,
    forked: bool,
}

fn start(io: &mut Streams, number: usize, work: &mut dyn FnMut(usize) -> Vec<u8>) -> Piece {
    let forked = pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from).and_then(|ends| Ok((ends, fork(io)?)));
    match forked {
        Ok(((from, _), Fork::Parent(_))) => Piece { stream: Stream::new(from), forked: true },
        Ok(((_, to), Fork::Child)) => {
            let written = File::from(to).write_all(&work(number));
            sys::exit(u8::from(written.is_err()))
        }
        Err(_) => Piece { stream: Stream { pipe: None, bytes: work(number) }, forked: false },
    }
}

/// Reads what the children have to say, and waits for them.
fn gather(pieces: &mut [Piece]) {
    drain(pieces.iter_mut().map(|piece| &mut piece.stream).collect(), usize::MAX);
    let mut missing = pieces.iter().filter(|piece| piece.forked).count();
    while missing > 0 {
        match wait(true, false) {
            Ok(Some(_)) => missing -= 1,
            Ok(None) | Err(Errno::EINTR) => {}
            Err(_) => break,
        }
    }
}
