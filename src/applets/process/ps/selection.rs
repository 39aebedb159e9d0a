//! Which processes ps shows.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::applet::{Error, Result};
use crate::output::Safe;
use crate::target::Whose;

use super::Options;
use super::columns::Row;

/// Which processes: those that any of the lists takes, as POSIX has it, and of these the ones of a container.
pub struct Selection<'a> {
    pub pids: HashSet<i32>,
    users: Vec<&'a [u8]>,
    names: Vec<&'a [u8]>,
    parents: HashSet<i32>,
    sessions: HashSet<i32>,
    terminals: Vec<&'a [u8]>,
    whose: Vec<Whose>,
}

impl<'a> Selection<'a> {
    pub fn of(options: &'a Options) -> Result<Selection<'a>> {
        let number = |item| {
            let pid = std::str::from_utf8(item).ok().and_then(|text| text.parse().ok());
            pid.ok_or_else(|| Error::usage(format_args!("{}: not a process id", Safe(item))))
        };
        let word = |item: &[u8]| {
            let known = Whose::ALL.into_iter().find(|known| known.word().as_bytes() == item);
            known.ok_or_else(|| Error::usage(format_args!("{}: not target, sidecar, pause or other", Safe(item))))
        };
        Ok(Selection {
            pids: items(&options.pids).map(number).collect::<Result<_>>()?,
            parents: items(&options.parents).map(number).collect::<Result<_>>()?,
            sessions: items(&options.sessions).map(number).collect::<Result<_>>()?,
            terminals: items(&options.terminals).collect(),
            users: items(&options.users).collect(),
            names: items(&options.names).collect(),
            whose: match options.target_only {
                true => vec![Whose::Target],
                false => items(&options.whose).map(word).collect::<Result<_>>()?,
            },
        })
    }

    /// Whether the process id alone decides, so that no other process needs to be read.
    pub fn only_pids(&self) -> bool {
        !self.pids.is_empty() && self.no_properties()
    }

    fn no_properties(&self) -> bool {
        let Selection { users, names, parents, sessions, terminals, .. } = self;
        users.is_empty() && names.is_empty() && parents.is_empty() && sessions.is_empty() && terminals.is_empty()
    }

    pub fn takes(&self, row: &mut Row) -> bool {
        if !self.whose.is_empty() && !self.whose.contains(&row.whose) {
            return false;
        }
        let stat = &row.stat;
        self.pids.is_empty() && self.no_properties()
            || self.pids.contains(&row.pid)
            || self.parents.contains(&stat.parent)
            || self.sessions.contains(&stat.session)
            || self.names.contains(&stat.comm.as_slice())
            || self.terminals.iter().any(|name| stat.is_on(name))
            || self.takes_user(row)
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
