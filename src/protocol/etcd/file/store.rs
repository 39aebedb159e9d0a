//! What etcd keeps in its database (etcd's server/storage/mvcc and schema): in the bucket `key` every revision of every
//! key, by revision; in `meta` how far it was compacted; in the others members, leases, users.
//!
//! Nothing here holds more than a bit for each key, except while a compaction is under way.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::Error;
use super::bolt::{Bolt, Bucket, Rows, Seen};
use super::checksum::Crc32c;
use super::field::fields;
use crate::output::order;

/// When a pair was written: the transaction, and which of its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision {
    pub main: i64,
    pub sub: i64,
    /// The key was deleted.
    pub tombstone: bool,
}

impl Revision {
    /// `MMMMMMMM_SSSSSSSS`, with a `t` behind it for a tombstone.
    pub fn parse(key: &[u8]) -> Option<Revision> {
        let (main, rest) = key.split_first_chunk()?;
        let (sub, mark) = rest.strip_prefix(b"_")?.split_first_chunk()?;
        let tombstone = match mark {
            b"" => false,
            b"t" => true,
            _ => return None,
        };
        Some(Revision { main: i64::from_be_bytes(*main), sub: i64::from_be_bytes(*sub), tombstone })
    }

    pub fn to_key(self) -> Vec<u8> {
        let mut key = [&self.main.to_be_bytes()[..], b"_", &self.sub.to_be_bytes()].concat();
        key.extend(self.tombstone.then_some(b't'));
        key
    }
}

/// mvccpb.KeyValue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyValue<'a> {
    pub key: &'a [u8],
    pub created: i64,
    pub modified: i64,
    /// How often it was written since it was created.
    pub version: i64,
    pub value: &'a [u8],
    pub lease: i64,
}

impl<'a> KeyValue<'a> {
    pub fn parse(message: &'a [u8]) -> Option<KeyValue<'a>> {
        let mut found = KeyValue::default();
        for field in fields(message) {
            let (number, value) = field.ok()?;
            match number {
                1 => found.key = value.bytes(),
                2 => found.created = value.signed(),
                3 => found.modified = value.signed(),
                4 => found.version = value.signed(),
                5 => found.value = value.bytes(),
                6 => found.lease = value.signed(),
                _ => {}
            }
        }
        Some(found)
    }
}

/// One row of the bucket `key`.
pub struct Change<'a> {
    pub revision: Revision,
    pub pair: KeyValue<'a>,
    /// The bytes that it takes in the file, without what surrounds a pair.
    pub size: u64,
    pub place: super::bolt::Place,
}

/// Up to which revision older values were thrown away, and up to which they are being.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compaction {
    pub finished: Option<i64>,
    pub scheduled: Option<i64>,
}

impl Compaction {
    /// What the server makes of it when it starts: it goes on with what it did not finish.
    fn revision(self) -> Option<i64> {
        self.finished.max(self.scheduled)
    }

    /// Not all is thrown away yet.
    fn is_pending(self) -> bool {
        self.scheduled > self.finished
    }
}

/// The database of a member.
pub struct Store<'b> {
    pub bolt: &'b Bolt<'b>,
    pub buckets: Vec<Bucket>,
    pub compaction: Compaction,
    /// Of the file, since etcd 3.6: `3.6.0`.
    pub version: Option<Vec<u8>>,
}

/// What `snapshot status` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Of all pairs of all buckets.
    pub hash: u32,
    pub revision: i64,
    /// Pairs in all buckets.
    pub rows: u64,
    /// Keys that are not deleted, where the file has a version, and so a release that counts them.
    pub keys: Option<u64>,
    pub size: u64,
}

/// What `hashkv` tells: equal for all members of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    pub hash: u32,
    pub revision: i64,
    /// -1 for never.
    pub compacted: i64,
}

/// Why there is no hash, or no value.
#[derive(Debug)]
pub enum Refusal {
    /// The revision is thrown away; this is the first that is not.
    Compacted(i64),
    /// There is none so high yet; this is the last.
    Future(i64),
    File(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::File(error)
    }
}

impl<'b> Store<'b> {
    pub fn open(bolt: &'b Bolt<'b>) -> Result<Store<'b>, Error> {
        let buckets = bolt.buckets(&Seen::new(bolt))?;
        let mut store = Store { bolt, buckets, compaction: Compaction::default(), version: None };
        if store.bucket(b"key").is_none() {
            return Err(Error::Not("a database, but not of etcd: it has no bucket called key"));
        }
        let Some(meta) = store.bucket(b"meta") else { return Ok(store) };
        let seen = Seen::new(bolt);
        let mut rows = bolt.rows(meta, &seen)?;
        let (mut compaction, mut version) = (Compaction::default(), None);
        while let Some(row) = rows.next()? {
            let revision = || Revision::parse(row.value).map(|revision| revision.main);
            match row.key {
                b"finishedCompactRev" => compaction.finished = revision(),
                b"scheduledCompactRev" => compaction.scheduled = revision(),
                b"storageVersion" => version = Some(row.value.to_vec()),
                _ => {}
            }
        }
        (store.compaction, store.version) = (compaction, version);
        Ok(store)
    }

    pub fn bucket(&self, name: &[u8]) -> Option<&Bucket> {
        self.buckets.iter().find(|bucket| bucket.name == name)
    }

    /// The bucket `key`.
    pub fn keys(&self) -> Result<&Bucket, Error> {
        self.bucket(b"key").ok_or(Error::Pair("key", "is not there"))
    }

    /// The changes up to a revision, oldest first.
    pub fn changes<'s>(&'s self, last: Option<i64>, seen: &'s Seen) -> Result<Changes<'s>, Error> {
        Ok(Changes { rows: self.bolt.rows(self.keys()?, seen)?, last: last.unwrap_or(i64::MAX) })
    }

    /// Whether what a revision had is still there.
    pub fn answers(&self, revision: Option<i64>) -> Result<(), Refusal> {
        match (revision, self.compaction.revision()) {
            (Some(revision), Some(compacted)) if revision < compacted => Err(Refusal::Compacted(compacted)),
            _ => Ok(()),
        }
    }

    /// All of the file in one pass.
    pub fn status(&self, seen: &Seen) -> Result<Status, Error> {
        let mut status = Status { hash: 0, revision: 0, rows: 0, keys: None, size: self.bolt.size() };
        let mut sum = Crc32c::from(0);
        let mut keys = self.version.as_ref().map(|_| Keys::new(self.compaction));
        // Again, because the pages of the root count too.
        for bucket in self.bolt.buckets(seen)? {
            sum.add(&bucket.name);
            let mut rows = self.bolt.rows(&bucket, seen)?;
            while let Some(row) = rows.next()? {
                sum.add(row.key);
                sum.add(if row.is_bucket { b"" } else { row.value });
                status.rows += 1;
                if bucket.name == b"key" {
                    let (revision, pair) = change(row.key, row.value)?;
                    status.revision = revision.main;
                    if let Some(keys) = &mut keys {
                        keys.take(revision, &pair);
                    }
                }
            }
        }
        status.keys = keys.map(|keys| keys.count());
        status.hash = sum.sum();
        Ok(status)
    }

    /// The hash of all that a server would answer at a revision. What a compaction throws away must not count where it
    /// has not come to it yet: of the revisions that are compacted only the ones that are still current do.
    pub fn hash(&self, revision: Option<i64>) -> Result<Hash, Refusal> {
        self.hash_within(revision, MOST_FOLLOWERS)
    }

    fn hash_within(&self, revision: Option<i64>, most: usize) -> Result<Hash, Refusal> {
        self.answers(revision)?;
        let compacted = self.compaction.revision();
        let keep = self.kept(compacted, revision, most)?;
        let mut sum = Crc32c::from(0);
        sum.add(b"key");
        let mut current = compacted.unwrap_or(1).max(1);
        let seen = Seen::new(self.bolt);
        let mut rows = self.bolt.rows(self.keys()?, &seen)?;
        let mut old = 0;
        while let Some(row) = rows.next()? {
            let at = Revision::parse(row.key).ok_or(MALFORMED_KEY)?;
            current = current.max(at.main);
            if revision.is_some_and(|last| at.main > last) {
                continue;
            }
            if compacted.is_some_and(|compacted| at.main <= compacted) {
                let counts =
                    keep.as_ref().is_none_or(|keep| keep.get(old / 64).is_some_and(|word| word >> (old % 64) & 1 == 1));
                old += 1;
                // A tombstone at the very revision is thrown away by some servers, and by others not.
                if !counts || (compacted == Some(at.main) && at.tombstone) {
                    continue;
                }
            }
            sum.add(row.key);
            sum.add(row.value);
        }
        match revision {
            Some(last) if last > current => Err(Refusal::Future(current)),
            _ => {
                Ok(Hash { hash: sum.sum(), revision: revision.unwrap_or(current), compacted: compacted.unwrap_or(-1) })
            }
        }
    }

    /// A bit for each change up to `compacted`: whether it is what its key has at `last`. `None` where they all count,
    /// because no key is left at all, as the servers have it.
    ///
    /// A change counts unless one that follows is of the same key. `most` of those that follow are in memory at once.
    fn kept(&self, compacted: Option<i64>, last: Option<i64>, most: usize) -> Result<Option<Vec<u64>>, Error> {
        let Some(compacted) = compacted else { return Ok(None) };
        // What was compacted to the end has one change of each key; only what was written since can follow it.
        let all = self.compaction.is_pending();
        let hasher = RandomState::new();
        let mut keep = Vec::new();
        let mut left = false;
        for begin in (0..).step_by(most) {
            // By the hash of the key, and the number of the change. Two of a million keys have the same one once in
            // thirty million runs.
            let mut followers: Vec<(u64, u32)> = Vec::new();
            let seen = Seen::new(self.bolt);
            let mut changes = self.changes(last, &seen)?;
            let (mut number, mut count) = (0u32, 0);
            while let Some(change) = changes.next()? {
                let old = change.revision.main <= compacted;
                left = !change.revision.tombstone;
                if old && begin == 0 {
                    if number.is_multiple_of(64) {
                        keep.push(0);
                    }
                    set(&mut keep, number, left);
                }
                if (all || !old) && followers.len() < most {
                    if count >= begin {
                        followers.push((hasher.hash_one(change.pair.key), number));
                    }
                    count += 1;
                }
                let full = Error::Pair("key", "has more revisions than can be counted");
                number = number.checked_add(1).ok_or(full)?;
            }
            if followers.is_empty() {
                break;
            }
            order::sort(&mut followers);
            let seen = Seen::new(self.bolt);
            let mut changes = self.changes(Some(compacted), &seen)?;
            let mut number = 0;
            while let Some(change) = changes.next()? {
                let hash = hasher.hash_one(change.pair.key);
                let end = followers.partition_point(|(other, _)| *other <= hash);
                if let Some((other, follower)) = end.checked_sub(1).and_then(|index| followers.get(index))
                    && *other == hash
                    && *follower > number
                {
                    set(&mut keep, number, false);
                }
                number += 1;
            }
            if followers.len() < most {
                break;
            }
        }
        if left || keep.iter().any(|word| *word != 0) || self.has_keys(last)? { Ok(Some(keep)) } else { Ok(None) }
    }

    /// Whether any key is there at a revision.
    fn has_keys(&self, last: Option<i64>) -> Result<bool, Error> {
        let mut keys = Keys::new(self.compaction);
        let seen = Seen::new(self.bolt);
        let mut changes = self.changes(last, &seen)?;
        while let Some(change) = changes.next()? {
            keys.take(change.revision, &change.pair);
        }
        Ok(keys.count() > 0)
    }
}

/// 4 MiB of them.
const MOST_FOLLOWERS: usize = 1 << 18;

/// A bit of many.
fn set(bits: &mut [u64], number: u32, value: bool) {
    if let Some(word) = bits.get_mut(number as usize / 64) {
        let bit = 1 << (number % 64);
        *word = if value { *word | bit } else { *word & !bit };
    }
}

const MALFORMED_KEY: Error = Error::Pair("key", "has a key that is no revision");

fn change<'a>(key: &[u8], value: &'a [u8]) -> Result<(Revision, KeyValue<'a>), Error> {
    let revision = Revision::parse(key).ok_or(MALFORMED_KEY)?;
    let pair = KeyValue::parse(value).ok_or(Error::Pair("key", "has a value that is no mvccpb.KeyValue"))?;
    Ok((revision, pair))
}

/// The changes of all keys, row by row.
pub struct Changes<'s> {
    rows: Rows<'s>,
    last: i64,
}

impl Changes<'_> {
    #[expect(clippy::should_implement_trait, reason = "what it gives is borrowed from it")]
    pub fn next(&mut self) -> Result<Option<Change<'_>>, Error> {
        let Some(row) = self.rows.next()? else { return Ok(None) };
        let (revision, pair) = change(row.key, row.value)?;
        let size = (row.key.len() + row.value.len()) as u64;
        Ok((revision.main <= self.last).then_some(Change { revision, pair, size, place: row.place }))
    }
}

/// Counts the keys that are there. A key begins with its first version and ends with a tombstone, and a compaction
/// leaves one change of each key that was there; so it takes no memory, except while a compaction is under way.
pub struct Keys {
    compacted: i64,
    count: i64,
    /// The hashes of those that are there.
    exact: Option<(RandomState, HashSet<u64>)>,
}

impl Keys {
    pub fn new(compaction: Compaction) -> Keys {
        if compaction.is_pending() {
            return Keys::exact();
        }
        Keys { compacted: compaction.finished.unwrap_or(-1), count: 0, exact: None }
    }

    fn exact() -> Keys {
        Keys { compacted: -1, count: 0, exact: Some((RandomState::new(), HashSet::new())) }
    }

    /// The next change: 1 for a key more, -1 for one less.
    pub fn take(&mut self, revision: Revision, pair: &KeyValue<'_>) -> i64 {
        let difference = match (&mut self.exact, revision.tombstone) {
            // What compaction leaves of a tombstone has nothing before it.
            (None, true) => -i64::from(revision.main > self.compacted),
            (None, false) => i64::from(revision.main <= self.compacted || pair.version <= 1),
            (Some((hasher, keys)), true) => -i64::from(keys.remove(&hasher.hash_one(pair.key))),
            (Some((hasher, keys)), false) => i64::from(keys.insert(hasher.hash_one(pair.key))),
        };
        self.count += difference;
        difference
    }

    pub fn count(&self) -> u64 {
        u64::try_from(self.count).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::etcd::file::field::Message;
    use crate::protocol::etcd::file::writer::Writer;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use std::fs::File;

    fn revision(main: i64, tombstone: bool) -> Vec<u8> {
        Revision { main, sub: 0, tombstone }.to_key()
    }

    /// A change as etcd writes it; without a value, a tombstone.
    type Written = (i64, &'static str, i64, Option<&'static str>);

    fn store(changes: &[Written], compaction: Compaction) -> File {
        let file = File::from(memfd_create(c"store", MFdFlags::MFD_CLOEXEC).unwrap());
        let mut writer = Writer::new(file, 1024);
        writer.bucket(b"key", 0).unwrap();
        for (main, key, version, value) in changes {
            let message = Message::default().bytes(1, key.as_bytes());
            let message = match value {
                Some(value) => message
                    .number(2, (main - version + 1) as u64)
                    .number(3, *main as u64)
                    .number(4, *version as u64)
                    .bytes(5, value.as_bytes()),
                None => message,
            };
            writer.pair(&revision(*main, value.is_none()), &message.0).unwrap();
        }
        writer.bucket(b"meta", 0).unwrap();
        for (name, main) in [("finishedCompactRev", compaction.finished), ("scheduledCompactRev", compaction.scheduled)]
        {
            if let Some(main) = main {
                writer.pair(name.as_bytes(), &revision(main, false)).unwrap();
            }
        }
        writer.pair(b"storageVersion", b"3.6.0").unwrap();
        writer.finish().unwrap()
    }

    const NEVER: Compaction = Compaction { finished: None, scheduled: None };

    fn at(revision: i64) -> Compaction {
        Compaction { finished: Some(revision), scheduled: Some(revision) }
    }

    #[track_caller]
    fn with<T>(file: &File, look: impl FnOnce(&Store) -> T) -> T {
        look(&Store::open(&Bolt::open(file).unwrap()).unwrap())
    }

    fn keys(file: &File) -> u64 {
        with(file, |store| store.status(&Seen::new(store.bolt)).unwrap().keys.unwrap())
    }

    fn hash(file: &File, revision: Option<i64>) -> Result<(u32, i64, i64), String> {
        let found = |most| {
            with(file, |store| match store.hash_within(revision, most) {
                Ok(found) => Ok((found.hash, found.revision, found.compacted)),
                Err(Refusal::Compacted(at)) => Err(format!("compacted {at}")),
                Err(Refusal::Future(at)) => Err(format!("future {at}")),
                Err(Refusal::File(error)) => Err(error.to_string()),
            })
        };
        let all = found(MOST_FOLLOWERS);
        // The same in as many turns as it takes.
        for most in 1..6 {
            assert_eq!(found(most), all, "{most}");
        }
        all
    }

    /// What a sum of these rows is.
    fn sum(changes: &[Written]) -> u32 {
        let file = store(changes, NEVER);
        hash(&file, None).unwrap().0
    }

    const HISTORY: [Written; 6] = [
        (2, "a", 1, Some("1")),
        (3, "b", 1, Some("2")),
        (4, "a", 2, Some("3")),
        (5, "b", 0, None),
        (6, "c", 1, Some("4")),
        (7, "b", 1, Some("5")),
    ];

    #[test]
    fn revisions() {
        let plain = Revision { main: 258, sub: 3, tombstone: false };
        assert_eq!(plain.to_key(), b"\0\0\0\0\0\0\x01\x02_\0\0\0\0\0\0\0\x03");
        assert_eq!(Revision::parse(&plain.to_key()), Some(plain));
        let tombstone = Revision { tombstone: true, ..plain };
        assert_eq!(Revision::parse(&tombstone.to_key()), Some(tombstone));
        assert!(plain < tombstone);
        for wrong in
            [&b""[..], b"12345678_1234567", b"12345678-12345678", b"12345678_12345678x", b"12345678_12345678tt"]
        {
            assert_eq!(Revision::parse(wrong), None);
        }
    }

    #[test]
    fn keys_are_counted_without_being_kept() {
        assert_eq!(keys(&store(&[], NEVER)), 0);
        for (count, expected) in [(1, 1), (2, 2), (3, 2), (4, 1), (5, 2), (6, 3)] {
            assert_eq!(keys(&store(&HISTORY[..count], NEVER)), expected);
        }
        // Compacted at 5: what is left of it is the newest of a; a tombstone of b may be, too.
        assert_eq!(keys(&store(&HISTORY[2..], at(5))), 3);
        assert_eq!(keys(&store(&[HISTORY[2], HISTORY[4], HISTORY[5]], at(5))), 3);
        // Under way: some of it is still there.
        let under_way = Compaction { finished: Some(2), scheduled: Some(5) };
        assert_eq!(keys(&store(&HISTORY, under_way)), 3);
        assert_eq!(keys(&store(&HISTORY[2..], under_way)), 3);
    }

    #[test]
    fn a_hash_is_of_names_keys_and_values() {
        let file = store(&HISTORY[..2], NEVER);
        let all = hash(&file, None).unwrap();
        assert_eq!((all.1, all.2), (3, -1));
        assert_eq!(hash(&file, Some(2)).unwrap(), (sum(&HISTORY[..1]), 2, -1));
        assert_ne!(hash(&file, Some(2)).unwrap().0, all.0);
        assert_eq!(hash(&file, Some(4)), Err(String::from("future 3")));
        assert_eq!(hash(&file, Some(1)).unwrap(), (sum(&[]), 1, -1));
    }

    #[test]
    fn a_hash_is_the_same_before_and_after_compaction() {
        let before = store(&HISTORY, Compaction { finished: None, scheduled: Some(5) });
        let during = store(&HISTORY[2..], Compaction { finished: Some(2), scheduled: Some(5) });
        let after = store(&[HISTORY[2], HISTORY[4], HISTORY[5]], at(5));
        let expected = Ok((sum(&[HISTORY[2], HISTORY[4], HISTORY[5]]), 7, 5));
        for file in [before, during, after] {
            assert_eq!(hash(&file, None), expected);
            assert_eq!(hash(&file, Some(5)), Ok((sum(&[HISTORY[2]]), 5, 5)));
            assert_eq!(hash(&file, Some(4)), Err(String::from("compacted 5")));
        }
    }

    #[test]
    fn what_was_overwritten_after_the_compaction_does_not_count() {
        let changes = [(2, "a", 1, Some("1")), (3, "b", 1, Some("2")), (4, "a", 2, Some("3"))];
        assert_eq!(hash(&store(&changes, at(3)), None), Ok((sum(&changes[1..]), 4, 3)));
        assert_eq!(hash(&store(&changes, at(3)), Some(3)), Ok((sum(&changes[..2]), 3, 3)));
        // With no key left, the servers count everything.
        let gone = [(2, "a", 1, Some("1")), (3, "a", 0, None)];
        assert_eq!(hash(&store(&gone, at(2)), None), Ok((sum(&gone), 3, 2)));
    }

    #[test]
    fn rows_that_are_no_changes() {
        let file = File::from(memfd_create(c"store", MFdFlags::MFD_CLOEXEC).unwrap());
        let mut writer = Writer::new(file, 1024);
        writer.bucket(b"key", 0).unwrap();
        writer.pair(b"short", b"").unwrap();
        let file = writer.finish().unwrap();
        assert_eq!(hash(&file, None), Err(String::from("bucket key: has a key that is no revision")));
        let other =
            Writer::new(File::from(memfd_create(c"store", MFdFlags::MFD_CLOEXEC).unwrap()), 1024).finish().unwrap();
        let error = Store::open(&Bolt::open(&other).unwrap()).err().unwrap().to_string();
        assert_eq!(error, "a database, but not of etcd: it has no bucket called key");
    }
}
