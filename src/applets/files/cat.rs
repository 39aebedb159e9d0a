//! cat: POSIX.1-2024 XCU `cat`, with the ways of showing lines that GNU and busybox have. Plain copies move pages between
//! descriptors where the kernel can (splice(2), copy_file_range(2)), as the tool for large files and pipes.
//! Output is raw: what goes to a terminal is the file's.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, SpliceFFlags, copy_file_range, fcntl, splice};
use nix::sys::stat::{FileStat, fstat};

use crate::applet::{self, Applet, Context, Exit, Place, Reads, Result};
use crate::output::Safe;

pub static APPLET: Applet = Applet {
    names: &["cat"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Guest { reads: Reads::WithoutFiles },
    trouble: 1,
};

/// How much is read at once.
const BLOCK: usize = 128 * 1024;

/// What is moved at once, and the size of a pipe that is worth it.
const LARGE: usize = 1024 * 1024;

/// Write files one after the other
#[derive(clap::Parser)]
struct Options {
    /// Number all lines
    #[arg(short, long)]
    number: bool,
    /// Number the lines that are not empty
    #[arg(short = 'b', long)]
    number_nonblank: bool,
    /// One empty line in place of several
    #[arg(short, long)]
    squeeze_blank: bool,
    /// A $ at the end of each line
    #[arg(short = 'E', long)]
    show_ends: bool,
    /// ^I for a tab
    #[arg(short = 'T', long)]
    show_tabs: bool,
    /// ^X and M-X for what cannot be seen
    #[arg(short = 'v', long)]
    show_nonprinting: bool,
    /// The same as -vET
    #[arg(short = 'A', long)]
    show_all: bool,
    /// The same as -vE
    #[arg(short = 'e')]
    ends: bool,
    /// The same as -vT
    #[arg(short = 't')]
    tabs: bool,
    /// Write at once, which is always done
    #[arg(short = 'u')]
    _unbuffered: bool,
    /// - is standard input
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    files: Vec<PathBuf>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let mut lines = Lines {
        number: options.number || options.number_nonblank,
        nonblank: options.number_nonblank,
        squeeze: options.squeeze_blank,
        ends: options.show_ends || options.show_all || options.ends,
        tabs: options.show_tabs || options.show_all || options.tabs,
        controls: options.show_nonprinting || options.show_all || options.ends || options.tabs,
        ..Lines::default()
    };
    for path in &options.files {
        let opened = match path.as_os_str() == "-" {
            true => cx.io.stdin.try_clone(),
            false => cx.files.open(path),
        };
        let read = match opened {
            Ok(file) if cx.io.out.feeds(&file) => {
                cx.warn(format_args!("{}: input file is output file", Safe::path(path)));
                continue;
            }
            Ok(mut file) if lines.plain() => copy(&mut file, cx)?,
            Ok(mut file) => show(&mut file, cx, &mut lines)?,
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            complain(cx, path, &error);
        }
    }
    Ok(Exit(0))
}

fn complain(cx: &mut Context<'_>, path: &Path, error: &io::Error) {
    cx.warn(format_args!("{}: {}", Safe::path(path), applet::reason(error)));
}

fn is_regular(stat: &FileStat) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFREG
}

/// Copies all of `file` to standard output. The outer error is the output's, the inner one the file's.
fn copy(file: &mut File, cx: &mut Context<'_>) -> Result<io::Result<()>> {
    cx.io.out.flush()?;
    let out = &mut cx.io.out;
    // What the kernel refuses to move, and the end of what it moved, is for read(2) to judge: files in /proc look empty
    // to the other calls, and their errors do not tell which side they mean.
    if !out.is_captured() {
        move_pages(file, &out.file);
    }
    let mut buffer = vec![0; BLOCK];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Ok(())),
            Ok(length) => out.write_all(&buffer[..length]).and_then(|()| out.flush())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(error)),
        }
    }
}

fn move_pages(file: &File, out: &File) {
    let (Ok(from), Ok(to)) = (fstat(file), fstat(out)) else { return };
    let is_pipe = |stat: &FileStat| stat.st_mode & libc::S_IFMT == libc::S_IFIFO;
    if is_regular(&from) && is_regular(&to) {
        while copy_file_range(file, None, out, None, 1 << 30).is_ok_and(|moved| moved > 0) {}
    } else if is_pipe(&from) || is_pipe(&to) {
        // A larger pipe wakes its reader less often: three times as fast for large files. Where we may not have one, the
        // default does.
        if is_pipe(&to) && from.st_size > LARGE as i64 {
            let _ = fcntl(out, FcntlArg::F_SETPIPE_SZ(LARGE as i32));
        }
        while splice(file, None, out, None, LARGE, SpliceFFlags::empty()).is_ok_and(|moved| moved > 0) {}
    }
}

/// How lines are shown, and where between them we are; files follow each other without a seam.
#[derive(Default)]
struct Lines {
    number: bool,
    nonblank: bool,
    squeeze: bool,
    ends: bool,
    tabs: bool,
    controls: bool,
    inside: bool,
    blank: bool,
    count: u64,
}

impl Lines {
    fn plain(&self) -> bool {
        !(self.number || self.squeeze || self.ends || self.tabs || self.controls)
    }

    fn write(&mut self, out: &mut Vec<u8>, block: &[u8]) {
        for piece in block.split_inclusive(|byte| *byte == b'\n') {
            if !std::mem::replace(&mut self.inside, true) {
                let blank = piece == b"\n";
                let repeated = std::mem::replace(&mut self.blank, blank) && blank;
                if self.squeeze && repeated {
                    self.inside = false;
                    continue;
                }
                if self.number && !(self.nonblank && blank) {
                    self.count += 1;
                    out.extend(format!("{:>6}\t", self.count).bytes());
                }
            }
            let text = piece.strip_suffix(b"\n");
            self.show(out, text.unwrap_or(piece));
            if text.is_some() {
                out.extend(if self.ends { &b"$\n"[..] } else { b"\n" });
                self.inside = false;
            }
        }
    }

    fn show(&self, out: &mut Vec<u8>, text: &[u8]) {
        if !(self.tabs || self.controls) {
            return out.extend(text);
        }
        for byte in text {
            match byte {
                b'\t' if self.tabs => out.extend(b"^I"),
                b'\t' => out.push(b'\t'),
                _ if !self.controls => out.push(*byte),
                _ => {
                    if *byte >= 0x80 {
                        out.extend(b"M-");
                    }
                    match byte & 0x7f {
                        0x7f => out.extend(b"^?"),
                        control @ 0..0x20 => out.extend([b'^', control + b'@']),
                        plain => out.push(plain),
                    }
                }
            }
        }
    }
}

/// Shows the lines of `file`, each block as soon as it was read.
fn show(file: &mut File, cx: &mut Context<'_>, lines: &mut Lines) -> Result<io::Result<()>> {
    let mut buffer = vec![0; BLOCK];
    let mut text = Vec::new();
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Ok(())),
            Ok(length) => {
                lines.write(&mut text, &buffer[..length]);
                cx.io.out.write_all(&text)?;
                cx.io.out.flush()?;
                text.clear();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::{Captured, capture};

    #[track_caller]
    fn cat(args: &[&str], stdin: &[u8], out: &str) {
        let done = capture(&APPLET, args, stdin);
        assert_eq!(done, Captured { status: 0, out: String::from(out), err: String::new() });
    }

    #[test]
    fn copies() {
        cat(&[], b"a\nb", "a\nb");
        cat(&["-u", "-", "/dev/null"], b"x", "x");
    }

    #[test]
    fn numbers_and_blanks() {
        cat(&["-n"], b"a\n\nb", "     1\ta\n     2\t\n     3\tb");
        cat(&["-b"], b"a\n\nb\n", "     1\ta\n\n     2\tb\n");
        cat(&["-ns"], b"\n\n\na\n\n\n", "     1\t\n     2\ta\n     3\t\n");
    }

    #[test]
    fn what_cannot_be_seen() {
        cat(&["-A"], b"a\tb\x01\x7f\x80\xff\r\n", "a^Ib^A^?M-^@M-^?^M$\n");
        cat(&["-v"], b"a\tb\xe9\n", "a\tbM-i\n");
        cat(&["-T"], b"\x01\t\n", "\x01^I\n");
        cat(&["-e"], b"a\n\x1bb", "a$\n^[b");
    }

    #[test]
    fn lines_go_on_across_blocks_and_files() {
        let mut lines = Lines { number: true, ends: true, ..Lines::default() };
        let mut out = Vec::new();
        for block in ["a", "b\nc", "\n", "\n"] {
            lines.write(&mut out, block.as_bytes());
        }
        assert_eq!(String::from_utf8(out).unwrap(), "     1\tab$\n     2\tc$\n     3\t$\n");
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_is_copied() {
        let done = capture(&APPLET, &["/none", "/", "-"], b"a\n");
        let err = "cat: /none: No such file or directory\ncat: /: Is a directory\n";
        assert_eq!(done, Captured { status: 1, out: String::from("a\n"), err: String::from(err) });
        assert_eq!(capture(&APPLET, &["-Q"], b"").status, 2);
    }
}
