//! What the members say of themselves, taken together: majority, leader, alarms, space, lag, disks, certificates, versions.
//! Longer than most, because it is a list of rules.

use std::time::Duration;

use super::super::{Finding, Level};
use super::metrics::{Figure, Metrics};
use crate::output::{Safe, order, units};
use crate::protocol::etcd::message::{AlarmMember, AlarmType, Member, StatusResponse};

/// A member, and what it answered or why it did not.
pub struct Seen {
    pub member: Member,
    pub status: Result<StatusResponse, String>,
    /// It answers, be it with a refusal.
    pub alive: bool,
    pub took: Option<Duration>,
    /// Since its start, or over the interval that was asked for.
    pub metrics: Option<Metrics>,
}

impl Seen {
    /// Its name, or its id while it has none.
    pub fn name(&self) -> String {
        name(&self.member)
    }

    /// `leader`, `follower`, `learner`; none where it did not answer.
    pub fn role(&self) -> Option<&'static str> {
        let status = self.status.as_ref().ok()?;
        Some(match status.leader == self.member.id {
            true => "leader",
            false if status.is_learner || self.member.is_learner => "learner",
            false => "follower",
        })
    }

    fn figure(&self, figure: Figure) -> Option<f64> {
        self.metrics.as_ref()?.get(figure)
    }

    /// Its quota, and whether it said so itself.
    pub fn quota(&self, told: Option<i64>) -> (i64, bool) {
        let own = self.status.as_ref().map_or(0, |status| status.db_size_quota);
        let own = if own > 0 { Some(own) } else { self.figure(Figure::Quota).map(|quota| quota as i64) };
        match own.filter(|quota| *quota > 0).or(told) {
            Some(quota) => (quota, true),
            None => (DEFAULT_QUOTA, false),
        }
    }
}

/// A member's name, or its id while it has none.
pub fn name(member: &Member) -> String {
    match member.name.as_str() {
        "" => format!("{:x}", member.id),
        name => Safe(name.as_bytes()).to_string(),
    }
}

/// How a read ended that the members have to agree on.
pub enum Agreed {
    Yes,
    /// Who asks may not read.
    Refused(String),
    No(String),
    /// Who asks is not let in.
    Unasked,
}

/// A certificate, and when it ends.
pub struct Dated {
    /// `server of n1`, `peer @/etc/peer.crt`
    pub what: String,
    /// Seconds since the epoch.
    pub end: i64,
}

/// All that is judged.
pub struct Snapshot {
    pub members: Vec<Seen>,
    pub alarms: Vec<AlarmMember>,
    pub read: Agreed,
    /// What the target's settings say.
    pub quota: Option<i64>,
    pub certificates: Vec<Dated>,
    /// Seconds since the epoch.
    pub now: i64,
    /// What the target's control group uses, without what can be dropped, and its limit.
    pub memory: Option<(u64, u64)>,
    /// What the metrics are over, where it is not the whole life of a member.
    pub interval: Option<Duration>,
}

/// The quota of a server that was not told another one, and that does not tell (before 3.6).
const DEFAULT_QUOTA: i64 = 2 << 30;

/// From where on it is worth giving space back.
const WASTE: i64 = 100 << 20;

/// How many entries a member may be behind before it is worth a word.
const LAG: u64 = 1000;

/// How long disks may take at the 99th percentile, by etcd's own advice; beyond the second value heartbeats are missed.
const FSYNC: [f64; 2] = [0.010, 0.100];
const COMMIT: [f64; 2] = [0.025, 0.250];
/// The same for a round trip to another member.
const TRIP: f64 = 0.150;
/// Fewer than that say nothing about a percentile.
const SAMPLES: u64 = 100;

const DAY: i64 = 86400;

/// What the rules say.
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, level: Level, subject: &'static str, text: String) {
        self.0.push(Finding::new(level, subject, text));
    }
}

const RULES: [fn(&Snapshot, &mut Findings); 11] =
    [quorum, serving, leader, alarms, space, lag, disks, elections, peers, certificates, process];

pub fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    for rule in RULES {
        rule(snapshot, &mut findings);
    }
    findings.0
}

/// Those that answered, with what they said.
fn answers(snapshot: &Snapshot) -> impl Iterator<Item = (&Seen, &StatusResponse)> {
    snapshot.members.iter().filter_map(|seen| Some((seen, seen.status.as_ref().ok()?)))
}

/// Bytes as etcd counts them.
pub fn size(bytes: i64) -> String {
    units::bytes(u64::try_from(bytes).unwrap_or(0))
}

/// Seconds as people compare them.
pub fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

fn quorum(snapshot: &Snapshot, findings: &mut Findings) {
    let voters = snapshot.members.iter().filter(|seen| !seen.member.is_learner).count();
    let answering = snapshot.members.iter().filter(|seen| !seen.member.is_learner && seen.alive).count();
    let needed = voters / 2 + 1;
    if answering < needed {
        let text = format!("no majority: {answering} of {voters} voting members answer, {needed} are needed");
        findings.add(Level::Fail, "quorum", text);
    } else if answering < voters && answering == needed {
        let text = format!("{answering} of {voters} voting members answer: none more may be lost");
        findings.add(Level::Warn, "quorum", text);
    }
    for seen in &snapshot.members {
        match &seen.status {
            Err(why) if seen.alive => {
                findings.add(Level::Unknown, "member", format!("{} tells us nothing: {why}", seen.name()));
            }
            Err(why) => findings.add(Level::Warn, "member", format!("{} does not answer: {why}", seen.name())),
            Ok(_) => {}
        }
    }
}

fn serving(snapshot: &Snapshot, findings: &mut Findings) {
    match &snapshot.read {
        Agreed::Yes | Agreed::Unasked => {}
        Agreed::Refused(why) => {
            findings.add(Level::Note, "login", format!("it answers, but we may not read: {why}; --user NAME"));
        }
        Agreed::No(why) => findings.add(Level::Fail, "serving", format!("a read is not answered: {why}")),
    }
}

fn leader(snapshot: &Snapshot, findings: &mut Findings) {
    if let Some((seen, _)) = answers(snapshot).find(|(_, status)| status.leader == 0) {
        let text = format!("{} knows of no leader: an election, or no majority", seen.name());
        findings.add(Level::Fail, "leader", text);
    }
    let first = answers(snapshot).map(|(_, status)| status.leader).find(|leader| *leader != 0);
    if answers(snapshot).any(|(_, status)| status.leader != 0 && Some(status.leader) != first) {
        let text = "members name different leaders: an election, or a split network";
        findings.add(Level::Warn, "leader", String::from(text));
    }
}

fn alarms(snapshot: &Snapshot, findings: &mut Findings) {
    for alarm in &snapshot.alarms {
        let who = snapshot.members.iter().find(|seen| seen.member.id == alarm.member_id);
        let who = who.map_or_else(|| format!("{:x}", alarm.member_id), Seen::name);
        let text = match AlarmType::try_from(alarm.alarm) {
            Ok(AlarmType::Nospace) => {
                format!("NOSPACE at {who}: nothing can be written; 'probe etcd space' tells the steps out of it")
            }
            Ok(AlarmType::Corrupt) => {
                format!("CORRUPT at {who}: its data differs from the others' ('probe etcd hash'); replace the member")
            }
            _ => format!("alarm {} at {who}", alarm.alarm),
        };
        findings.add(Level::Fail, "alarm", text);
    }
}

fn space(snapshot: &Snapshot, findings: &mut Findings) {
    for (seen, status) in answers(snapshot) {
        let (quota, is_told) = seen.quota(snapshot.quota);
        if status.db_size / 4 >= quota / 5 {
            let told = if is_told { "" } else { " if it has the default" };
            let text = format!("{}: {} of a quota of {}{told}", seen.name(), size(status.db_size), size(quota));
            findings.add(Level::Warn, "space", text);
        }
        let waste = status.db_size.saturating_sub(status.db_size_in_use);
        // Before 3.4 nobody told.
        if status.db_size_in_use > 0 && waste > WASTE && waste > status.db_size / 2 {
            let (waste, all) = (size(waste), size(status.db_size));
            let text = format!("{}: {waste} of {all} are unused; 'probe etcd defrag' gives them back", seen.name());
            findings.add(Level::Note, "space", text);
        }
        for error in &status.errors {
            // Alarms and leaders are told above, in better words.
            if !error.contains("alarm:") && !error.contains("no leader") {
                findings.add(Level::Warn, "member", format!("{}: {}", seen.name(), Safe(error.as_bytes())));
            }
        }
    }
}

fn lag(snapshot: &Snapshot, findings: &mut Findings) {
    let front = answers(snapshot).map(|(_, status)| status.raft_index).max().unwrap_or(0);
    for (seen, status) in answers(snapshot) {
        let lag = front.saturating_sub(status.raft_applied_index);
        if lag > LAG {
            findings.add(Level::Warn, "lag", format!("{} is {lag} entries behind", seen.name()));
        }
        if seen.role() == Some("learner") {
            let text = format!("{} does not vote yet; etcdctl member promote", seen.name());
            findings.add(Level::Note, "learner", text);
        }
    }
    let mut versions: Vec<&str> = answers(snapshot).map(|(_, status)| status.version.as_str()).collect();
    order::sort(&mut versions);
    versions.dedup();
    if versions.len() > 1 {
        let text = format!("members run {}", Safe(versions.join(" and ").as_bytes()));
        findings.add(Level::Note, "version", text);
    }
}

fn disks(snapshot: &Snapshot, findings: &mut Findings) {
    for seen in &snapshot.members {
        let Some(metrics) = &seen.metrics else { continue };
        for (what, histogram, [slow, bad]) in
            [("fsync of the log", &metrics.fsync, FSYNC), ("commit of the database", &metrics.commit, COMMIT)]
        {
            let Some(high) = histogram.quantile(0.99).filter(|high| *high >= slow) else { continue };
            if histogram.count() < SAMPLES {
                continue;
            }
            let level = if high >= bad { Level::Warn } else { Level::Note };
            let span = if snapshot.interval.is_some() { "" } else { " since its start" };
            let (high, slow) = (milliseconds(high), milliseconds(slow));
            let text = format!("{}: {what} takes {high} at p99{span}, {slow} is good", seen.name());
            findings.add(level, "disk", text);
        }
    }
}

fn elections(snapshot: &Snapshot, findings: &mut Findings) {
    for seen in &snapshot.members {
        let Some(metrics) = &seen.metrics else { continue };
        let changes = metrics.count(Figure::LeaderChanges).unwrap_or(0);
        let age = metrics.get(Figure::Started).map_or(0.0, |start| snapshot.now as f64 - start);
        match snapshot.interval {
            Some(_) if changes > 0 => {
                findings.add(Level::Warn, "leader", format!("{} saw it change {changes} times just now", seen.name()));
            }
            // One of them is the first election.
            None if changes > 3 && changes as f64 > age / 3600.0 => {
                let age = units::duration(age.max(0.0) as u64);
                let text = format!("{} saw it change {changes} times in {age}: slow disks or networks", seen.name());
                findings.add(Level::Note, "leader", text);
            }
            _ => {}
        }
        if let Some(pending) = metrics.count(Figure::ProposalsPending).filter(|pending| *pending > 5) {
            let text = format!("{}: {pending} wait for the members to agree", seen.name());
            findings.add(Level::Warn, "proposals", text);
        }
        let failed = metrics.count(Figure::ProposalsFailed).filter(|failed| *failed > 0 && snapshot.interval.is_some());
        if let Some(failed) = failed {
            findings.add(Level::Warn, "proposals", format!("{}: {failed} failed just now", seen.name()));
        }
    }
}

fn peers(snapshot: &Snapshot, findings: &mut Findings) {
    for seen in &snapshot.members {
        for (id, trips) in seen.metrics.iter().flat_map(|metrics| &metrics.peers) {
            let Some(high) = trips.quantile(0.99).filter(|high| *high >= TRIP) else { continue };
            let id = std::str::from_utf8(id).ok().and_then(|id| u64::from_str_radix(id, 16).ok());
            let Some(other) = snapshot.members.iter().find(|other| Some(other.member.id) == id) else { continue };
            let (from, to) = (seen.name(), other.name());
            let text = format!("{from} to {to} and back takes {} at p99", milliseconds(high));
            // Since the start it may be long over.
            let level = if snapshot.interval.is_some() { Level::Warn } else { Level::Note };
            findings.add(level, "network", text);
        }
    }
}

fn certificates(snapshot: &Snapshot, findings: &mut Findings) {
    for Dated { what, end } in &snapshot.certificates {
        let left = end.saturating_sub(snapshot.now);
        let (level, text) = match left {
            ..0 => (Level::Fail, format!("{what}: ended {}", units::utc(*end))),
            _ if left < 30 * DAY => {
                let level = if left < 7 * DAY { Level::Warn } else { Level::Note };
                let left = units::duration(u64::try_from(left).unwrap_or(0));
                (level, format!("{what}: ends in {left}, {}", units::utc(*end)))
            }
            _ => continue,
        };
        findings.add(level, "certificate", text);
    }
}

fn process(snapshot: &Snapshot, findings: &mut Findings) {
    for seen in &snapshot.members {
        let Some((open, most)) = seen.figure(Figure::OpenFiles).zip(seen.figure(Figure::MostFiles)) else { continue };
        if most > 0.0 && open >= most * 0.8 {
            let text = format!("{}: {open} of {most} possible files and connections are open", seen.name());
            findings.add(Level::Warn, "files", text);
        }
    }
    if let Some((used, limit)) = snapshot.memory
        && used as f64 >= limit as f64 * 0.9
    {
        let text = format!("{} of the {} of its control group are used", units::bytes(used), units::bytes(limit));
        findings.add(Level::Warn, "memory", text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: u64, name: &str, status: Result<StatusResponse, &str>) -> Seen {
        let member = Member { id, name: name.into(), ..Member::default() };
        Seen { member, alive: status.is_ok(), status: status.map_err(String::from), took: None, metrics: None }
    }

    fn status() -> StatusResponse {
        StatusResponse {
            version: "3.5.1".into(),
            db_size: 20_480,
            db_size_in_use: 16_384,
            leader: 1,
            raft_index: 10,
            raft_applied_index: 10,
            ..StatusResponse::default()
        }
    }

    fn snapshot(members: Vec<Seen>) -> Snapshot {
        Snapshot {
            members,
            alarms: Vec::new(),
            read: Agreed::Yes,
            quota: None,
            certificates: Vec::new(),
            now: 1_000_000,
            memory: None,
            interval: None,
        }
    }

    #[track_caller]
    fn found(snapshot: &Snapshot, expected: &[(Level, &str, &str)]) {
        let found = check(snapshot);
        let found: Vec<(Level, &str, &str)> =
            found.iter().map(|finding| (finding.level, finding.subject, finding.text.as_str())).collect();
        assert_eq!(found, expected);
    }

    /// One member whose metrics say this.
    fn measured(text: &str) -> Snapshot {
        let metrics = Some(Metrics::parse(text.as_bytes()));
        snapshot(vec![Seen { metrics, ..seen(1, "a", Ok(status())) }])
    }

    #[test]
    fn a_good_cluster_has_nothing_to_say() {
        found(&snapshot(vec![seen(1, "a", Ok(status()))]), &[]);
        found(&snapshot(vec![seen(1, "a", Ok(status())), seen(2, "b", Ok(status())), seen(3, "c", Ok(status()))]), &[]);
    }

    #[test]
    fn members_that_are_gone() {
        let gone = |id, name| seen(id, name, Err("connection refused"));
        let why = "does not answer: connection refused";
        found(
            &snapshot(vec![seen(1, "a", Ok(status())), seen(2, "b", Ok(status())), gone(3, "c")]),
            &[
                (Level::Warn, "quorum", "2 of 3 voting members answer: none more may be lost"),
                (Level::Warn, "member", &format!("c {why}")),
            ],
        );
        let lonely = StatusResponse { leader: 0, errors: vec!["etcdserver: no leader".into()], ..status() };
        let mut all = snapshot(vec![seen(1, "a", Ok(lonely)), gone(2, "b"), gone(0xff, "")]);
        all.read = Agreed::No("etcdserver: no leader".into());
        found(
            &all,
            &[
                (Level::Fail, "quorum", "no majority: 1 of 3 voting members answer, 2 are needed"),
                (Level::Warn, "member", &format!("b {why}")),
                (Level::Warn, "member", &format!("ff {why}")),
                (Level::Fail, "serving", "a read is not answered: etcdserver: no leader"),
                (Level::Fail, "leader", "a knows of no leader: an election, or no majority"),
            ],
        );
    }

    #[test]
    fn who_may_not_read() {
        let mut all = snapshot(vec![Seen { alive: true, ..seen(1, "a", Err("etcdserver: permission denied")) }]);
        all.read = Agreed::Refused("etcdserver: user name is empty".into());
        found(
            &all,
            &[
                (Level::Unknown, "member", "a tells us nothing: etcdserver: permission denied"),
                (Level::Note, "login", "it answers, but we may not read: etcdserver: user name is empty; --user NAME"),
            ],
        );
    }

    #[test]
    fn leaders_learners_and_versions() {
        let other = StatusResponse { leader: 2, version: "3.4.23".into(), ..status() };
        let learner = StatusResponse { is_learner: true, ..status() };
        found(
            &snapshot(vec![seen(1, "a", Ok(status())), seen(2, "b", Ok(other)), seen(3, "c", Ok(learner))]),
            &[
                (Level::Warn, "leader", "members name different leaders: an election, or a split network"),
                (Level::Note, "learner", "c does not vote yet; etcdctl member promote"),
                (Level::Note, "version", "members run 3.4.23 and 3.5.1"),
            ],
        );
    }

    #[test]
    fn space_and_lag() {
        let full = StatusResponse { db_size: 1_800_000_000, db_size_in_use: 100_000_000, ..status() };
        let late = StatusResponse { raft_index: 5000, ..status() };
        let mut all = snapshot(vec![seen(1, "a", Ok(full.clone())), seen(2, "b", Ok(late))]);
        all.alarms.push(AlarmMember { member_id: 1, alarm: AlarmType::Nospace as i32 });
        all.alarms.push(AlarmMember { member_id: 9, alarm: AlarmType::Corrupt as i32 });
        let waste = "a: 1.58 GiB of 1.68 GiB are unused; 'probe etcd defrag' gives them back";
        found(
            &all,
            &[
                (
                    Level::Fail,
                    "alarm",
                    "NOSPACE at a: nothing can be written; 'probe etcd space' tells the steps out of it",
                ),
                (
                    Level::Fail,
                    "alarm",
                    "CORRUPT at 9: its data differs from the others' ('probe etcd hash'); replace the member",
                ),
                (Level::Warn, "space", "a: 1.68 GiB of a quota of 2.00 GiB if it has the default"),
                (Level::Note, "space", waste),
                (Level::Warn, "lag", "a is 4990 entries behind"),
                (Level::Warn, "lag", "b is 4990 entries behind"),
            ],
        );
        // The server's word goes before the metrics', and they before the settings'.
        let mut all = measured("etcd_server_quota_backend_bytes 8e9\n");
        all.members[0].status = Ok(full.clone());
        all.quota = Some(1 << 30);
        found(&all, &[(Level::Note, "space", waste)]);
        all.members[0].metrics = None;
        let settings = (Level::Warn, "space", "a: 1.68 GiB of a quota of 1.00 GiB");
        found(&all, &[settings, (Level::Note, "space", waste)]);
        all.members[0].status = Ok(StatusResponse { db_size_quota: 8 << 30, ..full });
        found(&all, &[(Level::Note, "space", waste)]);
    }

    #[test]
    fn disks_by_their_percentiles() {
        let buckets = |name: &str, bound: &str, count: u32| {
            let bucket = |le: &str, count| format!("etcd_disk_{name}_duration_seconds_bucket{{le=\"{le}\"}} {count}\n");
            bucket("0.008", 0) + &bucket(bound, count) + &bucket("+Inf", count)
        };
        found(&measured(&buckets("wal_fsync", "0.009", 1000)), &[]);
        found(&measured(&buckets("wal_fsync", "0.128", 99)), &[]);
        let text = buckets("wal_fsync", "0.016", 100) + &buckets("backend_commit", "0.512", 100);
        let mut all = measured(&text);
        let commit =
            (Level::Warn, "disk", "a: commit of the database takes 507.0 ms at p99 since its start, 25.0 ms is good");
        found(
            &all,
            &[
                (Level::Note, "disk", "a: fsync of the log takes 15.9 ms at p99 since its start, 10.0 ms is good"),
                commit,
            ],
        );
        all.interval = Some(Duration::from_secs(1));
        assert_eq!(check(&all)[0].text, "a: fsync of the log takes 15.9 ms at p99, 10.0 ms is good");
    }

    #[test]
    fn elections_proposals_and_peers() {
        let text = "etcd_server_leader_changes_seen_total 9\nprocess_start_time_seconds 992800\n\
            etcd_server_proposals_pending 6\netcd_server_proposals_failed_total 2\n\
            etcd_network_peer_round_trip_time_seconds_bucket{To=\"b\",le=\"0.2\"} 4\n\
            etcd_network_peer_round_trip_time_seconds_bucket{To=\"b\",le=\"+Inf\"} 4\n";
        let mut all = measured(text);
        all.members.push(seen(0xb, "b", Ok(status())));
        let pending = (Level::Warn, "proposals", "a: 6 wait for the members to agree");
        let trip = |level| (level, "network", "a to b and back takes 198.0 ms at p99");
        let changes = (Level::Note, "leader", "a saw it change 9 times in 2h00m: slow disks or networks");
        found(&all, &[changes, pending, trip(Level::Note)]);
        all.interval = Some(Duration::from_secs(1));
        let changes = (Level::Warn, "leader", "a saw it change 9 times just now");
        found(&all, &[changes, pending, (Level::Warn, "proposals", "a: 2 failed just now"), trip(Level::Warn)]);
        let text = "etcd_server_leader_changes_seen_total 3\nprocess_start_time_seconds 999999\n\
            etcd_server_proposals_pending 5\n";
        found(&measured(text), &[]);
    }

    #[test]
    fn certificates_that_end() {
        let mut all = snapshot(vec![seen(1, "a", Ok(status()))]);
        let dated = |what: &str, end| Dated { what: what.into(), end };
        all.now = 1_795_000_000;
        all.certificates = vec![
            dated("server of a", all.now - 1),
            dated("peer @/p", all.now + 6 * DAY),
            dated("client c", all.now + 29 * DAY),
            dated("authority @/ca", all.now + 31 * DAY),
        ];
        found(
            &all,
            &[
                (Level::Fail, "certificate", "server of a: ended 2026-11-18 11:06:39 UTC"),
                (Level::Warn, "certificate", "peer @/p: ends in 6d00h, 2026-11-24 11:06:40 UTC"),
                (Level::Note, "certificate", "client c: ends in 29d00h, 2026-12-17 11:06:40 UTC"),
            ],
        );
    }

    #[test]
    fn files_and_memory() {
        let mut all = measured("process_open_fds 820\nprocess_max_fds 1024\n");
        all.memory = Some((960 << 20, 1 << 30));
        found(
            &all,
            &[
                (Level::Warn, "files", "a: 820 of 1024 possible files and connections are open"),
                (Level::Warn, "memory", "960 MiB of the 1.00 GiB of its control group are used"),
            ],
        );
        let mut all = measured("process_open_fds 819\nprocess_max_fds 1024\n");
        all.memory = Some((900 << 20, 1 << 30));
        found(&all, &[]);
    }
}
