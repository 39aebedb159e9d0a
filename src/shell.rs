//! The shell: text to tree, tree to what happens. Commands come from the table that `main` hands over.

mod arithmetic;
mod builtins;
mod execute;
pub mod expand;
#[cfg(fuzzing)]
pub mod fuzz;
mod hash;
mod interactive;
mod jobs;
mod map;
mod options;
mod peek;
mod start;
mod syntax;
mod trap;
mod variables;
mod wait;

use std::fmt::Display;
use std::io::Write;
use std::rc::Rc;

use nix::unistd::Pid;

use crate::applet::{Caller, Streams, Table};
use crate::target::Files;

use arithmetic::Decimal;
use execute::departing::Virtual;
use execute::simple::Meaning;
use hash::Hash;
use interactive::Terminal;
use interactive::history::History;
use jobs::Jobs;
use map::Map;
use options::Options;
use peek::Peek;
use syntax::alias::Aliases;
use syntax::tree::Command;
use trap::Traps;
use variables::Variables;
use variables::positional::Positional;

pub use start::{main, usage};

/// A script's text, or the name of the whole.
type Text = Vec<u8>;

/// What keeps the next command from being run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interrupt {
    /// Leave this many loops.
    Break(usize),
    /// Go on with the next round of the loop this far out.
    Continue(usize),
    /// Leave the function or the dot script.
    Return,
    /// End the shell.
    Exit,
    /// An error that ends a script, and that an interactive shell survives. It has been reported.
    Abort,
    /// Ctrl-C in an interactive shell: the whole line is given up, whatever else would go on after an error in it.
    Keyboard,
    /// The virtual subshell that this is in has gone on, and ended, in a process of its own.
    Departed,
}

/// Either goes on with the next command, or does not. The status is the shell's `status`.
type Flow<T = ()> = Result<T, Interrupt>;

/// Everything that a command of the shell can change.
pub struct Shell<'a> {
    io: &'a mut Streams,
    applets: Table,
    files: Files,
    variables: Variables,
    functions: Rc<Map<Text, Rc<Command>>>,
    /// What is found by its name alone: builtins and applets.
    commands: Map<&'static [u8], Meaning>,
    aliases: Rc<Aliases>,
    hash: Hash,
    peek: Peek,
    /// What the working directory is called, where that is known. Whatever becomes of PWD, `cd` and `pwd` use this.
    directory: Option<Text>,
    options: Options,
    /// What `local -` brings back when the running function ends.
    local_options: Option<Box<Options>>,
    /// `$0`
    name: Text,
    /// `$1` and on
    arguments: Positional,
    /// `$?`
    status: u8,
    /// `$$`, which subshells share
    pid: Pid,
    /// `$!`
    last_background: Option<Pid>,
    jobs: Jobs,
    traps: Traps,
    /// The line that is being run.
    line: u32,
    /// How many loops, and functions or dot scripts, are being run.
    loops: usize,
    calls: usize,
    /// Above zero: in a place where `set -e` does not apply.
    tested: usize,
    /// A person types the commands, also those that a subshell runs: a line number would tell nothing.
    typed: bool,
    /// This process is a fork of the shell that was started.
    subshell: bool,
    virtuals: Virtual,
    /// The status of the last command substitution of the command that is being expanded.
    substituted: Option<u8>,
    /// The redirections of the builtin that is being run stay.
    keeps_redirections: bool,
    terminal: Option<Terminal>,
    history: History,
    dynamic: variables::dynamic::State,
}

impl Shell<'_> {
    /// Reports an error: `sh: line 3: what`.
    fn complain(&mut self, message: impl Display) {
        let _ = self.io.out.flush();
        let line = format!("{}{message}\n", Caller { name: &self.name, line: self.known_line() });
        let _ = self.io.err.write_all(line.as_bytes());
    }

    /// The line that a complaint names, unless somebody types.
    fn known_line(&self) -> Option<u32> {
        (!self.typed && self.line > 0).then_some(self.line)
    }

    /// Reports an error that ends a script.
    fn abort(&mut self, message: impl Display) -> Interrupt {
        self.complain(message);
        self.status = 2;
        Interrupt::Abort
    }

    /// Writes what a builtin prints; gives its status.
    fn print(&mut self, text: &[u8]) -> u8 {
        match self.io.out.write_all(text).and_then(|()| self.io.out.flush()) {
            Ok(()) => 0,
            Err(error) => {
                self.complain(format_args!("write error: {}", crate::applet::reason(&error)));
                1
            }
        }
    }

    /// Sets a variable, or ends the script because it is readonly.
    fn assign(&mut self, name: &[u8], value: Text) -> Flow {
        self.set_variable(name, value).map_err(|message| self.abort(message))
    }

    /// Sets a variable with all that follows from it; an error names a readonly one.
    fn set_variable(&mut self, name: &[u8], mut value: Text) -> Result<(), String> {
        if self.dynamic.assign(name, &value) {
            return Ok(());
        }
        if self.variables.is_integer(name) {
            value = Decimal::from(arithmetic::evaluate(&value, self)?).to_vec();
        }
        self.variables.set(name, value)?;
        if self.options.allexport {
            self.variables.export(name, true);
        }
        if name == b"SIDEBOX_TARGET" {
            self.find_target();
        }
        Ok(())
    }

    /// Looks for the target again, by what `SIDEBOX_TARGET` says now.
    fn find_target(&mut self) {
        let chosen = self.variables.get(b"SIDEBOX_TARGET").map(crate::applet::os);
        self.files = Files::new(chosen.as_deref());
    }

    /// Ends a scope of variables.
    fn leave_scope(&mut self) {
        if self.variables.leave() {
            self.find_target();
        }
    }
}
