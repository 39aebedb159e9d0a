//! lease grant, revoke, timetolive, list, keep-alive.

use std::time::Duration;

use prost::Message;

use super::show::{Json, Views, base64};
use super::{Session, golang, status};
use crate::applet::{Exit, Result};
use crate::net::Deadline;
use crate::protocol::etcd::Client;
use crate::protocol::etcd::Failure;
use crate::protocol::etcd::client::{Next, Stream, decode};
use crate::protocol::etcd::message::{
    Header, LEASE_KEEP_ALIVE, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseRevokeRequest, LeaseTimeToLiveRequest,
};

/// All that etcdctl writes as protobuf of the answers about leases, which are structures of its own there.
fn header_alone(header: Option<&Header>) -> Vec<u8> {
    header.copied().unwrap_or_default().encode_to_vec()
}

pub fn grant(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.given.words.clone();
    session.expect(words.len() == 1, "lease grant command needs TTL argument")?;
    let text = words.first().map(Vec::as_slice).unwrap_or_default();
    let ttl = golang::parse_radix(text, 10, true)
        .map_err(|why| session.fail(status::BAD_ARGS, format_args!("bad TTL ({why})")))? as i64;
    let mut client = session.client()?;
    let reply = match client.ask(&LeaseGrantRequest { ttl, id: 0 }) {
        Ok(reply) => reply,
        Err(failure) => return Err(session.fail(status::ERROR, format_args!("failed to grant lease ({failure})"))),
    };
    session.show(&Views {
        simple: &|_| format!("lease {:016x} granted with TTL({}s)\n", reply.id, reply.ttl).into_bytes(),
        fields: Some(&|fields| {
            fields.header(reply.header.as_ref());
            fields.id("ID", reply.id);
            fields.line("TTL", reply.ttl);
        }),
        json: &|| {
            let mut json = Json::flat(reply.header.as_ref());
            json.raw("ID", &reply.id.to_string()).raw("TTL", &reply.ttl.to_string());
            json.raw("Error", &super::show::text(&reply.error)).finish()
        },
        protobuf: Some(&|| header_alone(reply.header.as_ref())),
        table: None,
    })
}

fn lease_id(session: &mut Session<'_, '_>, complaint: &str) -> Result<i64> {
    let words = session.given.words.clone();
    session.expect(words.len() == 1, complaint)?;
    let text = words.first().map(Vec::as_slice).unwrap_or_default();
    golang::parse_radix(text, 16, true)
        .map(|id| id as i64)
        .map_err(|why| session.fail(status::BAD_ARGS, format_args!("bad lease ID arg ({why}), expecting ID in Hex")))
}

pub fn revoke(session: &mut Session<'_, '_>) -> Result<Exit> {
    let id = lease_id(session, "lease revoke command needs 1 argument")?;
    let mut client = session.client()?;
    match client.ask(&LeaseRevokeRequest { id }) {
        Ok(reply) => session.show_header(reply.header.as_ref(), &format!("lease {id:016x} revoked\n"), true),
        Err(failure) => Err(session.fail(status::ERROR, format_args!("failed to revoke lease ({failure})"))),
    }
}

pub fn time_to_live(session: &mut Session<'_, '_>) -> Result<Exit> {
    let id = lease_id(session, "lease timetolive command needs lease ID as argument")?;
    let keys = session.bool("keys");
    let mut client = session.client()?;
    let reply = match client.ask(&LeaseTimeToLiveRequest { id, keys }) {
        Ok(reply) => reply,
        Err(failure) => return Err(session.fail(status::BAD_CONNECTION, failure)),
    };
    session.show(&Views {
        simple: &|manner| {
            if reply.granted_ttl == 0 && reply.ttl == -1 {
                return format!("lease {:016x} already expired\n", reply.id).into_bytes();
            }
            let (granted, left) = (reply.granted_ttl, reply.ttl);
            let mut out =
                format!("lease {:016x} granted with TTL({granted}s), remaining({left}s)", reply.id).into_bytes();
            if keys {
                out.extend_from_slice(b", attached keys([");
                for (index, key) in reply.keys.iter().enumerate() {
                    out.extend_from_slice(if index > 0 { b" " } else { b"" });
                    out.extend_from_slice(&crate::output::shown(key, manner.terminal));
                }
                out.extend_from_slice(b"])");
            }
            out.push(b'\n');
            out
        },
        fields: Some(&|fields| {
            fields.header(reply.header.as_ref());
            fields.id("ID", reply.id);
            fields.line("TTL", reply.ttl);
            fields.line("GrantedTTL", reply.granted_ttl);
            reply.keys.iter().for_each(|key| fields.quoted("Key", key));
        }),
        json: &|| {
            let mut json = Json::flat(reply.header.as_ref());
            json.raw("id", &reply.id.to_string()).raw("ttl", &reply.ttl.to_string());
            json.raw("granted-ttl", &reply.granted_ttl.to_string());
            match reply.keys.as_slice() {
                [] => json.raw("keys", "null").finish(),
                keys => json.list("keys", keys.iter().map(|key| base64(key))).finish(),
            }
        },
        protobuf: Some(&|| header_alone(reply.header.as_ref())),
        table: None,
    })
}

pub fn list(session: &mut Session<'_, '_>) -> Result<Exit> {
    let mut client = session.client()?;
    let reply = match client.ask(&LeaseLeasesRequest {}) {
        Ok(reply) => reply,
        Err(failure) => return Err(session.fail(status::BAD_CONNECTION, failure)),
    };
    session.show(&Views {
        simple: &|_| {
            let lines = reply.leases.iter().map(|lease| format!("{:016x}\n", lease.id));
            (format!("found {} leases\n", reply.leases.len()) + &lines.collect::<String>()).into_bytes()
        },
        fields: Some(&|fields| {
            fields.header(reply.header.as_ref());
            reply.leases.iter().for_each(|lease| fields.id("ID", lease.id));
        }),
        json: &|| {
            let leases = reply.leases.iter().map(|lease| Json::new().raw("id", &lease.id.to_string()).finish());
            let leases = super::show::array(leases);
            Json::flat(reply.header.as_ref()).raw("leases", &leases).finish()
        },
        protobuf: Some(&|| header_alone(reply.header.as_ref())),
        table: None,
    })
}

/// The stream that keeps leases alive.
pub struct Keeper {
    stream: Stream,
    id: i64,
}

impl Keeper {
    pub fn new(client: &mut Client<'_>, id: i64) -> std::result::Result<Keeper, Failure> {
        Ok(Keeper { stream: client.open(LEASE_KEEP_ALIVE, false)?, id })
    }

    /// Renews the lease; its time is not above zero when it is gone.
    pub fn renew(&mut self, client: &mut Client<'_>) -> std::result::Result<LeaseKeepAliveResponse, Failure> {
        client.send(&mut self.stream, &LeaseKeepAliveRequest { id: self.id }, false)?;
        let deadline = Deadline::after(client.settings.timeout.unwrap_or(Duration::from_secs(5)));
        match client.next(&mut self.stream, Some(deadline), None)? {
            Next::Message(bytes) => decode(&bytes),
            Next::End | Next::Other => Err(Failure::Closed(true)),
        }
    }
}

pub fn keep_alive(session: &mut Session<'_, '_>) -> Result<Exit> {
    let id = lease_id(session, "lease keep-alive command needs lease ID as argument")?;
    let once = session.bool("once");
    let mut client = session.client()?;
    let mut keeper = None;
    loop {
        let renewed = match keeper.take() {
            None => Keeper::new(&mut client, id),
            Some(keeper) => Ok(keeper),
        }
        .and_then(|mut own| {
            let reply = own.renew(&mut client)?;
            Ok((own, reply))
        });
        let (own, reply) = match renewed {
            Ok(renewed) => renewed,
            Err(failure) => return Err(session.fail(status::BAD_CONNECTION, failure)),
        };
        if reply.ttl <= 0 {
            if once {
                return Err(session.fail(status::BAD_CONNECTION, "etcdserver: requested lease not found"));
            }
            session.write(format!("lease {id:016x} expired or revoked.\n"))?;
            return Ok(Exit(0));
        }
        session.show(&Views {
            simple: &|_| format!("lease {:016x} keepalived with TTL({})\n", reply.id, reply.ttl).into_bytes(),
            fields: Some(&|fields| {
                fields.header(reply.header.as_ref());
                fields.id("ID", reply.id);
                fields.line("TTL", reply.ttl);
            }),
            json: &|| {
                let mut json = Json::flat(reply.header.as_ref());
                json.raw("ID", &reply.id.to_string()).raw("TTL", &reply.ttl.to_string()).finish()
            },
            protobuf: Some(&|| header_alone(reply.header.as_ref())),
            table: None,
        })?;
        if once {
            return Ok(Exit(0));
        }
        std::io::Write::flush(&mut session.cx.io.out)?;
        // A third of its time, as etcd's own client does.
        let pause = Duration::from_secs_f64((reply.ttl as f64 / 3.0).clamp(0.5, 86_400.0));
        keeper = Some(own);
        let _ = crate::net::wait(&mut [], Deadline::after(pause));
    }
}
