//! keys: what the server holds, key by key or summed up. Longer than most: it asks in four ways, and answers in five.
//!
//! A server may come to harm by a list that nobody reads: clients wait for it. So the list is taken as fast as it comes. What
//! our own reader does not take at once waits in memory, and where that is full we hang up and say so.

mod list;
mod sums;

use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant, SystemTime};

use super::super::{Failure, duration};
use super::explain::kind_failure;
use super::options::Shared;
use super::server::{Over, Server, Session};
use super::spool::Spool;
use super::stats::fetch;
use super::{Answer, Ask, Outcome};
use crate::applet::{Context, Error, Result};
use crate::inspect::memcached::keyspace::{Cut, Prefixes, Summary};
use crate::output::{Safe, json, json::Object, units};
use crate::protocol::memcached::client::Dialect;
use crate::protocol::memcached::dump::Form;
use crate::protocol::memcached::text::number;

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
        match ending {
            Ending::Failed(failure) if list.seen == 0 => Err(failure.into()),
            ending => self.tell(cx, server, list, via, ending, seconds),
        }
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
}
