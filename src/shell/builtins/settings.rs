//! `set` `times` `trap` `ulimit` `umask`: the state of the shell's process.

use nix::sys::resource::{RLIM_INFINITY, Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::stat::{Mode, umask as set_umask};

use super::super::trap::Condition;
use super::super::variables::Listing;
use super::super::{Flow, Shell, Text};
use super::{number, options, quoted};
use crate::output::Safe;
use crate::sys::stack;

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
            // A single dash ends the options, and turns tracing off.
            Some(b'-') => {
                (shell.options.xtrace, shell.options.verbose) = (false, false);
                rest = after;
                if !rest.is_empty() {
                    shell.arguments = rest.to_vec().into();
                }
                return Ok(0);
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
            true => format!("{name:<12} {}\n", if on { "on" } else { "off" }),
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
    if parsed.operands.is_empty() {
        let show = |(condition, action): (Condition, &Text)| {
            [b"trap -- ", quoted(action).as_slice(), b" ", condition.name().as_bytes(), b"\n"].concat()
        };
        let lines: Vec<Text> = shell.traps.list().map(show).collect();
        return Ok(shell.print(&lines.concat()));
    }
    // An action that is a number stands for no action: all operands are conditions.
    let (action, conditions) = match parsed.operands {
        [first, ..] if number(first).is_some() => (None, parsed.operands),
        [only] => (None, std::slice::from_ref(only)),
        [first, rest @ ..] => (Some(first.clone()).filter(|action| action != b"-"), rest),
        [] => (None, parsed.operands),
    };
    let mut status = 0;
    for name in conditions {
        match Condition::named(name) {
            Some(condition) => shell.set_trap(condition, action.clone()),
            None => {
                shell.complain(format_args!("trap: {}: bad trap", Safe(name)));
                status = 1;
            }
        }
    }
    Ok(status)
}

/// Letter, unit in bytes (or seconds, or ones), name, resource.
const LIMITS: [(u8, u64, &str, Resource); 9] = [
    (b'c', 512, "core file (blocks)", Resource::RLIMIT_CORE),
    (b'd', 1024, "data (KiB)", Resource::RLIMIT_DATA),
    (b'f', 512, "file size (blocks)", Resource::RLIMIT_FSIZE),
    (b'm', 1024, "resident memory (KiB)", Resource::RLIMIT_RSS),
    (b'n', 1, "open files", Resource::RLIMIT_NOFILE),
    (b's', 1024, "stack (KiB)", Resource::RLIMIT_STACK),
    (b't', 1, "processor time (seconds)", Resource::RLIMIT_CPU),
    (b'u', 1, "processes", Resource::RLIMIT_NPROC),
    (b'v', 1024, "address space (KiB)", Resource::RLIMIT_AS),
];

pub fn ulimit(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"HSacdfmnstuv", b"")?;
    let (hard, soft) = (parsed.has(b'H'), parsed.has(b'S'));
    let show = |(_, unit, _, resource): &(u8, u64, &str, Resource)| match get_limit(*resource) {
        Ok((low, high)) => match if hard { high } else { low } {
            RLIM_INFINITY => String::from("unlimited"),
            limit => (limit / unit).to_string(),
        },
        Err(errno) => String::from(errno.desc()),
    };
    if parsed.has(b'a') {
        let lines: String =
            LIMITS.iter().map(|row| format!("-{}: {:<26} {}\n", char::from(row.0), row.2, show(row))).collect();
        return Ok(shell.print(lines.as_bytes()));
    }
    let letter = parsed.options.iter().rev().map(|(letter, _)| *letter).find(|letter| !b"HS".contains(letter));
    let Some(row) = LIMITS.iter().find(|row| row.0 == letter.unwrap_or(b'f')) else { return Ok(2) };
    let Some(operand) = parsed.operands.first() else {
        return Ok(shell.print(format!("{}\n", show(row)).as_bytes()));
    };
    let limit = match operand.as_slice() {
        b"unlimited" => Some(RLIM_INFINITY),
        text => number(text).and_then(|value| (value as u64).checked_mul(row.1)),
    };
    let Some(limit) = limit else {
        shell.complain(format_args!("ulimit: {}: bad number", Safe(operand)));
        return Ok(2);
    };
    let changed = get_limit(row.3).and_then(|(low, high)| {
        let (new_low, new_high) = match (hard, soft) {
            (true, false) => (low, limit),
            (false, true) => (limit, high),
            _ => (limit, limit),
        };
        set_limit(row.3, new_low, new_high)
    });
    if let Err(errno) = changed {
        shell.complain(format_args!("ulimit: {}: {}", row.2, errno.desc()));
        return Ok(1);
    }
    Ok(0)
}

/// A limit as programs get it: the shell raises that of its own stack.
fn get_limit(resource: Resource) -> nix::Result<(u64, u64)> {
    if resource == Resource::RLIMIT_STACK { stack::limit() } else { getrlimit(resource) }
}

fn set_limit(resource: Resource, soft: u64, hard: u64) -> nix::Result<()> {
    if resource == Resource::RLIMIT_STACK { stack::set_limit(soft, hard) } else { setrlimit(resource, soft, hard) }
}

pub fn umask(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"S", b"")?;
    // The mask can only be read by setting it.
    let old = set_umask(Mode::empty());
    set_umask(old);
    let Some(operand) = parsed.operands.first() else {
        let text = match parsed.has(b'S') {
            true => symbolic(old.bits()),
            false => format!("{:04o}\n", old.bits()),
        };
        return Ok(shell.print(text.as_bytes()));
    };
    let octal = std::str::from_utf8(operand).ok().and_then(|text| u32::from_str_radix(text, 8).ok());
    match octal.filter(|mask| *mask <= 0o777).or_else(|| apply(operand, old.bits())) {
        Some(mask) => {
            set_umask(Mode::from_bits_truncate(mask));
            Ok(0)
        }
        None => {
            shell.complain(format_args!("umask: {}: bad mask", Safe(operand)));
            Ok(1)
        }
    }
}

fn symbolic(mask: u32) -> String {
    let class = |shift: u32| {
        let allowed = !(mask >> shift) & 7;
        let letters = [(4, 'r'), (2, 'w'), (1, 'x')];
        letters.iter().filter(|(bit, _)| allowed & bit != 0).map(|(_, letter)| *letter).collect::<String>()
    };
    format!("u={},g={},o={}\n", class(6), class(3), class(0))
}

/// A symbolic mask such as `u=rwx,g-w,o=g`: it names what is allowed.
fn apply(text: &[u8], mask: u32) -> Option<u32> {
    let mut allowed = !mask & 0o777;
    for clause in text.split(|byte| *byte == b',') {
        let who_len = clause.iter().take_while(|byte| b"ugoa".contains(byte)).count();
        let who = clause[..who_len].iter().fold(0, |who, byte| who | class_bits(*byte));
        let who = if who == 0 { 0o777 } else { who };
        let mut rest = &clause[who_len..];
        if rest.is_empty() {
            return None;
        }
        while let Some((operator, after)) = rest.split_first() {
            let len = after.iter().take_while(|byte| !b"+-=".contains(byte)).count();
            let mut bits = 0;
            for byte in &after[..len] {
                bits |= match byte {
                    b'r' => 0o444,
                    b'w' => 0o222,
                    b'x' => 0o111,
                    b'X' | b's' | b't' => 0,
                    b'u' => (allowed >> 6 & 7) * 0o111,
                    b'g' => (allowed >> 3 & 7) * 0o111,
                    b'o' => (allowed & 7) * 0o111,
                    _ => return None,
                };
            }
            match operator {
                b'+' => allowed |= bits & who,
                b'-' => allowed &= !(bits & who),
                b'=' => allowed = allowed & !who | bits & who,
                _ => return None,
            }
            rest = &after[len..];
        }
    }
    Some(!allowed & 0o777)
}

fn class_bits(class: u8) -> u32 {
    match class {
        b'u' => 0o700,
        b'g' => 0o070,
        b'o' => 0o007,
        _ => 0o777,
    }
}

#[cfg(test)]
mod tests {
    use super::{apply, symbolic};

    #[test]
    fn symbolic_masks() {
        assert_eq!(symbolic(0o022), "u=rwx,g=rx,o=rx\n");
        assert_eq!(apply(b"g=u", 0o077), Some(0o007));
        assert_eq!(apply(b"u=rwx,g=rx,o=", 0o022), Some(0o027));
        assert_eq!(apply(b"a-w", 0o000), Some(0o222));
        assert_eq!(apply(b"+w", 0o222), Some(0o000));
        assert_eq!(apply(b"g?w", 0), None);
    }
}
