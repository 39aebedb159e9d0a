//! etcdutl: looks into the files of an etcd member without a server: snapshots, the database, the write-ahead log.
//! Nothing is ever written to a file that is read.
//!
//! Standard: etcdutl of etcd 3.5 and 3.6, for `snapshot status`, `snapshot restore`, `hashkv`, `defrag`, `completion` and
//! `version`, its flags anywhere and command names as far as they are unique. What deviates:
//!
//! - `snapshot status` prints as the release does that wrote the file: 3.6 has the storage version and counts the keys
//!   that are there, 3.5 counts the pairs of all buckets.
//! - `hashkv` and `get` take every database, also one in use; etcdutl's `hashkv` rewrites the file that it reads.
//! - `defrag` writes a new file beside the old one, and takes its place only with `--data-dir`, by a rename; not
//!   where a server waits for the old one, in which it would go on, as it does under the real one.
//! - `get`, `top`, `check` and `wal dump` are our own. Where a database is expected, a data directory will do.
//! - Memory stays at a few MiB however large the file is; for `get` of many keys it is read several times instead.
//! - Messages are one line, and no log is written.
//! - `completion` knows bash, zsh and fish; with PowerShell nobody looks at a container like this.
//! - Left out: `backup` and `check v2store`, which are about the API before 2016 that etcd 3.6 has no more, and `migrate`,
//!   which changes a member's files for another release. The first and the last say so.
//!
//! Status: 0 done; 1 trouble, or `check` and `wal dump` found damage; 2 a wrong use, for which etcdutl has 1 or 128; 4 a
//! format that the command does not have.

mod check;
mod completion;
mod defrag;
mod keys;
mod restore;
mod status;
mod wal;

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::applet::{self, Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::Safe;
use crate::protocol::etcd::file::bolt::Bolt;
use crate::protocol::etcd::file::store::{Refusal, Store};
use crate::protocol::etcd::file::trailer::{self, Trailer};

pub static APPLET: Applet = Applet {
    names: &["etcdutl"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

/// Look into the files of an etcd, without a server
#[derive(clap::Parser)]
#[command(
    name = "etcdutl",
    bin_name = "etcdutl",
    infer_subcommands = true,
    disable_help_subcommand = true,
    after_help = "DB is a snapshot, a member's db, or a data directory. 'etcdutl COMMAND --help' tells more.\n\
                  Status: 0 done, 1 trouble or damage, 2 a wrong use, 4 no such format here."
)]
struct Options {
    /// simple, json, fields or table
    #[arg(short, long, value_name = "FORMAT", global = true, default_value = "simple", value_parser = format)]
    write_out: Format,
    /// The same as -w json
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// What a snapshot holds, and a new member from it
    #[command(subcommand, infer_subcommands = true, disable_help_subcommand = true)]
    Snapshot(Snapshot),
    /// Hash the history, as 'etcdctl endpoint hashkv' has it from a server
    Hashkv(status::HashKv),
    /// Keys and values
    Get(keys::Get),
    /// Where the bytes are: prefixes or keys by size
    Top(keys::Top),
    /// Visit every page once, and verify the checksum of a snapshot
    Check(check::Check),
    /// The write-ahead log
    #[command(subcommand, infer_subcommands = true, disable_help_subcommand = true)]
    Wal(Wal),
    /// Write a database anew, without its free pages
    Defrag(defrag::Defrag),
    /// A script by which bash, zsh or fish complete the words
    Completion(completion::Completion),
    /// The release that this follows
    Version,
    #[command(hide = true)]
    Backup(LeftOut),
    #[command(hide = true)]
    Migrate(LeftOut),
}

// What is said to a command that is not there does not matter.
#[derive(clap::Args)]
struct LeftOut {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _words: Vec<OsString>,
}

#[derive(clap::Subcommand)]
enum Snapshot {
    /// Hash, revision, keys and size
    Status(status::Status),
    /// Make the data directory of a new cluster's member
    Restore(restore::Restore),
}

#[derive(clap::Subcommand)]
enum Wal {
    /// Every record, with its checksum verified
    Dump(wal::Dump),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Simple,
    Json,
    Fields,
    Table,
    Protobuf,
}

fn format(text: &str) -> std::result::Result<Format, &'static str> {
    Ok(match text {
        "simple" => Format::Simple,
        "json" => Format::Json,
        "fields" => Format::Fields,
        "table" => Format::Table,
        "protobuf" => Format::Protobuf,
        _ => return Err("formats are simple, json, fields and table"),
    })
}

impl Format {
    fn unsupported(self) -> Error {
        let name = match self {
            Format::Simple => "simple",
            Format::Json => "json",
            Format::Fields => "fields",
            Format::Table => "table",
            Format::Protobuf => "protobuf",
        };
        Error::Status(4, format!("{name} not supported as output format"))
    }

    /// Whether it is JSON, for a command that has only lines for people beside it.
    fn is_json(self) -> Result<bool> {
        match self {
            Format::Json => Ok(true),
            Format::Simple => Ok(false),
            other => Err(other.unsupported()),
        }
    }
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    if cx.args.is_empty() {
        cx.io.out.write_all(applet::help(&APPLET).as_bytes())?;
        return Ok(Exit(0));
    }
    let options: Options = cx.parse()?;
    let format = if options.json { Format::Json } else { options.write_out };
    match &options.command {
        Command::Snapshot(Snapshot::Status(options)) => status::status(cx, options, format),
        Command::Snapshot(Snapshot::Restore(options)) => restore::run(cx, options),
        Command::Hashkv(options) => status::hash(cx, options, format),
        Command::Get(options) => keys::get(cx, options, format.is_json()?),
        Command::Top(options) => keys::top(cx, options, format.is_json()?),
        Command::Check(options) => check::run(cx, options, format.is_json()?),
        Command::Wal(Wal::Dump(options)) => wal::dump(cx, options, format.is_json()?),
        Command::Defrag(options) => defrag::run(cx, options),
        Command::Completion(options) => completion::run(cx, options),
        Command::Backup(_) => Err(Error::message(
            "backup: not here: it is for data of the v2 API, which etcd 3.6 has no more; for all other there is \
             'etcdctl snapshot save'",
        )),
        Command::Migrate(_) => Err(Error::message(
            "migrate: not here: it changes a member's files for another release; take the etcdutl of that release",
        )),
        Command::Version => {
            writeln!(cx.io.out, "etcdutl version: 3.6.14\nAPI version: 3.6")?;
            Ok(Exit(0))
        }
    }
}

/// The database of a data directory.
fn database(directory: &Path) -> PathBuf {
    directory.join("member/snap/db")
}

/// A file that is read, and the path of it. Never waits, whatever the path leads to.
struct Input {
    path: PathBuf,
    file: File,
}

impl Input {
    /// `within` is where the file is in a data directory.
    fn open(cx: &Context<'_>, path: &Path) -> Result<Input> {
        let input = Input::open_exactly(cx, path)?;
        let directory = input.file.metadata().is_ok_and(|metadata| metadata.is_dir());
        let input = if directory { Input::open_exactly(cx, &database(path))? } else { input };
        match input.file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            true => Ok(input),
            false => Err(input.wrong("not a regular file")),
        }
    }

    fn open_exactly(cx: &Context<'_>, path: &Path) -> Result<Input> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = cx.files.open_with(path, flags, Mode::empty()).map_err(|error| wrong(path, reason(&error)))?;
        Ok(Input { path: path.to_path_buf(), file })
    }

    fn wrong(&self, why: impl std::fmt::Display) -> Error {
        wrong(&self.path, why)
    }

    fn bolt(&self) -> Result<Bolt<'_>> {
        Bolt::open(&self.file).map_err(|error| self.wrong(error))
    }

    /// The store, where it has this revision; 0 is the last, which is none to ask for.
    fn store<'b>(&self, bolt: &'b Bolt<'b>, revision: i64) -> Result<(Store<'b>, Option<i64>)> {
        let revision = Some(revision).filter(|revision| *revision > 0);
        let store = Store::open(bolt).map_err(|error| self.broken(bolt, error))?;
        store.answers(revision).map_err(|refusal| self.refused(bolt, &refusal))?;
        Ok((store, revision))
    }

    /// What was wrong while it was read: the file, or that a server goes on writing it.
    fn broken(&self, bolt: &Bolt, why: impl std::fmt::Display) -> Error {
        match bolt.has_changed() {
            true => self.wrong(format_args!("{why} ({CHANGED})")),
            false => self.wrong(why),
        }
    }

    fn refused(&self, bolt: &Bolt, refusal: &Refusal) -> Error {
        match refusal {
            Refusal::Compacted(revision) => {
                self.wrong(format_args!("the revision is compacted; the first that is left is {revision}"))
            }
            Refusal::Future(revision) => {
                self.wrong(format_args!("there is no such revision yet; the last is {revision}"))
            }
            Refusal::File(error) => self.broken(bolt, error),
        }
    }

    /// Says so where a snapshot is not what was saved.
    fn note_sum(&self, cx: &mut Context<'_>) {
        if let Ok(Trailer::Differs { .. }) = trailer::check(&self.file) {
            cx.note(format_args!("{}: {DIFFERS}", Safe::path(&self.path)));
        }
    }

    /// Whatever was read belongs together only if nothing was written meanwhile.
    fn is_whole(&self, bolt: &Bolt) -> Result<()> {
        if bolt.has_changed() { Err(self.wrong(CHANGED)) } else { Ok(()) }
    }
}

const DIFFERS: &str = "the sha256 at the end is of other contents: the snapshot was changed or cut";

const CHANGED: &str = "a server wrote it while it was read: take a snapshot and read that";

fn wrong(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::message(format_args!("{}: {why}", Safe::path(path)))
}

/// What an argument counts.
fn bytes(text: &OsString) -> &[u8] {
    std::os::unix::ffi::OsStrExt::as_bytes(text.as_os_str())
}

/// A table as etcd draws it: titles in the middle, values to the right.
fn frame(cx: &mut Context<'_>, titles: &[&str], values: &[String]) -> Result<()> {
    let widths: Vec<usize> = titles.iter().zip(values).map(|(title, value)| title.len().max(value.len())).collect();
    let line: String = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect();
    let cells = |text: &dyn Fn(usize, usize) -> String| -> String {
        widths.iter().enumerate().map(|(index, width)| format!("| {} ", text(index, *width))).collect()
    };
    let title = cells(&|index, width| {
        let left = (width - titles[index].len()) / 2;
        format!("{}{:<2$}", " ".repeat(left), titles[index], width - left)
    });
    let value = cells(&|index, width| format!("{:>width$}", values[index]));
    Ok(writeln!(cx.io.out, "{line}+\n{title}|\n{line}+\n{value}|\n{line}+")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[track_caller]
    fn fails(args: &[&str], status: u8, err: &str) {
        let done = capture(&APPLET, args, b"");
        assert_eq!((done.status, done.out.as_str(), done.err), (status, "", format!("etcdutl: {err}\n")));
    }

    #[test]
    fn wrong_uses() {
        fails(&["nothing"], 2, "unrecognized subcommand 'nothing' (see 'etcdutl --help')");
        fails(
            &["snapshot", "status"],
            2,
            "the following required arguments were not provided: <DB> (see 'etcdutl --help')",
        );
        fails(&["snapshot", "status", "a", "b"], 2, "unexpected argument 'b' found (see 'etcdutl --help')");
        fails(
            &["hashkv", "-w", "xml", "a"],
            2,
            "invalid value 'xml' for '--write-out <FORMAT>': formats are simple, json, fields and table (see 'etcdutl --help')",
        );
        fails(&["get", "-w=table", "/none"], 4, "table not supported as output format");
        fails(&["hashkv", "/none/db"], 1, "/none/db: No such file or directory");
        fails(&["hashkv", "/dev/null"], 1, "/dev/null: not a regular file");
    }

    #[test]
    fn names_as_far_as_they_are_unique() {
        fails(&["snap", "stat", "-wjson", "/none"], 1, "/none: No such file or directory");
        let version = capture(&APPLET, &["vers"], b"");
        assert_eq!((version.status, version.out.as_str()), (0, "etcdutl version: 3.6.14\nAPI version: 3.6\n"));
    }

    #[test]
    fn help_of_all_and_of_each() {
        for (args, words) in [
            (&[][..], "Usage: etcdutl [OPTIONS] <COMMAND>"),
            (&["--help"], "Usage: etcdutl [OPTIONS] <COMMAND>"),
            (&["snapshot", "status", "--help"], "Usage: etcdutl snapshot status [OPTIONS] <DB>"),
            (&["hashkv", "--help"], "--rev <REVISION>"),
            (&["migrate", "--help"], "Usage: etcdutl migrate "),
        ] {
            let help = capture(&APPLET, args, b"");
            assert_eq!((help.status, help.err.as_str()), (0, ""), "{args:?}");
            assert!(help.out.contains(words), "{}", help.out);
        }
    }

    #[test]
    fn what_is_left_out_says_so() {
        let backup = "backup: not here: it is for data of the v2 API, which etcd 3.6 has no more; for all other there is \
                      'etcdctl snapshot save'";
        fails(&["backup", "--data-dir", "/none", "--backup-dir=/none"], 1, backup);
        let migrate =
            "migrate: not here: it changes a member's files for another release; take the etcdutl of that release";
        fails(&["migrate", "--data-dir", "/none", "--target-version", "3.5"], 1, migrate);
        fails(
            &["completion", "tcsh"],
            2,
            "invalid value 'tcsh' for '<SHELL>': shells are bash, zsh and fish (see 'etcdutl --help')",
        );
    }

    #[test]
    fn a_snapshot_with_a_wrong_sum() {
        let path = std::env::temp_dir().join(format!("sidebox-etcdutl-sum-{}", std::process::id()));
        std::fs::write(&path, [std::fs::read(VERSIONED).unwrap(), vec![0; 32]].concat()).unwrap();
        let path_ = path.to_str().unwrap();
        let made = format!("{path_}.made");
        for args in [
            &["snapshot", "status"][..],
            &["hashkv"],
            &["top"],
            &["get"],
            &["get", "--count-only"],
            &["defrag", "-o", &made],
        ] {
            let done = capture(&APPLET, &[args, &[path_]].concat(), b"");
            assert_eq!((done.status, done.err), (0, format!("etcdutl: {path_}: {DIFFERS}\n")), "{args:?}");
        }
        std::fs::remove_file(&made).unwrap();
        std::fs::remove_file(&path).unwrap();
    }

    /// One line that begins with the command's name, or none where it went well.
    #[track_caller]
    fn is_said_once(args: &[&str], what: &str) {
        let done = capture(&APPLET, args, b"");
        let is_line = done.err.starts_with("etcdutl: ") && done.err.ends_with('\n') && done.err.lines().count() == 1;
        // What `check` finds stands in its report.
        let said = if args[0] == "check" { done.err.is_empty() && !done.out.is_empty() } else { is_line };
        let whole = done.status == 0 && done.err.is_empty();
        assert!(whole || (done.status == 1 && said), "{what}: etcdutl {args:?}: {done:?}");
    }

    /// A file that is damaged in every place, and cut at many; the commands look at it in turn.
    fn damaged(name: &str, original: &str, commands: &[&[&str]]) {
        let sound = std::fs::read(original).unwrap();
        let path = std::env::temp_dir().join(format!("sidebox-etcdutl-{name}-{}", std::process::id()));
        let text = path.to_str().unwrap();
        for at in 0..sound.len() {
            let mut wrong = sound.clone();
            wrong[at] ^= if at % 2 == 0 { 0x01 } else { 0xff };
            let command = [commands[at % commands.len()], &[text]].concat();
            std::fs::write(&path, &wrong).unwrap();
            is_said_once(&command, &format!("wrong at {at}"));
            if at % 7 == 0 {
                std::fs::write(&path, &sound[..at]).unwrap();
                is_said_once(&command, &format!("cut at {at}"));
            }
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_database_with_a_wrong_byte_anywhere() {
        let commands: [&[&str]; 5] =
            [&["snapshot", "status"], &["hashkv", "--rev=5"], &["get", "--json"], &["top", "--keys"], &["check"]];
        damaged("bolt", VERSIONED, &commands);
    }

    #[test]
    fn a_log_with_a_wrong_byte_anywhere() {
        damaged("wal", RESTORED, &[&["wal", "dump"]]);
    }

    /// With two keys, of which one is no text; a third was deleted. The sums are etcdutl's own.
    const VERSIONED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/seeds/bolt/versioned");

    const RESTORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/seeds/wal/restored");

    #[track_caller]
    fn says(args: &[&str], out: &str) {
        let done = capture(&APPLET, args, b"");
        assert_eq!((done.status, done.out.as_str(), done.err.as_str()), (0, out, ""));
    }

    #[test]
    fn the_status_of_a_file_with_a_version() {
        let with = |format: &str, out: &str| says(&["snapshot", "status", VERSIONED, "-w", format], out);
        with("simple", "ace890cc, 6, 2, 4.1 kB, 3.6.0\n");
        let json = r#"{"hash":2900922572,"revision":6,"totalKey":2,"totalSize":4096,"version":"3.6.0"}"#;
        with("json", &format!("{json}\n"));
        let fields = "\"Hash\" : 2900922572\n\"Revision\" : 6\n\"Keys\" : 2\n\"Size\" : 4096\n\"Version\" : 3.6.0\n";
        with("fields", fields);
        with(
            "table",
            "+----------+----------+------------+------------+---------+\n\
             |   HASH   | REVISION | TOTAL KEYS | TOTAL SIZE | VERSION |\n\
             +----------+----------+------------+------------+---------+\n\
             | ace890cc |        6 |          2 |     4.1 kB |   3.6.0 |\n\
             +----------+----------+------------+------------+---------+\n",
        );
    }

    #[test]
    fn the_hash_in_each_format() {
        let with = |format: &str, out: &str| says(&["hashkv", VERSIONED, "-w", format], out);
        with("simple", "385846669, 6, -1\n");
        with("json", "{\"hash\":385846669,\"hashRevision\":6,\"compactRevision\":-1}\n");
        with("fields", "\"Hash\" : 385846669\n\"Hash revision\" : 6\n\"Compact revision\" : -1\n");
        with(
            "table",
            "+-----------+---------------+------------------+\n\
             |   HASH    | HASH REVISION | COMPACT REVISION |\n\
             +-----------+---------------+------------------+\n\
             | 385846669 |             6 |               -1 |\n\
             +-----------+---------------+------------------+\n",
        );
    }

    #[test]
    fn json_keys_are_a_contract() {
        says(
            &["get", VERSIONED, "--json"],
            "{\"key\":\"/a/x\",\"create_revision\":2,\"mod_revision\":4,\"version\":2,\"lease\":null,\"value\":\"3\"}\n\
             {\"key\":{\"bytes\":\"Yv8=\"},\"create_revision\":3,\"mod_revision\":3,\"version\":1,\"lease\":null,\
             \"value\":{\"bytes\":\"AP4=\"}}\n",
        );
        says(
            &["top", VERSIONED, "--json"],
            "{\"bytes\":120,\"keys\":1,\"revisions\":4,\"prefix\":\"/a/\"}\n\
             {\"bytes\":31,\"keys\":1,\"revisions\":1,\"prefix\":\"\"}\n",
        );
        says(
            &["check", VERSIONED, "-w", "json"],
            "{\"size\":4096,\"sha256\":\"missing\",\"pages\":4,\"page_size\":1024,\"transaction\":1,\"free\":0,\
             \"buckets\":[{\"name\":\"key\",\"pairs\":5},{\"name\":\"meta\",\"pairs\":1}],\"findings\":[],\
             \"verdict\":\"sound\"}\n",
        );
        let wal = capture(&APPLET, &["wal", "dump", RESTORED, "--json"], b"");
        let line = "{\"file\":\"restored\",\"offset\":320,\"type\":\"state\",\"term\":1,\"index\":null,\"bytes\":15,\
                    \"what\":\"vote f97e86855c631539, commit 2\"}";
        assert_eq!((wal.status, wal.out.lines().nth(5)), (0, Some(line)));
    }

    #[test]
    fn where_the_bytes_are_for_people() {
        says(
            &["top", VERSIONED, "--keys", "--limit", "1"],
            "    BYTES     KEYS REVISIONS KEY\n     \
                 64 B        1         2 /a/x\n     \
                 87 B        1         3 (others)\n    \
                 151 B        2         5 (all)\n",
        );
        says(&["get", VERSIONED, "--rev", "5", "/a", "--prefix"], "/a/x\n3\n/a/y\n4\n");
        says(&["get", VERSIONED, "--count-only"], "2\n");
    }
}
