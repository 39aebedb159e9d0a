//! What makes a snapshot the database of a new cluster's member: the ids of the members, and the log and the snapshot
//! file that say that they were added (etcd's etcdutl/snapshot, server/etcdserver/api/membership, snap and v2store).

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::checksum::Crc32c;
use super::field::Message;
use super::log;
use crate::output::{json, order};

/// All entries are of the first term.
pub const TERM: u64 = 1;

/// The snapshot's event queue has room for so many, and that as elements.
const EVENTS: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: u64,
    pub name: String,
    /// Sorted.
    pub peers: Vec<String>,
}

impl Member {
    fn new(name: &str, mut peers: Vec<String>, token: &str) -> Member {
        order::sort(&mut peers);
        let id = first_eight(format!("{}{token}", peers.concat()).as_bytes());
        Member { id, name: name.to_string(), peers }
    }

    fn attributes(&self) -> String {
        let peers: Vec<String> = self.peers.iter().map(|peer| quoted(peer)).collect();
        format!("\"peerURLs\":[{}]", peers.join(","))
    }

    /// As the database and the log have it.
    pub fn json(&self) -> String {
        format!("{{\"id\":{},{},\"name\":{}}}", self.id, self.attributes(), quoted(&self.name))
    }

    /// Its key in the bucket of members.
    pub fn key(&self) -> String {
        format!("{:x}", self.id)
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    json::string(&mut out, text);
    out
}

/// An id: what a SHA-1 begins with.
fn first_eight(bytes: &[u8]) -> u64 {
    let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes);
    sum.as_ref().first_chunk().map_or(0, |eight| u64::from_be_bytes(*eight))
}

/// A cluster before it has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub id: u64,
    /// By their ids.
    pub members: Vec<Member>,
}

impl Cluster {
    /// `NAME=URL,…` as `--initial-cluster` has it; a name may have several.
    pub fn parse(text: &str, token: &str) -> Result<Cluster, String> {
        let mut named: Vec<(&str, Vec<String>)> = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (name, peer) = part.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("is not NAME=URL,…")?;
            let peer = url(peer)?;
            match named.iter_mut().find(|(known, _)| *known == name) {
                Some((_, peers)) => peers.push(peer),
                None => named.push((name, vec![peer])),
            }
        }
        let mut members: Vec<Member> = named.into_iter().map(|(name, peers)| Member::new(name, peers, token)).collect();
        order::sort_by_key(&mut members, |member| member.id);
        if members.is_empty() {
            return Err(String::from("names no member"));
        }
        if members.windows(2).any(|pair| pair[0].id == pair[1].id) {
            return Err(String::from("has two members with the same URLs"));
        }
        let ids: Vec<u8> = members.iter().flat_map(|member| member.id.to_be_bytes()).collect();
        Ok(Cluster { id: first_eight(&ids), members })
    }

    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// The last entry: one for each member.
    pub fn commit(&self) -> u64 {
        self.members.len() as u64
    }

    /// raftpb.ConfState: who votes.
    fn voters(&self) -> Message {
        let each = |message: Message, member: &Member| message.number(1, member.id);
        self.members.iter().fold(Message::default(), each).number(5, 0)
    }

    /// The write-ahead log of a member.
    pub fn log(&self, own: &Member) -> Vec<u8> {
        let mut log = log::Writer::default();
        log.record(log::SUM, None);
        log.record(log::METADATA, Some(&Message::default().number(1, own.id).number(2, self.id).0));
        log.record(log::SNAPSHOT, Some(&Message::default().number(1, 0).number(2, 0).0));
        for (index, member) in (1..).zip(&self.members) {
            let change = Message::default().number(1, 0).number(2, 0).number(3, member.id);
            let change = change.bytes(4, member.json().as_bytes()).0;
            let entry = Message::default().number(1, 1).number(2, TERM).number(3, index).bytes(4, &change);
            log.record(log::ENTRY, Some(&entry.0));
        }
        let vote = self.members.first().map_or(0, |member| member.id);
        let state = Message::default().number(1, TERM).number(2, vote).number(3, self.commit());
        log.record(log::STATE, Some(&state.0));
        let snapshot = Message::default().number(1, self.commit()).number(2, TERM).bytes(3, &self.voters().0);
        log.record(log::SNAPSHOT, Some(&snapshot.0));
        log.bytes
    }

    /// The file `TERM-INDEX.snap`: raft's snapshot, whose data are the members in the form of the second API.
    pub fn snapshot(&self) -> Vec<u8> {
        let metadata = Message::default().bytes(1, &self.voters().0).number(2, self.commit()).number(3, TERM);
        let snapshot = Message::default().bytes(1, self.tree().as_bytes()).bytes(2, &metadata.0).0;
        let mut sum = Crc32c::from(0);
        sum.add(&snapshot);
        Message::default().number(1, sum.sum().into()).bytes(2, &snapshot).0
    }

    pub fn snapshot_name(&self) -> String {
        format!("{TERM:016x}-{:016x}.snap", self.commit())
    }

    fn tree(&self) -> String {
        let node = |path: &str, index: u64, value: &str, children: &str| {
            format!(
                "{{\"Path\":{},\"CreatedIndex\":{index},\"ModifiedIndex\":{index},\
                 \"ExpireTime\":\"0001-01-01T00:00:00Z\",\"Value\":{},\"Children\":{children}}}",
                quoted(path),
                quoted(value)
            )
        };
        let (mut members, mut events) = (Vec::new(), Vec::new());
        for (index, member) in (1..).zip(&self.members) {
            let path = format!("/0/members/{}", member.key());
            let value = format!("{{{}}}", member.attributes());
            let leaf = node(&format!("{path}/raftAttributes"), index, &value, "null");
            members.push(format!(
                "\"{}\":{}",
                member.key(),
                node(&path, index, "", &format!("{{\"raftAttributes\":{leaf}}}"))
            ));
            events.push(format!(
                "{{\"action\":\"create\",\"node\":{{\"key\":{},\"value\":{},\
                 \"modifiedIndex\":{index},\"createdIndex\":{index}}}}}",
                quoted(&format!("{path}/raftAttributes")),
                quoted(&value)
            ));
        }
        // JSON has them by name, where a small id, whose name is shorter, need not stand first.
        order::sort(&mut members);
        let count = self.commit();
        let members = node("/0/members", 1, "", &format!("{{{}}}", members.join(",")));
        let store = node("/0", 0, "", &format!("{{\"members\":{members}}}"));
        let root = node("/", 0, "", &format!("{{\"0\":{store},\"1\":{}}}", node("/1", 0, "", "{}")));
        // A ring: what comes first stands first, also when there are more members than it has room for.
        events.resize(EVENTS.max(events.len()), String::from("null"));
        let names = ["gets", "sets", "delete", "update", "create", "compareAndSwap", "compareAndDelete"];
        let counts: String = names
            .iter()
            .map(|name| format!("\"{name}Success\":{},\"{name}Fail\":0,", if *name == "create" { count } else { 0 }))
            .collect();
        format!(
            "{{\"Root\":{root},\"WatcherHub\":{{\"EventHistory\":{{\"Queue\":{{\"Events\":[{}],\
             \"Size\":{count},\"Front\":0,\"Back\":{count},\"Capacity\":{}}},\"StartIndex\":1,\"LastIndex\":{count}}}}},\
             \"CurrentIndex\":{count},\"Stats\":{{{counts}\"expireCount\":0,\"watchers\":0}},\"CurrentVersion\":2}}",
            events.join(","),
            events.len(),
        )
    }
}

/// A peer's URL as etcd takes it: a scheme, a host and a port, and nothing behind them.
pub fn url(text: &str) -> Result<String, String> {
    let text = text.trim();
    let (scheme, place) = text.split_once("://").ok_or_else(|| format!("{text}: a URL has a scheme"))?;
    match scheme {
        "http" | "https" => {
            let (host, port) = place.rsplit_once(':').ok_or_else(|| format!("{text}: a URL has a port"))?;
            if host.is_empty() || port.parse::<u16>().is_err() {
                return Err(format!("{text}: a URL is SCHEME://HOST:PORT"));
            }
        }
        "unix" | "unixs" if !place.is_empty() => {}
        _ => return Err(format!("{text}: schemes are http, https, unix and unixs")),
    }
    Ok(text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From a member that etcdutl 3.5.1 restored.
    fn cluster() -> Cluster {
        Cluster::parse("m1=http://127.0.0.1:31380,m2=http://127.0.0.1:31381", "tok").unwrap()
    }

    #[test]
    fn ids_as_etcd_makes_them() {
        let cluster = cluster();
        assert_eq!(cluster.id, 0xc3ac_2d39_2233_a91d);
        let ids: Vec<(u64, &str)> = cluster.members.iter().map(|member| (member.id, member.name.as_str())).collect();
        assert_eq!(ids, [(0xf97e_8685_5c63_1539, "m1"), (0xfc9f_ef47_e161_7660, "m2")]);
        assert_eq!(
            cluster.members[0].json(),
            r#"{"id":17977954669848368441,"peerURLs":["http://127.0.0.1:31380"],"name":"m1"}"#
        );
    }

    #[test]
    fn the_log_as_etcd_writes_it() {
        let cluster = cluster();
        let log = cluster.log(&cluster.members[0]);
        // The frame, the sum, and the start of the data of each record.
        for (at, bytes) in [
            (0x00, &b"\x04\0\0\0\0\0\0\x84\x08\x04\x10\0\0\0\0\0"[..]),
            (0x10, b"\x20\0\0\0\0\0\0\0\x08\x01\x10\xaa\xd3\x8f\xaa\x01\x1a\x16\x08\xb9\xaa\x8c\xe3"),
            (0x38, b"\x0e\0\0\0\0\0\0\x82\x08\x05\x10\xa8\xb3\xa5\x98\x09\x1a\x04\x08\0\x10\0\0\0"),
            (0x50, b"\x70\0\0\0\0\0\0\0\x08\x02\x10\xd1\x99\xa0\xa5\x0d\x1a\x66\x08\x01\x10\x01\x18\x01\x22\x5e"),
            (0xc8, b"\x70\0\0\0\0\0\0\0\x08\x02\x10\xd3\x9d\x95\xa7\x09\x1a\x66\x08\x01\x10\x01\x18\x02\x22\x5e"),
            (0x140, b"\x19\0\0\0\0\0\0\x87\x08\x03\x10\xb3\xad\x89\xf8\x08\x1a\x0f\x08\x01\x10\xb9"),
            (0x168, b"\x28\0\0\0\0\0\0\0\x08\x05\x10\x96\xf2\xe4\x8d\x04\x1a\x1e\x08\x02\x10\x01\x1a\x18"),
        ] {
            assert_eq!(&log[at..at + bytes.len()], bytes, "{at:#x}");
        }
        assert_eq!(log.len(), 0x198);
    }

    #[test]
    fn the_snapshot_as_etcd_writes_it() {
        let snapshot = cluster().snapshot();
        assert_eq!(snapshot.len(), 7032);
        assert_eq!(&snapshot[..12], b"\x08\x9a\xf4\xe1\xca\x03\x12\xef\x36\x0a\xcc\x36");
        assert!(snapshot.ends_with(b"\x08\xe0\xec\x85\x8b\xfe\xe8\xfb\xcf\xfc\x01\x28\0\x10\x02\x18\x01"));
        assert_eq!(cluster().snapshot_name(), "0000000000000001-0000000000000002.snap");
    }

    /// As etcdutl 3.5.1 has it.
    #[test]
    fn a_small_id_stands_among_the_names() {
        let cluster =
            Cluster::parse("m1=http://127.0.0.1:20002,m2=http://127.0.0.1:20027,m3=http://127.0.0.1:20001", "tok");
        let tree = cluster.unwrap().tree();
        let names = ["7774e873f583c084", "7dd8dc5d196c2b6", "90bb286edccdb2de"];
        let places = names.map(|name| tree.find(&format!("\"{name}\":{{")).unwrap());
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn clusters_that_are_none() {
        for (text, why) in [
            ("", "names no member"),
            ("m1", "is not NAME=URL,…"),
            ("=http://a:1", "is not NAME=URL,…"),
            ("m1=a:1", "a:1: a URL has a scheme"),
            ("m1=http://a", "http://a: a URL has a port"),
            ("m1=http://a:1/x", "http://a:1/x: a URL is SCHEME://HOST:PORT"),
            ("m1=http://:1", "http://:1: a URL is SCHEME://HOST:PORT"),
            ("m1=ftp://a:1", "ftp://a:1: schemes are http, https, unix and unixs"),
            ("m1=http://a:1,m2=http://a:1", "has two members with the same URLs"),
        ] {
            assert_eq!(Cluster::parse(text, "t"), Err(String::from(why)));
        }
        let two = Cluster::parse("m1=http://b:1,m1=http://a:1", "t").unwrap();
        assert_eq!(two.members[0].peers, ["http://a:1", "http://b:1"]);
    }
}
