//! Pipelines (POSIX.1-2024, XCU 2.9.2).
//!
//! Every command of a pipeline runs in a subshell, and those need no process of their own where that makes no
//! difference: a builtin that reads nothing is run at once and what it printed is handed to the next command, and the
//! last command runs in this process.

use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use nix::fcntl::OFlag;
use nix::unistd::{Pid, pipe2};

use super::super::syntax::tree::{Command, Kind, Written};
use super::super::{Flow, Shell};
use super::redirect::here;
use crate::sys;

impl Shell<'_> {
    pub(in crate::shell) fn run_pipe(&mut self, commands: &[Rc<Command>], text: &Written) -> Flow {
        let Some((last, before)) = commands.split_last() else { return Ok(()) };
        if !self.may_be_virtual() || self.options.pipefail {
            self.depart()?;
            let (pids, group) = self.start_pipe(commands, true, |_| {})?;
            let job = self.jobs.add(&pids, group, text, false);
            self.status = self.wait_for_job(job);
            return self.check_errexit();
        }
        if self.is_virtual() && !before.iter().all(|command| self.is_immediate(command)) {
            self.depart()?;
        }
        let mut pids = Vec::new();
        let mut input: Option<OwnedFd> = None;
        for command in before {
            if self.is_immediate(command) {
                let (output, _) = self.capture(|shell| shell.run_command(command, &Written::default(), true))?;
                input = Some(here(&output).map_err(|error| self.cannot("pipe", error))?);
                continue;
            }
            let next = pipe2(OFlag::O_CLOEXEC).map_err(|errno| self.cannot("pipe", errno.into()))?;
            pids.push(self.start_piped(command, input.take(), Some(&next), &mut None, true, |_| {})?);
            input = Some(next.0);
        }
        let job = (!pids.is_empty()).then(|| self.jobs.add(&pids, None, text, false));
        let result = self.run_reading(last, input);
        if let Some(job) = job {
            self.wait_for_job(job);
        }
        self.status = result?;
        self.check_errexit()
    }

    /// Whether a command can be run before its reader: it prints what it knows, and is done.
    fn is_immediate(&self, command: &Command) -> bool {
        let Kind::Simple { words, .. } = &command.kind else { return false };
        let name = words.first().and_then(|word| word.plain());
        name.is_some_and(|name| self.meaning(name).is_immediate()) && !self.output_is_needed(&command.redirects, false)
    }

    /// Runs the last command of a pipeline in a subshell that reads `input`, and gives its status.
    fn run_reading(&mut self, command: &Rc<Command>, input: Option<OwnedFd>) -> Flow<u8> {
        let undo = match input {
            Some(input) => Some(self.attach(input, 0).map_err(|error| self.cannot("pipe", error))?),
            None => None,
        };
        let result = self.run_virtual(false, |shell| shell.run_command(command, &Written::default(), true));
        if let Some(undo) = undo {
            self.undo(undo);
        }
        result
    }

    /// Starts the commands of a pipeline, each in a child; the first one gets ready by `prepare`.
    pub(in crate::shell) fn start_pipe(
        &mut self,
        commands: &[Rc<Command>],
        foreground: bool,
        prepare: impl Fn(&mut Self) + Copy,
    ) -> Flow<(Vec<Pid>, Option<Pid>)> {
        let mut pids = Vec::with_capacity(commands.len());
        let mut group = None;
        let mut input: Option<OwnedFd> = None;
        for (index, command) in commands.iter().enumerate() {
            let next = match index + 1 < commands.len() {
                false => None,
                true => Some(pipe2(OFlag::O_CLOEXEC).map_err(|errno| self.cannot("pipe", errno.into()))?),
            };
            pids.push(self.start_piped(command, input, next.as_ref(), &mut group, foreground, prepare)?);
            input = next.map(|(read, _)| read);
        }
        Ok((pids, group))
    }

    /// Starts one command of a pipeline between two pipes.
    fn start_piped(
        &mut self,
        command: &Rc<Command>,
        input: Option<OwnedFd>,
        next: Option<&(OwnedFd, OwnedFd)>,
        group: &mut Option<Pid>,
        foreground: bool,
        prepare: impl Fn(&mut Self),
    ) -> Flow<Pid> {
        self.start_child(group, foreground, |shell| {
            prepare(shell);
            // The child never returns to where these are owned. All ends but its own are closed, so that a reader that
            // goes away is noticed. A failure means no descriptors are left; the command finds out.
            if let Some(input) = &input {
                let _ = sys::descriptor::transfer(input.as_raw_fd(), 0);
            }
            if let Some((read, write)) = next {
                let _ = sys::descriptor::close(read.as_raw_fd());
                let _ = sys::descriptor::transfer(write.as_raw_fd(), 1);
            }
            shell.run_command(command, &Written::default(), true)
        })
    }
}
