//! probe etcd: version and health over plain HTTP. gRPC and TLS come later.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{Failure, Manner, Probe};
use crate::applet::{Context, Error, Exit, Result};
use crate::inspect::etcd::{PORT, SERVICE, check};
use crate::inspect::{Finding, Level};
use crate::net::Address;
use crate::output::Safe;
use crate::protocol::etcd::{self, Error as Trouble, Health, Version};

const MORE: &str = "\
ENDPOINT is HOST[:PORT], http://HOST[:PORT], or a path (@/PATH in the target). Without one: where the target listens,
else what its command line says, else 127.0.0.1:2379. Exit 1 when it is not healthy, 2 when it could not be asked.";

/// Ask an etcd for its version and its health, over HTTP
#[derive(clap::Parser)]
#[command(name = "etcd", after_help = MORE, override_usage = "probe etcd [OPTIONS] [ENDPOINT]")]
struct Options {
    #[command(flatten)]
    manner: Manner,
    #[arg(value_name = "ENDPOINT", hide = true)]
    endpoint: Option<OsString>,
}

pub fn usage() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

pub fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let named = options.endpoint.as_deref().map(endpoint).transpose()?;
    let probe = Probe::new(cx, &SERVICE, named, &options.manner);
    match ask(cx, &probe) {
        Ok((version, health)) => report(cx, &probe, &version, &health),
        Err(failure) => probe.fail(cx, failure),
    }
}

fn endpoint(text: &OsStr) -> Result<Address> {
    let wrong = |why: &dyn std::fmt::Display| Error::usage(format_args!("{}: {why}", Safe::os(text)));
    let bytes = text.as_bytes();
    if bytes.starts_with(b"https://") || bytes.starts_with(b"unixs:") {
        return Err(Error::message(format_args!("{}: TLS comes with a later version", Safe::os(text))));
    }
    let bytes = match bytes.strip_prefix(b"http://") {
        Some(rest) => rest.strip_suffix(b"/").unwrap_or(rest),
        None => bytes.strip_prefix(b"unix://").unwrap_or(bytes),
    };
    Address::parse(OsStr::from_bytes(bytes), PORT).map_err(|why| wrong(&why))
}

/// Each question on a connection of its own, all before one deadline.
fn ask(cx: &Context<'_>, probe: &Probe) -> std::result::Result<(Version, Health), Failure> {
    let host = match &probe.place.address {
        Address::Unix(_) => b"localhost".to_vec(),
        address => address.to_bytes(),
    };
    let version = etcd::version(&mut probe.connect(cx)?, &host).map_err(|trouble| explain(probe, &trouble))?;
    match etcd::health(&mut probe.connect(cx)?, &host) {
        Ok(health) => Ok((version, health)),
        Err(Trouble::Unexpected(404)) => {
            let message = format!("etcd {}, but no /health: is this the peer port?", Safe(version.server.as_bytes()));
            Err(Failure::new("protocol", message))
        }
        Err(trouble) => Err(explain(probe, &trouble)),
    }
}

/// What a failed conversation means, in one line.
fn explain(probe: &Probe, trouble: &Trouble) -> Failure {
    match trouble {
        Trouble::Io(error) => probe.interrupted(error),
        Trouble::Closed(received) => probe.closed(*received),
        Trouble::Tls => Failure::new("tls", "this is a TLS port, which a later version speaks"),
        Trouble::Foreign(name) => {
            let name = name.map(|name| format!(", this looks like {name}")).unwrap_or_default();
            Failure::new("protocol", format!("not HTTP{name}"))
        }
        Trouble::Malformed => Failure::new("protocol", "HTTP with lengths that cannot be"),
        Trouble::Unexpected(status) => Failure::new("protocol", format!("HTTP, but not etcd: status {status}")),
    }
}

fn report(cx: &mut Context<'_>, probe: &Probe, version: &Version, health: &Health) -> Result<Exit> {
    let mut findings = check(version, health);
    if findings.is_empty() {
        findings.push(Finding::new(Level::Ok, "health", "it says that it is healthy"));
    }
    if probe.json {
        let mut object = probe.object();
        object
            .text("version", &version.server)
            .text("cluster_version", &version.cluster)
            .bool("healthy", health.healthy)
            .text("reason", &health.reason);
        return probe.report_json(cx, object, &findings);
    }
    let safe = |text: &str| Safe(text.as_bytes()).to_string();
    let lines = [
        ("version", safe(&version.server)),
        ("cluster", safe(&version.cluster)),
        ("healthy", String::from(if health.healthy { "yes" } else { "no" })),
    ];
    probe.report(cx, &lines, &findings)
}

#[cfg(test)]
mod tests {
    use super::super::APPLET;
    use crate::applet::{Captured, capture};
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Probes a server that gives these answers, one to each connection.
    #[expect(clippy::disallowed_methods)]
    fn probe(answers: &'static [&str], words: &[&str]) -> Captured {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            for answer in answers {
                let mut peer = listener.accept().unwrap().0;
                let _ = peer.read(&mut [0; 1024]).unwrap();
                peer.write_all(answer.as_bytes()).unwrap();
            }
        });
        let done = capture(&APPLET, &[&["etcd", address.as_str()], words].concat(), b"");
        server.join().unwrap();
        let hide = |text: String| text.replace(&address, "ADDRESS");
        Captured { status: done.status, out: hide(done.out), err: hide(done.err) }
    }

    fn captured(status: u8, out: &str, err: &str) -> Captured {
        Captured { status, out: out.into(), err: err.into() }
    }

    const VERSION: &str = "HTTP/1.1 200 OK\r\n\r\n{\"etcdserver\":\"3.5.1\",\"etcdcluster\":\"3.5.0\"}";
    const HEALTHY: &str = "HTTP/1.1 200 OK\r\n\r\n{\"health\":\"true\",\"reason\":\"\"}";
    const FULL: &str = "HTTP/1.1 503 X\r\n\r\n{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}";
    const MISSING: &str = "HTTP/1.1 404 Not Found\r\n\r\n404 page not found\n";

    #[test]
    fn reports() {
        let out = "address      ADDRESS (as named)\nversion      3.5.1\ncluster      3.5.0\nhealthy      yes\n\
            ok           health: it says that it is healthy\nverdict      ok\n";
        assert_eq!(probe(&[VERSION, HEALTHY], &[]), captured(0, out, ""));
        let full = probe(&[VERSION, FULL], &["--json"]);
        let out = r#"{"address":"ADDRESS","found_by":"named","version":"3.5.1","cluster_version":"3.5.0","healthy":false,"reason":"ALARM NOSPACE","findings":[{"level":"fail","subject":"health","text":"not healthy, ALARM NOSPACE: the quota is used up, compact, defragment and disarm the alarm"}],"verdict":"fail"}"#;
        assert_eq!(full, captured(1, &format!("{out}\n"), ""));
    }

    #[test]
    fn failures_are_one_line_each() {
        let line = |answers, line: &str| {
            assert_eq!(probe(answers, &[]), captured(2, "", &format!("probe: ADDRESS: {line}\n")));
        };
        line(&["ERROR\r\n"], "not HTTP, this looks like memcached");
        line(&["\x15\x03\x01\x00\x02\x02\x46"], "this is a TLS port, which a later version speaks");
        line(&[""], "closed without an answer (not etcd, or TLS, which a later version speaks)");
        line(&["HTTP/1.1 2"], "closed in the middle of an answer, after 10 bytes");
        line(&[MISSING], "HTTP, but not etcd: status 404");
        line(&[VERSION, MISSING], "etcd 3.5.1, but no /health: is this the peer port?");
    }

    #[test]
    fn endpoints() {
        let said = |endpoint: &str| capture(&APPLET, &["etcd", endpoint], b"").err;
        assert_eq!(said("https://h"), "probe: https://h: TLS comes with a later version\n");
        assert_eq!(
            said("http://h:0/"),
            "probe: http://h:0/: a port is a number from 1 to 65535 (see 'probe --help')\n"
        );
        assert_eq!(said("http://localhost:1"), "probe: localhost:1: connection refused\n");
    }
}
