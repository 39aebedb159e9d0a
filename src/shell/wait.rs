//! Waiting for children, handing the terminal over, and telling people what happened.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::{Pid, getpgrp};

use super::jobs::{Job, Jobs, State, describe_end};
use super::{Shell, trap};
use crate::launch::{self, Change};
use crate::sys::{self, signal};

impl Shell<'_> {
    /// Waits for a process that is no job (a substitution's) and gives its status.
    pub(super) fn wait_for_process(&mut self, child: Pid) -> u8 {
        loop {
            match self.wait_in_foreground(false, |_| vec![child]) {
                Ok(Some(change)) if change.pid() == child => return change.status(),
                Ok(Some(change)) => self.jobs.note(change),
                Ok(None) | Err(Errno::EINTR) => {}
                // Somebody else has waited for it.
                Err(_) => return 0,
            }
        }
    }

    /// Waits until a foreground job ends or stops, gives back the terminal, and gives its status.
    pub(super) fn wait_for_job(&mut self, id: usize) -> u8 {
        let (status, stopped) = loop {
            match self.jobs.get(id).map(Job::state) {
                None => break (0, false),
                Some(State::Running) => {}
                Some(State::Stopped(status)) => break (status, true),
                Some(State::Done(status)) => break (status, false),
            }
            let pids = |shell: &Self| shell.jobs.get(id).into_iter().flat_map(Job::pids).collect();
            match self.wait_in_foreground(self.options.monitor, pids) {
                Ok(Some(change)) => self.jobs.note(change),
                Ok(None) | Err(Errno::EINTR) => {}
                Err(_) => self.jobs.lose(),
            }
        };
        self.regain_terminal(id, stopped);
        if stopped {
            self.report_stopped(id);
            return status;
        }
        self.report_ended(id);
        let job = self.jobs.get(id).filter(|_| self.options.pipefail);
        let status = job.map_or(status, Job::pipe_status);
        self.jobs.forget(id);
        status
    }

    /// A Ctrl-C that came right before a foreground child could get it was meant for the child.
    pub(super) fn pass_interrupt(&self, child: Pid) {
        if self.options.interactive && signal::is_pending(Signal::SIGINT) {
            // One that has ended has nothing to be told.
            let _ = nix::sys::signal::kill(child, Signal::SIGINT);
        }
    }

    /// Waits for any child to change. As PID 1, what asks the shell to end asks its foreground children first; the shell
    /// ends after them.
    fn wait_in_foreground(
        &mut self,
        stopped: bool,
        children: impl FnOnce(&Self) -> Vec<Pid>,
    ) -> nix::Result<Option<Change>> {
        if !self.is_init() {
            return launch::wait(true, stopped);
        }
        signal::hold(true);
        let result = launch::wait_or_signal(stopped);
        signal::hold(false);
        if result == Err(Errno::EINTR) {
            let before = self.traps.waiting().len();
            self.take_signals();
            let come = &self.traps.waiting()[before..];
            if let Some(signal) = come.iter().find(|signal| trap::FATAL.contains(signal)) {
                for child in children(self) {
                    // One that has ended has nothing to be told.
                    let _ = nix::sys::signal::kill(child, *signal);
                }
            }
        }
        result
    }

    /// After a foreground job: the terminal is the shell's, in the modes that the job left if it ended well.
    fn regain_terminal(&mut self, id: usize, stopped: bool) {
        if self.options.monitor {
            self.take_terminal();
        }
        let killed = self.jobs.get(id).is_some_and(|job| job.signal().is_some());
        match &mut self.terminal {
            Some(terminal) if stopped || killed => terminal.restore(),
            Some(terminal) => terminal.remember(),
            None => {}
        }
    }

    fn report_stopped(&mut self, id: usize) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        (job.background, job.changed) = (true, false);
        if self.options.interactive
            && let Some(job) = self.jobs.get(id)
        {
            let line = self.jobs.describe(job, false);
            self.say(&format!("\n{line}"));
        }
    }

    /// People are told what a signal did, as other shells do it in scripts too; Ctrl-C has shown itself, and a closed
    /// pipe is no news.
    fn report_ended(&mut self, id: usize) {
        let signal = self.jobs.get(id).and_then(Job::signal);
        match signal {
            // The terminal sent it to the job's group alone, but it is meant for the whole list or loop.
            Some(libc::SIGINT) if self.options.interactive => self.traps.note(Signal::SIGINT),
            Some(libc::SIGINT | libc::SIGPIPE) | None => {}
            // As PID 1 the shell has passed on what ends itself too.
            Some(signal) if self.traps.waiting().iter().any(|come| *come as i32 == signal) => {}
            Some(signal) => self.say(&describe_end(signal, false)),
        }
    }

    /// Waits on behalf of `wait` until `found` has what it looks for; a trapped signal interrupts it and gives 128 and
    /// its number.
    pub(super) fn wait_until<T>(&mut self, found: impl Fn(&Jobs) -> Option<T>) -> Result<T, u8> {
        loop {
            if let Some(result) = found(&self.jobs) {
                return Ok(result);
            }
            match launch::wait_or_signal(self.options.monitor) {
                Ok(Some(change)) => self.jobs.note(change),
                Ok(None) => {}
                Err(Errno::EINTR) => {
                    if let Some(signal) = self.traps.arrived(self.options.interactive) {
                        return Err(128 + signal as u8);
                    }
                }
                Err(_) => self.jobs.lose(),
            }
        }
    }

    /// Notes what has become of children, without waiting.
    pub(super) fn reap(&mut self) {
        while let Ok(Some(change)) = launch::wait(false, self.options.monitor) {
            self.jobs.note(change);
        }
    }

    /// Keeps the table of jobs from growing without bounds in a script that never waits.
    pub(super) fn limit_jobs(&mut self) {
        if self.jobs.are_many() {
            self.reap();
            self.jobs.forget_oldest();
        }
    }

    /// Tells an interactive user what changed since the last prompt.
    pub(super) fn report_jobs(&mut self) {
        self.reap();
        let news = |job: &&Job| job.changed && job.background && job.state() != State::Running;
        let lines: Vec<String> = self.jobs.iter().filter(news).map(|job| self.jobs.describe(job, false)).collect();
        self.jobs.iter_mut().for_each(|job| job.changed = false);
        self.jobs.forget_done();
        lines.iter().for_each(|line| self.say(line));
    }

    /// Whether an interactive shell may end. Stopped jobs, which would be lost, are mentioned once.
    pub(super) fn may_leave(&mut self) -> bool {
        if self.jobs.warned > 0 || !self.options.interactive || !self.jobs.iter().any(Job::is_stopped) {
            return true;
        }
        self.say("there are stopped jobs; leave once more to leave them");
        // For this command and the next.
        self.jobs.warned = 2;
        false
    }

    /// A line for the user on standard error.
    pub(super) fn say(&mut self, line: &str) {
        use std::io::Write;
        let _ = self.io.out.flush();
        let _ = self.io.err.write_all(format!("{line}\n").as_bytes());
    }

    /// Lets a job run again, in the foreground with the terminal or in the background.
    pub(super) fn resume(&mut self, id: usize, foreground: bool) -> u8 {
        let Some(job) = self.jobs.get_mut(id) else { return 1 };
        job.background = !foreground;
        job.resumed();
        let (group, last) = (job.group, job.last());
        if !foreground {
            // XCU 2.5.2: the job that bg resumed is the last one in the background.
            self.last_background = last;
        }
        if let (Some(group), true) = (group, foreground) {
            self.give_terminal(group);
        }
        if let Some(group) = group {
            // A group that has ended shows when it is waited for.
            let _ = nix::sys::signal::killpg(group, Signal::SIGCONT);
        }
        if foreground { self.wait_for_job(id) } else { 0 }
    }

    /// Makes a job's group the terminal's foreground.
    pub(super) fn give_terminal(&mut self, group: Pid) {
        let mut blocked = SigSet::empty();
        blocked.add(Signal::SIGTTOU);
        let mut old = SigSet::empty();
        let masked = nix::sys::signal::sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), Some(&mut old));
        if let Some(terminal) = self.terminal_fd() {
            // A terminal that went away shows at the next read.
            let _ = sys::foreground(terminal, group);
        }
        if masked.is_ok() {
            let _ = nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&old), None);
        }
    }

    pub(super) fn take_terminal(&mut self) {
        self.give_terminal(getpgrp());
    }
}
