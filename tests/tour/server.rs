//! A small server that speaks enough of memcached's text protocol to be debugged: what the tour runs where the machine
//! has no memcached, and the only file of a scratch image in `tests/containers`.
//!
//! `tiny-memcached [-l ADDRESS] [-p PORT]`. A thread per connection, values up to 1 MiB, nothing is ever evicted.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods)]

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const VERSION: &str = "1.6.0-tiny";
const MOST_LINE: u64 = 2048;
const MOST_VALUE: usize = 1 << 20;
const MOST_CONNECTIONS: usize = 64;
const MOST_BYTES: usize = 64 << 20;

struct Item {
    flags: u32,
    expires: Option<Instant>,
    value: Vec<u8>,
}

struct Cache {
    started: Instant,
    items: HashMap<Vec<u8>, Item>,
    bytes: usize,
    connections: usize,
    accepted: u64,
    gets: u64,
    hits: u64,
    sets: u64,
}

type Shared = Arc<Mutex<Cache>>;

fn main() -> ExitCode {
    let (mut address, mut port) = (String::from("0.0.0.0"), 11211);
    let mut args = std::env::args().skip(1);
    while let Some(option) = args.next() {
        match (option.as_str(), args.next()) {
            ("-l", Some(value)) => address = value,
            ("-p", Some(value)) if value.parse::<u16>().is_ok() => port = value.parse().unwrap_or_default(),
            _ => {
                eprintln!("usage: tiny-memcached [-l ADDRESS] [-p PORT]");
                return ExitCode::from(2);
            }
        }
    }
    match serve((&address, port)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tiny-memcached: {address}:{port}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: (&str, u16)) -> io::Result<()> {
    let cache = Arc::new(Mutex::new(Cache {
        started: Instant::now(),
        items: HashMap::new(),
        bytes: 0,
        connections: 0,
        accepted: 0,
        gets: 0,
        hits: 0,
        sets: 0,
    }));
    for stream in TcpListener::bind(address)?.incoming() {
        let mut stream = stream?;
        let cache = Arc::clone(&cache);
        {
            let mut cache = lock(&cache);
            if cache.connections == MOST_CONNECTIONS {
                let _ = stream.write_all(b"ERROR Too many open connections\r\n");
                continue;
            }
            cache.connections += 1;
            cache.accepted += 1;
        }
        std::thread::spawn(move || {
            // A client that goes away midway is its own business.
            let _ = converse(&stream, &cache);
            lock(&cache).connections -= 1;
        });
    }
    Ok(())
}

fn lock(cache: &Shared) -> std::sync::MutexGuard<'_, Cache> {
    cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn converse(stream: &TcpStream, cache: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.by_ref().take(MOST_LINE).read_until(b'\n', &mut line)?;
        let words: Vec<&[u8]> = line.trim_ascii().split(u8::is_ascii_whitespace).filter(|w| !w.is_empty()).collect();
        let reply = match words.as_slice() {
            _ if line.last() != Some(&b'\n') => return Ok(()),
            [b"quit"] => return Ok(()),
            [b"version"] => format!("VERSION {VERSION}\r\n").into_bytes(),
            [b"stats"] => lock(cache).stats(),
            [b"stats", b"settings"] => format!("STAT maxbytes {MOST_BYTES}\r\nEND\r\n").into_bytes(),
            [b"get" | b"gets", keys @ ..] if !keys.is_empty() => lock(cache).get(keys),
            [b"delete", key] => lock(cache).delete(key),
            [b"set", key, flags, time, length] => {
                let Some(length) = number(length).filter(|length| *length <= MOST_VALUE) else {
                    reader.get_mut().write_all(b"SERVER_ERROR object too large for cache\r\n")?;
                    return Ok(());
                };
                let mut value = vec![0; length + 2];
                reader.read_exact(&mut value)?;
                match (number(flags), number(time), value.ends_with(b"\r\n")) {
                    (Some(flags), Some(time), true) => {
                        value.truncate(length);
                        lock(cache).set(key, flags as u32, time as u64, value)
                    }
                    _ => b"CLIENT_ERROR bad data chunk\r\n".to_vec(),
                }
            }
            _ => b"ERROR\r\n".to_vec(),
        };
        reader.get_mut().write_all(&reply)?;
    }
}

fn number(word: &[u8]) -> Option<usize> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

impl Cache {
    fn get(&mut self, keys: &[&[u8]]) -> Vec<u8> {
        let mut reply = Vec::new();
        for key in keys {
            self.gets += 1;
            let Some(item) = self.items.get(*key).filter(|item| item.expires.is_none_or(|at| at > Instant::now()))
            else {
                continue;
            };
            self.hits += 1;
            reply.extend_from_slice(b"VALUE ");
            reply.extend_from_slice(key);
            reply.extend_from_slice(format!(" {} {}\r\n", item.flags, item.value.len()).as_bytes());
            reply.extend_from_slice(&item.value);
            reply.extend_from_slice(b"\r\n");
        }
        reply.extend_from_slice(b"END\r\n");
        reply
    }

    fn set(&mut self, key: &[u8], flags: u32, time: u64, value: Vec<u8>) -> Vec<u8> {
        self.delete(key);
        if self.bytes + value.len() > MOST_BYTES {
            return b"SERVER_ERROR out of memory storing object\r\n".to_vec();
        }
        self.sets += 1;
        self.bytes += value.len();
        let expires = (time > 0).then(|| Instant::now() + Duration::from_secs(time));
        self.items.insert(key.to_vec(), Item { flags, expires, value });
        b"STORED\r\n".to_vec()
    }

    fn delete(&mut self, key: &[u8]) -> Vec<u8> {
        match self.items.remove(key) {
            None => b"NOT_FOUND\r\n".to_vec(),
            Some(item) => {
                self.bytes -= item.value.len();
                b"DELETED\r\n".to_vec()
            }
        }
    }

    fn stats(&self) -> Vec<u8> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let numbers = [
            ("pid", u64::from(std::process::id())),
            ("uptime", self.started.elapsed().as_secs()),
            ("time", now),
            ("max_connections", MOST_CONNECTIONS as u64),
            ("curr_connections", self.connections as u64),
            ("total_connections", self.accepted),
            ("rejected_connections", 0),
            ("cmd_get", self.gets),
            ("cmd_set", self.sets),
            ("cmd_flush", 0),
            ("get_hits", self.hits),
            ("get_misses", self.gets - self.hits),
            ("limit_maxbytes", MOST_BYTES as u64),
            ("bytes", self.bytes as u64),
            ("curr_items", self.items.len() as u64),
            ("total_items", self.sets),
            ("evictions", 0),
        ];
        let mut reply = format!("STAT version {VERSION}\r\n");
        for (name, number) in numbers {
            reply.push_str(&format!("STAT {name} {number}\r\n"));
        }
        (reply + "END\r\n").into_bytes()
    }
}
