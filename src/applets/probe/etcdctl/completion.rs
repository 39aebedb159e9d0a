//! completion: a script that tells a shell the commands and flags, made of the same table as everything else. Not cobra's
//! script, which asks the program at every key.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::table::{COMMANDS, GLOBAL};
use super::{Session, status};
use crate::applet::{Exit, Result};

pub fn completion(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.texts()?;
    let script = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["bash"] => bash(),
        ["zsh"] => format!("#compdef etcdctl\nautoload -U +X bashcompinit && bashcompinit\n{}", bash()),
        ["fish"] => fish(),
        [] => return Err(session.fail(status::ERROR, "accepts 1 arg(s), received 0")),
        [shell] => {
            let complaint = format!("invalid argument {} for \"etcdctl completion\"", super::show::text(shell));
            return Err(session.fail(status::ERROR, complaint));
        }
        more => return Err(session.fail(status::ERROR, format_args!("accepts 1 arg(s), received {}", more.len()))),
    };
    session.write(script)?;
    Ok(Exit(0))
}

/// What may follow a name: names, or a command's flags.
fn words() -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for command in COMMANDS {
        let mut path = String::new();
        for word in command.path {
            let names = all.entry(path.clone()).or_default();
            if !names.iter().any(|name| name == word) {
                names.push(String::from(*word));
            }
            path = if path.is_empty() { String::from(*word) } else { format!("{path} {word}") };
        }
        all.insert(path, command.flags.iter().chain(GLOBAL).map(|flag| format!("--{}", flag.name)).collect());
    }
    all
}

fn bash() -> String {
    let mut cases = String::new();
    for (path, words) in words() {
        let _ = writeln!(cases, "        '{path}') words='{}' ;;", words.join(" "));
    }
    format!(
        "_etcdctl() {{\n    local i path= words=\n    for ((i = 1; i < COMP_CWORD; i++)); do\n        \
         case ${{COMP_WORDS[i]}} in -*) ;; *) path=\"$path${{path:+ }}${{COMP_WORDS[i]}}\" ;; esac\n    done\n    \
         case $path in\n{cases}    esac\n    \
         COMPREPLY=($(compgen -W \"$words\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))\n}}\n\
         complete -o default -F _etcdctl etcdctl\n"
    )
}

fn fish() -> String {
    let mut script = String::from("complete -c etcdctl -f\n");
    for command in COMMANDS {
        if let [group, name] = command.path {
            let seen = format!("__fish_seen_subcommand_from {group}");
            let _ = writeln!(script, "complete -c etcdctl -n '{seen}' -a {name} -d \"{}\"", command.about);
        }
        if let Some(first) = command.path.first() {
            let about = if command.path.len() == 1 { command.about } else { "" };
            let _ = writeln!(script, "complete -c etcdctl -n __fish_use_subcommand -a {first} -d \"{about}\"");
        }
    }
    for flag in GLOBAL {
        let _ = writeln!(script, "complete -c etcdctl -l {} -d \"{}\"", flag.name, flag.help);
    }
    script
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_and_flags() {
        let words = super::words();
        assert_eq!(words["lease"], ["grant", "keep-alive", "list", "revoke", "timetolive"]);
        assert!(words[""].contains(&String::from("put")) && words["put"].contains(&String::from("--prev-kv")));
        assert!(super::bash().contains("        'auth') words='disable enable status' ;;\n"));
    }
}
