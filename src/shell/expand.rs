//! Words to fields (POSIX.1-2024, XCU 2.6): expansion, splitting, pathnames, quote removal, in one pass.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;

use nix::unistd::User;

use super::tree::{Modifier, Name, Parameter, Part, Word};
use super::{Flow, Shell, Text, arithmetic, glob, pattern};
use crate::output::Safe;

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
    fn push_split(&mut self, text: &[u8], ifs: &[u8]) {
        let mut rest = text;
        while !rest.is_empty() {
            let plain = rest.iter().position(|byte| ifs.contains(byte)).unwrap_or(rest.len());
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
            rest = &rest[1..];
        }
    }
}

/// The value of a parameter.
enum Value<'a> {
    Unset,
    One(Cow<'a, [u8]>),
    /// `$@` or `$*`
    All(Cow<'a, [Text]>),
}

impl Value<'_> {
    /// Whether `${x-word}` and its like take the word; with `null` an empty value counts as unset.
    fn is_absent(&self, null: bool) -> bool {
        match self {
            Value::Unset => true,
            Value::One(text) => null && text.is_empty(),
            Value::All(list) => list.is_empty() || null && list.iter().all(|text| text.is_empty()),
        }
    }

    fn each(self, change: impl Fn(&[u8]) -> &[u8]) -> Value<'static> {
        match self {
            Value::Unset => Value::Unset,
            Value::One(text) => Value::One(Cow::Owned(change(&text).to_vec())),
            Value::All(list) => Value::All(list.iter().map(|text| change(text).to_vec()).collect()),
        }
    }
}

impl Shell<'_> {
    /// The fields of a command's words.
    pub(super) fn expand_words(&mut self, words: &[Word]) -> Flow<Vec<Text>> {
        let mut result = Vec::with_capacity(words.len());
        for word in words {
            match word.parts.as_slice() {
                // Most words are just themselves.
                [Part::Literal(text)] if !text.iter().copied().any(pattern::is_special) => {
                    result.push(text.clone());
                    continue;
                }
                [Part::Quoted(text)] => {
                    result.push(text.clone());
                    continue;
                }
                _ if word.assignment => {
                    result.push(self.expand_single(word)?);
                    continue;
                }
                _ => {}
            }
            let mut out = Expansion { split: true, ..Expansion::default() };
            self.parts(&word.parts, false, &mut out)?;
            let last = (out.open || !out.current.text.is_empty()).then_some(out.current);
            for field in out.fields.into_iter().chain(last) {
                match field.pattern.filter(|pattern| !self.options.noglob && pattern::is_active(pattern)) {
                    Some(pattern) => {
                        let found = glob::expand(&self.files, &pattern);
                        if found.is_empty() {
                            result.push(field.text);
                        }
                        result.extend(found);
                    }
                    None => result.push(field.text),
                }
            }
        }
        Ok(result)
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
            [Part::Arithmetic(parts)] => return Ok(self.arithmetic(parts)?.to_string().into_bytes()),
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
            Part::Arithmetic(parts) => {
                let value = self.arithmetic(parts)?;
                self.push_text(value.to_string().as_bytes(), quoted, out);
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
    pub(super) fn arithmetic(&mut self, parts: &[Part]) -> Flow<i64> {
        match parts {
            [Part::Literal(text)] => self.evaluate(text),
            parts => {
                let expression = self.expand_parts(parts, true)?;
                self.evaluate(&expression)
            }
        }
    }

    /// The value of an arithmetic expression; an error in it ends the script.
    pub(super) fn evaluate(&mut self, expression: &[u8]) -> Flow<i64> {
        arithmetic::evaluate(expression, self).map_err(|message| {
            let text = Safe(expression.trim_ascii()).to_string();
            self.abort(format_args!("{text}: {message}"))
        })
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
        match quoted || !out.split {
            true => out.push(text, quoted),
            false => out.push_split(text, self.ifs()),
        }
    }

    fn push_value(&self, name: &Name, value: Value<'_>, quoted: bool, out: &mut Expansion) {
        let list = match value {
            Value::Unset => return,
            Value::One(text) => return self.push_text(&text, quoted, out),
            Value::All(list) => list,
        };
        if *name == Name::Special(b'*') && (quoted || !out.split) {
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
        match self.ifs().first() {
            Some(separator) => list.join(separator),
            None => list.concat(),
        }
    }

    fn parameter(&mut self, parameter: &Parameter, quoted: bool, out: &mut Expansion) -> Flow {
        let name = &parameter.name;
        match &parameter.modifier {
            Modifier::None => {}
            Modifier::Bad(text) => return Err(self.abort(format_args!("{}: bad substitution", Safe(text)))),
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
            Modifier::Length | Modifier::Prefix { .. } | Modifier::Suffix { .. } => {
                return self.modified(parameter, quoted, out);
            }
        }
        let value = self.value(name);
        if self.options.nounset && matches!(value, Value::Unset) {
            return Err(self.abort(format_args!("{}: parameter not set", show(name))));
        }
        self.push_value(name, value, quoted, out);
        Ok(())
    }

    fn alternative(&mut self, word: &Word, quoted: bool, out: &mut Expansion) -> Flow {
        let outer = std::mem::replace(&mut out.inside, true);
        let result = self.parts(&word.parts, quoted, out);
        out.inside = outer;
        result
    }

    /// `${#x}`, `${x#pattern}` and `${x%pattern}`.
    fn modified(&mut self, Parameter { name, modifier }: &Parameter, quoted: bool, out: &mut Expansion) -> Flow {
        if self.options.nounset && matches!(self.value(name), Value::Unset) {
            return Err(self.abort(format_args!("{}: parameter not set", show(name))));
        }
        let pattern = match modifier {
            Modifier::Prefix { pattern, .. } | Modifier::Suffix { pattern, .. } => self.expand_pattern(pattern)?,
            _ => Cow::default(),
        };
        let value = self.value(name);
        let value = match modifier {
            Modifier::Prefix { longest, .. } => {
                value.each(|text| &text[pattern::prefix(&pattern, text, *longest).unwrap_or(0)..])
            }
            Modifier::Suffix { longest, .. } => {
                value.each(|text| &text[..pattern::suffix(&pattern, text, *longest).unwrap_or(text.len())])
            }
            _ => {
                let len = match &value {
                    Value::Unset => 0,
                    Value::One(text) => text.len(),
                    Value::All(list) => list.len(),
                };
                Value::One(Cow::Owned(len.to_string().into_bytes()))
            }
        };
        self.push_value(name, value, quoted, out);
        Ok(())
    }

    fn value(&self, name: &Name) -> Value<'_> {
        let one = |text: String| Value::One(Cow::Owned(text.into_bytes()));
        match name {
            Name::Variable(name) => self.variable(name).map_or(Value::Unset, Value::One),
            Name::Positional(number) => match self.arguments.get(number - 1) {
                Some(text) => Value::One(Cow::Borrowed(text)),
                None => Value::Unset,
            },
            Name::Special(b'@' | b'*') => Value::All(Cow::Borrowed(&self.arguments)),
            Name::Special(b'#') => one(self.arguments.len().to_string()),
            Name::Special(b'?') => one(self.status.to_string()),
            Name::Special(b'$') => one(self.pid.to_string()),
            Name::Special(b'!') => self.last_background.map_or(Value::Unset, |pid| one(pid.to_string())),
            Name::Special(b'-') => Value::One(Cow::Owned(self.options.letters())),
            Name::Special(_) => Value::One(Cow::Borrowed(&self.name)),
        }
    }

    /// A variable's value, or what a name of the shell's own stands for.
    pub(super) fn variable(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        match name {
            b"LINENO" => Some(Cow::Owned(self.line.to_string().into_bytes())),
            b"SECONDS" => Some(Cow::Owned(self.started.elapsed().as_secs().to_string().into_bytes())),
            _ => self.variables.get(name).map(Cow::Borrowed),
        }
    }
}

fn show(name: &Name) -> String {
    match name {
        Name::Variable(name) => Safe(name).to_string(),
        Name::Positional(number) => number.to_string(),
        Name::Special(byte) => char::from(*byte).to_string(),
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
        self.set_variable(name, value.to_string().into_bytes())
    }
}
