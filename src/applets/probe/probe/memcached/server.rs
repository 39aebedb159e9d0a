//! One server: the way to it, and a session with it. A session begins with its version, which tells what it speaks,
//! whether it wants a login, and what must not be asked of it. Longer than most: there are many ways.

mod silence;

use std::io;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

pub use self::silence::before;
use self::silence::{EPILOGUE, PATIENCE, exchange};
use super::super::{Failure, elsewhere};
use super::explain::{self, explain, kind_failure};
use super::options::{Proto, Shared};
use crate::applet::Context;
use crate::inspect::memcached::Flags;
use crate::inspect::service::{How, Place};
use crate::net::address::numeric;
use crate::net::dial::{Connection, tcp, udp, unix};
use crate::net::{Address, Deadline, Family, Resolver, tls, wait};
use crate::protocol::memcached::channel::{Channel, Datagrams};
use crate::protocol::memcached::client::{Client, Dialect, Error as Trouble, Login};
use crate::target::sockets::network_shared;

/// What the protocol goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Plain,
    Tls,
    Datagrams,
}

#[derive(Clone)]
pub struct Credentials {
    pub user: Vec<u8>,
    pub password: Vec<u8>,
    /// Where they were found, if nobody gave them.
    pub origin: Option<&'static str>,
}

/// The server's process, if it is the target's.
pub struct Process {
    pub pid: i32,
    pub flags: Flags,
}

pub struct Server {
    pub place: Place,
    pub over: Over,
    tls: Option<tls::Client>,
    /// The name that the address was found by.
    name: Option<Vec<u8>>,
    /// The name that its certificate must have, if it is another one.
    pub server_name: Option<Vec<u8>>,
    pub credentials: Option<Credentials>,
    pub process: Option<Process>,
    /// It stands among others: its lines are told apart.
    pub among: bool,
    /// Of the last connection: how long it took to find the address, where there was one to find, and whether it came
    /// about.
    pub resolved: Option<Duration>,
    pub connected: bool,
    /// It has shown itself to be a memcached.
    pub answered: bool,
}

/// A conversation.
pub struct Session {
    pub client: Client<Channel>,
    pub version: Vec<u8>,
    /// How long it took to connect, to agree on TLS, and to be answered.
    pub connect: Duration,
    pub handshake: Option<Duration>,
    pub answer: Duration,
    pub login: Door,
    pub tls: Option<Tls>,
    pub deadline: Deadline,
}

/// What TLS agreed on.
pub struct Tls {
    pub version: &'static str,
    pub certificate: Option<crate::net::certificate::Certificate>,
}

/// Whether a login is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    Open,
    /// Logged in, by this way.
    Passed(Login),
    /// SASL is wanted for all but the version: these ways.
    Sasl(Vec<u8>),
}

/// The first exchange.
struct Spoken {
    client: Client<Channel>,
    version: Result<Vec<u8>, Trouble>,
    answer: Duration,
}

/// A connection that nothing has been said on.
pub struct Line {
    pub channel: Channel,
    pub connect: Duration,
    pub handshake: Option<Duration>,
    pub tls: Option<Tls>,
}

impl Server {
    pub fn new(
        place: Place,
        over: Over,
        tls: Option<tls::Client>,
        name: Option<Vec<u8>>,
        credentials: Option<Credentials>,
        process: Option<Process>,
    ) -> Server {
        Server {
            place,
            over,
            tls,
            name,
            server_name: None,
            credentials,
            process,
            among: false,
            resolved: None,
            connected: false,
            answered: false,
        }
    }

    /// The address as text: untrusted bytes, if it came from a command line.
    pub fn address(&self) -> Vec<u8> {
        self.place.address.to_bytes()
    }

    fn connect(&mut self, cx: &Context<'_>, deadline: Deadline) -> io::Result<Connection> {
        match &self.place.address {
            Address::Unix(path) => cx.files.reach(path).and_then(|reached| unix(reached.path(), deadline)),
            Address::Host(host, port) => {
                let addresses = match numeric(host, *port) {
                    Some(address) => vec![address],
                    None => {
                        let started = Instant::now();
                        let addresses = Resolver::of_system().lookup(host, *port, Family::Any, deadline)?;
                        self.resolved = Some(started.elapsed());
                        addresses
                    }
                };
                match (self.over, addresses.first()) {
                    (Over::Datagrams, Some(first)) => {
                        let socket = udp(*first, 0, deadline)?;
                        // A value comes as one burst. The kernel gives of it what it allows (net.core.rmem_max).
                        setsockopt(&socket, sockopt::RcvBuf, &RECEIVED)?;
                        Ok(socket)
                    }
                    _ => tcp(&addresses, 0, deadline),
                }
            }
        }
    }

    /// Connects, and agrees on TLS.
    pub fn line(&mut self, cx: &Context<'_>, timeout: Duration, deadline: Deadline) -> Result<Line, Failure> {
        if self.place.how != How::Named && self.place.is_elsewhere() {
            return Err(kind_failure("network-not-shared", elsewhere(cx)));
        }
        (self.resolved, self.connected) = (None, false);
        let started = Instant::now();
        let mut stream = match self.connect(cx, deadline) {
            Ok(stream) => stream,
            Err(error) => {
                self.place.shared = cx.files.target().ok().and_then(network_shared);
                return Err(explain::unconnected(cx, self, &error, timeout));
            }
        };
        let connect = started.elapsed();
        self.connected = true;
        if self.over == Over::Datagrams {
            return Ok(Line {
                channel: Channel::Datagrams(Datagrams::new(stream)),
                connect,
                handshake: None,
                tls: None,
            });
        }
        let Some(tls) = &self.tls else {
            return Ok(Line { channel: Channel::Plain(stream), connect, handshake: None, tls: None });
        };
        let named = self.server_name.as_ref().or(self.name.as_ref());
        let host = match (named, &self.place.address) {
            (Some(name), _) => name.clone(),
            (None, Address::Host(host, _)) => host.clone(),
            (None, Address::Unix(_)) => b"localhost".to_vec(),
        };
        let started = Instant::now();
        // What is silent is asked in plain text in what remains.
        stream.set_deadline(before(deadline));
        let mut stream = match tls.handshake(stream, &host) {
            Ok(stream) => stream,
            Err(error) => return Err(self.no_handshake(cx, &error, timeout, deadline)),
        };
        stream.set_deadline(deadline);
        let handshake = Some(started.elapsed());
        let agreed = Tls { version: stream.version(), certificate: stream.certificate() };
        Ok(Line { channel: Channel::Tls(Box::new(stream)), connect, handshake, tls: Some(agreed) })
    }

    /// Where a handshake is answered by nothing or a hang-up, the port may speak plain text: that is asked, briefly.
    fn no_handshake(&mut self, cx: &Context<'_>, error: &io::Error, timeout: Duration, deadline: Deadline) -> Failure {
        let silent = error.kind() == io::ErrorKind::TimedOut;
        let hung_up = tls::Failure::of(error).is_some_and(|failure| failure.cause == tls::Cause::Closed)
            || error.kind() == io::ErrorKind::ConnectionReset;
        if (silent || hung_up)
            && let Ok(mut plain) = self.connect(cx, deadline.min(Deadline::after(EPILOGUE)))
            && let Some(start) = exchange(&mut plain, b"version\r\n")
        {
            let what = crate::protocol::foreign::recognise(&start).unwrap_or("something else");
            return kind_failure("tls", format!("it speaks no TLS, but {what} in plain text: leave out --tls"));
        }
        match silent {
            true => {
                kind_failure("timeout", format!("no answer to the TLS handshake in {timeout:?}, nor in plain text"))
            }
            false => explain(self, &Trouble::Io(io::Error::new(error.kind(), error.to_string())), timeout),
        }
    }

    /// Connects, finds out what is spoken, and logs in.
    pub fn open(&mut self, cx: &Context<'_>, shared: &Shared) -> Result<Session, Failure> {
        self.open_until(cx, shared, Deadline::after(shared.timeout))
    }

    pub fn open_until(&mut self, cx: &Context<'_>, shared: &Shared, deadline: Deadline) -> Result<Session, Failure> {
        let timeout = shared.timeout;
        let mut line = self.line(cx, timeout, deadline)?;
        let binary_only = self.process.as_ref().is_some_and(|process| {
            process.flags.has(b'S') || process.flags.value(b'B').is_some_and(|name| name == b"binary")
        });
        let binary = match shared.proto {
            Proto::Auto => binary_only && self.over != Over::Datagrams,
            proto => proto == Proto::Binary,
        };
        let Spoken { client, version, answer } = match shared.proto {
            _ if binary => {
                line.channel.set_deadline(before(deadline));
                let mut spoken = self.plainly(line.channel, Dialect::Binary);
                spoken.client.stream().set_deadline(deadline);
                if let Err(trouble) = &spoken.version
                    && let Some(failure) = self.cause(cx, trouble, Dialect::Binary, timeout, deadline)
                {
                    return Err(failure);
                }
                spoken
            }
            Proto::Auto if self.over != Over::Datagrams => {
                line.channel.set_deadline(deadline.min(Deadline::after(PATIENCE.min(timeout / 3))));
                self.find_out(cx, line.channel, deadline, shared)?
            }
            // The others are asked only to say what is wrong.
            Proto::Text if self.over == Over::Plain => {
                line.channel.set_deadline(before(deadline));
                self.find_out(cx, line.channel, deadline, shared)?
            }
            _ => self.plainly(line.channel, Dialect::Text),
        };
        let mut session = Session {
            client,
            version: Vec::new(),
            connect: line.connect,
            handshake: line.handshake,
            answer,
            login: Door::Open,
            tls: line.tls,
            deadline,
        };
        session.version = self.log_in(&mut session, version).map_err(|trouble| explain(self, &trouble, timeout))?;
        self.answered = true;
        Ok(session)
    }

    /// Speaks as it was told.
    fn plainly(&self, channel: Channel, dialect: Dialect) -> Spoken {
        let mut client = Client::new(channel, dialect);
        let started = Instant::now();
        let version = client.version();
        Spoken { client, version, answer: started.elapsed() }
    }

    /// The version, after a login where one is wanted. None is tried where none is: in the text protocol it would be stored.
    fn log_in(&self, session: &mut Session, version: Result<Vec<u8>, Trouble>) -> Result<Vec<u8>, Trouble> {
        let Some(Credentials { user, password, .. }) = &self.credentials else {
            let version = version?;
            if session.client.dialect() == Dialect::Binary
                && let Ok(list) = session.client.mechanisms()
            {
                session.login = Door::Sasl(list);
            }
            return Ok(version);
        };
        let client = &mut session.client;
        match (client.dialect(), version) {
            (Dialect::Text, Err(Trouble::Login(_))) => {
                client.login(user, password)?;
                session.login = Door::Passed(Login::Text);
                client.version()
            }
            (Dialect::Binary, Ok(version)) => match client.mechanisms() {
                Ok(_) => {
                    client.login(user, password)?;
                    session.login = Door::Passed(Login::Sasl);
                    Ok(version)
                }
                // It knows no logins.
                Err(Trouble::Refused(_)) => Ok(version),
                Err(trouble) => Err(trouble),
            },
            (_, version) => version,
        }
    }
}

/// The room for datagrams that wait to be read: the most pieces of a reply, of 1400 bytes each. The kernel doubles it for
/// what it needs itself.
const RECEIVED: usize = 6 << 20;

impl Session {
    /// The version as numbers, for what depends on it; nothing where it is no version.
    pub fn numbers(&self) -> Option<[u32; 3]> {
        let text = std::str::from_utf8(&self.version).ok()?;
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some([next()?, next()?, next()?])
    }

    /// Looks once more after a while, on another connection where the server hangs up on who is silent (idle_timeout).
    pub fn look_again(
        &mut self,
        cx: &Context<'_>,
        server: &mut Server,
        shared: &Shared,
        interval: Duration,
        look: &mut dyn FnMut(&Server, &mut Session) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        // Nothing to wait for but the time.
        let _ = wait(&mut [], Deadline::after(interval));
        self.again(shared.timeout);
        match look(server, self) {
            Err(failure) if failure.kind == "closed" => {
                *self = server.open(cx, shared)?;
                look(server, self)
            }
            looked => looked,
        }
    }

    /// Another span of time, for another request.
    pub fn again(&mut self, timeout: Duration) {
        self.deadline = Deadline::after(timeout);
        self.client.stream().set_deadline(self.deadline);
    }
}
