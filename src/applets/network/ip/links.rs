//! `ip link` and `ip addr`.

use std::fmt::Write as _;
use std::io::Write;

use crate::applet::{Context, Error, Result, reason};
use crate::output::Safe;
use crate::output::json;
use crate::target::network::Network;
use crate::target::network::addresses::{self, Address};
use crate::target::network::links::{self, Link, Peer};

use super::inet::{inet, info, with_prefix};
use super::{Object, Options, Question, stopped};

pub fn show(cx: &mut Context<'_>, options: &Options, network: &Network, question: &Question) -> Result<()> {
    let (found, unseen) = links::of(network, cx.files).map_err(stopped(network))?;
    let all = match question.object {
        Object::Address => Some(addresses::of(network).map_err(stopped(network))?),
        _ => None,
    };
    let family = |address: &&Address| options.family(address.ip.is_ipv6());
    let mut shown = 0;
    for link in &found {
        let wanted =
            question.takes(&link.name) && (!question.up || link.flags.is_none_or(|flags| flags & links::UP != 0));
        if !wanted {
            continue;
        }
        shown += 1;
        let on = |address: &&Address| address.device.as_deref() == Some(&link.name);
        let own = all.as_ref().map(|all| all.iter().filter(family).filter(on).collect::<Vec<_>>());
        // With a family asked for, interfaces without an address of it say nothing.
        if options.four != options.six && own.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        let peer = peer(link, &found);
        let text = match (options.json, options.brief) {
            (true, _) => machine(link, &peer, own.as_deref(), options.stats) + "\n",
            (_, true) => brief(link, &peer, own.as_deref()),
            _ => {
                // With a family asked for, it is about its addresses alone.
                let link = if options.four != options.six && own.is_some() {
                    &Link { hardware: None, ..link.clone() }
                } else {
                    link
                };
                full(link, &peer, &found, own.as_deref(), options.stats)
            }
        };
        cx.io.out.write_all(text.as_bytes())?;
    }
    if let Some(device) = question.device.as_ref().filter(|_| shown == 0) {
        return Err(Error::message(format_args!("{}: no such interface", Safe(device))));
    }
    let lost = |address: &&Address| address.device.is_none() && question.device.is_none();
    for address in all.iter().flatten().filter(family).filter(lost) {
        cx.note(format_args!("{}: which interface has this address cannot be seen from here", address.ip));
    }
    if let Some(why) = unseen {
        let what = "flags, MTU and hardware addresses stand in the target's /sys";
        cx.note(format_args!("{what}: {}", reason(&why)));
    }
    Ok(())
}

/// The other end as iproute2 names it.
fn peer(link: &Link, all: &[Link]) -> String {
    match link.peer {
        None => String::new(),
        // A tunnel that is bound to none.
        Some(Peer::Here(0)) => String::from("@NONE"),
        Some(Peer::Here(peer)) => match all.iter().find(|other| other.index == Some(peer)) {
            Some(other) => format!("@{}", Safe(&other.name)),
            None => format!("@if{peer}"),
        },
        Some(Peer::Elsewhere(peer, _)) => format!("@if{peer}"),
    }
}

/// The names of the flags (netdevice(7)), in iproute2's order.
const FLAGS: [(u32, &str); 18] = [
    (links::LOOPBACK, "LOOPBACK"),
    (0x2, "BROADCAST"),
    (0x10, "POINTOPOINT"),
    (0x1000, "MULTICAST"),
    (0x80, "NOARP"),
    (0x200, "ALLMULTI"),
    (0x100, "PROMISC"),
    (0x400, "MASTER"),
    (0x800, "SLAVE"),
    (0x4, "DEBUG"),
    (0x8000, "DYNAMIC"),
    (0x4000, "AUTOMEDIA"),
    (0x2000, "PORTSEL"),
    (0x20, "NOTRAILERS"),
    (links::UP, "UP"),
    (links::LOWER_UP, "LOWER_UP"),
    (0x2_0000, "DORMANT"),
    (0x4_0000, "ECHO"),
];

fn flags(flags: u32) -> Vec<&'static str> {
    let without_carrier = flags & links::UP != 0 && flags & links::RUNNING == 0;
    let set = FLAGS.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| *name);
    without_carrier.then_some("NO-CARRIER").into_iter().chain(set).collect()
}

/// ARPHRD_* (include/uapi/linux/if_arp.h), as far as containers have them.
fn hardware(kind: u16) -> String {
    String::from(match kind {
        1 => "ether",
        32 => "infiniband",
        512 => "ppp",
        768 => "ipip",
        769 => "tunnel6",
        772 => "loopback",
        776 => "sit",
        778 => "gre",
        823 => "gre6",
        65534 => "none",
        kind => return format!("[{kind}]"),
    })
}

fn text(bytes: &[u8]) -> String {
    Safe(bytes).to_string()
}

fn full(link: &Link, peer: &str, all: &[Link], own: Option<&[&Address]>, stats: bool) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| String::from("?"), |number| number.to_string());
    let set = link.flags.map_or_else(|| String::from("?"), |set| flags(set).join(","));
    let mut line = format!("{}: {}{peer}: <{set}>", number(link.index), Safe(&link.name));
    let mut word = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = write!(line, " {name} {value}");
        }
    };
    word("mtu", link.mtu.map(|mtu| mtu.to_string()));
    word("qdisc", (!link.discipline.is_empty()).then(|| text(&link.discipline)));
    let master = link.master.and_then(|master| all.iter().find(|other| other.index == Some(master)));
    word("master", master.map(|master| text(&master.name)));
    word("state", link.state.map(String::from));
    if own.is_none() {
        word("mode", link.mode.map(|mode| String::from(if mode == 1 { "DORMANT" } else { "DEFAULT" })));
    }
    word("group", link.group.map(|group| if group == 0 { String::from("default") } else { group.to_string() }));
    word("qlen", link.queue.filter(|queue| *queue > 0).map(|queue| queue.to_string()));
    if let Some(kind) = link.hardware {
        let _ = write!(line, "\n    link/{} {}", hardware(kind), Safe(&link.address));
        if !link.broadcast.is_empty() {
            let _ = write!(line, " brd {}", Safe(&link.broadcast));
        }
        if let Some(Peer::Elsewhere(_, Some(namespace))) = link.peer {
            let _ = write!(line, " link-netnsid {namespace}");
        }
    }
    line.push('\n');
    for address in own.unwrap_or_default() {
        line += &inet(address);
    }
    if stats {
        let counters = &link.counters;
        let _ = write!(line, "    RX: {}", columns(RECEIVED, counters.received));
        let _ = write!(line, "    TX: {}", columns(SENT, counters.sent));
    }
    line
}

const RECEIVED: [(usize, &str); 6] =
    [(0, "bytes"), (1, "packets"), (2, "errors"), (3, "dropped"), (4, "missed"), (7, "mcast")];
const SENT: [(usize, &str); 6] =
    [(0, "bytes"), (1, "packets"), (2, "errors"), (3, "dropped"), (6, "carrier"), (5, "collsns")];

/// Two lines: titles and numbers.
fn columns(titles: [(usize, &str); 6], counters: [u64; 8]) -> String {
    let (mut first, mut second) = (String::new(), String::from("        "));
    for (index, title) in titles {
        let _ = write!(first, " {title:>12}");
        let _ = write!(second, "{:>12} ", counters[index]);
    }
    format!("{first}\n{}\n", second.trim_end())
}

fn brief(link: &Link, peer: &str, own: Option<&[&Address]>) -> String {
    let mut line = format!("{:<16} {:<14}", format!("{}{peer}", Safe(&link.name)), link.state.unwrap_or("?"));
    match own {
        None => {
            let set = link.flags.map_or_else(|| String::from("?"), |set| flags(set).join(","));
            let _ = write!(line, " {} <{set}>", Safe(&link.address));
        }
        Some(own) => {
            for address in own {
                let _ = write!(line, " {}", with_prefix(address));
            }
        }
    }
    String::from(line.trim_end()) + "\n"
}

fn machine(link: &Link, peer: &str, own: Option<&[&Address]>, stats: bool) -> String {
    let mut object = json::Object::new();
    let known = |object: &mut json::Object, key: &str, value: &[u8]| {
        match value {
            b"" => object.null(key),
            value => object.bytes(key, value),
        };
    };
    object.number("ifindex", link.index.map(u64::from)).bytes("ifname", &link.name);
    known(&mut object, "link", peer.strip_prefix('@').unwrap_or_default().as_bytes());
    match link.flags {
        Some(set) => object.strings("flags", flags(set).into_iter().map(str::as_bytes)),
        None => object.null("flags"),
    };
    object.number("mtu", link.mtu);
    known(&mut object, "qdisc", &link.discipline);
    known(&mut object, "operstate", link.state.unwrap_or_default().as_bytes());
    object.number("txqlen", link.queue);
    known(&mut object, "link_type", link.hardware.map(hardware).unwrap_or_default().as_bytes());
    known(&mut object, "address", &link.address);
    known(&mut object, "broadcast", &link.broadcast);
    if stats {
        let side = |titles: [(usize, &str); 6], counters: [u64; 8]| {
            let mut side = json::Object::new();
            for (index, title) in titles {
                side.number(title, Some(counters[index]));
            }
            side
        };
        object.object("rx", side(RECEIVED, link.counters.received)).object("tx", side(SENT, link.counters.sent));
    }
    if let Some(own) = own {
        object.objects("addr_info", own.iter().map(|address| info(address)));
    }
    object.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            index: Some(2),
            name: b"eth0".to_vec(),
            flags: Some(0x1_1043),
            mtu: Some(1400),
            state: Some("UP"),
            hardware: Some(1),
            address: b"02:fc:00:00:00:01".to_vec(),
            broadcast: b"ff:ff:ff:ff:ff:ff".to_vec(),
            queue: Some(1000),
            discipline: b"noqueue".to_vec(),
            peer: Some(Peer::Elsewhere(5, Some(0))),
            group: Some(0),
            mode: Some(0),
            ..Link::default()
        }
    }

    fn address() -> Address {
        Address {
            ip: "192.0.2.2".parse().unwrap(),
            prefix: Some(24),
            device: Some(b"eth0".to_vec()),
            broadcast: "192.0.2.255".parse().ok(),
            peer: None,
            scope: Some("global"),
            flags: Some(0),
            label: b"eth0".to_vec(),
            lifetimes: Some((3600, u32::MAX)),
        }
    }

    #[test]
    fn an_interface_for_people_and_machines() {
        let (link, address) = (link(), address());
        let peer = peer(&link, &[]);
        assert_eq!(
            full(&link, &peer, &[], Some(&[&address]), false),
            "2: eth0@if5: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400 qdisc noqueue state UP group default qlen 1000\n    \
             link/ether 02:fc:00:00:00:01 brd ff:ff:ff:ff:ff:ff link-netnsid 0\n    inet 192.0.2.2/24 brd 192.0.2.255 \
             scope global dynamic eth0\n       valid_lft 3600sec preferred_lft forever\n"
        );
        assert_eq!(brief(&link, &peer, Some(&[&address])), "eth0@if5         UP             192.0.2.2/24\n");
        assert_eq!(
            brief(&link, &peer, None),
            "eth0@if5         UP             02:fc:00:00:00:01 <BROADCAST,MULTICAST,UP,LOWER_UP>\n"
        );
        assert_eq!(
            machine(&link, &peer, Some(&[&address]), false),
            "{\"ifindex\":2,\"ifname\":\"eth0\",\"link\":\"if5\",\"flags\":[\"BROADCAST\",\"MULTICAST\",\"UP\",\"LOWER_UP\"],\
             \"mtu\":1400,\"qdisc\":\"noqueue\",\"operstate\":\"UP\",\"txqlen\":1000,\"link_type\":\"ether\",\
             \"address\":\"02:fc:00:00:00:01\",\"broadcast\":\"ff:ff:ff:ff:ff:ff\",\"addr_info\":[{\"family\":\"inet\",\
             \"local\":\"192.0.2.2\",\"prefixlen\":24,\"broadcast\":\"192.0.2.255\",\"scope\":\"global\",\
             \"flags\":[\"dynamic\"],\"valid_life_time\":3600,\"preferred_life_time\":4294967295}]}"
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let link = Link { name: b"eth\x1b".to_vec(), ..Link::default() };
        let address = Address {
            prefix: None,
            broadcast: None,
            scope: None,
            flags: None,
            label: Vec::new(),
            lifetimes: None,
            ..address()
        };
        assert_eq!(full(&link, "", &[], Some(&[&address]), false), "?: eth\\x1b: <?>\n    inet 192.0.2.2\n");
        assert_eq!(brief(&link, "", None), "eth\\x1b          ?               <?>\n");
        assert!(machine(&link, "", None, false).ends_with("\"link_type\":null,\"address\":null,\"broadcast\":null}"));
    }

    #[test]
    fn counters_below_their_titles() {
        let text = full(&Link { name: b"lo".to_vec(), ..Link::default() }, "", &[], None, true);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[1], "    RX:         bytes      packets       errors      dropped       missed        mcast");
        assert_eq!(lines[2], "                   0            0            0            0            0            0");
    }
}
