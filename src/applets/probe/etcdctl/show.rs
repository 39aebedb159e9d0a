//! An answer as one of the five formats. JSON is that of Go's structures: fields in their order, without those that are
//! zero. Longer than most, because it is five formats.

use std::fmt::Write;

use prost::Message;

use super::{Session, golang, status};
use crate::applet::{Exit, Result};
use crate::output::{Safe, json};
use crate::protocol::etcd::message::{Header, KeyValue};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Simple,
    Fields,
    Json,
    Table,
    Protobuf,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Format::Simple => "simple",
            Format::Fields => "fields",
            Format::Json => "json",
            Format::Table => "table",
            Format::Protobuf => "protobuf",
        }
    }
}

/// An object, field by field.
pub struct Json(String);

impl Json {
    pub fn new() -> Json {
        Json(String::from("{"))
    }

    /// One that begins with a header.
    pub fn headed(header: Option<&Header>) -> Json {
        let mut json = Json::new();
        if let Some(header) = header {
            json.raw("header", &header_json(header));
        }
        json
    }

    /// One that is flat, as leases' are.
    pub fn flat(header: Option<&Header>) -> Json {
        let mut json = Json::new();
        if let Some(header) = header {
            header_fields(&mut json, header);
        }
        json
    }

    /// A value that is JSON already, also an empty one.
    pub fn raw(&mut self, key: &str, value: &str) -> &mut Json {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        golang::json_text(&mut self.0, key.as_bytes());
        self.0.push(':');
        self.0.push_str(value);
        self
    }

    pub fn number(&mut self, key: &str, value: impl Into<i128>) -> &mut Json {
        match value.into() {
            0 => self,
            value => self.raw(key, &value.to_string()),
        }
    }

    pub fn bool(&mut self, key: &str, value: bool) -> &mut Json {
        if value { self.raw(key, "true") } else { self }
    }

    pub fn bytes(&mut self, key: &str, value: &[u8]) -> &mut Json {
        if value.is_empty() { self } else { self.raw(key, &base64(value)) }
    }

    pub fn text(&mut self, key: &str, value: &str) -> &mut Json {
        if value.is_empty() { self } else { self.raw(key, &text(value)) }
    }

    pub fn list(&mut self, key: &str, values: impl IntoIterator<Item = String>) -> &mut Json {
        let values: Vec<String> = values.into_iter().collect();
        if values.is_empty() { self } else { self.raw(key, &array(values)) }
    }

    pub fn texts(&mut self, key: &str, values: &[String]) -> &mut Json {
        self.list(key, values.iter().map(|value| text(value)))
    }

    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.0) + "}"
    }
}

pub fn array(values: impl IntoIterator<Item = String>) -> String {
    let values: Vec<String> = values.into_iter().collect();
    format!("[{}]", values.join(","))
}

pub fn text(value: &str) -> String {
    let mut out = String::new();
    golang::json_text(&mut out, value.as_bytes());
    out
}

pub fn base64(value: &[u8]) -> String {
    let mut out = String::from("\"");
    json::base64(&mut out, value);
    out.push('"');
    out
}

fn header_fields(json: &mut Json, header: &Header) {
    json.number("cluster_id", header.cluster_id)
        .number("member_id", header.member_id)
        .number("revision", header.revision)
        .number("raft_term", header.raft_term);
}

pub fn header_json(header: &Header) -> String {
    let mut json = Json::new();
    header_fields(&mut json, header);
    json.finish()
}

pub fn pair_json(pair: &KeyValue) -> String {
    Json::new()
        .bytes("key", &pair.key)
        .number("create_revision", pair.create_revision)
        .number("mod_revision", pair.mod_revision)
        .number("version", pair.version)
        .bytes("value", &pair.value)
        .number("lease", pair.lease)
        .finish()
}

/// `--write-out=fields`, line by line.
pub struct Fields {
    pub out: String,
    pub hex: bool,
}

impl Fields {
    pub fn header(&mut self, header: Option<&Header>) {
        let header = header.copied().unwrap_or_default();
        match self.hex {
            true => {
                let _ = writeln!(self.out, "\"ClusterID\" : {:x}", header.cluster_id);
                let _ = writeln!(self.out, "\"MemberID\" : {:x}", header.member_id);
            }
            false => {
                self.line("ClusterID", header.cluster_id);
                self.line("MemberID", header.member_id);
            }
        }
        if header.revision > 0 {
            self.line("Revision", header.revision);
        }
        self.line("RaftTerm", header.raft_term);
    }

    pub fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.out, "\"{name}\" : {value}");
    }

    pub fn quoted(&mut self, name: &str, value: &[u8]) {
        self.line(name, golang::quote(value));
    }

    /// A number that `--hex` concerns.
    pub fn id(&mut self, name: &str, id: i64) {
        match self.hex {
            true => self.line(name, format_args!("{id:016x}")),
            false => self.line(name, id),
        }
    }

    pub fn pair(&mut self, prefix: &str, pair: &KeyValue) {
        self.quoted(&format!("{prefix}Key"), &pair.key);
        self.line(&format!("{prefix}CreateRevision"), pair.create_revision);
        self.line(&format!("{prefix}ModRevision"), pair.mod_revision);
        self.line(&format!("{prefix}Version"), pair.version);
        self.quoted(&format!("{prefix}Value"), &pair.value);
        self.id(&format!("{prefix}Lease"), pair.lease);
    }
}

/// Keys and values for people and pipes.
#[derive(Clone, Copy)]
pub struct Manner {
    pub hex: bool,
    pub value_only: bool,
    pub terminal: bool,
}

impl Manner {
    /// A key or a value, and a newline.
    pub fn bytes(self, out: &mut Vec<u8>, bytes: &[u8]) {
        match self.hex {
            true => bytes.iter().for_each(|byte| out.extend_from_slice(format!("\\x{byte:02x}").as_bytes())),
            false if self.terminal => out.extend_from_slice(harmless(bytes).as_bytes()),
            false => out.extend_from_slice(bytes),
        }
        out.push(b'\n');
    }

    pub fn pair(self, out: &mut Vec<u8>, pair: &KeyValue) {
        if !self.value_only {
            self.bytes(out, &pair.key);
        }
        self.bytes(out, &pair.value);
    }
}

/// Text of several lines as it is; what has anything else in it than text, escaped as a whole.
fn harmless(bytes: &[u8]) -> String {
    let plain = |text: &str| {
        let safe = Safe(text.as_bytes()).to_string();
        // A backslash alone is no danger, only ambiguous where others were added.
        safe.len() == text.len() + text.matches('\\').count()
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if text.split(['\n', '\t']).all(plain) => String::from(text),
        _ => Safe(bytes).to_string(),
    }
}

/// How an answer looks in each format; a format that it does not have is an error.
pub struct Views<'v> {
    pub simple: &'v dyn Fn(Manner) -> Vec<u8>,
    pub fields: Option<&'v dyn Fn(&mut Fields)>,
    pub json: &'v dyn Fn() -> String,
    pub protobuf: Option<&'v dyn Fn() -> Vec<u8>>,
    pub table: Option<&'v dyn Fn() -> String>,
}

impl Session<'_, '_> {
    pub fn manner(&self) -> Manner {
        Manner { hex: self.bool("hex"), value_only: false, terminal: self.cx.terminal() }
    }

    /// The format is one that the command does not have: status 4.
    pub fn unsupported(&mut self) -> crate::applet::Error {
        let name = self.format.name();
        self.fail(status::BAD_FEATURE, format_args!("{name} not supported as output format"))
    }

    pub fn show(&mut self, views: &Views<'_>) -> Result<Exit> {
        let bytes = match self.format {
            Format::Simple => (views.simple)(self.manner()),
            Format::Json => ((views.json)() + "\n").into_bytes(),
            Format::Fields => {
                let Some(view) = views.fields else { return Err(self.unsupported()) };
                let mut fields = Fields { out: String::new(), hex: self.bool("hex") };
                view(&mut fields);
                fields.out.into_bytes()
            }
            Format::Protobuf => match views.protobuf {
                Some(view) => view(),
                None => return Err(self.unsupported()),
            },
            Format::Table => match views.table {
                Some(view) => view().into_bytes(),
                None => return Err(self.unsupported()),
            },
        };
        self.write(bytes)?;
        Ok(Exit(0))
    }

    /// An answer that is only a header, in simple format a line of ours.
    pub fn show_header(&mut self, header: Option<&Header>, line: &str, fields: bool) -> Result<Exit> {
        let reply = crate::protocol::etcd::message::HeaderResponse { header: header.copied() };
        let view = |fields: &mut Fields| fields.header(header);
        self.show(&Views {
            simple: &|_| line.as_bytes().to_vec(),
            fields: fields.then_some(&view),
            json: &|| Json::headed(header).finish(),
            protobuf: Some(&|| reply.encode_to_vec()),
            table: None,
        })
    }
}

/// A frame of dashes, titles in capitals and centred, cells to the right.
pub fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.chain(titles.get(index).map(|title| title.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let frame = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect::<String>() + "+\n";
    let mut out = frame.clone();
    for (title, width) in titles.iter().zip(&widths) {
        let left = (width - title.len()) / 2;
        let right = width - title.len() - left;
        let _ = write!(out, "| {}{}{} ", " ".repeat(left), title.to_ascii_uppercase(), " ".repeat(right));
    }
    out.push_str("|\n");
    out.push_str(&frame);
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(out, "| {}{cell} ", " ".repeat(width - cell.chars().count()));
        }
        out.push_str("|\n");
    }
    if !rows.is_empty() {
        out.push_str(&frame);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_fields_are_left_out() {
        let header = Header { cluster_id: u64::MAX, member_id: 0, revision: -1, raft_term: 2 };
        let mut json = Json::headed(Some(&header));
        json.number("n", 0).bool("b", false).text("t", "").bytes("k", b"").texts("l", &[]).raw("r", "0");
        let expected = r#"{"header":{"cluster_id":18446744073709551615,"revision":-1,"raft_term":2},"r":0}"#;
        assert_eq!(json.finish(), expected);
    }

    #[test]
    fn tables() {
        let rows = [vec![String::from("127.0.0.1:27379"), String::from("true")]];
        let expected = "\
            +-----------------+--------+\n\
            |    ENDPOINT     | HEALTH |\n\
            +-----------------+--------+\n\
            | 127.0.0.1:27379 |   true |\n\
            +-----------------+--------+\n";
        assert_eq!(table(&["endpoint", "health"], &rows), expected);
    }

    #[test]
    fn what_a_terminal_is_shown() {
        for (bytes, shown) in
            [(&b"a: \\1\n\tb"[..], "a: \\1\n\tb"), (b"\x1b[31m\n", "\\x1b[31m\\n"), (b"\xff\\", "\\xff\\\\")]
        {
            assert_eq!(harmless(bytes), shown);
        }
    }
}
