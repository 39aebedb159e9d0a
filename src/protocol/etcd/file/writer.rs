//! Writes a bbolt database from pairs that come in order: each page is full when it is written, so that the file is as
//! small as it can be, and memory holds one page for each level of the tree. A bucket that is small stands inline, in
//! place of its root's number, as bbolt has it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::bolt::{BRANCH, BUCKET, ELEMENT, FREELIST, HEADER, LEAF, MAGIC, META, VERSION};
use super::checksum::fnv1a;

/// What is collected before it is written.
const CHUNK: usize = 256 << 10;

/// The two meta pages and the empty list of free pages come first.
const FIRST: u64 = 3;

pub struct Writer {
    pages: Pages,
    root: Tree,
    bucket: Option<(Vec<u8>, u64, Tree)>,
}

impl Writer {
    /// Into an empty file.
    pub fn new(file: File, page_size: u32) -> Writer {
        let pages = Pages {
            file,
            size: page_size as usize,
            next: FIRST,
            offset: FIRST * u64::from(page_size),
            chunk: Vec::new(),
        };
        Writer { pages, root: Tree::default(), bucket: None }
    }

    /// Begins a bucket, whose name is above all before it.
    pub fn bucket(&mut self, name: &[u8], sequence: u64) -> io::Result<()> {
        self.end()?;
        self.bucket = Some((name.to_vec(), sequence, Tree::default()));
        Ok(())
    }

    /// Adds to the bucket a pair whose key is above all before it.
    pub fn pair(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        match &mut self.bucket {
            Some((_, _, tree)) => tree.add(&mut self.pages, 0, Element { key, value, number: 0 }),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        let Some((name, sequence, mut tree)) = self.bucket.take() else { return Ok(()) };
        let inline = match tree.levels.as_mut_slice() {
            [] => Some(header(0, LEAF, 0, 0)),
            [leaf] if leaf.size() <= self.pages.size / 4 => {
                Some(leaf.page(0, true, leaf.elements.len(), usize::MAX)?.1)
            }
            _ => None,
        };
        let root = if inline.is_some() { 0 } else { tree.finish(&mut self.pages)? };
        let value = [&root.to_le_bytes()[..], &sequence.to_le_bytes(), &inline.unwrap_or_default()].concat();
        self.root.add(&mut self.pages, 0, Element { key: &name, value: &value, number: BUCKET.into() })
    }

    /// Writes what is left, and the meta pages last: only then is it a database.
    pub fn finish(mut self) -> io::Result<File> {
        self.end()?;
        let root = std::mem::take(&mut self.root).finish(&mut self.pages)?;
        self.pages.flush()?;
        let Pages { file, size, next, .. } = self.pages;
        file.sync_all()?;
        let mut start = Vec::with_capacity(FIRST as usize * size);
        for transaction in 0..2u64 {
            start.extend(header(transaction, META, 0, 0));
            start.extend([MAGIC, VERSION, size as u32, 0].iter().flat_map(|number| number.to_le_bytes()));
            // The root has no sequence; the list of free pages is page 2.
            start.extend([root, 0, 2, next, transaction].iter().flat_map(|number| number.to_le_bytes()));
            let sum = fnv1a(&start[start.len() - 56..]);
            start.extend(sum.to_le_bytes());
            start.resize(start.len().next_multiple_of(size), 0);
        }
        start.extend(header(2, FREELIST, 0, 0));
        start.resize(start.len().next_multiple_of(size), 0);
        file.write_all_at(&start, 0)?;
        file.sync_all()?;
        Ok(file)
    }
}

fn header(id: u64, flags: u16, count: u16, overflow: u32) -> Vec<u8> {
    [&id.to_le_bytes()[..], &flags.to_le_bytes(), &count.to_le_bytes(), &overflow.to_le_bytes()].concat()
}

/// The pages of the file, one behind the other.
struct Pages {
    file: File,
    size: usize,
    next: u64,
    offset: u64,
    chunk: Vec<u8>,
}

impl Pages {
    fn write(&mut self, page: &[u8]) -> io::Result<()> {
        self.chunk.extend_from_slice(page);
        self.chunk.resize(self.chunk.len().next_multiple_of(self.size), 0);
        self.next += page.len().div_ceil(self.size) as u64;
        if self.chunk.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.chunk, self.offset)?;
        self.offset += self.chunk.len() as u64;
        self.chunk.clear();
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Element<'a> {
    key: &'a [u8],
    value: &'a [u8],
    /// Flags of a leaf's element, the page below of a branch's.
    number: u64,
}

/// A tree as far as it is not written yet: the last page of each level, leaves first.
#[derive(Default)]
struct Tree {
    levels: Vec<Level>,
}

#[derive(Default)]
struct Level {
    /// Length of the key, length of the value, number.
    elements: Vec<(usize, usize, u64)>,
    data: Vec<u8>,
}

impl Level {
    fn size(&self) -> usize {
        HEADER + self.elements.len() * ELEMENT + self.data.len()
    }

    fn push(&mut self, element: Element) {
        self.elements.push((element.key.len(), element.value.len(), element.number));
        self.data.extend_from_slice(element.key);
        self.data.extend_from_slice(element.value);
    }

    /// Writes the first elements as a page; returns the least key and the number.
    fn write(&mut self, pages: &mut Pages, leaf: bool, count: usize) -> io::Result<(Vec<u8>, u64)> {
        let id = pages.next;
        let (least, page) = self.page(id, leaf, count, pages.size)?;
        pages.write(&page)?;
        Ok((least, id))
    }

    /// Takes the first elements as a page; returns the least key and the page.
    fn page(&mut self, id: u64, leaf: bool, count: usize, page_size: usize) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let rest = self.elements.split_off(count);
        let length: usize = self.elements.iter().map(|(key, value, _)| key + value).sum();
        let data = self.data.drain(..length).collect::<Vec<u8>>();
        let size = HEADER + count * ELEMENT + data.len();
        let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let overflow = u32::try_from(size.div_ceil(page_size) - 1).map_err(too_large)?;
        let count = u16::try_from(count).map_err(too_large)?;
        let mut page = Vec::with_capacity(size);
        page.write_all(&header(id, if leaf { LEAF } else { BRANCH }, count, overflow))?;
        let mut at = size - data.len();
        for (key, value, number) in &self.elements {
            let position = (at - page.len()) as u32;
            match leaf {
                true => {
                    let numbers = [*number as u32, position, *key as u32, *value as u32];
                    page.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
                }
                false => {
                    page.extend([position, *key as u32].iter().flat_map(|number| number.to_le_bytes()));
                    page.extend(number.to_le_bytes());
                }
            }
            at += key + value;
        }
        page.extend_from_slice(&data);
        let least = self.elements.first().map_or(0, |(key, ..)| *key);
        self.elements = rest;
        Ok((data[..least].to_vec(), page))
    }
}

impl Tree {
    /// Adds to a level; what does not fit on its page goes on the next, with the last one that did, so that no page but
    /// a root has less than two.
    fn add(&mut self, pages: &mut Pages, depth: usize, element: Element) -> io::Result<()> {
        if self.levels.len() == depth {
            self.levels.push(Level::default());
        }
        let Some(level) = self.levels.get_mut(depth) else { return Ok(()) };
        let count = level.elements.len();
        let full = level.size() + ELEMENT + element.key.len() + element.value.len() > pages.size;
        if full && count > 2 {
            let (key, id) = level.write(pages, depth == 0, count - 1)?;
            level.push(element);
            return self.add(pages, depth + 1, Element { key: &key, value: &[], number: id });
        }
        level.push(element);
        Ok(())
    }

    /// The number of the root's page.
    fn finish(mut self, pages: &mut Pages) -> io::Result<u64> {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let mut depth = 0;
        loop {
            let Some(level) = self.levels.get_mut(depth) else { return Err(io::ErrorKind::InvalidInput.into()) };
            let count = level.elements.len();
            let (key, id) = level.write(pages, depth == 0, count)?;
            depth += 1;
            if depth == self.levels.len() {
                return Ok(id);
            }
            self.add(pages, depth, Element { key: &key, value: &[], number: id })?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::etcd::file::bolt::{Bolt, Seen};
    use nix::sys::memfd::{MFdFlags, memfd_create};

    fn memory() -> File {
        File::from(memfd_create(c"bolt", MFdFlags::MFD_CLOEXEC).unwrap())
    }

    /// Each bucket's name, sequence and pairs.
    type Content = Vec<(Vec<u8>, u64, Vec<(Vec<u8>, Vec<u8>)>)>;

    fn write(content: &Content, page_size: u32) -> File {
        let mut writer = Writer::new(memory(), page_size);
        for (name, sequence, pairs) in content {
            writer.bucket(name, *sequence).unwrap();
            for (key, value) in pairs {
                writer.pair(key, value).unwrap();
            }
        }
        writer.finish().unwrap()
    }

    fn read(file: &File) -> (Content, u64) {
        let bolt = Bolt::open(file).unwrap();
        let seen = Seen::new(&bolt);
        assert_eq!(bolt.free(&seen).unwrap(), Some(0));
        let mut content = Vec::new();
        for bucket in bolt.buckets(&seen).unwrap() {
            let mut rows = bolt.rows(&bucket, &seen).unwrap();
            let mut pairs = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                pairs.push((row.key.to_vec(), row.value.to_vec()));
            }
            content.push((bucket.name.clone(), bucket.sequence, pairs));
        }
        assert_eq!(seen.missing(), None);
        (content, bolt.meta.high_water)
    }

    #[test]
    fn what_is_written_reads_back() {
        let many = |count: u32, size: usize| {
            (0..count).map(|n| (n.to_be_bytes().to_vec(), vec![n as u8; size])).collect::<Vec<_>>()
        };
        let large =
            vec![(b"a".to_vec(), vec![1; 9000]), (b"b".to_vec(), vec![2; 9000]), (b"c".to_vec(), vec![3; 9000])];
        let content = vec![
            (b"empty".to_vec(), 0, Vec::new()),
            (b"key".to_vec(), 9, many(20_000, 20)),
            (b"large".to_vec(), 0, large),
            (b"one".to_vec(), 0, many(1, 0)),
        ];
        for page_size in [1024, 4096] {
            let (found, _) = read(&write(&content, page_size));
            assert!(found == content, "{page_size}");
        }
        assert_eq!(read(&write(&Vec::new(), 4096)), (Vec::new(), 4));
    }

    #[test]
    fn pages_are_full() {
        // 102 elements of 40 bytes fit on a page.
        let pairs: Vec<_> = (0..10_000u32).map(|n| (n.to_be_bytes().to_vec(), vec![0; 20])).collect();
        let (_, high_water) = read(&write(&vec![(b"k".to_vec(), 0, pairs)], 4096));
        // 98 leaves of 101, whose last goes on to the next one each time, one of 102, a branch, the root, three at the start.
        assert_eq!(high_water, 99 + 2 + 3);
    }
}
