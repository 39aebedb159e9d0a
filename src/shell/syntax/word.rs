//! Characters to the parts of a word: quoting (POSIX.1-2024, XCU 2.2) and what expands (2.6).

mod parameter;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::lexer::{Opened, Operator, Parse, Parser};
use super::tree::{Arithmetic, Assignment, List, Modifier, Name, Parameter, Part, Word};
use crate::output::escape::{self, Dialect, Escape};

/// Where characters stand, which decides what quotes and backslashes mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// An ordinary word; ends before a blank or an operator.
    Word,
    /// `"…"`; ends at the quote.
    Double,
    /// A here-document; ends with the text.
    Here,
    /// The word of `${x-word}`; ends at the brace.
    Brace,
    /// The same inside double quotes, where `'` is an ordinary character.
    QuotedBrace,
    /// The pattern of `${x/pattern/word}`; ends before the slash or the brace.
    Replaced,
    /// The regular expression behind `=~`; ends before a blank outside of its parentheses.
    Regex,
}

impl Place {
    /// Bytes that are more than themselves here.
    const fn special(self) -> &'static [u8] {
        match self {
            Place::Word => b"|&;<>() \t\n\\'\"$`",
            Place::Double => b"\n\\\"$`",
            Place::Here => b"\n\\$`",
            Place::Brace => b"\n\\'\"$`}",
            Place::QuotedBrace => b"\n\\\"$`}",
            Place::Replaced => b"\n\\'\"$`}/",
            Place::Regex => b" \t\n\\'\"$`()",
        }
    }
}

const PLACES: [Place; 7] =
    [Place::Word, Place::Double, Place::Here, Place::Brace, Place::QuotedBrace, Place::Replaced, Place::Regex];

/// For each byte, the bits of the places where it is special.
static SPECIAL: [u8; 256] = {
    let mut table = [0; 256];
    let mut place = 0;
    while place < PLACES.len() {
        let special = PLACES[place].special();
        let mut at = 0;
        while at < special.len() {
            table[special[at] as usize] |= 1 << PLACES[place] as u8;
            at += 1;
        }
        place += 1;
    }
    table
};

/// How many bytes at the start of the text are just themselves.
fn ordinary(text: &[u8], place: Place) -> usize {
    let bit = 1 << place as u8;
    text.iter().position(|byte| SPECIAL[usize::from(*byte)] & bit != 0).unwrap_or(text.len())
}

/// Text that looks like arithmetic, and is read again as commands where it is none (`$((a) | b)`). Where such pieces stand
/// in each other, nothing is tried twice.
#[derive(Default)]
pub struct Attempts {
    /// How many are being made, in each other.
    running: usize,
    /// The places of those that failed.
    failed: BTreeSet<usize>,
    /// Substitutions that were read in one, by their places, with where they end and the line there.
    read: BTreeMap<usize, (Rc<List>, usize, u32)>,
}

impl Attempts {
    /// The text has changed from this place on.
    pub fn forget_from(&mut self, start: usize) {
        self.failed.retain(|at| *at < start);
        self.read.retain(|_, (_, end, _)| *end <= start);
    }
}

/// Collects parts, and neighbouring characters of one kind into one part.
#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn literal(&mut self, byte: u8) {
        match self.0.last_mut() {
            Some(Part::Literal(text)) => text.push(byte),
            _ => self.0.push(Part::Literal(vec![byte])),
        }
    }

    fn literals(&mut self, bytes: &[u8]) {
        match self.0.last_mut() {
            Some(Part::Literal(text)) => text.extend_from_slice(bytes),
            _ => self.0.push(Part::Literal(bytes.to_vec())),
        }
    }

    fn quoted(&mut self, byte: u8) {
        match self.0.last_mut() {
            Some(Part::Quoted(text)) => text.push(byte),
            _ => self.0.push(Part::Quoted(vec![byte])),
        }
    }
}

impl Parser<'_> {
    /// One word. There is at least one character of it.
    pub(super) fn word(&mut self) -> Parse<Word> {
        let rest = &self.text[self.at..];
        let len = ordinary(rest, Place::Word);
        // Most words are just themselves.
        if rest.get(len).is_some_and(|next| is_meta(*next)) && rest[0] != b'~' {
            let parts = vec![Part::Literal(rest[..len].to_vec())];
            self.at += len;
            return Ok(Word { parts, assignment: false });
        }
        self.word_in(Place::Word)
    }

    pub(super) fn word_in(&mut self, place: Place) -> Parse<Word> {
        let line = self.line;
        let parts = self.deeper(|parser| parser.parts(place, line))?;
        Ok(Word { parts: tilde_first(parts), assignment: false })
    }

    /// The body of a here-document.
    pub fn here_parts(&mut self) -> Parse<Vec<Part>> {
        self.parts(Place::Here, self.line)
    }

    /// The parts up to the end of the place, which began in this line.
    fn parts(&mut self, place: Place, line: u32) -> Parse<Vec<Part>> {
        let mut parts = Parts(Vec::with_capacity(2));
        let quoting = matches!(place, Place::Double | Place::Here | Place::QuotedBrace);
        let mut open = 0;
        loop {
            let len = ordinary(&self.text[self.at..], place);
            if len > 0 {
                parts.literals(&self.text[self.at..self.at + len]);
                self.at += len;
            }
            let Some(byte) = self.peek()? else {
                return match place {
                    Place::Word | Place::Here | Place::Regex => Ok(parts.0),
                    Place::Double => self.unterminated("\"", Opened { by: "\"", line }),
                    Place::Brace | Place::QuotedBrace | Place::Replaced => {
                        self.unterminated("}", Opened { by: "${", line })
                    }
                };
            };
            match (byte, place) {
                (b'"', Place::Double) | (b'}', Place::Brace | Place::QuotedBrace) => {
                    self.bump();
                    return Ok(parts.0);
                }
                (_, Place::Word) if is_meta(byte) => return Ok(parts.0),
                (b'/' | b'}', Place::Replaced) => return Ok(parts.0),
                (b' ' | b'\t' | b'\n' | b')', Place::Regex) if open == 0 => return Ok(parts.0),
                (b'(' | b')', Place::Regex) => {
                    open = if byte == b'(' { open + 1 } else { open - 1 };
                    self.bump();
                    parts.literal(byte);
                }
                (b'\\', _) => self.backslash(place, &mut parts)?,
                (b'\'', Place::Word | Place::Brace | Place::Replaced | Place::Regex) => {
                    let text = self.single_quoted()?;
                    parts.0.push(Part::Quoted(text));
                }
                (b'"', Place::Word | Place::Brace | Place::QuotedBrace | Place::Replaced | Place::Regex) => {
                    let line = self.line;
                    self.bump();
                    let inner = self.deeper(|parser| parser.parts(Place::Double, line))?;
                    parts.0.push(Part::Double(inner));
                }
                (b'$', _) => {
                    self.bump();
                    match self.dollar(quoting)? {
                        Some(part) => parts.0.push(part),
                        None => parts.literal(b'$'),
                    }
                }
                (b'`', _) => {
                    let list = self.backquoted(quoting && place != Place::Here)?;
                    parts.0.push(Part::Command(Rc::new(list)));
                }
                _ => {
                    self.bump();
                    parts.literal(byte);
                }
            }
        }
    }

    /// A backslash and what it quotes. Line continuations have been taken out before.
    fn backslash(&mut self, place: Place, parts: &mut Parts) -> Parse<()> {
        self.bump();
        let special = |byte| match place {
            Place::Word | Place::Brace | Place::Replaced | Place::Regex => true,
            Place::Double => matches!(byte, b'$' | b'`' | b'"' | b'\\'),
            Place::Here => matches!(byte, b'$' | b'`' | b'\\'),
            Place::QuotedBrace => matches!(byte, b'$' | b'`' | b'"' | b'\\' | b'}'),
        };
        match self.raw(0)? {
            Some(byte) if special(byte) => {
                self.bump();
                parts.quoted(byte);
            }
            _ => parts.quoted(b'\\'),
        }
        Ok(())
    }

    /// At a single quote: the text up to the next one.
    fn single_quoted(&mut self) -> Parse<Vec<u8>> {
        let line = self.line;
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let rest = &self.text[self.at..];
            let end = memchr::memchr(b'\'', rest);
            let piece = &rest[..end.unwrap_or(rest.len())];
            text.extend_from_slice(piece);
            self.line += memchr::memchr_iter(b'\n', piece).count() as u32;
            self.at += piece.len();
            if end.is_some() {
                self.at += 1;
                return Ok(text);
            }
            if self.raw(0)?.is_none() {
                return self.unterminated("'", Opened { by: "'", line });
            }
        }
    }

    /// What follows a dollar sign; `None` where it stands for itself.
    fn dollar(&mut self, quoting: bool) -> Parse<Option<Part>> {
        let Some(byte) = self.peek()? else { return Ok(None) };
        let name = match byte {
            b'{' => {
                self.bump();
                return self.deeper(|parser| parser.brace(quoting)).map(Some);
            }
            b'(' => return self.deeper(Parser::parenthesis).map(Some),
            b'\'' if !quoting => {
                return self.dollar_quoted().map(|text| Some(Part::Quoted(text)));
            }
            b'0'..=b'9' => {
                self.bump();
                positional(usize::from(byte - b'0'))
            }
            b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!' => {
                self.bump();
                Name::Special(byte)
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Name::Variable(self.name()?),
            _ => return Ok(None),
        };
        Ok(Some(Part::Parameter(Box::new(Parameter { name, modifier: Modifier::None }))))
    }

    fn name(&mut self) -> Parse<Vec<u8>> {
        let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let mut name = Vec::new();
        loop {
            let len = self.text[self.at..].iter().take_while(|byte| in_name(byte)).count();
            name.extend_from_slice(&self.text[self.at..self.at + len]);
            self.at += len;
            // It may go on behind a line continuation.
            if !self.peek()?.is_some_and(|byte| in_name(&byte)) {
                return Ok(name);
            }
        }
    }

    /// `$'…'` (POSIX.1-2024, XCU 2.2.4): the quotes hold C escapes.
    fn dollar_quoted(&mut self) -> Parse<Vec<u8>> {
        let line = self.line;
        self.bump();
        let mut raw = Vec::new();
        loop {
            match self.raw(0)? {
                None => return self.unterminated("'", Opened { by: "$'", line }),
                Some(b'\'') => {
                    self.bump();
                    return Ok(dollar_text(&raw));
                }
                Some(byte) => {
                    self.bump();
                    raw.push(byte);
                    if byte == b'\\'
                        && let Some(next) = self.raw(0)?
                    {
                        self.bump();
                        raw.push(next);
                    }
                }
            }
        }
    }

    /// At the parenthesis of `$(`: arithmetic where it can be, else commands.
    fn parenthesis(&mut self) -> Parse<Part> {
        let (start, opened) = (self.at, Opened { by: "$(", line: self.line });
        if let Some((list, end, line)) = self.attempts.read.get(&start) {
            (self.at, self.line) = (*end, *line);
            return Ok(Part::Command(Rc::clone(list)));
        }
        self.bump();
        if let Some(parts) = self.second_parenthesis()? {
            return Ok(Part::Arithmetic(Box::new(Arithmetic::new(parts))));
        }
        // A newline in there is not the one that the here-documents out here wait for.
        let mut outer = std::mem::take(&mut self.pending);
        let list = Rc::new(self.compound_list_or_nothing()?);
        let complete = self.pending.is_empty();
        outer.append(&mut self.pending);
        self.pending = outer;
        self.expect_operator(Operator::Close, opened)?;
        if self.attempts.running > 0 && complete {
            self.attempts.read.insert(start, (Rc::clone(&list), self.at, self.line));
        }
        Ok(Part::Command(list))
    }

    /// Behind a parenthesis: an arithmetic expression in a second one, up to `))`.
    pub(super) fn second_parenthesis(&mut self) -> Parse<Option<Vec<Part>>> {
        if self.peek()? != Some(b'(') || self.attempts.failed.contains(&self.at) {
            return Ok(None);
        }
        let (at, line, pending) = (self.at, self.line, self.pending.len());
        self.bump();
        self.attempts.running += 1;
        let parts = self.arithmetic()?;
        self.attempts.running -= 1;
        if parts.is_none() {
            self.attempts.failed.insert(at);
            self.pending.truncate(pending);
            (self.at, self.line) = (at, line);
        }
        Ok(parts)
    }

    /// The expression of `$((…))`; `None` where the parentheses close so that it was `$( (…) )`.
    fn arithmetic(&mut self) -> Parse<Option<Vec<Part>>> {
        let Some((parts, _)) = self.expression(b")")? else { return Ok(None) };
        Ok(self.eat(b')')?.then_some(parts))
    }

    /// An expression up to one of the bytes that end it, which is taken too. `None`: the text ends first.
    ///
    /// Notes which of the parentheses in it cannot begin `((…))`, so that none of them is tried when this is read again
    /// as commands: each try would read on to the end.
    fn expression(&mut self, ends: &[u8]) -> Parse<Option<(Vec<Part>, u8)>> {
        let mut parts = Parts::default();
        let (mut open, mut choices) = (Vec::new(), 0);
        loop {
            let Some(byte) = self.peek()? else {
                self.attempts.failed.extend(open);
                return Ok(None);
            };
            let at = self.at;
            self.bump();
            match byte {
                b':' if choices > 0 => {
                    choices -= 1;
                    parts.literal(byte);
                }
                _ if open.is_empty() && ends.contains(&byte) => return Ok(Some((parts.0, byte))),
                b'$' => match self.dollar(true)? {
                    Some(part) => parts.0.push(part),
                    None => parts.literal(b'$'),
                },
                b'`' => {
                    self.at -= 1;
                    let list = self.backquoted(true)?;
                    parts.0.push(Part::Command(Rc::new(list)));
                }
                b'\\' if matches!(self.raw(0)?, Some(b'$' | b'`' | b'\\' | b'"')) => {
                    let quoted = self.raw(0)?.unwrap_or_default();
                    self.bump();
                    parts.literal(quoted);
                }
                b'"' => {}
                b'(' => {
                    open.push(at);
                    parts.literal(byte);
                }
                b')' => {
                    let begun = open.pop();
                    if self.peek()? != Some(b')') {
                        self.attempts.failed.extend(begun);
                    }
                    parts.literal(byte);
                }
                _ => {
                    choices += i32::from(byte == b'?');
                    parts.literal(byte);
                }
            }
        }
    }

    /// At a backquote: the text up to the next one, with one level of backslashes taken off, as commands.
    fn backquoted(&mut self, in_double: bool) -> Parse<List> {
        let line = self.line;
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let Some(byte) = self.raw(0)? else { return self.unterminated("`", Opened { by: "`", line }) };
            self.bump();
            match byte {
                b'`' => break,
                b'\\' => match self.raw(0)? {
                    Some(next) if matches!(next, b'$' | b'`' | b'\\') || next == b'"' && in_double => {
                        self.bump();
                        text.push(next);
                    }
                    _ => text.push(b'\\'),
                },
                _ => text.push(byte),
            }
        }
        let mut inner = self.nested(text, line);
        inner.deeper(Parser::program)
    }
}

/// Bytes that end an unquoted word.
fn is_meta(byte: u8) -> bool {
    matches!(byte, b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')' | b' ' | b'\t' | b'\n')
}

/// The text of `$'…'`, decoded. It ends at a NUL byte, which no argument can hold.
pub(super) fn dollar_text(raw: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            text.push(*byte);
            continue;
        }
        let (escape, len) = escape::read(rest, Dialect::Quote);
        match escape {
            Escape::Byte(0) => break,
            Escape::Byte(value) => text.push(value),
            Escape::Char(char) => text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            Escape::Stop => break,
            Escape::Literal => text.push(b'\\'),
        }
        rest = &rest[len..];
    }
    text
}

pub fn positional(number: usize) -> Name {
    if number == 0 { Name::Special(b'0') } else { Name::Positional(number) }
}

/// Whether this could be the name of a variable or a function.
pub fn is_name(text: &[u8]) -> bool {
    let (name, rest) = split_name(text);
    !name.is_empty() && rest.is_empty()
}

/// Whether this is `name[…]=…`, which assigns to an element of an array elsewhere.
pub fn is_element(text: &[u8]) -> bool {
    let (name, rest) = split_name(text);
    !name.is_empty() && rest.first() == Some(&b'[') && memchr::memmem::find(rest, b"]=").is_some()
}

/// The name that the text begins with, perhaps an empty one, and the rest.
fn split_name(text: &[u8]) -> (&[u8], &[u8]) {
    let len = match text.first() {
        Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => {
            text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
        }
        _ => 0,
    };
    text.split_at(len)
}

/// `name=value` or `name+=value` as an assignment, or the word as it was: the name and the equals sign are not quoted.
pub(super) fn assignment(mut word: Word) -> Result<Assignment, Word> {
    if let Some(name) = element(&word.parts) {
        let value = Word { parts: vec![parameter::no_array(name)], assignment: true };
        return Ok(Assignment { name: name.to_vec(), value });
    }
    let Some(Part::Literal(first)) = word.parts.first_mut() else { return Err(word) };
    let (name, operator) = match split_name(first) {
        (name, [b'=', ..]) if !name.is_empty() => (name.to_vec(), 1),
        (name, [b'+', b'=', ..]) if !name.is_empty() => (name.to_vec(), 2),
        _ => return Err(word),
    };
    first.drain(..name.len() + operator);
    if first.is_empty() {
        word.parts.remove(0);
    }
    let mut parts = tildes(word.parts);
    if operator == 2 {
        // `name+=value` is `name=${name-}value`, as bash and mksh have it.
        let old = Modifier::Default { word: Word::default(), null: false };
        parts.insert(0, Part::Parameter(Box::new(Parameter { name: Name::Variable(name.clone()), modifier: old })));
    }
    Ok(Assignment { name, value: Word { parts, assignment: true } })
}

/// The name in `name[…]=`, the assignment to an element of an array.
fn element(parts: &[Part]) -> Option<&[u8]> {
    let Some(Part::Literal(first)) = parts.first() else { return None };
    let (name, [b'[', ..]) = split_name(first) else { return None };
    let assigns = |part: &Part| matches!(part, Part::Literal(text) if memchr::memmem::find(text, b"]=").is_some());
    (!name.is_empty() && parts.iter().any(assigns)).then_some(name)
}

/// An operand of `export` and its like that looks like an assignment: tilde expansion behind `=` and `:`, no splitting.
pub(super) fn assignment_operand(word: Word) -> Word {
    match assignment(word) {
        Err(word) => word,
        Ok(Assignment { name, value }) => {
            let mut parts = vec![Part::Literal([name.as_slice(), b"="].concat())];
            parts.extend(value.parts);
            Word { parts, assignment: true }
        }
    }
}

/// A tilde at the start of a word (POSIX.1-2024, XCU 2.6.1).
pub(super) fn tilde_first(parts: Vec<Part>) -> Vec<Part> {
    split_tildes(parts, false)
}

/// Tildes at the start of a value and behind each unquoted colon, also in the word of `${x-word}`.
fn tildes(mut parts: Vec<Part>) -> Vec<Part> {
    for part in &mut parts {
        if let Part::Parameter(parameter) = part
            && let Modifier::Default { word, .. } | Modifier::Alternative { word, .. } = &mut parameter.modifier
        {
            word.parts = tildes(without_tildes(std::mem::take(&mut word.parts)));
        }
    }
    split_tildes(parts, true)
}

/// Undoes `tilde_first`, which took for a login name all that stands before a slash.
fn without_tildes(parts: Vec<Part>) -> Vec<Part> {
    let mut result: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match (part, result.last_mut()) {
            (Part::Tilde(user), _) => result.push(Part::Literal([b"~", user.as_slice()].concat())),
            (Part::Literal(text), Some(Part::Literal(before))) => before.extend_from_slice(&text),
            (part, _) => result.push(part),
        }
    }
    result
}

fn split_tildes(parts: Vec<Part>, colons: bool) -> Vec<Part> {
    let tilde = |part: &Part| matches!(part, Part::Literal(text) if text.contains(&b'~'));
    if !parts.iter().any(tilde) {
        return parts;
    }
    let count = parts.len();
    let mut result = Vec::with_capacity(count + 2);
    for (index, part) in parts.into_iter().enumerate() {
        let Part::Literal(text) = part else {
            result.push(part);
            continue;
        };
        let ends = |byte: u8| byte == b'/' || colons && byte == b':';
        let mut start = 0;
        let mut at = 0;
        while at < text.len() {
            let opens = if at == 0 { index == 0 } else { colons && text[at - 1] == b':' };
            if text[at] != b'~' || !opens {
                at += 1;
                continue;
            }
            let len = text[at + 1..].iter().position(|byte| ends(*byte)).unwrap_or(text.len() - at - 1);
            let end = at + 1 + len;
            // A login name that goes on in a quoted or expanded part is not one.
            if end == text.len() && index + 1 < count {
                break;
            }
            if start < at {
                result.push(Part::Literal(text[start..at].to_vec()));
            }
            result.push(Part::Tilde(text[at + 1..end].to_vec()));
            start = end;
            at = end;
        }
        if start < text.len() {
            result.push(Part::Literal(text[start..].to_vec()));
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::dollar_text;
    use crate::shell::syntax::lexer::Parser;
    use crate::shell::syntax::source::Text;

    fn parses(script: &str) -> bool {
        Parser::new(Box::new(Text::new(script.into()))).next_command().is_ok()
    }

    #[test]
    fn what_is_no_arithmetic_is_not_read_again_and_again() {
        assert!(parses("echo $((a) | $((b) | c) )"));
        assert!(!parses(&"$((".repeat(60)));
        assert!(!parses(&["$((".repeat(60), ") )".repeat(60)].concat()));
        assert!(!parses(&"(".repeat(100_000)));
        assert!(!parses(&["(".repeat(100_000), " )".repeat(100_000)].concat()));
    }

    #[test]
    fn dollar_quotes() {
        assert_eq!(dollar_text(b"a\\tb\\n\\'\\\\"), b"a\tb\n'\\");
        assert_eq!(dollar_text(b"\\x41\\101\\u00e9\\e[m\\cA"), "AA\u{e9}\u{1b}[m\u{1}".as_bytes());
        assert_eq!(dollar_text(b"a\\0b"), b"a");
    }
}
