//! Words to fields (POSIX.1-2024, XCU 2.6): expansion, splitting, pathnames, quote removal, in one pass.

mod braces;
mod change;
pub mod character;
pub mod glob;
mod parameter;
pub mod pattern;
mod substitute;

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;

use nix::unistd::User;

use super::arithmetic::{self, Decimal, Trouble};
use super::syntax::tree::{Arithmetic, Modifier, Name, Part, Word};
use super::{Flow, Interrupt, Shell, Text};
use crate::output::Safe;
use character::Encoding;

/// The fields that came out so far, and the one in progress.
#[derive(Default)]
struct Expansion {
    fields: Vec<Field>,
    current: Field,
    /// The field in progress exists even while it is empty, since something in it was quoted.
    open: bool,
    /// A field was just ended by IFS white space: a delimiter that is none joins it.
    white: bool,
    /// Unquoted expansions are split. Otherwise all is one field.
    split: bool,
    /// In the word of `${x-word}`, which is itself the result of an expansion: its characters are split too.
    inside: bool,
}

#[derive(Default)]
struct Field {
    text: Text,
    /// The text as a pattern in which what was quoted is escaped: made when the first active character comes.
    pattern: Option<Text>,
}

impl Expansion {
    fn push(&mut self, text: &[u8], quoted: bool) {
        self.white = false;
        let field = &mut self.current;
        if !quoted && field.pattern.is_none() && text.iter().copied().any(pattern::is_special) {
            let mut quoted = Vec::new();
            pattern::quote(&mut quoted, &field.text);
            field.pattern = Some(quoted);
        }
        match &mut field.pattern {
            Some(pattern) if quoted => pattern::quote(pattern, text),
            Some(pattern) => pattern.extend_from_slice(text),
            None => {}
        }
        field.text.extend_from_slice(text);
    }

    fn end_field(&mut self) {
        self.open = false;
        self.fields.push(std::mem::take(&mut self.current));
    }

    /// Ends the field in progress if there is one.
    fn break_field(&mut self) {
        if self.open || !self.current.text.is_empty() {
            self.end_field();
        }
    }

    /// The result of an unquoted expansion: field splitting (2.6.5).
    fn push_split(&mut self, text: &[u8], separators: &Separators) {
        let mut rest = text;
        while !rest.is_empty() {
            let plain = separators.position(rest);
            if plain > 0 {
                self.push(&rest[..plain], false);
                rest = &rest[plain..];
                continue;
            }
            if matches!(rest[0], b' ' | b'\t' | b'\n') {
                if self.open || !self.current.text.is_empty() {
                    self.end_field();
                    self.white = true;
                }
            } else if self.white {
                self.white = false;
            } else {
                self.end_field();
            }
            rest = &rest[separators.encoding.len(rest)..];
        }
    }
}

/// The characters of IFS.
pub(super) struct Separators<'a> {
    pub ifs: &'a [u8],
    pub encoding: Encoding,
}

impl Separators<'_> {
    /// Where the first one stands in a text, or its end.
    fn position(&self, text: &[u8]) -> usize {
        let found = match self.encoding {
            Encoding::Byte => text.iter().position(|byte| self.ifs.contains(byte)),
            Encoding::Utf8 => self.encoding.starts(text).find(|start| self.len(&text[*start..]) > 0),
        };
        found.unwrap_or(text.len())
    }

    /// The length of the one that a text begins with; 0 where it begins with none.
    pub(super) fn len(&self, text: &[u8]) -> usize {
        let character = |text| &text[..self.encoding.len(text)];
        let first: &[u8] = character(text);
        let is_one = match self.encoding {
            Encoding::Byte => first.first().is_some_and(|byte| self.ifs.contains(byte)),
            Encoding::Utf8 => self.encoding.starts(self.ifs).any(|start| character(&self.ifs[start..]) == first),
        };
        if is_one { first.len() } else { 0 }
    }
}

impl Shell<'_> {
    /// The fields of a command's words.
    pub(super) fn expand_words(&mut self, words: &[Word]) -> Flow<Vec<Text>> {
        let mut result = Vec::with_capacity(words.len());
        for word in words {
            if self.options.braceexpand
                && let Some(words) = braces::expand(word)
            {
                words.iter().try_for_each(|word| self.expand_word(word, &mut result))?;
            } else {
                self.expand_word(word, &mut result)?;
            }
        }
        Ok(result)
    }

    fn expand_word(&mut self, word: &Word, result: &mut Vec<Text>) -> Flow {
        match word.parts.as_slice() {
            // Most words are just themselves.
            [Part::Literal(text)] if !text.iter().copied().any(pattern::is_special) => {
                result.push(text.clone());
                return Ok(());
            }
            [Part::Quoted(text)] => {
                result.push(text.clone());
                return Ok(());
            }
            _ if word.assignment => {
                result.push(self.expand_single(word)?);
                return Ok(());
            }
            _ => {}
        }
        let mut out = Expansion { split: true, ..Expansion::default() };
        self.parts(&word.parts, false, &mut out)?;
        let last = (out.open || !out.current.text.is_empty()).then_some(out.current);
        for field in out.fields.into_iter().chain(last) {
            match field.pattern.filter(|pattern| !self.options.noglob && pattern::is_active(pattern)) {
                Some(pattern) => {
                    let found = glob::expand(&self.files, &pattern, self.locale());
                    if found.is_empty() {
                        result.push(field.text);
                    }
                    result.extend(found);
                }
                None => result.push(field.text),
            }
        }
        Ok(())
    }

    /// A word that stays one field: the value of an assignment, the target of a redirection, the subject of `case`.
    pub(super) fn expand_single(&mut self, word: &Word) -> Flow<Text> {
        self.expand_parts(&word.parts, false)
    }

    /// Parts that stay one text; `quoted` as in a here-document.
    pub(super) fn expand_parts(&mut self, parts: &[Part], quoted: bool) -> Flow<Text> {
        match parts {
            [] => return Ok(Text::new()),
            [Part::Literal(text) | Part::Quoted(text)] => return Ok(text.clone()),
            [Part::Command(list)] => return self.substitute(list),
            [Part::Arithmetic(arithmetic)] => return Ok(Decimal::from(self.arithmetic(arithmetic)?).to_vec()),
            [Part::Double(parts)] if !quoted => return self.expand_parts(parts, true),
            _ => {}
        }
        let mut out = Expansion::default();
        self.parts(parts, quoted, &mut out)?;
        Ok(out.current.text)
    }

    /// A word as a pattern: what is quoted in it matches itself.
    pub(super) fn expand_pattern<'w>(&mut self, word: &'w Word) -> Flow<Cow<'w, [u8]>> {
        if let [Part::Literal(text)] = word.parts.as_slice() {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = Expansion::default();
        out.current.pattern = Some(Vec::new());
        self.parts(&word.parts, false, &mut out)?;
        Ok(Cow::Owned(out.current.pattern.unwrap_or_default()))
    }

    fn parts(&mut self, parts: &[Part], quoted: bool, out: &mut Expansion) -> Flow {
        parts.iter().try_for_each(|part| self.part(part, quoted, out))
    }

    fn part(&mut self, part: &Part, quoted: bool, out: &mut Expansion) -> Flow {
        match part {
            Part::Literal(text) if out.inside => self.push_text(text, quoted, out),
            Part::Literal(text) => out.push(text, quoted),
            Part::Quoted(text) => {
                out.open = true;
                out.push(text, true);
            }
            Part::Double(parts) => {
                // "$@" without arguments makes no field, unless something else stands in the quotes.
                let vanishes = |part: &Part| match part {
                    Part::Parameter(parameter) => {
                        parameter.name == Name::Special(b'@') && parameter.modifier == Modifier::None
                    }
                    _ => false,
                };
                let empty = self.arguments.is_empty() && !parts.is_empty() && parts.iter().all(vanishes);
                out.open |= !empty;
                self.parts(parts, true, out)?;
            }
            Part::Parameter(parameter) => self.parameter(parameter, quoted, out)?,
            Part::Command(list) => {
                let text = self.substitute(list)?;
                self.push_text(&text, quoted, out);
            }
            Part::Arithmetic(arithmetic) => {
                let value = Decimal::from(self.arithmetic(arithmetic)?);
                self.push_text(&value, quoted, out);
            }
            Part::Tilde(user) => match self.home(user) {
                Some(home) => out.push(&home, true),
                None => {
                    out.push(b"~", true);
                    out.push(user, true);
                }
            },
        }
        Ok(())
    }

    /// `$((…))`
    pub(super) fn arithmetic(&mut self, Arithmetic { parts, expression }: &Arithmetic) -> Flow<i64> {
        let message = match expression.as_ref().map(|expression| expression.value(self)) {
            Some(Ok(value)) => return Ok(value),
            Some(Err(Trouble::Message(message))) => message,
            Some(Err(Trouble::Textual)) | None => {
                let text = self.expand_parts(parts, true)?;
                return self.evaluate(&text);
            }
        };
        let text = self.expand_parts(parts, true)?;
        Err(self.bad_expression(&text, &message))
    }

    /// The value of an arithmetic expression; an error in it ends the script.
    pub(super) fn evaluate(&mut self, text: &[u8]) -> Flow<i64> {
        arithmetic::evaluate(text, self).map_err(|message| self.bad_expression(text, &message))
    }

    fn bad_expression(&mut self, text: &[u8], message: &str) -> Interrupt {
        self.abort(format_args!("{}: {message}", Safe(text.trim_ascii())))
    }

    fn home(&self, user: &[u8]) -> Option<Text> {
        if user.is_empty() {
            return self.variables.get(b"HOME").map(<[u8]>::to_vec);
        }
        let found = User::from_name(std::str::from_utf8(user).ok()?).ok()??;
        Some(found.dir.as_os_str().as_bytes().to_vec())
    }

    /// The delimiters of fields.
    fn ifs(&self) -> &[u8] {
        self.variables.get(b"IFS").unwrap_or(b" \t\n")
    }

    fn push_text(&self, text: &[u8], quoted: bool, out: &mut Expansion) {
        if quoted || !out.split {
            return out.push(text, quoted);
        }
        let ifs = self.ifs();
        out.push_split(text, &Separators { ifs, encoding: self.encoding(ifs) });
    }
}

impl arithmetic::Scope for Shell<'_> {
    fn get(&self, name: &[u8]) -> Result<Option<Cow<'_, [u8]>>, String> {
        match self.variable(name) {
            None if self.options.nounset => Err(format!("{}: parameter not set", Safe(name))),
            value => Ok(value),
        }
    }

    fn set(&mut self, name: &[u8], value: i64) -> Result<(), String> {
        self.set_variable(name, Decimal::from(value).to_vec())
    }

    fn parameter(&self, name: &Name) -> Option<i64> {
        self.number(name)
    }
}
