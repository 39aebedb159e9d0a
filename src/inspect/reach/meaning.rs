//! What each check is: what is compared, what it is in the way of, and what makes it pass.

/// A text of some lines for one of [`super::NAMES`].
pub fn of(name: &str) -> Option<&'static str> {
    Some(match name {
        "pid" => {
            "Processes are seen in their PID namespace and in those above it. Without a common one there is no target:\n\
             no @/, no ps, no netstat. It is shared when the sidecar starts (--pid container:NAME; in a pod\n\
             kubectl debug --target=CONTAINER, or shareProcessNamespace)."
        }
        "mount" => {
            "Each container has its own mounts. That they differ is usual and no harm: the target's files are below @/,\n\
             and only paths without @/ are ours. Nothing makes it pass but running in the target itself."
        }
        "net" => {
            "Each network namespace has its own loopback, interfaces and ports. Where ours is another one, the target's\n\
             sockets can be listed (netstat), but what listens on its 127.0.0.1 cannot be reached. It is shared when the\n\
             sidecar starts (--network container:NAME); in a pod it always is."
        }
        "user" => {
            "A user namespace has its own users and capabilities. Capabilities of ours count in our own and in those\n\
             below it; in any other one even root is nobody. It is shared when the sidecar starts (podman run --userns\n\
             container:NAME); docker shares it with the PID namespace."
        }
        "ids" => {
            "To read a process one's user and group must equal all of its real, effective and saved ones: the group too,\n\
             and supplementary groups do not count. It passes as the same user (--user UID:GID), or with CAP_SYS_PTRACE."
        }
        "capabilities" => {
            "To read a process one must hold every capability that it may take (its permitted set), even as the same user.\n\
             It passes with these capabilities, or with CAP_SYS_PTRACE alone (--user 0 --cap-add SYS_PTRACE)."
        }
        "dumpable" => {
            "A process that changed its user or capabilities, runs a program that its user may not read, or asked for it\n\
             (prctl PR_SET_DUMPABLE) is not dumpable: its files in /proc are root's, and the same user may not read\n\
             them. It passes with CAP_SYS_PTRACE only (--user 0 --cap-add SYS_PTRACE)."
        }
        "label" => {
            "A security module (AppArmor, SELinux) names each process, and its rules say which name may look at which.\n\
             Containers mostly have the same profile, or categories of their own. It passes with the target's\n\
             (--security-opt apparmor=PROFILE), or without labels (--security-opt label=disable)."
        }
        "reading" => {
            "The kernel's own answer, tried on the target's root: it allows that, its working directory, program,\n\
             environment, memory map, open files and namespaces together, or denies them together (ptrace(2),\n\
             PTRACE_MODE_READ). What denies it stands in the checks before it."
        }
        "yama" => {
            "Yama restricts debuggers beyond the checks for reading: kernel.yama.ptrace_scope is 0 for no more, 1 for\n\
             parents only, 2 for CAP_SYS_PTRACE only, 3 for nobody. It is the machine's, and stands in the way of\n\
             attaching (strace, gdb, reading memory); nothing in sidebox needs that."
        }
        "hidepid" => {
            "Mounted with hidepid=1, our /proc closes the directories of other users' processes, with hidepid=2 it hides\n\
             them. The target's own /proc has no part in it. It passes as the target's user, in the group that the option\n\
             gid= names, or with CAP_SYS_PTRACE."
        }
        "seccomp" => {
            "A filter that the engine installs decides about each system call of ours; no one can read it. What it\n\
             refuses looks like EPERM or ENOSYS. Engines refuse ptrace, setns, mount and the like to containers without\n\
             the capabilities for them; --security-opt seccomp=unconfined takes it away."
        }
        "read-only" => {
            "A mount that is read-only refuses to write, whatever the file's mode and whoever writes (EROFS). The\n\
             target's root is so when it was started with --read-only; its volumes may be writable (inspect, mounts)."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::NAMES;

    #[test]
    fn each_check_has_one() {
        for name in NAMES {
            let text = super::of(name).unwrap();
            assert!(text.ends_with('.') && text.lines().all(|line| line.chars().count() <= 120), "{name}");
        }
        assert_eq!(super::of("none"), None);
    }
}
