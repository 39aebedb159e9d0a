//! Real servers, on ports that are free, ended with the test.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::program::{Directory, Outcome, Program, run, sources};

/// Where a version's programs are.
#[derive(Clone, Debug)]
pub struct Version {
    pub directory: PathBuf,
}

pub fn debian() -> Version {
    version(PathBuf::from("/usr/bin"))
}

pub fn newer() -> Version {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| sources().join("target"), PathBuf::from);
    version(env::var_os("SIDEBOX_ETCD").map_or_else(|| target.join("etcd-3.5.1"), PathBuf::from))
}

fn version(directory: PathBuf) -> Version {
    for name in ["etcd", "etcdctl"] {
        let path = directory.join(name);
        assert!(fs::exists(&path).unwrap(), "{} is not here; tests/check installs it", path.display());
    }
    Version { directory }
}

/// One node.
pub struct Server {
    child: Option<Child>,
    pub name: String,
    pub port: u16,
    peer: u16,
    version: Version,
    directory: Directory,
    cluster: String,
    /// `new` or `existing`.
    state: &'static str,
    /// Of the clients' URL.
    scheme: &'static str,
    extra: Vec<String>,
    told: Told,
}

/// How a server is told what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Flags,
    Variables,
    File,
}

/// Ports that nobody listens on now.
pub fn ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

impl Server {
    /// A cluster of one, with more arguments.
    pub fn start(version: &Version, extra: &[&str]) -> Server {
        Server::all(version, 1, "http", extra).remove(0)
    }

    /// The same with TLS for its clients.
    pub fn secure(version: &Version, extra: &[&str]) -> Server {
        Server::told(version, Told::Flags, "https", extra)
    }

    /// The same, told in another way.
    pub fn told(version: &Version, told: Told, scheme: &'static str, extra: &[&str]) -> Server {
        Server::some(version, 1, scheme, extra, told).remove(0)
    }

    pub fn cluster(version: &Version, count: usize) -> Vec<Server> {
        Server::all(version, count, "http", &[])
    }

    fn all(version: &Version, count: usize, scheme: &'static str, extra: &[&str]) -> Vec<Server> {
        Server::some(version, count, scheme, extra, Told::Flags)
    }

    fn some(version: &Version, count: usize, scheme: &'static str, extra: &[&str], told: Told) -> Vec<Server> {
        let ports = ports(2 * count);
        let name = |index: usize| format!("n{}", index + 1);
        let peer = |index: usize| ports[2 * index + 1];
        let urls: Vec<String> =
            (0..count).map(|index| format!("{}=http://127.0.0.1:{}", name(index), peer(index))).collect();
        let mut servers: Vec<Server> = (0..count)
            .map(|index| Server {
                child: None,
                name: name(index),
                port: ports[2 * index],
                peer: peer(index),
                version: version.clone(),
                directory: Directory::new("etcd"),
                cluster: urls.join(","),
                state: "new",
                scheme,
                extra: extra.iter().map(|word| (*word).to_string()).collect(),
                told,
            })
            .collect();
        // They wait for each other.
        let mut children: Vec<Child> = servers.iter().map(Server::spawn).collect();
        for child in &mut children {
            ready(child);
        }
        for (server, child) in servers.iter_mut().zip(children) {
            server.child = Some(child);
        }
        servers
    }

    fn spawn(&self) -> Child {
        let (client, peer) =
            (format!("{}://{}", self.scheme, self.endpoint()), format!("http://127.0.0.1:{}", self.peer));
        let data = self.directory.path().join("data");
        let mut settings: Vec<(&str, &str)> = vec![
            ("name", &self.name),
            ("data-dir", data.to_str().unwrap()),
            ("listen-client-urls", &client),
            ("advertise-client-urls", &client),
            ("listen-peer-urls", &peer),
            ("initial-advertise-peer-urls", &peer),
            ("initial-cluster", &self.cluster),
            ("initial-cluster-token", "test"),
            ("initial-cluster-state", self.state),
            ("logger", "zap"),
            ("log-level", "info"),
            ("log-outputs", "stderr"),
        ];
        // A flag without a value is one that is true.
        for (index, word) in self.extra.iter().enumerate() {
            if let Some(name) = word.strip_prefix("--") {
                let value = self.extra.get(index + 1).filter(|word| !word.starts_with("--"));
                settings.push((name, value.map_or("true", String::as_str)));
            }
        }
        let mut command = Command::new(self.version.directory.join("etcd"));
        command.current_dir(self.directory.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        match self.told {
            Told::Flags => {
                command.args(settings.iter().map(|(name, value)| format!("--{name}={value}")));
            }
            Told::Variables => {
                let variable = |name: &str| format!("ETCD_{}", name.to_uppercase().replace('-', "_"));
                command.envs(settings.iter().map(|(name, value)| (variable(name), value)));
            }
            Told::File => {
                fs::write(self.directory.path().join("etcd.yaml"), file(&settings)).unwrap();
                // By a path of the server's own directory.
                command.args(["--config-file", "etcd.yaml"]);
            }
        }
        command.spawn().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// One more, which is not started before it joins.
    pub fn companion(&self, name: &str) -> Server {
        let ports = ports(2);
        Server {
            child: None,
            name: name.into(),
            port: ports[0],
            peer: ports[1],
            version: self.version.clone(),
            directory: Directory::new("etcd"),
            cluster: String::new(),
            state: "existing",
            scheme: self.scheme,
            extra: Vec::new(),
            told: Told::Flags,
        }
    }

    /// Starts as a member of a cluster that is there.
    pub fn join(&mut self, cluster: &str) {
        self.cluster = cluster.into();
        self.again();
    }

    /// Starts after it was stopped.
    pub fn again(&mut self) {
        let mut child = self.spawn();
        ready(&mut child);
        self.child = Some(child);
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it runs.
    pub fn files(&self) -> &Path {
        self.directory.path()
    }

    pub fn peer_endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.peer)
    }
}

/// The settings as a configuration file, where those of TLS are a mapping of their own.
fn file(settings: &[(&str, &str)]) -> String {
    const SECURE: [&str; 4] = ["cert-file", "key-file", "trusted-ca-file", "client-cert-auth"];
    let (inner, outer): (Vec<_>, Vec<_>) = settings.iter().partition(|(name, _)| SECURE.contains(name));
    let mut text = String::from("# of a test\n");
    for &(name, value) in &outer {
        text += &match name {
            "log-outputs" => format!("{name}: [{value}]\n"),
            "quota-backend-bytes" => format!("{name}: {value}\n"),
            _ => format!("{name}: '{value}'\n"),
        };
    }
    if !inner.is_empty() {
        text += "client-transport-security:\n";
    }
    inner.iter().fold(text, |text, (name, value)| text + &format!("  {name}: {value} # plain\n"))
}

/// Reads what it logs, until it serves; then somebody has to go on reading.
fn ready(child: &mut Child) {
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    loop {
        let start = said.len();
        if log.read_line(&mut said).unwrap() == 0 {
            panic!("etcd ended:\n{said}");
        }
        if said[start..].contains("serving client traffic ") {
            break;
        }
    }
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut log, &mut std::io::sink());
    });
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs lines of sh in which `etcdctl` is ours, or a real one.
pub struct Client {
    program: Program,
    oracle: Option<PathBuf>,
    directory: Directory,
    pub endpoints: String,
}

impl Client {
    pub fn ours(endpoints: &str) -> Client {
        let (program, directory) = (Program::new(), Directory::new("etcdctl"));
        Client { program, oracle: None, directory, endpoints: endpoints.into() }
    }

    pub fn real(version: &Version, endpoints: &str) -> Client {
        Client { oracle: Some(version.directory.clone()), ..Client::ours(endpoints) }
    }

    pub fn run(&self, line: &str) -> Outcome {
        let first = self.oracle.as_deref().unwrap_or(self.program.links());
        let mut command = Command::new("/bin/dash");
        command
            .args(["-c", line])
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", first.display()))
            .env("ETCDCTL_API", "3")
            .env("ETCDCTL_ENDPOINTS", &self.endpoints);
        let mut outcome = run(&mut command, Duration::from_secs(30));
        // Some versions add what they log.
        let lines = outcome.err.lines().filter(|line| !line.starts_with("{\"level\"")).collect::<Vec<_>>();
        outcome.err = lines.iter().map(|line| format!("{line}\n")).collect();
        outcome
    }

    /// Runs a line that has to succeed, and gives what it prints.
    pub fn done(&self, line: &str) -> String {
        let outcome = self.run(line);
        assert_eq!((outcome.status, outcome.err.as_str(), outcome.late), (0, "", false), "{line}: {}", outcome.out);
        outcome.out
    }

    /// Runs a line and compares all of what it does.
    pub fn does(&self, line: &str, status: i32, out: &str, err: &str) {
        let outcome = self.run(line);
        let found = (outcome.status, outcome.out.as_str(), outcome.err.as_str());
        assert_eq!(found, (status, out, err), "{line}");
    }
}
