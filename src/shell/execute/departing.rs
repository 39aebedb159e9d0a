//! Virtual subshells: those that need no process.
//!
//! A subshell is a copy of the shell whose changes are lost. As long as all that it does is to run builtins and to
//! change what this shell keeps in memory, the copy need not be a process: a *virtual* subshell notes the changes and
//! takes them back. What needs a process after all, such as a program, a working directory, a trap, *departs*: the
//! process forks in the middle of the subshell, the child goes on with it for real, and the shell waits, and leaves
//! the subshell by way of [`Interrupt::Departed`].

use std::os::fd::{IntoRawFd, OwnedFd};
use std::rc::Rc;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::super::syntax::tree::{Descriptor, Redirect, RedirectKind, Word};
use super::super::{Flow, Interrupt, Shell, Text};
use super::simple::{Invocation, Meaning};
use crate::applet::Place;
use crate::launch::{self, Fork};
use crate::sys::{self, signal::Blocked};

/// The virtual subshells that are being run, outermost first.
#[derive(Default)]
pub struct Virtual {
    /// Whether the output of each is captured.
    captures: Vec<bool>,
    /// How many of them are real in this process, because they have departed.
    departed: usize,
}

impl Virtual {
    fn depth(&self) -> usize {
        self.captures.len()
    }

    fn is_active(&self) -> bool {
        self.departed < self.depth()
    }

    /// In a forked child, which is the process of all of them.
    pub fn are_real(&mut self) {
        self.departed = self.depth();
    }
}

impl Shell<'_> {
    /// Job control and the actions of traps are the business of processes.
    pub(in crate::shell) fn may_be_virtual(&self) -> bool {
        !self.options.monitor && self.traps.only_exit()
    }

    /// Runs `body` as a subshell, in this process as long as that is possible. Gives its status.
    pub(in crate::shell) fn run_virtual(&mut self, captures: bool, body: impl FnOnce(&mut Self) -> Flow) -> Flow<u8> {
        let functions = Rc::clone(&self.functions);
        let aliases = Rc::clone(&self.aliases);
        let arguments = self.arguments.clone();
        let options = self.options.clone();
        let dynamic = self.dynamic.clone();
        let (loops, calls, tested, line) = (self.loops, self.calls, self.tested, self.line);
        let (status, substituted, local_options) = (self.status, self.substituted, self.local_options.clone());
        self.variables.isolate();
        self.virtuals.captures.push(captures);
        let level = self.virtuals.depth();

        let result = body(self);

        if self.virtuals.departed >= level {
            // This is the process that the subshell departed to.
            self.end_child(|_| result);
        }
        self.virtuals.captures.pop();
        self.leave_scope();
        (self.functions, self.aliases, self.arguments, self.options) = (functions, aliases, arguments, options);
        self.dynamic = dynamic;
        (self.loops, self.calls, self.tested, self.line) = (loops, calls, tested, line);
        (self.substituted, self.local_options) = (substituted, local_options);
        let own = std::mem::replace(&mut self.status, status);
        match result {
            // One further out has departed with this one in it.
            Err(Interrupt::Departed) if self.virtuals.departed + 1 < level => {
                self.status = own;
                Err(Interrupt::Departed)
            }
            Err(Interrupt::Keyboard) => Err(Interrupt::Keyboard),
            // Whatever else ended the subshell ended no more than that.
            _ => Ok(own),
        }
    }

    /// Goes on in a process of its own for each virtual subshell, outermost first. Only that process returns from here
    /// with `Ok`.
    pub(in crate::shell) fn depart(&mut self) -> Flow {
        while self.virtuals.is_active() {
            let captures = self.virtuals.captures[self.virtuals.departed];
            let pipe = match captures {
                true => Some(pipe2(OFlag::O_CLOEXEC).map_err(|errno| self.cannot("pipe", errno.into()))?),
                false => None,
            };
            let blocked = Blocked::all();
            match launch::fork(self.io) {
                Ok(Fork::Parent(child)) => {
                    drop(blocked);
                    self.pass_interrupt(child);
                    let read = pipe.map(|(input, output)| {
                        drop(output);
                        self.io.out.capture_from(input)
                    });
                    self.status = self.wait_for_process(child);
                    if let Some(Err(error)) = read {
                        self.cannot("command substitution", error);
                    }
                    return Err(Interrupt::Departed);
                }
                Ok(Fork::Child) => {
                    self.settle(pipe);
                    drop(blocked);
                }
                Err(error) => return Err(self.cannot("fork", error)),
            }
        }
        Ok(())
    }

    /// In the process that a virtual subshell has departed to.
    fn settle(&mut self, pipe: Option<(OwnedFd, OwnedFd)>) {
        if let Some((_, output)) = pipe {
            self.io.out.release_capture();
            // On failure the commands find their output closed, and say so.
            let _ = sys::descriptor::transfer(output.into_raw_fd(), 1);
        }
        let captures = self.virtuals.captures[self.virtuals.departed];
        let (departed, monitor) = (self.virtuals.departed + 1, self.options.monitor);
        self.enter_subshell();
        if !captures {
            self.jobs.clear();
        }
        (self.virtuals.departed, self.options.monitor) = (departed, monitor);
    }

    /// Departs for a command that cannot be run in a virtual subshell.
    pub(in crate::shell) fn depart_for(&mut self, invocation: &Invocation<'_>) -> Flow {
        if self.virtuals.is_active() && self.needs_process(invocation) { self.depart() } else { Ok(()) }
    }

    fn needs_process(&self, invocation: &Invocation<'_>) -> bool {
        let (runs_commands, needs) = match &invocation.meaning {
            Meaning::Builtin(builtin) => (builtin.runs_commands, builtin.needs_process),
            Meaning::Function(_) => (true, false),
            Meaning::Applet(applet) => {
                // What standard output is, is the business of `test -t 1` and of nobody else.
                let asks = |arg: &Text| arg == b"-t" || may_be_descriptor(arg);
                let here = applet.place == Place::Inline || self.is_guest(applet, &invocation.args);
                (false, !here || invocation.args.iter().any(asks))
            }
            Meaning::Program => (true, true),
        };
        needs || self.output_is_needed(invocation.redirects, runs_commands)
    }

    /// Whether redirections need the descriptor that output goes to, where it is captured instead. Output that goes
    /// elsewhere for one builtin is fine.
    pub(in crate::shell) fn output_is_needed(&self, redirects: &[Redirect], runs_commands: bool) -> bool {
        let plain = |redirect: &Redirect| match &redirect.kind {
            RedirectKind::Copy { word, .. } => word.plain() != Some(b"1") && word.plain().is_some(),
            RedirectKind::Here(_) | RedirectKind::HereString(_) => true,
            file => file.word().and_then(Word::plain).is_some_and(|path| !may_be_descriptor(path)),
        };
        let moved = redirects.iter().filter(|redirect| redirect.fd == Descriptor::Number(1)).count();
        // What `{name}>` opens stays open.
        redirects.iter().any(|redirect| matches!(redirect.fd, Descriptor::Named(_)))
            || self.virtuals.captures.contains(&true)
                && (redirects.iter().any(|redirect| !plain(redirect)) || moved > usize::from(!runs_commands))
    }

    /// Departs for the redirections of a compound command, where they need it.
    pub(in crate::shell) fn depart_for_redirects(&mut self, redirects: &[Redirect]) -> Flow {
        match !redirects.is_empty() && self.virtuals.is_active() && self.output_is_needed(redirects, true) {
            true => self.depart(),
            false => Ok(()),
        }
    }

    /// Whether a subshell without a process is being run.
    pub(in crate::shell) fn is_virtual(&self) -> bool {
        self.virtuals.is_active()
    }
}

/// Whether a path can lead to one of our descriptors.
pub(super) fn may_be_descriptor(path: &[u8]) -> bool {
    path.starts_with(b"/dev/") && path != b"/dev/null" || memchr::memmem::find(path, b"/fd/").is_some()
}
