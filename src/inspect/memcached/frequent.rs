//! What is frequent in a stream that is longer than memory. The largest of many are kept; what a name may have lost while it
//! was not among them has a bound, which is told.

use std::collections::HashMap;

use crate::output::order;

/// What is counted of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub count: u64,
    pub bytes: u64,
    /// Fetched items, or gets that found something.
    pub hits: u64,
    /// Items that never expire.
    pub forever: u64,
    /// Seconds left to live, of those that expire.
    pub left: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.count = self.count.saturating_add(other.count);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.hits = self.hits.saturating_add(other.hits);
        self.forever = self.forever.saturating_add(other.forever);
        self.left = self.left.saturating_add(other.left);
    }

    /// The mean of what is left to live, of the items that expire.
    pub fn mean_left(&self) -> Option<u64> {
        self.left.checked_div(self.count.saturating_sub(self.forever))
    }
}

struct Entry {
    tally: Tally,
    weight: u64,
    /// What may be missing of its weight.
    missing: u64,
}

/// At most `most` names at a time.
pub struct Frequent {
    names: HashMap<Vec<u8>, Entry>,
    most: usize,
    /// As much as a name that is not there may weigh.
    forgotten: u64,
}

impl Frequent {
    pub fn new(most: usize) -> Frequent {
        Frequent { names: HashMap::new(), most: most.max(2), forgotten: 0 }
    }

    pub fn add(&mut self, name: &[u8], weight: u64, tally: &Tally) {
        let entry = match self.names.get_mut(name) {
            Some(entry) => entry,
            None => {
                if self.names.len() >= self.most {
                    self.forget();
                }
                let entry = Entry { tally: Tally::default(), weight: 0, missing: self.forgotten };
                self.names.entry(name.to_vec()).or_insert(entry)
            }
        };
        entry.weight = entry.weight.saturating_add(weight);
        entry.tally.add(tally);
    }

    /// Makes room: the lighter half goes, by what each may weigh at most.
    fn forget(&mut self) {
        let mut weights: Vec<u64> =
            self.names.values().map(|entry| entry.weight.saturating_add(entry.missing)).collect();
        let middle = weights.len() / 2;
        let (_, limit, _) = weights.select_nth_unstable(middle);
        let limit = *limit;
        // Of many that are alike none would go, or all: then as many as make half.
        let mut spare = self.most - middle - weights.iter().filter(|weight| **weight > limit).count();
        let mut gone = 0;
        self.names.retain(|_, entry| match entry.weight.saturating_add(entry.missing) {
            weight if weight > limit => true,
            weight if weight == limit && spare > 0 => {
                spare -= 1;
                true
            }
            weight => {
                gone = gone.max(weight);
                false
            }
        });
        self.forgotten = self.forgotten.max(gone);
    }

    /// What may be missing of any name's weight: 0 where all names found room.
    pub fn missing(&self) -> u64 {
        self.forgotten
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The heaviest, and of equals the first in the alphabet.
    pub fn largest(&self, most: usize) -> Vec<(&[u8], &Tally)> {
        let mut all: Vec<(&[u8], &Entry)> = self.names.iter().map(|(name, entry)| (name.as_slice(), entry)).collect();
        order::sort_by(&mut all, |(a, one), (b, other)| other.weight.cmp(&one.weight).then(a.cmp(b)));
        all.truncate(most);
        all.into_iter().map(|(name, entry)| (name, &entry.tally)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Tally = Tally { count: 1, bytes: 10, hits: 0, forever: 0, left: 60 };

    fn fill(most: usize, names: &str) -> Frequent {
        let mut frequent = Frequent::new(most);
        for name in names.split_whitespace() {
            frequent.add(name.as_bytes(), 1, &ONE);
        }
        frequent
    }

    fn shown(frequent: &Frequent, most: usize) -> String {
        let largest = frequent.largest(most).into_iter();
        let texts: Vec<String> =
            largest.map(|(name, tally)| format!("{} {}", crate::output::Safe(name), tally.count)).collect();
        texts.join(", ")
    }

    #[test]
    fn with_room_for_all() {
        let frequent = fill(8, "a b a c b a");
        assert_eq!(shown(&frequent, 9), "a 3, b 2, c 1");
        assert_eq!(shown(&frequent, 1), "a 3");
        assert_eq!((frequent.missing(), frequent.len()), (0, 3));
        let (_, tally) = frequent.largest(1)[0];
        assert_eq!((tally.bytes, tally.mean_left()), (30, Some(60)));
    }

    #[test]
    fn the_heavy_ones_stay() {
        let frequent = fill(4, "a a a b b c d e f a b");
        assert_eq!(shown(&frequent, 2), "a 4, b 3");
        assert_eq!((frequent.missing(), frequent.len()), (1, 4));
        // All alike.
        let many = fill(4, "a b c d e f g h i j k l");
        assert!(many.len() <= 4 && many.missing() <= 6, "{} {}", many.len(), many.missing());
        assert!(many.largest(9).iter().all(|(_, tally)| tally.count == 1));
    }

    #[test]
    fn sums_end_where_numbers_do() {
        let mut tally = Tally { count: u64::MAX, bytes: u64::MAX, ..Tally::default() };
        tally.add(&ONE);
        assert_eq!((tally.count, tally.bytes), (u64::MAX, u64::MAX));
        assert_eq!(Tally { count: 1, forever: 1, ..Tally::default() }.mean_left(), None);
    }
}
