//! etcd: where it listens, and what its answers over HTTP say.

pub mod cluster;
pub mod dial;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::service::{Service, address_told};
use super::{Finding, Level};
use crate::net::Address;
use crate::output::Safe;
use crate::protocol::etcd::{Health, Version};
use dial::Secrets;

pub const PORT: u16 = 2379;

pub const SERVICE: Service = Service { comm: b"etcd", port: PORT, told };

pub fn check(version: &Version, health: &Health) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !health.healthy {
        let reason = if health.reason.is_empty() { "it gives no reason" } else { &health.reason };
        let advice = match reason {
            "ALARM NOSPACE" => ": the quota is used up, compact, defragment and disarm the alarm",
            "RAFT NO LEADER" => ": no majority of the members can be reached",
            _ => "",
        };
        let text = format!("not healthy, {}{advice}", Safe(reason.as_bytes()));
        findings.push(Finding::new(Level::Fail, "health", text));
    }
    if version.cluster == "not_decided" {
        let text = "the cluster has not decided on a version: its members have not met";
        findings.push(Finding::new(Level::Warn, "version", text));
    }
    findings
}

/// The first of `--listen-client-urls`; the flag may have one dash.
fn told(args: &[Vec<u8>]) -> Option<Address> {
    let url = listens(args)?;
    let address = url.strip_prefix(b"http://").or_else(|| url.strip_prefix(b"https://")).unwrap_or(url);
    address_told(address, PORT)
}

fn listens(args: &[Vec<u8>]) -> Option<&[u8]> {
    value(args, b"listen-client-urls")?.split(|byte| *byte == b',').next()
}

/// A flag's value.
fn value<'a>(args: &'a [Vec<u8>], flag: &[u8]) -> Option<&'a [u8]> {
    let mut args = args.iter().skip(1);
    while let Some(arg) = args.next() {
        let name = arg.strip_prefix(b"--").or_else(|| arg.strip_prefix(b"-")).unwrap_or_default();
        match name.strip_prefix(flag) {
            Some([]) => return args.next().map(Vec::as_slice),
            Some([b'=', value @ ..]) => return Some(value),
            _ => {}
        }
    }
    None
}

/// The server's own certificate and authority, by its arguments, as files of the target; none where it listens without TLS.
/// With its own certificate one may call it where nobody gave another one.
pub fn own_secrets(args: &[Vec<u8>]) -> Option<Secrets> {
    if !listens(args)?.starts_with(b"https://") {
        return None;
    }
    let file = |flag: &[u8]| {
        let path = value(args, flag)?;
        path.starts_with(b"/").then(|| PathBuf::from(OsStr::from_bytes(&[b"@", path].concat())))
    };
    Some(Secrets {
        authority: file(b"trusted-ca-file"),
        certificate: file(b"cert-file"),
        key: file(b"key-file"),
        anyone: false,
        name: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_of(healthy: bool, reason: &str, cluster: &str) -> Vec<(Level, String)> {
        let version = Version { server: "3.5.1".into(), cluster: cluster.into() };
        let findings = check(&version, &Health { healthy, reason: reason.into() });
        findings.into_iter().map(|finding| (finding.level, finding.text)).collect()
    }

    #[test]
    fn rules() {
        assert_eq!(check_of(true, "", "3.5.0"), []);
        assert_eq!(check_of(false, "", "3.5.0"), [(Level::Fail, "not healthy, it gives no reason".into())]);
        let advice = "not healthy, ALARM NOSPACE: the quota is used up, compact, defragment and disarm the alarm";
        assert_eq!(check_of(false, "ALARM NOSPACE", "3.5.0"), [(Level::Fail, advice.into())]);
        assert_eq!(check_of(true, "", "not_decided")[0].0, Level::Warn);
    }

    #[test]
    fn command_lines() {
        let told = |line: &str| {
            let args: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            told(&args).map(|address| String::from_utf8(address.to_bytes()).unwrap())
        };
        assert_eq!(told("etcd --name n1"), None);
        assert_eq!(told("etcd --listen-client-urls=https://10.0.0.1:1,http://x:2"), Some("10.0.0.1:1".into()));
        let secrets = |line: &str| {
            let args: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            own_secrets(&args)
        };
        assert_eq!(secrets("etcd --listen-client-urls=http://10.0.0.1:1 --cert-file=/a"), None);
        let line = "etcd --listen-client-urls https://h:1 --cert-file /a --key-file=/b --trusted-ca-file rel";
        let path = |text: &str| Some(PathBuf::from(text));
        let expected = Secrets { authority: None, certificate: path("@/a"), key: path("@/b"), ..Secrets::default() };
        assert_eq!(secrets(line), Some(expected));
        assert_eq!(told("etcd -listen-client-urls http://0.0.0.0:2381"), Some("127.0.0.1:2381".into()));
    }
}
