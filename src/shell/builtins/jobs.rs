//! `bg` `fg` `jobs` `kill` `wait`.

use nix::unistd::Pid;

use super::super::jobs::{Job, State};
use super::super::{Flow, Shell, Text};
use super::options;
use crate::applet::find;
use crate::output::Safe;

/// The job that an operand names; without one the current job. Reported where there is none.
fn job(shell: &mut Shell<'_>, name: &[u8], operand: Option<&Text>) -> Option<usize> {
    let text = operand.map_or(&b"%%"[..], Text::as_slice);
    let found = shell.jobs.named(text).map(|job| job.id);
    if found.is_none() {
        shell.complain(format_args!("{}: {}: no such job", Safe(name), Safe(text)));
    }
    found
}

pub fn fg(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let Some(id) = job(shell, b"fg", args.get(1)) else { return Ok(1) };
    let text = shell.jobs.get(id).map(|job| job.text.to_vec()).unwrap_or_default();
    shell.print(&[text.as_slice(), b"\n"].concat());
    Ok(shell.resume(id, true))
}

pub fn bg(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let mut status = 0;
    let operands: Vec<Option<&Text>> = if args.len() < 2 { vec![None] } else { args[1..].iter().map(Some).collect() };
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
    let Some(parsed) = options(shell, args, b"lp", b"") else { return Ok(2) };
    if parsed.has(b'p') {
        let pids: Vec<String> = shell.jobs.iter().filter_map(Job::last).map(|pid| format!("{pid}\n")).collect();
        return Ok(shell.print(pids.concat().as_bytes()));
    }
    let lines: Vec<String> = shell.list_jobs().into_iter().map(|line| line + "\n").collect();
    Ok(shell.print(lines.concat().as_bytes()))
}

/// Waits for what the operands name, or for all. The status is the last operand's.
pub fn wait(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let Some(parsed) = options(shell, args, b"", b"") else { return Ok(2) };
    let mut status = 0;
    if parsed.operands.is_empty() {
        let running: Vec<usize> = shell.jobs.iter().map(|job| job.id).collect();
        for id in running {
            if let Some(State::Stopped(_)) = shell.jobs.get(id).map(Job::state) {
                continue;
            }
            if let Err(interrupted) = shell.wait_for_background(id) {
                return Ok(interrupted);
            }
        }
        return Ok(0);
    }
    for operand in parsed.operands {
        let named = match std::str::from_utf8(operand).ok().and_then(|text| text.parse().ok()) {
            Some(pid) => shell.jobs.with_process(Pid::from_raw(pid)),
            None => shell.jobs.named(operand),
        };
        status = match named.map(|job| job.id) {
            // Not a child of this shell: the standard's status for it.
            None => 127,
            Some(id) => match shell.wait_for_background(id) {
                Ok(status) => status,
                Err(interrupted) => return Ok(interrupted),
            },
        };
    }
    Ok(status)
}

/// `kill` with jobs turned into process groups; the applet does the rest.
pub fn kill(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let mut words = Vec::with_capacity(args.len() + 1);
    for word in args {
        if !word.starts_with(b"%") {
            words.push(word.clone());
            continue;
        }
        if words.len() == 1 {
            // A group is a negative number, which must not be taken for a signal.
            words.push(b"--".to_vec());
        }
        let Some(id) = job(shell, b"kill", Some(word)) else { return Ok(1) };
        let Some(job) = shell.jobs.get(id) else { return Ok(1) };
        match job.group {
            Some(group) => words.push(format!("-{group}").into_bytes()),
            None => words.extend(job.pids().map(|pid| pid.to_string().into_bytes())),
        }
    }
    match find(shell.applets, b"kill") {
        Some(applet) => Ok(shell.run_applet(applet, words)),
        None => {
            shell.complain("kill: not found");
            Ok(127)
        }
    }
}
