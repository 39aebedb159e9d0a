//! `bg` `fg` `jobs` `kill` `wait`.

use nix::unistd::Pid;

use super::super::jobs::{Job, State};
use super::super::{Flow, Shell, Text};
use super::{number, options};
use crate::applet::find;
use crate::output::Safe;
use crate::sys::signal;

/// The job that an operand names; without one the current job. Reported where there is none.
fn job(shell: &mut Shell<'_>, name: &[u8], operand: Option<&Text>) -> Option<usize> {
    let text = operand.map_or(&b"%%"[..], Text::as_slice);
    match shell.jobs.named(text).map(|job| job.id) {
        Ok(id) => Some(id),
        Err(why) => {
            shell.complain(format_args!("{}: {}: {why}", Safe(name), Safe(text)));
            None
        }
    }
}

/// `bg` and `fg` need process groups (XCU bg).
fn controls_jobs(shell: &mut Shell<'_>, name: &str) -> bool {
    if !shell.options.monitor {
        shell.complain(format_args!("{name}: no job control"));
    }
    shell.options.monitor
}

pub fn fg(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"", b"")?;
    if !controls_jobs(shell, "fg") {
        return Ok(1);
    }
    let Some(id) = job(shell, b"fg", parsed.operands.first()) else { return Ok(1) };
    let text = shell.jobs.get(id).map(|job| job.text.to_vec()).unwrap_or_default();
    shell.print(&[text.as_slice(), b"\n"].concat());
    Ok(shell.resume(id, true))
}

pub fn bg(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"", b"")?;
    if !controls_jobs(shell, "bg") {
        return Ok(1);
    }
    let mut status = 0;
    let operands: Vec<Option<&Text>> = match parsed.operands {
        [] => vec![None],
        operands => operands.iter().map(Some).collect(),
    };
    for operand in operands {
        match job(shell, b"bg", operand) {
            Some(id) => {
                shell.resume(id, false);
                let line = shell.jobs.get(id).map(|job| format!("[{id}] {}\n", Safe(&job.text)));
                shell.print(line.unwrap_or_default().as_bytes());
            }
            None => status = 1,
        }
    }
    Ok(status)
}

pub fn jobs(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"lp", b"")?;
    shell.reap();
    let mut status = 0;
    let mut chosen = Vec::new();
    for operand in parsed.operands {
        match job(shell, b"jobs", Some(operand)) {
            Some(id) => chosen.push(id),
            None => status = 1,
        }
    }
    if parsed.operands.is_empty() {
        chosen = shell.jobs.iter().map(|job| job.id).collect();
    }
    let line = |id: &usize| {
        let job = shell.jobs.get(*id)?;
        match parsed.has(b'p') {
            true => job.leader().map(|pid| format!("{pid}\n")),
            false => Some(shell.jobs.describe(job, parsed.has(b'l')) + "\n"),
        }
    };
    let lines: String = chosen.iter().filter_map(line).collect();
    if !parsed.has(b'p') {
        // The end of a job is told once.
        for id in chosen {
            if matches!(shell.jobs.get(id).map(Job::state), Some(State::Done(_))) {
                shell.jobs.forget(id);
            }
        }
    }
    Ok(shell.print(lines.as_bytes()).max(status))
}

/// What an operand of `wait` stands for.
#[derive(Clone, Copy)]
enum Awaited {
    Job(usize),
    Process(usize, Pid),
    /// It was waited for together with all others.
    Ended(u8),
    /// No child of this shell.
    Unknown,
}

/// Waits for what the operands name, or for all. The status is the last operand's.
pub fn wait(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let parsed = options(shell, args, b"n", b"")?;
    let mut awaited = Vec::new();
    for operand in parsed.operands {
        let pid = number(operand).and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        awaited.push(match (operand.starts_with(b"%"), pid) {
            (true, _) => shell.jobs.named(operand).map_or(Awaited::Unknown, |job| Awaited::Job(job.id)),
            (false, Some(pid)) => match shell.jobs.with_process(pid).map(|job| job.id) {
                Some(id) => Awaited::Process(id, pid),
                None => shell.jobs.recall(pid).map_or(Awaited::Unknown, Awaited::Ended),
            },
            (false, None) => {
                shell.complain(format_args!("wait: {}: neither a process id nor a job", Safe(operand)));
                return Ok(2);
            }
        });
    }
    if parsed.has(b'n') {
        return Ok(wait_for_any(shell, &awaited));
    }
    if awaited.is_empty() {
        return Ok(wait_for_all(shell));
    }
    let mut status = 0;
    for one in awaited {
        match wait_for(shell, one) {
            Ok(ended) => status = ended,
            Err(interrupted) => return Ok(interrupted),
        }
    }
    Ok(status)
}

/// Waits for one job or process, which is known until then and no longer (XCU 2.9.3.1); `wait` without operands is no
/// such wait.
fn wait_for(shell: &mut Shell<'_>, awaited: Awaited) -> Result<u8, u8> {
    let id = match awaited {
        Awaited::Job(id) | Awaited::Process(id, _) => id,
        Awaited::Ended(status) => return Ok(status),
        Awaited::Unknown => return Ok(127),
    };
    let stops = shell.options.monitor;
    let state = shell.wait_until(|jobs| {
        let job = jobs.own().find(|job| job.id == id);
        let state = job.map_or(State::Done(127), |job| match awaited {
            Awaited::Process(_, pid) => job.state_of(pid),
            _ => job.state(),
        });
        match state {
            State::Done(status) => Some((status, true)),
            State::Stopped(status) if stops => Some((status, false)),
            _ => None,
        }
    });
    let (status, ended) = state?;
    let whole = matches!(shell.jobs.get(id).map(Job::state), Some(State::Done(_)));
    if ended && whole {
        shell.jobs.forget(id);
    }
    Ok(status)
}

/// `wait` without operands: stopped jobs might never end.
fn wait_for_all(shell: &mut Shell<'_>) -> u8 {
    let ended = shell.wait_until(|jobs| jobs.own().all(|job| job.state() != State::Running).then_some(()));
    match ended {
        Ok(()) => {
            shell.jobs.retire_done();
            0
        }
        Err(interrupted) => interrupted,
    }
}

/// `wait -n`: the first that ends, as in bash.
fn wait_for_any(shell: &mut Shell<'_>, awaited: &[Awaited]) -> u8 {
    let chosen = |id: usize| {
        awaited.is_empty()
            || awaited.iter().any(|one| matches!(one, Awaited::Job(job) | Awaited::Process(job, _) if *job == id))
    };
    let first = shell.wait_until(|jobs| {
        let mut rest = jobs.own().filter(|job| chosen(job.id)).peekable();
        if rest.peek().is_none() {
            return Some(None);
        }
        rest.find_map(|job| match job.state() {
            State::Done(status) => Some(Some((job.id, status))),
            _ => None,
        })
    });
    match first {
        Ok(Some((id, status))) => {
            shell.jobs.forget(id);
            status
        }
        Ok(None) => 127,
        Err(interrupted) => interrupted,
    }
}

/// `kill` with jobs turned into process groups; the applet does the rest.
pub fn kill(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let mut words = Vec::with_capacity(args.len() + 1);
    let mut known = Vec::new();
    for word in args {
        if !word.starts_with(b"%") {
            let pid = number(word).and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
            known.extend(pid.and_then(|pid| shell.jobs.with_process(pid)).map(|job| job.id));
            words.push(word.clone());
            continue;
        }
        if words.len() == 1 {
            // A group is a negative number, which must not be taken for a signal.
            words.push(b"--".to_vec());
        }
        let Some(id) = job(shell, b"kill", Some(word)) else { return Ok(1) };
        let Some(job) = shell.jobs.get(id) else { return Ok(1) };
        known.push(id);
        match job.group {
            Some(group) => words.push(format!("-{group}").into_bytes()),
            None => words.extend(job.pids().map(|pid| pid.to_string().into_bytes())),
        }
    }
    let Some(applet) = find(shell.applets, b"kill") else {
        shell.complain("kill: not found");
        return Ok(127);
    };
    let starts = ends_a_stop(&words);
    let status = shell.run_applet(applet, words);
    for id in known.into_iter().filter(|_| starts && status == 0) {
        // What follows, `wait` for one, need not first hear of it.
        shell.jobs.get_mut(id).into_iter().for_each(Job::resumed);
    }
    Ok(status)
}

/// Whether the signal that the words of `kill` name lets a stopped process go on, or ends it.
fn ends_a_stop(words: &[Text]) -> bool {
    let name = match words {
        [_, option, name, ..] if option == b"-s" || option == b"-n" => name,
        [_, option, ..] => option.strip_prefix(b"-s").or(option.strip_prefix(b"-")).unwrap_or_default(),
        _ => return false,
    };
    matches!(signal::number(name), Some(libc::SIGKILL | libc::SIGCONT))
}
