//! `getopts` (POSIX.1-2024, XCU getopts).

use super::super::{Flow, Shell, Text};
use super::number;
use crate::output::Safe;

pub fn getopts(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let [_, options, name, rest @ ..] = args else {
        shell.complain("getopts: needs an option string and a name");
        return Ok(2);
    };
    let index = shell.variables.get(b"OPTIND").and_then(number).unwrap_or(1).max(1);
    // Where in the word the next letter stands; a script that sets OPTIND starts over.
    let at = match shell.option_place {
        (place, at) if place == index => at,
        _ => 0,
    };
    let words = if rest.is_empty() { &shell.arguments } else { rest };
    let step = next(options, words, index, at);
    let silent = options.starts_with(b":");
    let (found, value, status) = match step.found {
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
    shell.option_place = (step.index, step.at);
    let stored = shell.assign(b"OPTIND", step.index.to_string().into_bytes()).and_then(|()| {
        shell.assign(name, vec![found])?;
        match value {
            Some(value) => shell.assign(b"OPTARG", value),
            None => {
                // Only a readonly OPTARG cannot be unset, and then it stays.
                let _ = shell.variables.unset(b"OPTARG");
                Ok(())
            }
        }
    });
    // A readonly variable is an error of this builtin, which does not end a script (POSIX.1-2024, getopts).
    Ok(if stored.is_ok() { status } else { 2 })
}

#[derive(Debug, PartialEq)]
enum Found {
    End,
    Option(u8, Option<Text>),
    Unknown(u8),
    NoArgument(u8),
}

struct Step {
    found: Found,
    index: usize,
    at: usize,
}

/// The option at letter `at` of word `index` (from 1; letter 0: at its start).
fn next(options: &[u8], words: &[Text], index: usize, at: usize) -> Step {
    let end = |index| Step { found: Found::End, index, at: 0 };
    let Some(word) = words.get(index - 1) else { return end(index) };
    let at = if at == 0 { 1 } else { at };
    match word.as_slice() {
        b"--" => return end(index + 1),
        [b'-', _, ..] => {}
        _ => return end(index),
    }
    let Some(letter) = word.get(at).copied() else { return next(options, words, index + 1, 0) };
    let more = at + 1 < word.len();
    let (after_index, after_at) = if more { (index, at + 1) } else { (index + 1, 0) };
    let place = options.iter().position(|known| *known == letter && letter != b':');
    match place {
        None => Step { found: Found::Unknown(letter), index: after_index, at: after_at },
        Some(place) if options.get(place + 1) == Some(&b':') => match (more, words.get(index)) {
            (true, _) => Step { found: Found::Option(letter, Some(word[at + 1..].to_vec())), index: index + 1, at: 0 },
            (false, Some(value)) => Step { found: Found::Option(letter, Some(value.clone())), index: index + 2, at: 0 },
            (false, None) => Step { found: Found::NoArgument(letter), index: index + 1, at: 0 },
        },
        Some(_) => Step { found: Found::Option(letter, None), index: after_index, at: after_at },
    }
}
