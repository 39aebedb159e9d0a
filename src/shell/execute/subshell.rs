//! Subshells (POSIX.1-2024, XCU 2.13): `( … )`, `$( … )`, and what runs in a forked child.
//!
//! A subshell is a copy of the shell whose changes are lost. As long as all that it does is to run builtins and to
//! change what this shell keeps in memory, the copy need not be a process: a *virtual* subshell notes the changes and
//! takes them back. What needs a process after all, such as a program, a working directory, a trap, *departs*: the
//! process forks in the middle of the subshell, the child goes on with it for real, and the shell waits, and leaves
//! the subshell by way of [`Interrupt::Departed`].

use std::io::{self, Read, Write};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::rc::Rc;

use nix::fcntl::OFlag;
use nix::unistd::{Pid, getpgrp, pipe2, setpgid};

use super::super::syntax::tree::{Command, Descriptor, List, Redirect, RedirectKind, Written};
use super::super::{Flow, Interrupt, Shell, Text};
use super::simple::{Invocation, Meaning};
use crate::applet::reason;
use crate::launch::{self, Fork};
use crate::sys::{self, signal::Blocked};

/// The virtual subshells that are being run, outermost first.
#[derive(Default)]
pub struct Virtual {
    /// Whether the output of each is captured.
    captures: Vec<bool>,
    /// How many of them are real in this process, because they have departed.
    departed: usize,
    /// Another target was chosen in one.
    pub retargeted: bool,
}

impl Virtual {
    fn depth(&self) -> usize {
        self.captures.len()
    }

    fn is_active(&self) -> bool {
        self.departed < self.depth()
    }
}

impl Shell<'_> {
    /// The output of commands, and their status.
    pub(in crate::shell) fn capture(&mut self, body: impl FnOnce(&mut Self) -> Flow) -> Flow<(Text, u8)> {
        if !self.may_be_virtual() {
            return self.capture_child(body);
        }
        self.io.out.start_capture();
        let result = self.run_virtual(true, body);
        let text = self.io.out.end_capture();
        Ok((text, result?))
    }

    /// The same with a process for the commands.
    fn capture_child(&mut self, body: impl FnOnce(&mut Self) -> Flow) -> Flow<(Text, u8)> {
        let (input, output) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| self.cannot("pipe", errno.into()))?;
        let blocked = Blocked::all();
        match launch::fork(self.io) {
            Ok(Fork::Parent(child)) => {
                drop((blocked, output));
                self.pass_interrupt(child);
                let mut text = Text::new();
                let read = std::fs::File::from(input).read_to_end(&mut text);
                let status = self.wait_for_process(child);
                read.map_err(|error| self.cannot("command substitution", error))?;
                Ok((text, status))
            }
            Ok(Fork::Child) => {
                drop(input);
                // On failure the commands find their output closed, and say so.
                let _ = sys::descriptor::transfer(output.into_raw_fd(), 1);
                self.enter_subshell();
                drop(blocked);
                self.end_child(body)
            }
            Err(error) => Err(self.cannot("fork", error)),
        }
    }

    /// Job control and the actions of traps are the business of processes.
    pub(in crate::shell) fn may_be_virtual(&self) -> bool {
        !self.options.monitor && self.traps.only_exit()
    }

    pub(in crate::shell) fn cannot(&mut self, what: &str, error: io::Error) -> Interrupt {
        self.abort(format_args!("{what}: {}", reason(&error)))
    }

    /// `( … )`
    pub(in crate::shell) fn run_subshell(
        &mut self,
        list: &List,
        command: &Command,
        text: &Written,
        last: bool,
    ) -> Flow {
        let body = |shell: &mut Self| match shell.redirect(&command.redirects)? {
            Some(undo) => {
                undo.keep();
                // As in other shells, only substitutions and pipelines see the jobs of the shell that they serve.
                shell.jobs.clear();
                shell.run_list(list, true)
            }
            None => Ok(()),
        };
        if last && self.subshell && self.traps.is_empty() && !self.virtuals.is_active() {
            return body(self);
        }
        if !self.may_be_virtual() {
            return self.run_in_child(text, body);
        }
        self.depart_for_redirects(&command.redirects)?;
        self.status = self.run_virtual(false, |shell| {
            let Some(undo) = shell.redirect(&command.redirects)? else { return Ok(()) };
            let result = shell.run_list(list, true);
            shell.undo(undo);
            result
        })?;
        Ok(())
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
            self.run_exit_trap();
            // Whatever could not be written was reported by the command that wrote it.
            let _ = self.io.out.flush();
            sys::exit(self.status);
        }
        self.virtuals.captures.pop();
        self.variables.leave();
        if std::mem::take(&mut self.virtuals.retargeted) {
            self.find_target();
        }
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
                (false, applet.place != crate::applet::Place::Inline || invocation.args.iter().any(asks))
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
            RedirectKind::Read(word)
            | RedirectKind::Append(word)
            | RedirectKind::ReadWrite(word)
            | RedirectKind::Both { target: word, .. }
            | RedirectKind::Write { target: word, .. } => match word.plain() {
                Some(path) => !may_be_descriptor(path),
                None => false,
            },
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

    pub(in crate::shell) fn run_in_child(&mut self, text: &Written, body: impl FnOnce(&mut Self) -> Flow) -> Flow {
        let mut group = None;
        let pid = self.start_child(&mut group, true, body)?;
        self.wait_for_child(pid, group, text);
        Ok(())
    }

    /// Forks a subshell that runs `body` and ends.
    pub(in crate::shell) fn start_child(
        &mut self,
        group: &mut Option<Pid>,
        foreground: bool,
        body: impl FnOnce(&mut Self) -> Flow,
    ) -> Flow<Pid> {
        match self.fork(group, foreground) {
            Ok(Fork::Parent(pid)) => Ok(pid),
            Ok(Fork::Child) => self.end_child(body),
            Err(error) => Err(self.abort(format_args!("fork: {}", reason(&error)))),
        }
    }

    /// Forks a subshell. With job control it gets a process group, or joins the one that is there, and a foreground one
    /// the terminal.
    pub(in crate::shell) fn fork(&mut self, group: &mut Option<Pid>, foreground: bool) -> io::Result<Fork> {
        let monitor = self.options.monitor;
        // A Ctrl-C that reaches the child while it still has our handlers would be lost: it waits until it has its own.
        let blocked = Blocked::all()?;
        let fork = launch::fork(self.io)?;
        match fork {
            Fork::Parent(pid) if monitor => {
                let leader = *group.get_or_insert(pid);
                // Both sides do it, so that it is done whoever comes first; the child may already have executed.
                let _ = setpgid(pid, leader);
                if foreground && leader == pid {
                    self.give_terminal(leader);
                }
            }
            Fork::Parent(_) => {}
            Fork::Child => {
                if monitor {
                    let _ = setpgid(Pid::from_raw(0), group.unwrap_or(Pid::from_raw(0)));
                    if foreground && group.is_none() {
                        self.give_terminal(getpgrp());
                    }
                }
                self.enter_subshell();
            }
        }
        drop(blocked);
        if let (Fork::Parent(pid), true) = (&fork, foreground) {
            self.pass_interrupt(*pid);
        }
        Ok(fork)
    }

    /// Runs `body` as the last thing of a forked child.
    pub(in crate::shell) fn end_child(&mut self, body: impl FnOnce(&mut Self) -> Flow) -> ! {
        let status = self.run_to_end(body);
        sys::exit(status)
    }

    /// What is different in a forked child (XCU 2.13).
    pub(in crate::shell) fn enter_subshell(&mut self) {
        let (interactive, monitor) = (self.options.interactive, self.options.monitor);
        self.options.interactive = false;
        self.options.monitor = false;
        self.reset_traps(interactive, monitor);
        self.jobs.inherit();
        self.subshell = true;
        // Two processes must not look at their bytes in one pipe.
        self.peek = Default::default();
        self.virtuals.departed = self.virtuals.depth();
    }

    /// Runs the last thing of this process, and its EXIT trap.
    pub(in crate::shell) fn run_to_end(&mut self, body: impl FnOnce(&mut Self) -> Flow) -> u8 {
        // Break, Return and Abort end a subshell as they would end the part of it they are in.
        let _ = body(self);
        self.run_exit_trap();
        // Whatever could not be written was reported by the command that wrote it.
        let _ = io::Write::flush(&mut self.io.out);
        self.status
    }
}

/// Whether a path can lead to one of our descriptors.
fn may_be_descriptor(path: &[u8]) -> bool {
    path.starts_with(b"/dev/") && path != b"/dev/null" || memchr::memmem::find(path, b"/fd/").is_some()
}
