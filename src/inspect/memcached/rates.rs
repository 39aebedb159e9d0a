//! What happened between two looks at `stats`: rates now, beside what the same numbers say since the start.

use crate::output::units;
use crate::protocol::memcached::client::Stats;
use crate::protocol::memcached::text::number;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub label: &'static str,
    pub now: String,
    pub total: String,
}

fn value(stats: &Stats, name: &str) -> Option<u64> {
    stats.iter().find(|(known, _)| known == name.as_bytes()).and_then(|(_, value)| number(value))
}

/// How much a counter rose; nothing where the server was started in between.
fn rise(before: &Stats, after: &Stats, name: &str) -> Option<u64> {
    value(after, name)?.checked_sub(value(before, name)?)
}

/// Every counter's rise in a second; of two numbers it is known that they count nothing.
pub fn rates<'a>(before: &'a Stats, after: &'a Stats, seconds: f64) -> impl Iterator<Item = (&'a [u8], f64)> {
    after.iter().filter_map(move |(name, value)| {
        if matches!(name.as_slice(), b"pid" | b"pointer_size") {
            return None;
        }
        let before = before.iter().find(|(known, _)| known == name).and_then(|(_, value)| number(value))?;
        Some((name.as_slice(), number(value)?.checked_sub(before)? as f64 / seconds))
    })
}

fn rate(count: Option<u64>, seconds: f64) -> String {
    match count.map(|count| count as f64 / seconds) {
        None => String::from("-"),
        Some(rate) if rate > 0.0 && rate < 10.0 => format!("{rate:.1}/s"),
        Some(rate) => format!("{rate:.0}/s"),
    }
}

fn percent(part: Option<u64>, whole: Option<u64>) -> String {
    match (part, whole) {
        (Some(part), Some(whole)) if whole > 0 => format!("{}%", units::percent(part, whole)),
        _ => String::from("-"),
    }
}

/// The digest that people read.
pub fn digest(before: &Stats, after: &Stats, seconds: f64) -> Vec<Line> {
    let rise = |name: &str| rise(before, after, name);
    let total = |name: &str| value(after, name);
    let count = |name: &str| total(name).map_or_else(|| String::from("-"), |count| count.to_string());
    let sum = |a: Option<u64>, b: Option<u64>| a?.checked_add(b?);
    let rated = |label, name| Line { label, now: rate(rise(name), seconds), total: count(name) };
    let share = |label, part: &str, whole: &str| Line {
        label,
        now: percent(rise(part), rise(whole)),
        total: percent(total(part), total(whole)),
    };
    let size = |name: &str| {
        rise(name)
            .map_or_else(|| String::from("-"), |bytes| format!("{}/s", units::bytes((bytes as f64 / seconds) as u64)))
    };
    let sized = |label, name| Line {
        label,
        now: size(name),
        total: total(name).map_or_else(|| String::from("-"), units::bytes),
    };
    let state = |label, total: String| Line { label, now: String::new(), total };
    let cpu = |stats: &Stats| {
        let seconds = |name: &str| {
            let (_, text) = stats.iter().find(|(known, _)| known == name.as_bytes())?;
            std::str::from_utf8(text).ok()?.parse::<f64>().ok()
        };
        Some(seconds("rusage_user")? + seconds("rusage_system")?)
    };
    let cores = cpu(after).zip(cpu(before)).map(|(after, before)| (after - before) / seconds);
    let (hits, misses) = (rise("get_hits"), rise("get_misses"));
    vec![
        Line {
            label: "gets",
            now: rate(sum(hits, misses), seconds),
            total: sum(total("get_hits"), total("get_misses")).map_or_else(|| String::from("-"), |n| n.to_string()),
        },
        Line {
            label: "  hit",
            now: percent(hits, sum(hits, misses)),
            total: percent(total("get_hits"), sum(total("get_hits"), total("get_misses"))),
        },
        share("  missed: expired", "get_expired", "get_misses"),
        share("  missed: flushed", "get_flushed", "get_misses"),
        rated("sets", "cmd_set"),
        rated("  too large", "store_too_large"),
        rated("  no memory", "store_no_memory"),
        rated("touches", "cmd_touch"),
        rated("flushes", "cmd_flush"),
        state(
            "memory",
            format!(
                "{} of {}",
                total("bytes").map_or_else(|| String::from("-"), units::bytes),
                total("limit_maxbytes").map_or_else(|| String::from("-"), units::bytes)
            ),
        ),
        state("items", count("curr_items")),
        rated("evictions", "evictions"),
        rated("  never fetched", "evicted_unfetched"),
        rated("  recently used", "evicted_active"),
        rated("reclaimed", "reclaimed"),
        rated("direct reclaims", "direct_reclaims"),
        state("connections", format!("{} of {}", count("curr_connections"), count("max_connections"))),
        rated("  new", "total_connections"),
        rated("  rejected", "rejected_connections"),
        rated("  yields", "conn_yields"),
        sized("received", "bytes_read"),
        sized("sent", "bytes_written"),
        Line {
            label: "processor",
            now: cores.map_or_else(|| String::from("-"), |cores| format!("{:.2} cores", cores.max(0.0))),
            total: cpu(after).map_or_else(|| String::from("-"), |seconds| format!("{seconds:.1} s")),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(pairs: &[(&str, &str)]) -> Stats {
        pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn now_and_since_the_start() {
        let before = stats(&[
            ("get_hits", "100"),
            ("get_misses", "100"),
            ("evictions", "5"),
            ("rusage_user", "1.5"),
            ("rusage_system", "0.5"),
        ]);
        let after = stats(&[
            ("get_hits", "190"),
            ("get_misses", "110"),
            ("evictions", "4"),
            ("rusage_user", "2.0"),
            ("rusage_system", "1.0"),
        ]);
        let digest = digest(&before, &after, 10.0);
        let line = |label: &str| {
            let line = digest.iter().find(|line| line.label == label).unwrap();
            (line.now.as_str(), line.total.as_str())
        };
        assert_eq!(line("gets"), ("10/s", "300"));
        assert_eq!(line("  hit"), ("90.0%", "63.3%"));
        // It was started anew.
        assert_eq!(line("evictions"), ("-", "4"));
        assert_eq!(line("processor"), ("0.10 cores", "3.0 s"));
        assert_eq!(line("sets"), ("-", "-"));
        let rates: Vec<_> = rates(&before, &after, 10.0).collect();
        assert_eq!(rates, [(&b"get_hits"[..], 9.0), (b"get_misses", 1.0)]);
    }
}
