//! `read` (POSIX.1-2024, XCU read), with the options of ash and bash that scripts use.

use std::io::Write;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::stat::fstat;
use nix::sys::termios::SetArg;
use nix::unistd::{Whence, lseek, read as read_descriptor};

use super::super::expand::Separators;
use super::super::syntax::word::is_name;
use super::super::{Flow, Shell, Text};
use super::{number, options};
use crate::applet::reason;
use crate::output::Safe;
use crate::sys::terminal::Hidden;
use crate::sys::{self, signal};

/// What was read, and where in it a backslash took a byte's special meaning.
#[derive(Default)]
struct Line {
    text: Text,
    escaped: Vec<usize>,
}

struct Request {
    fd: RawFd,
    raw: bool,
    /// `None`: only the count ends it (`-N`).
    delimiter: Option<u8>,
    count: Option<usize>,
    deadline: Option<Instant>,
    input: Input,
}

/// How more can be read than may be taken.
enum Input {
    /// By seeking back.
    File,
    /// By looking into it before.
    Pipe,
    /// Not at all.
    Other,
}

impl Input {
    fn of(fd: RawFd) -> Input {
        match fstat(sys::borrow(fd)).map(|stat| stat.st_mode & libc::S_IFMT) {
            Ok(libc::S_IFREG) => Input::File,
            Ok(libc::S_IFIFO) => Input::Pipe,
            _ => Input::Other,
        }
    }
}

enum End {
    /// The delimiter came, or as many bytes as were asked for.
    Complete,
    /// Of the input.
    Exhausted,
    TimedOut,
    Interrupted(u8),
    Failed(Errno),
}

pub fn read(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"aers", b"dnNptu")?;
    if parsed.has(b'a') {
        return Err(shell.abort("read: -a: arrays are not supported"));
    }
    let raw = parsed.has(b'r');
    let mut request = Request { fd: 0, raw, delimiter: Some(b'\n'), count: None, deadline: None, input: Input::Other };
    for (letter, value) in &parsed.options {
        if set(&mut request, *letter, value).is_none() {
            let (letter, value) = (char::from(*letter), Safe(value));
            return Err(shell.abort(format_args!("read: -{letter}: {value}: bad number")));
        }
        if *letter == b'p' && nix::unistd::isatty(sys::borrow(request.fd)) == Ok(true) {
            let _ = shell.io.err.write_all(value);
        }
    }
    if parsed.options.iter().any(|(letter, value)| *letter == b't' && *value == b"0") {
        // Only whether there is something.
        let ready = signal::wait_readable(sys::borrow(request.fd), Some(Duration::ZERO.into()));
        return Ok(u8::from(ready != Ok(true)));
    }
    request.input = Input::of(request.fd);
    let quiet = parsed.has(b's').then(|| Hidden::new(sys::borrow(request.fd), SetArg::TCSADRAIN));
    let (line, end) = read_line(shell, &request);
    drop(quiet);
    let status = match end {
        End::Complete => 0,
        End::Exhausted => 1,
        End::TimedOut => 142,
        End::Interrupted(status) => status,
        End::Failed(errno) => {
            return Err(shell.abort(format_args!("read: {}", reason(&errno.into()))));
        }
    };
    let default = [b"REPLY".to_vec()];
    let names = if parsed.operands.is_empty() { &default[..] } else { parsed.operands };
    // Neither what is counted nor the line in REPLY is split.
    let ifs = match request.delimiter {
        Some(_) if !parsed.operands.is_empty() => shell.variables.get(b"IFS").unwrap_or(b" \t\n").to_vec(),
        _ => Text::new(),
    };
    let separators = Separators { ifs: &ifs, encoding: shell.encoding(&ifs) };
    for (name, value) in names.iter().zip(split(&line, &separators, names.len())) {
        if !is_name(name) {
            return Err(shell.abort(format_args!("read: {}: bad variable name", Safe(name))));
        }
        shell.assign(name, value)?;
    }
    Ok(status)
}

/// Takes one option; `None` where its value is no number.
fn set(request: &mut Request, letter: u8, value: &[u8]) -> Option<()> {
    match letter {
        b'd' => request.delimiter = Some(value.first().copied().unwrap_or(0)),
        b'n' => request.count = Some(number(value)?),
        b'N' => (request.delimiter, request.count) = (None, Some(number(value)?)),
        b't' => {
            let seconds = std::str::from_utf8(value).ok()?.parse::<f64>().ok()?;
            let length = Duration::try_from_secs_f64(seconds).ok()?;
            request.deadline = Instant::now().checked_add(length);
        }
        b'u' => request.fd = RawFd::try_from(number(value)?).ok()?,
        _ => {}
    }
    Some(())
}

const BLOCK: usize = 512;

/// What was read beyond the byte that is wanted next.
struct Ahead {
    bytes: [u8; BLOCK],
    at: usize,
    len: usize,
}

/// Takes nothing that follows the delimiter, since it belongs to the next command.
fn read_line(shell: &mut Shell<'_>, request: &Request) -> (Line, End) {
    let mut ahead = Ahead { bytes: [0; BLOCK], at: 0, len: 0 };
    let result = collect(shell, request, &mut ahead);
    let beyond = (ahead.len - ahead.at) as i64;
    if beyond > 0 {
        // Only of a file was so much read.
        let _ = lseek(sys::borrow(request.fd), -beyond, Whence::SeekCur);
    }
    result
}

fn collect(shell: &mut Shell<'_>, request: &Request, ahead: &mut Ahead) -> (Line, End) {
    let mut line = Line::default();
    let mut escaped = false;
    loop {
        if request.count.is_some_and(|count| line.text.len() >= count) {
            return (line, End::Complete);
        }
        if ahead.at == ahead.len
            && let Err(end) = fill(shell, request, ahead, line.text.len())
        {
            return (line, end);
        }
        let byte = ahead.bytes[ahead.at];
        ahead.at += 1;
        match byte {
            b'\n' if escaped => escaped = false,
            _ if escaped => {
                line.escaped.push(line.text.len());
                line.text.push(byte);
                escaped = false;
            }
            b'\\' if !request.raw => escaped = true,
            _ if Some(byte) == request.delimiter => return (line, End::Complete),
            0 => {}
            _ => line.text.push(byte),
        }
    }
}

/// Reads a block, or as much as may be taken, or a byte. So much of the line is `known`.
fn fill(shell: &mut Shell<'_>, request: &Request, ahead: &mut Ahead, known: usize) -> Result<(), End> {
    let fd = sys::borrow(request.fd);
    loop {
        let ready = match request.deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                signal::wait_readable(fd, Some(left.into()))
            }
            // Somebody may be typing, and a signal must end the wait.
            None if shell.options.interactive => signal::wait_readable(fd, None),
            None => Ok(true),
        };
        let read = ready.and_then(|ready| match ready {
            true => {
                let size = size(shell, request, &mut ahead.bytes, known)?;
                read_descriptor(fd, &mut ahead.bytes[..size]).map(Some)
            }
            false => Ok(None),
        });
        match read {
            Ok(None) => return Err(End::TimedOut),
            Ok(Some(0)) => return Err(End::Exhausted),
            Ok(Some(len)) => {
                (ahead.at, ahead.len) = (0, len);
                return Ok(());
            }
            Err(Errno::EINTR) => {
                if let Some(signal) = shell.traps.arrived(shell.options.interactive) {
                    return Err(End::Interrupted(128 + signal as u8));
                }
            }
            Err(errno) => return Err(End::Failed(errno)),
        }
    }
}

/// How much to read at once. EINTR where a signal ended the wait for it.
fn size(shell: &mut Shell<'_>, request: &Request, bytes: &mut [u8; BLOCK], known: usize) -> nix::Result<usize> {
    let most = request.count.map_or(BLOCK, |count| count.saturating_sub(known)).clamp(1, BLOCK);
    match request.input {
        Input::File => Ok(BLOCK),
        Input::Pipe => match shell.peek.waiting(sys::borrow(request.fd), &mut bytes[..most], request.delimiter) {
            Err(Errno::EINTR) => Err(Errno::EINTR),
            // At the end of the input, and where a kernel does not have the call.
            found => Ok(found.unwrap_or(0).max(1)),
        },
        Input::Other => Ok(1),
    }
}

/// The values of `count` variables: fields by IFS, and in the last one all that is left.
fn split(Line { text, escaped }: &Line, separators: &Separators<'_>, count: usize) -> Vec<Text> {
    let len = |at: usize| match escaped.binary_search(&at) {
        Ok(_) => 0,
        Err(_) => separators.len(&text[at..]),
    };
    let delimiter = |at: usize| len(at) > 0;
    let white = |at: usize| matches!(text[at], b' ' | b'\t' | b'\n') && delimiter(at);
    let skip_white = |at: usize| (at..text.len()).find(|at| !white(*at)).unwrap_or(text.len());
    let mut values = Vec::with_capacity(count);
    let mut at = skip_white(0);
    while values.len() < count {
        let end = (at..text.len()).find(|at| delimiter(*at)).unwrap_or(text.len());
        let mut after = skip_white(end);
        if after < text.len() {
            after = match len(after) {
                0 => after,
                len => skip_white(after + len),
            };
        }
        if values.len() + 1 == count && after < text.len() {
            let last = (at..text.len()).rfind(|at| !white(*at)).map_or(at, |last| last + 1);
            values.push(text[at..last].to_vec());
        } else {
            values.push(text[at..end].to_vec());
        }
        at = after;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::{Line, Separators, split};
    use crate::shell::expand::character::Encoding;

    fn fields(text: &str, ifs: &str, count: usize) -> Vec<String> {
        let line = Line { text: text.as_bytes().to_vec(), escaped: Vec::new() };
        let separators = Separators { ifs: ifs.as_bytes(), encoding: Encoding::Utf8 };
        split(&line, &separators, count).into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
    }

    #[test]
    fn fields_and_the_rest() {
        assert_eq!(fields("  a b  c d ", " \t\n", 2), ["a", "b  c d"]);
        assert_eq!(fields("a", " \t\n", 2), ["a", ""]);
        assert_eq!(fields("a:b:", ":", 2), ["a", "b"]);
        assert_eq!(fields("a:b::", ":", 2), ["a", "b::"]);
        assert_eq!(fields(":a", ":", 2), ["", "a"]);
        assert_eq!(fields(" a ", "", 1), [" a "]);
        assert_eq!(fields("a : b", " :", 2), ["a", "b"]);
    }
}
