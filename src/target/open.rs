//! What processes have open, one by one and in memory that does not grow with it: descriptors, working directory, root,
//! program and mapped files. All of it needs the permission of [`super::access`].

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstatat};

use super::maps::Mappings;
use super::process::{Reader, number};
use crate::sys::directory::Names;

/// Where a process holds a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    Directory,
    Root,
    Program,
    Mapped,
    Descriptor(i32),
}

/// One of the things that a process has open.
#[derive(Clone, Debug)]
pub struct Open {
    pub place: Place,
    /// A path in the process's own mounts, perhaps with ` (deleted)`, or the kernel's words: `socket:[7]`, `pipe:[8]`.
    pub link: Vec<u8>,
    /// What it is opened for.
    pub reads: bool,
    pub writes: bool,
    pub stat: Option<FileStat>,
}

impl Open {
    /// Whether it is a file that has no name any more, and takes room until it is closed.
    pub fn is_deleted(&self) -> bool {
        self.stat.is_some_and(|stat| stat.st_nlink == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFREG)
            && self.link.starts_with(b"/")
    }

    /// How many names it has.
    #[allow(clippy::useless_conversion, reason = "the type is another one on arm64")]
    pub fn links(&self) -> Option<u64> {
        self.stat.map(|stat| u64::from(stat.st_nlink))
    }

    /// The number of a socket.
    pub fn socket(&self) -> Option<u64> {
        number(self.link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
    }
}

/// The working directory, the root or the program. Nothing where a process has none: kernel threads and zombies.
pub fn place(reader: &Reader, pid: i32, place: Place) -> io::Result<Option<Open>> {
    let name = match place {
        Place::Directory => "cwd",
        Place::Root => "root",
        _ => "exe",
    };
    let path = format!("{pid}/{name}");
    match readlinkat(reader.root(), path.as_str()) {
        Ok(link) => Ok(Some(Open {
            place,
            link: link.into_encoded_bytes(),
            reads: true,
            writes: false,
            stat: fstatat(reader.root(), path.as_str(), AtFlags::empty()).ok(),
        })),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The descriptors of a process, as they are read.
pub struct Descriptors {
    names: Names,
}

impl Descriptors {
    pub fn of(reader: &Reader, pid: i32) -> io::Result<Descriptors> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = openat(reader.root(), format!("{pid}/fd").as_str(), flags, Mode::empty())?;
        Ok(Descriptors { names: Names::new(directory) })
    }

    /// The next one; those that are closed meanwhile are passed over.
    #[expect(clippy::should_implement_trait, reason = "the caller reads between two of them")]
    pub fn next(&mut self) -> Option<io::Result<Open>> {
        loop {
            let name = match self.names.next()? {
                Ok(name) => name,
                Err(error) => return Some(Err(error)),
            };
            let Some(descriptor) = number::<i32>(name) else { continue };
            let name = descriptor.to_string();
            let directory = self.names.directory();
            let link = match readlinkat(directory, name.as_str()) {
                Ok(link) => link.into_encoded_bytes(),
                Err(error @ (Errno::EACCES | Errno::EPERM)) => return Some(Err(error.into())),
                Err(_) => continue,
            };
            // The link's own mode tells what the descriptor is open for.
            let mode = fstatat(directory, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW).map_or(0, |stat| stat.st_mode);
            return Some(Ok(Open {
                place: Place::Descriptor(descriptor),
                link,
                reads: mode & libc::S_IRUSR != 0,
                writes: mode & libc::S_IWUSR != 0,
                stat: fstatat(directory, name.as_str(), AtFlags::empty()).ok(),
            }));
        }
    }
}

/// Where a descriptor stands in its file.
pub fn position(reader: &mut Reader, pid: i32, descriptor: i32) -> Option<u64> {
    let text = reader.line(pid, &format!("fdinfo/{descriptor}"), "pos").ok()?;
    number(text)
}

/// How many different mapped files are told of one process.
const MAPPED: usize = 10_000;

/// The files that are mapped into its memory, each once. Their numbers are those of the mapping, since what is at the path
/// may be another file by now.
pub fn mapped(reader: &Reader, pid: i32) -> io::Result<Vec<Open>> {
    let mut mappings = Mappings::of(reader, pid, false)?;
    let (mut seen, mut found, mut details) = (HashSet::new(), Vec::new(), Vec::new());
    while let Some(mapping) = mappings.next(&mut details)? {
        if mapping.inode == 0 || found.len() >= MAPPED || !seen.insert((mapping.device, mapping.inode)) {
            continue;
        }
        let range = format!("{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
        // Where that directory is root's business only, the path in the process's root.
        let path = [format!("{pid}/root").as_bytes(), &mapping.path].concat();
        let stat = fstatat(reader.root(), range.as_str(), AtFlags::empty())
            .or_else(|_| fstatat(reader.root(), OsStr::from_bytes(&path), AtFlags::AT_SYMLINK_NOFOLLOW))
            .ok()
            .filter(|stat| stat.st_ino == mapping.inode);
        found.push(Open {
            place: Place::Mapped,
            link: mapping.path,
            reads: true,
            writes: mapping.permissions[1] == b'w' && mapping.permissions[3] == b's',
            stat,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_have_open() {
        use std::io::Write;
        use std::os::fd::AsRawFd;
        let path = std::env::temp_dir().join(format!("sidebox-open-{}", std::process::id()));
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(b"12345").unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut reader = Reader::open().unwrap();
        let own = reader.own_pid().unwrap();
        let mut all = Descriptors::of(&reader, own).unwrap();
        let mut found = None;
        while let Some(open) = all.next() {
            let open = open.unwrap();
            if open.place == Place::Descriptor(file.as_raw_fd()) {
                found = Some(open);
            }
        }
        let found = found.unwrap();
        assert!(found.is_deleted() && found.writes && !found.reads && found.socket().is_none());
        assert_eq!(found.stat.unwrap().st_size, 5);
        assert_eq!(found.link, format!("{} (deleted)", path.display()).into_bytes());
        assert_eq!(position(&mut reader, own, file.as_raw_fd()), Some(5));
        let program = place(&reader, own, Place::Program).unwrap().unwrap();
        let mapped = mapped(&reader, own).unwrap();
        assert!(mapped.iter().any(|open| open.link == program.link && open.stat.is_some()));
    }
}
