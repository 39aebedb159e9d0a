//! `umask` (POSIX.1-2024, XCU umask).

use nix::sys::stat::{Mode, umask as set_umask};

use super::super::{Flow, Shell, Text};
use super::options;
use crate::output::Safe;

pub fn umask(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"Sp", b"")?;
    // The mask can only be read by setting it.
    let old = set_umask(Mode::empty());
    set_umask(old);
    let Some(operand) = parsed.operands.first() else {
        let (command, option) = if parsed.has(b'p') { ("umask ", "-S ") } else { ("", "") };
        let text = match parsed.has(b'S') {
            true => format!("{command}{option}{}\n", symbolic(old.bits())),
            false => format!("{command}{:04o}\n", old.bits()),
        };
        return Ok(shell.print(text.as_bytes()));
    };
    let new = match operand.first() {
        Some(b'0'..=b'9') => octal(operand),
        _ => apply(operand, old.bits()),
    };
    let Some(mask) = new else {
        return Err(shell.abort(format_args!("umask: {}: bad mask", Safe(operand))));
    };
    set_umask(Mode::from_bits_truncate(mask));
    Ok(0)
}

/// An octal mask; of a whole mode only the permissions count.
fn octal(text: &[u8]) -> Option<u32> {
    let mask = u32::from_str_radix(std::str::from_utf8(text).ok()?, 8).ok()?;
    (mask <= 0o7777).then_some(mask & 0o777)
}

fn symbolic(mask: u32) -> String {
    let class = |shift: u32| {
        let allowed = !(mask >> shift) & 7;
        let letters = [(4, 'r'), (2, 'w'), (1, 'x')];
        letters.iter().filter(|(bit, _)| allowed & bit != 0).map(|(_, letter)| *letter).collect::<String>()
    };
    format!("u={},g={},o={}", class(6), class(3), class(0))
}

/// A symbolic mask such as `u=rwx,g-w,o=g`: it names what is allowed.
fn apply(text: &[u8], mask: u32) -> Option<u32> {
    let before = !mask & 0o777;
    let mut allowed = before;
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
                    // As for chmod: where somebody may already.
                    b'X' if before & 0o111 != 0 => 0o111,
                    // A mask has no such bit.
                    b'X' | b's' => 0,
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
        assert_eq!(symbolic(0o022), "u=rwx,g=rx,o=rx");
        assert_eq!(apply(b"g=u", 0o077), Some(0o007));
        assert_eq!(apply(b"u=rwx,g=rx,o=", 0o022), Some(0o027));
        assert_eq!(apply(b"a-w", 0o000), Some(0o222));
        assert_eq!(apply(b"+w", 0o222), Some(0o000));
        assert_eq!(apply(b"g+X", 0o077), Some(0o067));
        assert_eq!(apply(b"g?w", 0), None);
    }
}
