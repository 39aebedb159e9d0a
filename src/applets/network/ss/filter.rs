//! What `ss` is asked to leave out: states first, then an expression of addresses and ports.

use std::net::{IpAddr, SocketAddr};

use crate::output::Safe;
use crate::target::sockets::Socket;

use super::states::States;

/// How deep parentheses and `not` may nest.
const DEPTH: usize = 50;

/// What is left when all is said.
#[derive(Debug, PartialEq)]
pub struct Filter {
    /// `None` where no state was named.
    pub states: Option<States>,
    test: Option<Test>,
}

#[derive(Debug, PartialEq)]
enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Port(Side, Order, u16),
    Host(Side, Option<(IpAddr, u8)>, Option<u16>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    Local,
    Remote,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Equal,
    Differs,
    Less,
    Greater,
    AtMost,
    AtLeast,
}

impl Order {
    fn named(word: &str) -> Option<Order> {
        Some(match word {
            "=" | "==" | "eq" => Order::Equal,
            "!=" | "ne" | "neq" => Order::Differs,
            "<" | "lt" => Order::Less,
            ">" | "gt" => Order::Greater,
            "<=" | "le" | "leq" => Order::AtMost,
            ">=" | "ge" | "geq" => Order::AtLeast,
            _ => return None,
        })
    }

    fn holds(self, left: u16, right: u16) -> bool {
        match self {
            Order::Equal => left == right,
            Order::Differs => left != right,
            Order::Less => left < right,
            Order::Greater => left > right,
            Order::AtMost => left <= right,
            Order::AtLeast => left >= right,
        }
    }
}

impl Filter {
    /// Parses the operands; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Filter, String> {
        let words = words(text);
        let mut words = Words { words: &words, depth: 0 };
        let mut states: Option<States> = None;
        while let Some(word) = words.take(&["state", "exclude", "excl"]) {
            let name = words.next().ok_or_else(|| format!("{word} needs a state"))?;
            let named = States::named(name).ok_or_else(|| format!("{}: no such state", Safe(name.as_bytes())))?;
            states = Some(match (word, states) {
                ("state", None) => named,
                ("state", Some(before)) => before.with(named),
                (_, before) => before.unwrap_or(States::ALL).without(named),
            });
        }
        let test = if words.words.is_empty() { None } else { Some(words.any()?) };
        match words.next() {
            None => Ok(Filter { states, test }),
            Some(word) => Err(unexpected(word)),
        }
    }

    pub fn takes(&self, socket: &Socket) -> bool {
        self.test.as_ref().is_none_or(|test| test.holds(socket))
    }

    /// Whether addresses are looked at, which Unix sockets do not have.
    pub fn has_test(&self) -> bool {
        self.test.is_some()
    }
}

impl Test {
    fn holds(&self, socket: &Socket) -> bool {
        let at = |side: &Side| if *side == Side::Local { socket.local } else { socket.remote };
        match self {
            Test::All(tests) => tests.iter().all(|test| test.holds(socket)),
            Test::Any(tests) => tests.iter().any(|test| test.holds(socket)),
            Test::Not(test) => !test.holds(socket),
            Test::Port(side, order, port) => order.holds(at(side).port(), *port),
            Test::Host(side, network, port) => {
                let address: SocketAddr = at(side);
                network.is_none_or(|(network, prefix)| within(address.ip(), network, prefix))
                    && port.is_none_or(|port| port == address.port())
            }
        }
    }
}

fn within(ip: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let bits = |ip: IpAddr| match ip.to_canonical() {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, true),
        IpAddr::V6(ip) => (u128::from(ip), false),
    };
    let ((ip, four), (network, four_too)) = (bits(ip), bits(network));
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
    four == four_too && (ip ^ network) & mask == 0
}

/// Words between white space; parentheses and comparisons are words of their own.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let kind = |char: char| match char {
        '(' | ')' => 1,
        '=' | '!' | '<' | '>' => 2,
        '&' | '|' => 3,
        _ if char.is_whitespace() => 4,
        _ => 0,
    };
    let mut start = 0;
    for (at, char) in text.char_indices() {
        let next = text[at + char.len_utf8()..].chars().next();
        // A parenthesis is alone, the others go on as long as they are of one kind.
        if kind(char) == 1 || next.is_none_or(|next| kind(next) != kind(char)) {
            let end = at + char.len_utf8();
            if kind(char) != 4 {
                words.push(&text[start..end]);
            }
            start = end;
        }
    }
    words
}

struct Words<'a> {
    words: &'a [&'a str],
    depth: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    /// The next word, if it is one of these.
    fn take(&mut self, wanted: &[&str]) -> Option<&'a str> {
        let first = *self.words.first()?;
        wanted.contains(&first).then(|| self.next()).flatten()
    }

    fn any(&mut self) -> Result<Test, String> {
        let mut tests = vec![self.all()?];
        while self.take(&["or", "|", "||"]).is_some() {
            tests.push(self.all()?);
        }
        Ok(one(tests, Test::Any))
    }

    fn all(&mut self) -> Result<Test, String> {
        let mut tests = vec![self.single()?];
        loop {
            let joined = self.take(&["and", "&", "&&"]).is_some();
            let ends = self.words.first().is_none_or(|word| ["or", "|", "||", ")"].contains(word));
            if !joined && ends {
                return Ok(one(tests, Test::All));
            }
            tests.push(self.single()?);
        }
    }

    fn single(&mut self) -> Result<Test, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(String::from("the filter is nested too deeply"));
        }
        let word = self.next().ok_or("the filter ends too early")?;
        let test = match word {
            "(" => {
                let test = self.any()?;
                self.take(&[")"]).ok_or("a parenthesis is not closed")?;
                test
            }
            "!" | "not" => Test::Not(Box::new(self.single()?)),
            "sport" => self.port(Side::Local)?,
            "dport" => self.port(Side::Remote)?,
            "src" => self.host(Side::Local)?,
            "dst" => self.host(Side::Remote)?,
            word => return Err(unexpected(word)),
        };
        self.depth -= 1;
        Ok(test)
    }

    fn order(&mut self) -> Order {
        let order = self.words.first().and_then(|word| Order::named(word));
        if order.is_some() {
            self.next();
        }
        order.unwrap_or(Order::Equal)
    }

    fn port(&mut self, side: Side) -> Result<Test, String> {
        let order = self.order();
        let word = self.next().ok_or("a port is missing")?;
        Ok(Test::Port(side, order, port(word.strip_prefix(':').unwrap_or(word))?))
    }

    fn host(&mut self, side: Side) -> Result<Test, String> {
        let order = self.order();
        let word = self.next().ok_or("an address is missing")?;
        let (network, port) = host(word)?;
        let test = Test::Host(side, network, port);
        match order {
            Order::Equal => Ok(test),
            Order::Differs => Ok(Test::Not(Box::new(test))),
            _ => Err(String::from("addresses are equal or they are not: = or !=")),
        }
    }
}

fn one(mut tests: Vec<Test>, several: fn(Vec<Test>) -> Test) -> Test {
    match (tests.pop(), tests.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            tests.extend(last);
            several(tests)
        }
    }
}

fn unexpected(word: &str) -> String {
    format!("{}: not expected in a filter (state, exclude, sport, dport, src, dst)", Safe(word.as_bytes()))
}

fn port(word: &str) -> Result<u16, String> {
    let wrong = || format!("{}: a port is a number up to 65535", Safe(word.as_bytes()));
    word.parse().ok().filter(|_| !word.starts_with('+')).ok_or_else(wrong)
}

type Host = (Option<(IpAddr, u8)>, Option<u16>);

/// `10.0.0.1`, `10.0.0.0/8`, `10.0.0.1:80`, `:80`, `*:80`, `[::1]:80`, `::1`.
fn host(word: &str) -> Result<Host, String> {
    let wrong = || format!("{}: not an address in digits", Safe(word.as_bytes()));
    let network = |text: &str| {
        let (ip, prefix) = text.split_once('/').map_or((text, None), |(ip, prefix)| (ip, Some(prefix)));
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if prefix > most { Err(wrong()) } else { Ok(Some((ip, prefix))) }
    };
    if word == "*" {
        return Ok((None, None));
    }
    if let Some(rest) = word.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']').ok_or_else(wrong)?;
        // The prefix may stand behind the bracket, too.
        let (rest, number) = rest.rsplit_once(':').map_or((rest, None), |(rest, number)| (rest, Some(number)));
        return Ok((network(&format!("{ip}{rest}"))?, number.map(port).transpose()?));
    }
    match word.rsplit_once(':') {
        Some((ip, number)) if !ip.contains(':') => {
            let network = if ip.is_empty() || ip == "*" { None } else { network(ip)? };
            Ok((network, if number == "*" { None } else { Some(port(number)?) }))
        }
        _ => Ok((network(word)?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::sockets::State;

    fn socket(local: &str, remote: &str) -> Socket {
        let line = b"0: 00000000:0000 00000000:0000 01 00000000:00000000 00:00000000 00000000 0 0 1 1 0 100 0 0 10 0";
        let socket = Socket::parse(line).unwrap();
        Socket { local: local.parse().unwrap(), remote: remote.parse().unwrap(), ..socket }
    }

    #[test]
    fn expressions() {
        let socket = socket("10.0.0.2:11211", "10.1.0.3:50000");
        let takes = |text: &str| Filter::parse(text).unwrap().takes(&socket);
        for text in [
            "",
            "sport = :11211",
            "sport=:11211",
            "sport :11211",
            "sport eq 11211",
            "dport != :80",
            "dport >= :50000 and dport <= :50000",
            "dport gt :1024 sport lt :20000",
            "src 10.0.0.2",
            "src 10.0.0.0/8 and dst 10.1.0.0/16",
            "dst 10.1.0.3:50000",
            "dst = 10.1.0.3",
            "dst != 10.2.0.3",
            "dst :50000",
            "dst *:50000",
            "src *",
            "( sport = :80 or sport = :11211 ) and not dport = :1",
            "(sport=:80||sport=:11211)&&!dport=:1",
            "sport = :1 and sport = :2 or dport = :50000",
            "src ::ffff:10.0.0.2",
        ] {
            assert!(takes(text), "{text}");
        }
        for text in
            ["sport = :80", "dst 10.0.0.2", "not sport = :11211", "src 10.0.0.2:80", "dport < :50000", "src ::/0"]
        {
            assert!(!takes(text), "{text}");
        }
    }

    #[test]
    fn addresses_of_ipv6() {
        let socket = socket("[2001:db8::1]:80", "[::ffff:10.0.0.3]:50000");
        let takes = |text: &str| Filter::parse(text).unwrap().takes(&socket);
        for text in
            ["src 2001:db8::1", "src [2001:db8::1]:80", "src [2001:db8::]/32", "src 2001:db8::/32", "dst 10.0.0.3"]
        {
            assert!(takes(text), "{text}");
        }
        assert!(!takes("src [2001:db8::1]:81") && !takes("src 10.0.0.3"));
    }

    #[test]
    fn states() {
        let states = |text: &str| Filter::parse(text).unwrap().states;
        assert_eq!(states("sport = :1"), None);
        let only = states("state established").unwrap();
        assert!(only.contains(State::Established) && !only.contains(State::Listen) && only.is_single());
        let two = states("state established state time-wait sport = :1").unwrap();
        assert!(two.contains(State::TimeWait) && two.contains(State::Established) && !two.is_single());
        let most = states("exclude listening").unwrap();
        assert!(most.contains(State::Close) && !most.contains(State::Listen));
        let connected = states("state connected exclude time-wait").unwrap();
        assert!(connected.contains(State::SynReceived) && !connected.contains(State::TimeWait));
    }

    #[test]
    fn what_is_no_filter() {
        for (text, why) in [
            ("state", "state needs a state"),
            ("state open", "open: no such state"),
            ("sport = :http", "http: a port is a number up to 65535"),
            ("sport = :70000", "70000: a port is a number up to 65535"),
            ("sport =", "a port is missing"),
            ("dst", "an address is missing"),
            ("dst example.org", "example.org: not an address in digits"),
            ("dst 10.0.0.0/33", "10.0.0.0/33: not an address in digits"),
            ("dst < 10.0.0.1", "addresses are equal or they are not: = or !="),
            ("( sport = :1", "a parenthesis is not closed"),
            ("sport = :1 )", "): not expected in a filter (state, exclude, sport, dport, src, dst)"),
            ("x\u{1b}", "x\\x1b: not expected in a filter (state, exclude, sport, dport, src, dst)"),
            ("not", "the filter ends too early"),
        ] {
            assert_eq!(Filter::parse(text), Err(String::from(why)), "{text}");
        }
        assert_eq!(Filter::parse(&"(".repeat(10_000)), Err(String::from("the filter is nested too deeply")));
        assert!(Filter::parse(&"!".repeat(10_000)).is_err());
    }
}
