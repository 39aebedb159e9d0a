//! Characters to tokens (POSIX.1-2024, XCU 2.3), with aliases (2.3.1) and here-documents (2.7.4).

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use super::source::{Source, Stop, Text};
use super::tree::{Part, Word};
use crate::output::Safe;

/// Words of the grammar (POSIX.1-2024, XCU 2.4).
pub(super) const RESERVED: [&[u8]; 16] = [
    b"!", b"case", b"do", b"done", b"elif", b"else", b"esac", b"fi", b"for", b"if", b"in", b"then", b"until", b"while",
    b"{", b"}",
];

pub type Aliases = HashMap<Vec<u8>, Vec<u8>>;

/// Why there is no command.
#[derive(Debug)]
pub enum ParseError {
    Syntax { line: u32, message: String },
    Stop(Stop),
}

pub type Parse<T> = Result<T, ParseError>;

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    Word(Word),
    /// Digits right before a redirection operator.
    Number(i32),
    Operator(&'static str),
    Newline,
    End,
}

impl Token {
    /// The text of a word that could be a reserved word.
    pub fn plain(&self) -> Option<&[u8]> {
        match self {
            Token::Word(word) => word.plain(),
            _ => None,
        }
    }

    pub fn is(&self, operator: &str) -> bool {
        matches!(self, Token::Operator(known) if *known == operator)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word(word) => match word.plain() {
                Some(text) => write!(f, "\"{}\"", Safe(text)),
                None => f.write_str("word"),
            },
            Token::Number(number) => write!(f, "\"{number}\""),
            Token::Operator(operator) => write!(f, "\"{operator}\""),
            Token::Newline => f.write_str("newline"),
            Token::End => f.write_str("end of file"),
        }
    }
}

/// Longest first, so that the first that fits is the token.
const OPERATORS: [&str; 19] =
    ["<<-", "&&", "||", ";;", ";&", "<<", ">>", "<&", ">&", "<>", ">|", "<", ">", "|", "&", ";", "(", ")", "\n"];

/// A here-document whose operator was read, and whose body comes after the next newline.
struct Pending {
    delimiter: Vec<u8>,
    quoted: bool,
    strip_tabs: bool,
    body: Rc<OnceCell<Word>>,
}

/// An alias whose text is being read.
struct Active {
    name: Vec<u8>,
    end: usize,
}

/// Lexer and parser in one value, because a substitution in the middle of a word holds commands.
pub struct Parser<'a> {
    source: Box<dyn Source + 'a>,
    pub(super) text: Vec<u8>,
    pub(super) at: usize,
    pub(super) line: u32,
    ended: bool,
    /// The next token and where it starts.
    peeked: Option<(Token, usize)>,
    pending: Vec<Pending>,
    active: Vec<Active>,
    /// The end of an alias that ended in a blank: the word behind it may be an alias too.
    blank_alias: Option<usize>,
    /// How often what began as arithmetic was read again as commands, in this command.
    pub(super) rereads: Rc<Cell<u32>>,
    pub(super) aliases: Rc<Aliases>,
}

impl<'a> Parser<'a> {
    pub fn new(source: Box<dyn Source + 'a>) -> Parser<'a> {
        Parser {
            source,
            text: Vec::new(),
            at: 0,
            line: 1,
            ended: false,
            peeked: None,
            pending: Vec::new(),
            active: Vec::new(),
            blank_alias: None,
            rereads: Rc::default(),
            aliases: Rc::new(Aliases::new()),
        }
    }

    /// A parser for text that was taken out of this one's: a here-document, the inside of backquotes.
    pub(super) fn nested(&self, text: Vec<u8>, line: u32) -> Parser<'static> {
        let mut parser = Parser::new(Box::new(Text::new(text)));
        parser.line = line;
        parser.rereads = Rc::clone(&self.rereads);
        parser.aliases = Rc::clone(&self.aliases);
        parser
    }

    /// The line of the next character.
    pub fn line(&self) -> u32 {
        self.line
    }

    pub(super) fn error<T>(&self, message: impl Into<String>) -> Parse<T> {
        Err(ParseError::Syntax { line: self.line, message: message.into() })
    }

    /// Whether nothing but blanks and newlines is left of text that was all there from the start.
    pub(super) fn at_end(&self) -> bool {
        self.peeked.is_none() && self.text[self.at..].trim_ascii().is_empty()
    }

    /// Runs `inner` one level deeper, or refuses where that would end in a stack overflow.
    pub(super) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if crate::sys::stack::is_exhausted() {
            return self.error("nested too deeply");
        }
        inner(self)
    }

    /// Forgets the text of the commands that were returned.
    pub(super) fn start_command(&mut self) {
        self.rereads.set(0);
        if self.active.is_empty() && self.peeked.is_none() {
            self.text.drain(..self.at);
            self.at = 0;
            self.blank_alias = None;
        }
    }

    /// The text of the command that was read last.
    pub(super) fn consumed(&self) -> &[u8] {
        &self.text[..self.at]
    }

    /// Drops everything up to now, after an error in an interactive shell.
    pub fn reset(&mut self) {
        self.text.clear();
        self.at = 0;
        self.peeked = None;
        self.pending.clear();
        self.active.clear();
    }

    fn fill(&mut self) -> Parse<bool> {
        if self.ended {
            return Ok(false);
        }
        match self.source.more(!self.text.is_empty()) {
            Ok(Some(text)) => {
                self.text.extend_from_slice(&text);
                Ok(true)
            }
            Ok(None) => {
                self.ended = true;
                Ok(false)
            }
            Err(stop) => Err(ParseError::Stop(stop)),
        }
    }

    /// The byte `ahead` of the next one, as it stands.
    pub(super) fn raw(&mut self, ahead: usize) -> Parse<Option<u8>> {
        while self.at + ahead >= self.text.len() {
            if !self.fill()? {
                return Ok(None);
            }
        }
        Ok(Some(self.text[self.at + ahead]))
    }

    /// The next byte, behind any line continuation.
    pub(super) fn peek(&mut self) -> Parse<Option<u8>> {
        loop {
            match self.raw(0)? {
                Some(b'\\') if self.raw(1)? == Some(b'\n') => {
                    self.at += 2;
                    self.line += 1;
                }
                byte => return Ok(byte),
            }
        }
    }

    /// Takes the byte that was peeked.
    pub(super) fn bump(&mut self) {
        if self.text.get(self.at) == Some(&b'\n') {
            self.line += 1;
        }
        self.at += 1;
    }

    /// Takes the next byte if it is this one.
    pub(super) fn eat(&mut self, byte: u8) -> Parse<bool> {
        let next = self.peek()? == Some(byte);
        if next {
            self.bump();
        }
        Ok(next)
    }

    /// The next token, left in place.
    pub(super) fn token(&mut self) -> Parse<&Token> {
        if self.peeked.is_none() {
            let token = self.read_token()?;
            self.peeked = Some(token);
        }
        match &self.peeked {
            Some((token, _)) => Ok(token),
            None => Ok(&Token::End),
        }
    }

    /// Where the next token starts in `text`.
    pub(super) fn token_start(&mut self) -> Parse<usize> {
        self.token()?;
        Ok(self.peeked.as_ref().map_or(self.at, |(_, start)| *start))
    }

    pub(super) fn take(&mut self) -> Parse<Token> {
        self.token()?;
        Ok(self.peeked.take().map_or(Token::End, |(token, _)| token))
    }

    /// Where a command may begin: a reserved word is one there, whatever aliases say; else as a command name.
    pub(super) fn expand_aliases(&mut self) -> Parse<()> {
        while !self.aliases.is_empty() && !self.token()?.plain().is_some_and(|text| RESERVED.contains(&text)) {
            if !self.expand_alias()? {
                break;
            }
        }
        Ok(())
    }

    /// Where a command name may stand: replaces an alias by its text until there is none.
    pub(super) fn expand_name_aliases(&mut self) -> Parse<()> {
        while self.expand_alias()? {}
        Ok(())
    }

    /// Replaces the next token by the text of the alias that it is, if it is one.
    fn expand_alias(&mut self) -> Parse<bool> {
        if self.aliases.is_empty() {
            return Ok(false);
        }
        self.token()?;
        let Some((token, start)) = &self.peeked else { return Ok(false) };
        let (start, Some(name)) = (*start, token.plain()) else { return Ok(false) };
        self.active.retain(|alias| alias.end > start);
        if self.active.iter().any(|alias| alias.name == name) {
            return Ok(false);
        }
        let Some(value) = self.aliases.get(name) else { return Ok(false) };
        let (name, value) = (name.to_vec(), value.clone());
        for alias in &mut self.active {
            // A line continuation at its end may have let the name go on behind it.
            alias.end = start + value.len() + alias.end.saturating_sub(self.at);
        }
        self.text.splice(start..self.at, value.iter().copied());
        self.at = start;
        self.peeked = None;
        let end = start + value.len();
        if value.last().is_some_and(|last| matches!(last, b' ' | b'\t')) {
            self.blank_alias = Some(end);
        }
        self.active.push(Active { name, end });
        Ok(true)
    }

    /// The same for an argument, where an alias with a trailing blank came before it.
    pub(super) fn expand_alias_after_blank(&mut self) -> Parse<()> {
        if let Some(end) = self.blank_alias
            && self.token_start()? >= end
        {
            self.blank_alias = None;
            self.expand_name_aliases()?;
        }
        Ok(())
    }

    fn read_token(&mut self) -> Parse<(Token, usize)> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\t') => self.bump(),
                Some(b'#') => {
                    while !matches!(self.raw(0)?, None | Some(b'\n')) {
                        self.at += 1;
                    }
                }
                _ => break,
            }
        }
        let start = self.at;
        let token = match self.peek()? {
            None => Token::End,
            Some(b'\n') => {
                self.bump();
                self.read_here_documents()?;
                Token::Newline
            }
            Some(b'0'..=b'9') => match self.descriptor()? {
                Some(number) => Token::Number(number),
                None => Token::Word(self.word()?),
            },
            Some(_) => match self.operator()? {
                Some(operator) => Token::Operator(operator),
                None => Token::Word(self.word()?),
            },
        };
        Ok((token, start))
    }

    fn operator(&mut self) -> Parse<Option<&'static str>> {
        let Some(first) = self.peek()? else { return Ok(None) };
        if !is_meta(first) {
            return Ok(None);
        }
        let mut read = Vec::new();
        while let Some(next) = self.peek()? {
            read.push(next);
            if !OPERATORS.iter().any(|operator| operator.as_bytes().starts_with(&read)) {
                read.pop();
                break;
            }
            self.bump();
        }
        Ok(OPERATORS.iter().find(|operator| operator.as_bytes() == read).copied())
    }

    /// A descriptor number: digits and right behind them `<` or `>`.
    fn descriptor(&mut self) -> Parse<Option<i32>> {
        let mut len = 0;
        while matches!(self.raw(len)?, Some(b'0'..=b'9')) {
            len += 1;
        }
        if !matches!(self.raw(len)?, Some(b'<' | b'>')) {
            return Ok(None);
        }
        let digits = std::str::from_utf8(&self.text[self.at..self.at + len]).unwrap_or_default();
        let Ok(number) = digits.parse() else { return Ok(None) };
        self.at += len;
        Ok(Some(number))
    }

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

    fn read_here_documents(&mut self) -> Parse<()> {
        for here in std::mem::take(&mut self.pending) {
            let line = self.line;
            let text = self.here_text(&here)?;
            let word = if here.quoted {
                Word { parts: vec![Part::Quoted(text)], assignment: false }
            } else {
                let mut inner = self.nested(text, line);
                Word { parts: inner.here_parts()?, assignment: false }
            };
            // The operator made the cell, and nothing else fills it.
            let _ = here.body.set(word);
        }
        Ok(())
    }

    fn here_text(&mut self, here: &Pending) -> Parse<Vec<u8>> {
        let mut text = Vec::new();
        let mut joined = false;
        loop {
            let mut line = Vec::new();
            while let Some(byte) = self.raw(0)? {
                self.bump();
                line.push(byte);
                if byte == b'\n' {
                    break;
                }
            }
            if line.is_empty() {
                return Ok(text);
            }
            if here.strip_tabs && !joined {
                let tabs = line.iter().take_while(|byte| **byte == b'\t').count();
                line.drain(..tabs);
            }
            let content = line.strip_suffix(b"\n").unwrap_or(&line);
            if !joined && content == here.delimiter {
                return Ok(text);
            }
            let backslashes = content.iter().rev().take_while(|byte| **byte == b'\\').count();
            joined = !here.quoted && backslashes % 2 == 1;
            text.extend_from_slice(&line);
        }
    }

    pub(super) fn unexpected<T>(&self, token: &Token) -> Parse<T> {
        self.error(format!("syntax error: unexpected {token}"))
    }
}

/// Bytes that end an unquoted word.
pub(super) fn is_meta(byte: u8) -> bool {
    matches!(byte, b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')' | b' ' | b'\t' | b'\n')
}

/// Quote removal on a here-document's delimiter, which is not expanded.
fn unquote(text: &[u8]) -> (Vec<u8>, bool) {
    let (mut result, mut quoted) = (Vec::new(), false);
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\'' => {
                quoted = true;
                result.extend(bytes.by_ref().take_while(|byte| *byte != b'\''));
            }
            b'"' => {
                quoted = true;
                while let Some(byte) = bytes.next().filter(|byte| *byte != b'"') {
                    result.extend(if byte == b'\\' { bytes.next() } else { Some(byte) });
                }
            }
            b'\\' => match bytes.next() {
                Some(b'\n') | None => {}
                Some(byte) => {
                    quoted = true;
                    result.push(byte);
                }
            },
            _ => result.push(byte),
        }
    }
    (result, quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_go_on_behind_an_alias() {
        let mut parser = Parser::new(Box::new(Text::new(b"a\nc\n".to_vec())));
        parser.aliases = Rc::new(Aliases::from([(b"a".to_vec(), b"b\\".to_vec()), (b"bc".to_vec(), b":".to_vec())]));
        assert!(parser.next_command().is_ok());
    }
}
