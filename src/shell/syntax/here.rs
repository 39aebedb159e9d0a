//! Reading here-documents (POSIX.1-2024, XCU 2.7.4).

use std::cell::OnceCell;
use std::rc::Rc;

use super::lexer::{Parse, Parser, Token};
use super::tree::{Part, Word};
use super::word::dollar_text;

/// A here-document whose operator was read, and whose body comes after the next newline.
pub struct Pending {
    delimiter: Vec<u8>,
    quoted: bool,
    strip_tabs: bool,
    body: Rc<OnceCell<Word>>,
}

impl Parser<'_> {
    /// The word after `<<`: its body is read behind the next newline.
    pub(super) fn here_document(&mut self, strip_tabs: bool) -> Parse<Rc<OnceCell<Word>>> {
        let start = self.token_start()?;
        match self.take()? {
            Token::Word(_) => {}
            token => return self.unexpected(&token),
        }
        let (delimiter, quoted) = unquote(&self.text[start..self.at]);
        let body = Rc::new(OnceCell::new());
        self.pending.push(Pending { delimiter, quoted, strip_tabs, body: Rc::clone(&body) });
        Ok(body)
    }

    /// Behind a newline: the bodies of all that are pending.
    pub(super) fn read_here_documents(&mut self) -> Parse<()> {
        for here in std::mem::take(&mut self.pending) {
            let line = self.line;
            let text = self.here_text(&here)?;
            let expands = !here.quoted && text.iter().any(|byte| matches!(byte, b'$' | b'`' | b'\\'));
            let parts = if expands { self.nested(text, line).here_parts()? } else { vec![Part::Quoted(text)] };
            // The operator made the cell, and nothing else fills it.
            let _ = here.body.set(Word { parts, assignment: false });
        }
        Ok(())
    }

    fn here_text(&mut self, here: &Pending) -> Parse<Vec<u8>> {
        let mut text = Vec::new();
        // The last line ended in a line continuation.
        let mut joined = false;
        loop {
            let end = self.line_end()?;
            let mut line = &self.text[self.at..end];
            if line.is_empty() {
                return Ok(text);
            }
            if here.strip_tabs && !joined {
                let tabs = line.iter().take_while(|byte| **byte == b'\t').count();
                line = &line[tabs..];
            }
            let content = line.strip_suffix(b"\n").unwrap_or(line);
            let ends = !joined && content == here.delimiter;
            if !ends {
                let backslashes = content.iter().rev().take_while(|byte| **byte == b'\\').count();
                joined = !here.quoted && backslashes % 2 == 1;
                text.extend_from_slice(line);
            }
            self.at = end;
            self.line += 1;
            if ends {
                return Ok(text);
            }
        }
    }

    /// Where the line ends that begins here, behind its newline if it has one.
    fn line_end(&mut self) -> Parse<usize> {
        let mut searched = 0;
        loop {
            if let Some(len) = memchr::memchr(b'\n', &self.text[self.at + searched..]) {
                return Ok(self.at + searched + len + 1);
            }
            searched = self.text.len() - self.at;
            if self.raw(searched)?.is_none() {
                return Ok(self.text.len());
            }
        }
    }
}

/// Quote removal on a here-document's delimiter, which is not expanded.
fn unquote(text: &[u8]) -> (Vec<u8>, bool) {
    let (mut result, mut quoted) = (Vec::new(), false);
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, rest) {
            (b'\'', _) => {
                quoted = true;
                let len = memchr::memchr(b'\'', rest).unwrap_or(rest.len());
                result.extend_from_slice(&rest[..len]);
                rest = rest.get(len + 1..).unwrap_or_default();
            }
            (b'$', [b'\'', inner @ ..]) => {
                quoted = true;
                let len = dollar_length(inner);
                result.extend(dollar_text(&inner[..len]));
                rest = inner.get(len + 1..).unwrap_or_default();
            }
            (b'"', _) => {
                quoted = true;
                while let Some((byte, after)) = rest.split_first().filter(|(byte, _)| **byte != b'"') {
                    rest = after;
                    match (byte, rest) {
                        (b'\\', [b'\n', after @ ..]) => rest = after,
                        (b'\\', [next @ (b'$' | b'`' | b'"' | b'\\'), after @ ..]) => {
                            result.push(*next);
                            rest = after;
                        }
                        _ => result.push(*byte),
                    }
                }
                rest = rest.get(1..).unwrap_or_default();
            }
            (b'\\', [b'\n', after @ ..]) => rest = after,
            (b'\\', [next, after @ ..]) => {
                quoted = true;
                result.push(*next);
                rest = after;
            }
            _ => result.push(*byte),
        }
    }
    (result, quoted)
}

/// How far `$'…'` reaches, behind its first quote.
fn dollar_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = text.get(at).filter(|byte| **byte != b'\'') {
        at += if *byte == b'\\' { 2 } else { 1 };
    }
    at.min(text.len())
}

#[cfg(test)]
mod tests {
    use super::unquote;

    #[test]
    fn delimiters() {
        for (written, delimiter, quoted) in [
            (&b"E"[..], &b"E"[..], false),
            (b"E\\\nF", b"EF", false),
            (b"'E F'", b"E F", true),
            (b"E\"O\"F", b"EOF", true),
            (b"\\E", b"E", true),
            (b"\"a\\b\\\"\"", b"a\\b\"", true),
            (b"$'E\\'\\x46'", b"E'F", true),
            (b"$x", b"$x", false),
            (b"''", b"", true),
        ] {
            assert_eq!(unquote(written), (delimiter.to_vec(), quoted));
        }
    }
}
