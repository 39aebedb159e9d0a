//! Routes and interfaces.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};

use crate::applet::{Context, Result};
use crate::output::table::{self, Cell, Column};
use crate::target::network::routes::{self, Route};
use crate::target::network::{Network, links};

use super::{Options, stopped};

pub fn routes(cx: &mut Context<'_>, options: &Options, network: &Network) -> Result<()> {
    let stopped = stopped(network);
    for six in [false, true].into_iter().filter(|six| options.family(*six)) {
        let columns = columns(options, six);
        if !options.json {
            let family = if six { "IPv6 routes" } else { "Routes" };
            writeln!(cx.io.out, "{family} of {network}{}", network.sharing())?;
            table::heading(&mut cx.io.out, &columns)?;
        }
        for route in routes::listed(network.pid, six).map_err(&stopped)? {
            let route = route.map_err(&stopped)?;
            match options.json {
                true => table::json_row(&mut cx.io.out, &columns, &machine(&route, network))?,
                false => table::row(&mut cx.io.out, &columns, &person(&route, options.extend, six))?,
            }
        }
    }
    Ok(())
}

fn columns(options: &Options, six: bool) -> Vec<Column<'static>> {
    let left = Column::left;
    if options.json {
        let keys = [
            "network",
            "destination",
            "prefix",
            "gateway",
            "interface",
            "flags",
            "metric",
            "references",
            "uses",
            "mtu",
            "window",
            "irtt",
        ];
        return keys.map(|key| left("", key, 0)).to_vec();
    }
    let numbers: &[(&str, usize)] = match (six, options.extend) {
        (true, _) => &[("Met", 4), ("Ref", 3), ("Use", 5)],
        (false, true) => &[("Metric", 6), ("Ref", 6), ("Use", 5)],
        (false, false) => &[("MSS", 4), ("Window", 6), ("irtt", 5)],
    };
    let mut columns = match six {
        true => vec![left("Destination", "", 30), left("Next Hop", "", 26), left("Flag", "", 4)],
        false => {
            vec![left("Destination", "", 15), left("Gateway", "", 15), left("Genmask", "", 15), left("Flags", "", 5)]
        }
    };
    columns.extend(numbers.iter().map(|(title, width)| left(title, "", *width)));
    columns.push(left("Iface", "", 0));
    columns
}

fn person(route: &Route, extend: bool, six: bool) -> Vec<Cell> {
    let text = |text: String| Cell::Text(text);
    let nowhere = if six { "::" } else { "0.0.0.0" };
    let gateway = text(route.gateway.map_or_else(|| String::from(nowhere), |ip| ip.to_string()));
    let mask = u32::MAX.checked_shl(32 - u32::from(route.prefix.min(32))).unwrap_or(0);
    let mut cells = match six {
        true => vec![text(format!("{}/{}", route.destination, route.prefix)), gateway],
        false => vec![text(route.destination.to_string()), gateway, text(Ipv4Addr::from(mask).to_string())],
    };
    cells.push(text(letters(route.flags)));
    if !six && route.flags & routes::REJECT != 0 {
        // It leads nowhere.
        cells[1] = Cell::Unknown;
        cells.extend(vec![Cell::Unknown; 4]);
        return cells;
    }
    match six || extend {
        // The route that refuses what no other takes has the highest metric there is, which people know as -1.
        true => {
            cells.push(Cell::Signed(route.metric.cast_signed().into()));
            cells.extend([route.references, route.uses].map(Cell::Number));
        }
        false => cells.extend([route.mtu, route.window, route.round_trip].map(Cell::Number)),
    }
    cells.push(Cell::Bytes(route.device.clone()));
    cells
}

fn machine(route: &Route, network: &Network) -> Vec<Cell> {
    let text = |text: &dyn ToString| Cell::Text(text.to_string());
    let gateway = |ip: IpAddr| text(&ip);
    vec![
        text(&network.name()),
        text(&route.destination),
        Cell::Number(route.prefix.into()),
        route.gateway.map_or(Cell::Unknown, gateway),
        Cell::Bytes(route.device.clone()),
        Cell::Text(letters(route.flags)),
        Cell::Number(route.metric.into()),
        Cell::Number(route.references),
        Cell::Number(route.uses),
        Cell::Number(route.mtu),
        Cell::Number(route.window),
        Cell::Number(route.round_trip),
    ]
}

/// The letters of route(8).
fn letters(flags: u32) -> String {
    let known = [
        (routes::REJECT, '!'),
        (routes::GATEWAY, 'G'),
        (routes::HOST, 'H'),
        (routes::DYNAMIC, 'D'),
        (routes::MODIFIED, 'M'),
        (routes::AUTOMATIC, 'A'),
        (routes::CACHE, 'C'),
        (routes::NO_NEXT_HOP, 'n'),
    ];
    let up = (flags & (routes::UP | routes::REJECT) == routes::UP).then_some('U');
    up.into_iter().chain(known.into_iter().filter(|(flag, _)| flags & flag != 0).map(|(_, letter)| letter)).collect()
}

const INTERFACES: [Column; 11] = [
    Column::left("Iface", "interface", 15),
    Column::right("MTU", "mtu", 5),
    Column::right("RX-OK", "received_packets", 8),
    Column::right("RX-ERR", "received_errors", 6),
    Column::right("RX-DRP", "received_drops", 6),
    Column::right("RX-OVR", "received_overruns", 6),
    Column::right("TX-OK", "sent_packets", 8),
    Column::right("TX-ERR", "sent_errors", 6),
    Column::right("TX-DRP", "sent_drops", 6),
    Column::right("TX-OVR", "sent_overruns", 6),
    Column::left("Flg", "flags", 0),
];

pub fn interfaces(cx: &mut Context<'_>, options: &Options, network: &Network) -> Result<()> {
    let (links, unseen) = links::of(network, cx.files).map_err(stopped(network))?;
    let mut columns = INTERFACES.to_vec();
    if options.json {
        columns.insert(0, Column::left("", "network", 0));
    } else {
        writeln!(cx.io.out, "Interfaces of {network}{}", network.sharing())?;
        table::heading(&mut cx.io.out, &columns)?;
    }
    for link in links {
        // Those that are down only with -a.
        if link.flags.is_some_and(|flags| flags & links::UP == 0) && !options.all {
            continue;
        }
        let (received, sent) = (link.counters.received, link.counters.sent);
        let flags = link
            .flags
            .map(|flags| LETTERS.iter().filter(move |(flag, _)| flags & flag != 0).map(|(_, letter)| *letter));
        let mut cells = vec![Cell::Bytes(link.name), link.mtu.map_or(Cell::Unknown, Cell::Number)];
        for counters in [received, sent] {
            cells.extend([1, 2, 3, 4].map(|index: usize| Cell::Number(counters[index])));
        }
        cells.push(flags.map_or(Cell::Unknown, |letters| Cell::Text(letters.collect())));
        match options.json {
            true => {
                cells.insert(0, Cell::Text(String::from(network.name())));
                table::json_row(&mut cx.io.out, &columns, &cells)?;
            }
            false => table::row(&mut cx.io.out, &columns, &cells)?,
        }
    }
    if let Some(why) = unseen {
        cx.note(format_args!("MTU and flags stand in the target's /sys: {}", crate::applet::reason(&why)));
    }
    Ok(())
}

/// The letters of net-tools for an interface's flags (netdevice(7)).
const LETTERS: [(u32, char); 10] = [
    (0x200, 'A'),
    (0x2, 'B'),
    (0x4, 'D'),
    (links::LOOPBACK, 'L'),
    (0x1000, 'M'),
    (0x100, 'P'),
    (0x80, 'O'),
    (0x10, 'P'),
    (links::RUNNING, 'R'),
    (links::UP, 'U'),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Options {
        <Options as clap::Parser>::try_parse_from(["netstat"].iter().chain(args)).unwrap()
    }

    fn rendered(route: &Route, args: &[&str], six: bool) -> String {
        let options = options(args);
        let network = Network::seen(&crate::target::Files::new(None)).unwrap();
        let mut out = Vec::new();
        let columns = columns(&options, six);
        match options.json {
            true => table::json_row(&mut out, &columns, &machine(route, &network)).unwrap(),
            false => table::row(&mut out, &columns, &person(route, options.extend, six)).unwrap(),
        }
        String::from_utf8(out).unwrap()
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn routes_for_people_and_machines() {
        let route = Route::parse4(b"eth0\t00000000\t010200C0\t0003\t1\t2\t100\t00000000\t1400\t3\t4").unwrap();
        let line = "0.0.0.0         192.0.2.1       0.0.0.0         UG    1400 3      4     eth0\n";
        assert_eq!(rendered(&route, &["-r"], false), line);
        let line = "0.0.0.0         192.0.2.1       0.0.0.0         UG    100    1      2     eth0\n";
        assert_eq!(rendered(&route, &["-re"], false), line);
        let json = rendered(&route, &["-r", "--json"], false);
        let rest = "\"destination\":\"0.0.0.0\",\"prefix\":0,\"gateway\":\"192.0.2.1\",\"interface\":\"eth0\",\"flags\":\"UG\",\
                    \"metric\":100,\"references\":1,\"uses\":2,\"mtu\":1400,\"window\":3,\"irtt\":4}\n";
        assert!(json.starts_with("{\"network\":\"") && json.ends_with(rest), "{json}");
        let route = Route::parse6(
            b"fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 \
            00000100 00000002 00000000 00000001     eth0",
        )
        .unwrap();
        let line = "fe80::/64                      ::                         U    256  2   0     eth0\n";
        assert_eq!(rendered(&route, &["-r"], true), line);
    }

    #[test]
    fn letters_of_routes() {
        for (flags, text) in [(0x1, "U"), (0x3, "UG"), (0x7, "UGH"), (0x20_0200, "!n"), (0x8020_0001, "Un"), (0, "")] {
            assert_eq!(letters(flags), text);
        }
    }
}
