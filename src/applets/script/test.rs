//! test, [: POSIX.1-2024 XCU `test`. Up to four arguments are read by their number, so that operands may look like
//! operators; beyond that, and where that fails, by the old grammar of `-o`, `-a`, `!` and parentheses. Beyond the
//! standard: `==`, `<`, `>` (byte by byte), `-ef -nt -ot -k -O -G -N`. Paths may be the target's.

use std::ffi::{OsStr, OsString};

use clap::Arg;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, primary};
use crate::output::Safe;
use crate::target::Files;

pub static APPLET: Applet = Applet { names: &["test", "["], usage, run, place: Place::Inline, trouble: 2 };

fn usage() -> clap::Command {
    clap::Command::new("test")
        .about("Compare strings, numbers and files")
        .disable_help_flag(true)
        .arg(Arg::new("EXPRESSION").num_args(0..).help("Nothing is false, a single string is true unless empty"))
        .after_help(
            "Strings:  -n S  -z S  A = B  A != B  A < B  A > B\n\
             Numbers:  A -eq B  -ne  -lt  -le  -gt  -ge\n\
             Files:    -e exists  -f file  -d directory  -L -h link  -p pipe  -S socket  -b -c device\n          \
             -s not empty  -r -w -x allowed to us  -u -g -k mode bit set  -O -G ours  -N unread\n          \
             A -nt B newer  A -ot B older  A -ef B the same file  -t FD terminal\n\
             Together: ! E  E -a E  E -o E  ( E )\n\
             Status:   0 true, 1 false, 2 a mistake. '[' wants ']' as its last argument.",
        )
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let mut args: &[OsString] = &cx.args;
    if cx.name == "[" {
        match args.split_last() {
            Some((last, rest)) if last == "]" => args = rest,
            _ => return Err(Error::message("missing ]")),
        }
    }
    let truth = Test { args, at: 0, files: cx.files }.by_number(args)?;
    Ok(Exit(u8::from(!truth)))
}

struct Test<'a> {
    args: &'a [OsString],
    at: usize,
    files: &'a Files,
}

impl Test<'_> {
    /// The standard's rules for up to four arguments.
    fn by_number(&mut self, args: &[OsString]) -> Result<bool> {
        match args {
            [] => Ok(false),
            [text] => Ok(!text.is_empty()),
            [not, text] if not == "!" => Ok(text.is_empty()),
            [operator, operand] => match primary::unary(self.files, operator, operand) {
                Some(truth) => truth,
                None => Err(Error::message(format_args!("{}: unknown operator", Safe::os(operator)))),
            },
            [left, operator, right] if primary::is_binary(operator) => {
                primary::binary(self.files, left, operator, right)
            }
            [left, and, right] if and == "-a" => Ok(!left.is_empty() && !right.is_empty()),
            [left, or, right] if or == "-o" => Ok(!left.is_empty() || !right.is_empty()),
            [not, rest @ ..] if not == "!" && args.len() <= 4 => Ok(!self.by_number(rest)?),
            [open, inner @ .., close] if open == "(" && close == ")" && args.len() <= 4 => self.by_number(inner),
            _ => self.whole(),
        }
    }

    /// The old grammar, for all arguments.
    fn whole(&mut self) -> Result<bool> {
        let truth = self.or()?;
        match self.args.get(self.at) {
            None => Ok(truth),
            Some(extra) => Err(Error::message(format_args!("{}: unexpected argument", Safe::os(extra)))),
        }
    }

    fn or(&mut self) -> Result<bool> {
        let mut truth = self.and()?;
        while self.take("-o") {
            // Both sides are read, whatever the first one said.
            truth |= self.and()?;
        }
        Ok(truth)
    }

    fn and(&mut self) -> Result<bool> {
        let mut truth = self.not()?;
        while self.take("-a") {
            truth &= self.not()?;
        }
        Ok(truth)
    }

    fn not(&mut self) -> Result<bool> {
        let mut negated = false;
        // A `!` before a binary operator is its operand.
        while self.peek(0) == Some(OsStr::new("!")) && !self.peek(1).is_some_and(primary::is_binary) {
            self.at += 1;
            negated = !negated;
        }
        Ok(self.primary()? != negated)
    }

    fn primary(&mut self) -> Result<bool> {
        let Some(first) = self.peek(0) else { return Err(Error::message("argument expected")) };
        let first = first.to_os_string();
        if let (Some(operator), Some(right)) = (self.peek(1), self.peek(2))
            && primary::is_binary(operator)
        {
            let truth = primary::binary(self.files, &first, operator, right);
            self.at += 3;
            return truth;
        }
        self.at += 1;
        if first == "(" {
            // Recursion is as deep as the arguments have parentheses; a limit keeps the stack.
            if self.args[..self.at].iter().filter(|arg| *arg == "(").count() > 1000 {
                return Err(Error::message("too many parentheses"));
            }
            let truth = self.or()?;
            return if self.take(")") { Ok(truth) } else { Err(Error::message("closing ) expected")) };
        }
        if let Some(operand) = self.peek(0)
            && operand != "-a"
            && operand != "-o"
            && operand != ")"
            && let Some(truth) = primary::unary(self.files, &first, operand)
        {
            self.at += 1;
            return truth;
        }
        Ok(!first.is_empty())
    }

    fn peek(&self, ahead: usize) -> Option<&OsStr> {
        self.args.get(self.at + ahead).map(OsString::as_os_str)
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek(0) == Some(OsStr::new(word));
        self.at += usize::from(found);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::{Captured, capture};

    /// The status for each expression, written as words.
    #[track_caller]
    fn check(cases: &[(&[&str], u8)]) {
        for (args, status) in cases {
            let done = capture(&APPLET, args, b"");
            assert_eq!(done.status, *status, "{args:?}: {}", done.err);
            assert_eq!(done.err.is_empty(), *status != 2, "{args:?}");
        }
    }

    #[test]
    fn by_number_of_arguments() {
        check(&[
            (&[], 1),
            (&[""], 1),
            (&["-n"], 0),
            (&["!"], 0),
            (&["!", ""], 0),
            (&["!", "x"], 1),
            (&["-z", ""], 0),
            (&["-n", "!"], 0),
            (&["-x", "=", "-x"], 0),
            (&["!", "=", "!"], 0),
            (&["(", "=", ")"], 1),
            (&["(", "x", ")"], 0),
            (&["!", "-n", "x"], 1),
            (&["-a", "-a", "-a"], 0),
            (&["!", "a", "=", "b"], 0),
            (&["(", "!", "x", ")"], 1),
            (&["(", "-z", "x", ")"], 1),
        ]);
    }

    #[test]
    fn the_old_grammar() {
        check(&[
            (&["a", "=", "a", "-a", "b", "=", "c"], 1),
            (&["a", "=", "a", "-o", "b", "=", "c"], 0),
            (&["a", "-o", "", "-a", ""], 0),
            (&["(", "a", "-o", "b", ")", "-a", ""], 1),
            (&["!", "(", "a", "=", "b", ")"], 0),
            (&["-n", "x", "-a", "-z", ""], 0),
            (&["x", "-a", "!", ""], 0),
        ]);
    }

    #[test]
    fn strings_and_numbers() {
        check(&[
            (&["a", "<", "b"], 0),
            (&["b", ">", "a"], 0),
            (&["a", "!=", "a"], 1),
            (&["010", "-eq", "10"], 0),
            (&[" 7 ", "-ge", "+7"], 0),
            (&["-1", "-lt", "0"], 0),
            (&["9223372036854775807", "-gt", "1"], 0),
        ]);
    }

    #[test]
    fn mistakes() {
        check(&[
            (&["a", "-eq", "1"], 2),
            (&["", "-eq", "1"], 2),
            (&["-q", "x"], 2),
            (&["a", "b"], 2),
            (&["a", "b", "c"], 2),
            (&["(", "a", "-o", "b"], 2),
            (&["a", "=", "b", "c"], 2),
            (&["9223372036854775808", "-gt", "1"], 2),
            (&["x", "-a", "b", "-a"], 2),
        ]);
        let done = capture(&APPLET, &["a", "-eq", "1"], b"");
        assert_eq!(done, Captured { status: 2, out: String::new(), err: String::from("test: a: not an integer\n") });
    }

    #[test]
    fn files() {
        check(&[
            (&["-d", "/"], 0),
            (&["-f", "/"], 1),
            (&["-e", "/nonexistent"], 1),
            (&["-c", "/dev/null"], 0),
            (&["-s", "/dev/null"], 1),
            (&["/", "-ef", "/."], 0),
            (&["/", "-nt", "/nonexistent"], 0),
            (&["/nonexistent", "-ot", "/"], 0),
            (&["/nonexistent", "-nt", "/"], 1),
            (&["-t", "x"], 2),
            (&["-t", "99999"], 1),
        ]);
    }
}
