//! `alias` `builtin` `command` `hash` `type` `unalias`: what names mean.

use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use super::super::execute::simple::Meaning;
use super::super::start::path_bytes;
use super::super::syntax::lexer::RESERVED;
use super::super::{Flow, Interrupt, Shell, Text};
use super::{Builtin, find, operands, options, quoted};
use crate::applet::{self, Place, os};
use crate::launch::{self, DEFAULT_PATH, Found};
use crate::output::{Safe, order};

pub fn alias(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let show = |name: &[u8], value: &[u8]| [name, b"=", &quoted(value), b"\n"].concat();
    let parsed = options(shell, args, b"p", b"")?;
    if parsed.operands.is_empty() {
        let prefix: &[u8] = if parsed.has(b'p') { b"alias " } else { b"" };
        let line = |(name, value): (&Text, &Text)| [prefix, &show(name, value)].concat();
        let mut lines: Vec<Text> = shell.aliases.iter().map(line).collect();
        order::sort(&mut lines);
        return Ok(shell.print(&lines.concat()));
    }
    let mut status = 0;
    for operand in parsed.operands {
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
    let parsed = options(shell, args, b"a", b"")?;
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
    let parsed = options(shell, args, b"r", b"")?;
    if parsed.has(b'r') {
        shell.hash.forget();
    } else if parsed.operands.is_empty() {
        let lines: Text = shell.hash.iter().flat_map(|path| [path.as_os_str().as_bytes(), b"\n"].concat()).collect();
        return Ok(shell.print(&lines));
    }
    let mut status = 0;
    for name in parsed.operands {
        // Only what is searched for can be remembered: not a path, and no function nor builtin.
        let known = name.contains(&b'/') || matches!(shell.meaning(name), Meaning::Builtin(_) | Meaning::Function(_));
        let found = !known && matches!(shell.locate(name), Found::Program(_));
        if !found && matches!(shell.meaning(name), Meaning::Program) && !known {
            shell.complain(format_args!("hash: {}: not found", Safe(name)));
            status = 1;
        }
    }
    Ok(status)
}

pub fn type_of(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let mut status = 0;
    for name in operands(args) {
        status |= show(shell, name, true, false);
    }
    Ok(status)
}

pub fn command(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"pvV", b"")?;
    let standard = parsed.has(b'p');
    if parsed.has(b'v') || parsed.has(b'V') {
        let verbose = parsed.has(b'V');
        let mut status = 0;
        for name in parsed.operands {
            status = show(shell, name, verbose, standard);
        }
        return Ok(status);
    }
    let Some(name) = parsed.operands.first() else { return Ok(0) };
    let words = parsed.operands.to_vec();
    // Functions are passed over, and a special builtin's error does not end the shell, nor does one inside `eval` or `.`.
    if let Some(builtin) = find(name) {
        return match run(shell, builtin, &words) {
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
            shell.run_child(meaning, words, standard, &text)?;
            Ok(shell.status)
        }
    }
}

fn run(shell: &mut Shell<'_>, builtin: &Builtin, words: &[Text]) -> Flow<u8> {
    if builtin.needs_process {
        shell.depart()?;
    }
    (builtin.run)(shell, words)
}

/// `builtin`: a builtin, or what stands in for one, whatever functions there are.
pub fn builtin(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let words = operands(args);
    let Some(name) = words.first() else { return Ok(0) };
    if let Some(builtin) = find(name) {
        return run(shell, builtin, words);
    }
    match applet::find(shell.applets, name) {
        Some(applet) if applet.place == Place::Inline => Ok(shell.run_applet(applet, words.to_vec())),
        _ => Err(shell.abort(format_args!("builtin: {}: no builtin", Safe(name)))),
    }
}

/// Prints what a name means; `standard`: where the standard utilities are.
fn show(shell: &mut Shell<'_>, name: &[u8], verbose: bool, standard: bool) -> u8 {
    match describe(shell, name, verbose, standard) {
        Some(line) => shell.print(&[line.as_slice(), b"\n"].concat()),
        None => {
            if verbose {
                shell.complain(format_args!("{}: not found", Safe(name)));
            }
            127
        }
    }
}

fn describe(shell: &mut Shell<'_>, name: &[u8], verbose: bool, standard: bool) -> Option<Text> {
    let say = |what: &str| match verbose {
        true => Some([name, b" is ", what.as_bytes()].concat()),
        false => Some(name.to_vec()),
    };
    if RESERVED.contains(&name) {
        return say("a shell keyword");
    }
    if let Some(value) = shell.aliases.get(name) {
        return Some(match verbose {
            true => [name, b" is an alias for ", value].concat(),
            false => [b"alias ", name, b"=", &quoted(value)].concat(),
        });
    }
    match shell.meaning(name) {
        Meaning::Builtin(builtin) if builtin.special => say("a special shell builtin"),
        Meaning::Builtin(_) => say("a shell builtin"),
        Meaning::Function(_) => say("a function"),
        Meaning::Applet(applet) if applet.place == Place::Inline => say("a shell builtin"),
        // The standard wants a path for what might be searched for, and a script may hand it to another program.
        Meaning::Applet(_) => match (program(shell, name, standard), verbose) {
            (Some(path), false) => Some(path),
            (Some(path), true) => Some([name, b" is a command of sidebox, found before ", &path].concat()),
            (None, _) => say("a command of sidebox"),
        },
        Meaning::Program => {
            let path = program(shell, name, standard)?;
            Some(if verbose { [name, b" is ", &path].concat() } else { path })
        }
    }
}

/// The absolute path of the program that a name means.
fn program(shell: &mut Shell<'_>, name: &[u8], standard: bool) -> Option<Text> {
    let found = match standard {
        true => launch::search(&os(name), Some(DEFAULT_PATH.as_ref())),
        false => shell.locate(name),
    };
    let Found::Program(program) = found else { return None };
    let program = if program.is_absolute() { program } else { std::path::absolute(&program).unwrap_or(program) };
    Some(path_bytes(&program))
}
