//! lock and elect: a key that lives as long as a lease, and whoever has the oldest such key has the lock, or leads. They
//! are made of leases, transactions and watches, and understand those of other clients.
//!
//! A lease is renewed at each third of its time, between the answers of a watch, or while a command runs.
//!
//! Longer than most, because both are the same claim in two manners.

use std::io::Write;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::lease::Keeper;
use super::{Session, kv, status};
use crate::applet::{Exit, Result};
use crate::launch::{self, Change};
use crate::net::Deadline;
use crate::protocol::etcd::client::{Next, decode};
use crate::protocol::etcd::grpc::{Status, code};
use crate::protocol::etcd::message::{
    Compare, CompareResult, CompareTarget, DeleteRangeRequest, EventType, Header, LeaseGrantRequest,
    LeaseRevokeRequest, Operand, PutRequest, RangeRequest, RangeResponse, Request, RequestOp, Response, SortOrder,
    SortTarget, TxnRequest, WATCH, WatchAction, WatchCreate, WatchRequest, WatchResponse,
};
use crate::protocol::etcd::range::prefix_end;
use crate::protocol::etcd::{Client, Failure};
use crate::sys::signal::{self, Caught, Disposition};

type Done<T> = std::result::Result<T, Failure>;

/// Between two tries to reach a server again.
const PAUSE: Duration = Duration::from_millis(500);

/// What a client holds while it waits or works.
struct Claim<'c> {
    client: Client<'c>,
    lease: i64,
    ttl: i64,
    keeper: Option<Keeper>,
    renewed: Instant,
    prefix: Vec<u8>,
    key: Vec<u8>,
    /// When our key was created: the lower, the sooner.
    revision: i64,
    /// Of the answer that created it.
    header: Option<Header>,
}

impl<'c> Claim<'c> {
    /// A lease, and a key that lives with it.
    fn new(mut client: Client<'c>, name: &[u8], ttl: i64, value: &[u8]) -> Done<Claim<'c>> {
        let granted = client.ask(&LeaseGrantRequest { ttl, id: 0 })?;
        let prefix = [name, b"/"].concat();
        let key = [&prefix[..], format!("{:x}", granted.id).as_bytes()].concat();
        let mut claim = Claim {
            client,
            lease: granted.id,
            ttl: granted.ttl.max(1),
            keeper: None,
            renewed: Instant::now(),
            prefix,
            key,
            revision: 0,
            header: None,
        };
        let put =
            PutRequest { key: claim.key.clone(), value: value.to_vec(), lease: claim.lease, ..PutRequest::default() };
        let get = RangeRequest { key: claim.key.clone(), ..RangeRequest::default() };
        let request = TxnRequest {
            compare: vec![Compare {
                result: CompareResult::Equal as i32,
                target: CompareTarget::Create as i32,
                key: claim.key.clone(),
                operand: Some(Operand::CreateRevision(0)),
            }],
            success: vec![RequestOp { request: Some(Request::Put(put)) }],
            failure: vec![RequestOp { request: Some(Request::Range(get)) }],
        };
        let reply = match claim.client.ask(&request) {
            Ok(reply) => reply,
            Err(failure) => {
                claim.release();
                return Err(failure);
            }
        };
        claim.revision = reply.header.map_or(0, |header| header.revision);
        if let Some(Some(Response::Range(range))) = reply.responses.first().map(|each| &each.response)
            && let Some(pair) = range.kvs.first()
        {
            claim.revision = pair.create_revision;
        }
        claim.header = reply.header;
        Ok(claim)
    }

    fn renew(&mut self) -> Done<()> {
        if self.renewed.elapsed() < self.third() {
            return Ok(());
        }
        let mut keeper = match self.keeper.take() {
            Some(keeper) => keeper,
            None => Keeper::new(&mut self.client, self.lease)?,
        };
        let asked = Instant::now();
        if keeper.renew(&mut self.client)?.ttl <= 0 {
            return Err(expired());
        }
        self.keeper = Some(keeper);
        self.renewed = asked;
        Ok(())
    }

    /// After a failure: the next endpoint's turn, unless that is an answer, or the lease has ended by now.
    fn survive(&mut self, failure: Failure) -> Done<()> {
        if !may_pass(&failure) || self.renewed.elapsed() >= self.third() * 3 {
            return Err(failure);
        }
        self.keeper = None;
        next_endpoint(&mut self.client);
        Ok(())
    }

    fn third(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.ttl).unwrap_or(1).saturating_mul(1000) / 3)
    }

    /// The end of the next third.
    fn due(&self) -> Deadline {
        Deadline::at(self.renewed + self.third())
    }

    /// Waits until nobody's key is older than ours.
    fn wait(&mut self) -> Done<()> {
        loop {
            let request = RangeRequest {
                key: self.prefix.clone(),
                range_end: prefix_end(&self.prefix),
                limit: 1,
                sort_order: SortOrder::Descend as i32,
                sort_target: SortTarget::Create as i32,
                max_create_revision: self.revision - 1,
                ..RangeRequest::default()
            };
            match self.outlast(&request) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(failure) => self.survive(failure)?,
            }
        }
    }

    /// Waits until the key that is found is gone: whether one was.
    fn outlast(&mut self, request: &RangeRequest) -> Done<bool> {
        let reply = self.client.ask(request)?;
        let Some(found) = reply.kvs.first() else { return Ok(false) };
        let from = reply.header.map_or(0, |header| header.revision) + 1;
        self.watch(&found.key, from)?;
        Ok(true)
    }

    /// Watches until the key is deleted, and renews the lease meanwhile.
    fn watch(&mut self, key: &[u8], from: i64) -> Done<()> {
        let mut stream = self.client.open(WATCH, true)?;
        let create = WatchCreate { key: key.to_vec(), start_revision: from, ..WatchCreate::default() };
        self.client.send(&mut stream, &WatchRequest { action: Some(WatchAction::Create(create)) }, false)?;
        loop {
            match self.client.next(&mut stream, Some(self.due()), None) {
                Ok(Next::Message(bytes)) => {
                    let reply: WatchResponse = decode(&bytes)?;
                    let deleted = reply.events.iter().any(|event| event.r#type == EventType::Delete as i32);
                    if deleted || reply.canceled {
                        return Ok(());
                    }
                }
                Ok(Next::End | Next::Other) => return Err(Failure::Closed(true)),
                Err(Failure::Silent) => self.renew()?,
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Holds what it has until a signal comes or the lease is lost.
    fn hold(&mut self) -> Failure {
        let request = RangeRequest { key: self.key.clone(), ..RangeRequest::default() };
        loop {
            match self.outlast(&request) {
                Ok(true) => {}
                Ok(false) => return expired(),
                Err(failure) => {
                    if let Err(failure) = self.survive(failure) {
                        return failure;
                    }
                }
            }
        }
    }

    /// Gives up the key and the lease.
    fn release(&mut self) {
        // A signal was the reason; it is not to end this, too.
        signal::take().for_each(drop);
        let _ = self.client.ask(&DeleteRangeRequest { key: self.key.clone(), ..DeleteRangeRequest::default() });
        let _ = self.client.ask(&LeaseRevokeRequest { id: self.lease });
    }
}

/// Whether another endpoint, or the same one later, may do better.
fn may_pass(failure: &Failure) -> bool {
    failure.is_transport() || failure.status().is_some_and(|status| status.code == code::UNAVAILABLE)
}

fn next_endpoint(client: &mut Client<'_>) {
    client.abandon();
    // A signal ends it early, and is seen by the next call.
    let _ = signal::wait(&mut [], Some(PAUSE.into()));
}

/// An answer, so that nobody tries again.
fn expired() -> Failure {
    Failure::Status(Status { code: 0, message: String::from("session expired") })
}

/// What ends a wait, so that what is held can be given up.
const ENDINGS: [Signal; 2] = [Signal::SIGINT, Signal::SIGTERM];

pub fn lock(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.given.words.clone();
    let need = "lock takes a lock name argument and an optional command to execute";
    session.expect(!words.is_empty(), need)?;
    let name = words.first().cloned().unwrap_or_default();
    let command = words.get(1..).unwrap_or_default().to_vec();
    let ttl = session.number("ttl");
    let mut client = session.client()?;
    let _caught = Caught::new(&ENDINGS);
    client.settings.limits.interruptible = true;
    let mut claim = Claim::new(client, &name, ttl, b"").map_err(|failure| session.failed(&failure))?;
    let done = locked(session, &mut claim, &command);
    claim.release();
    done
}

fn locked(session: &mut Session<'_, '_>, claim: &mut Claim<'_>, command: &[Vec<u8>]) -> Result<Exit> {
    claim.wait().map_err(|failure| match failure {
        Failure::Interrupted => session.fail(status::ERROR, "context canceled"),
        failure => session.failed(&failure),
    })?;
    if !command.is_empty() {
        let revision = claim.header.map_or(0, |header| header.revision);
        let key = String::from_utf8_lossy(&claim.key).into_owned();
        let variables = [("ETCD_LOCK_KEY", key), ("ETCD_LOCK_REV", revision.to_string())];
        let _ = signal::set(Signal::SIGCHLD, Disposition::Catch);
        let child = session.start(command, &variables)?;
        let mut lost = false;
        let status = loop {
            match launch::wait(false, false) {
                Ok(Some(change @ (Change::Exited(..) | Change::Killed(..)))) if change.pid() == child => {
                    break change.status();
                }
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(error) => return Err(session.fail(status::ERROR, error.desc())),
            }
            // The command's end comes as a signal; other signals are the command's business.
            let _ = signal::wait(&mut [], (!lost).then(|| claim.due().left().into()));
            signal::take().for_each(drop);
            if lost {
                continue;
            }
            match claim.renew() {
                Ok(()) | Err(Failure::Interrupted) => {}
                Err(failure) => {
                    if let Err(failure) = claim.survive(failure) {
                        // The command runs on, as under the real one; it is waited for.
                        session.cx.note(format_args!("the lock is lost: {failure}"));
                        lost = true;
                    }
                }
            }
        };
        if status == 0 {
            return Ok(Exit(0));
        }
        if matches!(status, 126 | 127) {
            // It was not started, and has said so.
            return Ok(Exit(status));
        }
        return Err(session.fail(status, format_args!("exit status {status}")));
    }
    let key = claim.key.clone();
    let reply = show_key(session, claim, &key)?;
    if reply.kvs.is_empty() {
        return Err(session.fail(status::ERROR, "lock lost on init"));
    }
    match claim.hold() {
        Failure::Interrupted => Ok(Exit(0)),
        failure => Err(session.failed(&failure)),
    }
}

/// Prints a key as `get` would.
fn show_key(session: &mut Session<'_, '_>, claim: &mut Claim<'_>, key: &[u8]) -> Result<RangeResponse> {
    let asked = claim.client.ask(&RangeRequest { key: key.to_vec(), ..RangeRequest::default() });
    let reply = asked.map_err(|failure| session.failed(&failure))?;
    kv::show_range(session, &reply)?;
    session.cx.io.out.flush()?;
    Ok(reply)
}

pub fn elect(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.given.words.clone();
    let need = "elect takes one election name argument and an optional proposal argument";
    session.expect(matches!(words.len(), 1 | 2), need)?;
    let listens = session.bool("listen");
    session.expect(words.len() == 2 || listens, "no proposal argument but -l not set")?;
    session.expect(words.len() == 1 || !listens, "proposal given but -l is set")?;
    let name = words.first().cloned().unwrap_or_default();
    let mut client = session.client()?;
    let _caught = Caught::new(&ENDINGS);
    client.settings.limits.interruptible = true;
    if listens {
        return observe(session, &mut client, &name);
    }
    let proposal = words.get(1).cloned().unwrap_or_default();
    let mut claim = Claim::new(client, &name, 60, &proposal).map_err(|failure| session.failed(&failure))?;
    let done = elected(session, &mut claim);
    claim.release();
    done
}

fn elected(session: &mut Session<'_, '_>, claim: &mut Claim<'_>) -> Result<Exit> {
    claim.wait().map_err(|failure| match failure {
        Failure::Interrupted => session.fail(status::ERROR, "context canceled"),
        failure => session.failed(&failure),
    })?;
    let key = claim.key.clone();
    show_key(session, claim, &key)?;
    match claim.hold() {
        Failure::Interrupted => Ok(Exit(0)),
        failure => Err(session.failed(&failure)),
    }
}

/// Prints each leader, and what it says, from whichever endpoint answers, for as long as that takes.
fn observe(session: &mut Session<'_, '_>, client: &mut Client<'_>, name: &[u8]) -> Result<Exit> {
    let prefix = [name, b"/"].concat();
    let request = RangeRequest {
        range_end: prefix_end(&prefix),
        key: prefix,
        limit: 1,
        sort_order: SortOrder::Ascend as i32,
        sort_target: SortTarget::Create as i32,
        ..RangeRequest::default()
    };
    let mut last = None;
    // Whether any has answered yet, and whether it was said that none does now.
    let (mut reached, mut said) = (false, false);
    loop {
        let failure = match client.ask(&request) {
            Ok(reply) => {
                (reached, said) = (true, false);
                let from = reply.header.map_or(0, |header| header.revision) + 1;
                let leader = reply.kvs.first().map(|pair| (pair.key.clone(), pair.mod_revision));
                if leader.is_some() && leader != last {
                    kv::show_range(session, &RangeResponse { more: false, count: 0, ..reply })?;
                    session.cx.io.out.flush()?;
                }
                last = leader.or(last);
                match changed(client, &request, from) {
                    Ok(()) => continue,
                    Err(failure) => failure,
                }
            }
            Err(failure) => {
                if reached && !said && may_pass(&failure) {
                    session.cx.note(format_args!("{failure}: trying again"));
                    said = true;
                }
                failure
            }
        };
        match failure {
            Failure::Interrupted => return Ok(Exit(0)),
            failure if reached && may_pass(&failure) => next_endpoint(client),
            failure => return Err(session.failed(&failure)),
        }
    }
}

/// Waits until anything happens to the candidates, which may change who leads.
fn changed(client: &mut Client<'_>, range: &RangeRequest, from: i64) -> Done<()> {
    let mut stream = client.open(WATCH, true)?;
    let create = WatchCreate {
        key: range.key.clone(),
        range_end: range.range_end.clone(),
        start_revision: from,
        ..WatchCreate::default()
    };
    client.send(&mut stream, &WatchRequest { action: Some(WatchAction::Create(create)) }, false)?;
    loop {
        match client.next(&mut stream, None, None)? {
            Next::Message(bytes) => {
                let reply: WatchResponse = decode(&bytes)?;
                if !reply.events.is_empty() || reply.canceled {
                    return Ok(());
                }
            }
            Next::End | Next::Other => return Err(Failure::Closed(true)),
        }
    }
}
