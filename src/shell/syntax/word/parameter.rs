//! `${…}`: the forms of POSIX.1-2024, XCU 2.6.2, and those of ash, ksh and bash that have come into use.

use super::super::lexer::{Opened, Parse, Parser};
use super::super::tree::{self, Arithmetic, Modifier, Name, Parameter, Part, Word};
use super::{Place, positional, tilde_first};

const NO_ARRAYS: &str = "arrays are not supported";

impl Parser<'_> {
    /// Behind `${`.
    pub(super) fn brace(&mut self, quoting: bool) -> Parse<Part> {
        let (start, opened) = (self.at, Opened { by: "${", line: self.line });
        if self.peek()? == Some(b'#') && self.is_length()? {
            self.bump();
            let name = self.parameter_name()?;
            if let (Some(name), true) = (name, self.eat(b'}')?) {
                return Ok(parameter(name, Modifier::Length));
            }
            return self.bad_substitution(start, opened);
        }
        let Some(name) = self.parameter_name()? else { return self.bad_substitution(start, opened) };
        match self.modifier(quoting, opened)? {
            Some(modifier) => Ok(parameter(name, modifier)),
            None => self.bad_substitution(start, opened),
        }
    }

    /// What stands behind the name, with the closing brace.
    fn modifier(&mut self, quoting: bool, opened: Opened) -> Parse<Option<Modifier>> {
        let colon = self.peek()? == Some(b':');
        let null = colon && matches!(self.ahead(1)?, Some(b'-' | b'=' | b'?' | b'+'));
        if null {
            self.bump();
        }
        let Some(operator) = self.peek()? else { return self.unterminated("}", opened) };
        if !b"}-=?+#%/:^,".contains(&operator) {
            return Ok(None);
        }
        self.bump();
        Ok(Some(match operator {
            b'}' => Modifier::None,
            b'-' => Modifier::Default { word: self.brace_word(quoting)?, null },
            b'=' => Modifier::Assign { word: self.brace_word(quoting)?, null },
            b'?' => Modifier::Error { word: self.brace_word(quoting)?, null },
            b'+' => Modifier::Alternative { word: self.brace_word(quoting)?, null },
            // An offset that is left out is none.
            b':' if self.peek()? == Some(b'}') => return Ok(None),
            b':' => {
                let (offset, more) = self.bound(b":}", opened)?;
                let length = if more { Some(self.bound(b"}", opened)?.0) } else { None };
                Modifier::Substring { offset, length }
            }
            b'/' => self.replacement()?,
            // Quotes in a pattern are quotes, also inside double quotes.
            b'#' | b'%' | b'^' | b',' => {
                let twice = self.eat(operator)?;
                let pattern = self.brace_word(false)?;
                match operator {
                    b'#' => Modifier::Prefix { pattern, longest: twice },
                    b'%' => Modifier::Suffix { pattern, longest: twice },
                    _ => Modifier::Case { pattern, upper: operator == b'^', all: twice },
                }
            }
            _ => return Ok(None),
        }))
    }

    /// One of the two numbers of `${x:o:l}`, and whether the other follows.
    fn bound(&mut self, ends: &[u8], opened: Opened) -> Parse<(Arithmetic, bool)> {
        match self.deeper(|parser| parser.expression(ends))? {
            Some((parts, end)) => Ok((Arithmetic::new(parts), end == b':')),
            None => self.unterminated("}", opened),
        }
    }

    /// Behind `${x/`. A slash right at the start belongs to the pattern.
    fn replacement(&mut self) -> Parse<Modifier> {
        let place = match self.peek()? {
            Some(b'/') => tree::Place::All,
            Some(b'#') => tree::Place::Prefix,
            Some(b'%') => tree::Place::Suffix,
            _ => tree::Place::First,
        };
        if place != tree::Place::First {
            self.bump();
        }
        let slash = place == tree::Place::All && self.eat(b'/')?;
        let line = self.line;
        let mut parts = self.deeper(|parser| parser.parts(Place::Replaced, line))?;
        if slash {
            parts.insert(0, Part::Quoted(b"/".to_vec()));
        }
        let pattern = Word { parts, assignment: false };
        let replacement = if self.eat(b'/')? {
            self.brace_word(false)?
        } else {
            self.bump();
            Word::default()
        };
        Ok(Modifier::Replace { pattern, replacement, place })
    }

    /// At a `#` behind `${`: the length of a parameter, and not the parameter `#` itself.
    fn is_length(&mut self) -> Parse<bool> {
        Ok(match self.ahead(1)? {
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'0'..=b'9' | b'@' | b'*' | b'!' | b'$') => true,
            Some(b'#' | b'?' | b'-') => self.ahead(2)? == Some(b'}'),
            _ => false,
        })
    }

    fn parameter_name(&mut self) -> Parse<Option<Name>> {
        Ok(Some(match self.peek()? {
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => Name::Variable(self.name()?),
            Some(b'0'..=b'9') => {
                let mut number = 0usize;
                while let Some(digit) = self.peek()?.filter(u8::is_ascii_digit) {
                    self.bump();
                    number = number.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
                }
                positional(number)
            }
            Some(b'!') if self.ahead(1)?.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
                self.bump();
                return self.indirect();
            }
            Some(byte @ (b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!')) => {
                self.bump();
                Name::Special(byte)
            }
            _ => return Ok(None),
        }))
    }

    /// Behind `${!`.
    fn indirect(&mut self) -> Parse<Option<Name>> {
        let Some(name) = self.parameter_name()? else { return Ok(None) };
        let like = self.peek()?.filter(|byte| matches!(byte, b'*' | b'@'));
        match (name, like) {
            (Name::Variable(prefix), Some(like)) if self.ahead(1)? == Some(b'}') => {
                self.bump();
                Ok(Some(Name::Names { prefix, like }))
            }
            (name, _) => Ok(Some(Name::Indirect(Box::new(name)))),
        }
    }

    fn brace_word(&mut self, quoting: bool) -> Parse<Word> {
        let place = if quoting { Place::QuotedBrace } else { Place::Brace };
        let line = self.line;
        let parts = self.deeper(|parser| parser.parts(place, line))?;
        let parts = if quoting { parts } else { tilde_first(parts) };
        Ok(Word { parts, assignment: false })
    }

    /// Reads on to the closing brace; the error comes when, and if, this is expanded.
    fn bad_substitution(&mut self, start: usize, opened: Opened) -> Parse<Part> {
        let why = if self.peek()? == Some(b'[') { NO_ARRAYS } else { "bad substitution" };
        let mut open = 1;
        while open > 0 {
            let Some(byte) = self.raw(0)? else { return self.unterminated("}", opened) };
            self.bump();
            match byte {
                b'{' => open += 1,
                b'}' => open -= 1,
                _ => {}
            }
        }
        let text = [b"${", &self.text[start.min(self.at)..self.at]].concat();
        Ok(parameter(Name::Variable(Vec::new()), Modifier::Bad { text, why }))
    }
}

/// What the value of an array's element expands to.
pub fn no_array(name: &[u8]) -> Part {
    parameter(Name::Variable(name.to_vec()), Modifier::Bad { text: name.to_vec(), why: NO_ARRAYS })
}

fn parameter(name: Name, modifier: Modifier) -> Part {
    Part::Parameter(Box::new(Parameter { name, modifier }))
}
