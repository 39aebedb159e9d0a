//! The shell's readers of text, for the fuzzers in `tests/fuzz`: nothing is run.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use super::arithmetic::{self, Scope};
use super::syntax::lexer::Parser;
use super::syntax::source::Text;
use super::syntax::tree::Name;

pub use super::expand::character::Encoding;
pub use super::expand::pattern::matches;

/// Parses a script up to its first error, with aliases as `name=value`.
pub fn parse<'a>(script: &[u8], aliases: impl Iterator<Item = &'a [u8]>) {
    let mut parser = Parser::new(Box::new(Text::new(script.to_vec())));
    parser.aliases = Rc::new(aliases.filter_map(pair).collect());
    while let Ok(Some(_)) = parser.next_command() {}
}

/// Evaluates an expression, with variables as `name=value`.
pub fn evaluate<'a>(expression: &[u8], variables: impl Iterator<Item = &'a [u8]>) {
    let _ = arithmetic::evaluate(expression, &mut Variables(variables.filter_map(pair).collect()));
}

/// The pattern that matches this text alone.
pub fn quoted(text: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::new();
    super::expand::pattern::quote(&mut pattern, text);
    pattern
}

fn pair(text: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let equals = memchr::memchr(b'=', text)?;
    Some((text[..equals].to_vec(), text[equals + 1..].to_vec()))
}

struct Variables(HashMap<Vec<u8>, Vec<u8>>);

impl Scope for Variables {
    fn get(&self, name: &[u8]) -> Result<Option<Cow<'_, [u8]>>, String> {
        Ok(self.0.get(name).map(Cow::from))
    }

    fn set(&mut self, name: &[u8], value: i64) -> Result<(), String> {
        self.0.insert(name.to_vec(), value.to_string().into_bytes());
        Ok(())
    }

    fn parameter(&self, _: &Name) -> Option<i64> {
        None
    }
}
