//! `read` (POSIX.1-2024, XCU read), with the options of ash and bash that scripts use.

use std::io::Write;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::termios::{self, LocalFlags, SetArg};
use nix::unistd::{Whence, lseek, read as read_descriptor};

use super::super::{Flow, Shell, Text};
use super::{number, options};
use crate::output::Safe;
use crate::sys::{self, signal};

/// A byte, and whether a backslash took its special meaning.
type Char = (u8, bool);

struct Request {
    fd: RawFd,
    raw: bool,
    delimiter: u8,
    count: Option<usize>,
    deadline: Option<Instant>,
    seekable: bool,
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
    let parsed = options(shell, args, b"rs", b"dnptu")?;
    let raw = parsed.has(b'r');
    let mut request = Request { fd: 0, raw, delimiter: b'\n', count: None, deadline: None, seekable: false };
    for (letter, value) in &parsed.options {
        let valid = match letter {
            b'd' => {
                request.delimiter = value.first().copied().unwrap_or(0);
                true
            }
            b'n' => {
                request.count = number(value);
                request.count.is_some()
            }
            b't' => {
                let seconds = std::str::from_utf8(value).ok().and_then(|text| text.parse::<f64>().ok());
                let length = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                request.deadline = length.and_then(|length| Instant::now().checked_add(length));
                length.is_some()
            }
            b'u' => match number(value).and_then(|fd| RawFd::try_from(fd).ok()) {
                Some(fd) => {
                    request.fd = fd;
                    true
                }
                None => false,
            },
            _ => true,
        };
        if !valid {
            shell.complain(format_args!("read: -{}: {}: bad number", char::from(*letter), Safe(value)));
            return Ok(2);
        }
        if *letter == b'p' && nix::unistd::isatty(sys::borrow(request.fd)) == Ok(true) {
            let _ = shell.io.err.write_all(value);
        }
    }
    request.seekable = lseek(sys::borrow(request.fd), 0, Whence::SeekCur).is_ok();
    let quiet = parsed.has(b's').then(|| Echo::off(request.fd));
    let (text, end) = read_text(shell, &request);
    drop(quiet);
    let status = match end {
        End::Complete => 0,
        End::Exhausted => 1,
        End::TimedOut => 142,
        End::Interrupted(status) => status,
        End::Failed(errno) => {
            shell.complain(format_args!("read: {}", errno.desc()));
            return Ok(2);
        }
    };
    let default = [b"REPLY".to_vec()];
    let names = if parsed.operands.is_empty() { &default[..] } else { parsed.operands };
    let ifs = shell.variables.get(b"IFS").unwrap_or(b" \t\n").to_vec();
    for (name, value) in names.iter().zip(split(&text, &ifs, names.len())) {
        if !super::super::word::is_name(name) {
            shell.complain(format_args!("read: {}: bad variable name", Safe(name)));
            return Ok(2);
        }
        // Not an assignment error, which would end a script (POSIX.1-2024, read, "EXIT STATUS").
        if shell.assign(name, value).is_err() {
            return Ok(2);
        }
    }
    Ok(status)
}

/// What was read beyond the byte that is wanted next.
#[derive(Default)]
struct Ahead {
    bytes: Vec<u8>,
    at: usize,
}

/// Takes nothing that follows the delimiter, since it belongs to the next command: reads by blocks and seeks back where
/// the descriptor can seek, byte by byte where it cannot.
fn read_text(shell: &mut Shell<'_>, request: &Request) -> (Vec<Char>, End) {
    let mut ahead = Ahead::default();
    let result = collect(shell, request, &mut ahead);
    let beyond = (ahead.bytes.len() - ahead.at) as i64;
    if beyond > 0 {
        // It could seek when it was asked.
        let _ = lseek(sys::borrow(request.fd), -beyond, Whence::SeekCur);
    }
    result
}

fn collect(shell: &mut Shell<'_>, request: &Request, ahead: &mut Ahead) -> (Vec<Char>, End) {
    let mut text = Vec::new();
    let mut escaped = false;
    loop {
        if request.count.is_some_and(|count| text.len() >= count) {
            return (text, End::Complete);
        }
        let byte = match next(shell, request, ahead) {
            Ok(byte) => byte,
            Err(end) => return (text, end),
        };
        match byte {
            b'\n' if escaped => escaped = false,
            _ if escaped => {
                text.push((byte, true));
                escaped = false;
            }
            b'\\' if !request.raw => escaped = true,
            _ if byte == request.delimiter => return (text, End::Complete),
            0 => {}
            _ => text.push((byte, false)),
        }
    }
}

fn next(shell: &mut Shell<'_>, request: &Request, ahead: &mut Ahead) -> Result<u8, End> {
    if let Some(byte) = ahead.bytes.get(ahead.at) {
        ahead.at += 1;
        return Ok(*byte);
    }
    let mut block = [0; 512];
    let size = if request.seekable { block.len() } else { 1 };
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
        match ready.and_then(|ready| if ready { read_descriptor(fd, &mut block[..size]).map(Some) } else { Ok(None) }) {
            Ok(None) => return Err(End::TimedOut),
            Ok(Some(0)) => return Err(End::Exhausted),
            Ok(Some(len)) => {
                *ahead = Ahead { bytes: block[1..len].to_vec(), at: 0 };
                return Ok(block[0]);
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

/// The values of `count` variables: fields by IFS, and in the last one all that is left.
fn split(text: &[Char], ifs: &[u8], count: usize) -> Vec<Text> {
    let white = |&(byte, escaped): &Char| !escaped && matches!(byte, b' ' | b'\t' | b'\n') && ifs.contains(&byte);
    let delimiter = |&(byte, escaped): &Char| !escaped && ifs.contains(&byte);
    let bytes = |chars: &[Char]| chars.iter().map(|(byte, _)| *byte).collect::<Text>();
    let skip_white = |at: usize| at + text[at..].iter().take_while(|char| white(char)).count();
    let mut values = Vec::with_capacity(count);
    let mut at = skip_white(0);
    while values.len() < count {
        let end = at + text[at..].iter().take_while(|char| !delimiter(char)).count();
        let mut after = skip_white(end);
        if after < text.len() && delimiter(&text[after]) {
            after = skip_white(after + 1);
        }
        if values.len() + 1 == count && after < text.len() {
            let last = text.iter().rposition(|char| !white(char)).map_or(at, |last| last + 1);
            values.push(bytes(&text[at..last.max(at)]));
        } else {
            values.push(bytes(&text[at..end]));
        }
        at = after;
    }
    values
}

/// A terminal that does not show what is typed, for as long as this lives.
struct Echo(RawFd, Option<termios::Termios>);

impl Echo {
    fn off(fd: RawFd) -> Echo {
        let old = termios::tcgetattr(sys::borrow(fd)).ok();
        if let Some(mut quiet) = old.clone() {
            quiet.local_flags.remove(LocalFlags::ECHO);
            let _ = termios::tcsetattr(sys::borrow(fd), SetArg::TCSADRAIN, &quiet);
        }
        Echo(fd, old)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(old) = &self.1 {
            let _ = termios::tcsetattr(sys::borrow(self.0), SetArg::TCSADRAIN, old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    fn fields(text: &str, ifs: &str, count: usize) -> Vec<String> {
        let chars: Vec<_> = text.bytes().map(|byte| (byte, false)).collect();
        split(&chars, ifs.as_bytes(), count).into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
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
