//! The items while they come: which are wanted, and what becomes of them.

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::super::super::Failure;
use super::super::explain::{explain, kind_failure};
use super::super::server::{Server, Session};
use super::super::stats::{fetch, matches};
use super::super::{Outcome, Stop};
use super::{Ending, List, Via};
use crate::applet::Context;
use crate::inspect::memcached::keyspace::tally;
use crate::inspect::memcached::tables::rows;
use crate::net::{Deadline, wait};
use crate::output::table::{self, Cell, Column};
use crate::output::{json::Object, shown, units};
use crate::protocol::memcached::client::Error as Trouble;
use crate::protocol::memcached::dump::{Expires, Item};
use crate::protocol::memcached::text::Refusal;

const LONG: [Column; 6] = [
    Column::right("size", "size_bytes", 6),
    Column::right("ttl", "ttl_seconds", 7),
    Column::right("idle", "idle_seconds", 7),
    Column::left("fetched", "fetched", 7),
    Column::right("cls", "class", 3),
    Column::left("key", "key", 0),
];

impl List<'_> {
    /// Takes the whole list.
    pub(super) fn take(
        &mut self,
        cx: &mut Context<'_>,
        server: &Server,
        session: &mut Session,
        via: Via,
    ) -> Outcome<Ending> {
        let timeout = self.keys.shared.timeout;
        let until = Deadline::after(self.keys.max_time);
        let requests: Vec<Vec<u8>> = match via {
            // Before 1.5.4 a list has no end; the answer to what is asked behind it is one.
            Via::Metadump if session.numbers().is_some_and(|version| version < [1, 5, 4]) => {
                vec![b"lru_crawler metadump all\r\nversion\r\n".to_vec()]
            }
            Via::Metadump => vec![b"lru_crawler metadump all\r\n".to_vec()],
            Via::Hash => vec![b"lru_crawler metadump hash\r\n".to_vec()],
            Via::Mgdump => vec![b"lru_crawler mgdump all\r\n".to_vec()],
            Via::Cachedump => {
                let items = fetch(server, session, Some(b"items"), timeout)?;
                let classes = rows(&items, "items:").into_keys();
                classes.map(|class| format!("stats cachedump {class} 0\r\n").into_bytes()).collect()
            }
        };
        for request in requests {
            let patience = Deadline::after(timeout);
            loop {
                match self.part(cx, session, via, &request, until)? {
                    Ok(Ending::Complete) => break,
                    Ok(ending) => return Ok(ending),
                    Err(Trouble::Refused(Refusal::Busy(_))) if self.seen == 0 && !patience.left().is_zero() => {
                        let _ = wait(&mut [], Deadline::after(Duration::from_millis(100)));
                    }
                    Err(trouble) => return Ok(Ending::Failed(self.failure(server, &trouble, via, until))),
                }
            }
        }
        Ok(Ending::Complete)
    }

    /// One request's answer.
    fn part(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        via: Via,
        request: &[u8],
        until: Deadline,
    ) -> Outcome<std::result::Result<Ending, Trouble>> {
        let mut ending = Ending::Complete;
        session.again(self.keys.shared.timeout);
        if let Err(trouble) = session.client.send(request) {
            return Ok(Err(trouble));
        }
        loop {
            let pause = Deadline::after(self.keys.shared.timeout);
            session.client.stream().set_deadline(pause.min(until));
            let ended = session.client.items(via.form(), &mut |item| {
                self.item(item);
                ending = match () {
                    () if self.keys.limit.is_some_and(|limit| self.matched >= limit) => Ending::Limit,
                    () if !self.spool.has_room() => Ending::Reader,
                    () => return Ok(true),
                };
                Ok(false)
            });
            self.spool.pump(&mut cx.io.out).map_err(Stop::from)?;
            match ended {
                Ok(true) => return Ok(Ok(ending)),
                Ok(false) => {}
                Err(trouble) => return Ok(Err(trouble)),
            }
        }
    }

    fn failure(&self, server: &Server, trouble: &Trouble, via: Via, until: Deadline) -> Failure {
        let seen = self.seen;
        match trouble {
            Trouble::Refused(Refusal::Unknown(text)) if text.is_empty() && self.keys.via.is_none() && seen == 0 => {
                // An old server, or one that does not tell its version: another way is tried.
                let kind = if via == Via::Metadump { "unknown-command" } else { "refused-by-server" };
                Failure { kind, ..explain(server, trouble, self.keys.shared.timeout) }
            }
            Trouble::Closed(0) => kind_failure(
                "closed",
                String::from("closed without an answer: a proxy lists no keys (ask the servers behind it)"),
            ),
            Trouble::Closed(_) => {
                kind_failure("protocol", format!("closed in the middle of the list, after {seen} keys"))
            }
            Trouble::Io(error)
                if error.kind() == std::io::ErrorKind::TimedOut && (seen > 0 || until.left().is_zero()) =>
            {
                let why = match until.left().is_zero() {
                    true => format!("the list took longer than {:?} (--max-time)", self.keys.max_time),
                    false => format!("no more of the list for {:?} (--timeout)", self.keys.shared.timeout),
                };
                kind_failure("timeout", format!("{why}, after {seen} keys: hung up"))
            }
            trouble => explain(server, trouble, self.keys.shared.timeout),
        }
    }

    fn item(&mut self, item: &Item<'_>) {
        self.seen += 1;
        let keys = self.keys;
        // The sum of all needs no keys.
        if keys.summary && !keys.by_prefix && keys.prefix.is_none() && keys.glob.is_empty() {
            return self.matching(item, b"");
        }
        let mut buffer = std::mem::take(&mut self.key);
        let key = item.key(&mut buffer);
        let fits = keys.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix.as_bytes()))
            && (keys.glob.is_empty() || keys.glob.iter().any(|glob| matches(glob.as_bytes(), key)));
        if fits {
            self.matching(item, key);
        }
        self.key = buffer;
    }

    fn matching(&mut self, item: &Item<'_>, key: &[u8]) {
        self.matched += 1;
        if !self.keys.is_list() {
            let facts = item.facts();
            let tally = tally(&facts, self.now);
            self.summary.add(&facts, &tally);
            if let Some(prefixes) = &mut self.prefixes {
                prefixes.add(key, &tally);
            }
            return;
        }
        let place = match self.keys.sample {
            None => None,
            Some(0) => return,
            Some(most) if self.sample.len() < most => Some(self.sample.len()),
            // Each later key takes the place of an earlier one as often as makes all alike.
            Some(most) => match usize::try_from(self.throw() % self.matched) {
                Ok(place) if place < most => Some(place),
                _ => return,
            },
        };
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        if self.matched == 1 && self.keys.long && !self.keys.shared.json && table::heading(&mut line, &LONG).is_ok() {
            self.spool.push(&line);
            line.clear();
        }
        self.render(item, key, &mut line);
        match place {
            None => self.spool.push(&line),
            Some(place) if place < self.sample.len() => self.sample[place].clone_from(&line),
            Some(_) => self.sample.push(line.clone()),
        }
        self.line = line;
    }

    /// xorshift64: good enough for a sample.
    fn throw(&mut self) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice
    }

    fn render(&self, item: &Item<'_>, key: &[u8], line: &mut Vec<u8>) {
        if !self.keys.long && !self.keys.shared.json {
            // A line is one key: what has line ends in it is not told as two.
            line.extend_from_slice(&shown(key, self.terminal || key.iter().any(u8::is_ascii_control)));
            line.push(b'\n');
            return;
        }
        let facts = item.facts();
        let left = match facts.expires {
            Expires::At(time) => Some(time.saturating_sub(self.now)),
            _ => None,
        };
        let idle = facts.used.map(|used| self.now.saturating_sub(used));
        if self.keys.shared.json {
            let mut object = Object::new();
            let expires = if let Expires::At(time) = facts.expires { Some(time) } else { None };
            object.bytes("key", key).number("size_bytes", facts.size).number("expires", expires);
            match facts.expires {
                Expires::Unknown => object.null("never_expires"),
                known => object.bool("never_expires", known == Expires::Never),
            };
            object.number("ttl_seconds", left).number("idle_seconds", idle).number("cas", facts.cas);
            match facts.fetched {
                Some(fetched) => object.bool("fetched", fetched),
                None => object.null("fetched"),
            };
            object.number("class", facts.class).number("flags", facts.flags);
            line.extend_from_slice(self.lead.as_bytes());
            line.push(b',');
            line.extend_from_slice(object.finish().trim_start_matches('{').as_bytes());
            line.push(b'\n');
            return;
        }
        let time = |seconds: Option<u64>| seconds.map_or(Cell::Unknown, |it| Cell::Text(units::duration(it)));
        let cells = [
            facts.size.map_or(Cell::Unknown, |size| Cell::Text(units::short(size))),
            match facts.expires {
                Expires::Never => Cell::Text(String::from("never")),
                _ => time(left),
            },
            time(idle),
            facts.fetched.map_or(Cell::Unknown, Cell::Bool),
            facts.class.map_or(Cell::Unknown, Cell::Number),
            Cell::Bytes(key.to_vec()),
        ];
        let _ = table::row(line, &LONG, &cells);
    }
}
