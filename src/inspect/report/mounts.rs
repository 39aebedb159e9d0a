//! The target's mounts: which are read-only, which are full or nearly so.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::sys::statvfs::fstatvfs;

use super::{Scene, Section, fullness, percent, shortened};
use crate::inspect::Level;
use crate::inspect::service::in_target;
use crate::output::json::Object;
use crate::output::{Safe, units};

/// Mounts that are looked at; a container has some twenty.
const LIMIT: usize = 100;

/// People see this much of a list of places.
const SHOWN: usize = 300;

/// File systems that have no room to fill.
const VIRTUAL: [&[u8]; 18] = [
    b"proc",
    b"sysfs",
    b"cgroup",
    b"cgroup2",
    b"devpts",
    b"mqueue",
    b"securityfs",
    b"debugfs",
    b"tracefs",
    b"bpf",
    b"pstore",
    b"configfs",
    b"fusectl",
    b"hugetlbfs",
    b"binfmt_misc",
    b"efivarfs",
    b"autofs",
    b"nsfs",
];

/// File systems that ask another machine or process, which may never answer.
fn may_hang(filesystem: &[u8]) -> bool {
    let remote: [&[u8]; 8] = [b"nfs", b"nfs4", b"cifs", b"smb3", b"ceph", b"9p", b"afs", b"lustre"];
    filesystem.starts_with(b"fuse") || remote.contains(&filesystem)
}

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("mounts");
    let mut rows = Vec::new();
    let mut read_only = Vec::new();
    let mut unread = None;
    let real = scene.theirs.iter().filter(|mount| !VIRTUAL.contains(&mount.filesystem.as_slice()));
    section.object.number("count", u64::try_from(scene.theirs.len()).ok());
    let beyond = real.clone().count().saturating_sub(LIMIT);
    for mount in real.take(LIMIT) {
        let point = Safe(&mount.point);
        let cover = mount.is_cover();
        if mount.read_only && !cover {
            read_only.push(point.to_string());
        }
        let mut row = Object::new();
        row.bytes("point", &mount.point).bytes("type", &mount.filesystem).bool("read_only", mount.read_only);
        let asked = (!cover && !may_hang(&mount.filesystem)).then(|| {
            let path = in_target(&mount.point);
            let path = Path::new(OsStr::from_bytes(&path));
            let place = scene.files.open_with(path, OFlag::O_PATH, Mode::empty())?;
            Ok::<_, std::io::Error>(fstatvfs(&place)?)
        });
        let room = match asked {
            Some(Ok(room)) => Some(room),
            Some(Err(error)) => {
                unread = Some(error);
                None
            }
            None => None,
        };
        // What is reserved for root is not room for the target.
        let bytes = room.map(|room| {
            let size = room.fragment_size();
            let used = room.blocks().saturating_sub(room.blocks_free()).saturating_mul(size);
            (used, used.saturating_add(room.blocks_available().saturating_mul(size)))
        });
        let inodes = room.map(|room| {
            let all = room.files();
            (all.saturating_sub(room.files_free()), all)
        });
        row.number("used_bytes", bytes.map(|(used, _)| used)).number("total_bytes", bytes.map(|(_, total)| total));
        row.number("used_inodes", inodes.map(|(used, _)| used)).number("total_inodes", inodes.map(|(_, all)| all));
        rows.push(row);
        let share = |pair: Option<(u64, u64)>| pair.and_then(|(used, total)| percent(used, total)).unwrap_or(0);
        if !mount.read_only && mount.filesystem != b"squashfs" {
            if let (level @ (Level::Warn | Level::Fail), Some((used, total))) = (fullness(share(bytes)), bytes) {
                let text = format!("{point}: {} of {}", units::bytes(used), units::bytes(total));
                section.finding(level, "full", text, "make room, or give it more");
            }
            if let (level @ (Level::Warn | Level::Fail), Some((used, total))) = (fullness(share(inodes)), inodes) {
                section.finding(level, "inodes", format!("{point}: {used} of {total}"), "too many files: remove some");
            }
        }
        if mount.point == b"/" {
            let room = bytes.map(|(used, total)| format!(", {} of {}", units::bytes(used), units::bytes(total)));
            let state = if mount.read_only { "read-only" } else { "writable" };
            section.fact("root", format_args!("{}, {state}{}", Safe(&mount.filesystem), room.unwrap_or_default()));
        }
    }
    if !read_only.is_empty() {
        section.fact("read-only", shortened(read_only.join(" "), SHOWN));
    }
    if beyond > 0 {
        section.finding(Level::Note, "count", format_args!("{beyond} more mounts are not looked at"), "");
    }
    if let Some(error) = unread {
        section.unread("room", &error);
    }
    section.object.objects("filesystems", rows);
    section
}
