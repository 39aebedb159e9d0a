//! One operator and what it is about: what `test`, `[` and the shell's `[[` have in common (POSIX.1-2024, XCU test).

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::stat::FileStat;
use nix::unistd::{AccessFlags, isatty};

use super::{Error, Result};
use crate::output::Safe;
use crate::sys;
use crate::target::Files;

/// What a unary operator says. `None` where it is none.
pub fn unary(files: &Files, operator: &OsStr, operand: &OsStr) -> Option<Result<bool>> {
    let [b'-', letter] = operator.as_bytes() else { return None };
    let path = Path::new(operand);
    let stat = |test: fn(&FileStat) -> bool| files.metadata(path).is_ok_and(|stat| test(&stat));
    let access = |mode| files.access(path, mode).is_ok();
    Some(Ok(match letter {
        b'n' => !operand.is_empty(),
        b'z' => operand.is_empty(),
        b'e' => stat(|_| true),
        b'b' => stat(|stat| kind(stat) == libc::S_IFBLK),
        b'c' => stat(|stat| kind(stat) == libc::S_IFCHR),
        b'd' => stat(|stat| kind(stat) == libc::S_IFDIR),
        b'f' => stat(|stat| kind(stat) == libc::S_IFREG),
        b'p' => stat(|stat| kind(stat) == libc::S_IFIFO),
        b'S' => stat(|stat| kind(stat) == libc::S_IFSOCK),
        b'h' | b'L' => files.symlink_metadata(path).is_ok_and(|stat| kind(&stat) == libc::S_IFLNK),
        b'g' => stat(|stat| stat.st_mode & libc::S_ISGID != 0),
        b'u' => stat(|stat| stat.st_mode & libc::S_ISUID != 0),
        b'k' => stat(|stat| stat.st_mode & libc::S_ISVTX != 0),
        b's' => stat(|stat| stat.st_size > 0),
        b'O' => stat(|stat| stat.st_uid == nix::unistd::geteuid().as_raw()),
        b'G' => stat(|stat| stat.st_gid == nix::unistd::getegid().as_raw()),
        b'N' => stat(|stat| (stat.st_mtime, stat.st_mtime_nsec) > (stat.st_atime, stat.st_atime_nsec)),
        b'r' => access(AccessFlags::R_OK),
        b'w' => access(AccessFlags::W_OK),
        b'x' => access(AccessFlags::X_OK),
        b't' => return Some(number(operand).map(is_terminal)),
        _ => return None,
    }))
}

/// What a binary operator says, which `is_binary` knows.
pub fn binary(files: &Files, left: &OsStr, operator: &OsStr, right: &OsStr) -> Result<bool> {
    let order = || -> Result<Ordering> { Ok(number(left)?.cmp(&number(right)?)) };
    let stats = || (files.metadata(Path::new(left)).ok(), files.metadata(Path::new(right)).ok());
    Ok(match operator.as_bytes() {
        b"=" | b"==" => left == right,
        b"!=" => left != right,
        b"<" => left < right,
        b">" => left > right,
        b"-eq" => order()?.is_eq(),
        b"-ne" => order()?.is_ne(),
        b"-lt" => order()?.is_lt(),
        b"-le" => order()?.is_le(),
        b"-gt" => order()?.is_gt(),
        b"-ge" => order()?.is_ge(),
        b"-ef" => matches!(stats(), (Some(a), Some(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)),
        // A file that exists is newer than one that does not.
        b"-nt" => stats_newer(stats()),
        _ => {
            let (left, right) = stats();
            stats_newer((right, left))
        }
    })
}

/// The binary operators.
pub fn is_binary(operator: &OsStr) -> bool {
    matches!(
        operator.as_bytes(),
        b"=" | b"=="
            | b"!="
            | b"<"
            | b">"
            | b"-eq"
            | b"-ne"
            | b"-lt"
            | b"-le"
            | b"-gt"
            | b"-ge"
            | b"-ef"
            | b"-nt"
            | b"-ot"
    )
}

fn stats_newer(files: (Option<FileStat>, Option<FileStat>)) -> bool {
    match files {
        (Some(a), Some(b)) => (a.st_mtime, a.st_mtime_nsec) > (b.st_mtime, b.st_mtime_nsec),
        (a, _) => a.is_some(),
    }
}

fn kind(stat: &FileStat) -> libc::mode_t {
    stat.st_mode & libc::S_IFMT
}

fn is_terminal(fd: i64) -> bool {
    i32::try_from(fd).is_ok_and(|fd| fd >= 0 && isatty(sys::borrow(fd)).unwrap_or(false))
}

/// A decimal number, with blanks around it as in other shells.
fn number(text: &OsStr) -> Result<i64> {
    let digits = std::str::from_utf8(text.as_bytes().trim_ascii()).ok();
    let value = digits.and_then(|digits| digits.parse().ok());
    value.ok_or_else(|| Error::message(format_args!("{}: not an integer", Safe::os(text))))
}
