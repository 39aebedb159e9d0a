//! One connection: calls and streams of gRPC over h2.
//!
//! h2 is written for an executor that runs many things at once. Here there is one thing at a time, so that the executor
//! is [`Channel::drive`]: it asks the call and the connection in turn, and waits with poll(2) when neither gets any
//! further. There is no runtime, no thread and nothing that a fork could tear apart.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, RecvStream, SendStream};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Uri};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

use super::wire::{Io, READS, Socket, Wire};
use crate::net::{self, Deadline};
use crate::protocol::etcd::failure::{Failure, Result};
use crate::protocol::etcd::grpc::{self, Decoder, Status};
use crate::protocol::foreign;
use crate::sys;

/// How much may be on its way before we have taken it, most of it in the kernel: so much that a server does not wait while we
/// work on what has come.
const WINDOW: u32 = 4 << 20;

/// Notes that somebody has more to do.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// When silence is asked about, and how long the answer may take.
#[derive(Clone, Copy, Debug)]
pub struct KeepAlive {
    pub time: Duration,
    pub timeout: Duration,
}

/// What every connection is told.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest message that is taken.
    pub message: usize,
    pub keep_alive: KeepAlive,
    /// Whether a caught signal ends a wait.
    pub interruptible: bool,
}

pub struct Channel {
    connection: Connection<Io, Bytes>,
    /// None while the connection lives.
    end: Option<std::result::Result<(), h2::Error>>,
    send: SendRequest<Bytes>,
    ping: Option<PingPong>,
    wire: Rc<Wire>,
    flag: Arc<Flag>,
    waker: Waker,
    authority: Authority,
    limits: Limits,
}

/// A call whose answer comes in as many messages as the server likes.
pub struct Stream {
    response: Option<ResponseFuture>,
    send: SendStream<Bytes>,
    body: Option<RecvStream>,
    decoder: Decoder,
    ended: bool,
}

/// What came.
pub enum Next {
    Message(Bytes),
    End,
    /// Something can be read from the other descriptor.
    Other,
}

impl Channel {
    /// Begins to speak HTTP/2; `host` is the server's name.
    pub fn new(socket: Socket, host: &[u8], limits: Limits, deadline: Deadline) -> Result<Channel> {
        let wire = Wire::new(socket);
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(flag.clone());
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW).enable_push(false);
        let mut handshake = Box::pin(builder.handshake(Io(wire.clone())));
        let mut cx = task::Context::from_waker(&waker);
        // It only sends, and what it sends fits into an empty socket.
        let (send, mut connection) = loop {
            match handshake.as_mut().poll(&mut cx) {
                Poll::Ready(made) => break made.map_err(|error| broken(&wire, Some(&error)))?,
                Poll::Pending => {
                    let mut fds = [PollFd::new(sys::borrow(wire.fd), PollFlags::POLLOUT)];
                    net::wait(&mut fds, deadline).map_err(|_| Failure::Silent)?;
                }
            }
        };
        let ping = connection.ping_pong();
        let authority = Authority::try_from(host).unwrap_or_else(|_| Authority::from_static("localhost"));
        Ok(Channel { connection, end: None, send, ping, wire, flag, waker, authority, limits })
    }

    /// A call with one message each way.
    pub fn unary(
        &mut self,
        method: &'static str,
        token: &str,
        message: &[u8],
        leader: bool,
        deadline: Deadline,
    ) -> Result<Bytes> {
        let mut stream = self.open(method, token, leader, Some(deadline))?;
        self.send(&mut stream, message, true)?;
        let Next::Message(reply) = self.next(&mut stream, Some(deadline), None)? else {
            return Err(Failure::Protocol(String::from("gRPC: success without an answer")));
        };
        match self.next(&mut stream, Some(deadline), None)? {
            Next::End => Ok(reply),
            _ => Err(Failure::Protocol(String::from("gRPC: more answers than questions"))),
        }
    }

    /// Whether there is no TLS in it.
    pub fn is_plain(&self) -> bool {
        self.wire.plain
    }

    /// Starts a call. `leader`: the server refuses or ends it when its member has lost the leader.
    pub fn open(
        &mut self,
        method: &'static str,
        token: &str,
        leader: bool,
        deadline: Option<Deadline>,
    ) -> Result<Stream> {
        let ready = deadline.unwrap_or(Deadline::after(self.limits.keep_alive.timeout));
        let mut outcome = Ok(());
        let wire = self.wire.clone();
        self.drive(Some(ready), None, &mut |send, cx| {
            send.poll_ready(cx).map(|ready| outcome = ready.map_err(|error| broken(&wire, Some(&error))))
        })?;
        outcome?;
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.authority.clone());
        uri.path_and_query = Some(PathAndQuery::from_static(method));
        let mut request = Request::new(());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = Uri::from_parts(uri).map_err(|error| Failure::Protocol(error.to_string()))?;
        *request.version_mut() = http::Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert("te", HeaderValue::from_static("trailers"));
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.insert("user-agent", HeaderValue::from_static("sidebox"));
        headers.insert("client-api-version", HeaderValue::from_static("3.6"));
        if leader {
            headers.insert("hasleader", HeaderValue::from_static("true"));
        }
        if let Ok(token) = HeaderValue::from_str(token)
            && !token.is_empty()
        {
            headers.insert("token", token);
        }
        if let Some(deadline) = deadline
            && let Ok(text) = HeaderValue::from_str(&format!("{}m", deadline.left().as_millis().min(99_999_999)))
        {
            headers.insert("grpc-timeout", text);
        }
        let (response, send) =
            self.send.send_request(request, false).map_err(|error| broken(&self.wire, Some(&error)))?;
        Ok(Stream { response: Some(response), send, body: None, decoder: Decoder::default(), ended: false })
    }

    /// Hands a message over; it leaves while the next answer is awaited, or with [`Channel::flush`].
    pub fn send(&mut self, stream: &mut Stream, message: &[u8], last: bool) -> Result<()> {
        let sent = stream.send.send_data(grpc::frame(message), last);
        sent.map_err(|error| broken(&self.wire, Some(&error)))
    }

    /// Lets what was handed over leave.
    pub fn flush(&mut self, deadline: Deadline) -> Result<()> {
        let waker = self.waker.clone();
        loop {
            self.flag.0.store(false, Ordering::Relaxed);
            self.wire.reads.set(READS);
            if self.end.is_none()
                && let Poll::Ready(end) = Pin::new(&mut self.connection).poll(&mut task::Context::from_waker(&waker))
            {
                self.end = Some(end);
            }
            if let Some(end) = &self.end {
                return Err(broken(&self.wire, end.as_ref().err()));
            }
            if self.flag.0.load(Ordering::Relaxed) {
                if deadline.left().is_zero() {
                    return Err(Failure::Silent);
                }
                continue;
            }
            if !self.wire.full.get() {
                return Ok(());
            }
            let mut socket = [PollFd::new(sys::borrow(self.wire.fd), PollFlags::POLLIN | PollFlags::POLLOUT)];
            if !wait(&mut socket, deadline, self.limits.interruptible)? {
                return Err(Failure::Silent);
            }
        }
    }

    /// The next message. Without a deadline it waits as long as the server shows that it lives.
    pub fn next(
        &mut self,
        stream: &mut Stream,
        deadline: Option<Deadline>,
        other: Option<BorrowedFd<'_>>,
    ) -> Result<Next> {
        if stream.ended {
            return Ok(Next::End);
        }
        let limit = self.limits.message;
        let mut outcome = Ok(Next::Other);
        let wire = self.wire.clone();
        self.drive(deadline, other, &mut |_, cx| stream.poll(cx, limit, &wire).map(|next| outcome = next))?;
        if !matches!(outcome, Ok(Next::Message(_) | Next::Other)) {
            stream.ended = true;
        }
        outcome
    }

    /// Asks `step` and the connection in turn until `step` is done, or something can be read from `other`.
    fn drive(
        &mut self,
        deadline: Option<Deadline>,
        other: Option<BorrowedFd<'_>>,
        step: &mut dyn FnMut(&mut SendRequest<Bytes>, &mut task::Context<'_>) -> Poll<()>,
    ) -> Result<()> {
        let KeepAlive { time, timeout } = self.limits.keep_alive;
        let mut heard = (self.wire.received.get(), Instant::now());
        let mut asked = false;
        let waker = self.waker.clone();
        loop {
            self.flag.0.store(false, Ordering::Relaxed);
            self.wire.reads.set(READS);
            let mut cx = task::Context::from_waker(&waker);
            if step(&mut self.send, &mut cx).is_ready() {
                return Ok(());
            }
            if let Some(end) = &self.end {
                return Err(broken(&self.wire, end.as_ref().err()));
            }
            if let Poll::Ready(end) = Pin::new(&mut self.connection).poll(&mut cx) {
                // What came before the end may still be an answer.
                self.end = Some(end);
                continue;
            }
            if self.flag.0.load(Ordering::Relaxed) {
                if deadline.is_some_and(|deadline| deadline.left().is_zero()) {
                    return Err(Failure::Silent);
                }
                continue;
            }
            if self.wire.received.get() != heard.0 {
                heard = (self.wire.received.get(), Instant::now());
                asked = false;
            }
            let silent = Deadline::at(heard.1 + if asked { timeout } else { time });
            let until = deadline.map_or(silent, |deadline| deadline.min(silent));
            let mut events = PollFlags::POLLIN;
            events.set(PollFlags::POLLOUT, self.wire.full.get());
            let socket = PollFd::new(sys::borrow(self.wire.fd), events);
            let ready = match other {
                None => wait(&mut [socket], until, self.limits.interruptible)?,
                Some(other) => {
                    let mut fds = [socket, PollFd::new(other, PollFlags::POLLIN)];
                    let ready = wait(&mut fds, until, self.limits.interruptible)?;
                    if fds[1].any().unwrap_or(false) {
                        return Ok(());
                    }
                    ready
                }
            };
            if ready {
                continue;
            }
            if deadline.is_some_and(|deadline| deadline.left().is_zero()) || asked {
                return Err(Failure::Silent);
            }
            asked = true;
            heard.1 = Instant::now();
            if let Some(ping) = &mut self.ping {
                let _ = ping.poll_pong(&mut cx);
                let _ = ping.send_ping(Ping::opaque());
            }
        }
    }
}

/// Whether one of them is ready before the deadline.
fn wait(fds: &mut [PollFd<'_>], until: Deadline, interruptible: bool) -> Result<bool> {
    if interruptible {
        return match sys::signal::wait(fds, Some(until.left().into())) {
            Ok(ready) => Ok(ready),
            Err(Errno::EINTR) if sys::signal::pending() => Err(Failure::Interrupted),
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(Failure::Lost(error.into())),
        };
    }
    match net::wait(fds, until) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(false),
        Err(error) => Err(Failure::Lost(error)),
    }
}

/// What the end of a call or of its connection means.
fn broken(wire: &Wire, error: Option<&h2::Error>) -> Failure {
    let start = wire.start.borrow();
    match foreign::recognise(&start) {
        Some("HTTP/2") => {}
        Some(name) => return Failure::Foreign(Some(name)),
        None if !start.is_empty() => return Failure::Foreign(None),
        None => {}
    }
    if let Some(error) = wire.error.take() {
        return match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Failure::Closed(!start.is_empty()),
            _ => Failure::Lost(error),
        };
    }
    match error {
        Some(error) if error.is_go_away() && error.is_remote() => {
            let reason = error.reason().unwrap_or(h2::Reason::NO_ERROR);
            Failure::Protocol(format!("HTTP/2: the server went away: {}", reason.description()))
        }
        Some(error) if error.is_reset() && error.is_remote() => {
            let reason = error.reason().unwrap_or(h2::Reason::NO_ERROR);
            Failure::Protocol(format!("HTTP/2: the server broke the call off: {}", reason.description()))
        }
        Some(error) if !error.is_io() => Failure::Protocol(format!("HTTP/2: {error}")),
        _ => Failure::Closed(!start.is_empty()),
    }
}

impl Stream {
    fn poll(&mut self, cx: &mut task::Context<'_>, limit: usize, wire: &Wire) -> Poll<Result<Next>> {
        if let Some(response) = &mut self.response {
            let response = match task::ready!(Pin::new(response).poll(cx)) {
                Ok(response) => response,
                Err(error) => return Poll::Ready(Err(broken(wire, Some(&error)))),
            };
            self.response = None;
            let (head, body) = response.into_parts();
            let kind = head.headers.get("content-type").map(HeaderValue::as_bytes).unwrap_or_default();
            if !kind.starts_with(b"application/grpc") {
                let comma = if kind.is_empty() { "" } else { ", " };
                let what = format!("status {}{comma}{}", head.status.as_u16(), String::from_utf8_lossy(kind));
                return Poll::Ready(Err(Failure::NotGrpc(what)));
            }
            // A call that failed at once has its trailers here.
            if let Some(ended) = status(&head.headers) {
                return Poll::Ready(ended);
            }
            self.body = Some(body);
        }
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(Next::End)) };
        loop {
            match self.decoder.next(limit) {
                Ok(Some(message)) => return Poll::Ready(Ok(Next::Message(message))),
                Ok(None) => {}
                Err(why) => return Poll::Ready(Err(Failure::Protocol(format!("gRPC: {why}")))),
            }
            match task::ready!(body.poll_data(cx)) {
                Some(Ok(bytes)) => {
                    let _ = body.flow_control().release_capacity(bytes.len());
                    self.decoder.push(&bytes);
                }
                Some(Err(error)) => return Poll::Ready(Err(broken(wire, Some(&error)))),
                None => break,
            }
        }
        let trailers = match task::ready!(body.poll_trailers(cx)) {
            Ok(trailers) => trailers.unwrap_or_default(),
            Err(error) => return Poll::Ready(Err(broken(wire, Some(&error)))),
        };
        Poll::Ready(match status(&trailers) {
            Some(Ok(_)) if self.decoder.is_partial() => {
                Err(Failure::Protocol(String::from("gRPC: ends in the middle of a message")))
            }
            Some(ended) => ended,
            None => Err(Failure::Protocol(String::from("gRPC: ends without a status"))),
        })
    }
}

/// How a call ended, by its trailers.
fn status(fields: &HeaderMap) -> Option<Result<Next>> {
    let code = fields.get("grpc-status")?.as_bytes();
    let message = fields.get("grpc-message").map(HeaderValue::as_bytes).unwrap_or_default();
    Some(Status::parse(code, message).map_or(Ok(Next::End), |status| Err(Failure::Status(status))))
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        sys::borrow(self.wire.fd)
    }
}
