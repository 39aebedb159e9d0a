//! Where an etcd is, as people write it: `host:port`, `http://`, `https://`, `unix://`, `unixs://`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::net::Address;
use crate::net::address::Invalid;

/// The port of clients.
pub const PORT: u16 = 2379;

/// One server, and whether TLS is spoken to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As it was written.
    pub text: Vec<u8>,
    pub address: Address,
    /// None where the text does not say.
    pub tls: Option<bool>,
}

impl Endpoint {
    pub fn parse(text: &[u8]) -> Result<Endpoint, Invalid> {
        let (rest, tls, unix) = [
            (&b"https://"[..], Some(true), false),
            (b"http://", Some(false), false),
            (b"unixs://", Some(true), true),
            (b"unix://", Some(false), true),
            (b"unixs:", Some(true), true),
            (b"unix:", Some(false), true),
        ]
        .into_iter()
        .find_map(|(scheme, tls, unix)| Some((text.strip_prefix(scheme)?, tls, unix)))
        .unwrap_or((text, None, false));
        let address = match unix {
            true if rest.is_empty() => return Err(Invalid::Empty),
            true => Address::Unix(OsStr::from_bytes(rest).into()),
            // A path after the port means nothing to gRPC.
            false if tls.is_some() => {
                Address::parse(OsStr::from_bytes(rest.split(|byte| *byte == b'/').next().unwrap_or_default()), PORT)?
            }
            false => Address::parse(OsStr::from_bytes(rest), PORT)?,
        };
        Ok(Endpoint { text: text.to_vec(), address, tls })
    }

    /// What HTTP calls the authority, and TLS the server's name.
    pub fn host(&self) -> &[u8] {
        match &self.address {
            // A last dot is the resolver's business.
            Address::Host(host, _) => host.strip_suffix(b".").unwrap_or(host),
            Address::Unix(_) => b"localhost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, port: u16) -> Address {
        Address::Host(name.as_bytes().to_vec(), port)
    }

    #[test]
    fn forms() {
        for (text, address, tls) in [
            ("127.0.0.1:2379", host("127.0.0.1", 2379), None),
            ("h", host("h", 2379), None),
            ("http://h:1", host("h", 1), Some(false)),
            ("https://[::1]:1/", host("::1", 1), Some(true)),
            ("unix:///run/etcd.sock", Address::Unix("/run/etcd.sock".into()), Some(false)),
            ("unixs://etcd.sock", Address::Unix("etcd.sock".into()), Some(true)),
        ] {
            let expected = Endpoint { text: text.into(), address, tls };
            assert_eq!(Endpoint::parse(text.as_bytes()), Ok(expected));
        }
        assert_eq!(Endpoint::parse(b"http://"), Err(Invalid::Empty));
        assert_eq!(Endpoint::parse(b"h:x"), Err(Invalid::Port));
    }
}
