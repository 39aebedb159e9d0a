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
        results.extend(pieces.into_iter().map(|piece| piece.bytes));
    }
    results
}

#[derive(Default)]
struct Piece {
    /// Until all has come.
    pipe: Option<File>,
    forked: bool,
    bytes: Vec<u8>,
}

fn start(io: &mut Streams, number: usize, work: &mut dyn FnMut(usize) -> Vec<u8>) -> Piece {
    let forked = pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from).and_then(|ends| Ok((ends, fork(io)?)));
    match forked {
        Ok(((from, _), Fork::Parent(_))) => Piece { pipe: Some(File::from(from)), forked: true, bytes: Vec::new() },
        Ok(((_, to), Fork::Child)) => {
            let written = File::from(to).write_all(&work(number));
            sys::exit(u8::from(written.is_err()))
        }
        Err(_) => Piece { bytes: work(number), ..Piece::default() },
    }
}

/// Reads until all have closed their ends, and waits for them.
fn gather(pieces: &mut [Piece]) {
    loop {
        let mut open: Vec<&mut Piece> = pieces.iter_mut().filter(|piece| piece.pipe.is_some()).collect();
        if open.is_empty() {
            break;
        }
        let mut fds: Vec<PollFd<'_>> = open
            .iter()
            .filter_map(|piece| piece.pipe.as_ref())
            .map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN))
            .collect();
        let _ = poll(&mut fds, PollTimeout::NONE);
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        let mut buffer = [0; 16 * 1024];
        for (piece, ready) in open.iter_mut().zip(ready) {
            let Some(pipe) = piece.pipe.as_mut().filter(|_| ready) else { continue };
            match pipe.read(&mut buffer) {
                Ok(length @ 1..) => piece.bytes.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => piece.pipe = None,
            }
        }
    }
    let mut missing = pieces.iter().filter(|piece| piece.forked).count();
    while missing > 0 {
        match wait(true, false) {
            Ok(Some(_)) => missing -= 1,
            Ok(None) | Err(Errno::EINTR) => {}
            Err(_) => break,
        }
    }
}
