//! `cd` and `pwd`. The working directory may lie in the target's root, and is then called `@/…`.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::unistd::fchdir;

use super::super::{Flow, Shell, Text};
use super::options;
use crate::applet::reason;
use crate::output::Safe;
use crate::sys;

pub fn cd(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"LPe", b"")?;
    let physical = is_physical(shell, &parsed.options);
    let (wanted, mut shown) = match parsed.operands {
        [] => match shell.variables.get(b"HOME") {
            // An empty one leaves the shell where it is, as everywhere.
            Some(home) => (if home.is_empty() { b".".to_vec() } else { home.to_vec() }, false),
            None => return Err(shell.abort("cd: HOME not set")),
        },
        [dash] if dash == b"-" => match shell.variables.get(b"OLDPWD") {
            Some(old) if !old.is_empty() => (old.to_vec(), true),
            _ => return Err(shell.abort("cd: OLDPWD not set")),
        },
        [directory] if directory.is_empty() => return Err(shell.abort("cd: the name is empty")),
        [directory] => (directory.clone(), false),
        _ => return Err(shell.abort("cd: too many arguments")),
    };
    let (path, from_list) = search(shell, &wanted);
    shown |= from_list;
    let old = shell.directory.clone().or_else(|| shell.variables.get(b"PWD").map(<[u8]>::to_vec));
    if let Err(error) = change(shell, &path, physical) {
        return Err(shell.abort(format_args!("cd: {}: {}", Safe(&wanted), reason(&error))));
    }
    let known = shell.directory.is_some();
    let new = shell.directory.clone().unwrap_or(path);
    remember(shell, b"OLDPWD", old.unwrap_or_default())?;
    remember(shell, b"PWD", new.clone())?;
    match (shown, physical && parsed.has(b'e') && !known) {
        (_, true) => Ok(1),
        (true, _) => print(shell, &new),
        (false, _) => Ok(0),
    }
}

/// Whether `-P` or `-L` came last; without either, what `set -o physical` says.
fn is_physical(shell: &Shell<'_>, options: &[(u8, &[u8])]) -> bool {
    let last = options.iter().rev().find(|(letter, _)| *letter != b'e');
    last.map_or(shell.options.physical, |(letter, _)| *letter == b'P')
}

/// PWD or OLDPWD, which commands are told as well.
fn remember(shell: &mut Shell<'_>, name: &[u8], value: Text) -> Flow {
    let new = shell.variables.attributes(name).is_none();
    if let Err(message) = shell.set_variable(name, value) {
        return Err(shell.abort(format_args!("cd: {message}")));
    }
    if new {
        shell.variables.export(name, true);
    }
    Ok(())
}

/// Where an operand leads that does not say where it begins: below the first directory of CDPATH that has it. Tells
/// whether it was one that CDPATH names.
fn search(shell: &Shell<'_>, wanted: &[u8]) -> (Text, bool) {
    let first = wanted.split(|byte| *byte == b'/').next().unwrap_or_default();
    let list = shell.variables.get(b"CDPATH").unwrap_or_default();
    if list.is_empty() || matches!(first, b"" | b"." | b"..") || wanted.starts_with(b"@/") {
        return (wanted.to_vec(), false);
    }
    for directory in list.split(|byte| *byte == b':') {
        let candidate = match directory {
            b"" => [b"./", wanted].concat(),
            [.., b'/'] => [directory, wanted].concat(),
            _ => [directory, b"/", wanted].concat(),
        };
        if is_directory(shell, &candidate) {
            return (candidate, !directory.is_empty());
        }
    }
    (wanted.to_vec(), false)
}

fn is_directory(shell: &Shell<'_>, path: &[u8]) -> bool {
    let stat = shell.files.metadata(Path::new(OsStr::from_bytes(path)));
    stat.is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

/// Changes the directory, and what the shell calls it.
fn change(shell: &mut Shell<'_>, wanted: &[u8], physical: bool) -> io::Result<()> {
    let relative = !(wanted.starts_with(b"/") || wanted.starts_with(b"@/"));
    let logical = match (physical, relative, &shell.directory) {
        (true, ..) => None,
        (false, false, _) => Some(normal(shell, b"", wanted)?),
        (false, true, Some(here)) => Some(normal(shell, here, wanted)?),
        (false, true, None) => None,
    };
    let open = |path: &[u8]| shell.files.directory(Path::new(OsStr::from_bytes(path)));
    let directory = match open(logical.as_deref().unwrap_or(wanted)) {
        // Only the whole of it is too long.
        Err(error) if relative && error.raw_os_error() == Some(libc::ENAMETOOLONG) => open(wanted)?,
        result => result?,
    };
    fchdir(&directory)?;
    shell.directory = logical.or_else(current);
    Ok(())
}

/// An operand below a directory, without `.`, `..` and repeated slashes (POSIX.1-2024, cd, step 8). What stands before a
/// `..` of the operand has to be a directory; where the shell is, need not exist any more.
fn normal(shell: &Shell<'_>, here: &[u8], operand: &[u8]) -> io::Result<Text> {
    let separator: &[u8] = if here.is_empty() || here.ends_with(b"/") { b"" } else { b"/" };
    let path = [here, separator, operand].concat();
    let (root, rest) = match path.as_slice() {
        [b'@', b'/', rest @ ..] => (&b"@/"[..], rest),
        // Exactly two slashes may mean something else than one (XBD 4.16).
        [b'/', b'/', rest @ ..] if rest.first() != Some(&b'/') => (&b"//"[..], rest),
        path => (&b"/"[..], path),
    };
    let given = rest.len() - operand.len().min(rest.len());
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut at = 0;
    for part in rest.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let before = [root, &parts.join(&b'/')].concat();
                if at > given && !is_directory(shell, &before) {
                    return Err(io::Error::from_raw_os_error(libc::ENOENT));
                }
                parts.pop();
            }
            part => parts.push(part),
        }
        at += part.len() + 1;
    }
    Ok([root, &parts.join(&b'/')].concat())
}

/// The working directory by the kernel's word: `@/…` where it lies in the target's root.
pub fn current() -> Option<Text> {
    let path = sys::working_directory().ok()?;
    match path.as_bytes().strip_prefix(b"(unreachable)") {
        Some(inner) => Some([b"@", inner].concat()),
        None => Some(path.as_bytes().to_vec()),
    }
}

pub fn pwd(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"LP", b"")?;
    let logical = shell.directory.clone().filter(|_| !is_physical(shell, &parsed.options));
    match logical.or_else(current) {
        Some(path) => print(shell, &path),
        None => {
            shell.complain("pwd: the working directory has been removed");
            Ok(1)
        }
    }
}

/// Whether an inherited PWD can be the name of the working directory: absolute, without `.` and `..`.
pub fn is_logical(path: &[u8]) -> bool {
    let absolute = path.starts_with(b"/") || path.starts_with(b"@/");
    absolute && !path.split(|byte| *byte == b'/').any(|part| matches!(part, b"." | b".."))
}

fn print(shell: &mut Shell<'_>, text: &[u8]) -> Flow<u8> {
    Ok(shell.print(&[text, b"\n"].concat()))
}
