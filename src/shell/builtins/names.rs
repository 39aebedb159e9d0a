//! `alias` `command` `hash` `type` `unalias`: what names mean.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

use super::super::lexer::RESERVED;
use super::super::simple::Meaning;
use super::super::{Flow, Interrupt, Shell, Text};
use super::{find, options, quoted};
use crate::applet::{self, Place, os};
use crate::launch::{self, Found};
use crate::output::Safe;

pub fn alias(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let show = |name: &[u8], value: &[u8]| [name, b"=", &quoted(value), b"\n"].concat();
    if args.len() < 2 {
        let mut lines: Vec<Text> = shell.aliases.iter().map(|(name, value)| show(name, value)).collect();
        lines.sort_unstable();
        return Ok(shell.print(&lines.concat()));
    }
    let mut status = 0;
    for operand in &args[1..] {
        match memchr::memchr(b'=', operand).filter(|at| *at > 0) {
            Some(at) => {
                Rc::make_mut(&mut shell.aliases).insert(operand[..at].to_vec(), operand[at + 1..].to_vec());
            }
            None => match shell.aliases.get(operand.as_slice()).map(|value| show(operand, value)) {
                Some(line) => status |= shell.print(&line),
                None => {
                    shell.complain(format_args!("alias: {}: not found", Safe(operand)));
                    status = 1;
                }
            },
        }
    }
    Ok(status)
}

pub fn unalias(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let Some(parsed) = options(shell, args, b"a", b"") else { return Ok(2) };
    if parsed.has(b'a') {
        shell.aliases = Rc::default();
    }
    let mut status = 0;
    for name in parsed.operands {
        if Rc::make_mut(&mut shell.aliases).remove(name).is_none() {
            shell.complain(format_args!("unalias: {}: not found", Safe(name)));
            status = 1;
        }
    }
    Ok(status)
}

pub fn hash(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let Some(parsed) = options(shell, args, b"rv", b"") else { return Ok(2) };
    let mut status = 0;
    for name in parsed.operands {
        if describe(shell, name, false).is_none() {
            shell.complain(format_args!("hash: {}: not found", Safe(name)));
            status = 1;
        }
    }
    Ok(status)
}

pub fn type_of(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let mut status = 0;
    for name in args.get(1..).unwrap_or_default() {
        status |= show(shell, name, true);
    }
    Ok(status)
}

pub fn command(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let Some(parsed) = options(shell, args, b"pvV", b"") else { return Ok(2) };
    if parsed.has(b'v') || parsed.has(b'V') {
        let verbose = parsed.has(b'V');
        let mut status = 0;
        for name in parsed.operands {
            status = show(shell, name, verbose);
        }
        return Ok(status);
    }
    let Some(name) = parsed.operands.first() else { return Ok(0) };
    let words = parsed.operands.to_vec();
    // Functions are passed over, and a special builtin's error does not end the shell, nor does one inside `eval` or `.`.
    if let Some(builtin) = find(name) {
        return match (builtin.run)(shell, &words) {
            Err(Interrupt::Abort) => Ok(shell.status),
            result => result,
        };
    }
    match applet::find(shell.applets, name) {
        Some(applet) if applet.place == Place::Inline => Ok(shell.run_applet(applet, words)),
        found => {
            let meaning = found.map_or(Meaning::Program, Meaning::Applet);
            let text = words.join(&b' ').into();
            shell.depart()?;
            shell.run_child(meaning, words, &text)?;
            Ok(shell.status)
        }
    }
}

/// Prints what a name means.
fn show(shell: &mut Shell<'_>, name: &[u8], verbose: bool) -> u8 {
    match describe(shell, name, verbose) {
        Some(line) => shell.print(&[line.as_slice(), b"\n"].concat()),
        None => {
            if verbose {
                shell.complain(format_args!("{}: not found", Safe(name)));
            }
            127
        }
    }
}

fn describe(shell: &Shell<'_>, name: &[u8], verbose: bool) -> Option<Text> {
    let say = |what: &str| match verbose {
        true => Some([name, b" is ", what.as_bytes()].concat()),
        false => Some(name.to_vec()),
    };
    if RESERVED.contains(&name) {
        return say("a shell keyword");
    }
    if let Some(value) = shell.aliases.get(name) {
        let value = quoted(value);
        return Some(match verbose {
            true => [name, b" is an alias for ", &value].concat(),
            false => [b"alias ", name, b"=", &value].concat(),
        });
    }
    match shell.meaning(name) {
        Meaning::Builtin(builtin) if builtin.special => say("a special shell builtin"),
        Meaning::Builtin(_) => say("a shell builtin"),
        Meaning::Function(_) => say("a function"),
        Meaning::Applet(_) => say("a command of sidebox"),
        Meaning::Program => {
            let path = shell.variables.get(b"PATH").map(os);
            let Found::Program(program) = launch::search(&os(name), path.as_deref()) else { return None };
            let program = absolute(program);
            let text = program.as_os_str().as_bytes();
            Some(if verbose { [name, b" is ", text].concat() } else { text.to_vec() })
        }
    }
}

fn absolute(path: PathBuf) -> PathBuf {
    if path.is_absolute() { path } else { std::path::absolute(&path).unwrap_or(path) }
}
