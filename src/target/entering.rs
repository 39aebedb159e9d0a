//! Why we may not enter a namespace (setns(2)), and what to do about it. The kernel asks for CAP_SYS_ADMIN in our own
//! user namespace and in the one that the other namespace belongs to, for a mount namespace also for CAP_SYS_CHROOT.

use nix::unistd::{getegid, geteuid};

use crate::sys::capability;

use super::access;
use super::capabilities::{Capabilities, SYS_ADMIN, SYS_CHROOT, SYS_PTRACE};
use super::namespaces::Namespace;

/// After setns(2) was refused.
pub fn refused(namespace: Namespace) -> String {
    let wanted = needed(namespace);
    let held = capability::sets().map_or(0, |sets| sets.effective);
    let who = (geteuid().as_raw(), getegid().as_raw());
    lacking(wanted & !held, who).unwrap_or_else(|| {
        format!(
            "we hold {}, so it belongs to another user namespace (enter that too: -U), or a seccomp filter or security \
             module forbids it (--privileged lifts both)",
            Capabilities(wanted)
        )
    })
}

/// After the link in /proc could not be followed. Whoever cannot enter it anyhow need not know why.
pub fn unreadable(pid: i32, namespace: Namespace) -> String {
    let held = capability::sets().map_or(0, |sets| sets.effective);
    let who = (geteuid().as_raw(), getegid().as_raw());
    let explain = || access::explain(pid, "namespaces");
    match needed(namespace) & !held {
        0 => explain(),
        wanted => lacking(wanted | SYS_PTRACE & !held, who).unwrap_or_else(explain),
    }
}

fn needed(namespace: Namespace) -> u64 {
    SYS_ADMIN | if namespace == Namespace::Mount { SYS_CHROOT } else { 0 }
}

/// Engines give capabilities to root only.
fn lacking(lacking: u64, (user, group): (u32, u32)) -> Option<String> {
    let names: Vec<String> = Capabilities(lacking).names().collect();
    if names.is_empty() {
        return None;
    }
    Some(match user {
        0 => {
            let options = names.iter().filter_map(|name| name.strip_prefix("CAP_"));
            let options: Vec<String> = options.map(|name| format!("--cap-add {name}")).collect();
            let names = names.join(" and ");
            format!("needs {names}: start the sidecar with {}, or --privileged", options.join(" "))
        }
        _ => format!(
            "needs {}, which a sidecar that runs as {user}:{group} never has: @/ shows the target's files and netstat its \
             sockets without; to enter, start it with --user 0 --privileged (kubectl debug: --profile=sysadmin)",
            names.join(" and ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_root_without_the_capability() {
        assert_eq!(
            lacking(needed(Namespace::Network), (11211, 7)).unwrap(),
            "needs CAP_SYS_ADMIN, which a sidecar that runs as 11211:7 never has: @/ shows the target's files and netstat \
             its sockets without; to enter, start it with --user 0 --privileged (kubectl debug: --profile=sysadmin)"
        );
        assert_eq!(
            lacking(needed(Namespace::Mount), (0, 0)).unwrap(),
            "needs CAP_SYS_CHROOT and CAP_SYS_ADMIN: start the sidecar with --cap-add SYS_CHROOT --cap-add SYS_ADMIN, or \
             --privileged"
        );
        assert_eq!(lacking(0, (0, 0)), None);
    }
}
