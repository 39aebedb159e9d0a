//! keys: what the server holds, key by key or summed up. Longer than most: it asks in four ways, and answers in five.
//!
//! A server may come to harm by a list that nobody reads: clients wait for it. So the list is taken as fast as it comes. What
//! our own reader does not take at once waits in memory, and where that is full we hang up and say so.

use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant, SystemTime};

use super::super::{Failure, duration};
use super::explain::{explain, kind_failure};
use super::options::Shared;
use super::server::{Over, Server, Session};
use super::spool::Spool;
use super::stats::{fetch, matches};
use super::{Answer, Ask, Outcome, Stop};
use crate::applet::{Context, Error, Result};
use crate::inspect::memcached::frequent::Tally;
use crate::inspect::memcached::keyspace::{Bucket, Cut, Prefixes, Summary, tally};
use crate::inspect::memcached::tables::rows;
use crate::net::{Deadline, wait};
use crate::output::table::{self, Cell, Column};
use crate::output::{Safe, json, json::Object, shown, units};
use crate::protocol::memcached::client::{Dialect, Error as Trouble};
use crate::protocol::memcached::dump::{Expires, Form, Item};
use crate::protocol::memcached::text::{Refusal, number};

/// The commands, by the names that they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Metadump,
    Hash,
    Mgdump,
    Cachedump,
}

impl Via {
    fn name(self) -> &'static str {
        match self {
            Via::Metadump => "metadump",
            Via::Hash => "hash",
            Via::Mgdump => "mgdump",
            Via::Cachedump => "cachedump",
        }
    }

    fn form(self) -> Form {
        match self {
            Via::Metadump | Via::Hash => Form::Meta,
            Via::Mgdump => Form::Mg,
            Via::Cachedump => Form::Cache,
        }
    }
}

fn via(text: &str) -> std::result::Result<Via, &'static str> {
    let all = [Via::Metadump, Via::Hash, Via::Mgdump, Via::Cachedump];
    all.into_iter().find(|via| via.name() == text).ok_or("metadump, hash, mgdump or cachedump")
}

/// List the keys, or sum them up: how many, how large, how long, whose
///
/// Nothing is fetched or touched. With --json one object a key, and then one about the list.
#[derive(clap::Parser)]
#[command(
    name = "memcached keys",
    override_usage = "probe memcached [OPTIONS] [ADDRESS] keys [-p TEXT] [-g PATTERN] [-l | --summary | --by-prefix]"
)]
pub struct Keys {
    #[command(flatten)]
    shared: Shared,
    /// Only keys that begin so
    #[arg(short, long, value_name = "TEXT")]
    prefix: Option<OsString>,
    /// Only keys that match: * and ? as in the shell; may be repeated
    #[arg(short, value_name = "PATTERN")]
    glob: Vec<OsString>,
    /// Hang up after so many keys
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Any N of them, each as likely as another
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Also size, time to live, time since the last use, whether it was fetched, and slab class
    #[arg(short, long)]
    long: bool,
    /// Counts, and histograms of sizes and times to live
    #[arg(long)]
    summary: bool,
    /// The memory by the beginnings of keys
    #[arg(long)]
    by_prefix: bool,
    /// The characters that a beginning ends with
    #[arg(long, value_name = "CHARS", default_value = ":")]
    delimiter: OsString,
    /// Behind how many of them it ends
    #[arg(long, value_name = "N", default_value_t = 1)]
    depth: usize,
    /// How many beginnings are shown
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Ask by metadump, hash, mgdump or cachedump
    #[arg(long, value_name = "NAME", value_parser = via)]
    via: Option<Via>,
    /// Hang up after this time; --timeout is for a pause in the list
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    max_time: Duration,
}

/// How the list ended.
enum Ending {
    Complete,
    /// As many keys as were asked for.
    Limit,
    /// Whoever reads our output does not keep up.
    Reader,
    Failed(Failure),
}

/// More than anybody wants to look at.
const MAX_SAMPLE: usize = 100_000;

impl Ask for Keys {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn check(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        if self.sample.is_some_and(|most| most > MAX_SAMPLE) {
            return Err(Error::usage(format_args!("--sample takes at most {MAX_SAMPLE}")));
        }
        if self.sample.is_some() && (self.summary || self.by_prefix) {
            return Err(Error::usage("--sample is a list of keys, no summary"));
        }
        if self.limit == Some(0) {
            return Err(Error::usage("-n begins with 1"));
        }
        match self.depth {
            0 => Err(Error::usage("--depth begins with 1")),
            _ => Ok(()),
        }
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let mut session = server.open(cx, &self.shared)?;
        if server.over == Over::Datagrams || session.client.dialect() == Dialect::Binary {
            let text = "keys are listed in the text protocol over TCP or a Unix socket alone";
            return Err(kind_failure("not-sent", String::from(text)).into());
        }
        let mut via = self.choose(&session)?;
        let stats = fetch(server, &mut session, None, self.shared.timeout)?;
        let named = |name: &[u8]| {
            let found = stats.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            found.and_then(|value| number(value))
        };
        let own = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let started = Instant::now();
        let mut list = List {
            keys: self,
            now: named(b"time").unwrap_or(own),
            seen: 0,
            matched: 0,
            summary: Summary::default(),
            prefixes: self.prefixes(),
            spool: Spool::new(&cx.io.out, false),
            sample: Vec::new(),
            dice: RandomState::new().build_hasher().finish() | 1,
            terminal: cx.terminal(),
            lead: self.lead(server),
            key: Vec::new(),
            line: Vec::new(),
        };
        let mut ending = list.take(cx, server, &mut session, via)?;
        if let Ending::Failed(Failure { kind: "unknown-command", .. }) = ending {
            via = Via::Cachedump;
            ending = list.take(cx, server, &mut session, via)?;
        }
        // Before anybody is waited for.
        drop(session);
        let seconds = started.elapsed().as_secs_f64();
        if matches!(via, Via::Cachedump) && matches!(ending, Ending::Complete) {
            let items = named(b"curr_items").unwrap_or(0);
            if list.seen < items {
                let text = format!(
                    "{} of {items} items: 'stats cachedump' tells at most 2 MB of each slab class, and since 1.5 of its cold part \
                     alone",
                    list.seen
                );
                ending = Ending::Failed(Failure { kind: "partly", message: text, status: 0 });
            }
        }
        if let Ending::Failed(failure) = ending {
            if list.seen == 0 {
                return Err(failure.into());
            }
            ending = Ending::Failed(failure);
        }
        self.tell(cx, server, list, via, ending, seconds)
    }
}

impl Keys {
    /// The way to ask that this version has, and that does it no harm.
    fn choose(&self, session: &Session) -> std::result::Result<Via, Failure> {
        let version = session.numbers();
        let before = |first: [u32; 3]| version.is_some_and(|version| version < first);
        let refuse = |text: &str| Err(kind_failure("not-sent", String::from(text)));
        match self.via {
            Some(Via::Hash) if before([1, 6, 19]) => {
                refuse("metadump hash makes clients wait for whoever reads it before 1.6.19: not asked")
            }
            Some(Via::Mgdump) if before([1, 6, 19]) => refuse("mgdump came with 1.6.19"),
            Some(Via::Metadump) if before([1, 4, 31]) => refuse("metadump came with 1.4.31: --via cachedump"),
            Some(via) => Ok(via),
            None if before([1, 4, 31]) => Ok(Via::Cachedump),
            None => Ok(Via::Metadump),
        }
    }

    fn prefixes(&self) -> Option<Prefixes> {
        let cut = || Cut { delimiters: self.delimiter.as_bytes().to_vec(), depth: self.depth };
        self.by_prefix.then(|| Prefixes::new(cut()))
    }

    fn is_list(&self) -> bool {
        !self.summary && !self.by_prefix
    }

    /// What every line for machines begins with.
    fn lead(&self, server: &Server) -> String {
        let mut lead = String::from("{\"server\":");
        json::bytes(&mut lead, &server.address());
        lead
    }

    fn tell(
        &self,
        cx: &mut Context<'_>,
        server: &Server,
        mut list: List<'_>,
        via: Via,
        ending: Ending,
        seconds: f64,
    ) -> Outcome<Answer> {
        for line in std::mem::take(&mut list.sample) {
            list.spool.push(&line);
        }
        list.spool.finish(&mut cx.io.out)?;
        let all = list.summary.all;
        let (status, reason) = match ending {
            Ending::Complete => (0, None),
            Ending::Limit => (0, Some(String::from("as many as were asked for"))),
            Ending::Reader => {
                (2, Some(String::from("nobody read the output: hung up, so that the server does not wait")))
            }
            Ending::Failed(failure) => (failure.status, Some(failure.message)),
        };
        let asked = self.prefix.is_some() || !self.glob.is_empty();
        let status = if status == 0 && asked && list.matched == 0 { 1 } else { status };
        if let Some(reason) = reason.as_ref().filter(|_| self.limit.is_none_or(|limit| list.matched < limit)) {
            cx.note(format_args!("{}: {reason}", Safe(&server.address())));
        }
        let mut data = Object::new();
        data.text("via", via.name()).bool("complete", reason.is_none());
        match &reason {
            Some(reason) => data.text("reason", reason),
            None => data.null("reason"),
        };
        data.float("seconds", Some((seconds * 1e3).round() / 1e3));
        data.number("listed", Some(list.seen)).number("items", Some(list.matched));
        let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let sized = via != Via::Mgdump;
        if !self.is_list() {
            data.number("bytes", sized.then_some(all.bytes))
                .number("fetched", (list.summary.told > 0).then_some(all.hits))
                .float("fetched_ratio", ratio(all.hits, list.summary.told))
                .number("never_expire", sized.then_some(all.forever))
                .number("mean_ttl_seconds", all.mean_left());
        }
        if !self.shared.json && !self.is_list() {
            let size = if sized { format!(", {}", units::bytes(all.bytes)) } else { String::new() };
            let address = server.address();
            writeln!(
                cx.io.out,
                "{}  {} items{size}, in {seconds:.1} s by {}",
                Safe(&address),
                list.matched,
                via.name()
            )?;
        }
        if self.summary {
            self.histograms(cx, &list, &mut data)?;
        }
        if let Some(prefixes) = &list.prefixes {
            self.beginnings(cx, &all, prefixes, &mut data)?;
        }
        Ok(Answer::new(status, data))
    }

    fn histograms(&self, cx: &mut Context<'_>, list: &List<'_>, data: &mut Object) -> Outcome<()> {
        let Summary { all, told, .. } = &list.summary;
        let sizes: Vec<_> = list.summary.sizes().collect();
        let lives: Vec<_> = list.summary.lives().collect();
        let counted = |object: &mut Object, bucket: &Bucket| {
            object.number("items", Some(bucket.items)).number("bytes", Some(bucket.bytes));
        };
        data.objects(
            "sizes",
            sizes.iter().map(|(from, to, bucket)| {
                let mut object = Object::new();
                object.number("from_bytes", Some(*from)).number("to_bytes", Some(*to));
                counted(&mut object, bucket);
                object
            }),
        );
        data.objects(
            "ttl",
            lives.iter().map(|(name, bucket)| {
                let mut object = Object::new();
                object.text("span", name);
                counted(&mut object, bucket);
                object
            }),
        );
        if self.shared.json || list.matched == 0 {
            return Ok(());
        }
        if *told > 0 {
            writeln!(cx.io.out, "fetched since they were stored: {} ({}%)", all.hits, percent(all.hits, *told))?;
        }
        for title in ["size", "ttl"] {
            let columns = [
                Column::left(title, "span", 8),
                Column::right("items", "items", 0),
                Column::right("%", "items", 0),
                Column::right("bytes", "bytes", 0),
                Column::right("%", "bytes", 0),
            ];
            let row = |name: String, bucket: &Bucket| {
                vec![
                    Cell::Text(name),
                    Cell::Number(bucket.items),
                    Cell::Text(percent(bucket.items, all.count)),
                    Cell::Text(units::short(bucket.bytes)),
                    Cell::Text(percent(bucket.bytes, all.bytes)),
                ]
            };
            let rows: Vec<Vec<Cell>> = match title {
                "size" => {
                    sizes.iter().map(|(_, to, bucket)| row(format!("<{}", units::short(to + 1)), bucket)).collect()
                }
                _ => lives.iter().map(|(name, bucket)| row(String::from(*name), bucket)).collect(),
            };
            if !rows.is_empty() {
                table::fitted(&mut cx.io.out, &columns, &rows)?;
            }
        }
        Ok(())
    }

    fn beginnings(&self, cx: &mut Context<'_>, all: &Tally, prefixes: &Prefixes, data: &mut Object) -> Outcome<()> {
        let largest = prefixes.found.largest(self.top);
        let object = |(prefix, tally): &(&[u8], &Tally)| {
            let mut object = Object::new();
            object
                .bytes("prefix", prefix)
                .number("items", Some(tally.count))
                .number("bytes", Some(tally.bytes))
                .number("mean_ttl_seconds", tally.mean_left())
                .number("never_expire", Some(tally.forever))
                .number("fetched", Some(tally.hits));
            object
        };
        let missing = prefixes.found.missing();
        data.objects("prefixes", largest.iter().map(object)).number("missing_bytes_at_most", Some(missing));
        if self.shared.json || largest.is_empty() {
            return Ok(());
        }
        let columns = [
            Column::right("items", "items", 0),
            Column::right("%", "items", 0),
            Column::right("bytes", "bytes", 0),
            Column::right("%", "bytes", 0),
            Column::right("mean", "mean_bytes", 0),
            Column::right("ttl", "mean_ttl_seconds", 0),
            Column::right("never", "never_expire", 0),
            Column::right("fetched", "fetched", 0),
            Column::left("prefix", "prefix", 0),
        ];
        let row = |name: Cell, tally: &Tally| {
            vec![
                Cell::Number(tally.count),
                Cell::Text(percent(tally.count, all.count)),
                Cell::Text(units::short(tally.bytes)),
                Cell::Text(percent(tally.bytes, all.bytes)),
                Cell::Text(units::short(tally.bytes / tally.count.max(1))),
                tally.mean_left().map_or(Cell::Unknown, |left| Cell::Text(units::duration(left))),
                Cell::Text(percent(tally.forever, tally.count)),
                Cell::Text(percent(tally.hits, tally.count)),
                name,
            ]
        };
        let mut rest = *all;
        let mut rows = Vec::new();
        for (prefix, tally) in &largest {
            rest = Tally {
                count: rest.count.saturating_sub(tally.count),
                bytes: rest.bytes.saturating_sub(tally.bytes),
                hits: rest.hits.saturating_sub(tally.hits),
                forever: rest.forever.saturating_sub(tally.forever),
                left: rest.left.saturating_sub(tally.left),
            };
            let name =
                if prefix.is_empty() { Cell::Text(String::from("(none)")) } else { Cell::Bytes(prefix.to_vec()) };
            rows.push(row(name, tally));
        }
        if rest.count > 0 {
            rows.push(row(Cell::Text(String::from("(others)")), &rest));
        }
        table::fitted(&mut cx.io.out, &columns, &rows)?;
        if missing > 0 {
            let text = format!(
                "more prefixes than memory is used for: each may lack up to {} (a smaller --depth, or -p)",
                units::bytes(missing)
            );
            writeln!(cx.io.out, "{text}")?;
        }
        Ok(())
    }
}

fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => String::from("-"),
        _ => format!("{:.1}", part as f64 * 100.0 / whole as f64),
    }
}

/// What becomes of the items while they come.
struct List<'a> {
    keys: &'a Keys,
    now: u64,
    seen: u64,
    matched: u64,
    summary: Summary,
    prefixes: Option<Prefixes>,
    spool: Spool,
    /// Lines, of which any may be replaced.
    sample: Vec<Vec<u8>>,
    dice: u64,
    terminal: bool,
    lead: String,
    key: Vec<u8>,
    line: Vec<u8>,
}

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
    fn take(&mut self, cx: &mut Context<'_>, server: &Server, session: &mut Session, via: Via) -> Outcome<Ending> {
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
            line.extend_from_slice(&shown(key, self.terminal));
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
