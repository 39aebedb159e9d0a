//! Prompts (POSIX.1-2024, XCU 2.5.3): PS1 with the escapes that bash and busybox share and two of our own, PS2, PS4.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::unistd::{User, geteuid, gethostname};

use super::super::syntax::lexer::Parser;
use super::super::syntax::source::Text as Lines;
use super::super::{Flow, Interrupt, Shell, Text};
use crate::applet::os;
use crate::output::Safe;
use crate::sys::time;

/// The target, where we are, and a failed status.
pub const DEFAULT: &[u8] = b"\\p \\w\\? \\$ ";

impl Shell<'_> {
    pub(in crate::shell) fn first_prompt(&mut self) -> Text {
        let text = self.variables.get(b"PS1").unwrap_or_default().to_vec();
        let text = self.unescape_prompt(&text);
        self.expand_prompt(&text).unwrap_or(text)
    }

    /// PS1, PS2, PS4: parameters, substitutions and arithmetic expand; what cannot be parsed stands as it is.
    pub(in crate::shell) fn expand_prompt(&mut self, text: &[u8]) -> Flow<Text> {
        if !text.iter().any(|byte| matches!(byte, b'$' | b'`' | b'\\')) {
            return Ok(text.to_vec());
        }
        let Ok(parts) = Parser::new(Box::new(Lines::new(text.to_vec()))).here_parts() else { return Ok(text.to_vec()) };
        let status = self.status;
        let expanded = self.expand_parts(&parts, true);
        self.status = status;
        match expanded {
            Err(Interrupt::Departed) => Err(Interrupt::Departed),
            expanded => Ok(expanded.unwrap_or_else(|_| text.to_vec())),
        }
    }

    /// Replaces `\w` and its like, and `!` by the number of the command. What they stand for is quoted: a directory may
    /// be called `$(reboot)`.
    fn unescape_prompt(&self, text: &[u8]) -> Text {
        let mut result = Text::new();
        let mut rest = text;
        while let [first, after @ ..] = rest {
            let (value, len) = match (first, after) {
                (b'!', [b'!', ..]) => (Some(String::from("!")), 2),
                (b'!', _) => (Some(self.history.next().to_string()), 1),
                (b'\\', [b'0'..=b'7', ..]) => {
                    let digits = after.iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7'));
                    let (code, len) =
                        digits.fold((0u32, 1), |(code, len), digit| (code * 8 + u32::from(digit - b'0'), len + 1));
                    (char::from_u32(code & 0x7f).map(String::from), len)
                }
                (b'\\', [letter, ..]) => (self.escaped(*letter), 2),
                _ => (None, 1),
            };
            match value {
                Some(value) => {
                    for byte in value.bytes() {
                        if matches!(byte, b'$' | b'`' | b'\\') {
                            result.push(b'\\');
                        }
                        result.push(byte);
                    }
                }
                None => result.extend_from_slice(&rest[..len]),
            }
            rest = &rest[len..];
        }
        result
    }

    /// What an escape stands for. `None`: it is none, and stands for itself.
    fn escaped(&self, letter: u8) -> Option<String> {
        let name = || {
            let name = gethostname().unwrap_or_default();
            Safe::os(&name).to_string()
        };
        let short = || name().split('.').next().unwrap_or_default().to_string();
        Some(match letter {
            b'a' => String::from("\x07"),
            b'e' => String::from("\x1b"),
            b'n' => String::from("\n"),
            b'r' => String::from("\r"),
            // The editor finds out by itself what takes no place on the screen.
            b'[' | b']' => String::new(),
            b'\\' => String::from("\\"),
            b'$' => String::from(if geteuid().is_root() { "#" } else { "$" }),
            b'!' | b'#' => self.history.next().to_string(),
            b'?' if self.status == 0 => String::new(),
            b'?' => format!(" [{}]", self.status),
            b'p' => match self.files.target() {
                Ok(target) => Safe(&target.comm).to_string(),
                Err(_) => String::from("no target"),
            },
            b'h' => short(),
            b'H' => name(),
            b'u' => match User::from_uid(geteuid()) {
                Ok(Some(user)) => Safe(user.name.as_bytes()).to_string(),
                _ => geteuid().to_string(),
            },
            b'w' => self.place(),
            b'W' => match self.place() {
                path if path.len() > 1 => path.rsplit('/').next().unwrap_or_default().to_string(),
                path => path,
            },
            b's' => Safe(self.name.rsplit(|byte| *byte == b'/').next().unwrap_or_default()).to_string(),
            b'j' => self.jobs.iter().count().to_string(),
            b't' | b'T' | b'A' | b'@' | b'd' => self.clock(letter)?,
            _ => return None,
        })
    }

    /// The working directory, with `~` for HOME.
    fn place(&self) -> String {
        let path = self.variables.get(b"PWD").unwrap_or_default();
        let home = self.variables.get(b"HOME").filter(|home| home.len() > 1);
        let below = home.and_then(|home| path.strip_prefix(home));
        match below {
            Some(rest) if rest.is_empty() || rest.starts_with(b"/") => format!("~{}", Safe(rest)),
            _ => Safe(path).to_string(),
        }
    }

    fn clock(&self, letter: u8) -> Option<String> {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let zone = self.variables.get(b"TZ").map(os);
        let now = time::local(i64::try_from(seconds).ok()?, zone.as_deref())?;
        let (hour, half) = ((now.hour + 11) % 12 + 1, if now.hour < 12 { "AM" } else { "PM" });
        Some(match letter {
            b't' => format!("{:02}:{:02}:{:02}", now.hour, now.minute, now.second),
            b'T' => format!("{hour:02}:{:02}:{:02}", now.minute, now.second),
            b'A' => format!("{:02}:{:02}", now.hour, now.minute),
            b'@' => format!("{hour:02}:{:02} {half}", now.minute),
            _ => format!("{} {:02}", MONTHS.get(usize::from(now.month) - 1)?, now.day),
        })
    }
}
