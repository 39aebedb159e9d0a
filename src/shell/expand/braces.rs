//! Brace expansion, where `set -o braceexpand` asks for it: `{a,b}` and `{1..3}`, as bash has them.

use super::super::syntax::tree::{Part, Word};

/// More words than anybody wants, and longer than anybody writes: what goes beyond stays as it is.
const MAX_WORDS: usize = 100_000;
const MAX_LENGTH: usize = 4096;

/// A character that is not quoted, or a part that braces do not look into.
#[derive(Clone)]
enum Unit<'w> {
    Byte(u8),
    Part(&'w Part),
}

type Units<'w> = Vec<Unit<'w>>;

/// The words that braces make of one. `None`: there are none in it.
pub fn expand(word: &Word) -> Option<Vec<Word>> {
    let braced = |part: &Part| matches!(part, Part::Literal(text) if text.contains(&b'{'));
    if word.assignment || !word.parts.iter().any(braced) {
        return None;
    }
    let mut units = Vec::new();
    for part in &word.parts {
        match part {
            Part::Literal(text) => units.extend(text.iter().copied().map(Unit::Byte)),
            part => units.push(Unit::Part(part)),
        }
    }
    let words = if units.len() <= MAX_LENGTH { alternatives(&units)? } else { return None };
    Some(words.into_iter().map(|units| Word { parts: parts(&units), assignment: false }).collect())
}

fn parts(units: &[Unit<'_>]) -> Vec<Part> {
    let mut parts = Vec::new();
    for unit in units {
        match (unit, parts.last_mut()) {
            (Unit::Byte(byte), Some(Part::Literal(text))) => text.push(*byte),
            (Unit::Byte(byte), _) => parts.push(Part::Literal(vec![*byte])),
            (Unit::Part(part), _) => parts.push((*part).clone()),
        }
    }
    parts
}

/// What the first braces that mean something make of a word, and those behind and inside them. `None`: too much.
fn alternatives<'w>(units: &[Unit<'w>]) -> Option<Vec<Units<'w>>> {
    for (open, _) in units.iter().enumerate().filter(|(_, unit)| matches!(unit, Unit::Byte(b'{'))) {
        let Some((choices, close)) = choices(units, open) else { continue };
        let rests = alternatives(&units[close + 1..])?;
        let mut words = Vec::new();
        for choice in choices {
            for middle in alternatives(&choice)? {
                if words.len() + rests.len() > MAX_WORDS {
                    return None;
                }
                words.extend(rests.iter().map(|rest| [&units[..open], &middle, rest].concat()));
            }
        }
        return Some(words);
    }
    Some(vec![units.to_vec()])
}

/// What stands between the commas of braces, or the members of a sequence, and where they close.
fn choices<'w>(units: &[Unit<'w>], open: usize) -> Option<(Vec<Units<'w>>, usize)> {
    let (mut depth, mut start) = (0, open + 1);
    let mut choices = Vec::new();
    for (at, unit) in units.iter().enumerate().skip(open) {
        let Unit::Byte(byte) = unit else { continue };
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 1 => {
                choices.push(units[start..at].to_vec());
                start = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            if choices.is_empty() {
                return Some((sequence(&units[start..at])?, at));
            }
            choices.push(units[start..at].to_vec());
            return Some((choices, at));
        }
    }
    None
}

/// `1..9`, `01..10..3`, `a..e`
fn sequence<'w>(units: &[Unit<'w>]) -> Option<Vec<Units<'w>>> {
    let byte = |unit: &Unit<'_>| match unit {
        Unit::Byte(byte) => Some(char::from(*byte)),
        Unit::Part(_) => None,
    };
    let text: String = units.iter().map(byte).collect::<Option<_>>()?;
    let ends: Vec<&str> = text.split("..").collect();
    let (from, to, step) = match ends.as_slice() {
        [from, to] => (*from, *to, 0),
        [from, to, step] => (*from, *to, step.parse::<i64>().ok()?),
        _ => return None,
    };
    let letter = |text: &str| match text.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(i64::from(*letter)),
        _ => None,
    };
    let (letters, first, last) = match (letter(from), letter(to)) {
        (Some(first), Some(last)) => (true, first, last),
        _ => (false, from.parse().ok()?, to.parse().ok()?),
    };
    let padded = |text: &str| text.trim_start_matches('-').starts_with('0') && text.trim_start_matches('-').len() > 1;
    let width = if padded(from) || padded(to) { from.len().max(to.len()) } else { 0 };
    let step = step.unsigned_abs().max(1);
    let count = first.abs_diff(last) / step;
    if count >= MAX_WORDS as u64 {
        return None;
    }
    let member = |index: u64| {
        let offset = (index * step) as i64;
        let value = if first <= last { first.wrapping_add(offset) } else { first.wrapping_sub(offset) };
        let text = if letters { vec![value as u8] } else { format!("{value:0width$}").into_bytes() };
        text.into_iter().map(Unit::Byte).collect()
    };
    Some((0..=count).map(member).collect())
}
