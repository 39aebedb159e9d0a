//! What a socket's number stands for: its protocol and both its ends, from the tables of its owner's network namespace,
//! which are read once for each namespace.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::process::Reader;
use super::sockets::{self, Protocol, State};

/// A socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Internet {
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
        state: State,
    },
    /// A local one, with its type and state in netstat's words.
    Unix {
        path: Vec<u8>,
        kind: &'static str,
        state: &'static str,
    },
}

/// The most sockets that are kept of one namespace.
const KEPT: usize = 1 << 20;

/// The sockets of all namespaces that were asked for.
#[derive(Default)]
pub struct Endpoints {
    by_namespace: HashMap<Option<u64>, HashMap<u64, Endpoint>>,
}

impl Endpoints {
    /// The socket with that number, which process `pid` has open.
    pub fn of(&mut self, reader: &Reader, pid: i32, inode: u64) -> Option<&Endpoint> {
        let namespace = reader.namespace(pid, "net").ok();
        self.by_namespace.entry(namespace).or_insert_with(|| read(pid)).get(&inode)
    }
}

fn read(pid: i32) -> HashMap<u64, Endpoint> {
    let mut found = HashMap::new();
    for protocol in Protocol::ALL {
        for socket in sockets::table(pid, protocol).into_iter().flatten().flatten() {
            if found.len() < KEPT && socket.inode != 0 {
                let (local, remote, state) = (socket.local, socket.remote, socket.state);
                found.insert(socket.inode, Endpoint::Internet { protocol, local, remote, state });
            }
        }
    }
    for socket in sockets::unix_table(pid).into_iter().flatten().flatten() {
        if found.len() < KEPT {
            let (kind, state) = (socket.kind_name(), socket.state_name());
            found.insert(socket.inode, Endpoint::Unix { path: socket.path, kind, state });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_connection_of_ours() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let reader = Reader::open().unwrap();
        let own = reader.own_pid().unwrap();
        let inode = nix::sys::stat::fstat(&client).unwrap().st_ino;
        let mut endpoints = Endpoints::default();
        let expected = Endpoint::Internet {
            protocol: Protocol::Tcp,
            local: client.local_addr().unwrap(),
            remote: listener.local_addr().unwrap(),
            state: State::Established,
        };
        assert_eq!(endpoints.of(&reader, own, inode), Some(&expected));
        assert_eq!(endpoints.of(&reader, own, 0), None);
    }
}
