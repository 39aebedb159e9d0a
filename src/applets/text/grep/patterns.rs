//! What grep searches for: strings and regular expressions, whole words, whole lines.

use std::io::Read;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use memchr::memmem::Finder;

use super::Options;
use crate::applet::{self, Context, Error, Result};
use crate::output::{Safe, order};
use crate::sys::regex::{self, Flags, Regex, is_word};

/// What is searched for.
pub struct Patterns {
    list: Vec<Pattern>,
    word: bool,
    line: bool,
}

enum Pattern {
    Literal(Box<Finder<'static>>),
    Regex(Regex),
}

impl Patterns {
    pub fn new(cx: &mut Context<'_>, options: &mut Options) -> Result<Patterns> {
        let mut texts: Vec<Vec<u8>> = options.patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect();
        if options.patterns.is_empty() && options.file.is_empty() {
            if options.rest.is_empty() {
                return Err(Error::usage("needs a pattern"));
            }
            texts.push(options.rest.remove(0).into_vec());
        }
        // Each line of a pattern is one.
        let mut lines: Vec<Vec<u8>> =
            texts.iter().flat_map(|text| text.split(|byte| *byte == b'\n')).map(<[u8]>::to_vec).collect();
        for path in &options.file {
            let mut text = Vec::new();
            let read = if path.as_os_str() == "-" { cx.io.stdin.try_clone() } else { cx.files.open(path) };
            read.and_then(|mut file| file.read_to_end(&mut text))
                .map_err(|error| Error::message(format_args!("{}: {}", Safe::path(path), applet::reason(&error))))?;
            // An empty file has no pattern; a lone newline is the empty one.
            lines.extend(
                text.split_inclusive(|byte| *byte == b'\n')
                    .map(|line| line.strip_suffix(b"\n").unwrap_or(line).to_vec()),
            );
        }
        if options.extended_regexp {
            lines = lines.iter().flat_map(|line| alternatives(line)).map(<[u8]>::to_vec).collect();
        }
        order::sort(&mut lines);
        lines.dedup();
        let list = lines.iter().map(|line| Pattern::new(line, options)).collect::<Result<Vec<Pattern>>>()?;
        Ok(Patterns { list, word: options.word_regexp, line: options.line_regexp })
    }

    /// The leftmost of the longest matches in the line that begins at `from` or later.
    pub fn find(&mut self, line: &[u8], from: usize) -> Option<Range<usize>> {
        let (word, whole) = (self.word, self.line);
        let found = self.list.iter_mut().filter_map(|pattern| match (whole, word) {
            (true, _) => pattern.find(line, from, line.len()).filter(|found| *found == (0..line.len())),
            (false, true) => pattern.find_word(line, from),
            (false, false) => pattern.find(line, from, line.len()),
        });
        found.min_by_key(|found| (found.start, usize::MAX - found.end))
    }

    /// The start of the first line in whole lines that may match; the end of the text where none does.
    pub fn candidate(&self, text: &[u8], end: u8) -> usize {
        match &self.list[..] {
            [Pattern::Literal(finder)] => match finder.find(text) {
                Some(at) => memchr::memrchr(end, &text[..at]).map_or(0, |newline| newline + 1),
                None => text.len(),
            },
            [] => text.len(),
            _ => 0,
        }
    }
}

/// `one|two` as two strings, which are found much faster than an expression; anything else as it is.
fn alternatives(pattern: &[u8]) -> Vec<&[u8]> {
    let plain = |part: &[u8]| !part.is_empty() && !part.iter().any(|byte| EXTENDED.contains(byte));
    let parts: Vec<&[u8]> = pattern.split(|byte| *byte == b'|').collect();
    if parts.iter().all(|part| plain(part)) { parts } else { vec![pattern] }
}

/// What stands for more than itself.
const BASIC: &[u8] = b"\\.[*^$";
const EXTENDED: &[u8] = b"\\.[*^$+?(){}|";

impl Pattern {
    fn new(text: &[u8], options: &Options) -> Result<Pattern> {
        let special: &[u8] = match options {
            Options { fixed_strings: true, .. } => b"",
            Options { extended_regexp: true, .. } => EXTENDED,
            _ => BASIC,
        };
        let plain = !text.iter().any(|byte| special.contains(byte));
        if plain && !options.ignore_case {
            return Ok(Pattern::Literal(Box::new(Finder::new(text).into_owned())));
        }
        let flags = Flags { extended: options.extended_regexp && !plain, ignore_case: options.ignore_case };
        let pattern = if plain { regex::literal(text) } else { text.to_vec() };
        let regex = Regex::new(&pattern, flags);
        regex.map(Pattern::Regex).map_err(|why| Error::message(format_args!("{}: {why}", Safe(text))))
    }

    fn find(&mut self, line: &[u8], from: usize, end: usize) -> Option<Range<usize>> {
        match self {
            Pattern::Literal(finder) => {
                let at = from + finder.find(&line[from..end])?;
                Some(at..at + finder.needle().len())
            }
            Pattern::Regex(regex) => regex.find(line, from, end),
        }
    }

    /// A match that is neither preceded nor followed by a part of a word. Where the longest one is not, a shorter one
    /// at the same place may be.
    fn find_word(&mut self, line: &[u8], mut from: usize) -> Option<Range<usize>> {
        while from <= line.len() {
            let longest = self.find(line, from, line.len())?;
            let mut found = Some(longest.clone());
            while let Some(match_) = found.filter(|found| found.start == longest.start) {
                let before = match_.start.checked_sub(1).is_some_and(|at| is_word(line[at]));
                if !before && !line.get(match_.end).is_some_and(|byte| is_word(*byte)) {
                    return Some(match_);
                }
                found = if match_.end > match_.start && !before {
                    self.find(line, longest.start, match_.end - 1)
                } else {
                    None
                };
            }
            from = longest.start + 1;
        }
        None
    }
}
