//! why: what stands between us and the target, and the line that starts a sidecar for which it does not. No standard.
//!
//! The kernel's checks are told one by one, because its answer to all of them together is "Permission denied". Only what
//! everyone may read is compared; `reading` is the answer itself, tried.
//!
//! Exit status: 0 the target can be read (the named check passed, the named path can be read), 1 it cannot, 2 it could
//! not be asked. With `--json` one object.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::unistd::{getegid, geteuid};

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::inspect::reach::{self, Checked, Concern, Reach};
use crate::inspect::relaunch::Relaunch;
use crate::output::Safe;
use crate::output::json::Object;
use crate::target::access::Check;
use crate::target::{Absent, Reader, Target, Whose};

pub static APPLET: Applet =
    Applet { names: &["why"], usage: <Options as clap::CommandFactory>::command, run, place: Place::Child, trouble: 2 };

/// Say why the target, a process or a path may not be read, and how to start so that it may
#[derive(clap::Parser)]
#[command(
    name = "why",
    after_help = "Checks: pid mount net user ids capabilities dumpable label reading yama hidepid seccomp read-only\n\
                  Exit status: 0 it can be read, 1 it cannot, 2 it could not be asked."
)]
struct Options {
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    /// A path (@/…), a process, or the name of a check
    #[arg(value_name = "PATH|PID|CHECK")]
    what: Option<OsString>,
}

/// What is asked.
enum Question<'a> {
    Target,
    Process(&'a OsStr),
    Check(&'static str),
    Path(&'a Path),
}

impl Question<'_> {
    fn new(word: Option<&OsString>) -> Question<'_> {
        let Some(word) = word else { return Question::Target };
        if let Some(name) = reach::NAMES.iter().find(|name| word == **name) {
            return Question::Check(name);
        }
        match word.as_bytes().iter().all(u8::is_ascii_digit) {
            true => Question::Process(word),
            false => Question::Path(Path::new(word)),
        }
    }

    /// What the check is that was asked for by its name.
    fn meaning(&self) -> Option<&'static str> {
        match self {
            Question::Check(name) => reach::meaning::of(name),
            _ => None,
        }
    }
}

/// What is answered.
struct Answer {
    target: Option<Target>,
    checks: Vec<Checked>,
    /// Nothing where the sidecar's own files are asked for.
    relaunch: Option<Relaunch>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let question = Question::new(options.what.as_ref());
    let answer = answer(cx, &question)?;
    let reads = answer.checks.iter().all(|check| {
        let counts = match question {
            Question::Check(_) => true,
            // A path that can be read is not denied, whether or not it can be written too.
            Question::Path(_) => check.concern != Concern::Writing,
            _ => matches!(check.name, "pid" | "reading"),
        };
        !counts || check.outcome == Check::Passed
    });
    match options.json {
        true => writeln!(cx.io.out, "{}", object(&answer, &question, reads).finish())?,
        false => print(cx, &answer, &question, reads)?,
    }
    Ok(Exit(u8::from(!reads)))
}

fn answer(cx: &Context<'_>, question: &Question<'_>) -> Result<Answer> {
    let mut reader = Reader::open().map_err(|_| Error::message(Absent::NoProc))?;
    let path = |path: &Path, we: &str| {
        let failed = |error| Error::message(format_args!("{}: {}", Safe::path(path), reason(&error)));
        reach::path::check(cx.files, path, we).map_err(failed)
    };
    if let Question::Path(ours) = question
        && cx.files.whose(ours) == Whose::Sidecar
    {
        let we = format!("{}:{}", geteuid(), getegid());
        return Ok(Answer { target: None, checks: path(ours, &we)?, relaunch: None });
    }
    let target = match question {
        Question::Process(pid) => Target::find(Some(pid)),
        _ => cx.files.target().cloned().map_err(Clone::clone),
    };
    let target = match target {
        Ok(target) => target,
        Err(absent @ (Absent::NoProc | Absent::NoSuchProcess(_))) => return Err(Error::message(absent)),
        Err(absent) => {
            let mut checks = reach::without_target(&mut reader, &absent);
            keep(&mut checks, question)?;
            return Ok(Answer { target: None, checks, relaunch: Some(Relaunch::unknown()) });
        }
    };
    let mut reach = Reach::find(&mut reader, &target).map_err(|error| Error::message(reason(&error)))?;
    let mut privileged = false;
    match question {
        // Below a root that we may not even enter the checks of the root are the answer.
        Question::Path(theirs) if reach.readable() => {
            reach.checks = path(theirs, &reach.access.we())?;
            // The target's own user would fare no better, if that is who we are.
            privileged = reach.access.ids == Check::Passed;
        }
        _ => keep(&mut reach.checks, question)?,
    }
    let relaunch = Relaunch::new(&mut reader, target.pid, &reach.access, &reach.mounts, privileged);
    Ok(Answer { target: Some(target), checks: reach.checks, relaunch: Some(relaunch) })
}

fn keep(checks: &mut Vec<Checked>, question: &Question<'_>) -> Result<()> {
    if let Question::Check(name) = question {
        checks.retain(|check| check.name == *name);
        if checks.is_empty() {
            return Err(Error::message(format_args!("{name}: there is no target to compare with")));
        }
    }
    Ok(())
}

/// The evidence is safe to print as it is, which a table's cell would escape once more.
fn print(cx: &mut Context<'_>, answer: &Answer, question: &Question<'_>, reads: bool) -> Result<()> {
    let out = &mut cx.io.out;
    writeln!(out, "RESULT  CHECK        FOR        EVIDENCE")?;
    for Checked { name, outcome, concern, evidence } in &answer.checks {
        writeln!(out, "{:<7} {name:<12} {:<10} {evidence}", reach::word(*outcome), concern.name())?;
    }
    if let Some(meaning) = question.meaning() {
        writeln!(out, "\n{meaning}")?;
    }
    if let Some(relaunch) = &answer.relaunch
        && answer.checks.iter().any(Checked::is_cured)
    {
        let works = if reads { "to start another sidecar" } else { "to start a sidecar for which it works" };
        writeln!(out, "\n{works}:\n  {}\n  {}\n  {}", relaunch.podman(), relaunch.docker(), relaunch.kubectl())?;
    }
    Ok(())
}

fn object(answer: &Answer, question: &Question<'_>, reads: bool) -> Object {
    let mut object = Object::new();
    object.number("pid", answer.target.as_ref().and_then(|target| u64::try_from(target.pid).ok()));
    object.bytes("comm", answer.target.as_ref().map_or(&b""[..], |target| &target.comm));
    object.bool("readable", reads);
    object.objects(
        "checks",
        answer.checks.iter().map(|check| {
            let mut row = Object::new();
            row.text("check", check.name).text("result", reach::word(check.outcome));
            row.text("for", check.concern.name()).text("evidence", &check.evidence);
            row
        }),
    );
    if let Some(meaning) = question.meaning() {
        object.text("meaning", meaning);
    }
    if let Some(relaunch) = &answer.relaunch {
        let mut lines = Object::new();
        lines.text("podman", &relaunch.podman()).text("docker", &relaunch.docker());
        lines.text("kubectl", &relaunch.kubectl());
        object.object("start", lines);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    fn own() -> String {
        Reader::open().unwrap().own_pid().unwrap().to_string()
    }

    #[test]
    fn a_process_of_our_own_can_be_read() {
        let done = capture(&APPLET, &[&own()], b"");
        assert_eq!((done.status, done.err.as_str()), (0, ""));
        let titles: Vec<&str> = done.out.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(titles, ["RESULT", "CHECK", "FOR", "EVIDENCE"]);
        let checks: Vec<&str> = done.out.lines().skip(1).map_while(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(checks, reach::NAMES);
    }

    #[test]
    fn json_has_the_keys() {
        let done = capture(&APPLET, &["--json", &own()], b"");
        let prefix = format!(r#"{{"pid":{},"comm":"#, own());
        assert!(done.out.starts_with(&prefix), "{}", done.out);
        for key in [
            r#","readable":true,"checks":[{"check":"pid","result":"passed","for":"seeing","evidence":"process "#,
            r#","start":{"podman":"podman run "#,
            r#","docker":"docker run "#,
            r#","kubectl":"kubectl debug "#,
        ] {
            assert!(done.out.contains(key), "{key}: {}", done.out);
        }
    }

    #[test]
    fn a_path_of_ours_needs_no_target() {
        let done = capture(&APPLET, &["/etc/passwd"], b"");
        assert_eq!((done.status, done.err.as_str()), (0, ""));
        assert!(done.out.contains("\npassed  read         reading    /etc/passwd is -rw-r--r-- 0:0\n"), "{}", done.out);
    }

    #[test]
    fn a_check_is_explained() {
        let target = |args: &[&str]| {
            let mut args: Vec<&str> = args.to_vec();
            args.push("yama");
            capture(&APPLET, &args, b"")
        };
        // With or without a target: it is about our side.
        let done = target(&[]);
        let lines: Vec<&str> = done.out.lines().collect();
        assert!(lines[1].contains(" yama ") && lines[2].is_empty(), "{}", done.out);
        assert!(lines[3].starts_with("Yama restricts debuggers "), "{}", done.out);
        assert!(target(&["--json"]).out.contains(r#","meaning":"Yama restricts "#));
    }

    #[test]
    fn what_cannot_be_asked() {
        let done = capture(&APPLET, &["/no/such\x1b"], b"");
        assert_eq!((done.status, done.err.as_str()), (2, "why: /no/such\\x1b: No such file or directory\n"));
        let done = capture(&APPLET, &["4000000000"], b"");
        assert_eq!((done.status, done.err.as_str()), (2, "why: no target: no process 4000000000 is visible here\n"));
    }
}
