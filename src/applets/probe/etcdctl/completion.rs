//! completion: a script that tells a shell the commands and flags, made of the same table as everything else. Not cobra's
//! script, which asks the program at every key.

use std::collections::BTreeMap;

use super::table::{COMMANDS, GLOBAL};
use super::{Session, status};
use crate::applet::{Exit, Result};
use crate::output::completion::script;

pub fn completion(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.texts()?;
    let [shell] = words.as_slice() else {
        return Err(session.fail(status::ERROR, format_args!("accepts 1 arg(s), received {}", words.len())));
    };
    // What a shorter path begins with comes behind it.
    let all: Vec<(String, String)> = following().into_iter().rev().collect();
    match script(shell, "etcdctl", &all) {
        Some(script) => session.write(script)?,
        None => {
            let complaint = format!("invalid argument {} for \"etcdctl completion\"", super::show::text(shell));
            return Err(session.fail(status::ERROR, complaint));
        }
    }
    Ok(Exit(0))
}

/// What may follow the words of a name: names, or a command's flags.
fn following() -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for command in COMMANDS {
        let mut path = String::new();
        for word in command.path {
            let names = all.entry(path.clone()).or_default();
            // They are sorted, and those of a group stand together.
            if names.split(' ').next_back() != Some(word) {
                names.push_str(if names.is_empty() { "" } else { " " });
                names.push_str(word);
            }
            path = format!("{path}{word} ");
        }
        let flags = command.flags.iter().chain(GLOBAL).map(|flag| format!("--{} ", flag.name));
        all.insert(path, flags.collect::<String>() + "--help");
    }
    all
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_and_flags() {
        let all = super::following();
        assert_eq!(all["lease "], "grant keep-alive list revoke timetolive");
        assert_eq!(all["lease keep-alive "].split(' ').next(), Some("--once"));
        assert!(all[""].starts_with("alarm auth check compaction ") && all["put "].contains("--prev-kv --cacert "));
    }
}
