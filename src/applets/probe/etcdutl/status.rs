//! `snapshot status` and `hashkv`.

use std::io::Write;
use std::path::PathBuf;

use super::{Format, Input, frame};
use crate::applet::{Context, Exit, Result};
use crate::output::{Safe, json};
use crate::protocol::etcd::file::bolt::Seen;
use crate::protocol::etcd::file::store::{self, Store};

#[derive(clap::Args)]
pub struct Status {
    #[arg(value_name = "DB")]
    file: PathBuf,
}

#[derive(clap::Args)]
pub struct HashKv {
    /// At this revision; 0 is the last
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    rev: i64,
    #[arg(value_name = "DB")]
    file: PathBuf,
}

pub fn status(cx: &mut Context<'_>, options: &Status, format: Format) -> Result<Exit> {
    let input = Input::open(cx, &options.file)?;
    let bolt = input.bolt()?;
    let store = Store::open(&bolt).map_err(|error| input.broken(&bolt, error))?;
    let seen = Seen::new(&bolt);
    let read = bolt.free(&seen).and_then(|_| store.status(&seen));
    let status = read.map_err(|error| input.broken(&bolt, error))?;
    input.is_whole(&bolt)?;
    input.note_sum(cx);
    show(cx, &status, store.version.as_deref(), format)?;
    Ok(Exit(0))
}

fn show(cx: &mut Context<'_>, status: &store::Status, version: Option<&[u8]>, format: Format) -> Result<()> {
    let store::Status { hash, revision, size, .. } = *status;
    let count = status.keys.unwrap_or(status.rows);
    let mut values = vec![format!("{hash:x}"), revision.to_string(), count.to_string(), decimal(size)];
    let mut titles = vec!["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE"];
    if let Some(version) = version {
        values.push(Safe(version).to_string());
        titles.push("VERSION");
    }
    match format {
        Format::Simple => writeln!(cx.io.out, "{}", values.join(", "))?,
        Format::Table => frame(cx, &titles, &values)?,
        Format::Json => {
            let mut text =
                format!("{{\"hash\":{hash},\"revision\":{revision},\"totalKey\":{count},\"totalSize\":{size}");
            if let Some(version) = version {
                text.push_str(",\"version\":");
                json::string(&mut text, &String::from_utf8_lossy(version));
            }
            writeln!(cx.io.out, "{text}}}")?;
        }
        Format::Fields => {
            let text = format!("\"Hash\" : {hash}\n\"Revision\" : {revision}\n\"Keys\" : {count}\n\"Size\" : {size}\n");
            cx.io.out.write_all(text.as_bytes())?;
            if let Some(version) = version {
                writeln!(cx.io.out, "\"Version\" : {}", Safe(version))?;
            }
        }
        Format::Protobuf => return Err(format.unsupported()),
    }
    Ok(())
}

/// Bytes as Go's humanize package has them: powers of 1000, one digit behind the point below ten.
fn decimal(size: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if size < 10 {
        return format!("{size} B");
    }
    let mut power = 0;
    while size / 1000u64.pow(power as u32) >= 1000 && power + 1 < UNITS.len() {
        power += 1;
    }
    let value = (size as f64 / 1000f64.powi(power as i32) * 10.0 + 0.5).floor() / 10.0;
    let unit = UNITS[power];
    if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

pub fn hash(cx: &mut Context<'_>, options: &HashKv, format: Format) -> Result<Exit> {
    let input = Input::open(cx, &options.file)?;
    let bolt = input.bolt()?;
    let store = Store::open(&bolt).map_err(|error| input.broken(&bolt, error))?;
    let revision = Some(options.rev).filter(|revision| *revision > 0);
    let found = store.hash(revision).map_err(|refusal| input.refused(&bolt, &refusal))?;
    input.is_whole(&bolt)?;
    input.note_sum(cx);
    let store::Hash { hash, revision, compacted } = found;
    let out = &mut cx.io.out;
    match format {
        Format::Simple => writeln!(out, "{hash}, {revision}, {compacted}")?,
        Format::Json => {
            writeln!(out, "{{\"hash\":{hash},\"hashRevision\":{revision},\"compactRevision\":{compacted}}}")?;
        }
        Format::Fields => {
            write!(out, "\"Hash\" : {hash}\n\"Hash revision\" : {revision}\n\"Compact revision\" : {compacted}\n")?;
        }
        Format::Table => {
            let values = [hash.to_string(), revision.to_string(), compacted.to_string()];
            frame(cx, &["HASH", "HASH REVISION", "COMPACT REVISION"], &values)?;
        }
        Format::Protobuf => return Err(format.unsupported()),
    }
    Ok(Exit(0))
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn sizes_as_etcd_writes_them() {
        for (size, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (10, "10 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (20_480, "20 kB"),
            (999_999, "1000 kB"),
            (1_000_000, "1.0 MB"),
            (192_434_176, "192 MB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(decimal(size), text);
        }
    }
}
