//! `defrag`: every pair into a new file, beside the old one or in its place.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, open, renameat};
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::{UnlinkatFlags, fchown, unlinkat};

use super::{Input, database, wrong};
use crate::applet::{Context, Exit, Result, reason};
use crate::output::{Safe, units};
use crate::protocol::etcd::file::bolt::Seen;
use crate::protocol::etcd::file::trailer;
use crate::protocol::etcd::file::writer::Writer;
use crate::protocol::etcd::file::{self, Source};
use crate::target::files::Reached;

#[derive(clap::Args)]
pub struct Defrag {
    /// Take the place of the database in this data directory, whose etcd is not running
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "output"], required_unless_present = "file")]
    data_dir: Option<PathBuf>,
    /// The new file; DB.defrag without it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Is left as it is
    #[arg(value_name = "DB")]
    file: Option<PathBuf>,
}

/// So many that earlier runs left are stepped over.
const MOST: u32 = 1000;

pub fn run(cx: &mut Context<'_>, options: &Defrag) -> Result<Exit> {
    let path = match (&options.data_dir, &options.file) {
        (Some(directory), _) => database(directory),
        (None, file) => file.clone().unwrap_or_default(),
    };
    let input = Input::open(cx, &path)?;
    let output = options.output.clone().unwrap_or_else(|| beside(&input.path, ".defrag"));
    // As long as they are held, no etcd starts on it, neither before it is replaced nor before that is on the disk.
    let mut locks = Vec::new();
    let made = match &options.data_dir {
        Some(_) => {
            locks.push(lock(&input, &input.file)?);
            let made = temporary(cx, &input.path)?;
            locks.push(lock(&input, &made.file)?);
            made.resemble(&input.file).map_err(|error| wrong(&made.path, reason(&error)))?;
            made
        }
        None => New::create(cx, &output).map_err(|error| wrong(&output, reason(&error)))?,
    };
    let (before, after) = copy(&input, &made)?;
    input.note_sum(cx);
    if options.data_dir.is_some() {
        // One that waits for the lock would go on in the old file, and all that it writes would be lost.
        if crate::sys::descriptor::is_written_elsewhere(&input.file) {
            return Err(input.wrong("an etcd has opened it meanwhile, and waits: stop it; nothing was changed"));
        }
        made.replace(&input.path)?;
        writeln!(cx.io.out, "{}: {} of {}", Safe::path(&input.path), units::bytes(after), units::bytes(before))?;
    } else {
        made.keep();
        writeln!(cx.io.out, "{}: {} of {}", Safe::path(&output), units::bytes(after), units::bytes(before))?;
    }
    Ok(Exit(0))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(ending);
    PathBuf::from(name)
}

/// A file that was not there: one that an earlier run left is not taken for ours. etcd deletes them all when it starts.
fn temporary(cx: &Context<'_>, database: &Path) -> Result<New> {
    let mut number = 0;
    loop {
        let path = beside(database, &format!(".tmp.{number}"));
        match New::create(cx, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MOST => number += 1,
            made => return made.map_err(|error| wrong(&path, reason(&error))),
        }
    }
}

fn lock(input: &Input, file: &File) -> Result<Flock<File>> {
    let file = file.try_clone().map_err(|error| input.wrong(reason(&error)))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|_| input.wrong("in use: stop its etcd first, or ask it with 'etcdctl defrag'"))
}

/// Sizes before and after.
fn copy(input: &Input, made: &New) -> Result<(u64, u64)> {
    let bolt = input.bolt()?;
    let broken = |error: file::Error| input.broken(&bolt, error);
    let unwritten = |error: io::Error| wrong(&made.path, reason(&error));
    let output = made.file.try_clone().map_err(unwritten)?;
    let mut writer = Writer::new(output, bolt.meta.page_size);
    let seen = Seen::new(&bolt);
    for bucket in bolt.buckets(&seen).map_err(broken)? {
        writer.bucket(&bucket.name, bucket.sequence).map_err(unwritten)?;
        let mut rows = bolt.rows(&bucket, &seen).map_err(broken)?;
        while let Some(row) = rows.next().map_err(broken)? {
            if row.is_bucket {
                return Err(input.wrong("a bucket within a bucket, which etcd has none of"));
            }
            writer.pair(row.key, row.value).map_err(unwritten)?;
        }
    }
    let file = writer.finish().map_err(unwritten)?;
    input.is_whole(&bolt)?;
    let size = input.file.size().map_err(|error| input.wrong(reason(&error)))?;
    // A snapshot stays one.
    if trailer::has(size) {
        let end = file.size().map_err(unwritten)?;
        let sum = trailer::compute(&file, end).map_err(|error| wrong(&made.path, error))?;
        file.write_all_at(&sum, end).and_then(|()| file.sync_all()).map_err(unwritten)?;
    }
    Ok((size, file.size().map_err(unwritten)?))
}

/// A file that goes away again unless it is finished.
struct New {
    path: PathBuf,
    /// Its directory, for calls that take no `@/`.
    within: Reached,
    file: File,
    kept: bool,
}

impl New {
    fn create(cx: &Context<'_>, path: &Path) -> io::Result<New> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let file = cx.files.open_with(path, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let within = cx.files.reach(above)?;
        Ok(New { path: path.to_path_buf(), within, file, kept: false })
    }

    /// Gives it the owner and the mode of what it is to replace: etcd may run as somebody else than who asks.
    fn resemble(&self, other: &File) -> io::Result<()> {
        let (own, other) = (fstat(&self.file)?, fstat(other)?);
        if (own.st_uid, own.st_gid) != (other.st_uid, other.st_gid) {
            fchown(&self.file, Some(other.st_uid.into()), Some(other.st_gid.into()))?;
        }
        Ok(fchmod(&self.file, Mode::from_bits_truncate(other.st_mode))?)
    }

    fn keep(mut self) {
        self.kept = true;
    }

    /// By a path that is good as long as this is.
    fn real(&self, path: &Path) -> PathBuf {
        self.within.path().join(path.file_name().unwrap_or_default())
    }

    /// Takes the place of another file in the same directory, in one step.
    fn replace(mut self, other: &Path) -> Result<()> {
        let failed = |error: io::Error| wrong(other, reason(&error));
        renameat(AT_FDCWD, &self.real(&self.path), AT_FDCWD, &self.real(other))
            .map_err(|errno| failed(errno.into()))?;
        self.kept = true;
        let directory =
            open(self.within.path(), OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
        directory.map_err(io::Error::from).and_then(|fd| File::from(fd).sync_all()).map_err(failed)
    }
}

impl Drop for New {
    fn drop(&mut self) {
        if !self.kept {
            let _ = unlinkat(AT_FDCWD, &self.real(&self.path), UnlinkatFlags::NoRemoveDir);
        }
    }
}
