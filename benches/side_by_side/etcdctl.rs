//! etcdctl beside etcd's own, 3.4.23 (Debian's) and 3.5.1, on the server with a million keys that `etcdutl` is measured with.

use std::env;

use super::etcdutl::{Filled, memory};
use super::{DASH, compare};

pub const ALL: [&str; 6] =
    ["etcd health", "etcd get", "etcd put x100", "etcd get all", "etcd get json", "etcd snapshot"];

pub fn measure(sidebox: &str, wanted: &str) {
    let Some(Filled { server, programs, .. }) = Filled::new() else { return };
    let saved = env::temp_dir().join(format!("sidebox-bench-{}-snapshot", std::process::id()));
    // Old ones know of no protocol but the second, unless they are told.
    let command = |program: &str, words: &str| {
        format!("ETCDCTL_API=3 exec {program} --endpoints={} --command-timeout=60s {words} >/dev/null", server.client)
    };
    let script = |program: &str, what: &str| match what {
        "etcd health" => command(program, "endpoint health"),
        "etcd get" => command(program, "get /registry/bench/0000007"),
        "etcd put x100" => {
            let put = command(program, "put key$i value");
            format!("i=0; while [ $i -lt 100 ]; do ({put}); i=$((i+1)); done")
        }
        "etcd get all" => command(program, "get --prefix /registry/"),
        "etcd get json" => command(program, "get --prefix /registry/ -w json"),
        _ => command(program, &format!("snapshot save {}", saved.display())),
    };
    for (what, rounds) in ALL.iter().zip([50, 50, 5, 3, 3, 5]).filter(|(what, _)| what.contains(wanted)) {
        let theirs = format!("{}/etcdctl", programs.display());
        let scripts = [&format!("{sidebox} etcdctl"), "/usr/bin/etcdctl", &theirs].map(|program| script(program, what));
        let [ours, old, new] = scripts.each_ref().map(|script| [DASH, "-c", script.as_str()]);
        compare(what, rounds, &ours, &[("3.4.23", &old), ("3.5.1", &new)]);
        memory(what, "3.5.1", &ours, &new);
    }
    let _ = std::fs::remove_file(saved);
}
