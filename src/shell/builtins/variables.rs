//! `export` `local` `readonly` `unset`.

use super::super::variables::Listing;
use super::super::word::is_name;
use super::super::{Flow, Shell, Text};
use super::{options, quoted};
use crate::output::Safe;

pub fn export(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let Some(parsed) = options(shell, args, b"pn", b"") else { return Ok(2) };
    if parsed.operands.is_empty() {
        return Ok(list(shell, "export", Listing::Exported));
    }
    let on = !parsed.has(b'n');
    declare(shell, parsed.operands, "export", |shell, name| shell.variables.export(name, on))
}

pub fn readonly(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let Some(parsed) = options(shell, args, b"p", b"") else { return Ok(2) };
    if parsed.operands.is_empty() {
        return Ok(list(shell, "readonly", Listing::Readonly));
    }
    declare(shell, parsed.operands, "readonly", |shell, name| shell.variables.make_readonly(name))
}

pub fn local(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    if shell.calls == 0 {
        return Err(shell.abort("local: not in a function"));
    }
    for operand in &args[1..] {
        let (name, value) = split(operand);
        if !is_name(name) {
            return Err(shell.abort(format_args!("local: {}: bad variable name", Safe(name))));
        }
        shell.variables.hide(name);
        if let Some(value) = value {
            shell.assign(name, value.to_vec())?;
        }
    }
    Ok(0)
}

fn split(operand: &[u8]) -> (&[u8], Option<&[u8]>) {
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
    let Some(parsed) = options(shell, args, b"fv", b"") else { return Ok(2) };
    for name in parsed.operands {
        if parsed.has(b'f') {
            std::rc::Rc::make_mut(&mut shell.functions).remove(name.as_slice());
            continue;
        }
        if !is_name(name) {
            return Err(shell.abort(format_args!("unset: {}: bad variable name", Safe(name))));
        }
        if let Err(message) = shell.variables.unset(name) {
            return Err(shell.abort(format_args!("unset: {message}")));
        }
        if name == b"SIDEBOX_TARGET" {
            shell.find_target();
        }
    }
    Ok(0)
}
