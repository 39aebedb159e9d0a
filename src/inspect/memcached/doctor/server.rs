//! The server itself: whether and how it answers, what version with what settings, how it is exposed.

use super::{Diagnosis, Snapshot, ago, decimal, find, flag_size, percent, share};
use crate::inspect::Level;
use crate::output::{Safe, order, units};
use crate::protocol::memcached::text::number;

/// The latest version that we know of.
const LATEST: [u32; 3] = [1, 6, 45];

/// What was cured with a version: how bad it is where strangers can connect, and the trouble.
const CURED: [([u32; 3], Level, &str); 8] = [
    ([1, 4, 33], Level::Fail, "any client can run code in it (CVE-2016-8704 to 8706)"),
    ([1, 4, 39], Level::Fail, "any client can crash it (CVE-2017-9951)"),
    ([1, 5, 14], Level::Warn, "'lru' of any client crashes it (CVE-2019-11596)"),
    ([1, 6, 2], Level::Warn, "a binary request of any client crashes it (CVE-2020-10931)"),
    ([1, 6, 19], Level::Note, "a stalled 'metadump hash' holds up gets"),
    ([1, 6, 42], Level::Warn, "'slabs reassign', or 'watch mutations' beside a binary client, crash it"),
    ([1, 6, 44], Level::Note, "a stalled reader of a dump overflows a buffer"),
    ([1, 6, 45], Level::Note, "'slabs automove window' crashes it"),
];

/// The first three numbers of a version.
fn numbers(text: &[u8]) -> Option<[u32; 3]> {
    let text = std::str::from_utf8(text).ok()?;
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some([next()?, next()?, next()?])
}

pub fn version(snapshot: &Snapshot) -> Option<Diagnosis> {
    let text = find(&snapshot.now, "version")?;
    let version = numbers(text)?;
    // That one came with 1.6.0.
    let applies = |cured: &[u32; 3]| version < *cured && (*cured != [1, 6, 2] || version >= [1, 6, 0]);
    let mut known: Vec<&(_, Level, &str)> = CURED.iter().filter(|(cured, ..)| applies(cured)).collect();
    order::sort_by_key(&mut known, |(_, level, _)| std::cmp::Reverse(*level));
    let (_, worst, first) = known.first()?;
    let more = known.get(1).map(|(_, _, second)| format!("; {second}")).unwrap_or_default();
    let more = if known.len() > 2 { format!("{more}; {} more", known.len() - 2) } else { more };
    let [major, minor, patch] = LATEST;
    Diagnosis::new(
        if snapshot.is_exposed() { *worst } else { Level::Note },
        format!("{} is older than {major}.{minor}.{patch}: {first}{more}", Safe(text)),
        "known faults, which whoever may connect can use",
        format!("docker pull memcached:{major}.{minor}.{patch} (or later)"),
    )
}

pub fn answer(snapshot: &Snapshot) -> Option<Diagnosis> {
    let (connect, answer) = (snapshot.connect.as_millis(), snapshot.answer.as_millis());
    let meaning = match (connect, answer) {
        (900.., _) => {
            "a connection attempt was lost (SYN) and sent again a second later: a full backlog, or the network"
        }
        (_, 100..) => "it is busy, starved of processor time, or far away",
        (100.., _) => "the way to it is slow",
        _ => return None,
    };
    let level = if connect >= 900 || answer >= 900 { Level::Fail } else { Level::Warn };
    let evidence = format!("connected in {connect} ms, answered in {answer} ms");
    Diagnosis::new(level, evidence, meaning, snapshot.ask("latency"))
}

/// Some checks would be silent for want of numbers.
pub fn statistics(snapshot: &Snapshot) -> Option<Diagnosis> {
    let missing = ["bytes", "curr_connections", "evictions"].iter().any(|name| snapshot.value(name).is_none());
    missing.then(|| Diagnosis::unknown("it does not tell of memory, connections or evictions (a proxy?)")).flatten()
}

pub fn uptime(snapshot: &Snapshot) -> Option<Diagnosis> {
    let now = snapshot.value("uptime")?;
    let before = snapshot.before.as_ref().and_then(|before| find(before, "uptime")).and_then(number);
    let again = before.is_some_and(|before| before > now);
    (again || now < 180)
        .then(|| {
            Diagnosis::new(
                if again { Level::Fail } else { Level::Note },
                format!("started {} ago{}", ago(now), if again { ", between two samples" } else { "" }),
                "what it held before is gone, and the sources behind it are asked again",
                "docker logs NAME, or kubectl logs --previous POD, tells why it ended",
            )
        })
        .flatten()
}

pub fn flags(snapshot: &Snapshot) -> Option<Diagnosis> {
    let settings = snapshot.flags.as_ref()?.settings();
    let mut wrong = Vec::new();
    for (flag, name, wanted) in &settings {
        // What is given twice is put together, and -o takes other units and words than are shown.
        let once = settings.iter().filter(|(_, other, _)| other == name).count() == 1;
        let plain = flag != "-o" || name == b"idle_timeout" || matches!(wanted.as_slice(), b"yes" | b"no");
        if !once || !plain {
            continue;
        }
        let is = snapshot.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        // A number stands for yes as well.
        let differs = |is: &&Vec<u8>| *is != wanted && !(flag == "-o" && wanted == b"yes" && number(is) > Some(0));
        if let Some(is) = is.filter(differs) {
            wrong.push(format!("{flag} {}: {} and not {}", Safe(name), Safe(is), Safe(wanted)));
        }
    }
    (!wrong.is_empty())
        .then(|| {
            Diagnosis::new(
                Level::Warn,
                wrong.join("; "),
                "it does not run with what it should have been started with",
                snapshot.ask("settings"),
            )
        })
        .flatten()
}

/// Everybody can use it, and over UDP against others.
pub fn exposure(snapshot: &Snapshot) -> Option<Diagnosis> {
    if !snapshot.is_exposed() {
        return None;
    }
    let listens = snapshot.setting("inter").filter(|list| *list != b"NULL").map(|list| Safe(list).to_string());
    let listens = listens.unwrap_or_else(|| String::from("every address"));
    match snapshot.setting("udpport").and_then(number) {
        Some(port @ 1..) => Diagnosis::new(
            Level::Warn,
            format!("listens on {listens} without a login, and for UDP on port {port}"),
            "over UDP strangers make it flood others (amplification), and TCP gives them every key",
            "restart it with -U 0, and -l with an address that only its clients reach",
        ),
        _ => Diagnosis::new(
            Level::Note,
            format!("listens on {listens} without a login"),
            "whoever reaches the port reads, changes and flushes everything",
            "netstat -l shows it; a network policy, or -l with an address that only its clients reach",
        ),
    }
}

/// Dates as times to live are read by the server's clock.
pub fn clock(snapshot: &Snapshot) -> Option<Diagnosis> {
    let (theirs, ours) = (snapshot.value("time")?, snapshot.clock?);
    let apart = theirs.abs_diff(ours);
    // The server's clock ticks once a second, and it may have taken a while.
    let allowed = 2 + snapshot.answer.as_secs();
    (apart > allowed)
        .then(|| {
            let word = if theirs > ours { "ahead of" } else { "behind" };
            Diagnosis::new(
                if apart >= 60 { Level::Warn } else { Level::Note },
                format!("its clock is {} {word} ours", ago(apart)),
                "times to live that are dates end too early or too late; one that falls behind was stopped or starved",
                "date; compare the clocks of the machines",
            )
        })
        .flatten()
}

pub fn certificate(snapshot: &Snapshot) -> Option<Diagnosis> {
    const SOON: i64 = 30 * 86400;
    let now = i64::try_from(snapshot.clock?).ok()?;
    let first = *snapshot.expiries.iter().min()?;
    let left = first.saturating_sub(now);
    (left < SOON)
        .then(|| {
            let when = units::utc(first);
            let (level, text) = match left {
                ..0 => (Level::Fail, format!("a certificate of it expired on {when}")),
                0..604_800 => (Level::Warn, format!("a certificate of it expires in {}, on {when}", ago(left as u64))),
                _ => (Level::Note, format!("a certificate of it expires in {}, on {when}", ago(left as u64))),
            };
            Diagnosis::new(
                level,
                text,
                "clients that look at it do not connect any more from then on",
                format!("replace the file, then {}", snapshot.ask("raw refresh_certs")),
            )
        })
        .flatten()
}

pub fn hash(snapshot: &Snapshot) -> Option<Diagnosis> {
    let power = snapshot.value("hash_power_level").filter(|power| *power < 64)?;
    let items = snapshot.value("curr_items")?;
    let buckets = 1u64 << power;
    if snapshot.value("hash_is_expanding") == Some(1) {
        return Diagnosis::new(
            Level::Note,
            format!("the hash table grows to 2^{power} entries for {items} items"),
            "for a while it has two tables, and is slower",
            format!("restart it some day with -o hashpower={power}"),
        );
    }
    // It grows at one and a half.
    (share(items, buckets) >= 2.0)
        .then(|| {
            Diagnosis::new(
                Level::Warn,
                format!("{items} items in a hash table of 2^{power} entries, and it does not grow"),
                "each get walks along a chain of items",
                format!(
                    "restart it without -o no_hashexpand, or with -o hashpower={}",
                    (64 - items.leading_zeros()).max(12)
                ),
            )
        })
        .flatten()
}

/// What keeps the memory in order by itself.
pub fn background(snapshot: &Snapshot) -> Option<Diagnosis> {
    let settings = [
        ("lru_crawler", "no", "lru_crawler"),
        ("lru_maintainer_thread", "no", "lru_maintainer"),
        ("slab_reassign", "no", "slab_reassign"),
        ("slab_automove", "0", "slab_automove=1"),
    ];
    let off: Vec<_> = settings.iter().filter(|(name, off, _)| snapshot.setting(name) == Some(off.as_bytes())).collect();
    (!off.is_empty())
        .then(|| {
            let names: Vec<&str> = off.iter().map(|(name, ..)| *name).collect();
            let flags: Vec<&str> = off.iter().map(|(.., flag)| *flag).collect();
            let needed = snapshot.rise("evictions") > 0;
            Diagnosis::new(
                if needed { Level::Warn } else { Level::Note },
                format!("{} off", names.join(", ")),
                "what has expired stays, or pages stay with sizes that are stored no more",
                format!("restart it with -o {}", flags.join(",")),
            )
        })
        .flatten()
}

/// The second store, on disk.
pub fn extstore(snapshot: &Snapshot) -> Option<Diagnosis> {
    let rise = |name: &str| snapshot.rise(&format!("extstore_{name}"));
    let damaged = snapshot.rise("badcrc_from_extstore").max(rise("badcrc"));
    if damaged > 0 {
        return Diagnosis::new(
            Level::Fail,
            format!("damaged values on disk: {}", snapshot.counted(damaged)),
            "the disk returns other bytes than were written",
            "dmesg | grep -i error on the machine; then another disk for ext_path",
        );
    }
    let lost = rise("compact_lost").max(snapshot.rise("miss_from_extstore"));
    if lost > 0 {
        return Diagnosis::new(
            Level::Warn,
            format!("values on disk that were lost before they were read: {}", snapshot.counted(lost)),
            "compaction or writing does not keep up: the file is too small, or the disk too slow",
            snapshot.ask("stats extstore"),
        );
    }
    let queue = snapshot.value("extstore_io_queue").unwrap_or(0);
    if queue >= 1000 {
        return Diagnosis::new(
            Level::Warn,
            format!("{queue} requests wait for the disk"),
            "the disk is slower than what is asked for: gets wait",
            "restart it with more ext_threads, or a larger -m, so that less lies on disk",
        );
    }
    let evicted = rise("page_evictions");
    (evicted > 0)
        .then(|| {
            let (used, most) = (snapshot.value("extstore_pages_used"), snapshot.value("extstore_page_count"));
            let of = used.zip(most).map(|(used, most)| format!(", {used} of {most} pages used")).unwrap_or_default();
            Diagnosis::new(
                Level::Note,
                format!("evicted pages on disk: {}{of}", snapshot.counted(evicted)),
                "the file is full",
                "restart it with a larger size in -o ext_path=FILE:SIZE",
            )
        })
        .flatten()
}

/// It stands in front of others.
pub fn proxy(snapshot: &Snapshot) -> Option<Diagnosis> {
    let bad = snapshot.value("proxy_backend_marked_bad").unwrap_or(0);
    let all = snapshot.value("proxy_backend_total").unwrap_or(0);
    let failed = snapshot.rise("proxy_backend_failed").max(snapshot.rise("proxy_conn_errors"));
    let refused = snapshot.rise("proxy_request_failed_depth");
    let reloads = snapshot.rise("proxy_config_reload_fails");
    let evidence = match (bad, failed, refused, reloads) {
        (1.., ..) => format!("{bad} of {all} servers behind the proxy are marked bad"),
        (_, 1.., ..) => format!("failures of servers behind the proxy: {}", snapshot.counted(failed)),
        (_, _, 1.., _) => format!("requests that met a full queue: {}", snapshot.counted(refused)),
        (_, _, _, 1..) => format!("failed reloads of the configuration: {}", snapshot.counted(reloads)),
        _ => return None,
    };
    Diagnosis::new(
        if bad > 0 { Level::Fail } else { Level::Warn },
        evidence,
        "some keys are answered with SERVER_ERROR backend failure, or with misses",
        snapshot.ask("stats proxybe"),
    )
}

pub fn log(snapshot: &Snapshot) -> Option<Diagnosis> {
    let (dropped, skipped) = (snapshot.rise("log_worker_dropped"), snapshot.rise("log_watcher_skipped"));
    let lost = dropped.saturating_add(skipped);
    (lost > 0)
        .then(|| {
            let written = snapshot.rise("log_worker_written").saturating_add(lost);
            Diagnosis::new(
                Level::Note,
                format!("{} of what 'watch' shows was lost", percent(lost, written)),
                "counts and rates from a watcher are too low",
                format!("restart it with -o worker_logbuf_size={}", doubled(snapshot, "worker_logbuf_size")),
            )
        })
        .flatten()
}

/// In KiB, as the option takes it.
fn doubled(snapshot: &Snapshot, name: &str) -> String {
    let bytes = snapshot.setting(name).and_then(number).unwrap_or(64 << 10).saturating_mul(2);
    String::from(flag_size(bytes).trim_end_matches('k'))
}

/// The seconds of processor time that the server has used.
pub fn processor_time(stats: &crate::protocol::memcached::client::Stats) -> Option<f64> {
    Some(find(stats, "rusage_user").and_then(decimal)? + find(stats, "rusage_system").and_then(decimal)?)
}
