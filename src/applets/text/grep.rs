//! grep: POSIX.1-2024 XCU `grep`, with the options of GNU's that people type. A character is a byte. A file that holds a
//! NUL byte is binary: that it matches is said, its lines are not shown, except with -a.
//!
//! Longer than most because of its options, which are half of this file; the other half finds the files. `patterns` has
//! what is searched for, `lines` how a file is read and shown.

mod lines;
mod patterns;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::applet::{self, Applet, Context, Error, Exit, Place, Result, os};
use crate::output::{Safe, order, shown};
use crate::shell::expand::character::Encoding;
use crate::shell::expand::pattern;

use lines::Search;
use patterns::Patterns;

pub static APPLET: Applet = Applet {
    names: &["grep", "egrep", "fgrep"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 2,
};

/// Print the lines that match a pattern
#[derive(clap::Parser)]
#[command(after_help = "Status: 0 a line was selected, 1 none was, 2 a mistake.")]
struct Options {
    /// Extended regular expressions
    #[arg(short = 'E', long, overrides_with_all = ["fixed_strings", "basic_regexp"])]
    extended_regexp: bool,
    /// No expressions: plain strings
    #[arg(short = 'F', long, overrides_with_all = ["extended_regexp", "basic_regexp"])]
    fixed_strings: bool,
    /// Basic regular expressions, which is the default
    #[arg(short = 'G', long, overrides_with_all = ["extended_regexp", "fixed_strings"])]
    basic_regexp: bool,
    /// A pattern; may be given several times
    #[arg(short = 'e', long = "regexp", value_name = "PATTERN", allow_hyphen_values = true)]
    patterns: Vec<OsString>,
    /// Patterns, one a line
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Upper and lower case are the same
    #[arg(short, long, short_alias = 'y')]
    ignore_case: bool,
    /// Select the lines that do not match
    #[arg(short = 'v', long)]
    invert_match: bool,
    /// Match whole words
    #[arg(short, long)]
    word_regexp: bool,
    /// Match whole lines
    #[arg(short = 'x', long)]
    line_regexp: bool,
    /// Print only the number of lines
    #[arg(short, long)]
    count: bool,
    /// Print only the names of files with a match
    #[arg(short = 'l', long, overrides_with = "files_without_match")]
    files_with_matches: bool,
    /// Print only the names of files without one
    #[arg(short = 'L', long, overrides_with = "files_with_matches")]
    files_without_match: bool,
    /// Print only what matched
    #[arg(short, long)]
    only_matching: bool,
    /// Print nothing; stop at the first match
    #[arg(short, long, visible_alias = "silent")]
    quiet: bool,
    /// No messages about files that cannot be read
    #[arg(short = 's', long)]
    no_messages: bool,
    /// Stop a file after N lines
    #[arg(short, long, value_name = "N")]
    max_count: Option<u64>,
    /// Numbers of lines
    #[arg(short = 'n', long)]
    line_number: bool,
    /// Offsets of lines, or of matches with -o
    #[arg(short, long)]
    byte_offset: bool,
    /// Names of files with each line
    #[arg(short = 'H', long, overrides_with = "no_filename")]
    with_filename: bool,
    /// No names of files
    #[arg(short = 'h', long, overrides_with = "with_filename")]
    no_filename: bool,
    /// N lines after each match
    #[arg(short = 'A', long, value_name = "N")]
    after_context: Option<usize>,
    /// N lines before each match
    #[arg(short = 'B', long, value_name = "N")]
    before_context: Option<usize>,
    /// N lines before and after; also -N
    #[arg(short = 'C', long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    context: usize,
    /// Search directories
    #[arg(short, long)]
    recursive: bool,
    /// The same, following symbolic links
    #[arg(short = 'R', long)]
    dereference_recursive: bool,
    /// In directories only files whose names match
    #[arg(long, value_name = "GLOB")]
    include: Vec<OsString>,
    /// In directories no files whose names match
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<OsString>,
    /// No directories whose names match
    #[arg(long, value_name = "GLOB")]
    exclude_dir: Vec<OsString>,
    /// Show the lines of binary files
    #[arg(short = 'a', long)]
    text: bool,
    /// Binary files do not match
    #[arg(short = 'I')]
    no_binary: bool,
    /// Lines end with a NUL byte
    #[arg(short = 'z', long)]
    null_data: bool,
    /// Write each line at once
    #[arg(long)]
    line_buffered: bool,
    /// Mark what matched: auto (on a terminal), always, never
    #[arg(long, visible_alias = "colour", value_name = "WHEN", num_args = 0..=1, require_equals = true,
          default_missing_value = "auto")]
    color: Option<OsString>,
    /// PATTERN, unless there is -e or -f, and files; - is standard input
    #[arg(value_name = "PATTERN… FILE")]
    rest: Vec<OsString>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    number_options(&mut cx.args);
    let mut options: Options = cx.parse()?;
    match cx.name {
        "egrep" => options.extended_regexp = !options.fixed_strings,
        "fgrep" => options.fixed_strings = !options.extended_regexp,
        _ => {}
    }
    let patterns = Patterns::new(cx, &mut options)?;
    let recursive = options.recursive || options.dereference_recursive;
    let files: Vec<PathBuf> = options.rest.drain(..).map(PathBuf::from).collect();
    let terminal = cx.terminal();
    let marks = match options.color.as_ref().map(|when| when.as_bytes()) {
        None | Some(b"never") => false,
        Some(b"always") => true,
        Some(b"auto") => terminal,
        Some(other) => return Err(Error::usage(format_args!("--color={}: no such way", Safe(other)))),
    };
    let mut grep = Grep {
        named: (options.with_filename || recursive || files.len() > 1) && !options.no_filename,
        after: options.after_context.unwrap_or(options.context),
        before: options.before_context.unwrap_or(options.context),
        end: if options.null_data { b'\0' } else { b'\n' },
        options,
        patterns,
        terminal,
        marks,
        selected: false,
        failed: false,
        written: false,
    };
    if grep.options.max_count == Some(0) && !grep.options.files_without_match {
        return Ok(Exit(1));
    }
    let default = [PathBuf::from(if recursive { "." } else { "-" })];
    for path in if files.is_empty() { &default[..] } else { &files } {
        if files.is_empty() && recursive {
            grep.directory(cx, path, b"", &mut Vec::new())?
        } else {
            grep.operand(cx, path)?
        }
        if grep.options.quiet && grep.selected {
            return Ok(Exit(0));
        }
    }
    Ok(Exit(if grep.failed { 2 } else { u8::from(!grep.selected) }))
}

/// `-2` is `-C2`.
fn number_options(args: &mut [OsString]) {
    let mut value = false;
    for arg in args {
        let bytes = arg.as_bytes();
        if bytes == b"--" {
            break;
        }
        let digits = bytes.strip_prefix(b"-").unwrap_or_default();
        if !value && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
            *arg = os(&[b"-C", digits].concat());
            continue;
        }
        // What follows an option that ends without its value is that value.
        value = bytes.len() > 1 && bytes[0] == b'-' && bytes[1] != b'-' && b"efmABC".contains(&bytes[bytes.len() - 1]);
    }
}

/// How the search goes: what was asked for, and what was found so far.
struct Grep {
    options: Options,
    patterns: Patterns,
    named: bool,
    before: usize,
    after: usize,
    end: u8,
    terminal: bool,
    marks: bool,
    selected: bool,
    failed: bool,
    /// Whether lines were written, so that the next group of them is set apart.
    written: bool,
}

impl Grep {
    fn complain(&mut self, cx: &mut Context<'_>, path: &Path, error: &io::Error) {
        self.failed = true;
        if !self.options.no_messages {
            cx.warn(format_args!("{}: {}", Safe::path(path), applet::reason(error)));
        }
    }

    /// A file or directory that was named.
    fn operand(&mut self, cx: &mut Context<'_>, path: &Path) -> Result<()> {
        let recursive = self.options.recursive || self.options.dereference_recursive;
        if path.as_os_str() == "-" {
            return match cx.io.stdin.try_clone() {
                Ok(file) => self.file(cx, path, b"(standard input)", file),
                Err(error) => {
                    self.complain(cx, path, &error);
                    Ok(())
                }
            };
        }
        let kind = cx.files.metadata(path).map(|stat| stat.st_mode & libc::S_IFMT);
        if recursive && matches!(kind, Ok(libc::S_IFDIR)) {
            return self.directory(cx, path, path.as_os_str().as_bytes(), &mut Vec::new());
        }
        self.open(cx, path, path.as_os_str().as_bytes(), OFlag::O_RDONLY)
    }

    fn open(&mut self, cx: &mut Context<'_>, path: &Path, name: &[u8], flags: OFlag) -> Result<()> {
        match cx.files.open_with(path, flags, Mode::empty()) {
            Ok(file) => self.file(cx, path, name, file),
            Err(error) => {
                self.complain(cx, path, &error);
                Ok(())
            }
        }
    }

    /// Everything below a directory, in the order of the names. `name` is what is printed of the path; `above` are the
    /// directories that lead here, for links that lead back.
    fn directory(&mut self, cx: &mut Context<'_>, path: &Path, name: &[u8], above: &mut Vec<(u64, u64)>) -> Result<()> {
        let read = cx.files.directory(path).and_then(|directory| {
            let stat = nix::sys::stat::fstat(&directory)?;
            Ok((directory.entries()?, (stat.st_dev, stat.st_ino)))
        });
        let (mut entries, own) = match read {
            Ok(read) => read,
            Err(error) => {
                self.complain(cx, path, &error);
                return Ok(());
            }
        };
        if above.contains(&own) {
            cx.note(format_args!("{}: leads back to a directory above", Safe::path(path)));
            return Ok(());
        }
        above.push(own);
        order::sort_by(&mut entries, |a, b| a.name.cmp(&b.name));
        for entry in entries {
            let path = path.join(&entry.name);
            let slash: &[u8] = if name.is_empty() || name.ends_with(b"/") { b"" } else { b"/" };
            let name = [name, slash, entry.name.as_bytes()].concat();
            let stat = match self.options.dereference_recursive {
                true => cx.files.metadata(&path),
                false => cx.files.symlink_metadata(&path),
            };
            let listed = |globs: &[OsString]| {
                globs.iter().any(|glob| pattern::matches(glob.as_bytes(), entry.name.as_bytes(), Encoding::Utf8))
            };
            match stat.map(|stat| stat.st_mode & libc::S_IFMT) {
                Ok(libc::S_IFDIR) if !listed(&self.options.exclude_dir) => self.directory(cx, &path, &name, above)?,
                Ok(libc::S_IFREG)
                    if !listed(&self.options.exclude)
                        && (self.options.include.is_empty() || listed(&self.options.include)) =>
                {
                    // Between the look and the open a FIFO may have taken the file's place.
                    self.open(cx, &path, &name, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
                }
                Ok(_) => {}
                Err(error) => self.complain(cx, &path, &error),
            }
            if self.options.quiet && self.selected {
                break;
            }
        }
        above.pop();
        Ok(())
    }

    fn file(&mut self, cx: &mut Context<'_>, path: &Path, name: &[u8], mut file: File) -> Result<()> {
        let listing = self.options.quiet || self.options.files_with_matches || self.options.files_without_match;
        if !listing && !self.options.count && cx.io.out.feeds(&file) {
            self.failed = true;
            cx.warn(format_args!("{}: input file is output file", Safe::path(path)));
            return Ok(());
        }
        let name = shown(name, self.terminal).into_owned();
        let mut search = Search::new(self, &name, listing);
        let read = search.all(cx, &mut file)?;
        let (count, binary) = (search.count, search.hidden);
        self.selected |= count > 0;
        if let Err(error) = read {
            self.complain(cx, path, &error);
        }
        if self.options.quiet {
            return Ok(());
        }
        let out = &mut cx.io.out;
        if self.options.files_with_matches || self.options.files_without_match {
            if (count > 0) == self.options.files_with_matches {
                out.write_all(&[&name, &b"\n"[..]].concat())?;
            }
        } else if self.options.count {
            if self.named {
                out.write_all(&[&name, &b":"[..]].concat())?;
            }
            writeln!(out, "{count}")?;
        } else if binary {
            cx.note(format_args!("{}: binary file matches", Safe::path(path)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::lines::BLOCK;
    use super::*;
    use crate::applet::capture;

    #[track_caller]
    fn grep(args: &[&str], stdin: &[u8], out: &str) {
        let done = capture(&APPLET, args, stdin);
        assert_eq!(
            (done.out.as_str(), done.err.as_str(), done.status),
            (out, "", u8::from(out.is_empty())),
            "{args:?}"
        );
    }

    #[test]
    fn kinds_of_patterns() {
        grep(&["a.c"], b"abc\na.c\nac\n", "abc\na.c\n");
        grep(&["-F", "a.c"], b"abc\na.c\n", "a.c\n");
        grep(&["-E", "^(a|b)+$"], b"ab\nabc\n", "ab\n");
        grep(&["a\nb"], b"xa\nc\nbx\n", "xa\nbx\n");
        grep(&["-e", "-x", "-e", "y"], b"-x\ny\nz\n", "-x\ny\n");
        grep(&["-i", "A.C"], b"aBc\na\n", "aBc\n");
        grep(&["-iF", "A.C"], b"aBc\na.c\n", "a.c\n");
        grep(&["(a)\\1", "-E"], b"aa\nab\n", "aa\n");
        grep(&[""], b"a\n\n", "a\n\n");
    }

    #[test]
    fn words_and_whole_lines() {
        grep(&["-w", "foo"], b"foobar\na foo.\nfoo_\nxfoo foo\n", "a foo.\nxfoo foo\n");
        grep(&["-w", "a.*b"], b"a b bc\nab_\n", "a b bc\n");
        grep(&["-x", "a*"], b"aa\nab\n\n", "aa\n\n");
        grep(&["-xF", "a"], b"aa\na\n", "a\n");
        grep(&["-ow", "[a-z]*"], b"ab cd_ ef\n", "ab\nef\n");
    }

    #[test]
    fn what_is_printed() {
        grep(&["-v", "a"], b"a\nb\n", "b\n");
        grep(&["-n", "b"], b"a\nb", "2:b\n");
        grep(&["-c", "a"], b"a\nb\na\n", "2\n");
        grep(&["-o", "a*"], b"baab a\n", "aa\na\n");
        grep(&["-ob", "a"], b"x\nba\n", "3:a\n");
        grep(&["-H", "a"], b"a\n", "(standard input):a\n");
        grep(&["-m", "1", "a"], b"a1\na2\n", "a1\n");
        grep(&["-l", "a"], b"a\n", "(standard input)\n");
        grep(&["-z", "b"], b"a\0b\nc\0", "b\nc\0");
        grep(&["--color=always", "a"], b"bab\n", "b\x1b[01;31m\x1b[Ka\x1b[m\x1b[Kb\n");
    }

    #[test]
    fn context() {
        grep(&["-A1", "x"], b"x\n1\n2\nx\n3\n", "x\n1\n--\nx\n3\n");
        grep(&["-B1", "-n", "x"], b"1\n2\nx\nx\n", "2-2\n3:x\n4:x\n");
        grep(&["-1", "x"], b"1\nx\n2\nx\n3\n4\n", "1\nx\n2\nx\n3\n");
        grep(&["-m1", "-A2", "x"], b"x\nx\n1\n2\n", "x\nx\n1\n");
    }

    #[test]
    fn binary_files() {
        let done = capture(&APPLET, &["a"], b"b\0\na\n");
        assert_eq!((done.status, done.out.as_str(), done.err.as_str()), (0, "", "grep: -: binary file matches\n"));
        grep(&["-a", "^a"], b"b\0a\na\0\n", "a\0\n");
        grep(&["-I", "a"], b"a\0\n", "");
        grep(&["-c", "a"], b"a\0\nxa\n", "2\n");
    }

    #[test]
    fn lines_longer_than_a_block() {
        let long = "y".repeat(3 * BLOCK) + "x";
        grep(&["yx$"], format!("a\n{long}\nb").as_bytes(), &format!("{long}\n"));
        let many = "a\n".repeat(BLOCK) + "x\n";
        grep(&["-nb", "x"], many.as_bytes(), &format!("{}:{}:x\n", BLOCK + 1, 2 * BLOCK));
    }

    #[test]
    fn statuses() {
        let status = |args: &[&str]| {
            let done = capture(&APPLET, args, b"a\n");
            (done.status, done.err)
        };
        assert_eq!(status(&["b"]), (1, String::new()));
        assert_eq!(status(&["a", "/none", "-"]), (2, String::from("grep: /none: No such file or directory\n")));
        assert_eq!(status(&["-s", "a", "/none", "-"]), (2, String::new()));
        assert_eq!(status(&["-q", "a", "-", "/none"]), (0, String::new()));
        assert_eq!(status(&["a", "/"]), (2, String::from("grep: /: Is a directory\n")));
        assert_eq!(status(&["a\\("]).0, 2);
        assert_eq!(status(&[]).0, 2);
        assert_eq!(status(&["--none", "a"]).0, 2);
        assert_eq!(status(&["-f", "/dev/null"]).0, 1);
        assert_eq!(status(&["-vf", "/dev/null"]).0, 0);
    }
}
