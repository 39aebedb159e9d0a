//! Characters to tokens (POSIX.1-2024, XCU 2.3).

use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

use super::alias::{Aliases, Substitutions};
use super::here::Pending;
use super::source::{Source, Stop, Text};
use super::tree::{Word, Written};
use super::word::Attempts;
use crate::output::Safe;

/// Words of the grammar (POSIX.1-2024, XCU 2.4), with those that it lets a shell add.
pub const RESERVED: [&[u8]; 20] = [
    b"!",
    b"[[",
    b"]]",
    b"case",
    b"do",
    b"done",
    b"elif",
    b"else",
    b"esac",
    b"fi",
    b"for",
    b"function",
    b"if",
    b"in",
    b"then",
    b"time",
    b"until",
    b"while",
    b"{",
    b"}",
];

/// Why there is no command.
#[derive(Debug)]
pub enum ParseError {
    Syntax { line: u32, message: String },
    Stop(Stop),
}

/// Boxed, so that the usual answer is small.
pub type Parse<T> = Result<T, Box<ParseError>>;

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    Word(Word),
    /// Digits right before a redirection operator.
    Number(i32),
    /// `{name}` right before a redirection operator.
    Location(Vec<u8>),
    Operator(Operator),
    Newline,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    AndIf,
    OrIf,
    Pipe,
    PipeBoth,
    And,
    Semicolon,
    Leave,
    FallThrough,
    TryNext,
    Open,
    Close,
    Less,
    LessAnd,
    LessGreat,
    Here,
    HereTabs,
    HereString,
    Great,
    GreatAnd,
    Append,
    Clobber,
    Both,
    AppendBoth,
}

impl Operator {
    pub fn text(self) -> &'static str {
        match self {
            Operator::AndIf => "&&",
            Operator::OrIf => "||",
            Operator::Pipe => "|",
            Operator::PipeBoth => "|&",
            Operator::And => "&",
            Operator::Semicolon => ";",
            Operator::Leave => ";;",
            Operator::FallThrough => ";&",
            Operator::TryNext => ";;&",
            Operator::Open => "(",
            Operator::Close => ")",
            Operator::Less => "<",
            Operator::LessAnd => "<&",
            Operator::LessGreat => "<>",
            Operator::Here => "<<",
            Operator::HereTabs => "<<-",
            Operator::HereString => "<<<",
            Operator::Great => ">",
            Operator::GreatAnd => ">&",
            Operator::Append => ">>",
            Operator::Clobber => ">|",
            Operator::Both => "&>",
            Operator::AppendBoth => "&>>",
        }
    }
}

impl Token {
    /// The text of a word that could be a reserved word.
    #[inline(always)]
    pub fn plain(&self) -> Option<&[u8]> {
        match self {
            Token::Word(word) => word.plain(),
            _ => None,
        }
    }

    #[inline(always)]
    pub fn is(&self, operator: Operator) -> bool {
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
            Token::Location(name) => write!(f, "\"{{{}}}\"", Safe(name)),
            Token::Operator(operator) => write!(f, "\"{}\"", operator.text()),
            Token::Newline => f.write_str("newline"),
            Token::End => f.write_str("end of file"),
        }
    }
}

/// What has begun and has to be ended, for the message where it is not.
#[derive(Clone, Copy)]
pub struct Opened {
    pub by: &'static str,
    pub line: u32,
}

/// Lexer and parser in one value, because a substitution in the middle of a word holds commands.
pub struct Parser<'a> {
    source: Box<dyn Source + 'a>,
    pub(super) text: Vec<u8>,
    pub(super) at: usize,
    /// Where the complete command that is being read begins.
    origin: usize,
    pub(super) line: u32,
    ended: bool,
    /// The next token, once it is known, with its place and line.
    token: Option<Token>,
    token_start: usize,
    token_line: u32,
    /// Here-documents whose bodies come behind the next newline.
    pub(super) pending: Vec<Pending>,
    pub(super) substitutions: Substitutions,
    pub aliases: Rc<Aliases>,
    /// What was found out when text was taken for arithmetic and is read again as commands.
    pub(super) attempts: Attempts,
    /// The text of the command that is being read, for what is made of its pieces.
    written: Rc<OnceCell<Vec<u8>>>,
    /// `set -v`: the lines of a command are kept as they were read.
    pub verbose: bool,
    pub lines: Vec<u8>,
    /// Up to where the text has been kept there.
    kept: usize,
}

impl<'a> Parser<'a> {
    pub fn new(source: Box<dyn Source + 'a>) -> Parser<'a> {
        let line = source.first_line();
        Parser {
            source,
            text: Vec::new(),
            at: 0,
            origin: 0,
            line,
            ended: false,
            token: None,
            token_start: 0,
            token_line: line,
            pending: Vec::new(),
            substitutions: Substitutions::default(),
            aliases: Rc::default(),
            attempts: Attempts::default(),
            written: Rc::default(),
            verbose: false,
            lines: Vec::new(),
            kept: 0,
        }
    }

    /// A parser for text that was taken out of this one's: a here-document, the inside of backquotes.
    pub(super) fn nested(&self, text: Vec<u8>, line: u32) -> Parser<'static> {
        let mut parser = Parser::new(Box::new(Text::at(line, text)));
        parser.aliases = Rc::clone(&self.aliases);
        parser
    }

    /// The line of the next token.
    pub(super) fn line(&self) -> u32 {
        if self.token.is_some() { self.token_line } else { self.line }
    }

    pub(super) fn error<T>(&self, line: u32, message: impl fmt::Display) -> Parse<T> {
        Err(Box::new(ParseError::Syntax { line, message: format!("syntax error: {message}") }))
    }

    /// At a token that was taken and does not belong there.
    pub(super) fn unexpected<T>(&self, token: &Token) -> Parse<T> {
        self.error(self.token_line, format_args!("unexpected {token}"))
    }

    /// The same where something else would have ended what is open.
    pub(super) fn expected<T>(&self, what: &str, opened: Opened, token: &Token) -> Parse<T> {
        if opened.line == self.token_line && *token != Token::End {
            return self.error(self.token_line, format_args!("unexpected {token} (expecting \"{what}\")"));
        }
        let Opened { by, line } = opened;
        self.error(
            self.token_line,
            format_args!("unexpected {token} (expecting \"{what}\" for the \"{by}\" in line {line})"),
        )
    }

    /// At the end of the text, inside of something.
    pub(super) fn unterminated<T>(&mut self, what: &str, opened: Opened) -> Parse<T> {
        self.token_line = self.line;
        self.expected(what, opened, &Token::End)
    }

    /// Whether nothing but blanks and newlines is left of text that was all there from the start.
    pub fn at_end(&self) -> bool {
        self.token.is_none() && self.text[self.at..].trim_ascii().is_empty()
    }

    /// Runs `inner` one level deeper, or refuses where that would end in a stack overflow.
    pub(super) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if crate::sys::stack::is_exhausted() {
            let message = String::from("nested too deeply");
            return Err(Box::new(ParseError::Syntax { line: self.line, message }));
        }
        inner(self)
    }

    /// Forgets the text of the commands that were returned.
    pub(super) fn start_command(&mut self) {
        self.attempts = Attempts::default();
        if self.token.is_none() {
            self.substitutions.end(self.at);
            // Each byte is moved at most once for each that was read.
            if self.substitutions.is_empty() && self.at >= self.text.len() - self.at {
                self.text.drain(..self.at);
                self.kept = self.kept.saturating_sub(self.at);
                self.at = 0;
            }
        }
        self.kept = self.kept.max(self.at);
        self.origin = self.at;
        self.written = Rc::default();
    }

    /// `set -v`: keeps the line that is being read, and all before it.
    pub(super) fn keep_lines(&mut self) {
        if !self.verbose || !self.source.is_input() || self.kept > self.at {
            return;
        }
        let end = match self.at.checked_sub(1).and_then(|last| self.text.get(last)) {
            Some(b'\n') => self.at,
            _ => memchr::memchr(b'\n', &self.text[self.at..]).map_or(self.text.len(), |len| self.at + len + 1),
        };
        self.lines.extend_from_slice(&self.text[self.kept..end]);
        self.kept = end;
    }

    /// Text from `start` to `end` has been replaced by another of this length.
    pub(super) fn replaced(&mut self, start: usize, end: usize, length: usize) {
        self.kept = (self.kept + start + length).saturating_sub(end);
        self.attempts.forget_from(start);
    }

    /// Keeps the text of the command for what was made of it.
    pub(super) fn end_command(&mut self) {
        let end = if self.token.is_some() { self.token_start } else { self.at };
        // Only this sets it.
        let _ = self.written.set(self.text[self.origin..end.max(self.origin)].to_vec());
    }

    /// What was read from `start`, a place in the text, to the next token.
    pub(super) fn written(&mut self, start: usize) -> Parse<Written> {
        let end = self.token_start()?;
        Ok(Written::new(&self.written, start.saturating_sub(self.origin), end.saturating_sub(self.origin)))
    }

    /// Drops everything up to now, after an error in an interactive shell.
    pub fn reset(&mut self) {
        self.text.clear();
        (self.at, self.origin, self.kept) = (0, 0, 0);
        self.token = None;
        self.pending.clear();
        self.substitutions = Substitutions::default();
        // A terminal's end of file is not its end.
        self.ended = false;
    }

    fn fill(&mut self) -> Parse<bool> {
        if self.ended {
            return Ok(false);
        }
        match self.source.more(self.text.len() > self.origin) {
            Ok(Some(text)) => {
                self.text.extend_from_slice(&text);
                Ok(true)
            }
            Ok(None) => {
                self.ended = true;
                Ok(false)
            }
            Err(stop) => Err(Box::new(ParseError::Stop(stop))),
        }
    }

    /// The byte `ahead` of the next one, as it stands.
    #[inline(always)]
    pub(super) fn raw(&mut self, ahead: usize) -> Parse<Option<u8>> {
        match self.text.get(self.at + ahead) {
            Some(byte) => Ok(Some(*byte)),
            None => self.raw_further(ahead),
        }
    }

    fn raw_further(&mut self, ahead: usize) -> Parse<Option<u8>> {
        while self.at + ahead >= self.text.len() {
            if !self.fill()? {
                return Ok(None);
            }
        }
        Ok(Some(self.text[self.at + ahead]))
    }

    /// The next byte, behind any line continuation.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> Parse<Option<u8>> {
        match self.text.get(self.at) {
            Some(byte) if *byte != b'\\' => Ok(Some(*byte)),
            _ => self.peek_behind_continuation(),
        }
    }

    fn peek_behind_continuation(&mut self) -> Parse<Option<u8>> {
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

    /// The byte `ahead` of the next one. Line continuations up to there are taken out of the text.
    pub(super) fn ahead(&mut self, ahead: usize) -> Parse<Option<u8>> {
        loop {
            match self.raw(ahead)? {
                Some(b'\\') if self.raw(ahead + 1)? == Some(b'\n') => {
                    self.text.drain(self.at + ahead..self.at + ahead + 2);
                    self.line += 1;
                }
                byte => return Ok(byte),
            }
        }
    }

    /// Takes the byte that was peeked.
    #[inline(always)]
    pub(super) fn bump(&mut self) {
        if self.text.get(self.at) == Some(&b'\n') {
            self.line += 1;
        }
        self.at += 1;
    }

    /// Takes the next byte if it is this one.
    #[inline(always)]
    pub(super) fn eat(&mut self, byte: u8) -> Parse<bool> {
        let next = self.peek()? == Some(byte);
        if next {
            self.bump();
        }
        Ok(next)
    }

    /// The next token, left in place.
    #[inline(always)]
    pub(super) fn token(&mut self) -> Parse<&Token> {
        self.find_token()?;
        Ok(self.token.as_ref().unwrap_or(&Token::End))
    }

    #[inline(always)]
    fn find_token(&mut self) -> Parse<()> {
        if self.token.is_none() { self.next_token() } else { Ok(()) }
    }

    #[inline(always)]
    fn next_token(&mut self) -> Parse<()> {
        self.skip_blanks()?;
        // The word may hold commands, and so other tokens.
        let (start, line) = (self.at, self.line);
        self.token = Some(self.read_token()?);
        (self.token_start, self.token_line) = (start, line);
        if self.substitutions.after_blank(start) { self.expand_aliases(false) } else { Ok(()) }
    }

    /// Where the next token starts in the text.
    #[inline(always)]
    pub(super) fn token_start(&mut self) -> Parse<usize> {
        self.find_token()?;
        Ok(self.token_start)
    }

    #[inline(always)]
    pub(super) fn take(&mut self) -> Parse<Token> {
        self.find_token()?;
        Ok(self.token.take().unwrap_or(Token::End))
    }

    /// Takes the next token if it is this operator.
    #[inline(always)]
    pub(super) fn take_operator(&mut self, operator: Operator) -> Parse<bool> {
        let next = self.token()?.is(operator);
        if next {
            self.token = None;
        }
        Ok(next)
    }

    /// The next token's place in the text, and its text if it is a plain word.
    pub(super) fn plain_token(&self) -> Option<(usize, &[u8])> {
        Some((self.token_start, self.token.as_ref()?.plain()?))
    }

    /// Reads the next token again from where it starts.
    pub(super) fn forget_token(&mut self) {
        self.at = self.token_start;
        self.line = self.token_line;
        self.token = None;
    }

    /// Passes over blanks and a comment.
    #[inline(always)]
    fn skip_blanks(&mut self) -> Parse<()> {
        loop {
            let blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
            self.at += self.text[self.at..].iter().take_while(blank).count();
            match self.peek()? {
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'#') => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn read_token(&mut self) -> Parse<Token> {
        Ok(match self.peek()? {
            None => Token::End,
            Some(b'\n') => {
                self.bump();
                if !self.pending.is_empty() {
                    self.read_here_documents()?;
                }
                Token::Newline
            }
            Some(b'0'..=b'9') => match self.number()? {
                Some(number) => Token::Number(number),
                None => Token::Word(self.word()?),
            },
            Some(b'{') => match self.location()? {
                Some(name) => Token::Location(name),
                None => Token::Word(self.word()?),
            },
            Some(byte) => match self.operator(byte)? {
                Some(operator) => Token::Operator(operator),
                None => Token::Word(self.word()?),
            },
        })
    }

    /// Passes over a comment up to its newline.
    fn comment(&mut self) -> Parse<()> {
        loop {
            if let Some(len) = memchr::memchr(b'\n', &self.text[self.at..]) {
                self.at += len;
                return Ok(());
            }
            self.at = self.text.len();
            if self.raw(0)?.is_none() {
                return Ok(());
            }
        }
    }

    /// The longest operator that begins with this byte, which is the next one.
    fn operator(&mut self, first: u8) -> Parse<Option<Operator>> {
        if !matches!(first, b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')') {
            return Ok(None);
        }
        self.bump();
        let operator = match first {
            b'(' => Operator::Open,
            b')' => Operator::Close,
            b'|' if self.eat(b'|')? => Operator::OrIf,
            b'|' if self.eat(b'&')? => Operator::PipeBoth,
            b'|' => Operator::Pipe,
            b'&' if self.eat(b'&')? => Operator::AndIf,
            b'&' if self.eat(b'>')? => match self.eat(b'>')? {
                true => Operator::AppendBoth,
                false => Operator::Both,
            },
            b'&' => Operator::And,
            b';' if self.eat(b';')? => match self.eat(b'&')? {
                true => Operator::TryNext,
                false => Operator::Leave,
            },
            b';' if self.eat(b'&')? => Operator::FallThrough,
            b';' => Operator::Semicolon,
            b'<' if self.eat(b'<')? => match self.peek()? {
                Some(b'-') => {
                    self.bump();
                    Operator::HereTabs
                }
                Some(b'<') => {
                    self.bump();
                    Operator::HereString
                }
                _ => Operator::Here,
            },
            b'<' if self.eat(b'&')? => Operator::LessAnd,
            b'<' if self.eat(b'>')? => Operator::LessGreat,
            b'<' => Operator::Less,
            _ if self.eat(b'>')? => Operator::Append,
            _ if self.eat(b'&')? => Operator::GreatAnd,
            _ if self.eat(b'|')? => Operator::Clobber,
            _ => Operator::Great,
        };
        Ok(Some(operator))
    }

    /// The length of something that `belongs` says is right before a redirection operator, if it is.
    fn before_redirection(&mut self, start: usize, belongs: fn(u8) -> bool, end: &[u8]) -> Parse<Option<usize>> {
        let mut len = start;
        while self.ahead(len)?.is_some_and(belongs) {
            len += 1;
        }
        let name = len;
        for byte in end {
            if self.ahead(len)? != Some(*byte) {
                return Ok(None);
            }
            len += 1;
        }
        Ok(matches!(self.ahead(len)?, Some(b'<' | b'>')).then_some(name))
    }

    /// A descriptor number (IO_NUMBER).
    fn number(&mut self) -> Parse<Option<i32>> {
        let Some(len) = self.before_redirection(0, |byte| byte.is_ascii_digit(), b"")? else { return Ok(None) };
        let digits = std::str::from_utf8(&self.text[self.at..self.at + len]).unwrap_or_default();
        let Ok(number) = digits.parse() else { return Ok(None) };
        self.at += len;
        Ok(Some(number))
    }

    /// `{name}` (IO_LOCATION).
    fn location(&mut self) -> Parse<Option<Vec<u8>>> {
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let Some(end) = self.before_redirection(1, in_name, b"}")? else { return Ok(None) };
        let name = self.text[self.at + 1..self.at + end].to_vec();
        if !super::word::is_name(&name) {
            return Ok(None);
        }
        self.at += end + 1;
        Ok(Some(name))
    }
}
