//! make-mirror: copies the keys of a prefix to another cluster, and then each change, for ever.

use std::io::Write;
use std::time::{Duration, Instant};

use super::{Session, status};
use crate::applet::{Exit, Result};
use crate::net::Deadline;
use crate::net::tls::Names;
use crate::protocol::etcd::client::{Next, decode};
use crate::protocol::etcd::message::{
    DeleteRangeRequest, Event, EventType, PutRequest, RangeRequest, Request, RequestOp, TxnRequest, WATCH, WatchAction,
    WatchCreate, WatchRequest, WatchResponse,
};
use crate::protocol::etcd::range::{Pages, prefix_end};
use crate::protocol::etcd::{Client, Failure};

/// How often the count is printed.
const PRINTED: Duration = Duration::from_secs(30);

/// The destination's flags.
static NAMES: Names = Names {
    ca: "--dest-cacert",
    cert: "--dest-cert",
    key: "--dest-key",
    server_name: None,
    insecure: None,
    plain: "http:// asks for none",
};

struct Mirror<'c> {
    from: Client<'c>,
    to: Client<'c>,
    prefix: Vec<u8>,
    new_prefix: Vec<u8>,
    most: usize,
    total: u64,
    printed: Instant,
}

pub fn make_mirror(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.given.words.clone();
    session.expect(words.len() == 1, "make-mirror takes one destination argument")?;
    let (prefix, mut new_prefix) = (session.bytes("prefix").to_vec(), session.bytes("dest-prefix").to_vec());
    let none = session.bool("no-dest-prefix");
    let both = "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one";
    session.expect(!none || new_prefix.is_empty(), both)?;
    if !none && new_prefix.is_empty() {
        new_prefix.clone_from(&prefix);
    }
    let user = session.user("dest-user", "dest-password", "Destination Password: ")?;
    let to = session.client_of(&words, user, "dest-", &NAMES)?;
    let from = session.client()?;
    let most = usize::try_from(session.number("max-txn-ops")).unwrap_or(0).max(1);
    let revision = session.number("rev").saturating_sub(1).max(0);
    let mut mirror = Mirror { from, to, prefix, new_prefix, most, total: 0, printed: Instant::now() };
    let failure = mirror.run(session, revision);
    match failure {
        Ok(failure) => Err(session.fail(status::ERROR, failure)),
        Err(error) => Err(error),
    }
}

impl Mirror<'_> {
    /// Never ends well: what ended it, or that its count could not be printed.
    fn run(&mut self, session: &mut Session<'_, '_>, mut revision: i64) -> Result<Failure> {
        let (key, range_end) = match self.prefix.as_slice() {
            b"" => (vec![0], vec![0]),
            prefix => (prefix.to_vec(), prefix_end(prefix)),
        };
        if revision == 0 {
            let request = RangeRequest { key: key.clone(), range_end: range_end.clone(), ..RangeRequest::default() };
            let mut pages = Pages::new(request);
            loop {
                let pairs = match pages.next(&mut self.from) {
                    Ok(Some(pairs)) => pairs,
                    Ok(None) => break,
                    Err(failure) => return Ok(failure),
                };
                for pair in pairs {
                    let (key, value) = (self.renamed(&pair.key), pair.value.to_vec());
                    if let Err(failure) = self.to.ask(&PutRequest { key, value, ..PutRequest::default() }) {
                        return Ok(failure);
                    }
                    self.total += 1;
                    self.print(session)?;
                }
            }
            revision = pages.header.map_or(0, |header| header.revision);
        }
        let start_revision = revision.saturating_add(1);
        let create = WatchCreate { key, range_end, start_revision, ..WatchCreate::default() };
        let started = self.from.open(WATCH, true).and_then(|mut stream| {
            let request = WatchRequest { action: Some(WatchAction::Create(create)) };
            self.from.send(&mut stream, &request, false)?;
            Ok(stream)
        });
        let mut stream = match started {
            Ok(stream) => stream,
            Err(failure) => return Ok(failure),
        };
        loop {
            match self.from.next(&mut stream, Some(Deadline::at(self.printed + PRINTED)), None) {
                Ok(Next::Message(bytes)) => match decode::<WatchResponse>(&bytes) {
                    Ok(reply) if reply.canceled => {
                        let text = "etcdserver: mvcc: required revision has been compacted";
                        return Ok(Failure::Protocol(String::from(text)));
                    }
                    Ok(reply) => {
                        if let Err(failure) = self.apply(&reply.events) {
                            return Ok(failure);
                        }
                    }
                    Err(failure) => return Ok(failure),
                },
                Ok(Next::End | Next::Other) => return Ok(Failure::Closed(true)),
                Err(Failure::Silent) if self.printed.elapsed() >= PRINTED => {}
                Err(failure) => return Ok(failure),
            }
            self.print(session)?;
        }
    }

    /// The changes of one revision in one transaction, in parts where there are too many.
    fn apply(&mut self, events: &[Event]) -> std::result::Result<(), Failure> {
        let mut held: (i64, Vec<RequestOp>) = (0, Vec::new());
        for event in events {
            let Some(pair) = &event.kv else { continue };
            if held.0 != pair.mod_revision || held.1.len() >= self.most {
                self.commit(std::mem::take(&mut held.1))?;
                held.0 = pair.mod_revision;
            }
            let key = self.renamed(&pair.key);
            let request = match event.r#type == EventType::Delete as i32 {
                true => Request::DeleteRange(DeleteRangeRequest { key, ..DeleteRangeRequest::default() }),
                false => Request::Put(PutRequest { key, value: pair.value.to_vec(), ..PutRequest::default() }),
            };
            held.1.push(RequestOp { request: Some(request) });
            self.total += 1;
        }
        self.commit(held.1)
    }

    fn commit(&mut self, success: Vec<RequestOp>) -> std::result::Result<(), Failure> {
        match success.is_empty() {
            true => Ok(()),
            false => self.to.ask(&TxnRequest { success, ..TxnRequest::default() }).map(|_| ()),
        }
    }

    fn renamed(&self, key: &[u8]) -> Vec<u8> {
        let rest = key.strip_prefix(self.prefix.as_slice()).unwrap_or(key);
        [&self.new_prefix[..], rest].concat()
    }

    fn print(&mut self, session: &mut Session<'_, '_>) -> Result<()> {
        if self.printed.elapsed() >= PRINTED {
            session.write(format!("{}\n", self.total))?;
            session.cx.io.out.flush()?;
            self.printed = Instant::now();
        }
        Ok(())
    }
}
