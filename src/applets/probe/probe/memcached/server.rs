//! One server: the way to it, and a session with it. A session begins with its version, which tells what it speaks,
//! whether it wants a login, and what must not be asked of it. Longer than most: silence has many causes.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{setsockopt, sockopt};

use super::super::{Failure, elsewhere};
use super::explain::{self, closed, explain, kind_failure};
use super::options::{Proto, Shared};
use crate::applet::Context;
use crate::inspect::memcached::Flags;
use crate::inspect::service::{How, Place};
use crate::net::address::numeric;
use crate::net::dial::{Connection, tcp, udp, unix};
use crate::net::{Address, Deadline, Family, Resolver, tls, wait};
use crate::protocol::memcached::binary::{opcode, request};
use crate::protocol::memcached::channel::{Channel, Datagrams};
use crate::protocol::memcached::client::{Client, Dialect, Error as Trouble, Login};
use crate::protocol::memcached::wire::Partly;
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

/// `version` in binary.
fn binary_version() -> Vec<u8> {
    request(opcode::VERSION, &[], b"", 0, 0)
}

/// The beginning of a handshake that every TLS server answers, if only with an alert: version 1.2, no extensions.
const HELLO: &[u8] = b"\x16\x03\x01\x00\x33\x01\x00\x00\x2f\x03\x03sidebox asks whether this is TLS\x00\x00\x08\
    \xc0\x2f\xc0\x2b\x00\x9c\x00\x2f\x01\x00";

/// What every web server answers, and memcached hangs up on.
const GET: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

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

    /// Speaks text; where that is met with silence or a hang-up, asks on other connections whether it is the binary
    /// protocol, TLS or HTTP that is spoken, and listens to whoever answers first.
    fn find_out(
        &mut self,
        cx: &Context<'_>,
        channel: Channel,
        deadline: Deadline,
        shared: &Shared,
    ) -> Result<Spoken, Failure> {
        let timeout = shared.timeout;
        let started = Instant::now();
        let Spoken { mut client, mut version, answer } = self.plainly(channel, Dialect::Text);
        client.stream().set_deadline(deadline);
        if matches!(&version, Err(Trouble::Io(error)) if Partly::of(error).is_some() && error.kind() == io::ErrorKind::TimedOut)
        {
            version = client.hear_version();
            return Ok(Spoken { client, version, answer: started.elapsed() });
        }
        let Some(silent) = version.as_ref().err().and_then(wordless) else {
            return Ok(Spoken { client, version, answer });
        };
        let reset = matches!(&version, Err(Trouble::Io(error)) if error.kind() == io::ErrorKind::ConnectionReset);
        let until = if silent { deadline } else { deadline.min(Deadline::after(EPILOGUE)) };
        match self.rivals(cx, silent.then_some(&mut client), until) {
            Rival::Itself => version = client.hear_version(),
            Rival::Binary if shared.proto == Proto::Text => return Err(other_dialect(Dialect::Text)),
            Rival::Binary => {
                let line = self.line(cx, timeout, deadline)?;
                return Ok(self.plainly(line.channel, Dialect::Binary));
            }
            Rival::Tls => return Err(kind_failure("tls", String::from("it speaks TLS: use --tls"))),
            Rival::Http => return Err(kind_failure("protocol", String::from("not memcached: it speaks HTTP"))),
            // There the other language has been asked alone.
            Rival::Nobody | Rival::Unconnected if reset => return Err(explain::reset()),
            Rival::Nobody if silent && self.over == Over::Tls => version = client.hear_version(),
            Rival::Nobody => return Err(self.silence(silent, timeout, true)),
            Rival::Unconnected => return Err(self.silence(silent, timeout, false)),
        }
        Ok(Spoken { client, version, answer: started.elapsed() })
    }

    /// Asks in the binary protocol, in TLS and in HTTP, and waits for the first that has anything to say.
    fn rivals(&mut self, cx: &Context<'_>, text: Option<&mut Client<Channel>>, until: Deadline) -> Rival {
        if self.over == Over::Tls {
            // Inside TLS there is only the other protocol.
            let Ok(mut line) = self.line(cx, until.left(), until) else { return Rival::Unconnected };
            let asked = exchange(&mut line.channel, &binary_version());
            return if asked.is_some_and(|start| start.first() == Some(&0x81)) { Rival::Binary } else { Rival::Nobody };
        }
        let mut lines = Vec::new();
        for question in [binary_version(), HELLO.to_vec(), GET.to_vec()] {
            if let Ok(stream) = self.connect(cx, until)
                && stream.try_write(&question).is_ok()
            {
                lines.push(stream);
            }
        }
        if lines.is_empty() && text.is_none() {
            return Rival::Unconnected;
        }
        let connected = !lines.is_empty();
        let text = text.and_then(|client| match client.stream() {
            Channel::Plain(stream) => Some(stream),
            _ => None,
        });
        loop {
            let all = text.iter().map(|stream| stream.as_fd()).chain(lines.iter().map(AsFd::as_fd));
            let mut fds: Vec<PollFd> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
            if fds.is_empty() || wait(&mut fds, until).is_err() {
                return if connected { Rival::Nobody } else { Rival::Unconnected };
            }
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
            let own = usize::from(text.is_some());
            if own == 1 && ready.first() == Some(&true) {
                return Rival::Itself;
            }
            let mut index = lines.len();
            while index > 0 {
                index -= 1;
                if ready.get(own + index) != Some(&true) {
                    continue;
                }
                let mut start = [0; 8];
                match lines[index].try_read(&mut start) {
                    Ok(1..) if start[0] == 0x81 => return Rival::Binary,
                    Ok(3..) if matches!(start, [0x15 | 0x16, 3, ..]) => return Rival::Tls,
                    Ok(5..) if start.starts_with(b"HTTP/") => return Rival::Http,
                    // A hang-up, or an answer in the language that was tried first.
                    _ => drop(lines.remove(index)),
                }
            }
        }
    }

    /// Why a request of one dialect was met with silence or a hang-up, where that is not clear from it alone: by what the port
    /// answers on other connections.
    pub fn cause(
        &mut self,
        cx: &Context<'_>,
        trouble: &Trouble,
        sent: Dialect,
        timeout: Duration,
        deadline: Deadline,
    ) -> Option<Failure> {
        let silent = wordless(trouble).filter(|_| self.over != Over::Datagrams)?;
        let until = if silent { deadline } else { deadline.min(Deadline::after(EPILOGUE)) };
        let Ok(survey) = self.survey(cx, timeout, until) else {
            return silent.then(|| self.silence(true, timeout, false));
        };
        let (own, other) = match sent {
            Dialect::Text => (survey.text, survey.binary),
            Dialect::Binary => (survey.binary, survey.text),
        };
        match (own, other) {
            _ if survey.tls == Some(true) && self.over == Over::Plain => {
                Some(kind_failure("tls", String::from("it speaks TLS: use --tls")))
            }
            (Some(true), _) => silent.then(|| {
                let text = "but to 'version' there is one: the request is not complete, or has none";
                kind_failure("timeout", format!("no answer in {timeout:?}, {text}"))
            }),
            (_, Some(true)) => Some(other_dialect(sent)),
            _ => silent.then(|| self.silence(true, timeout, true)),
        }
    }

    /// Asks for the version in each way, on a connection each, at the same time.
    pub fn survey(&mut self, cx: &Context<'_>, timeout: Duration, deadline: Deadline) -> Result<Survey, Failure> {
        let mut survey = Survey { text: None, binary: None, tls: None, start: Vec::new() };
        if self.over != Over::Plain {
            for (question, known) in
                [(b"version\r\n".to_vec(), &mut survey.text), (binary_version(), &mut survey.binary)]
            {
                let mut line = self.line(cx, timeout, deadline)?;
                line.channel.set_deadline(deadline.min(Deadline::after(timeout / 3)));
                let start = exchange(&mut line.channel, &question);
                *known = start.map(|start| is_memcached(&start, &question));
            }
            survey.tls = Some(self.over == Over::Tls);
            return Ok(survey);
        }
        let Line { channel, .. } = self.line(cx, timeout, deadline)?;
        let until = deadline.min(Deadline::after((PATIENCE * 2).min(timeout / 2)));
        let mut lines = match channel {
            Channel::Plain(stream) => vec![(0, stream)],
            _ => Vec::new(),
        };
        for which in 1..3 {
            if let Ok(stream) = self.connect(cx, until) {
                lines.push((which, stream));
            }
        }
        let questions = [b"version\r\n".to_vec(), binary_version(), HELLO.to_vec()];
        lines.retain(|(which, stream)| stream.try_write(&questions[*which]).is_ok());
        while !lines.is_empty() {
            let mut fds: Vec<PollFd> =
                lines.iter().map(|(_, stream)| PollFd::new(stream.as_fd(), PollFlags::POLLIN)).collect();
            if wait(&mut fds, until).is_err() {
                break;
            }
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
            for index in (0..lines.len()).rev().filter(|index| ready.get(*index) == Some(&true)) {
                let (which, stream) = lines.remove(index);
                let mut start = [0; 64];
                let length = stream.try_read(&mut start).unwrap_or(0);
                let start = start.get(..length).unwrap_or_default();
                let yes = Some(is_memcached(start, &questions[which]));
                match which {
                    0 => {
                        survey.text = yes;
                        survey.start = start.to_vec();
                    }
                    1 => survey.binary = yes,
                    _ => survey.tls = Some(matches!(start, [0x15 | 0x16, 3, ..])),
                }
            }
        }
        Ok(survey)
    }

    fn silence(&self, silent: bool, timeout: Duration, connected: bool) -> Failure {
        if !silent {
            return closed(0);
        }
        let pid = self.process.as_ref().map(|process| process.pid);
        if let Some(pid) = pid
            && explain::stopped(pid)
        {
            return kind_failure(
                "timeout",
                format!("no answer in {timeout:?}: process {pid} is stopped (kill -CONT {pid})"),
            );
        }
        kind_failure(
            "timeout",
            match connected {
                true => format!(
                    "no answer in {timeout:?}, neither in text nor in binary nor in TLS: stuck, stopped, at its limit of \
                     connections (-c, no_maxconns_fast), or no memcached"
                ),
                false => format!(
                    "no answer in {timeout:?}, and no further connection: at its limit of connections (-c, \
                     no_maxconns_fast), stuck or stopped"
                ),
            },
        )
    }
}

/// How long text may be met with silence before other languages are tried beside it.
const PATIENCE: Duration = Duration::from_millis(300);

/// How long a second question may take after a hang-up has answered the first.
const EPILOGUE: Duration = Duration::from_millis(300);

/// The room for datagrams that wait to be read: the most pieces of a reply, of 1400 bytes each. The kernel doubles it for
/// what it needs itself.
const RECEIVED: usize = 6 << 20;

/// The moment when a question is given up, so that time remains for a second one.
pub fn before(deadline: Deadline) -> Deadline {
    let left = deadline.left();
    Deadline::after(left.saturating_sub(EPILOGUE.min(left / 3)))
}

/// Whether it was silence, or else a hang-up, that a question was met with; nothing where there was a word.
fn wordless(trouble: &Trouble) -> Option<bool> {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut};
    match trouble {
        Trouble::Io(error) if Partly::of(error).is_none() => match error.kind() {
            TimedOut => Some(true),
            ConnectionReset | BrokenPipe => Some(false),
            _ => None,
        },
        Trouble::Closed(0) => Some(false),
        _ => None,
    }
}

fn other_dialect(sent: Dialect) -> Failure {
    let text = match sent {
        Dialect::Text => "it answers in the binary protocol: use --proto binary, and -u USER for a login",
        Dialect::Binary => "it answers in the text protocol (-B ascii, -Y): use --proto text, and -u USER for a login",
    };
    kind_failure("protocol", String::from(text))
}

/// Who answers where text is met with silence.
enum Rival {
    Itself,
    Binary,
    Tls,
    Http,
    Nobody,
    Unconnected,
}

/// What a port answers to; `None` where it is silent.
pub struct Survey {
    pub text: Option<bool>,
    pub binary: Option<bool>,
    pub tls: Option<bool>,
    /// Of its answer to text.
    pub start: Vec<u8>,
}

fn is_memcached(start: &[u8], question: &[u8]) -> bool {
    match question.first() {
        Some(0x80) => start.first() == Some(&0x81),
        _ => {
            [&b"VERSION "[..], b"CLIENT_ERROR unauthenticated", b"ERROR Too many"].iter().any(|w| start.starts_with(w))
        }
    }
}

/// The start of the answer to a question.
fn exchange(stream: &mut (impl io::Read + io::Write), question: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(question).and_then(|()| stream.flush()).ok()?;
    let mut start = [0; 64];
    match stream.read(&mut start) {
        Ok(length @ 1..) => Some(start[..length].to_vec()),
        _ => None,
    }
}

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
