//! flush_all: making everything invalid, for somebody who knows how much that is.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use super::explain::{explain, kind_failure};
use super::options::Shared;
use super::server::Server;
use super::stats::fetch;
use super::store::lifetime;
use super::{Answer, Ask, Outcome};
use crate::applet::{Context, Error, Result};
use crate::output::{Safe, json::Object, units};
use crate::protocol::memcached::text::number;

/// Make everything that is stored invalid, now or after DELAY
///
/// Without --yes nothing is sent but a question, and what would be lost is told.
#[derive(clap::Parser)]
#[command(name = "memcached flush_all", override_usage = "probe memcached [OPTIONS] [ADDRESS] flush_all --yes [DELAY]")]
pub struct Flush {
    #[command(flatten)]
    shared: Shared,
    /// Really
    #[arg(long)]
    yes: bool,
    #[arg(value_name = "DELAY", hide = true)]
    delay: Option<OsString>,
    #[arg(skip)]
    seconds: u32,
}

/// What is longer is a date for the server.
const LONGEST: u64 = 30 * 86400;

impl Ask for Flush {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn check(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        let Some(delay) = &self.delay else { return Ok(()) };
        let seconds = lifetime(delay.as_bytes()).filter(|seconds| *seconds <= LONGEST);
        let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
        self.seconds = seconds.ok_or_else(|| {
            Error::usage(format_args!("{}: a delay is a number and s, m, h or d, at most 30 days", Safe::os(delay)))
        })?;
        Ok(())
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let mut session = server.open(cx, &self.shared)?;
        let stats = fetch(server, &mut session, None, self.shared.timeout)?;
        let named = |name: &[u8]| {
            let found = stats.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            found.and_then(|value| number(value))
        };
        let (items, bytes) = (named(b"curr_items"), named(b"bytes"));
        let much = match (items, bytes) {
            (Some(items), Some(bytes)) => format!("{items} items, {}", units::bytes(bytes)),
            _ => String::from("all items"),
        };
        if !self.yes {
            let text = format!("{much} would be lost: not sent without --yes");
            return Err(kind_failure("not-confirmed", text).into());
        }
        session.again(self.shared.timeout);
        let flushed = session.client.flush(self.seconds);
        flushed.map_err(|trouble| explain(server, &trouble, self.shared.timeout))?;
        if !self.shared.json {
            let when = match self.seconds {
                0 => String::from("gone"),
                seconds => format!("gone in {}", units::duration(seconds.into())),
            };
            writeln!(cx.io.out, "OK, {much} {when}")?;
        }
        let mut data = Object::new();
        data.number("items", items).number("bytes", bytes).number("delay_seconds", Some(self.seconds.into()));
        Ok(Answer::new(0, data))
    }
}
