//! The same as files: for compose, for Kubernetes, for the image of the target itself. Every text that is not ours is a
//! string in double quotes as JSON has it, which YAML takes as well.

use super::{Relaunch, quoted};
use crate::output::json;
use crate::target::access::Remedy;

/// What the security context of a container says, by key: values in JSON.
type Context = Vec<(&'static str, String)>;

impl Relaunch {
    fn user(&self) -> (String, String) {
        match self.remedy {
            Some(Remedy::User { user, group, .. }) => (user.to_string(), group.to_string()),
            Some(Remedy::Privilege) => (String::from("0"), String::from("0")),
            None => (String::from("UID"), String::from("GID")),
        }
    }

    /// A service beside the one to debug.
    pub fn compose(&self) -> String {
        let beside = string(&format!("container:{}", self.name()));
        let (user, group) = self.user();
        let mut text = format!(
            "services:\n  sidebox:\n    image: {}\n    profiles: [\"debug\"]\n    pid: {beside}\n    network_mode: {beside}\n    \
             user: \"{user}:{group}\"\n",
            string(self.words.sidebox.as_deref().unwrap_or("sidebox")),
        );
        match self.remedy {
            Some(Remedy::User { bare: false, .. }) => {}
            Some(Remedy::Privilege) => text += "    cap_add: [\"SYS_PTRACE\"]\n",
            _ => text += "    cap_drop: [\"ALL\"]\n",
        }
        if let Some(security) = &self.security {
            text += &format!("    security_opt: [{}]\n", string(security));
        }
        if let Some(command) = &self.words.command {
            text += &format!("    command: [\"/bin/sh\", \"-c\", {}]\n", string(command));
        }
        text + "    read_only: true\n    stdin_open: true\n    tty: true\n"
    }

    /// What suits the policy `restricted` wherever the target's user is not root.
    fn context(&self) -> Context {
        let (user, group) = self.user();
        let is_root = user == "0";
        let mut context: Context =
            vec![("runAsUser", user), ("runAsGroup", group), ("runAsNonRoot", (!is_root).to_string())];
        let drop = String::from(r#"{"drop": ["ALL"]}"#);
        match self.remedy {
            Some(Remedy::Privilege) => context.push(("capabilities", String::from(r#"{"add": ["SYS_PTRACE"]}"#))),
            Some(Remedy::User { bare: false, .. }) => {}
            _ => {
                context.push(("allowPrivilegeEscalation", String::from("false")));
                context.push(("capabilities", drop));
            }
        }
        context.push(("readOnlyRootFilesystem", String::from("true")));
        context.push(("seccompProfile", String::from(r#"{"type": "RuntimeDefault"}"#)));
        context
    }

    /// The part of a container that `kubectl debug --custom` takes from a file.
    pub fn profile(&self) -> String {
        let fields = self.context().into_iter().map(|(key, value)| format!("\"{key}\": {value}"));
        format!("{{\"securityContext\": {{{}}}}}", fields.collect::<Vec<_>>().join(", "))
    }

    /// Makes that file and takes it: an ephemeral container in a pod that runs.
    pub fn ephemeral(&self) -> String {
        let profile = match self.remedy {
            Some(Remedy::Privilege) => "general",
            Some(Remedy::User { bare: false, .. }) => "baseline",
            _ => "restricted",
        };
        let terminal = if self.words.command.is_some() { "-i" } else { "-it" };
        let (pod, container) = (self.pod_name(), self.container_name());
        let image = self.sidebox("REGISTRY/sidebox");
        let command = self.words.command.as_deref();
        let command = command.map_or_else(String::new, |command| format!(" -- /bin/sh -c {}", quoted(command)));
        format!(
            "cat >sidebox.json <<'END'\n{}\nEND\nkubectl debug {terminal} {} --image={image} --target={} \
             --profile={profile} --custom=sidebox.json{command}\n",
            self.profile(),
            quoted(&pod),
            quoted(&container),
        )
    }

    fn pod_name(&self) -> String {
        String::from(self.words.pod.as_deref().unwrap_or("POD"))
    }

    /// In Kubernetes the number that is seen names nothing.
    fn container_name(&self) -> String {
        String::from(self.words.container.as_deref().unwrap_or("CONTAINER"))
    }

    /// A pod that has the sidecar from its start, out of the target's own image and with that of sidebox as a volume.
    pub fn pod(&self) -> String {
        let image = string(self.words.image.as_deref().unwrap_or("IMAGE"));
        let context =
            self.context().into_iter().map(|(key, value)| format!("      {key}: {value}\n")).collect::<String>();
        let arguments = match &self.words.command {
            Some(command) => format!("    args: [\"-c\", {}]\n", string(command)),
            None => String::new(),
        };
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {}\nspec:\n  shareProcessNamespace: true\n  containers:\n  \
             - name: {}\n    image: {image}\n  - name: sidebox\n    image: {image}\n    command: \
             [\"/dbg/bin/sh\"]\n{arguments}    stdin: true\n    tty: true\n    securityContext:\n{context}    volumeMounts:\n    \
             - name: sidebox\n      mountPath: /dbg\n      readOnly: true\n  volumes:\n  - name: sidebox\n    image:\n      \
             reference: {}\n      pullPolicy: IfNotPresent\n",
            string(&self.pod_name()),
            string(&self.container_name()),
            string(self.words.sidebox.as_deref().unwrap_or("REGISTRY/sidebox")),
        )
    }

    /// Lines of a Dockerfile, for an image that has nothing to check with.
    pub fn health(&self, server: &str) -> String {
        let command = match &self.words.command {
            Some(command) => format!("[\"/sidebox\", \"sh\", \"-c\", {}]", string(command)),
            None => format!("[\"/sidebox\", \"probe\", {}]", string(server)),
        };
        format!("COPY --from={} /bin/sidebox /sidebox\nHEALTHCHECK CMD {command}\n", self.sidebox("sidebox"))
    }
}

fn string(text: &str) -> String {
    let mut out = String::new();
    json::string(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::super::Words;
    use super::*;

    fn relaunch() -> Relaunch {
        let mut relaunch = Relaunch::unknown();
        relaunch.run_as(11211, 7);
        relaunch.say(Words {
            container: Some(String::from("app")),
            image: Some(String::from("registry/app:1")),
            pod: Some(String::from("shop")),
            ..Words::default()
        });
        relaunch
    }

    #[test]
    fn the_part_of_a_container_is_json() {
        let value: serde_json::Value = serde_json::from_str(&relaunch().profile()).unwrap();
        let expected = serde_json::json!({"securityContext": {
            "runAsUser": 11211, "runAsGroup": 7, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
            "seccompProfile": {"type": "RuntimeDefault"},
        }});
        assert_eq!(value, expected);
        let mut privileged = relaunch();
        privileged.privilege();
        let value: serde_json::Value = serde_json::from_str(&privileged.profile()).unwrap();
        assert_eq!(value["securityContext"]["capabilities"]["add"], serde_json::json!(["SYS_PTRACE"]));
        assert_eq!(value["securityContext"]["runAsNonRoot"], serde_json::json!(false));
    }

    #[test]
    fn an_ephemeral_container() {
        let text = relaunch().ephemeral();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[2]), ("cat >sidebox.json <<'END'", "END"));
        assert_eq!(
            lines[3],
            "kubectl debug -it shop --image=REGISTRY/sidebox --target=app --profile=restricted --custom=sidebox.json"
        );
    }

    #[test]
    fn a_service() {
        assert_eq!(
            relaunch().compose(),
            "services:\n  sidebox:\n    image: \"sidebox\"\n    profiles: [\"debug\"]\n    pid: \"container:app\"\n    \
             network_mode: \"container:app\"\n    user: \"11211:7\"\n    cap_drop: [\"ALL\"]\n    read_only: true\n    \
             stdin_open: true\n    tty: true\n"
        );
    }

    #[test]
    fn a_health_check() {
        assert_eq!(
            relaunch().health("etcd"),
            "COPY --from=sidebox /bin/sidebox /sidebox\nHEALTHCHECK CMD [\"/sidebox\", \"probe\", \"etcd\"]\n"
        );
        let mut said = relaunch();
        said.say(Words { command: Some(String::from("test \"a\"")), ..Words::default() });
        assert!(said.health("etcd").ends_with("HEALTHCHECK CMD [\"/sidebox\", \"sh\", \"-c\", \"test \\\"a\\\"\"]\n"));
    }
}
