//! Where the target listens, with how many it talks, and what hangs half closed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Scene, Section};
use crate::inspect::Level;
use crate::inspect::sockets::HALF_CLOSED;
use crate::output::json::Object;
use crate::output::{Safe, order};
use crate::target::sockets::{Protocol, State, listeners_of, network_shared, table};

/// Listeners that people see.
const SHOWN: usize = 8;

/// Of the target's processes, as many are looked at before all others for the owners of listeners.
const FAMILY: usize = 64;

/// Peers that are told apart: those beyond it are counted together.
const PEERS: usize = 1000;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("network");
    let shared = network_shared(scene.target);
    match shared {
        Some(true) => section.fact("shared", "with us: its loopback is ours"),
        Some(false) => {
            section.finding(Level::Note, "shared", "no: its loopback is out of our reach", "--network container:NAME")
        }
        None => section.finding(Level::Unknown, "shared", "cannot be told", ""),
    }
    match shared {
        Some(shared) => section.object.bool("shared", shared),
        None => section.object.null("shared"),
    };
    listening(scene, &mut section);
    connected(scene, &mut section);
    section
}

fn listening(scene: &mut Scene<'_>, section: &mut Section) {
    let family: Vec<i32> = scene.family.iter().take(FAMILY).map(|stat| stat.pid).collect();
    let found = listeners_of(scene.target, &family).unwrap_or_else(|error| {
        section.unread("listener", &error);
        Vec::new()
    });
    let comm = |scene: &mut Scene<'_>, pid| scene.reader.stat(pid).map(|stat| stat.comm).unwrap_or_default();
    let mut rows = Vec::new();
    for (index, listener) in found.iter().enumerate() {
        let owner = listener.owner.map(|pid| (pid, comm(scene, pid)));
        let who = match &owner {
            Some((pid, comm)) => format!("{pid}/{}", Safe(comm)),
            None => String::from("owner unknown"),
        };
        if index < SHOWN {
            let text = format!("{} {who}", listener.address);
            match listener.address.ip().is_loopback()
                && scene.family.iter().any(|stat| Some(stat.pid) == listener.owner)
            {
                true => {
                    section.finding(Level::Note, "listener", text, "on its loopback only: nobody outside reaches it")
                }
                false => section.fact("listener", text),
            }
        }
        let mut row = Object::new();
        row.text("address", &listener.address.to_string());
        row.number("pid", owner.as_ref().and_then(|(pid, _)| u64::try_from(*pid).ok()));
        match &owner {
            Some((_, comm)) => row.bytes("comm", comm),
            None => row.null("comm"),
        };
        rows.push(row);
    }
    if found.len() > SHOWN {
        section.fact("listener", format_args!("and {} more (netstat -l)", found.len() - SHOWN));
    }
    section.object.objects("listeners", rows);
}

fn connected(scene: &Scene<'_>, section: &mut Section) {
    let mut states: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut peers: BTreeMap<IpAddr, u64> = BTreeMap::new();
    for protocol in [Protocol::Tcp, Protocol::Tcp6] {
        let Ok(rows) = table(scene.pid(), protocol) else { continue };
        for socket in rows.map_while(Result::ok).filter(|socket| socket.state != State::Listen) {
            *states.entry(socket.state.name()).or_default() += 1;
            let peer = socket.remote.ip().to_canonical();
            if socket.state == State::Established && (peers.len() < PEERS || peers.contains_key(&peer)) {
                *peers.entry(peer).or_default() += 1;
            }
        }
    }
    let count = |state: State| states.get(state.name()).copied().unwrap_or(0);
    let (established, half) = (count(State::Established), count(State::CloseWait));
    let mut most: Vec<(IpAddr, u64)> = peers.iter().map(|(peer, count)| (*peer, *count)).collect();
    order::sort_by_key(&mut most, |(_, count)| std::cmp::Reverse(*count));
    let shown: Vec<String> = most.iter().take(3).map(|(peer, count)| format!("{peer} ×{count}")).collect();
    let from = if shown.is_empty() { String::new() } else { format!(", most with {}", shown.join(", ")) };
    section.fact("established", format_args!("{established} with {} peers{from}", peers.len()));
    if half >= HALF_CLOSED {
        let advice = "the peers have closed and the process has not: it leaks connections";
        section.finding(Level::Warn, "half-closed", format_args!("{half} in CLOSE_WAIT"), advice);
    }
    section.object.number("established", Some(established)).number("close_wait", Some(half));
    section.object.number("time_wait", Some(count(State::TimeWait))).number("peers", u64::try_from(peers.len()).ok());
}
