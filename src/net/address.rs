//! Where something listens, as people write it: `host`, `host:port`, `[v6]:port`, `:port`, `/path.sock`, `unix:/path`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::{Path, PathBuf};

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A parsed address; the name in it has not been looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A name or a numeric address, without brackets.
    Host(Vec<u8>, u16),
    Unix(PathBuf),
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    Empty,
    Port,
    Brackets,
    Host,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Invalid::Empty => "an address is empty",
            Invalid::Port => "a port is a number from 1 to 65535",
            Invalid::Brackets => "brackets are for an IPv6 address: [::1]:PORT",
            Invalid::Host => "a host name has no spaces or control characters",
        })
    }
}

impl Address {
    /// Parses what a person wrote; `port` is for what names none.
    pub fn parse(text: &OsStr, port: u16) -> Result<Address, Invalid> {
        let bytes = text.as_bytes();
        if let Some(path) = bytes.strip_prefix(b"unix:") {
            return Address::unix(path);
        }
        if bytes.contains(&b'/') {
            return Address::unix(bytes);
        }
        if let Some(rest) = bytes.strip_prefix(b"[") {
            let end = memchr::memchr(b']', rest).ok_or(Invalid::Brackets)?;
            let (host, rest) = (&rest[..end], &rest[end + 1..]);
            if !matches!(numeric(host, 0), Some(SocketAddr::V6(_))) {
                return Err(Invalid::Brackets);
            }
            return match rest {
                [] => Ok(Address::Host(host.to_vec(), port)),
                [b':', digits @ ..] => Ok(Address::Host(host.to_vec(), parse_port(digits)?)),
                _ => Err(Invalid::Brackets),
            };
        }
        match memchr::memchr(b':', bytes) {
            None => Address::host(bytes, port),
            // More than one colon, no brackets: an IPv6 address alone.
            Some(_) if matches!(numeric(bytes, 0), Some(SocketAddr::V6(_))) => Address::host(bytes, port),
            Some(0) => Address::host(b"localhost", parse_port(&bytes[1..])?),
            Some(colon) => Address::host(&bytes[..colon], parse_port(&bytes[colon + 1..])?),
        }
    }

    fn host(host: &[u8], port: u16) -> Result<Address, Invalid> {
        match host {
            [] => Err(Invalid::Empty),
            _ if host.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) => Err(Invalid::Host),
            _ => Ok(Address::Host(host.to_vec(), port)),
        }
    }

    fn unix(path: &[u8]) -> Result<Address, Invalid> {
        if path.is_empty() { Err(Invalid::Empty) } else { Ok(Address::Unix(PathBuf::from(OsStr::from_bytes(path)))) }
    }

    /// The form that [`Address::parse`] reads back, but for a host that is called `unix`. Untrusted bytes, as they were
    /// given.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Address::Unix(path) => match path.as_os_str().as_bytes() {
                plain if plain.contains(&b'/') && !plain.starts_with(b"unix:") => plain.to_vec(),
                other => [b"unix:", other].concat(),
            },
            Address::Host(host, port) if host.contains(&b':') => {
                [b"[", host.as_slice(), format!("]:{port}").as_bytes()].concat()
            }
            Address::Host(host, port) => [host.as_slice(), format!(":{port}").as_bytes()].concat(),
        }
    }

    pub fn path(&self) -> Option<&Path> {
        match self {
            Address::Unix(path) => Some(path),
            Address::Host(..) => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Host(address.ip().to_string().into_bytes(), address.port())
    }
}

/// A port number in decimal.
pub fn parse_port(digits: &[u8]) -> Result<u16, Invalid> {
    let text = std::str::from_utf8(digits).map_err(|_| Invalid::Port)?;
    match text.parse() {
        Ok(port) if port > 0 && !text.starts_with('+') => Ok(port),
        _ => Err(Invalid::Port),
    }
}

/// An address in digits, with a zone where it has one (`fe80::1%eth0`, RFC 4007).
pub fn numeric(host: &[u8], port: u16) -> Option<SocketAddr> {
    let text = std::str::from_utf8(host).ok()?;
    let Some((address, zone)) = text.split_once('%') else {
        return Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, port));
    };
    let address: Ipv6Addr = address.parse().ok()?;
    let zone = zone.parse().ok().or_else(|| nix::net::if_::if_nametoindex(zone).ok())?;
    Some(SocketAddr::V6(SocketAddrV6::new(address, port, 0, zone)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, Invalid> {
        Address::parse(OsStr::new(text), 11211)
    }

    fn host(name: &str, port: u16) -> Result<Address, Invalid> {
        Ok(Address::Host(name.as_bytes().to_vec(), port))
    }

    #[test]
    fn hosts_and_ports() {
        assert_eq!(parse("cache"), host("cache", 11211));
        assert_eq!(parse("cache:1"), host("cache", 1));
        assert_eq!(parse("10.0.0.1:65535"), host("10.0.0.1", 65535));
        assert_eq!(parse(":22"), host("localhost", 22));
        assert_eq!(parse("::1"), host("::1", 11211));
        assert_eq!(parse("[::1]"), host("::1", 11211));
        assert_eq!(parse("[fe80::1%1]:80"), host("fe80::1%1", 80));
    }

    #[test]
    fn paths() {
        for (text, path) in [("/run/x.sock", "/run/x.sock"), ("unix:x", "x"), ("@/run/x", "@/run/x"), ("./x", "./x")] {
            assert_eq!(parse(text), Ok(Address::Unix(PathBuf::from(path))));
        }
    }

    #[test]
    fn what_is_no_address() {
        for (text, why) in [
            ("", Invalid::Empty),
            ("unix:", Invalid::Empty),
            ("cache:", Invalid::Port),
            ("cache:0", Invalid::Port),
            ("cache:+1", Invalid::Port),
            ("cache:65536", Invalid::Port),
            ("cache:http", Invalid::Port),
            ("1:2:3", Invalid::Port),
            ("[::1", Invalid::Brackets),
            ("[::1]1", Invalid::Brackets),
            ("[cache]:1", Invalid::Brackets),
            ("a b:1", Invalid::Host),
            ("a\r\nb", Invalid::Host),
        ] {
            assert_eq!(parse(text), Err(why), "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["cache:11211", "[::1]:1", "/x", "@/x", "unix:x", "unix:unix:/x"] {
            assert_eq!(parse(text).unwrap().to_bytes(), text.as_bytes());
        }
    }
}
