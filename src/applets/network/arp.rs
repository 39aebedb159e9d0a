//! arp: the IPv4 neighbours of the target, after net-tools.
//!
//! From the table in /proc, of whichever network it is. Numbers only, as with -n. It only looks: -s and -d are not there.
//! Exits with 1 where a host that was asked for is not in the table.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::IpAddr;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::Safe;
use crate::output::table::{self, Cell, Column};
use crate::target::network::Network;
use crate::target::network::neighbours::{self, COMPLETE, Neighbour, PERMANENT, PUBLISHED, State};

pub static APPLET: Applet =
    Applet { names: &["arp"], usage: <Options as clap::CommandFactory>::command, run, place: Place::Child, trouble: 1 };

/// Show the hardware addresses of the target's IPv4 neighbours
#[derive(clap::Parser)]
#[command(name = "arp")]
struct Options {
    /// One line in words for each
    #[arg(short, long)]
    all: bool,
    /// Numbers instead of names, which are always shown
    #[arg(short = 'n', long = "numeric")]
    _numeric: bool,
    /// Only those on this interface
    #[arg(short = 'i', long, value_name = "INTERFACE")]
    device: Option<OsString>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Only this address
    #[arg(value_name = "ADDRESS")]
    host: Option<OsString>,
}

const COLUMNS: [Column; 6] = [
    Column::left("Address", "address", 24),
    Column::left("HWtype", "hardware_type", 7),
    Column::left("HWaddress", "hardware_address", 19),
    Column::left("Flags", "flags", 5),
    Column::left("Mask", "mask", 15),
    Column::left("Iface", "interface", 0),
];

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options = cx.parse::<Options>()?;
    let wrong = |host: &OsString| Error::usage(format_args!("{}: not an address in digits", Safe::os(host)));
    let host: Option<IpAddr> = match &options.host {
        Some(host) => Some(host.to_str().and_then(|host| host.parse().ok()).ok_or_else(|| wrong(host))?),
        None => None,
    };
    if let Err(absent) = cx.files.target() {
        cx.note(absent);
    }
    let Some(network) = Network::seen(cx.files) else { return Ok(Exit(1)) };
    let stopped = |error: io::Error| Error::message(format_args!("the network of {network}: {}", reason(&error)));
    let mut shown = 0;
    for neighbour in neighbours::listed(network.pid).map_err(stopped)? {
        let neighbour = neighbour.map_err(stopped)?;
        let device = options.device.as_ref().is_none_or(|device| device.as_encoded_bytes() == neighbour.device);
        if !device || host.is_some_and(|host| host != neighbour.ip) {
            continue;
        }
        if shown == 0 && !options.all && !options.json {
            table::heading(&mut cx.io.out, &COLUMNS)?;
        }
        shown += 1;
        let entry = Entry::new(neighbour);
        match (options.json, options.all) {
            (true, _) => table::json_row(&mut cx.io.out, &COLUMNS, &entry.cells(true))?,
            (_, true) => writeln!(cx.io.out, "{}", entry.words())?,
            _ => table::row(&mut cx.io.out, &COLUMNS, &entry.cells(false))?,
        }
    }
    if let Some(host) = host.filter(|_| shown == 0) {
        return Err(Error::message(format_args!("{host}: no entry")));
    }
    Ok(Exit(0))
}

struct Entry {
    neighbour: Neighbour,
    kind: String,
    flags: String,
}

impl Entry {
    fn new(neighbour: Neighbour) -> Entry {
        let (flags, hardware) = match neighbour.state {
            State::Flags { flags, hardware } => (flags, hardware),
            State::Kernel { .. } => (0, 0),
        };
        let kind = match hardware {
            1 => String::from("ether"),
            32 => String::from("infiniband"),
            other => format!("[{other}]"),
        };
        let letters = [(COMPLETE, 'C'), (PERMANENT, 'M'), (PUBLISHED, 'P')];
        let flags = letters.into_iter().filter(|(flag, _)| flags & flag != 0).map(|(_, letter)| letter).collect();
        Entry { neighbour, kind, flags }
    }

    fn cells(&self, json: bool) -> [Cell; 6] {
        let text = |text: &str| Cell::Text(String::from(text));
        let known = !self.neighbour.address.is_empty();
        let hardware = match known {
            true => Cell::Bytes(self.neighbour.address.clone()),
            false => Cell::Null(String::from("(incomplete)")),
        };
        [
            text(&self.neighbour.ip.to_string()),
            text(if known || json { &self.kind } else { "" }),
            hardware,
            text(&self.flags),
            // No kernel has had masks for a long time.
            Cell::Null(String::new()),
            Cell::Bytes(self.neighbour.device.clone()),
        ]
    }

    /// `? (192.0.2.1) at 02:fc:00:00:00:05 [ether] on eth0`
    fn words(&self) -> String {
        let permanent = if self.flags.contains('M') { " PERM" } else { "" };
        let address = match self.neighbour.address.as_slice() {
            b"" => String::from("<incomplete>"),
            address => format!("{} [{}]", Safe(address), self.kind),
        };
        format!("? ({}) at {address}{permanent} on {}", self.neighbour.ip, Safe(&self.neighbour.device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[test]
    fn entries_for_people_and_machines() {
        let entry = |line: &[u8]| Entry::new(Neighbour::parse(line).unwrap());
        let render = |entry: &Entry, json: bool| {
            let mut out = Vec::new();
            match json {
                true => table::json_row(&mut out, &COLUMNS, &entry.cells(true)).unwrap(),
                false => table::row(&mut out, &COLUMNS, &entry.cells(false)).unwrap(),
            }
            String::from_utf8(out).unwrap()
        };
        let known = entry(b"192.0.2.1        0x1         0x6         02:fc:00:00:00:05     *        eth0");
        assert_eq!(
            render(&known, false),
            "192.0.2.1                ether   02:fc:00:00:00:05   CM                    eth0\n"
        );
        assert_eq!(
            render(&known, true),
            "{\"address\":\"192.0.2.1\",\"hardware_type\":\"ether\",\"hardware_address\":\"02:fc:00:00:00:05\",\
             \"flags\":\"CM\",\"mask\":null,\"interface\":\"eth0\"}\n"
        );
        assert_eq!(known.words(), "? (192.0.2.1) at 02:fc:00:00:00:05 [ether] PERM on eth0");
        let unknown = entry(b"192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth\x1b");
        assert_eq!(
            render(&unknown, false),
            "192.0.2.9                        (incomplete)                              eth\\x1b\n"
        );
        assert_eq!(unknown.words(), "? (192.0.2.9) at <incomplete> on eth\\x1b");
    }

    #[test]
    fn an_address_that_is_not_there() {
        let done = capture(&APPLET, &["203.0.113.77"], b"");
        assert_eq!((done.status, done.out.as_str()), (1, ""));
        assert!(done.err.ends_with("arp: 203.0.113.77: no entry\n"));
        let done = capture(&APPLET, &["example.org"], b"");
        assert_eq!((done.status, done.err.lines().count()), (2, 1));
    }
}
