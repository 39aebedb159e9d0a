//! Asks an etcd: one answer, or a stream of them, from whichever endpoint answers, as the user who was named.
//!
//! Everything here blocks, and nothing without a deadline. What is async inside of it is in `channel`.

pub mod channel;
mod wire;

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;

pub use channel::{KeepAlive, Limits, Next, Stream};
pub use wire::Socket;

use super::Endpoint;
use super::failure::{Failure, Result};
use super::grpc::code;
use super::message::{AuthenticateRequest, Call, StatusRequest};
use crate::net::{self, Deadline, tls};
use channel::Channel;

/// How to connect to an endpoint, and what will be spoken there, by its name in ALPN.
pub type Dial<'a> = Rc<dyn Fn(&Endpoint, Deadline, &[u8]) -> io::Result<Socket> + 'a>;

/// How long members may be without a leader before it is said: longer than an election by the usual settings, and not so long
/// as a person waits.
const ELECTION: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct Settings {
    /// For the connection to one endpoint.
    pub dial_timeout: Duration,
    /// For one call, without the connection. None: as long as the server lives.
    pub timeout: Option<Duration>,
    pub limits: Limits,
    /// Name and password.
    pub user: Option<(String, String)>,
}

pub struct Client<'a> {
    pub settings: Settings,
    dial: Dial<'a>,
    endpoints: Vec<Endpoint>,
    /// The endpoint that is in use.
    at: usize,
    channel: Option<Channel>,
    /// What the server gave for name and password; empty where it wants none.
    token: Option<String>,
}

impl<'a> Client<'a> {
    pub fn new(settings: Settings, endpoints: Vec<Endpoint>, dial: Dial<'a>) -> Client<'a> {
        Client { settings, dial, endpoints, at: 0, channel: None, token: None }
    }

    /// The same for one endpoint alone.
    pub fn only(&self, endpoint: &Endpoint) -> Client<'a> {
        Client::new(self.settings.clone(), vec![endpoint.clone()], self.dial.clone())
    }

    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The endpoint that is, or would next be, connected to.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoints.get(self.at)
    }

    /// A connection of its own to the endpoint in use, for what etcd tells over plain HTTP: see `http`.
    pub fn over_http(&self) -> Result<Socket> {
        let endpoint = self.endpoint().ok_or(Failure::Closed(false))?;
        let deadline = Deadline::after(self.settings.timeout.unwrap_or(self.settings.dial_timeout));
        (self.dial)(endpoint, deadline, b"http/1.1").map_err(Failure::Dial)
    }

    /// Asks once and gives the answer.
    pub fn ask<C: Call>(&mut self, request: &C) -> Result<C::Reply> {
        let leader = C::NEEDS_LEADER && !request.is_serializable();
        let reply = self.call(C::METHOD, C::REPEATABLE, leader, &request.encode_to_vec())?;
        decode(&reply)
    }

    /// Logs in where there is a user, so that the next call is that alone.
    pub fn authenticate(&mut self) -> Result<()> {
        if self.settings.user.is_none() {
            return Ok(());
        }
        let election = Deadline::after(ELECTION.min(self.settings.timeout.unwrap_or(Duration::MAX)));
        self.reach(&mut Vec::new(), election)
    }

    /// Connects, and waits a little for a leader that is needed for that.
    fn reach(&mut self, tried: &mut Vec<(Vec<u8>, Failure)>, election: Deadline) -> Result<()> {
        loop {
            match self.connect(tried) {
                // None of them has a leader. An election ends soon, or there will be none.
                Err(Failure::At(all)) if all.iter().any(|(_, failure)| failure.lacks_leader()) => {
                    if election.left().is_zero() {
                        return Err(Failure::At(all));
                    }
                    let _ = net::wait(&mut [], Deadline::after(PAUSE));
                }
                done => return done,
            }
        }
    }

    fn call(&mut self, method: &'static str, repeatable: bool, leader: bool, body: &[u8]) -> Result<Bytes> {
        let mut tried = Vec::new();
        let mut renewed = false;
        let mut left = self.settings.timeout.unwrap_or(Duration::MAX);
        let election = Deadline::after(ELECTION.min(left));
        loop {
            self.reach(&mut tried, election)?;
            let others = self.endpoints.len().saturating_sub(tried.len()).max(1);
            let own = if repeatable { left / u32::try_from(others).unwrap_or(1) } else { left };
            let deadline = Deadline::after(own);
            let token = self.token.clone().unwrap_or_default();
            let failure = match self.channel()?.unary(method, &token, body, leader, deadline) {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            // It has not begun with the call; another member may know more.
            if failure.lacks_leader() || failure.is_of_learner() && tried.len() + 1 < self.endpoints.len() {
                self.leave(&mut tried, failure);
                continue;
            }
            left = left.saturating_sub(own.saturating_sub(deadline.left()));
            if failure.is_transport() {
                let repeat = repeatable || failure.is_unheard();
                self.leave(&mut tried, failure);
                if !repeat || tried.len() >= self.endpoints.len() {
                    return Err(Failure::At(tried));
                }
                continue;
            }
            // It says itself that the answer is somewhere else by now.
            if repeatable && failure.status().is_some_and(|status| status.message == "etcdserver: leader changed") {
                if left.is_zero() {
                    return Err(failure);
                }
                continue;
            }
            if renewed || !self.is_stale(&failure) {
                return Err(failure);
            }
            renewed = true;
            self.token = None;
        }
    }

    /// Whether the token has ended, or the users have changed since it was given.
    fn is_stale(&self, failure: &Failure) -> bool {
        let Some(status) = failure.status().filter(|_| self.settings.user.is_some()) else { return false };
        status.code == code::UNAUTHENTICATED && status.message.contains("invalid auth token")
            || status.code == code::INVALID_ARGUMENT && status.message.contains("revision of auth store is old")
    }

    fn channel(&mut self) -> Result<&mut Channel> {
        self.channel.as_mut().ok_or(Failure::Closed(false))
    }

    /// Gives the endpoint up and goes to the next.
    fn leave(&mut self, tried: &mut Vec<(Vec<u8>, Failure)>, failure: Failure) {
        let failure = self.recognise(failure);
        let name = self.endpoint().map(|endpoint| endpoint.text.clone()).unwrap_or_default();
        tried.push((name, failure));
        self.channel = None;
        self.at = (self.at + 1) % self.endpoints.len().max(1);
    }

    /// What a server speaks that hung up without a word, found out by asking it in the other way.
    fn recognise(&self, failure: Failure) -> Failure {
        let Some(endpoint) = self.endpoint() else { return failure };
        let deadline = Deadline::after(self.settings.dial_timeout.min(Duration::from_secs(1)));
        let dial = |tls| (self.dial)(&Endpoint { tls: Some(tls), ..endpoint.clone() }, deadline, b"h2");
        match &failure {
            Failure::Closed(false) if self.channel.as_ref().is_some_and(Channel::is_plain) => match dial(true) {
                Err(error) if tls::Failure::of(&error).is_none_or(tls::Failure::is_no_tls) => failure,
                _ => Failure::Foreign(Some("TLS")),
            },
            Failure::Dial(error) if tls::Failure::of(error).is_some_and(tls::Failure::is_no_tls) => {
                let answer = dial(false).map_err(Failure::Dial).and_then(|socket| {
                    let mut channel = Channel::new(socket, endpoint.host(), self.settings.limits, deadline)?;
                    channel.unary(StatusRequest::METHOD, "", b"", false, deadline)
                });
                if answer.is_err_and(|failure| failure.is_transport()) { failure } else { Failure::Plain }
            }
            _ => failure,
        }
    }

    /// A connection to an endpoint that was not tried yet, with a token where there is a user.
    fn connect(&mut self, tried: &mut Vec<(Vec<u8>, Failure)>) -> Result<()> {
        loop {
            if self.channel.is_none() {
                if tried.len() >= self.endpoints.len() {
                    return Err(Failure::At(std::mem::take(tried)));
                }
                match self.open_channel() {
                    Ok(channel) => self.channel = Some(channel),
                    Err(failure) => {
                        self.leave(tried, failure);
                        continue;
                    }
                }
            }
            match self.log_in() {
                Err(failure) if failure.is_transport() => self.leave(tried, failure),
                done => return done,
            }
        }
    }

    fn open_channel(&self) -> Result<Channel> {
        let endpoint = self.endpoint().ok_or(Failure::Closed(false))?;
        let deadline = Deadline::after(self.settings.dial_timeout);
        let socket = (self.dial)(endpoint, deadline, b"h2").map_err(Failure::Dial)?;
        Channel::new(socket, endpoint.host(), self.settings.limits, deadline)
    }

    fn log_in(&mut self) -> Result<()> {
        let Some((name, password)) = self.settings.user.clone().filter(|_| self.token.is_none()) else {
            return Ok(());
        };
        let request = AuthenticateRequest { name, password };
        let deadline = Deadline::after(self.settings.timeout.unwrap_or(self.settings.dial_timeout));
        let reply = self.channel()?.unary(AuthenticateRequest::METHOD, "", &request.encode_to_vec(), true, deadline);
        self.token = Some(match reply {
            Ok(reply) => decode::<<AuthenticateRequest as Call>::Reply>(&reply)?.token,
            // A name where none is needed.
            Err(Failure::Status(status)) if status.message.contains("authentication is not enabled") => String::new(),
            Err(Failure::Status(status)) => return Err(Failure::Login(status)),
            Err(failure) => return Err(failure),
        });
        Ok(())
    }

    // --- streams

    /// Starts a stream at an endpoint that answers.
    pub fn open(&mut self, method: &'static str, leader: bool) -> Result<Stream> {
        let mut tried = Vec::new();
        loop {
            self.connect(&mut tried)?;
            let token = self.token.clone().unwrap_or_default();
            match self.channel()?.open(method, &token, leader, None) {
                Err(failure) if failure.is_transport() => self.leave(&mut tried, failure),
                done => return done,
            }
        }
    }

    /// Sends one message on a stream.
    pub fn send(&mut self, stream: &mut Stream, message: &impl Message, last: bool) -> Result<()> {
        let deadline = Deadline::after(self.settings.timeout.unwrap_or(self.settings.dial_timeout));
        let bytes = message.encode_to_vec();
        let channel = self.channel()?;
        channel.send(stream, &bytes, last)?;
        channel.flush(deadline)
    }

    /// Asks without waiting for the answer, which comes by [`Client::next`].
    pub fn start<C: Call>(&mut self, request: &C) -> Result<Stream> {
        let mut stream = self.open(C::METHOD, false)?;
        self.send(&mut stream, request, true)?;
        Ok(stream)
    }

    /// The answer to what [`Client::start`] has asked.
    pub fn finish<C: Call>(&mut self, mut stream: Stream) -> Result<C::Reply> {
        let deadline = self.settings.timeout.map(Deadline::after);
        match self.next(&mut stream, deadline, None)? {
            Next::Message(reply) => decode(&reply),
            Next::End | Next::Other => Err(Failure::Protocol(String::from("gRPC: success without an answer"))),
        }
    }

    /// The next message of a stream, its end, or that `other` can be read.
    pub fn next(
        &mut self,
        stream: &mut Stream,
        deadline: Option<Deadline>,
        other: Option<BorrowedFd<'_>>,
    ) -> Result<Next> {
        self.channel()?.next(stream, deadline, other)
    }

    /// After a stream broke: the next endpoint's turn.
    pub fn abandon(&mut self) {
        self.leave(&mut Vec::new(), Failure::Silent);
    }
}

/// What the bytes of an answer say. Keys and values stay where they are in them.
pub fn decode<M: Message + Default>(bytes: &Bytes) -> Result<M> {
    M::decode(bytes.clone()).map_err(|error| Failure::Protocol(format!("gRPC: a message that is not etcd's: {error}")))
}
