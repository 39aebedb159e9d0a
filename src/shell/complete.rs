//! Completion of commands, variables and paths, ours and the target's.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustyline::completion::{Completer, Pair};
use rustyline::{Context, Helper};

use super::Text;
use crate::output::Safe;
use crate::target::Files;

/// What there is to complete besides files.
#[derive(Clone, Default)]
pub struct Names {
    /// Sorted.
    pub commands: Vec<Text>,
    pub variables: Vec<Text>,
    pub path: Text,
}

pub struct Completion {
    pub names: Names,
    files: Files,
}

impl Completion {
    /// `target` is what `SIDEBOX_TARGET` says.
    pub fn new(target: Option<OsString>) -> Completion {
        Completion { names: Names::default(), files: Files::new(target.as_deref()) }
    }

    /// Where the word that ends at the cursor starts, and the candidates for it.
    fn candidates(&self, line: &[u8]) -> (usize, Vec<Candidate>) {
        let start = word_start(line);
        let word = &line[start..];
        if let Some(at) = memchr::memrchr(b'$', word) {
            let prefix = &word[at + 1..];
            let fits = |name: &&Text| name.starts_with(prefix);
            let names = self.names.variables.iter().filter(fits);
            return (start + at + 1, names.map(|name| Candidate::name(name)).collect());
        }
        let plain = unescape(word);
        if is_command_position(&line[..start]) && !plain.contains(&b'/') {
            return (start, self.commands(&plain));
        }
        (start, self.paths(&plain))
    }

    fn commands(&self, prefix: &[u8]) -> Vec<Candidate> {
        let known = self.names.commands.iter().filter(|name| name.starts_with(prefix)).cloned();
        let mut names: Vec<Text> = known.collect();
        for directory in self.names.path.split(|byte| *byte == b':').filter(|directory| !directory.is_empty()) {
            let Ok(entries) = self.files.directory(path(directory)).and_then(|found| found.entries()) else { continue };
            let found = entries.into_iter().map(|entry| entry.name.as_bytes().to_vec());
            names.extend(found.filter(|name| name.starts_with(prefix)));
        }
        names.sort_unstable();
        names.dedup();
        names.iter().map(|name| Candidate { text: name.clone(), suffix: " " }).collect()
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
            found.push(Candidate { text, suffix: if is_directory { "/" } else { " " } });
        }
        found.sort_unstable_by(|a, b| a.text.cmp(&b.text));
        found
    }
}

struct Candidate {
    text: Text,
    /// What follows when it is the only one.
    suffix: &'static str,
}

impl Candidate {
    fn name(name: &[u8]) -> Candidate {
        Candidate { text: name.to_vec(), suffix: "" }
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
        Some(Pair { display: format!("{}{slash}", Safe(name)), replacement: replacement + self.suffix })
    }
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
}

impl rustyline::highlight::Highlighter for Completion {}

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
        let names = Names { commands: vec![b"cat".to_vec(), b"cd".to_vec()], ..Names::default() };
        let completion = Completion { names, files: Files::new(None) };
        let (start, found) = completion.candidates(b"ls; c");
        let texts: Vec<_> = found.iter().map(|candidate| candidate.text.clone()).collect();
        assert_eq!((start, texts), (4, vec![b"cat".to_vec(), b"cd".to_vec()]));
    }
}
