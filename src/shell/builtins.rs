//! Commands that change the shell itself. A table of its own: a builtin gets the shell, an applet never does.

mod arithmetic;
mod control;
mod declare;
pub mod directory;
mod getopts;
mod help;
mod history;
mod jobs;
mod limits;
mod mask;
mod names;
mod read;
mod settings;
mod variables;

use super::{Flow, Shell, Text};
use crate::output::Safe;

pub struct Builtin {
    pub name: &'static str,
    /// A special builtin (POSIX.1-2024, XCU 2.15): found before functions, and its errors end a script.
    pub special: bool,
    /// Operands and purpose, for `help`.
    pub usage: &'static str,
    /// Gets the name and the arguments, gives the status.
    pub run: fn(&mut Shell<'_>, &[Text]) -> Flow<u8>,
    /// It runs other commands.
    pub runs_commands: bool,
    /// It changes what belongs to the process, or means it: a subshell with it cannot do without one.
    pub needs_process: bool,
    pub reads_input: bool,
}

impl Builtin {
    const fn run_commands(self) -> Builtin {
        Builtin { runs_commands: true, ..self }
    }

    const fn read_input(self) -> Builtin {
        Builtin { reads_input: true, ..self }
    }

    const fn need_process(self) -> Builtin {
        Builtin { needs_process: true, ..self }
    }
}

const fn special(name: &'static str, usage: &'static str, run: fn(&mut Shell<'_>, &[Text]) -> Flow<u8>) -> Builtin {
    Builtin { name, special: true, usage, run, runs_commands: false, needs_process: false, reads_input: false }
}

const fn regular(name: &'static str, usage: &'static str, run: fn(&mut Shell<'_>, &[Text]) -> Flow<u8>) -> Builtin {
    Builtin { name, special: false, usage, run, runs_commands: false, needs_process: false, reads_input: false }
}

/// Sorted by name.
pub static TABLE: [Builtin; 40] = [
    special(".", "FILE [ARG...]: run the commands of a file here", control::dot).run_commands(),
    special(":", "[ARG...]: do nothing", control::colon),
    regular("alias", "[-p] [NAME[=TEXT]...]: define or show aliases", names::alias),
    regular("bg", "[%JOB...]: let stopped jobs go on in the background", jobs::bg).need_process(),
    special("break", "[N]: leave the N innermost loops", control::break_loop),
    regular("builtin", "NAME [ARG...]: run a builtin, not a function", names::builtin).run_commands(),
    regular("cd", "[-L|-P] [DIR|-|@/DIR]: change the working directory", directory::cd).need_process(),
    regular("command", "[-p] [-v|-V] NAME [ARG...]: run or find a command, not a function", names::command)
        .run_commands(),
    special("continue", "[N]: go on with the next round of a loop", control::continue_loop),
    regular("declare", "[-Fgiprx] [NAME[=VALUE]...]: give variables attributes, or show them", declare::declare),
    special("eval", "[ARG...]: run the arguments as commands", control::eval).run_commands(),
    special("exec", "[-cl] [-a NAME] [COMMAND [ARG...]]: become the command, or keep the redirections", control::exec)
        .need_process(),
    special("exit", "[N]: end the shell", control::exit),
    special("export", "[-p] [NAME[=VALUE]...]: pass variables on to commands", variables::export),
    regular("fc", "[-r] [-e EDITOR] [FIRST [LAST]] | -l [-nr] [FIRST [LAST]] | -s [OLD=NEW] [FIRST]: edit, list or repeat commands", history::fc).run_commands(),
    regular("fg", "[%JOB]: bring a job to the foreground", jobs::fg).need_process(),
    regular("getopts", "OPTSTRING NAME [ARG...]: parse the next option", getopts::getopts),
    regular("hash", "[-r] [NAME...]: show, forget (-r) or learn where programs are", names::hash),
    regular("help", "[NAME]: list commands, or tell about one", help::help),
    regular("history", "[-c] [COUNT]: list the commands that were typed, or forget them", history::history),
    regular("jobs", "[-l|-p] [%JOB...]: list jobs", jobs::jobs).need_process(),
    regular("kill", "[-SIGNAL] PID|%JOB...: send a signal", jobs::kill),
    regular("let", "EXPRESSION...: evaluate arithmetic; 0 is false", arithmetic::let_expressions),
    special("local", "[-irx] [-|NAME[=VALUE]...]: options (-) and variables of this function only", declare::local),
    regular("pwd", "[-L|-P]: show the working directory", directory::pwd),
    regular(
        "read",
        "[-r] [-d DELIM] [-n|-N COUNT] [-p PROMPT] [-s] [-t SECONDS] [-u FD] NAME...: read a line",
        read::read,
    )
    .read_input(),
    special("readonly", "[-p] [NAME[=VALUE]...]: variables that cannot change", variables::readonly),
    special("return", "[N]: leave a function or a dot script", control::return_call),
    special("set", "[-abBCeEfhImnpPuvx] [-o NAME] [--] [ARG...]: options and arguments", settings::set),
    special("shift", "[N]: drop the first N arguments", control::shift),
    special("source", "FILE [ARG...]: like '.'", control::dot).run_commands(),
    special("times", "show the processor time used", settings::times),
    special("trap", "[-p] [ACTION] [CONDITION...]: run commands on signals and at the end", settings::trap)
        .need_process(),
    regular("type", "NAME...: tell what a name means", names::type_of),
    regular("typeset", "[-Fgiprx] [NAME[=VALUE]...]: like 'declare'", declare::declare),
    regular("ulimit", "[-HSa] [-cdefilmnpqrRstuvwx [LIMIT]]...: show or set resource limits", limits::ulimit)
        .need_process(),
    regular("umask", "[-Sp] [MASK]: show or set the file mode mask", mask::umask).need_process(),
    regular("unalias", "-a|NAME...: forget aliases", names::unalias),
    special("unset", "[-f|-v] NAME...: forget variables or functions", variables::unset),
    regular("wait", "[-n] [PID|%JOB...]: wait for background jobs", jobs::wait).need_process(),
];

pub fn find(name: &[u8]) -> Option<&'static Builtin> {
    let at = TABLE.binary_search_by(|builtin| builtin.name.as_bytes().cmp(name)).ok()?;
    Some(&TABLE[at])
}

/// Options of a builtin: single letters, clustered, up to `--` or the first operand. `valued` letters take an argument.
/// Gives them in order with the rest. A mistake ends the builtin, and a script with it where that is special (XCU 2.8.1).
fn options<'t>(shell: &mut Shell<'_>, args: &'t [Text], flags: &[u8], valued: &[u8]) -> Flow<Parsed<'t>> {
    let name = Safe(args.first().map_or(b"", Text::as_slice));
    let mut found = Vec::new();
    let mut rest = args.get(1..).unwrap_or_default();
    while let Some((word, after)) = rest.split_first() {
        let Some(letters) = word.strip_prefix(b"-").filter(|letters| !letters.is_empty()) else { break };
        rest = after;
        if letters == b"-" {
            break;
        }
        for (index, letter) in letters.iter().enumerate() {
            if valued.contains(letter) {
                let attached = &letters[index + 1..];
                let value = match attached.is_empty() {
                    false => attached,
                    true => match rest.split_first() {
                        Some((value, after)) => {
                            rest = after;
                            value
                        }
                        None => {
                            let letter = char::from(*letter);
                            return Err(shell.abort(format_args!("{name}: -{letter}: needs an argument")));
                        }
                    },
                };
                found.push((*letter, value));
                break;
            }
            if !flags.contains(letter) {
                return Err(shell.abort(format_args!("{name}: -{}: no such option", Safe(&[*letter]))));
            }
            found.push((*letter, &b""[..]));
        }
    }
    Ok(Parsed { options: found, operands: rest })
}

struct Parsed<'t> {
    options: Vec<(u8, &'t [u8])>,
    operands: &'t [Text],
}

impl Parsed<'_> {
    fn has(&self, letter: u8) -> bool {
        self.options.iter().any(|(known, _)| *known == letter)
    }
}

/// A word that the shell reads back as the same word: in quotes where it needs them.
pub fn readable(text: &[u8]) -> Text {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(byte);
    if !text.is_empty() && text.iter().all(plain) { text.to_vec() } else { quoted(text) }
}

/// The same, always in quotes, as other shells list values.
pub fn quoted(text: &[u8]) -> Text {
    let mut result = vec![b'\''];
    for byte in text {
        match byte {
            b'\'' => result.extend_from_slice(b"'\\''"),
            _ => result.push(*byte),
        }
    }
    result.push(b'\'');
    result
}

/// The operands of a builtin that has no options, behind a `--`.
fn operands(args: &[Text]) -> &[Text] {
    match args {
        [_, dashes, rest @ ..] if dashes == b"--" => rest,
        [_, rest @ ..] => rest,
        [] => &[],
    }
}

/// A count such as the operand of `shift`: digits only.
fn number(text: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(text).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(TABLE.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn quotes() {
        assert_eq!(readable(b"plain-1.txt"), b"plain-1.txt");
        assert_eq!(readable(b""), b"''");
        assert_eq!(quoted(b"plain"), b"'plain'");
        assert_eq!(quoted(b"it's"), b"'it'\\''s'");
        assert_eq!(quoted(b"a b"), b"'a b'");
    }
}
