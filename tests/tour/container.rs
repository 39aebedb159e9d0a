//! A sealed container and a sidecar beside it, from the kernel's own parts: what `podman run` and
//! `podman run --pid container:X` do, without an engine.
//!
//! As root with plain namespaces, else in a user namespace. Every process forks without exec until it becomes the
//! server or the sidecar's shell: the user in the namespaces is not root, and an exec would take the capabilities over
//! them away. This program has one thread, so that it may.
//!
//! Nothing stays behind: all files are in a tmpfs that only the container sees, and every process dies with the one
//! that started it.

use std::ffi::CString;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{self, ForkResult, Gid, Pid, Uid};

use sidebox::sys;

use crate::image::{Image, Server};

/// Who the server and the sidecar are.
pub const USER: u32 = 10000;

/// Where the new root is put together, hidden in the container's own mount namespace. Every Linux has it.
const MOUNT_POINT: &str = "/tmp";

/// What was tried, and why it did not work.
pub type Failure = String;

trait Trying<T> {
    /// Names what was tried.
    fn trying(self, what: &str) -> Result<T, Failure>;
}

impl<T, E: Display> Trying<T> for Result<T, E> {
    fn trying(self, what: &str) -> Result<T, Failure> {
        self.map_err(|error| format!("{what}: {error}"))
    }
}

/// A running container.
pub struct Container {
    /// Its first process, as this machine sees it.
    pub pid: i32,
    keeper: Pid,
    in_user_namespace: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// A network namespace of its own: `podman run` without `--network container:X`.
    Own,
    /// The target's.
    Target,
}

impl Container {
    /// Starts the server as the first process of a container: own PID, mount, network, UTS and IPC namespaces, a root
    /// with nothing else in it, no capabilities.
    pub fn start(server: &Server, args: &[&str], in_user_namespace: bool) -> Result<Container, Failure> {
        let (receiver, sender) = unistd::pipe2(OFlag::O_CLOEXEC).trying("pipe")?;
        let sender = File::from(sender);
        let keeper = child(&sender, || {
            // Away from the terminal, whose Ctrl-C is not for the server.
            unistd::setsid().trying("setsid")?;
            let (uid, gid) = (unistd::geteuid(), unistd::getegid());
            let mut namespaces = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNET;
            namespaces |= CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
            namespaces.set(CloneFlags::CLONE_NEWUSER, in_user_namespace);
            unshare(namespaces).trying("unshare")?;
            if in_user_namespace {
                map_user(uid, gid)?;
            }
            let first = child(&sender, || {
                unistd::sethostname("target").trying("sethostname")?;
                raise_loopback()?;
                ignore_input()?;
                enter_root(|root| server.image.unpack(root).trying("the target's files"))?;
                become_user(in_user_namespace)?;
                writeln!(&sender, "ready").trying("pipe")?;
                execute(&server.program, &[&[server.name], args].concat())
            })?;
            writeln!(&sender, "pid {first}").trying("pipe")?;
            wait(first)
        })?;
        drop(sender);
        let mut container = Container { pid: 0, keeper, in_user_namespace };
        let mut ready = false;
        for line in BufReader::new(File::from(receiver)).lines() {
            match line.trying("pipe")?.split_once(' ') {
                Some(("pid", pid)) => container.pid = pid.parse().trying("pid")?,
                None => ready = true,
                Some((what, why)) => return Err(format!("{what} {why}")),
            }
            if ready && container.pid != 0 {
                return Ok(container);
            }
        }
        Err(String::from("the container ended before it had begun"))
    }

    /// Where the kernel refuses all that: the server as a plain process of this machine.
    pub fn unsealed(server: &Server, args: &[&str]) -> Result<Container, Failure> {
        let errors = errors()?;
        let keeper = child(&errors, || {
            ignore_input()?;
            become_user(!unistd::geteuid().is_root())?;
            execute(&server.program, &[&[server.name], args].concat())
        })?;
        Ok(Container { pid: keeper.as_raw(), keeper, in_user_namespace: false })
    }

    /// Runs a line of shell, or a shell for the user, beside the target: another root with the same files and sidebox
    /// in /dbg, the target's PID namespace, the target's user, no capabilities. Gives its exit status.
    pub fn sidecar(
        &self,
        image: &Image,
        sidebox: &Image,
        network: Network,
        line: Option<&str>,
    ) -> Result<i32, Failure> {
        let errors = errors()?;
        let outside = child(&errors, || {
            let open = |kind| File::open(format!("/proc/{}/ns/{kind}", self.pid)).trying("the target's namespaces");
            let (user, pid, net) = (open("user")?, open("pid")?, open("net")?);
            if self.in_user_namespace {
                setns(user, CloneFlags::CLONE_NEWUSER).trying("setns user")?;
            }
            setns(pid, CloneFlags::CLONE_NEWPID).trying("setns pid")?;
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS).trying("unshare")?;
            match network {
                Network::Target => setns(net, CloneFlags::CLONE_NEWNET).trying("setns net")?,
                Network::Own => unshare(CloneFlags::CLONE_NEWNET).trying("unshare")?,
            }
            // Only a child is in the PID namespace.
            let inside = child(&errors, || {
                unistd::sethostname("sidecar").trying("sethostname")?;
                if network == Network::Own {
                    raise_loopback()?;
                }
                enter_root(|root| furnish(root, image, sidebox))?;
                if line.is_none() {
                    take_terminal()?;
                }
                become_user(self.in_user_namespace)?;
                let args: Vec<&str> =
                    ["sh"].into_iter().chain(line.into_iter().flat_map(|line| ["-c", line])).collect();
                execute(Path::new("/dbg/bin/sh"), &args)
            })?;
            wait(inside)
        })?;
        let status = wait(outside);
        if line.is_none() {
            give_terminal_to(unistd::getpgrp())?;
        }
        status
    }
}

impl Drop for Container {
    /// The first process takes everything in the PID namespace with it, and the keeper ends after it.
    fn drop(&mut self) {
        let last = if self.pid == 0 { self.keeper } else { Pid::from_raw(self.pid) };
        let _ = kill(last, Signal::SIGKILL);
        let _ = wait(self.keeper);
    }
}

/// Where a child says why it could not do its work, if it has no pipe for that.
fn errors() -> Result<File, Failure> {
    io::stderr().as_fd().try_clone_to_owned().map(File::from).trying("dup")
}

/// The terminal's input is not for a server.
fn ignore_input() -> Result<(), Failure> {
    let nothing = File::open("/dev/null").trying("/dev/null")?;
    unistd::dup2_stdin(nothing).trying("dup2")
}

/// Forks. The child dies with its parent, and says on `report` why it could not do its work.
fn child(report: &File, work: impl FnOnce() -> Result<i32, Failure>) -> Result<Pid, Failure> {
    io::stdout().flush().trying("standard output")?;
    match sys::fork().trying("fork")? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let done = prctl::set_pdeathsig(Signal::SIGKILL).trying("prctl").and_then(|()| work());
            let status = done.unwrap_or_else(|failure| {
                let _ = writeln!(&*report, "{failure}");
                125
            });
            sys::exit(status as u8)
        }
    }
}

/// Waits for a child, and gives its status as a shell has it.
fn wait(pid: Pid) -> Result<i32, Failure> {
    loop {
        match waitpid(pid, None).trying("wait")? {
            WaitStatus::Exited(_, status) => return Ok(status),
            WaitStatus::Signaled(_, signal, _) => return Ok(128 + signal as i32),
            _ => {}
        }
    }
}

fn execute(program: &Path, args: &[&str]) -> Result<i32, Failure> {
    let what = program.to_string_lossy();
    let path = CString::new(program.as_os_str().as_bytes()).trying(&what)?;
    let args: Result<Vec<CString>, _> = args.iter().map(|arg| CString::new(*arg)).collect();
    let terminal = std::env::var("TERM").unwrap_or_default();
    let env = ["PATH=/usr/local/bin:/usr/bin:/bin".to_string(), format!("TERM={terminal}")].map(CString::new);
    let env: Result<Vec<CString>, _> = env.into_iter().collect();
    match unistd::execve(&path, &args.trying(&what)?, &env.trying(&what)?).trying(&what)? {}
}

/// One user in the namespace, who is not root there and is whoever started this here (user_namespaces(7)).
fn map_user(uid: Uid, gid: Gid) -> Result<(), Failure> {
    fs::write("/proc/self/setgroups", "deny").trying("/proc/self/setgroups")?;
    fs::write("/proc/self/uid_map", format!("{USER} {uid} 1")).trying("/proc/self/uid_map")?;
    fs::write("/proc/self/gid_map", format!("{USER} {gid} 1")).trying("/proc/self/gid_map")
}

/// Gives up what is left of root. In a user namespace that is only the capabilities, which the exec takes.
fn become_user(in_user_namespace: bool) -> Result<(), Failure> {
    if !in_user_namespace {
        let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
        unistd::setgroups(&[]).trying("setgroups")?;
        unistd::setresgid(gid, gid, gid).trying("setresgid")?;
        unistd::setresuid(uid, uid, uid).trying("setresuid")?;
        // A change of user takes the wish to die with the parent back.
        prctl::set_pdeathsig(Signal::SIGKILL).trying("prctl")?;
    }
    prctl::set_no_new_privs().trying("prctl")
}

fn mount_new(kind: &str, at: &Path) -> Result<(), Failure> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let options = (kind == "tmpfs").then_some("mode=755");
    mount(Some(kind), at, Some(kind), flags, options).trying(&format!("mount {kind}"))
}

fn read_only(at: &Path) -> Result<(), Failure> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(None::<&str>, at, None::<&str>, flags, None::<&str>).trying("remount read-only")
}

/// Makes a new, read-only root and drops the machine's. `fill` gets its directory.
fn enter_root(fill: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
    let root = Path::new(MOUNT_POINT);
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).trying("mount /")?;
    mount_new("tmpfs", root)?;
    fill(root)?;
    unistd::chdir(root).trying("chdir")?;
    // The old root comes to lie on top of the new one, and is taken away (pivot_root(2), NOTES).
    unistd::pivot_root(".", ".").trying("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).trying("umount")?;
    read_only(Path::new("/"))?;
    unistd::chdir("/").trying("chdir")
}

/// The root of a sidecar: a fresh copy of the target's, its own /proc, and the mounted image of sidebox.
fn furnish(root: &Path, image: &Image, sidebox: &Image) -> Result<(), Failure> {
    image.unpack(root).trying("the sidecar's files")?;
    let (dbg, proc) = (root.join("dbg"), root.join("proc"));
    fs::create_dir(&dbg).and_then(|()| fs::create_dir(&proc)).trying("mkdir")?;
    mount_new("tmpfs", &dbg)?;
    sidebox.unpack(&dbg).trying("sidebox's files")?;
    let bin = dbg.join("bin");
    let installed =
        Command::new(bin.join("sidebox")).arg("--install").arg(&bin).status().trying("sidebox --install")?;
    if !installed.success() {
        return Err(format!("sidebox --install: {installed}"));
    }
    read_only(&dbg)?;
    mount_new("proc", &proc)
}

/// A new network namespace has a loopback interface that is down. This is `ip link set lo up` (rtnetlink(7)).
fn raise_loopback() -> Result<(), Failure> {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST_AND_ACK: u16 = 1 | 4;
    const IFF_UP: u32 = 1;
    let mut message = Vec::new();
    // struct nlmsghdr: length, type, flags, sequence, port.
    message.extend_from_slice(&32u32.to_ne_bytes());
    message.extend_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST_AND_ACK.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    // struct ifinfomsg: family and type, index (a namespace's first interface is lo), flags, which of them to change.
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&1i32.to_ne_bytes());
    message.extend_from_slice(&IFF_UP.to_ne_bytes());
    message.extend_from_slice(&IFF_UP.to_ne_bytes());
    let kernel = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)
        .trying("lo")?;
    sendto(kernel.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty()).trying("lo")?;
    let mut answer = [0; 256];
    recv(kernel.as_raw_fd(), &mut answer, MsgFlags::empty()).trying("lo")?;
    // struct nlmsgerr behind the header: 0, or a negative error number.
    match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error)).trying("lo"),
    }
}

/// A shell for the user is a job of its own on the terminal, as from any shell with job control.
fn take_terminal() -> Result<(), Failure> {
    let own = unistd::getpid();
    unistd::setpgid(own, own).trying("setpgid")?;
    give_terminal_to(own)
}

/// tcsetpgrp(3), allowed from the background while SIGTTOU is blocked.
fn give_terminal_to(group: Pid) -> Result<(), Failure> {
    let mut before = SigSet::empty();
    let stop = SigSet::from(Signal::SIGTTOU);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&stop), Some(&mut before)).trying("sigprocmask")?;
    let given = unistd::tcsetpgrp(io::stdin(), group).trying("tcsetpgrp");
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None).trying("sigprocmask")?;
    given
}
