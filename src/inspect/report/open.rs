//! What the target's first process has open, and the deleted files among it, whose room comes back only when they are
//! closed.

use super::{Scene, Section};
use crate::inspect::Level;
use crate::output::json::Object;
use crate::output::{Safe, units};
use crate::target::descriptors::Descriptors;

/// Deleted files that people see.
const SHOWN: usize = 4;

/// As many bytes in deleted files are missed elsewhere.
const MISSED: u64 = 100 << 20;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("open");
    let found = match &scene.open {
        Ok(found) => found,
        Err(error) => {
            section.unread("count", error);
            for key in ["count", "sockets", "pipes", "files", "deleted", "deleted_bytes", "deleted_files"] {
                section.object.null(key);
            }
            return section;
        }
    };
    let Descriptors { count, sockets, pipes, files, others, deleted_count, unread, .. } = *found;
    let more = if unread > 0 { format!(", {unread} not looked at") } else { String::new() };
    section
        .fact("count", format_args!("{count}: {sockets} sockets, {pipes} pipes, {files} files, {others} others{more}"));
    let bytes = found.deleted.iter().filter_map(|file| file.bytes).fold(0u64, u64::saturating_add);
    if deleted_count > 0 {
        let level = if bytes >= MISSED { Level::Warn } else { Level::Note };
        let text = format!("{deleted_count} files, {}", units::bytes(bytes));
        section.finding(level, "deleted", text, "their room comes back when they are closed");
        for file in found.deleted.iter().take(SHOWN) {
            let size = file.bytes.map_or_else(|| String::from("unknown size"), units::bytes);
            section.fact("deleted", format_args!("{} {} ({size})", file.descriptor, Safe(&file.path)));
        }
    }
    section.object.number("count", Some(count)).number("sockets", Some(sockets)).number("pipes", Some(pipes));
    section.object.number("files", Some(files)).number("deleted", Some(deleted_count));
    section.object.number("deleted_bytes", Some(bytes));
    section.object.objects(
        "deleted_files",
        found.deleted.iter().map(|file| {
            let mut row = Object::new();
            row.number("descriptor", u64::try_from(file.descriptor).ok()).bytes("path", &file.path);
            row.number("bytes", file.bytes);
            row
        }),
    );
    section
}
