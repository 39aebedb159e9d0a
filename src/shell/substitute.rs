//! Command substitution (POSIX.1-2024, XCU 2.6.3).

use std::io::Read;
use std::os::fd::IntoRawFd;

use nix::unistd::pipe2;

use super::tree::List;
use super::{Flow, Shell, Text};
use crate::applet::reason;
use crate::launch::{self, Fork};
use crate::sys::{self, signal::Blocked};

impl Shell<'_> {
    /// The output of commands, without the newlines at its end and without NUL bytes.
    pub(super) fn substitute(&mut self, list: &List) -> Flow<Text> {
        if list.items.is_empty() {
            self.substituted = Some(0);
            return Ok(Text::new());
        }
        let (input, output) = match pipe2(nix::fcntl::OFlag::O_CLOEXEC) {
            Ok(pipe) => pipe,
            Err(errno) => return Err(self.abort(format_args!("pipe: {}", errno.desc()))),
        };
        // As for every fork: see `Shell::fork`, whose process groups a substitution has no part in.
        let blocked = Blocked::all();
        let child = match launch::fork(self.io) {
            Ok(Fork::Parent(pid)) => pid,
            Ok(Fork::Child) => {
                drop(input);
                // On failure the commands find their output closed, and say so.
                let _ = sys::descriptor::transfer(output.into_raw_fd(), 1);
                self.enter_subshell();
                drop(blocked);
                let status = self.run_to_end(|shell| shell.run_list(list, true));
                sys::exit(status)
            }
            Err(error) => return Err(self.abort(format_args!("fork: {}", reason(&error)))),
        };
        drop(blocked);
        drop(output);
        let mut text = Vec::new();
        let read = std::fs::File::from(input).read_to_end(&mut text);
        let status = self.wait_for_process(child);
        if let Err(error) = read {
            return Err(self.abort(format_args!("command substitution: {}", reason(&error))));
        }
        self.substituted = Some(status);
        text.retain(|byte| *byte != 0);
        text.truncate(text.iter().rposition(|byte| *byte != b'\n').map_or(0, |last| last + 1));
        Ok(text)
    }
}
