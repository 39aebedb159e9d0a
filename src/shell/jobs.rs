//! Children: which there are, what became of them, and waiting for them.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::{Pid, getpgrp};

use super::Shell;
use crate::launch::{self, Change};
use crate::output::Safe;
use crate::sys;

use std::rc::Rc;

/// A pipeline that was started.
pub struct Job {
    pub id: usize,
    /// Its process group, where job control gave it one.
    pub group: Option<Pid>,
    processes: Vec<(Pid, Option<Change>)>,
    pub text: Rc<[u8]>,
    /// Something changed that an interactive user was not told.
    changed: bool,
    background: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    Stopped(u8),
    Done(u8),
}

impl Job {
    /// Of all its processes; the status is the last one's.
    pub fn state(&self) -> State {
        let mut stopped = None;
        for (_, change) in &self.processes {
            match change {
                None | Some(Change::Continued(_)) => return State::Running,
                Some(change @ Change::Stopped(..)) => stopped = Some(change.status()),
                Some(_) => {}
            }
        }
        match (stopped, self.processes.last()) {
            (Some(status), _) => State::Stopped(status),
            (None, Some((_, Some(change)))) => State::Done(change.status()),
            (None, _) => State::Done(0),
        }
    }

    /// The first status that is not 0, from the end (`set -o pipefail`).
    fn pipe_status(&self) -> u8 {
        let mut statuses = self.processes.iter().rev().filter_map(|(_, change)| change.map(Change::status));
        statuses.find(|status| *status != 0).unwrap_or(0)
    }

    pub fn last(&self) -> Option<Pid> {
        self.processes.last().map(|(pid, _)| *pid)
    }

    pub fn pids(&self) -> impl Iterator<Item = Pid> {
        self.processes.iter().map(|(pid, _)| *pid)
    }

    fn signal(&self) -> Option<i32> {
        self.processes.iter().rev().find_map(|(_, change)| match change {
            Some(Change::Killed(_, signal, _)) => Some(*signal),
            _ => None,
        })
    }

    fn describe(&self) -> String {
        let state = match (self.state(), self.signal()) {
            (State::Running, _) => String::from("Running"),
            (State::Stopped(_), _) => String::from("Stopped"),
            (State::Done(_), Some(signal)) => signal_text(signal),
            (State::Done(0), _) => String::from("Done"),
            (State::Done(status), _) => format!("Done({status})"),
        };
        format!("[{}] {state:<12} {}", self.id, Safe(&self.text))
    }
}

fn signal_text(signal: i32) -> String {
    match Signal::try_from(signal) {
        Ok(signal) => format!("Killed by {}", signal.as_str()),
        Err(_) => format!("Killed by signal {signal}"),
    }
}

/// All jobs that are not forgotten, oldest first.
#[derive(Default)]
pub struct Jobs(Vec<Job>);

impl Jobs {
    pub fn add(&mut self, pids: &[Pid], group: Option<Pid>, text: &Rc<[u8]>, background: bool) -> usize {
        let id = self.0.iter().map(|job| job.id).max().unwrap_or(0) + 1;
        let processes = pids.iter().map(|pid| (*pid, None)).collect();
        self.0.push(Job { id, group, processes, text: Rc::clone(text), changed: false, background });
        id
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = &Job> {
        self.0.iter()
    }

    pub fn get(&self, id: usize) -> Option<&Job> {
        self.0.iter().find(|job| job.id == id)
    }

    fn get_mut(&mut self, id: usize) -> Option<&mut Job> {
        self.0.iter_mut().find(|job| job.id == id)
    }

    /// The job that has this process.
    pub fn with_process(&self, pid: Pid) -> Option<&Job> {
        self.0.iter().find(|job| job.pids().any(|known| known == pid))
    }

    /// `%1`, `%%`, `%+`, `%-`, `%name`, `%?text`.
    pub fn named(&self, name: &[u8]) -> Option<&Job> {
        let name = name.strip_prefix(b"%")?;
        let mut recent = self.0.iter().rev();
        match name {
            b"" | b"%" | b"+" => recent.next(),
            b"-" => recent.nth(1),
            [b'?', text @ ..] => recent.find(|job| memchr::memmem::find(&job.text, text).is_some()),
            _ => match std::str::from_utf8(name).ok().and_then(|text| text.parse().ok()) {
                Some(id) => self.get(id),
                None => recent.find(|job| job.text.starts_with(name)),
            },
        }
    }

    fn note(&mut self, change: Change) {
        for job in &mut self.0 {
            for (pid, state) in &mut job.processes {
                if *pid == change.pid() {
                    *state = Some(change);
                    job.changed = true;
                    return;
                }
            }
        }
    }

    pub fn forget(&mut self, id: usize) {
        self.0.retain(|job| job.id != id);
    }
}

impl Shell<'_> {
    /// Waits for a process that is no job (a substitution's) and gives its status.
    pub(super) fn wait_for_process(&mut self, child: Pid) -> u8 {
        loop {
            match launch::wait(true, false) {
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
                None => return 0,
                Some(State::Running) => {}
                Some(State::Stopped(status)) => break (status, true),
                Some(State::Done(status)) => break (status, false),
            }
            match launch::wait(true, self.options.monitor) {
                Ok(Some(change)) => self.jobs.note(change),
                Ok(None) | Err(Errno::EINTR) => {}
                Err(_) => break (127, false),
            }
        };
        if self.options.monitor {
            self.take_terminal();
        }
        let killed = self.jobs.get(id).is_some_and(|job| job.signal().is_some());
        if (stopped || killed)
            && let Some(terminal) = &self.terminal
        {
            terminal.restore();
        }
        if stopped {
            self.report_stopped(id)
        } else {
            self.report_ended(id)
        };
        match self.jobs.get(id) {
            Some(job) if !stopped => {
                let status = if self.options.pipefail { job.pipe_status() } else { status };
                self.jobs.forget(id);
                status
            }
            _ => status,
        }
    }

    fn report_stopped(&mut self, id: usize) {
        if let Some(job) = self.jobs.get_mut(id) {
            (job.background, job.changed) = (true, false);
            let line = job.describe();
            self.say(&format!("\n{line}"));
        }
    }

    /// An interactive user is told what a signal did; Ctrl-C has shown itself, and a closed pipe is no news.
    fn report_ended(&mut self, id: usize) {
        let signal = self.jobs.get(id).and_then(Job::signal);
        match signal {
            _ if !self.options.interactive => {}
            Some(libc::SIGINT) => {
                self.say("");
                // The terminal sent it to the job's group alone, but it is meant for the whole list or loop.
                self.traps.note(Signal::SIGINT);
            }
            Some(libc::SIGPIPE) | None => {}
            Some(signal) => self.say(&signal_text(signal)),
        }
    }

    /// Waits for a background job on behalf of `wait`; a trapped signal interrupts it and gives 128 and its number.
    pub(super) fn wait_for_background(&mut self, id: usize) -> Result<u8, u8> {
        loop {
            match self.jobs.get(id).map(Job::state) {
                None => return Ok(127),
                Some(State::Done(status)) => {
                    self.jobs.forget(id);
                    return Ok(status);
                }
                Some(State::Stopped(status)) if self.options.monitor => return Ok(status),
                Some(_) => {}
            }
            match launch::wait_or_signal(self.options.monitor) {
                Ok(Some(change)) => self.jobs.note(change),
                Ok(None) => {}
                Err(Errno::EINTR) => {
                    if let Some(signal) = self.traps.arrived(self.options.interactive) {
                        return Err(128 + signal as u8);
                    }
                }
                Err(_) => {
                    self.jobs.forget(id);
                    return Ok(127);
                }
            }
        }
    }

    /// Notes what has become of children, without waiting.
    pub(super) fn reap(&mut self) {
        while let Ok(Some(change)) = launch::wait(false, self.options.monitor) {
            self.jobs.note(change);
        }
    }

    /// Tells an interactive user what changed since the last prompt.
    pub(super) fn report_jobs(&mut self) {
        self.reap();
        let mut lines = Vec::new();
        for job in &mut self.jobs.0 {
            if job.changed && job.background && job.state() != State::Running {
                lines.push(job.describe());
            }
            job.changed = false;
        }
        self.jobs.0.retain(|job| !matches!(job.state(), State::Done(_)));
        lines.iter().for_each(|line| self.say(line));
    }

    /// The list of `jobs`; those that ended are listed once.
    pub(super) fn list_jobs(&mut self) -> Vec<String> {
        self.reap();
        let lines = self.jobs.iter().map(Job::describe).collect();
        self.jobs.0.retain(|job| !matches!(job.state(), State::Done(_)));
        lines
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
        for (_, change) in &mut job.processes {
            if matches!(change, Some(Change::Stopped(..))) {
                *change = None;
            }
        }
        let group = job.group;
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
