//! The keys of a database in their order. The database has them by revision, and there may be more of them than fit in
//! memory, or on a disk that may not be written: so the file is read again for every few that do fit, from the least on.

use super::Error;
use super::bolt::{Place, Seen};
use super::store::Store;
use crate::output::order;

/// What is kept of the keys at once, a hundred and fifty thousand of twenty bytes. Sorting takes a third more.
const ROOM: usize = 6 << 20;

/// A key, which stands among the collected ones, and its newest change so far.
#[derive(Clone, Copy)]
struct Entry {
    at: u32,
    length: u32,
    place: Place,
    tombstone: bool,
}

/// The keys that are there at a revision, a batch at a time.
pub struct Sorted<'s> {
    store: &'s Store<'s>,
    last: Option<i64>,
    wants: &'s dyn Fn(&[u8]) -> bool,
    room: usize,
    /// Only keys above this one are left, or none at all.
    after: Option<Vec<u8>>,
    done: bool,
    /// What does not fit any more begins above this one.
    up_to: Option<Vec<u8>>,
    keys: Vec<u8>,
    entries: Vec<Entry>,
}

impl<'s> Sorted<'s> {
    pub fn new(store: &'s Store<'s>, last: Option<i64>, wants: &'s dyn Fn(&[u8]) -> bool) -> Sorted<'s> {
        let (keys, entries) = (Vec::new(), Vec::new());
        Sorted { store, last, wants, room: ROOM, after: None, done: false, up_to: None, keys, entries }
    }

    /// Reads the file for the next batch, which may be empty; false when there is none.
    pub fn read(&mut self) -> Result<bool, Error> {
        if self.done {
            return Ok(false);
        }
        self.keys.clear();
        self.entries.clear();
        let (store, wants) = (self.store, self.wants);
        let seen = Seen::new(store.bolt);
        let mut changes = store.changes(self.last, &seen)?;
        while let Some(change) = changes.next()? {
            let key = change.pair.key;
            let left = self.after.as_deref().is_none_or(|after| key > after);
            if left && self.up_to.as_deref().is_none_or(|up_to| key <= up_to) && wants(key) {
                self.add(key, change.place, change.revision.tombstone);
            }
        }
        self.sort();
        self.after = self.up_to.take();
        self.done = self.after.is_none();
        Ok(true)
    }

    /// The batch: each key, and where its newest change is.
    pub fn batch(&self) -> impl Iterator<Item = (&[u8], Place)> {
        self.entries.iter().map(|entry| (self.key(entry), entry.place))
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        &self.keys[entry.at as usize..][..entry.length as usize]
    }

    fn add(&mut self, key: &[u8], place: Place, tombstone: bool) {
        let (at, length) = (self.keys.len() as u32, key.len() as u32);
        self.keys.extend_from_slice(key);
        self.entries.push(Entry { at, length, place, tombstone });
        if self.keys.len() + size_of_val(self.entries.as_slice()) > self.room {
            self.sort();
            self.shrink();
        }
    }

    /// One entry for each key, the newest, in order; none for those that were deleted.
    fn sort(&mut self) {
        arrange(&mut self.entries, &self.keys, true);
        let mut kept: usize = 0;
        for index in 0..self.entries.len() {
            let entry = self.entries[index];
            let is_newest = self.entries.get(index + 1).is_none_or(|next| self.key(next) != self.key(&entry));
            if is_newest && !entry.tombstone {
                self.entries[kept] = entry;
                kept += 1;
            }
        }
        self.entries.truncate(kept);
    }

    /// Makes room again: of what is in order the first three quarters stay, and one at least.
    fn shrink(&mut self) {
        let (mut size, mut count) = (0, 0);
        for entry in &self.entries {
            size += entry.length as usize + size_of::<Entry>();
            if size > self.room / 4 * 3 && count > 0 {
                self.up_to = Some(self.key(&self.entries[count - 1]).to_vec());
                break;
            }
            count += 1;
        }
        self.entries.truncate(count);
        // The keys move to the front, in the order in which they stand.
        arrange(&mut self.entries, &self.keys, false);
        let mut end = 0;
        for entry in &mut self.entries {
            let start = entry.at as usize;
            self.keys.copy_within(start..start + entry.length as usize, end);
            entry.at = end as u32;
            end += entry.length as usize;
        }
        self.keys.truncate(end);
    }
}

/// Sorts by the keys, of which the later one stands further on, or only by where they stand.
fn arrange(entries: &mut [Entry], keys: &[u8], by_key: bool) {
    let key = |entry: &Entry| if by_key { &keys[entry.at as usize..][..entry.length as usize] } else { &[][..] };
    order::sort_by(entries, |a, b| key(a).cmp(key(b)).then(a.at.cmp(&b.at)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::etcd::file::bolt::{Bolt, Pairs};
    use crate::protocol::etcd::file::field::Message;
    use crate::protocol::etcd::file::store::{KeyValue, Revision};
    use crate::protocol::etcd::file::writer::Writer;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use std::fs::File;

    /// A database of these changes, one in each revision from 1 on; without a value, a deletion.
    fn store(changes: &[(&str, Option<&str>)]) -> File {
        let file = File::from(memfd_create(c"store", MFdFlags::MFD_CLOEXEC).unwrap());
        let mut writer = Writer::new(file, 1024);
        writer.bucket(b"key", 0).unwrap();
        for (main, (key, value)) in (1..).zip(changes) {
            let message = Message::default().bytes(1, key.as_bytes());
            let message = value.iter().fold(message, |message, value| message.bytes(5, value.as_bytes()));
            let revision = Revision { main, sub: 0, tombstone: value.is_none() };
            writer.pair(&revision.to_key(), &message.0).unwrap();
        }
        writer.finish().unwrap()
    }

    /// Keys and values, and how many batches they came in.
    fn sorted(changes: &[(&str, Option<&str>)], room: usize, last: Option<i64>) -> (Vec<String>, usize) {
        let file = store(changes);
        let bolt = Bolt::open(&file).unwrap();
        let store = Store::open(&bolt).unwrap();
        let mut pairs = Pairs::new(&bolt, store.keys().unwrap());
        let mut sorted = Sorted { room, ..Sorted::new(&store, last, &|key| key != b"unwanted") };
        let (mut found, mut batches) = (Vec::new(), 0);
        while sorted.read().unwrap() {
            batches += 1;
            for (key, place) in sorted.batch() {
                let pair = KeyValue::parse(pairs.read(place).unwrap().1).unwrap();
                assert_eq!(pair.key, key);
                found.push(format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(pair.value)));
            }
        }
        (found, batches)
    }

    const CHANGES: [(&str, Option<&str>); 9] = [
        ("d", Some("1")),
        ("b", Some("2")),
        ("unwanted", Some("3")),
        ("a", Some("4")),
        ("b", None),
        ("c", Some("5")),
        ("a", Some("6")),
        ("d", None),
        ("b", Some("7")),
    ];

    #[test]
    fn the_newest_change_of_each_key() {
        let all = (vec![String::from("a=6"), String::from("b=7"), String::from("c=5")], 1);
        assert_eq!(sorted(&CHANGES, 1 << 20, None), all);
        assert_eq!(sorted(&CHANGES, 1 << 20, Some(4)).0, ["a=4", "b=2", "d=1"]);
        assert_eq!(sorted(&CHANGES, 1 << 20, Some(5)).0, ["a=4", "d=1"]);
        assert_eq!(sorted(&[], 1 << 20, None), (vec![], 1));
        assert_eq!(sorted(&[("a", Some("")), ("a", None)], 1 << 20, None), (vec![], 1));
    }

    #[test]
    fn the_same_in_as_many_batches_as_it_takes() {
        for room in 0..300 {
            let (found, batches) = sorted(&CHANGES, room, None);
            assert_eq!(found, ["a=6", "b=7", "c=5"], "{room}");
            assert!(batches <= 4, "{room}: {batches}");
        }
        // Ascending, descending, and back and forth; every third is deleted again.
        let name = |number: usize| format!("{number:03}");
        let orders: [Vec<usize>; 3] =
            [(0..500).collect(), (0..500).rev().collect(), (0..500).map(|number| number * 271 % 500).collect()];
        let expected: Vec<String> =
            (0..500).filter(|number| number % 3 != 0).map(|number| format!("{number:03}=x")).collect();
        for order in orders {
            let keys: Vec<String> = order.iter().map(|number| name(*number)).collect();
            let mut changes: Vec<(&str, Option<&str>)> = keys.iter().map(|key| (key.as_str(), Some("x"))).collect();
            let gone = keys.iter().zip(&order).filter(|(_, number)| *number % 3 == 0);
            changes.extend(gone.map(|(key, _)| (key.as_str(), None)));
            let (found, batches) = sorted(&changes, 4096, None);
            assert_eq!(found, expected);
            // 178 entries of 23 bytes, of which 133 stay, and of these as many as are not deleted in the end.
            assert_eq!(batches, 4);
        }
    }
}
