//! What a process has open: the links in /proc/PID/fd, which need the permission of [`super::access`].

use std::io;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, stat};

use super::process::{Reader, number};

/// How many deleted files are kept; they are counted beyond that.
const KEPT: usize = 100;

/// How many descriptors are looked at, each for some microseconds; they are counted beyond that.
const LOOKED_AT: u64 = 10_000;

/// All descriptors, by what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptors {
    pub count: u64,
    pub sockets: u64,
    pub pipes: u64,
    pub files: u64,
    pub others: u64,
    /// Counted, but not looked at.
    pub unread: u64,
    pub deleted_count: u64,
    pub deleted: Vec<Deleted>,
}

/// A file that has no name any more, and takes room on its disk until it is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    pub descriptor: i32,
    pub path: Vec<u8>,
    pub bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Socket,
    Pipe,
    File,
    DeletedFile,
    Other,
}

impl Kind {
    fn of(link: &[u8]) -> Kind {
        match link {
            _ if link.starts_with(b"socket:[") => Kind::Socket,
            _ if link.starts_with(b"pipe:[") => Kind::Pipe,
            // Memory with a name, which never was in a directory.
            _ if link.starts_with(b"/memfd:") || link.starts_with(b"/dev/") => Kind::Other,
            _ if link.starts_with(b"/") && link.ends_with(b" (deleted)") => Kind::DeletedFile,
            _ if link.starts_with(b"/") => Kind::File,
            _ => Kind::Other,
        }
    }
}

impl Descriptors {
    pub fn of(reader: &Reader, pid: i32) -> io::Result<Descriptors> {
        Descriptors::up_to(LOOKED_AT, reader, pid)
    }

    fn up_to(most: u64, reader: &Reader, pid: i32) -> io::Result<Descriptors> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = openat(reader.root(), format!("{pid}/fd").as_str(), flags, Mode::empty())?;
        let mut entries = nix::dir::Dir::from_fd(directory.try_clone()?)?;
        let mut found = Descriptors::default();
        for entry in entries.iter() {
            let entry = entry?;
            let Some(descriptor) = number(entry.file_name().to_bytes()) else { continue };
            if found.count >= most {
                found.count += 1;
                found.unread += 1;
                continue;
            }
            match readlinkat(&directory, entry.file_name()) {
                Ok(link) => found.add(pid, descriptor, link.as_encoded_bytes()),
                Err(error @ (Errno::EACCES | Errno::EPERM)) => return Err(error.into()),
                // Closed meanwhile.
                Err(_) => {}
            }
        }
        Ok(found)
    }

    fn add(&mut self, pid: i32, descriptor: i32, link: &[u8]) {
        self.count += 1;
        match Kind::of(link) {
            Kind::Socket => self.sockets += 1,
            Kind::Pipe => self.pipes += 1,
            Kind::Other => self.others += 1,
            Kind::File => self.files += 1,
            Kind::DeletedFile => {
                self.files += 1;
                self.deleted_count += 1;
                if self.deleted.len() < KEPT {
                    let path = link.strip_suffix(b" (deleted)").unwrap_or(link).to_vec();
                    let size = stat(format!("/proc/{pid}/fd/{descriptor}").as_str()).ok();
                    let bytes = size.and_then(|stat| u64::try_from(stat.st_size).ok());
                    self.deleted.push(Deleted { descriptor, path, bytes });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_their_links() {
        for (link, kind) in [
            (&b"socket:[1]"[..], Kind::Socket),
            (b"pipe:[1]", Kind::Pipe),
            (b"/var/log/a b", Kind::File),
            (b"/var/log/\xff (deleted)", Kind::DeletedFile),
            (b"/memfd:x (deleted)", Kind::Other),
            (b"/dev/null", Kind::Other),
            (b"anon_inode:[eventpoll]", Kind::Other),
            (b"", Kind::Other),
        ] {
            assert_eq!(Kind::of(link), kind);
        }
    }

    #[test]
    fn a_deleted_file_of_our_own() {
        use std::io::Write;
        let path = std::env::temp_dir().join(format!("sidebox-deleted-{}", std::process::id()));
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(b"12345").unwrap();
        std::fs::remove_file(&path).unwrap();
        let reader = Reader::open().unwrap();
        let found = Descriptors::of(&reader, reader.own_pid().unwrap()).unwrap();
        let deleted = found.deleted.iter().find(|deleted| deleted.path == path.as_os_str().as_encoded_bytes()).unwrap();
        assert_eq!(deleted.bytes, Some(5));
        assert!(found.count >= 3 && found.files >= found.deleted_count);
    }

    #[test]
    fn more_than_are_looked_at_are_counted() {
        let reader = Reader::open().unwrap();
        let own = reader.own_pid().unwrap();
        let _files: Vec<_> = (0..10).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        let found = Descriptors::up_to(3, &reader, own).unwrap();
        assert!(found.count >= 10 && found.count - found.unread <= 3, "{found:?}");
        assert_eq!(found.sockets + found.pipes + found.files + found.others, found.count - found.unread);
    }
}
