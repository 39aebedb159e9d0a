//! The lines that start a sidecar which may read the target. Nothing from the target stands in them but numbers, so they
//! can be pasted; what we cannot know is in capitals: IMAGE, POD, CONTAINER.
//!
//! What decides: a container's root has the engine's usual capabilities unless they are dropped, any other user has none;
//! added capabilities only reach root; with CAP_SYS_PTRACE one also needs CAP_DAC_OVERRIDE, which is a usual one, for
//! the directories in /proc that belong to the target's user. So capabilities are dropped only where none are needed.

use crate::target::Reader;
use crate::target::access::{Access, Cause, Check, Remedy};
use crate::target::mounts::{self, Mount};
use crate::target::namespaces::Namespace;

/// As much of a container's number as engines print.
const SHORT: usize = 12;

/// What the sidecar has to be started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relaunch {
    /// The engine's number of the target's container.
    container: Option<String>,
    remedy: Option<Remedy>,
    same_user_namespace: bool,
    security: Option<String>,
}

impl Relaunch {
    /// So that `access` is granted; also the line to repeat where it is already. `privileged`: so that files that
    /// are not the target's own can be read too.
    pub fn new(reader: &mut Reader, pid: i32, access: &Access, mounts: &[Mount], privileged: bool) -> Relaunch {
        let foreign = Namespace::Mount.shared(reader, pid) != Check::Passed;
        Relaunch {
            container: foreign.then(|| mounts::container(reader, pid, mounts)).flatten(),
            remedy: Some(if privileged { Remedy::Privilege } else { access.remedy() }),
            same_user_namespace: access.cause() == Some(Cause::Namespace),
            security: access.security(),
        }
    }

    /// Where no target is seen.
    pub fn unknown() -> Relaunch {
        Relaunch { container: None, remedy: None, same_user_namespace: false, security: None }
    }

    pub fn podman(&self) -> String {
        self.engine("podman", "localhost/sidebox")
    }

    /// Needs Docker 28 for the mount.
    pub fn docker(&self) -> String {
        self.engine("docker", "sidebox")
    }

    fn engine(&self, engine: &str, image: &str) -> String {
        let name = self.container.as_deref().map_or("NAME", |number| number.get(..SHORT).unwrap_or(number));
        let mut line = format!("{engine} run --rm -it --pid container:{name} --network container:{name}");
        // docker shares the user namespace wherever it shares the PID namespace.
        if self.same_user_namespace && engine == "podman" {
            line += &format!(" --userns container:{name}");
        }
        match self.remedy {
            Some(Remedy::User { user, group, bare }) => {
                line += &format!(" --user {user}:{group}");
                line += if bare { " --cap-drop all" } else { "" };
            }
            Some(Remedy::Privilege) => line += " --user 0 --cap-add SYS_PTRACE",
            None => line += " --user UID:GID --cap-drop all",
        }
        if let Some(security) = &self.security {
            line += &format!(" --security-opt {}", quoted(security));
        }
        line + &format!(
            " --read-only --mount type=image,source={image},destination=/dbg --entrypoint /dbg/bin/sh IMAGE"
        )
    }

    /// The profile fits the namespace's policy where that is possible; the shell makes the file for `--custom`.
    pub fn kubectl(&self) -> String {
        let (profile, context) = match self.remedy {
            Some(Remedy::User { user, group, bare: true }) if user != 0 => {
                ("restricted", format!(r#""runAsUser":{user},"runAsGroup":{group}"#))
            }
            Some(Remedy::User { user, group, .. }) => {
                ("baseline", format!(r#""runAsUser":{user},"runAsGroup":{group},"runAsNonRoot":{}"#, user != 0))
            }
            Some(Remedy::Privilege) => {
                ("general", String::from(r#""runAsUser":0,"runAsNonRoot":false,"capabilities":{"add":["SYS_PTRACE"]}"#))
            }
            None => ("restricted", String::from(r#""runAsUser":UID,"runAsGroup":GID"#)),
        };
        format!(
            "kubectl debug -it POD --image=REGISTRY/sidebox --target=CONTAINER --profile={profile} \
             --custom=<(echo '{{\"securityContext\":{{{context}}}}}')"
        )
    }
}

/// A security module's label is a word that its administrator chose; quoted so that the shell takes it as one.
fn quoted(word: &str) -> String {
    match word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=_-./:,".contains(&byte)) {
        true => String::from(word),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relaunch(remedy: Remedy) -> Relaunch {
        let container = Some("0123456789abcdef".repeat(4));
        Relaunch { container, remedy: Some(remedy), same_user_namespace: false, security: None }
    }

    #[test]
    fn as_the_targets_user() {
        let user = relaunch(Remedy::User { user: 11211, group: 7, bare: true });
        assert_eq!(
            user.podman(),
            "podman run --rm -it --pid container:0123456789ab --network container:0123456789ab --user 11211:7 \
             --cap-drop all --read-only --mount type=image,source=localhost/sidebox,destination=/dbg --entrypoint \
             /dbg/bin/sh IMAGE"
        );
        assert_eq!(
            user.kubectl(),
            "kubectl debug -it POD --image=REGISTRY/sidebox --target=CONTAINER --profile=restricted \
             --custom=<(echo '{\"securityContext\":{\"runAsUser\":11211,\"runAsGroup\":7}}')"
        );
        let root = relaunch(Remedy::User { user: 0, group: 0, bare: false });
        assert!(root.docker().starts_with("docker run ") && !root.docker().contains("--cap-drop"));
        assert!(root.kubectl().contains("--profile=baseline"));
    }

    #[test]
    fn with_the_privilege() {
        let mut privileged = relaunch(Remedy::Privilege);
        privileged.security = Some(String::from("apparmor=it's"));
        privileged.same_user_namespace = true;
        assert_eq!(
            privileged.podman(),
            "podman run --rm -it --pid container:0123456789ab --network container:0123456789ab --userns \
             container:0123456789ab --user 0 --cap-add SYS_PTRACE --security-opt 'apparmor=it'\\''s' --read-only --mount \
             type=image,source=localhost/sidebox,destination=/dbg --entrypoint /dbg/bin/sh IMAGE"
        );
        assert!(
            privileged.kubectl().contains(r#"--profile=general --custom=<(echo '{"securityContext":{"runAsUser":0,"#)
        );
    }

    #[test]
    fn without_a_target() {
        let line = Relaunch::unknown().podman();
        assert!(line.contains("--pid container:NAME") && line.contains("--user UID:GID"), "{line}");
    }
}
