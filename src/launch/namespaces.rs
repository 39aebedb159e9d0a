//! Entering the namespaces of another process (setns(2)). All files are opened before the first is entered, since after
//! that other rules may hold and /proc be another one.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};

use crate::applet::{Error, Result, reason};
use crate::output::Safe;
use crate::sys;
use crate::target::namespaces::Namespace;
use crate::target::{Files, Reader, access, entering};

/// A namespace that can be entered.
struct Entry {
    namespace: Namespace,
    /// Its file, or a descriptor of the process.
    fd: OwnedFd,
    /// For people.
    of: String,
    /// Asked for by name: where it cannot be entered since there is none or we are in it, that is an error.
    named: bool,
}

/// Namespaces in the order in which they are entered.
#[derive(Default)]
pub struct Namespaces {
    entries: Vec<Entry>,
}

/// A process whose namespaces are entered. It keeps its number for as long as this value can be asked.
pub struct Process {
    pid: i32,
    /// Nothing where the kernel has no such descriptors, or a filter refuses them.
    fd: Option<OwnedFd>,
    reader: Option<Reader>,
}

impl Process {
    pub fn open(pid: i32) -> Result<Process> {
        let gone = || Error::message(format_args!("process {pid}: No such process"));
        let fd = match sys::process::open(pid) {
            Ok(fd) => Some(fd),
            Err(Errno::ESRCH | Errno::EINVAL) => return Err(gone()),
            Err(_) => None,
        };
        let reader = Reader::open().ok().filter(|reader| reader.own_pid().is_some());
        if fd.is_none() && reader.is_none() {
            return Err(Error::message("no /proc is mounted here (mount -t proc proc /proc)"));
        }
        Ok(Process { pid, fd, reader })
    }

    /// Its root directory or its working directory.
    pub fn directory(&self, which: &str) -> Result<OwnedFd> {
        let failed = |error: io::Error| {
            let why = match error.kind() {
                io::ErrorKind::PermissionDenied => access::explain(self.pid, which),
                _ => reason(&error),
            };
            Error::message(format_args!("{which} of process {}: {why}", self.pid))
        };
        let Some(reader) = &self.reader else { return Err(failed(Errno::ENOENT.into())) };
        reader.directory(self.pid, which).map_err(failed)
    }

    /// Whether what was opened of it by its number was its own, and not a successor's.
    pub fn check(&self) -> Result<()> {
        match &self.fd {
            Some(fd) if !sys::process::exists(fd) => {
                Err(Error::message(format_args!("process {}: No such process", self.pid)))
            }
            _ => Ok(()),
        }
    }
}

impl Namespaces {
    /// Adds a namespace of a process.
    pub fn add(&mut self, namespace: Namespace, process: &Process) -> Result<()> {
        self.add_entry(namespace, process, true)
    }

    fn add_entry(&mut self, namespace: Namespace, process: &Process, named: bool) -> Result<()> {
        let of = format!("process {}", process.pid);
        let opened = match (&process.reader, &process.fd) {
            (Some(reader), _) => namespace.open(reader, process.pid),
            // The descriptor of a process stands for any of its namespaces, and needs no /proc.
            (None, Some(fd)) => fd.try_clone(),
            (None, None) => Err(Errno::ENOENT.into()),
        };
        let failed = |error: io::Error| {
            let why = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    format!("{}: {}", reason(&error), entering::unreadable(process.pid, namespace))
                }
                io::ErrorKind::NotFound if process.check().is_err() => String::from("No such process"),
                io::ErrorKind::NotFound => String::from("this kernel has none"),
                _ => reason(&error),
            };
            Error::message(format_args!("{} namespace of {of}: {why}", namespace.name()))
        };
        let fd = opened.map_err(failed)?;
        self.entries.push(Entry { namespace, fd, of, named });
        Ok(())
    }

    /// Adds the namespace behind a file.
    pub fn add_file(&mut self, namespace: Namespace, files: &Files, path: &Path) -> Result<()> {
        let failed = |error| Error::message(format_args!("{}: {}", Safe::path(path), reason(&error)));
        let fd = files.open(path).map_err(failed)?.into();
        self.entries.push(Entry { namespace, fd, of: Safe::path(path).to_string(), named: true });
        Ok(())
    }

    /// Adds all others that the process has and we have not.
    pub fn add_rest(&mut self, process: &Process) -> Result<()> {
        for namespace in Namespace::ENTERED {
            if self.contain(namespace) {
                continue;
            }
            let number = |reader: &Reader, pid| reader.namespace(pid, namespace.name()).ok();
            let (ours, theirs) = match &process.reader {
                Some(reader) => (reader.own_pid().and_then(|own| number(reader, own)), number(reader, process.pid)),
                None => (None, None),
            };
            // Nobody can enter the user namespace that they are in, and nobody need enter another such one. An older
            // kernel has fewer kinds.
            if process.reader.is_some() && ours.is_none() || ours.is_some() && ours == theirs {
                continue;
            }
            self.add_entry(namespace, process, false)?;
        }
        Ok(())
    }

    /// Whether only children of this process will be in one of them (pid_namespaces(7), time_namespaces(7)).
    pub fn need_child(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.namespace, Namespace::Pid | Namespace::Time))
    }

    pub fn contain(&self, namespace: Namespace) -> bool {
        self.entries.iter().any(|entry| entry.namespace == namespace)
    }

    /// Enters them: the user namespace last where we may enter the others without it, first where it is what gives us
    /// the right to.
    pub fn enter(self) -> Result<()> {
        let (user, others): (Vec<Entry>, Vec<Entry>) =
            self.entries.into_iter().partition(|entry| entry.namespace == Namespace::User);
        let closed: Vec<Entry> = others.into_iter().filter(|entry| set(entry).is_err()).collect();
        for entry in user.iter().chain(&closed) {
            match set(entry) {
                Err(Errno::EINVAL) if !entry.named => {}
                result => result.map_err(|error| refused(entry, error))?,
            }
        }
        Ok(())
    }
}

fn set(entry: &Entry) -> nix::Result<()> {
    setns(&entry.fd, flag(entry.namespace))
}

fn refused(entry: &Entry, error: Errno) -> Error {
    let why = match (error, entry.namespace) {
        (Errno::EPERM, namespace) => format!("{}: {}", error.desc(), entering::refused(namespace)),
        (Errno::EINVAL, Namespace::User) => String::from("we are in it already"),
        (Errno::EINVAL, Namespace::Pid) => {
            String::from("it is not below ours: share the PID namespace of the host (--pid host, hostPID: true)")
        }
        (Errno::EINVAL, _) => String::from("no such namespace"),
        _ => String::from(error.desc()),
    };
    Error::message(format_args!("{} namespace of {}: {why}", entry.namespace.name(), entry.of))
}

/// What clone(2), unshare(2) and setns(2) call it.
pub fn flag(namespace: Namespace) -> CloneFlags {
    match namespace {
        Namespace::Cgroup => CloneFlags::CLONE_NEWCGROUP,
        Namespace::Ipc => CloneFlags::CLONE_NEWIPC,
        Namespace::Mount => CloneFlags::CLONE_NEWNS,
        Namespace::Network => CloneFlags::CLONE_NEWNET,
        Namespace::Pid => CloneFlags::CLONE_NEWPID,
        Namespace::Time => CloneFlags::from_bits_retain(libc::CLONE_NEWTIME),
        Namespace::User => CloneFlags::CLONE_NEWUSER,
        Namespace::Uts => CloneFlags::CLONE_NEWUTS,
    }
}
