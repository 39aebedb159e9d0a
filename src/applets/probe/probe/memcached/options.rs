//! What every verb takes: servers, time, TLS, login; and what becomes of it where nothing was named. Longer than most,
//! because each option of TLS and of logins has its own ways to be wrong.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::termios::SetArg;
use nix::sys::time::TimeSpec;

use super::super::duration;
use super::server::{Credentials, Over, Process, Server};
use crate::applet::{Context, Error, Exit, Result};
use crate::inspect::memcached::{Flags, PORT, SERVICE};
use crate::inspect::secrets;
use crate::inspect::service::{How, Place, in_target, others};
use crate::net::address::numeric;
use crate::net::tls::{self, Names, Settings, Trust};
use crate::net::{Address, Deadline, Family, Resolver, reason};
use crate::output::Safe;
use crate::sys::signal::{self, Caught};
use crate::sys::terminal::Hidden;
use crate::target::process::{Reader, arguments};
use crate::target::program::environment;

/// The longest line that is taken for a password.
const MAX_PASSWORD: usize = 4096;
/// How long a person may take to type one.
const TYPING: Duration = Duration::from_secs(60);
/// More servers than anybody looks at side by side.
const MAX_SERVERS: usize = 256;

/// So many servers that are not asked are named.
const MOST_OTHERS: usize = 8;

/// What the options of TLS are called here.
static NAMES: Names = Names {
    ca: "--ca",
    cert: "--cert",
    key: "--key",
    server_name: Some("--server-name"),
    insecure: Some("--insecure"),
    plain: "leave out --tls",
};

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
    /// Speak TLS
    #[arg(long)]
    tls: bool,
    /// Trust the certificates in FILE
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Show the server the certificate in FILE
    #[arg(long, value_name = "FILE", requires = "private_key")]
    cert: Option<PathBuf>,
    /// The private key of --cert
    #[arg(long = "key", value_name = "FILE", requires = "cert")]
    private_key: Option<PathBuf>,
    /// Name that the server's certificate must have
    #[arg(long, value_name = "NAME")]
    server_name: Option<OsString>,
    /// Speak TLS with whoever answers
    #[arg(long)]
    insecure: bool,
}

/// How many words behind a shared option belong to it; `None` for what is none.
pub fn arity(option: &[u8]) -> Option<usize> {
    const VALUED: [&[u8]; 9] = [
        b"--server",
        b"--timeout",
        b"--proto",
        b"--user",
        b"--password-file",
        b"--ca",
        b"--cert",
        b"--key",
        b"--server-name",
    ];
    const PLAIN: [&[u8]; 5] = [b"--all-addresses", b"--json", b"--tls", b"--insecure", b"--help"];
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
    fn wants_tls(&self) -> bool {
        self.tls || self.insecure || self.ca.is_some() || self.cert.is_some() || self.server_name.is_some()
    }

    /// Whether standard input is the password.
    pub fn takes_input(&self) -> bool {
        self.user.is_some() && self.password_file.as_deref() == Some(Path::new("-"))
    }

    fn credentials(&self, cx: &mut Context<'_>) -> Result<Option<Credentials>> {
        let Some(user) = &self.user else { return Ok(None) };
        let mut password = match self.password_file.as_deref() {
            Some(path) if path == Path::new("-") => typed(cx, self.timeout)?,
            Some(path) => secrets::read(cx.files, path).map_err(trouble)?,
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

    /// `own` are files of the server's process: its certificates are believed where no other were named.
    fn tls(&self, cx: &Context<'_>, own: &[PathBuf]) -> Result<tls::Client> {
        let trust = if self.insecure {
            Trust::Anyone
        } else if let Some(path) = &self.ca {
            Trust::Roots { certificates: certificates(cx, path)?, origin: shown(path), own: false }
        } else {
            self.default_trust(cx, own)?
        };
        let identity = match (&self.cert, &self.private_key) {
            (Some(cert), Some(key)) => {
                let key = secrets::private_key(cx.files, key).map_err(trouble)?;
                Some((certificates(cx, cert)?, key))
            }
            _ => None,
        };
        tls::Client::new(Settings { trust, identity, names: &NAMES }).map_err(trouble)
    }

    fn default_trust(&self, cx: &Context<'_>, own: &[PathBuf]) -> Result<Trust> {
        let mut found: Vec<_> = own.iter().filter_map(|path| Some((path, certificates(cx, path).ok()?))).collect();
        if !found.is_empty() {
            let origin = found.iter().map(|(path, _)| shown(path)).collect::<Vec<_>>().join(", ");
            let certificates = found.drain(..).flat_map(|(_, certificates)| certificates).collect();
            return Ok(Trust::Roots { certificates, origin, own: true });
        }
        let named = cx.env.get("SSL_CERT_FILE").map(PathBuf::from);
        let found = secrets::authorities(cx.files, named);
        let (certificates, origin) = found.ok_or_else(|| {
            let text =
                "TLS: whom to trust? There is no file of authorities here or in the target: --ca FILE, or --insecure";
            Error::Status(2, String::from(text))
        })?;
        Ok(Trust::Roots { certificates, origin, own: false })
    }
}

/// The first line of standard input; not shown where somebody types it.
fn typed(cx: &mut Context<'_>, timeout: Duration) -> Result<Vec<u8>> {
    let _caught = Caught::endings();
    let hidden = Hidden::new(&cx.io.stdin, SetArg::TCSAFLUSH);
    let person = hidden.is_terminal();
    if person {
        let _ = cx.io.err.write_all(b"password: ");
    }
    let typed = line(&cx.io.stdin, Deadline::after(if person { TYPING } else { timeout }));
    drop(hidden);
    if person {
        let _ = cx.io.err.write_all(b"\n");
    }
    typed.map_err(|error| match Caught::asked() {
        Some(signal) => Error::Exit(Exit(128 + signal as u8)),
        None => Error::Status(2, format!("standard input: {}", reason(&error))),
    })
}

fn line(mut input: &File, deadline: Deadline) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut byte = [0];
    while text.len() < MAX_PASSWORD {
        if !signal::wait_readable(input.as_fd(), Some(TimeSpec::from_duration(deadline.left())))? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if input.read(&mut byte)? == 0 || byte == *b"\n" {
            break;
        }
        text.extend_from_slice(&byte);
    }
    Ok(text)
}

fn shown(path: &Path) -> String {
    Safe::path(path).to_string()
}

fn trouble(why: String) -> Error {
    Error::Status(2, why)
}

fn certificates(cx: &Context<'_>, path: &Path) -> Result<tls::Certificates> {
    secrets::certificates(cx.files, path).map_err(trouble)
}

/// The servers that are meant, ready to be asked.
pub fn servers(cx: &mut Context<'_>, shared: &Shared, address: Option<OsString>) -> Result<Vec<Server>> {
    let mut servers = named_or_own(cx, shared, address)?;
    let name = shared.server_name.as_ref().map(|name| name.as_bytes().to_vec());
    servers.iter_mut().for_each(|server| server.server_name.clone_from(&name));
    Ok(servers)
}

fn named_or_own(cx: &mut Context<'_>, shared: &Shared, address: Option<OsString>) -> Result<Vec<Server>> {
    let credentials = shared.credentials(cx)?;
    let mut named: Vec<OsString> = address.into_iter().chain(shared.servers.iter().cloned()).collect();
    if named.is_empty()
        && let Some(list) = cx.env.get("MEMCACHED_SERVERS")
    {
        let words = list.as_bytes().split(|byte| matches!(byte, b',' | b' ')).filter(|word| !word.is_empty());
        named = words.map(|word| OsStr::from_bytes(word).to_os_string()).collect();
    }
    if named.is_empty() {
        return Ok(vec![own(cx, shared, credentials)?]);
    }
    // Made once: the file of public authorities is large.
    let mut client = None;
    let mut servers = Vec::new();
    for text in &named {
        let (over, address) = parse(text, shared.wants_tls())?;
        if over == Over::Tls && client.is_none() {
            client = Some(shared.tls(cx, &[])?);
        }
        let tls = client.clone().filter(|_| over == Over::Tls);
        let mut addresses = vec![(address.clone(), None)];
        if shared.all_addresses
            && let Address::Host(host, port) = &address
            && numeric(host, *port).is_none()
        {
            let all = Resolver::of_system().lookup(host, *port, Family::Any, Deadline::after(shared.timeout));
            let all = all.map_err(|error| Error::Status(3, format!("{}: {}", Safe(host), reason(&error))))?;
            addresses = all.into_iter().map(|each| (Address::from(each), Some(host.clone()))).collect();
        }
        for (address, name) in addresses {
            // Whether the target's network is ours is only looked at when there is something to explain.
            let place = Place { address, how: How::Named, shared: None, process: None };
            servers.push(Server::new(place, over, tls.clone(), name, credentials.clone(), None));
        }
    }
    if servers.len() > MAX_SERVERS {
        return Err(Error::usage(format_args!("{} servers, but at most {MAX_SERVERS}", servers.len())));
    }
    Ok(servers)
}

fn parse(text: &OsStr, tls: bool) -> Result<(Over, Address)> {
    let bytes = text.as_bytes();
    let (over, rest) = match (bytes.strip_prefix(b"udp://"), bytes.strip_prefix(b"tls://")) {
        (Some(_), _) if tls => return Err(Error::usage(format_args!("{}: UDP has no TLS", Safe::os(text)))),
        (Some(rest), _) => (Over::Datagrams, rest),
        (_, Some(rest)) => (Over::Tls, rest),
        _ if tls => (Over::Tls, bytes),
        _ => (Over::Plain, bytes),
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
fn own(cx: &mut Context<'_>, shared: &Shared, credentials: Option<Credentials>) -> Result<Server> {
    let place = Place::find(&SERVICE, cx.files.target());
    note_others(cx, &place);
    let process = place.process.map(|pid| {
        let arguments = arguments(pid).unwrap_or_default();
        Process { pid, flags: Flags::parse(arguments.iter().skip(1).map(Vec::as_slice)) }
    });
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(&in_target(bytes)));
    let flags = process.as_ref().map(|process| &process.flags);
    let port = if let Address::Host(_, port) = &place.address { *port } else { 0 };
    let speaks_tls = flags.is_some_and(|flags| flags.speaks_tls(port));
    let tls = match shared.wants_tls() || speaks_tls {
        true => {
            let files = ["ssl_chain_cert", "ssl_ca_cert"];
            let own: Vec<PathBuf> = files.iter().filter_map(|name| flags?.extended_value(name)).map(path).collect();
            Some(shared.tls(cx, &own)?)
        }
        false => None,
    };
    let credentials = credentials.or_else(|| login_of(cx, process.as_ref()?));
    let over = if tls.is_some() { Over::Tls } else { Over::Plain };
    Ok(Server::new(place, over, tls, None, credentials, process))
}

/// Says which of several servers is asked, and how another one is.
fn note_others(cx: &mut Context<'_>, place: &Place) {
    let (Some(pid), Ok(target)) = (place.process, cx.files.target()) else { return };
    // Who has named a container means what is in it, and who has named the server means that one.
    let named = cx.env.get("SIDEBOX_TARGET").is_some();
    if named && target.pid == pid {
        return;
    }
    let others = others(&SERVICE, target, pid, !named);
    let Some((first, rest)) = others.split_first() else { return };
    let mut words = if rest.is_empty() { String::from("the other") } else { String::from("the others") };
    words += &format!(": SIDEBOX_TARGET={first} probe memcached");
    for (count, pid) in rest.iter().enumerate() {
        if count == MOST_OTHERS {
            words += ", ...";
            break;
        }
        words += &format!(", or {pid}");
    }
    cx.note(format_args!("process {pid} is asked, one of {} memcacheds; {words}", others.len() + 1));
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
    let text = secrets::read(cx.files, Path::new(OsStr::from_bytes(&path))).ok()?;
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
        let parsed = |text: &str| parse(OsStr::new(text), false).map(|(over, address)| (over, address.to_bytes())).ok();
        assert_eq!(parsed("tls://h:1"), Some((Over::Tls, b"h:1".to_vec())));
        assert_eq!(parsed("udp://h"), Some((Over::Datagrams, b"h:11211".to_vec())));
        assert_eq!(parsed("@/x"), Some((Over::Plain, b"@/x".to_vec())));
        assert_eq!(parsed("udp:///x"), None);
        assert!(parse(OsStr::new("udp://h"), true).is_err());
    }
}
