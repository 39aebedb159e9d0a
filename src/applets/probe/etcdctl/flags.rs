//! The command line as cobra reads it: flags anywhere, `-w=json`, `-wjson`, `--bool=false`, `--` ends them; command names may
//! be cut short where that leaves one. Every flag is declared once, in `table`, and help is made of the same.
//!
//! Longer than most, because the reader, the completion of names and the help all walk the same two tables.

use std::fmt::Write;
use std::time::Duration;

use super::golang;
use super::table::{COMMANDS, Command, GLOBAL};
use crate::output::Safe;

/// A flag.
pub struct Flag {
    pub name: &'static str,
    /// A letter, or none.
    pub short: Option<char>,
    pub kind: Kind,
    /// As it would be written.
    pub default: &'static str,
    pub help: &'static str,
}

/// What a flag's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Text,
    Number,
    Time,
    /// Separated by commas; given again, it adds.
    List,
}

pub const fn flag(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, kind, default, help }
}

impl Flag {
    pub const fn short(mut self, letter: char) -> Flag {
        self.short = Some(letter);
        self
    }

    /// Why a value cannot be one.
    fn check(&self, value: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(value);
        match self.kind {
            Kind::Bool => golang::parse_bool(&text).map(|_| ()),
            Kind::Number => golang::parse_int(&text).map(|_| ()),
            Kind::Time => golang::parse_duration(&text).map(|_| ()),
            Kind::Text | Kind::List => Ok(()),
        }
    }
}

/// What was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Flags and their values, which are good ones.
    pub values: Vec<(&'static str, Vec<u8>)>,
    /// The words behind the command's name.
    pub words: Vec<Vec<u8>>,
    /// How many of the words stand before `--`.
    pub separator: Option<usize>,
}

impl Given {
    pub fn is_set(&self, name: &str) -> bool {
        self.values.iter().any(|(known, _)| *known == name)
    }

    fn last(&self, name: &str) -> Option<&[u8]> {
        self.values.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_slice())
    }

    /// The value, or the declaration's.
    pub fn bytes<'a>(&'a self, command: &Command, name: &str) -> &'a [u8] {
        let declared = || command.flags.iter().chain(GLOBAL).find(|flag| flag.name == name);
        self.last(name).unwrap_or_else(|| declared().map_or(b"", |flag| flag.default.as_bytes()))
    }

    pub fn list(&self, command: &Command, name: &str) -> Vec<Vec<u8>> {
        let given: Vec<&[u8]> =
            self.values.iter().filter(|(known, _)| *known == name).map(|(_, value)| value.as_slice()).collect();
        let given = if given.is_empty() { vec![self.bytes(command, name)] } else { given };
        given.iter().flat_map(|text| text.split(|byte| *byte == b',')).map(<[u8]>::to_vec).collect()
    }
}

/// What the words ask for.
pub enum Asked {
    Command(&'static Command, Given),
    /// Help on standard output, and good.
    Help(String),
    /// A complaint, with help on standard output if any.
    Wrong {
        help: String,
        complaint: String,
    },
}

/// Reads the arguments.
pub fn parse(args: &[Vec<u8>]) -> Asked {
    let (words, rest) = match find(args) {
        Ok(found) => found,
        Err(unknown) => {
            let complaint = format!("unknown command {unknown} for \"etcdctl\"\nRun 'etcdctl --help' for usage.");
            return Asked::Wrong { help: String::new(), complaint };
        }
    };
    let command = match words.as_slice() {
        [] => None,
        path => COMMANDS.iter().find(|command| command.path == path),
    };
    if words.first() == Some(&"help") {
        let path: Vec<&[u8]> = rest.iter().map(Vec::as_slice).filter(|word| !word.starts_with(b"-")).collect();
        return Asked::Help(match path.as_slice() {
            [] => overview(&[]),
            [first, ..] => {
                let group = complete(&[], first).unwrap_or_default();
                let path: Vec<&str> = match path.get(1).and_then(|word| complete(&[group], word)) {
                    Some(second) => vec![group, second],
                    None => vec![group],
                };
                COMMANDS.iter().find(|command| command.path == path).map_or_else(|| overview(&path), help)
            }
        });
    }
    let flags = command.map_or(&[][..], |command| command.flags);
    match read(flags, &rest) {
        Err(complaint) => {
            let help = command.map_or_else(|| overview(&words), help);
            Asked::Wrong { help, complaint }
        }
        Ok((given, asks_help)) => match command {
            Some(command) if !asks_help => Asked::Command(command, given),
            Some(command) => Asked::Help(help(command)),
            None => match given.words.first() {
                Some(word) if !asks_help => Asked::Wrong {
                    help: overview(&words),
                    complaint: format!(
                        "unknown command {} for \"etcdctl {}\"{}",
                        golang::quote(word),
                        words.join(" "),
                        if words == ["snapshot"] { "; etcdutl has it" } else { "" }
                    ),
                },
                _ => Asked::Help(overview(&words)),
            },
        },
    }
}

/// The command's name, which may be anywhere among the flags, and the rest.
fn find(args: &[Vec<u8>]) -> Result<(Vec<&'static str>, Vec<Vec<u8>>), String> {
    let mut path: Vec<&'static str> = Vec::new();
    let mut rest = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        rest.push(arg.clone());
        if arg == b"--" {
            break;
        }
        if arg.starts_with(b"-") && arg.len() > 1 {
            if takes_next(&path, arg) {
                rest.extend(args.next().cloned());
            }
            continue;
        }
        match complete(&path, arg) {
            Some(word) => {
                rest.pop();
                path.push(word);
                if path[0] == "help" || COMMANDS.iter().any(|command| command.path == path) {
                    break;
                }
            }
            None if path.is_empty() => return Err(golang::quote(arg)),
            None => break,
        }
    }
    rest.extend(args.cloned());
    Ok((path, rest))
}

/// Whether a flag's value is the next word. Before the command is known, any command's flag may be meant.
fn takes_next(path: &[&str], arg: &[u8]) -> bool {
    let known = |matches: &dyn Fn(&Flag) -> bool| {
        let own = COMMANDS.iter().filter(|command| command.path.starts_with(path)).flat_map(|command| command.flags);
        GLOBAL.iter().chain(own).find(|flag| matches(flag)).map(|flag| flag.kind)
    };
    match arg {
        [b'-', b'-', name @ ..] if !name.contains(&b'=') => {
            known(&|flag| flag.name.as_bytes() == name).is_some_and(|kind| kind != Kind::Bool)
        }
        [b'-', letter] => known(&|flag| flag.short == Some(char::from(*letter))).is_some_and(|kind| kind != Kind::Bool),
        _ => false,
    }
}

/// The one word that may follow `path` and begins with `text`.
fn complete(path: &[&str], text: &[u8]) -> Option<&'static str> {
    let mut words: Vec<&'static str> = COMMANDS
        .iter()
        .filter(|command| command.path.starts_with(path))
        .filter_map(|command| command.path.get(path.len()).copied())
        .chain(path.is_empty().then_some("help"))
        .collect();
    words.dedup();
    if let Some(exact) = words.iter().find(|word| word.as_bytes() == text) {
        return Some(exact);
    }
    words.retain(|word| !text.is_empty() && word.as_bytes().starts_with(text));
    match words.as_slice() {
        [only] => Some(only),
        // The real one completes words where it cannot yet complete lines.
        ["compaction", "completion"] => Some("compaction"),
        _ => None,
    }
}

/// The flags and words of a command, and whether help was asked for.
pub fn read(own: &'static [Flag], args: &[Vec<u8>]) -> Result<(Given, bool), String> {
    let mut given = Given::default();
    let mut asks_help = false;
    let all = || own.iter().chain(GLOBAL);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_slice() {
            b"--" => {
                given.separator = Some(given.words.len());
                given.words.extend(args.by_ref().cloned());
            }
            b"--help" | b"-h" => asks_help = true,
            [b'-', b'-', text @ ..] => {
                let (name, value) = match memchr::memchr(b'=', text) {
                    Some(at) => (&text[..at], Some(text[at + 1..].to_vec())),
                    None => (text, None),
                };
                let Some(flag) = all().find(|flag| flag.name.as_bytes() == name) else {
                    return Err(format!("unknown flag: --{}", Safe(name)));
                };
                let value = match value {
                    Some(value) => value,
                    None if flag.kind == Kind::Bool => b"true".to_vec(),
                    None => args.next().cloned().ok_or_else(|| format!("flag needs an argument: --{}", flag.name))?,
                };
                set(&mut given, flag, value)?;
            }
            [b'-', letters @ ..] if !letters.is_empty() => {
                let mut rest = letters;
                while let [letter, tail @ ..] = rest {
                    rest = tail;
                    if *letter == b'h' {
                        asks_help = true;
                        continue;
                    }
                    let Some(flag) = all().find(|flag| flag.short == Some(char::from(*letter))) else {
                        let all = Safe(letters);
                        return Err(format!("unknown shorthand flag: '{}' in -{all}", Safe(&[*letter])));
                    };
                    let value = match rest {
                        [b'=', value @ ..] => value.to_vec(),
                        _ if flag.kind == Kind::Bool => {
                            set(&mut given, flag, b"true".to_vec())?;
                            continue;
                        }
                        [] => args.next().cloned().ok_or_else(|| {
                            format!("flag needs an argument: '{}' in -{}", char::from(*letter), Safe(letters))
                        })?,
                        value => value.to_vec(),
                    };
                    set(&mut given, flag, value)?;
                    break;
                }
            }
            word => given.words.push(word.to_vec()),
        }
    }
    Ok((given, asks_help))
}

fn set(given: &mut Given, flag: &'static Flag, value: Vec<u8>) -> Result<(), String> {
    flag.check(&value).map_err(|why| {
        let short = flag.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
        format!("invalid argument {} for \"{short}--{}\" flag: {why}", golang::quote(&value), flag.name)
    })?;
    given.values.push((flag.name, value));
    Ok(())
}

// --- help

pub const ABOUT: &str = "Talk to etcd as its own client does: keys, watches, leases, members, users";

/// All the commands, or those of a group, and the flags that all of them have.
pub fn overview(path: &[&str]) -> String {
    let mut text = match path {
        [] => format!("{ABOUT}\n\nUSAGE:\n  etcdctl COMMAND [flags]\n\nCOMMANDS:\n"),
        path => format!("USAGE:\n  etcdctl {} COMMAND [flags]\n\nCOMMANDS:\n", path.join(" ")),
    };
    for command in COMMANDS.iter().filter(|command| command.path.starts_with(path)) {
        let _ = writeln!(text, "  {:<24} {}", command.path.join(" "), command.about);
    }
    text.push_str("\nOPTIONS:\n");
    list(&mut text, GLOBAL);
    if path.is_empty() {
        text.push_str(
            "\nA flag of these is also a variable: --dial-timeout is ETCDCTL_DIAL_TIMEOUT; the flag wins.\n\
             --command-timeout is a limit for each silence of a server that sends much, not for all of it.\n\
             'etcdctl help COMMAND' tells its own flags.\n",
        );
    }
    text
}

/// One command.
pub fn help(command: &Command) -> String {
    let name = command.path.join(" ");
    let mut text = format!("NAME:\n  {name} - {}\n\nUSAGE:\n  etcdctl {name} {}\n", command.about, command.usage);
    if !command.flags.is_empty() {
        text.push_str("\nOPTIONS:\n");
        list(&mut text, command.flags);
    }
    text.push_str("\nGLOBAL OPTIONS:\n");
    list(&mut text, GLOBAL);
    text
}

fn list(text: &mut String, flags: &[Flag]) {
    for flag in flags {
        let short = flag.short.map_or_else(|| String::from("    "), |letter| format!("-{letter}, "));
        let value = match flag.kind {
            Kind::Bool => format!("[={}]", flag.default),
            Kind::Text => format!("=\"{}\"", flag.default),
            Kind::List => format!("=[{}]", flag.default),
            Kind::Number | Kind::Time => format!("={}", flag.default),
        };
        let _ = writeln!(text, "  {short}--{:<32} {}", format!("{}{value}", flag.name), flag.help);
    }
}

impl Command {
    pub fn duration(&self, given: &Given, name: &str) -> Duration {
        golang::parse_duration(&String::from_utf8_lossy(given.bytes(self, name))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> String {
        let args: Vec<Vec<u8>> = line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect();
        match parse(&args) {
            Asked::Command(command, given) => {
                let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
                let flags = given.values.iter().map(|(name, value)| format!(" {name}={}", text(value)));
                let words = given.words.iter().map(|word| format!(" {}", text(word)));
                let mark = given.separator.map(|at| format!(" --{at}"));
                command.path.join(" ") + ":" + &flags.chain(words).chain(mark).collect::<String>()
            }
            Asked::Help(help) => format!("help {}", help.lines().nth(1).unwrap_or_default()),
            Asked::Wrong { complaint, .. } => complaint,
        }
    }

    #[test]
    fn flags_are_anywhere() {
        for line in [
            "get a b --prefix --rev 5 -w json",
            "--prefix=true -w=json get a --rev=5 b",
            "-wjson get --prefix --rev 5 a b",
            "--write-out json g a b --prefix=true --rev=5",
        ] {
            let said = asked(line);
            for part in ["get:", " prefix=true", " rev=5", " write-out=json", " a b"] {
                assert!(said.contains(part), "{line}: {said}");
            }
        }
        assert_eq!(asked("put -- -k -v"), "put: -k -v --0");
        assert_eq!(asked("watch a -- echo --prefix"), "watch: a echo --prefix --1");
        assert_eq!(asked("get --prefix=false ''"), "get: prefix=false ''");
    }

    #[test]
    fn names_are_completed() {
        for (line, name) in [
            ("mem list", "member list:"),
            ("compac 5", "compaction: 5"),
            ("comp 5", "compaction: 5"),
            ("endpoint hash", "endpoint hashkv:"),
            ("de x", "unknown command \"de\" for \"etcdctl\"\nRun 'etcdctl --help' for usage."),
            ("role g", "unknown command \"g\" for \"etcdctl role\""),
            ("snapshot status", "unknown command \"status\" for \"etcdctl snapshot\"; etcdutl has it"),
            ("bogus", "unknown command \"bogus\" for \"etcdctl\"\nRun 'etcdctl --help' for usage."),
        ] {
            assert_eq!(asked(line), name, "{line}");
        }
    }

    #[test]
    fn what_is_wrong() {
        for (line, why) in [
            ("get --bogus x", "unknown flag: --bogus"),
            ("get -x", "unknown shorthand flag: 'x' in -x"),
            ("get a --rev", "flag needs an argument: --rev"),
            ("get a -w", "flag needs an argument: 'w' in -w"),
            (
                "get a --rev=x",
                "invalid argument \"x\" for \"--rev\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
            ),
            (
                "get a --prefix=x",
                "invalid argument \"x\" for \"--prefix\" flag: strconv.ParseBool: parsing \"x\": invalid syntax",
            ),
            (
                "--dial-timeout=5 get a",
                "invalid argument \"5\" for \"--dial-timeout\" flag: time: missing unit in duration \"5\"",
            ),
        ] {
            assert_eq!(asked(line), why, "{line}");
        }
    }

    #[test]
    fn help_is_made_of_the_table() {
        assert!(asked("").starts_with("help"));
        assert!(help(&COMMANDS[0]).contains("GLOBAL OPTIONS:\n"));
        assert_eq!(asked("help get"), "help   get - Gets the key or a range of keys");
        assert_eq!(asked("get --help"), "help   get - Gets the key or a range of keys");
        assert!(COMMANDS.is_sorted_by_key(|command| command.path.join(" ")));
    }
}
