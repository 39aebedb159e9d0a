//! health: how the server is, with a verdict, for people, for machines and for monitoring.

use std::io::Write;
use std::time::{Duration, Instant};

use super::super::{Failure, duration};
use super::conns::connections;
use super::doctor::again;
use super::options::Shared;
use super::server::Server;
use super::stats::{fetch, optional};
use super::{Answer, Ask, Outcome, Table};
use crate::applet::Context;
use crate::inspect::memcached::tables::classes;
use crate::inspect::memcached::{Facts, Limits, capacity, check};
use crate::inspect::{Finding, Level, verdict};
use crate::output::{Safe, json::Object, units};

/// Report how it is, with a verdict
#[derive(clap::Parser)]
#[command(name = "memcached health", override_usage = "probe memcached [OPTIONS] [ADDRESS] [health [LIMITS]]")]
pub struct Health {
    #[command(flatten)]
    shared: Shared,
    /// Least part of gets that hit, of 1: 0.8
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    min_hit: Option<f64>,
    /// Most of the possible connections that may be open, in percent
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    max_conn_pct: Option<f64>,
    /// Most of the memory that may be full, in percent
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    max_fill: Option<f64>,
    /// Most evictions in a second, by two looks over --interval
    #[arg(long, value_name = "N", value_parser = rate)]
    max_evict_rate: Option<f64>,
    /// Time between these two looks
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    interval: Duration,
    /// Shortest time since the start: 180s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    min_uptime: Option<Duration>,
    /// One line and the statuses of a Nagios plugin: 0 ok, 1 warning, 2 critical, 3 unknown; of several the worst first
    #[arg(long)]
    nagios: bool,
}

fn ratio(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or("a ratio is a number from 0 to 1")
}

fn percent(text: &str) -> Result<f64, &'static str> {
    let number: Option<f64> = text.trim_end_matches('%').parse().ok();
    number.filter(|number| (0.0..=100.0).contains(number)).map(|number| number / 100.0).ok_or("a number from 0 to 100")
}

fn rate(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|rate| (0.0..=1e12).contains(rate)).ok_or("a rate is a number, not below 0")
}

impl Ask for Health {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn table(&self) -> Option<Table> {
        self.nagios.then_some(Table::Worst)
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let facts = match self.facts(cx, server) {
            Ok(facts) => facts,
            Err(failure) if self.nagios => {
                let unknown = matches!(failure.kind, "login" | "tls" | "network-not-shared");
                let (word, status) = if unknown { ("UNKNOWN", 3) } else { ("CRITICAL", 2) };
                if !self.shared.json {
                    writeln!(cx.io.out, "MEMCACHED {word} - {}: {}", Safe(&server.address()), failure.message)?;
                }
                let mut data = Object::new();
                data.text("verdict", "fail").text("problem", &failure.message);
                return Ok(Answer::new(status, data));
            }
            Err(failure) => return Err(failure.into()),
        };
        let limits = Limits {
            hits: self.min_hit,
            connections: self.max_conn_pct,
            fill: self.max_fill,
            uptime: self.min_uptime.map(|time| time.as_secs()),
            evictions: self.max_evict_rate,
        };
        let mut findings = check(&facts, &limits);
        if findings.is_empty() {
            findings.push(Finding::new(Level::Ok, "stats", "nothing to complain about"));
        }
        let verdict = verdict(&findings);
        let status = match (verdict, self.nagios) {
            (Level::Ok | Level::Note, _) => 0,
            (Level::Unknown, true) => 3,
            (Level::Unknown, false) => 1,
            (Level::Warn, _) => 1,
            (Level::Fail, true) => 2,
            (Level::Fail, false) => 9,
        };
        if !self.shared.json {
            match self.nagios {
                true => plugin(cx, server, &facts, &findings, verdict)?,
                false => report(cx, server, &facts, &findings, verdict)?,
            }
        }
        Ok(Answer::new(status, machine(&facts, &findings, verdict)))
    }
}

impl Health {
    fn facts(&self, cx: &Context<'_>, server: &mut Server) -> Result<Facts, Failure> {
        let timeout = self.shared.timeout;
        let mut session = server.open(cx, &self.shared)?;
        let mut facts = Facts::new(&fetch(server, &mut session, None, timeout)?);
        if self.max_evict_rate.is_some() {
            let started = Instant::now();
            let before = facts.evictions;
            session.look_again(cx, server, &self.shared, self.interval, &mut |server, session| {
                facts = Facts::new(&fetch(server, session, None, timeout)?);
                Ok(())
            })?;
            let seconds = started.elapsed().as_secs_f64();
            let rise = facts.evictions.zip(before).and_then(|(now, before)| now.checked_sub(before));
            facts.eviction_rate = rise.map(|rise| rise as f64 / seconds);
        }
        // How it is has been told: what fails now is no reason to withhold it.
        if facts.lost_some()
            && let Ok(slabs) = optional(server, &mut session, "slabs", timeout)
            && let Ok(items) = optional(server, &mut session, "items", timeout)
        {
            facts.classes = classes(&slabs, &items);
        }
        let conns = connections(server, &mut session, facts.connections, timeout).unwrap_or_default();
        facts.capacity = facts.max_connections.and_then(|most| capacity(&conns, most));
        Ok(facts)
    }
}

fn machine(facts: &Facts, findings: &[Finding], verdict: Level) -> Object {
    let mut data = Object::new();
    match &facts.version {
        Some(version) => data.bytes("version", version),
        None => data.null("version"),
    };
    data.number("uptime_seconds", facts.uptime)
        .number("memory_bytes", facts.memory)
        .number("memory_limit_bytes", facts.memory_limit)
        .number("items", facts.items)
        .number("get_hits", facts.hits)
        .number("get_misses", facts.misses)
        .float("hit_ratio", facts.hit_ratio())
        .number("connections", facts.connections)
        .number("max_connections", facts.max_connections)
        .number("possible_connections", facts.capacity)
        .number("rejected_connections", facts.rejected)
        .number("evictions", facts.evictions)
        .float("evictions_per_second", facts.eviction_rate);
    let each = findings.iter().map(|finding| {
        let mut object = Object::new();
        object.text("level", finding.level.name()).text("subject", finding.subject).text("text", &finding.text);
        object
    });
    data.objects("findings", each).text("verdict", verdict.name());
    data
}

/// One line as monitoring-plugins.org has it, with performance data.
fn plugin(cx: &mut Context<'_>, server: &Server, facts: &Facts, findings: &[Finding], verdict: Level) -> Outcome<()> {
    let word = match verdict {
        Level::Ok | Level::Note => "OK",
        Level::Unknown => "UNKNOWN",
        Level::Warn => "WARNING",
        Level::Fail => "CRITICAL",
    };
    let texts: Vec<String> = findings
        .iter()
        .filter(|finding| finding.level == verdict)
        .map(|finding| format!("{}: {}", finding.subject, finding.text.replace('|', "/")))
        .collect();
    let figures = [
        ("uptime", facts.uptime, "s"),
        ("items", facts.items, ""),
        ("memory", facts.memory, "B"),
        ("connections", facts.connections, ""),
        ("get_hits", facts.hits, "c"),
        ("get_misses", facts.misses, "c"),
        ("evictions", facts.evictions, "c"),
    ];
    let figures: Vec<String> =
        figures.iter().filter_map(|(name, value, unit)| Some(format!("{name}={}{unit}", (*value)?))).collect();
    write!(cx.io.out, "MEMCACHED {word} - {}: {}", Safe(&server.address()), texts.join("; "))?;
    // Of several servers the figures would have the same names, and the lines below a bar are taken for more of them.
    if !server.among {
        write!(cx.io.out, " | {}", figures.join(" "))?;
    }
    writeln!(cx.io.out)?;
    Ok(())
}

fn report(cx: &mut Context<'_>, server: &Server, facts: &Facts, findings: &[Finding], verdict: Level) -> Outcome<()> {
    let unknown = || String::from("unknown");
    let count = |value: Option<u64>| value.map_or_else(unknown, |value| value.to_string());
    let size = |value: Option<u64>| value.map_or_else(unknown, units::bytes);
    let percent = |ratio: Option<f64>| ratio.map(|ratio| format!("{:.1}%", ratio * 100.0));
    let fill = percent(facts.fill()).map(|fill| format!(" ({fill})")).unwrap_or_default();
    let hits = match (percent(facts.hit_ratio()), facts.gets()) {
        (Some(ratio), Some(gets)) => format!("{ratio} of {gets} gets"),
        (None, Some(_)) => String::from("no gets yet"),
        _ => unknown(),
    };
    let limit = count(facts.max_connections);
    let possible = facts.capacity.map_or_else(|| limit.clone(), |capacity| format!("{capacity} possible (-c {limit})"));
    let lines = [
        ("address", format!("{} ({})", Safe(&server.address()), server.place.how)),
        ("version", facts.version.as_ref().map_or_else(unknown, |text| Safe(text).to_string())),
        ("uptime", facts.uptime.map_or_else(unknown, units::duration)),
        ("memory", format!("{} of {}{fill}", size(facts.memory), size(facts.memory_limit))),
        ("items", count(facts.items)),
        ("hit ratio", hits),
        ("connections", format!("{} of {possible}, {} rejected", count(facts.connections), count(facts.rejected))),
        ("evictions", count(facts.evictions)),
    ];
    for (name, value) in lines {
        writeln!(cx.io.out, "{name:<12} {value}")?;
    }
    for finding in findings {
        writeln!(cx.io.out, "{:<12} {}: {}", finding.level.name(), finding.subject, finding.text)?;
    }
    writeln!(cx.io.out, "{:<12} {} ('{} doctor' tells more)", "verdict", verdict.name(), again(server))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds() {
        assert_eq!((ratio("0.8"), percent("90"), percent("5%")), (Ok(0.8), Ok(0.9), Ok(0.05)));
        assert!(ratio("80").is_err() && percent("101").is_err() && percent("NaN").is_err());
    }
}
