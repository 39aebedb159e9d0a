//! An address of an interface, in words and for machines.

use std::fmt::Write as _;

use crate::output::Safe;
use crate::output::json;
use crate::target::network::addresses::{self, Address};

/// The flags of an address that iproute2 names. One that is not permanent is "dynamic".
const ADDRESS_FLAGS: [(u32, &str); 10] = [
    (0x01, "secondary"),
    (0x02, "nodad"),
    (0x04, "optimistic"),
    (0x08, "dadfailed"),
    (0x10, "home"),
    (0x20, "deprecated"),
    (0x40, "tentative"),
    (0x100, "mngtmpaddr"),
    (0x200, "noprefixroute"),
    (0x800, "stable-privacy"),
];

fn address_flags(address: &Address) -> Vec<&'static str> {
    let Some(flags) = address.flags else { return Vec::new() };
    let dynamic = (flags & addresses::PERMANENT == 0).then_some("dynamic");
    let name = |(flag, name): &(u32, &'static str)| match (*flag, address.ip.is_ipv6()) {
        (0x01, true) => "temporary",
        _ => name,
    };
    dynamic.into_iter().chain(ADDRESS_FLAGS.iter().filter(|(flag, _)| flags & flag != 0).map(name)).collect()
}

/// The address with its prefix, which is the other end's where there is one.
pub fn with_prefix(address: &Address) -> String {
    let prefix = address.prefix.map(|prefix| format!("/{prefix}")).unwrap_or_default();
    let peer = address.peer.map(|peer| format!(" peer {peer}")).unwrap_or_default();
    format!("{}{peer}{prefix}", address.ip)
}

pub fn inet(address: &Address) -> String {
    let family = if address.ip.is_ipv6() { "inet6" } else { "inet" };
    let mut line = format!("    {family} {}", with_prefix(address));
    if let Some(broadcast) = address.broadcast {
        let _ = write!(line, " brd {broadcast}");
    }
    if let Some(scope) = address.scope {
        let _ = write!(line, " scope {scope}");
    }
    for flag in address_flags(address) {
        let _ = write!(line, " {flag}");
    }
    if !address.label.is_empty() {
        let _ = write!(line, " {}", Safe(&address.label));
    }
    if let Some((valid, preferred)) = address.lifetimes {
        let time = |seconds: u32| match seconds {
            u32::MAX => String::from("forever"),
            seconds => format!("{seconds}sec"),
        };
        let _ = write!(line, "\n       valid_lft {} preferred_lft {}", time(valid), time(preferred));
    }
    line + "\n"
}

pub fn info(address: &Address) -> json::Object {
    let mut info = json::Object::new();
    info.text("family", if address.ip.is_ipv6() { "inet6" } else { "inet" });
    info.text("local", &address.ip.to_string()).number("prefixlen", address.prefix.map(u64::from));
    match address.broadcast {
        Some(broadcast) => info.text("broadcast", &broadcast.to_string()),
        None => info.null("broadcast"),
    };
    match address.scope {
        Some(scope) => info.text("scope", scope),
        None => info.null("scope"),
    };
    info.strings("flags", address_flags(address).into_iter().map(str::as_bytes));
    let (valid, preferred) = address.lifetimes.unzip();
    info.number("valid_life_time", valid.map(u64::from)).number("preferred_life_time", preferred.map(u64::from));
    info
}
