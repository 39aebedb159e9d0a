//! nc: bytes to and from a socket. No standard; the options are those of OpenBSD's nc that people type, which
//! busybox's accepts too.
//!
//! The one deviation is how it ends when standard input has ended, because each of the old ways breaks something:
//!
//! | rule | breaks |
//! |---|---|
//! | keep the connection (OpenBSD) | memcached, redis and SMTP servers wait for more: it never ends |
//! | half-close at once (busybox, OpenBSD with `-N` or `-q`) | a proxying nginx sees that its client has left, logs 499 and answers nothing; so do Go servers that look at the request's context |
//! | leave after some time (`-q`) | slow answers are cut |
//!
//! So the half-close waits until the peer is quiet: 0.2 s after its last byte where it has answered, 1 s where it has
//! not (or where there was nothing to ask). Then everything is read until the peer closes, or has said nothing for
//! 30 s more. memcached answers the half-close with its own, so that `echo stats | nc HOST 11211` ends after 0.2 s with
//! the whole answer. A listener that had nothing to send never half-closes, and is never the first to leave: its peer
//! might be a busybox nc, which drops what it still had to send.
//!
//! Longer than most: three kinds of sockets, two directions without a deadlock, and the rule above with its tests.
//!
//! Left out: `-e` (a shell has pipes), `-x` and `-X`, `-i`, telnet negotiation, service names.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use crate::applet::{Applet, Context, Error, Exit, Place, Result};
use crate::net::address::{numeric, parse_port};
use crate::net::dial::{self, Listener};
use crate::net::{Address, Connection, Deadline, Family, Resolver, reason, wait};
use crate::output::Safe;

pub static APPLET: Applet = Applet { names: &["nc"], usage, run, place: Place::Child, trouble: 1 };

/// A connection where no time was given.
const CONNECT: Duration = Duration::from_secs(10);
/// Silence after an answer that ends it.
const QUIET: Duration = Duration::from_millis(200);
/// Silence instead of an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Silence after our half-close.
const LINGER: Duration = Duration::from_secs(30);
const YEAR: Duration = Duration::from_secs(365 * 86400);
const NEVER: Duration = Duration::MAX;

const ENDING: &str = "\
When standard input has ended and the peer is quiet (0.2 s after an answer, 1 s without one), nc half-closes the
connection; it ends when the peer closes, or after 30 s of silence. -N half-closes at once; -q and -w set other
times; -q -1 waits for the peer alone. Exit status: 0, or 1 when it could not connect or the connection broke.";

/// Send and receive bytes over TCP, UDP or Unix sockets
#[derive(clap::Parser)]
#[command(name = "nc", after_help = ENDING)]
#[command(override_usage = "nc [OPTIONS] HOST PORT\n       nc [OPTIONS] -U PATH\n       nc -l [OPTIONS] [HOST] PORT")]
struct Options {
    /// Listen, and serve one caller
    #[arg(short = 'l')]
    listen: bool,
    /// With -l: go on with the next caller
    #[arg(short = 'k', requires = "listen")]
    keep: bool,
    /// The local port
    #[arg(short = 'p', value_name = "PORT")]
    port: Option<OsString>,
    /// UDP: each read of standard input is one datagram
    #[arg(short = 'u', conflicts_with_all = ["unix", "scan"])]
    udp: bool,
    /// A Unix socket; @/PATH is in the target
    #[arg(short = 'U')]
    unix: bool,
    /// Only connect; PORT may be a range, LOW-HIGH
    #[arg(short = 'z', conflicts_with = "listen")]
    scan: bool,
    /// Say what happens
    #[arg(short = 'v', action = clap::ArgAction::Count)]
    verbose: u8,
    /// Look no names up
    #[arg(short = 'n')]
    numeric: bool,
    /// Limit for connecting (10), and for silence (none)
    #[arg(short = 'w', value_name = "SECS", value_parser = seconds)]
    wait: Option<Duration>,
    /// End SECS after standard input has; -1: only when the peer closes
    #[arg(short = 'q', value_name = "SECS", value_parser = quit, allow_negative_numbers = true)]
    quit: Option<Duration>,
    /// Half-close as soon as standard input ends
    #[arg(short = 'N')]
    finish: bool,
    /// Do not read standard input
    #[arg(short = 'd')]
    detached: bool,
    /// IPv4 only
    #[arg(short = '4', conflicts_with = "v6")]
    v4: bool,
    /// IPv6 only
    #[arg(short = '6')]
    v6: bool,
    #[arg(value_name = "HOST PORT", hide = true)]
    operands: Vec<OsString>,
}

fn usage() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

fn seconds(text: &str) -> std::result::Result<Duration, &'static str> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map(|limit| limit.min(YEAR))
        .ok_or("not a number of seconds")
}

fn quit(text: &str) -> std::result::Result<Duration, &'static str> {
    if text.starts_with('-') { Ok(NEVER) } else { seconds(text) }
}

impl Options {
    fn family(&self) -> Family {
        match (self.v4, self.v6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        }
    }

    fn source(&self) -> Result<u16> {
        self.port.as_ref().map_or(Ok(0), |port| parse_port(port.as_bytes()).map_err(|why| about(port, why)))
    }
}

fn about(what: &OsStr, why: impl std::fmt::Display) -> Error {
    Error::usage(format_args!("{}: {why}", Safe::os(what)))
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    match (options.listen, options.unix, options.operands.as_slice()) {
        (true, true, [path]) if path.as_bytes().starts_with(b"@/") => {
            Err(Error::usage("a socket is not made in the target"))
        }
        (true, true, [path]) => {
            let listener = Listener::unix(Path::new(path)).map_err(|error| failed(path.as_bytes(), &error))?;
            serve(cx, &options, &listener, path.as_bytes())
        }
        (true, false, operands) => {
            let local = local(&options, operands)?;
            let name = Address::from(local).to_bytes();
            let bound = if options.udp { Listener::udp(local) } else { Listener::tcp(local) };
            serve(cx, &options, &bound.map_err(|error| failed(&name, &error))?, &name)
        }
        (false, true, [path]) => {
            let reached = cx.files.reach(Path::new(path));
            let deadline = Deadline::after(options.wait.unwrap_or(CONNECT));
            let connection = reached.and_then(|reached| dial::unix(reached.path(), deadline));
            let connection = connection.map_err(|error| failed(path.as_bytes(), &error))?;
            if options.scan { Ok(Exit(0)) } else { relay(cx, &options, &connection, path.as_bytes()) }
        }
        (false, false, [host, port]) => call(cx, &options, host, port),
        (_, true, _) => Err(Error::usage("needs one PATH")),
        _ => Err(Error::usage("needs HOST and PORT")),
    }
}

fn failed(address: &[u8], error: &io::Error) -> Error {
    Error::message(format_args!("{}: {}", Safe(address), reason(error)))
}

/// The address to listen on: `PORT`, `HOST PORT`, `-p PORT`, `-p PORT HOST`.
fn local(options: &Options, operands: &[OsString]) -> Result<SocketAddr> {
    let (host, port) = match (operands, &options.port) {
        ([], Some(port)) | ([port], None) => (None, port),
        ([host], Some(port)) | ([host, port], None) => (Some(host), port),
        _ => return Err(Error::usage("-l needs one PORT")),
    };
    let port = parse_port(port.as_bytes()).map_err(|why| about(port, why))?;
    match host {
        Some(host) => Ok(resolve(options, host, port)?[0]),
        None if options.v6 => Ok(SocketAddr::from(([0u16; 8], port))),
        None => Ok(SocketAddr::from(([0; 4], port))),
    }
}

fn resolve(options: &Options, host: &OsStr, port: u16) -> Result<Vec<SocketAddr>> {
    if options.numeric && numeric(host.as_bytes(), port).is_none() {
        return Err(about(host, "no address in digits, and -n was given"));
    }
    let deadline = Deadline::after(options.wait.unwrap_or(CONNECT));
    let found = Resolver::of_system().lookup(host.as_bytes(), port, options.family(), deadline);
    found.map_err(|error| failed(host.as_bytes(), &error))
}

/// Connects to a host; with `-z` to each port of the range.
fn call(cx: &mut Context<'_>, options: &Options, host: &OsStr, port: &OsStr) -> Result<Exit> {
    let ports = range(port.as_bytes()).map_err(|why| about(port, why))?;
    if ports.start() != ports.end() && !options.scan {
        return Err(Error::usage("a range of ports needs -z"));
    }
    let source = options.source()?;
    let mut addresses = resolve(options, host, *ports.start())?;
    let mut status = 1;
    for port in ports {
        addresses.iter_mut().for_each(|address| address.set_port(port));
        let name = Address::Host(host.as_bytes().to_vec(), port).to_bytes();
        let deadline = Deadline::after(options.wait.unwrap_or(CONNECT));
        let connected = match options.udp {
            true => dial::udp(addresses[0], source, deadline),
            false => dial::tcp(&addresses, source, deadline),
        };
        match connected {
            Ok(connection) => {
                status = 0;
                if options.verbose > 0 {
                    let kind = if options.udp { "udp" } else { "tcp" };
                    let _ = writeln!(cx.io.err, "Connection to {} {port} port [{kind}/*] succeeded!", Safe::os(host));
                }
                if !options.scan {
                    return relay(cx, options, &connection, &name);
                }
            }
            Err(error) if !options.scan => return Err(failed(&name, &error)),
            Err(error) if options.verbose > 0 => cx.note(format_args!("{}: {}", Safe(&name), reason(&error))),
            Err(_) => {}
        }
    }
    Ok(Exit(status))
}

fn range(text: &[u8]) -> std::result::Result<RangeInclusive<u16>, String> {
    let (low, high) = memchr::memchr(b'-', text).map_or((text, text), |dash| (&text[..dash], &text[dash + 1..]));
    let port = |text| parse_port(text).map_err(|why| why.to_string());
    match (port(low)?, port(high)?) {
        (low, high) if low > high => Err(String::from("the range is empty")),
        (low, high) => Ok(low..=high),
    }
}

fn serve(cx: &mut Context<'_>, options: &Options, listener: &Listener, name: &[u8]) -> Result<Exit> {
    if options.verbose > 0 {
        let _ = writeln!(cx.io.err, "Listening on {}", Safe(name));
    }
    loop {
        // To wait for a caller is what was asked for.
        let connection = listener.accept(Deadline::after(NEVER)).map_err(|error| failed(name, &error))?;
        let peer = connection.peer().map_or_else(|| name.to_vec(), |peer| peer.to_string().into_bytes());
        if options.verbose > 0 {
            let _ = writeln!(cx.io.err, "Connection received from {}", Safe(&peer));
        }
        let exit = relay(cx, options, &connection, &peer)?;
        if !options.keep {
            return Ok(exit);
        }
    }
}

/// One direction: a block of bytes that is read when it is empty and written until it is.
struct Flow {
    block: Vec<u8>,
    written: usize,
    /// Nothing more will be read.
    ended: bool,
}

impl Flow {
    fn new(ended: bool) -> Flow {
        Flow { block: Vec::new(), written: 0, ended }
    }

    fn pending(&self) -> &[u8] {
        &self.block[self.written..]
    }

    fn is_empty(&self) -> bool {
        self.pending().is_empty()
    }

    fn wants(&self) -> bool {
        !self.ended && self.is_empty()
    }

    fn done(&self) -> bool {
        self.ended && self.is_empty()
    }

    /// Reads one block; one that holds the largest datagram. Nothing there is no error, and not the end.
    fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<()> {
        self.block.resize(64 * 1024, 0);
        self.written = 0;
        let length = match read(&mut self.block) {
            Err(error) if again(&error) => None,
            read => Some(read.inspect_err(|_| self.block.clear())?),
        };
        self.ended = length == Some(0);
        self.block.truncate(length.unwrap_or(0));
        Ok(())
    }
}

fn again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// What ends a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Finish,
    Leave,
    GiveUp,
}

/// How far a conversation has come.
#[derive(Clone, Copy, Debug)]
struct State {
    /// When anything was last sent or received.
    moved: Instant,
    /// When standard input had ended and all of it was sent.
    input_end: Option<Instant>,
    sent: bool,
    answered: bool,
    peer_ended: bool,
    /// We have half-closed.
    finished: bool,
}

impl State {
    fn new() -> State {
        let moved = Instant::now();
        State { moved, input_end: None, sent: false, answered: false, peer_ended: false, finished: false }
    }

    /// What is done, and when, if nothing moves until then: the rule that the head of this file explains.
    fn next(&self, options: &Options) -> Option<(Instant, Step)> {
        let idle = options.wait.map(|limit| (self.moved + limit, Step::Leave));
        let Some(ended) = self.input_end else {
            let deserted = self.peer_ended.then_some((self.moved + LINGER, Step::Leave));
            return earlier(idle, deserted);
        };
        let hold = if self.sent && self.answered { QUIET } else { PATIENCE };
        let forever = options.quit == Some(NEVER) || options.detached || options.listen && (!self.sent || options.udp);
        let step = match self.finished || options.udp {
            false if options.finish => Some((ended, Step::Finish)),
            false => (!forever).then_some((self.moved + hold, Step::Finish)),
            true if forever || options.listen || options.wait.is_some() || options.quit.is_some() => None,
            true if options.udp => Some((self.moved + hold, Step::Leave)),
            true => Some((self.moved + LINGER, Step::GiveUp)),
        };
        let quit = options.quit.filter(|limit| *limit != NEVER).map(|limit| (ended + limit, Step::Leave));
        earlier(earlier(step, quit), idle)
    }
}

fn earlier(one: Option<(Instant, Step)>, other: Option<(Instant, Step)>) -> Option<(Instant, Step)> {
    one.into_iter().chain(other).min_by_key(|(at, _)| *at)
}

/// Copies both ways until it is over.
fn relay(cx: &mut Context<'_>, options: &Options, connection: &Connection, name: &[u8]) -> Result<Exit> {
    let mut up = Flow::new(options.detached);
    let mut down = Flow::new(false);
    let mut state = State::new();
    let mut lost = None;
    let interactive = cx.io.stdin.is_terminal();
    let chunk = chunk(&cx.io.out.file);
    // Over when the peer has ended and there is nothing, or nobody, to send from.
    while !(down.done() && (up.done() || interactive || options.listen && up.is_empty())) {
        if up.done() && state.input_end.is_none() {
            state.input_end = Some(Instant::now());
        }
        let next = state.next(options);
        let ready = match ready(cx, connection, &up, &down, next.map(|(at, _)| at)) {
            Ok(ready) => ready,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => match next {
                Some((_, Step::Finish)) => {
                    // A peer that has gone shows itself in the next read.
                    let _ = connection.finish();
                    state.finished = true;
                    state.moved = Instant::now();
                    continue;
                }
                Some((_, Step::GiveUp)) if !state.answered => return Err(failed(name, &error)),
                _ => break,
            },
            Err(error) => return Err(failed(name, &error)),
        };
        if ready.output {
            let pending = down.pending();
            down.written += cx.io.out.file.write(&pending[..pending.len().min(chunk)])?;
        }
        if ready.input {
            // A standard input that is closed has nothing to say either.
            up.ended |= up.fill(|block| cx.io.stdin.read(block)).is_err();
        }
        if ready.network && !up.is_empty() {
            match connection.try_write(up.pending()) {
                Ok(length) => {
                    up.written += length;
                    state.sent = true;
                }
                Err(error) if again(&error) => {}
                // What the peer said before it left is still to be read.
                Err(error) => {
                    lost = Some(error);
                    up = Flow::new(true);
                }
            }
        }
        if ready.network && down.wants() {
            match down.fill(|block| connection.try_read(block)) {
                // An empty datagram ends nothing.
                Ok(_) if options.udp => down.ended = false,
                Ok(_) => {}
                Err(error) => {
                    lost = lost.or(Some(error));
                    down.ended = true;
                    up = Flow::new(true);
                }
            }
            state.answered |= !down.is_empty();
            state.peer_ended |= down.ended;
        }
        state.moved = Instant::now();
    }
    lost.map_or(Ok(Exit(0)), |error| Err(failed(name, &error)))
}

/// Which of the descriptors can be worked on.
struct Ready {
    network: bool,
    input: bool,
    output: bool,
}

/// Waits for what the flows want; `TimedOut` when it is time for the next step.
fn ready(cx: &Context<'_>, peer: &Connection, up: &Flow, down: &Flow, until: Option<Instant>) -> io::Result<Ready> {
    let mut network = PollFlags::empty();
    network.set(PollFlags::POLLIN, down.wants());
    network.set(PollFlags::POLLOUT, !up.is_empty());
    let (input, output) = (up.wants(), !down.is_empty());
    let mut fds = Vec::with_capacity(3);
    // A descriptor that nothing is wanted of could still report a hang-up, again and again.
    let wanted = [
        (!network.is_empty(), peer.as_fd(), network),
        (input, cx.io.stdin.as_fd(), PollFlags::POLLIN),
        (output, cx.io.out.file.as_fd(), PollFlags::POLLOUT),
    ];
    fds.extend(wanted.iter().filter(|(wanted, ..)| *wanted).map(|(_, fd, events)| PollFd::new(*fd, *events)));
    wait(&mut fds, until.map_or(Deadline::after(NEVER), Deadline::at))?;
    let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(true));
    let mut take = |wanted| wanted && ready.next().unwrap_or(false);
    Ok(Ready { network: take(!network.is_empty()), input: take(input), output: take(output) })
}

/// How much can be written at once without waiting, when poll(2) says that something can: a pipe has room for PIPE_BUF
/// bytes then (pipe(7)), a file for all.
fn chunk(out: &File) -> usize {
    let regular = out.metadata().is_ok_and(|metadata| metadata.is_file());
    if regular { usize::MAX } else { libc::PIPE_BUF }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::{Captured, capture};
    use std::net::{TcpListener, TcpStream, UdpSocket};

    /// Runs nc against a server that does `serve` with its one caller.
    #[expect(clippy::disallowed_methods)]
    fn against(args: &[&str], stdin: &[u8], serve: fn(TcpStream)) -> Captured {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let server = std::thread::spawn(move || serve(listener.accept().unwrap().0));
        let done = capture(&APPLET, &[args, &["127.0.0.1", port.as_str()]].concat(), stdin);
        server.join().unwrap();
        Captured { err: done.err.replace(&port, "PORT"), ..done }
    }

    fn ok(out: &str) -> Captured {
        Captured { status: 0, out: out.into(), err: String::new() }
    }

    #[test]
    fn a_server_that_closes_after_its_answer() {
        let done = against(&[], b"GET / HTTP/1.0\r\n\r\n", |mut peer| {
            let mut buffer = [0; 64];
            assert_eq!(peer.read(&mut buffer).unwrap(), 18);
            peer.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").unwrap();
        });
        assert_eq!(done, ok("HTTP/1.0 200 OK\r\n\r\nhello"));
    }

    #[test]
    fn a_server_that_waits_for_more() {
        let done = against(&[], b"version\r\n", |mut peer| {
            let mut buffer = [0; 64];
            assert_eq!(peer.read(&mut buffer).unwrap(), 9);
            peer.write_all(b"VERSION 1\r\n").unwrap();
            assert_eq!(peer.read(&mut buffer).unwrap(), 0);
            peer.write_all(b"bye").unwrap();
        });
        assert_eq!(done, ok("VERSION 1\r\nbye"));
    }

    #[test]
    fn more_than_all_buffers_hold_both_ways() {
        let sent = vec![b'x'; 16 << 20];
        let done = against(&["-N"], &sent, |mut peer| {
            let mut copy = peer.try_clone().unwrap();
            assert_eq!(io::copy(&mut peer, &mut copy).unwrap(), 16 << 20);
        });
        assert_eq!((done.status, done.out.len(), done.err.as_str()), (0, 16 << 20, ""));
    }

    #[test]
    fn what_was_said_before_a_reset_is_shown() {
        let done = against(&[], &vec![b'x'; 1 << 24], |mut peer| {
            peer.write_all(b"ERROR Too many open connections\r\n").unwrap();
            let _ = peer.read(&mut [0; 1]);
        });
        let err = "nc: 127.0.0.1:PORT: connection reset by peer\n".into();
        assert_eq!(done, Captured { status: 1, out: "ERROR Too many open connections\r\n".into(), err });
    }

    #[test]
    fn datagrams() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port().to_string();
        assert_eq!(capture(&APPLET, &["-u", "-w", "0.01", "127.0.0.1", &port], b"count:1|c"), ok(""));
        let mut buffer = [0; 64];
        assert_eq!(socket.recv(&mut buffer).unwrap(), 9);
        drop(socket);
        let refused = capture(&APPLET, &["-u", "127.0.0.1", &port], b"x");
        assert_eq!((refused.status, refused.err), (1, format!("nc: 127.0.0.1:{port}: connection refused\n")));
    }

    #[test]
    fn ports_are_scanned() {
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = open.local_addr().unwrap().port().to_string();
        assert_eq!(capture(&APPLET, &["-z", "127.0.0.1", &port], b""), ok(""));
        let said = format!("Connection to 127.0.0.1 {port} port [tcp/*] succeeded!\n");
        assert_eq!(capture(&APPLET, &["-zv", "127.0.0.1", &port], b""), Captured { err: said, ..ok("") });
        drop(open);
        assert_eq!(capture(&APPLET, &["-z", "127.0.0.1", &port], b""), Captured { status: 1, ..ok("") });
    }

    #[test]
    fn wrong_uses() {
        for (args, why) in [
            (&["h"][..], "needs HOST and PORT"),
            (&["h", "0"], "0: a port is a number from 1 to 65535"),
            (&["h", "1-2"], "a range of ports needs -z"),
            (&["-z", "h", "2-1"], "2-1: the range is empty"),
            (&["-l"], "-l needs one PORT"),
            (&["-n", "h", "1"], "h: no address in digits, and -n was given"),
            (&["-lU", "@/x"], "a socket is not made in the target"),
        ] {
            let done = capture(&APPLET, args, b"");
            assert_eq!((done.status, done.err), (2, format!("nc: {why} (see 'nc --help')\n")), "{args:?}");
        }
    }

    /// What happens next, and how many milliseconds after the last bytes, which standard input ended 100 ms before.
    fn next(args: &[&str], change: fn(&mut State)) -> Option<(u128, Step)> {
        let words = [&["nc", "h", "1"], args].concat();
        let options = <Options as clap::Parser>::try_parse_from(words).unwrap();
        let mut state = State { sent: true, answered: true, ..State::new() };
        state.input_end = state.moved.checked_sub(Duration::from_millis(100));
        change(&mut state);
        state.next(&options).map(|(at, step)| (at.saturating_duration_since(state.moved).as_millis(), step))
    }

    #[test]
    fn the_end_of_a_conversation() {
        use Step::{Finish, GiveUp, Leave};
        assert_eq!(next(&[], |_| {}), Some((200, Finish)));
        assert_eq!(next(&[], |state| state.answered = false), Some((1000, Finish)));
        assert_eq!(next(&[], |state| state.finished = true), Some((30_000, GiveUp)));
        assert_eq!(next(&[], |state| state.input_end = None), None);
        assert_eq!(next(&["-N"], |_| {}), Some((0, Finish)));
        assert_eq!(next(&["-q", "0.15"], |_| {}), Some((50, Leave)));
        assert_eq!(next(&["-q", "5"], |_| {}), Some((200, Finish)));
        assert_eq!(next(&["-q", "5"], |state| state.finished = true), Some((4900, Leave)));
        assert_eq!(next(&["-q", "-1"], |_| {}), None);
        assert_eq!(next(&["-d"], |_| {}), None);
        assert_eq!(next(&["-w", "5"], |state| state.input_end = None), Some((5000, Leave)));
        assert_eq!(next(&["-w", "5"], |state| state.finished = true), Some((5000, Leave)));
        assert_eq!(next(&["-u"], |_| {}), Some((200, Leave)));
        assert_eq!(next(&["-u", "-w", "1"], |_| {}), Some((1000, Leave)));
    }

    #[test]
    fn a_listener_stays_until_its_peer_leaves() {
        assert_eq!(next(&["-l"], |state| state.sent = false), None);
        assert_eq!(next(&["-l"], |_| {}), Some((200, Step::Finish)));
        assert_eq!(next(&["-l"], |state| state.finished = true), None);
        assert_eq!(next(&["-lu"], |_| {}), None);
    }
}
