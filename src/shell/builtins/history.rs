//! `fc` `history`: the commands that were typed.

use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::super::syntax::source::Text as Lines;
use super::super::{Flow, Shell, Text};
use super::{number, options, quoted};
use crate::applet::reason;
use crate::output::Safe;

/// What is edited where neither `-e` nor FCEDIT nor EDITOR says with what. The standard's ed is rarely there.
const EDITOR: &[u8] = b"vi";

/// How many commands `fc -l` lists.
const LISTED: usize = 16;

pub fn history(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"c", b"")?;
    if parsed.has(b'c') {
        shell.history.clear();
        return Ok(0);
    }
    let count = match parsed.operands.first() {
        None => usize::MAX,
        Some(operand) => match number(operand) {
            Some(count) => count,
            None => {
                shell.complain(format_args!("history: {}: bad number", Safe(operand)));
                return Ok(2);
            }
        },
    };
    let first = shell.history.next().saturating_sub(count);
    let chosen = shell.history.iter().filter(|(number, _)| *number >= first);
    let lines: Vec<Text> =
        chosen.map(|(number, text)| [format!("{number:5}  ").as_bytes(), text, b"\n"].concat()).collect();
    Ok(shell.print(&lines.concat()))
}

/// What the options of `fc` say. A negative number is an operand.
#[derive(Default)]
struct Request {
    list: bool,
    unnumbered: bool,
    reverse: bool,
    again: bool,
    editor: Option<Text>,
}

pub fn fc(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let is_operand = |word: &Text| !word.starts_with(b"-") || word.get(1).is_some_and(u8::is_ascii_digit);
    let split = args.iter().skip(1).position(is_operand).map_or(args.len(), |at| at + 1);
    // The argument of `-e` is an operand to this.
    let split = if args[split - 1].ends_with(b"e") && split > 1 { (split + 1).min(args.len()) } else { split };
    let parsed = options(shell, &args[..split], b"lnrs", b"e")?;
    let request = Request {
        list: parsed.has(b'l'),
        unnumbered: parsed.has(b'n'),
        reverse: parsed.has(b'r'),
        again: parsed.has(b's'),
        editor: parsed.options.iter().rfind(|(letter, _)| *letter == b'e').map(|(_, name)| name.to_vec()),
    };
    let operands: Vec<Text> = parsed.operands.iter().chain(&args[split..]).cloned().collect();
    match request {
        Request { list: true, .. } => list(shell, &request, &operands),
        Request { again: true, .. } => again(shell, &operands),
        _ => edit(shell, &request, &operands),
    }
}

/// The numbers of the commands that the operands mean, in the order that they ask for.
fn range(shell: &mut Shell<'_>, request: &Request, operands: &[Text]) -> Option<Vec<usize>> {
    let history = &shell.history;
    let (oldest, newest) = (history.first(), history.last());
    let first = match operands.first() {
        Some(operand) => history.find(operand),
        None if request.list => Some((newest + 1).saturating_sub(LISTED).max(oldest)),
        None => Some(newest),
    };
    let last = match operands.get(1) {
        Some(operand) => history.find(operand),
        None if request.list => Some(newest),
        None => first,
    };
    let (Some(first), Some(last), true) = (first, last, newest >= oldest) else {
        shell.complain("fc: no such command in the history");
        return None;
    };
    let mut numbers: Vec<usize> = (first.min(last)..=first.max(last)).collect();
    if (first > last) != request.reverse {
        numbers.reverse();
    }
    Some(numbers)
}

fn list(shell: &mut Shell<'_>, request: &Request, operands: &[Text]) -> Flow<u8> {
    let Some(numbers) = range(shell, request, operands) else { return Ok(1) };
    let mut lines = Text::new();
    for number in numbers {
        if !request.unnumbered {
            lines.extend_from_slice(number.to_string().as_bytes());
        }
        for line in shell.history.get(number).into_iter().flat_map(|text| text.split(|byte| *byte == b'\n')) {
            lines.extend_from_slice(&[b"\t", line, b"\n"].concat());
        }
    }
    Ok(shell.print(&lines))
}

/// `fc -s [old=new] [first]`: runs a command again, with the first `old` in it replaced.
fn again(shell: &mut Shell<'_>, operands: &[Text]) -> Flow<u8> {
    let change = operands.first().and_then(|first| {
        let at = memchr::memchr(b'=', first)?;
        Some((&first[..at], &first[at + 1..]))
    });
    let rest = if change.is_some() { &operands[1..] } else { operands };
    let Some(numbers) = range(shell, &Request::default(), rest) else { return Ok(1) };
    let mut text = numbers.first().and_then(|number| shell.history.get(*number)).cloned().unwrap_or_default();
    if let Some((old, new)) = change {
        let Some(at) = memchr::memmem::find(&text, old) else {
            shell.complain(format_args!("fc: {}: not in that command", Safe(old)));
            return Ok(1);
        };
        text.splice(at..at + old.len(), new.iter().copied());
    }
    run(shell, text)
}

/// `fc [first [last]]`: runs commands as an editor leaves them. They are in a memory file: there may be no /tmp.
fn edit(shell: &mut Shell<'_>, request: &Request, operands: &[Text]) -> Flow<u8> {
    let Some(numbers) = range(shell, request, operands) else { return Ok(1) };
    let mut text = Text::new();
    for command in numbers.iter().filter_map(|number| shell.history.get(*number)) {
        text.extend_from_slice(&[command, &b"\n"[..]].concat());
    }
    let named = [b"FCEDIT", &b"EDITOR"[..]].into_iter().find_map(|name| shell.variables.get(name)).map(<[u8]>::to_vec);
    let editor = request.editor.clone().or(named).unwrap_or_else(|| EDITOR.to_vec());
    let file = memfd_create(c"commands", MFdFlags::MFD_CLOEXEC).map(std::fs::File::from);
    let written = file.map_err(std::io::Error::from).and_then(|mut file| file.write_all(&text).map(|()| file));
    let mut file = match written {
        Ok(file) => file,
        Err(error) => {
            shell.complain(format_args!("fc: {}", reason(&error)));
            return Ok(1);
        }
    };
    let path = crate::target::files::open_file(shell.pid, file.as_raw_fd());
    let command = [editor.as_slice(), b" ", &quoted(&path)].concat();
    shell.run_source(Box::new(Lines::new(command)), false)?;
    if shell.status != 0 {
        return Ok(shell.status);
    }
    let mut edited = Text::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut edited));
    match read {
        Ok(_) => run(shell, edited),
        Err(error) => {
            shell.complain(format_args!("fc: {}", reason(&error)));
            Ok(1)
        }
    }
}

/// Shows and runs a command, which stands in the history in place of the `fc`.
fn run(shell: &mut Shell<'_>, text: Text) -> Flow<u8> {
    shell.say(&String::from_utf8_lossy(text.trim_ascii_end()));
    shell.history.drop_current();
    shell.record(&text);
    shell.run_source(Box::new(Lines::new(text)), false)?;
    Ok(shell.status)
}
