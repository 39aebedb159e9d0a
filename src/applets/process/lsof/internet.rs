//! What `-i` selects: `[4|6][tcp|udp][@ADDRESS][:PORTS]`.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::target::endpoints::Endpoint;
use crate::target::sockets::Protocol;

/// Each part that is given has to fit, addresses and ports at either end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Internet {
    sixth: Option<bool>,
    udp: Option<bool>,
    address: Option<IpAddr>,
    ports: Vec<RangeInclusive<u16>>,
}

impl Internet {
    /// Names of hosts and services are none: the target's are not ours.
    pub fn parse(text: &str) -> Option<Internet> {
        let mut found = Internet::default();
        let mut rest = text;
        if let Some(after) = rest.strip_prefix(['4', '6']) {
            found.sixth = Some(rest.starts_with('6'));
            rest = after;
        }
        for (name, udp) in [("tcp", false), ("udp", true)] {
            if rest.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
                found.udp = Some(udp);
                rest = &rest[3..];
                break;
            }
        }
        if let Some(after) = rest.strip_prefix('@') {
            let (host, after) = match after.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
                Some(parts) => parts,
                None => after.split_at(after.find(':').unwrap_or(after.len())),
            };
            found.address = Some(if host == "localhost" { IpAddr::from([127, 0, 0, 1]) } else { host.parse().ok()? });
            rest = after;
        }
        if let Some(ports) = rest.strip_prefix(':') {
            for item in ports.split(',') {
                let (low, high) = item.split_once('-').unwrap_or((item, item));
                found.ports.push(low.parse().ok()?..=high.parse().ok()?);
            }
            rest = "";
        }
        rest.is_empty().then_some(found)
    }

    pub fn takes(&self, endpoint: &Endpoint) -> bool {
        let Endpoint::Internet { protocol, local, remote, .. } = endpoint else { return false };
        let udp = matches!(protocol, Protocol::Udp | Protocol::Udp6);
        let tcp = matches!(protocol, Protocol::Tcp | Protocol::Tcp6);
        let has = |port| self.ports.iter().any(|range| range.contains(&port));
        self.sixth.is_none_or(|sixth| sixth == local.is_ipv6())
            && self.udp.is_none_or(|wanted| if wanted { udp } else { tcp })
            && self.address.is_none_or(|address| local.ip() == address || remote.ip() == address)
            && (self.ports.is_empty() || has(local.port()) || has(remote.port()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::sockets::State;

    #[test]
    fn forms() {
        let parse = |text| Internet::parse(text);
        assert_eq!(parse(""), Some(Internet::default()));
        assert_eq!(parse("6"), Some(Internet { sixth: Some(true), ..Internet::default() }));
        assert_eq!(parse("4UDP"), Some(Internet { sixth: Some(false), udp: Some(true), ..Internet::default() }));
        let full = Internet {
            sixth: None,
            udp: Some(false),
            address: Some("::1".parse().unwrap()),
            ports: vec![80..=80, 8000..=9000],
        };
        assert_eq!(parse("tcp@[::1]:80,8000-9000"), Some(full));
        assert_eq!(parse("@10.0.0.1").unwrap().address, Some("10.0.0.1".parse().unwrap()));
        for text in ["tcp:http", "@example.com", ":", ":1-", "x", ":99999", "tcp80", "@[::1", "é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn either_end_fits() {
        let connection = Endpoint::Internet {
            protocol: Protocol::Tcp,
            local: "10.0.0.2:5000".parse().unwrap(),
            remote: "10.0.0.3:80".parse().unwrap(),
            state: State::Established,
        };
        for (text, fits) in [
            ("", true),
            ("tcp", true),
            ("udp", false),
            ("6", false),
            (":80", true),
            (":5000", true),
            (":81", false),
            ("@10.0.0.3:80", true),
            ("@10.0.0.4", false),
        ] {
            assert_eq!(Internet::parse(text).unwrap().takes(&connection), fits, "{text}");
        }
    }
}
