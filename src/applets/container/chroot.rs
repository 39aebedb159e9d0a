//! chroot: GNU's, a command in another root directory, which may be the target's: `chroot @/`. A command of ours, and the
//! shell without a command, need not exist there. Names of users and groups are looked up in the new root, then in ours.
//!
//! Exit status: the command's; 126 it cannot run, 127 there is none, 125 the root cannot be changed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::unistd::fchdir;

use crate::applet::{Applet, Context, Error, Exit, Place, Result};
use crate::launch::{command, identity};
use crate::output::Safe;
use crate::target::process::number;
use crate::target::{Files, Users, Whose};

pub static APPLET: Applet = Applet {
    names: &["chroot"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 125,
};

/// Run a command in another root directory
#[derive(clap::Parser)]
#[command(after_help = "Commands of sidebox need not exist there; without COMMAND it is a shell.\n\
                        Status: the command's; 125 chroot failed, 126 the command cannot run, 127 there is none.")]
struct Options {
    /// The user and the group to become
    #[arg(long, value_name = "USER:GROUP")]
    userspec: Option<OsString>,
    /// The supplementary groups; an empty list is none
    #[arg(long, value_name = "GROUP,…")]
    groups: Option<OsString>,
    /// Keep the working directory, where the root is the one that we have
    #[arg(long)]
    skip_chdir: bool,
    /// The new root; @/ is the target's
    #[arg(value_name = "ROOT")]
    root: PathBuf,
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<OsString>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    command::needs_process(cx)?;
    let options: Options = cx.parse()?;
    let path = &options.root;
    let failed = |error| identity::denied(Safe::path(path), error, 0);
    let root = cx.files.directory(path).map_err(failed)?;
    let before = match options.skip_chdir {
        false => None,
        true => {
            let is = |path: &PathBuf| cx.files.metadata(path).map(|stat| (stat.st_dev, stat.st_ino));
            if is(path).map_err(failed)? != is(&PathBuf::from("/")).map_err(failed)? {
                return Err(Error::Status(125, String::from("--skip-chdir: only where the root is / already")));
            }
            Some(cx.files.directory(&PathBuf::from(".")).map_err(failed)?)
        }
    };
    // Read in this root, for names that the new one does not have.
    let files = Files::new(None);
    let outside = Wanted::read(&options, &Users::new(&files));
    identity::set_root(root, Safe::path(path))?;
    if let Some(before) = before {
        fchdir(before).map_err(|error| failed(error.into()))?;
    }
    let wanted = Wanted::read(&options, &Users::new(&files)).or(outside)?;
    identity::change(wanted.user, wanted.group, wanted.groups.as_deref())?;
    identity::settle()?;
    match options.command.is_empty() {
        true => command::shell(cx, false, cx.env),
        false => command::replace(cx, &options.command, cx.env),
    }
}

/// Who to become.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    user: Option<u32>,
    group: Option<u32>,
    groups: Option<Vec<u32>>,
}

impl Wanted {
    fn read(options: &Options, users: &Users<'_>) -> Result<Wanted> {
        let mut wanted = Wanted::default();
        if let Some(spec) = &options.userspec {
            wanted.identify(spec.as_bytes(), users)?;
        }
        if let Some(list) = &options.groups {
            let names = list.as_bytes().split(|byte| *byte == b',').filter(|name| !name.is_empty());
            wanted.groups = Some(names.map(|name| group(name, users)).collect::<Result<_>>()?);
        }
        Ok(wanted)
    }

    /// `USER`, `USER:`, `USER:GROUP`, `:GROUP`. Without a group it is the user's own, which a number alone may not have.
    fn identify(&mut self, spec: &[u8], users: &Users<'_>) -> Result<()> {
        let (user, named) = match memchr::memchr(b':', spec) {
            Some(at) => (&spec[..at], &spec[at + 1..]),
            None => (spec, &[][..]),
        };
        if !named.is_empty() {
            self.group = Some(group(named, users)?);
        }
        if user.is_empty() {
            return Ok(());
        }
        let account = users.account(user, Whose::Sidecar);
        self.user = number(user).or(account.as_ref().map(|account| account.uid));
        if self.user.is_none() {
            return Err(Error::message(format_args!("{}: no such user", Safe(user))));
        }
        self.group = self.group.or(account.as_ref().map(|account| account.gid));
        let Some(group) = self.group else {
            return Err(Error::message(format_args!("{}: has no account, so it needs a group: UID:GID", Safe(user))));
        };
        // As initgroups(3) has it: the first one is the group itself.
        let memberships = account.map(|account| users.memberships(&account.name, Whose::Sidecar)).unwrap_or_default();
        self.groups = Some(std::iter::once(group).chain(memberships.into_iter().filter(|id| *id != group)).collect());
        Ok(())
    }
}

fn group(name: &[u8], users: &Users<'_>) -> Result<u32> {
    let found = number(name).or_else(|| users.group_number(name, Whose::Sidecar));
    found.ok_or_else(|| Error::message(format_args!("{}: no such group", Safe(name))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;
    use clap::Parser;

    fn wanted(args: &[&str]) -> Option<Wanted> {
        let options = Options::try_parse_from(["chroot"].iter().chain(args).chain(&["/"])).unwrap();
        Wanted::read(&options, &Users::new(&Files::new(None))).ok()
    }

    #[test]
    fn who_to_become() {
        let is = |args: &[&str], user, group, groups: Option<&[u32]>| {
            let groups = groups.map(<[u32]>::to_vec);
            assert_eq!(wanted(args), Some(Wanted { user, group, groups }), "{args:?}");
        };
        is(&[], None, None, None);
        is(&["--userspec=7000:55"], Some(7000), Some(55), Some(&[55]));
        is(&["--userspec=:55"], None, Some(55), None);
        is(&["--userspec=daemon"], Some(1), Some(1), Some(&[1]));
        is(&["--userspec=daemon:"], Some(1), Some(1), Some(&[1]));
        is(&["--userspec=daemon:sys", "--groups=4,bin"], Some(1), Some(3), Some(&[4, 2]));
        is(&["--groups="], None, None, Some(&[]));
        for spec in ["4000000", "no-such", "0:no-such", ":no-such"] {
            assert_eq!(wanted(&["--userspec", spec]), None, "{spec}");
        }
    }

    #[test]
    fn what_is_no_root() {
        let done = capture(&APPLET, &["/none\n", "true"], b"");
        assert_eq!((done.status, done.err.as_str()), (125, "chroot: /none\\n: No such file or directory\n"));
        let done = capture(&APPLET, &["--skip-chdir", "/tmp", "true"], b"");
        assert_eq!((done.status, done.err.as_str()), (125, "chroot: --skip-chdir: only where the root is / already\n"));
        assert_eq!(capture(&APPLET, &[], b"").status, 2);
    }
}
