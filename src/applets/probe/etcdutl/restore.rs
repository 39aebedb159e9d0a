//! `snapshot restore`: a data directory with which a member of a new cluster starts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, mkdir, unlinkat};

use super::{Input, wrong};
use crate::applet::{Context, Error, Exit, Result, reason};
use crate::output::{Safe, order};
use crate::protocol::etcd::file;
use crate::protocol::etcd::file::bolt::{Bolt, Seen};
use crate::protocol::etcd::file::restore::{Cluster, TERM, url};
use crate::protocol::etcd::file::store::{Revision, Store};
use crate::protocol::etcd::file::trailer::{self, Trailer};
use crate::protocol::etcd::file::writer::Writer;

/// A log's file is as long from the beginning.
const LOG: u64 = 64_000_000;

/// What is taken into memory of a bucket that is changed.
const MOST_PAIRS: usize = 4096;

#[derive(clap::Args)]
pub struct Restore {
    /// This member's name
    #[arg(long, value_name = "NAME", default_value = "default")]
    name: String,
    /// All members
    #[arg(long, value_name = "NAME=URL,...", default_value = "default=http://localhost:2380")]
    initial_cluster: String,
    /// What makes the cluster's ids differ from another one's
    #[arg(long, value_name = "TEXT", default_value = "etcd-cluster")]
    initial_cluster_token: String,
    /// This member's URLs
    #[arg(long, value_name = "URL,...", default_value = "http://localhost:2380")]
    initial_advertise_peer_urls: String,
    /// Is made, or empty; NAME.etcd without it
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Is made; DIR/member/wal without it
    #[arg(long, value_name = "DIR")]
    wal_dir: Option<PathBuf>,
    /// Take a file without a sha256, and one with another
    #[arg(long, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    skip_hash_check: bool,
    /// How far the revisions go on beyond the last one, so that caches notice; with --mark-compacted
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    bump_revision: u64,
    /// Watches from before the snapshot end as compacted; with --bump-revision
    #[arg(long, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    mark_compacted: bool,
    /// For etcd's own etcdutl
    #[arg(long, value_name = "BYTES", hide = true)]
    initial_memory_map_size: Option<u64>,
    #[arg(value_name = "DB")]
    file: PathBuf,
}

pub fn run(cx: &mut Context<'_>, options: &Restore) -> Result<Exit> {
    if options.mark_compacted != (options.bump_revision > 0) {
        return Err(Error::usage("--bump-revision and --mark-compacted go together"));
    }
    let cluster = cluster(options)?;
    let name = Safe(options.name.as_bytes()).to_string();
    let Some(own) = cluster.member(&options.name) else {
        return Err(Error::message(format_args!("{name}: is not in --initial-cluster")));
    };
    let input = Input::open(cx, &options.file)?;
    verify(&input, options.skip_hash_check)?;
    let bolt = input.bolt()?;
    let store = Store::open(&bolt).map_err(|error| input.broken(&bolt, error))?;
    let data = options.data_dir.clone().unwrap_or_else(|| PathBuf::from(format!("{}.etcd", options.name)));
    let mut made = Made::default();
    let above = parent(&data);
    let reached = cx.files.reach(above).map_err(|error| wrong(above, reason(&error)))?;
    let base = reached.path().join(data.file_name().unwrap_or_default());
    let at = |error: io::Error| wrong(&data, reason(&error));
    if !made.directory(&base).map_err(at)? && !is_empty(cx, &data)? {
        return Err(wrong(&data, "is there and not empty"));
    }
    let member = base.join("member");
    made.directory(&member).map_err(at)?;
    let snap = member.join("snap");
    made.directory(&snap).map_err(at)?;
    let wal_above = options.wal_dir.as_deref().map(parent);
    let wal_reached = wal_above.map(|above| cx.files.reach(above)).transpose().map_err(at)?;
    let wal = match (&options.wal_dir, &wal_reached) {
        (Some(path), Some(reached)) => reached.path().join(path.file_name().unwrap_or_default()),
        _ => member.join("wal"),
    };
    if !made.directory(&wal).map_err(at)? {
        return Err(wrong(options.wal_dir.as_deref().unwrap_or(&data), "is there already"));
    }
    let revision = {
        let output = made.file(&snap.join("db")).map_err(at)?;
        let mut writer = Writer::new(output, bolt.meta.page_size);
        let revision = rewrite(&input, &bolt, &store, &cluster, options, &mut writer)?;
        writer.finish().map_err(at)?;
        revision
    };
    input.is_whole(&bolt)?;
    let log = made.file(&wal.join(format!("{:016x}-{:016x}.wal", 0, 0))).map_err(at)?;
    let bytes = cluster.log(own);
    log.set_len(LOG.max(bytes.len() as u64)).and_then(|()| log.write_all_at(&bytes, 0)).map_err(at)?;
    log.sync_all().map_err(at)?;
    let mut snapshot = made.file(&snap.join(cluster.snapshot_name())).map_err(at)?;
    snapshot.write_all(&cluster.snapshot()).and_then(|()| snapshot.sync_all()).map_err(at)?;
    for directory in [&snap, &wal, &member, &base] {
        sync(directory).map_err(at)?;
    }
    made.keep();
    let (member, cluster) = (own.id, cluster.id);
    let data = Safe::path(&data);
    writeln!(cx.io.out, "{data}: member {member:x} of cluster {cluster:x}, revision {revision}")?;
    Ok(Exit(0))
}

/// The members, of whom one has the advertised URLs.
fn cluster(options: &Restore) -> Result<Cluster> {
    let said = |option: &str, why: String| Error::message(format_args!("--{option}: {}", Safe(why.as_bytes())));
    let cluster = Cluster::parse(&options.initial_cluster, &options.initial_cluster_token);
    let cluster = cluster.map_err(|why| said("initial-cluster", why))?;
    let advertised =
        options.initial_advertise_peer_urls.split(',').map(url).collect::<std::result::Result<Vec<_>, _>>();
    let mut advertised = advertised.map_err(|why| said("initial-advertise-peer-urls", why))?;
    order::sort(&mut advertised);
    match cluster.member(&options.name) {
        Some(own) if own.peers != advertised => {
            let why = format!("{} has {} in --initial-cluster", options.name, own.peers.join(","));
            Err(said("initial-advertise-peer-urls", why))
        }
        _ => Ok(cluster),
    }
}

fn verify(input: &Input, skip: bool) -> Result<()> {
    if skip {
        return Ok(());
    }
    match trailer::check(&input.file).map_err(|error| input.wrong(error))? {
        Trailer::Matches => Ok(()),
        Trailer::Missing => Err(input
            .wrong("has no sha256: it was cut, or is no snapshot but a member's file (--skip-hash-check takes it)")),
        Trailer::Differs { recorded, computed } => {
            let hex = |sum: &[u8]| sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            Err(input.wrong(format_args!("has the sha256 {}, but {} is recorded", hex(&computed), hex(&recorded))))
        }
    }
}

/// Copies all but what says whose member it was. Returns the last revision.
fn rewrite(
    input: &Input,
    bolt: &Bolt,
    store: &Store,
    cluster: &Cluster,
    options: &Restore,
    writer: &mut Writer,
) -> Result<i64> {
    let broken = |error: file::Error| input.broken(bolt, error);
    let unwritten = |error: io::Error| Error::message(format_args!("the new database: {}", reason(&error)));
    let mut last = Revision { main: 1, sub: 0, tombstone: false };
    let seen = Seen::new(bolt);
    let mut buckets: Vec<_> =
        store.buckets.iter().map(|bucket| (bucket.name.clone(), bucket.sequence, Some(bucket))).collect();
    for name in [&b"members"[..], b"members_removed", b"meta"] {
        if store.bucket(name).is_none() {
            buckets.push((name.to_vec(), 0, None));
        }
    }
    order::sort_by(&mut buckets, |(a, ..), (b, ..)| a.cmp(b));
    for (name, sequence, bucket) in buckets {
        writer.bucket(&name, sequence).map_err(unwritten)?;
        let mut changed: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        if name == b"members" {
            changed
                .extend(cluster.members.iter().map(|member| (member.key().into_bytes(), member.json().into_bytes())));
        }
        let drops = name == b"members" || name == b"members_removed";
        if let Some(bucket) = bucket.filter(|_| !drops) {
            let mut rows = bolt.rows(bucket, &seen).map_err(broken)?;
            while let Some(row) = rows.next().map_err(broken)? {
                if row.is_bucket {
                    return Err(input.wrong("a bucket within a bucket, which etcd has none of"));
                }
                if name == b"meta" {
                    if changed.len() == MOST_PAIRS {
                        return Err(input.wrong("bucket meta: has more pairs than etcd has"));
                    }
                    changed.insert(row.key.to_vec(), row.value.to_vec());
                    continue;
                }
                if name == b"key" {
                    let malformed = file::Error::Pair("key", "has a key that is no revision");
                    last = Revision { tombstone: false, ..Revision::parse(row.key).ok_or(malformed).map_err(broken)? };
                }
                writer.pair(row.key, row.value).map_err(unwritten)?;
            }
        }
        if name == b"key" && options.bump_revision > 0 {
            let bump = i64::try_from(options.bump_revision).ok().and_then(|bump| last.main.checked_add(bump));
            last.main = bump.ok_or_else(|| Error::message("--bump-revision: more than there are revisions"))?;
            writer.pair(&last.to_key(), b"").map_err(unwritten)?;
        }
        if name == b"meta" {
            changed.insert(b"consistent_index".to_vec(), cluster.commit().to_be_bytes().to_vec());
            changed.insert(b"term".to_vec(), TERM.to_be_bytes().to_vec());
            if options.mark_compacted {
                let compacted = Revision { main: last.main, sub: 0, tombstone: false };
                changed.insert(b"scheduledCompactRev".to_vec(), compacted.to_key());
            }
        }
        for (key, value) in changed {
            writer.pair(&key, &value).map_err(unwritten)?;
        }
    }
    Ok(last.main)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_empty(cx: &Context<'_>, path: &Path) -> Result<bool> {
    let read = cx.files.directory(path).and_then(|directory| Ok(directory.read()?.next().is_none()));
    read.map_err(|error| wrong(path, reason(&error)))
}

fn sync(directory: &Path) -> io::Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    File::from(open(directory, flags, Mode::empty())?).sync_all()
}

/// What was made, which goes away again unless all of it is.
#[derive(Default)]
struct Made(Vec<(PathBuf, UnlinkatFlags)>);

impl Made {
    /// Whether it was not there before.
    fn directory(&mut self, path: &Path) -> io::Result<bool> {
        match mkdir(path, Mode::S_IRWXU) {
            Ok(()) => {
                self.0.push((path.to_path_buf(), UnlinkatFlags::RemoveDir));
                Ok(true)
            }
            Err(nix::errno::Errno::EEXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn file(&mut self, path: &Path) -> io::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = File::from(open(path, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
        self.0.push((path.to_path_buf(), UnlinkatFlags::NoRemoveDir));
        Ok(file)
    }

    fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for (path, flags) in self.0.drain(..).rev() {
            let _ = unlinkat(nix::fcntl::AT_FDCWD, &path, flags);
        }
    }
}
