//! Pathname expansion (POSIX.1-2024, XCU 2.14.3), in our own tree and in the target's (`@/…`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::character::Encoding;
use super::pattern::{is_active, matches, unquote};
use crate::output::order;
use crate::target::Files;

/// The names that match, sorted; none where nothing does.
pub fn expand(files: &Files, pattern: &[u8], encoding: Encoding) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    descend(files, Vec::new(), pattern, encoding, &mut found);
    order::sort(&mut found);
    found
}

/// Extends `base`, which exists, by what is left of the pattern.
fn descend(files: &Files, mut base: Vec<u8>, mut rest: &[u8], encoding: Encoding, found: &mut Vec<Vec<u8>>) {
    loop {
        let slashes = rest.iter().take_while(|byte| **byte == b'/').count();
        base.extend_from_slice(&rest[..slashes]);
        rest = &rest[slashes..];
        let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        let (component, after) = rest.split_at(end);
        if !is_active(component) {
            base.extend(unquote(component));
            rest = after;
            if rest.is_empty() {
                if files.symlink_metadata(path(&base)).is_ok() {
                    found.push(base);
                }
                return;
            }
            continue;
        }
        let directory = if base.is_empty() { Path::new(".") } else { path(&base) };
        // A directory that cannot be read matches nothing.
        let Ok(entries) = files.directory(directory).and_then(|directory| directory.entries()) else { return };
        for entry in entries {
            let name = entry.name.as_bytes();
            // A leading dot is matched by a dot alone.
            if name.starts_with(b".") && !(component.starts_with(b".") || component.starts_with(b"\\.")) {
                continue;
            }
            if !matches(component, name, encoding) {
                continue;
            }
            let next = [base.as_slice(), name].concat();
            if after.is_empty() {
                found.push(next);
            } else if files.metadata(path(&next)).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR) {
                descend(files, next, after, encoding, found);
            }
        }
        return;
    }
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
