//! Statistics that are tables: `items:3:number`, `3:chunk_size`, `22:state`. Rows by their number, and what slab classes
//! say when they are looked at together.

use std::collections::BTreeMap;

use crate::protocol::memcached::client::Stats;
use crate::protocol::memcached::text::number;

/// The fields of one row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row(pub BTreeMap<Vec<u8>, Vec<u8>>);

impl Row {
    pub fn text(&self, field: &str) -> Option<&[u8]> {
        self.0.get(field.as_bytes()).map(Vec::as_slice)
    }

    pub fn number(&self, field: &str) -> Option<u64> {
        self.text(field).and_then(number)
    }
}

/// Rows by their number; `prefix` stands before it.
pub fn rows(stats: &Stats, prefix: &str) -> BTreeMap<u64, Row> {
    let mut rows: BTreeMap<u64, Row> = BTreeMap::new();
    for (name, value) in stats {
        let Some(rest) = name.strip_prefix(prefix.as_bytes()) else { continue };
        let Some(colon) = memchr::memchr(b':', rest) else { continue };
        let Some(row) = number(&rest[..colon]) else { continue };
        rows.entry(row).or_default().0.insert(rest[colon + 1..].to_vec(), value.clone());
    }
    rows
}

/// One slab class, of `stats slabs` and `stats items`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Class {
    pub class: u64,
    pub chunk: Option<u64>,
    pub pages: Option<u64>,
    pub items: Option<u64>,
    pub used: Option<u64>,
    pub total: Option<u64>,
    /// What the items asked for, in bytes.
    pub requested: Option<u64>,
    /// Seconds since the last access of the oldest item.
    pub age: Option<u64>,
    pub evicted: Option<u64>,
    /// Of these, those that had a time to live.
    pub evicted_expiring: Option<u64>,
    /// How long the last evicted item had been idle.
    pub evicted_idle: Option<u64>,
    pub out_of_memory: Option<u64>,
}

impl Class {
    /// The part of its chunks that is used.
    pub fn full(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0)?;
        Some(self.used? as f64 / total as f64)
    }

    /// The part of the used chunks that nobody asked for.
    pub fn waste(&self) -> Option<f64> {
        let held = self.used?.checked_mul(self.chunk?).filter(|held| *held > 0)?;
        Some(1.0 - self.requested?.min(held) as f64 / held as f64)
    }

    /// Pages without an item.
    pub fn is_idle(&self) -> bool {
        self.pages.is_some_and(|pages| pages > 1) && self.used == Some(0)
    }
}

pub fn classes(slabs: &Stats, items: &Stats) -> Vec<Class> {
    let items = rows(items, "items:");
    let class = |(class, slab): (u64, Row)| {
        let item = items.get(&class).cloned().unwrap_or_default();
        Class {
            class,
            chunk: slab.number("chunk_size"),
            pages: slab.number("total_pages"),
            used: slab.number("used_chunks"),
            total: slab.number("total_chunks"),
            requested: item.number("mem_requested").or_else(|| slab.number("mem_requested")),
            items: item.number("number").or(slab.number("used_chunks")),
            age: item.number("age"),
            evicted: item.number("evicted"),
            evicted_expiring: item.number("evicted_nonzero"),
            evicted_idle: item.number("evicted_time"),
            out_of_memory: item.number("outofmemory"),
        }
    };
    rows(slabs, "").into_iter().map(class).collect()
}

/// How many items each class evicted in a second, between two looks; none where the server was started in between.
pub fn eviction_rates(before: &[Class], after: &[Class], seconds: f64) -> BTreeMap<u64, f64> {
    let rate = |class: &Class| {
        // A class that is new had evicted nothing.
        let before = before.iter().find(|known| known.class == class.class).map_or(Some(0), |known| known.evicted)?;
        Some((class.class, class.evicted?.checked_sub(before)? as f64 / seconds))
    };
    after.iter().filter_map(rate).collect()
}

/// What is wrong with a class among the others, in a word or two.
pub fn mark(class: &Class, all: &[Class]) -> &'static str {
    if class.out_of_memory.unwrap_or(0) > 0 {
        return "out of memory";
    }
    match class.is_idle() {
        true => "idle pages",
        // Pages that others do not use are what it lacks.
        false if class.evicted.unwrap_or(0) > 0 && all.iter().any(Class::is_idle) => "starved",
        false => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(text: &str) -> Stats {
        let pair = |line: &str| line.split_once(' ').map(|(a, b)| (a.as_bytes().to_vec(), b.as_bytes().to_vec()));
        text.lines().filter_map(pair).collect()
    }

    #[test]
    fn slab_classes() {
        let slabs = stats(
            "6:chunk_size 304\n6:total_pages 1\n6:total_chunks 3449\n6:used_chunks 3449\n\
             38:chunk_size 394840\n38:total_pages 3\n38:total_chunks 6\n38:used_chunks 0\nactive_slabs 2\n",
        );
        let items = stats("items:6:number 3449\nitems:6:evicted 7\nitems:6:mem_requested 524248\n");
        let classes = classes(&slabs, &items);
        assert_eq!(classes.len(), 2);
        assert_eq!((classes[0].class, classes[0].full(), classes[0].items), (6, Some(1.0), Some(3449)));
        assert_eq!(classes[0].waste(), Some(0.5));
        assert_eq!((mark(&classes[0], &classes), mark(&classes[1], &classes)), ("starved", "idle pages"));
        assert_eq!((classes[1].items, classes[1].waste(), classes[1].age), (Some(0), None, None));
    }

    #[test]
    fn evictions_in_a_second() {
        let class = |class, evicted| Class { class, evicted: Some(evicted), ..Class::default() };
        let rates = eviction_rates(&[class(1, 10), class(2, 9)], &[class(1, 30), class(2, 8), class(3, 5)], 10.0);
        assert_eq!(rates, BTreeMap::from([(1, 2.0), (3, 0.5)]));
    }

    /// As a real server answered.
    #[test]
    fn recorded_statistics() {
        use crate::inspect::memcached::{Facts, capacity};
        use crate::protocol::memcached::client::{Client, Dialect};
        struct Recorded(&'static [u8]);
        impl std::io::Read for Recorded {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0.read(buffer)
            }
        }
        impl std::io::Write for Recorded {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let read = |text| Client::new(Recorded(text), Dialect::Text).stats(None).unwrap();
        let slabs = read(include_bytes!("../../../tests/fixtures/wire/memcached-1.6.18-slabs"));
        let items = read(include_bytes!("../../../tests/fixtures/wire/memcached-1.6.18-items"));
        let conns = read(include_bytes!("../../../tests/fixtures/wire/memcached-1.6.18-conns"));
        let facts = Facts::new(&read(include_bytes!("../../../tests/fixtures/wire/memcached-1.6.18-stats")));
        let classes = classes(&slabs, &items);
        assert_eq!(classes.iter().map(|class| class.class).collect::<Vec<_>>(), [7, 13, 16, 19, 21, 22, 24, 25, 26]);
        let first = &classes[0];
        assert_eq!((first.chunk, first.pages, first.items, first.used), (Some(384), Some(1), Some(1), Some(1)));
        assert_eq!((first.requested, first.out_of_memory), (Some(361), Some(0)));
        assert_eq!((facts.items, facts.max_connections, facts.misses), (Some(9), Some(1024), Some(0)));
        assert_eq!(capacity(&rows(&conns, ""), 1024), Some(999));
    }

    #[test]
    fn names_that_are_no_rows() {
        assert!(rows(&stats("items:x:y 1\nitems 2\n:3 4\n99999999999999999999:a 1"), "items:").is_empty());
    }
}
