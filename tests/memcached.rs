//! `probe memcached` against Debian's memcached in its flavours, and against servers that misbehave. Each test starts what
//! it needs on free ports of loopback.

mod doctor;
mod flavours;
mod hostile;
mod keys;
mod load;
mod logins;
mod secure;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Directory, Outcome, Program, run};

/// Longer than any probe with its own deadline takes.
const LIMIT: Duration = Duration::from_secs(20);

/// A memcached that ends with this value.
pub struct Server {
    child: Child,
    port: u16,
    /// Where its files are.
    directory: Directory,
}

impl Server {
    /// In words as a shell would have them; `@PORT` is a free port and `@DIR` a directory that everybody may use.
    pub fn start(flags: &str) -> Server {
        Server::start_in(Directory::new("memcached"), flags)
    }

    fn start_in(directory: Directory, flags: &str) -> Server {
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let flags = flags.replace("@PORT", &port.to_string()).replace("@DIR", directory.path().to_str().unwrap());
        let mut command = Command::new("/usr/bin/memcached");
        if nix::unistd::Uid::effective().is_root() {
            command.args(["-u", "root"]);
        }
        let child = command
            .args(flags.split_whitespace())
            .env("SASL_CONF_PATH", directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("/usr/bin/memcached: {error}; tests/check installs it"));
        let mut server = Server { child, port, directory };
        server.wait();
        server
    }

    /// Until it accepts connections.
    fn wait(&mut self) {
        let deadline = Instant::now() + LIMIT;
        let socket = self.path("m.sock");
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() && UnixStream::connect(&socket).is_err() {
            assert!(self.child.try_wait().unwrap().is_none(), "memcached has ended");
            assert!(Instant::now() < deadline, "memcached does not listen");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What the probe says, with the address and the directory under names that do not change.
    fn probe(&self, program: &Program, words: &[&str]) -> Outcome {
        let mut outcome = probe(program, &[&[self.address().as_str()], words].concat());
        self.name(&mut outcome.out);
        self.name(&mut outcome.err);
        outcome
    }

    fn name(&self, text: &mut String) {
        *text = text.replace(&self.address(), "SERVER").replace(self.directory.path().to_str().unwrap(), "DIR");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn probe(program: &Program, words: &[&str]) -> Outcome {
    let outcome = run(program.command("probe").arg("memcached").args(words), LIMIT);
    assert!(!outcome.late, "{words:?} did not end");
    outcome
}

/// Status, output and errors, all written out.
#[track_caller]
fn is(outcome: &Outcome, status: i32, out: &str, err: &str) {
    assert_eq!((outcome.status, outcome.out.as_str(), outcome.err.as_str()), (status, out, err));
}

/// A failure is one line, on standard error alone.
#[track_caller]
fn fails(outcome: &Outcome, status: i32, words: &str) {
    assert_eq!((outcome.status, outcome.out.as_str()), (status, ""), "{}", outcome.err);
    assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
    assert!(outcome.err.contains(words), "{}", outcome.err);
}

#[track_caller]
fn tool(command: &mut Command) {
    let outcome = run(command, LIMIT);
    assert_eq!(outcome.status, 0, "{command:?}: {}", outcome.err);
}

/// So that a server that has become nobody can read it.
fn readable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}
