//! `cd` and `pwd`. The working directory may lie in the target's root, and is then called `@/…`.

use std::ffi::OsStr;
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
    let physical =
        parsed.options.iter().rev().find(|(letter, _)| *letter != b'e').is_some_and(|(letter, _)| *letter == b'P');
    let (wanted, mut shown) = match parsed.operands {
        [] => match shell.variables.get(b"HOME") {
            Some(home) if !home.is_empty() => (home.to_vec(), false),
            _ => {
                shell.complain("cd: HOME not set");
                return Ok(1);
            }
        },
        [dash] if dash == b"-" => match shell.variables.get(b"OLDPWD") {
            Some(old) => (old.to_vec(), true),
            None => {
                shell.complain("cd: OLDPWD not set");
                return Ok(1);
            }
        },
        [directory] => (directory.clone(), false),
        _ => {
            shell.complain("cd: too many arguments");
            return Ok(2);
        }
    };
    let mut last = None;
    for (candidate, from_list) in candidates(shell, &wanted) {
        match change(shell, &candidate, physical) {
            Ok(()) => {
                shown |= from_list;
                if shown {
                    let text = shell.variables.get(b"PWD").unwrap_or_default().to_vec();
                    return print(shell, &text);
                }
                return Ok(0);
            }
            Err(error) => last = Some(error),
        }
    }
    let why = last.as_ref().map(reason).unwrap_or_default();
    shell.complain(format_args!("cd: {}: {why}", Safe(&wanted)));
    Ok(1)
}

/// Where to try: below each directory of CDPATH, for an operand that does not say where it begins.
fn candidates(shell: &Shell<'_>, wanted: &[u8]) -> Vec<(Text, bool)> {
    let fixed = wanted.starts_with(b"/") || wanted.starts_with(b"@/") || wanted == b"." || wanted == b"..";
    if fixed || wanted.starts_with(b"./") || wanted.starts_with(b"../") {
        return vec![(wanted.to_vec(), false)];
    }
    let list = shell.variables.get(b"CDPATH").unwrap_or_default();
    let below = list.split(|byte| *byte == b':').filter(|directory| !directory.is_empty());
    let mut candidates: Vec<_> = below.map(|directory| ([directory, b"/", wanted].concat(), true)).collect();
    candidates.push((wanted.to_vec(), false));
    candidates
}

fn change(shell: &mut Shell<'_>, wanted: &[u8], physical: bool) -> std::io::Result<()> {
    let old = shell.variables.get(b"PWD").unwrap_or_default().to_vec();
    let path = match wanted.starts_with(b"/") || wanted.starts_with(b"@/") || old.is_empty() {
        true => wanted.to_vec(),
        false => [old.as_slice(), b"/", wanted].concat(),
    };
    let path = if physical { path } else { normal(&path) };
    let directory = match shell.files.directory(Path::new(OsStr::from_bytes(&path))) {
        // A logical name can be wrong where directories were moved; the operand as it stands may still be right.
        Err(_) if !wanted.starts_with(b"/") && !path.starts_with(b"@/") => {
            shell.files.directory(Path::new(OsStr::from_bytes(wanted)))?
        }
        result => result?,
    };
    fchdir(&directory)?;
    let path = if physical { current().unwrap_or(path) } else { path };
    for (name, value) in [(&b"OLDPWD"[..], old), (b"PWD", path)] {
        let _ = shell.variables.set(name, value);
        shell.variables.export(name, true);
    }
    Ok(())
}

/// Without `.`, `..` and repeated slashes, by the text alone (POSIX.1-2024, cd, step 8).
fn normal(path: &[u8]) -> Text {
    let (root, rest) = match path.strip_prefix(b"@/") {
        Some(rest) => (&b"@/"[..], rest),
        None => (&b"/"[..], path),
    };
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in rest.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    [root, &parts.join(&b'/')].concat()
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
    let physical = parsed.options.last().is_some_and(|(letter, _)| *letter == b'P');
    let logical = shell.variables.get(b"PWD").filter(|_| !physical).map(<[u8]>::to_vec);
    match logical.or_else(current) {
        Some(path) => print(shell, &path),
        None => {
            shell.complain("pwd: the working directory has been removed");
            Ok(1)
        }
    }
}

fn print(shell: &mut Shell<'_>, text: &[u8]) -> Flow<u8> {
    Ok(shell.print(&[text, b"\n"].concat()))
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn logical_paths() {
        assert_eq!(normal(b"/a/./b/../c//d/"), b"/a/c/d");
        assert_eq!(normal(b"/.."), b"/");
        assert_eq!(normal(b"@/etc/.."), b"@/");
        assert_eq!(normal(b"@/../../etc"), b"@/etc");
    }
}
