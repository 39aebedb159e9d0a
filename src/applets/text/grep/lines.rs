//! How grep reads a file, and how it shows the lines that it selects.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;

use super::Grep;
use crate::applet::{Context, Result};

/// How much is read at once.
pub const BLOCK: usize = 128 * 1024;

/// A line and where it is.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a [u8],
    number: u64,
    offset: u64,
}

/// The search of one file.
pub struct Search<'g> {
    grep: &'g mut Grep,
    name: &'g [u8],
    /// Whether lines are not shown anyway.
    silent: bool,
    pub count: u64,
    number: u64,
    offset: u64,
    binary: bool,
    /// Whether a line matched that was not shown because the file is binary.
    pub hidden: bool,
    /// Lines that may be shown before the next match.
    before: VecDeque<(Vec<u8>, u64, u64)>,
    after: usize,
    shown: u64,
}

impl<'g> Search<'g> {
    pub fn new(grep: &'g mut Grep, name: &'g [u8], listing: bool) -> Search<'g> {
        let silent = listing || grep.options.count;
        Search {
            grep,
            name,
            silent,
            count: 0,
            number: 0,
            offset: 0,
            binary: false,
            hidden: false,
            before: VecDeque::new(),
            after: 0,
            shown: 0,
        }
    }

    /// Reads and searches. The outer error is the output's, the inner one the file's.
    pub fn all(&mut self, cx: &mut Context<'_>, file: &mut File) -> Result<io::Result<()>> {
        let end = self.grep.end;
        let mut buffer = Vec::new();
        loop {
            // Only the last, unfinished line is kept, and it is as long as it is.
            let kept = buffer.len();
            buffer.resize(kept + BLOCK.max(kept), 0);
            let length = match file.read(&mut buffer[kept..]) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    buffer.truncate(kept);
                    continue;
                }
                Err(error) => return Ok(Err(error)),
            };
            let finished = length == 0;
            buffer.truncate(kept + length);
            if !self.binary && !self.grep.options.text && end != 0 && memchr::memchr(0, &buffer[kept..]).is_some() {
                self.binary = true;
                if self.grep.options.no_binary {
                    self.count = 0;
                    return Ok(Ok(()));
                }
            }
            if finished && !buffer.is_empty() {
                buffer.push(end);
            }
            let whole = memchr::memrchr(end, &buffer[kept..]).map_or(0, |at| kept + at + 1);
            if !self.lines(cx, &buffer[..whole])? || finished {
                return Ok(Ok(()));
            }
            buffer.drain(..whole);
        }
    }

    /// Searches whole lines; false where enough is known of this file.
    fn lines(&mut self, cx: &mut Context<'_>, text: &[u8]) -> Result<bool> {
        let end = self.grep.end;
        let plain = !self.grep.options.invert_match && self.grep.before == 0;
        let mut rest = text;
        while !rest.is_empty() {
            if plain && self.after == 0 {
                let skipped = self.grep.patterns.candidate(rest, end);
                if self.grep.options.line_number || self.grep.after > 0 {
                    self.number += memchr::memchr_iter(end, &rest[..skipped]).count() as u64;
                }
                self.offset += skipped as u64;
                rest = &rest[skipped..];
            }
            let Some(length) = memchr::memchr(end, rest) else { break };
            self.number += 1;
            let line = Line { text: &rest[..length], number: self.number, offset: self.offset };
            self.offset += length as u64 + 1;
            rest = &rest[length + 1..];
            if !self.line(cx, line)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn line(&mut self, cx: &mut Context<'_>, line: Line<'_>) -> Result<bool> {
        let enough = self.grep.options.max_count.is_some_and(|most| self.count >= most);
        if enough || self.grep.patterns.find(line.text, 0).is_some() == self.grep.options.invert_match {
            return self.context(cx, line, enough);
        }
        self.count += 1;
        if self.silent {
            let only_one = !self.grep.options.count;
            return Ok(!only_one && self.grep.options.max_count.is_none_or(|most| self.count < most));
        }
        if self.binary {
            self.hidden = true;
            return Ok(false);
        }
        while let Some((text, number, offset)) = self.before.pop_front() {
            self.show(cx, Line { text: &text, number, offset }, b'-')?;
        }
        self.show(cx, line, b':')?;
        self.after = self.grep.after;
        Ok(self.after > 0 || self.grep.options.max_count.is_none_or(|most| self.count < most))
    }

    /// A line that was not selected.
    fn context(&mut self, cx: &mut Context<'_>, line: Line<'_>, enough: bool) -> Result<bool> {
        if self.after > 0 && !self.binary {
            self.after -= 1;
            self.show(cx, line, b'-')?;
        } else if self.grep.before > 0 && !self.silent && !self.binary {
            if self.before.len() == self.grep.before {
                self.before.pop_front();
            }
            self.before.push_back((line.text.to_vec(), line.number, line.offset));
        }
        Ok(!enough || self.after > 0)
    }

    fn show(&mut self, cx: &mut Context<'_>, line: Line<'_>, mark: u8) -> Result<()> {
        let groups = self.grep.before > 0 || self.grep.after > 0;
        if groups && self.grep.written && (self.shown == 0 || self.shown + 1 != line.number) {
            cx.io.out.write_all(b"--\n")?;
        }
        self.shown = line.number;
        self.grep.written = true;
        let mut out = Vec::with_capacity(line.text.len() + 64);
        let selected = mark == b':';
        let marked = (self.grep.marks || self.grep.options.only_matching) && selected != self.grep.options.invert_match;
        if self.grep.options.only_matching {
            let mut from = 0;
            while selected
                && marked
                && let Some(found) = self.next_match(line.text, from)
            {
                self.prefix(&mut out, line, line.offset + found.start as u64, mark);
                self.paint(&mut out, "01;31", &line.text[found.clone()]);
                out.push(self.grep.end);
                from = found.end;
            }
        } else {
            self.prefix(&mut out, line, line.offset, mark);
            let mut from = 0;
            while marked && let Some(found) = self.next_match(line.text, from) {
                out.extend(&line.text[from..found.start]);
                self.paint(&mut out, "01;31", &line.text[found.clone()]);
                from = found.end;
            }
            out.extend(&line.text[from..]);
            out.push(self.grep.end);
        }
        cx.io.out.write_all(&out)?;
        if self.grep.options.line_buffered {
            cx.io.out.flush()?;
        }
        Ok(())
    }

    /// The next match that has a length.
    fn next_match(&mut self, line: &[u8], mut from: usize) -> Option<Range<usize>> {
        loop {
            match self.grep.patterns.find(line, from)? {
                found if !found.is_empty() => return Some(found),
                empty if empty.end < line.len() => from = empty.end + 1,
                _ => return None,
            }
        }
    }

    fn prefix(&self, out: &mut Vec<u8>, line: Line<'_>, offset: u64, mark: u8) {
        let name = self.grep.named.then(|| (self.name.to_vec(), "35"));
        let number = self.grep.options.line_number.then(|| (line.number.to_string().into_bytes(), "32"));
        let offset = self.grep.options.byte_offset.then(|| (offset.to_string().into_bytes(), "32"));
        for (text, color) in [name, number, offset].into_iter().flatten() {
            self.paint(out, color, &text);
            self.paint(out, "36", &[mark]);
        }
    }

    fn paint(&self, out: &mut Vec<u8>, color: &str, text: &[u8]) {
        if self.grep.marks {
            out.extend(format!("\x1b[{color}m\x1b[K").bytes());
            out.extend(text);
            out.extend(b"\x1b[m\x1b[K");
        } else {
            out.extend(text);
        }
    }
}
