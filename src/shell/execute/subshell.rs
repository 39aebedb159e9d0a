//! Subshells (POSIX.1-2024, XCU 2.13) and their processes: `( … )`, `$( … )`, and what runs in a forked child.

use std::io::{self, Read};
use std::os::fd::IntoRawFd;

use nix::fcntl::OFlag;
use nix::unistd::{Pid, getpgrp, pipe2, setpgid};

use super::super::syntax::tree::{Command, List, Written};
use super::super::{Flow, Interrupt, Shell, Text};
use crate::applet::reason;
use crate::launch::{self, Fork};
use crate::sys::{self, signal::Blocked};

impl Shell<'_> {
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
        if last && self.subshell && self.traps.is_empty() && !self.is_virtual() {
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
            Err(error) => Err(self.cannot("fork", error)),
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
        self.virtuals.are_real();
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

    pub(in crate::shell) fn cannot(&mut self, what: &str, error: io::Error) -> Interrupt {
        self.abort(format_args!("{what}: {}", reason(&error)))
    }
}
