//! What the members say of themselves, taken together: majority, leader, alarms, space, lag, versions.

use super::super::{Finding, Level};
use crate::output::{Safe, order, units};
use crate::protocol::etcd::message::{AlarmMember, AlarmType, Member, StatusResponse};

/// A member, and what it answered or why it did not.
pub struct Seen {
    pub member: Member,
    pub status: Result<StatusResponse, String>,
}

impl Seen {
    /// Its name, or its id while it has none.
    pub fn name(&self) -> String {
        match self.member.name.as_str() {
            "" => format!("{:x}", self.member.id),
            name => Safe(name.as_bytes()).to_string(),
        }
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
}

/// The quota of a server that was not told another one, and that does not tell (before 3.6).
const DEFAULT_QUOTA: i64 = 2 << 30;

/// From where on it is worth giving space back.
const WASTE: i64 = 100 << 20;

/// How many entries a member may be behind before it is worth a word.
const LAG: u64 = 1000;

pub fn check(members: &[Seen], alarms: &[AlarmMember]) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Nobody told.
    if members.is_empty() {
        return findings;
    }
    let mut add = |level, subject, text: String| findings.push(Finding::new(level, subject, text));
    let voters = members.iter().filter(|seen| !seen.member.is_learner).count();
    let answering = members.iter().filter(|seen| !seen.member.is_learner && seen.status.is_ok()).count();
    let needed = voters / 2 + 1;
    if answering < needed {
        let text = format!("no majority: {answering} of {voters} voting members answer, {needed} are needed");
        add(Level::Fail, "quorum", text);
    } else if answering < voters && answering == needed {
        let text = format!("{answering} of {voters} voting members answer: none more may be lost");
        add(Level::Warn, "quorum", text);
    }
    for seen in members {
        if let Err(why) = &seen.status {
            add(Level::Warn, "member", format!("{} does not answer: {why}", seen.name()));
        }
    }
    let answers: Vec<(&Seen, &StatusResponse)> =
        members.iter().filter_map(|seen| Some((seen, seen.status.as_ref().ok()?))).collect();
    if let Some((seen, _)) = answers.iter().find(|(_, status)| status.leader == 0) {
        add(Level::Fail, "leader", format!("{} knows of no leader: an election, or no majority", seen.name()));
    }
    let mut leaders: Vec<u64> = answers.iter().map(|(_, status)| status.leader).filter(|leader| *leader != 0).collect();
    order::sort(&mut leaders);
    leaders.dedup();
    if leaders.len() > 1 {
        add(Level::Warn, "leader", String::from("members name different leaders: an election, or a split network"));
    }
    for alarm in alarms {
        let who = members.iter().find(|seen| seen.member.id == alarm.member_id);
        let who = who.map_or_else(|| format!("{:x}", alarm.member_id), Seen::name);
        let text = match AlarmType::try_from(alarm.alarm) {
            Ok(AlarmType::Nospace) => format!(
                "NOSPACE at {who}: nothing can be written; etcdctl compaction REVISION, etcdctl defrag, etcdctl alarm disarm"
            ),
            Ok(AlarmType::Corrupt) => {
                format!("CORRUPT at {who}: its data differs from the others'; replace the member")
            }
            _ => format!("alarm {} at {who}", alarm.alarm),
        };
        add(Level::Fail, "alarm", text);
    }
    for (seen, status) in &answers {
        let (told, quota) = match status.db_size_quota {
            0 => (" if it has the default", DEFAULT_QUOTA),
            quota => ("", quota),
        };
        let size = |bytes: i64| units::bytes(u64::try_from(bytes).unwrap_or(0));
        if status.db_size / 4 >= quota / 5 {
            let text = format!("{}: {} of a quota of {}{told}", seen.name(), size(status.db_size), size(quota));
            add(Level::Warn, "space", text);
        }
        let waste = status.db_size.saturating_sub(status.db_size_in_use);
        // Before 3.4 nobody told.
        if status.db_size_in_use > 0 && waste > WASTE && waste > status.db_size / 2 {
            let text =
                format!("{}: {} of {} are unused; etcdctl defrag", seen.name(), size(waste), size(status.db_size));
            add(Level::Note, "space", text);
        }
        for error in &status.errors {
            // Alarms are told above, in better words.
            if !error.contains("alarm:") {
                add(Level::Warn, "member", format!("{}: {}", seen.name(), Safe(error.as_bytes())));
            }
        }
    }
    let front = answers.iter().map(|(_, status)| status.raft_index).max().unwrap_or(0);
    for (seen, status) in &answers {
        let lag = front.saturating_sub(status.raft_applied_index);
        if lag > LAG {
            add(Level::Warn, "lag", format!("{} is {lag} entries behind", seen.name()));
        }
        if seen.role() == Some("learner") {
            add(Level::Note, "learner", format!("{} does not vote yet; etcdctl member promote", seen.name()));
        }
    }
    let mut versions: Vec<&str> = answers.iter().map(|(_, status)| status.version.as_str()).collect();
    order::sort(&mut versions);
    versions.dedup();
    if versions.len() > 1 {
        add(Level::Note, "version", format!("members run {}", Safe(versions.join(" and ").as_bytes())));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: u64, name: &str, status: Result<StatusResponse, &str>) -> Seen {
        let member = Member { id, name: name.into(), ..Member::default() };
        Seen { member, status: status.map_err(String::from) }
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

    #[track_caller]
    fn found(members: &[Seen], alarms: &[AlarmMember], expected: &[(Level, &str, &str)]) {
        let found = check(members, alarms);
        let found: Vec<(Level, &str, &str)> =
            found.iter().map(|finding| (finding.level, finding.subject, finding.text.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_good_cluster_has_nothing_to_say() {
        found(&[seen(1, "a", Ok(status()))], &[], &[]);
        found(&[seen(1, "a", Ok(status())), seen(2, "b", Ok(status())), seen(3, "c", Ok(status()))], &[], &[]);
    }

    #[test]
    fn members_that_are_gone() {
        let gone = |id, name| seen(id, name, Err("connection refused"));
        let why = "does not answer: connection refused";
        found(
            &[seen(1, "a", Ok(status())), seen(2, "b", Ok(status())), gone(3, "c")],
            &[],
            &[
                (Level::Warn, "quorum", "2 of 3 voting members answer: none more may be lost"),
                (Level::Warn, "member", &format!("c {why}")),
            ],
        );
        let lonely = StatusResponse { leader: 0, ..status() };
        found(
            &[seen(1, "a", Ok(lonely)), gone(2, "b"), gone(0xff, "")],
            &[],
            &[
                (Level::Fail, "quorum", "no majority: 1 of 3 voting members answer, 2 are needed"),
                (Level::Warn, "member", &format!("b {why}")),
                (Level::Warn, "member", &format!("ff {why}")),
                (Level::Fail, "leader", "a knows of no leader: an election, or no majority"),
            ],
        );
    }

    #[test]
    fn space_and_lag() {
        let full = StatusResponse { db_size: 1_800_000_000, db_size_in_use: 100_000_000, ..status() };
        let late = StatusResponse { raft_index: 5000, version: "3.4.23".into(), ..status() };
        let alarm = AlarmMember { member_id: 1, alarm: AlarmType::Nospace as i32 };
        found(
            &[seen(1, "a", Ok(full)), seen(2, "b", Ok(late))],
            &[alarm],
            &[
                (
                    Level::Fail,
                    "alarm",
                    "NOSPACE at a: nothing can be written; etcdctl compaction REVISION, etcdctl defrag, etcdctl alarm disarm",
                ),
                (Level::Warn, "space", "a: 1.68 GiB of a quota of 2.00 GiB if it has the default"),
                (Level::Note, "space", "a: 1.58 GiB of 1.68 GiB are unused; etcdctl defrag"),
                (Level::Warn, "lag", "a is 4990 entries behind"),
                (Level::Warn, "lag", "b is 4990 entries behind"),
                (Level::Note, "version", "members run 3.4.23 and 3.5.1"),
            ],
        );
    }
}
