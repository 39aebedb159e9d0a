//! Counters: those that matter, in words.

use std::io::Write;

use crate::applet::{Context, Result};
use crate::output::Safe;
use crate::output::table::{self, Cell, Column};
use crate::target::network::Network;
use crate::target::network::counters::{self, Counter};

use super::{Options, stopped};

/// What is worth a word: shown also where it is zero, if zero is news.
struct Known {
    group: &'static str,
    name: &'static str,
    always: bool,
    meaning: &'static str,
}

const fn known(group: &'static str, name: &'static str, always: bool, meaning: &'static str) -> Known {
    Known { group, name, always, meaning }
}

/// IPv6's namesakes mean the same.
static KNOWN: &[Known] = &[
    known("Ip", "InReceives", true, "packets received"),
    known("Ip", "InDelivers", true, "packets delivered"),
    known("Ip", "OutRequests", true, "packets sent"),
    known("Ip", "InHdrErrors", false, "packets with a wrong header"),
    known("Ip", "InAddrErrors", false, "packets for an address that is not ours"),
    known("Ip", "InDiscards", false, "received packets thrown away, for want of memory or by a filter"),
    known("Ip", "OutDiscards", false, "packets to be sent thrown away, for want of memory"),
    known("Ip", "OutNoRoutes", false, "packets without a route"),
    known("Ip", "ForwDatagrams", false, "packets forwarded"),
    known("Ip", "ReasmFails", false, "fragmented packets that could not be put together"),
    known("Ip", "FragFails", false, "packets too large to be sent that may not be fragmented"),
    known("Icmp", "InErrors", false, "ICMP messages that are wrong"),
    known("Icmp", "InDestUnreachs", false, "ICMP messages received: destination unreachable"),
    known("Icmp", "OutDestUnreachs", false, "ICMP messages sent: destination unreachable"),
    known("Icmp", "InTimeExcds", false, "ICMP messages received: time exceeded"),
    known("Tcp", "ActiveOpens", true, "connections opened by us"),
    known("Tcp", "PassiveOpens", true, "connections opened by others"),
    known("Tcp", "CurrEstab", true, "connections established now"),
    known("Tcp", "AttemptFails", true, "attempts to connect that came to nothing"),
    known("Tcp", "EstabResets", true, "connections reset"),
    known("Tcp", "InSegs", true, "segments received"),
    known("Tcp", "OutSegs", true, "segments sent"),
    known("Tcp", "RetransSegs", true, "segments retransmitted"),
    known("Tcp", "InErrs", true, "bad segments received"),
    known("Tcp", "OutRsts", true, "resets sent"),
    known("Udp", "InDatagrams", true, "datagrams received"),
    known("Udp", "OutDatagrams", true, "datagrams sent"),
    known("Udp", "NoPorts", true, "datagrams to a port where nobody listens"),
    known("Udp", "InErrors", true, "datagrams that could not be received"),
    known("Udp", "RcvbufErrors", true, "datagrams lost because a receive buffer was full"),
    known("Udp", "SndbufErrors", true, "datagrams lost because a send buffer was full"),
    known("Udp", "InCsumErrors", false, "datagrams with a wrong checksum"),
    known("Udp", "MemErrors", false, "datagrams lost for want of memory"),
    known("TcpExt", "ListenOverflows", true, "times the backlog of a listener was full"),
    known("TcpExt", "ListenDrops", true, "connections to a listener dropped"),
    known("TcpExt", "TCPReqQFullDrop", false, "connections dropped because too many were half open"),
    known("TcpExt", "TCPReqQFullDoCookies", false, "times that cookies were sent because too many were half open"),
    known("TcpExt", "SyncookiesSent", false, "SYN cookies sent"),
    known("TcpExt", "SyncookiesFailed", false, "SYN cookies that came back wrong"),
    known("TcpExt", "EmbryonicRsts", false, "half-open connections reset"),
    known("TcpExt", "TCPTimeouts", false, "times that an acknowledgement did not come in time"),
    known("TcpExt", "TCPSynRetrans", false, "openings of connections retransmitted"),
    known("TcpExt", "TCPFastRetrans", false, "fast retransmissions"),
    known("TcpExt", "TCPSlowStartRetrans", false, "retransmissions in slow start"),
    known("TcpExt", "TCPLostRetransmit", false, "retransmissions that were lost, too"),
    known("TcpExt", "TCPRetransFail", false, "retransmissions that could not be sent"),
    known("TcpExt", "TCPSpuriousRTOs", false, "timeouts that were none"),
    known("TcpExt", "TCPAbortOnData", false, "connections reset because data came after the close"),
    known("TcpExt", "TCPAbortOnClose", false, "connections closed with data that nobody had read"),
    known("TcpExt", "TCPAbortOnTimeout", false, "connections given up after too many retransmissions"),
    known("TcpExt", "TCPAbortOnMemory", false, "connections reset for want of memory"),
    known("TcpExt", "TCPAbortOnLinger", false, "connections reset after they had lingered"),
    known("TcpExt", "TCPBacklogDrop", false, "packets dropped because a socket was busy for too long"),
    known("TcpExt", "TCPRcvQDrop", false, "packets dropped because a receive queue was full"),
    known("TcpExt", "TCPOFODrop", false, "packets dropped that came out of order"),
    known("TcpExt", "TCPZeroWindowDrop", false, "packets dropped because the window was closed"),
    known("TcpExt", "TCPToZeroWindowAdv", false, "times that we closed our window: a reader is slow"),
    known("TcpExt", "PruneCalled", false, "times that a receive buffer was too small"),
    known("TcpExt", "RcvPruned", false, "packets dropped from a receive buffer that was too small"),
    known("TcpExt", "TCPMemoryPressures", false, "times that TCP as a whole came under memory pressure"),
    known("TcpExt", "TCPTimeWaitOverflow", false, "connections in TIME_WAIT that were too many"),
    known("TcpExt", "TCPKeepAlive", false, "keepalive probes sent"),
    known("TcpExt", "PAWSEstab", false, "packets refused because of their time stamp"),
    known("IpExt", "InOctets", true, "bytes received"),
    known("IpExt", "OutOctets", true, "bytes sent"),
    known("IpExt", "InNoRoutes", false, "received packets without a route back"),
    known("IpExt", "InTruncatedPkts", false, "packets that were cut short"),
    known("IpExt", "InCsumErrors", false, "packets with a wrong checksum"),
];

/// The group without the 6 of IPv6, and whether it is one of them.
fn family(group: &[u8]) -> (&[u8], bool) {
    group.strip_suffix(b"6").map_or((group, false), |group| (group, true))
}

fn meaning(counter: &Counter) -> Option<&'static Known> {
    let (group, _) = family(&counter.group);
    KNOWN.iter().find(|known| known.group.as_bytes() == group && known.name.as_bytes() == counter.name)
}

pub fn show(cx: &mut Context<'_>, options: &Options, network: &Network) -> Result<()> {
    let found = counters::of(network.pid).map_err(stopped(network))?;
    if !options.json {
        writeln!(cx.io.out, "Counters of {network}{}", network.sharing())?;
    }
    let mut group: &[u8] = b"";
    for counter in found.iter().filter(|counter| wanted(options, &counter.group)) {
        let known = meaning(counter);
        if options.json {
            let meaning = known.map_or(Cell::Unknown, |known| Cell::Text(String::from(known.meaning)));
            let name = Cell::Bytes(counter.name.clone());
            let network = Cell::Text(String::from(network.name()));
            let cells = [network, Cell::Bytes(counter.group.clone()), name, Cell::Signed(counter.value), meaning];
            let columns = ["network", "group", "counter", "value", "meaning"].map(|key| Column::left("", key, 0));
            table::json_row(&mut cx.io.out, &columns, &cells)?;
            continue;
        }
        let news = match known {
            Some(known) => known.always || counter.value != 0 || options.extend,
            None => options.extend,
        };
        if !news {
            continue;
        }
        if group != counter.group {
            group = &counter.group;
            writeln!(cx.io.out, "{}:", Safe(group))?;
        }
        let name = Safe(&counter.name);
        match known {
            Some(known) => writeln!(cx.io.out, "{:>12} {} ({name})", counter.value, known.meaning)?,
            None => writeln!(cx.io.out, "{:>12} {name}", counter.value)?,
        }
    }
    Ok(())
}

/// -t, -u and -w choose protocols, -4 and -6 families.
fn wanted(options: &Options, group: &[u8]) -> bool {
    let (name, six) = family(group);
    // What TCP counts is of both.
    let tcp = matches!(name, b"Tcp" | b"TcpExt" | b"MPTcpExt");
    let kind = match name {
        _ if !options.any_family() => true,
        _ if tcp => options.tcp,
        b"Udp" | b"UdpLite" => options.udp,
        _ => options.raw,
    };
    kind && (tcp || options.family(six))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[test]
    fn groups_by_option() {
        let wanted = |args: &[&str]| {
            let options = <Options as clap::Parser>::try_parse_from(["netstat", "-s"].iter().chain(args)).unwrap();
            let groups = ["Ip", "Tcp", "Udp", "TcpExt", "Ip6", "Udp6"];
            groups.into_iter().filter(|group| wanted(&options, group.as_bytes())).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(wanted(&[]), "Ip Tcp Udp TcpExt Ip6 Udp6");
        assert_eq!(wanted(&["-t"]), "Tcp TcpExt");
        assert_eq!(wanted(&["-u"]), "Udp Udp6");
        assert_eq!(wanted(&["-uw6"]), "Ip6 Udp6");
    }

    #[test]
    fn what_matters_in_words() {
        let text = capture(&super::super::APPLET, &["-s"], b"").out;
        for line in
            ["segments retransmitted (RetransSegs)", "times the backlog of a listener was full (ListenOverflows)"]
        {
            assert!(text.lines().any(|found| found.ends_with(line)), "{line} in\n{text}");
        }
        let json = capture(&super::super::APPLET, &["-st", "--json"], b"").out;
        let row = json.lines().find(|line| line.contains("\"counter\":\"RetransSegs\"")).unwrap();
        assert!(row.ends_with(",\"meaning\":\"segments retransmitted\"}"), "{row}");
        assert!(row.contains("\"group\":\"Tcp\",\"counter\":\"RetransSegs\",\"value\":"), "{row}");
    }

    #[test]
    fn no_counter_stands_twice() {
        let mut names: Vec<(&str, &str)> = KNOWN.iter().map(|known| (known.group, known.name)).collect();
        crate::output::order::sort(&mut names);
        names.dedup();
        assert_eq!(names.len(), KNOWN.len());
    }
}
