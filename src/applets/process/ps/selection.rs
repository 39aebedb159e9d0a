//! Which processes ps shows.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::applet::{Error, Result};
use crate::output::Safe;
use crate::target::Whose;

use super::columns::Row;

/// Which processes: those that any of the lists takes, as POSIX has it, and of these the ones of a container.
pub struct Selection<'a> {
    pub pids: HashSet<i32>,
    users: Vec<&'a [u8]>,
    names: Vec<&'a [u8]>,
    whose: Vec<Whose>,
}

impl<'a> Selection<'a> {
    pub fn of(
        pids: &'a [OsString],
        users: &'a [OsString],
        names: &'a [OsString],
        whose: &'a [OsString],
    ) -> Result<Selection<'a>> {
        let number = |item| {
            let pid = std::str::from_utf8(item).ok().and_then(|text| text.parse().ok());
            pid.ok_or_else(|| Error::usage(format_args!("{}: not a process id", Safe(item))))
        };
        let word = |item: &[u8]| {
            let known = Whose::ALL.into_iter().find(|known| known.word().as_bytes() == item);
            known.ok_or_else(|| Error::usage(format_args!("{}: not target, sidecar, pause or other", Safe(item))))
        };
        Ok(Selection {
            pids: items(pids).map(number).collect::<Result<_>>()?,
            users: items(users).collect(),
            names: items(names).collect(),
            whose: items(whose).map(word).collect::<Result<_>>()?,
        })
    }

    /// Whether the process id alone decides, so that no other process needs to be read.
    pub fn only_pids(&self) -> bool {
        !self.pids.is_empty() && self.users.is_empty() && self.names.is_empty()
    }

    pub fn takes(&self, row: &mut Row) -> bool {
        if !self.whose.is_empty() && !self.whose.contains(&row.whose) {
            return false;
        }
        let every = self.pids.is_empty() && self.users.is_empty() && self.names.is_empty();
        every || self.pids.contains(&row.pid) || self.names.contains(&row.stat.comm.as_slice()) || self.takes_user(row)
    }

    fn takes_user(&self, row: &mut Row) -> bool {
        if self.users.is_empty() {
            return false;
        }
        let Ok(owner) = row.owner() else { return false };
        self.users.iter().any(|user| row.users.is(user, owner.user, row.whose))
    }
}

/// The items of lists between commas or spaces.
fn items(lists: &[OsString]) -> impl Iterator<Item = &[u8]> {
    let between = |byte: &u8| matches!(byte, b',' | b' ' | b'\t' | b'\n');
    lists.iter().flat_map(move |list| list.as_bytes().split(between)).filter(|item| !item.is_empty())
}
