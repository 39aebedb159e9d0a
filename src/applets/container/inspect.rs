//! inspect: one screen about the target, with what is wrong in it and what to do about that. No standard.
//!
//! Needs no terminal and no writable place. What could not be read is told with the reason; it is no fault of the target,
//! and has no part in the exit status.
//!
//! `--diff` compares two saved reports, `inspect threads` looks at the threads for some seconds: see `inspect/`.
//!
//! Exit status: 0 nothing is wrong, 1 something is, 2 there is no target. With `--json` one object, whose keys stay.
//! With `--diff`: 0 the same, 1 something changed, 2 a file is no report.

mod threads;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::inspect::Level;
use crate::inspect::report::{Scene, Section, diff, schema, sections, verdict};
use crate::output::Safe;
use crate::output::json::Object;

pub static APPLET: Applet = Applet {
    names: &["inspect", "report"],
    usage: <Options as clap::CommandFactory>::command,
    run,
    place: Place::Child,
    trouble: 2,
};

/// The version of the JSON object: a number is added when a key goes or changes its meaning, which none should.
const SCHEMA: u64 = 1;

/// Report on the target: what it is, what it uses, and what is wrong
#[derive(clap::Parser)]
#[command(
    name = "inspect",
    after_help = "inspect threads [--seconds N] [--interval MS]: where the threads wait, looked at again and again\n\
                  Exit status: 0 nothing is wrong, 1 something is, 2 there is no target."
)]
struct Options {
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    /// Show values in the environment that look like secrets
    #[arg(long)]
    show_secrets: bool,
    /// Describe every key of the JSON object
    #[arg(long)]
    schema: bool,
    /// Tell what changed between two saved JSON objects
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"], conflicts_with = "show_secrets")]
    diff: Vec<OsString>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    if cx.args.first().is_some_and(|first| first == "threads") {
        cx.args.remove(0);
        return threads::run(cx);
    }
    let options: Options = cx.parse()?;
    if options.schema {
        writeln!(cx.io.out, "{}", schema::TEXT.trim_end())?;
        return Ok(Exit(0));
    }
    if let [before, after] = options.diff.as_slice() {
        return compare(cx, before, after, options.json);
    }
    let target = cx.target()?;
    let unread = |error: std::io::Error| Error::message(format_args!("process {}: {}", target.pid, reason(&error)));
    let mut scene = Scene::new(cx.files, target, options.show_secrets).map_err(unread)?;
    let sections = sections(&mut scene);
    let verdict = verdict(&sections);
    match options.json {
        true => writeln!(cx.io.out, "{}", object(sections, verdict).finish())?,
        false => print(cx, &sections)?,
    }
    Ok(Exit(verdict.status()))
}

/// A line for each difference; nothing where there is none.
fn compare(cx: &mut Context<'_>, before: &OsString, after: &OsString, json: bool) -> Result<Exit> {
    let read = |path: &OsString| {
        let wrong = |why: &dyn std::fmt::Display| Error::message(format_args!("{}: {why}", Safe::os(path)));
        let file = cx.files.open(Path::new(path)).map_err(|error| wrong(&reason(&error)))?;
        let mut text = Vec::new();
        let most = diff::LIMIT as u64 + 1;
        file.take(most).read_to_end(&mut text).map_err(|error| wrong(&reason(&error)))?;
        if text.len() > diff::LIMIT {
            return Err(wrong(&"too long for a report"));
        }
        diff::parse(&text).map_err(|why| wrong(&why))
    };
    let changes = diff::changes(&read(before)?, &read(after)?);
    for change in &changes {
        match json {
            true => writeln!(cx.io.out, "{}", change.object().finish())?,
            false => writeln!(cx.io.out, "{}", change.line())?,
        }
    }
    Ok(Exit(u8::from(!changes.is_empty())))
}

/// The lines of each section, and again at the end what is wrong.
fn print(cx: &mut Context<'_>, sections: &[Section]) -> Result<()> {
    let out = &mut cx.io.out;
    for section in sections {
        let mut last = "";
        for (index, fact) in section.facts.iter().enumerate() {
            let name = if index == 0 { section.name } else { "" };
            let label = if fact.label == last { "" } else { fact.label };
            last = fact.label;
            let mark = match fact.level {
                Level::Ok => "",
                level => level.name(),
            };
            writeln!(out, "{name:<13}{label:<13}{mark:<8}{}", with_advice(&fact.text, fact.advice.as_deref()))?;
        }
    }
    let wrong = sections.iter().flat_map(|section| section.facts.iter().map(move |fact| (section.name, fact)));
    let wrong: Vec<_> = wrong.filter(|(_, fact)| fact.level >= Level::Warn).collect();
    let blind = sections.iter().flat_map(|section| &section.facts).any(|fact| fact.level == Level::Unknown);
    let heading = match (wrong.is_empty(), blind) {
        (true, false) => "nothing is wrong",
        (true, true) => "nothing is wrong in what could be read",
        (false, _) => "wrong:",
    };
    writeln!(out, "\n{heading}")?;
    for (name, fact) in wrong {
        let text = with_advice(&fact.text, fact.advice.as_deref());
        writeln!(out, "  {:<5} {name} {}: {text}", fact.level.name(), fact.label)?;
    }
    Ok(())
}

fn with_advice(text: &str, advice: Option<&str>) -> String {
    match advice {
        Some(advice) => format!("{text}; {advice}"),
        None => String::from(text),
    }
}

fn object(sections: Vec<Section>, verdict: Level) -> Object {
    let mut object = Object::new();
    object.number("schema", Some(SCHEMA));
    let mut findings = Vec::new();
    for section in sections {
        for fact in section.facts.iter().filter(|fact| fact.level != Level::Ok) {
            let mut finding = Object::new();
            finding.text("level", fact.level.name()).text("section", section.name).text("subject", fact.label);
            finding.text("text", &fact.text);
            match &fact.advice {
                Some(advice) => finding.text("advice", advice),
                None => finding.null("advice"),
            };
            findings.push(finding);
        }
        object.object(section.name, section.object);
    }
    object.objects("findings", findings).text("verdict", verdict.name());
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Files, Reader, Target};
    use std::collections::BTreeSet;
    use std::ffi::OsStr;

    /// Our own process as the target, with a listener and a deleted file, so that no list is empty.
    fn report(secrets: bool) -> String {
        let _listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let path = std::env::temp_dir().join(format!("sidebox-inspect-{}-{secrets}", std::process::id()));
        let _open = std::fs::File::create(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let pid = Reader::open().unwrap().own_pid().unwrap();
        let target = Target { pid, comm: b"\x1b".to_vec() };
        let files = Files::new(Some(OsStr::new(&pid.to_string())));
        let sections = sections(&mut Scene::new(&files, &target, secrets).unwrap());
        let verdict = verdict(&sections);
        object(sections, verdict).finish()
    }

    fn keys(value: &serde_json::Value, at: &str, found: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (key, value) in fields {
                    keys(value, &format!("{at}.{key}"), found);
                }
            }
            serde_json::Value::Array(rows) if rows.iter().any(serde_json::Value::is_object) => {
                rows.iter().for_each(|row| keys(row, &format!("{at}[]"), found));
            }
            _ => {
                found.insert(String::from(at.trim_start_matches('.')));
            }
        }
    }

    #[test]
    fn findings_have_their_keys() {
        let fact = crate::inspect::report::Fact {
            level: Level::Warn,
            label: "files",
            text: String::from("9 of 10"),
            advice: Some(String::from("more")),
        };
        let section = Section { name: "limits", facts: vec![fact], object: Object::new() };
        assert_eq!(
            object(vec![section], Level::Warn).finish(),
            r#"{"schema":1,"limits":{},"findings":[{"level":"warn","section":"limits","subject":"files","text":"9 of 10","advice":"more"}],"verdict":"warn"}"#
        );
    }

    fn golden() -> BTreeSet<String> {
        include_str!("../../../tests/golden/inspect.keys").lines().map(String::from).collect()
    }

    /// The keys are a contract: one may be added here, none may go. A list that is empty, because nothing is wrong with us
    /// or we are static, is a key of its own; the keys of its rows are tested where they are written.
    #[test]
    fn json_has_the_keys() {
        let mut found = BTreeSet::new();
        keys(&serde_json::from_str(&report(false)).unwrap(), "", &mut found);
        let mut expected = golden();
        for list in ["findings", "certificates.found", "program.libraries"] {
            if found.remove(list) {
                expected.retain(|key| !key.starts_with(&format!("{list}[]")));
            }
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn every_key_is_described() {
        let described = schema::TEXT.lines().map(|line| line.split_once("  ").unwrap());
        let described: BTreeSet<String> = described
            .map(|(key, meaning)| {
                assert!(!meaning.trim().is_empty(), "{key}");
                String::from(key)
            })
            .collect();
        assert_eq!(described, golden());
        let done = crate::applet::capture(&APPLET, &["--schema"], b"");
        assert_eq!((done.status, done.out.as_str(), done.err.as_str()), (0, schema::TEXT, ""));
    }

    #[test]
    fn differences_of_files() {
        let directory = std::env::temp_dir().join(format!("sidebox-inspect-diff-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = |name: &str, text: &str| {
            std::fs::write(directory.join(name), text).unwrap();
            directory.join(name).to_str().unwrap().to_string()
        };
        let one = path("one", r#"{"schema":1,"identity":{"pid":1}}"#);
        let two = path("two", r#"{"schema":1,"identity":{"pid":2}}"#);
        let bad = path("bad", "[");
        let huge = path("huge", &"1".repeat(diff::LIMIT + 1));
        let diff = |args: &[&str]| {
            let done = crate::applet::capture(&APPLET, &[&["--diff"], args].concat(), b"");
            (done.status, done.out, done.err.replace(directory.to_str().unwrap(), "DIR"))
        };
        let said = |status, out: &str, err: &str| (status, String::from(out), String::from(err));
        assert_eq!(diff(&[&one, &one]), said(0, "", ""));
        assert_eq!(diff(&[&one, &two]), said(1, "~ identity.pid: 1 -> 2\n", ""));
        let row = r#"{"change":"changed","what":"value","path":"identity.pid","before":"1","after":"2"}"#;
        assert_eq!(diff(&[&one, &two, "--json"]), said(1, &format!("{row}\n"), ""));
        assert_eq!(diff(&[&one, &bad]), said(2, "", "inspect: DIR/bad: not a JSON object\n"));
        assert_eq!(diff(&[&one, &huge]), said(2, "", "inspect: DIR/huge: too long for a report\n"));
        let none = format!("{}/none", directory.display());
        assert_eq!(diff(&[&none, &one]), said(2, "", "inspect: DIR/none: No such file or directory\n"));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
