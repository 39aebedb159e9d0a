//! `completion`: a script that tells a shell the commands and their options, made of the declaration that is the help.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::{Command, CommandFactory};

use super::Options;
use crate::applet::{Context, Exit, Result};

#[derive(clap::Args)]
pub struct Completion {
    /// bash, zsh or fish
    #[arg(value_name = "SHELL", value_parser = shell)]
    shell: Shell,
}

#[derive(Clone, Copy)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

fn shell(text: &str) -> std::result::Result<Shell, &'static str> {
    match text {
        "bash" => Ok(Shell::Bash),
        "zsh" => Ok(Shell::Zsh),
        "fish" => Ok(Shell::Fish),
        _ => Err("shells are bash, zsh and fish"),
    }
}

pub fn run(cx: &mut Context<'_>, options: &Completion) -> Result<Exit> {
    let mut command = Options::command().disable_help_flag(true);
    // The options of all commands become those of each.
    command.build();
    let script = match options.shell {
        Shell::Bash => bash(&command),
        Shell::Zsh => format!("#compdef etcdutl\nautoload -U +X bashcompinit && bashcompinit\n{}", bash(&command)),
        Shell::Fish => fish(&command),
    };
    cx.io.out.write_all(script.as_bytes())?;
    Ok(Exit(0))
}

/// What may follow the words of a command, those below it first.
fn words(command: &Command, path: &str, all: &mut Vec<(String, String)>) {
    let mut found = String::new();
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        let name = below.get_name();
        words(below, &format!("{path}{name} "), all);
        let _ = write!(found, "{name} ");
    }
    for option in command.get_arguments().filter(|option| !option.is_hide_set()) {
        if let Some(long) = option.get_long() {
            let _ = write!(found, "--{long} ");
        }
    }
    all.push((path.to_string(), found + "--help"));
}

fn bash(command: &Command) -> String {
    let mut all = Vec::new();
    words(command, " ", &mut all);
    let mut cases = String::new();
    for (path, words) in all {
        let _ = writeln!(cases, "        '{path}'*) words='{words}' ;;");
    }
    format!(
        "_etcdutl() {{\n    local each path=' ' words\n    for each in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n        \
         case $each in -*) ;; *) path=\"$path$each \" ;; esac\n    done\n    case $path in\n{cases}    esac\n    \
         COMPREPLY=($(compgen -W \"$words\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))\n}}\n\
         complete -o default -F _etcdutl etcdutl\n"
    )
}

fn fish(command: &Command) -> String {
    let mut all = Vec::new();
    words(command, "", &mut all);
    let mut script = String::new();
    for (path, words) in all {
        let mut seen = String::new();
        for word in path.split_whitespace() {
            let _ = write!(seen, "{}__fish_seen_subcommand_from {word}", if seen.is_empty() { "" } else { "; and " });
        }
        let seen = if seen.is_empty() { "__fish_use_subcommand" } else { &seen };
        let _ = writeln!(script, "complete -c etcdutl -n '{seen}' -a '{words}'");
    }
    script
}

#[cfg(test)]
mod tests {
    use super::super::APPLET;
    use crate::applet::capture;

    #[test]
    fn commands_and_options() {
        let bash = capture(&APPLET, &["completion", "bash"], b"");
        assert_eq!((bash.status, bash.err.as_str()), (0, ""));
        for line in [
            "        ' snapshot status '*) words='--write-out --json --help' ;;",
            "        ' snapshot '*) words='status restore --write-out --json --help' ;;",
            "        ' hashkv '*) words='--rev --write-out --json --help' ;;",
            "        ' '*) words='snapshot hashkv get top check wal defrag completion version --write-out --json --help' ;;",
        ] {
            assert!(bash.out.lines().any(|other| other == line), "{line}\n{}", bash.out);
        }
        let zsh = capture(&APPLET, &["completion", "zsh"], b"");
        assert_eq!(zsh.out, format!("#compdef etcdutl\nautoload -U +X bashcompinit && bashcompinit\n{}", bash.out));
        let fish = capture(&APPLET, &["completion", "fish"], b"");
        let line = "complete -c etcdutl -n '__fish_seen_subcommand_from wal; and __fish_seen_subcommand_from dump' \
                    -a '--write-out --json --help'";
        assert!(fish.out.lines().any(|other| other == line), "{}", fish.out);
    }
}
