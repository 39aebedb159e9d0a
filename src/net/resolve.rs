//! Names to addresses with a deadline: digits, then hosts(5), then `localhost` (RFC 6761), then the name servers of
//! resolv.conf(5).
//!
//! The C library's getaddrinfo(3) would do, but it cannot be given a deadline in a process of one thread, and it does
//! not say why it found nothing. As in glibc, a name with fewer than `ndots` dots is tried in the search domains
//! first; a server that is silent or cannot answer is followed by the next one.

use std::cmp::Reverse;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};

use super::address::numeric;
use super::dial::{tcp, unspecified};
use super::dns::{self, Answer, Kind, Service};
use super::{Deadline, reason, wait};
use crate::output::order;

/// More than any real hosts file or resolv.conf.
const MAX_FILE: u64 = 1 << 20;

/// How long the other kind of address may still come when one kind is there: some servers never answer for AAAA.
const GRACE: Duration = Duration::from_millis(250);

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    #[default]
    Any,
    V4,
    V6,
}

impl Family {
    fn admits(self, address: IpAddr) -> bool {
        match self {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        }
    }

    fn kinds(self) -> &'static [Kind] {
        match self {
            Family::Any => &[Kind::A, Kind::Aaaa],
            Family::V4 => &[Kind::A],
            Family::V6 => &[Kind::Aaaa],
        }
    }
}

/// What resolv.conf(5) says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    pub servers: Vec<SocketAddr>,
    pub search: Vec<Vec<u8>>,
    pub ndots: usize,
    pub timeout: Duration,
    pub attempts: u32,
}

impl Configuration {
    /// Reads the file's text; unknown lines are passed over, and no name server means the local one.
    pub fn parse(text: &[u8]) -> Configuration {
        let timeout = Duration::from_secs(5);
        let mut configuration = Configuration { servers: vec![], search: vec![], ndots: 1, timeout, attempts: 2 };
        for line in text.split(|byte| *byte == b'\n') {
            let mut words = words(line);
            match words.next() {
                Some(b"nameserver") if configuration.servers.len() < 3 => {
                    configuration.servers.extend(words.next().and_then(|address| numeric(address, 53)));
                }
                Some(b"search" | b"domain") => configuration.search = words.map(<[u8]>::to_vec).collect(),
                Some(b"options") => words.for_each(|option| configuration.option(option)),
                _ => {}
            }
        }
        if configuration.servers.is_empty() {
            configuration.servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
        }
        configuration
    }

    fn option(&mut self, option: &[u8]) {
        let Some((name, value)) = std::str::from_utf8(option).ok().and_then(|text| text.split_once(':')) else {
            return;
        };
        // The caps are resolv.conf(5)'s.
        match (name, value.parse::<u32>()) {
            ("ndots", Ok(value)) => self.ndots = value.min(15) as usize,
            ("timeout", Ok(value)) => self.timeout = Duration::from_secs(value.clamp(1, 30).into()),
            ("attempts", Ok(value)) => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// The full names that a name may stand for, in the order in which they are asked for.
    pub fn candidates(&self, name: &[u8]) -> Vec<Vec<u8>> {
        if let Some(absolute) = name.strip_suffix(b".") {
            return vec![absolute.to_vec()];
        }
        let suffixes = self.search.iter().map(|suffix| suffix.strip_suffix(b".").unwrap_or(suffix));
        let mut names: Vec<Vec<u8>> =
            suffixes.filter(|suffix| !suffix.is_empty()).map(|suffix| [name, b".", suffix].concat()).collect();
        let dots = name.iter().filter(|byte| **byte == b'.').count();
        names.insert(if dots >= self.ndots { 0 } else { names.len() }, name.to_vec());
        names
    }
}

/// The addresses that hosts(5) gives a name.
pub fn in_hosts(text: &[u8], name: &[u8]) -> Vec<SocketAddr> {
    let address = |line: &[u8]| {
        let mut words = words(line);
        let address = numeric(words.next()?, 0)?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    };
    text.split(|byte| *byte == b'\n').filter_map(address).collect()
}

/// The words of a line, without its comment.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let comment = line.iter().position(|byte| matches!(byte, b'#' | b';')).unwrap_or(line.len());
    line[..comment].split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The system's configuration, read once.
pub struct Resolver {
    pub hosts: Vec<u8>,
    pub configuration: Configuration,
}

impl Resolver {
    /// A file that is missing says nothing; images without any file are ordinary.
    pub fn of_system() -> Resolver {
        let read = |path| {
            let mut text = Vec::new();
            let _ = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text));
            text
        };
        Resolver { hosts: read("/etc/hosts"), configuration: Configuration::parse(&read("/etc/resolv.conf")) }
    }

    /// All addresses of a host, with `port`. `NotFound`: there is no such name; `TimedOut`, `Other`: nobody could say.
    pub fn lookup(&self, host: &[u8], port: u16, family: Family, deadline: Deadline) -> io::Result<Vec<SocketAddr>> {
        let relative = host.strip_suffix(b".").unwrap_or(host);
        let mut addresses = match numeric(host, port) {
            Some(address) => vec![address],
            None => in_hosts(&self.hosts, relative),
        };
        if addresses.is_empty() && is_localhost(relative) {
            addresses = vec![(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
        }
        let known = !addresses.is_empty();
        addresses.retain(|address| family.admits(address.ip()));
        if !known {
            let found = self.ask(host, family.kinds(), deadline)?;
            addresses = found.addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
        }
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "name not found"));
        }
        addresses.iter_mut().for_each(|address| address.set_port(port));
        Ok(addresses)
    }

    /// Where a service is (SRV records), in the order in which they should be tried. Errors as of [`Resolver::lookup`].
    pub fn services(&self, name: &[u8], deadline: Deadline) -> io::Result<Vec<Service>> {
        let mut services = self.ask(name, &[Kind::Srv], deadline)?.services;
        if services.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "name not found"));
        }
        order::sort_by_key(&mut services, |service| (service.priority, Reverse(service.weight)));
        Ok(services)
    }

    /// What the name servers tell of a name and what it may stand for; nothing where all say that there is no such name.
    fn ask(&self, name: &[u8], kinds: &[Kind], deadline: Deadline) -> io::Result<Found> {
        let mut failure = None;
        for candidate in self.configuration.candidates(name) {
            match self.ask_servers(&candidate, kinds, deadline) {
                Ok(found) if found.is_empty() => {}
                Ok(found) => return Ok(found),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(error),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(Found::default()), Err)
    }

    fn ask_servers(&self, name: &[u8], kinds: &[Kind], deadline: Deadline) -> io::Result<Found> {
        let queries: Option<Vec<Vec<u8>>> = kinds.iter().map(|kind| dns::query(random_id(), name, *kind)).collect();
        let Some(queries) = queries else { return Ok(Found::default()) };
        let Configuration { servers, attempts, timeout, .. } = &self.configuration;
        let rounds = *attempts * servers.len() as u32;
        let mut failure = io::Error::from(io::ErrorKind::TimedOut);
        for round in 0..rounds {
            let server = servers[round as usize % servers.len()];
            // No server may use up the time of the next one.
            let share = deadline.left() / (rounds - round);
            match exchange(server, &queries, Deadline::after(share.min(*timeout))) {
                Ok(found) => return Ok(found),
                Err(error) => {
                    let kind = match error.kind() {
                        io::ErrorKind::TimedOut => io::ErrorKind::TimedOut,
                        _ => io::ErrorKind::Other,
                    };
                    failure = io::Error::new(kind, format!("name server {}: {}", server.ip(), reason(&error)));
                }
            }
        }
        Err(failure)
    }
}

fn is_localhost(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    name == b"localhost" || name.ends_with(b".localhost")
}

/// The standard library seeds its hashes from the kernel's random numbers.
fn random_id() -> u16 {
    RandomState::new().build_hasher().finish() as u16
}

/// What answers have in them.
#[derive(Default)]
struct Found {
    addresses: Vec<IpAddr>,
    services: Vec<Service>,
}

impl Found {
    fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.services.is_empty()
    }
}

/// Sends the questions to one server and collects what its answers have in them.
fn exchange(server: SocketAddr, queries: &[Vec<u8>], deadline: Deadline) -> io::Result<Found> {
    let socket = UdpSocket::bind(unspecified(server))?;
    // Only this server's datagrams are received, and its ICMP errors.
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    for query in queries {
        socket.send(query)?;
    }
    let mut answers: Vec<Option<Answer>> = vec![None; queries.len()];
    let mut until = deadline;
    let mut buffer = [0; 4096];
    while answers.contains(&None) {
        match wait(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], until) {
            Err(_) if answers.iter().flatten().any(tells) => break,
            waited => waited?,
        }
        let length = match socket.recv(&mut buffer) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => continue,
            received => received?,
        };
        for (query, slot) in queries.iter().zip(&mut answers) {
            if slot.is_none()
                && let Some(answer) = dns::answer(&buffer[..length], query)
            {
                if tells(&answer) {
                    until = until.min(Deadline::after(GRACE));
                }
                *slot = Some(answer);
            }
        }
    }
    let mut found = Found::default();
    let mut failure = None;
    for (query, answer) in queries.iter().zip(answers) {
        let answer = match answer {
            Some(Answer::Truncated) => exchange_stream(server, query, deadline)?,
            answer => answer,
        };
        match answer {
            Some(Answer::Addresses(more)) => found.addresses.extend(more),
            Some(Answer::Services(more)) => found.services.extend(more),
            Some(Answer::Failure(code)) => failure = Some(code),
            Some(Answer::NoSuchName | Answer::Truncated) | None => {}
        }
    }
    match failure {
        Some(code) if found.is_empty() => Err(io::Error::other(meaning(code))),
        _ => Ok(found),
    }
}

fn tells(answer: &Answer) -> bool {
    match answer {
        Answer::Addresses(addresses) => !addresses.is_empty(),
        Answer::Services(services) => !services.is_empty(),
        _ => false,
    }
}

/// The same over TCP, where a message is preceded by its length (RFC 1035, section 4.2.2).
fn exchange_stream(server: SocketAddr, query: &[u8], deadline: Deadline) -> io::Result<Option<Answer>> {
    let mut connection = tcp(&[server], 0, deadline)?;
    let length = (query.len() as u16).to_be_bytes();
    connection.write_all(&[&length, query].concat())?;
    let mut length = [0; 2];
    connection.read_exact(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    connection.read_exact(&mut message)?;
    dns::answer(&message, query).map(Some).ok_or_else(|| io::Error::other("damaged answer"))
}

fn meaning(code: u8) -> String {
    match code {
        1 => String::from("format error"),
        2 => String::from("server failure"),
        4 => String::from("not implemented"),
        5 => String::from("query refused"),
        code => format!("error code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn resolver(server: SocketAddr, search: &str) -> Resolver {
        let mut configuration = Configuration::parse(format!("search {search}\noptions ndots:2 attempts:1").as_bytes());
        configuration.servers = vec![server];
        Resolver { hosts: b"10.0.0.1 db Alias # 10.0.0.2 no\n::1 db\n10.0.0.9\nbad db\n".to_vec(), configuration }
    }

    fn unused() -> Resolver {
        resolver(SocketAddr::from(([127, 0, 0, 1], 1)), "")
    }

    fn soon() -> Deadline {
        Deadline::after(Duration::from_millis(200))
    }

    fn later() -> Deadline {
        Deadline::after(Duration::from_secs(10))
    }

    /// Answers each question in turn with the flags and the records, then ends.
    #[expect(clippy::disallowed_methods)]
    fn serve(socket: UdpSocket, replies: Vec<([u8; 2], &'static [u8])>) -> std::thread::JoinHandle<Vec<Vec<u8>>> {
        std::thread::spawn(move || {
            let mut asked = Vec::new();
            for (flags, record) in replies {
                let mut buffer = [0; 512];
                let (length, peer) = socket.recv_from(&mut buffer).unwrap();
                asked.push(buffer[12..length].to_vec());
                socket.send_to(&reply(&buffer[..length], flags, record), peer).unwrap();
            }
            asked
        })
    }

    fn reply(query: &[u8], flags: [u8; 2], record: &[u8]) -> Vec<u8> {
        let answers = u8::from(!record.is_empty());
        [&query[..2], &flags, &[0, 1, 0, answers, 0, 0, 0, 0], &query[12..], record].concat()
    }

    const FOUND: [u8; 2] = [0x81, 0x80];
    const NO_NAME: [u8; 2] = [0x81, 0x83];
    const RECORD: &[u8] = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x00\x00\x07";

    #[test]
    fn numbers_hosts_and_localhost_need_no_server() {
        let lookup = |name: &str, family| {
            let found = unused().lookup(name.as_bytes(), 80, family, soon());
            found.map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>()).map_err(|error| error.kind())
        };
        assert_eq!(lookup("127.0.0.1", Family::Any), Ok(vec!["127.0.0.1:80".into()]));
        assert_eq!(lookup("fe80::1%1", Family::Any), Ok(vec!["[fe80::1%1]:80".into()]));
        assert_eq!(lookup("DB", Family::Any), Ok(vec!["10.0.0.1:80".into(), "[::1]:80".into()]));
        assert_eq!(lookup("alias.", Family::V4), Ok(vec!["10.0.0.1:80".into()]));
        assert_eq!(lookup("alias", Family::V6), Err(io::ErrorKind::NotFound));
        assert_eq!(lookup("localhost", Family::V6), Ok(vec!["[::1]:80".into()]));
        assert_eq!(lookup("127.0.0.1", Family::V6), Err(io::ErrorKind::NotFound));
    }

    #[test]
    fn the_configuration() {
        let text = b"# comment\nnameserver 10.0.0.2 ; x\nnameserver nonsense\nnameserver fe80::1%1\nsearch a.b c\n\
            options ndots:99 timeout:0 attempts:x rotate\n";
        let read = Configuration::parse(text);
        assert_eq!(read.servers, ["10.0.0.2:53".parse().unwrap(), "[fe80::1%1]:53".parse::<SocketAddr>().unwrap()]);
        assert_eq!(read.search, [b"a.b".to_vec(), b"c".to_vec()]);
        assert_eq!((read.ndots, read.timeout, read.attempts), (15, Duration::from_secs(1), 2));
        assert_eq!(Configuration::parse(b"").servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn search_domains() {
        let candidates = |name: &str| {
            let names = resolver("127.0.0.1:1".parse().unwrap(), "x.y. z").configuration.candidates(name.as_bytes());
            names.into_iter().map(|name| String::from_utf8(name).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(candidates("a"), ["a.x.y", "a.z", "a"]);
        assert_eq!(candidates("a.b.c"), ["a.b.c", "a.b.c.x.y", "a.b.c.z"]);
        assert_eq!(candidates("a."), ["a"]);
    }

    #[test]
    fn the_search_goes_on_after_a_missing_name() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let resolver = resolver(socket.local_addr().unwrap(), "x");
        let server = serve(socket, vec![(NO_NAME, b""), (FOUND, RECORD)]);
        let found = resolver.lookup(b"a", 80, Family::V4, later()).unwrap();
        assert_eq!(found, ["10.0.0.7:80".parse().unwrap()]);
        let asked = server.join().unwrap();
        assert_eq!(asked, [b"\x01a\x01x\x00\x00\x01\x00\x01".to_vec(), b"\x01a\x00\x00\x01\x00\x01".to_vec()]);
    }

    #[test]
    fn failures_differ() {
        for (flags, kind, text) in [
            (NO_NAME, io::ErrorKind::NotFound, "name not found"),
            (FOUND, io::ErrorKind::NotFound, "name not found"),
            ([0x81, 0x82], io::ErrorKind::Other, "name server 127.0.0.1: server failure"),
        ] {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let resolver = resolver(socket.local_addr().unwrap(), "");
            let server = serve(socket, vec![(flags, b"")]);
            let error = resolver.lookup(b"a", 80, Family::V4, later()).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
            server.join().unwrap();
        }
    }

    #[test]
    fn a_silent_server_times_out_and_a_closed_port_is_said() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let error = resolver(address, "x").lookup(b"a", 80, Family::Any, soon()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "name server 127.0.0.1: timed out");
        drop(socket);
        let error = resolver(address, "").lookup(b"a", 80, Family::V4, later()).unwrap_err();
        assert_eq!(error.to_string(), "name server 127.0.0.1: connection refused");
        assert_eq!(error.kind(), io::ErrorKind::Other);
    }

    #[test]
    fn one_kind_is_enough_when_the_other_never_comes() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let resolver = resolver(socket.local_addr().unwrap(), "");
        let server = serve(socket.try_clone().unwrap(), vec![(FOUND, RECORD)]);
        let found = resolver.lookup(b"a", 80, Family::Any, later()).unwrap();
        assert_eq!(found, ["10.0.0.7:80".parse().unwrap()]);
        server.join().unwrap();
    }

    #[test]
    #[expect(clippy::disallowed_methods)]
    fn a_truncated_answer_is_asked_for_again_over_tcp() {
        let stream = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = stream.local_addr().unwrap();
        let server = serve(UdpSocket::bind(address).unwrap(), vec![([0x83, 0x80], b"")]);
        let second = std::thread::spawn(move || {
            let (mut caller, _) = stream.accept().unwrap();
            let mut query = [0; 512];
            let length = caller.read(&mut query).unwrap();
            let message = reply(&query[2..length], FOUND, RECORD);
            caller.write_all(&[&(message.len() as u16).to_be_bytes(), message.as_slice()].concat()).unwrap();
        });
        let found = resolver(address, "").lookup(b"a", 80, Family::V4, later()).unwrap();
        assert_eq!(found, ["10.0.0.7:80".parse().unwrap()]);
        server.join().unwrap();
        second.join().unwrap();
    }
}
