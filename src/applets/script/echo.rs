//! echo: POSIX.1-2024 XCU `echo` with the XSI escapes, as dash has it. `-n` as everywhere; `-e` (and busybox's `\xHH`
//! with it) and `-E` as busybox has them. A word that holds any other letter is an operand.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use clap::Arg;

use crate::applet::{Applet, Context, Exit, Place, Result};
use crate::output::escape::{self, Dialect};

pub static APPLET: Applet = Applet { names: &["echo"], usage, run, place: Place::Inline, trouble: 1 };

fn usage() -> clap::Command {
    clap::Command::new("echo")
        .about("Write words to standard output")
        .disable_help_flag(true)
        .arg(Arg::new("n").short('n').num_args(0).help("No newline at the end"))
        .arg(Arg::new("e").short('e').num_args(0).help(r"Escapes as printf's %b has them, also \xHH and \uHHHH"))
        .arg(Arg::new("E").short('E').num_args(0).help("No escapes: backslashes stand for themselves"))
        .arg(Arg::new("WORD").num_args(0..))
        .after_help(r"Escapes: \a \b \c (end here) \e \f \n \r \t \v \\ \0NNN")
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let mut newline = true;
    let mut dialect = Some(Dialect::Echo);
    let mut words = cx.args.iter().map(|word| word.as_bytes()).peekable();
    while let Some(letters) = words.next_if(|word| is_option(word)) {
        for letter in &letters[1..] {
            match letter {
                b'n' => newline = false,
                b'e' => dialect = Some(Dialect::Argument),
                _ => dialect = None,
            }
        }
    }
    let mut line = Vec::new();
    let mut first = true;
    for word in words {
        if !std::mem::replace(&mut first, false) {
            line.push(b' ');
        }
        match dialect {
            Some(dialect) if !escape::expand(&mut line, word, dialect) => {
                cx.io.out.write_all(&line)?;
                return Ok(Exit(0));
            }
            Some(_) => {}
            None => line.extend_from_slice(word),
        }
    }
    if newline {
        line.push(b'\n');
    }
    cx.io.out.write_all(&line)?;
    Ok(Exit(0))
}

fn is_option(word: &[u8]) -> bool {
    word.len() > 1 && word[0] == b'-' && word[1..].iter().all(|letter| matches!(letter, b'n' | b'e' | b'E'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    fn echo(args: &[&str]) -> String {
        let done = capture(&APPLET, args, b"");
        assert_eq!((done.status, done.err.as_str()), (0, ""));
        done.out
    }

    #[test]
    fn words_are_joined() {
        assert_eq!(echo(&[]), "\n");
        assert_eq!(echo(&["a", "", "b"]), "a  b\n");
        assert_eq!(echo(&["--", "-", "-x", "-nx"]), "-- - -x -nx\n");
    }

    #[test]
    fn options() {
        assert_eq!(echo(&["-n", "a"]), "a");
        assert_eq!(echo(&["-nE", r"a\n"]), r"a\n");
        assert_eq!(echo(&["-e", r"\x41"]), "A\n");
        assert_eq!(echo(&["a", "-n"]), "a -n\n");
    }

    #[test]
    fn escapes() {
        assert_eq!(echo(&[r"a\tb\0101\x41"]), "a\tbA\\x41\n");
        assert_eq!(echo(&[r"a\cb", "c"]), "a");
    }
}
