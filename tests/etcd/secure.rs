//! Mutual TLS: what works, and each mistake in a line that names it.

use std::process::Command;
use std::time::Duration;

use super::server::{Client, Server, newer};
use crate::program::{Directory, run};

/// An authority, a server's certificate for localhost, a client's, and those of another authority.
pub fn certificates() -> Directory {
    let directory = Directory::new("etcd-tls");
    let script = "
        set -e
        authority() {
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.crt -days 20 \
                -subj /CN=$1 -addext basicConstraints=critical,CA:true
        }
        certificate() {
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj /CN=$1
            printf '%s\\n' \"$3\" 'extendedKeyUsage=serverAuth,clientAuth' >$1.ext
            openssl x509 -req -in $1.csr -CA $2.crt -CAkey $2.key -CAcreateserial -out $1.crt -days 20 -extfile $1.ext
        }
        authority ca
        authority other
        certificate server ca subjectAltName=DNS:etcd.example,IP:127.0.0.1
        certificate client ca subjectAltName=DNS:client
        certificate stranger other subjectAltName=DNS:client
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout past.key -out past.csr -subj /CN=past
        openssl x509 -req -in past.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out past.crt -days -1 -extfile server.ext
        openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out old.crt -days 20
        openssl x509 -in old.crt -noout -text | grep -q 'Version: 1 '
        openssl ec -in client.key -out client.sec1
        openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-521 -out p521.key
        openssl ec -in p521.key -out p521.sec1
        openssl genpkey -algorithm ed25519 -out ed25519.key
        openssl req -newkey rsa:2048 -nodes -keyout rsa8.key -out rsa.csr -subj /CN=rsa
        openssl rsa -in rsa8.key -traditional -out rsa.key
        openssl x509 -req -in rsa.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out rsa.crt -days 20 -extfile client.ext";
    let made =
        run(Command::new("/bin/dash").args(["-c", script]).current_dir(directory.path()), Duration::from_secs(60));
    assert_eq!(made.status, 0, "{}", made.err);
    directory
}

/// That a certificate is said to end when `certificates` lets it, give or take what the clocks of openssl and of
/// sidebox may differ.
#[track_caller]
pub fn ends(text: &str, certificate: &str) {
    let said = text.split_once(certificate).unwrap_or_else(|| panic!("{certificate}\n--- is not in\n{text}")).1;
    assert!(["ends in 19d", "ends in 20d"].iter().any(|span| said.starts_with(span)), "{text}");
}

#[test]
fn mutual_tls() {
    let files = certificates();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_string();
    let (certificate, key, authority) = (path("server.crt"), path("server.key"), path("ca.crt"));
    let tls = ["--cert-file", &certificate, "--key-file", &key, "--trusted-ca-file", &authority, "--client-cert-auth"];
    let server = Server::secure(&newer(), &tls);
    let endpoint = server.endpoint();
    let client = Client::ours(&endpoint);
    let flags =
        |ca: &str, own: &str, key: &str| format!("--cacert={} --cert={} --key={}", path(ca), path(own), path(key));
    let good = flags("ca.crt", "client.crt", "client.key");
    client.does(&format!("etcdctl {good} put a b"), 0, "OK\n", "");
    for key in ["client.sec1", "client.key"] {
        client.does(&format!("etcdctl {} get a", flags("ca.crt", "client.crt", key)), 0, "a\nb\n", "");
    }
    // The first version of X.509, as openssl makes it of a request alone.
    client.does(&format!("etcdctl {} get a", flags("ca.crt", "old.crt", "client.key")), 0, "a\nb\n", "");
    for key in ["rsa.key", "rsa8.key"] {
        client.does(&format!("etcdctl {} get a", flags("ca.crt", "rsa.crt", key)), 0, "a\nb\n", "");
    }
    let variables = format!(
        "ETCDCTL_CACERT={} ETCDCTL_CERT={} ETCDCTL_KEY={} ETCDCTL_ENDPOINTS=https://{endpoint}",
        path("ca.crt"),
        path("client.crt"),
        path("client.key")
    );
    client.does(&format!("{variables} etcdctl get a"), 0, "a\nb\n", "");
    assert!(client.done(&format!("etcdctl {good} endpoint health --cluster")).starts_with("https://127.0.0.1:"));
    let unverified = flags("other.crt", "client.crt", "client.key");
    client.does(&format!("etcdctl {unverified} --insecure-skip-tls-verify get a"), 0, "a\nb\n", "");
    // More than one record and more than one window.
    client.done(&format!("head -c 1000000 /dev/zero | tr '\\0' x | etcdctl {good} put big"));
    client.does(&format!("etcdctl {good} get big --print-value-only | wc -c"), 0, "1000001\n", "");
    client.does(&format!("etcdctl {good} snapshot save s.db"), 0, "Snapshot saved at s.db\n", "");

    let probe = client.done(&format!("probe etcd https://{endpoint} {good}"));
    assert!(probe.contains("\nn1     leader 3.5.1 ") && probe.ends_with("\nverdict      note\n"), "{probe}");
    ends(&probe, "certificate: server of n1, CN=server: ");
    ends(&probe, &format!("certificate: client {}: ", path("client.crt")));
    let probe = client.run(&format!("probe etcd https://{endpoint} --cacert={}", path("ca.crt")));
    assert_eq!((probe.status, probe.err.lines().count()), (2, 1), "{}", probe.err);
    assert!(probe.err.contains("--cert"), "{}", probe.err);

    let wrong = |flags: &str, status: i32, words: &[&str]| {
        // At once, however long a call may take.
        let without = if flags.contains("--endpoints") { "ETCDCTL_ENDPOINTS= " } else { "" };
        let outcome = client.run(&format!("{without}etcdctl --command-timeout=60s --dial-timeout=60s {flags} get a"));
        assert!(!outcome.late, "{flags}: too late");
        assert_eq!((outcome.status, outcome.err.lines().count()), (status, 1), "{flags}: {}", outcome.err);
        for word in words {
            assert!(outcome.err.contains(word), "{flags}: {}", outcome.err);
        }
    };
    wrong(&format!("--cacert={}", path("ca.crt")), 1, &["--cert and --key"]);
    wrong(&flags("ca.crt", "stranger.crt", "stranger.key"), 1, &["does not trust our certificate --cert"]);
    wrong(&unverified, 1, &["server", "issued by ", "other.crt", "--cacert FILE"]);
    wrong(
        &format!("--endpoints=localhost:{} {good}", server.port),
        1,
        &["not for localhost but for ", "etcd.example", "127.0.0.1"],
    );
    wrong("", 1, &[": this is a TLS port: https://"]);
    wrong(&flags("ca.crt", "client.crt", "server.key"), 128, &["the key is not the certificate's"]);
    for key in ["p521.key", "p521.sec1", "ed25519.key"] {
        wrong(&flags("ca.crt", "client.crt", key), 128, &["the key is of a kind that is not supported here (P-256, "]);
    }
    wrong(&flags("nosuch", "client.crt", "client.key"), 128, &["nosuch: no such file or directory"]);
    wrong(&format!("--cert={}", path("client.crt")), 128, &["--cert and --key go together"]);
    let plain = Server::start(&newer(), &[]);
    let plain = format!("--endpoints=https://{} {good}", plain.endpoint());
    wrong(&plain, 1, &[": TLS on a port without it: http://"]);
    let old = ["--cert-file", &path("past.crt"), "--key-file", &path("past.key")];
    let old = Server::secure(&newer(), &old);
    let ended = [": TLS: the server's certificate ended ", " UTC: CN=past"];
    wrong(&format!("--endpoints={} --cacert={}", old.endpoint(), path("ca.crt")), 1, &ended);
}

#[test]
fn files_of_certificates_for_an_endpoint_without_tls() {
    let files = certificates();
    let server = Server::start(&newer(), &[]);
    let url = format!("http://{}", server.endpoint());
    let (ours, real) = (Client::ours(&url), Client::real(&newer(), &url));
    ours.done("etcdctl put a b");
    for (ca, own, key, why) in [
        ("ca.crt", "client.crt", "client.key", ""),
        ("ca.crt", "", "", ""),
        ("none", "", "", "none: no such file or directory"),
        ("", "client.crt", "none", "none: no such file or directory"),
        ("", "client.crt", "", "--cert and --key go together"),
    ] {
        let flag = |name: &str, file: &str| match file {
            "" => String::new(),
            file => format!(" --{name}={}", files.path().join(file).display()),
        };
        let line = format!("etcdctl{}{}{} get a", flag("cacert", ca), flag("cert", own), flag("key", key));
        let (found, expected) = (ours.run(&line), real.run(&line));
        assert_eq!((found.status, &found.out), (expected.status, &expected.out), "{line}");
        let note = format!("etcdctl: {url}: --cacert, --cert and --key are not used: it is without TLS\n");
        let why = if why.is_empty() { note } else { format!("Error: {why}\n") };
        assert_eq!(found.err.replace(&format!("{}/", files.path().display()), ""), why);
    }
}

/// It makes a key of P-521 and signs its certificate with it.
#[test]
fn a_server_with_a_key_that_cannot_be_checked() {
    let server = Server::secure(&newer(), &["--auto-tls"]);
    let endpoint = server.endpoint();
    let client = Client::ours(&endpoint);
    let skip = "etcdctl --insecure-transport=false --insecure-skip-tls-verify";
    client.does(&format!("{skip} put a b && {skip} get a"), 0, "OK\na\nb\n", "");
    let probe = client.run(&format!("probe etcd https://{endpoint} --insecure"));
    assert!(probe.status == 0 && probe.out.contains("\nn1     leader 3.5.1 "), "{}{}", probe.out, probe.err);

    let files = certificates();
    let own = server.files().join("data/fixtures/client/cert.pem").display().to_string();
    let why = "its kind of key or signature is not supported here (P-256, P-384 and RSA are)";
    let why = |option| {
        format!("{endpoint}: TLS: the server's certificate: O=etcd: {why}; {option} connects without checking\n")
    };
    let line = format!("Error: {}", why("--insecure-skip-tls-verify"));
    client.does(&format!("etcdctl --cacert={own} get a"), 1, "", &line);
    let line = format!("probe: https://{}", why("--insecure"));
    client.does(&format!("probe etcd https://{endpoint} --cacert={own}"), 2, "", &line);
    let other = client.run(&format!("etcdctl --cacert={} get a", files.path().join("ca.crt").display()));
    assert!(other.err.contains("that no certificate in ") && other.err.lines().count() == 1, "{}", other.err);
}
