//! recipe: the lines that start sidebox beside a container, for each engine. No standard.
//!
//! What is not said is taken from the target, where one is seen: its user and group, the number of its container. What
//! nobody knows stays in capitals. What `recipe ENGINE` prints can be pasted as a whole: the rest of it are comments.
//!
//! Exit status: 0, and 2 for a wrong use.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use crate::applet::{Applet, Context, Error, Exit, Place, Result};
use crate::inspect::relaunch::{Relaunch, Words};
use crate::output::Safe;
use crate::target::{Reader, access, mounts};

pub static APPLET: Applet = Applet {
    names: &["recipe"],
    usage: <Options as clap::CommandFactory>::command,
    run,
    place: Place::Child,
    trouble: 2,
};

/// Print the lines that start sidebox beside a container
#[derive(clap::Parser)]
#[command(
    after_help = "Engines: docker podman nerdctl compose kubectl pod healthcheck. Without one, a line or a file for each."
)]
struct Options {
    /// The container to debug
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Its user and group, as numbers
    #[arg(short, long, value_name = "UID:GID")]
    user: Option<OsString>,
    /// Its image
    #[arg(short, long)]
    image: Option<String>,
    /// The image of sidebox
    #[arg(long, value_name = "IMAGE")]
    sidebox: Option<String>,
    /// The pod that it is in
    #[arg(short, long)]
    pod: Option<String>,
    /// A command line to run, in place of a session
    #[arg(long, value_name = "LINE")]
    command: Option<String>,
    /// As root that may read every process
    #[arg(long, conflicts_with = "user")]
    privileged: bool,
    #[arg(value_name = "ENGINE")]
    engine: Option<OsString>,
}

/// An engine, what its lines are, and how they are made: all of them, and the first.
struct Engine {
    name: &'static str,
    about: &'static str,
    all: fn(&Relaunch, &str) -> String,
    first: fn(&Relaunch, &str) -> String,
}

const ENGINES: [Engine; 7] = [
    Engine {
        name: "podman",
        about: "podman, from the image of the container with sidebox mounted",
        all: |relaunch, _| {
            let beside = relaunch.beside("podman");
            format!("{}\n# the same from the image of sidebox\n{beside}\n", relaunch.podman())
        },
        first: |relaunch, _| relaunch.podman() + "\n",
    },
    Engine {
        name: "docker",
        about: "docker 28 and later, from the image of the container with sidebox mounted",
        all: |relaunch, _| {
            let (beside, [fill, volume]) = (relaunch.beside("docker"), relaunch.by_volume("docker"));
            format!(
                "{}\n# the same from the image of sidebox, with every docker\n{beside}\n\
                 # the same by a volume, which the first line fills\n{fill}\n{volume}\n",
                relaunch.docker()
            )
        },
        first: |relaunch, _| relaunch.docker() + "\n",
    },
    Engine {
        name: "nerdctl",
        about: "nerdctl, from the image of sidebox",
        all: |relaunch, _| relaunch.beside("nerdctl") + "\n",
        first: |relaunch, _| relaunch.beside("nerdctl") + "\n",
    },
    Engine {
        name: "compose",
        about: "compose: docker compose -f compose.yaml -f THIS run --rm sidebox",
        all: |relaunch, _| relaunch.compose(),
        first: |relaunch, _| relaunch.compose(),
    },
    Engine {
        name: "kubectl",
        about: "kubectl debug, in a pod that runs; the file is for pods that are restricted",
        all: |relaunch, _| relaunch.ephemeral(),
        first: |relaunch, _| relaunch.ephemeral(),
    },
    Engine {
        name: "pod",
        about: "a new pod, where Kubernetes has image volumes: kubectl apply -f THIS, kubectl attach -it POD -c sidebox",
        all: |relaunch, _| relaunch.pod(),
        first: |relaunch, _| relaunch.pod(),
    },
    Engine {
        name: "healthcheck",
        about: "a health check, in the Dockerfile of the image",
        all: Relaunch::health,
        first: Relaunch::health,
    },
];

/// What stays in capitals, and what it stands for.
const UNKNOWN: [(&str, &str); 5] = [
    ("container:NAME", "NAME is the container to debug (--container)"),
    ("UID", "UID:GID are its user and group (--user)"),
    ("IMAGE", "IMAGE is its image (--image)"),
    ("POD", "POD is the pod (--pod)"),
    ("CONTAINER", "CONTAINER is the container in it (--container)"),
];

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let (relaunch, server) = seen(cx);
    cx.io.out.write_all(text(options, relaunch, server)?.as_bytes())?;
    Ok(Exit(0))
}

/// What is printed.
fn text(options: Options, mut relaunch: Relaunch, server: &str) -> Result<String> {
    let wanted: Vec<&Engine> = match &options.engine {
        None => ENGINES.iter().collect(),
        Some(name) => {
            let found = ENGINES.iter().find(|engine| name == engine.name);
            let unknown = || Error::usage(format_args!("{}: no such engine", Safe::os(name)));
            vec![found.ok_or_else(unknown)?]
        }
    };
    if let Some(ids) = &options.user {
        let wrong = || Error::usage(format_args!("{}: not UID:GID, two numbers", Safe::os(ids)));
        let (user, group) = numbers(ids.as_bytes()).ok_or_else(wrong)?;
        relaunch.run_as(user, group);
    } else if options.privileged {
        relaunch.privilege();
    }
    let Options { container, image, sidebox, pod, command, .. } = options;
    relaunch.say(Words { container, image, sidebox, pod, command });
    let brief = wanted.len() > 1;
    let mut text = String::new();
    for engine in &wanted {
        let lines = if brief { (engine.first)(&relaunch, server) } else { (engine.all)(&relaunch, server) };
        text += &format!("{}# {}\n{lines}", if text.is_empty() { "" } else { "\n" }, engine.about);
    }
    // Not what a heading says, and not a part of another word.
    let said: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let stands = |word: &str| {
        let apart = |text: &str, at: usize| {
            let end = |byte: Option<&u8>| !byte.is_some_and(u8::is_ascii_alphanumeric);
            let bytes = text.as_bytes();
            end(at.checked_sub(1).and_then(|before| bytes.get(before))) && end(bytes.get(at + word.len()))
        };
        said.iter().any(|line| line.match_indices(word).any(|(at, _)| apart(line, at)))
    };
    let unknown: Vec<&str> = UNKNOWN.iter().filter(|(word, _)| stands(word)).map(|(_, what)| *what).collect();
    if !unknown.is_empty() {
        text += &format!("{}# {}\n", if brief { "\n" } else { "" }, unknown.join("; "));
    }
    Ok(text)
}

/// What the target tells, and the server that it is.
fn seen(cx: &Context<'_>) -> (Relaunch, &'static str) {
    let Ok(target) = cx.target() else { return (Relaunch::unknown(), "memcached") };
    let server = if target.comm == b"etcd" { "etcd" } else { "memcached" };
    let found = Reader::open().and_then(|mut reader| {
        let access = access::of(&mut reader, target.pid)?;
        let theirs = mounts::of(&reader, target.pid).unwrap_or_default();
        Ok(Relaunch::new(&mut reader, target.pid, &access, &theirs, false))
    });
    (found.unwrap_or_else(|_| Relaunch::unknown()), server)
}

fn numbers(text: &[u8]) -> Option<(u32, u32)> {
    let (user, group) = std::str::from_utf8(text).ok()?.split_once(':')?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten();
    Some((digits(user)?, digits(group)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;
    use clap::Parser;

    fn printed(args: &[&str]) -> String {
        let options = Options::try_parse_from([&["recipe"], args].concat()).unwrap();
        text(options, Relaunch::unknown(), "memcached").unwrap()
    }

    #[test]
    fn a_line_with_what_was_said() {
        let args = ["podman", "--container", "c 1", "--user", "7:8", "--image", "localhost/app", "--command", "ps"];
        let start =
            "podman run --rm --pid 'container:c 1' --network 'container:c 1' --user 7:8 --cap-drop all --read-only";
        let out = format!(
            "# podman, from the image of the container with sidebox mounted\n{start} --mount \
             type=image,source=localhost/sidebox,destination=/dbg --entrypoint /dbg/bin/sh localhost/app -c ps\n\
             # the same from the image of sidebox\n{start} localhost/sidebox /bin/sh -c ps\n"
        );
        assert_eq!(printed(&args), out);
    }

    #[test]
    fn each_engine_has_a_heading_and_what_is_not_known_is_said() {
        let all = printed(&["--container", "c", "--user", "7:8", "--image", "i"]);
        let headings: Vec<&str> = all.lines().filter(|line| line.starts_with("# ")).collect();
        assert_eq!(headings.len(), ENGINES.len() + 1, "{all}");
        assert_eq!(headings.last(), Some(&"# POD is the pod (--pod)"));
        let one = printed(&["nerdctl", "--container", "c", "--user", "7:8"]);
        assert_eq!(one.lines().count(), 2, "{one}");
        let nothing = printed(&["podman"]);
        let unknown = nothing.lines().last().unwrap();
        assert!(
            unknown.starts_with("# NAME is ") && unknown.contains("; UID:GID are") && unknown.contains("; IMAGE is")
        );
    }

    #[test]
    fn wrong_uses() {
        for (args, err) in [
            (&["lxc"][..], "recipe: lxc: no such engine (see 'recipe --help')\n"),
            (&["--user", "root"], "recipe: root: not UID:GID, two numbers (see 'recipe --help')\n"),
            (&["--user", "7:+8"], "recipe: 7:+8: not UID:GID, two numbers (see 'recipe --help')\n"),
        ] {
            let done = capture(&APPLET, args, b"");
            assert_eq!((done.status, done.err.as_str()), (2, err));
        }
    }
}
