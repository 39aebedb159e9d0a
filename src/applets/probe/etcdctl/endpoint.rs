//! endpoint health, status, hashkv: each endpoint for itself, all at the same time. Longer than most, because each answer is
//! written in four formats.

use std::fmt::Write as _;
use std::io::Write;
use std::time::Instant;

use bytes::Bytes;
use prost::Message;

use super::show::{Json, Views, array, table, text};
use super::{Session, golang, status};
use crate::applet::{Exit, Result};
use crate::launch;
use crate::output::Safe;
use crate::protocol::etcd::client::decode;
use crate::protocol::etcd::message::{
    AlarmAction, AlarmRequest, AlarmType, Call, HashKvRequest, HashKvResponse, MemberListRequest, RangeRequest,
    StatusRequest, StatusResponse,
};
use crate::protocol::etcd::{Client, Endpoint, Failure};

/// The endpoints that are meant: those that were named, or all the members that these know of.
pub fn endpoints<'c>(session: &mut Session<'_, 'c>, client: &mut Client<'c>) -> Result<Vec<Endpoint>> {
    if !session.bool("cluster") {
        return Ok(client.endpoints().to_vec());
    }
    let members = match client.ask(&MemberListRequest { linearizable: true }) {
        Ok(reply) => reply.members,
        Err(failure) => {
            let complaint = format!("failed to fetch endpoints from etcd cluster member list: {failure}");
            return Err(session.fail(status::ERROR, complaint));
        }
    };
    let urls = members.iter().flat_map(|member| &member.client_urls);
    // A member's own words: what is no address cannot be asked.
    Ok(urls.filter_map(|url| Endpoint::parse(url.as_bytes()).ok()).collect())
}

/// One endpoint's failure, without its name, which the message has already.
fn bare(failure: Failure) -> Failure {
    match failure {
        Failure::At(mut tried) if tried.len() == 1 => tried.pop().map_or(Failure::Silent, |(_, failure)| failure),
        failure => failure,
    }
}

struct Health {
    endpoint: String,
    took: String,
    /// Empty where it is healthy.
    error: String,
}

pub fn health(session: &mut Session<'_, '_>) -> Result<Exit> {
    let told = each(session, &|own| {
        let ready = own.authenticate();
        let start = Instant::now();
        // Any key: that it answers shows that it has a leader and that a majority agrees.
        let request = RangeRequest { key: b"health".to_vec(), ..RangeRequest::default() };
        let got = ready.and_then(|()| own.ask(&request));
        let took = golang::duration(start.elapsed());
        let error = match got.map_err(bare) {
            Ok(_) => alarms(own),
            Err(Failure::Status(denied)) if denied.message == "etcdserver: permission denied" => alarms(own),
            Err(failure) => failure.to_string(),
        };
        format!("{took}\n{error}").into_bytes()
    })?;
    let all: Vec<Health> = told
        .into_iter()
        .map(|(endpoint, told)| {
            let told = String::from_utf8_lossy(&told).into_owned();
            let (took, error) = told.split_once('\n').unwrap_or(("0s", DIED));
            Health { endpoint, took: took.to_string(), error: error.to_string() }
        })
        .collect();
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|health| {
            let good = health.error.is_empty().to_string();
            vec![health.endpoint.clone(), good, health.took.clone(), health.error.clone()]
        })
        .collect();
    session.show(&Views {
        simple: &|_| {
            let good = all.iter().filter(|health| health.error.is_empty());
            let line = |health: &Health| {
                let name = Safe(health.endpoint.as_bytes());
                format!("{name} is healthy: successfully committed proposal: took = {}\n", health.took)
            };
            good.map(line).collect::<String>().into_bytes()
        },
        fields: Some(&|fields| {
            for health in &all {
                fields.quoted("Endpoint", health.endpoint.as_bytes());
                fields.line("Health", health.error.is_empty());
                fields.line("Took", &health.took);
                fields.line("Error", &health.error);
                fields.out.push('\n');
            }
        }),
        json: &|| {
            array(all.iter().map(|health| {
                let mut json = Json::new();
                json.raw("endpoint", &text(&health.endpoint))
                    .raw("health", if health.error.is_empty() { "true" } else { "false" })
                    .raw("took", &text(&health.took));
                json.text("error", &health.error).finish()
            }))
        },
        protobuf: None,
        table: Some(&|| table(&["endpoint", "health", "took", "error"], &rows)),
    })?;
    let bad: Vec<&Health> = all.iter().filter(|health| !health.error.is_empty()).collect();
    if bad.is_empty() {
        return Ok(Exit(0));
    }
    if session.format == super::Format::Simple {
        session.cx.io.out.flush()?;
        for health in bad {
            let name = Safe(health.endpoint.as_bytes());
            let line = format!("{name} is unhealthy: failed to commit proposal: {}\n", health.error);
            let _ = session.cx.io.err.write_all(line.as_bytes());
        }
    }
    Err(session.fail(status::ERROR, "unhealthy cluster"))
}

/// What an alarm makes of an endpoint that answers: nothing, where there is none.
fn alarms(client: &mut Client<'_>) -> String {
    let request = AlarmRequest { action: AlarmAction::Get as i32, ..AlarmRequest::default() };
    let Ok(reply) = client.ask(&request) else { return String::from("Unable to fetch the alarm list") };
    if reply.alarms.is_empty() {
        return String::new();
    }
    let name = |alarm: i32| match AlarmType::try_from(alarm) {
        Ok(AlarmType::Nospace) => "NOSPACE ",
        Ok(AlarmType::Corrupt) => "CORRUPT ",
        _ => "UNKNOWN ",
    };
    reply.alarms.iter().fold(String::from("Active Alarm(s): "), |text, alarm| text + name(alarm.alarm))
}

/// What is said of an endpoint whose answer was lost on our side.
const DIED: &str = "the process that asked it died";

/// What `ask` makes of each endpoint, all asked at the same time.
fn each(session: &mut Session<'_, '_>, ask: &dyn Fn(&mut Client<'_>) -> Vec<u8>) -> Result<Vec<(String, Vec<u8>)>> {
    let mut client = session.client()?;
    let endpoints = endpoints(session, &mut client)?;
    let mut work = |number: usize| match endpoints.get(number) {
        Some(endpoint) => ask(&mut client.only(endpoint)),
        None => Vec::new(),
    };
    let told = launch::parallel(session.cx.io, endpoints.len(), &mut work);
    Ok(endpoints.iter().map(|endpoint| String::from_utf8_lossy(&endpoint.text).into_owned()).zip(told).collect())
}

/// Who answered what, and why the last did not that failed.
type Answers<M> = (Vec<(String, M)>, Option<String>);

/// Asks each endpoint, complains of those that fail, and gives the answers of the others.
fn answers<C: Call>(session: &mut Session<'_, '_>, what: &str, request: &C) -> Result<Answers<C::Reply>> {
    // An answer behind a 0, or why there is none.
    let told = each(session, &|client| match client.ask(request).map_err(bare) {
        Ok(reply) => [&[0], &reply.encode_to_vec()[..]].concat(),
        Err(failure) => failure.to_string().into_bytes(),
    })?;
    let mut answers = Vec::new();
    let mut failed = None;
    for (endpoint, told) in told {
        let why = match told.as_slice() {
            [0, reply @ ..] => match decode::<C::Reply>(&Bytes::copy_from_slice(reply)) {
                Ok(reply) => {
                    answers.push((endpoint, reply));
                    continue;
                }
                Err(_) => DIED,
            },
            [] => DIED,
            why => &String::from_utf8_lossy(why),
        };
        let line = format!("Failed to get the {what} of endpoint {} ({why})\n", Safe(endpoint.as_bytes()));
        session.cx.io.out.flush()?;
        let _ = session.cx.io.err.write_all(line.as_bytes());
        failed = Some(why.to_string());
    }
    Ok((answers, failed))
}

pub fn status(session: &mut Session<'_, '_>) -> Result<Exit> {
    let (all, failed) = answers(session, "status", &StatusRequest {})?;
    const TITLES: [&str; 16] = [
        "endpoint",
        "ID",
        "version",
        "storage version",
        "db size",
        "in use",
        "percentage not in use",
        "quota",
        "is leader",
        "is learner",
        "raft term",
        "raft index",
        "raft applied index",
        "errors",
        "downgrade target version",
        "downgrade enabled",
    ];
    let rows: Vec<Vec<String>> = all.iter().map(|(endpoint, reply)| status_row(endpoint, reply)).collect();
    session.show(&Views {
        simple: &|_| rows.iter().map(|row| row.join(", ") + "\n").collect::<String>().into_bytes(),
        fields: Some(&|fields| {
            for (endpoint, reply) in &all {
                let downgrade = reply.downgrade_info.clone().unwrap_or_default();
                fields.header(reply.header.as_ref());
                fields.quoted("Version", reply.version.as_bytes());
                fields.quoted("StorageVersion", reply.storage_version.as_bytes());
                fields.line("DBSize", reply.db_size);
                fields.line("DBSizeInUse", reply.db_size_in_use);
                fields.line("DBSizeQuota", reply.db_size_quota);
                fields.line("Leader", reply.leader);
                fields.line("IsLearner", reply.is_learner);
                fields.line("RaftIndex", reply.raft_index);
                fields.line("RaftTerm", reply.raft_term);
                fields.line("RaftAppliedIndex", reply.raft_applied_index);
                fields.line("Errors", format_args!("[{}]", Safe(reply.errors.join(" ").as_bytes())));
                fields.quoted("Endpoint", endpoint.as_bytes());
                fields.quoted("DowngradeTargetVersion", downgrade.target_version.as_bytes());
                fields.line("DowngradeEnabled", downgrade.enabled);
                fields.out.push('\n');
            }
        }),
        json: &|| match all.as_slice() {
            [] => String::from("null"),
            all => array(all.iter().map(|(endpoint, reply)| {
                Json::new().raw("Endpoint", &text(endpoint)).raw("Status", &status_json(reply)).finish()
            })),
        },
        protobuf: None,
        table: Some(&|| table(&TITLES, &rows)),
    })?;
    Ok(Exit(if failed.is_some() { status::ERROR } else { 0 }))
}

fn status_row(endpoint: &str, reply: &StatusResponse) -> Vec<String> {
    let safe = |text: &str| Safe(text.as_bytes()).to_string();
    let id = reply.header.map_or(0, |header| header.member_id);
    let size = |bytes: i64| golang::size(u64::try_from(bytes).unwrap_or(0));
    let used = reply.db_size_in_use.saturating_mul(100).checked_div(reply.db_size).unwrap_or(100);
    let downgrade = reply.downgrade_info.clone().unwrap_or_default();
    vec![
        safe(endpoint),
        format!("{id:x}"),
        safe(&reply.version),
        safe(&reply.storage_version),
        size(reply.db_size),
        size(reply.db_size_in_use),
        format!("{}%", 100 - used),
        size(reply.db_size_quota),
        (reply.leader == id).to_string(),
        reply.is_learner.to_string(),
        reply.raft_term.to_string(),
        reply.raft_index.to_string(),
        reply.raft_applied_index.to_string(),
        safe(&reply.errors.join(", ")),
        safe(&downgrade.target_version),
        downgrade.enabled.to_string(),
    ]
}

fn status_json(reply: &StatusResponse) -> String {
    let mut json = Json::headed(reply.header.as_ref());
    json.text("version", &reply.version)
        .number("dbSize", reply.db_size)
        .number("leader", reply.leader)
        .number("raftIndex", reply.raft_index)
        .number("raftTerm", reply.raft_term)
        .number("raftAppliedIndex", reply.raft_applied_index)
        .texts("errors", &reply.errors)
        .number("dbSizeInUse", reply.db_size_in_use)
        .bool("isLearner", reply.is_learner)
        .text("storageVersion", &reply.storage_version)
        .number("dbSizeQuota", reply.db_size_quota);
    if let Some(downgrade) = &reply.downgrade_info {
        let mut own = Json::new();
        own.bool("enabled", downgrade.enabled).text("targetVersion", &downgrade.target_version);
        json.raw("downgradeInfo", &own.finish());
    }
    json.finish()
}

pub fn hashkv(session: &mut Session<'_, '_>) -> Result<Exit> {
    let revision = session.number("rev");
    let (all, failed) = answers(session, "hash", &HashKvRequest { revision })?;
    let row = |(endpoint, reply): &(String, HashKvResponse)| {
        vec![Safe(endpoint.as_bytes()).to_string(), reply.hash.to_string(), reply.hash_revision.to_string()]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    session.show(&Views {
        simple: &|_| rows.iter().map(|row| row.join(", ") + "\n").collect::<String>().into_bytes(),
        fields: Some(&|fields| {
            for (endpoint, reply) in &all {
                fields.header(reply.header.as_ref());
                fields.quoted("Endpoint", endpoint.as_bytes());
                fields.line("Hash", reply.hash);
                fields.line("HashRevision", reply.hash_revision);
                let _ = writeln!(fields.out);
            }
        }),
        json: &|| match all.as_slice() {
            [] => String::from("null"),
            all => array(all.iter().map(|(endpoint, reply)| {
                let mut own = Json::headed(reply.header.as_ref());
                own.number("hash", reply.hash)
                    .number("compact_revision", reply.compact_revision)
                    .number("hash_revision", reply.hash_revision);
                Json::new().raw("Endpoint", &text(endpoint)).raw("HashKV", &own.finish()).finish()
            })),
        },
        protobuf: None,
        table: Some(&|| table(&["endpoint", "hash", "hash revision"], &rows)),
    })?;
    // Unlike for the status, it is said once more.
    failed.map_or(Ok(Exit(0)), |why| Err(session.fail(status::ERROR, why)))
}
