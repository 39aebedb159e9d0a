//! The endpoints that a domain's SRV records name, as etcd's own clients look for them: `_etcd-client-ssl._tcp.DOMAIN`, then
//! `_etcd-client._tcp.DOMAIN`.

use std::io;

use crate::net::{Deadline, Resolver};

/// URLs of those with TLS, then of the others. `name`: of one service among several in the domain. An error where neither has
/// any.
pub fn endpoints(resolver: &Resolver, domain: &[u8], name: &[u8], deadline: Deadline) -> io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut failure = None;
    for (service, scheme) in [(&b"_etcd-client-ssl"[..], &b"https"[..]), (b"_etcd-client", b"http")] {
        let dash: &[u8] = if name.is_empty() { b"" } else { b"-" };
        match resolver.services(&[service, dash, name, b"._tcp.", domain].concat(), deadline) {
            // A last dot says that the name is whole, as in Go's answers.
            Ok(services) => {
                found.extend(services.iter().map(|service| {
                    [scheme, b"://", &service.host, b".:", service.port.to_string().as_bytes()].concat()
                }))
            }
            // That there is none tells less than that nobody could say.
            Err(error) if failure.is_some() && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::resolve::Configuration;
    use std::net::UdpSocket;
    use std::time::Duration;

    /// What is found at a name server that answers each question with these flags and records.
    #[expect(clippy::disallowed_methods)]
    fn found(name: &str, replies: Vec<([u8; 2], &'static [&[u8]])>) -> (Result<Vec<String>, String>, Vec<String>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut configuration = Configuration::parse(b"options attempts:1");
        configuration.servers = vec![socket.local_addr().unwrap()];
        let server = std::thread::spawn(move || {
            let asked = replies.iter().map(|(flags, records)| {
                let mut buffer = [0; 512];
                let (length, peer) = socket.recv_from(&mut buffer).unwrap();
                let head = [&buffer[..2], flags, &[0, 1, 0, records.len() as u8, 0, 0, 0, 0]].concat();
                let mut reply = [&head[..], &buffer[12..length]].concat();
                records.iter().for_each(|record| reply.extend_from_slice(&[FIXED, record].concat()));
                socket.send_to(&reply, peer).unwrap();
                String::from_utf8_lossy(&buffer[13..length - 5]).replace(|char: char| char.is_control(), ".")
            });
            asked.collect()
        });
        let resolver = Resolver { hosts: Vec::new(), configuration };
        let deadline = Deadline::after(Duration::from_secs(10));
        let found = endpoints(&resolver, b"example.org", name.as_bytes(), deadline);
        let texts = |urls: Vec<Vec<u8>>| urls.into_iter().map(|url| String::from_utf8(url).unwrap()).collect();
        (found.map(texts).map_err(|error| error.to_string()), server.join().unwrap())
    }

    /// The question's name, SRV, IN, a minute.
    const FIXED: &[u8] = b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x3c";
    const FOUND: [u8; 2] = [0x81, 0x80];
    const NO_NAME: [u8; 2] = [0x81, 0x83];

    #[test]
    fn the_records_of_a_domain() {
        let one: &[&[u8]] =
            &[b"\x00\x0c\x00\x01\x00\x00\x09\x4b\x02m2\x01x\x00", b"\x00\x0c\x00\x00\x00\x00\x09\x4b\x02m1\x01x\x00"];
        let urls = |urls: &[&str]| Ok(urls.iter().map(|url| String::from(*url)).collect());
        let (urls_found, asked) = found("", vec![(FOUND, one), (NO_NAME, &[])]);
        assert_eq!(urls_found, urls(&["https://m1.x.:2379", "https://m2.x.:2379"]));
        assert_eq!(asked, ["_etcd-client-ssl._tcp.example.org", "_etcd-client._tcp.example.org"]);
        let (urls_found, asked) = found("blue", vec![(NO_NAME, &[]), (FOUND, &one[..1])]);
        assert_eq!(urls_found, urls(&["http://m2.x.:2379"]));
        assert_eq!(asked[1], "_etcd-client-blue._tcp.example.org");
    }

    #[test]
    fn none() {
        assert_eq!(found("", vec![(NO_NAME, &[]), (FOUND, &[])]).0, Err("name not found".into()));
        let refused = "name server 127.0.0.1: query refused";
        assert_eq!(found("", vec![([0x81, 0x85], &[]), (NO_NAME, &[])]).0, Err(refused.into()));
    }
}
