//! Which processes and files lsof shows: those that any of the selections takes, or with `-a` all of them; what is left out
//! by a `^` is left out before. Longer than most because lsof selects by ten properties.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::stat::FileStat;

use crate::applet::{Context, Error, Result, reason};
use crate::output::Safe;
use crate::target::Users;
use crate::target::endpoints::Endpoint;
use crate::target::open::{Open, Place};
use crate::target::sockets::Protocol;

use super::internet::Internet;
use super::{Options, Process};

/// Things that are selected, and others that are left out.
struct Lists<T> {
    taken: Vec<T>,
    left_out: Vec<T>,
}

impl<T> Lists<T> {
    fn of(items: &[OsString], parse: impl Fn(&[u8]) -> Option<T>, what: &str) -> Result<Lists<T>> {
        let mut lists = Lists { taken: Vec::new(), left_out: Vec::new() };
        for item in items.iter().map(|item| item.as_bytes()).filter(|item| !item.is_empty()) {
            let wrong = || Error::usage(format_args!("{}: {what}", Safe(item)));
            match item.strip_prefix(b"^") {
                Some(item) => lists.left_out.push(parse(item).ok_or_else(wrong)?),
                None => lists.taken.push(parse(item).ok_or_else(wrong)?),
            }
        }
        Ok(lists)
    }

    /// `None` where nothing is selected by it.
    fn takes(&self, is: impl Fn(&T) -> bool) -> Option<bool> {
        (!self.taken.is_empty()).then(|| self.taken.iter().any(is))
    }

    fn leaves_out(&self, is: impl Fn(&T) -> bool) -> bool {
        self.left_out.iter().any(is)
    }
}

/// A descriptor or another place.
enum Fd {
    Range(i32, i32),
    Place(Place),
}

impl Fd {
    fn parse(text: &[u8]) -> Option<Fd> {
        Some(Fd::Place(match text {
            b"cwd" => Place::Directory,
            b"rtd" => Place::Root,
            b"txt" => Place::Program,
            b"mem" | b"DEL" => Place::Mapped,
            digits => {
                let text = std::str::from_utf8(digits).ok()?;
                let (low, high) = text.split_once('-').unwrap_or((text, text));
                return Some(Fd::Range(low.parse().ok()?, high.parse().ok()?));
            }
        }))
    }

    fn is(&self, place: Place) -> bool {
        match (self, place) {
            (Fd::Range(low, high), Place::Descriptor(number)) => (low..=high).contains(&&number),
            (Fd::Place(own), place) => *own == place,
            _ => false,
        }
    }
}

/// A file that was named, or the file system on a mount point.
struct Named {
    path: Vec<u8>,
    device: u64,
    inode: Option<u64>,
    found: bool,
}

pub struct Selection {
    and: bool,
    pids: Lists<i32>,
    users: Lists<Vec<u8>>,
    commands: Lists<Vec<u8>>,
    groups: Lists<i32>,
    descriptors: Lists<Fd>,
    internet: Option<Vec<Internet>>,
    /// The protocol and the names of states.
    states: Lists<(bool, Vec<u8>)>,
    unix: bool,
    /// Fewer links than that.
    links: Option<u64>,
    inside: Vec<Vec<u8>>,
    below: Vec<Vec<u8>>,
    named: Vec<Named>,
}

impl Selection {
    pub fn of(cx: &mut Context<'_>, options: &Options) -> Result<Selection> {
        let number = |item: &[u8]| std::str::from_utf8(item).ok()?.parse().ok();
        let users = Users::new(cx.files);
        let known = |item: &[u8]| users.knows(item).then(|| item.to_vec());
        let internet = |item: &OsString| {
            let wrong = || Error::usage(format_args!("{}: not [4|6][tcp|udp][@ADDRESS][:PORTS]", Safe::os(item)));
            item.to_str().and_then(Internet::parse).ok_or_else(wrong)
        };
        let mut named = Vec::new();
        for path in &options.paths {
            match cx.files.metadata(Path::new(path)) {
                Ok(stat) => named.push(Named {
                    path: path.as_bytes().to_vec(),
                    device: stat.st_dev,
                    inode: (!is_mount_point(cx, path, &stat)).then_some(stat.st_ino),
                    found: false,
                }),
                Err(error) => {
                    cx.warn(format_args!("{}: {}", Safe::os(path), reason(&error)));
                }
            }
        }
        if named.is_empty() && !options.paths.is_empty() {
            return Err(Error::Exit(crate::applet::Exit(1)));
        }
        let trimmed = |list: &[OsString]| {
            let trim = |path: &OsString| {
                let path = path.as_bytes();
                let path = path.strip_prefix(b"@").filter(|rest| rest.starts_with(b"/")).unwrap_or(path);
                path.strip_suffix(b"/").unwrap_or(path).to_vec()
            };
            list.iter().map(trim).collect()
        };
        Ok(Selection {
            and: options.and,
            pids: Lists::of(&options.pids, number, "not a process id")?,
            users: Lists::of(&options.users, known, "no such user")?,
            commands: Lists::of(&options.commands, |item| Some(item.to_vec()), "")?,
            groups: Lists::of(&options.groups, number, "not a process group")?,
            descriptors: Lists::of(&options.descriptors, Fd::parse, "not a descriptor")?,
            internet: match &options.internet {
                None => None,
                // A bare -i is all of them.
                Some(list) if list.is_empty() => Some(vec![Internet::default()]),
                Some(list) => Some(list.iter().map(internet).collect::<Result<_>>()?),
            },
            states: states(options.states.as_deref().unwrap_or_default())?,
            unix: options.unix,
            links: options.links.flatten(),
            inside: trimmed(&options.inside),
            below: trimmed(&options.below),
            named,
        })
    }

    /// Whether the process is asked for by its number.
    pub fn names(&self, pid: i32) -> bool {
        self.pids.taken.contains(&pid)
    }

    /// Whether a process may have rows.
    pub fn considers(&self, process: &Process, users: &Users) -> bool {
        let (pid, group, comm) = (process.stat.pid, process.stat.group, &process.stat.comm);
        let is_user = |name: &Vec<u8>| users.is(name, process.user, process.whose);
        let left_out = self.pids.leaves_out(|item| *item == pid)
            || self.groups.leaves_out(|item| *item == group)
            || self.commands.leaves_out(|item| comm.starts_with(item))
            || self.users.leaves_out(is_user);
        let criteria = self.of_process(process, users);
        let given = || criteria.iter().flatten();
        !left_out
            && match (self.and, self.by_file()) {
                (true, _) => given().all(|takes| *takes),
                (false, true) => true,
                (false, false) => given().count() == 0 || given().any(|takes| *takes),
            }
    }

    fn of_process(&self, process: &Process, users: &Users) -> [Option<bool>; 4] {
        let (pid, group, comm) = (process.stat.pid, process.stat.group, &process.stat.comm);
        [
            self.pids.takes(|item| *item == pid),
            self.groups.takes(|item| *item == group),
            self.commands.takes(|item| comm.starts_with(item)),
            self.users.takes(|name| users.is(name, process.user, process.whose)),
        ]
    }

    /// Whether something is asked of files.
    fn by_file(&self) -> bool {
        self.internet.is_some()
            || self.unix
            || self.links.is_some()
            || !(self.descriptors.taken.is_empty() && self.descriptors.left_out.is_empty())
            || !(self.states.taken.is_empty() && self.states.left_out.is_empty())
            || !(self.named.is_empty() && self.inside.is_empty() && self.below.is_empty())
    }

    /// Whether all files of the process are taken, without a look at them.
    pub fn takes_all(&self, process: &Process, users: &Users) -> bool {
        !self.by_file() && self.considers(process, users)
    }

    /// Whether nothing but sockets can be taken, so that the rest need not be read.
    pub fn only_sockets(&self) -> bool {
        let sockets = self.internet.is_some() || self.unix;
        let others = self.links.is_some()
            || !self.descriptors.taken.is_empty()
            || !(self.named.is_empty() && self.inside.is_empty() && self.below.is_empty());
        let processes = !(self.pids.taken.is_empty()
            && self.users.taken.is_empty()
            && self.commands.taken.is_empty()
            && self.groups.taken.is_empty());
        sockets && (self.and || !others && !processes)
    }

    /// Whether no socket can be taken, so that their tables need not be read.
    pub fn no_sockets(&self) -> bool {
        let files = !(self.named.is_empty() && self.inside.is_empty() && self.below.is_empty()) || self.links.is_some();
        files && self.internet.is_none() && !self.unix && (self.and || self.pids.taken.is_empty())
    }

    pub fn takes(&mut self, process: &Process, users: &Users, open: &Open, endpoint: Option<&Endpoint>) -> bool {
        let name = endpoint.and_then(|endpoint| match endpoint {
            Endpoint::Internet { protocol, state, .. } => {
                Some((matches!(protocol, Protocol::Udp | Protocol::Udp6), state.name()))
            }
            Endpoint::Unix { .. } => None,
        });
        let is_state = |(udp, state): &(bool, Vec<u8>)| name == Some((*udp, std::str::from_utf8(state).unwrap_or("")));
        if self.descriptors.leaves_out(|fd| fd.is(open.place)) || self.states.leaves_out(is_state) {
            return false;
        }
        let in_state = self.states.takes(is_state).unwrap_or(true);
        let internet = self.internet.as_ref().map(|list| {
            in_state && endpoint.is_some_and(|endpoint| list.iter().any(|internet| internet.takes(endpoint)))
        });
        let unix = self.unix.then_some(matches!(endpoint, Some(Endpoint::Unix { .. })));
        let [first, second, third, fourth] = self.of_process(process, users);
        let links = self.links.map(|links| {
            let is_file = open.stat.is_some_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG);
            is_file && open.link.starts_with(b"/") && open.links().is_some_and(|own| own < links)
        });
        let criteria = [
            first,
            second,
            third,
            fourth,
            internet,
            unix,
            self.descriptors.takes(|fd| fd.is(open.place)),
            links,
            self.takes_path(open),
            // Without -i, states select by themselves.
            if self.internet.is_none() { self.states.takes(is_state) } else { None },
        ];
        let mut given = criteria.iter().flatten();
        match self.and {
            true => given.all(|takes| *takes),
            false => given.clone().count() == 0 || given.any(|takes| *takes),
        }
    }

    /// By the file itself where it was named, by its path where a directory was.
    fn takes_path(&mut self, open: &Open) -> Option<bool> {
        if self.named.is_empty() && self.inside.is_empty() && self.below.is_empty() {
            return None;
        }
        let mut takes = false;
        for named in &mut self.named {
            let is =
                |stat: FileStat| stat.st_dev == named.device && named.inode.is_none_or(|inode| inode == stat.st_ino);
            if open.stat.is_some_and(is) {
                named.found = true;
                takes = true;
            }
        }
        let within = |directory: &Vec<u8>| open.link.strip_prefix(directory.as_slice())?.strip_prefix(b"/");
        let inside = |directory| within(directory).is_some_and(|rest| !rest.contains(&b'/'));
        let is = |directory: &Vec<u8>| open.link == *directory || directory.is_empty() && open.link == b"/";
        takes |= self.inside.iter().any(|directory| is(directory) || inside(directory));
        takes |= self.below.iter().any(|directory| is(directory) || within(directory).is_some());
        Some(takes)
    }

    /// What was named and nobody has open.
    pub fn missed(&self) -> impl Iterator<Item = &[u8]> {
        self.named.iter().filter(|named| !named.found).map(|named| named.path.as_slice())
    }
}

/// Whether the file system of a directory is not its parent's.
fn is_mount_point(cx: &Context<'_>, path: &OsString, stat: &FileStat) -> bool {
    if stat.st_mode & libc::S_IFMT != libc::S_IFDIR {
        return false;
    }
    let parent = cx.files.metadata(&Path::new(path).join(".."));
    parent.is_ok_and(|parent| parent.st_dev != stat.st_dev || parent.st_ino == stat.st_ino)
}

/// `TCP:LISTEN,ESTABLISHED`, `UDP:…`, `^` before a state.
fn states(lists: &[OsString]) -> Result<Lists<(bool, Vec<u8>)>> {
    let mut states = Lists { taken: Vec::new(), left_out: Vec::new() };
    for list in lists {
        let wrong = || Error::usage(format_args!("{}: not TCP:STATES or UDP:STATES", Safe::os(list)));
        let text = list.to_str().ok_or_else(wrong)?;
        let (protocol, names) = text.split_once(':').ok_or_else(wrong)?;
        let udp = match protocol.to_ascii_lowercase().as_str() {
            "tcp" => false,
            "udp" => true,
            _ => return Err(wrong()),
        };
        for name in names.split(',') {
            let bare = name.trim_start_matches('^').to_ascii_uppercase().into_bytes();
            match name.starts_with('^') {
                true => states.left_out.push((udp, bare)),
                false => states.taken.push((udp, bare)),
            }
        }
    }
    Ok(states)
}
