//! printf: POSIX.1-2024 XCU `printf`, with the floating-point conversions, `%q` (quoted for the shell, as GNU's) and
//! `\e`, `\xHH`, `\uHHHH` in the format, and numbered arguments (`%2$s`). Width and precision count bytes. Numbers are 64 bits wide; a wrong one is
//! written as far as it goes, complained about, and the rest of the format is still done, as in dash.
//!
//! Longer than most because a format is a small language of its own: specifications, conversions, and numbers as C has
//! them, each with its own ways to be wrong.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use clap::Arg;

use crate::applet::{Applet, Context, Error, Exit, Out, Place, Result};
use crate::output::Safe;
use crate::output::escape::{self, Dialect, Escape};
use crate::sys::number;

pub static APPLET: Applet = Applet { names: &["printf"], usage, run, place: Place::Inline, trouble: 1 };

/// More digits than a double has; what asks for more is a mistake.
const MAX_FLOAT_PRECISION: usize = 4096;

/// No command line has more arguments.
const MAX_NUMBER: usize = 1 << 31;

fn usage() -> clap::Command {
    clap::Command::new("printf")
        .about("Write formatted text to standard output")
        .disable_help_flag(true)
        .arg(Arg::new("FORMAT").required(true).help("Text with conversions and escapes"))
        .arg(
            Arg::new("ARGUMENT").num_args(0..).help("What the conversions take; the format is used until none is left"),
        )
        .after_help(
            "Conversions, with flags (- + space # 0), width and precision (numbers or *):\n  \
             %d %i %u %o %x %X  integers: 12, 014, 0xc, 'c (the value of a character)\n  \
             %e %f %g %a        floating-point numbers, also in upper case\n  \
             %c %s              the first byte, a string\n  \
             %b                 a string with escapes as in echo\n  \
             %q                 a string quoted for the shell\n  \
             %%                 a percent sign\n\
             %2$s %1$*3$d       with the number of the argument\n\
             Escapes: \\a \\b \\e \\f \\n \\r \\t \\v \\\\ \\\" \\NNN \\xHH \\uHHHH",
        )
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let args = std::mem::take(&mut cx.args);
    let operands = match args.split_first() {
        Some((first, rest)) if first == "--" => rest,
        Some((first, _)) if first.len() > 1 && first.as_bytes().starts_with(b"-") => {
            return Err(Error::usage(format_args!("{}: no such option", Safe::os(first))));
        }
        _ => &args,
    };
    let Some((format, operands)) = operands.split_first() else {
        return Err(Error::usage("needs a format"));
    };
    let mut arguments = Arguments { all: operands, next: 0, used: 0, given: true };
    loop {
        if !pass(cx, format.as_bytes(), &mut arguments)? || arguments.used == 0 {
            return Ok(Exit(0));
        }
        if !arguments.advance() {
            return Ok(Exit(0));
        }
    }
}

struct Arguments<'a> {
    /// From the first that the format has in this round.
    all: &'a [OsString],
    next: usize,
    /// How many the round takes, numbered ones included.
    used: usize,
    /// Whether the last one that was asked for was there.
    given: bool,
}

impl<'a> Arguments<'a> {
    /// The next argument, or the one of that number (`%2$s`), or the empty string where there is none.
    fn take(&mut self, number: Option<usize>) -> &'a [u8] {
        let index = number.map_or(self.next, |number| number - 1);
        if number.is_none() {
            self.next += 1;
        }
        self.used = self.used.max(index + 1);
        let argument = self.all.get(index);
        self.given = argument.is_some();
        argument.map_or(b"", |argument| argument.as_bytes())
    }

    /// On to the next round; false where nothing is left for it.
    fn advance(&mut self) -> bool {
        self.all = self.all.get(self.used..).unwrap_or_default();
        (self.next, self.used) = (0, 0);
        !self.all.is_empty()
    }
}

/// Writes the format once; false where a `\c` ended all output.
fn pass(cx: &mut Context<'_>, format: &[u8], arguments: &mut Arguments<'_>) -> Result<bool> {
    let mut rest = format;
    while let Some(at) = memchr::memchr2(b'%', b'\\', rest) {
        cx.io.out.write_all(&rest[..at])?;
        let mark = rest[at];
        rest = &rest[at + 1..];
        if mark == b'\\' {
            let (escape, taken) = escape::read(rest, Dialect::Format);
            match escape {
                Escape::Byte(byte) => cx.io.out.write_all(&[byte])?,
                Escape::Char(char) => write!(cx.io.out, "{char}")?,
                Escape::Literal | Escape::Stop => cx.io.out.write_all(b"\\")?,
            }
            rest = &rest[taken..];
        } else if rest.first() == Some(&b'%') {
            cx.io.out.write_all(b"%")?;
            rest = &rest[1..];
        } else {
            let (spec, taken) = Spec::read(cx, rest, arguments);
            let Some(conversion) = rest.get(taken) else {
                return Err(Error::message(format_args!("%{}: conversion is missing", Safe(rest))));
            };
            if !convert(cx, &spec, *conversion, arguments)? {
                return Ok(false);
            }
            rest = &rest[taken + 1..];
        }
    }
    cx.io.out.write_all(rest)?;
    Ok(true)
}

/// What stands between the percent sign and the conversion's letter.
#[derive(Default)]
struct Spec {
    left: bool,
    plus: bool,
    space: bool,
    alternative: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    /// Of the argument (`%2$s`), from 1 in each round.
    number: Option<usize>,
}

impl Spec {
    /// The specification and its length.
    fn read(cx: &mut Context<'_>, text: &[u8], arguments: &mut Arguments<'_>) -> (Spec, usize) {
        let mut spec = Spec::default();
        let mut at = 0;
        spec.number = numbered(text, &mut at);
        while let Some(flag) = text.get(at) {
            match flag {
                b'-' => spec.left = true,
                b'+' => spec.plus = true,
                b' ' => spec.space = true,
                b'#' => spec.alternative = true,
                b'0' => spec.zero = true,
                // Thousands are not grouped in the POSIX locale.
                b'\'' => {}
                _ => break,
            }
            at += 1;
        }
        let width = count(cx, text, &mut at, arguments);
        spec.left |= width < 0;
        spec.width = clamp(width.unsigned_abs());
        if text.get(at) == Some(&b'.') {
            at += 1;
            spec.precision = u64::try_from(count(cx, text, &mut at, arguments)).ok().map(clamp);
        }
        // C's length modifiers, which mean nothing here.
        while text.get(at).is_some_and(|byte| b"hlLjzt".contains(byte)) {
            at += 1;
        }
        (spec, at)
    }

    /// Writes a text in the width, with zeroes behind its sign or prefix where `zero` says so.
    fn pad(&self, out: &mut Out, prefix: &[u8], body: &[u8], zero: bool) -> io::Result<()> {
        let missing = self.width.saturating_sub(prefix.len() + body.len());
        let zeroes = zero && self.zero && !self.left;
        if !self.left && !zeroes {
            fill(out, b' ', missing)?;
        }
        out.write_all(prefix)?;
        if zeroes {
            fill(out, b'0', missing)?;
        }
        out.write_all(body)?;
        fill(out, b' ', if self.left { missing } else { 0 })
    }
}

/// No width or precision is larger, as in C.
fn clamp(count: u64) -> usize {
    count.min(i32::MAX as u64) as usize
}

fn fill(out: &mut Out, byte: u8, mut count: usize) -> io::Result<()> {
    let block = [byte; 256];
    while count > 0 {
        let part = count.min(block.len());
        out.write_all(&block[..part])?;
        count -= part;
    }
    Ok(())
}

/// The number of an argument, and its `$`.
fn numbered(text: &[u8], at: &mut usize) -> Option<usize> {
    let rest = &text[*at..];
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if rest.get(len) != Some(&b'$') {
        return None;
    }
    let number =
        std::str::from_utf8(&rest[..len]).ok()?.parse().ok().filter(|number| (1..=MAX_NUMBER).contains(number));
    *at += if number.is_some() { len + 1 } else { 0 };
    number
}

/// A width or precision: digits, a `*` or `*2$`, or nothing.
fn count(cx: &mut Context<'_>, text: &[u8], at: &mut usize, arguments: &mut Arguments<'_>) -> i64 {
    if text.get(*at) == Some(&b'*') {
        *at += 1;
        let number = numbered(text, at);
        return integer(cx, arguments, number, true) as i64;
    }
    let mut value = 0i64;
    while let Some(digit) = text.get(*at).filter(|byte| byte.is_ascii_digit()) {
        value = value.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
        *at += 1;
    }
    value
}

fn convert(cx: &mut Context<'_>, spec: &Spec, conversion: u8, arguments: &mut Arguments<'_>) -> Result<bool> {
    match conversion {
        b's' => string(cx, spec, arguments.take(spec.number))?,
        b'c' => {
            // An empty argument is its terminating NUL, as everywhere else.
            let byte = arguments.take(spec.number).first().copied().unwrap_or(0);
            spec.pad(&mut cx.io.out, b"", &[byte], false)?;
        }
        b'b' => {
            let mut text = Vec::new();
            let whole = escape::expand(&mut text, arguments.take(spec.number), Dialect::Argument);
            string(cx, spec, &text)?;
            return Ok(whole);
        }
        b'q' => string(cx, spec, &quoted(arguments.take(spec.number)))?,
        b'd' | b'i' => {
            let value = integer(cx, arguments, spec.number, true) as i64;
            let sign: &[u8] = match value {
                ..0 => b"-",
                _ if spec.plus => b"+",
                _ if spec.space => b" ",
                _ => b"",
            };
            digits(cx, spec, sign, &value.unsigned_abs().to_string())?;
        }
        b'u' | b'o' | b'x' | b'X' => {
            let value = integer(cx, arguments, spec.number, false);
            let (prefix, text): (&[u8], String) = match conversion {
                b'u' => (b"", value.to_string()),
                b'o' if spec.alternative && value != 0 => (b"", format!("0{value:o}")),
                b'o' => (b"", format!("{value:o}")),
                b'x' => (if spec.alternative && value != 0 { b"0x" } else { b"" }, format!("{value:x}")),
                _ => (if spec.alternative && value != 0 { b"0X" } else { b"" }, format!("{value:X}")),
            };
            digits(cx, spec, prefix, &text)?;
        }
        b'a' | b'A' | b'e' | b'E' | b'f' | b'F' | b'g' | b'G' => float(cx, spec, conversion, arguments)?,
        other => return Err(Error::message(format_args!("%{}: no such conversion", Safe(&[other])))),
    }
    Ok(true)
}

fn string(cx: &mut Context<'_>, spec: &Spec, text: &[u8]) -> Result<()> {
    let text = &text[..text.len().min(spec.precision.unwrap_or(usize::MAX))];
    Ok(spec.pad(&mut cx.io.out, b"", text, false)?)
}

/// An integer's digits: the precision is their least number, and 0 with precision 0 has none.
fn digits(cx: &mut Context<'_>, spec: &Spec, prefix: &[u8], text: &str) -> Result<()> {
    let Some(precision) = spec.precision else {
        return Ok(spec.pad(&mut cx.io.out, prefix, text.as_bytes(), true)?);
    };
    let text = if precision == 0 && text == "0" { "" } else { text };
    let zeroes = precision.saturating_sub(text.len());
    let missing = spec.width.saturating_sub(prefix.len() + zeroes + text.len());
    let out = &mut cx.io.out;
    fill(out, b' ', if spec.left { 0 } else { missing })?;
    out.write_all(prefix)?;
    fill(out, b'0', zeroes)?;
    out.write_all(text.as_bytes())?;
    Ok(fill(out, b' ', if spec.left { missing } else { 0 })?)
}

fn float(cx: &mut Context<'_>, spec: &Spec, conversion: u8, arguments: &mut Arguments<'_>) -> Result<()> {
    let text = arguments.take(spec.number);
    let value = match character(text) {
        Some(value) => value as f64,
        None => {
            let (value, taken) = number::read_float(text);
            check(cx, text, taken, arguments.given);
            value
        }
    };
    let precision = match spec.precision {
        Some(precision @ 0..=MAX_FLOAT_PRECISION) => precision as i32,
        Some(precision) => return Err(Error::message(format_args!("{precision}: precision is too large"))),
        None => -1,
    };
    let flags = [(spec.plus, b'+'), (spec.space, b' '), (spec.alternative, b'#')];
    let flags: Vec<u8> = flags.into_iter().filter_map(|(set, flag)| set.then_some(flag)).collect();
    let text = number::write_float(&flags, 0, precision, conversion, value);
    // Zeroes go between the sign, or the prefix of a hexadecimal number, and the digits; infinity has none.
    let signed = text.iter().take_while(|byte| b"-+ ".contains(byte)).count();
    let prefix = signed + if matches!(conversion, b'a' | b'A') && value.is_finite() { 2 } else { 0 };
    Ok(spec.pad(&mut cx.io.out, &text[..prefix], &text[prefix..], value.is_finite())?)
}

/// The value of `'c` and `"c`: the character's code point, or the byte where it is no character.
fn character(text: &[u8]) -> Option<u64> {
    let text = text.strip_prefix(b"'").or_else(|| text.strip_prefix(b"\""))?;
    let chunk = text.utf8_chunks().next();
    let char = chunk.and_then(|chunk| chunk.valid().chars().next()).map(|char| u64::from(u32::from(char)));
    Some(char.or(text.first().map(|byte| u64::from(*byte))).unwrap_or(0))
}

/// An integer as C writes it: white space, sign, decimal, octal or hexadecimal digits. Beyond 64 bits it is the largest.
fn integer(cx: &mut Context<'_>, arguments: &mut Arguments<'_>, number: Option<usize>, signed: bool) -> u64 {
    let text = arguments.take(number);
    if let Some(value) = character(text) {
        return value;
    }
    let blank = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let (negative, start) = match text.get(blank) {
        Some(b'-') => (true, blank + 1),
        Some(b'+') => (false, blank + 1),
        _ => (false, blank),
    };
    let digit = |at: usize, radix| text.get(at).and_then(|byte| char::from(*byte).to_digit(radix));
    let (radix, mut at) = match text.get(start..) {
        Some([b'0', b'x' | b'X', ..]) if digit(start + 2, 16).is_some() => (16, start + 2),
        Some([b'0', ..]) => (8, start),
        _ => (10, start),
    };
    let first = at;
    let mut value = Some(0u64);
    while let Some(digit) = digit(at, radix) {
        value = value.and_then(|value| value.checked_mul(u64::from(radix))?.checked_add(u64::from(digit)));
        at += 1;
    }
    let limit = match (signed, negative) {
        (true, false) => i64::MAX as u64,
        (true, true) => i64::MIN.unsigned_abs(),
        (false, _) => u64::MAX,
    };
    let fits = value.filter(|value| *value <= limit);
    if fits.is_none() {
        cx.warn(format_args!("{}: number is out of range", Safe(text)));
    } else {
        check(cx, text, if at == first { 0 } else { at }, arguments.given);
    }
    match (fits, negative) {
        (Some(value), true) => value.wrapping_neg(),
        (None, true) if signed => limit.wrapping_neg(),
        (value, _) => value.unwrap_or(limit),
    }
}

/// Complains about what a number left over. An argument that is missing is 0, and so is an empty one.
fn check(cx: &mut Context<'_>, text: &[u8], taken: usize, given: bool) {
    if !given || text.is_empty() || taken == text.len() {
        return;
    }
    match taken {
        0 => cx.warn(format_args!("{}: expected numeric value", Safe(text))),
        _ => cx.warn(format_args!("{}: not completely converted", Safe(text))),
    }
}

/// A word that the shell reads back as `text`.
fn quoted(text: &[u8]) -> Cow<'_, [u8]> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(byte) || *byte >= 0x80;
    let valid = std::str::from_utf8(text);
    if valid.is_ok() && !text.is_empty() && text.iter().all(plain) {
        return Cow::Borrowed(text);
    }
    if valid.is_ok_and(|text| !text.chars().any(char::is_control)) {
        let inner: Vec<&[u8]> = text.split(|byte| *byte == b'\'').collect();
        return Cow::Owned([b"'", inner.join(&b"'\\''"[..]).as_slice(), b"'"].concat());
    }
    let mut word = b"$'".to_vec();
    for byte in text {
        match byte {
            b'\n' => word.extend(b"\\n"),
            b'\t' => word.extend(b"\\t"),
            b'\r' => word.extend(b"\\r"),
            b'\'' | b'\\' => word.extend([b'\\', *byte]),
            b' '..=b'~' => word.push(*byte),
            _ => word.extend(format!("\\{byte:03o}").bytes()),
        }
    }
    word.push(b'\'');
    Cow::Owned(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[track_caller]
    fn printf(args: &[&str], expected: &str) {
        let done = capture(&APPLET, args, b"");
        assert_eq!((done.out.as_str(), done.err.as_str(), done.status), (expected, "", 0));
    }

    #[track_caller]
    fn wrong(args: &[&str], status: u8, out: &str, err: &str) {
        let done = capture(&APPLET, args, b"");
        assert_eq!((done.out.as_str(), done.err.as_str(), done.status), (out, err, status));
    }

    #[test]
    fn integers() {
        printf(&["%d %i %5d|%-5d|%05d|%+d|% d", "1", "-2", "3", "4", "-5", "6", "7"], "1 -2     3|4    |-0005|+6| 7");
        printf(&["%o %x %X %#o %#x %#X %#x", "8", "255", "255", "8", "255", "255", "0"], "10 ff FF 010 0xff 0XFF 0");
        printf(&["%d %d %d %d %d", "010", "0x1F", "+3", " 4", "'A"], "8 31 3 4 65");
        printf(&["%u %x", "-1", "-1"], "18446744073709551615 ffffffffffffffff");
        printf(&["[%.3d][%6.3d][%-6.3d][%.0d]", "5", "-5", "5", "0"], "[005][  -005][005   ][]");
        printf(&["%d %d", "9223372036854775807", "-9223372036854775808"], "9223372036854775807 -9223372036854775808");
    }

    #[test]
    fn strings() {
        printf(
            &["[%s][%5s][%-5s][%.2s][%*s][%-*.*s]", "a", "b", "c", "def", "4", "e", "4", "1", "fg"],
            "[a][    b][c    ][de][   e][f   ]",
        );
        printf(&["[%c][%3c]", "abc", "d"], "[a][  d]");
        printf(&["%b|%5b|", r"a\tb\0101", "c"], "a\tbA|    c|");
        printf(&["%b%s", r"a\cb", "x"], "a");
    }

    #[test]
    fn floats() {
        printf(
            &[
                "%f %.2f %e %g %G %8.3f|%-8.1f|%+08.2f",
                "1.5",
                "2.345",
                "12345.678",
                "0.0001",
                "1e10",
                "3.14159",
                "2",
                "-1.5",
            ],
            "1.500000 2.35 1.234568e+04 0.0001 1E+10    3.142|2.0     |-0001.50",
        );
        printf(&["%a %g %5g|%F", "1", "inf", "nan", "-inf"], "0x1p+0 inf   nan|-INF");
        printf(&["%010a", "1"], "0x00001p+0");
    }

    #[test]
    fn the_format_is_used_until_no_argument_is_left() {
        printf(&["%s-%s\n", "a", "b", "c"], "a-b\nc-\n");
        printf(&["%d.", "1", "2"], "1.2.");
        printf(&["x\n", "a", "b"], "x\n");
        printf(&["%s"], "");
        printf(&[r"%%\n\101\\"], "%\nA\\");
        printf(&["--", "-%s", "a"], "-a");
        printf(&["%2$s-%1$s.", "a", "b", "c"], "b-a.-c.");
        printf(&["%1$s%1$s", "a", "b"], "aabb");
        printf(&["%3$*1$d|%1$s", "4", "x", "7"], "   7|4");
    }

    #[test]
    fn wrong_numbers_are_complained_about_and_written_as_far_as_they_go() {
        wrong(&["%d|", "abc"], 1, "0|", "printf: abc: expected numeric value\n");
        wrong(&["%d|%d|", "3x", "4"], 1, "3|4|", "printf: 3x: not completely converted\n");
        wrong(&["%x|", "0x"], 1, "0|", "printf: 0x: not completely converted\n");
        wrong(&["%d|", "08"], 1, "0|", "printf: 08: not completely converted\n");
        wrong(
            &["%d", "9223372036854775808"],
            1,
            "9223372036854775807",
            "printf: 9223372036854775808: number is out of range\n",
        );
        wrong(&["%f", "1,5"], 1, "1.000000", "printf: 1,5: not completely converted\n");
    }

    #[test]
    fn wrong_formats_end_it() {
        wrong(&["a%yb"], 1, "a", "printf: %y: no such conversion\n");
        wrong(&["a%5"], 1, "a", "printf: %5: conversion is missing\n");
        wrong(&[], 2, "", "printf: needs a format (see 'printf --help')\n");
        wrong(&["-x"], 2, "", "printf: -x: no such option (see 'printf --help')\n");
        wrong(&["%.99999f", "1"], 1, "", "printf: 99999: precision is too large\n");
    }

    #[test]
    fn quoting_for_the_shell() {
        printf(&["%q ", "", "a.b", "a b", "it's", "a\nb\u{1b}"], r"'' a.b 'a b' 'it'\''s' $'a\nb\033' ");
    }
}
