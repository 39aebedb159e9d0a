//! A file that stands under its name only when all of it is there: until then it is `NAME.part` beside it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::Files;

pub struct Partial {
    pub file: File,
    directory: OwnedFd,
    partial: OsString,
    name: OsString,
    kept: bool,
}

impl Partial {
    /// For its owner alone.
    pub fn create(files: &Files, path: &Path) -> io::Result<Partial> {
        let path = path.as_os_str().as_bytes();
        let (directory, name) = match memchr::memrchr(b'/', path) {
            Some(at) => path.split_at(at + 1),
            None => (&b"."[..], path),
        };
        if name.is_empty() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let directory = Path::new(OsStr::from_bytes(directory));
        let directory = files.open_with(directory, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty())?;
        let partial = OsString::from_vec([name, b".part"].concat());
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&directory, partial.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let name = OsStr::from_bytes(name).to_os_string();
        Ok(Partial { file: File::from(file), directory: directory.into(), partial, name, kept: false })
    }

    /// What is in it, on the disk, from its start.
    pub fn written(&self) -> io::Result<File> {
        self.file.sync_all()?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(File::from(openat(&self.directory, self.partial.as_os_str(), flags, Mode::empty())?))
    }

    /// It is complete: what had the name before is replaced, once it is safely on the disk.
    pub fn keep(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        renameat(&self.directory, self.partial.as_os_str(), &self.directory, self.name.as_os_str())?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            let _ = unlinkat(&self.directory, self.partial.as_os_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}
