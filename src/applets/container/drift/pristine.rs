//! Whether our own root is what the target began with, and what of both roots is no part of an image.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::same_bytes;
use crate::applet::{Context, Error, Result, os, reason};
use crate::inspect::relaunch::Relaunch;
use crate::target::layers::{self, Relation};
use crate::target::mounts::{self, Mount};
use crate::target::{Absent, Reader, access};

/// Our root, as far as it can be compared with.
pub struct Pristine {
    /// Both roots are overlays of the same layers.
    pub same_layers: bool,
    pub mounts: Mounts,
}

/// Where it is not the target's image, an error that says how to start where it is.
pub fn find(cx: &Context<'_>, anyway: bool) -> Result<Pristine> {
    let target = cx.target()?;
    let mut reader = Reader::open().map_err(|_| Error::message(Absent::NoProc))?;
    let failed = |error: io::Error| Error::message(format_args!("@/: {}", reason(&error)));
    let (here, there) = (cx.files.metadata(Path::new("/")), cx.files.metadata(Path::new("@/")).map_err(failed)?);
    if here.is_ok_and(|here| (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)) {
        return Err(Error::message("nothing to compare with: our root is the target's own"));
    }
    let own = reader.own_pid().ok_or_else(|| Error::message(Absent::NoProc))?;
    let list =
        |pid| mounts::of(&reader, pid).map_err(|error| Error::message(format_args!("mounts: {}", reason(&error))));
    let (ours, theirs) = (list(own)?, list(target.pid)?);
    let relation = layers::relation(&ours, &theirs);
    let why = match relation {
        Relation::Same => None,
        Relation::Unrelated => Some("our root is no container's of the same engine"),
        Relation::Different if same_program(cx, &reader, target.pid) => None,
        Relation::Different => {
            Some("our root is another image than the target's: its layers and its program are others")
        }
        Relation::Unknown if same_program(cx, &reader, target.pid) => None,
        Relation::Unknown => Some("our root is another image than the target's: it does not have its program"),
    };
    if let Some(why) = why.filter(|_| !anyway) {
        let relaunch = access::of(&mut reader, target.pid)
            .map(|access| Relaunch::new(&mut reader, target.pid, &access, &theirs, false))
            .unwrap_or_else(|_| Relaunch::unknown());
        let line = relaunch.podman();
        return Err(Error::message(format_args!(
            "nothing to compare with: {why}; start from the target's image: {line}"
        )));
    }
    Ok(Pristine { same_layers: relation == Relation::Same, mounts: Mounts::new(&ours, &theirs) })
}

/// Whether our root has, at the same place, the program that the target runs.
fn same_program(cx: &Context<'_>, reader: &Reader, pid: i32) -> bool {
    let Ok(path) = reader.program(pid) else { return false };
    let (ours, live) = (os(&path), os(&[b"@", path.as_slice()].concat()));
    let open = |path: &Path| {
        let file = cx.files.open_with(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, Mode::empty())?;
        Ok::<_, io::Error>((file.metadata()?, file))
    };
    match (open(Path::new(&ours)), open(Path::new(&live))) {
        (Ok((old, mut left)), Ok((new, mut right))) if old.is_file() && new.is_file() && old.len() == new.len() => {
            same_bytes(&mut left, &mut right).unwrap_or(false)
        }
        _ => false,
    }
}

/// The mounts of both sides, apart from the roots.
pub struct Mounts {
    /// By their points: the kind of file system on our side, and on theirs.
    points: BTreeMap<Vec<u8>, [Option<Vec<u8>>; 2]>,
    /// The directories that lead to them.
    ways: BTreeSet<Vec<u8>>,
}

/// One that is told.
pub struct Skipped {
    pub point: Vec<u8>,
    pub ours: Option<Vec<u8>>,
    pub theirs: Option<Vec<u8>>,
}

impl Mounts {
    fn new(ours: &[Mount], theirs: &[Mount]) -> Mounts {
        let mut points: BTreeMap<Vec<u8>, [Option<Vec<u8>>; 2]> = BTreeMap::new();
        for (side, mounts) in [ours, theirs].into_iter().enumerate() {
            for mount in mounts.iter().filter(|mount| mount.point.len() > 1 && mount.point.starts_with(b"/")) {
                points.entry(mount.point.clone()).or_default()[side] = Some(mount.filesystem.clone());
            }
        }
        let above = |point: &Vec<u8>| {
            let slashes = point.iter().enumerate().filter(|(at, byte)| *at > 0 && **byte == b'/');
            slashes.map(|(at, _)| point[..at].to_vec()).collect::<Vec<_>>()
        };
        let ways = points.keys().flat_map(above).collect();
        Mounts { points, ways }
    }

    pub fn is_point(&self, path: &[u8]) -> bool {
        self.points.contains_key(path)
    }

    /// Whether a directory leads to one.
    pub fn is_way(&self, path: &[u8]) -> bool {
        self.ways.contains(path)
    }

    /// The one that a path lies in.
    pub fn around(&self, path: &[u8]) -> Option<&[u8]> {
        let ways = Path::new(std::ffi::OsStr::from_bytes(path)).ancestors();
        ways.map(|way| way.as_os_str().as_bytes()).find_map(|way| Some(self.points.get_key_value(way)?.0.as_slice()))
    }

    /// Those that are in no other one.
    pub fn listed(&self) -> impl Iterator<Item = Skipped> {
        let outermost = |point: &&Vec<u8>| {
            let above = Path::new(std::ffi::OsStr::from_bytes(point)).parent();
            above.is_none_or(|above| self.around(above.as_os_str().as_bytes()).is_none())
        };
        self.points.iter().filter(move |(point, _)| outermost(point)).map(|(point, [ours, theirs])| Skipped {
            point: point.clone(),
            ours: ours.clone(),
            theirs: theirs.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::mounts::parse;

    #[test]
    fn mounts_of_both_sides() {
        let ours = parse(
            b"1 0 0:1 / / rw - overlay o rw\n2 1 0:2 / /proc rw - proc p rw\n3 1 0:3 / /mnt/dbg rw - overlay o rw\n",
        );
        let theirs = parse(
            b"1 0 0:1 / / rw - overlay o rw\n2 1 0:2 / /proc rw - proc p rw\n3 2 0:2 / /proc/bus rw - proc p rw\n",
        );
        let mounts = Mounts::new(&ours, &theirs);
        let listed: Vec<Vec<u8>> = mounts.listed().map(|mount| mount.point).collect();
        assert_eq!(listed, [b"/mnt/dbg".to_vec(), b"/proc".to_vec()]);
        assert!(mounts.is_point(b"/proc") && !mounts.is_point(b"/") && !mounts.is_point(b"/mnt"));
        assert!(mounts.is_way(b"/mnt") && !mounts.is_way(b"/mnt/dbg") && !mounts.is_way(b"/"));
        assert_eq!(mounts.around(b"/proc/1"), Some(&b"/proc"[..]));
        assert_eq!(mounts.around(b"/etc"), None);
    }
}
