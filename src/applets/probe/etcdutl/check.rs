//! `check`: what a file claims about itself, verified.

use std::io::Write;
use std::path::PathBuf;

use super::{CHANGED, DIFFERS, Input};
use crate::applet::{Context, Exit, Result};
use crate::output::json::Object;
use crate::output::{Safe, units};
use crate::protocol::etcd::file::bolt::{Bolt, Bucket, Seen};
use crate::protocol::etcd::file::store::{KeyValue, Revision};
use crate::protocol::etcd::file::trailer::{self, Trailer};
use crate::protocol::etcd::file::{Error, Source};

#[derive(clap::Args)]
pub struct Check {
    #[arg(value_name = "DB")]
    file: PathBuf,
}

/// What was found.
struct Report {
    size: u64,
    sum: &'static str,
    pages: Option<(u64, u32, u64)>,
    buckets: Vec<(Vec<u8>, u64)>,
    free: Option<u64>,
    findings: Vec<String>,
}

pub fn run(cx: &mut Context<'_>, options: &Check, json: bool) -> Result<Exit> {
    let input = Input::open(cx, &options.file)?;
    let wrong = |error: Error| input.wrong(error);
    let size = input.file.size().map_err(|error| wrong(error.into()))?;
    let mut report =
        Report { size, sum: "missing", pages: None, buckets: Vec::new(), free: None, findings: Vec::new() };
    match trailer::check(&input.file).map_err(wrong)? {
        Trailer::Missing => {}
        Trailer::Matches => report.sum = "matches",
        Trailer::Differs { .. } => {
            report.sum = "differs";
            report.findings.push(String::from(DIFFERS));
        }
    }
    match Bolt::open(&input.file) {
        Ok(bolt) => {
            report.pages = Some((bolt.meta.high_water, bolt.meta.page_size, bolt.meta.transaction));
            walk(&bolt, &mut report);
            if bolt.has_changed() {
                report.findings.push(String::from(CHANGED));
            }
        }
        Err(error @ Error::Truncated { .. }) => report.findings.push(format!("{error}, and the sha256 is missing")),
        Err(error) => report.findings.push(error.to_string()),
    }
    if json {
        show_json(cx, &report)?
    } else {
        show(cx, &report)?
    }
    Ok(Exit(u8::from(!report.findings.is_empty())))
}

/// Every page once: free ones, the root's, each bucket's. A bucket that is broken does not hide the next one.
fn walk(bolt: &Bolt, report: &mut Report) {
    let seen = Seen::new(bolt);
    match bolt.free(&seen) {
        Ok(free) => report.free = free,
        Err(error) => report.findings.push(format!("free list: {error}")),
    }
    let buckets = bolt.buckets(&seen).unwrap_or_else(|error| {
        report.findings.push(format!("root: {error}"));
        Vec::new()
    });
    for bucket in &buckets {
        let mut pairs = 0;
        if let Err(error) = walk_bucket(bolt, bucket, &seen, &mut pairs) {
            report.findings.push(format!("bucket {}: {error}", Safe(&bucket.name)));
        }
        report.buckets.push((bucket.name.clone(), pairs));
    }
    if report.findings.is_empty() && !buckets.iter().any(|bucket| bucket.name == b"key") {
        report.findings.push(String::from("a database, but not of etcd: it has no bucket called key"));
    }
    let complete = report.findings.is_empty();
    match seen.missing() {
        // With a list of free pages, what is in none of the trees stands on it.
        Some(page) if complete && report.free.is_some() => {
            report.findings.push(format!("page {page} is neither used nor free"));
        }
        Some(_) if complete => report.free = Some(bolt.meta.high_water - seen.count()),
        _ => report.free = report.free.or(Some(0)).filter(|_| complete),
    }
}

fn walk_bucket(bolt: &Bolt, bucket: &Bucket, seen: &Seen, pairs: &mut u64) -> std::result::Result<(), Error> {
    let mut rows = bolt.rows(bucket, seen)?;
    while let Some(row) = rows.next()? {
        *pairs += 1;
        if row.is_bucket {
            return Err(Error::Not("holds a bucket, which none of etcd's does"));
        }
        if bucket.name == b"key" {
            Revision::parse(row.key).ok_or(Error::Not("has a key that is no revision"))?;
            KeyValue::parse(row.value).ok_or(Error::Not("has a value that is no mvccpb.KeyValue"))?;
        }
    }
    Ok(())
}

fn show(cx: &mut Context<'_>, report: &Report) -> Result<()> {
    let out = &mut cx.io.out;
    writeln!(out, "{:<9} {}", "size", units::bytes(report.size))?;
    writeln!(
        out,
        "{:<9} {}",
        "sha256",
        if report.sum == "missing" { "none, as a member's own file" } else { report.sum }
    )?;
    if let Some((count, size, transaction)) = report.pages {
        write!(out, "{:<9} {count} of {size} bytes, transaction {transaction}", "pages")?;
        match report.free {
            Some(free) => writeln!(out, ", {free} free")?,
            None => writeln!(out)?,
        }
    }
    for (name, pairs) in &report.buckets {
        writeln!(out, "{:<9} {} {pairs}", "bucket", Safe(name))?;
    }
    for finding in &report.findings {
        writeln!(out, "{:<9} {finding}", "fail")?;
    }
    Ok(writeln!(out, "{:<9} {}", "verdict", if report.findings.is_empty() { "sound" } else { "damaged" })?)
}

fn show_json(cx: &mut Context<'_>, report: &Report) -> Result<()> {
    let mut object = Object::new();
    object.number("size", Some(report.size)).text("sha256", report.sum);
    object
        .number("pages", report.pages.map(|pages| pages.0))
        .number("page_size", report.pages.map(|pages| pages.1.into()));
    object.number("transaction", report.pages.map(|pages| pages.2)).number("free", report.free);
    let buckets = report.buckets.iter().map(|(name, pairs)| {
        let mut object = Object::new();
        object.bytes("name", name).number("pairs", Some(*pairs));
        object
    });
    object.objects("buckets", buckets).strings("findings", report.findings.iter().map(String::as_bytes));
    object.text("verdict", if report.findings.is_empty() { "sound" } else { "damaged" });
    Ok(writeln!(cx.io.out, "{}", object.finish())?)
}
