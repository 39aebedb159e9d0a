//! Aliases (POSIX.1-2024, XCU 2.3.1): a name is replaced in the text, and its value is read in its place.

use super::super::map::Map;
use super::lexer::{Parse, Parser};

pub type Aliases = Map<Vec<u8>, Vec<u8>>;

/// The aliases whose values are being read.
#[derive(Default)]
pub struct Substitutions {
    /// Names, and where their values end in the text: innermost last.
    active: Vec<(Vec<u8>, usize)>,
    /// The end of a value that ends in a blank: the word behind it may be an alias, too.
    blank: Option<usize>,
}

impl Substitutions {
    pub fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// Forgets those that end before this place.
    pub fn end(&mut self, at: usize) {
        self.active.retain(|(_, end)| *end > at);
        self.blank = None;
    }

    /// Whether the token that starts here stands behind an alias that ended in a blank.
    pub fn after_blank(&mut self, start: usize) -> bool {
        let after = self.blank.is_some_and(|end| start >= end);
        if after {
            self.blank = None;
        }
        after
    }

    /// Notes that the text from `start` to `end` has been replaced by a value.
    fn replace(&mut self, name: Vec<u8>, value: &[u8], start: usize, end: usize) {
        let new_end = start + value.len();
        for (_, outer) in &mut self.active {
            // A line continuation at its end may have let the name go on behind it.
            *outer = new_end + outer.saturating_sub(end);
        }
        match &mut self.blank {
            Some(blank) => *blank = new_end + blank.saturating_sub(end),
            None if value.ends_with(b" ") || value.ends_with(b"\t") => self.blank = Some(new_end),
            None => {}
        }
        self.active.push((name, new_end));
    }
}

impl Parser<'_> {
    /// Where a command name may stand: replaces an alias by its text until there is none. `reserved`: a reserved word is
    /// one here, whatever aliases say.
    pub(super) fn expand_aliases(&mut self, reserved: bool) -> Parse<()> {
        while !self.aliases.is_empty() && self.expand_alias(reserved)? {}
        Ok(())
    }

    /// Replaces the next token by the text of the alias that it is, if it is one.
    fn expand_alias(&mut self, reserved: bool) -> Parse<bool> {
        self.token()?;
        let Some((start, name)) = self.plain_token() else { return Ok(false) };
        if reserved && is_reserved(name) {
            return Ok(false);
        }
        let Some(value) = self.aliases.get(name) else { return Ok(false) };
        let (name, value) = (name.to_vec(), value.clone());
        self.substitutions.active.retain(|(_, end)| *end > start);
        if self.substitutions.active.iter().any(|(active, _)| *active == name) {
            return Ok(false);
        }
        let end = self.at;
        self.keep_lines();
        self.text.splice(start..end, value.iter().copied());
        self.substitutions.replace(name, &value, start, end);
        self.replaced(start, end, value.len());
        self.forget_token();
        Ok(true)
    }
}

/// The words of POSIX.1-2024, XCU 2.4. No alias can take their place where they are recognised.
fn is_reserved(word: &[u8]) -> bool {
    matches!(
        word,
        b"!" | b"{"
            | b"}"
            | b"case"
            | b"do"
            | b"done"
            | b"elif"
            | b"else"
            | b"esac"
            | b"fi"
            | b"for"
            | b"if"
            | b"in"
            | b"then"
            | b"until"
            | b"while"
    )
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::shell::syntax::source::Text;

    #[test]
    fn a_name_may_go_on_behind_an_alias() {
        let mut parser = Parser::new(Box::new(Text::new(b"a\nc\n".to_vec())));
        let aliases = [(b"a".to_vec(), b"b\\".to_vec()), (b"bc".to_vec(), b":".to_vec())];
        parser.aliases = Rc::new(aliases.into_iter().collect());
        assert!(parser.next_command().is_ok());
    }
}
