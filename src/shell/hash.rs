//! Where commands were found (POSIX.1-2024, XCU hash), so that PATH is searched once for each.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Shell, Text};
use crate::applet::os;
use crate::launch::{self, Found};

/// What was found with one value of PATH; another value forgets it all.
#[derive(Default)]
pub struct Hash {
    path: Option<Text>,
    found: BTreeMap<Text, PathBuf>,
}

impl Hash {
    pub fn forget(&mut self) {
        self.found.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        self.found.values().map(PathBuf::as_path)
    }

    fn search(&mut self, name: &[u8], path: Option<&[u8]>, remember: bool) -> Found {
        if self.path.as_deref() != path {
            self.path = path.map(<[u8]>::to_vec);
            self.found.clear();
        }
        if let Some(known) = self.found.get(name) {
            let still = launch::search(known.as_os_str(), None);
            if let Found::Program(_) = still {
                return still;
            }
            self.found.remove(name);
        }
        let found = launch::search(&os(name), path.map(os).as_deref());
        // What PATH has relative to the working directory is elsewhere after `cd`.
        if let Found::Program(program) = &found
            && remember
            && program.is_absolute()
        {
            self.found.insert(name.to_vec(), program.clone());
        }
        found
    }
}

impl Shell<'_> {
    /// Finds a program by its name, or by the memory of where it was.
    pub(super) fn locate(&mut self, name: &[u8]) -> Found {
        if name.contains(&b'/') {
            return launch::search(std::ffi::OsStr::from_bytes(name), None);
        }
        self.hash.search(name, self.variables.get(b"PATH"), self.options.hashall)
    }
}
