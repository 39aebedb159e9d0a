//! Who holds which socket: the links in /proc/PID/fd of all processes, which need the permission of
//! [`crate::target::access`].

use std::collections::HashSet;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::Mode;

use crate::output::order;
use crate::target::process::{self, Reader, number};

/// A descriptor of a process that leads to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    pub inode: u64,
    pub pid: i32,
    pub descriptor: i32,
}

#[derive(Debug, Default)]
pub struct Owners {
    /// Sorted.
    holders: Vec<Holder>,
    /// By process, lowest first.
    comms: Vec<(i32, Vec<u8>)>,
    /// Processes whose descriptors we may not see.
    pub denied: Vec<i32>,
}

impl Owners {
    /// Looks through the descriptors of all processes for every socket, or until each one in `wanted` has been found.
    pub fn find(wanted: Option<&HashSet<u64>>) -> io::Result<Owners> {
        Owners::find_from(&[], wanted)
    }

    /// The same, `first` before all others: where these hold all that is wanted, nobody else is looked at.
    pub(super) fn find_from(first: &[i32], wanted: Option<&HashSet<u64>>) -> io::Result<Owners> {
        let mut reader = Reader::open()?;
        let mut owners = Owners::default();
        let mut missing = wanted.cloned();
        let all = reader.pids()?;
        let others = all.into_iter().filter(|pid| !first.contains(pid));
        for pid in first.iter().copied().chain(others) {
            if missing.as_ref().is_some_and(HashSet::is_empty) {
                break;
            }
            let before = owners.holders.len();
            if let Err(error) = owners.add(&reader, pid, &mut missing)
                && !process::gone(&error)
            {
                owners.denied.push(pid);
            }
            if owners.holders.len() > before
                && let Ok(stat) = reader.stat(pid)
            {
                owners.comms.push((pid, stat.comm));
            }
        }
        // Sockets that were made one after the other are in order already, which this sort makes use of.
        order::sort(&mut owners.holders);
        Ok(owners)
    }

    fn add(&mut self, reader: &Reader, pid: i32, missing: &mut Option<HashSet<u64>>) -> io::Result<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = openat(reader.root(), format!("{pid}/fd").as_str(), flags, Mode::empty())?;
        let mut entries = nix::dir::Dir::from_fd(directory.try_clone()?)?;
        for entry in entries.iter() {
            let entry = entry?;
            let Some(descriptor) = number(entry.file_name().to_bytes()) else { continue };
            let link = match readlinkat(&directory, entry.file_name()) {
                Ok(link) => link,
                // CAP_DAC_OVERRIDE opens the directory, the links need more; what is denied for one is for all.
                Err(error @ (Errno::EACCES | Errno::EPERM)) => return Err(error.into()),
                // A descriptor may be closed meanwhile.
                Err(_) => continue,
            };
            if let Some(inode) = socket_inode(link.as_encoded_bytes())
                && missing.as_mut().is_none_or(|missing| missing.remove(&inode))
            {
                self.holders.push(Holder { inode, pid, descriptor });
                // Listeners come early, and there may be a hundred thousand connections behind them.
                if missing.as_ref().is_some_and(HashSet::is_empty) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// All descriptors that lead to a socket, those of the process with the lowest number first.
    pub fn holders(&self, inode: u64) -> &[Holder] {
        let start = self.holders.partition_point(|holder| holder.inode < inode);
        let found = self.holders.get(start..).unwrap_or_default();
        let count = found.iter().take_while(|holder| holder.inode == inode).count();
        &found[..count]
    }

    /// Of several processes that hold a socket, the one with the lowest number stands for it.
    pub fn of(&self, inode: u64) -> Option<i32> {
        self.holders(inode).first().map(|holder| holder.pid)
    }

    pub fn comm(&self, pid: i32) -> Option<&[u8]> {
        let at = self.comms.binary_search_by_key(&pid, |(pid, _)| *pid).ok()?;
        self.comms.get(at).map(|(_, comm)| comm.as_slice())
    }
}

/// The number in `socket:[12345]`.
fn socket_inode(link: &[u8]) -> Option<u64> {
    number(link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inodes_of_links() {
        assert_eq!(socket_inode(b"socket:[2024]"), Some(2024));
        for link in [&b"socket:[]"[..], b"pipe:[2024]", b"socket:[20 24]", b"/tmp/socket:[1]", b"socket:[1] (deleted)"]
        {
            assert_eq!(socket_inode(link), None);
        }
    }

    #[test]
    fn all_holders_of_a_socket() {
        let holder = |inode, pid, descriptor| Holder { inode, pid, descriptor };
        let holders = vec![holder(5, 1, 3), holder(7, 1, 4), holder(7, 1, 5), holder(7, 9, 4), holder(8, 2, 3)];
        let owners = Owners { holders, ..Owners::default() };
        assert_eq!(owners.holders(7), [holder(7, 1, 4), holder(7, 1, 5), holder(7, 9, 4)]);
        assert_eq!((owners.of(7), owners.of(8), owners.of(6), owners.of(9)), (Some(1), Some(2), None, None));
    }

    #[test]
    fn our_own_descriptors_are_found() {
        use std::os::fd::AsRawFd;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let copy = listener.try_clone().unwrap();
        let own = Reader::open().unwrap().own_pid().unwrap();
        let owners = Owners::find(None).unwrap();
        let ours = owners.holders.iter().find(|it| it.pid == own && it.descriptor == copy.as_raw_fd()).unwrap();
        let both: Vec<i32> = owners.holders(ours.inode).iter().map(|holder| holder.descriptor).collect();
        assert!(both.contains(&listener.as_raw_fd()) && both.contains(&copy.as_raw_fd()));
        assert!(owners.comm(own).is_some());
    }
}
