//! `completion`: a script that tells a shell the commands and their options, made of the declaration that is the help.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::{Command, CommandFactory};

use super::Options;
use crate::applet::{Context, Exit, Result};
use crate::output::completion::script;

#[derive(clap::Args)]
pub struct Completion {
    /// bash, zsh or fish
    #[arg(value_name = "SHELL", value_parser = shell)]
    shell: String,
}

fn shell(text: &str) -> std::result::Result<String, &'static str> {
    script(text, "", &[]).map(|_| text.to_string()).ok_or("shells are bash, zsh and fish")
}

pub fn run(cx: &mut Context<'_>, options: &Completion) -> Result<Exit> {
    let mut command = Options::command().disable_help_flag(true);
    // The options of all commands become those of each.
    command.build();
    let mut all = Vec::new();
    words(&command, "", &mut all);
    cx.io.out.write_all(script(&options.shell, "etcdutl", &all).unwrap_or_default().as_bytes())?;
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
