//! txn: compares, an empty line, what is done if they hold, an empty line, what is done else, an empty line.

use std::io::{BufRead, BufReader, Write};

use prost::Message;

use super::show::{Fields, Json, Manner, Views, array};
use super::table::COMMANDS;
use super::{Session, flags, golang, kv, status};
use crate::applet::{Error, Exit, Result, reason};
use crate::output::Safe;
use crate::protocol::etcd::message::{
    Compare, CompareResult, CompareTarget, Operand, Request, RequestOp, Response, TxnRequest, TxnResponse,
};

pub fn txn(session: &mut Session<'_, '_>) -> Result<Exit> {
    session.expect(session.given.words.is_empty(), "txn command does not accept argument")?;
    let prompts = session.bool("interactive");
    let mut input = BufReader::new(session.cx.io.stdin.try_clone()?);
    let mut request = TxnRequest::default();
    prompt(session, prompts, "compares:")?;
    while let Some(line) = next_line(session, &mut input)? {
        request.compare.push(parse_compare(&line).map_err(|why| session.fail(status::INVALID_INPUT, why))?);
    }
    prompt(session, prompts, "success requests (get, put, del):")?;
    while let Some(line) = next_line(session, &mut input)? {
        request.success.push(operation(session, &line)?);
    }
    prompt(session, prompts, "failure requests (get, put, del):")?;
    while let Some(line) = next_line(session, &mut input)? {
        request.failure.push(operation(session, &line)?);
    }
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &request)?;
    session.show(&Views {
        simple: &|manner| simple(&reply, manner),
        fields: Some(&|fields| show_fields(&reply, fields)),
        json: &|| json(&reply),
        protobuf: Some(&|| reply.encode_to_vec()),
        table: None,
    })
}

fn prompt(session: &mut Session<'_, '_>, prompts: bool, text: &str) -> Result<()> {
    if prompts {
        session.write(format!("{text}\n"))?;
        session.cx.io.out.flush()?;
    }
    Ok(())
}

/// A line without the space around it; none for an empty one, which ends a part.
fn next_line(session: &mut Session<'_, '_>, input: &mut dyn BufRead) -> Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    match input.read_until(b'\n', &mut line) {
        Ok(_) if line.ends_with(b"\n") => {
            let line = line.trim_ascii();
            Ok((!line.is_empty()).then(|| line.to_vec()))
        }
        Ok(_) => Err(session.fail(status::INVALID_INPUT, "EOF")),
        Err(error) => Err(session.fail(status::INVALID_INPUT, format_args!("standard input: {}", reason(&error)))),
    }
}

/// `mod("key") > "0"`
pub fn parse_compare(line: &[u8]) -> std::result::Result<Compare, String> {
    let shown = Safe(line);
    let at = memchr::memchr(b'(', line).ok_or_else(|| format!("malformed comparison: {shown}"))?;
    let (target, rest) = (&line[..at], &line[at + 1..]);
    let (mut key, mut operator, mut value) = (Vec::new(), &b""[..], None);
    if let Some((found, used)) = golang::unquote(rest.trim_ascii_start()) {
        key = found;
        if let Some(rest) = rest.trim_ascii_start()[used..].strip_prefix(b")") {
            let rest = rest.trim_ascii_start();
            let end = rest.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'"' | b'`')).unwrap_or(rest.len());
            operator = &rest[..end];
            value = golang::unquote(rest[end..].trim_ascii_start()).map(|(value, _)| value);
        }
    }
    let Some(value) = value else {
        let (target, operator, key) = (Safe(target), Safe(operator), golang::quote(&key));
        return Err(format!("malformed comparison: {shown}; got {target}({key}) {operator} \"\""));
    };
    let result = match operator {
        b"=" => CompareResult::Equal,
        b"!=" => CompareResult::NotEqual,
        b">" => CompareResult::Greater,
        b"<" => CompareResult::Less,
        other => return Err(format!("malformed comparison: {shown} (unknown operator {})", Safe(other))),
    };
    let number = |radix| {
        golang::parse_radix(&value, radix, true)
            .map(|number| number as i64)
            .map_err(|why| format!("invalid txn compare request: {shown} ({why})"))
    };
    let (target, operand) = match target {
        b"ver" | b"version" => (CompareTarget::Version, Operand::Version(number(10)?)),
        b"c" | b"create" => (CompareTarget::Create, Operand::CreateRevision(number(10)?)),
        b"m" | b"mod" => (CompareTarget::Mod, Operand::ModRevision(number(10)?)),
        b"val" | b"value" => (CompareTarget::Value, Operand::Value(value)),
        b"lease" => (CompareTarget::Lease, Operand::Lease(number(16)?)),
        other => return Err(format!("malformed comparison: {shown} (unknown target {})", Safe(other))),
    };
    Ok(Compare { result: result as i32, target: target as i32, key, operand: Some(operand) })
}

/// `put key "value"`, with the flags of the command of that name.
fn operation(session: &mut Session<'_, '_>, line: &[u8]) -> Result<RequestOp> {
    let wrong = |session: &mut Session<'_, '_>| -> Error {
        session.fail(status::INVALID_INPUT, format_args!("invalid txn request: {}", Safe(line)))
    };
    let words = match words(line) {
        None => return Err(wrong(session)),
        Some(words) if words.len() >= 2 => words,
        // The real one's words.
        Some(_) => {
            let complaint = format!("invalid txn compare request: {}", Safe(line));
            return Err(session.fail(status::INVALID_INPUT, complaint));
        }
    };
    let name = words.first().map(Vec::as_slice).unwrap_or_default();
    let known = [&b"get"[..], b"put", b"del"].contains(&name);
    let command = COMMANDS.iter().find(|command| known && command.path == [String::from_utf8_lossy(name)]);
    let Some(command) = command else { return Err(wrong(session)) };
    let Ok((given, _)) = flags::read(command.flags, words.get(1..).unwrap_or_default()) else {
        return Err(wrong(session));
    };
    let own = (std::mem::replace(&mut session.given, given), session.command);
    session.command = command;
    let request = match name {
        b"get" => kv::get_request(session).map(Request::Range),
        b"put" => kv::put_request(session, false).map(Request::Put),
        _ => kv::del_request(session).map(Request::DeleteRange),
    };
    (session.given, session.command) = own;
    Ok(RequestOp { request: Some(request?) })
}

/// The words of a line: quoted in Go's way, in single quotes, or plain up to the next space.
pub fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut rest = line.trim_ascii_start();
    while let Some(first) = rest.first() {
        let used = match first {
            b'"' => {
                let (word, used) = golang::unquote(rest)?;
                found.push(word);
                used
            }
            b'\'' => match memchr::memchr(b'\'', &rest[1..]) {
                Some(end) => {
                    found.push(rest[1..=end].to_vec());
                    end + 2
                }
                None => 1,
            },
            _ => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                found.push(rest[..end].to_vec());
                end
            }
        };
        rest = rest.get(used..).unwrap_or_default().trim_ascii_start();
    }
    Some(found)
}

fn simple(reply: &TxnResponse, manner: Manner) -> Vec<u8> {
    let mut out = Vec::from(if reply.succeeded { &b"SUCCESS\n"[..] } else { b"FAILURE\n" });
    for each in &reply.responses {
        out.push(b'\n');
        match &each.response {
            Some(Response::Range(reply)) => kv::range_simple(reply, manner, &mut out),
            Some(Response::Put(reply)) => kv::put_simple(reply, manner, &mut out),
            Some(Response::DeleteRange(reply)) => kv::del_simple(reply, manner, &mut out),
            None => {}
        }
    }
    out
}

fn show_fields(reply: &TxnResponse, fields: &mut Fields) {
    fields.header(reply.header.as_ref());
    fields.line("Succeeded", reply.succeeded);
    for each in &reply.responses {
        match &each.response {
            Some(Response::Range(reply)) => kv::range_fields(reply, fields),
            Some(Response::Put(reply)) => kv::put_fields(reply, fields),
            Some(Response::DeleteRange(reply)) => kv::del_fields(reply, fields),
            None => {}
        }
    }
}

fn json(reply: &TxnResponse) -> String {
    let one = |response: &Option<Response>| {
        let (name, text) = match response {
            Some(Response::Range(reply)) => ("response_range", kv::range_json(reply)),
            Some(Response::Put(reply)) => ("response_put", kv::put_json(reply)),
            Some(Response::DeleteRange(reply)) => ("response_delete_range", kv::del_json(reply)),
            None => return String::from("{\"Response\":null}"),
        };
        format!("{{\"Response\":{{\"{name}\":{text}}}}}")
    };
    let mut json = Json::headed(reply.header.as_ref());
    json.bool("succeeded", reply.succeeded);
    if !reply.responses.is_empty() {
        json.raw("responses", &array(reply.responses.iter().map(|each| one(&each.response))));
    }
    json.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares() {
        let compare = |result: CompareResult, target: CompareTarget, operand| Compare {
            result: result as i32,
            target: target as i32,
            key: b"k\"".to_vec(),
            operand: Some(operand),
        };
        for (line, expected) in [
            ("mod(\"k\\\"\") > \"0\"", compare(CompareResult::Greater, CompareTarget::Mod, Operand::ModRevision(0))),
            ("ver(\"k\\\"\") = \"7\"", compare(CompareResult::Equal, CompareTarget::Version, Operand::Version(7))),
            (
                "val(\"k\\\"\") != \"a b\"",
                compare(CompareResult::NotEqual, CompareTarget::Value, Operand::Value(b"a b".to_vec())),
            ),
            ("lease(\"k\\\"\") < \"ff\"", compare(CompareResult::Less, CompareTarget::Lease, Operand::Lease(255))),
        ] {
            assert_eq!(parse_compare(line.as_bytes()), Ok(expected));
        }
        for (line, why) in [
            ("foo", "malformed comparison: foo"),
            ("foo(", "malformed comparison: foo(; got foo(\"\")  \"\""),
            ("mod(\"a\") > 0", "malformed comparison: mod(\"a\") > 0; got mod(\"a\") > \"\""),
            ("size(\"a\") > \"0\"", "malformed comparison: size(\"a\") > \"0\" (unknown target size)"),
            ("mod(\"a\") >= \"0\"", "malformed comparison: mod(\"a\") >= \"0\" (unknown operator >=)"),
            (
                "mod(\"a\") = \"x\"",
                "invalid txn compare request: mod(\"a\") = \"x\" (strconv.ParseInt: parsing \"x\": invalid syntax)",
            ),
        ] {
            assert_eq!(parse_compare(line.as_bytes()), Err(why.into()));
        }
    }

    #[test]
    fn words_of_a_line() {
        let of = |line: &str| {
            let found = words(line.as_bytes())?;
            Some(found.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>())
        };
        let expected = |words: &[&str]| Some(words.iter().map(|word| String::from(*word)).collect::<Vec<_>>());
        assert_eq!(of("put  a \"b c\\n\" 'd \"e' f"), expected(&["put", "a", "b c\n", "d \"e", "f"]));
        assert_eq!(of("get \"a"), None);
        assert_eq!(of(" "), expected(&[]));
    }
}
