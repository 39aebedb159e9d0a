//! unshare: util-linux's, a command in namespaces of its own. Not here: namespaces that are kept by a file, ranges of
//! mapped users, offsets of clocks. A command of ours, and the shell without a command, need not exist in the new root.
//!
//! Exit status: the command's; 126 it cannot run, 127 there is none, 1 the namespaces cannot be made.

use std::ffi::OsString;
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{fchdir, getegid, geteuid};

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::launch::child::{Side, go_on_in_child};
use crate::launch::namespaces::flag;
use crate::launch::{command, identity};
use crate::output::Safe;
use crate::sys::signal;
use crate::target::capabilities::SYS_ADMIN;
use crate::target::namespaces::{Namespace, define};
use crate::target::process::number;
use crate::target::{PROC, Users, Whose};

pub static APPLET: Applet = Applet {
    names: &["unshare"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

/// Run a command in new namespaces
#[derive(clap::Parser)]
#[command(after_help = "Commands of sidebox need not exist in the new root; without COMMAND it is a shell.")]
struct Options {
    /// Mounts
    #[arg(short, long)]
    mount: bool,
    /// The host name
    #[arg(short, long)]
    uts: bool,
    /// System V IPC and message queues
    #[arg(short, long)]
    ipc: bool,
    /// The network
    #[arg(short, long)]
    net: bool,
    /// Process ids, for children: see -f
    #[arg(short, long)]
    pid: bool,
    /// Users
    #[arg(short = 'U', long)]
    user: bool,
    /// Control groups
    #[arg(short = 'C', long)]
    cgroup: bool,
    /// Clocks, for children
    #[arg(short = 'T', long)]
    time: bool,
    /// Run the command in a child, which is the first in a new PID namespace
    #[arg(short, long)]
    fork: bool,
    /// Be root in a new user namespace
    #[arg(short = 'r', long)]
    map_root_user: bool,
    /// Be ourselves in a new user namespace
    #[arg(short = 'c', long, conflicts_with = "map_root_user")]
    map_current_user: bool,
    /// Be this user in a new user namespace
    #[arg(long, value_name = "UID")]
    map_user: Option<OsString>,
    /// Be of this group in a new user namespace
    #[arg(long, value_name = "GID")]
    map_group: Option<OsString>,
    /// The signal that the child gets when we die; KILL if not said otherwise; implies -f
    #[arg(long, value_name = "SIGNAL", num_args = 0..=1, require_equals = true, default_missing_value = "KILL")]
    kill_child: Option<OsString>,
    /// Mount /proc anew, for the new process ids; implies -m
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = PROC)]
    mount_proc: Option<PathBuf>,
    /// private (if not said otherwise), slave, shared or unchanged: what becomes of mounts
    #[arg(long, value_name = "HOW")]
    propagation: Option<OsString>,
    /// allow or deny setgroups(2) in the new user namespace
    #[arg(long, value_name = "WHICH")]
    setgroups: Option<OsString>,
    /// The root directory
    #[arg(short = 'R', long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The working directory
    #[arg(short, long = "wd", value_name = "DIR")]
    wd: Option<PathBuf>,
    /// The user to become
    #[arg(short = 'S', long, value_name = "UID")]
    setuid: Option<OsString>,
    /// The group to become, without supplementary ones
    #[arg(short = 'G', long, value_name = "GID")]
    setgid: Option<OsString>,
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// What the options mean, checked before anything is changed.
struct Plan {
    namespaces: Vec<Namespace>,
    fork: bool,
    kill_child: Option<Signal>,
    map_user: Option<u32>,
    map_group: Option<u32>,
    setgroups: Option<&'static str>,
    propagation: Option<MsFlags>,
    user: Option<u32>,
    group: Option<u32>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    command::needs_process(cx)?;
    let options: Options = cx.parse()?;
    let plan = plan(&options, &Users::new(cx.files))?;
    // Those of the old user namespace, in whose terms the map is written.
    let outside = (geteuid().as_raw(), getegid().as_raw());
    let flags = plan.namespaces.iter().fold(CloneFlags::empty(), |flags, namespace| flags | flag(*namespace));
    nix::sched::unshare(flags).map_err(|error| refused(&plan.namespaces, error))?;
    if plan.fork {
        match go_on_in_child(cx.io, false).map_err(|error| identity::denied("fork", error, 0))? {
            Side::Parent(ended) => return Ok(Exit(ended.status)),
            Side::Child => {}
        }
    }
    map(&plan, outside)?;
    if let Some(propagation) = plan.propagation {
        let none = None::<&Path>;
        mount(none, "/", none, propagation, none).map_err(|error| identity::denied("mounts", error, SYS_ADMIN))?;
    }
    if let Some(root) = &options.root {
        let directory = cx.files.directory(root).map_err(|error| identity::denied(Safe::path(root), error, 0))?;
        identity::set_root(directory, Safe::path(root))?;
    }
    if let Some(wd) = &options.wd {
        let entered = cx.files.directory(wd).and_then(|directory| Ok(fchdir(directory)?));
        entered.map_err(|error| identity::denied(Safe::path(wd), error, 0))?;
    }
    if let Some(path) = &options.mount_proc {
        let none = None::<&Path>;
        if options.root.is_none() && plan.propagation != Some(MsFlags::MS_PRIVATE | MsFlags::MS_REC) {
            // Else the new one would show in the namespace that we come from.
            mount(none, path, none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none)
                .map_err(|error| identity::denied(Safe::path(path), error, SYS_ADMIN))?;
        }
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("proc"), path, Some("proc"), flags, none).map_err(|error| {
            // In a container the kernel wants a whole /proc, of which no part is hidden by the engine.
            identity::denied(format_args!("proc on {}", Safe::path(path)), error, SYS_ADMIN)
        })?;
    }
    identity::change(plan.user, plan.group, plan.group.map(|_| &[][..]))?;
    // A change of user would clear it.
    if let Some(signal) = plan.kill_child {
        prctl::set_pdeathsig(signal).map_err(|error| identity::denied("--kill-child", error, 0))?;
    }
    identity::settle()?;
    match options.command.is_empty() {
        true => command::shell(cx, true, cx.env),
        false => command::replace(cx, &options.command, cx.env),
    }
}

fn plan(options: &Options, users: &Users<'_>) -> Result<Plan> {
    let usage = |what: &str, word: &OsString| Error::usage(format_args!("{what}: {}", Safe::os(word)));
    let account = |name: &OsString| users.account(name.as_bytes(), Whose::Sidecar);
    let user = |what: &str, word: &OsString| {
        number(word.as_bytes()).or_else(|| Some(account(word)?.uid)).ok_or_else(|| usage(what, word))
    };
    let group = |what: &str, word: &OsString| {
        number(word.as_bytes())
            .or_else(|| users.group_number(word.as_bytes(), Whose::Sidecar))
            .ok_or_else(|| usage(what, word))
    };
    let mapped = |word: &Option<OsString>, read: &dyn Fn(&str, &OsString) -> Result<u32>, what, own: u32| match word {
        Some(word) => read(what, word).map(Some),
        None if options.map_root_user => Ok(Some(0)),
        None if options.map_current_user => Ok(Some(own)),
        None => Ok(None),
    };
    let map_user = mapped(&options.map_user, &user, "--map-user: no such user", geteuid().as_raw())?;
    let map_group = mapped(&options.map_group, &group, "--map-group: no such group", getegid().as_raw())?;
    let setgroups = match options.setgroups.as_ref().map(|word| (word, word.as_bytes())) {
        None => None,
        Some((_, b"deny")) => Some("deny"),
        Some((_, b"allow")) if map_group.is_some() => {
            return Err(Error::usage("--setgroups=allow: not where a group is mapped without privileges"));
        }
        Some((_, b"allow")) => Some("allow"),
        Some((word, _)) => return Err(usage("--setgroups: neither allow nor deny", word)),
    };
    let wanted = [
        (Namespace::User, options.user || map_user.is_some() || map_group.is_some()),
        (Namespace::Mount, options.mount || options.mount_proc.is_some()),
        (Namespace::Cgroup, options.cgroup),
        (Namespace::Ipc, options.ipc),
        (Namespace::Uts, options.uts),
        (Namespace::Network, options.net),
        (Namespace::Pid, options.pid),
        (Namespace::Time, options.time),
    ];
    let namespaces: Vec<Namespace> = wanted.into_iter().filter(|(_, is)| *is).map(|(namespace, _)| namespace).collect();
    let propagation = match options.propagation.as_ref().map(|word| (word, word.as_bytes())) {
        None | Some((_, b"private")) => Some(MsFlags::MS_PRIVATE),
        Some((_, b"slave")) => Some(MsFlags::MS_SLAVE),
        Some((_, b"shared")) => Some(MsFlags::MS_SHARED),
        Some((_, b"unchanged")) => None,
        Some((word, _)) => return Err(usage("--propagation: none of private, slave, shared, unchanged", word)),
    };
    let kill_child = options.kill_child.as_ref().map(|word| {
        let signal = signal::number(word.as_bytes()).and_then(|number| Signal::try_from(number).ok());
        signal.ok_or_else(|| usage("--kill-child: no such signal", word))
    });
    let kill_child = kill_child.transpose()?;
    let id = |word: &Option<OsString>, what: &str| {
        let id = word.as_ref().map(|word| number(word.as_bytes()).ok_or_else(|| usage(what, word)));
        id.transpose()
    };
    Ok(Plan {
        fork: options.fork || kill_child.is_some(),
        kill_child,
        map_user,
        map_group,
        setgroups,
        propagation: propagation.filter(|_| namespaces.contains(&Namespace::Mount)).map(|how| how | MsFlags::MS_REC),
        namespaces,
        user: id(&options.setuid, "-S: not a number of a user")?,
        group: id(&options.setgid, "-G: not a number of a group")?,
    })
}

fn refused(namespaces: &[Namespace], error: nix::Error) -> Error {
    let names: Vec<&str> = namespaces.iter().map(|namespace| namespace.name()).collect();
    let names = names.join(", ");
    // With a new user namespace nothing else is asked for.
    match namespaces.contains(&Namespace::User) {
        true => Error::message(format_args!(
            "{names}: {}: the kernel (user.max_user_namespaces), a seccomp filter or a security module allows no new \
             user namespace here",
            error.desc()
        )),
        false => identity::denied(names, error, SYS_ADMIN),
    }
}

/// Gives the new user namespace its one user and group. Without privileges a group can be mapped only where setgroups(2)
/// is forbidden.
fn map(plan: &Plan, (user, group): (u32, u32)) -> Result<()> {
    let set = |file: &str, text: &dyn Display| {
        let failed = |error| Error::message(format_args!("{file}: {}", reason(&error)));
        define(file, &text.to_string()).map_err(failed)
    };
    if let Some(inside) = plan.map_user {
        set("uid_map", &format_args!("{inside} {user} 1"))?;
    }
    if let Some(word) = plan.setgroups.or(plan.map_group.map(|_| "deny")) {
        set("setgroups", &word)?;
    }
    if let Some(inside) = plan.map_group {
        set("gid_map", &format_args!("{inside} {group} 1"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;
    use crate::target::Files;
    use clap::Parser;

    fn planned(args: &[&str]) -> Plan {
        let options = Options::try_parse_from(["unshare"].iter().chain(args)).unwrap();
        plan(&options, &Users::new(&Files::new(None))).unwrap_or_else(|error| panic!("{error:?}"))
    }

    #[test]
    fn what_options_imply() {
        let plan = planned(&["-rfp", "--mount-proc", "ps", "-p"]);
        assert_eq!(plan.namespaces, [Namespace::User, Namespace::Mount, Namespace::Pid]);
        assert_eq!((plan.map_user, plan.map_group, plan.fork), (Some(0), Some(0), true));
        assert_eq!(plan.propagation, Some(MsFlags::MS_PRIVATE | MsFlags::MS_REC));
        let plan = planned(&["--kill-child", "-n", "true"]);
        assert_eq!((plan.kill_child, plan.fork, plan.propagation), (Some(Signal::SIGKILL), true, None));
        let plan = planned(&["--kill-child=term", "--map-user=root", "--map-group", "7", "-T"]);
        assert_eq!((plan.kill_child, plan.map_user, plan.map_group), (Some(Signal::SIGTERM), Some(0), Some(7)));
        assert_eq!(plan.namespaces, [Namespace::User, Namespace::Time]);
        let plan = planned(&["-m", "--propagation", "unchanged", "-S", "5", "-G6"]);
        assert_eq!((plan.propagation, plan.user, plan.group), (None, Some(5), Some(6)));
    }

    #[test]
    fn wrong_use() {
        for (args, err) in [
            (["--propagation", "x"], "--propagation: none of private, slave, shared, unchanged: x"),
            (["--setgroups", "x"], "--setgroups: neither allow nor deny: x"),
            (["-r", "--setgroups=allow"], "--setgroups=allow: not where a group is mapped without privileges"),
            (["--map-user", "no-such"], "--map-user: no such user: no-such"),
            (["--map-group", "no-such"], "--map-group: no such group: no-such"),
            (["-p", "--kill-child=x"], "--kill-child: no such signal: x"),
            (["-S", "x"], "-S: not a number of a user: x"),
        ] {
            let done = capture(&APPLET, &args, b"");
            assert_eq!((done.status, done.err), (2, format!("unshare: {err} (see 'unshare --help')\n")));
        }
    }
}
