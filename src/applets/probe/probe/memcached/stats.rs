//! stats, settings: what the server tells of itself, as it is, typed, over an interval, for Prometheus, against a command
//! line. Longer than most: these are five forms of the same numbers.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use super::super::{Failure, duration};
use super::explain::{explain, kind_failure};
use super::options::Shared;
use super::server::{Server, Session};
use super::{Answer, Ask, Outcome, Table};
use crate::applet::{Context, Error, Result};
use crate::inspect::memcached::{Flags, rates};
use crate::output::table::{self, Cell, Column};
use crate::output::{Safe, json::Object, order, units};
use crate::protocol::memcached::client::{Error as Trouble, Stats as Pairs};
use crate::protocol::memcached::text::{check_key, number};

/// Print statistics
///
/// NAME is settings, items, slabs, sizes, conns, extstore, proxy or what else the server knows.
#[derive(clap::Parser)]
#[command(name = "memcached stats", override_usage = "probe memcached [OPTIONS] [ADDRESS] stats [NAME]")]
pub struct Stats {
    #[command(flatten)]
    shared: Shared,
    /// Only names that match: * and ? as in the shell; may be repeated
    #[arg(short, value_name = "PATTERN")]
    glob: Vec<OsString>,
    /// Look twice, and tell what happened in between
    #[arg(long, value_name = "TIME", value_parser = duration)]
    interval: Option<Duration>,
    /// So many times
    #[arg(short = 'n', value_name = "N", default_value_t = 1)]
    rounds: u32,
    /// Prometheus' text format; memcached_up is 0 for a server that could not be asked
    #[arg(long, conflicts_with_all = ["json", "interval"])]
    prom: bool,
    #[arg(value_name = "NAME", hide = true)]
    name: Vec<OsString>,
}

/// `*` and `?`, the rest as it is. Going back to the last star alone is enough.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                p += 1;
                star = Some((p, n));
            }
            (Some(byte), _) if *byte == b'?' || *byte == name[n] => (p, n) = (p + 1, n + 1),
            (_, Some((after, reached))) => {
                (p, n) = (after, reached + 1);
                star = Some((after, n));
            }
            (_, None) => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

impl Ask for Stats {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn check(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        for word in &self.name {
            // Whatever has a line break in it would be a command of its own.
            if check_key(word.as_bytes()).is_err() {
                return Err(Error::Status(2, format!("{}: not a name of statistics", Safe::os(word))));
            }
        }
        let words: Vec<&[u8]> = self.name.iter().map(|word| word.as_bytes()).collect();
        let why = match words.as_slice() {
            [b"sizes_enable", ..] => "is not safe with threads, and never asked",
            [b"reset" | b"sizes_disable", ..] | [b"detail", b"on" | b"off", ..] => "changes the server: 'raw' sends it",
            [b"cachedump", ..] => "lists keys: 'keys --via cachedump'",
            _ => return Ok(()),
        };
        Err(Error::Status(2, format!("stats {}: {why}", Safe(&words.join(&b' ')))))
    }

    fn table(&self) -> Option<Table> {
        let table = if self.prom { Table::Metrics } else { Table::Sums };
        self.interval.is_none().then_some(table)
    }

    fn has_heading(&self) -> bool {
        self.interval.is_none() && !self.prom
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let opened = server.open(cx, &self.shared);
        let name = self.name.join(&OsString::from(" "));
        if self.prom {
            let up = if server.answered { b"1" } else { b"0" };
            expose(cx, server, b"", &vec![(b"up".to_vec(), up.to_vec())])?;
        }
        let mut session = opened?;
        let mut stats = self.look(server, &mut session)?;
        let mut data = Object::new();
        data.bytes("name", if name.is_empty() { b"general" } else { name.as_bytes() });
        if let Some(interval) = self.interval {
            for round in 0..self.rounds.max(1) {
                let started = Instant::now();
                let mut now = Pairs::new();
                session.look_again(cx, server, &self.shared, interval, &mut |server, session| {
                    now = self.look(server, session)?;
                    Ok(())
                })?;
                let seconds = started.elapsed().as_secs_f64();
                if !self.shared.json {
                    self.digest(cx, server, &stats, &now, seconds)?;
                    cx.io.out.flush()?;
                } else if round + 1 == self.rounds.max(1) {
                    let mut each = Object::new();
                    for (name, rate) in rates::rates(&stats, &now, seconds) {
                        each.float(&Safe(name).to_string(), Some(rate));
                    }
                    data.float("seconds", Some(seconds)).object("rates", each);
                }
                stats = now;
            }
        } else if self.prom {
            expose(cx, server, name.as_bytes(), &stats)?;
        } else if !self.shared.json {
            list(cx, &stats)?;
        }
        if self.shared.json {
            data.object("stats", typed(&stats));
        }
        Ok(Answer::new(0, data))
    }
}

impl Stats {
    fn look(&self, server: &Server, session: &mut Session) -> std::result::Result<Pairs, Failure> {
        let words: Vec<&[u8]> =
            self.name.iter().map(|word| word.as_bytes()).filter(|word| *word != b"general").collect();
        let name = words.join(&b' ');
        if words.first() == Some(&&b"sizes"[..]) && session.numbers().is_some_and(|version| version < [1, 4, 27]) {
            let text = "'stats sizes' stops the whole server before 1.4.27: not asked";
            return Err(kind_failure("not-sent", String::from(text)));
        }
        let stats = session.client.stats(Some(name.as_slice()).filter(|name| !name.is_empty()));
        let mut stats = stats.map_err(|trouble| explain(server, &trouble, self.shared.timeout))?;
        if !self.glob.is_empty() {
            stats.retain(|(name, _)| self.glob.iter().any(|glob| matches(glob.as_bytes(), name)));
        }
        Ok(stats)
    }

    fn digest(
        &self,
        cx: &mut Context<'_>,
        server: &Server,
        before: &Pairs,
        after: &Pairs,
        seconds: f64,
    ) -> Outcome<()> {
        let text = |name: &str| {
            let found = after.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value.as_slice());
            Safe(found.unwrap_or(b"-")).to_string()
        };
        let now = format!("now ({seconds:.1} s)");
        let columns =
            [Column::left("", "label", 0), Column::right(&now, "now", 0), Column::right("since start", "total", 0)];
        let rows: Vec<Vec<Cell>> = if self.name.is_empty() && self.glob.is_empty() {
            let uptime = number(text("uptime").as_bytes()).map_or_else(|| String::from("-"), units::duration);
            writeln!(
                cx.io.out,
                "{}  memcached {}  up {uptime}  pid {}",
                Safe(&server.address()),
                text("version"),
                text("pid")
            )?;
            let lines = rates::digest(before, after, seconds);
            lines
                .into_iter()
                .map(|line| vec![Cell::Text(line.label.into()), Cell::Text(line.now), Cell::Text(line.total)])
                .collect()
        } else {
            writeln!(cx.io.out, "{}", Safe(&server.address()))?;
            let total = |name: &[u8]| after.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            rates::rates(before, after, seconds)
                .map(|(name, rate)| {
                    let total = total(name).unwrap_or_default();
                    vec![Cell::Bytes(name.to_vec()), Cell::Text(format!("{rate:.1}/s")), Cell::Bytes(total)]
                })
                .collect()
        };
        table::fitted(&mut cx.io.out, &columns, &rows)?;
        Ok(())
    }
}

fn list(cx: &mut Context<'_>, stats: &Pairs) -> Outcome<()> {
    for (name, value) in stats {
        writeln!(cx.io.out, "{} {}", Safe(name), Safe(value))?;
    }
    Ok(())
}

/// Numbers as numbers, exactly; the rest as text.
fn typed(stats: &Pairs) -> Object {
    let mut object = Object::new();
    for (name, value) in stats {
        let key = Safe(name).to_string();
        let decimal = std::str::from_utf8(value).ok().filter(|text| {
            text.split_once('.').is_some_and(|(whole, part)| {
                [whole, part]
                    .iter()
                    .all(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
            })
        });
        match (number(value), decimal.and_then(|text| text.parse().ok())) {
            (Some(number), _) => object.number(&key, Some(number)),
            (None, Some(decimal)) => object.float(&key, Some(decimal)),
            (None, None) => object.bytes(&key, value),
        };
    }
    object
}

/// How the names of what goes down as well as up end.
const GAUGES: &str = "up pid time pointer_size curr_items curr_connections max_connections bytes threads _level _expanding \
    accepting_conns structures _fds _count _free _used _pool _running log_watchers active_slabs total_malloced _refresh \
    req_active await_active _fragmented _queue";

/// Of several servers as it is: all are told together.
fn expose(cx: &mut Context<'_>, server: &Server, of: &[u8], stats: &Pairs) -> Outcome<()> {
    let samples = samples(&server.address(), of, stats);
    let text = if server.among { samples } else { grouped(&samples) };
    cx.io.out.write_all(text.as_bytes())?;
    Ok(())
}

/// Numbers as samples. What stands before or between colons becomes a label. A type, `NAME{ TYPE`, is sorted to the first
/// place of its metric.
fn samples(address: &[u8], of: &[u8], stats: &Pairs) -> String {
    let address = Safe(address).to_string().replace('\\', "\\\\").replace('"', "\\\"");
    let mut samples = String::new();
    let counted = if of == b"conns" { "fd" } else { "class" };
    for (name, value) in stats.iter().filter(|(_, value)| number(value).is_some()) {
        let text = Safe(name).to_string();
        let mut label = String::new();
        let mut words = Vec::new();
        for word in text.split(':') {
            match word.bytes().all(|byte| byte.is_ascii_digit()) {
                true => label = format!(",{counted}=\"{word}\""),
                false => words.push(word),
            }
        }
        let name: String = words.join("_").chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        if label.is_empty() {
            let gauge = of == b"settings" || GAUGES.split(' ').any(|end| text.ends_with(end));
            samples += &format!("memcached_{name}{{ {}\n", if gauge { "gauge" } else { "counter" });
        }
        samples += &format!("memcached_{name}{{server=\"{address}\"{label}}} {}\n", Safe(value));
    }
    samples
}

/// The samples of each metric together, as the format wants them, below the line with its type.
pub fn grouped(samples: &str) -> String {
    let mut lines: Vec<&str> = samples.lines().collect();
    order::sort(&mut lines);
    lines.dedup();
    let mut text = String::new();
    for line in lines {
        text += &match line.split_once('{') {
            Some((name, kind)) if kind.starts_with(' ') => format!("# TYPE {name}{kind}\n"),
            _ => format!("{line}\n"),
        };
    }
    text
}

/// Print the settings, or compare them
#[derive(clap::Parser)]
#[command(name = "memcached settings", override_usage = "probe memcached [OPTIONS] [ADDRESS] settings [--diff FLAGS]")]
pub struct Settings {
    #[command(flatten)]
    shared: Shared,
    /// Compare with a command line: "-m 256 -c 2048 -I 10m"
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true)]
    diff: Option<OsString>,
    /// Compare with the command line of the target's process
    #[arg(long, conflicts_with = "diff")]
    diff_own: bool,
}

/// The flags after --diff.
pub fn told_flags(line: Option<&OsStr>) -> Result<Option<Flags>> {
    let Some(line) = line else { return Ok(None) };
    let flags = Flags::line(line.as_bytes());
    match flags.unknown.first() {
        None => Ok(Some(flags)),
        Some(word) => Err(Error::usage(format_args!("--diff: {}: no flag of memcached", Safe(word)))),
    }
}

impl Ask for Settings {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn table(&self) -> Option<Table> {
        (self.diff.is_none() && !self.diff_own).then_some(Table::Differences)
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let mut session = server.open(cx, &self.shared)?;
        let settings = session.client.stats(Some(b"settings"));
        let settings = settings.map_err(|trouble| explain(server, &trouble, self.shared.timeout))?;
        let flags = match (told_flags(self.diff.as_deref())?, &server.process) {
            (Some(flags), _) => Some(flags),
            (None, Some(process)) if self.diff_own => Some(process.flags.clone()),
            (None, None) if self.diff_own => {
                let text = "--diff-own: the target's memcached was not found by a process of ours to read";
                return Err(Error::Status(2, String::from(text)).into());
            }
            _ => None,
        };
        let mut data = Object::new();
        data.object("settings", typed(&settings));
        let Some(flags) = flags else {
            if !self.shared.json {
                list(cx, &settings)?;
            }
            return Ok(Answer::new(0, data));
        };
        self.compare(cx, &settings, &flags, data)
    }
}

impl Settings {
    fn compare(&self, cx: &mut Context<'_>, settings: &Pairs, flags: &Flags, mut data: Object) -> Outcome<Answer> {
        let columns = [
            Column::left("flag", "flag", 0),
            Column::left("setting", "setting", 0),
            Column::right("wanted", "wanted", 0),
            Column::right("is", "is", 0),
            Column::left("", "same", 0),
        ];
        let mut rows = Vec::new();
        let mut objects = Vec::new();
        let mut differ = false;
        for (flag, name, wanted) in flags.settings() {
            let is = settings.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
            let same = is.map(|is| *is == wanted);
            differ |= same == Some(false);
            let mut object = Object::new();
            object.text("flag", &flag).bytes("setting", &name).bytes("wanted", &wanted);
            match (is, same) {
                (Some(is), Some(same)) => object.bytes("is", is).bool("same", same),
                _ => object.null("is").null("same"),
            };
            objects.push(object);
            let word = match same {
                Some(true) => "",
                Some(false) => "differs",
                None => "not told",
            };
            rows.push(vec![
                Cell::Text(flag),
                Cell::Bytes(name),
                Cell::Bytes(wanted),
                is.map_or(Cell::Unknown, |is| Cell::Bytes(is.clone())),
                Cell::Text(String::from(word)),
            ]);
        }
        for unknown in &flags.unknown {
            cx.note(format_args!("{}: no option of memcached", Safe(unknown)));
        }
        if !self.shared.json {
            table::fitted(&mut cx.io.out, &columns, &rows)?;
        }
        data.objects("flags", objects).bool("same", !differ);
        Ok(Answer::new(u8::from(differ), data))
    }
}

/// Statistics that a verb needs.
pub fn fetch(
    server: &Server,
    session: &mut Session,
    name: Option<&[u8]>,
    timeout: Duration,
) -> std::result::Result<Pairs, Failure> {
    session.client.stats(name).map_err(|trouble| explain(server, &trouble, timeout))
}

/// Statistics that not every server has.
pub fn optional(
    server: &Server,
    session: &mut Session,
    name: &str,
    timeout: Duration,
) -> std::result::Result<Pairs, Failure> {
    match session.client.stats(Some(name.as_bytes())) {
        Err(Trouble::Refused(_)) => Ok(Pairs::new()),
        stats => stats.map_err(|trouble| explain(server, &trouble, timeout)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(
            matches(b"get_*", b"get_hits")
                && matches(b"*", b"")
                && matches(b"?id", b"pid")
                && matches(b"a*c*", b"abcd")
        );
        assert!(!matches(b"get_*", b"cmd_get") && !matches(b"?", b"") && !matches(b"a", b"ab"));
    }

    #[test]
    fn types() {
        let pairs = [("pid", "7"), ("big", "18446744073709551615"), ("rusage_user", "1.25"), ("version", "1.6.18")];
        let pairs = pairs.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).to_vec();
        let expected = r#"{"pid":7,"big":18446744073709551615,"rusage_user":1.25,"version":"1.6.18"}"#;
        assert_eq!(typed(&pairs).finish(), expected);
    }

    #[test]
    fn metrics() {
        let of = |address: &str, name: &str, pairs: &[(&str, &str)]| {
            let pairs: Pairs = pairs.iter().map(|(name, value)| (Vec::from(*name), Vec::from(*value))).collect();
            samples(address.as_bytes(), name.as_bytes(), &pairs)
        };
        let both = of("b", "", &[("cmd_get", "3"), ("log_watchers", "1"), ("version", "1.6.18"), ("up", "1")])
            + &of("c", "", &[("cmd_get", "4"), ("evicted_active", "5"), ("uptime", "6"), ("hash_bytes", "7")])
            + &of("a\"", "", &[("up", "0")]);
        let expected = r#"# TYPE memcached_cmd_get counter
memcached_cmd_get{server="b"} 3
memcached_cmd_get{server="c"} 4
# TYPE memcached_evicted_active counter
memcached_evicted_active{server="c"} 5
# TYPE memcached_hash_bytes gauge
memcached_hash_bytes{server="c"} 7
# TYPE memcached_log_watchers gauge
memcached_log_watchers{server="b"} 1
# TYPE memcached_uptime gauge
memcached_uptime{server="c"} 6
# TYPE memcached_up gauge
memcached_up{server="a\""} 0
memcached_up{server="b"} 1
"#;
        assert_eq!(grouped(&both), expected);
        let settings = of("a", "settings", &[("maxbytes", "1")]);
        assert_eq!(settings, "memcached_maxbytes{ gauge\nmemcached_maxbytes{server=\"a\"} 1\n");
        let conns = of("a", "conns", &[("23:secs_since_last_cmd", "0"), ("23:state", "conn_read")]);
        assert_eq!(conns, "memcached_secs_since_last_cmd{server=\"a\",fd=\"23\"} 0\n");
        // What a class has has no type: some of it goes down.
        let items = of("a", "items", &[("items:1:number", "5"), ("items:1:age", "7"), ("items:2:number", "6")]);
        let expected = r#"memcached_items_age{server="a",class="1"} 7
memcached_items_number{server="a",class="1"} 5
memcached_items_number{server="a",class="2"} 6
"#;
        assert_eq!(grouped(&items), expected);
    }
}
