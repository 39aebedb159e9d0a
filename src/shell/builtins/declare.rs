//! `local` (dash, busybox), and `declare`/`typeset` (bash, ksh) in their plain forms.

use super::super::options::Options;
use super::super::syntax::word::is_name;
use super::super::variables::{Attributes, Listing};
use super::super::{Flow, Shell, Text};
use super::quoted;
use super::variables::split;
use crate::output::{Safe, order};

/// What the options ask for. An attribute is given by `-x`, taken by `+x`, and otherwise stays.
#[derive(Default)]
struct Request {
    exported: Option<bool>,
    readonly: Option<bool>,
    integer: Option<bool>,
    /// `-g`: not of the function, but of all.
    global: bool,
    /// `-p`: show.
    show: bool,
    /// `-F`: the names of functions.
    functions: bool,
}

pub fn local(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    if shell.calls == 0 {
        return Err(shell.abort("local: not in a function"));
    }
    let (request, operands) = parse(shell, args)?;
    for operand in operands {
        match operand.as_slice() {
            b"-" => {
                let options: &Options = &shell.options;
                shell.local_options.get_or_insert_with(|| Box::new(options.clone()));
            }
            operand => set(shell, &args[0], &request, operand)?,
        }
    }
    Ok(0)
}

pub fn declare(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let (request, operands) = parse(shell, args)?;
    if request.functions {
        return Ok(show_functions(shell, operands));
    }
    if request.show || operands.is_empty() {
        return Ok(show(shell, &args[0], operands));
    }
    for operand in operands {
        set(shell, &args[0], &request, operand)?;
    }
    Ok(0)
}

fn parse<'t>(shell: &mut Shell<'_>, args: &'t [Text]) -> Flow<(Request, &'t [Text])> {
    let mut request = Request::default();
    let mut rest = args.get(1..).unwrap_or_default();
    while let Some((word, after)) = rest.split_first() {
        let [sign @ (b'-' | b'+'), letters @ ..] = word.as_slice() else { break };
        if letters.is_empty() {
            break;
        }
        rest = after;
        if word == b"--" {
            break;
        }
        for letter in letters {
            let on = *sign == b'-';
            match letter {
                b'x' => request.exported = Some(on),
                b'r' => request.readonly = Some(on),
                b'i' => request.integer = Some(on),
                b'g' => request.global = true,
                b'p' => request.show = true,
                b'F' => request.functions = true,
                b'a' | b'A' => {
                    return Err(shell.abort(format_args!("{}: arrays are not supported", Safe(&args[0]))));
                }
                _ => {
                    let (name, letter) = (Safe(&args[0]), std::slice::from_ref(letter));
                    return Err(shell.abort(format_args!("{name}: -{}: no such option", Safe(letter))));
                }
            }
        }
    }
    Ok((request, rest))
}

/// Declares one variable: the function's own in a function.
fn set(shell: &mut Shell<'_>, command: &[u8], request: &Request, operand: &[u8]) -> Flow {
    let (name, value) = split(operand);
    if !is_name(name) {
        return Err(shell.abort(format_args!("{}: {}: bad variable name", Safe(command), Safe(name))));
    }
    let local = shell.calls > 0 && !request.global;
    let readonly = shell.variables.attributes(name).is_some_and(|attributes| attributes.readonly);
    if readonly && (local || request.readonly == Some(false)) {
        return Err(shell.abort(format_args!("{}: {}: is read only", Safe(command), Safe(name))));
    }
    // A new one has no value, but is exported as the one was that it hides (as in bash and busybox).
    if local && shell.variables.hide(name) {
        shell.variables.clear(name);
    }
    if let Some(integer) = request.integer {
        shell.variables.make_integer(name, integer);
    }
    if let Some(value) = value {
        shell.assign(name, value.to_vec())?;
    }
    if let Some(exported) = request.exported {
        shell.variables.export(name, exported);
    }
    if request.readonly == Some(true) {
        shell.variables.make_readonly(name);
    }
    Ok(())
}

/// `declare -p`: variables as commands that make them again.
fn show(shell: &mut Shell<'_>, command: &[u8], names: &[Text]) -> u8 {
    let mut text = Text::new();
    let mut status = 0;
    if names.is_empty() {
        for (name, value) in shell.variables.listed(Listing::Set) {
            let attributes = shell.variables.attributes(name).unwrap_or_default();
            text.extend(line(command, name, attributes, value));
        }
    }
    for name in names {
        match shell.variables.attributes(name) {
            Some(attributes) => text.extend(line(command, name, attributes, shell.variables.get(name))),
            None => {
                shell.complain(format_args!("{}: {}: not found", Safe(command), Safe(name)));
                status = 1;
            }
        }
    }
    shell.print(&text) | status
}

fn line(command: &[u8], name: &[u8], attributes: Attributes, value: Option<&[u8]>) -> Text {
    let letters = [(attributes.integer, b'i'), (attributes.readonly, b'r'), (attributes.exported, b'x')];
    let mut options: Text = letters.iter().filter(|(set, _)| *set).map(|(_, letter)| *letter).collect();
    if options.is_empty() {
        options.push(b'-');
    }
    let value = value.map(|value| [b"=", quoted(value).as_slice()].concat()).unwrap_or_default();
    [command, b" -", &options, b" ", name, &value, b"\n"].concat()
}

/// `declare -F`: which functions there are, or whether these are.
fn show_functions(shell: &mut Shell<'_>, names: &[Text]) -> u8 {
    let known: Vec<&[u8]> = match names {
        [] => {
            let mut known: Vec<&[u8]> = shell.functions.keys().map(Text::as_slice).collect();
            order::sort(&mut known);
            known
        }
        names => names.iter().map(Text::as_slice).filter(|name| shell.functions.contains_key(*name)).collect(),
    };
    let prefix: &[u8] = if names.is_empty() { b"declare -f " } else { b"" };
    let text: Text = known.iter().flat_map(|name| [prefix, name, b"\n"].concat()).collect();
    let missing = !names.is_empty() && known.len() < names.len();
    shell.print(&text) | u8::from(missing)
}
