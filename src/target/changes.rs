//! Files made, changed and removed, ours and the target's: by an open directory and one name in it, so that no symbolic
//! link that somebody puts in the way leads anywhere else.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmod, fchmodat, fstat, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, LinkatFlags, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat};

use super::Files;
use super::files::Directory;

impl Files {
    /// The directory that a path's last name is in, and that name; `.` where the path is a root.
    pub fn parent(&self, path: &Path) -> io::Result<(Directory, OsString)> {
        let (above, name) = split(path.as_os_str().as_bytes());
        Ok((self.directory(Path::new(OsStr::from_bytes(above)))?, OsStr::from_bytes(name).to_os_string()))
    }
}

/// `a/b/` is `b` in `a`.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let (path, slashes) = path.split_at(end);
    match path.iter().rposition(|byte| *byte == b'/') {
        _ if path == b"@" && !slashes.is_empty() => (b"@/", b"."),
        Some(slash) => (&path[..=slash], &path[slash + 1..]),
        None if path.is_empty() => (b"/", b"."),
        None => (b".", path),
    }
}

/// Permissions and the bits above them, as stat(2) has them.
fn permissions(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode & 0o7777)
}

impl Directory {
    /// Opens an entry, which has to be no symbolic link.
    pub fn open(&self, name: &OsStr, flags: OFlag, mode: u32) -> io::Result<File> {
        Ok(File::from(openat(&self.fd, name, flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, permissions(mode))?))
    }

    /// An entry that is a directory.
    pub fn directory(&self, name: &OsStr) -> io::Result<Directory> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Directory { fd: openat(&self.fd, name, flags, Mode::empty())? })
    }

    /// A directory below this one, through symbolic links only as long as they do not lead out of it.
    pub fn beneath(&self, path: &Path) -> io::Result<Directory> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let how =
            OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        match openat2(&self.fd, path, how) {
            Ok(fd) => Ok(Directory { fd }),
            // Where the call is refused, through none at all.
            Err(Errno::ENOSYS | Errno::EPERM) => self.descend(path),
            Err(Errno::EXDEV) => Err(io::Error::new(io::ErrorKind::PermissionDenied, "a symbolic link leads out")),
            Err(error) => Err(error.into()),
        }
    }

    fn descend(&self, path: &Path) -> io::Result<Directory> {
        let mut here = self.directory(OsStr::new("."))?;
        for name in path.components() {
            if name == std::path::Component::ParentDir {
                return Err(Errno::EXDEV.into());
            }
            here = here.directory(name.as_os_str())?;
        }
        Ok(here)
    }

    pub fn own_metadata(&self) -> io::Result<FileStat> {
        Ok(fstat(&self.fd)?)
    }

    pub fn make_directory(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        Ok(mkdirat(&self.fd, name, permissions(mode))?)
    }

    pub fn make_symlink(&self, name: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(symlinkat(to, &self.fd, name)?)
    }

    /// A FIFO, a device or a socket, by all of its mode.
    pub fn make_node(&self, name: &OsStr, mode: u32, device: u64) -> io::Result<()> {
        Ok(mknodat(&self.fd, name, SFlag::from_bits_truncate(mode), permissions(mode), device)?)
    }

    /// Another name, here, for an entry of `other`; for a symbolic link itself where it is one.
    pub fn make_link(&self, name: &OsStr, other: &Directory, entry: &OsStr) -> io::Result<()> {
        Ok(linkat(&other.fd, entry, &self.fd, name, LinkatFlags::empty())?)
    }

    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Of an entry, also of a symbolic link itself.
    pub fn set_owner(&self, name: &OsStr, user: u32, group: u32) -> io::Result<()> {
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        Ok(fchownat(&self.fd, name, Some(user), Some(group), AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }

    /// Of an entry that is no symbolic link.
    pub fn set_mode(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        Ok(fchmodat(&self.fd, name, permissions(mode), FchmodatFlags::NoFollowSymlink)?)
    }

    pub fn set_own_mode(&self, mode: u32) -> io::Result<()> {
        Ok(fchmod(&self.fd, permissions(mode))?)
    }

    /// The times of reading and of writing, each in seconds and nanoseconds; also of a symbolic link itself.
    pub fn set_times(&self, name: &OsStr, read: (i64, i64), written: (i64, i64)) -> io::Result<()> {
        let (read, written) = (TimeSpec::new(read.0, read.1), TimeSpec::new(written.0, written.1));
        Ok(utimensat(&self.fd, name, &read, &written, UtimensatFlags::NoFollowSymlink)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_last_name_of_a_path() {
        for (path, above, name) in [
            ("a", ".", "a"),
            ("a/b", "a/", "b"),
            ("a//b//", "a//", "b"),
            ("/a", "/", "a"),
            ("/", "/", "."),
            ("@/", "@/", "."),
            ("@/a", "@/", "a"),
            ("@", ".", "@"),
            ("..", ".", ".."),
        ] {
            assert_eq!(split(path.as_bytes()), (above.as_bytes(), name.as_bytes()), "{path}");
        }
    }

    #[test]
    fn a_link_that_leads_out_is_not_followed() {
        let top = std::env::temp_dir().join(format!("sidebox-changes-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&top);
        std::fs::create_dir_all(top.join("in/below")).unwrap();
        for (to, name) in [("below", "inside"), ("../in", "outside"), ("/", "root")] {
            symlink(to, top.join("in").join(name)).unwrap();
        }
        let directory = Files::new(None).directory(&top.join("in")).unwrap();
        for open in [Directory::beneath, Directory::descend] {
            assert!(open(&directory, Path::new("below")).is_ok());
            for out in ["outside", "root", "below/../../in", "inside/../../in"] {
                assert!(open(&directory, Path::new(out)).is_err(), "{out}");
            }
        }
        assert!(directory.beneath(Path::new("inside")).is_ok());
        assert!(directory.descend(Path::new("inside")).is_err());
        std::fs::remove_dir_all(top).unwrap();
    }
}
