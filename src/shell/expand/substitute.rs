//! Command substitution (POSIX.1-2024, XCU 2.6.3).

use std::fs::File;
use std::io::Read;

use nix::fcntl::OFlag;

use super::super::syntax::tree::{Descriptor, Kind, List, RedirectKind, Word};
use super::super::{Flow, Shell, Text};
use crate::applet::reason;
use crate::output::Safe;

/// The file of `$(<file)`, which in ksh, bash and mksh is what it holds.
fn file(list: &List) -> Option<&Word> {
    let [item] = list.items.as_slice() else { return None };
    let ([command], []) = (item.first.commands.as_slice(), item.rest.as_slice()) else { return None };
    match (&command.kind, command.redirects.as_slice()) {
        (Kind::Simple { assignments, words }, [redirect]) if assignments.is_empty() && words.is_empty() => {
            match (&redirect.fd, &redirect.kind) {
                (Descriptor::Number(0), RedirectKind::Read(word)) => Some(word),
                _ => None,
            }
        }
        _ => None,
    }
}

impl Shell<'_> {
    /// The output of commands, without the newlines at its end and without NUL bytes.
    pub(in crate::shell) fn substitute(&mut self, list: &List) -> Flow<Text> {
        if list.items.is_empty() {
            self.substituted = Some(0);
            return Ok(Text::new());
        }
        let (mut text, status) = match file(list) {
            Some(word) => self.contents(word)?,
            None => self.capture(|shell| shell.run_list(list, true))?,
        };
        self.substituted = Some(status);
        text.retain(|byte| *byte != 0);
        text.truncate(text.iter().rposition(|byte| *byte != b'\n').map_or(0, |last| last + 1));
        Ok(text)
    }

    /// What a file holds, and 0; 1 where it cannot be read, which has been reported.
    fn contents(&mut self, word: &Word) -> Flow<(Text, u8)> {
        let name = self.expand_single(word)?;
        let Some(file) = self.open_file(&name, OFlag::O_RDONLY) else { return Ok((Text::new(), 1)) };
        let mut text = Text::new();
        let status = match File::from(file).read_to_end(&mut text) {
            Ok(_) => 0,
            Err(error) => {
                self.complain(format_args!("{}: {}", Safe(&name), reason(&error)));
                1
            }
        };
        Ok((text, status))
    }
}
