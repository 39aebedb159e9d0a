//! The commands that were typed (POSIX.1-2024, XCU fc, Command History List): in memory, and in a file only where
//! HISTFILE names one.

use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::super::{Shell, Text};
use crate::applet::{os, reason};
use crate::output::Safe;

/// How many commands are kept where HISTSIZE does not say.
const USUAL: usize = 1000;

/// How much of a history file is read.
const FILE_LIMIT: u64 = 1 << 20;

#[derive(Default)]
pub struct History {
    entries: VecDeque<Text>,
    /// The number of the first entry, less 1.
    dropped: usize,
    /// The entry of the command that is being run, which `fc` does not count.
    current: Option<usize>,
    /// Counts up with every change, for those who keep a copy.
    pub version: u64,
}

impl History {
    pub fn add(&mut self, text: Text, limit: usize) {
        self.entries.push_back(text);
        while self.entries.len() > limit {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.current = Some(self.next() - 1);
        self.version += 1;
    }

    /// The number that the next command gets.
    pub fn next(&self) -> usize {
        self.dropped + self.entries.len() + 1
    }

    /// The number of the command that was typed before the one that is being run.
    pub fn last(&self) -> usize {
        self.current.unwrap_or(self.next()) - 1
    }

    pub fn first(&self) -> usize {
        self.dropped + 1
    }

    pub fn get(&self, number: usize) -> Option<&Text> {
        self.entries.get(number.checked_sub(self.dropped + 1)?)
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, &Text)> {
        (self.first()..self.next()).zip(&self.entries)
    }

    /// The command that an operand of `fc` means: a number, a negative one from the end, or how it begins.
    pub fn find(&self, operand: &[u8]) -> Option<usize> {
        let number: Option<i64> = std::str::from_utf8(operand).ok().and_then(|text| text.parse().ok());
        let (first, last) = (self.first(), self.last());
        match number {
            Some(back) if back <= 0 => {
                let back = usize::try_from(back.unsigned_abs()).ok()?;
                (last >= first).then(|| (last + 1).saturating_sub(back).max(first))
            }
            Some(number) => usize::try_from(number).ok().filter(|number| (first..=last).contains(number)),
            None => {
                let begun = |(number, text): &(usize, &Text)| *number <= last && text.starts_with(operand);
                self.iter().rev().find(begun).map(|(number, _)| number)
            }
        }
    }

    /// Takes out the command that is being run: others take its place.
    pub fn drop_current(&mut self) {
        if self.current.take().is_some_and(|current| current + 1 == self.next()) {
            self.entries.pop_back();
            self.version += 1;
        }
    }

    /// What is run now was not typed.
    pub fn pass_current(&mut self) {
        self.current = None;
    }

    pub fn clear(&mut self) {
        *self = History { version: self.version + 1, ..History::default() };
    }
}

impl Shell<'_> {
    /// Notes a command that was typed, or that `fc` made.
    pub(in crate::shell) fn record(&mut self, text: &[u8]) {
        let text = text.trim_ascii_end();
        if text.trim_ascii().is_empty() {
            return self.history.pass_current();
        }
        let size = self.variables.get(b"HISTSIZE").and_then(|size| std::str::from_utf8(size).ok()?.parse().ok());
        self.history.add(text.to_vec(), size.unwrap_or(USUAL));
        if let Some(path) = self.history_file()
            && let Err(error) = self.append_history(&path, text)
        {
            self.complain(format_args!("HISTFILE: {}: {}", Safe(&path), reason(&error)));
            // Said once.
            let _ = self.variables.unset(b"HISTFILE");
        }
    }

    fn history_file(&self) -> Option<Text> {
        self.variables.get(b"HISTFILE").filter(|path| !path.is_empty()).map(<[u8]>::to_vec)
    }

    fn append_history(&self, path: &[u8], text: &[u8]) -> std::io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_APPEND;
        let mut file = self.files.open_with(Path::new(&os(path)), flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        file.write_all(&[text, b"\n"].concat())
    }

    /// What HISTFILE holds from earlier sessions, a line a command.
    pub(in crate::shell) fn load_history(&mut self) {
        let Some(path) = self.history_file() else { return };
        let Ok(mut file) = self.files.open(Path::new(&os(&path))) else { return };
        let len = file.metadata().map_or(0, |known| known.len());
        // What cannot seek is read from where it is.
        let _ = file.seek(SeekFrom::Start(len.saturating_sub(FILE_LIMIT)));
        let mut text = Text::new();
        if file.take(FILE_LIMIT).read_to_end(&mut text).is_ok() {
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                self.history.add(line.to_vec(), USUAL);
            }
            self.history.pass_current();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_by_number_and_by_how_they_begin() {
        let mut history = History::default();
        for text in ["echo one", "cat", "echo two", "fc"] {
            history.add(text.as_bytes().to_vec(), 3);
        }
        assert_eq!((history.first(), history.last(), history.next()), (2, 3, 5));
        assert_eq!(history.find(b"-1"), Some(3));
        assert_eq!(history.find(b"-99"), Some(2));
        assert_eq!(history.find(b"3"), Some(3));
        assert_eq!(history.find(b"1"), None);
        assert_eq!(history.find(b"echo"), Some(3));
        assert_eq!(history.find(b"fc"), None);
        history.drop_current();
        assert_eq!(history.next(), 4);
    }
}
