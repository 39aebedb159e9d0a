//! `cargo run --example tour`: builds sidebox, seals a server in a container without a shell, and debugs it.
//!
//! Needs cargo and a kernel with namespaces, not root and no container engine. Prints every command with what it
//! shows; on a terminal it then leaves you in sidebox's shell beside the container. Ends with 0 if every command ended
//! as it should.

// The lists in clippy.toml are the contract of a command of sidebox; this program prints and starts others.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods)]

mod build;
mod container;
mod image;

use std::fs;
use std::io::{self, IsTerminal};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use container::{Container, Failure, Network, USER};
use image::{Image, Server};

fn main() -> ExitCode {
    match tour() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            println!("\ntour: {failed} commands did not end as they should");
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("tour: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Gives the number of commands that went wrong.
fn tour() -> Result<usize, Failure> {
    let built = build::build()?;
    let server = Server::memcached().map_or_else(|| Server::tiny(&built.server), Ok)?;
    println!("The server is {}.", server.about);
    match seal(&server) {
        Ok(container) => sealed(&container, &server, &built.sidebox),
        Err(failure) => {
            println!("\nThis machine does not let a container be made here ({failure}).");
            obstacles().iter().for_each(|obstacle| println!("  {obstacle}"));
            unsealed(&server, &built.sidebox)
        }
    }
}

/// As root with plain namespaces, or where that is refused and for everyone else in a user namespace.
fn seal(server: &Server) -> Result<Container, Failure> {
    let args = ["-p", "11211"];
    if nix::unistd::geteuid().is_root()
        && let Ok(container) = Container::start(server, &args, false)
    {
        return Ok(container);
    }
    Container::start(server, &args, true)
}

/// The tour beside a sealed container.
fn sealed(container: &Container, server: &Server, sidebox: &Path) -> Result<usize, Failure> {
    let (name, pid) = (server.name, container.pid);
    println!(
        "It runs sealed, as process {pid} of this machine: PID, mount, network and UTS namespaces of its own, user {USER},\n\
         a root with nothing in it but its own files. There is no shell in it to exec.\n"
    );
    listening(pid, 11211)?;
    let sidebox = Image::of(sidebox, "/bin/sidebox")?;
    let mut failed = 0;
    let mut show = |network, lines: &[&str]| {
        for line in lines {
            println!("\n$ {line}");
            match container.sidecar(&server.image, &sidebox, network, Some(line)) {
                Ok(0) => continue,
                Ok(status) => println!("tour: status {status}"),
                Err(failure) => println!("tour: {failure}"),
            }
            failed += 1;
        }
    };
    println!("== A sidecar in the target's PID namespace, same user, no capabilities, its own network, as from");
    println!("   podman run --rm -it --pid container:{name} --user {USER}:{USER} --cap-drop all \\");
    println!("     --mount type=image,source=sidebox,destination=/dbg --entrypoint /dbg/bin/sh IMAGE");
    show(Network::Own, &["ps", "netstat", "ls /", "ls @/"]);
    println!("\n== The same with --network container:{name}");
    show(Network::Target, &conversation(11211).each_ref().map(String::as_str));
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        println!("\n== And now you: a shell in that sidecar. @/ is the target's root, 'sidebox' lists the commands,");
        println!("   'exit' ends it all.\n");
        container.sidecar(&server.image, &sidebox, Network::Target, None)?;
    }
    Ok(failed)
}

/// What is still to be seen where the kernel refuses a container: the same commands beside a process.
fn unsealed(server: &Server, sidebox: &Path) -> Result<usize, Failure> {
    let port = free_port().map_err(|error| format!("no free port: {error}"))?;
    println!("\n{} runs as a plain process on 127.0.0.1:{port} instead, and sidebox gets its PID.", server.name);
    let process = Container::unsealed(server, &["-l", "127.0.0.1", "-p", &port.to_string()])?;
    listening(process.pid, port)?;
    let mut failed = 0;
    let lines = [format!("ps -p {}", process.pid), "netstat -l".to_string(), "ls @/".to_string()];
    for line in lines.iter().chain(&conversation(port)) {
        println!("\n$ {line}");
        let mut command = Command::new(sidebox);
        let status = command.args(["sh", "-c", line]).env("SIDEBOX_TARGET", process.pid.to_string()).status();
        if !status.is_ok_and(|status| status.success()) {
            failed += 1;
        }
    }
    Ok(failed)
}

/// What a person asks a memcached.
fn conversation(port: u16) -> [String; 4] {
    [
        String::from("probe memcached"),
        format!(r#"printf "set testkey 0 900 5\r\nhello\r\n" | nc localhost {port}"#),
        format!(r#"printf "get testkey\r\n" | nc localhost {port}"#),
        format!(r#"echo stats | nc localhost {port} | grep -E "version|limit_maxbytes|max_connections""#),
    ]
}

/// memcached's port if it is free, else any.
fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 11211)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
    Ok(listener.local_addr()?.port())
}

/// Waits until a process's network namespace has a listener on a port, as /proc/PID/net/tcp shows it.
fn listening(pid: i32, port: u16) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(5);
    let address = format!(":{port:04X}");
    while Instant::now() < deadline {
        let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).map_err(|_| "the server ended")?;
        let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        if rows.any(|row| row.len() > 3 && row[1].ends_with(&address) && row[3] == "0A") {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(format!("the server does not listen on port {port}"))
}

/// The settings by which a kernel refuses namespaces, as far as they can be read.
fn obstacles() -> Vec<String> {
    let setting = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default().trim().to_string();
    let mut found = Vec::new();
    let refusing = [
        ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
        ("user/max_pid_namespaces", "0", "sysctl -w user.max_pid_namespaces=10000"),
        ("user/max_mnt_namespaces", "0", "sysctl -w user.max_mnt_namespaces=10000"),
        ("user/max_net_namespaces", "0", "sysctl -w user.max_net_namespaces=10000"),
    ];
    for (name, value, cure) in refusing {
        if setting(name) == value {
            found.push(format!("{} is {value}; root can allow it: {cure}", name.replace('/', ".")));
        }
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if status.lines().any(|line| line.split_whitespace().eq(["Seccomp:", "2"])) {
        found
            .push(String::from("this runs under a seccomp filter, perhaps in a container itself; the engine's option"));
        found.push(String::from("  --security-opt seccomp=unconfined, or --privileged, lifts it"));
    }
    if found.is_empty() {
        found.push(String::from("no setting that is known to refuse it does; running the tour as root may help"));
    }
    found
}
