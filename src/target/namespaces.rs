//! Which namespaces two processes share (namespaces(7)).
//!
//! The links in /proc/PID/ns need the permission of [`super::access`]. Without it some namespaces show in what everyone
//! may read: the first mount, the files of the network.

use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstatat};

use super::access::Check;
use super::process::{Fields, Reader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    Cgroup,
    Ipc,
    Mount,
    Network,
    Pid,
    Time,
    User,
    Uts,
}

impl Namespace {
    pub const ALL: [Namespace; 8] = [
        Namespace::Cgroup,
        Namespace::Ipc,
        Namespace::Mount,
        Namespace::Network,
        Namespace::Pid,
        Namespace::Time,
        Namespace::User,
        Namespace::Uts,
    ];

    /// In the order in which they can be entered: what the mount namespace decides is needed for the others.
    pub const ENTERED: [Namespace; 8] = [
        Namespace::User,
        Namespace::Cgroup,
        Namespace::Ipc,
        Namespace::Uts,
        Namespace::Network,
        Namespace::Pid,
        Namespace::Mount,
        Namespace::Time,
    ];

    /// The name of the link.
    pub fn name(self) -> &'static str {
        match self {
            Namespace::Cgroup => "cgroup",
            Namespace::Ipc => "ipc",
            Namespace::Mount => "mnt",
            Namespace::Network => "net",
            Namespace::Pid => "pid",
            Namespace::Time => "time",
            Namespace::User => "user",
            Namespace::Uts => "uts",
        }
    }

    /// Whether process `pid` shares it with us.
    pub fn shared(self, reader: &mut Reader, pid: i32) -> Check {
        let Some(own) = reader.own_pid() else { return Check::Unknown };
        if let Some(same) = both(own, pid, |pid| reader.namespace(pid, self.name()).ok()) {
            return Check::from(same);
        }
        let same = match self {
            Namespace::Mount => both(own, pid, |pid| reader.first_mount(pid)),
            // The kernel makes one set of files for each network namespace.
            Namespace::Network => both(own, pid, |pid| {
                let stat = fstatat(reader.root(), format!("{pid}/net/dev").as_str(), AtFlags::empty()).ok()?;
                Some((stat.st_dev, stat.st_ino))
            }),
            // Other maps are another namespace; the same ones may still be two.
            Namespace::User => ["uid_map", "gid_map"].iter().find_map(|map| {
                both(own, pid, |pid| reader.read(&format!("{pid}/{map}")).ok().map(<[u8]>::to_vec)).filter(|same| !same)
            }),
            _ => None,
        };
        same.map_or(Check::Unknown, Check::from)
    }

    /// Opens it for setns(2).
    pub fn open(self, reader: &Reader, pid: i32) -> io::Result<OwnedFd> {
        let path = format!("{pid}/ns/{}", self.name());
        Ok(openat(reader.root(), path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?)
    }

    /// The kernel's name of it, `net:[4026531840]`, where that may be read.
    pub fn of(self, reader: &Reader, pid: i32) -> Option<Vec<u8>> {
        reader.link(&format!("{pid}/ns/{}", self.name())).ok()
    }
}

/// Writes `uid_map`, `gid_map` or `setgroups` of this process, which give its new user namespace a meaning
/// (user_namespaces(7)). Nothing else in /proc is ever written.
pub fn define(file: &str, text: &str) -> io::Result<()> {
    let reader = Reader::open()?;
    let file =
        openat(reader.root(), format!("self/{file}").as_str(), OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    // The kernel takes it in one piece.
    nix::unistd::write(file, text.as_bytes())?;
    Ok(())
}

/// The kinds of ids that a user namespace gives numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    User,
    Group,
}

/// The number that an id of ours has in the user namespace of process `pid`; `None` where it has none there, or none of
/// ours.
pub fn id_inside(reader: &mut Reader, pid: i32, kind: Id, id: u32) -> Option<u32> {
    let map = match kind {
        Id::User => "uid_map",
        Id::Group => "gid_map",
    };
    inside(reader.read(&format!("{pid}/{map}")).ok()?, id)
}

/// Lines of the first number inside, the first one outside as the reader sees it, and how many there are
/// (user_namespaces(7)).
fn inside(map: &[u8], id: u32) -> Option<u32> {
    map.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = Fields(line);
        let (first, outside, count): (u32, u32, u32) = (fields.number()?, fields.number()?, fields.number()?);
        let distance = id.checked_sub(outside).filter(|distance| *distance < count)?;
        first.checked_add(distance)
    })
}

fn both<T: PartialEq>(own: i32, pid: i32, mut sign: impl FnMut(i32) -> Option<T>) -> Option<bool> {
    Some(sign(own)? == sign(pid)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_another_user_namespace() {
        let map = b"         0     200000      65536\n     65536 1000 1\n";
        assert_eq!([inside(map, 210_000), inside(map, 1000)], [Some(10_000), Some(65_536)]);
        assert_eq!([inside(map, 265_536), inside(map, 0), inside(b"0 0 x\n", 0)], [None; 3]);
        assert_eq!(inside(b"0 0 4294967295\n", 7), Some(7));
        assert_eq!(inside(b"0 4294967295 4294967295\n", 65_534), None);
    }

    #[test]
    fn we_share_all_with_ourselves() {
        let mut reader = Reader::open().unwrap();
        let own = reader.own_pid().unwrap();
        for namespace in [Namespace::Mount, Namespace::Network, Namespace::Pid, Namespace::User] {
            assert_eq!(namespace.shared(&mut reader, own), Check::Passed, "{namespace:?}");
            let name = namespace.of(&reader, own).unwrap();
            assert!(name.starts_with(namespace.name().as_bytes()));
        }
        assert_eq!(Namespace::Pid.shared(&mut reader, i32::MAX), Check::Unknown);
    }
}
