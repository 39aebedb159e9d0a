//! One file on the way through a tree: an operand by the path that the user typed, and what is below it by its directory
//! and its name, so that on the way down no symbolic link is followed that nobody wanted to follow.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode};

use super::Files;
use super::files::Directory;

pub struct Place<'a> {
    /// Nothing for an operand.
    pub within: Option<(&'a Directory, &'a OsStr)>,
    /// The way to it that is shown, and that is taken where links are followed.
    pub path: &'a Path,
    /// Whether a symbolic link stands for what it leads to.
    pub follow: bool,
}

impl Place<'_> {
    pub fn stat(&self, files: &Files) -> io::Result<FileStat> {
        match self.within {
            _ if self.follow => files.metadata(self.path),
            Some((directory, name)) => directory.symlink_metadata(name),
            None => files.symlink_metadata(self.path),
        }
    }

    pub fn open(&self, files: &Files, flags: OFlag) -> io::Result<File> {
        match self.within {
            Some((directory, name)) if !self.follow => directory.open(name, flags, 0),
            _ => files.open_with(self.path, flags, Mode::empty()),
        }
    }

    pub fn directory(&self, files: &Files) -> io::Result<Directory> {
        match self.within {
            Some((directory, name)) if !self.follow => directory.directory(name),
            _ => files.directory(self.path),
        }
    }

    pub fn link(&self, files: &Files) -> io::Result<OsString> {
        match self.within {
            Some((directory, name)) => directory.read_link(name),
            None => files.read_link(self.path),
        }
    }
}
