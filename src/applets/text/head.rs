//! head: POSIX.1-2024 XCU `head`, with GNU's `-c`, counts from the end, units and `-q -v`, and the old `-5`. A seekable
//! input is left behind the last line that was written, for whoever reads on.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::applet::{self, Applet, Context, Error, Exit, Out, Place, Result, os};
use crate::output::{Safe, shown, units};

pub static APPLET: Applet = Applet {
    names: &["head"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

const BLOCK: usize = 32 * 1024;

/// Write the first lines of files
#[derive(clap::Parser)]
struct Options {
    /// So many lines, 10 by default; -N: all but the last N
    #[arg(short = 'n', long, value_name = "N", allow_hyphen_values = true, overrides_with = "bytes")]
    lines: Option<OsString>,
    /// So many bytes, with units: 2b, 10K, 1M, 1kB; -N: all but the last N
    #[arg(short = 'c', long, value_name = "N", allow_hyphen_values = true, overrides_with = "lines")]
    bytes: Option<OsString>,
    /// No headings with the files' names
    #[arg(short, long, visible_alias = "silent", overrides_with = "verbose")]
    quiet: bool,
    /// Headings also for a single file
    #[arg(short, long, overrides_with = "quiet")]
    verbose: bool,
    /// - is standard input
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy)]
enum Part {
    Lines(u64),
    Bytes(u64),
    AllButLines(u64),
    AllButBytes(u64),
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    // The old form, as the first argument only.
    if let Some([b'-', digits @ ..]) = cx.args.first().map(|first| first.as_bytes())
        && !digits.is_empty()
        && digits.iter().all(u8::is_ascii_digit)
    {
        cx.args[0] = os(&[b"-n", digits].concat());
    }
    let options: Options = cx.parse()?;
    let part = part(&options)?;
    let headings = options.verbose || (options.files.len() > 1 && !options.quiet);
    let terminal = cx.terminal();
    let mut first = true;
    for path in &options.files {
        let standard = path.as_os_str() == "-";
        let opened = match standard {
            true => cx.io.stdin.try_clone(),
            false => cx.files.open(path),
        };
        let read = match opened {
            Ok(mut file) => {
                if headings {
                    let name = if standard { b"standard input" } else { path.as_os_str().as_bytes() };
                    let before: &[u8] = if first { b"==> " } else { b"\n==> " };
                    cx.io.out.write_all(&[before, &shown(name, terminal), b" <==\n"].concat())?;
                    first = false;
                }
                head(&mut file, &mut cx.io.out, part)?
            }
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            cx.warn(format_args!("{}: {}", Safe::path(path), applet::reason(&error)));
        }
    }
    Ok(Exit(0))
}

fn part(options: &Options) -> Result<Part> {
    let (text, is_bytes) = match (&options.bytes, &options.lines) {
        (Some(text), _) => (text.as_bytes(), true),
        (None, Some(text)) => (text.as_bytes(), false),
        (None, None) => return Ok(Part::Lines(10)),
    };
    let (number, from_end) = match text {
        [b'-', number @ ..] => (number, true),
        [b'+', number @ ..] => (number, false),
        number => (number, false),
    };
    let Some(count) = units::count(number) else {
        let what = if is_bytes { "bytes" } else { "lines" };
        return Err(Error::message(format_args!("{}: not a number of {what}", Safe(text))));
    };
    Ok(match (is_bytes, from_end) {
        (false, false) => Part::Lines(count),
        (false, true) => Part::AllButLines(count),
        (true, false) => Part::Bytes(count),
        (true, true) => Part::AllButBytes(count),
    })
}

/// The outer error is the output's, the inner one the file's.
fn head(file: &mut File, out: &mut Out, part: Part) -> Result<io::Result<()>> {
    let mut held = Held::default();
    let mut left = match part {
        Part::Lines(count) | Part::Bytes(count) => count,
        Part::AllButLines(_) | Part::AllButBytes(_) => u64::MAX,
    };
    let mut buffer = vec![0; BLOCK];
    while left > 0 {
        let want = if let Part::Bytes(_) = part { left.min(BLOCK as u64) as usize } else { BLOCK };
        let block = match file.read(&mut buffer[..want]) {
            Ok(0) => break,
            Ok(length) => &buffer[..length],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(error)),
        };
        match part {
            Part::Bytes(_) => {
                left -= block.len() as u64;
                out.write_all(block)?;
            }
            Part::Lines(_) => {
                let mut end = block.len();
                for newline in memchr::memchr_iter(b'\n', block) {
                    left -= 1;
                    if left == 0 {
                        end = newline + 1;
                        break;
                    }
                }
                out.write_all(&block[..end])?;
                if end < block.len() {
                    // What cannot seek, a pipe, has lost these bytes.
                    let _ = file.seek(SeekFrom::Current(end as i64 - block.len() as i64));
                }
            }
            Part::AllButBytes(keep) => held.bytes(out, block, keep)?,
            Part::AllButLines(keep) => held.lines(out, block, keep)?,
        }
    }
    if let Part::AllButLines(keep) = part {
        held.finish(out, keep)?;
    }
    Ok(Ok(()))
}

/// The end of the input as far as it is known, not yet written: it may have to be left out.
#[derive(Default)]
struct Held {
    text: VecDeque<u8>,
    /// Where the lines in `text` end, counted from the start of the input.
    ends: VecDeque<u64>,
    written: u64,
}

impl Held {
    fn bytes(&mut self, out: &mut Out, block: &[u8], keep: u64) -> io::Result<()> {
        self.text.extend(block);
        let excess = (self.text.len() as u64).saturating_sub(keep);
        self.write(out, excess as usize)
    }

    fn lines(&mut self, out: &mut Out, block: &[u8], keep: u64) -> io::Result<()> {
        let start = self.written + self.text.len() as u64;
        self.text.extend(block);
        self.ends.extend(memchr::memchr_iter(b'\n', block).map(|at| start + at as u64 + 1));
        self.release(out, keep)
    }

    /// Writes all lines but the last `keep` complete ones.
    fn release(&mut self, out: &mut Out, keep: u64) -> io::Result<()> {
        let excess = (self.ends.len() as u64).saturating_sub(keep) as usize;
        let end = self.ends.drain(..excess).next_back().unwrap_or(self.written);
        self.write(out, (end - self.written) as usize)
    }

    /// A last line without a newline is one more line.
    fn finish(&mut self, out: &mut Out, keep: u64) -> io::Result<()> {
        let complete = self.ends.back().copied().unwrap_or(self.written);
        if self.written + self.text.len() as u64 > complete {
            self.ends.push_back(self.written + self.text.len() as u64);
        }
        self.release(out, keep)
    }

    fn write(&mut self, out: &mut Out, count: usize) -> io::Result<()> {
        let (front, back) = self.text.as_slices();
        let split = count.min(front.len());
        out.write_all(&front[..split])?;
        out.write_all(&back[..count - split])?;
        self.text.drain(..count);
        self.written += count as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::{Captured, capture};

    #[track_caller]
    fn head(args: &[&str], stdin: &[u8], out: &str) {
        let done = capture(&APPLET, args, stdin);
        assert_eq!(done, Captured { status: 0, out: String::from(out), err: String::new() });
    }

    #[test]
    fn lines_and_bytes() {
        head(&[], b"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n");
        head(&["-n", "2"], b"a\nb\nc\n", "a\nb\n");
        head(&["-1"], b"a\nb\nc\n", "a\n");
        head(&["-n2"], b"a", "a");
        head(&["-n", "0"], b"a\n", "");
        head(&["-c", "3"], b"a\nbc\n", "a\nb");
        head(&["-c1K", "-n1"], b"a\nb\n", "a\n");
    }

    #[test]
    fn all_but_the_end() {
        head(&["-n", "-1"], b"a\nb\nc\n", "a\nb\n");
        head(&["-n", "-1"], b"a\nb\nc", "a\nb\n");
        head(&["-n", "-0"], b"a\nb", "a\nb");
        head(&["-n", "-5"], b"a\nb\n", "");
        head(&["-c", "-2"], b"abcd", "ab");
        head(&["-c", "-9"], b"abcd", "");
        let long = "x\n".repeat(BLOCK);
        head(&["-n", "-1"], long.as_bytes(), &long[2..]);
        head(&["-c", "-40000"], long.as_bytes(), &long[40000..]);
    }

    #[test]
    fn headings() {
        head(&["-v"], b"a\n", "==> standard input <==\na\n");
        head(&["-", "/dev/null"], b"a\n", "==> standard input <==\na\n\n==> /dev/null <==\n");
        head(&["-q", "-", "/dev/null"], b"a\n", "a\n");
    }

    #[test]
    fn wrong_use() {
        let done = capture(&APPLET, &["-n", "x"], b"");
        assert_eq!((done.status, done.err.as_str()), (1, "head: x: not a number of lines\n"));
        let done = capture(&APPLET, &["/none", "-"], b"a\n");
        assert_eq!((done.status, done.out.as_str()), (1, "==> standard input <==\na\n"));
        assert_eq!(capture(&APPLET, &["-Q"], b"").status, 2);
    }
}
