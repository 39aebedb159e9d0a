//! What is kept and what is lost: memory by size of item, evictions, misses, times to live.

use super::{Diagnosis, Snapshot, ago, flag_size, percent, share};
use crate::inspect::Level;
use crate::inspect::memcached::tables::Class;
use crate::output::units;

/// Fewer gets or stores than this say nothing.
const ENOUGH: u64 = 100;

/// What was used less than this before it was evicted would have been used again.
const YOUNG: u64 = 300;

/// What an item takes beside its key and value (with cas, without flags).
const ITEM_HEAD: u64 = 59;

fn pages<'a>(classes: impl IntoIterator<Item = &'a Class>) -> u64 {
    classes.into_iter().filter_map(|class| class.pages).fold(0, u64::saturating_add)
}

/// A class that could not store.
pub fn out_of_memory(snapshot: &Snapshot) -> Option<Diagnosis> {
    let failed = |class: &Class| snapshot.class_rise(class, |class| class.out_of_memory);
    let refused = snapshot.rise("store_no_memory");
    let worst = snapshot.classes.iter().max_by_key(|class| failed(class)).filter(|class| failed(class) > 0);
    // That is what was asked for, and another check says so.
    if snapshot.setting("evictions") == Some(b"off") || worst.is_none() && refused == 0 {
        return None;
    }
    let place = worst.map_or_else(String::new, |class| {
        let (own, all) = (class.pages.unwrap_or(0), pages(&snapshot.classes));
        let chunk = class.chunk.map(|chunk| format!(" (up to {})", units::bytes(chunk))).unwrap_or_default();
        format!(", most in class {}{chunk}, which has {own} of {all} pages", class.class)
    });
    let count = refused.max(worst.map_or(0, failed));
    Diagnosis::new(
        Level::Fail,
        format!("stores that found no memory: {}{place}", snapshot.counted(count)),
        "no page is left for this size of item, and nothing of this size to evict: SERVER_ERROR out of memory",
        match snapshot.setting("slab_automove") {
            Some(b"0") => snapshot.ask("raw 'slabs automove 1'"),
            _ => format!("restart it with a larger -m (now {}); {}", limit(snapshot), snapshot.ask("slabs")),
        },
    )
}

fn limit(snapshot: &Snapshot) -> String {
    snapshot.value("limit_maxbytes").map_or_else(|| String::from("unknown"), flag_size)
}

/// `-M`: errors in place of evictions.
pub fn no_evictions(snapshot: &Snapshot) -> Option<Diagnosis> {
    if snapshot.setting("evictions") != Some(b"off") {
        return None;
    }
    let (bytes, most) = (snapshot.value("bytes").unwrap_or(0), snapshot.value("limit_maxbytes").unwrap_or(0));
    let full = share(bytes, most) > 0.9;
    let refused = snapshot.rise("store_no_memory");
    let next = format!("restart it without -M, or with a larger -m (now {})", limit(snapshot));
    if refused == 0 && !full {
        let text = format!("evictions are off (-M), and {} of the memory are used", percent(bytes, most));
        return Diagnosis::new(Level::Note, text, "when it is full, stores fail instead of evicting the oldest", next);
    }
    let text = format!(
        "evictions are off (-M), the memory is {} full; stores refused: {}",
        percent(bytes, most),
        snapshot.counted(refused)
    );
    Diagnosis::new(
        Level::Fail,
        text,
        "in full classes nothing new can be stored until something expires or is deleted",
        next,
    )
}

/// A value that is too large is not stored, and what the key held is gone.
pub fn too_large(snapshot: &Snapshot) -> Option<Diagnosis> {
    let refused = Some(snapshot.rise("store_too_large")).filter(|refused| *refused > 0)?;
    let most = snapshot.setting("item_size_max").and_then(crate::protocol::memcached::text::number);
    let largest = most.map(|most| format!("; the largest is {} bytes less the key", most.saturating_sub(ITEM_HEAD)));
    Diagnosis::new(
        Level::Warn,
        format!("values larger than an item may be: {}{}", snapshot.counted(refused), largest.unwrap_or_default()),
        "each such store fails, and deletes what its key had held before",
        match most {
            Some(most) => {
                format!("restart it with -I {}; or compress in the client", flag_size(most.saturating_mul(2)))
            }
            None => String::from("restart it with a larger -I; or compress in the client"),
        },
    )
}

fn evicted(snapshot: &Snapshot, class: &Class) -> u64 {
    snapshot.class_rise(class, |class| class.evicted)
}

/// The class that evicts most.
fn starved(snapshot: &Snapshot) -> Option<(&Class, u64)> {
    let evictions = snapshot.classes.iter().map(|class| (class, evicted(snapshot, class)));
    evictions.max_by_key(|(_, count)| *count).filter(|(_, count)| *count > 0)
}

/// Pages that stay with sizes that nobody stores any more, while another size evicts.
pub fn slabs(snapshot: &Snapshot) -> Option<Diagnosis> {
    let (class, count) = starved(snapshot)?;
    let all = pages(&snapshot.classes);
    let idle: Vec<&Class> = snapshot.classes.iter().filter(|class| class.is_idle()).collect();
    let idle_for = class.evicted_idle.unwrap_or(0);
    // Not empty, but what it holds is much older than what the other one has to throw away.
    let older = |other: &&Class| {
        other.class != class.class
            && other.age.unwrap_or(0) > 3600.max(idle_for.saturating_mul(10))
            && other.pages.unwrap_or(0).saturating_mul(10) >= all
            && evicted(snapshot, other) == 0
    };
    let old = snapshot.classes.iter().filter(older).max_by_key(|other| other.pages);
    let unused = pages(idle.iter().copied());
    let elsewhere = match (idle.first(), old) {
        (Some(first), _) if idle.len() == 1 => format!("class {} holds {unused} pages and no items", first.class),
        (Some(_), _) => format!("{} classes hold {unused} pages and no items", idle.len()),
        (None, Some(old)) => format!(
            "class {} holds {} pages with items that are up to {} old",
            old.class,
            old.pages.unwrap_or(0),
            ago(old.age.unwrap_or(0))
        ),
        (None, None) => {
            // The same from far away: it evicts, and there is room.
            let (bytes, most) = (snapshot.value("bytes")?, snapshot.value("limit_maxbytes")?);
            if share(bytes, most) > 0.75 {
                return None;
            }
            format!("{} of the memory are used", percent(bytes, most))
        }
    };
    let evidence = format!(
        "class {} evicts ({}, unused for {}) with {} of {all} pages, while {elsewhere}",
        class.class,
        snapshot.counted(count),
        ago(idle_for),
        class.pages.unwrap_or(0),
    );
    let level = if snapshot.rate(count) >= 1.0 && !idle.is_empty() { Level::Fail } else { Level::Warn };
    let next = match (snapshot.setting("slab_reassign"), snapshot.setting("slab_automove")) {
        (Some(b"no"), _) => String::from("restart it with -o slab_reassign,slab_automove=1"),
        (_, Some(b"0")) => snapshot.ask("raw 'slabs automove 1'"),
        _ => format!("{} for some minutes, then 1; else a restart", snapshot.ask("raw 'slabs automove 2'")),
    };
    Diagnosis::new(
        level,
        evidence,
        "calcified, not full: pages that one size took do not come back to the others",
        next,
    )
}

/// A full cache evicts, that is its work; it hurts where what goes is still wanted.
pub fn evictions(snapshot: &Snapshot) -> Option<Diagnosis> {
    let count = Some(snapshot.rise("evictions")).filter(|count| *count > 0)?;
    // It is not full: more memory is no help, and that check says what is.
    if slabs(snapshot).is_some() {
        return None;
    }
    let (active, unfetched) = (snapshot.rise("evicted_active"), snapshot.rise("evicted_unfetched"));
    let direct = snapshot.rise("direct_reclaims");
    let idle = starved(snapshot).and_then(|(class, _)| class.evicted_idle);
    let idle_text = idle.map(|idle| format!(", unused for {}", ago(idle))).unwrap_or_default();
    let direct_text = match direct {
        0 => String::new(),
        direct => format!("; stores that had to make room: {}", snapshot.counted(direct)),
    };
    let evidence = format!(
        "evicted: {}{idle_text}; {} never fetched, {} in use{direct_text}",
        snapshot.counted(count),
        percent(unfetched, count),
        percent(active, count)
    );
    let used = snapshot.value("bytes").zip(snapshot.value("limit_maxbytes"));
    if used.is_some_and(|(bytes, most)| share(bytes, most) <= 0.75) {
        let meaning = "it is not full: the sizes of items share the memory badly, or it was flushed since";
        return Diagnosis::new(Level::Note, evidence, meaning, snapshot.ask("slabs"));
    }
    let hurts = idle.is_some_and(|idle| idle < YOUNG) || share(active, count) >= 0.1;
    let (level, meaning) = match (snapshot.rate(count) >= 1.0 && hurts, share(unfetched, count) >= 0.5) {
        (true, true) => (Level::Warn, "it is too small for what is stored, most of which nobody asks for"),
        (true, false) => (Level::Warn, "it is too small: what goes would have been asked for again"),
        (false, _) => (Level::Note, "the memory is full, and what goes has long not been used"),
    };
    let next = match level {
        Level::Warn => {
            let doubled = snapshot.value("limit_maxbytes").unwrap_or(0).saturating_mul(2);
            format!("restart it with -m {}, or store less: {}", doubled >> 20, snapshot.ask("keys --by-prefix"))
        }
        _ => snapshot.ask("slabs"),
    };
    Diagnosis::new(level, evidence, meaning, next)
}

pub fn hits(snapshot: &Snapshot) -> Option<Diagnosis> {
    let (hits, misses) = (snapshot.rise("get_hits"), snapshot.rise("get_misses"));
    let gets = hits.saturating_add(misses);
    if gets < ENOUGH {
        return None;
    }
    let total = |name| snapshot.value(name).unwrap_or(0);
    let (all_hits, all_misses) = (total("get_hits"), total("get_misses"));
    let ever = share(all_hits, all_hits.saturating_add(all_misses));
    let ratio = share(hits, gets);
    let fell = snapshot.before.is_some() && ratio + 0.2 <= ever;
    if ratio >= 0.5 && !fell {
        return None;
    }
    let (expired, flushed) = (snapshot.rise("get_expired"), snapshot.rise("get_flushed"));
    let since = match snapshot.before {
        Some(_) => format!(" ({} since the start)", percent(all_hits, all_hits.saturating_add(all_misses))),
        None => String::from(" since the start"),
    };
    let evidence = format!(
        "{} of {gets} gets hit{since}; of the misses {} had expired, {} were flushed, the rest was not there",
        percent(hits, gets),
        percent(expired, misses),
        percent(flushed, misses),
    );
    let meaning = match (share(expired, misses) >= 0.5, share(flushed, misses) >= 0.5, snapshot.rise("evictions") > 0) {
        (true, _, _) => "times to live are shorter than the time between two gets",
        (_, true, _) => "somebody has flushed it",
        (_, _, true) => "what is asked for was evicted, or never stored",
        _ => "what is asked for was never stored, or was deleted",
    };
    let level = if fell { Level::Warn } else { Level::Note };
    Diagnosis::new(level, evidence, meaning, snapshot.ask("top --by prefix"))
}

/// It counts those as well that -F has refused.
fn can_flush(snapshot: &Snapshot) -> bool {
    snapshot.setting("flush_enabled") != Some(b"no")
}

pub fn flushes(snapshot: &Snapshot) -> Option<Diagnosis> {
    let count = Some(snapshot.rise("cmd_flush")).filter(|count| *count > 0 && can_flush(snapshot))?;
    let level = if snapshot.before.is_some() { Level::Warn } else { Level::Note };
    let flushed = snapshot.rise("get_flushed");
    Diagnosis::new(
        level,
        format!("flush_all: {}; gets that missed for it: {}", snapshot.counted(count), snapshot.counted(flushed)),
        "a client empties the cache: everybody else's values too",
        format!("{} while it happens shows who; restart it with -F to forbid it", snapshot.ask("conns")),
    )
}

/// More than thirty days are a date, and that date is in the past: stored, and gone at once. What was flushed is not among
/// what a get found expired.
pub fn ttl(snapshot: &Snapshot) -> Option<Diagnosis> {
    let stored = snapshot.rise("cmd_set");
    let (hits, misses) = (snapshot.rise("get_hits"), snapshot.rise("get_misses"));
    let gone = snapshot.rise("get_expired");
    let rare = share(hits, hits.saturating_add(misses)) < 0.05;
    (stored >= ENOUGH && rare && share(gone, stored) >= 0.5)
        .then(|| {
            Diagnosis::new(
                Level::Warn,
                format!(
                    "{} of {stored} stored values had expired when they were asked for, {hits} gets hit",
                    percent(gone.min(stored), stored)
                ),
                "a time to live over 30 days (2592000 s) is taken for a date in 1970: stored, and gone at once",
                format!("{} shows what a client has to send", snapshot.ask("set KEY VALUE --ttl 60d")),
            )
        })
        .flatten()
}

pub fn unfetched(snapshot: &Snapshot) -> Option<Diagnosis> {
    let stored = snapshot.rise("total_items");
    let unread = snapshot.rise("expired_unfetched");
    // What was flushed is counted there too, and later: when its memory is wanted.
    let flushed = snapshot.value("cmd_flush").unwrap_or(0) > 0 && can_flush(snapshot);
    (stored >= ENOUGH && share(unread, stored) >= 0.5 && !flushed)
        .then(|| {
            Diagnosis::new(
                Level::Note,
                format!(
                    "{} of {stored} stored values expired without being fetched once",
                    percent(unread.min(stored), stored)
                ),
                "most of what is stored is never asked for",
                snapshot.ask("keys --by-prefix"),
            )
        })
        .flatten()
}

/// Of what was evicted, which is a sample of what is there.
pub fn never_expiring(snapshot: &Snapshot) -> Option<Diagnosis> {
    let sum = |of: fn(&Class) -> Option<u64>| {
        snapshot.classes.iter().map(|class| snapshot.class_rise(class, of)).fold(0, u64::saturating_add)
    };
    let all = sum(|class| class.evicted);
    let lasting = all.saturating_sub(sum(|class| class.evicted_expiring));
    // Where the server does not tell, all of them would be.
    let told = snapshot.classes.iter().any(|class| class.evicted_expiring.is_some());
    (told && all >= ENOUGH && share(lasting, all) >= 0.9)
        .then(|| {
            Diagnosis::new(
                Level::Note,
                format!("{} of {all} evicted values had no time to live", percent(lasting, all)),
                "only eviction makes room: what is out of date stays until then",
                snapshot.ask("keys --summary"),
            )
        })
        .flatten()
}
