//! Scripts by which bash, zsh and fish complete the words of a command: which names and options may follow which words.

use std::fmt::Write;

/// For a shell, where it is one of these. `all`: words that were typed, each with a blank behind it, and what may follow, with
/// blanks between; of two that begin alike the longer comes first.
pub fn script(shell: &str, program: &str, all: &[(String, String)]) -> Option<String> {
    let mut script = match shell {
        "bash" => String::new(),
        "zsh" => format!("#compdef {program}\nautoload -U +X bashcompinit && bashcompinit\n"),
        "fish" => {
            let mut script = String::new();
            for (path, words) in all {
                let seen: Vec<String> =
                    path.split_whitespace().map(|word| format!("__fish_seen_subcommand_from {word}")).collect();
                let seen = if seen.is_empty() { String::from("__fish_use_subcommand") } else { seen.join("; and ") };
                let _ = writeln!(script, "complete -c {program} -n '{seen}' -a '{words}'");
            }
            return Some(script);
        }
        _ => return None,
    };
    let _ = write!(
        script,
        "_{program}() {{\n    local each path=' ' words\n    for each in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n        \
         case $each in -*) ;; *) path=\"$path$each \" ;; esac\n    done\n    case $path in\n"
    );
    for (path, words) in all {
        let _ = writeln!(script, "        ' {path}'*) words='{words}' ;;");
    }
    let _ = write!(
        script,
        "    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))\n}}\n\
         complete -o default -F _{program} {program}\n"
    );
    Some(script)
}
