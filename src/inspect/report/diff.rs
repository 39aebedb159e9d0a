//! What changed between two saved reports. The reports come from files, so they are no more trusted than the target.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::output::json::{self, Object};
use crate::output::{Safe, order};

/// The longest report that is read: a hundred times what one of a large machine takes.
pub const LIMIT: usize = 16 << 20;

/// Numbers that are others each time, although nothing happened.
const PASSING: [&str; 2] = ["identity.age_seconds", "clock.now_epoch"];

/// By which of its fields a row of a list is known again, in this order.
const IDENTITIES: [&str; 8] = ["point", "address", "path", "name", "descriptor", "pid", "state", "wait_channel"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Added,
    Removed,
    Changed,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Added => "added",
            Kind::Removed => "removed",
            Kind::Changed => "changed",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub kind: Kind,
    /// `network.listeners[0.0.0.0:11211].pid`; a finding's is its section and subject.
    pub path: String,
    pub finding: bool,
    /// As JSON has them.
    pub before: Option<String>,
    pub after: Option<String>,
}

/// Why a file is no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoReport(&'static str);

impl fmt::Display for NoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Reads a report; the parser bounds its depth.
pub fn parse(text: &[u8]) -> Result<Value, NoReport> {
    let value: Value = serde_json::from_slice(text).map_err(|_| NoReport("not a JSON object"))?;
    match value.get("schema").and_then(Value::as_u64) {
        Some(1) => Ok(value),
        Some(_) => Err(NoReport("a report of a version that is not known here")),
        None => Err(NoReport("not a report of 'inspect --json'")),
    }
}

/// All differences: findings first, then by path.
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten(before, "", &mut old);
    flatten(after, "", &mut new);
    let mut found = compare(&findings(before), &findings(after), true);
    found.extend(compare(&old, &new, false));
    found
}

fn compare(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>, finding: bool) -> Vec<Change> {
    let mut paths: Vec<&String> = old.keys().chain(new.keys()).collect();
    order::sort(&mut paths);
    paths.dedup();
    let change = |path: &String| {
        let (before, after) = (old.get(path), new.get(path));
        let kind = match (before, after) {
            (Some(before), Some(after)) if before == after => return None,
            (Some(_), Some(_)) => Kind::Changed,
            (None, _) => Kind::Added,
            (_, None) => Kind::Removed,
        };
        Some(Change { kind, path: path.clone(), finding, before: before.cloned(), after: after.cloned() })
    };
    paths.into_iter().filter_map(change).collect()
}

/// Findings by their section and subject; of several, the second one is `#2`.
fn findings(report: &Value) -> BTreeMap<String, String> {
    let (mut found, mut counts) = (BTreeMap::new(), BTreeMap::new());
    for finding in report.get("findings").and_then(Value::as_array).into_iter().flatten() {
        let text = |key| finding.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = numbered(&mut counts, format!("{} {}", text("section"), text("subject")));
        found.insert(name, format!("{}: {}", text("level"), text("text")));
    }
    found
}

fn numbered(counts: &mut BTreeMap<String, usize>, name: String) -> String {
    let count = counts.entry(name.clone()).or_default();
    *count += 1;
    if *count > 1 { format!("{name}#{count}") } else { name }
}

fn flatten(value: &Value, at: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                if path != "findings" && !PASSING.contains(&path.as_str()) {
                    flatten(value, &path, found);
                }
            }
        }
        Value::Array(rows) if rows.iter().any(Value::is_object) => {
            let mut counts = BTreeMap::new();
            for row in rows {
                let name = numbered(&mut counts, identity(row));
                flatten(row, &format!("{at}[{name}]"), found);
            }
        }
        _ => {
            found.insert(String::from(at), written(value));
        }
    }
}

/// What a row of a list is known again by.
fn identity(row: &Value) -> String {
    IDENTITIES.iter().find_map(|key| row.get(key)).map_or_else(String::new, |value| match value {
        Value::String(text) => text.clone(),
        value => written(value),
    })
}

/// A value as JSON has it.
fn written(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

/// By hand, because the library's writer brings another way to print numbers along.
fn write(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => out.push_str(&number.to_string()),
            (None, Some(number)) => out.push_str(&number.to_string()),
            (None, None) => json::float(out, number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => json::string(out, text),
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write(out, value);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (index, (key, value)) in fields.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                json::string(out, key);
                out.push(':');
                write(out, value);
            }
            out.push('}');
        }
    }
}

impl Change {
    /// A line for people: `+`, `-` or `~`, where, and what.
    pub fn line(&self) -> String {
        let mark = match self.kind {
            Kind::Added => '+',
            Kind::Removed => '-',
            Kind::Changed => '~',
        };
        let shown = |text: &Option<String>| text.as_ref().map(|text| Safe(text.as_bytes()).to_string());
        let path = Safe(self.path.as_bytes());
        match (shown(&self.before), shown(&self.after)) {
            (Some(before), Some(after)) => format!("{mark} {path}: {before} -> {after}"),
            (Some(text), None) | (None, Some(text)) => format!("{mark} {path}: {text}"),
            (None, None) => format!("{mark} {path}"),
        }
    }

    pub fn object(&self) -> Object {
        let mut object = Object::new();
        object.text("change", self.kind.name()).text("what", if self.finding { "finding" } else { "value" });
        object.text("path", &self.path);
        for (key, value) in [("before", &self.before), ("after", &self.after)] {
            match value {
                Some(value) => object.text(key, value),
                None => object.null(key),
            };
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &[u8] = br#"{"schema":1,"identity":{"pid":1,"age_seconds":5},
        "network":{"listeners":[{"address":"0.0.0.0:1","pid":7},{"address":"[::]:1","pid":7}]},
        "dns":{"servers":["a","b"]},"findings":[{"level":"warn","section":"limits","subject":"files","text":"9 of 10"},
        {"level":"note","section":"dns","subject":"x","text":"one"},{"level":"note","section":"dns","subject":"x","text":"two"}]}"#;
    const AFTER: &[u8] = br#"{"schema":1,"identity":{"pid":2,"age_seconds":9},
        "network":{"listeners":[{"address":"[::]:1","pid":7},{"address":"0.0.0.0:2","pid":null}]},
        "dns":{"servers":["a"]},"findings":[{"level":"fail","section":"limits","subject":"files","text":"10 of 10"},
        {"level":"note","section":"dns","subject":"x","text":"one"}]}"#;

    #[test]
    fn what_came_went_and_changed() {
        let found = changes(&parse(BEFORE).unwrap(), &parse(AFTER).unwrap());
        let lines: Vec<String> = found.iter().map(Change::line).collect();
        assert_eq!(
            lines,
            [
                "- dns x#2: note: two",
                "~ limits files: warn: 9 of 10 -> fail: 10 of 10",
                "~ dns.servers: [\"a\",\"b\"] -> [\"a\"]",
                "~ identity.pid: 1 -> 2",
                "- network.listeners[0.0.0.0:1].address: \"0.0.0.0:1\"",
                "- network.listeners[0.0.0.0:1].pid: 7",
                "+ network.listeners[0.0.0.0:2].address: \"0.0.0.0:2\"",
                "+ network.listeners[0.0.0.0:2].pid: null",
            ]
        );
        assert_eq!(
            found[1].object().finish(),
            r#"{"change":"changed","what":"finding","path":"limits files","before":"warn: 9 of 10","after":"fail: 10 of 10"}"#
        );
        assert_eq!(changes(&parse(BEFORE).unwrap(), &parse(BEFORE).unwrap()), []);
    }

    #[test]
    fn what_is_no_report() {
        for (text, why) in [
            (&b""[..], "not a JSON object"),
            (b"{\"schema\":1", "not a JSON object"),
            (b"[1]", "not a report of 'inspect --json'"),
            (b"{\"schema\":9}", "a report of a version that is not known here"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), why);
        }
        assert!(parse(&[b"{\"schema\":1,\"x\":".as_slice(), &b"[".repeat(1 << 20)].concat()).is_err());
    }

    #[test]
    fn rows_without_a_name_and_escapes() {
        let one = parse(br#"{"schema":1,"a":[{"x":1},{"x":2},7],"b":"\u001b","c":[-1,0.5,true,[{}]]}"#).unwrap();
        let two = parse(br#"{"schema":1,"a":[{"x":1},{"x":3},7],"b":"","c":[]}"#).unwrap();
        let lines: Vec<String> = changes(&one, &two).iter().map(Change::line).collect();
        assert_eq!(lines, ["~ a[#2].x: 2 -> 3", "~ b: \"\\\\u001b\" -> \"\"", "~ c: [-1,0.5,true,[{}]] -> []"]);
    }
}
