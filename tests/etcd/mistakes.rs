//! Whoever cannot be reached: a line that names the layer, at once, however long a call might take.

use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use nix::sys::socket::{Backlog, listen};

use super::server::{Client, Server, newer};

/// What `get a` says of an endpoint, within far less than the time that it is given.
fn said(endpoint: &str) -> String {
    let outcome = Client::ours(endpoint).run("etcdctl --command-timeout=60s --dial-timeout=60s get a");
    assert_eq!((outcome.status, outcome.out.as_str(), outcome.late), (1, "", false), "{endpoint}: {}", outcome.err);
    let line = outcome.err.strip_prefix(&format!("Error: {endpoint}: ")).unwrap_or(&outcome.err);
    String::from(line.strip_suffix('\n').unwrap())
}

#[test]
fn whoever_cannot_be_reached() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    // Two dots are no name, so that no server is asked for it.
    assert_eq!(said("etcd..example:2379"), "name not found");
    assert_eq!(said(&closed), "connection refused");
    // Nobody has a connection to all of a network.
    assert_eq!(said("255.255.255.255:2379"), "network is unreachable");
    assert_eq!(said("unix:///nosuch/etcd.sock"), "no such file or directory");
    let all = format!("{closed},etcd..example");
    let line = format!("Error: {closed}: connection refused; etcd..example: name not found");
    assert_eq!(said(&all), line);
}

#[test]
fn whoever_does_not_answer_a_call() {
    // A queue that is full: whoever comes after that is not heard.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listen(&listener.as_fd(), Backlog::new(0).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let _first = TcpStream::connect(address).unwrap();
    let client = Client::ours(&address.to_string());
    let line = format!("Error: {address}: no connection: timed out\n");
    client.does("etcdctl --dial-timeout=300ms get a", 1, "", &line);
}

#[test]
fn tls_where_there_is_none() {
    let server = Server::start(&newer(), &[]);
    let endpoint = server.endpoint();
    assert_eq!(said(&format!("https://{endpoint}")), "TLS on a port without it: http://");
    let client = Client::ours(&endpoint);
    let line = format!("Error: {endpoint}: TLS on a port without it: http://\n");
    client.does("etcdctl --insecure-transport=false get a", 1, "", &line);
}
