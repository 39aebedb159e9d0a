//! The path without symbolic links, `.` and `..` that a path stands for, in the root that it is in: `@/a/link` leads to
//! `@/b`, wherever the link points.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::Files;
use super::files::MAX_LINKS;
use crate::sys;

/// How much of the path must exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// All of it.
    Never,
    /// All but the last name.
    Last,
    /// Nothing.
    Any,
}

impl Files {
    /// The canonical form of `path`: absolute, or `@/…` for the target's.
    pub fn canonical(&self, path: &Path, missing: Missing) -> io::Result<PathBuf> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() {
            return Err(Errno::ENOENT.into());
        }
        let mut rest = Vec::new();
        push(&mut rest, bytes);
        // A trailing slash wants a directory, but not where the name may be missing.
        let directory = bytes.ends_with(b"/") && missing == Missing::Never;
        let root = match bytes {
            [b'@', b'/', ..] => {
                rest.pop();
                "@/"
            }
            [b'/', ..] => "/",
            _ => {
                let here = sys::working_directory()?;
                let (root, here) = match here.as_bytes().strip_prefix(b"(unreachable)") {
                    Some(inner) => ("@/", inner),
                    None => ("/", here.as_bytes()),
                };
                push(&mut rest, here);
                root
            }
        };
        let found = self.resolve(root, rest, missing)?;
        if directory && self.metadata(&found)?.st_mode & libc::S_IFMT != libc::S_IFDIR {
            return Err(Errno::ENOTDIR.into());
        }
        Ok(found)
    }

    /// `rest` are the names still to go, the next one last.
    fn resolve(&self, root: &str, mut rest: Vec<OsString>, missing: Missing) -> io::Result<PathBuf> {
        let mut path = PathBuf::from(root);
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == ".." {
                if path != Path::new(root) {
                    path.pop();
                }
                continue;
            }
            let next = path.join(&name);
            match self.read_link(&next) {
                Ok(link) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::ELOOP.into());
                    }
                    if link.as_bytes().starts_with(b"/") {
                        path = PathBuf::from(root);
                    }
                    push(&mut rest, link.as_bytes());
                    continue;
                }
                // Not a link: what it is shows when the next name is looked up in it.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => match missing {
                    Missing::Never => return Err(error),
                    Missing::Last if !rest.is_empty() => return Err(error),
                    _ => {}
                },
                Err(error) if missing != Missing::Any => return Err(error),
                Err(_) => {}
            }
            path = next;
        }
        Ok(path)
    }
}

fn push(rest: &mut Vec<OsString>, path: &[u8]) {
    let names = path.split(|byte| *byte == b'/').filter(|name| !matches!(name, [] | [b'.']));
    rest.extend(names.rev().map(|name| OsStr::from_bytes(name).to_os_string()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_dots_and_missing_names() {
        let dir = std::env::temp_dir().join(format!("sidebox-canonical-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("a/b")).unwrap();
        let dir = dir.canonicalize().unwrap();
        symlink("a/b", dir.join("relative")).unwrap();
        symlink(dir.join("a"), dir.join("absolute")).unwrap();
        symlink("loop", dir.join("loop")).unwrap();
        std::fs::write(dir.join("file"), "").unwrap();
        let files = Files::new(None);
        let canonical = |path: &str, missing| {
            let found = files.canonical(&dir.join(path), missing).map_err(|error| error.raw_os_error().unwrap());
            found.map(|path| path.strip_prefix(&dir).unwrap().to_str().unwrap().to_owned())
        };
        let given = |path: &str| Ok(String::from(path));
        assert_eq!(canonical("relative/../b/.", Missing::Never), given("a/b"));
        assert_eq!(canonical("absolute/b//", Missing::Never), given("a/b"));
        assert_eq!(canonical("a/none", Missing::Never), Err(libc::ENOENT));
        assert_eq!(canonical("a/none", Missing::Last), given("a/none"));
        assert_eq!(canonical("a/none/x", Missing::Last), Err(libc::ENOENT));
        assert_eq!(canonical("a/none/x", Missing::Any), given("a/none/x"));
        assert_eq!(canonical("file/x", Missing::Last), Err(libc::ENOTDIR));
        assert_eq!(canonical("file/", Missing::Never), Err(libc::ENOTDIR));
        assert_eq!(canonical("loop", Missing::Never), Err(libc::ELOOP));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
