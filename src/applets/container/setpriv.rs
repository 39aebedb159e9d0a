//! setpriv: util-linux's, a command with other privileges, and what ours are (-d). Not here: labels of security modules.
//! A command of ours runs without exec, and gets of the capabilities what execve(2) would leave it.
//!
//! Exit status: the command's; 126 it cannot run, 127 there is none, 1 the privileges cannot be changed.
//!
//! Longer than most, since there are twenty options, each with its own kind of word, and their order matters.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid};

use crate::applet::{Applet, Context, Environment, Error, Exit, Place, Result, os};
use crate::launch::command;
use crate::launch::identity::{self, denied};
use crate::output::Safe;
use crate::sys::capability::{self, Sets};
use crate::sys::signal;
use crate::target::capabilities::{Capabilities, SETGID, SETPCAP, SETUID};
use crate::target::process::number;
use crate::target::{Users, Whose};

pub static APPLET: Applet = Applet {
    names: &["setpriv"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

/// Run a command with other privileges, or show them
#[derive(clap::Parser)]
#[command(
    after_help = "CAPS are names or all, each with + to add it or - to remove it: -all,+chown. BITS are noroot, \
                  no_setuid_fixup, no_cap_ambient_raise, each also with _locked, and keep_caps_locked."
)]
struct Options {
    /// Show the privileges; twice or three times: more of them
    #[arg(short, long, action = clap::ArgAction::Count)]
    dump: u8,
    /// List the capabilities that the kernel knows
    #[arg(long)]
    list_caps: bool,
    /// Never get more by what is executed
    #[arg(long, visible_alias = "nnp")]
    no_new_privs: bool,
    /// The ambient capabilities
    #[arg(long, value_name = "CAPS", allow_hyphen_values = true)]
    ambient_caps: Option<OsString>,
    /// The inheritable capabilities
    #[arg(long, value_name = "CAPS", allow_hyphen_values = true)]
    inh_caps: Option<OsString>,
    /// The bounding set
    #[arg(long, value_name = "CAPS", allow_hyphen_values = true)]
    bounding_set: Option<OsString>,
    /// The real user
    #[arg(long, value_name = "USER")]
    ruid: Option<OsString>,
    /// The effective user
    #[arg(long, value_name = "USER")]
    euid: Option<OsString>,
    /// The real group
    #[arg(long, value_name = "GROUP")]
    rgid: Option<OsString>,
    /// The effective group
    #[arg(long, value_name = "GROUP")]
    egid: Option<OsString>,
    /// The real and the effective user
    #[arg(long, value_name = "USER", conflicts_with_all = ["ruid", "euid"])]
    reuid: Option<OsString>,
    /// The real and the effective group
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["rgid", "egid"])]
    regid: Option<OsString>,
    /// No supplementary groups
    #[arg(long, group = "supplementary")]
    clear_groups: bool,
    /// The supplementary groups that we have
    #[arg(long, group = "supplementary")]
    keep_groups: bool,
    /// The supplementary groups of the new user
    #[arg(long, group = "supplementary")]
    init_groups: bool,
    /// These supplementary groups
    #[arg(long, value_name = "GROUP,…", group = "supplementary")]
    groups: Option<OsString>,
    /// The securebits flags
    #[arg(long, value_name = "BITS", allow_hyphen_values = true)]
    securebits: Option<OsString>,
    /// keep, clear, or the signal that we get when our parent dies
    #[arg(long, value_name = "SIGNAL")]
    pdeathsig: Option<OsString>,
    /// No environment but TERM, and the account's HOME, SHELL, USER, LOGNAME, and PATH
    #[arg(long)]
    reset_env: bool,
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// securebits.h, in the order of its bits.
const SECURE_BITS: [&str; 8] = [
    "noroot",
    "noroot_locked",
    "no_setuid_fixup",
    "no_setuid_fixup_locked",
    "keep_caps",
    "keep_caps_locked",
    "no_cap_ambient_raise",
    "no_cap_ambient_raise_locked",
];

/// `keep_caps` is for programs that change their user themselves; execve(2) clears it.
const KEEP_CAPS: u64 = 1 << 4;

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    command::needs_process(cx)?;
    let alone = cx.args.iter().all(|arg| matches!(arg.as_bytes(), b"--dump" | [b'-', b'd', ..]));
    let options: Options = cx.parse()?;
    if options.list_caps {
        for name in words(capability::known()) {
            writeln!(cx.io.out, "{name}")?;
        }
        return Ok(Exit(0));
    }
    if options.dump > 0 {
        return match alone {
            true => dump(cx, options.dump),
            false => Err(Error::usage("-d: goes with nothing else")),
        };
    }
    if options.command.is_empty() {
        return Err(Error::usage("needs a command, or -d"));
    }
    let users = Users::new(cx.files);
    let plan = Plan::new(&options, &users)?;
    let env = match options.reset_env {
        true => environment(cx.env, &users, plan.users.0.unwrap_or(nix::unistd::getuid().as_raw())),
        false => cx.env.clone(),
    };
    plan.apply()?;
    identity::settle()?;
    command::replace(cx, &options.command, &env)
}

/// Which of a kind of named bits to add and to remove, one after the other.
type Changes = Vec<(bool, u64)>;

fn changed(before: u64, changes: &[(bool, u64)]) -> u64 {
    changes.iter().fold(before, |mask, (add, bits)| if *add { mask | bits } else { mask & !bits })
}

/// `+chown,-all`
fn changes(text: &OsStr, what: &str, bits: impl Fn(&str) -> Option<u64>) -> Result<Changes> {
    let change = |word: &[u8]| {
        let (add, name) = match word {
            [b'+', name @ ..] => (true, name),
            [b'-', name @ ..] => (false, name),
            _ => return Err(Error::usage(format_args!("{what}: {}: needs + or - before it", Safe(word)))),
        };
        let bits = std::str::from_utf8(name).ok().and_then(&bits);
        bits.map(|bits| (add, bits)).ok_or_else(|| Error::usage(format_args!("{what}: {}: no such name", Safe(name))))
    };
    text.as_bytes().split(|byte| *byte == b',').map(change).collect()
}

fn capabilities(text: &Option<OsString>, what: &str) -> Result<Option<Changes>> {
    let known = capability::known();
    let bits = |name: &str| match name {
        "all" => Some(known),
        name => Capabilities::number(name).map(|number| 1 << number),
    };
    text.as_ref().map(|text| changes(text, what, bits)).transpose()
}

fn secure_bits(text: &OsStr) -> Result<Changes> {
    let bits = |name: &str| {
        let bit = SECURE_BITS.iter().position(|known| *known == name)?;
        Some(1 << bit).filter(|bit| *bit != KEEP_CAPS)
    };
    changes(text, "--securebits", bits)
}

/// What the options mean, checked before anything is changed.
#[derive(Debug, Default)]
struct Plan {
    no_new_privileges: bool,
    /// Real and effective.
    users: (Option<u32>, Option<u32>),
    groups: (Option<u32>, Option<u32>),
    supplementary: Option<Vec<u32>>,
    secure_bits: Option<Changes>,
    bounding: Option<Changes>,
    inheritable: Option<Changes>,
    ambient: Option<Changes>,
    death: Option<Option<Signal>>,
}

impl Plan {
    fn new(options: &Options, users: &Users<'_>) -> Result<Plan> {
        let unknown = |what: &str, name: &[u8]| Error::usage(format_args!("{what}: {}", Safe(name)));
        let user = |word: &Option<OsString>| {
            let id = word.as_ref().map(|word| {
                let named = || users.account(word.as_bytes(), Whose::Sidecar).map(|account| account.uid);
                let id = number(word.as_bytes()).or_else(named).filter(|id| *id != u32::MAX);
                id.ok_or_else(|| unknown("no such user", word.as_bytes()))
            });
            id.transpose()
        };
        let group_number = |name: &[u8]| {
            let id = number(name).or_else(|| users.group_number(name, Whose::Sidecar)).filter(|id| *id != u32::MAX);
            id.ok_or_else(|| unknown("no such group", name))
        };
        let group = |word: &Option<OsString>| word.as_ref().map(|word| group_number(word.as_bytes())).transpose();
        let mut plan = Plan { no_new_privileges: options.no_new_privs, ..Plan::default() };
        plan.users = match user(&options.reuid)? {
            Some(id) => (Some(id), Some(id)),
            None => (user(&options.ruid)?, user(&options.euid)?),
        };
        plan.groups = match group(&options.regid)? {
            Some(id) => (Some(id), Some(id)),
            None => (group(&options.rgid)?, group(&options.egid)?),
        };
        plan.supplementary = match &options.groups {
            Some(list) => {
                Some(list.as_bytes().split(|byte| *byte == b',').map(group_number).collect::<Result<Vec<u32>>>()?)
            }
            None if options.clear_groups => Some(Vec::new()),
            None if options.init_groups => Some(plan.of_account(users)?),
            None if options.keep_groups || plan.groups == (None, None) => None,
            // What is left of the old user would be forgotten too easily.
            None => {
                return Err(Error::usage(
                    "a new group needs one of --keep-groups, --clear-groups, --init-groups, --groups",
                ));
            }
        };
        plan.secure_bits = options.securebits.as_deref().map(secure_bits).transpose()?;
        plan.bounding = capabilities(&options.bounding_set, "--bounding-set")?;
        plan.inheritable = capabilities(&options.inh_caps, "--inh-caps")?;
        plan.ambient = capabilities(&options.ambient_caps, "--ambient-caps")?;
        plan.death = match options.pdeathsig.as_ref().map(|word| word.as_bytes()) {
            None => None,
            Some(b"clear") => Some(None),
            // A change of user clears it.
            Some(b"keep") => Some(prctl::get_pdeathsig().map_err(|error| denied("--pdeathsig", error, 0))?),
            Some(name) => {
                let signal = signal::number(name).and_then(|number| Signal::try_from(number).ok());
                Some(Some(signal.ok_or_else(|| unknown("--pdeathsig: no such signal", name))?))
            }
        };
        Ok(plan)
    }

    /// The groups of the account that is to become the real user.
    fn of_account(&self, users: &Users<'_>) -> Result<Vec<u32>> {
        let Some(user) = self.users.0 else { return Err(Error::usage("--init-groups: needs --reuid or --ruid")) };
        let Some(account) = users.account(user.to_string().as_bytes(), Whose::Sidecar) else {
            return Err(Error::message(format_args!("--init-groups: {user}: no such account")));
        };
        let own = self.groups.1.unwrap_or(account.gid);
        let others = users.memberships(&account.name, Whose::Sidecar).into_iter().filter(|group| *group != own);
        Ok(std::iter::once(own).chain(others).collect())
    }

    /// In the order in which each step still has the privilege that it needs.
    fn apply(&self) -> Result<()> {
        if self.no_new_privileges {
            prctl::set_no_new_privs().map_err(|error| denied("--no-new-privs", error, 0))?;
        }
        // A new user keeps the capabilities until the end, where execve(2) or what stands for it decides.
        prctl::set_keepcaps(true).map_err(|error| denied("capabilities", error, 0))?;
        self.change_users()?;
        if let Some(changes) = &self.secure_bits {
            let before = capability::secure_bits().map_err(|error| denied("--securebits", error, 0))?;
            let after = changed(u64::from(before), changes) as u32;
            capability::set_secure_bits(after).map_err(|error| denied("--securebits", error, SETPCAP))?;
        }
        if let Some(changes) = &self.bounding {
            let (before, mask) = (capability::bounding(), changed(capability::bounding(), changes));
            if mask & !before & capability::known() != 0 {
                let names = words(mask & !before).collect::<Vec<_>>().join(",");
                return Err(Error::message(format_args!("--bounding-set: {names}: what was dropped cannot come back")));
            }
            for number in numbers(before & !mask) {
                capability::drop_bounding(number).map_err(|error| denied("--bounding-set", error, SETPCAP))?;
            }
        }
        if let Some(changes) = &self.inheritable {
            let failed = |error| denied("--inh-caps", error, SETPCAP);
            let sets = capability::sets().map_err(failed)?;
            let inheritable = changed(sets.inheritable, changes) & capability::known();
            capability::set(Sets { inheritable, ..sets }).map_err(failed)?;
        }
        if let Some(changes) = &self.ambient {
            let (before, after) = (capability::ambient(), changed(capability::ambient(), changes));
            for number in numbers((before ^ after) & capability::known()) {
                capability::set_ambient(number, after >> number & 1 != 0).map_err(|error| {
                    let name = words(1 << number).collect::<String>();
                    let why = "it has to be permitted and inheritable (--inh-caps) too";
                    Error::message(format_args!("--ambient-caps: {name}: {}: {why}", error.desc()))
                })?;
            }
        }
        if let Some(signal) = self.death {
            prctl::set_pdeathsig(signal).map_err(|error| denied("--pdeathsig", error, 0))?;
        }
        Ok(())
    }

    fn change_users(&self) -> Result<()> {
        // To the kernel -1 says that an id stays.
        let user = |id: Option<u32>| Uid::from_raw(id.unwrap_or(u32::MAX));
        let group = |id: Option<u32>| Gid::from_raw(id.unwrap_or(u32::MAX));
        let (real, effective) = self.users;
        if self.users != (None, None) {
            setresuid(user(real), user(effective), user(effective)).map_err(|error| denied("user", error, SETUID))?;
            // They were kept as permitted only.
            let failed = |error| denied("capabilities", error, 0);
            let sets = capability::sets().map_err(failed)?;
            capability::set(Sets { effective: sets.permitted, ..sets }).map_err(failed)?;
        }
        let (real, effective) = self.groups;
        if self.groups != (None, None) {
            let failed = |error| denied("group", error, SETGID);
            setresgid(group(real), group(effective), group(effective)).map_err(failed)?;
        }
        if let Some(groups) = &self.supplementary {
            let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
            setgroups(&groups).map_err(|error| denied("supplementary groups", error, SETGID))?;
        }
        Ok(())
    }
}

/// As login(1) would set it.
fn environment(old: &Environment, users: &Users<'_>, user: u32) -> Environment {
    let account = users.account(user.to_string().as_bytes(), Whose::Sidecar);
    let mut env = Environment::default();
    let mut set = |name: &str, value: OsString| env.set(OsString::from(name), value);
    if let Some(terminal) = old.get("TERM") {
        set("TERM", terminal.to_os_string());
    }
    if let Some(account) = account {
        let shell = if account.shell.is_empty() { b"/bin/sh".as_slice() } else { &account.shell };
        for (name, value) in [("HOME", &account.home[..]), ("SHELL", shell)] {
            set(name, os(value));
        }
        for name in ["USER", "LOGNAME"] {
            set(name, os(&account.name));
        }
    }
    set("PATH", OsString::from(crate::launch::DEFAULT_PATH));
    env
}

fn numbers(mask: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |number| mask >> number & 1 != 0)
}

/// The names as people of libcap-ng write them: `chown`; `cap_41` for one that we do not know.
fn words(mask: u64) -> impl Iterator<Item = String> {
    Capabilities(mask).names().map(|name| match name.strip_prefix("CAP_") {
        Some(name) => name.to_ascii_lowercase(),
        None => format!("cap_{name}"),
    })
}

fn list(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    if words.is_empty() { String::from("[none]") } else { words.join(",") }
}

/// What the kernel says of us, line by line as util-linux prints it.
fn dump(cx: &mut Context<'_>, level: u8) -> Result<Exit> {
    let failed = |error| denied("privileges", error, 0);
    let (users, groups) = (getresuid().map_err(failed)?, getresgid().map_err(failed)?);
    let supplementary = getgroups().map_err(failed)?;
    let sets = capability::sets().map_err(failed)?;
    let out = &mut cx.io.out;
    writeln!(out, "uid: {}\neuid: {}", users.real, users.effective)?;
    if level > 2 {
        writeln!(out, "suid: {}", users.saved)?;
    }
    writeln!(out, "gid: {}\negid: {}", groups.real, groups.effective)?;
    if level > 2 {
        writeln!(out, "sgid: {}", groups.saved)?;
    }
    writeln!(out, "Supplementary groups: {}", list(supplementary.iter().map(ToString::to_string)))?;
    writeln!(out, "no_new_privs: {}", u8::from(prctl::get_no_new_privs().map_err(failed)?))?;
    if level > 1 {
        writeln!(out, "Effective capabilities: {}", list(words(sets.effective)))?;
        writeln!(out, "Permitted capabilities: {}", list(words(sets.permitted)))?;
    }
    writeln!(out, "Inheritable capabilities: {}", list(words(sets.inheritable)))?;
    writeln!(out, "Ambient capabilities: {}", list(words(capability::ambient())))?;
    writeln!(out, "Capability bounding set: {}", list(words(capability::bounding())))?;
    let bits = u64::from(capability::secure_bits().map_err(failed)?);
    let bits = SECURE_BITS.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 != 0);
    writeln!(out, "Securebits: {}", list(bits.map(|(_, name)| name.to_string())))?;
    let death = prctl::get_pdeathsig().map_err(failed)?;
    let death = death.and_then(|signal| signal::name(signal as i32)).unwrap_or_else(|| String::from("[none]"));
    writeln!(out, "Parent death signal: {death}")?;
    Ok(Exit(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;
    use crate::target::Files;
    use clap::Parser;

    fn plan(args: &[&str]) -> Plan {
        let options = Options::try_parse_from(["setpriv"].iter().chain(args).chain(&["true"])).unwrap();
        Plan::new(&options, &Users::new(&Files::new(None))).unwrap_or_else(|error| panic!("{error:?}"))
    }

    #[test]
    fn users_and_groups() {
        let read = plan(&["--reuid=daemon", "--regid", "sys", "--clear-groups"]);
        assert_eq!((read.users, read.groups), ((Some(1), Some(1)), (Some(3), Some(3))));
        assert_eq!(read.supplementary, Some(Vec::new()));
        let read = plan(&["--ruid=5", "--egid=6", "--groups", "1,sys", "--nnp"]);
        assert_eq!((read.users, read.groups), ((Some(5), None), (None, Some(6))));
        assert_eq!((read.supplementary, read.no_new_privileges), (Some(vec![1, 3]), true));
        assert_eq!(plan(&["--reuid=1", "--init-groups"]).supplementary, Some(vec![1]));
        assert_eq!(plan(&["--reuid=1"]).supplementary, None);
    }

    #[test]
    fn signals_of_the_parents_death() {
        assert_eq!(plan(&["--pdeathsig", "term"]).death, Some(Some(Signal::SIGTERM)));
        assert_eq!(plan(&["--pdeathsig=clear"]).death, Some(None));
        assert_eq!(plan(&["--pdeathsig=keep"]).death, Some(None));
        assert_eq!(plan(&[]).death, None);
    }

    #[test]
    fn capabilities_and_bits_are_added_and_removed() {
        let read = plan(&["--inh-caps", "-all,+chown,+cap_bpf", "--securebits=+noroot,-keep_caps_locked"]);
        assert_eq!(changed(0b110, &read.inheritable.unwrap()), 1 | 1 << 39);
        assert_eq!(changed(0b10_0010, &read.secure_bits.unwrap()), 0b11);
        assert_eq!(changed(0, &plan(&["--bounding-set=+all"]).bounding.unwrap()), capability::known());
    }

    #[test]
    fn wrong_use() {
        for (args, err) in [
            (&["-d", "true"][..], "-d: goes with nothing else"),
            (&[], "needs a command, or -d"),
            (&["--inh-caps", "chown", "true"], "--inh-caps: chown: needs + or - before it"),
            (&["--ambient-caps=+foo", "true"], "--ambient-caps: foo: no such name"),
            (&["--securebits=+keep_caps", "true"], "--securebits: keep_caps: no such name"),
            (&["--reuid", "no-such", "true"], "no such user: no-such"),
            (&["--reuid", "4294967295", "true"], "no such user: 4294967295"),
            (&["--groups", "1,,2", "true"], "no such group: "),
            (&["--pdeathsig=foo", "true"], "--pdeathsig: no such signal: foo"),
            (&["--regid=1", "true"], "a new group needs one of --keep-groups, --clear-groups, --init-groups, --groups"),
            (&["--init-groups", "true"], "--init-groups: needs --reuid or --ruid"),
        ] {
            let done = capture(&APPLET, args, b"");
            assert_eq!((done.status, done.err), (2, format!("setpriv: {err} (see 'setpriv --help')\n")));
        }
    }

    #[test]
    fn the_lines_of_a_dump() {
        let names = |args: &[&str]| {
            let done = capture(&APPLET, args, b"");
            assert_eq!((done.status, done.err.as_str()), (0, ""));
            let names = done.out.lines().filter_map(|line| Some(line.split_once(": ")?.0.to_string()));
            names.collect::<Vec<_>>().join("|")
        };
        assert_eq!(
            names(&["-d"]),
            "uid|euid|gid|egid|Supplementary groups|no_new_privs|Inheritable capabilities|Ambient capabilities|\
             Capability bounding set|Securebits|Parent death signal"
        );
        assert_eq!(
            names(&["-dd", "--dump"]),
            "uid|euid|suid|gid|egid|sgid|Supplementary groups|no_new_privs|Effective capabilities|Permitted \
             capabilities|Inheritable capabilities|Ambient capabilities|Capability bounding set|Securebits|Parent death \
             signal"
        );
        assert_eq!(list(words(1 | 1 << 21 | 1 << 60)), "chown,sys_admin,cap_60");
        assert_eq!(list(words(0)), "[none]");
    }

    #[test]
    fn capabilities_are_listed() {
        let done = capture(&APPLET, &["--list-caps"], b"");
        assert!(done.out.starts_with("chown\ndac_override\ndac_read_search\n"), "{}", done.out);
    }
}
