//! What the target may do: its five sets of capabilities, seccomp, no_new_privs, the security module's label.

use super::{Scene, Section};
use crate::inspect::Level;
use crate::output::Safe;
use crate::target::access;
use crate::target::capabilities::{Capabilities, USUAL};
use crate::target::credentials::{Credentials, Seccomp};

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("privileges");
    let pid = scene.pid();
    let credentials = Credentials::of(&mut scene.reader, pid).unwrap_or_default();
    for (name, set) in [
        ("permitted", credentials.permitted),
        ("effective", credentials.effective),
        ("inheritable", credentials.inheritable),
        ("bounding", credentials.bounding),
        ("ambient", credentials.ambient),
    ] {
        let Some(set) = set else {
            section.finding(Level::Unknown, name, "the kernel does not tell", "");
            section.object.null(name);
            continue;
        };
        let names: Vec<String> = set.names().collect();
        match name == "effective" && set.is_full() {
            true => section.finding(
                Level::Note,
                name,
                "all capabilities",
                "privileged: it may do to the host what root may",
            ),
            false => section.fact(name, described(set, &names)),
        }
        section.object.strings(name, names.iter().map(String::as_bytes));
    }
    let word = |set: Option<bool>| set.map_or("unknown", |set| if set { "yes" } else { "no" });
    section.fact("no_new_privs", word(credentials.no_new_privileges));
    match credentials.no_new_privileges {
        Some(set) => section.object.bool("no_new_privs", set),
        None => section.object.null("no_new_privs"),
    };
    match credentials.seccomp {
        Some(Seccomp::Off) => section.finding(Level::Note, "seccomp", "off", "no system call of it is filtered"),
        Some(mode) => section.fact("seccomp", mode.name()),
        None => section.finding(Level::Unknown, "seccomp", "the kernel does not tell", ""),
    }
    match credentials.seccomp {
        Some(mode) => section.object.text("seccomp", mode.name()),
        None => section.object.null("seccomp"),
    };
    match access::label_of(&mut scene.reader, pid) {
        Some(label) => {
            section.fact("label", Safe(&label));
            section.object.bytes("label", &label);
        }
        None => {
            section.fact("label", "none that can be read");
            section.object.null("label");
        }
    }
    section
}

/// Sets that everybody has are known by a word.
fn described(set: Capabilities, names: &[String]) -> String {
    match set {
        Capabilities(0) => String::from("none"),
        Capabilities(USUAL) => String::from("an engine's usual 14"),
        set if set.is_full() => String::from("all"),
        _ => names.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_in_words() {
        let of = |mask| described(Capabilities(mask), &Capabilities(mask).names().collect::<Vec<_>>());
        assert_eq!(USUAL.count_ones(), 14);
        assert_eq!([of(0), of(u64::MAX), of(0x401)], ["none", "all", "CAP_CHOWN CAP_NET_BIND_SERVICE"]);
    }
}
