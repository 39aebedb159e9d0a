//! ip: addresses, interfaces, routes and neighbours of the target's network namespace, after iproute2.
//!
//! `ip addr|link|route|neigh [show] [dev NAME]`, the objects and commands in the short forms, too. What deviates:
//!
//! - The network is the target's. Where it is ours, the kernel is asked (rtnetlink), and the answer is iproute2's.
//!   Otherwise it is read from /proc, which lacks some of it, and that is left out or `?`: the interface of an IPv4
//!   address is that of a connected route to its network; flags, MTU and hardware addresses come from the target's
//!   /sys where we may read it; routes have no protocol; IPv6 neighbours cannot be seen. A note says which.
//! - It only looks: whatever would change the network is refused.
//! - --json has iproute2's keys, but one object a line, not an array.
//!
//! Exits with 1 where something cannot be read, is not there, or is refused.

mod inet;
mod links;
mod routes;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::Safe;
use crate::target::network::Network;

pub static APPLET: Applet =
    Applet { names: &["ip"], usage: <Options as clap::CommandFactory>::command, run, place: Place::Child, trouble: 1 };

/// Show the target's addresses, interfaces, routes and neighbours
#[derive(clap::Parser)]
#[command(name = "ip", override_usage = "ip [OPTIONS] addr|link|route|neigh [show] [dev NAME]")]
struct Options {
    /// Only IPv4
    #[arg(short = '4')]
    four: bool,
    /// Only IPv6; of routes, those of IPv6
    #[arg(short = '6')]
    six: bool,
    /// One short line for each interface (-br)
    #[arg(long)]
    brief: bool,
    /// One JSON object a line (-j)
    #[arg(short, long)]
    json: bool,
    /// The counters of each interface, too
    #[arg(short, long)]
    stats: bool,
    /// addr, link, route or neigh; then show, and dev NAME
    #[arg(value_name = "WHAT")]
    words: Vec<OsString>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Object {
    Address,
    Link,
    Route,
    Neighbour,
}

/// What is asked for.
struct Question {
    object: Object,
    device: Option<Vec<u8>>,
    /// Only interfaces that are up.
    up: bool,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    cx.args = std::mem::take(&mut cx.args).into_iter().map(spelled).collect();
    let options = cx.parse::<Options>()?;
    let question = Question::parse(&options.words)?;
    if let Err(absent) = cx.files.target() {
        cx.note(absent);
    }
    let Some(network) = Network::seen(cx.files) else { return Ok(Exit(1)) };
    match question.object {
        Object::Address | Object::Link => links::show(cx, &options, &network, &question)?,
        Object::Route => routes::show(cx, &options, &network, &question)?,
        Object::Neighbour => routes::neighbours(cx, &options, &network, &question)?,
    }
    Ok(Exit(0))
}

/// iproute2's options have words behind one hyphen, and any start of them will do.
fn spelled(argument: OsString) -> OsString {
    let word = argument.as_bytes();
    let long = |name: &str, least: usize| word.len() > least && format!("-{name}").as_bytes().starts_with(word);
    match () {
        () if long("brief", 2) || word == b"-br" => "--brief".into(),
        () if long("json", 1) => "--json".into(),
        () if long("stats", 1) || long("statistics", 1) => "--stats".into(),
        () => argument,
    }
}

impl Options {
    fn family(&self, six: bool) -> bool {
        self.four == self.six || self.six == six
    }
}

impl Question {
    fn parse(words: &[OsString]) -> Result<Question> {
        let mut words = words.iter().map(|word| word.as_bytes());
        let object = words.next().unwrap_or(b"address");
        let starts = |word: &[u8], name: &str| !word.is_empty() && name.as_bytes().starts_with(word);
        let known = [
            ("address", Object::Address),
            ("link", Object::Link),
            ("route", Object::Route),
            ("neighbour", Object::Neighbour),
            ("neighbor", Object::Neighbour),
        ];
        let Some((name, object)) = known.into_iter().find(|(name, _)| starts(object, name)) else {
            let object = Safe(object);
            return Err(Error::usage(format_args!("{object}: not shown here; addr, link, route and neigh are")));
        };
        let mut question = Question { object, device: None, up: false };
        let mut first = true;
        while let Some(word) = words.next() {
            let command = std::mem::replace(&mut first, false);
            match word {
                b"dev" => {
                    let device = words.next().ok_or_else(|| Error::usage("dev needs the name of an interface"))?;
                    question.device = Some(device.to_vec());
                }
                b"up" => question.up = true,
                b"lst" | b"ls" if command => {}
                _ if command && (starts(word, "show") || starts(word, "list")) => {}
                _ if command && CHANGES.iter().any(|change| starts(word, change)) => {
                    let what =
                        format_args!("{name} {}: refused: this ip only looks, it changes no network", Safe(word));
                    return Err(Error::message(what));
                }
                // The name alone, as iproute2 takes it.
                _ if !command && matches!(object, Object::Address | Object::Link) && question.device.is_none() => {
                    question.device = Some(word.to_vec());
                }
                word => return Err(Error::usage(format_args!("{}: not known here", Safe(word)))),
            }
        }
        Ok(question)
    }

    /// Whether the interface is asked for.
    fn takes(&self, device: &[u8]) -> bool {
        self.device.as_deref().is_none_or(|wanted| wanted == device)
    }
}

/// The commands that are not for looking. Any start of them is refused, but for those of `show` and `list`.
const CHANGES: [&str; 9] = ["add", "delete", "set", "change", "replace", "append", "prepend", "flush", "restore"];

/// What cannot be read of the network is the end.
fn stopped(network: &Network) -> impl Fn(io::Error) -> Error {
    move |error| Error::message(format_args!("the network of {network}: {}", reason(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    fn asked(words: &[&str]) -> (&'static str, Option<String>, bool) {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let question = Question::parse(&words).unwrap_or_else(|_| panic!("{words:?}"));
        let object = match question.object {
            Object::Address => "address",
            Object::Link => "link",
            Object::Route => "route",
            Object::Neighbour => "neighbour",
        };
        (object, question.device.map(|device| String::from_utf8(device).unwrap()), question.up)
    }

    #[test]
    fn short_forms() {
        let eth0 = Some(String::from("eth0"));
        assert_eq!(asked(&[]), ("address", None, false));
        assert_eq!(asked(&["a"]), ("address", None, false));
        assert_eq!(asked(&["addr", "show", "dev", "eth0"]), ("address", eth0.clone(), false));
        assert_eq!(asked(&["a", "s", "eth0"]), ("address", eth0.clone(), false));
        assert_eq!(asked(&["l", "ls", "up"]), ("link", None, true));
        assert_eq!(asked(&["ro", "li"]), ("route", None, false));
        assert_eq!(asked(&["neigh", "dev", "eth0"]), ("neighbour", eth0.clone(), false));
        assert_eq!(asked(&["neighbor"]), ("neighbour", None, false));
    }

    #[test]
    fn options_with_one_hyphen() {
        for (word, spelled_out) in [
            ("-br", "--brief"),
            ("-brief", "--brief"),
            ("-j", "--json"),
            ("-json", "--json"),
            ("-s", "--stats"),
            ("-stat", "--stats"),
            ("-4", "-4"),
            ("-b", "-b"),
            ("addr", "addr"),
            ("-", "-"),
        ] {
            assert_eq!(spelled(word.into()), spelled_out);
        }
    }

    #[test]
    fn nothing_is_changed() {
        for args in
            [&["link", "set", "lo", "down"][..], &["a", "add", "10.0.0.1/8", "dev", "lo"], &["route", "del", "default"]]
        {
            let done = capture(&APPLET, args, b"");
            assert_eq!((done.status, done.out.as_str()), (1, ""), "{args:?}");
            assert!(done.err.ends_with(": refused: this ip only looks, it changes no network\n"), "{}", done.err);
        }
        for args in [&["rule"][..], &["a", "x"], &["a", "show", "dev"], &["-z"], &["r", "show", "eth0"], &["a\x1b"]] {
            let done = capture(&APPLET, args, b"");
            assert_eq!((done.status, done.out.as_str(), done.err.lines().count()), (2, "", 1), "{args:?}");
        }
    }
}
