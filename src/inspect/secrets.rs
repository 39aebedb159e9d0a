//! The files of certificates, keys and passwords that a probe is given. Every error names the file.

use std::path::{Path, PathBuf};

use crate::net::reason;
use crate::net::tls::{self, AUTHORITIES, Certificates, PrivateKey};
use crate::output::Safe;
use crate::target::Files;

/// More than any certificate, key or password.
const MOST: usize = 4 << 20;

pub fn read(files: &Files, path: &Path) -> Result<Vec<u8>, String> {
    files.text(path, MOST).map_err(|error| format!("{}: {}", Safe::path(path), reason(&error)))
}

pub fn certificates(files: &Files, path: &Path) -> Result<Certificates, String> {
    tls::certificates(&read(files, path)?).map_err(|why| format!("{}: {why}", Safe::path(path)))
}

pub fn private_key(files: &Files, path: &Path) -> Result<PrivateKey, String> {
    tls::private_key(&read(files, path)?).map_err(|why| format!("{}: {why}", Safe::path(path)))
}

/// The public authorities, and the file that they stand in: the one that is named, ours, or the target's.
pub fn authorities(files: &Files, named: Option<PathBuf>) -> Option<(Certificates, String)> {
    let ours = AUTHORITIES.iter().map(PathBuf::from);
    let theirs = AUTHORITIES.iter().map(|path| PathBuf::from(format!("@{path}")));
    let mut all = named.into_iter().chain(ours).chain(theirs);
    all.find_map(|path| Some((certificates(files, &path).ok()?, Safe::path(&path).to_string())))
}
