//! `export` `readonly` `unset`.

use super::super::syntax::word::is_name;
use super::super::variables::Listing;
use super::super::{Flow, Shell, Text};
use super::{options, quoted};
use crate::output::Safe;

pub fn export(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"pn", b"")?;
    if parsed.operands.is_empty() {
        return Ok(list(shell, "export", Listing::Exported));
    }
    let on = !parsed.has(b'n');
    declare(shell, parsed.operands, "export", |shell, name| shell.variables.export(name, on))
}

pub fn readonly(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"p", b"")?;
    if parsed.operands.is_empty() {
        return Ok(list(shell, "readonly", Listing::Readonly));
    }
    declare(shell, parsed.operands, "readonly", |shell, name| shell.variables.make_readonly(name))
}

/// Name and value of `name=value`.
pub fn split(operand: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'=', operand) {
        Some(at) => (&operand[..at], Some(&operand[at + 1..])),
        None => (operand, None),
    }
}

fn declare(shell: &mut Shell<'_>, operands: &[Text], command: &str, mark: impl Fn(&mut Shell<'_>, &[u8])) -> Flow<u8> {
    for operand in operands {
        let (name, value) = split(operand);
        if !is_name(name) {
            return Err(shell.abort(format_args!("{command}: {}: bad variable name", Safe(name))));
        }
        if let Some(value) = value {
            shell.assign(name, value.to_vec())?;
        }
        mark(shell, name);
    }
    Ok(0)
}

fn list(shell: &mut Shell<'_>, command: &str, listing: Listing) -> u8 {
    let mut text = Text::new();
    for (name, value) in shell.variables.listed(listing) {
        text.extend_from_slice(&[command.as_bytes(), b" ", name].concat());
        if let Some(value) = value {
            text.extend_from_slice(&[b"=", quoted(value).as_slice()].concat());
        }
        text.push(b'\n');
    }
    shell.print(&text)
}

pub fn unset(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"fv", b"")?;
    // The last one counts. Without any it is a variable, as everywhere but in bash.
    let functions = parsed.options.last().is_some_and(|(letter, _)| *letter == b'f');
    for name in parsed.operands {
        if functions {
            std::rc::Rc::make_mut(&mut shell.functions).remove(name.as_slice());
            continue;
        }
        if !is_name(name) {
            return Err(shell.abort(format_args!("unset: {}: bad variable name", Safe(name))));
        }
        if let Err(message) = shell.variables.unset(name) {
            return Err(shell.abort(format_args!("unset: {message}")));
        }
        shell.dynamic.forget(name);
        if name == b"SIDEBOX_TARGET" {
            shell.find_target();
        }
    }
    Ok(0)
}
