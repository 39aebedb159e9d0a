//! The readable cases, `tests/spec/**/*.spec`: a script, and what it must do. Every case runs in sidebox and in each of its
//! oracles, which have to agree with the written answer, so that the answer is a fact and no wish.
//!
//! ```text
//! oracle: dash busybox              (the file's default)
//!
//! #### cat: a missing file is named and the rest is still printed
//! oracle: gnu busybox               (this case's; `none` needs a line `why: …`)
//! native: openat2(2)                (left out under an emulator, which does not pass that on)
//! printf 'a\n' > f
//! cat none f
//! ---- status 1                     (0 if left out)
//! ---- stdout                       (empty if left out)
//! a
//! ---- stderr                       (if left out, not looked at; never looked at in an oracle)
//! cat: none: No such file or directory
//! ```
//!
//! Blank lines at the end of a case separate it from the next. `SIDEBOX_SPEC=words` runs the cases whose file name and
//! title contain the words.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::program::{Directory, Outcome, Program, run, sources};

const LIMIT: Duration = Duration::from_secs(10);
const THREADS: usize = 2;

/// Where programs are that neither sidebox nor busybox has.
const SYSTEM: &str = "/usr/bin:/bin";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oracle {
    Dash,
    Bash,
    Busybox,
    Mksh,
    Gnu,
}

impl Oracle {
    pub fn named(name: &str) -> Option<Oracle> {
        Some(match name {
            "dash" => Oracle::Dash,
            "bash" => Oracle::Bash,
            "busybox" => Oracle::Busybox,
            "mksh" => Oracle::Mksh,
            "gnu" => Oracle::Gnu,
            _ => return None,
        })
    }

    /// `sh`, before its arguments.
    pub fn shell(self) -> Command {
        let (program, option) = match self {
            Oracle::Dash | Oracle::Gnu => ("/bin/dash", None),
            Oracle::Bash => ("/bin/bash", Some("--posix")),
            Oracle::Busybox => ("/bin/busybox", None),
            Oracle::Mksh => ("/bin/mksh", None),
        };
        assert!(Path::new(program).exists(), "{program} is not installed; tests/check installs what the cases need");
        let mut command = Command::new(program);
        command.args(option);
        command
    }
}

#[derive(Debug, Default)]
struct Case {
    /// File and title, for people.
    name: String,
    oracles: Vec<Oracle>,
    /// Asks the kernel for what an emulator of user programs does not pass on.
    native: bool,
    script: String,
    status: i32,
    stdout: String,
    stderr: Option<String>,
}

#[test]
fn cases() {
    let mut cases = Vec::new();
    let root = sources().join("tests/spec");
    for file in files(&root) {
        let name = file.strip_prefix(&root).unwrap().with_extension("").display().to_string();
        let parsed = parse(&fs::read_to_string(&file).unwrap());
        cases.extend(parsed.unwrap_or_else(|error| panic!("{}: {error}", file.display())).into_iter().map(
            |mut case| {
                case.name = format!("{name}: {}", case.name);
                case
            },
        ));
    }
    let words = std::env::var("SIDEBOX_SPEC").unwrap_or_default();
    cases.retain(|case| case.name.contains(&words));
    if std::env::var_os("SIDEBOX_RUNNER").is_some() {
        cases.retain(|case| !case.native);
    }
    assert!(!cases.is_empty(), "no case has {words:?} in its name");

    let program = Program::new();
    let busybox = busybox_links();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(report) = check(case, &program, busybox.path()) {
                        failures.lock().unwrap().push(report);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    println!("{}", failures.concat());
    println!("spec: {} passed, {} failed", cases.len() - failures.len(), failures.len());
    assert!(failures.is_empty(), "{} of {} cases failed", failures.len(), cases.len());
}

/// The files of cases in and below a directory, sorted.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let is_case = |path: &Path| path.extension().is_some_and(|extension| extension == "spec");
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.into_iter().flat_map(below).filter(|path| is_case(path)).collect()
}

/// Runs a case everywhere; a text that says what is wrong.
fn check(case: &Case, program: &Program, busybox: &Path) -> Option<String> {
    let directory = Directory::new("spec");
    let mut report = String::new();
    let ours = shell(program.command("sh"), program.links(), &case.script, &directory);
    compare("sidebox", &ours, case, &mut report);
    if let Some(expected) = &case.stderr {
        difference("sidebox", "stderr", expected, &ours.err, &mut report);
    } else if !report.is_empty() && !ours.err.is_empty() {
        report.push_str(&format!("  sidebox said: {}\n", ours.err.trim_end().escape_debug()));
    }
    for oracle in &case.oracles {
        directory.clear();
        let links = if *oracle == Oracle::Busybox { busybox } else { Path::new("/nonexistent") };
        let theirs = shell(oracle.shell(), links, &case.script, &directory);
        compare(&format!("{oracle:?}").to_lowercase(), &theirs, case, &mut report);
    }
    (!report.is_empty()).then(|| format!("\n#### {}\n{}\n{report}", case.name, case.script.trim_end()))
}

/// Runs a script in a shell, in the directory and without much else.
pub fn shell(mut command: Command, links: &Path, script: &str, directory: &Directory) -> Outcome {
    command.arg0("sh").arg("-c").arg(script).current_dir(directory.path()).env_clear();
    command.env("PATH", format!("{}:{SYSTEM}", links.display())).env("LC_ALL", "C").env("HOME", directory.path());
    run(&mut command, LIMIT)
}

fn compare(who: &str, outcome: &Outcome, case: &Case, report: &mut String) {
    if outcome.late {
        report.push_str(&format!("  {who}: did not end within {} s\n", LIMIT.as_secs()));
    } else if outcome.status != case.status {
        report.push_str(&format!("  {who}: status {}, not {}\n", outcome.status, case.status));
    }
    difference(who, "stdout", &case.stdout, &outcome.out, report);
}

fn difference(who: &str, what: &str, expected: &str, got: &str, report: &mut String) {
    if expected == got {
        return;
    }
    let quoted = |text: &str, report: &mut String| {
        text.split_inclusive('\n').for_each(|line| report.push_str(&format!("      {}\n", line.escape_debug())));
    };
    report.push_str(&format!("  {who}: {what} should be\n"));
    quoted(expected, report);
    report.push_str("    and is\n");
    quoted(got, report);
}

/// A directory in which every name of busybox is a link to it.
fn busybox_links() -> Directory {
    let links = Directory::new("busybox");
    let list = run(Oracle::Busybox.shell().arg("--list"), LIMIT);
    for name in list.out.lines() {
        symlink("/bin/busybox", links.path().join(name)).unwrap();
    }
    links
}

fn parse(text: &str) -> Result<Vec<Case>, String> {
    let mut parts = text.split("\n#### ");
    let mut head = parts.next().unwrap_or_default();
    let first = head.strip_prefix("#### ");
    if first.is_some() {
        head = "";
    }
    let mut default = None;
    let (mut excused, mut native) = (false, false);
    for line in head.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("# ")) {
        match directive(line)? {
            Some(Directive::Oracles(oracles)) => default = Some(oracles),
            Some(Directive::Why) => excused = true,
            Some(Directive::Native) => native = true,
            None => return Err(format!("before the first case: {line}")),
        }
    }
    let mut cases: Vec<Case> = Vec::new();
    for part in first.into_iter().chain(parts) {
        let (title, body) = part.split_once('\n').unwrap_or((part, ""));
        let mut case =
            parse_case(title, body, default.as_deref(), excused).map_err(|error| format!("{title}: {error}"))?;
        case.native |= native;
        if cases.iter().any(|other| other.name == case.name) {
            return Err(format!("{title}: the title stands twice"));
        }
        cases.push(case);
    }
    Ok(cases)
}

fn parse_case(title: &str, body: &str, default: Option<&[Oracle]>, mut excused: bool) -> Result<Case, String> {
    let mut case = Case { name: title.to_string(), ..Case::default() };
    let mut lines = body.trim_end_matches('\n').lines().peekable();
    let mut oracles = default.map(<[Oracle]>::to_vec);
    while let Some(known) = lines.peek().map_or(Ok(None), |line| directive(line))? {
        match known {
            Directive::Oracles(named) => oracles = Some(named),
            Directive::Why => excused = true,
            Directive::Native => case.native = true,
        }
        lines.next();
    }
    case.oracles = oracles.ok_or("no oracle: line")?;
    if case.oracles.is_empty() && !excused {
        return Err(String::from("oracle: none, without a why: line"));
    }
    let mut section = &mut case.script;
    for line in lines {
        match line.strip_prefix("---- ") {
            None => {
                section.push_str(line);
                section.push('\n');
            }
            Some("stdout") => section = &mut case.stdout,
            Some("stderr") => section = case.stderr.insert(String::new()),
            Some(other) => {
                let status = other.strip_prefix("status ").and_then(|number| number.trim().parse().ok());
                case.status = status.ok_or_else(|| format!("no such section: {other}"))?;
            }
        }
    }
    Ok(case)
}

enum Directive {
    Oracles(Vec<Oracle>),
    Why,
    Native,
}

fn directive(line: &str) -> Result<Option<Directive>, String> {
    if line.starts_with("why:") {
        return Ok(Some(Directive::Why));
    }
    if line.starts_with("native:") {
        return Ok(Some(Directive::Native));
    }
    let Some(names) = line.strip_prefix("oracle:") else { return Ok(None) };
    let named = names.split_whitespace().filter(|name| *name != "none");
    let named: Result<_, _> = named.map(|name| Oracle::named(name).ok_or(format!("no such oracle: {name}"))).collect();
    named.map(|oracles| Some(Directive::Oracles(oracles)))
}

#[test]
fn a_case_is_read() {
    let text = "oracle: dash gnu\n\n#### one\nnative: x\necho a\n\necho b\n---- stdout\na\n\n#### two\noracle: none\nwhy: ours\nfalse\n\
                ---- status 1\n---- stderr\nx\n";
    let cases = parse(text).unwrap();
    assert_eq!(cases.len(), 2);
    assert_eq!((cases[0].name.as_str(), cases[0].script.as_str()), ("one", "echo a\n\necho b\n"));
    assert_eq!((cases[0].stdout.as_str(), cases[0].stderr.as_deref(), cases[0].status), ("a\n", None, 0));
    assert_eq!(cases[0].oracles, [Oracle::Dash, Oracle::Gnu]);
    assert_eq!((cases[1].script.as_str(), cases[1].status, cases[1].stderr.as_deref()), ("false\n", 1, Some("x\n")));
    assert_eq!(cases[1].oracles, []);
    assert_eq!((cases[0].native, cases[1].native), (true, false));
    assert!(parse("#### x\ntrue\n").unwrap_err().contains("no oracle"));
    assert!(parse("#### x\noracle: none\ntrue\n").unwrap_err().contains("why"));
    assert!(parse("#### x\noracle: zsh\ntrue\n").unwrap_err().contains("zsh"));
    assert!(parse("oracle: gnu\n#### x\ntrue\n#### x\ntrue\n").unwrap_err().contains("twice"));
}
