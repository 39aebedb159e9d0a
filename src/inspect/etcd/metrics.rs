//! What an etcd counts of itself: its text for Prometheus, of which a few figures and histograms are kept.

/// The figures, in the order of [`FIGURES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    LeaderChanges,
    ProposalsFailed,
    SlowApplies,
    SlowReads,
    HeartbeatFailures,
    ProposalsPending,
    Quota,
    Keys,
    Compacted,
    Watchers,
    SlowWatchers,
    OpenFiles,
    MostFiles,
    Resident,
    Started,
}

/// The figures that only grow.
const COUNTERS: usize = 5;

/// What they are called in the text, and in JSON.
pub const FIGURES: [(&str, &str); 15] = [
    ("etcd_server_leader_changes_seen_total", "leader_changes"),
    ("etcd_server_proposals_failed_total", "proposals_failed"),
    ("etcd_server_slow_apply_total", "slow_applies"),
    ("etcd_server_slow_read_indexes_total", "slow_reads"),
    ("etcd_server_heartbeat_send_failures_total", "heartbeat_failures"),
    ("etcd_server_proposals_pending", "proposals_pending"),
    ("etcd_server_quota_backend_bytes", "quota_bytes"),
    ("etcd_debugging_mvcc_keys_total", "keys"),
    ("etcd_debugging_mvcc_compact_revision", "compact_revision"),
    ("etcd_debugging_mvcc_watcher_total", "watchers"),
    ("etcd_debugging_mvcc_slow_watcher_total", "slow_watchers"),
    ("process_open_fds", "open_files"),
    ("process_max_fds", "most_files"),
    ("process_resident_memory_bytes", "resident_bytes"),
    ("process_start_time_seconds", "started_epoch"),
];

/// Buckets by their upper bounds, each with the count of all that is not above it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram(Vec<(f64, f64)>);

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    figures: [Option<f64>; FIGURES.len()],
    /// Seconds until the log was on the disk.
    pub fsync: Histogram,
    /// Seconds until the database was.
    pub commit: Histogram,
    /// Seconds to the other members and back, by their ids.
    pub peers: Vec<(Vec<u8>, Histogram)>,
}

/// More members than a cluster has, and more buckets than any of etcd's histograms.
const MOST: usize = 64;

impl Metrics {
    pub fn parse(text: &[u8]) -> Metrics {
        let mut metrics = Metrics::default();
        for line in text.split(|byte| *byte == b'\n') {
            let Some((name, labels, value)) = sample(line) else { continue };
            if let Some(at) = FIGURES.iter().position(|(known, _)| known.as_bytes() == name) {
                metrics.figures[at] = Some(value);
                continue;
            }
            let histogram = match name {
                b"etcd_disk_wal_fsync_duration_seconds_bucket" => &mut metrics.fsync,
                b"etcd_disk_backend_commit_duration_seconds_bucket" => &mut metrics.commit,
                b"etcd_network_peer_round_trip_time_seconds_bucket" => {
                    let Some(peer) = label(labels, b"To=\"") else { continue };
                    let known = metrics.peers.iter().position(|(id, _)| id == peer);
                    let at = known.unwrap_or(metrics.peers.len());
                    if at == MOST {
                        continue;
                    }
                    if known.is_none() {
                        metrics.peers.push((peer.to_vec(), Histogram::default()));
                    }
                    &mut metrics.peers[at].1
                }
                _ => continue,
            };
            let bound = label(labels, b"le=\"").and_then(|text| std::str::from_utf8(text).ok()?.parse::<f64>().ok());
            if let Some(bound) = bound.filter(|_| histogram.0.len() < MOST) {
                histogram.0.push((bound, value));
            }
        }
        metrics
    }

    pub fn get(&self, figure: Figure) -> Option<f64> {
        self.figures[figure as usize]
    }

    /// A figure as a whole number.
    pub fn count(&self, figure: Figure) -> Option<u64> {
        self.at(figure as usize)
    }

    /// The same by its place in [`FIGURES`].
    pub fn at(&self, place: usize) -> Option<u64> {
        self.figures.get(place).copied().flatten().filter(|value| *value >= 0.0).map(|value| value as u64)
    }

    /// What has happened since `before`.
    pub fn since(&self, before: &Metrics) -> Metrics {
        let mut since = self.clone();
        for (now, then) in since.figures.iter_mut().zip(before.figures).take(COUNTERS) {
            *now = now.zip(then).map(|(now, then)| (now - then).max(0.0));
        }
        since.fsync.subtract(&before.fsync);
        since.commit.subtract(&before.commit);
        for (peer, histogram) in &mut since.peers {
            if let Some((_, then)) = before.peers.iter().find(|(id, _)| id == peer) {
                histogram.subtract(then);
            }
        }
        since
    }
}

impl Histogram {
    pub fn count(&self) -> u64 {
        self.0.last().map_or(0, |(_, count)| *count as u64)
    }

    fn subtract(&mut self, before: &Histogram) {
        for ((_, now), (_, then)) in self.0.iter_mut().zip(&before.0) {
            *now = (*now - then).max(0.0);
        }
    }

    /// The value that a part of all is not above, between a bucket's bounds by proportion; none where nothing was counted.
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let all = self.0.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let wanted = all * part;
        let mut below = (0.0, 0.0);
        for &(bound, count) in &self.0 {
            if count >= wanted {
                // Above the last bound nothing is known but that.
                if bound.is_infinite() {
                    return Some(below.0);
                }
                let share = if count > below.1 { (wanted - below.1) / (count - below.1) } else { 1.0 };
                return Some(below.0 + (bound - below.0) * share);
            }
            below = (bound, count);
        }
        None
    }
}

/// `name{labels} value`
fn sample(line: &[u8]) -> Option<(&[u8], &[u8], f64)> {
    let end = line.iter().position(|byte| matches!(byte, b'{' | b' '))?;
    let (name, rest) = line.split_at(end);
    let (labels, value) = match rest.first() {
        Some(b'{') => rest.split_at(memchr::memrchr(b'}', rest)? + 1),
        _ => rest.split_at(0),
    };
    // A time may follow.
    let value = value.trim_ascii().split(|byte| *byte == b' ').next()?;
    Some((name, labels, std::str::from_utf8(value).ok()?.parse().ok()?))
}

/// The value of a label, which is searched for with its equals sign and quote.
fn label<'a>(labels: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let start = labels.windows(name.len()).position(|window| window == name)? + name.len();
    let rest = labels.get(start..)?;
    rest.get(..memchr::memchr(b'"', rest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 3.5.1 has it, shortened.
    const TEXT: &[u8] =
        b"# HELP etcd_disk_wal_fsync_duration_seconds The latency distributions of fsync called by WAL.\n\
        # TYPE etcd_disk_wal_fsync_duration_seconds histogram\n\
        etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 50\n\
        etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.002\"} 90\n\
        etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.004\"} 100\n\
        etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 100\n\
        etcd_disk_wal_fsync_duration_seconds_sum 0.1\n\
        etcd_network_peer_round_trip_time_seconds_bucket{To=\"a1\",le=\"0.1\"} 1\n\
        etcd_network_peer_round_trip_time_seconds_bucket{To=\"a1\",le=\"+Inf\"} 4\n\
        etcd_server_leader_changes_seen_total 3\n\
        etcd_server_quota_backend_bytes 2.147483648e+09\n\
        process_open_fds nan\n\
        process_max_fds\n";

    #[test]
    fn figures_and_histograms() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.count(Figure::LeaderChanges), Some(3));
        assert_eq!(metrics.count(Figure::Quota), Some(2_147_483_648));
        assert_eq!((metrics.count(Figure::OpenFiles), metrics.count(Figure::MostFiles)), (None, None));
        assert_eq!(metrics.fsync.count(), 100);
        assert_eq!(metrics.fsync.quantile(0.5), Some(0.001));
        assert_eq!(metrics.fsync.quantile(0.95).map(|value| (value * 1e6).round()), Some(3000.0));
        assert_eq!(metrics.commit.quantile(0.5), None);
        assert_eq!(metrics.peers[0].0, b"a1");
        assert_eq!(metrics.peers[0].1.quantile(0.99), Some(0.1), "no more than the last bound");
    }

    #[test]
    fn over_an_interval() {
        let now = b"etcd_server_leader_changes_seen_total 5\netcd_server_quota_backend_bytes 7\n\
            etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 50\n\
            etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.002\"} 90\n\
            etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.004\"} 110\n\
            etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 110\n";
        let since = Metrics::parse(now).since(&Metrics::parse(TEXT));
        assert_eq!((since.count(Figure::LeaderChanges), since.count(Figure::Quota)), (Some(2), Some(7)));
        assert_eq!((since.fsync.count(), since.fsync.quantile(0.5)), (10, Some(0.003)));
    }

    #[test]
    fn what_is_no_metrics() {
        for text in [&b""[..], b"{", b"a{", b"a}{ 1", b" ", b"a{le=\"} 1", b"\xff\xff 1", b"a 1e999"] {
            let _ = Metrics::parse(text);
        }
        assert_eq!(FIGURES.len(), Figure::Started as usize + 1);
    }
}
