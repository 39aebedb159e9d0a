//! etcd: where it listens, with which certificates, and what is judged of it.

pub mod cluster;
pub mod dial;
pub mod metrics;
pub mod settings;

use super::service::{Service, address_told};
use crate::net::Address;
use settings::Settings;

pub const PORT: u16 = 2379;

pub const SERVICE: Service = Service { comm: b"etcd", port: PORT, told };

/// The first of the URLs that it listens on for clients.
fn told(args: &[Vec<u8>]) -> Option<Address> {
    address_of(Settings::of_process(args, &[]).urls("listen-client-urls").next()?)
}

/// Where a URL that a target listens on is called from here.
pub fn address_of(url: &[u8]) -> Option<Address> {
    let rest =
        [&b"http://"[..], b"https://", b"unix://", b"unixs://"].iter().find_map(|scheme| url.strip_prefix(*scheme));
    address_told(rest.unwrap_or(url), PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let told = |line: &str| {
            let args: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            told(&args).map(|address| String::from_utf8(address.to_bytes()).unwrap())
        };
        assert_eq!(told("etcd --name n1"), None);
        assert_eq!(told("etcd --listen-client-urls=https://10.0.0.1:1,http://x:2"), Some("10.0.0.1:1".into()));
        assert_eq!(told("etcd -listen-client-urls http://0.0.0.0:2381"), Some("127.0.0.1:2381".into()));
        assert_eq!(told("etcd --listen-client-urls unix:///run/e.sock"), Some("@/run/e.sock".into()));
    }
}
