//! The files that `recipe` prints, read by what reads YAML and JSON: python3-yaml, serde_json.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::program::Program;

const NAMES: [&str; 8] =
    ["--container", "a \"b\": 'c'", "--image", "registry:5000/app:1", "--pod", "shop", "--sidebox", "s"];

fn recipe(engine: &str, more: &[&str]) -> String {
    let outcome = Program::new().sidebox(&[&["recipe", engine], &NAMES[..], more].concat());
    assert_eq!((outcome.status, outcome.err.as_str()), (0, ""));
    outcome.out
}

/// A YAML text as JSON, by a program that is not ours.
fn yaml(text: &str) -> Value {
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
    let mut python = Command::new("/usr/bin/python3");
    let python = python.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut python = python.spawn().expect("python3 with yaml, which tests/check installs");
    python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_pod_with_an_image_volume() {
    let pod = yaml(&recipe("pod", &["--user", "11211:7", "--command", "echo \"x: $y\" # z"]));
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "shop"},
        "spec": {
            "shareProcessNamespace": true,
            "containers": [
                {"name": "a \"b\": 'c'", "image": "registry:5000/app:1"},
                {
                    "name": "sidebox",
                    "image": "registry:5000/app:1",
                    "command": ["/dbg/bin/sh"],
                    "args": ["-c", "echo \"x: $y\" # z"],
                    "stdin": true,
                    "tty": true,
                    "securityContext": {
                        "runAsUser": 11211,
                        "runAsGroup": 7,
                        "runAsNonRoot": true,
                        "allowPrivilegeEscalation": false,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": true,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "volumeMounts": [{"name": "sidebox", "mountPath": "/dbg", "readOnly": true}],
                },
            ],
            "volumes": [{"name": "sidebox", "image": {"reference": "s", "pullPolicy": "IfNotPresent"}}],
        },
    });
    assert_eq!(pod, expected);
}

#[test]
fn a_privileged_pod() {
    let pod = yaml(&recipe("pod", &["--privileged"]));
    let context = &pod["spec"]["containers"][1]["securityContext"];
    assert_eq!(context["runAsUser"], json!(0));
    assert_eq!(context["capabilities"], json!({"add": ["SYS_PTRACE"]}));
}

#[test]
fn a_service_of_compose() {
    let compose = yaml(&recipe("compose", &["--user", "0:0"]));
    let expected = json!({"services": {"sidebox": {
        "image": "s",
        "profiles": ["debug"],
        "pid": "container:a \"b\": 'c'",
        "network_mode": "container:a \"b\": 'c'",
        "user": "0:0",
        "read_only": true,
        "stdin_open": true,
        "tty": true,
    }}});
    assert_eq!(compose, expected);
}

/// The file comes out of the printed lines as a shell reads them.
#[test]
fn a_custom_profile_for_kubectl() {
    let text = recipe("kubectl", &["--user", "7:8"]);
    let directory = crate::program::Directory::new("recipe");
    let script = format!("kubectl() {{ printf '%s\\n' \"$@\" >arguments; }}\n{text}");
    let status = Command::new("/bin/dash").args(["-c", &script]).current_dir(directory.path()).status().unwrap();
    assert!(status.success());
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    let profile: Value = serde_json::from_str(&read("sidebox.json")).unwrap();
    assert_eq!(profile.as_object().unwrap().keys().collect::<Vec<_>>(), ["securityContext"]);
    assert_eq!(profile["securityContext"]["runAsUser"], json!(7));
    assert_eq!(profile["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(
        read("arguments").lines().collect::<Vec<_>>(),
        ["debug", "-it", "shop", "--image=s", "--target=a \"b\": 'c'", "--profile=restricted", "--custom=sidebox.json"]
    );
}
