//! `ip route` and `ip neigh`.

use std::fmt::Write as _;
use std::io::Write;
use std::net::IpAddr;

use crate::applet::{Context, Result};
use crate::output::Safe;
use crate::output::json::Object;
use crate::target::network::Network;
use crate::target::network::addresses::scope_name;
use crate::target::network::neighbours::{self, Neighbour, State};
use crate::target::network::routes::{self, Route};

use super::{Options, Question, stopped};

pub fn show(cx: &mut Context<'_>, options: &Options, network: &Network, question: &Question) -> Result<()> {
    let stopped = stopped(network);
    // IPv4 where no family is named, as iproute2 has it.
    for six in [false, true].into_iter().filter(|six| if *six { options.six } else { options.four || !options.six }) {
        for route in routes::main(network, six).map_err(&stopped)? {
            let route = route.map_err(&stopped)?;
            let on = |hop: &(Option<IpAddr>, Vec<u8>)| question.takes(&hop.1);
            let others = route.exact.as_ref().map_or(&[][..], |exact| exact.others.as_slice());
            if !question.takes(&route.device) && !others.iter().any(on) {
                continue;
            }
            let text = if options.json { machine(&route) } else { person(&route, question.device.is_none()) };
            writeln!(cx.io.out, "{text}")?;
        }
    }
    Ok(())
}

fn destination(route: &Route) -> String {
    match (route.prefix, route.destination) {
        (0, ip) if ip.is_unspecified() => String::from("default"),
        (32, IpAddr::V4(ip)) => ip.to_string(),
        (128, IpAddr::V6(ip)) => ip.to_string(),
        (prefix, ip) => format!("{ip}/{prefix}"),
    }
}

/// RTN_*; nothing for the usual kind.
fn kind(route: &Route) -> String {
    let kind = route.exact.as_ref().map_or(0, |exact| exact.kind);
    String::from(match kind {
        0 if route.flags & routes::REJECT != 0 => "unreachable",
        0 => "",
        2 => "local",
        3 => "broadcast",
        4 => "anycast",
        5 => "multicast",
        6 => "blackhole",
        7 => "unreachable",
        8 => "prohibit",
        9 => "throw",
        kind => return kind.to_string(),
    })
}

/// RTPROT_*; nothing for those that iproute2 does not name either, which were made by hand.
fn protocol(number: u8) -> String {
    String::from(match number {
        0 | 3 => "",
        1 => "redirect",
        2 => "kernel",
        4 => "static",
        9 => "ra",
        16 => "dhcp",
        number => return number.to_string(),
    })
}

fn preference(number: u8) -> &'static str {
    match number {
        1 => "high",
        3 => "low",
        _ => "medium",
    }
}

/// Where the interface was asked for, it is not said again.
fn person(route: &Route, device: bool) -> String {
    let mut line = kind(route);
    if !line.is_empty() {
        line.push(' ');
    }
    line += &destination(route);
    if let Some(gateway) = route.gateway {
        let other = if gateway.is_ipv6() == route.destination.is_ipv6() { "" } else { "inet6 " };
        let _ = write!(line, " via {other}{gateway}");
    }
    if device && !route.device.is_empty() {
        let _ = write!(line, " dev {}", Safe(&route.device));
    }
    if let Some(exact) = &route.exact {
        let protocol = protocol(exact.protocol);
        if !protocol.is_empty() {
            let _ = write!(line, " proto {protocol}");
        }
        if route.destination.is_ipv4() && exact.scope != 0 {
            let _ = write!(line, " scope {}", scope_name(exact.scope));
        }
        if let Some(source) = exact.source {
            let _ = write!(line, " src {source}");
        }
    }
    if route.metric != 0 {
        let _ = write!(line, " metric {}", route.metric);
    }
    if let Some(exact) = &route.exact {
        line += if exact.link_down { " linkdown" } else { "" };
        if let Some(number) = exact.preference {
            let _ = write!(line, " pref {}", preference(number));
        }
        for (gateway, device) in &exact.others {
            let via = gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
            let _ = write!(line, "\n\tnexthop{via} dev {}", Safe(device));
        }
    }
    line
}

fn machine(route: &Route) -> String {
    let text = |object: &mut Object, key: &str, value: Option<String>| {
        match value.filter(|value| !value.is_empty()) {
            Some(value) => object.text(key, &value),
            None => object.null(key),
        };
    };
    let exact = route.exact.as_ref();
    let mut object = Object::new();
    text(&mut object, "type", Some(kind(route)));
    object.text("dst", &destination(route));
    text(&mut object, "gateway", route.gateway.map(|ip| ip.to_string()));
    match route.device.as_slice() {
        b"" => object.null("dev"),
        device => object.bytes("dev", device),
    };
    text(&mut object, "protocol", exact.map(|exact| protocol(exact.protocol)));
    text(&mut object, "scope", exact.map(|exact| String::from(scope_name(exact.scope))));
    text(&mut object, "prefsrc", exact.and_then(|exact| exact.source).map(|ip| ip.to_string()));
    object.number("metric", Some(route.metric.into()));
    text(&mut object, "pref", exact.and_then(|exact| exact.preference).map(|number| String::from(preference(number))));
    let hop = |(gateway, device): &(Option<IpAddr>, Vec<u8>)| {
        let mut hop = Object::new();
        text(&mut hop, "gateway", gateway.map(|ip| ip.to_string()));
        hop.bytes("dev", device);
        hop
    };
    object.objects("nexthops", exact.iter().flat_map(|exact| &exact.others).map(hop));
    object.finish()
}

pub fn neighbours(cx: &mut Context<'_>, options: &Options, network: &Network, question: &Question) -> Result<()> {
    let stopped = stopped(network);
    let mut unseen = false;
    for six in [false, true].into_iter().filter(|six| options.family(*six)) {
        let Some(rows) = neighbours::of(network, six).map_err(&stopped)? else {
            unseen = true;
            continue;
        };
        for neighbour in rows {
            let neighbour = neighbour.map_err(&stopped)?;
            if question.takes(&neighbour.device) {
                let text = match options.json {
                    true => neighbour_machine(&neighbour),
                    false => neighbour_person(&neighbour, question.device.is_none()),
                };
                writeln!(cx.io.out, "{text}")?;
            }
        }
    }
    if unseen {
        cx.note("IPv6 neighbours can only be asked for in our own network: --network container:NAME");
    }
    Ok(())
}

/// NUD_*. /proc does not tell the states of an address that is known apart: all of them are COMPLETE there.
fn states(state: State) -> Vec<&'static str> {
    const STATES: [&str; 8] = ["INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "NOARP", "PERMANENT"];
    match state {
        State::Kernel { state, .. } => {
            STATES.iter().enumerate().filter(|(bit, _)| state >> bit & 1 != 0).map(|(_, name)| *name).collect()
        }
        State::Flags { flags, .. } if flags & neighbours::PERMANENT != 0 => vec!["PERMANENT"],
        State::Flags { flags, .. } if flags & neighbours::COMPLETE != 0 => vec!["COMPLETE"],
        State::Flags { .. } => vec!["INCOMPLETE"],
    }
}

fn neighbour_person(neighbour: &Neighbour, device: bool) -> String {
    let mut line = neighbour.ip.to_string();
    if device {
        let _ = write!(line, " dev {}", Safe(&neighbour.device));
    }
    if !neighbour.address.is_empty() {
        let _ = write!(line, " lladdr {}", Safe(&neighbour.address));
    }
    if let State::Kernel { router: true, .. } = neighbour.state {
        line += " router";
    }
    for state in states(neighbour.state) {
        let _ = write!(line, " {state}");
    }
    line
}

fn neighbour_machine(neighbour: &Neighbour) -> String {
    let mut object = Object::new();
    object.text("dst", &neighbour.ip.to_string()).bytes("dev", &neighbour.device);
    match neighbour.address.as_slice() {
        b"" => object.null("lladdr"),
        address => object.bytes("lladdr", address),
    };
    match neighbour.state {
        State::Kernel { router, .. } => object.bool("router", router),
        State::Flags { .. } => object.null("router"),
    };
    object.strings("state", states(neighbour.state).into_iter().map(str::as_bytes));
    object.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::network::routes::Exact;

    #[cfg(target_endian = "little")]
    fn connected() -> Route {
        Route::parse4(b"eth0\t000200C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0").unwrap()
    }

    fn exact() -> Exact {
        Exact {
            kind: 0,
            protocol: 2,
            scope: 253,
            source: "192.0.2.2".parse().ok(),
            preference: None,
            others: Vec::new(),
            link_down: false,
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn routes_for_people_and_machines() {
        let route = connected();
        assert_eq!(person(&route, true), "192.0.2.0/24 dev eth0 metric 100");
        assert_eq!(
            machine(&route),
            "{\"type\":null,\"dst\":\"192.0.2.0/24\",\"gateway\":null,\"dev\":\"eth0\",\"protocol\":null,\"scope\":null,\
             \"prefsrc\":null,\"metric\":100,\"pref\":null,\"nexthops\":[]}"
        );
        let route = Route { exact: Some(exact()), ..route };
        assert_eq!(person(&route, true), "192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.2 metric 100");
        assert!(machine(&route).contains("\"protocol\":\"kernel\",\"scope\":\"link\",\"prefsrc\":\"192.0.2.2\""));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn other_kinds_of_routes() {
        let others = vec![("10.0.0.1".parse().ok(), b"a".to_vec()), (None, b"b\n".to_vec())];
        let several = Exact { others, protocol: 3, scope: 0, source: None, ..exact() };
        let route = Route { device: Vec::new(), metric: 0, exact: Some(several), ..connected() };
        assert_eq!(person(&route, true), "192.0.2.0/24\n\tnexthop via 10.0.0.1 dev a\n\tnexthop dev b\\n");
        assert!(
            machine(&route).ends_with(
                "\"nexthops\":[{\"gateway\":\"10.0.0.1\",\"dev\":\"a\"},{\"gateway\":null,\"dev\":\"b\\n\"}]}"
            )
        );
        let blackhole = Exact { kind: 6, protocol: 4, scope: 0, source: None, ..exact() };
        let route = Route { device: Vec::new(), metric: 0, prefix: 32, exact: Some(blackhole), ..connected() };
        assert_eq!(person(&route, true), "blackhole 192.0.2.0 proto static");
        let line = b"00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 \
            00000400 00000002 00000000 00000003     eth0";
        let route = Route::parse6(line).unwrap();
        assert_eq!(person(&route, true), "default via fd00::1 dev eth0 metric 1024");
        let exact = Exact { protocol: 9, scope: 0, source: None, preference: Some(0), ..exact() };
        assert_eq!(
            person(&Route { exact: Some(exact), ..route }, false),
            "default via fd00::1 proto ra metric 1024 pref medium"
        );
    }

    #[test]
    fn neighbours_for_people_and_machines() {
        let line = b"192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0";
        let neighbour = Neighbour::parse(line).unwrap();
        assert_eq!(neighbour_person(&neighbour, true), "192.0.2.1 dev eth0 lladdr 02:fc:00:00:00:05 COMPLETE");
        let kernel = Neighbour { state: State::Kernel { state: 4, router: true }, ..neighbour };
        assert_eq!(neighbour_person(&kernel, true), "192.0.2.1 dev eth0 lladdr 02:fc:00:00:00:05 router STALE");
        assert_eq!(
            neighbour_machine(&kernel),
            "{\"dst\":\"192.0.2.1\",\"dev\":\"eth0\",\"lladdr\":\"02:fc:00:00:00:05\",\"router\":true,\"state\":[\"STALE\"]}"
        );
        let failed = Neighbour { state: State::Kernel { state: 32, router: false }, address: Vec::new(), ..kernel };
        assert_eq!(neighbour_person(&failed, false), "192.0.2.1 FAILED");
    }
}
