//! inspect: one screen about the target, with what is wrong in it and what to do about that. No standard.
//!
//! Needs no terminal and no writable place. What could not be read is told with the reason; it is no fault of the target,
//! and has no part in the exit status.
//!
//! Exit status: 0 nothing is wrong, 1 something is, 2 there is no target. With `--json` one object, whose keys stay.

use std::io::Write;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::inspect::Level;
use crate::inspect::report::{Scene, Section, sections, verdict};
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
#[command(name = "inspect", after_help = "Exit status: 0 nothing is wrong, 1 something is, 2 there is no target.")]
struct Options {
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    /// Show values in the environment that look like secrets
    #[arg(long)]
    show_secrets: bool,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
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
            writeln!(out, "{name:<12}{label:<13}{mark:<8}{}", with_advice(&fact.text, fact.advice.as_deref()))?;
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

    /// The keys are a contract: one may be added here, none may go.
    #[test]
    fn json_has_the_keys() {
        let mut found = BTreeSet::new();
        keys(&serde_json::from_str(&report(false)).unwrap(), "", &mut found);
        let golden = include_str!("../../../tests/golden/inspect.keys");
        let lines = golden.lines().filter(|key| !key.starts_with("findings"));
        let expected: BTreeSet<String> = lines.map(String::from).collect();
        // Nothing may be wrong with us: an empty list is a key of its own.
        found.retain(|key| !key.starts_with("findings"));
        assert_eq!(found, expected);
    }
}
