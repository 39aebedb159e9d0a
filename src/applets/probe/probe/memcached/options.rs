//! What every verb takes: servers, time, login; and what becomes of it where nothing was named.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::duration;
use super::server::{Credentials, Over, Process, Server};
use crate::applet::{Context, Error, Result};
use crate::inspect::memcached::{Flags, PORT, SERVICE};
use crate::inspect::service::{How, Place, in_target};
use crate::net::address::numeric;
use crate::net::{Address, Deadline, Family, Resolver, reason};
use crate::output::Safe;
use crate::target::process::{Reader, arguments};
use crate::target::program::environment;

/// More than any password.
const MAX_FILE: usize = 4 << 20;
/// More servers than anybody looks at side by side.
const MAX_SERVERS: usize = 256;

/// What is said of a server that speaks TLS.
pub const NO_TLS: &str = "TLS is not supported yet";

#[derive(clap::Args)]
pub struct Shared {
    /// Ask this server; may be repeated, and then all are asked at the same time
    #[arg(short, long = "server", value_name = "ADDRESS")]
    servers: Vec<OsString>,
    /// Take each address that a name has for a server of its own
    #[arg(long)]
    all_addresses: bool,
    /// Limit for everything together: 2s, 500ms, 1m
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub timeout: Duration,
    /// Write one JSON object a server
    #[arg(long)]
    pub json: bool,
    /// Protocol: auto, text, binary
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = proto)]
    pub proto: Proto,
    /// Log in as USER: -Y of the server in text, -S in binary
    #[arg(short, long, value_name = "USER")]
    user: Option<OsString>,
    /// File with the password, '-' for standard input; else MEMCACHED_PASSWORD
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// How many words behind a shared option belong to it; `None` for what is none.
pub fn arity(option: &[u8]) -> Option<usize> {
    const VALUED: [&[u8]; 5] = [b"--server", b"--timeout", b"--proto", b"--user", b"--password-file"];
    const PLAIN: [&[u8]; 3] = [b"--all-addresses", b"--json", b"--help"];
    match option {
        b"-s" | b"-u" => Some(1),
        [b'-', b's' | b'u', ..] => Some(0),
        long if VALUED.contains(&long) => Some(1),
        long if PLAIN.contains(&long) => Some(0),
        long => {
            let (name, _) = long.split_at(memchr::memchr(b'=', long)?);
            VALUED.contains(&name).then_some(0)
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proto {
    Auto,
    Text,
    Binary,
}

fn proto(text: &str) -> std::result::Result<Proto, &'static str> {
    match text {
        "auto" => Ok(Proto::Auto),
        "text" | "meta" => Ok(Proto::Text),
        "binary" => Ok(Proto::Binary),
        _ => Err("auto, text or binary"),
    }
}

impl Shared {
    fn credentials(&self, cx: &mut Context<'_>) -> Result<Option<Credentials>> {
        let Some(user) = &self.user else { return Ok(None) };
        let mut password = match self.password_file.as_deref() {
            Some(path) if path == Path::new("-") => {
                let mut text = Vec::new();
                let read = (&cx.io.stdin).take(MAX_FILE as u64).read_to_end(&mut text);
                read.map_err(|error| Error::Status(2, format!("standard input: {}", reason(&error))))?;
                text
            }
            Some(path) => read(cx, path)?,
            None => match cx.env.get("MEMCACHED_PASSWORD") {
                Some(password) => password.as_bytes().to_vec(),
                None => return Err(Error::usage("-u needs --password-file FILE, or MEMCACHED_PASSWORD")),
            },
        };
        // The file's last line ends, the password does not.
        while password.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            password.pop();
        }
        if password.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(Error::Status(2, String::from("the password has line breaks in it")));
        }
        if user.as_bytes().iter().any(|byte| *byte <= b' ') {
            return Err(Error::Status(2, String::from("the user's name has blanks in it")));
        }
        Ok(Some(Credentials { user: user.as_bytes().to_vec(), password, origin: None }))
    }
}

fn shown(path: &Path) -> String {
    Safe::path(path).to_string()
}

fn read(cx: &Context<'_>, path: &Path) -> Result<Vec<u8>> {
    cx.files.text(path, MAX_FILE).map_err(|error| Error::Status(2, format!("{}: {}", shown(path), reason(&error))))
}

/// The servers that are meant, ready to be asked.
pub fn servers(cx: &mut Context<'_>, shared: &Shared, address: Option<OsString>) -> Result<Vec<Server>> {
    let credentials = shared.credentials(cx)?;
    let mut named: Vec<OsString> = address.into_iter().chain(shared.servers.iter().cloned()).collect();
    if named.is_empty()
        && let Some(list) = cx.env.get("MEMCACHED_SERVERS")
    {
        let words = list.as_bytes().split(|byte| matches!(byte, b',' | b' ')).filter(|word| !word.is_empty());
        named = words.map(|word| OsStr::from_bytes(word).to_os_string()).collect();
    }
    if named.is_empty() {
        return Ok(vec![own(cx, credentials)?]);
    }
    let mut servers = Vec::new();
    for text in &named {
        let (over, address) = parse(text)?;
        let mut addresses = vec![address.clone()];
        if shared.all_addresses
            && let Address::Host(host, port) = &address
            && numeric(host, *port).is_none()
        {
            let all = Resolver::of_system().lookup(host, *port, Family::Any, Deadline::after(shared.timeout));
            let all = all.map_err(|error| Error::Status(3, format!("{}: {}", Safe(host), reason(&error))))?;
            addresses = all.into_iter().map(Address::from).collect();
        }
        for address in addresses {
            // Whether the target's network is ours is only looked at when there is something to explain.
            let place = Place { address, how: How::Named, shared: None, process: None };
            servers.push(Server::new(place, over, credentials.clone(), None));
        }
    }
    if servers.len() > MAX_SERVERS {
        return Err(Error::usage(format_args!("{} servers, but at most {MAX_SERVERS}", servers.len())));
    }
    Ok(servers)
}

fn parse(text: &OsStr) -> Result<(Over, Address)> {
    let bytes = text.as_bytes();
    if bytes.starts_with(b"tls://") {
        return Err(Error::usage(format_args!("{}: {NO_TLS}", Safe::os(text))));
    }
    let (over, rest) = match bytes.strip_prefix(b"udp://") {
        Some(rest) => (Over::Datagrams, rest),
        None => (Over::Plain, bytes),
    };
    match Address::parse(OsStr::from_bytes(rest), PORT) {
        Ok(Address::Unix(_)) if over == Over::Datagrams => {
            Err(Error::usage(format_args!("{}: UDP needs a host", Safe::os(text))))
        }
        Ok(address) => Ok((over, address)),
        Err(why) => Err(Error::usage(format_args!("{}: {why}", Safe::os(text)))),
    }
}

/// The target's own, in the way that its command line asks for.
fn own(cx: &mut Context<'_>, credentials: Option<Credentials>) -> Result<Server> {
    let place = Place::find(&SERVICE, cx.files.target());
    let process = place.process.map(|pid| {
        let arguments = arguments(pid).unwrap_or_default();
        Process { pid, flags: Flags::parse(arguments.iter().skip(1).map(Vec::as_slice)) }
    });
    let flags = process.as_ref().map(|process| &process.flags);
    let port = if let Address::Host(_, port) = &place.address { *port } else { 0 };
    if flags.is_some_and(|flags| flags.speaks_tls(port)) {
        return Err(Error::Status(8, format!("the target's memcached speaks TLS (-Z): {NO_TLS}")));
    }
    let credentials = credentials.or_else(|| login_of(cx, process.as_ref()?));
    Ok(Server::new(place, Over::Plain, credentials, process))
}

/// The first login that the server knows, from the files and variables it has it from, where we may read them.
fn login_of(cx: &Context<'_>, process: &Process) -> Option<Credentials> {
    let (path, origin) = if let Some(file) = process.flags.value(b'Y') {
        (in_target(file), "the target's -Y file")
    } else if process.flags.has(b'S') {
        let variables = environment(&Reader::open().ok()?, process.pid).ok()?;
        let file = variables.iter().find_map(|pair| pair.strip_prefix(b"MEMCACHED_SASL_PWDB="))?;
        (in_target(file), "the target's MEMCACHED_SASL_PWDB")
    } else {
        return None;
    };
    let text = cx.files.text(Path::new(OsStr::from_bytes(&path)), MAX_FILE).ok()?;
    let line = text.split(|byte| *byte == b'\n').find(|line| !line.is_empty())?;
    let mut words = line.split(|byte| *byte == b':');
    let (user, password) = (words.next()?.to_vec(), words.next()?);
    let password = password.strip_suffix(b"\r").unwrap_or(password).to_vec();
    Some(Credentials { user, password, origin: Some(origin) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [`arity`] repeats the declaration, because it is needed before one is built.
    #[test]
    fn options_before_a_verb() {
        let command = <Shared as clap::Args>::augment_args(clap::Command::new("x"));
        for arg in command.get_arguments() {
            let takes = usize::from(arg.get_action().takes_values());
            if let Some(long) = arg.get_long() {
                assert_eq!(arity(format!("--{long}").as_bytes()), Some(takes), "--{long}");
            }
            if let Some(short) = arg.get_short() {
                assert_eq!(arity(format!("-{short}").as_bytes()), Some(takes), "-{short}");
            }
        }
        assert_eq!(
            (arity(b"--timeout=1s"), arity(b"-sx"), arity(b"--ttl"), arity(b"--ttl=1")),
            (Some(0), Some(0), None, None)
        );
    }

    #[test]
    fn schemes() {
        let parsed = |text: &str| parse(OsStr::new(text)).map(|(over, address)| (over, address.to_bytes())).ok();
        assert_eq!(parsed("tls://h:1"), None);
        assert_eq!(parsed("udp://h"), Some((Over::Datagrams, b"h:11211".to_vec())));
        assert_eq!(parsed("@/x"), Some((Over::Plain, b"@/x".to_vec())));
        assert_eq!(parsed("udp:///x"), None);
    }
}
