//! probe etcd: its version and health over HTTP, and the cluster as its members tell of it over gRPC, with or without TLS.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::{Failure, Manner, Probe};
use crate::applet::{Context, Error, Exit, Result};
use crate::inspect::etcd::cluster::{self, Seen};
use crate::inspect::etcd::dial::{NAMES, Secrets, dial};
use crate::inspect::etcd::{SERVICE, check, own_secrets};
use crate::inspect::{Finding, Level};
use crate::net::{Address, tls};
use crate::output::json::Object;
use crate::output::{Safe, units};
use crate::protocol::etcd::client::{KeepAlive, Limits};
use crate::protocol::etcd::message::{
    AlarmMember, AlarmRequest, Member, MemberListRequest, StatusRequest, StatusResponse,
};
use crate::protocol::etcd::{self, Client, Endpoint, Error as Trouble, Health, Settings, Version};
use crate::target::process::arguments;

const MORE: &str = "\
ENDPOINT is HOST[:PORT], http:// or https://HOST[:PORT], or a path (@/PATH in the target). Without one: where the target
listens, else what its command line says, else 127.0.0.1:2379; with TLS by its own certificate, if it can be read.
Exit 1 when it or its cluster is not healthy, 2 when it could not be asked.";

/// Ask an etcd for its health and its cluster's: members, majority, leader, alarms, space
#[derive(clap::Parser)]
#[command(name = "etcd", after_help = MORE, override_usage = "probe etcd [OPTIONS] [ENDPOINT]")]
struct Options {
    #[command(flatten)]
    manner: Manner,
    /// Believe servers that these authorities vouch for
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Show this certificate
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The certificate's key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Believe any server
    #[arg(long)]
    insecure: bool,
    #[arg(value_name = "ENDPOINT", hide = true)]
    endpoint: Option<OsString>,
}

pub fn usage() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// How it is asked.
struct Way {
    endpoint: Endpoint,
    secrets: Secrets,
    over_tls: bool,
}

pub fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let named = match options.endpoint.as_deref() {
        None => None,
        Some(text) => Some(
            Endpoint::parse(text.as_bytes()).map_err(|why| Error::usage(format_args!("{}: {why}", Safe::os(text))))?,
        ),
    };
    let address = named.as_ref().map(|endpoint| endpoint.address.clone());
    let probe = Probe::new(cx, &SERVICE, address, &options.manner);
    let mut secrets = Secrets {
        authority: options.cacert,
        certificate: options.cert,
        key: options.key,
        anyone: options.insecure,
        name: None,
    };
    let mut over_tls = secrets.is_given();
    if named.is_none()
        && let Some(pid) = probe.place.process
        && let Some(own) = own_secrets(&arguments(pid).unwrap_or_default())
    {
        over_tls = true;
        if !secrets.is_given() {
            secrets = own;
        }
    }
    let endpoint =
        named.unwrap_or_else(|| Endpoint { text: probe.address(), address: probe.place.address.clone(), tls: None });
    let way = Way { over_tls: endpoint.tls.unwrap_or(over_tls), endpoint, secrets };
    let (version, health) = match ask(cx, &probe, &way) {
        Ok(asked) => asked,
        Err(failure) => return probe.fail(cx, failure),
    };
    let (members, alarms, why) = match ask_cluster(cx, &probe, &way) {
        Ok((members, alarms)) => (members, alarms, None),
        Err(why) => (Vec::new(), Vec::new(), Some(why)),
    };
    let mut findings = check(&version, &health);
    findings.extend(cluster::check(&members, &alarms));
    findings.extend(why.map(|why| Finding::new(Level::Unknown, "cluster", why)));
    report(cx, &probe, &version, &health, &members, findings)
}

/// Each question on a connection of its own, all before one deadline.
fn ask(cx: &Context<'_>, probe: &Probe, way: &Way) -> std::result::Result<(Version, Health), Failure> {
    let host = match &probe.place.address {
        Address::Unix(_) => b"localhost".to_vec(),
        address => address.to_bytes(),
    };
    let client = match way.over_tls {
        true => Some(way.secrets.client(cx.files, &NAMES).map_err(|why| Failure::new("tls", why))?),
        false => None,
    };
    let version = etcd::version(&mut stream(cx, probe, way, client.as_ref())?, &host);
    let version = version.map_err(|trouble| explain(probe, &trouble))?;
    match etcd::health(&mut stream(cx, probe, way, client.as_ref())?, &host) {
        Ok(health) => Ok((version, health)),
        Err(Trouble::Unexpected(404)) => {
            let message = format!("etcd {}, but no /health: is this the peer port?", Safe(version.server.as_bytes()));
            Err(Failure::new("protocol", message))
        }
        Err(trouble) => Err(explain(probe, &trouble)),
    }
}

/// A stream with or without TLS.
trait ReadWrite: Read + Write {}

impl<S: Read + Write> ReadWrite for S {}

fn stream(
    cx: &Context<'_>,
    probe: &Probe,
    way: &Way,
    client: Option<&tls::Client>,
) -> std::result::Result<Box<dyn ReadWrite>, Failure> {
    let connection = probe.connect(cx)?;
    let Some(client) = client else { return Ok(Box::new(connection)) };
    match client.handshake(connection, way.endpoint.host()) {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => match tls::Failure::of(&error) {
            Some(_) => Err(Failure::new("tls", error.to_string())),
            None => Err(probe.interrupted(&error)),
        },
    }
}

/// Every member, asked for itself.
fn ask_cluster(
    cx: &Context<'_>,
    probe: &Probe,
    way: &Way,
) -> std::result::Result<(Vec<Seen>, Vec<AlarmMember>), String> {
    let endpoints = vec![way.endpoint.clone()];
    let dial = dial(cx.files, way.secrets.clone(), &NAMES, way.over_tls, &endpoints)?;
    let left = probe.deadline.left();
    let settings = Settings {
        dial_timeout: left,
        timeout: Some(left),
        limits: Limits { message: 16 << 20, keep_alive: KeepAlive { time: left, timeout: left }, interruptible: false },
        user: None,
    };
    let bare = |failure: etcd::Failure| match failure {
        etcd::Failure::At(mut tried) if tried.len() == 1 => {
            tried.pop().map_or_else(String::new, |(_, failure)| failure.to_string())
        }
        failure => failure.to_string(),
    };
    let mut client = Client::new(settings, endpoints, dial);
    let own = client.ask(&StatusRequest {}).map_err(bare)?;
    // Also of a member that has lost the majority.
    let members = client.ask(&MemberListRequest { linearizable: false }).map_err(bare)?.members;
    let alarms = client.ask(&AlarmRequest::default()).map_or_else(|_| Vec::new(), |reply| reply.alarms);
    let mut all = Vec::new();
    for member in members {
        let status = if own.header.is_some_and(|header| header.member_id == member.id) {
            Ok(own.clone())
        } else {
            ask_member(&mut client, probe, &member).map_err(|why| match why {
                Some(failure) => bare(failure),
                None => String::from("it has no client URL yet"),
            })
        };
        all.push(Seen { member, status });
    }
    Ok((all, alarms))
}

fn ask_member(
    client: &mut Client<'_>,
    probe: &Probe,
    member: &Member,
) -> std::result::Result<StatusResponse, Option<etcd::Failure>> {
    let mut last = None;
    for url in &member.client_urls {
        let Ok(endpoint) = Endpoint::parse(url.as_bytes()) else { continue };
        let mut own = client.only(&endpoint);
        let left = probe.deadline.left();
        own.settings.dial_timeout = left;
        own.settings.timeout = Some(left);
        match own.ask(&StatusRequest {}) {
            Ok(status) => return Ok(status),
            Err(failure) => last = Some(failure),
        }
    }
    Err(last)
}

/// What a failed conversation means, in one line.
fn explain(probe: &Probe, trouble: &Trouble) -> Failure {
    match trouble {
        Trouble::Io(error) => probe.interrupted(error),
        Trouble::Closed(received) => probe.closed(*received),
        Trouble::Tls => Failure::new("tls", "this is a TLS port: https://, --cacert"),
        Trouble::Foreign(name) => {
            let name = name.map(|name| format!(", this looks like {name}")).unwrap_or_default();
            Failure::new("protocol", format!("not HTTP{name}"))
        }
        Trouble::Malformed => Failure::new("protocol", "HTTP with lengths that cannot be"),
        Trouble::Unexpected(status) => Failure::new("protocol", format!("HTTP, but not etcd: status {status}")),
    }
}

fn report(
    cx: &mut Context<'_>,
    probe: &Probe,
    version: &Version,
    health: &Health,
    members: &[Seen],
    mut findings: Vec<Finding>,
) -> Result<Exit> {
    if findings.iter().all(|finding| finding.level < Level::Unknown) {
        findings.push(Finding::new(Level::Ok, "health", "it says that it is healthy"));
    }
    if probe.json {
        let mut object = probe.object();
        object
            .text("version", &version.server)
            .text("cluster_version", &version.cluster)
            .bool("healthy", health.healthy)
            .text("reason", &health.reason)
            .objects("members", members.iter().map(member_json));
        return probe.report_json(cx, object, &findings);
    }
    let safe = |text: &str| Safe(text.as_bytes()).to_string();
    let mut lines = vec![
        ("version", safe(&version.server)),
        ("cluster", safe(&version.cluster)),
        ("healthy", String::from(if health.healthy { "yes" } else { "no" })),
    ];
    for seen in members {
        let told = match &seen.status {
            Err(why) => format!("no answer: {why}"),
            Ok(status) => {
                let (role, version) = (seen.role().unwrap_or_default(), safe(&status.version));
                let size = |bytes: i64| units::bytes(u64::try_from(bytes).unwrap_or(0));
                let (whole, used) = (size(status.db_size), size(status.db_size_in_use));
                format!("{role}, {version}, database {whole}, {used} in use, term {}", status.raft_term)
            }
        };
        let urls = safe(&seen.member.client_urls.join(","));
        lines.push(("member", format!("{}: {told} ({urls})", seen.name())));
    }
    probe.report(cx, &lines, &findings)
}

fn member_json(seen: &Seen) -> Object {
    let mut object = Object::new();
    let number = |value: i64| u64::try_from(value).ok();
    object
        .text("name", &seen.member.name)
        .text("id", &format!("{:x}", seen.member.id))
        .strings("client_urls", seen.member.client_urls.iter().map(String::as_bytes));
    match &seen.status {
        Err(why) => object.text("error", why),
        Ok(status) => object
            .text("role", seen.role().unwrap_or_default())
            .text("version", &status.version)
            .number("db_size_bytes", number(status.db_size))
            .number("db_size_in_use_bytes", number(status.db_size_in_use))
            .number("raft_term", Some(status.raft_term))
            .number("raft_index", Some(status.raft_index))
            .number("raft_applied_index", Some(status.raft_applied_index)),
    };
    object
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
            unknown      cluster: plain HTTP, not etcd's gRPC: the peer port, a metrics port, or not etcd\n\
            verdict      unknown\n";
        assert_eq!(probe(&[VERSION, HEALTHY, MISSING], &[]), captured(0, out, ""));
        let full = probe(&[VERSION, FULL, MISSING], &["--json"]);
        let out = r#"{"address":"ADDRESS","found_by":"named","version":"3.5.1","cluster_version":"3.5.0","healthy":false,"reason":"ALARM NOSPACE","members":[],"findings":[{"level":"fail","subject":"health","text":"not healthy, ALARM NOSPACE: the quota is used up, compact, defragment and disarm the alarm"},{"level":"unknown","subject":"cluster","text":"plain HTTP, not etcd's gRPC: the peer port, a metrics port, or not etcd"}],"verdict":"fail"}"#;
        assert_eq!(full, captured(1, &format!("{out}\n"), ""));
    }

    #[test]
    fn failures_are_one_line_each() {
        let line = |answers, line: &str| {
            assert_eq!(probe(answers, &[]), captured(2, "", &format!("probe: ADDRESS: {line}\n")));
        };
        line(&["ERROR\r\n"], "not HTTP, this looks like memcached");
        line(&["\x15\x03\x01\x00\x02\x02\x46"], "this is a TLS port: https://, --cacert");
        line(&[""], "closed without an answer (not etcd, or TLS, which a later version speaks)");
        line(&["HTTP/1.1 2"], "closed in the middle of an answer, after 10 bytes");
        line(&[MISSING], "HTTP, but not etcd: status 404");
        line(&[VERSION, MISSING], "etcd 3.5.1, but no /health: is this the peer port?");
    }

    #[test]
    fn endpoints() {
        let said = |endpoint: &str| capture(&APPLET, &["etcd", endpoint], b"").err;
        assert_eq!(
            said("http://h:0/"),
            "probe: http://h:0/: a port is a number from 1 to 65535 (see 'probe --help')\n"
        );
        assert_eq!(said("http://localhost:1"), "probe: localhost:1: connection refused\n");
    }
}
