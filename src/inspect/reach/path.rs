//! Why a path cannot be read or written: the first of its directories that does not let us through, else the file's own
//! mode. Opens nothing, so that no device or FIFO notices.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::FileStat;
use nix::unistd::AccessFlags;

use super::{Checked, Concern};
use crate::output::{Safe, mode};
use crate::target::Files;
use crate::target::access::Check;

/// More components than a path that the kernel takes can have in practice; beyond it only the whole path is looked at.
const DEPTH: usize = 128;

/// `search`, `read` and `write` of a path, as far as the first that cannot be asked. `we` is our user and group. An
/// error where it cannot be asked at all: the path is not there, or the target's root is denied.
pub fn check(files: &Files, path: &Path, we: &str) -> io::Result<Vec<Checked>> {
    if let Err(error) = files.metadata(path) {
        return match error.kind() {
            io::ErrorKind::PermissionDenied => Ok(vec![search(files, path, we)]),
            _ => Err(error),
        };
    }
    let found = files.metadata(path)?;
    let through = Checked::new("search", Check::Passed, Concern::Reading, "every directory on the way lets us through");
    Ok(vec![
        through,
        permission(files, path, &found, we, "read", AccessFlags::R_OK, Concern::Reading),
        permission(files, path, &found, we, "write", AccessFlags::W_OK, Concern::Writing),
    ])
}

fn permission(
    files: &Files,
    path: &Path,
    found: &FileStat,
    we: &str,
    name: &'static str,
    wanted: AccessFlags,
    concern: Concern,
) -> Checked {
    let shown = described(path, found);
    match files.access(path, wanted) {
        Ok(()) => Checked::new(name, Check::Passed, concern, shown),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EROFS) => Checked::new(name, Check::Failed, concern, format!("{shown}, on a read-only mount")),
            Some(Errno::EACCES) => Checked::new(name, Check::Failed, concern, format!("{shown}, and we are {we}")),
            _ => Checked::new(name, Check::Unknown, concern, format!("{shown}: {error}")),
        },
    }
}

/// The first directory on the way that we may not search.
fn search(files: &Files, path: &Path, we: &str) -> Checked {
    let check = |outcome, evidence| Checked::new("search", outcome, Concern::Reading, evidence);
    for directory in directories(path) {
        let Ok(found) = files.metadata(&directory) else { break };
        if files.access(&directory, AccessFlags::X_OK).is_err() {
            return check(Check::Failed, format!("{}, and we are {we}", described(&directory, &found)));
        }
    }
    check(Check::Failed, String::from("a directory behind a symbolic link on the way does not let us through"))
}

/// The directories above a path, the topmost first.
fn directories(path: &Path) -> Vec<PathBuf> {
    let mut above: Vec<PathBuf> = path.ancestors().skip(1).take(DEPTH).map(Path::to_path_buf).collect();
    above.reverse();
    // The target's root is `@/`; what is relative starts in the working directory.
    above.iter_mut().for_each(|directory| match directory.as_os_str().as_bytes() {
        b"" => *directory = PathBuf::from("."),
        b"@" => *directory = PathBuf::from("@/"),
        _ => {}
    });
    if path.as_os_str().as_bytes().starts_with(b"@/") {
        above.retain(|directory| directory != OsStr::new("."));
    }
    above
}

fn described(path: &Path, found: &FileStat) -> String {
    format!("{} is {} {}:{}", Safe::path(path), mode::string(found.st_mode), found.st_uid, found.st_gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_on_the_way() {
        let above = |path: &str| {
            let above = directories(Path::new(path));
            above.iter().map(|path| path.to_str().unwrap().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(above("@/a/b"), "@/ @/a");
        assert_eq!(above("/a/b"), "/ /a");
        assert_eq!(above("a/b"), ". a");
        assert_eq!(above(&"a/".repeat(100_000)).split(' ').count(), DEPTH);
    }

    #[test]
    fn a_file_of_our_own() {
        let files = Files::new(None);
        let checks = check(&files, Path::new("/etc/passwd"), "1:1").unwrap();
        let names: Vec<&str> = checks.iter().map(|check| check.name).collect();
        assert_eq!(names, ["search", "read", "write"]);
        assert_eq!(checks[1].outcome, Check::Passed);
        assert_eq!(checks[1].evidence, "/etc/passwd is -rw-r--r-- 0:0");
        let missing = check(&files, Path::new("/no/such/file"), "1:1").unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
