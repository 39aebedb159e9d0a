//! id: POSIX.1-2024 XCU `id`. Ours, or those of an account in /etc/passwd. Where that has no name, the number stands
//! alone; only `-n`, which asked for the name, complains.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use nix::unistd::{getegid, geteuid, getgid, getgroups, getuid};

use crate::applet::{self, Applet, Context, Error, Exit, Place, Reads, Result};
use crate::output::{Safe, shown};
use crate::target::{Users, Whose};

pub static APPLET: Applet = Applet {
    names: &["id"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Guest { reads: Reads::Never },
    trouble: 1,
};

/// Print user and group ids
#[derive(clap::Parser)]
struct Options {
    /// Only the effective user
    #[arg(short, long, conflicts_with_all = ["group", "groups"])]
    user: bool,
    /// Only the effective group
    #[arg(short, long, conflicts_with = "groups")]
    group: bool,
    /// All groups
    #[arg(short = 'G', long)]
    groups: bool,
    /// Names in place of numbers
    #[arg(short, long)]
    name: bool,
    /// The real ids in place of the effective ones
    #[arg(short, long)]
    real: bool,
    /// An account's name or number
    #[arg(value_name = "USER")]
    account: Option<OsString>,
}

struct Ids {
    user: u32,
    group: u32,
    effective_user: u32,
    effective_group: u32,
    /// The groups with the effective one first.
    groups: Vec<u32>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    if (options.name || options.real) && !(options.user || options.group || options.groups) {
        return Err(Error::usage("-n and -r need one of -u, -g, -G"));
    }
    let users = Users::new(cx.files);
    let ids = match &options.account {
        Some(name) => of_account(&users, name)?,
        None => own()?,
    };
    if options.user {
        let user = if options.real { ids.user } else { ids.effective_user };
        return print(cx, &[user], options.name, |user| users.user(user, Whose::Sidecar));
    }
    if options.group || options.groups {
        let group = if options.real { ids.group } else { ids.effective_group };
        let groups = if options.groups { ids.groups } else { vec![group] };
        return print(cx, &groups, options.name, |group| users.group(group, Whose::Sidecar));
    }
    let terminal = cx.terminal();
    let named = |id: u32, name: Option<&[u8]>| match name {
        Some(name) => [format!("{id}(").as_bytes(), &shown(name, terminal), b")"].concat(),
        None => id.to_string().into_bytes(),
    };
    let user = |id| named(id, users.user(id, Whose::Sidecar));
    let group = |id| named(id, users.group(id, Whose::Sidecar));
    let mut line = [b"uid=", user(ids.user).as_slice(), b" gid=", &group(ids.group)].concat();
    if ids.effective_user != ids.user {
        line.extend([b" euid=", user(ids.effective_user).as_slice()].concat());
    }
    if ids.effective_group != ids.group {
        line.extend([b" egid=", group(ids.effective_group).as_slice()].concat());
    }
    let groups: Vec<Vec<u8>> = ids.groups.iter().map(|id| group(*id)).collect();
    line.extend([b" groups=", groups.join(&b","[..]).as_slice(), b"\n"].concat());
    cx.io.out.write_all(&line)?;
    Ok(Exit(0))
}

fn own() -> Result<Ids> {
    let failed = |error: nix::Error| Error::message(format_args!("groups: {}", applet::reason(&error.into())));
    let group = getegid().as_raw();
    let others = getgroups().map_err(failed)?;
    let others = others.into_iter().map(|other| other.as_raw()).filter(|other| *other != group);
    Ok(Ids {
        user: getuid().as_raw(),
        group: getgid().as_raw(),
        effective_user: geteuid().as_raw(),
        effective_group: group,
        groups: std::iter::once(group).chain(others).collect(),
    })
}

fn of_account(users: &Users<'_>, name: &OsString) -> Result<Ids> {
    let Some(account) = users.account(name.as_bytes(), Whose::Sidecar) else {
        return Err(Error::message(format_args!("{}: no such user", Safe::os(name))));
    };
    let others = users.memberships(&account.name, Whose::Sidecar).into_iter().filter(|group| *group != account.gid);
    Ok(Ids {
        user: account.uid,
        group: account.gid,
        effective_user: account.uid,
        effective_group: account.gid,
        groups: std::iter::once(account.gid).chain(others).collect(),
    })
}

fn print<'u>(cx: &mut Context<'_>, ids: &[u32], names: bool, name: impl Fn(u32) -> Option<&'u [u8]>) -> Result<Exit> {
    let terminal = cx.terminal();
    let mut words = Vec::new();
    for id in ids {
        match names.then(|| name(*id)) {
            Some(Some(name)) => words.push(shown(name, terminal).into_owned()),
            Some(None) => {
                cx.warn(format_args!("{id}: has no name here"));
                words.push(id.to_string().into_bytes());
            }
            None => words.push(id.to_string().into_bytes()),
        }
    }
    cx.io.out.write_all(&[words.join(&b' ').as_slice(), b"\n"].concat())?;
    Ok(Exit(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[test]
    fn numbers_of_our_own() {
        assert_eq!(capture(&APPLET, &["-u"], b"").out, format!("{}\n", geteuid()));
        assert_eq!(capture(&APPLET, &["-gr"], b"").out, format!("{}\n", getgid()));
        let line = capture(&APPLET, &[], b"").out;
        assert!(line.starts_with(&format!("uid={}", getuid())) && line.contains(" groups="), "{line}");
    }

    #[test]
    fn wrong_use() {
        let done = capture(&APPLET, &["no-such-user\n"], b"");
        assert_eq!((done.status, done.err.as_str()), (1, "id: no-such-user\\n: no such user\n"));
        assert_eq!(capture(&APPLET, &["-n"], b"").status, 2);
        assert_eq!(capture(&APPLET, &["-u", "-g"], b"").status, 2);
    }
}
