//! Every check, speaking and silent: what is not as in a healthy server, and what is said of it.

use super::*;
use crate::target::cgroup::{Cpu, Memory};

fn set(stats: &mut Stats, text: &str) {
    for line in text.lines().map(str::trim) {
        let (name, value) = line.split_once(' ').unwrap();
        stats.retain(|(known, _)| known != name.as_bytes());
        stats.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    }
}

/// A server with nothing to complain about.
fn healthy() -> Snapshot {
    let mut snapshot = Snapshot {
        probe: String::from("probe memcached cache"),
        connect: Duration::from_millis(1),
        answer: Duration::from_millis(1),
        clock: Some(1_795_798_412),
        ..Snapshot::default()
    };
    set(
        &mut snapshot.now,
        "version 1.6.45
        uptime 86400
        time 1795798412
        threads 4
        bytes 33554432
        limit_maxbytes 67108864
        curr_items 1000
        total_items 2000
        curr_connections 10
        max_connections 1024
        accepting_conns 1
        total_connections 100
        rejected_connections 0
        evictions 0
        get_hits 9000
        get_misses 1000
        cmd_get 10000
        cmd_set 2000
        hash_power_level 16
        hash_is_expanding 0
        hash_bytes 524288",
    );
    set(
        &mut snapshot.settings,
        "inter 127.0.0.1
        domain_socket NULL
        udpport 0
        auth_enabled_sasl no
        auth_enabled_ascii no
        evictions on
        item_size_max 1048576
        reqs_per_event 20
        lru_crawler yes
        lru_maintainer_thread yes
        slab_reassign yes
        slab_automove 1
        worker_logbuf_size 65536",
    );
    snapshot.host = Some(Host {
        pid: 1,
        resident: 50 << 20,
        memory: Memory { limit: Some(256 << 20), used: Some(60 << 20), ..Memory::default() },
        cpu: Cpu::default(),
        threads: 10,
        open: Some(40),
        most_open: Some(4096),
        processors: Some(4),
        ..Host::default()
    });
    snapshot
}

/// The second of two samples, ten seconds apart: what was there before is the healthy one.
fn later(snapshot: &mut Snapshot, text: &str) {
    let mut before = snapshot.now.clone();
    for name in text.lines().map(|line| line.trim().split(' ').next().unwrap()) {
        if find(&before, name).is_none() {
            set(&mut before, &format!("{name} 0"));
        }
    }
    snapshot.before = Some(before);
    snapshot.classes_before = snapshot.classes.clone();
    snapshot.seconds = 10.0;
    set(&mut snapshot.now, text);
}

fn since(snapshot: &mut Snapshot, text: &str) {
    set(&mut snapshot.now, text);
}

fn class(class: u64, pages: u64, used: u64, evicted: u64, idle: u64) -> Class {
    Class {
        class,
        chunk: Some(96 * class),
        pages: Some(pages),
        items: Some(used),
        used: Some(used),
        total: Some(pages * 100),
        requested: Some(0),
        age: Some(60),
        evicted: Some(evicted),
        evicted_expiring: Some(evicted),
        evicted_idle: Some(idle),
        out_of_memory: Some(0),
    }
}

fn callers(count: usize, host: &str, idle: u64) -> Vec<Caller> {
    vec![Caller { host: host.as_bytes().to_vec(), idle }; count]
}

type Change = fn(&mut Snapshot);

/// Level, evidence, next step.
type Said = (&'static str, &'static str, &'static str);

/// What is not as in a healthy server, and what the check then says; nothing is silence.
const CASES: &[(&str, Change, Option<Said>)] = &[
    (
        "answer",
        |s| {
            s.connect = Duration::from_millis(1002);
        },
        Some(("fail", "connected in 1002 ms, answered in 1 ms", "probe memcached cache latency")),
    ),
    (
        "answer",
        |s| {
            s.answer = Duration::from_millis(250);
        },
        Some(("warn", "connected in 1 ms, answered in 250 ms", "probe memcached cache latency")),
    ),
    (
        "answer",
        |s| {
            s.answer = Duration::from_millis(99);
        },
        None,
    ),
    (
        "statistics",
        |s| {
            s.now.retain(|(name, _)| name != b"bytes");
        },
        Some(("unknown", "it does not tell of memory, connections or evictions (a proxy?)", "")),
    ),
    ("statistics", |_s| {}, None),
    (
        "connections",
        |s| {
            since(s, "curr_connections 1000");
            s.capacity = Some(999);
        },
        Some((
            "fail",
            "1000 of 999 possible (-c 1024) are open",
            "probe memcached cache conns --by address; then restart it with -c 2048",
        )),
    ),
    (
        "connections",
        |s| {
            since(s, "curr_connections 950");
            s.capacity = Some(999);
            s.callers = callers(900, "10.0.0.3", 700);
        },
        Some((
            "warn",
            "950 of 999 possible (-c 1024) are open; 900 from 10.0.0.3 idle for 11m40s and more",
            "probe memcached cache conns --by address --idle 10m; then restart it with -o idle_timeout=600",
        )),
    ),
    (
        "connections",
        |s| {
            since(s, "rejected_connections 7");
        },
        Some((
            "warn",
            "10 of 1024 possible are open; rejected: 7 since the start",
            "probe memcached cache conns --by address; then restart it with -c 2048",
        )),
    ),
    (
        "connections",
        |s| {
            since(s, "rejected_connections 7");
            later(s, "curr_connections 12");
        },
        None,
    ),
    (
        "connections",
        |s| {
            later(s, "rejected_connections 80");
        },
        Some((
            "fail",
            "10 of 1024 possible are open; rejected: 8.0/s",
            "probe memcached cache conns --by address; then restart it with -c 2048",
        )),
    ),
    (
        "connections",
        |s| {
            since(s, "accepting_conns 0");
        },
        Some((
            "fail",
            "10 of 1024 possible are open; it does not accept at the moment",
            "probe memcached cache conns --by address; then restart it with -c 2048",
        )),
    ),
    (
        "killed",
        |s| {
            s.host.as_mut().unwrap().memory.oom_kill = Some(2);
        },
        Some((
            "fail",
            "the kernel has killed 2 processes of this container for want of memory",
            "inspect shows the limit; restart it with a smaller -m, or raise the container's --memory",
        )),
    ),
    (
        "killed",
        |s| {
            s.host.as_mut().unwrap().memory.oom_kill = Some(0);
        },
        None,
    ),
    (
        "memory",
        |s| {
            s.host.as_mut().unwrap().memory.limit = Some(64 << 20);
        },
        Some((
            "fail",
            "resident 50.0 MiB, container 60.0 MiB of 64.0 MiB; -m 64.0 MiB for items, and 552 KiB for the rest now",
            "docker update --memory 71m --memory-swap 71m NAME, or restart it with -m 57",
        )),
    ),
    (
        "memory",
        |s| {
            s.host.as_mut().unwrap().memory.limit = Some(65 << 20);
            s.host.as_mut().unwrap().memory.used = Some(20 << 20);
        },
        None,
    ),
    (
        "memory",
        |s| {
            s.host.as_mut().unwrap().memory = Memory::default();
        },
        Some(("unknown", "the control group's files are not mounted", "")),
    ),
    (
        "memory",
        |s| {
            s.host = None;
            s.why_no_host = String::from("it is not the target's");
        },
        Some(("unknown", "it is not the target's", "")),
    ),
    (
        "memory",
        |s| {
            s.host.as_mut().unwrap().memory.limit = None;
        },
        None,
    ),
    (
        "out-of-memory",
        |s| {
            since(s, "store_no_memory 7");
            s.classes = vec![class(1, 4, 400, 0, 0), Class { out_of_memory: Some(7), ..class(9, 1, 100, 0, 0) }];
        },
        Some((
            "fail",
            "stores that found no memory: 7 since the start, most in class 9 (up to 864 B), which has 1 of 5 pages",
            "restart it with a larger -m (now 64m); probe memcached cache slabs",
        )),
    ),
    (
        "out-of-memory",
        |s| {
            set(&mut s.settings, "slab_automove 0");
            later(s, "store_no_memory 50");
        },
        Some(("fail", "stores that found no memory: 5.0/s", "probe memcached cache raw 'slabs automove 1'")),
    ),
    (
        "out-of-memory",
        |s| {
            since(s, "store_no_memory 7");
            set(&mut s.settings, "evictions off");
        },
        None,
    ),
    (
        "out-of-memory",
        |s| {
            since(s, "store_no_memory 7");
            later(s, "curr_items 1001");
        },
        None,
    ),
    (
        "no-evictions",
        |s| {
            set(&mut s.settings, "evictions off");
        },
        Some((
            "note",
            "evictions are off (-M), and 50% of the memory are used",
            "restart it without -M, or with a larger -m (now 64m)",
        )),
    ),
    (
        "no-evictions",
        |s| {
            set(&mut s.settings, "evictions off");
            later(s, "store_no_memory 20\nbytes 67000000");
        },
        Some((
            "fail",
            "evictions are off (-M), the memory is 99% full; stores refused: 2.0/s",
            "restart it without -M, or with a larger -m (now 64m)",
        )),
    ),
    ("no-evictions", |_s| {}, None),
    (
        "too-large",
        |s| {
            since(s, "store_too_large 3");
        },
        Some((
            "warn",
            "values larger than an item may be: 3 since the start; the largest is 1048517 bytes less the key",
            "restart it with -I 2m; or compress in the client",
        )),
    ),
    (
        "too-large",
        |s| {
            since(s, "store_too_large 3");
            later(s, "curr_items 1001");
        },
        None,
    ),
    (
        "slabs",
        |s| {
            s.classes = vec![class(6, 1, 100, 16000, 0), class(38, 3, 0, 0, 0)];
            later(s, "evictions 8120");
            s.classes[0].evicted = Some(24120);
        },
        Some((
            "fail",
            "class 6 evicts (812/s, unused for 0s) with 1 of 4 pages, while class 38 holds 3 pages and no items",
            "probe memcached cache raw 'slabs automove 2' for some minutes, then 1; else a restart",
        )),
    ),
    (
        "slabs",
        |s| {
            set(&mut s.settings, "slab_automove 0");
            s.classes = vec![class(6, 1, 100, 16000, 5), class(38, 3, 0, 0, 0), class(39, 2, 0, 0, 0)];
        },
        Some((
            "warn",
            "class 6 evicts (16000 since the start, unused for 5s) with 1 of 6 pages, while 2 classes hold 5 pages and no items",
            "probe memcached cache raw 'slabs automove 1'",
        )),
    ),
    (
        "slabs",
        |s| {
            s.classes = vec![class(6, 1, 100, 160, 5), Class { age: Some(90_000), ..class(38, 13, 90, 0, 0) }];
        },
        Some((
            "warn",
            "class 6 evicts (160 since the start, unused for 5s) with 1 of 14 pages, while class 38 holds 13 pages with items that are up to 1d01h old",
            "probe memcached cache raw 'slabs automove 2' for some minutes, then 1; else a restart",
        )),
    ),
    (
        "slabs",
        |s| {
            s.classes = vec![class(6, 1, 100, 160, 5)];
        },
        Some((
            "warn",
            "class 6 evicts (160 since the start, unused for 5s) with 1 of 1 pages, while 50% of the memory are used",
            "probe memcached cache raw 'slabs automove 2' for some minutes, then 1; else a restart",
        )),
    ),
    (
        "slabs",
        |s| {
            s.classes = vec![class(6, 1, 100, 160, 5)];
            since(s, "bytes 63000000");
        },
        None,
    ),
    (
        "slabs",
        |s| {
            s.classes = vec![class(6, 1, 100, 160, 5), class(38, 3, 0, 0, 0)];
            later(s, "curr_items 1001");
        },
        None,
    ),
    (
        "evictions",
        |s| {
            s.classes = vec![class(6, 1, 100, 0, 0)];
            since(s, "bytes 63000000");
            later(s, "evictions 5000\nevicted_unfetched 1000\nevicted_active 20");
            s.classes[0] = class(6, 1, 100, 5000, 40);
        },
        Some((
            "warn",
            "evicted: 500/s, unused for 40s; 20% never fetched, 1% in use",
            "restart it with -m 128, or store less: probe memcached cache keys --by-prefix",
        )),
    ),
    (
        "evictions",
        |s| {
            s.classes = vec![class(6, 1, 100, 0, 0)];
            since(s, "bytes 63000000");
            later(s, "evictions 5000\nevicted_unfetched 4000\ndirect_reclaims 30");
            s.classes[0] = class(6, 1, 100, 5000, 40);
        },
        Some((
            "warn",
            "evicted: 500/s, unused for 40s; 80% never fetched, 0% in use; stores that had to make room: 3.0/s",
            "restart it with -m 128, or store less: probe memcached cache keys --by-prefix",
        )),
    ),
    (
        "evictions",
        |s| {
            since(s, "evictions 5000\nbytes 63000000");
            s.classes = vec![class(6, 1, 100, 5000, 90_000)];
        },
        Some((
            "note",
            "evicted: 5000 since the start, unused for 1d01h; 0% never fetched, 0% in use",
            "probe memcached cache slabs",
        )),
    ),
    (
        "evictions",
        |s| {
            since(s, "evictions 5000");
            s.classes = vec![class(6, 1, 100, 5000, 0), class(38, 3, 0, 0, 0)];
        },
        None,
    ),
    (
        "evictions",
        |s| {
            later(s, "evictions 5000\nevicted_active 5000");
        },
        Some(("note", "evicted: 500/s; 0% never fetched, 100% in use", "probe memcached cache slabs")),
    ),
    (
        "evictions",
        |s| {
            since(s, "evictions 5000");
            later(s, "curr_items 1001");
        },
        None,
    ),
    (
        "hits",
        |s| {
            since(s, "get_hits 30\nget_misses 70\nget_expired 50\nget_flushed 1");
        },
        Some((
            "note",
            "30% of 100 gets hit since the start; of the misses 71% had expired, 1% were flushed, the rest was not there",
            "probe memcached cache top --by prefix",
        )),
    ),
    (
        "hits",
        |s| {
            later(s, "get_hits 9100\nget_misses 1100");
        },
        Some((
            "warn",
            "50% of 200 gets hit (89% since the start); of the misses 0% had expired, 0% were flushed, the rest was not there",
            "probe memcached cache top --by prefix",
        )),
    ),
    (
        "hits",
        |s| {
            later(s, "get_hits 9010\nget_misses 1080");
        },
        None,
    ),
    (
        "hits",
        |s| {
            later(s, "get_hits 9800\nget_misses 1200");
        },
        None,
    ),
    (
        "flushes",
        |s| {
            since(s, "cmd_flush 2\nget_flushed 70");
        },
        Some((
            "note",
            "flush_all: 2 since the start; gets that missed for it: 70 since the start",
            "probe memcached cache conns while it happens shows who; restart it with -F to forbid it",
        )),
    ),
    (
        "flushes",
        |s| {
            later(s, "cmd_flush 2");
        },
        Some((
            "warn",
            "flush_all: 0.2/s; gets that missed for it: 0.0/s",
            "probe memcached cache conns while it happens shows who; restart it with -F to forbid it",
        )),
    ),
    (
        "flushes",
        |s| {
            since(s, "cmd_flush 2");
            set(&mut s.settings, "flush_enabled no");
        },
        None,
    ),
    (
        "flushes",
        |s| {
            since(s, "cmd_flush 2");
            later(s, "curr_items 1001");
        },
        None,
    ),
    (
        "uptime",
        |s| {
            since(s, "uptime 5");
        },
        Some(("note", "started 5s ago", "docker logs NAME, or kubectl logs --previous POD, tells why it ended")),
    ),
    (
        "uptime",
        |s| {
            later(s, "uptime 5");
        },
        Some((
            "fail",
            "started 5s ago, between two samples",
            "docker logs NAME, or kubectl logs --previous POD, tells why it ended",
        )),
    ),
    (
        "uptime",
        |s| {
            since(s, "uptime 180");
        },
        None,
    ),
    (
        "ttl",
        |s| {
            since(s, "get_hits 0\nget_misses 1900\nget_expired 1900");
        },
        Some((
            "warn",
            "95% of 2000 stored values had expired when they were asked for, 0 gets hit",
            "probe memcached cache set KEY VALUE --ttl 60d shows what a client has to send",
        )),
    ),
    (
        "ttl",
        |s| {
            since(s, "get_hits 500\nget_misses 1900\nget_expired 1900");
        },
        None,
    ),
    (
        "ttl",
        |s| {
            since(s, "get_hits 0\nget_misses 200\nget_expired 0\nexpired_unfetched 1900\ncmd_flush 1");
        },
        None,
    ),
    (
        "unfetched",
        |s| {
            since(s, "expired_unfetched 1500");
        },
        Some((
            "note",
            "75% of 2000 stored values expired without being fetched once",
            "probe memcached cache keys --by-prefix",
        )),
    ),
    (
        "unfetched",
        |s| {
            since(s, "cmd_flush 1");
            later(s, "expired_unfetched 1500\ntotal_items 4000");
        },
        None,
    ),
    (
        "unfetched",
        |s| {
            since(s, "expired_unfetched 900");
        },
        None,
    ),
    (
        "never-expiring",
        |s| {
            s.classes = vec![Class { evicted_expiring: Some(5), ..class(6, 1, 100, 200, 5) }];
        },
        Some(("note", "98% of 200 evicted values had no time to live", "probe memcached cache keys --summary")),
    ),
    (
        "never-expiring",
        |s| {
            s.classes = vec![class(6, 1, 100, 200, 5)];
        },
        None,
    ),
    (
        "leak",
        |s| {
            s.callers = callers(120, "10.0.0.3", 700);
        },
        Some((
            "note",
            "120 connections of 10.0.0.3 are idle for 11m40s and more",
            "probe memcached cache conns --by address --idle 10m",
        )),
    ),
    (
        "leak",
        |s| {
            s.callers = callers(120, "10.0.0.3", 30);
        },
        None,
    ),
    (
        "churn",
        |s| {
            later(s, "total_connections 600\ncmd_get 10900");
        },
        Some((
            "warn",
            "50 new connections a second, 900 commands on 500 connections",
            "keep connections in the client (a pool, pconnect); ss -tn state time-wait counts them",
        )),
    ),
    (
        "churn",
        |s| {
            later(s, "total_connections 600\ncmd_get 90000");
        },
        None,
    ),
    (
        "yields",
        |s| {
            since(s, "conn_yields 5000");
        },
        Some((
            "note",
            "waits of connections after a batch (-R 20): 5000 since the start",
            "restart it with -R 200, or send smaller batches",
        )),
    ),
    (
        "yields",
        |s| {
            since(s, "conn_yields 100");
        },
        None,
    ),
    (
        "conflicts",
        |s| {
            since(s, "cas_badval 40\ncas_hits 160");
        },
        Some((
            "note",
            "20% of 200 cas found a value that somebody else had changed",
            "probe memcached cache top --by key",
        )),
    ),
    (
        "conflicts",
        |s| {
            since(s, "cas_badval 4\ncas_hits 160");
        },
        None,
    ),
    (
        "logins",
        |s| {
            since(s, "auth_errors 3");
        },
        Some(("note", "failed logins: 3 since the start", "probe memcached cache conns --by address")),
    ),
    (
        "logins",
        |s| {
            later(s, "auth_errors 3");
        },
        Some(("warn", "failed logins: 0.3/s", "probe memcached cache conns --by address")),
    ),
    (
        "logins",
        |s| {
            since(s, "auth_errors 3");
            later(s, "curr_items 1001");
        },
        None,
    ),
    (
        "buffers",
        |s| {
            since(s, "read_buf_oom 3\nmalloc_fails 1");
        },
        Some((
            "warn",
            "no memory for buffers of connections: 4 since the start",
            "probe memcached cache conns --by address; then fewer clients, or a larger memory limit of the container",
        )),
    ),
    ("buffers", |_s| {}, None),
    (
        "throttling",
        |s| {
            let host = s.host.as_mut().unwrap();
            host.cpu = Cpu { quota: Some(0.5), periods: Some(1000), throttled: Some(300), ..Cpu::default() };
        },
        Some((
            "warn",
            "stopped for its quota of 0.5 CPUs in 30% of the periods since the start",
            "docker update --cpus N NAME with a larger N, or fewer threads (-t)",
        )),
    ),
    (
        "throttling",
        |s| {
            let host = s.host.as_mut().unwrap();
            host.cpu = Cpu { quota: Some(0.5), periods: Some(1000), throttled: Some(300), ..Cpu::default() };
            host.cpu_before = Some(Cpu { periods: Some(900), throttled: Some(300), ..Cpu::default() });
        },
        None,
    ),
    (
        "throttling",
        |s| {
            let host = s.host.as_mut().unwrap();
            host.cpu = Cpu { periods: Some(1000), throttled: Some(330), ..Cpu::default() };
            host.cpu_before = Some(Cpu { periods: Some(900), throttled: Some(300), ..Cpu::default() });
        },
        Some((
            "warn",
            "stopped for its quota in 30% of the periods",
            "docker update --cpus N NAME with a larger N, or fewer threads (-t)",
        )),
    ),
    (
        "files",
        |s| {
            s.host.as_mut().unwrap().most_open = Some(1000);
        },
        Some((
            "warn",
            "40 of at most 1000 descriptors are open, -c is 1024",
            "start the container with --ulimit nofile=1088:1088",
        )),
    ),
    (
        "files",
        |s| {
            s.host.as_mut().unwrap().open = Some(4000);
        },
        Some((
            "fail",
            "4000 of at most 4096 descriptors are open, -c is 1024",
            "start the container with --ulimit nofile=1088:1088",
        )),
    ),
    (
        "files",
        |s| {
            s.host.as_mut().unwrap().open = None;
        },
        None,
    ),
    (
        "swap",
        |s| {
            s.host.as_mut().unwrap().swapped = Some(3 << 20);
        },
        Some((
            "warn",
            "3.00 MiB of it are swapped out",
            "restart it with -k (locked memory), or a smaller -m; free shows who needs the memory",
        )),
    ),
    (
        "swap",
        |s| {
            s.host.as_mut().unwrap().swapped = Some(0);
        },
        None,
    ),
    (
        "threads",
        |s| {
            since(s, "threads 64");
        },
        Some(("note", "64 worker threads, 10 in all, on 4 CPUs", "restart it with -t 4")),
    ),
    (
        "threads",
        |s| {
            s.host.as_mut().unwrap().cpu.quota = Some(0.5);
        },
        None,
    ),
    (
        "threads",
        |s| {
            since(s, "threads 9");
            s.host.as_mut().unwrap().cpu.quota = Some(0.5);
        },
        Some(("note", "9 worker threads, 10 in all, on 1 CPUs", "restart it with -t 1")),
    ),
    (
        "workers",
        |s| {
            later(s, "curr_items 1001");
            let host = s.host.as_mut().unwrap();
            host.ran_before = vec![(7, 0), (8, 0)];
            host.ran = vec![(7, 9_800_000_000), (8, 100_000_000)];
        },
        Some((
            "warn",
            "one thread uses 98% of a CPU, the next 1%",
            "spread the load over more connections; top -H shows the threads",
        )),
    ),
    (
        "workers",
        |s| {
            later(s, "curr_items 1001");
            let host = s.host.as_mut().unwrap();
            host.ran_before = vec![(7, 0), (8, 0)];
            host.ran = vec![(7, 9_800_000_000), (8, 9_100_000_000)];
        },
        None,
    ),
    (
        "processor",
        |s| {
            since(s, "rusage_user 1.5\nrusage_system 0.5");
            later(s, "rusage_user 21.5\nrusage_system 18.5");
        },
        Some(("warn", "3.8 CPUs used by 4 threads", "restart it with -t 8, or share the keys among more servers")),
    ),
    (
        "processor",
        |s| {
            since(s, "rusage_user 1.5\nrusage_system 0.5");
            later(s, "rusage_user 11.5\nrusage_system 8.5");
        },
        None,
    ),
    (
        "hash",
        |s| {
            since(s, "hash_is_expanding 1");
        },
        Some((
            "note",
            "the hash table grows to 2^16 entries for 1000 items",
            "restart it some day with -o hashpower=16",
        )),
    ),
    (
        "hash",
        |s| {
            since(s, "curr_items 1000000");
        },
        Some((
            "warn",
            "1000000 items in a hash table of 2^16 entries, and it does not grow",
            "restart it without -o no_hashexpand, or with -o hashpower=20",
        )),
    ),
    (
        "hash",
        |s| {
            since(s, "curr_items 100000");
        },
        None,
    ),
    (
        "background",
        |s| {
            set(&mut s.settings, "lru_crawler no\nslab_automove 0");
        },
        Some(("note", "lru_crawler, slab_automove off", "restart it with -o lru_crawler,slab_automove=1")),
    ),
    (
        "background",
        |s| {
            set(&mut s.settings, "slab_reassign no");
            since(s, "evictions 1");
        },
        Some(("warn", "slab_reassign off", "restart it with -o slab_reassign")),
    ),
    ("background", |_s| {}, None),
    (
        "extstore",
        |s| {
            since(s, "badcrc_from_extstore 1");
        },
        Some((
            "fail",
            "damaged values on disk: 1 since the start",
            "dmesg | grep -i error on the machine; then another disk for ext_path",
        )),
    ),
    (
        "extstore",
        |s| {
            since(s, "extstore_compact_lost 100");
            later(s, "extstore_compact_lost 200");
        },
        Some((
            "warn",
            "values on disk that were lost before they were read: 10/s",
            "probe memcached cache stats extstore",
        )),
    ),
    (
        "extstore",
        |s| {
            since(s, "extstore_io_queue 5000");
        },
        Some((
            "warn",
            "5000 requests wait for the disk",
            "restart it with more ext_threads, or a larger -m, so that less lies on disk",
        )),
    ),
    (
        "extstore",
        |s| {
            since(s, "extstore_page_evictions 12\nextstore_pages_used 8\nextstore_page_count 8");
        },
        Some((
            "note",
            "evicted pages on disk: 12 since the start, 8 of 8 pages used",
            "restart it with a larger size in -o ext_path=FILE:SIZE",
        )),
    ),
    (
        "extstore",
        |s| {
            since(s, "extstore_io_queue 5\nextstore_compact_lost 100");
            later(s, "curr_items 1001");
        },
        None,
    ),
    (
        "proxy",
        |s| {
            since(s, "proxy_backend_total 3\nproxy_backend_marked_bad 1");
        },
        Some(("fail", "1 of 3 servers behind the proxy are marked bad", "probe memcached cache stats proxybe")),
    ),
    (
        "proxy",
        |s| {
            later(s, "proxy_backend_total 3\nproxy_backend_failed 4");
        },
        Some(("warn", "failures of servers behind the proxy: 0.4/s", "probe memcached cache stats proxybe")),
    ),
    (
        "proxy",
        |s| {
            since(s, "proxy_backend_total 3\nproxy_backend_marked_bad 0");
        },
        None,
    ),
    (
        "log",
        |s| {
            since(s, "log_worker_dropped 12\nlog_worker_written 88");
        },
        Some(("note", "12% of what 'watch' shows was lost", "restart it with -o worker_logbuf_size=128")),
    ),
    (
        "log",
        |s| {
            since(s, "log_worker_dropped 0\nlog_worker_written 88");
        },
        None,
    ),
    (
        "certificate",
        |s| {
            s.expiries = vec![1_799_798_412, 1_795_798_411];
        },
        Some((
            "fail",
            "a certificate of it expired on 2026-11-27 16:53:31 UTC",
            "replace the file, then probe memcached cache raw refresh_certs",
        )),
    ),
    (
        "certificate",
        |s| {
            s.expiries = vec![1_795_798_412 + 86400];
        },
        Some((
            "warn",
            "a certificate of it expires in 1d00h, on 2026-11-28 16:53:32 UTC",
            "replace the file, then probe memcached cache raw refresh_certs",
        )),
    ),
    (
        "certificate",
        |s| {
            s.expiries = vec![1_795_798_412 + 20 * 86400];
        },
        Some((
            "note",
            "a certificate of it expires in 20d00h, on 2026-12-17 16:53:32 UTC",
            "replace the file, then probe memcached cache raw refresh_certs",
        )),
    ),
    (
        "certificate",
        |s| {
            s.expiries = vec![1_795_798_412 + 90 * 86400];
        },
        None,
    ),
    (
        "flags",
        |s| {
            s.flags = Some(Flags::parse([&b"-m"[..], b"64", b"-I", b"10m"]));
            set(&mut s.settings, "maxbytes 67108864");
        },
        Some(("warn", "-I item_size_max: 1048576 and not 10485760", "probe memcached cache settings")),
    ),
    (
        "flags",
        |s| {
            s.flags = Some(Flags::parse([&b"-I"[..], b"1m"]));
        },
        None,
    ),
    (
        "flags",
        |s| {
            s.flags = Some(Flags::parse([&b"-l"[..], b"10.0.0.1", b"-l", b"10.0.0.2", b"-o", b"slab_automove"]));
        },
        None,
    ),
    (
        "exposure",
        |s| {
            set(&mut s.settings, "inter 0.0.0.0\nudpport 11211");
        },
        Some((
            "warn",
            "listens on 0.0.0.0 without a login, and for UDP on port 11211",
            "restart it with -U 0, and -l with an address that only its clients reach",
        )),
    ),
    (
        "exposure",
        |s| {
            set(&mut s.settings, "inter NULL");
        },
        Some((
            "note",
            "listens on every address without a login",
            "netstat -l shows it; a network policy, or -l with an address that only its clients reach",
        )),
    ),
    (
        "exposure",
        |s| {
            set(&mut s.settings, "inter 10.0.0.1\nauth_enabled_sasl yes");
        },
        None,
    ),
    (
        "clock",
        |s| {
            since(s, "time 1795798402");
        },
        Some(("note", "its clock is 10s behind ours", "date; compare the clocks of the machines")),
    ),
    (
        "clock",
        |s| {
            since(s, "time 1795799412");
        },
        Some(("warn", "its clock is 16m40s ahead of ours", "date; compare the clocks of the machines")),
    ),
    (
        "clock",
        |s| {
            since(s, "time 1795798410");
        },
        None,
    ),
    (
        "version",
        |s| {
            since(s, "version 1.6.18");
            set(&mut s.settings, "inter NULL");
        },
        Some((
            "warn",
            "1.6.18 is older than 1.6.45: 'slabs reassign', or 'watch mutations' beside a binary client, crash it; a stalled 'metadump hash' holds up gets; 2 more",
            "docker pull memcached:1.6.45 (or later)",
        )),
    ),
    (
        "version",
        |s| {
            since(s, "version 1.4.15");
            set(&mut s.settings, "inter NULL");
        },
        Some((
            "fail",
            "1.4.15 is older than 1.6.45: any client can run code in it (CVE-2016-8704 to 8706); any client can crash it (CVE-2017-9951); 5 more",
            "docker pull memcached:1.6.45 (or later)",
        )),
    ),
    (
        "version",
        |s| {
            since(s, "version 1.5.22");
        },
        Some((
            "note",
            "1.5.22 is older than 1.6.45: 'slabs reassign', or 'watch mutations' beside a binary client, crash it; a stalled 'metadump hash' holds up gets; 2 more",
            "docker pull memcached:1.6.45 (or later)",
        )),
    ),
    (
        "version",
        |s| {
            since(s, "version 1.6.45-rc1");
        },
        None,
    ),
    (
        "memory",
        |s| {
            s.host.as_mut().unwrap().memory.limit = Some(64 << 20);
            s.host.as_mut().unwrap().memory.used = Some(20 << 20);
        },
        Some((
            "warn",
            "resident 50.0 MiB, container 20.0 MiB of 64.0 MiB; -m 64.0 MiB for items, and 552 KiB for the rest now",
            "docker update --memory 71m --memory-swap 71m NAME, or restart it with -m 57",
        )),
    ),
];

fn said(check: &str, change: Change) -> Option<(Level, String, String)> {
    let mut snapshot = healthy();
    change(&mut snapshot);
    let check = CHECKS.iter().find(|known| known.name == check).unwrap();
    let Diagnosis { level, evidence, meaning, next } = (check.judge)(&snapshot)?;
    assert!(level == Level::Unknown || !meaning.is_empty() && !next.is_empty());
    Some((level, evidence, next))
}

#[test]
fn every_check() {
    for (index, (check, change, expected)) in CASES.iter().enumerate() {
        let said = said(check, *change);
        let said = said.as_ref().map(|(level, evidence, next)| (level.name(), evidence.as_str(), next.as_str()));
        assert_eq!(said, *expected, "case {index}, {check}");
    }
    for check in CHECKS {
        let mut cases = CASES.iter().filter(|(name, ..)| *name == check.name);
        assert!(cases.clone().any(|(.., expected)| expected.is_some()), "{} never speaks", check.name);
        assert!(cases.any(|(.., expected)| expected.is_none()), "{} is never silent", check.name);
    }
}

#[test]
fn a_healthy_server() {
    assert!(examine(&healthy()).is_empty());
}

#[test]
fn a_server_that_tells_nothing() {
    let findings = examine(&Snapshot { why_no_host: String::from("far away"), ..Snapshot::default() });
    let names: Vec<_> = findings.iter().map(|found| (found.check, found.diagnosis.level)).collect();
    let expected = ["statistics", "killed", "memory", "throttling", "files", "swap", "threads", "workers"];
    assert_eq!(names, expected.map(|name| (name, Level::Unknown)));
}

#[test]
fn worst_first() {
    let mut snapshot = healthy();
    since(&mut snapshot, "version 1.6.18\nevictions 100\nrejected_connections 3");
    snapshot.host.as_mut().unwrap().memory = Memory::default();
    later(&mut snapshot, "rejected_connections 5\nget_hits 9010\nget_misses 1290");
    let findings = examine(&snapshot);
    let names: Vec<_> = findings.iter().map(|found| (found.check, found.diagnosis.level)).collect();
    let expected =
        [("connections", Level::Fail), ("hits", Level::Warn), ("version", Level::Note), ("memory", Level::Unknown)];
    assert_eq!(names, expected);
}

#[test]
fn who_can_reach_it() {
    let exposed = |text: &str| {
        let mut snapshot = healthy();
        set(&mut snapshot.settings, text);
        snapshot.is_exposed()
    };
    assert!(exposed("inter NULL") && exposed("inter 127.0.0.1,10.0.0.1") && exposed("inter 0.0.0.0"));
    assert!(!exposed("inter [::1]") && !exposed("inter NULL\ndomain_socket /run/m.sock"));
    assert!(!exposed("inter NULL\nauth_enabled_sasl yes") && !exposed("inter NULL\nauth_enabled_ascii /f"));
}
