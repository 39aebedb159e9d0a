//! A bbolt database: pages in a copy-on-write B+ tree, of buckets that are trees themselves
//! (go.etcd.io/bbolt, page.go and meta.go). Read only.
//!
//! Two meta pages stand first; the valid one with the higher transaction counts. A page begins with a header of 16 bytes
//! (its number, flags, a count, how many pages more it takes), behind which the elements stand: of a leaf, flags and where
//! key and value are; of a branch, where the least key is and the number of the page below. All numbers are little endian.

use std::cell::RefCell;
use std::ops::Range;

use super::checksum::fnv1a;
use super::{Error, Source, u16_at, u32_at, u64_at};

pub const MAGIC: u32 = 0xed0c_daed;
pub const VERSION: u32 = 2;
pub const HEADER: usize = 16;
pub const ELEMENT: usize = 16;
pub const BRANCH: u16 = 1;
pub const LEAF: u16 = 2;
pub const META: u16 = 4;
pub const FREELIST: u16 = 0x10;
/// Instead of the free list's page number: it is not written, as with etcd.
pub const NO_FREELIST: u64 = u64::MAX;
/// A leaf's element that is a bucket.
pub const BUCKET: u32 = 1;

/// Trees of etcd have four levels at most.
const MOST_LEVELS: usize = 32;
/// etcd has a dozen.
const MOST_BUCKETS: usize = 1024;
/// 1 TiB of pages of 4 KiB, and 32 MiB of bits for them; etcd's authors advise 8 GiB.
const MOST_PAGES: u64 = 1 << 28;
/// The largest page that is taken into memory. A page holds two pairs at least, and a request to etcd has 1.5 MiB unless
/// it is told otherwise.
const MOST_BYTES: u64 = 128 << 20;

/// What a meta page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    pub page_size: u32,
    /// The bucket of buckets.
    pub root: u64,
    pub sequence: u64,
    pub freelist: u64,
    /// One more than the highest page that was ever used.
    pub high_water: u64,
    pub transaction: u64,
}

impl Meta {
    /// Of a page, header and all, if it is a sound meta page.
    pub fn parse(page: &[u8]) -> Option<Meta> {
        let meta = page.get(HEADER..HEADER + 64)?;
        let meant = u32_at(meta, 0)? == MAGIC && u32_at(meta, 4)? == VERSION && u64_at(meta, 56)? == fnv1a(&meta[..56]);
        let page_size = u32_at(meta, 8)?;
        let sound = meant && page_size.is_power_of_two() && (512..=65536).contains(&page_size);
        sound.then_some(Meta {
            page_size,
            root: u64_at(meta, 16)?,
            sequence: u64_at(meta, 24)?,
            freelist: u64_at(meta, 32)?,
            high_water: u64_at(meta, 40)?,
            transaction: u64_at(meta, 48)?,
        })
    }

    /// The meta of the file as it is now.
    pub fn read(source: &dyn Source) -> Result<Meta, Error> {
        let size = source.size()?;
        let mut found: Option<Meta> = None;
        let mut take = |offset: u64| -> Result<Option<u32>, Error> {
            let mut page = [0; HEADER + 64];
            if offset.saturating_add(page.len() as u64) > size {
                return Ok(None);
            }
            source.read_at(&mut page, offset)?;
            let meta = Meta::parse(&page);
            found = found.into_iter().chain(meta).max_by_key(|meta| meta.transaction);
            Ok(meta.map(|meta| meta.page_size))
        };
        match take(0)? {
            Some(page_size) => {
                take(page_size.into())?;
            }
            // The first is damaged, and with it the size of a page.
            None => {
                for shift in 9..=16 {
                    if take(1 << shift)?.is_some_and(|page_size| page_size == 1 << shift) {
                        break;
                    }
                }
            }
        }
        found.ok_or(Error::Not("not an etcd database: no valid meta page"))
    }
}

/// A database that is open.
pub struct Bolt<'s> {
    source: &'s dyn Source,
    pub meta: Meta,
}

impl<'s> Bolt<'s> {
    pub fn open(source: &'s dyn Source) -> Result<Bolt<'s>, Error> {
        let meta = Meta::read(source)?;
        let (size, needed) = (source.size()?, meta.high_water.saturating_mul(meta.page_size.into()));
        if meta.high_water < 3 {
            return Err(Error::Not("not an etcd database: its meta page counts too few pages"));
        }
        if size < needed {
            return Err(Error::Truncated { size, needed });
        }
        if meta.high_water > MOST_PAGES {
            return Err(Error::Not("larger than a database of etcd can be"));
        }
        Ok(Bolt { source, meta })
    }

    /// What the pages take: the size of a snapshot.
    pub fn size(&self) -> u64 {
        self.meta.high_water * u64::from(self.meta.page_size)
    }

    /// Whether a server has written since this was opened, which may have used pages again that were read.
    pub fn has_changed(&self) -> bool {
        Meta::read(self.source).map_or(true, |meta| meta != self.meta)
    }

    /// The buckets of the root, in order.
    pub fn buckets(&self, seen: &Seen) -> Result<Vec<Bucket>, Error> {
        let mut found = Vec::new();
        let mut rows = self.tree(self.meta.root, seen)?;
        while let Some(row) = rows.next()? {
            if found.len() == MOST_BUCKETS {
                return Err(Error::Not("has more buckets than etcd has"));
            }
            // An inline one is copied: it is a quarter of a page at most where bbolt has written it.
            if row.value.len() > 16 + self.meta.page_size as usize {
                return Err(Error::Page(row.place.page.into(), "holds a bucket larger than a page"));
            }
            found.push(
                Bucket::parse(&row).ok_or(Error::Page(row.place.page.into(), "holds a pair that is in no bucket"))?,
            );
        }
        Ok(found)
    }

    /// The pairs of a bucket, in order.
    pub fn rows<'b>(&'b self, bucket: &Bucket, seen: &'b Seen) -> Result<Rows<'b>, Error> {
        match &bucket.inline {
            None => self.tree(bucket.root, seen),
            Some(bytes) => {
                let mut rows = Rows::new(self, seen);
                rows.stack.push(Level::new(Page::inline(bytes)?));
                Ok(rows)
            }
        }
    }

    fn tree<'b>(&'b self, root: u64, seen: &'b Seen) -> Result<Rows<'b>, Error> {
        let mut rows = Rows::new(self, seen);
        rows.descend(root)?;
        Ok(rows)
    }

    /// Reads a page of a tree, with the pages that it runs over into.
    fn page(&self, id: u64, seen: Option<&Seen>, mut bytes: Vec<u8>) -> Result<Page, Error> {
        if id < 2 || id >= self.meta.high_water {
            return Err(Error::Page(id, "is beyond the end"));
        }
        let page_size = self.meta.page_size as usize;
        bytes.resize(page_size, 0);
        self.source.read_at(&mut bytes, id * u64::from(self.meta.page_size))?;
        let overflow = u64::from(u32_at(&bytes, 12).unwrap_or_default());
        if u64_at(&bytes, 0) != Some(id) {
            return Err(Error::Page(id, "has the number of another page"));
        }
        let size = (overflow + 1) * u64::from(self.meta.page_size);
        if id + overflow >= self.meta.high_water {
            return Err(Error::Page(id, "runs beyond the end"));
        }
        if size > MOST_BYTES {
            return Err(Error::Page(id, "is larger than a page of etcd can be"));
        }
        if let Some(seen) = seen {
            seen.claim(id, overflow + 1)?;
        }
        if overflow > 0 {
            bytes.resize(size as usize, 0);
            let start = (id + 1) * u64::from(self.meta.page_size);
            self.source.read_at(&mut bytes[page_size..], start)?;
        }
        Page::parse(id, bytes, size as usize)
    }

    /// Marks the free pages as seen; `None` where the file has no list of them.
    pub fn free(&self, seen: &Seen) -> Result<Option<u64>, Error> {
        let id = self.meta.freelist;
        if id == NO_FREELIST {
            return Ok(None);
        }
        if id < 2 || id >= self.meta.high_water {
            return Err(Error::Page(id, "is beyond the end"));
        }
        let start = id * u64::from(self.meta.page_size);
        let mut header = [0; HEADER + 8];
        self.source.read_at(&mut header, start)?;
        let overflow = u64::from(u32_at(&header, 12).unwrap_or_default());
        if u64_at(&header, 0) != Some(id) || u16_at(&header, 8) != Some(FREELIST) {
            return Err(Error::Page(id, "is no list of free pages"));
        }
        if id + overflow >= self.meta.high_water {
            return Err(Error::Page(id, "runs beyond the end"));
        }
        seen.claim(id, overflow + 1)?;
        // A count that does not fit stands before the numbers.
        let (count, mut at) = match u16_at(&header, 10).unwrap_or_default() {
            u16::MAX => (u64_at(&header, HEADER).unwrap_or_default(), start + HEADER as u64 + 8),
            count => (count.into(), start + HEADER as u64),
        };
        let end = start + (overflow + 1) * u64::from(self.meta.page_size);
        if count > (end - at) / 8 {
            return Err(Error::Page(id, "counts more free pages than it has room for"));
        }
        let mut chunk = [0; 4096];
        let mut left = count;
        while left > 0 {
            let bytes = &mut chunk[..left.min(512) as usize * 8];
            self.source.read_at(bytes, at)?;
            for number in bytes.as_chunks::<8>().0 {
                seen.claim(u64::from_le_bytes(*number), 1)?;
            }
            at += bytes.len() as u64;
            left -= bytes.len() as u64 / 8;
        }
        Ok(Some(count))
    }
}

/// The pages that have been visited, so that none is twice.
pub struct Seen {
    limit: u64,
    bits: RefCell<Vec<u64>>,
}

impl Seen {
    pub fn new(bolt: &Bolt) -> Seen {
        let limit = bolt.meta.high_water;
        // The file is as long as that, so this is a bit for each page that exists.
        let mut bits = vec![0; (limit / 64 + 1) as usize];
        bits[0] = 0b11;
        Seen { limit, bits: RefCell::new(bits) }
    }

    fn claim(&self, id: u64, count: u64) -> Result<(), Error> {
        let mut bits = self.bits.borrow_mut();
        for page in id..id.saturating_add(count) {
            if page < 2 || page >= self.limit {
                return Err(Error::Page(page, "is beyond the end"));
            }
            let (word, bit) = (&mut bits[(page / 64) as usize], 1 << (page % 64));
            if *word & bit != 0 {
                return Err(Error::Page(page, "is used twice"));
            }
            *word |= bit;
        }
        Ok(())
    }

    /// How many have been visited, the two meta pages among them.
    pub fn count(&self) -> u64 {
        self.bits.borrow().iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The first that has not.
    pub fn missing(&self) -> Option<u64> {
        let bits = self.bits.borrow();
        (0..self.limit).find(|page| bits[(page / 64) as usize] & 1 << (page % 64) == 0)
    }
}

/// A bucket as the root has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub name: Vec<u8>,
    pub root: u64,
    pub sequence: u64,
    /// A small bucket's only page, which stands in place of a value.
    inline: Option<Vec<u8>>,
}

impl Bucket {
    pub fn parse(row: &Row<'_>) -> Option<Bucket> {
        let value = row.is_bucket.then_some(row.value)?;
        let (root, sequence) = (u64_at(value, 0)?, u64_at(value, 8)?);
        let inline = (root == 0).then(|| value[16..].to_vec());
        Some(Bucket { name: row.key.to_vec(), root, sequence, inline })
    }
}

/// Where a pair stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    page: u32,
    index: u16,
}

/// Pairs of a bucket that are read again, each where it stands.
pub struct Pairs<'b> {
    bolt: &'b Bolt<'b>,
    bucket: &'b Bucket,
    /// The last one: pairs that were written together stand together.
    page: Option<Page>,
}

impl<'b> Pairs<'b> {
    pub fn new(bolt: &'b Bolt<'b>, bucket: &'b Bucket) -> Pairs<'b> {
        Pairs { bolt, bucket, page: None }
    }

    /// Key and value.
    pub fn read(&mut self, place: Place) -> Result<(&[u8], &[u8]), Error> {
        let id = place.page.into();
        let page = match (self.page.take(), &self.bucket.inline) {
            (Some(page), _) if page.id == id => page,
            (_, Some(bytes)) => Page::inline(bytes)?,
            (page, None) => self.bolt.page(id, None, page.map(|page| page.bytes).unwrap_or_default())?,
        };
        let element = page.leaf.then(|| page.element(place.index)).flatten();
        let Element { key, value, .. } = element.ok_or(Error::Page(id, "changed while it was read"))?;
        let page = self.page.insert(page);
        Ok((&page.bytes[key], &page.bytes[value]))
    }
}

/// A pair.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    /// The value is a bucket's root.
    pub is_bucket: bool,
    pub place: Place,
}

struct Page {
    id: u64,
    leaf: bool,
    count: u16,
    bytes: Vec<u8>,
}

/// An element of a page, with where its bytes are.
struct Element {
    key: Range<usize>,
    value: Range<usize>,
    is_bucket: bool,
    /// Of a branch.
    child: u64,
}

impl Page {
    fn inline(bytes: &[u8]) -> Result<Page, Error> {
        let page = Page::parse(0, bytes.to_vec(), bytes.len())?;
        if page.leaf { Ok(page) } else { Err(Error::Page(0, "an inline bucket that is no leaf")) }
    }

    fn parse(id: u64, bytes: Vec<u8>, size: usize) -> Result<Page, Error> {
        let (Some(flags), Some(count)) = (u16_at(&bytes, 8), u16_at(&bytes, 10)) else {
            return Err(Error::Page(id, "has no header"));
        };
        if flags != LEAF && flags != BRANCH {
            return Err(Error::Page(id, "is neither branch nor leaf"));
        }
        if HEADER + usize::from(count) * ELEMENT > size {
            return Err(Error::Page(id, "counts more elements than it has room for"));
        }
        if flags == BRANCH && count == 0 {
            return Err(Error::Page(id, "is a branch without leaves"));
        }
        Ok(Page { id, leaf: flags == LEAF, count, bytes })
    }

    fn element(&self, index: u16) -> Option<Element> {
        if index >= self.count {
            return None;
        }
        let at = HEADER + usize::from(index) * ELEMENT;
        let number = |offset| Some(u32_at(&self.bytes, at + offset)? as usize);
        let inside = |start: usize, length: usize| {
            let end = start.checked_add(length)?;
            (end <= self.bytes.len()).then_some(start..end)
        };
        if self.leaf {
            let key = inside(at.checked_add(number(4)?)?, number(8)?)?;
            let value = inside(key.end, number(12)?)?;
            Some(Element { key, value, is_bucket: number(0)? as u32 & BUCKET != 0, child: 0 })
        } else {
            let key = inside(at.checked_add(number(0)?)?, number(4)?)?;
            Some(Element { value: key.end..key.end, key, is_bucket: false, child: u64_at(&self.bytes, at + 8)? })
        }
    }
}

/// One page on the way down, and which of its elements is next.
struct Level {
    page: Page,
    next: u16,
    /// Where the bytes of the last one end. They stand in order, so that the work is bounded by the size of the file.
    end: usize,
}

impl Level {
    fn new(page: Page) -> Level {
        let end = HEADER + usize::from(page.count) * ELEMENT;
        Level { page, next: 0, end }
    }
}

/// The pairs of a tree in order. What is wrong with it ends it.
pub struct Rows<'b> {
    bolt: &'b Bolt<'b>,
    seen: &'b Seen,
    stack: Vec<Level>,
    /// The memory of a page that is done.
    spare: Vec<u8>,
    /// What the next key is above: a key that was, or, then included, the least key that a branch promised.
    bound: Option<(Vec<u8>, bool)>,
}

impl<'b> Rows<'b> {
    fn new(bolt: &'b Bolt<'b>, seen: &'b Seen) -> Rows<'b> {
        Rows { bolt, seen, stack: Vec::new(), spare: Vec::new(), bound: None }
    }

    fn descend(&mut self, id: u64) -> Result<(), Error> {
        if self.stack.len() == MOST_LEVELS {
            return Err(Error::Page(id, "is too deep in its tree"));
        }
        let page = self.bolt.page(id, Some(self.seen), std::mem::take(&mut self.spare))?;
        self.stack.push(Level::new(page));
        Ok(())
    }

    #[expect(clippy::should_implement_trait, reason = "what it gives is borrowed from it")]
    pub fn next(&mut self) -> Result<Option<Row<'_>>, Error> {
        let Some((index, element)) = self.advance()? else { return Ok(None) };
        let Some(Level { page, .. }) = self.stack.last() else { return Ok(None) };
        Ok(Some(Row {
            key: &page.bytes[element.key],
            value: &page.bytes[element.value],
            is_bucket: element.is_bucket,
            // No database has so many pages that it would not fit.
            place: Place { page: page.id as u32, index },
        }))
    }

    fn advance(&mut self) -> Result<Option<(u16, Element)>, Error> {
        while let Some(level) = self.stack.last_mut() {
            let (page, index) = (&level.page, level.next);
            if index == page.count {
                self.spare = self.stack.pop().map(|level| level.page.bytes).unwrap_or_default();
                continue;
            }
            level.next += 1;
            let element = page.element(index).ok_or(Error::Page(page.id, "has an element outside of it"))?;
            if element.key.start < level.end {
                return Err(Error::Page(page.id, "has elements that overlap"));
            }
            level.end = element.value.end;
            let key = &page.bytes[element.key.clone()];
            let (bound, included) = self.bound.get_or_insert_with(|| (Vec::new(), true));
            if key < bound.as_slice() || (key == bound.as_slice() && !*included) {
                return Err(Error::Page(page.id, "has a key out of order"));
            }
            bound.clear();
            bound.extend_from_slice(key);
            *included = !page.leaf;
            if page.leaf {
                return Ok(Some((index, element)));
            }
            self.descend(element.child)?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 1024;

    /// A file from its pages: two metas are put before them. The page numbers begin with 2.
    fn file(root: u64, freelist: u64, pages: &[Vec<u8>]) -> Vec<u8> {
        let high_water = 2 + pages.len() as u64;
        let mut bytes = Vec::new();
        for transaction in 0..2 {
            bytes.extend(meta(&Meta { page_size: 1024, root, sequence: 0, freelist, high_water, transaction }));
        }
        for page in pages {
            bytes.extend(page);
            bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
        }
        bytes
    }

    fn meta(meta: &Meta) -> Vec<u8> {
        let mut page = header(meta.transaction % 2, META, 0, 0);
        page.extend([MAGIC, VERSION, meta.page_size, 0].iter().flat_map(|number| number.to_le_bytes()));
        let numbers = [meta.root, meta.sequence, meta.freelist, meta.high_water, meta.transaction];
        page.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        page.extend(fnv1a(&page[HEADER..]).to_le_bytes());
        page.resize(meta.page_size as usize, 0);
        page
    }

    fn header(id: u64, flags: u16, count: u16, overflow: u32) -> Vec<u8> {
        [&id.to_le_bytes()[..], &flags.to_le_bytes(), &count.to_le_bytes(), &overflow.to_le_bytes()].concat()
    }

    fn leaf(id: u64, pairs: &[(&[u8], &[u8], u32)]) -> Vec<u8> {
        let mut page = header(id, LEAF, pairs.len() as u16, 0);
        let mut data: Vec<u8> = Vec::new();
        for (index, (key, value, flags)) in pairs.iter().enumerate() {
            let position = (pairs.len() - index) * ELEMENT + data.len();
            for number in [*flags, position as u32, key.len() as u32, value.len() as u32] {
                page.extend(number.to_le_bytes());
            }
            data.extend([*key, *value].concat());
        }
        page.extend(data);
        page
    }

    fn branch(id: u64, children: &[(&[u8], u64)]) -> Vec<u8> {
        let mut page = header(id, BRANCH, children.len() as u16, 0);
        let mut data: Vec<u8> = Vec::new();
        for (index, (key, child)) in children.iter().enumerate() {
            let position = (children.len() - index) * ELEMENT + data.len();
            page.extend((position as u32).to_le_bytes());
            page.extend((key.len() as u32).to_le_bytes());
            page.extend(child.to_le_bytes());
            data.extend(*key);
        }
        page.extend(data);
        page
    }

    fn bucket(root: u64) -> Vec<u8> {
        [root.to_le_bytes(), 7u64.to_le_bytes()].concat()
    }

    /// The pairs of the only bucket, as text.
    fn read(bytes: &[u8]) -> Result<Vec<String>, String> {
        let text = |error: Error| error.to_string();
        let bolt = Bolt::open(&bytes).map_err(text)?;
        let seen = Seen::new(&bolt);
        bolt.free(&seen).map_err(text)?;
        let mut found = Vec::new();
        for bucket in bolt.buckets(&seen).map_err(text)? {
            found.push(String::from_utf8_lossy(&bucket.name).into_owned());
            let mut rows = bolt.rows(&bucket, &seen).map_err(text)?;
            while let Some(row) = rows.next().map_err(text)? {
                found.push(format!("{}={}", String::from_utf8_lossy(row.key), String::from_utf8_lossy(row.value)));
            }
        }
        Ok(found)
    }

    /// A root, a branch over two leaves, a free list, a free page.
    fn tree() -> Vec<Vec<u8>> {
        vec![
            leaf(2, &[(b"b", &bucket(3), BUCKET)]),
            branch(3, &[(b"a", 4), (b"m", 5)]),
            leaf(4, &[(b"a", b"1", 0), (b"c", b"2", 0)]),
            leaf(5, &[(b"m", b"3", 0), (b"n", b"", 0)]),
            [header(6, FREELIST, 1, 0), 7u64.to_le_bytes().to_vec()].concat(),
            Vec::new(),
        ]
    }

    /// One page put in the place of another.
    fn with(id: usize, page: Vec<u8>) -> Result<Vec<String>, String> {
        let mut pages = tree();
        pages[id - 2] = page;
        if pages[5].is_empty() {
            pages[5] = vec![0; PAGE];
        }
        read(&file(2, 6, &pages))
    }

    #[track_caller]
    fn fails(id: usize, page: Vec<u8>, why: &str) {
        assert_eq!(with(id, page), Err(String::from(why)));
    }

    #[test]
    fn pairs_in_order() {
        assert_eq!(with(7, vec![0; PAGE]).unwrap(), ["b", "a=1", "c=2", "m=3", "n="]);
    }

    #[test]
    fn an_inline_bucket() {
        let inline = [&bucket(0)[..], &leaf(0, &[(b"k", b"v", 0)])].concat();
        let pages = [leaf(2, &[(b"e", &[&bucket(0)[..], &leaf(0, &[])].concat(), BUCKET), (b"i", &inline, BUCKET)])];
        assert_eq!(read(&file(2, NO_FREELIST, &pages)).unwrap(), ["e", "i", "k=v"]);
        let branch = [&bucket(0)[..], &branch(0, &[(b"k", 2)])].concat();
        let pages = [leaf(2, &[(b"i", &branch, BUCKET)])];
        assert_eq!(read(&file(2, NO_FREELIST, &pages)).unwrap_err(), "page 0: an inline bucket that is no leaf");
        let pages = [leaf(2, &[(b"i", &bucket(0)[..15], BUCKET)])];
        assert_eq!(read(&file(2, NO_FREELIST, &pages)).unwrap_err(), "page 2: holds a pair that is in no bucket");
    }

    #[test]
    fn the_later_sound_meta_counts() {
        let pages = [leaf(2, &[]), leaf(3, &[(b"b", &[&bucket(0)[..], &leaf(0, &[])].concat(), BUCKET)])];
        let mut bytes = file(2, NO_FREELIST, &pages);
        let one = Meta { page_size: 1024, root: 3, sequence: 0, freelist: NO_FREELIST, high_water: 4, transaction: 9 };
        bytes[PAGE..2 * PAGE].copy_from_slice(&meta(&one));
        assert_eq!(read(&bytes).unwrap(), ["b"]);
        let mut torn = bytes.clone();
        torn[PAGE + HEADER + 20] ^= 1;
        assert_eq!(read(&torn).unwrap(), [""; 0]);
        let mut first = bytes.clone();
        first[HEADER] ^= 1;
        assert_eq!(read(&first).unwrap(), ["b"]);
        first[PAGE + HEADER + 56] ^= 1;
        assert_eq!(read(&first).unwrap_err(), "not an etcd database: no valid meta page");
        for bytes in [&b""[..], b"SQLite format 3\0", &[0; 80]] {
            assert_eq!(read(bytes).unwrap_err(), "not an etcd database: no valid meta page");
        }
    }

    #[test]
    fn a_file_that_was_cut() {
        let bytes = file(2, NO_FREELIST, &[leaf(2, &[])]);
        assert_eq!(read(&bytes[..2500]).unwrap_err(), "truncated: 2500 bytes of 3072");
        let endless = Meta { page_size: 512, root: 2, sequence: 0, freelist: 2, high_water: u64::MAX, transaction: 1 };
        let mut bytes = meta(&endless);
        bytes.resize(PAGE, 0);
        assert_eq!(read(&bytes).unwrap_err(), "truncated: 1024 bytes of 18446744073709551615");
    }

    #[test]
    fn trees_that_are_none() {
        fails(3, branch(3, &[(b"a", 3)]), "page 3: is used twice");
        fails(3, branch(3, &[(b"a", 2)]), "page 2: is used twice");
        fails(3, branch(3, &[(b"a", 4), (b"m", 4)]), "page 4: is used twice");
        fails(3, branch(3, &[(b"a", 7)]), "page 7: has the number of another page");
        fails(3, branch(3, &[(b"a", 8)]), "page 8: is beyond the end");
        fails(3, branch(3, &[(b"a", u64::MAX)]), "page 18446744073709551615: is beyond the end");
        fails(3, branch(3, &[(b"a", 0)]), "page 0: is beyond the end");
        fails(3, branch(3, &[]), "page 3: is a branch without leaves");
        fails(3, header(3, LEAF | BRANCH, 0, 0), "page 3: is neither branch nor leaf");
        fails(3, header(3, LEAF, 64, 0), "page 3: counts more elements than it has room for");
        fails(5, header(5, LEAF, 0, 3), "page 5: runs beyond the end");
        fails(5, header(5, LEAF, 0, u32::MAX), "page 5: runs beyond the end");
        fails(4, header(4, LEAF, 0, 1), "page 5: is used twice");
    }

    #[test]
    fn a_tree_that_is_too_deep() {
        let mut pages = vec![leaf(2, &[(b"b", &bucket(3), BUCKET)])];
        pages.extend((3..40).map(|id| branch(id, &[(b"a", id + 1)])));
        pages.push(leaf(40, &[]));
        assert_eq!(read(&file(2, NO_FREELIST, &pages)).unwrap_err(), "page 35: is too deep in its tree");
    }

    #[test]
    fn keys_out_of_order() {
        fails(4, leaf(4, &[(b"c", b"", 0), (b"a", b"", 0)]), "page 4: has a key out of order");
        fails(4, leaf(4, &[(b"a", b"", 0), (b"a", b"", 0)]), "page 4: has a key out of order");
        fails(5, leaf(5, &[(b"l", b"", 0)]), "page 5: has a key out of order");
        fails(4, leaf(4, &[(b"a", b"", 0), (b"x", b"", 0)]), "page 3: has a key out of order");
    }

    #[test]
    fn elements_outside_of_their_page() {
        for (at, value) in [(4, u32::MAX), (4, 1100), (8, 5000), (12, u32::MAX)] {
            let mut page = leaf(4, &[(b"a", b"1", 0)]);
            page[HEADER + at..HEADER + at + 4].copy_from_slice(&u32::to_le_bytes(value));
            fails(4, page, "page 4: has an element outside of it");
        }
    }

    #[test]
    fn elements_that_share_their_bytes() {
        let mut page = leaf(4, &[(b"a", b"1", 0), (b"b", b"2", 0)]);
        page[HEADER + ELEMENT + 4] -= 1;
        fails(4, page, "page 4: has elements that overlap");
        let mut page = leaf(4, &[(b"a", b"1", 0)]);
        page[HEADER + 4] -= 1;
        fails(4, page, "page 4: has elements that overlap");
        let pages = [leaf(2, &[(b"b", &[0; 2000], BUCKET)]), Vec::new(), vec![0; PAGE]];
        let mut bytes = file(2, NO_FREELIST, &pages);
        // The root runs over into the next page.
        bytes[2 * PAGE + 12] = 1;
        bytes.resize(5 * PAGE, 0);
        assert_eq!(read(&bytes).unwrap_err(), "page 2: holds a bucket larger than a page");
    }

    #[test]
    fn free_lists_that_lie() {
        let list = |count: u16, ids: &[u64]| {
            [header(6, FREELIST, count, 0), ids.iter().flat_map(|id| id.to_le_bytes()).collect()].concat()
        };
        assert!(with(6, list(0, &[])).is_ok());
        assert!(with(6, list(u16::MAX, &[1, 7])).is_ok());
        fails(6, list(u16::MAX, &[u64::MAX]), "page 6: counts more free pages than it has room for");
        fails(6, list(200, &[]), "page 6: counts more free pages than it has room for");
        fails(6, list(1, &[4]), "page 4: is used twice");
        fails(6, list(2, &[7, 7]), "page 7: is used twice");
        fails(6, list(1, &[8]), "page 8: is beyond the end");
        fails(6, list(1, &[1]), "page 1: is beyond the end");
        fails(6, header(6, LEAF, 0, 0), "page 6: is no list of free pages");
        fails(6, header(6, FREELIST, 0, 2), "page 6: runs beyond the end");
    }
}
