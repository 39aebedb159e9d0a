//! k8s: what Kubernetes stored under a key. Its own kinds are protobuf, of which the common part has names and the rest is
//! shown by the numbers of its fields; custom resources are JSON.

use std::fmt::Write as _;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use serde_json::Value as Json;

use super::{Asking, Outcome, Stop, size};
use crate::applet::Exit;
use crate::output::json::{self, Object as Out};
use crate::output::{Safe, units};
use crate::protocol::etcd::message::{KeyValue, RangeRequest};
use crate::protocol::kubernetes::{Field, Object, Stored, Value, parse};

pub fn run(asking: &mut Asking<'_, '_>) -> Outcome<Exit> {
    let key = asking.words.first().map(|word| word.as_bytes().to_vec()).unwrap_or_default();
    let revision = asking.options.rev.unwrap_or(0);
    let request = RangeRequest { key: key.clone(), revision, ..RangeRequest::default() };
    let reply = asking.door.client.ask(&request)?;
    let Some(pair) = reply.kvs.first() else {
        let mut stop = Stop::new("not-found", format!("{}: no such key; 'probe etcd top' tells which are", Safe(&key)));
        if let Stop::Failure(failure) = &mut stop {
            failure.status = 1;
        }
        return Err(stop);
    };
    let stored = parse(&pair.value);
    if asking.options.json {
        let object = in_json(asking, pair, &stored);
        asking.print(object)?;
        return Ok(Exit(0));
    }
    let mut lines = Lines(Vec::new());
    lines.add("key", &pair.key);
    let (changes, revision) = (pair.version, pair.mod_revision);
    let about = format!("{} at revision {revision}, written {changes} times", size(pair.value.len() as i64));
    lines.0.push(("value", about));
    let mut tree = String::new();
    match &stored {
        Stored::Protobuf(object) => {
            common(&mut lines, object);
            draw(&object.fields, 0, &mut tree);
            if object.cut {
                lines.0.push(("note", String::from("not all of it could be read")));
            }
        }
        Stored::Json => match serde_json::from_slice::<Json>(&pair.value) {
            Ok(value) => {
                common_json(&mut lines, &value);
                draw_json(&value, 0, &mut tree);
            }
            Err(error) => lines.0.push(("note", format!("JSON that is broken: {error}"))),
        },
        Stored::Encrypted(how) => lines.0.push(("stored", format!("encrypted: {}", Safe(how)))),
        Stored::Other => {
            lines.0.push(("stored", String::from("neither protobuf in Kubernetes' envelope nor JSON")));
            let start = pair.value.get(..pair.value.len().min(256)).unwrap_or_default();
            lines.add("starts", start);
        }
    }
    let out = &mut asking.cx.io.out;
    for (name, value) in &lines.0 {
        writeln!(out, "{name:<12} {value}")?;
    }
    out.write_all(tree.as_bytes())?;
    Ok(Exit(0))
}

struct Lines(Vec<(&'static str, String)>);

impl Lines {
    /// What is there.
    fn add(&mut self, name: &'static str, value: &[u8]) {
        if !value.is_empty() {
            self.0.push((name, Safe(value).to_string()));
        }
    }

    fn pair(&mut self, name: &'static str, (key, value): (&[u8], &[u8]), between: &str) {
        self.0.push((name, format!("{}{between}{}", Safe(key), Safe(value))));
    }

    fn moment(&mut self, name: &'static str, time: Option<i64>) {
        if let Some(time) = time {
            self.0.push((name, units::utc(time)));
        }
    }
}

fn common(lines: &mut Lines, object: &Object<'_>) {
    lines.pair("kind", (object.version, object.kind), " ");
    lines.add("name", object.name);
    lines.add("namespace", object.namespace);
    lines.add("uid", object.uid);
    lines.moment("created", object.created);
    lines.moment("deleted", object.deleted);
    object.labels.iter().for_each(|pair| lines.pair("label", *pair, "="));
    object.annotations.iter().for_each(|pair| lines.pair("annotation", *pair, "="));
    object.owners.iter().for_each(|pair| lines.pair("owner", *pair, " "));
    object.finalizers.iter().for_each(|name| lines.add("finalizer", name));
    for (manager, time) in &object.managers {
        let time = time.map(|time| format!(", {}", units::utc(time))).unwrap_or_default();
        lines.0.push(("manager", format!("{}{time}", Safe(manager))));
    }
}

/// The same of a custom resource.
fn common_json(lines: &mut Lines, value: &Json) {
    let text = |pointer: &str| value.pointer(pointer).and_then(Json::as_str).unwrap_or_default().as_bytes();
    lines.pair("kind", (text("/apiVersion"), text("/kind")), " ");
    for (name, pointer) in [
        ("name", "/metadata/name"),
        ("namespace", "/metadata/namespace"),
        ("uid", "/metadata/uid"),
        ("created", "/metadata/creationTimestamp"),
        ("deleted", "/metadata/deletionTimestamp"),
    ] {
        lines.add(name, text(pointer));
    }
    for (name, pointer) in [("label", "/metadata/labels"), ("annotation", "/metadata/annotations")] {
        for (key, value) in value.pointer(pointer).and_then(Json::as_object).into_iter().flatten() {
            lines.pair(name, (key.as_bytes(), value.as_str().unwrap_or_default().as_bytes()), "=");
        }
    }
    for owner in value.pointer("/metadata/ownerReferences").and_then(Json::as_array).into_iter().flatten() {
        let text = |key: &str| owner.get(key).and_then(Json::as_str).unwrap_or_default().as_bytes();
        lines.pair("owner", (text("kind"), text("name")), " ");
    }
}

/// A line for each field, those of a message indented below it.
fn draw(fields: &[Field<'_>], depth: usize, out: &mut String) {
    for Field { number, value } in fields {
        let _ = write!(out, "{:1$}{number}", "", 2 * depth);
        match value {
            Value::Number(value) => {
                let _ = writeln!(out, ": {value}");
            }
            Value::Text(text) => {
                let _ = writeln!(out, ": {}", Safe(text.as_bytes()));
            }
            Value::Bytes(bytes) => {
                let _ = writeln!(
                    out,
                    ": {} bytes {}",
                    bytes.len(),
                    Safe(bytes.get(..bytes.len().min(64)).unwrap_or_default())
                );
            }
            Value::Message(fields) => {
                out.push('\n');
                draw(fields, depth + 1, out);
            }
        }
    }
}

fn draw_json(value: &Json, depth: usize, out: &mut String) {
    let mut entry = |name: &str, value: &Json| {
        let _ = write!(out, "{:1$}{2}", "", 2 * depth, Safe(name.as_bytes()));
        match value {
            Json::Object(_) | Json::Array(_) => {
                out.push('\n');
                draw_json(value, depth + 1, out);
            }
            Json::String(text) => {
                let _ = writeln!(out, ": {}", Safe(text.as_bytes()));
            }
            other => {
                let _ = writeln!(out, ": {other}");
            }
        }
    };
    match value {
        Json::Object(fields) => {
            // The metadata has been told.
            let fields = fields
                .iter()
                .filter(|(key, _)| depth > 0 || !matches!(key.as_str(), "metadata" | "kind" | "apiVersion"));
            fields.for_each(|(key, value)| entry(key, value));
        }
        Json::Array(values) => values.iter().for_each(|value| entry("-", value)),
        _ => {}
    }
}

fn in_json(asking: &Asking<'_, '_>, pair: &KeyValue, stored: &Stored<'_>) -> Out {
    let mut out = asking.door.object();
    out.bytes("key", &pair.key)
        .signed("create_revision", Some(pair.create_revision))
        .signed("mod_revision", Some(pair.mod_revision))
        .signed("version", Some(pair.version))
        .number("bytes", Some(pair.value.len() as u64));
    match stored {
        Stored::Protobuf(object) => {
            let map = |pairs: &[(&[u8], &[u8])]| {
                let mut out = Out::new();
                for (key, value) in pairs {
                    out.bytes(&String::from_utf8_lossy(key), value);
                }
                out
            };
            out.text("stored", "protobuf")
                .bytes("api_version", object.version)
                .bytes("kind", object.kind)
                .bytes("name", object.name)
                .bytes("namespace", object.namespace)
                .bytes("uid", object.uid)
                .number("generation", object.generation)
                .signed("created_epoch", object.created)
                .signed("deleted_epoch", object.deleted)
                .object("labels", map(&object.labels))
                .object("annotations", map(&object.annotations));
            out.objects(
                "owners",
                object.owners.iter().map(|(kind, name)| {
                    let mut out = Out::new();
                    out.bytes("kind", kind).bytes("name", name);
                    out
                }),
            );
            out.strings("finalizers", object.finalizers.iter().copied());
            out.objects(
                "managers",
                object.managers.iter().map(|(name, time)| {
                    let mut out = Out::new();
                    out.bytes("manager", name).signed("time_epoch", *time);
                    out
                }),
            );
            out.objects("fields", fields_json(&object.fields)).bool("complete", !object.cut);
        }
        Stored::Json => {
            out.text("stored", "json");
            match serde_json::from_slice::<Json>(&pair.value) {
                Ok(value) => out.json("value", &value.to_string()),
                Err(_) => out.bytes("value", &pair.value),
            };
        }
        Stored::Encrypted(how) => {
            out.text("stored", "encrypted").bytes("encryption", how);
        }
        Stored::Other => {
            out.text("stored", "other").bytes("value", &pair.value);
        }
    }
    out
}

fn fields_json(fields: &[Field<'_>]) -> Vec<Out> {
    let field = |Field { number, value }: &Field<'_>| {
        let mut out = Out::new();
        out.number("field", Some(*number));
        match value {
            Value::Number(value) => out.number("value", Some(*value)),
            Value::Text(text) => out.text("value", text),
            Value::Bytes(bytes) => {
                let mut text = String::new();
                json::base64(&mut text, bytes);
                out.text("base64", &text)
            }
            Value::Message(fields) => out.objects("fields", fields_json(fields)),
        };
        out
    };
    fields.iter().map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees() {
        let fields = vec![
            Field { number: 2, value: Value::Message(vec![Field { number: 1, value: Value::Text("a\nb") }]) },
            Field { number: 3, value: Value::Bytes(b"\xff") },
            Field { number: 4, value: Value::Number(7) },
        ];
        let mut out = String::new();
        draw(&fields, 0, &mut out);
        assert_eq!(out, "2\n  1: a\\nb\n3: 1 bytes \\xff\n4: 7\n");
        let mut object = Out::new();
        object.objects("fields", fields_json(&fields));
        let expected = r#"{"fields":[{"field":2,"fields":[{"field":1,"value":"a\nb"}]},{"field":3,"base64":"/w=="},{"field":4,"value":7}]}"#;
        assert_eq!(object.finish(), expected);
        let value = serde_json::from_str(r#"{"kind":"X","metadata":{"name":"n"},"spec":{"a":[1,{"b":"c"}],"d":null}}"#);
        out.clear();
        draw_json(&value.unwrap(), 0, &mut out);
        assert_eq!(out, "spec\n  a\n    -: 1\n    -\n      b: c\n  d: null\n");
    }
}
