//! TLS: whom it believes, whom it shows itself to, and what it says where that fails.

use std::fs;
use std::process::Command;

use super::{LIMIT, Server, fails, is, probe, readable, tool};
use crate::program::{Directory, Program, run};

/// An authority, and certificates of its own.
struct Authority(Directory);

impl Authority {
    fn new() -> Authority {
        let authority = Authority(Directory::new("authority"));
        authority.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=authority");
        authority
    }

    /// `key` is what openssl calls the algorithm.
    fn sign(&self, name: &str, key: &str, days: &str) {
        self.openssl(&format!("req -newkey {key} -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        fs::write(self.0.path().join("names"), "subjectAltName=DNS:cache.test,IP:127.0.0.1\n").unwrap();
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile names -out {name}.pem"
        ));
        readable(&self.0.path().join(format!("{name}.key")));
    }

    fn openssl(&self, words: &str) {
        tool(Command::new("/usr/bin/openssl").args(words.split(' ')).current_dir(self.0.path()));
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_string()
    }

    /// A server with this certificate, and what else is in `flags`.
    fn server(&self, name: &str, flags: &str) -> Server {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (certificate, key) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        Server::start(&format!("-l 127.0.0.1 -p @PORT -t 1 -Z -o ssl_chain_cert={certificate},ssl_key={key}{flags}"))
    }
}

const P256: &str = "ec -pkeyopt ec_paramgen_curve:P-256";

#[test]
fn tls() {
    let program = Program::new();
    let authority = Authority::new();
    authority.sign("server", P256, "20");
    let server = authority.server("server", "");
    let ca = authority.path("ca.pem");
    let ask = |words: &[&str]| server.probe(&program, words);
    is(&ask(&["version", "--ca", &ca]), 0, "1.6.18\n", "");
    is(&ask(&["version", "--insecure"]), 0, "1.6.18\n", "");
    is(&ask(&["version", "--ca", &ca, "--server-name", "cache.test"]), 0, "1.6.18\n", "");
    is(&probe(&program, &[&format!("tls://{}", server.address()), "--ca", &ca, "version"]), 0, "1.6.18\n", "");
    let doctor = ask(&["doctor", "--ca", &ca]);
    assert!(doctor.out.contains("NOTE  certificate     a certificate of it expires in "), "{}", doctor.out);
    let latency = ask(&["latency", "-c", "1", "--ca", &ca]);
    assert!(latency.status == 0 && latency.out.contains("\ntls "), "{}{}", latency.out, latency.err);
    fails(&ask(&["bench", "--ca", &ca]), 2, "not over TLS");
    let value = "x".repeat(100_000);
    is(&ask(&["set", "k", &value, "--ca", &ca]), 0, "STORED\n", "");
    is(&ask(&["get", "k", "--ca", &ca]), 0, &value, "");
    for words in [&["ping"][..], &["raw", "version"], &["ping", "--proto", "binary"]] {
        fails(&ask(words), 8, "SERVER: it speaks TLS: use --tls");
    }
    let part = ask(&["raw", "-n", "version", "--ca", &ca, "--timeout", "1s"]);
    fails(&part, 4, "no answer in 1s, but to 'version' there is one");
    let wrong =
        "the server's certificate is not for other but for cache.test, 127.0.0.1; --server-name NAME asks for that";
    let named = ask(&["ping", "--ca", &ca, "--server-name", "other"]);
    fails(&named, 8, wrong);
    let stranger = Authority::new();
    let unknown = "that no certificate in ";
    let outcome = ask(&["ping", "--ca", &stranger.path("ca.pem")]);
    fails(&outcome, 8, unknown);
    assert!(outcome.err.contains("CN=server, issued by CN=authority; --ca FILE names its CA"), "{}", outcome.err);
    let detected = ask(&["detect", "--ca", &ca]);
    assert!(
        detected.out.contains("certificate  CN=server, by CN=authority\n  names      cache.test, 127.0.0.1\n"),
        "{}",
        detected.out
    );
    // A file that is none.
    fails(&ask(&["ping", "--ca", &authority.path("names")]), 2, "no certificate in it");
    fails(&ask(&["ping", "--ca", "/none"]), 2, "/none: no such file or directory");
}

#[test]
fn older_tls_and_every_kind_of_key() {
    let program = Program::new();
    let authority = Authority::new();
    let ca = authority.path("ca.pem");
    // PKCS#8 by the algorithm, then the older forms of the same keys.
    for (name, key, form) in [("rsa", "rsa:2048", "rsa -traditional"), ("curve", P256, "ec")] {
        authority.sign(name, key, "30");
        authority.openssl(&format!("{form} -in {name}.key -out {name}.old"));
        let server = authority.server(name, &format!(",ssl_verify_mode=2,ssl_ca_cert={ca}"));
        for key in ["key", "old"] {
            let words = ["version", "--ca", &ca, "--cert", &authority.path(&format!("{name}.pem")), "--key"];
            let outcome = server.probe(&program, &[&words[..], &[&authority.path(&format!("{name}.{key}"))]].concat());
            is(&outcome, 0, "1.6.18\n", "");
        }
    }
    let certificate = authority.path("rsa.pem");
    let words = ["127.0.0.1:1", "ping", "--ca", &ca, "--cert", &certificate, "--key", &authority.path("curve.key")];
    fails(&probe(&program, &words), 2, "the key is not the certificate's");
}

#[test]
fn a_client_certificate_is_wanted() {
    let program = Program::new();
    let authority = Authority::new();
    authority.sign("server", P256, "30");
    authority.sign("client", P256, "30");
    let ca = authority.path("ca.pem");
    let server = authority.server("server", &format!(",ssl_verify_mode=2,ssl_ca_cert={ca}"));
    let ask = |words: &[&str]| server.probe(&program, &[&["ping", "--ca", &ca], words].concat());
    fails(&ask(&[]), 8, "TLS: the server wants a client certificate: --cert, --key");
    let known = ask(&["--cert", &authority.path("client.pem"), "--key", &authority.path("client.key")]);
    assert!(known.status == 0 && known.out.contains("text/TLSv1.3, no login"), "{}{}", known.out, known.err);
    let stranger = Authority::new();
    stranger.sign("client", P256, "30");
    let unknown = ask(&["--cert", &stranger.path("client.pem"), "--key", &stranger.path("client.key")]);
    fails(&unknown, 8, "TLS: the server does not trust our certificate --cert");
}

#[test]
fn certificates_that_are_wrong() {
    let program = Program::new();
    let authority = Authority::new();
    authority.sign("expired", P256, "-1");
    let server = authority.server("expired", "");
    let expired = server.probe(&program, &["ping", "--ca", &authority.path("ca.pem")]);
    fails(&expired, 8, "TLS: the server's certificate ended ");
    // Self-signed, as openssl makes one by default: it is good where it was named itself.
    authority.openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout self.key -out self.pem -days 30 -subj /CN=self -addext subjectAltName=DNS:self.test",
    );
    readable(&authority.0.path().join("self.key"));
    let server = authority.server("self", "");
    let own = authority.path("self.pem");
    is(&server.probe(&program, &["version", "--ca", &own, "--server-name", "self.test"]), 0, "1.6.18\n", "");
    fails(&server.probe(&program, &["version", "--ca", &own]), 8, "is not for 127.0.0.1 but for self.test");
    let other = server.probe(&program, &["version", "--ca", &authority.path("ca.pem")]);
    fails(&other, 8, "signs: CN=self, self-signed; --ca FILE names its CA");
}

#[test]
fn keys_that_cannot_be_checked() {
    let program = Program::new();
    let authority = Authority::new();
    for (name, key) in [("p521", "ec -pkeyopt ec_paramgen_curve:P-521"), ("ed25519", "ed25519"), ("ed448", "ed448")] {
        authority.sign(name, key, "30");
        let server = authority.server(name, "");
        is(&server.probe(&program, &["version", "--insecure"]), 0, "1.6.18\n", "");
        let why = "its kind of key or signature is not supported here (P-256, P-384 and RSA are); --insecure connects ";
        fails(&server.probe(&program, &["version", "--ca", &authority.path("ca.pem")]), 8, why);
    }
}

/// The first version of X.509, as openssl makes it of a request alone.
#[test]
fn a_certificate_of_an_old_form() {
    let program = Program::new();
    let authority = Authority::new();
    authority.openssl(&format!("req -newkey {P256} -nodes -keyout old.key -out old.csr -subj /CN=old"));
    authority.openssl("x509 -req -in old.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out old.pem");
    readable(&authority.0.path().join("old.key"));
    let server = authority.server("old", "");
    is(&server.probe(&program, &["version", "--insecure"]), 0, "1.6.18\n", "");
    let checked = server.probe(&program, &["version", "--ca", &authority.path("ca.pem")]);
    fails(&checked, 8, "TLS: the server has a certificate of a form that is too old to be checked: CN=old, ");
}

/// The target's own is believed by its own files.
#[test]
fn the_targets_own_tls() {
    let program = Program::new();
    let authority = Authority::new();
    authority.sign("server", P256, "30");
    let server = authority.server("server", "");
    let mut command = program.command("probe");
    command.args(["memcached", "ping"]).env("SIDEBOX_TARGET", server.child.id().to_string());
    let outcome = run(&mut command, LIMIT);
    assert!(outcome.status == 0 && outcome.out.contains("text/TLSv1.3, no login"), "{}{}", outcome.out, outcome.err);
}

#[test]
fn tls_to_a_port_without() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -t 1");
    let outcome = server.probe(&program, &["ping", "--insecure", "--timeout", "500ms"]);
    assert_eq!(outcome.status, 8, "{}", outcome.err);
    assert!(outcome.err.contains("plain text"), "{}", outcome.err);
}
