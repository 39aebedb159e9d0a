//! snapshot: all of a member's database into a file, summed up on the way, read again at the end, and only then under its
//! name.

use std::io::{IsTerminal, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use ring::digest::{Context as Sum, SHA256};

use super::{Asking, Outcome, Stop};
use crate::applet::{Context, Exit, reason};
use crate::net::Deadline;
use crate::output::{Safe, units};
use crate::protocol::etcd::client::{Next, decode};
use crate::protocol::etcd::message::{SNAPSHOT, SnapshotRequest, SnapshotResponse};
use crate::protocol::etcd::snapshot::Receiver;
use crate::target::partial::Partial;

/// A line that is written over, where somebody looks at it.
pub struct Progress {
    last: Instant,
    shown: bool,
    terminal: bool,
}

impl Progress {
    pub fn new(cx: &Context<'_>) -> Progress {
        Progress { last: Instant::now(), shown: false, terminal: cx.io.err.is_terminal() }
    }

    pub fn show(&mut self, cx: &mut Context<'_>, line: &dyn Fn() -> String) {
        if self.terminal && self.last.elapsed().as_millis() >= 200 {
            let _ = cx.io.err.write_all(format!("\r{} \x1b[K", line()).as_bytes());
            (self.last, self.shown) = (Instant::now(), true);
        }
    }

    pub fn end(&self, cx: &mut Context<'_>) {
        if self.shown {
            let _ = cx.io.err.write_all(b"\r\x1b[K");
        }
    }
}

pub fn run(asking: &mut Asking<'_, '_>) -> Outcome<Exit> {
    let name = asking.words.first().cloned().unwrap_or_default();
    let path = Path::new(&name);
    let trouble = |error: &std::io::Error| Stop::new("file", format!("{}: {}", Safe::path(path), reason(error)));
    let (receiver, sum) = if name.as_bytes() == b"-" {
        receive(asking, &mut |cx, bytes| Ok(cx.io.out.write_all(bytes)?))?
    } else {
        let partial = Partial::create(asking.cx.files, path).map_err(|error| trouble(&error))?;
        let mut file = &partial.file;
        let done = receive(asking, &mut |_, bytes| file.write_all(bytes).map_err(|error| trouble(&error)))?;
        // What the disk holds, not what was sent to it.
        let written = partial.written().map_err(|error| trouble(&error))?;
        if summed(written).map_err(|error| trouble(&error))? != (done.1.clone(), done.0) {
            return Err(Stop::new("file", format!("{}: what was written is not what was sent", Safe::path(path))));
        }
        partial.keep().map_err(|error| trouble(&error))?;
        done
    };
    let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    if asking.options.json {
        let mut object = asking.door.object();
        object.bytes("file", name.as_bytes()).number("bytes", Some(receiver)).text("sha256", &hex);
        let line = object.finish() + "\n";
        match name.as_bytes() {
            b"-" => asking.cx.io.err.write_all(line.as_bytes())?,
            _ => asking.cx.io.out.write_all(line.as_bytes())?,
        }
    } else if name.as_bytes() != b"-" {
        let size = units::bytes(receiver);
        writeln!(asking.cx.io.out, "{}: {size}, complete and right: sha256 {hex}", Safe::path(path))?;
    }
    Ok(Exit(0))
}

/// Receives all of it. How much it was, and the checksum that stands at its end.
fn receive(
    asking: &mut Asking<'_, '_>,
    write: &mut dyn FnMut(&mut Context<'_>, &[u8]) -> Outcome<()>,
) -> Outcome<(u64, Vec<u8>)> {
    let timeout = asking.door.timeout;
    let client = &mut asking.door.client;
    let mut stream = client.open(SNAPSHOT, false)?;
    client.send(&mut stream, &SnapshotRequest {}, true)?;
    let mut receiver = Receiver::new();
    let mut progress = Progress::new(asking.cx);
    loop {
        match asking.door.client.next(&mut stream, Some(Deadline::after(timeout)), None)? {
            Next::Message(bytes) => {
                let part: SnapshotResponse = decode(&bytes)?;
                let bytes = receiver.take(part);
                write(asking.cx, &bytes)?;
            }
            Next::End | Next::Other => break,
        }
        progress.show(asking.cx, &|| {
            let all = receiver.total.saturating_add(receiver.left);
            format!("{} of {}", units::bytes(receiver.total), units::bytes(all))
        });
    }
    progress.end(asking.cx);
    let total = receiver.total;
    let sum = receiver.finish().map_err(|why| Stop::new("snapshot", why.to_string()))?;
    Ok((total, sum))
}

/// The checksum of all but the end of a file, which is one itself, and its length.
fn summed(mut file: std::fs::File) -> std::io::Result<(Vec<u8>, u64)> {
    let length = file.metadata()?.len();
    let mut sum = Sum::new(&SHA256);
    let mut left = length.saturating_sub(32);
    let mut block = vec![0; 64 * 1024];
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        let Some(block) = block.get_mut(..wanted) else { break };
        file.read_exact(block)?;
        sum.update(block);
        left -= wanted as u64;
    }
    Ok((sum.finish().as_ref().to_vec(), length))
}
