//! Parameter expansion (POSIX.1-2024, XCU 2.6.2): `$x` and `${…}`.

use std::borrow::Cow;

use super::super::arithmetic::{self, Decimal};
use super::super::syntax::tree::{Arithmetic, Modifier, Name, Parameter, Word};
use super::super::syntax::word::{is_name, positional};
use super::super::{Flow, Shell, Text};
use super::pattern;
use super::{Expansion, change};
use crate::output::Safe;

/// The value of a parameter.
enum Value<'a> {
    Unset,
    One(Cow<'a, [u8]>),
    /// `$@` or `$*`
    All(Cow<'a, [Text]>),
}

impl<'a> Value<'a> {
    fn number(number: impl Into<i64>) -> Value<'static> {
        Value::One(Cow::Owned(Decimal::from(number.into()).to_vec()))
    }

    /// Whether `${x-word}` and its like take the word; with `null` an empty value counts as unset.
    fn is_absent(&self, null: bool) -> bool {
        match self {
            Value::Unset => true,
            Value::One(text) => null && text.is_empty(),
            // What `"$*"` would be is empty.
            Value::All(list) => list.is_empty() || null && list.len() == 1 && list[0].is_empty(),
        }
    }

    /// The same change for each text.
    fn each(self, change: impl for<'t> Fn(&'t [u8]) -> Cow<'t, [u8]>) -> Value<'a> {
        match self {
            Value::Unset => Value::Unset,
            Value::One(Cow::Borrowed(text)) => Value::One(change(text)),
            Value::One(Cow::Owned(text)) => Value::One(Cow::Owned(change(&text).into_owned())),
            Value::All(list) => Value::All(list.iter().map(|text| change(text).into_owned()).collect()),
        }
    }
}

impl Shell<'_> {
    pub(super) fn parameter(&mut self, parameter: &Parameter, quoted: bool, out: &mut Expansion) -> Flow {
        let resolved;
        let name = match &parameter.name {
            Name::Indirect(inner) => {
                resolved = self.resolve(inner)?;
                &resolved
            }
            name => name,
        };
        match &parameter.modifier {
            Modifier::None => {}
            Modifier::Bad { text, why } => return Err(self.abort(format_args!("{}: {why}", Safe(text)))),
            Modifier::Alternative { word, null } => {
                return if self.value(name).is_absent(*null) { Ok(()) } else { self.alternative(word, quoted, out) };
            }
            Modifier::Default { word, null } if self.value(name).is_absent(*null) => {
                return self.alternative(word, quoted, out);
            }
            Modifier::Assign { word, null } if self.value(name).is_absent(*null) => {
                let Name::Variable(variable) = name else {
                    return Err(self.abort(format_args!("{}: cannot assign in this way", show(name))));
                };
                let text = self.expand_parts(&word.parts, quoted)?;
                self.assign(variable, text.clone())?;
                self.push_text(&text, quoted, out);
                return Ok(());
            }
            Modifier::Error { word, null } if self.value(name).is_absent(*null) => {
                let mut message = self.expand_single(word)?;
                if message.is_empty() {
                    message.extend_from_slice(if *null { b"parameter not set or null" } else { b"parameter not set" });
                }
                return Err(self.abort(format_args!("{}: {}", show(name), Safe(&message))));
            }
            Modifier::Default { .. } | Modifier::Assign { .. } | Modifier::Error { .. } => {}
            modifier => return self.modified(name, modifier, quoted, out),
        }
        self.check_set(name)?;
        self.push_value(name, self.value(name), quoted, out);
        Ok(())
    }

    /// `set -u`
    fn check_set(&mut self, name: &Name) -> Flow {
        if self.options.nounset && matches!(self.value(name), Value::Unset) {
            return Err(self.abort(format_args!("{}: parameter not set", show(name))));
        }
        Ok(())
    }

    /// The parameter that the value of `${!x}`'s names.
    fn resolve(&mut self, name: &Name) -> Flow<Name> {
        let text = match self.value(name) {
            Value::One(text) => text.into_owned(),
            // Nothing has this name.
            Value::Unset | Value::All(_) => return Ok(Name::Variable(Text::new())),
        };
        match text.as_slice() {
            [] => Ok(Name::Variable(text)),
            [byte @ (b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!')] => Ok(Name::Special(*byte)),
            _ if is_name(&text) => Ok(Name::Variable(text)),
            digits => match std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()) {
                Some(number) => Ok(positional(number)),
                None => Err(self.abort(format_args!("{}: bad variable name", Safe(&text)))),
            },
        }
    }

    fn alternative(&mut self, word: &Word, quoted: bool, out: &mut Expansion) -> Flow {
        let outer = std::mem::replace(&mut out.inside, true);
        let result = self.parts(&word.parts, quoted, out);
        out.inside = outer;
        result
    }

    /// The forms that make something else of a value.
    fn modified(&mut self, name: &Name, modifier: &Modifier, quoted: bool, out: &mut Expansion) -> Flow {
        self.check_set(name)?;
        let pattern = match modifier {
            Modifier::Prefix { pattern, .. }
            | Modifier::Suffix { pattern, .. }
            | Modifier::Replace { pattern, .. }
            | Modifier::Case { pattern, .. } => self.expand_pattern(pattern)?,
            Modifier::Substring { offset, length } => {
                return self.substring(name, offset, length.as_ref(), quoted, out);
            }
            _ => {
                let length = self.length(name);
                self.push_text(&length, quoted, out);
                return Ok(());
            }
        };
        let replacement = match modifier {
            Modifier::Replace { replacement, .. } => self.expand_single(replacement)?,
            _ => Text::new(),
        };
        let value = self.value(name).each(|text| {
            let encoding = self.encoding(text);
            match modifier {
                Modifier::Prefix { longest, .. } => {
                    Cow::Borrowed(&text[pattern::prefix(&pattern, text, *longest, encoding).unwrap_or(0)..])
                }
                Modifier::Suffix { longest, .. } => {
                    Cow::Borrowed(&text[..pattern::suffix(&pattern, text, *longest, encoding).unwrap_or(text.len())])
                }
                Modifier::Replace { place, .. } => change::replace(text, &pattern, &replacement, *place, encoding),
                Modifier::Case { upper, all, .. } => change::case(text, &pattern, *upper, *all, encoding),
                _ => Cow::Borrowed(text),
            }
        });
        self.push_value(name, value, quoted, out);
        Ok(())
    }

    /// `${#x}`
    fn length(&self, name: &Name) -> Decimal {
        let len = match self.value(name) {
            Value::Unset => 0,
            Value::One(text) => self.encoding(&text).count(&text),
            Value::All(list) => list.len(),
        };
        Decimal::from(len as i64)
    }

    /// `${x:offset:length}`
    fn substring(
        &mut self,
        name: &Name,
        offset: &Arithmetic,
        length: Option<&Arithmetic>,
        quoted: bool,
        out: &mut Expansion,
    ) -> Flow {
        let offset = self.arithmetic(offset)?;
        let length = length.map(|length| self.arithmetic(length)).transpose()?;
        let value = match self.value(name) {
            Value::All(list) => {
                // The first is what it is called by, as if it were a parameter like others.
                let mut all = vec![self.name.clone()];
                all.extend_from_slice(&list);
                let range = change::range(offset, length, all.len());
                Value::All(all[range].to_vec().into())
            }
            value => value.each(|text| Cow::Borrowed(change::substring(text, offset, length, self.encoding(text)))),
        };
        self.push_value(name, value, quoted, out);
        Ok(())
    }

    fn push_value(&self, name: &Name, value: Value<'_>, quoted: bool, out: &mut Expansion) {
        let list = match value {
            Value::Unset => return,
            Value::One(text) => return self.push_text(&text, quoted, out),
            Value::All(list) => list,
        };
        let joins = matches!(name, Name::Special(b'*') | Name::Names { like: b'*', .. });
        if joins && (quoted || !out.split) {
            let joined = self.joined(&list);
            return out.push(&joined, quoted);
        }
        if !out.split {
            return out.push(&list.join(&b' '), quoted);
        }
        for (index, text) in list.iter().enumerate() {
            match (index, quoted) {
                (0, _) => {}
                (_, true) => out.end_field(),
                (_, false) => out.break_field(),
            }
            out.open |= quoted;
            self.push_text(text, quoted, out);
        }
    }

    /// `"$*"`: joined by the first character of IFS.
    fn joined(&self, list: &[Text]) -> Text {
        let ifs = self.ifs();
        list.join(&ifs[..self.encoding(ifs).len(ifs)])
    }

    fn value(&self, name: &Name) -> Value<'_> {
        match name {
            Name::Variable(name) => self.variable(name).map_or(Value::Unset, Value::One),
            Name::Positional(number) => match self.arguments.get(number - 1) {
                Some(text) => Value::One(Cow::Borrowed(text)),
                None => Value::Unset,
            },
            Name::Special(b'@' | b'*') => Value::All(Cow::Borrowed(&self.arguments)),
            Name::Special(b'#') => Value::number(self.arguments.len() as i64),
            Name::Special(b'?') => Value::number(self.status),
            Name::Special(b'$') => Value::number(self.pid.as_raw()),
            Name::Special(b'!') => self.last_background.map_or(Value::Unset, |pid| Value::number(pid.as_raw())),
            Name::Special(b'-') => Value::One(Cow::Owned(self.options.letters())),
            Name::Special(_) => Value::One(Cow::Borrowed(&self.name)),
            Name::Names { prefix, .. } => {
                Value::All(self.variables.names(prefix).into_iter().map(<[u8]>::to_vec).collect())
            }
            // Resolved before.
            Name::Indirect(_) => Value::Unset,
        }
    }

    /// The number that a parameter's value is, if it is one.
    pub(super) fn number(&self, name: &Name) -> Option<i64> {
        match self.value(name) {
            Value::One(text) => arithmetic::number(&text),
            Value::Unset | Value::All(_) => None,
        }
    }

    /// A variable's value, or what a name of the shell's own stands for.
    pub(in crate::shell) fn variable(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        match self.variables.get(name) {
            Some(value) => Some(Cow::Borrowed(value)),
            None => self.dynamic(name).map(Cow::Owned),
        }
    }
}

fn show(name: &Name) -> String {
    match name {
        Name::Variable(name) | Name::Names { prefix: name, .. } => Safe(name).to_string(),
        Name::Positional(number) => number.to_string(),
        Name::Special(byte) => char::from(*byte).to_string(),
        Name::Indirect(name) => format!("!{}", show(name)),
    }
}
