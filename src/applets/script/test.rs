//! test, [: POSIX.1-2024 XCU `test`. Up to four arguments are read by their number, so that operands may look like
//! operators; beyond that, and where that fails, by the old grammar of `-o`, `-a`, `!` and parentheses. Beyond the
//! standard: `==`, `<`, `>` (byte by byte), `-ef -nt -ot -k -O -G -N`. Paths may be the target's.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Arg;
use nix::sys::stat::FileStat;
use nix::unistd::{AccessFlags, isatty};

use crate::applet::{Applet, Context, Error, Exit, Place, Result};
use crate::output::Safe;
use crate::sys;
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
            [operator, operand] => match self.unary(operator, operand) {
                Some(truth) => truth,
                None => Err(Error::message(format_args!("{}: unknown operator", Safe::os(operator)))),
            },
            [left, operator, right] if is_binary(operator) => self.binary(left, operator, right),
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
        while self.peek(0) == Some(OsStr::new("!")) && !self.peek(1).is_some_and(is_binary) {
            self.at += 1;
            negated = !negated;
        }
        Ok(self.primary()? != negated)
    }

    fn primary(&mut self) -> Result<bool> {
        let Some(first) = self.peek(0) else { return Err(Error::message("argument expected")) };
        let first = first.to_os_string();
        if let (Some(operator), Some(right)) = (self.peek(1), self.peek(2))
            && is_binary(operator)
        {
            let truth = self.binary(&first, operator, right);
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
            && let Some(truth) = self.unary(&first, operand)
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

    /// `None` where the operator is none.
    fn unary(&self, operator: &OsStr, operand: &OsStr) -> Option<Result<bool>> {
        let [b'-', letter] = operator.as_bytes() else { return None };
        let path = Path::new(operand);
        let stat = |test: fn(&FileStat) -> bool| self.files.metadata(path).is_ok_and(|stat| test(&stat));
        let access = |mode| self.files.access(path, mode).is_ok();
        Some(Ok(match letter {
            b'n' => !operand.is_empty(),
            b'z' => operand.is_empty(),
            b'e' => stat(|_| true),
            b'b' => stat(|stat| kind(stat) == libc::S_IFBLK),
            b'c' => stat(|stat| kind(stat) == libc::S_IFCHR),
            b'd' => stat(|stat| kind(stat) == libc::S_IFDIR),
            b'f' => stat(|stat| kind(stat) == libc::S_IFREG),
            b'p' => stat(|stat| kind(stat) == libc::S_IFIFO),
            b'S' => stat(|stat| kind(stat) == libc::S_IFSOCK),
            b'h' | b'L' => self.files.symlink_metadata(path).is_ok_and(|stat| kind(&stat) == libc::S_IFLNK),
            b'g' => stat(|stat| stat.st_mode & libc::S_ISGID != 0),
            b'u' => stat(|stat| stat.st_mode & libc::S_ISUID != 0),
            b'k' => stat(|stat| stat.st_mode & libc::S_ISVTX != 0),
            b's' => stat(|stat| stat.st_size > 0),
            b'O' => stat(|stat| stat.st_uid == nix::unistd::geteuid().as_raw()),
            b'G' => stat(|stat| stat.st_gid == nix::unistd::getegid().as_raw()),
            b'N' => stat(|stat| (stat.st_mtime, stat.st_mtime_nsec) > (stat.st_atime, stat.st_atime_nsec)),
            b'r' => access(AccessFlags::R_OK),
            b'w' => access(AccessFlags::W_OK),
            b'x' => access(AccessFlags::X_OK),
            b't' => return Some(number(operand).map(is_terminal)),
            _ => return None,
        }))
    }

    fn binary(&self, left: &OsStr, operator: &OsStr, right: &OsStr) -> Result<bool> {
        let order = || -> Result<Ordering> { Ok(number(left)?.cmp(&number(right)?)) };
        let stats = || (self.files.metadata(Path::new(left)).ok(), self.files.metadata(Path::new(right)).ok());
        Ok(match operator.as_bytes() {
            b"=" | b"==" => left == right,
            b"!=" => left != right,
            b"<" => left < right,
            b">" => left > right,
            b"-eq" => order()?.is_eq(),
            b"-ne" => order()?.is_ne(),
            b"-lt" => order()?.is_lt(),
            b"-le" => order()?.is_le(),
            b"-gt" => order()?.is_gt(),
            b"-ge" => order()?.is_ge(),
            b"-ef" => matches!(stats(), (Some(a), Some(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)),
            // A file that exists is newer than one that does not.
            b"-nt" => stats_newer(stats()),
            _ => {
                let (left, right) = stats();
                stats_newer((right, left))
            }
        })
    }
}

fn is_binary(operator: &OsStr) -> bool {
    matches!(
        operator.as_bytes(),
        b"=" | b"=="
            | b"!="
            | b"<"
            | b">"
            | b"-eq"
            | b"-ne"
            | b"-lt"
            | b"-le"
            | b"-gt"
            | b"-ge"
            | b"-ef"
            | b"-nt"
            | b"-ot"
    )
}

fn stats_newer(files: (Option<FileStat>, Option<FileStat>)) -> bool {
    match files {
        (Some(a), Some(b)) => (a.st_mtime, a.st_mtime_nsec) > (b.st_mtime, b.st_mtime_nsec),
        (a, _) => a.is_some(),
    }
}

fn kind(stat: &FileStat) -> libc::mode_t {
    stat.st_mode & libc::S_IFMT
}

fn is_terminal(fd: i64) -> bool {
    i32::try_from(fd).is_ok_and(|fd| fd >= 0 && isatty(sys::borrow(fd)).unwrap_or(false))
}

/// A decimal number, with blanks around it as in other shells.
fn number(text: &OsStr) -> Result<i64> {
    let digits = std::str::from_utf8(text.as_bytes().trim_ascii()).ok();
    let value = digits.and_then(|digits| digits.parse().ok());
    value.ok_or_else(|| Error::message(format_args!("{}: not an integer", Safe::os(text))))
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
