//! Where the commands of a shell come from: operands, standard input, files that are read at the start.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::start::{Manner, Origin, path_bytes};
use super::super::syntax::source::{Input, Script, Source, Text as Lines};
use super::super::{Interrupt, Shell, Text};
use crate::applet::{os, reason};
use crate::launch::{self, Found};
use crate::sys;

/// How much of a file is looked at to tell whether it is a script.
const FIRST_LINE: usize = 256;

impl Shell<'_> {
    /// Reads the startup files and runs the commands. Gives the status of the shell.
    pub(in crate::shell) fn run_origin(&mut self, origin: Origin, manner: &Manner) -> u8 {
        if self.read_startup(manner.login) == Err(Interrupt::Exit) {
            return self.run_to_end(|_| Ok(()));
        }
        self.status = 0;
        match origin {
            // All its text is there from the start.
            Origin::Commands(text) => self.run_script(Box::new(Lines::new(text)), true),
            Origin::File(name) => match self.open_script(&name) {
                Ok(script) => self.run_script(Box::new(Script(script)), false),
                Err(status) => status,
            },
            Origin::Input if self.options.interactive => self.run_interactive(manner.quiet),
            Origin::Input => self.run_script(Box::new(Input(sys::borrow(0))), false),
        }
    }

    fn run_script(&mut self, source: Box<dyn Source + '_>, last: bool) -> u8 {
        self.run_to_end(|shell| shell.run_source(source, last))
    }

    /// The profiles of a login shell, and an interactive shell's `$ENV` (XCU sh, 2.5.3).
    fn read_startup(&mut self, login: bool) -> Result<(), Interrupt> {
        if login {
            self.read_profile(b"/etc/profile")?;
            if let Some(home) = self.variables.get(b"HOME") {
                let path = [home, b"/.profile"].concat();
                self.read_profile(&path)?;
            }
        }
        let privileged = nix::unistd::getuid() != nix::unistd::geteuid();
        match self.variables.get(b"ENV").map(<[u8]>::to_vec) {
            Some(name) if self.options.interactive && !privileged => {
                let path = self.expand_prompt(&name)?;
                self.read_profile(&path)
            }
            _ => Ok(()),
        }
    }

    /// Runs the commands of a file, if there is one, as `.` does. Only `exit` in it ends the shell.
    fn read_profile(&mut self, path: &[u8]) -> Result<(), Interrupt> {
        let Ok(file) = self.files.open(Path::new(&os(path))) else { return Ok(()) };
        self.calls += 1;
        let result = self.run_source(Box::new(Script(private(file))), false);
        self.calls -= 1;
        match result {
            Err(Interrupt::Exit) => Err(Interrupt::Exit),
            _ => Ok(()),
        }
    }

    /// The file that the operand names; without a slash also one that PATH leads to. An error was reported: its status.
    fn open_script(&mut self, name: &[u8]) -> Result<OwnedFd, u8> {
        let mut opened = self.files.open(Path::new(&os(name)));
        if opened.is_err()
            && let Some(path) = self.script_on_path(name)
        {
            opened = self.files.open(Path::new(&os(&path)));
        }
        let refused = |shell: &mut Self, why: &str, status: u8| {
            shell.complain(why);
            Err(status)
        };
        match opened {
            Ok(file) if file.metadata().is_ok_and(|known| known.is_dir()) => {
                refused(self, "cannot execute: Is a directory", 126)
            }
            Ok(file) if is_binary(&file) => refused(self, "cannot execute: not a script", 126),
            Ok(file) => Ok(private(file)),
            Err(error) => {
                let status = if error.kind() == std::io::ErrorKind::PermissionDenied { 126 } else { 127 };
                refused(self, &format!("cannot open: {}", reason(&error)), status)
            }
        }
    }

    fn script_on_path(&self, name: &[u8]) -> Option<Text> {
        let path = self.variables.get(b"PATH").map(os);
        match launch::search(&os(name), path.as_deref()) {
            Found::Program(program) if !name.contains(&b'/') => Some(path_bytes(&program)),
            _ => None,
        }
    }
}

/// A number of its own, so that the script's redirections cannot meet it.
fn private(file: File) -> OwnedFd {
    match sys::descriptor::save(file.as_raw_fd()) {
        Ok(private) => sys::owned(private),
        Err(_) => file.into(),
    }
}

/// Whether the first line holds a NUL byte: no script (XCU sh, INPUT FILES). What cannot be read twice is taken for one.
fn is_binary(file: &File) -> bool {
    let mut start = [0; FIRST_LINE];
    let len = file.read_at(&mut start, 0).unwrap_or(0);
    start[..len].iter().take_while(|byte| **byte != b'\n').any(|byte| *byte == 0)
}
