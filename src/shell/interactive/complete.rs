//! Completion of commands, variables and paths, ours and the target's.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::CmdKind;
use rustyline::{Context, Helper};

use super::super::Text;
use super::idle::Idle;
use crate::output::{Safe, order};
use crate::sys::image;
use crate::target::{Files, Reader};

/// What there is to complete besides files.
#[derive(Clone, Default)]
pub struct Names {
    /// Sorted.
    pub commands: Vec<Text>,
    pub variables: Vec<Text>,
    /// `%1` and so on.
    pub jobs: Vec<Text>,
    pub path: Text,
    /// What `SIDEBOX_TARGET` says.
    pub target: Option<Text>,
}

pub struct Completion {
    names: Names,
    files: Files,
    /// Told of every key, while a line is typed.
    pub idle: Option<Idle>,
}

impl Default for Completion {
    fn default() -> Completion {
        Completion { names: Names::default(), files: Files::new(None), idle: None }
    }
}

impl Completion {
    pub fn know(&mut self, names: Names) {
        // The next line of a command changes nothing.
        if names.commands.is_empty() {
            return;
        }
        if names.target != self.names.target {
            self.files = Files::new(names.target.as_deref().map(crate::applet::os).as_deref());
        }
        self.names = names;
    }

    /// Where the word that ends at the cursor starts, and the candidates for it.
    fn candidates(&self, line: &[u8]) -> (usize, Vec<Candidate>) {
        let start = word_start(line);
        let word = &line[start..];
        if let Some(at) = memchr::memrchr(b'$', word) {
            let brace = word[at + 1..].starts_with(b"{");
            let name = at + 1 + usize::from(brace);
            let prefix = &word[name..];
            if prefix.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
                let suffix = if brace { "}" } else { "" };
                let names = self.names.variables.iter().filter(|name| name.starts_with(prefix));
                return (start + name, names.map(|name| Candidate::new(name, suffix)).collect());
            }
        }
        let plain = unescape(word);
        if is_command_position(&line[..start]) && !plain.contains(&b'/') {
            return (start, self.commands(&plain));
        }
        let before: Vec<&[u8]> =
            simple_command(&line[..start]).split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
        let job = matches!(before.as_slice(), [b"kill" | b"wait" | b"fg" | b"bg" | b"jobs", ..]);
        if plain.starts_with(b"%") && job {
            let jobs = self.names.jobs.iter().filter(|name| name.starts_with(&plain));
            return (start, jobs.map(|name| Candidate::new(name, " ")).collect());
        }
        if before.first() == Some(&&b"kill"[..]) || before.last() == Some(&&b"-p"[..]) {
            return (start, processes(&plain));
        }
        let paths = self.paths(&plain);
        let found = if paths.is_empty() && !plain.is_empty() { self.hosts(&plain) } else { paths };
        (start, found)
    }

    /// Names of hosts, ours and the target's.
    fn hosts(&self, prefix: &[u8]) -> Vec<Candidate> {
        const LIMIT: u64 = 1 << 16;
        let mut names = Vec::new();
        for file in ["/etc/hosts", "@/etc/hosts"] {
            let mut text = Text::new();
            let Ok(opened) = self.files.open(Path::new(file)) else { continue };
            if opened.take(LIMIT).read_to_end(&mut text).is_err() {
                continue;
            }
            for line in text.split(|byte| *byte == b'\n') {
                let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
                let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).skip(1);
                names.extend(words.filter(|name| name.starts_with(prefix)).map(<[u8]>::to_vec));
            }
        }
        order::sort(&mut names);
        names.dedup();
        names.iter().map(|name| Candidate::new(name, " ")).collect()
    }

    fn commands(&self, prefix: &[u8]) -> Vec<Candidate> {
        let known = self.names.commands.iter().filter(|name| name.starts_with(prefix)).cloned();
        let mut names: Vec<Text> = known.collect();
        for directory in self.names.path.split(|byte| *byte == b':').filter(|directory| !directory.is_empty()) {
            let Ok(entries) = self.files.directory(path(directory)).and_then(|found| found.entries()) else { continue };
            let found = entries.into_iter().map(|entry| entry.name.as_bytes().to_vec());
            names.extend(found.filter(|name| name.starts_with(prefix)));
        }
        order::sort(&mut names);
        names.dedup();
        names.iter().map(|name| Candidate::new(name, " ")).collect()
    }

    fn paths(&self, prefix: &[u8]) -> Vec<Candidate> {
        let split = memchr::memrchr(b'/', prefix).map_or(0, |at| at + 1);
        let (base, stem) = prefix.split_at(split);
        let directory = if base.is_empty() { Path::new(".") } else { path(base) };
        let Ok(entries) = self.files.directory(directory).and_then(|found| found.entries()) else { return Vec::new() };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.name.as_bytes();
            if !name.starts_with(stem) || name.starts_with(b".") && !stem.starts_with(b".") {
                continue;
            }
            let text = [base, name].concat();
            let is_directory =
                self.files.metadata(path(&text)).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR);
            found.push(Candidate::new(&text, if is_directory { "/" } else { " " }));
        }
        order::sort_by(&mut found, |a, b| a.text.cmp(&b.text));
        found
    }
}

struct Candidate {
    text: Text,
    /// What follows when it is the only one.
    suffix: &'static str,
    /// What is shown with it.
    about: Text,
}

impl Candidate {
    fn new(text: &[u8], suffix: &'static str) -> Candidate {
        Candidate { text: text.to_vec(), suffix, about: Text::new() }
    }

    fn pair(&self) -> Option<Pair> {
        // The editor's line is text: a name that is none cannot be typed into it.
        let text = std::str::from_utf8(&self.text).ok()?;
        let mut replacement = String::new();
        for char in text.chars() {
            if char.is_control() {
                return None;
            }
            if char.is_ascii() && !char.is_ascii_alphanumeric() && !"%+,-./:=@_".contains(char) {
                replacement.push('\\');
            }
            replacement.push(char);
        }
        let name = self.text.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let slash = if self.suffix == "/" { "/" } else { "" };
        let about = if self.about.is_empty() { String::new() } else { format!(" {}", Safe(&self.about)) };
        Some(Pair { display: format!("{}{slash}{about}", Safe(name)), replacement: replacement + self.suffix })
    }
}

/// Numbers of processes, shown with their names.
fn processes(prefix: &[u8]) -> Vec<Candidate> {
    let Ok(mut reader) = Reader::open() else { return Vec::new() };
    let pids = reader.pids().unwrap_or_default();
    let fits =
        pids.into_iter().map(|pid| (pid, pid.to_string())).filter(|(_, text)| text.as_bytes().starts_with(prefix));
    let candidate = |(pid, text): (i32, String)| {
        let about = reader.stat(pid).map(|stat| stat.comm).unwrap_or_default();
        Candidate { about, ..Candidate::new(text.as_bytes(), " ") }
    };
    fits.map(candidate).collect()
}

/// What was typed of the simple command that the line ends in.
fn simple_command(before: &[u8]) -> &[u8] {
    before.rsplit(|byte| b"|&;(`".contains(byte)).next().unwrap_or_default()
}

/// Where the last word begins: behind an unquoted blank or operator.
fn word_start(line: &[u8]) -> usize {
    let (mut start, mut quote, mut at) = (0, None, 0);
    while at < line.len() {
        match (line[at], quote) {
            (b'\\', None | Some(b'"')) => at += 1,
            (byte @ (b'\'' | b'"'), None) => quote = Some(byte),
            (byte, Some(open)) if byte == open => quote = None,
            (b' ' | b'\t' | b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')' | b'=' | b'`', None) => start = at + 1,
            _ => {}
        }
        at += 1;
    }
    start.min(line.len())
}

/// Whether a command name is expected behind this text.
fn is_command_position(before: &[u8]) -> bool {
    const OPENERS: [&[u8]; 9] = [b"if", b"then", b"else", b"elif", b"while", b"until", b"do", b"!", b"{"];
    let before = before.trim_ascii_end();
    let last = before.rsplit(|byte| byte.is_ascii_whitespace() || *byte == b';').next().unwrap_or_default();
    before.last().is_none_or(|last| matches!(last, b'|' | b'&' | b';' | b'(' | b'`')) || OPENERS.contains(&last)
}

fn unescape(word: &[u8]) -> Text {
    let mut text = Text::new();
    let mut bytes = word.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => text.extend(bytes.next()),
            b'\'' | b'"' => {}
            _ => text.push(*byte),
        }
    }
    text
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, candidates) = self.candidates(line.as_bytes().get(..at).unwrap_or_default());
        Ok((start, candidates.iter().filter_map(Candidate::pair).collect()))
    }
}

impl rustyline::hint::Hinter for Completion {
    type Hint = String;

    /// Called when the prompt is about to be shown, the last before a key is waited for; and while somebody types, when
    /// there is nothing to give back.
    fn hint(&self, line: &str, _: usize, _: &rustyline::Context<'_>) -> Option<String> {
        if line.is_empty() {
            image::give_back();
        }
        None
    }
}

impl rustyline::highlight::Highlighter for Completion {
    /// Called after every change of the line and of the place in it.
    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        self.idle.iter().for_each(Idle::key);
        false
    }
}

impl rustyline::validate::Validator for Completion {}

impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_positions() {
        assert_eq!(word_start(b"cat @/et"), 4);
        assert_eq!(word_start(b"cat 'a b"), 4);
        assert_eq!(word_start(b"cat a\\ b"), 4);
        assert!(is_command_position(b""));
        assert!(is_command_position(b"ls | "));
        assert!(is_command_position(b"if "));
        assert!(!is_command_position(b"ls "));
    }

    #[test]
    fn commands_come_from_the_table() {
        let mut completion = Completion::default();
        completion.know(Names { commands: vec![b"cat".to_vec(), b"cd".to_vec()], ..Names::default() });
        let (start, found) = completion.candidates(b"ls; c");
        let texts: Vec<_> = found.iter().map(|candidate| candidate.text.clone()).collect();
        assert_eq!((start, texts), (4, vec![b"cat".to_vec(), b"cd".to_vec()]));
    }
    #[track_caller]
    fn completes(completion: &Completion, line: &str, start: usize, expected: &[&str]) {
        let (at, found) = completion.candidates(line.as_bytes());
        let texts: Vec<String> =
            found.iter().map(|candidate| String::from_utf8_lossy(&candidate.text).into_owned()).collect();
        assert_eq!((at, texts.iter().map(String::as_str).collect::<Vec<_>>().as_slice()), (start, expected), "{line}");
    }

    #[test]
    fn variables_jobs_processes_and_hosts() {
        let mut completion = Completion::default();
        completion.know(Names {
            commands: vec![b"kill".to_vec()],
            variables: vec![b"HOME".to_vec(), b"long".to_vec()],
            jobs: vec![b"%1".to_vec(), b"%2".to_vec()],
            ..Names::default()
        });
        completes(&completion, "echo $lo", 6, &["long"]);
        completes(&completion, "echo a${HO", 8, &["HOME"]);
        completes(&completion, "kill %", 5, &["%1", "%2"]);
        let own = std::process::id().to_string();
        for command in ["true; kill -9", "x -p"] {
            let (_, found) = completion.candidates(format!("{command} {own}").as_bytes());
            assert!(found.iter().any(|candidate| candidate.text == own.as_bytes()), "{command}");
        }
        assert!(completion.candidates(b"nc localhos").1.iter().any(|candidate| candidate.text == b"localhost"));
    }
}
