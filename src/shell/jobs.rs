//! The table of jobs (POSIX.1-2024, XCU jobs): which there are, how they are named, and what became of them.

use nix::unistd::Pid;

use super::syntax::tree::Written;
use crate::launch::Change;
use crate::output::{Safe, order};
use crate::sys::signal;

/// How many ended jobs a script may leave without waiting for them; older ones are forgotten (CHILD_MAX of XCU wait).
const REMEMBERED: usize = 512;

/// A pipeline that was started.
pub struct Job {
    pub id: usize,
    /// Its process group, where job control gave it one.
    pub group: Option<Pid>,
    processes: Vec<(Pid, Option<Change>)>,
    pub text: Written,
    /// Something changed that an interactive user was not told.
    pub changed: bool,
    pub background: bool,
    /// The one that was started or stopped last has the highest.
    rank: u64,
    /// Of the shell that this one is a subshell of: it can be listed and sent a signal.
    inherited: bool,
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

    /// The state of one process.
    pub fn state_of(&self, pid: Pid) -> State {
        match self.processes.iter().find(|(known, _)| *known == pid) {
            Some((_, None | Some(Change::Continued(_)))) => State::Running,
            Some((_, Some(change @ Change::Stopped(..)))) => State::Stopped(change.status()),
            Some((_, Some(change))) => State::Done(change.status()),
            None => State::Done(127),
        }
    }

    pub fn is_stopped(&self) -> bool {
        matches!(self.state(), State::Stopped(_))
    }

    /// The first status that is not 0, from the end (`set -o pipefail`).
    pub fn pipe_status(&self) -> u8 {
        let mut statuses = self.processes.iter().rev().filter_map(|(_, change)| change.map(Change::status));
        statuses.find(|status| *status != 0).unwrap_or(0)
    }

    /// The leader of its group, or else its first process.
    pub fn leader(&self) -> Option<Pid> {
        self.group.or(self.processes.first().map(|(pid, _)| *pid))
    }

    pub fn last(&self) -> Option<Pid> {
        self.processes.last().map(|(pid, _)| *pid)
    }

    pub fn pids(&self) -> impl Iterator<Item = Pid> {
        self.processes.iter().map(|(pid, _)| *pid)
    }

    /// The signal that ended one of its processes.
    pub fn signal(&self) -> Option<i32> {
        self.processes.iter().rev().find_map(|(_, change)| match change {
            Some(Change::Killed(_, signal, _)) => Some(*signal),
            _ => None,
        })
    }

    /// Stopped processes are taken for running ones, once they have been sent SIGCONT.
    pub fn resumed(&mut self) {
        for (_, change) in &mut self.processes {
            if matches!(change, Some(Change::Stopped(..))) {
                *change = None;
            }
        }
    }

    fn describe_state(&self) -> String {
        let stop = self.processes.iter().find_map(|(_, change)| match change {
            Some(Change::Stopped(_, signal)) => signal::name(*signal),
            _ => None,
        });
        let killed = self.processes.last().and_then(|(_, change)| match change {
            Some(Change::Killed(_, signal, core)) => Some((*signal, *core)),
            _ => None,
        });
        match (self.state(), killed) {
            (State::Running, _) => String::from("Running"),
            (State::Stopped(_), _) => format!("Stopped (SIG{})", stop.unwrap_or_default()),
            (State::Done(_), Some((signal, core))) => describe_end(signal, core),
            (State::Done(0), _) => String::from("Done"),
            (State::Done(status), _) => format!("Done({status})"),
        }
    }
}

/// What a signal did to a process.
pub fn describe_end(signal: i32, core: bool) -> String {
    signal::description(signal) + if core { " (core dumped)" } else { "" }
}

/// All jobs that are not forgotten, oldest first.
#[derive(Default)]
pub struct Jobs {
    list: Vec<Job>,
    ranks: u64,
    /// Last processes and statuses of jobs that `wait` without operands has waited for: they can still be asked for.
    ended: Vec<(Pid, u8)>,
    /// How many more commands the warning about stopped jobs, before the shell is left, holds for.
    pub warned: u8,
}

impl Jobs {
    pub fn add(&mut self, pids: &[Pid], group: Option<Pid>, text: &Written, background: bool) -> usize {
        if self.list.first().is_some_and(|job| job.inherited) {
            self.list.clear();
        }
        let id = self.list.iter().map(|job| job.id).max().unwrap_or(0) + 1;
        let processes = pids.iter().map(|pid| (*pid, None)).collect();
        self.ranks += 1;
        let (text, rank) = (text.clone(), self.ranks);
        self.list.push(Job { id, group, processes, text, changed: false, background, rank, inherited: false });
        id
    }

    /// In a subshell: the jobs are another process's children.
    pub fn inherit(&mut self) {
        self.ended.clear();
        self.list.iter_mut().for_each(|job| job.inherited = true);
    }

    pub fn clear(&mut self) {
        self.list.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = &Job> {
        self.list.iter()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Job> {
        self.list.iter_mut()
    }

    pub fn get(&self, id: usize) -> Option<&Job> {
        self.list.iter().find(|job| job.id == id)
    }

    pub fn get_mut(&mut self, id: usize) -> Option<&mut Job> {
        self.list.iter_mut().find(|job| job.id == id)
    }

    /// Those that can be waited for.
    pub fn own(&self) -> impl DoubleEndedIterator<Item = &Job> {
        self.list.iter().filter(|job| !job.inherited)
    }

    /// The job of ours that has this process; a later one has used its number again.
    pub fn with_process(&self, pid: Pid) -> Option<&Job> {
        self.own().rev().find(|job| job.pids().any(|known| known == pid))
    }

    /// The current and the previous job (XBD 3.92, XCU jobs): stopped ones first.
    fn current(&self) -> [Option<usize>; 2] {
        let mut order: Vec<&Job> = self.list.iter().collect();
        order::sort_by_key(&mut order, |job| std::cmp::Reverse((job.is_stopped(), job.rank)));
        [order.first(), order.get(1)].map(|job| job.map(|job| job.id))
    }

    /// `%1`, `%%`, `%+`, `%-`, `%name`, `%?text`; an error says why there is none.
    pub fn named(&self, name: &[u8]) -> Result<&Job, &'static str> {
        const ABSENT: &str = "no such job";
        let name = name.strip_prefix(b"%").unwrap_or(name);
        let [current, previous] = self.current();
        let by_id = |id: Option<usize>| id.and_then(|id| self.get(id)).ok_or(ABSENT);
        let only = |fits: &dyn Fn(&&Job) -> bool| {
            let mut found = self.list.iter().filter(fits);
            match (found.next(), found.next()) {
                (Some(_), Some(_)) => Err("names several jobs"),
                (job, _) => job.ok_or(ABSENT),
            }
        };
        match name {
            b"" | b"%" | b"+" => by_id(current),
            b"-" => by_id(previous),
            [b'?', text @ ..] => only(&|job| memchr::memmem::find(&job.text, text).is_some()),
            _ => match std::str::from_utf8(name).ok().and_then(|text| text.parse().ok()) {
                Some(id) => by_id(Some(id)),
                None => only(&|job| job.text.starts_with(name)),
            },
        }
    }

    /// A line of `jobs`; with the process number for `jobs -l`.
    pub fn describe(&self, job: &Job, long: bool) -> String {
        let mark = match self.current() {
            [Some(current), _] if current == job.id => '+',
            [_, Some(previous)] if previous == job.id => '-',
            _ => ' ',
        };
        let pid = job.leader().filter(|_| long).map(|pid| format!("{pid} ")).unwrap_or_default();
        format!("[{}] {mark} {pid}{:<20} {}", job.id, job.describe_state(), Safe(&job.text))
    }

    /// Notes what happened to a child. A process that has ended is never heard of again.
    pub fn note(&mut self, change: Change) {
        let is_over = |known: &Option<Change>| matches!(known, Some(Change::Exited(..) | Change::Killed(..)));
        for job in self.list.iter_mut().filter(|job| !job.inherited) {
            if let Some((_, state)) =
                job.processes.iter_mut().find(|(pid, known)| *pid == change.pid() && !is_over(known))
            {
                *state = Some(change);
                job.changed = true;
                if let Change::Stopped(..) = change {
                    self.ranks += 1;
                    job.rank = self.ranks;
                }
                return;
            }
        }
    }

    /// What is taken for running is no child any more: somebody else has waited for it.
    pub fn lose(&mut self) {
        for job in self.list.iter_mut().filter(|job| !job.inherited) {
            for (pid, change) in job.processes.iter_mut().filter(|(_, change)| change.is_none()) {
                *change = Some(Change::Exited(*pid, 127));
            }
        }
    }

    pub fn forget(&mut self, id: usize) {
        self.list.retain(|job| job.id != id);
    }

    /// Forgets those that have ended.
    pub fn forget_done(&mut self) {
        self.list.retain(|job| !matches!(job.state(), State::Done(_)));
    }

    /// Forgets all of them but their statuses.
    pub fn retire_done(&mut self) {
        for job in &self.list {
            if let (State::Done(status), Some(last)) = (job.state(), job.last()) {
                self.ended.push((last, status));
            }
        }
        let spare = self.ended.len().saturating_sub(REMEMBERED);
        self.ended.drain(..spare);
        self.forget_done();
    }

    /// The status of a process of a job that is no more; once.
    pub fn recall(&mut self, pid: Pid) -> Option<u8> {
        let at = self.ended.iter().rposition(|(known, _)| *known == pid)?;
        Some(self.ended.remove(at).1)
    }

    pub fn are_many(&self) -> bool {
        self.list.len() >= REMEMBERED
    }

    /// Forgets the oldest that ended, half of what may be remembered.
    pub fn forget_oldest(&mut self) {
        let mut spare = self.list.len().saturating_sub(REMEMBERED / 2);
        self.list.retain(|job| {
            let drop = spare > 0 && matches!(job.state(), State::Done(_));
            spare -= usize::from(drop);
            !drop
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(texts: &[&str]) -> Jobs {
        let mut jobs = Jobs::default();
        for (index, text) in texts.iter().enumerate() {
            let pid = Pid::from_raw(100 + index as i32);
            jobs.add(&[pid], Some(pid), &text.as_bytes().to_vec().into(), true);
        }
        jobs
    }

    #[track_caller]
    fn names(jobs: &Jobs, name: &str, expected: Result<usize, &str>) {
        assert_eq!(jobs.named(name.as_bytes()).map(|job| job.id), expected, "{name}");
    }

    #[test]
    fn a_stopped_job_is_current_before_later_ones() {
        let mut jobs = started(&["one", "two", "three"]);
        names(&jobs, "%+", Ok(3));
        names(&jobs, "%-", Ok(2));
        jobs.note(Change::Stopped(Pid::from_raw(100), libc::SIGTSTP));
        names(&jobs, "%%", Ok(1));
        names(&jobs, "%-", Ok(3));
        let line = jobs.describe(jobs.get(1).unwrap(), true);
        assert_eq!(line, "[1] + 100 Stopped (SIGTSTP)    one");
    }

    #[test]
    fn names_that_fit_none_or_several() {
        let jobs = started(&["sleep 1", "sleep 2", "cat"]);
        names(&jobs, "%c", Ok(3));
        names(&jobs, "%?2", Ok(2));
        names(&jobs, "%sl", Err("names several jobs"));
        names(&jobs, "%4", Err("no such job"));
        names(&jobs, "%x", Err("no such job"));
    }

    #[test]
    fn a_number_used_again_belongs_to_the_later_job() {
        let mut jobs = started(&["one"]);
        let pid = Pid::from_raw(100);
        jobs.note(Change::Exited(pid, 3));
        let second = jobs.add(&[pid], None, &Written::from(b"two".to_vec()), true);
        jobs.note(Change::Exited(pid, 4));
        assert_eq!(jobs.get(1).map(Job::state), Some(State::Done(3)));
        assert_eq!(jobs.with_process(pid).map(|job| (job.id, job.state())), Some((second, State::Done(4))));
    }

    #[test]
    fn ended_jobs_are_forgotten_when_there_are_many() {
        let mut jobs = started(&["x"; REMEMBERED]);
        assert!(jobs.are_many());
        jobs.forget_oldest();
        assert!(jobs.are_many());
        jobs.lose();
        jobs.forget_oldest();
        assert_eq!(jobs.iter().next().map(|job| job.id), Some(REMEMBERED / 2 + 1));
    }
}
