//! Where the cluster is and how it is entered: what was named, else what the target's own etcd was told.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Options;
use crate::applet::{Context, Error, Result, reason};
use crate::inspect::etcd::dial::{self, Secrets, dial};
use crate::inspect::etcd::settings::Settings;
use crate::inspect::etcd::{SERVICE, address_of};
use crate::inspect::service::{How, Place, in_target};
use crate::net::Address;
use crate::net::tls::Names;
use crate::output::Safe;
use crate::output::json::Object;
use crate::protocol::etcd::client::{KeepAlive, Limits};
use crate::protocol::etcd::{Client, Endpoint, Settings as Manner};
use crate::target::process::{Reader, arguments};
use crate::target::program::{environment, working_directory};

/// The most that is read of a configuration file or a password.
const FILE: usize = 1 << 20;

const TIMEOUT: Duration = Duration::from_secs(2);

/// The largest message that is taken. Pages of a range are far smaller, unless a value is large.
const MESSAGE: usize = 64 << 20;

/// One option has a shorter name than etcd's own.
static NAMES: Names = Names { insecure: Some("--insecure"), ..dial::NAMES };

pub struct Door<'c> {
    pub client: Client<'c>,
    /// As text: untrusted bytes, if it came from a target.
    pub address: Vec<u8>,
    pub place: Place,
    /// What the target's own etcd was told, if it is that which is asked.
    pub settings: Settings,
    pub secrets: Secrets,
    /// What would help if the server wants to know who we are.
    pub hint: Option<String>,
    pub timeout: Duration,
}

impl Door<'_> {
    /// An object that says which cluster it is about.
    pub fn object(&self) -> Object {
        let mut object = Object::new();
        object.bytes("address", &self.address).text("found_by", self.place.how.name());
        object
    }
}

pub fn open<'c>(cx: &mut Context<'c>, options: &Options, named: Option<&OsStr>) -> Result<Door<'c>> {
    let env = cx.env;
    let variable = |name: &str| env.get(name).filter(|value| !value.is_empty());
    let path = |given: &Option<PathBuf>, name: &str| given.clone().or_else(|| variable(name).map(PathBuf::from));
    let mut secrets = Secrets {
        authority: path(&options.cacert, "ETCDCTL_CACERT"),
        certificate: path(&options.cert, "ETCDCTL_CERT"),
        key: path(&options.key, "ETCDCTL_KEY"),
        anyone: options.insecure,
        ..Secrets::default()
    };
    if secrets.certificate.is_some() != secrets.key.is_some() {
        return Err(Error::usage("--cert and --key go together"));
    }
    let user = user(cx, options)?;
    let mut over_tls = secrets.is_given();
    let mut settings = Settings::default();
    let mut hint = None;
    let (place, endpoints) = match named.or_else(|| variable("ETCDCTL_ENDPOINTS")) {
        Some(text) => {
            let mut endpoints = Vec::new();
            for word in text.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                let endpoint = Endpoint::parse(word);
                endpoints.push(endpoint.map_err(|why| Error::usage(format_args!("{}: {why}", Safe(word))))?);
            }
            let Some(first) = endpoints.first() else { return Err(Error::usage("no endpoint")) };
            (Place::named(first.address.clone(), cx.files.target()), endpoints)
        }
        None => {
            let mut place = Place::find(&SERVICE, cx.files.target());
            let mut tls = None;
            if let Some(pid) = place.process {
                (settings, hint) = told(cx, pid);
                if let Some((address, is_secure)) = listens(&settings, place.shared == Some(false)) {
                    place.address = address;
                    // Its listeners are known, but not which of them is for clients.
                    if let How::Default(_) = place.how {
                        place.how = How::CommandLine(pid);
                    }
                    tls = Some(is_secure);
                    over_tls |= is_secure;
                }
                let given = [&secrets.authority, &secrets.certificate].iter().any(|path| path.is_some());
                if over_tls && !given {
                    let (files, denied) = own(cx, &settings, pid);
                    (secrets, hint) = (files, hint.or(denied));
                    secrets.anyone = options.insecure;
                }
            }
            let text = place.address.to_bytes();
            let endpoint = Endpoint { text, address: place.address.clone(), tls: tls.or(over_tls.then_some(true)) };
            (place, vec![endpoint])
        }
    };
    let timeout = options.timeout.unwrap_or(TIMEOUT);
    let manner = Manner {
        dial_timeout: timeout,
        timeout: Some(timeout),
        limits: Limits {
            message: MESSAGE,
            keep_alive: KeepAlive { time: Duration::from_secs(10), timeout: Duration::from_secs(6) },
            interruptible: false,
        },
        user,
    };
    let address = endpoints.iter().map(|endpoint| &endpoint.text[..]).collect::<Vec<_>>().join(&b","[..]);
    let dial = dial(cx.files, secrets.clone(), &NAMES, over_tls, &endpoints);
    let dial = dial.map_err(|why| Error::Status(2, format!("{}: {why}", Safe(&address))))?;
    let client = Client::new(manner, endpoints, dial);
    Ok(Door { client, address, place, settings, secrets, hint, timeout })
}

fn user(cx: &mut Context<'_>, options: &Options) -> Result<Option<(String, String)>> {
    let given = options.user.clone().or_else(|| cx.env.get("ETCDCTL_USER").map(OsStr::to_os_string));
    let Some(user) = given.filter(|user| !user.is_empty()) else { return Ok(None) };
    let user = user.to_str().ok_or_else(|| Error::usage("a user's name is UTF-8"))?;
    if let Some((name, password)) = user.split_once(':') {
        return Ok(Some((name.to_string(), password.to_string())));
    }
    let password = match options.password_file.as_deref() {
        Some(path) if path == Path::new("-") => {
            let mut text = Vec::new();
            let read = (&cx.io.stdin).take(FILE as u64).read_to_end(&mut text);
            read.map_err(|error| Error::Status(2, format!("standard input: {}", reason(&error))))?;
            text
        }
        Some(path) => {
            let text = cx.files.text(path, FILE);
            text.map_err(|error| Error::Status(2, format!("{}: {}", Safe::path(path), reason(&error))))?
        }
        None => match cx.env.get("ETCDCTL_PASSWORD") {
            Some(password) => password.as_bytes().to_vec(),
            None => {
                let text = "--user needs NAME:PASSWORD, --password-file FILE, or ETCDCTL_PASSWORD";
                return Err(Error::usage(text));
            }
        },
    };
    let password = String::from_utf8(password).map_err(|_| Error::usage("a password is UTF-8"))?;
    // The file's last line ends, the password does not.
    Ok(Some((user.to_string(), password.trim_end_matches(['\n', '\r']).to_string())))
}

/// What a process of the target was told, and why that is not all. Where its environment is closed to us, its flags have
/// to do.
fn told(cx: &Context<'_>, pid: i32) -> (Settings, Option<String>) {
    let environment = Reader::open().and_then(|reader| environment(&reader, pid)).unwrap_or_default();
    let settings = Settings::of_process(&arguments(pid).unwrap_or_default(), &environment);
    let Some(path) = settings.get("config-file").map(|path| in_root(path, pid)) else { return (settings, None) };
    match cx.files.text(&path, FILE) {
        Ok(text) => (Settings::of_file(&text), None),
        Err(error) => {
            (settings, Some(format!("what it was told is not known: {}: {}", Safe::path(&path), reason(&error))))
        }
    }
}

/// A path of the process's, as our commands take it.
pub fn in_root(path: &[u8], pid: i32) -> PathBuf {
    let whole = match path.first() {
        Some(b'/') => in_target(path),
        _ => {
            let directory = Reader::open().and_then(|reader| working_directory(&reader, pid)).unwrap_or_default();
            in_target(&[&directory, &b"/"[..], path].concat())
        }
    };
    PathBuf::from(OsStr::from_bytes(&whole))
}

/// The URL to call, and whether it is one with TLS: from another network none that is local to theirs.
fn listens(settings: &Settings, elsewhere: bool) -> Option<(Address, bool)> {
    let place = |url: &[u8]| {
        let tls = url.starts_with(b"https://") || url.starts_with(b"unixs://");
        let address = address_of(url)?;
        let local = Place { address: address.clone(), how: How::Named, shared: Some(false), process: None };
        Some((address, tls, local.is_elsewhere()))
    };
    let all: Vec<_> = settings.urls("listen-client-urls").filter_map(place).collect();
    let advertised = settings.urls("advertise-client-urls").filter_map(place).find(|(.., local)| !local);
    let best = match elsewhere {
        true => all.iter().find(|(.., local)| !local).cloned().or(advertised),
        false => all.iter().find(|(.., local)| *local).cloned(),
    };
    best.or_else(|| all.first().cloned()).map(|(address, tls, _)| (address, tls))
}

/// The server's own files: with its certificate one may call it where nobody gave another one. And what would help where
/// they cannot be read.
fn own(cx: &Context<'_>, settings: &Settings, pid: i32) -> (Secrets, Option<String>) {
    let mut hint = None;
    let mut readable = |flag: &str| {
        let path = in_root(settings.get(flag)?, pid);
        match cx.files.text(&path, 1) {
            Ok(_) => Some(path),
            Err(error) => {
                let what = format!("{}: {}", Safe::path(&path), reason(&error));
                hint.get_or_insert(format!("{what}; give --cacert, and --cert and --key of a client"));
                None
            }
        }
    };
    let own = readable("cert-file");
    let key = readable("key-file");
    let secrets = Secrets {
        authority: readable("trusted-ca-file"),
        certificate: own.clone().filter(|_| key.is_some()),
        key: key.filter(|_| own.is_some()),
        own,
        ..Secrets::default()
    };
    (secrets, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_url_is_called() {
        let called = |file: &str, elsewhere| {
            let (address, tls) = listens(&Settings::of_file(file.as_bytes()), elsewhere)?;
            Some((String::from_utf8(address.to_bytes()).unwrap(), tls))
        };
        let place = |address: &str, tls| Some((String::from(address), tls));
        let both = "listen-client-urls: https://10.0.0.5:2379,http://127.0.0.1:2379";
        assert_eq!(called(both, false), place("127.0.0.1:2379", false));
        assert_eq!(called(both, true), place("10.0.0.5:2379", true));
        let all = "listen-client-urls: https://0.0.0.0:2379\nadvertise-client-urls: https://etcd-0.etcd:2379";
        assert_eq!(called(all, false), place("127.0.0.1:2379", true));
        assert_eq!(called(all, true), place("etcd-0.etcd:2379", true));
        assert_eq!(called("name: x", false), None);
        assert_eq!(called("listen-client-urls: http://127.0.0.1:1", true), place("127.0.0.1:1", false));
    }
}
