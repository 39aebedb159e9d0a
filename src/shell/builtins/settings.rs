//! `set` `times` `trap`: the state of the shell.

use nix::sys::resource::{UsageWho, getrusage};

use super::super::trap::Condition;
use super::super::variables::Listing;
use super::super::{Flow, Shell, Text};
use super::{number, options, quoted};
use crate::output::Safe;

pub fn set(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let mut rest = args.get(1..).unwrap_or_default();
    if rest.is_empty() {
        let listed = shell.variables.listed(Listing::Set);
        let line = |(name, value): &(&[u8], Option<&[u8]>)| {
            [name, &b"="[..], &quoted(value.unwrap_or_default()), b"\n"].concat()
        };
        let text: Vec<Text> = listed.iter().map(line).collect();
        return Ok(shell.print(&text.concat()));
    }
    while let Some((word, after)) = rest.split_first() {
        let on = match word.first() {
            Some(b'-') if word.len() > 1 => true,
            Some(b'+') if word.len() > 1 => false,
            // A sign alone ends the options; a dash turns tracing off.
            Some(sign @ (b'-' | b'+')) => {
                if *sign == b'-' {
                    (shell.options.xtrace, shell.options.verbose) = (false, false);
                }
                rest = after;
                break;
            }
            _ => break,
        };
        rest = after;
        if word == b"--" {
            shell.arguments = rest.to_vec().into();
            return Ok(0);
        }
        for letter in &word[1..] {
            if *letter != b'o' {
                if !shell.options.set_letter(*letter, on) {
                    return Err(shell.abort(format_args!("set: -{}: no such option", Safe(&[*letter]))));
                }
                continue;
            }
            let Some((name, after)) = rest.split_first() else { return Ok(shell.list_options(on)) };
            rest = after;
            if !shell.options.set_name(name, on) {
                return Err(shell.abort(format_args!("set: -o {}: no such option", Safe(name))));
            }
        }
    }
    if !rest.is_empty() {
        shell.arguments = rest.to_vec().into();
    }
    Ok(0)
}

impl Shell<'_> {
    /// `set -o` for people, `set +o` as commands that set the same state.
    pub fn list_options(&mut self, people: bool) -> u8 {
        let line = |(name, on): (&str, bool)| match people {
            true => format!("{name:<15} {}\n", if on { "on" } else { "off" }),
            false => format!("set {} {name}\n", if on { "-o" } else { "+o" }),
        };
        let lines: String = self.options.list().into_iter().map(line).collect();
        self.print(lines.as_bytes())
    }
}

pub fn times(shell: &mut Shell<'_>, _: &[Text]) -> Flow<u8> {
    let line = |who| {
        let show = |time: nix::sys::time::TimeVal| {
            let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
            format!("{}m{}.{:06}s", micros / 60_000_000, micros / 1_000_000 % 60, micros % 1_000_000)
        };
        match getrusage(who) {
            Ok(usage) => format!("{} {}\n", show(usage.user_time()), show(usage.system_time())),
            Err(errno) => format!("{}\n", errno.desc()),
        }
    };
    let text = line(UsageWho::RUSAGE_SELF) + &line(UsageWho::RUSAGE_CHILDREN);
    Ok(shell.print(text.as_bytes()))
}

pub fn trap(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"p", b"")?;
    if parsed.has(b'p') {
        return Ok(show_traps(shell, parsed.operands));
    }
    // An action that is a number stands for no action: all operands are conditions. So does one that is alone.
    let (action, conditions) = match parsed.operands {
        [] => {
            let lines: Vec<Text> = shell.traps.list().map(|(condition, action)| show(condition, action)).collect();
            return Ok(shell.print(&lines.concat()));
        }
        [first, ..] if number(first).is_some() => (None, parsed.operands),
        [only] => (None, std::slice::from_ref(only)),
        [first, rest @ ..] => (Some(first.clone()).filter(|action| action != b"-"), rest),
    };
    let mut status = 0;
    for name in conditions {
        match condition(shell, name) {
            Some(condition) => shell.set_trap(condition, action.clone()),
            None => status = 1,
        }
    }
    Ok(status)
}

/// The condition of that name, or a complaint.
fn condition(shell: &mut Shell<'_>, name: &[u8]) -> Option<Condition> {
    let condition = Condition::named(name);
    if condition.is_none() {
        shell.complain(format_args!("trap: {}: bad trap", Safe(name)));
    }
    condition
}

/// `trap -p`: these conditions, or all that can be trapped, whether they are or not (POSIX.1-2024, trap).
fn show_traps(shell: &mut Shell<'_>, names: &[Text]) -> u8 {
    let mut status = 0;
    let mut conditions = Vec::with_capacity(names.len());
    for name in names {
        match condition(shell, name) {
            Some(condition) => conditions.push(condition),
            None => status = 1,
        }
    }
    if names.is_empty() {
        conditions = Condition::all().collect();
    }
    let line = |wanted: Condition| {
        let action = shell.traps.list().find(|(condition, _)| *condition == wanted).map(|(_, action)| action);
        action.map_or_else(|| [b"trap -- - ", wanted.name().as_bytes(), b"\n"].concat(), |action| show(wanted, action))
    };
    let lines: Vec<Text> = conditions.into_iter().map(line).collect();
    shell.print(&lines.concat()) | status
}

/// A command that sets a trap again.
fn show(condition: Condition, action: &[u8]) -> Text {
    [b"trap -- ", quoted(action).as_slice(), b" ", condition.name().as_bytes(), b"\n"].concat()
}
