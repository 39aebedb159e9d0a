//! get, put, del, compaction. Longer than most: a transaction needs the same requests and answers in parts.

use std::io::Read;

use prost::Message;

use super::show::{Fields, Format, Json, Manner, Views, header_json, pair_json};
use super::{Session, golang, status};
use crate::applet::{Exit, Result, reason};
use crate::protocol::etcd::message::{
    CompactionRequest, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest, RangeResponse,
    SortOrder, SortTarget,
};
use crate::protocol::etcd::range::{self, Pages, prefix_end};

pub fn get(session: &mut Session<'_, '_>) -> Result<Exit> {
    let request = get_request(session)?;
    let (count_only, value_only) = (session.bool("count-only"), session.bool("print-value-only"));
    // What etcdctl finds out after it has asked.
    if count_only && session.format != Format::Fields {
        return Err(session.fail(status::BAD_ARGS, "--count-only is only for `--write-out=fields`"));
    }
    if value_only && session.format != Format::Simple {
        return Err(session.fail(status::BAD_ARGS, "print-value-only is only for `--write-out=simple`"));
    }
    let mut client = session.client()?;
    let mut pages = Pages::new(request);
    let manner = Manner { value_only, ..session.manner() };
    let mut first = true;
    loop {
        let pairs = match pages.next(&mut client) {
            Ok(Some(pairs)) => pairs,
            Ok(None) => break,
            Err(failure) => return Err(session.failed(&failure)),
        };
        if session.format == Format::Table {
            return Err(session.unsupported());
        }
        let mut out = Vec::new();
        match session.format {
            Format::Simple | Format::Table => pairs.iter().for_each(|pair| manner.pair(&mut out, pair)),
            Format::Json => {
                if first {
                    let header = header_json(&pages.header.unwrap_or_default());
                    out.extend_from_slice(format!("{{\"header\":{header}").as_bytes());
                }
                for (index, pair) in pairs.iter().enumerate() {
                    out.extend_from_slice(if first && index == 0 { b",\"kvs\":[" } else { b"," });
                    out.extend_from_slice(pair_json(pair).as_bytes());
                }
            }
            Format::Fields => {
                let mut fields = Fields { out: String::new(), hex: manner.hex };
                if first {
                    fields.header(pages.header.as_ref());
                }
                pairs.iter().for_each(|pair| fields.pair("", pair));
                out = fields.out.into_bytes();
            }
            Format::Protobuf => {
                if first {
                    out = range::head(pages.header);
                }
                out.extend_from_slice(&range::middle(pairs.clone()));
            }
        }
        first = first && pairs.is_empty();
        session.write(out)?;
    }
    let (more, count) = (pages.more, pages.count);
    match session.format {
        Format::Simple | Format::Table => {}
        Format::Json => {
            let mut end = String::from(if first { "" } else { "]" });
            let rest = Json::new().bool("more", more).number("count", count).finish();
            if rest.len() > 2 {
                end.push(',');
            }
            end.push_str(rest.get(1..).unwrap_or_default());
            session.write(end + "\n")?;
        }
        Format::Fields => session.write(format!("\"More\" : {more}\n\"Count\" : {count}\n"))?,
        Format::Protobuf => session.write(range::tail(more, count))?,
    }
    Ok(Exit(0))
}

/// What the flags and words of a `get` ask for, also inside of a transaction.
pub fn get_request(session: &mut Session<'_, '_>) -> Result<RangeRequest> {
    let words: Vec<Vec<u8>> = session.given.words.clone();
    session.expect(!words.is_empty(), "get command needs one argument as key and an optional argument as range_end")?;
    let (prefix, from_key) = (session.bool("prefix"), session.bool("from-key"));
    session.expect(!(prefix && from_key), "`--prefix` and `--from-key` cannot be set at the same time, choose one")?;
    let (keys_only, count_only) = (session.bool("keys-only"), session.bool("count-only"));
    let both = "`--keys-only` and `--count-only` cannot be set at the same time, choose one";
    session.expect(!(keys_only && count_only), both)?;
    let serializable = match session.bytes("consistency") {
        b"s" => true,
        b"l" => false,
        other => {
            let complaint = format!("unknown consistency flag {}", golang::quote(other));
            return Err(session.fail(status::BAD_FEATURE, complaint));
        }
    };
    let many = "too many arguments, only accept one argument when `--prefix` or `--from-key` is set";
    session.expect(!(words.len() > 1 && (prefix || from_key)), many)?;
    let mut order = match session.text("order").to_ascii_uppercase().as_str() {
        "ASCEND" => SortOrder::Ascend,
        "DESCEND" => SortOrder::Descend,
        "" => SortOrder::None,
        _ => {
            let complaint = format!("bad sort order {}", session.text("order"));
            return Err(session.fail(status::BAD_FEATURE, complaint));
        }
    };
    let target = match session.text("sort-by").to_ascii_uppercase().as_str() {
        "CREATE" => SortTarget::Create,
        "KEY" | "" => SortTarget::Key,
        "MODIFY" => SortTarget::Mod,
        "VALUE" => SortTarget::Value,
        "VERSION" => SortTarget::Version,
        _ => {
            let complaint = format!("bad sort target {}", session.text("sort-by"));
            return Err(session.fail(status::BAD_FEATURE, complaint));
        }
    };
    let limit = session.number("limit");
    // By key and upwards is how they come. By anything else, upwards is what is meant where no order is named; then a limit
    // counts keys as they come, and they are sorted after it.
    match (target, order) {
        (SortTarget::Key, SortOrder::Ascend) => order = SortOrder::None,
        (SortTarget::Key, _) => {}
        (_, SortOrder::None) if limit == 0 => order = SortOrder::Ascend,
        _ => {}
    }
    let (key, range_end) = range_of(&words, prefix, from_key);
    Ok(RangeRequest {
        key,
        range_end,
        limit,
        revision: session.number("rev").max(0),
        sort_order: order as i32,
        sort_target: target as i32,
        serializable,
        keys_only,
        count_only,
        min_mod_revision: session.number("min-mod-rev"),
        max_mod_revision: session.number("max-mod-rev"),
        min_create_revision: session.number("min-create-rev"),
        max_create_revision: session.number("max-create-rev"),
    })
}

/// A key and the end of its range.
pub fn range_of(words: &[Vec<u8>], prefix: bool, from_key: bool) -> (Vec<u8>, Vec<u8>) {
    let key = words.first().cloned().unwrap_or_default();
    match (key.is_empty(), prefix, from_key) {
        (true, true, _) | (true, _, true) => (vec![0], vec![0]),
        (false, _, true) => (key, vec![0]),
        (false, true, _) => {
            let end = prefix_end(&key);
            (key, end)
        }
        _ => (key, words.get(1).cloned().unwrap_or_default()),
    }
}

pub fn range_simple(reply: &RangeResponse, manner: Manner, out: &mut Vec<u8>) {
    reply.kvs.iter().for_each(|pair| manner.pair(out, pair));
}

pub fn range_fields(reply: &RangeResponse, fields: &mut Fields) {
    fields.header(reply.header.as_ref());
    reply.kvs.iter().for_each(|pair| fields.pair("", pair));
    fields.line("More", reply.more);
    fields.line("Count", reply.count);
}

pub fn range_json(reply: &RangeResponse) -> String {
    let mut json = Json::headed(reply.header.as_ref());
    json.list("kvs", reply.kvs.iter().map(pair_json)).bool("more", reply.more).number("count", reply.count).finish()
}

/// An answer of one piece.
pub fn show_range(session: &mut Session<'_, '_>, reply: &RangeResponse) -> Result<Exit> {
    session.show(&Views {
        simple: &|manner| {
            let mut out = Vec::new();
            range_simple(reply, manner, &mut out);
            out
        },
        fields: Some(&|fields| range_fields(reply, fields)),
        json: &|| range_json(reply),
        protobuf: Some(&|| reply.encode_to_vec()),
        table: None,
    })
}

// --- put

pub fn put(session: &mut Session<'_, '_>) -> Result<Exit> {
    let request = put_request(session, true)?;
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &request)?;
    session.show(&Views {
        simple: &|manner| {
            let mut out = Vec::new();
            put_simple(&reply, manner, &mut out);
            out
        },
        fields: Some(&|fields| put_fields(&reply, fields)),
        json: &|| put_json(&reply),
        protobuf: Some(&|| reply.encode_to_vec()),
        table: None,
    })
}

pub fn put_request(session: &mut Session<'_, '_>, input: bool) -> Result<PutRequest> {
    let words = session.given.words.clone();
    let (ignore_value, ignore_lease) = (session.bool("ignore-value"), session.bool("ignore-lease"));
    let need = "put command needs 1 argument and input from stdin or 2 arguments";
    let (key, value) = match words.as_slice() {
        [key] if ignore_value => (key.clone(), Vec::new()),
        [key] if input => {
            let mut value = Vec::new();
            if let Err(error) = session.cx.io.stdin.read_to_end(&mut value) {
                return Err(session.fail(status::IO, format_args!("standard input: {}", reason(&error))));
            }
            session.expect(!value.is_empty(), need)?;
            (key.clone(), value)
        }
        [_, _, ..] if ignore_value => {
            return Err(session.fail(status::BAD_ARGS, "put command needs only 1 argument when 'ignore-value' is set"));
        }
        // What stands behind them is ignored.
        [key, value, ..] => (key.clone(), value.clone()),
        _ => return Err(session.fail(status::BAD_ARGS, need)),
    };
    let lease = session.bytes("lease").to_vec();
    let lease = match golang::parse_radix(&lease, 16, true) {
        Ok(lease) => lease as i64,
        Err(why) => {
            return Err(session.fail(status::BAD_ARGS, format_args!("bad lease ID ({why}), expecting ID in Hex")));
        }
    };
    Ok(PutRequest { key, value, lease, prev_kv: session.bool("prev-kv"), ignore_value, ignore_lease })
}

pub fn put_simple(reply: &PutResponse, manner: Manner, out: &mut Vec<u8>) {
    out.extend_from_slice(b"OK\n");
    reply.prev_kv.iter().for_each(|pair| manner.pair(out, pair));
}

pub fn put_fields(reply: &PutResponse, fields: &mut Fields) {
    fields.header(reply.header.as_ref());
    reply.prev_kv.iter().for_each(|pair| fields.pair("Prev", pair));
}

pub fn put_json(reply: &PutResponse) -> String {
    let mut json = Json::headed(reply.header.as_ref());
    if let Some(pair) = &reply.prev_kv {
        json.raw("prev_kv", &pair_json(pair));
    }
    json.finish()
}

// --- del

pub fn del(session: &mut Session<'_, '_>) -> Result<Exit> {
    let request = del_request(session)?;
    let mut client = session.client()?;
    let mut deleted = 0;
    let reply = match range::delete(&mut client, request, &mut deleted) {
        Ok(reply) => reply,
        Err(failure) => {
            if deleted > 0 {
                session.cx.note(format_args!("{deleted} keys are deleted, in steps; the others are there"));
            }
            return Err(session.failed(&failure));
        }
    };
    session.show(&Views {
        simple: &|manner| {
            let mut out = Vec::new();
            del_simple(&reply, manner, &mut out);
            out
        },
        fields: Some(&|fields| del_fields(&reply, fields)),
        json: &|| del_json(&reply),
        protobuf: Some(&|| reply.encode_to_vec()),
        table: None,
    })
}

pub fn del_request(session: &mut Session<'_, '_>) -> Result<DeleteRangeRequest> {
    let words = session.given.words.clone();
    let need = "del command needs one argument as key and an optional argument as range_end";
    session.expect(matches!(words.len(), 1 | 2), need)?;
    let (prefix, from_key) = (session.bool("prefix"), session.bool("from-key"));
    session.expect(!(prefix && from_key), "`--prefix` and `--from-key` cannot be set at the same time, choose one")?;
    let many = "too many arguments, only accept one argument when `--prefix` or `--from-key` is set";
    session.expect(!(words.len() > 1 && (prefix || from_key)), many)?;
    let (key, range_end) = range_of(&words, prefix, from_key);
    Ok(DeleteRangeRequest { key, range_end, prev_kv: session.bool("prev-kv") })
}

pub fn del_simple(reply: &DeleteRangeResponse, manner: Manner, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{}\n", reply.deleted).as_bytes());
    reply.prev_kvs.iter().for_each(|pair| manner.pair(out, pair));
}

pub fn del_fields(reply: &DeleteRangeResponse, fields: &mut Fields) {
    fields.header(reply.header.as_ref());
    fields.line("Deleted", reply.deleted);
    reply.prev_kvs.iter().for_each(|pair| fields.pair("Prev", pair));
}

pub fn del_json(reply: &DeleteRangeResponse) -> String {
    let mut json = Json::headed(reply.header.as_ref());
    json.number("deleted", reply.deleted).list("prev_kvs", reply.prev_kvs.iter().map(pair_json)).finish()
}

pub fn compaction(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.given.words.clone();
    session.expect(words.len() == 1, "compaction command needs 1 argument")?;
    let text = words.first().map(Vec::as_slice).unwrap_or_default();
    let revision = match golang::parse_radix(text, 10, true) {
        Ok(revision) => revision as i64,
        Err(why) => return Err(session.fail(status::ERROR, why)),
    };
    let mut client = session.client()?;
    if session.bool("physical") {
        // It waits until the space is free.
        client.settings.timeout = None;
    }
    session.ask(&mut client, &CompactionRequest { revision, physical: session.bool("physical") })?;
    session.write(format!("compacted revision {revision}\n"))?;
    Ok(Exit(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let of = |words: &[&[u8]], prefix, from_key| {
            range_of(&words.iter().map(|word| word.to_vec()).collect::<Vec<_>>(), prefix, from_key)
        };
        assert_eq!(of(&[b"a"], false, false), (b"a".to_vec(), Vec::new()));
        assert_eq!(of(&[b"a", b"c"], false, false), (b"a".to_vec(), b"c".to_vec()));
        assert_eq!(of(&[b"a"], true, false), (b"a".to_vec(), b"b".to_vec()));
        assert_eq!(of(&[b""], true, false), (vec![0], vec![0]));
        assert_eq!(of(&[b"a"], false, true), (b"a".to_vec(), vec![0]));
        assert_eq!(of(&[b""], false, true), (vec![0], vec![0]));
    }
}
