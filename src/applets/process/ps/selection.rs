//! Which processes ps shows.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::applet::processes::Row;
use crate::applet::{Error, Result};
use crate::output::Safe;
use crate::target::Whose;

use super::Options;

/// Which processes: those that any of the lists takes, as POSIX has it, and of these the ones of a container.
pub struct Selection<'a> {
    pub pids: HashSet<i32>,
    users: Vec<&'a [u8]>,
    real_users: Vec<&'a [u8]>,
    groups: Vec<&'a [u8]>,
    real_groups: Vec<&'a [u8]>,
    names: Vec<&'a [u8]>,
    parents: HashSet<i32>,
    sessions: HashSet<i32>,
    terminals: Vec<&'a [u8]>,
    whose: Vec<Whose>,
    running: bool,
    deselected: bool,
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
        // Of -g, numbers are sessions and names are groups.
        let leaders =
            |numbers: bool| items(&options.leaders).filter(move |item| numbers == item.iter().all(u8::is_ascii_digit));
        Ok(Selection {
            pids: items(&options.pids).map(number).collect::<Result<_>>()?,
            parents: items(&options.parents).map(number).collect::<Result<_>>()?,
            sessions: items(&options.sessions).chain(leaders(true)).map(number).collect::<Result<_>>()?,
            groups: items(&options.groups).chain(leaders(false)).collect(),
            real_groups: items(&options.real_groups).collect(),
            real_users: items(&options.real_users).collect(),
            running: options.running,
            deselected: options.deselect,
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
        !self.pids.is_empty() && self.no_properties() && !self.deselected
    }

    fn no_properties(&self) -> bool {
        let Selection { names, parents, sessions, terminals, .. } = self;
        let owners = [&self.users, &self.real_users, &self.groups, &self.real_groups];
        owners.iter().all(|list| list.is_empty())
            && names.is_empty()
            && parents.is_empty()
            && sessions.is_empty()
            && terminals.is_empty()
    }

    pub fn takes(&self, row: &mut Row) -> bool {
        if !self.whose.is_empty() && !self.whose.contains(&row.whose)
            || self.running && !matches!(row.stat.state, b'R' | b'D')
        {
            return false;
        }
        if self.pids.is_empty() && self.no_properties() {
            return true;
        }
        let stat = &row.stat;
        let takes = self.pids.contains(&row.pid)
            || self.parents.contains(&stat.parent)
            || self.sessions.contains(&stat.session)
            || self.names.contains(&stat.comm.as_slice())
            || self.terminals.iter().any(|name| stat.is_on(name))
            || self.takes_owner(row);
        takes != self.deselected
    }

    fn takes_owner(&self, row: &mut Row) -> bool {
        let (users, whose) = (row.users, row.whose);
        let user = |list: &[&[u8]], id| list.iter().any(|user| users.is(user, id, whose));
        let group = |list: &[&[u8]], id| list.iter().any(|group| users.is_group(group, id, whose));
        !(self.users.is_empty() && self.groups.is_empty())
            && row.owner().is_ok_and(|owner| user(&self.users, owner.user) || group(&self.groups, owner.group))
            || !(self.real_users.is_empty() && self.real_groups.is_empty())
                && row.status().is_ok_and(|status| {
                    user(&self.real_users, status.users.real) || group(&self.real_groups, status.groups.real)
                })
    }
}

/// The items of lists between commas or spaces.
fn items(lists: &[OsString]) -> impl Iterator<Item = &[u8]> {
    let between = |byte: &u8| matches!(byte, b',' | b' ' | b'\t' | b'\n');
    lists.iter().flat_map(move |list| list.as_bytes().split(between)).filter(|item| !item.is_empty())
}
