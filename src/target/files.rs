//! Paths that a user names: our own, or `@/…` in the live root of the target.
//!
//! An absolute symbolic link below /proc/PID/root would be resolved in our own root and lie, so a target's path is
//! opened with openat2(2) and RESOLVE_IN_ROOT, or walked component by component where the kernel or a seccomp filter
//! refuses that call. A relative path in a working directory that lies in the target's root (`cd @/etc`) is the
//! target's too.

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use nix::unistd::{AccessFlags, faccessat};

use super::{Absent, Target, Whose, access};
use crate::sys;

/// How many symbolic links one path may pass, as in the kernel (path_resolution(7)).
pub(super) const MAX_LINKS: usize = 40;

/// Access to files by the paths that users type. Finds the target when the first `@/` needs it.
pub struct Files {
    chosen: Option<OsString>,
    found: OnceCell<Result<Target, Absent>>,
}

/// Whose path it is.
enum Located {
    Ours(PathBuf),
    /// Below the target's root.
    Theirs(PathBuf),
}

impl Files {
    /// `chosen` is the value of `SIDEBOX_TARGET`.
    pub fn new(chosen: Option<&OsStr>) -> Files {
        Files { chosen: chosen.map(OsStr::to_os_string), found: OnceCell::new() }
    }

    pub fn target(&self) -> Result<&Target, &Absent> {
        self.found.get_or_init(|| Target::find(self.chosen.as_deref())).as_ref()
    }

    /// The same where no process has to be looked for: it was found before, or named.
    pub fn known_target(&self) -> Option<Result<&Target, &Absent>> {
        let known = self.found.get().is_some() || self.chosen.is_some();
        known.then(|| self.target())
    }

    /// For those who look at all processes anyway and so find it by the way: what all others find from now on.
    pub fn tell(&self, found: Result<Target, Absent>) {
        // Nobody looks for it at the same time.
        let _ = self.found.set(found);
    }

    /// Opens for reading.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        self.open_with(path, OFlag::O_RDONLY, Mode::empty())
    }

    /// open(2); the descriptor is close-on-exec.
    pub fn open_with(&self, path: &Path, flags: OFlag, mode: Mode) -> io::Result<File> {
        self.descriptor(path, flags, mode).map(File::from)
    }

    /// The start of a regular file. The target may have put a FIFO or a device in its place, so the open does not wait,
    /// and what is something else is empty.
    pub fn text(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let file = self.open_with(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, Mode::empty())?;
        let mut text = Vec::new();
        if file.metadata()?.is_file() {
            file.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut text)?;
        }
        Ok(text)
    }

    /// A directory, to list it or to change into it.
    pub fn directory(&self, path: &Path) -> io::Result<Directory> {
        self.descriptor(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty()).map(|fd| Directory { fd })
    }

    /// Whether the path leads into the target.
    pub fn whose(&self, path: &Path) -> Whose {
        match self.locate(path) {
            Located::Ours(_) => Whose::Sidecar,
            Located::Theirs(_) => Whose::Target,
        }
    }

    /// stat(2).
    pub fn metadata(&self, path: &Path) -> io::Result<FileStat> {
        match self.locate(path) {
            Located::Ours(path) => Ok(fstatat(AT_FDCWD, &path, AtFlags::empty())?),
            Located::Theirs(inner) => Ok(fstat(self.open_in_root(&inner, OFlag::O_PATH, Mode::empty())?)?),
        }
    }

    /// lstat(2).
    pub fn symlink_metadata(&self, path: &Path) -> io::Result<FileStat> {
        match self.locate(path) {
            Located::Ours(path) => Ok(fstatat(AT_FDCWD, &path, AtFlags::AT_SYMLINK_NOFOLLOW)?),
            Located::Theirs(inner) => {
                Ok(fstat(self.open_in_root(&inner, OFlag::O_PATH | OFlag::O_NOFOLLOW, Mode::empty())?)?)
            }
        }
    }

    /// readlink(2).
    pub fn read_link(&self, path: &Path) -> io::Result<OsString> {
        match self.locate(path) {
            Located::Ours(path) => Ok(readlinkat(AT_FDCWD, &path)?),
            Located::Theirs(inner) => {
                let link = self.open_in_root(&inner, OFlag::O_PATH | OFlag::O_NOFOLLOW, Mode::empty())?;
                // The file is there, so ENOENT is the kernel's word for "no link" where the path is empty.
                let not_a_link = |error| if error == Errno::ENOENT { Errno::EINVAL } else { error };
                Ok(readlinkat(link, "").map_err(not_a_link)?)
            }
        }
    }

    /// access(2) with the effective ids.
    pub fn access(&self, path: &Path, mode: AccessFlags) -> io::Result<()> {
        match self.locate(path) {
            Located::Ours(path) => Ok(faccessat(AT_FDCWD, &path, mode, AtFlags::AT_EACCESS)?),
            Located::Theirs(inner) => {
                let fd = self.open_in_root(&inner, OFlag::O_PATH, Mode::empty())?;
                Ok(faccessat(AT_FDCWD, &through(&fd), mode, AtFlags::AT_EACCESS)?)
            }
        }
    }

    /// A path for calls that take neither a descriptor nor `@/`, such as connect(2).
    pub fn reach(&self, path: &Path) -> io::Result<Reached> {
        match self.locate(path) {
            Located::Ours(path) => Ok(Reached { path, _held: None }),
            Located::Theirs(inner) => {
                let fd = self.open_in_root(&inner, OFlag::O_PATH, Mode::empty())?;
                Ok(Reached { path: through(&fd), _held: Some(fd) })
            }
        }
    }

    pub(super) fn descriptor(&self, path: &Path, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
        match self.locate(path) {
            Located::Ours(path) => Ok(openat(AT_FDCWD, &path, flags | OFlag::O_CLOEXEC, mode)?),
            Located::Theirs(inner) => self.open_in_root(&inner, flags, mode),
        }
    }

    fn locate(&self, path: &Path) -> Located {
        let bytes = path.as_os_str().as_bytes();
        if let Some(inner) = bytes.strip_prefix(b"@/") {
            return Located::Theirs(PathBuf::from(OsStr::from_bytes(inner)));
        }
        if bytes.first().is_some_and(|first| *first != b'/')
            && let Ok(here) = sys::working_directory()
            && let Some(inner) = here.as_bytes().strip_prefix(b"(unreachable)")
        {
            return Located::Theirs(Path::new(OsStr::from_bytes(inner)).join(path));
        }
        Located::Ours(path.to_path_buf())
    }

    /// The target's root directory.
    fn root(&self) -> io::Result<OwnedFd> {
        let target = self.target().map_err(|absent| io::Error::new(io::ErrorKind::NotFound, absent.to_string()))?;
        let path = format!("/proc/{}/root", target.pid);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match openat(AT_FDCWD, path.as_str(), flags, Mode::empty()) {
            Ok(root) => Ok(root),
            Err(Errno::EACCES | Errno::EPERM) => Err(access::denied(target.pid, "root")),
            Err(Errno::ENOENT | Errno::ESRCH) => {
                let gone = format!("the target, process {}, has ended", target.pid);
                Err(io::Error::new(io::ErrorKind::NotFound, gone))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn open_in_root(&self, inner: &Path, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
        let root = self.root()?;
        let flags = flags | OFlag::O_CLOEXEC;
        // Unlike open(2), openat2(2) takes none where nothing is made.
        let mode = if flags.contains(OFlag::O_CREAT) { mode } else { Mode::empty() };
        let relative = relative(inner);
        let how = OpenHow::new()
            .flags(flags)
            .mode(mode)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let opened = match openat2(&root, &relative, how) {
            Err(Errno::ENOSYS | Errno::EPERM) => walk(root, &relative, flags, mode),
            Err(error) => Err(error.into()),
            Ok(fd) => Ok(fd),
        };
        opened.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => access::PathDenied::error(inner, &error),
            _ => error,
        })
    }
}

/// Whether openat2(2) is refused here, by an older kernel or a seccomp filter, so that paths are walked.
pub fn openat2_refused() -> bool {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    matches!(openat2(AT_FDCWD, "/", how), Err(Errno::ENOSYS | Errno::EPERM))
}

/// A path that is good as long as this value lives.
pub struct Reached {
    path: PathBuf,
    /// What the path leads through.
    _held: Option<OwnedFd>,
}

impl Reached {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// An open directory.
pub struct Directory {
    pub(super) fd: OwnedFd,
}

impl Directory {
    /// The entries but `.` and `..`, in the directory's order.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        self.read()?.collect()
    }

    /// The same one by one, for directories that are larger than a memory should be.
    pub fn read(&self) -> io::Result<impl Iterator<Item = io::Result<Entry>> + use<>> {
        let copy =
            nix::fcntl::openat(&self.fd, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let directory = nix::dir::Dir::from_fd(copy)?;
        Ok(directory.into_iter().filter_map(|entry| match entry {
            Ok(entry) => {
                let name = entry.file_name().to_bytes();
                (name != b"." && name != b"..").then(|| {
                    let name = OsStr::from_bytes(name).to_os_string();
                    Ok(Entry { name, kind: entry.file_type(), inode: entry.ino() })
                })
            }
            Err(error) => Some(Err(error.into())),
        }))
    }

    /// lstat(2) of an entry.
    pub fn symlink_metadata(&self, name: &OsStr) -> io::Result<FileStat> {
        Ok(fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }

    /// readlink(2) of an entry.
    pub fn read_link(&self, name: &OsStr) -> io::Result<OsString> {
        Ok(readlinkat(&self.fd, name)?)
    }
}

impl From<Directory> for OwnedFd {
    fn from(directory: Directory) -> OwnedFd {
        directory.fd
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: OsString,
    /// Where the file system tells it without a stat.
    pub kind: Option<nix::dir::Type>,
    pub inode: u64,
}

/// A name for a file that a process has open and that has no other: what the process's children can open and write.
pub fn open_file(pid: nix::unistd::Pid, fd: std::os::fd::RawFd) -> Vec<u8> {
    format!("/proc/{pid}/fd/{fd}").into_bytes()
}

/// A path that leads to an open descriptor, for calls that take no descriptor.
fn through(fd: &OwnedFd) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn relative(inner: &Path) -> PathBuf {
    let bytes = inner.as_os_str().as_bytes();
    let start = bytes.iter().position(|byte| *byte != b'/').unwrap_or(bytes.len());
    if start == bytes.len() { PathBuf::from(".") } else { PathBuf::from(OsStr::from_bytes(&bytes[start..])) }
}

/// What openat2 does with RESOLVE_IN_ROOT, in user space: no component is ever looked up outside of `root`.
fn walk(root: OwnedFd, path: &Path, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
    let mut parents: Vec<OwnedFd> = vec![root];
    let mut rest: Vec<OsString> = Vec::new();
    push_components(&mut rest, path);
    let mut links = 0;
    let directory = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    while let Some(name) = rest.pop() {
        if name == ".." {
            if parents.len() > 1 {
                parents.pop();
            }
            continue;
        }
        let here = parents.last().ok_or(Errno::ENOENT)?;
        let last = rest.is_empty();
        match readlinkat(here, name.as_os_str()).ok() {
            Some(link) if !(last && flags.contains(OFlag::O_NOFOLLOW)) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP.into());
                }
                if link.as_bytes().starts_with(b"/") {
                    parents.truncate(1);
                }
                push_components(&mut rest, Path::new(&link));
            }
            _ if last => return Ok(openat(here, name.as_os_str(), flags | OFlag::O_NOFOLLOW, mode)?),
            _ => {
                let next = openat(here, name.as_os_str(), directory | OFlag::O_DIRECTORY, Mode::empty())?;
                parents.push(next);
            }
        }
    }
    let here = parents.last().ok_or(Errno::ENOENT)?;
    Ok(openat(here, ".", flags, mode)?)
}

fn push_components(rest: &mut Vec<OsString>, path: &Path) {
    let names = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    });
    rest.extend(names);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Reader;
    use std::os::unix::fs::symlink;

    fn root() -> (PathBuf, OwnedFd) {
        let dir =
            std::env::temp_dir().join(format!("sidebox-walk-{}-{:?}", std::process::id(), std::thread::current().id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("etc/sub")).unwrap();
        std::fs::write(dir.join("etc/hosts"), "theirs").unwrap();
        symlink("/etc/hosts", dir.join("absolute")).unwrap();
        symlink("../../../../etc/hosts", dir.join("etc/climbing")).unwrap();
        symlink("loop", dir.join("loop")).unwrap();
        symlink("/etc", dir.join("dir")).unwrap();
        let fd = openat(AT_FDCWD, &dir, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty()).unwrap();
        (dir, fd)
    }

    fn read(path: &str) -> io::Result<String> {
        let (dir, root) = root();
        let result = walk(root, Path::new(path), OFlag::O_RDONLY, Mode::empty()).and_then(|fd| {
            let mut text = String::new();
            File::from(fd).read_to_string(&mut text)?;
            Ok(text)
        });
        std::fs::remove_dir_all(dir).unwrap();
        result
    }

    #[test]
    fn links_stay_below_the_root() {
        for path in ["etc/hosts", "absolute", "etc/climbing", "dir/hosts", "dir/sub/../hosts", "../../etc/hosts"] {
            assert_eq!(read(path).unwrap(), "theirs", "{path}");
        }
    }

    #[test]
    fn loops_end_and_missing_names_are_missing() {
        assert_eq!(read("loop").unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(read("etc/none").unwrap_err().raw_os_error(), Some(libc::ENOENT));
        assert_eq!(read("etc/hosts/x").unwrap_err().raw_os_error(), Some(libc::ENOTDIR));
    }

    /// As a shell's redirection opens it.
    #[test]
    fn a_mode_without_a_new_file_is_passed_over() {
        let own = Reader::open().unwrap().own_pid().unwrap();
        let files = Files::new(Some(OsStr::new(&own.to_string())));
        let mode = Mode::from_bits_truncate(0o666);
        assert!(files.open_with(Path::new("@/etc/passwd"), OFlag::O_RDONLY, mode).is_ok());
    }
}
