//! What is told of the changes, to people and to machines.

use std::io::Write;

use nix::sys::stat::FileStat;

use super::pristine::Skipped;
use crate::applet::{Context, Result};
use crate::output::json::Object;
use crate::output::table::{self, Cell, Column};
use crate::output::{Safe, mode, units};
use crate::target::{Files, Users, Whose};

const COLUMNS: [Column; 6] = [
    Column::left("CHANGE", "change", 7),
    Column::left("MODE", "mode", 10),
    Column::left("OWNER", "owner", 11),
    Column::right("SIZE", "size", 5),
    Column::left("WHAT", "what", 12),
    Column::left("PATH", "path", 0),
];

pub struct Report<'a> {
    users: Users<'a>,
    json: bool,
    /// Only the counts.
    summary: bool,
    headed: bool,
    added: u64,
    changed: u64,
    removed: u64,
    unread: u64,
    skipped: u64,
    /// The sizes of the files that were added.
    bytes: u64,
}

fn kind(stat: &FileStat) -> &'static str {
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => "file",
        libc::S_IFDIR => "directory",
        libc::S_IFLNK => "link",
        libc::S_IFIFO => "fifo",
        libc::S_IFSOCK => "socket",
        _ => "device",
    }
}

fn size(stat: &FileStat) -> Option<u64> {
    (stat.st_mode & libc::S_IFMT == libc::S_IFREG).then(|| u64::try_from(stat.st_size).unwrap_or(0))
}

fn describe(object: &mut Object, stat: &FileStat) {
    object.text("kind", kind(stat)).text("mode", &format!("{:04o}", stat.st_mode & 0o7777));
    object.number("uid", Some(u64::from(stat.st_uid))).number("gid", Some(u64::from(stat.st_gid)));
    object.number("size", size(stat));
}

impl<'a> Report<'a> {
    pub fn new(files: &'a Files, json: bool, summary: bool) -> Report<'a> {
        let users = Users::new(files);
        let (added, changed, removed, unread, skipped, bytes) = (0, 0, 0, 0, 0, 0);
        Report { users, json, summary, headed: false, added, changed, removed, unread, skipped, bytes }
    }

    pub fn drifted(&self) -> bool {
        self.added + self.changed + self.removed > 0
    }

    /// What is only in the target, or only in its image.
    pub fn alone(&mut self, cx: &mut Context<'_>, path: &[u8], stat: &FileStat, added: bool) -> Result<()> {
        if added {
            self.added += 1;
            self.bytes += size(stat).unwrap_or(0);
        } else {
            self.removed += 1;
        }
        self.row(cx, if added { "added" } else { "removed" }, path, stat, kind(stat))
    }

    pub fn changed(
        &mut self,
        cx: &mut Context<'_>,
        path: &[u8],
        old: &FileStat,
        new: &FileStat,
        what: &[&str],
    ) -> Result<()> {
        self.changed += 1;
        if self.json && !self.summary {
            let mut object = Object::new();
            object.text("change", "changed").bytes("path", path);
            describe(&mut object, new);
            object.strings("what", what.iter().map(|what| what.as_bytes()));
            let mut was = Object::new();
            describe(&mut was, old);
            object.object("was", was);
            writeln!(cx.io.out, "{}", object.finish())?;
            return Ok(());
        }
        // What it was, where the row shows what it is.
        let shown = what.iter().map(|what| match *what {
            "mode" => format!("mode (was {})", mode::string(old.st_mode)),
            "owner" => format!("owner (was {})", String::from_utf8_lossy(&self.owner(old))),
            "kind" => format!("kind (was {})", kind(old)),
            "content" if old.st_size != new.st_size => format!("content (was {})", short(old)),
            what => String::from(what),
        });
        let shown = shown.collect::<Vec<_>>().join(", ");
        self.row(cx, "changed", path, new, &shown)
    }

    /// What could not be compared. It ends in status 2 where nothing else has changed.
    pub fn unread(&mut self, cx: &mut Context<'_>, path: &[u8], why: &str) -> Result<()> {
        self.unread += 1;
        let path = if path.is_empty() { b"/" } else { path };
        if self.json && !self.summary {
            let mut object = Object::new();
            object.text("change", "unread").bytes("path", path).text("reason", why);
            writeln!(cx.io.out, "{}", object.finish())?;
        }
        cx.warn(format_args!("{}: {why}", Safe(path)));
        Ok(())
    }

    /// A mount.
    pub fn skipped(&mut self, cx: &mut Context<'_>, mount: &Skipped) -> Result<()> {
        self.skipped += 1;
        let (side, filesystem) = match (&mount.ours, &mount.theirs) {
            (Some(ours), None) => ("ours", ours),
            (None, Some(theirs)) => ("target", theirs),
            (_, Some(theirs)) => ("both", theirs),
            (None, None) => return Ok(()),
        };
        if self.summary {
            return Ok(());
        }
        if self.json {
            let mut object = Object::new();
            object.text("change", "skipped").bytes("path", &mount.point);
            object.bytes("filesystem", filesystem).text("side", side);
            writeln!(cx.io.out, "{}", object.finish())?;
            return Ok(());
        }
        let why = match side {
            "ours" => ", on our side only: what the target has there is not compared",
            "target" => ", in the target only",
            _ => "",
        };
        let (point, filesystem) = (Safe(&mount.point), Safe(filesystem));
        writeln!(cx.io.out, "skipped {point} (mount of {filesystem}{why})")?;
        Ok(())
    }

    pub fn finish(&self, cx: &mut Context<'_>) -> Result<()> {
        let Report { added, changed, removed, unread, skipped, bytes, .. } = *self;
        if self.json {
            let mut object = Object::new();
            object.text("change", "summary").number("added", Some(added)).number("changed", Some(changed));
            object.number("removed", Some(removed)).number("unread", Some(unread)).number("skipped", Some(skipped));
            object.number("added_bytes", Some(bytes));
            writeln!(cx.io.out, "{}", object.finish())?;
            return Ok(());
        }
        let unread = if unread > 0 { format!(", {unread} could not be read") } else { String::new() };
        let bytes = units::bytes(bytes);
        writeln!(
            cx.io.out,
            "{added} added ({bytes}), {changed} changed, {removed} removed{unread}; {skipped} mounts skipped"
        )?;
        Ok(())
    }

    /// To be escaped where it is shown.
    fn owner(&self, stat: &FileStat) -> Vec<u8> {
        let shown = |name: Option<&[u8]>, id: u32| name.map_or_else(|| id.to_string().into_bytes(), <[u8]>::to_vec);
        let user = shown(self.users.user(stat.st_uid, Whose::Target), stat.st_uid);
        let group = shown(self.users.group(stat.st_gid, Whose::Target), stat.st_gid);
        [user, group].join(&b':')
    }

    fn row(&mut self, cx: &mut Context<'_>, change: &str, path: &[u8], stat: &FileStat, what: &str) -> Result<()> {
        if self.summary {
            return Ok(());
        }
        if self.json {
            let mut object = Object::new();
            object.text("change", change).bytes("path", path);
            describe(&mut object, stat);
            writeln!(cx.io.out, "{}", object.finish())?;
            return Ok(());
        }
        if !std::mem::replace(&mut self.headed, true) {
            table::heading(&mut cx.io.out, &COLUMNS)?;
        }
        let cells = [
            Cell::Text(String::from(change)),
            Cell::Text(mode::string(stat.st_mode)),
            Cell::Bytes(self.owner(stat)),
            Cell::Text(short(stat)),
            Cell::Text(String::from(what)),
            Cell::Bytes(path.to_vec()),
        ];
        table::row(&mut cx.io.out, &COLUMNS, &cells)?;
        Ok(())
    }
}

fn short(stat: &FileStat) -> String {
    size(stat).map_or_else(|| String::from("-"), units::short)
}
