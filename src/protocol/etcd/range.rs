//! Long ranges in pages: every page is of the revision that the first was answered at, so that they are one answer, and is
//! about as long as memory has room for on both sides.
//!
//! A server counts the rest of the range for each page, which is most of the work where there are many. So each page but the
//! first asks only for a stretch that should have about as many keys as a page, judged by how far the last one went.

use bytes::Bytes;
use prost::Message;

use super::client::Stream;
use super::message::{
    DeleteRangeRequest, DeleteRangeResponse, Header, KeyValue, RangeRequest, RangeResponse, SortTarget,
};
use super::{Client, Failure};

/// How many bytes of keys and values a page is meant to have.
const PAGE: usize = 3 << 19;
const FIRST: i64 = 1000;
const MOST: i64 = 20_000;

/// How many keys are removed at once. The server reads their values, too, even though nobody asks for them.
const STEP: i64 = 5000;

/// The pages of an answer.
pub struct Pages {
    request: RangeRequest,
    /// How many keys are still wanted; none: all.
    wanted: Option<i64>,
    limit: i64,
    paged: bool,
    size: i64,
    /// Of the whole range; the request's may be that of a stretch.
    range_end: Vec<u8>,
    /// The first key of the last page: how far it is from there tells how far apart keys are.
    first: Bytes,
    /// How many times as far as that the next stretch goes; 0 where it goes to the next branch, and nothing is known of that.
    reach: u64,
    pub header: Option<Header>,
    /// How many keys there are, of which `--limit` may have left some out.
    pub count: i64,
    pub more: bool,
    done: bool,
    /// The next page, which the server reads while this one is written.
    ahead: Option<Stream>,
}

impl Pages {
    pub fn new(request: RangeRequest) -> Pages {
        // What is sorted or filtered, the server reads whole for every page.
        let unsorted = request.sort_order == 0 && request.sort_target == SortTarget::Key as i32;
        let plain = unsorted && !request.count_only && !request.range_end.is_empty();
        let unfiltered = [
            request.min_mod_revision,
            request.max_mod_revision,
            request.min_create_revision,
            request.max_create_revision,
        ] == [0; 4];
        Pages {
            wanted: (request.limit > 0).then_some(request.limit),
            limit: request.limit,
            paged: plain && unfiltered && request.limit >= 0,
            range_end: request.range_end.clone(),
            request,
            size: FIRST,
            first: Bytes::new(),
            reach: 1,
            header: None,
            count: 0,
            more: false,
            done: false,
            ahead: None,
        }
    }

    /// The next pairs; none when that was all.
    pub fn next(&mut self, client: &mut Client<'_>) -> Result<Option<Vec<KeyValue>>, Failure> {
        if self.done {
            return Ok(None);
        }
        let reply: RangeResponse = match self.ahead.take().map(|stream| client.finish::<RangeRequest>(stream)) {
            Some(Ok(reply)) => reply,
            // If that went wrong, another endpoint may still answer.
            _ => {
                self.limit_page();
                client.ask(&self.request)?
            }
        };
        let first = self.header.is_none();
        if first {
            self.count = reply.count;
            self.header = reply.header;
            if self.request.revision <= 0 {
                self.request.revision = reply.header.map_or(0, |header| header.revision);
            }
        }
        let got = reply.kvs.len() as i64;
        if let Some(wanted) = &mut self.wanted {
            *wanted = wanted.saturating_sub(got);
        }
        let stretch = self.request.range_end != self.range_end;
        let empty = reply.more && reply.kvs.is_empty();
        self.done = !self.paged || self.wanted == Some(0) || !stretch && !reply.more || empty;
        // Of a part, the count of the whole says it.
        self.more = if self.paged { self.wanted == Some(0) && self.count > self.limit } else { reply.more };
        if let Some(first) = reply.kvs.first() {
            self.first = first.key.clone();
        }
        if !self.done {
            let from = match reply.kvs.last() {
                // The first key behind the last one.
                Some(last) if reply.more => [&last.key[..], b"\0"].concat(),
                _ => std::mem::take(&mut self.request.range_end),
            };
            if from <= self.request.key {
                return Err(Failure::Protocol(String::from("gRPC: a page of keys that were not asked for")));
            }
            // One that was too short is no loss, but the next goes further, as over the gap behind a last digit.
            self.reach = match got {
                0 => self.reach.saturating_mul(16).max(1),
                got if reply.more || got >= self.size / 4 => 1,
                _ => self.reach.max(1).saturating_mul(4),
            };
            // What is left of one that was too long makes the next.
            if !(reply.more && stretch && reply.count.saturating_sub(got) <= self.size) {
                self.request.range_end = match stretch_end(&self.first, &from, self.reach) {
                    Stretch::To(end) if is_before(&end, &self.range_end) => end,
                    Stretch::Branch(end) if end != [0] && is_before(&end, &self.range_end) => {
                        self.reach = 0;
                        end
                    }
                    _ => self.range_end.clone(),
                };
            }
            self.request.key = from;
        }
        if !reply.kvs.is_empty() {
            let bytes: usize = reply.kvs.iter().map(|pair| pair.key.len() + pair.value.len() + 32).sum();
            let average = bytes / reply.kvs.len();
            let fitting = i64::try_from(PAGE / average.max(1)).unwrap_or(MOST);
            self.size = fitting.clamp(1, MOST);
        }
        if !self.done {
            self.limit_page();
            self.ahead = client.start(&self.request).ok();
        }
        Ok(Some(reply.kvs))
    }

    fn limit_page(&mut self) {
        // A stretch is only about as long as a page.
        let stretch = self.request.range_end != self.range_end;
        let most = if stretch { self.size + self.size / 2 } else { self.size };
        if self.paged {
            self.request.limit = self.wanted.map_or(most, |wanted| wanted.min(most));
        }
    }
}

/// Where a stretch ends.
#[derive(Debug, PartialEq, Eq)]
enum Stretch {
    To(Vec<u8>),
    /// Behind all keys that begin as those before it do.
    Branch(Vec<u8>),
}

/// The end of one that begins at `from`, `reach` times as far from it as that is from `first`.
fn stretch_end(first: &[u8], from: &[u8], reach: u64) -> Stretch {
    let common = first.iter().zip(from).take_while(|(a, b)| a == b).count();
    // What follows, as a number.
    let number = |key: &[u8]| {
        let rest = key.get(common..).unwrap_or_default().iter().chain(std::iter::repeat(&0));
        rest.take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let prefix = from.get(..common).unwrap_or_default();
    let distance = number(from).saturating_sub(number(first)).max(1).checked_mul(reach);
    match distance.and_then(|distance| number(from).checked_add(distance)) {
        Some(further) => Stretch::To([prefix, &further.to_be_bytes()].concat()),
        None => Stretch::Branch(prefix_end(prefix)),
    }
}

/// Whether `key` is within a range that ends at `end`.
fn is_before(key: &[u8], end: &[u8]) -> bool {
    end == [0] || key < end
}

/// Removes a range. One that is long, in steps, so that neither the server nor we hold all of it at once: what others write
/// into it meanwhile goes, too, and is counted. A step ends behind the last key of a page. `deleted`: how many are gone, after
/// a failure as well.
pub fn delete(
    client: &mut Client<'_>,
    mut request: DeleteRangeRequest,
    deleted: &mut i64,
) -> Result<DeleteRangeResponse, Failure> {
    // The pairs from before have to come in one answer, and one key is no range.
    if request.prev_kv || request.range_end.is_empty() {
        return client.ask(&request);
    }
    loop {
        let page = RangeRequest {
            key: request.key.clone(),
            range_end: request.range_end.clone(),
            limit: STEP,
            keys_only: true,
            ..RangeRequest::default()
        };
        let next = match client.ask(&page) {
            Ok(RangeResponse { more: true, kvs, .. }) => kvs.last().map(|last| [&last.key[..], b"\0"].concat()),
            Ok(_) => None,
            // Who may write need not be allowed to read.
            Err(Failure::Status(_)) => None,
            Err(failure) => return Err(failure),
        };
        let Some(next) = next.filter(|next| *next > request.key) else {
            let mut reply = client.ask(&request)?;
            reply.deleted += *deleted;
            return Ok(reply);
        };
        let step = DeleteRangeRequest { range_end: next.clone(), ..request.clone() };
        *deleted += client.ask(&step)?.deleted;
        request.key = next;
    }
}

/// The end of the range of all keys that begin with `prefix`: empty bytes would mean one key, so that a prefix of
/// nothing but 0xff goes on to the last key, which is how etcd spells it.
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

/// A range's answer in protobuf, in the pieces that it is written in.
pub fn head(header: Option<Header>) -> Vec<u8> {
    RangeResponse { header, ..RangeResponse::default() }.encode_to_vec()
}

pub fn middle(kvs: Vec<KeyValue>) -> Bytes {
    RangeResponse { kvs, ..RangeResponse::default() }.encode_to_vec().into()
}

pub fn tail(more: bool, count: i64) -> Vec<u8> {
    RangeResponse { more, count, ..RangeResponse::default() }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_paged() {
        let range = || RangeRequest { key: b"a".to_vec(), range_end: b"b".to_vec(), ..RangeRequest::default() };
        assert!(Pages::new(range()).paged);
        assert!(Pages::new(RangeRequest { limit: 5000, ..range() }).paged);
        for request in [
            RangeRequest { range_end: Vec::new(), ..range() },
            RangeRequest { sort_order: 2, ..range() },
            RangeRequest { count_only: true, ..range() },
            RangeRequest { min_mod_revision: 1, ..range() },
        ] {
            assert!(!Pages::new(request).paged);
        }
    }

    #[test]
    fn ends_of_prefixes() {
        for (prefix, end) in [(&b"a"[..], &b"b"[..]), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"", b"\0")] {
            assert_eq!(prefix_end(prefix), end);
        }
    }

    #[test]
    fn stretches() {
        let to = |end: &[u8]| Stretch::To(end.to_vec());
        for (first, from, reach, expected) in [
            (&b"a/01"[..], &b"a/03"[..], 2, to(b"a/07\0\0\0\0\0\0\0")),
            (b"a/01", b"a/03\0", 1, to(b"a/05\0\0\0\0\0\0\0")),
            (b"a/01", b"a/1", 1, to(b"a/1\xcf\0\0\0\0\0\0")),
            (b"a", b"b", 2, to(b"d\0\0\0\0\0\0\0")),
            (b"a/01", b"a/03", 256, Stretch::Branch(b"a/1".to_vec())),
            (b"a", b"\xff", 1, Stretch::Branch(vec![0])),
        ] {
            assert_eq!(stretch_end(first, from, reach), expected);
        }
    }

    #[test]
    fn pieces_are_one_message() {
        let header = Some(Header { revision: 7, ..Header::default() });
        let pair = KeyValue { key: Bytes::from_static(b"k"), ..KeyValue::default() };
        let whole = RangeResponse { header, kvs: vec![pair.clone()], more: true, count: 2 };
        assert_eq!([&head(header)[..], &middle(vec![pair]), &tail(true, 2)].concat(), whole.encode_to_vec());
    }
}
