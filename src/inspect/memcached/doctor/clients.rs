//! What clients do: connections, batches, conflicts, logins.

use std::collections::BTreeMap;

use super::{Diagnosis, Snapshot, ago, percent, share};
use crate::inspect::Level;
use crate::output::Safe;

/// Idle for so long, a connection is one that a client forgot.
const FORGOTTEN: u64 = 600;

/// As many of one host's are a leak.
const LEAK: u64 = 100;

/// Fewer operations than this say nothing.
const ENOUGH: u64 = 100;

/// The host with the most connections that count, how many these are, and how long the least idle of them is.
fn most_of_one(snapshot: &Snapshot, least: u64) -> Option<(&[u8], u64, u64)> {
    let mut hosts: BTreeMap<&[u8], (u64, u64)> = BTreeMap::new();
    for caller in snapshot.callers.iter().filter(|caller| caller.idle >= least) {
        let (count, idle) = hosts.entry(&caller.host).or_insert((0, u64::MAX));
        *count += 1;
        *idle = caller.idle.min(*idle);
    }
    hosts.into_iter().max_by_key(|(_, (count, _))| *count).map(|(host, (count, idle))| (host, count, idle))
}

/// The server refuses by the number of the descriptor, so that its limit is never reached.
pub fn connections(snapshot: &Snapshot) -> Option<Diagnosis> {
    let open = snapshot.value("curr_connections")?;
    let told = snapshot.value("max_connections");
    let possible = snapshot.capacity.or(told).filter(|possible| *possible > 0)?;
    let rejected = snapshot.rise("rejected_connections").saturating_add(snapshot.rise("listen_disabled_num"));
    let shut = snapshot.value("accepting_conns") == Some(0);
    let full = open >= possible;
    let near = share(open, possible) >= 0.9;
    if rejected == 0 && !near && !shut {
        return None;
    }
    let refused = match (rejected, shut) {
        (0, false) => String::new(),
        (0, true) => String::from("; it does not accept at the moment"),
        _ => format!("; rejected: {}", snapshot.counted(rejected)),
    };
    let of = told.filter(|told| *told != possible).map(|told| format!(" (-c {told})")).unwrap_or_default();
    let idle = most_of_one(snapshot, FORGOTTEN).filter(|(_, count, _)| share(*count, open) >= 0.5);
    let leak = idle.map(|(host, count, idle)| format!("; {count} from {} idle for {} and more", Safe(host), ago(idle)));
    let most = most_of_one(snapshot, 0).map(|(host, count, _)| format!("; {count} from {}", Safe(host)));
    let who = leak.as_deref().or(most.as_deref()).unwrap_or_default();
    let evidence = format!("{open} of {possible} possible{of} are open{refused}{who}");
    let now = shut || full || snapshot.before.is_some() && rejected > 0;
    let meaning = match (now, leak.is_some()) {
        (true, _) => "new clients are turned away: errors and timeouts in the applications",
        (false, true) => "a client does not give connections back: new ones will be turned away",
        (false, false) if near => "a few more clients, and new ones are turned away",
        (false, false) => "the limit was met, and clients were turned away",
    };
    let next = match leak.is_some() {
        true => format!("{}; then restart it with -o idle_timeout=600", snapshot.ask("conns --by address --idle 10m")),
        false => format!(
            "{}; then restart it with -c {}",
            snapshot.ask("conns --by address"),
            told.unwrap_or(possible).saturating_mul(2)
        ),
    };
    Diagnosis::new(if now { Level::Fail } else { Level::Warn }, evidence, meaning, next)
}

/// Long before the limit is met.
pub fn leak(snapshot: &Snapshot) -> Option<Diagnosis> {
    let (host, count, idle) = most_of_one(snapshot, FORGOTTEN).filter(|(_, count, _)| *count >= LEAK)?;
    Diagnosis::new(
        Level::Note,
        format!("{count} connections of {} are idle for {} and more", Safe(host), ago(idle)),
        "a pool that is too large, or connections that are never closed",
        snapshot.ask("conns --by address --idle 10m"),
    )
}

pub fn churn(snapshot: &Snapshot) -> Option<Diagnosis> {
    let (new, commands) = (snapshot.rise("total_connections"), snapshot.commands());
    (snapshot.rate(new) >= 10.0 && share(new, commands) >= 0.1)
        .then(|| {
            Diagnosis::new(
                Level::Warn,
                format!("{:.0} new connections a second, {commands} commands on {new} connections", snapshot.rate(new)),
                "clients connect for each request: latency, and ports that run out",
                String::from("keep connections in the client (a pool, pconnect); ss -tn state time-wait counts them"),
            )
        })
        .flatten()
}

pub fn yields(snapshot: &Snapshot) -> Option<Diagnosis> {
    let (yields, commands) = (snapshot.rise("conn_yields"), snapshot.commands());
    (yields >= ENOUGH && share(yields, commands) >= 0.01)
        .then(|| {
            let most = snapshot.setting("reqs_per_event").map(|most| format!(" (-R {})", Safe(most)));
            Diagnosis::new(
                Level::Note,
                format!("waits of connections after a batch{}: {}", most.unwrap_or_default(), snapshot.counted(yields)),
                "clients send more requests at once than are served in one turn: theirs wait for the others",
                String::from("restart it with -R 200, or send smaller batches"),
            )
        })
        .flatten()
}

pub fn conflicts(snapshot: &Snapshot) -> Option<Diagnosis> {
    let (lost, won) = (snapshot.rise("cas_badval"), snapshot.rise("cas_hits"));
    let all = lost.saturating_add(won);
    (all >= ENOUGH && share(lost, all) >= 0.1)
        .then(|| {
            Diagnosis::new(
                Level::Note,
                format!("{} of {all} cas found a value that somebody else had changed", percent(lost, all)),
                "several clients change the same keys at the same time, and start over",
                snapshot.ask("top --by key"),
            )
        })
        .flatten()
}

pub fn logins(snapshot: &Snapshot) -> Option<Diagnosis> {
    let failed = Some(snapshot.rise("auth_errors")).filter(|failed| *failed > 0)?;
    let level = if snapshot.before.is_some() { Level::Warn } else { Level::Note };
    Diagnosis::new(
        level,
        format!("failed logins: {}", snapshot.counted(failed)),
        "a client has the wrong password, or none",
        snapshot.ask("conns --by address"),
    )
}

/// What connections need beside the items.
pub fn buffers(snapshot: &Snapshot) -> Option<Diagnosis> {
    const COUNTERS: [&str; 3] = ["read_buf_oom", "response_obj_oom", "malloc_fails"];
    let failed = COUNTERS.iter().map(|name| snapshot.rise(name)).fold(0, u64::saturating_add);
    (failed > 0)
        .then(|| {
            Diagnosis::new(
                Level::Warn,
                format!("no memory for buffers of connections: {}", snapshot.counted(failed)),
                "connections are closed, or answered with SERVER_ERROR out of memory",
                format!(
                    "{}; then fewer clients, or a larger memory limit of the container",
                    snapshot.ask("conns --by address")
                ),
            )
        })
        .flatten()
}
