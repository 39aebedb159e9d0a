//! What silence means: a port that says nothing to one language is asked in the others. Longer than most: it has many
//! causes.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::super::super::Failure;
use super::super::explain::{self, closed, kind_failure};
use super::super::options::{Proto, Shared};
use super::{Line, Over, Server, Spoken};
use crate::applet::Context;
use crate::net::{Deadline, wait};
use crate::protocol::memcached::binary::{opcode, request};
use crate::protocol::memcached::channel::Channel;
use crate::protocol::memcached::client::{Client, Dialect, Error as Trouble};
use crate::protocol::memcached::wire::Partly;

/// How long text may be met with silence before other languages are tried beside it.
pub const PATIENCE: Duration = Duration::from_millis(300);

/// How long a second question may take after a hang-up has answered the first.
pub const EPILOGUE: Duration = Duration::from_millis(300);

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
    /// Speaks text; where that is met with silence or a hang-up, asks on other connections whether it is the binary
    /// protocol, TLS or HTTP that is spoken, and listens to whoever answers first.
    pub(super) fn find_out(
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
pub fn exchange(stream: &mut (impl io::Read + io::Write), question: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(question).and_then(|()| stream.flush()).ok()?;
    let mut start = [0; 64];
    match stream.read(&mut start) {
        Ok(length @ 1..) => Some(start[..length].to_vec()),
        _ => None,
    }
}
