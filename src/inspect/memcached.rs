//! What a memcached's statistics say about its health: facts out of `stats`, and the table of rules over them.

pub mod doctor;
mod flags;
pub mod frequent;
pub mod keyspace;
pub mod rates;
pub mod tables;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

pub use flags::Flags;

use self::tables::{Class, Row};
use super::service::{Service, address_told, in_target};
use super::{Finding, Level};
use crate::net::Address;
use crate::output::units;
use crate::protocol::memcached::client::Stats;
use crate::protocol::memcached::text::number;

pub const PORT: u16 = 11211;

pub const SERVICE: Service = Service { comm: b"memcached", port: PORT, told };

/// The numbers that the rules look at; `None` where the server does not tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub version: Option<Vec<u8>>,
    pub uptime: Option<u64>,
    pub memory: Option<u64>,
    pub memory_limit: Option<u64>,
    pub items: Option<u64>,
    pub hits: Option<u64>,
    pub misses: Option<u64>,
    pub connections: Option<u64>,
    pub max_connections: Option<u64>,
    /// How many connections are really possible, where [`capacity`] has found out.
    pub capacity: Option<u64>,
    pub rejected: Option<u64>,
    pub accepting: Option<u64>,
    pub evictions: Option<u64>,
    /// In a second, where two looks have told it.
    pub eviction_rate: Option<f64>,
    pub too_large: Option<u64>,
    pub no_memory: Option<u64>,
    pub auth_errors: Option<u64>,
    /// Where it was asked for them: see [`Facts::lost_some`].
    pub classes: Vec<Class>,
}

/// One that has less of its memory in use is not full.
const ROOM: f64 = 0.75;

impl Facts {
    pub fn new(stats: &Stats) -> Facts {
        let value = |name: &str| stats.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value);
        let count = |name| value(name).and_then(|value| number(value));
        Facts {
            version: value("version").cloned(),
            uptime: count("uptime"),
            memory: count("bytes"),
            memory_limit: count("limit_maxbytes"),
            items: count("curr_items"),
            hits: count("get_hits"),
            misses: count("get_misses"),
            connections: count("curr_connections"),
            max_connections: count("max_connections"),
            capacity: None,
            rejected: count("rejected_connections"),
            accepting: count("accepting_conns"),
            evictions: count("evictions"),
            eviction_rate: None,
            too_large: count("store_too_large"),
            no_memory: count("store_no_memory"),
            auth_errors: count("auth_errors"),
            classes: Vec::new(),
        }
    }

    /// Whether it has lost or refused what a full cache would not: only the classes tell if it still does.
    pub fn lost_some(&self) -> bool {
        self.no_memory.is_some_and(|count| count > 0) || self.evicts_with_room()
    }

    fn evicts_with_room(&self) -> bool {
        self.evictions.is_some_and(|count| count > 0) && self.fill().is_some_and(|fill| fill < ROOM)
    }

    /// The class that lost most by this counter, if it has no room now either.
    fn starved(&self, lost: fn(&Class) -> u64) -> Option<&Class> {
        let worst = self.classes.iter().max_by_key(|class| lost(class)).filter(|class| lost(class) > 0)?;
        worst.full().is_some_and(|full| full > 0.95).then_some(worst)
    }

    pub fn gets(&self) -> Option<u64> {
        self.hits?.checked_add(self.misses?)
    }

    /// Hits of all gets; none before the first get.
    pub fn hit_ratio(&self) -> Option<f64> {
        self.gets().filter(|gets| *gets > 0).and_then(|gets| Some(self.hits? as f64 / gets as f64))
    }

    /// The part of the limit that items take.
    pub fn fill(&self) -> Option<f64> {
        let limit = self.memory_limit.filter(|limit| *limit > 0)?;
        Some(self.memory? as f64 / limit as f64)
    }
}

/// What is asked of a healthy server. What somebody asked for and does not get is a failure, the rest a warning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// The least part of gets that hit.
    pub hits: Option<f64>,
    /// The largest part of the possible connections that are open.
    pub connections: Option<f64>,
    /// The largest part of the memory that is full.
    pub fill: Option<f64>,
    /// The shortest uptime in seconds.
    pub uptime: Option<u64>,
    /// The most evictions in a second.
    pub evictions: Option<f64>,
}

/// How far `curr_connections` can rise: a server refuses by the number of the descriptor, and those below its first listener
/// are no connections. From the rows of `stats conns`. Its further sockets, which have the next numbers, are counted as
/// connections.
pub fn capacity(conns: &BTreeMap<u64, Row>, max_connections: u64) -> Option<u64> {
    let (first, _) = conns.iter().find(|(_, row)| !is_client(row))?;
    max_connections.checked_sub(first.checked_add(2)?)
}

/// Whether a row of `stats conns` is somebody's: listeners and sockets for datagrams are the server's own.
pub fn is_client(row: &Row) -> bool {
    let starts = |field, with| row.text(field).is_some_and(|text| text.starts_with(with));
    !starts("state", b"conn_listening") && !starts("addr", b"udp")
}

type Rule = fn(&Facts, &Limits) -> Option<Finding>;

/// Each looks at one thing and says something only where there is something to say. What a counter has summed since the
/// start is a note: it stays when its cause has long gone. Where the classes show that it has not, it is a warning.
const RULES: [Rule; 9] = [told_enough, fresh, full_of_connections, rejected, full, evictions, stores, misses, logins];

pub fn check(facts: &Facts, limits: &Limits) -> Vec<Finding> {
    RULES.iter().filter_map(|rule| rule(facts, limits)).collect()
}

fn told_enough(facts: &Facts, _: &Limits) -> Option<Finding> {
    let silent = facts.memory.is_none() || facts.connections.is_none() || facts.evictions.is_none();
    let text = "stats lacks memory, connections or evictions (a proxy?): ask the servers behind it";
    silent.then(|| Finding::new(Level::Unknown, "stats", text))
}

fn fresh(facts: &Facts, limits: &Limits) -> Option<Finding> {
    let least = limits.uptime.unwrap_or(180);
    let uptime = facts.uptime.filter(|uptime| *uptime < least)?;
    let text = format!("started {} ago: what it held before is gone", units::duration(uptime));
    Some(Finding::new(if limits.uptime.is_some() { Level::Fail } else { Level::Note }, "uptime", text))
}

/// The limit itself is never reached: see [`capacity`].
fn full_of_connections(facts: &Facts, limits: &Limits) -> Option<Finding> {
    if facts.accepting == Some(0) {
        let text = "it does not accept connections at the moment: the limit (-c) is reached";
        return Some(Finding::new(Level::Fail, "connections", text));
    }
    let possible = facts.capacity.or(facts.max_connections).filter(|limit| *limit > 0)?;
    let open = facts.connections?;
    (open as f64 >= possible as f64 * limits.connections.unwrap_or(0.9)).then(|| {
        let of = facts.max_connections.filter(|most| facts.capacity.is_some_and(|capacity| capacity != *most));
        let of = of.map(|most| format!(" (-c {most})")).unwrap_or_default();
        let text = format!("{open} of {possible} possible{of} are open: more -c, or clients that leak them");
        Finding::new(if limits.connections.is_some() { Level::Fail } else { Level::Warn }, "connections", text)
    })
}

fn full(facts: &Facts, limits: &Limits) -> Option<Finding> {
    let (fill, most) = (facts.fill()?, limits.fill?);
    (fill > most).then(|| {
        let text = format!("{:.1}% of the memory (-m) is full, at most {:.1}% should be", fill * 100.0, most * 100.0);
        Finding::new(Level::Fail, "memory", text)
    })
}

fn rejected(facts: &Facts, _: &Limits) -> Option<Finding> {
    let rejected = facts.rejected.filter(|rejected| *rejected > 0)?;
    let text = format!("{rejected} were rejected since the start: the limit (-c) was reached");
    Some(Finding::new(Level::Note, "connections", text))
}

/// A full cache evicts, that is its work; one with room does so where its slabs are out of balance, or was full
/// before a flush.
fn evictions(facts: &Facts, limits: &Limits) -> Option<Finding> {
    if let (Some(rate), Some(most)) = (facts.eviction_rate, limits.evictions)
        && rate > most
    {
        let text = format!("{rate:.1} in a second, at most {most} should be: more -m, or shorter times to live");
        return Some(Finding::new(Level::Fail, "evictions", text));
    }
    let evicted = facts.evictions.filter(|evicted| *evicted > 0)?;
    let fill = facts.fill()?;
    if !facts.evicts_with_room() {
        let text = format!("{evicted} since the start: the memory (-m) is full");
        return Some(Finding::new(Level::Note, "evictions", text));
    }
    let starved = facts.starved(|class| class.evicted.unwrap_or(0)).filter(|_| facts.eviction_rate != Some(0.0));
    let (level, why) = match starved {
        Some(class) => (Level::Warn, format!(", class {} has no room", class.class)),
        None => (Level::Note, String::from(", or flushed since")),
    };
    let free = (1.0 - fill) * 100.0;
    let text =
        format!("{evicted} since the start, and {free:.0}% of the memory is free now: slabs out of balance{why}");
    Some(Finding::new(level, "evictions", text))
}

fn stores(facts: &Facts, _: &Limits) -> Option<Finding> {
    let (too_large, no_memory) = (facts.too_large.unwrap_or(0), facts.no_memory.unwrap_or(0));
    // One that has evicted will do so again.
    let refused = |class: &Class| class.out_of_memory.filter(|_| class.evicted.unwrap_or(0) == 0).unwrap_or(0);
    let starved = facts.starved(refused);
    let mut text = match (too_large, no_memory) {
        (0, 0) => return None,
        (_, 0) => {
            format!("{too_large} values were larger than an item may be (-I); each deleted what its key had held")
        }
        _ => format!("{no_memory} values found no memory, {too_large} were larger than an item may be (-I)"),
    };
    if let Some(class) = starved {
        text += &format!("; class {} is still full, and evicts nothing", class.class);
    }
    Some(Finding::new(if starved.is_some() { Level::Warn } else { Level::Note }, "stores", text))
}

fn misses(facts: &Facts, limits: &Limits) -> Option<Finding> {
    let (gets, ratio) = (facts.gets()?, facts.hit_ratio()?);
    (gets >= 100 && ratio < limits.hits.unwrap_or(0.5)).then(|| {
        let text =
            format!("{:.1}% of {gets} gets since the start: most of what is asked for is not there", ratio * 100.0);
        match limits.hits {
            None => Finding::new(Level::Note, "hits", text),
            Some(least) => {
                let text = format!("{:.1}% of {gets} gets hit, at least {:.1}% should", ratio * 100.0, least * 100.0);
                Finding::new(Level::Fail, "hits", text)
            }
        }
    })
}

fn logins(facts: &Facts, _: &Limits) -> Option<Finding> {
    let errors = facts.auth_errors.filter(|errors| *errors > 0)?;
    Some(Finding::new(Level::Note, "logins", format!("{errors} failed since the start")))
}

/// What the command line says: `-s PATH`, `-l HOST[:PORT]`, `-p PORT`, in each of the ways to write it.
fn told(args: &[Vec<u8>]) -> Option<Address> {
    let flags = Flags::parse(args.iter().skip(1).map(Vec::as_slice));
    if let Some(path) = flags.value(b's') {
        return Some(Address::Unix(OsStr::from_bytes(&in_target(path)).into()));
    }
    let port = flags.value(b'p').and_then(number).and_then(|port| u16::try_from(port).ok());
    let port = port.filter(|port| *port > 0).unwrap_or(PORT);
    // Of several addresses the first; a kind of TLS may stand before it.
    let first = flags.value(b'l').and_then(|listen| listen.split(|byte| *byte == b',').next());
    let first = first.map(|first| {
        [&b"notls:"[..], b"btls:", b"mtls:"].iter().find_map(|kind| first.strip_prefix(*kind)).unwrap_or(first)
    });
    address_told(first.unwrap_or(b"0.0.0.0"), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(change: impl FnOnce(&mut Facts)) -> Facts {
        let mut facts = Facts {
            uptime: Some(3600),
            memory: Some(10),
            memory_limit: Some(100),
            connections: Some(5),
            max_connections: Some(100),
            evictions: Some(0),
            accepting: Some(1),
            ..Facts::default()
        };
        change(&mut facts);
        facts
    }

    fn levels(change: impl FnOnce(&mut Facts)) -> Vec<(Level, &'static str)> {
        check(&facts(change), &Limits::default()).into_iter().map(|finding| (finding.level, finding.subject)).collect()
    }

    #[test]
    fn rules() {
        assert_eq!(levels(|_| {}), []);
        assert_eq!(levels(|facts| facts.memory = None), [(Level::Unknown, "stats")]);
        assert_eq!(levels(|facts| facts.uptime = Some(10)), [(Level::Note, "uptime")]);
        assert_eq!(levels(|facts| facts.accepting = Some(0)), [(Level::Fail, "connections")]);
        assert_eq!(levels(|facts| facts.connections = Some(90)), [(Level::Warn, "connections")]);
        assert_eq!(levels(|facts| facts.rejected = Some(1)), [(Level::Note, "connections")]);
        assert_eq!(levels(|facts| facts.evictions = Some(1)), [(Level::Note, "evictions")]);
        assert_eq!(levels(|facts| (facts.evictions, facts.memory) = (Some(1), Some(95))), [(Level::Note, "evictions")]);
        assert_eq!(levels(|facts| facts.too_large = Some(1)), [(Level::Note, "stores")]);
        assert_eq!(levels(|facts| (facts.hits, facts.misses) = (Some(1), Some(2))), []);
        assert_eq!(levels(|facts| (facts.hits, facts.misses) = (Some(10), Some(90))), [(Level::Note, "hits")]);
        assert_eq!(levels(|facts| (facts.hits, facts.misses) = (Some(u64::MAX), Some(1))), []);
        assert_eq!(levels(|facts| facts.auth_errors = Some(1)), [(Level::Note, "logins")]);
    }

    #[test]
    fn what_goes_on() {
        let class = |class, used, evicted, refused| Class {
            class,
            used: Some(used),
            total: Some(100),
            evicted: Some(evicted),
            out_of_memory: Some(refused),
            ..Class::default()
        };
        let told = |memory, evictions, no_memory, rate, classes: &[Class]| {
            let facts = facts(|facts| {
                (facts.memory, facts.evictions, facts.no_memory) = (Some(memory), Some(evictions), Some(no_memory));
                (facts.eviction_rate, facts.classes) = (rate, classes.to_vec());
            });
            let findings = check(&facts, &Limits::default());
            let said = findings.into_iter().map(|found| format!("{} {}", found.level.name(), found.text)).collect();
            (facts.lost_some(), said)
        };
        let says = |asks: bool, text: &str| (asks, vec![String::from(text)]);
        let room = "7 since the start, and 90% of the memory is free now: slabs out of balance";
        let flushed = says(true, &format!("note {room}, or flushed since"));
        assert_eq!(
            told(10, 7, 0, None, &[class(2, 9, 0, 0), class(6, 100, 7, 0)]),
            says(true, &format!("warn {room}, class 6 has no room"))
        );
        assert_eq!(told(10, 7, 0, Some(0.0), &[class(6, 100, 7, 0)]), flushed);
        assert_eq!(told(10, 7, 0, None, &[class(2, 100, 1, 0), class(6, 50, 6, 0)]), flushed);
        assert_eq!(told(10, 7, 0, None, &[]), flushed);
        let full = "note 7 since the start: the memory (-m) is full";
        assert_eq!(told(90, 7, 0, None, &[]), says(false, full));
        let refused = "3 values found no memory, 0 were larger than an item may be (-I)";
        assert_eq!(
            told(90, 0, 3, None, &[class(6, 100, 0, 3)]),
            says(true, &format!("warn {refused}; class 6 is still full, and evicts nothing"))
        );
        let passed = says(true, &format!("note {refused}"));
        assert_eq!(told(90, 0, 3, None, &[class(6, 90, 0, 3)]), passed);
        assert_eq!(told(90, 0, 3, None, &[]), passed);
        let both = (true, vec![String::from(full), format!("note {refused}")]);
        assert_eq!(told(90, 7, 3, None, &[class(6, 100, 7, 3)]), both);
    }

    #[test]
    fn limits_that_were_asked_for() {
        let limits = Limits {
            hits: Some(0.9),
            connections: Some(0.05),
            fill: Some(0.05),
            uptime: Some(7200),
            evictions: Some(2.0),
        };
        let facts = facts(|facts| {
            (facts.hits, facts.misses, facts.eviction_rate) = (Some(80), Some(20), Some(2.5));
        });
        let subjects: Vec<_> = check(&facts, &limits).into_iter().map(|found| (found.level, found.subject)).collect();
        let fail = |subject| (Level::Fail, subject);
        assert_eq!(subjects, [fail("uptime"), fail("connections"), fail("memory"), fail("evictions"), fail("hits")]);
    }

    #[test]
    fn possible_connections() {
        let conns = [
            ("20:state", "conn_read"),
            ("22:state", "conn_listening"),
            ("22:addr", "tcp:0.0.0.0:11211"),
            ("23:state", "conn_read"),
            ("23:addr", "udp:0.0.0.0:11211"),
        ];
        let conns = conns.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).to_vec();
        let rows = tables::rows(&conns, "");
        assert_eq!((capacity(&rows, 2048), capacity(&rows, 3)), (Some(2024), None));
        assert_eq!(capacity(&BTreeMap::new(), 9), None);
        assert_eq!(rows.values().map(is_client).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn facts_of_stats() {
        let stats =
            [("version", "1.6.18"), ("bytes", "50"), ("limit_maxbytes", "200"), ("get_hits", "3"), ("get_misses", "1")];
        let stats = stats.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).to_vec();
        let facts = Facts::new(&stats);
        assert_eq!(facts.version.as_deref(), Some(&b"1.6.18"[..]));
        assert_eq!((facts.fill(), facts.hit_ratio(), facts.gets()), (Some(0.25), Some(0.75), Some(4)));
        assert_eq!(facts.connections, None);
        assert_eq!(Facts::new(&vec![(b"bytes".to_vec(), b"-1".to_vec())]).memory, None);
    }

    #[test]
    fn command_lines() {
        let told = |line: &str| {
            let args: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            told(&args).map(|address| String::from_utf8(address.to_bytes()).unwrap()).unwrap_or_default()
        };
        assert_eq!(told("memcached"), "127.0.0.1:11211");
        assert_eq!(told("memcached -m 64 -p 11212 -u nobody"), "127.0.0.1:11212");
        assert_eq!(told("memcached -vvp11213"), "127.0.0.1:11213");
        assert_eq!(told("memcached --port=11214 -l 10.0.0.1,10.0.0.2"), "10.0.0.1:11214");
        assert_eq!(told("memcached --listen mtls:127.0.0.1:11215"), "127.0.0.1:11215");
        assert_eq!(told("memcached -l cache -p 0"), "cache:11211");
        assert_eq!(told("memcached -p 11212 -s /run/m.sock"), "@/run/m.sock");
    }
}
