//! What a cache holds, summed up while its list goes by: by size, by what is left to live, by the beginnings of keys.

use super::frequent::{Frequent, Tally};
use crate::protocol::memcached::dump::{Expires, Facts};

/// The names of spans of what is left to live, and the seconds that each begins below.
pub const LIVES: [(&str, u64); 7] = [
    ("<1m", 60),
    ("<10m", 600),
    ("<1h", 3600),
    ("<1d", 86400),
    ("<7d", 7 * 86400),
    ("<30d", 30 * 86400),
    (">=30d", u64::MAX),
];

/// As many as an item's size has bits, `-I` being at most 1 GiB.
const SIZES: usize = 32;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    pub items: u64,
    pub bytes: u64,
}

impl Bucket {
    fn add(&mut self, bytes: u64) {
        self.items += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// All items together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub all: Tally,
    /// Whose list told whether they have been fetched.
    pub told: u64,
    /// By the power of two that a size reaches.
    sizes: [Bucket; SIZES],
    lives: [Bucket; LIVES.len()],
    pub never: Bucket,
    pub unknown: Bucket,
}

/// What an item counts for. `now` is the server's time.
pub fn tally(facts: &Facts, now: u64) -> Tally {
    let left = match facts.expires {
        Expires::At(time) => time.saturating_sub(now),
        _ => 0,
    };
    Tally {
        count: 1,
        bytes: facts.size.unwrap_or(0),
        hits: u64::from(facts.fetched == Some(true)),
        forever: u64::from(facts.expires == Expires::Never),
        left,
    }
}

impl Summary {
    pub fn add(&mut self, facts: &Facts, tally: &Tally) {
        self.all.add(tally);
        self.told += u64::from(facts.fetched.is_some());
        if let Some(size) = facts.size {
            let power = size.max(1).ilog2() as usize;
            self.sizes[power.min(SIZES - 1)].add(size);
        }
        let life = match facts.expires {
            Expires::Never => &mut self.never,
            Expires::Unknown => &mut self.unknown,
            Expires::At(_) => {
                let index = LIVES.iter().position(|(_, end)| tally.left < *end).unwrap_or(LIVES.len() - 1);
                &mut self.lives[index]
            }
        };
        life.add(tally.bytes);
    }

    /// The sizes that there are: from, and up to.
    pub fn sizes(&self) -> impl Iterator<Item = (u64, u64, Bucket)> {
        let used = self.sizes.iter().enumerate().filter(|(_, bucket)| bucket.items > 0);
        used.map(|(power, bucket)| (1 << power, (1 << (power + 1)) - 1, *bucket))
    }

    pub fn lives(&self) -> impl Iterator<Item = (&'static str, Bucket)> {
        let spans = LIVES.iter().zip(&self.lives).map(|((name, _), bucket)| (*name, *bucket));
        spans.chain([("never", self.never), ("unknown", self.unknown)]).filter(|(_, bucket)| bucket.items > 0)
    }
}

/// Where keys are cut: behind so many of these bytes.
pub struct Cut {
    pub delimiters: Vec<u8>,
    pub depth: usize,
}

impl Cut {
    /// The beginning of a key; empty where it has no delimiter.
    pub fn prefix<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        let ends = key.iter().enumerate().filter(|(_, byte)| self.delimiters.contains(byte));
        let end = ends.take(self.depth).last().map_or(0, |(at, _)| at + 1);
        &key[..end]
    }
}

/// More prefixes than anybody reads.
const PREFIXES: usize = 8192;

/// The beginnings of keys, by the memory that their items take.
pub struct Prefixes {
    pub cut: Cut,
    pub found: Frequent,
}

impl Prefixes {
    pub fn new(cut: Cut) -> Prefixes {
        Prefixes { cut, found: Frequent::new(PREFIXES) }
    }

    pub fn add(&mut self, key: &[u8], tally: &Tally) {
        self.found.add(self.cut.prefix(key), tally.bytes.max(1), tally);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::memcached::dump::{Form, Line, line};

    fn summed(text: &str) -> (Summary, Prefixes) {
        let mut summary = Summary::default();
        let mut prefixes = Prefixes::new(Cut { delimiters: b":".to_vec(), depth: 1 });
        for text in text.lines() {
            let text = format!("{text}\n");
            let Ok(Some((Line::Item(item), _))) = line(Form::Meta, text.as_bytes()) else { panic!("{text}") };
            let facts = item.facts();
            let tally = tally(&facts, 1000);
            summary.add(&facts, &tally);
            prefixes.add(item.key(&mut Vec::new()), &tally);
        }
        (summary, prefixes)
    }

    #[test]
    fn sums_and_histograms() {
        let (summary, prefixes) = summed(
            "key=user%3A1 exp=-1 fetch=yes size=63\nkey=user%3A2 exp=1059 fetch=no size=64\n\
             key=page%3A1 exp=1060 fetch=no size=127\nkey=x exp=99999999999 size=4294967296\nkey=y exp=900",
        );
        let all = Tally { count: 5, bytes: 63 + 64 + 127 + 4_294_967_296, hits: 1, forever: 1, left: 99_999_999_118 };
        assert_eq!((summary.all, summary.told), (all, 3));
        let sizes: Vec<_> = summary.sizes().map(|(from, to, bucket)| (from, to, bucket.items)).collect();
        assert_eq!(sizes, [(32, 63, 1), (64, 127, 2), (1 << 31, (1 << 32) - 1, 1)]);
        let lives: Vec<_> = summary.lives().map(|(name, bucket)| (name, bucket.items, bucket.bytes)).collect();
        assert_eq!(lives, [("<1m", 2, 64), ("<10m", 1, 127), (">=30d", 1, 4_294_967_296), ("never", 1, 63)]);
        let found: Vec<_> =
            prefixes.found.largest(9).into_iter().map(|(name, tally)| (name, tally.count, tally.bytes)).collect();
        assert_eq!(found, [(&b""[..], 2, 4_294_967_296), (b"page:", 1, 127), (b"user:", 2, 127)]);
    }

    #[test]
    fn beginnings_of_keys() {
        let cut = |delimiters: &[u8], depth, key: &'static str| {
            let cut = Cut { delimiters: delimiters.to_vec(), depth };
            String::from_utf8(cut.prefix(key.as_bytes()).to_vec()).unwrap()
        };
        assert_eq!(cut(b":", 1, "a:b:c"), "a:");
        assert_eq!(cut(b":", 2, "a:b:c"), "a:b:");
        assert_eq!(cut(b":", 3, "a:b:c"), "a:b:");
        assert_eq!(cut(b":/", 2, "a/b:c"), "a/b:");
        assert_eq!(cut(b":", 1, "abc"), "");
        assert_eq!(cut(b":", 1, ":"), ":");
    }
}
