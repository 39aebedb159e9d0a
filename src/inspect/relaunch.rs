//! The lines that start a sidecar which may read the target. Nothing from the target stands in them but numbers, so they
//! can be pasted; what we cannot know and nobody said is in capitals: NAME, IMAGE, POD, CONTAINER.
//!
//! What decides: a container's root has the engine's usual capabilities unless they are dropped, any other user has none;
//! added capabilities only reach root; with CAP_SYS_PTRACE one also needs CAP_DAC_OVERRIDE, which is a usual one, for
//! the directories in /proc that belong to the target's user. So capabilities are dropped only where none are needed.

pub mod manifest;

use crate::target::access::{self, Access, Cause, Check, Remedy};
use crate::target::mounts::{self, Mount};
use crate::target::namespaces::{Id, Namespace, id_inside};
use crate::target::{Reader, Target};

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
    words: Words,
}

/// What a person said, in place of what is seen or in capitals. Text, because neither a manifest nor an engine takes
/// anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The container to debug.
    pub container: Option<String>,
    /// Its image.
    pub image: Option<String>,
    /// The image of sidebox.
    pub sidebox: Option<String>,
    pub pod: Option<String>,
    /// A command line for the shell, in place of a session.
    pub command: Option<String>,
}

impl Relaunch {
    /// So that `access` is granted; also the line to repeat where it is already. `privileged`: so that files that
    /// are not the target's own can be read too.
    pub fn new(reader: &mut Reader, pid: i32, access: &Access, mounts: &[Mount], privileged: bool) -> Relaunch {
        let foreign = Namespace::Mount.shared(reader, pid) != Check::Passed;
        let remedy = if privileged { Remedy::Privilege } else { access.remedy() };
        let same_user_namespace = access.cause() == Some(Cause::Namespace);
        Relaunch {
            container: foreign.then(|| mounts::container(reader, pid, mounts)).flatten(),
            remedy: if same_user_namespace { numbered_inside(reader, pid, remedy) } else { Some(remedy) },
            same_user_namespace,
            security: access.security(),
            words: Words::default(),
        }
    }

    /// For the target as it is.
    pub fn of(target: &Target) -> Relaunch {
        let found = Reader::open().and_then(|mut reader| {
            let access = access::of(&mut reader, target.pid)?;
            let mounts = mounts::of(&reader, target.pid)?;
            Ok(Relaunch::new(&mut reader, target.pid, &access, &mounts, false))
        });
        found.unwrap_or_else(|_| Relaunch::unknown())
    }

    /// Where no target is seen.
    pub fn unknown() -> Relaunch {
        Relaunch { container: None, remedy: None, same_user_namespace: false, security: None, words: Words::default() }
    }

    pub fn say(&mut self, words: Words) {
        self.words = words;
    }

    /// As that user, whoever the target is.
    pub fn run_as(&mut self, user: u32, group: u32) {
        // A container's root has capabilities, and who is to read it needs them too.
        self.remedy = Some(Remedy::User { user, group, bare: user != 0 });
    }

    /// As root that may read every process.
    pub fn privilege(&mut self) {
        self.remedy = Some(Remedy::Privilege);
    }

    pub fn podman(&self) -> String {
        self.mounted("podman", "localhost/sidebox")
    }

    /// Needs Docker 28 for the mount.
    pub fn docker(&self) -> String {
        self.mounted("docker", "sidebox")
    }

    /// From the target's own image, with that of sidebox mounted.
    fn mounted(&self, engine: &str, image: &str) -> String {
        let mount = format!("type=image,source={},destination=/dbg", self.words.sidebox.as_deref().unwrap_or(image));
        let from = format!("--mount {} --entrypoint /dbg/bin/sh {}", quoted(&mount), self.image());
        format!("{} {from}{}", self.start(engine), self.arguments())
    }

    /// From the image of sidebox.
    pub fn beside(&self, engine: &str) -> String {
        let image = if engine == "podman" { "localhost/sidebox" } else { "sidebox" };
        let shell = if self.words.command.is_some() { " /bin/sh" } else { "" };
        format!("{} {}{shell}{}", self.start(engine), self.sidebox(image), self.arguments())
    }

    /// Where images cannot be mounted: a volume takes over the image's files when it is first used.
    pub fn by_volume(&self, engine: &str) -> [String; 2] {
        let start = self.start(engine);
        let fill = format!("{engine} run --rm -v sidebox:/bin {} true", self.sidebox("sidebox"));
        let from = format!("-v sidebox:/dbg:ro --entrypoint /dbg/sh {}{}", self.image(), self.arguments());
        [fill, format!("{start} {from}")]
    }

    fn image(&self) -> String {
        self.words.image.as_deref().map_or_else(|| String::from("IMAGE"), quoted)
    }

    fn sidebox(&self, usual: &str) -> String {
        quoted(self.words.sidebox.as_deref().unwrap_or(usual))
    }

    fn arguments(&self) -> String {
        self.words.command.as_deref().map_or_else(String::new, |command| format!(" -c {}", quoted(command)))
    }

    /// The container's name for engines, as it is said or seen.
    fn name(&self) -> String {
        let seen = || self.container.as_deref().map_or("NAME", |number| number.get(..SHORT).unwrap_or(number));
        String::from(self.words.container.as_deref().unwrap_or_else(seen))
    }

    /// Everything but the image and where its files come from.
    fn start(&self, engine: &str) -> String {
        let name = quoted(&format!("container:{}", self.name()));
        let terminal = if self.words.command.is_some() { "" } else { " -it" };
        let mut line = format!("{engine} run --rm{terminal} --pid {name} --network {name}");
        // docker shares the user namespace wherever it shares the PID namespace.
        if self.same_user_namespace && engine == "podman" {
            line += &format!(" --userns {name}");
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
        line + " --read-only"
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

/// The target's user as its own user namespace numbers it; nothing where it is nobody there that we could name.
fn numbered_inside(reader: &mut Reader, pid: i32, remedy: Remedy) -> Option<Remedy> {
    let Remedy::User { user, group, bare } = remedy else { return Some(remedy) };
    let user = id_inside(reader, pid, Id::User, user)?;
    let group = id_inside(reader, pid, Id::Group, group)?;
    Some(Remedy::User { user, group, bare })
}

/// A security module's label is what its administrator chose, and a name what a person typed; quoted so that the shell
/// takes it as one word.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"=_-./:,@".contains(&byte);
    match !word.is_empty() && word.bytes().all(plain) {
        true => String::from(word),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relaunch(remedy: Remedy) -> Relaunch {
        let container = Some("0123456789abcdef".repeat(4));
        Relaunch { container, remedy: Some(remedy), ..Relaunch::unknown() }
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

    #[test]
    fn what_was_said() {
        let mut said = relaunch(Remedy::User { user: 7, group: 8, bare: true });
        said.say(Words {
            container: Some(String::from("it's")),
            image: Some(String::from("localhost/my image")),
            sidebox: Some(String::from("registry:5000/sidebox@sha256:ab")),
            pod: None,
            command: Some(String::from("ps; ls @/")),
        });
        said.run_as(0, 9);
        assert_eq!(
            said.podman(),
            "podman run --rm --pid 'container:it'\\''s' --network 'container:it'\\''s' --user 0:9 --read-only --mount \
             type=image,source=registry:5000/sidebox@sha256:ab,destination=/dbg --entrypoint /dbg/bin/sh 'localhost/my \
             image' -c 'ps; ls @/'"
        );
        assert_eq!(
            said.beside("docker"),
            "docker run --rm --pid 'container:it'\\''s' --network 'container:it'\\''s' --user 0:9 --read-only \
             registry:5000/sidebox@sha256:ab /bin/sh -c 'ps; ls @/'"
        );
        assert_eq!(
            Relaunch::unknown().by_volume("docker"),
            [
                "docker run --rm -v sidebox:/bin sidebox true",
                "docker run --rm -it --pid container:NAME --network container:NAME --user UID:GID --cap-drop all \
                 --read-only -v sidebox:/dbg:ro --entrypoint /dbg/sh IMAGE",
            ]
        );
    }
}
