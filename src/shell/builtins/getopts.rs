//! `getopts` (POSIX.1-2024, XCU getopts).

use super::super::syntax::word::is_name;
use super::super::{Flow, Shell, Text};
use super::{number, operands};
use crate::output::Safe;

pub fn getopts(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let [options, name, rest @ ..] = operands(args) else {
        return Err(shell.abort("getopts: needs an option string and a name"));
    };
    if !is_name(name) {
        return Err(shell.abort(format_args!("getopts: {}: bad variable name", Safe(name))));
    }
    let index = shell.variables.get(b"OPTIND").and_then(number).unwrap_or(1).max(1);
    let place = match shell.variables.letter(b"OPTIND") {
        0 => Place { index, letter: 0 },
        // While a word has letters left, OPTIND already says which comes next.
        letter => Place { index: index - 1, letter },
    };
    let words = if rest.is_empty() { &shell.arguments } else { rest };
    let (found, next) = next(options, words, place);
    let silent = options.starts_with(b":");
    let (found, value, status) = match found {
        Found::End => (b'?', None, 1),
        Found::Option(letter, value) => (letter, value, 0),
        Found::Unknown(letter) => {
            if !silent {
                shell.complain(format_args!("illegal option -{}", Safe(&[letter])));
            }
            (b'?', silent.then(|| vec![letter]), 0)
        }
        Found::NoArgument(letter) => {
            if !silent {
                shell.complain(format_args!("no argument for option -{}", Safe(&[letter])));
            }
            (if silent { b':' } else { b'?' }, silent.then(|| vec![letter]), 0)
        }
    };
    let index = next.index + usize::from(next.letter > 0);
    shell.assign(b"OPTIND", index.to_string().into_bytes())?;
    shell.variables.set_letter(b"OPTIND", next.letter);
    shell.assign(name, vec![found])?;
    match value {
        Some(value) => shell.assign(b"OPTARG", value)?,
        // Only a readonly OPTARG cannot be unset, and then it stays.
        None => drop(shell.variables.unset(b"OPTARG")),
    }
    Ok(status)
}

/// A word (from 1), and a letter in it; letter 0 is its start.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    index: usize,
    letter: usize,
}

#[derive(Debug, PartialEq)]
enum Found {
    End,
    Option(u8, Option<Text>),
    Unknown(u8),
    NoArgument(u8),
}

/// The option at a place, and where the next one is.
fn next(options: &[u8], words: &[Text], Place { index, letter: at }: Place) -> (Found, Place) {
    let start = |index| Place { index, letter: 0 };
    let at = at.max(1);
    let Some(word) = words.get(index - 1) else { return (Found::End, start(index)) };
    match word.as_slice() {
        b"--" => return (Found::End, start(index + 1)),
        [b'-', _, ..] => {}
        _ => return (Found::End, start(index)),
    }
    // The words are others than they were.
    let Some(letter) = word.get(at).copied() else { return next(options, words, start(index + 1)) };
    let more = at + 1 < word.len();
    let after = if more { Place { index, letter: at + 1 } } else { start(index + 1) };
    let known = options.iter().position(|known| *known == letter && letter != b':');
    match known {
        None => (Found::Unknown(letter), after),
        Some(known) if options.get(known + 1) == Some(&b':') => match (more, words.get(index)) {
            (true, _) => (Found::Option(letter, Some(word[at + 1..].to_vec())), start(index + 1)),
            (false, Some(value)) => (Found::Option(letter, Some(value.clone())), start(index + 2)),
            (false, None) => (Found::NoArgument(letter), start(index + 1)),
        },
        Some(_) => (Found::Option(letter, None), after),
    }
}
