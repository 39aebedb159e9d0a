//! `.` `:` `break` `continue` `eval` `exec` `exit` `return` `shift`.

use std::path::Path;
use std::rc::Rc;

use super::super::execute::simple::Meaning;
use super::super::syntax::source::{Script, Text as Lines};
use super::super::{Flow, Interrupt, Shell, Text};
use super::{number, operands, options};
use crate::applet::{find, os, reason};
use crate::output::Safe;

pub fn colon(_: &mut Shell<'_>, _: &[Text]) -> Flow<u8> {
    Ok(0)
}

pub fn dot(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let [name, arguments @ ..] = operands(args) else {
        return Err(shell.abort(".: needs a file"));
    };
    let Some(path) = script_path(shell, name) else {
        return Err(shell.abort(format_args!(".: {}: not found", Safe(name))));
    };
    let file = match shell.files.open(Path::new(&os(&path))) {
        Ok(file) => file,
        Err(error) => return Err(shell.abort(format_args!(".: {}: {}", Safe(name), reason(&error)))),
    };
    // Arguments are the script's own; without any it shares the caller's (ksh, bash, busybox).
    let outer = (!arguments.is_empty()).then(|| std::mem::replace(&mut shell.arguments, arguments.to_vec().into()));
    shell.calls += 1;
    let result = shell.run_source(Box::new(Script(file)), false);
    shell.calls -= 1;
    if let Some(outer) = outer {
        shell.arguments = outer;
    }
    match result {
        Ok(()) | Err(Interrupt::Return) => Ok(shell.status),
        Err(interrupt) => Err(interrupt),
    }
}

/// A name without a slash is looked up in PATH, where it need not be executable.
fn script_path(shell: &Shell<'_>, name: &[u8]) -> Option<Text> {
    if name.contains(&b'/') {
        return Some(name.to_vec());
    }
    let path = shell.variables.get(b"PATH").unwrap_or_default();
    let candidates = path.split(|byte| *byte == b':').map(|directory| match directory {
        b"" => name.to_vec(),
        directory => [directory, b"/", name].concat(),
    });
    let readable = |candidate: &Text| {
        let stat = shell.files.metadata(Path::new(&os(candidate)));
        stat.is_ok_and(|stat| stat.st_mode & libc::S_IFMT != libc::S_IFDIR)
    };
    candidates.into_iter().find(readable)
}

fn levels(shell: &mut Shell<'_>, args: &[Text]) -> Flow<usize> {
    let Some(operand) = operands(args).first() else { return Ok(1) };
    match number(operand) {
        Some(levels) if levels > 0 => Ok(levels.min(shell.loops)),
        _ => Err(shell.abort(format_args!("{}: {}: bad number", Safe(&args[0]), Safe(operand)))),
    }
}

pub fn break_loop(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    match (levels(shell, args)?, shell.loops) {
        (_, 0) => Ok(0),
        (levels, _) => {
            shell.status = 0;
            Err(Interrupt::Break(levels))
        }
    }
}

pub fn continue_loop(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    match (levels(shell, args)?, shell.loops) {
        (_, 0) => Ok(0),
        (levels, _) => {
            shell.status = 0;
            Err(Interrupt::Continue(levels))
        }
    }
}

pub fn eval(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let text = operands(args).join(&b' ');
    shell.run_source(Box::new(Lines::at(shell.line, text)), false)?;
    Ok(shell.status)
}

pub fn exec(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"cl", b"a")?;
    let Some(name) = parsed.operands.first() else {
        shell.keeps_redirections = true;
        return Ok(shell.substituted.unwrap_or(0));
    };
    let meaning = find(shell.applets, name).map_or(Meaning::Program, Meaning::Applet);
    if let Meaning::Applet(_) = meaning {
        // It takes the shell's place, as a program would.
        shell.reset_traps(shell.options.interactive, shell.options.monitor);
        shell.catch_fatal();
    }
    let mut words = parsed.operands.to_vec();
    if let Some((_, first)) = parsed.options.iter().rev().find(|(letter, _)| *letter == b'a') {
        words[0] = first.to_vec();
    }
    if parsed.has(b'l') {
        words[0].insert(0, b'-');
    }
    let env = if parsed.has(b'c') { Rc::default() } else { shell.variables.environment() };
    shell.status = shell.replace(meaning, name, words, &env);
    let failed = matches!(shell.status, 126 | 127);
    match failed && shell.options.interactive {
        true => Err(Interrupt::Abort),
        false => Err(Interrupt::Exit),
    }
}

/// The status that `exit` and `return` were given.
fn status(shell: &mut Shell<'_>, args: &[Text], otherwise: u8) -> Flow<u8> {
    let Some(operand) = operands(args).first() else { return Ok(otherwise) };
    match number(operand) {
        Some(status) => Ok((status & 0xff) as u8),
        None => Err(shell.abort(format_args!("{}: {}: bad number", Safe(&args[0]), Safe(operand)))),
    }
}

pub fn exit(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    shell.status = status(shell, args, shell.status_of_exit())?;
    match shell.may_leave() {
        true => Err(Interrupt::Exit),
        false => Err(Interrupt::Abort),
    }
}

pub fn return_call(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    shell.status = status(shell, args, shell.status_of_return())?;
    Err(if shell.calls > 0 { Interrupt::Return } else { Interrupt::Exit })
}

pub fn shift(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let count = match operands(args).first() {
        None => Some(1),
        Some(operand) => number(operand),
    };
    match count {
        Some(count) if count <= shell.arguments.len() => {
            shell.arguments.shift(count);
            Ok(0)
        }
        Some(_) => Err(shell.abort("shift: more than there are arguments")),
        None => Err(shell.abort(format_args!("shift: {}: bad number", Safe(&args[1])))),
    }
}
