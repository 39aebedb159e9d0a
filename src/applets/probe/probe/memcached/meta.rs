//! meta: meta commands by hand, which are safe to send, and whose replies are explained.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use super::explain::{explain, kind_failure};
use super::options::Shared;
use super::raw::MAX_ANSWER;
use super::server::Server;
use super::{Answer, Ask, Outcome};
use crate::applet::{Context, Error, Result};
use crate::output::{Safe, json::Object};
use crate::protocol::memcached::client::Dialect;
use crate::protocol::memcached::meta::{flag_meaning, meaning};
use crate::protocol::memcached::text::{check_key, number};

/// Send meta commands, and explain the replies: 'mg KEY s t f c h l k v'
///
/// Each COMMAND is one line: mg, ms, md, ma, mn, me, a key and flags. With --data, ms needs no length.
#[derive(clap::Parser)]
#[command(
    name = "memcached meta",
    override_usage = "probe memcached [OPTIONS] [ADDRESS] meta COMMAND... [--data TEXT]"
)]
pub struct Meta {
    #[command(flatten)]
    shared: Shared,
    /// The value of ms
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    data: Option<OsString>,
    #[arg(value_name = "COMMAND", hide = true)]
    commands: Vec<OsString>,
    #[arg(skip)]
    lines: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Ask for Meta {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn check(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        if self.commands.is_empty() {
            return Err(Error::usage("meta needs a COMMAND: mg, ms, md, ma, mn or me, a key, and flags"));
        }
        let data = self.data.as_ref().map(|data| data.as_bytes());
        let lines: Result<_> = self.commands.iter().map(|command| line(command.as_bytes(), data)).collect();
        self.lines = lines?;
        Ok(())
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let mut session = server.open(cx, &self.shared)?;
        if session.client.dialect() == Dialect::Binary {
            let text = "the binary protocol has no meta commands";
            return Err(kind_failure("not-sent", String::from(text)).into());
        }
        let mut status = 0;
        let mut objects = Vec::new();
        for (line, data) in &self.lines {
            let reply = session.client.meta(line, data.as_deref(), MAX_ANSWER);
            let (reply, value) = reply.map_err(|trouble| explain(server, &trouble, self.shared.timeout))?;
            status |= u8::from(matches!(&reply.code, b"EN" | b"NS" | b"EX" | b"NF"));
            let mut object = Object::new();
            object.bytes("sent", line).bytes("code", &reply.code).text("meaning", meaning(reply.code));
            let flags = reply.flags.iter().map(|(letter, token)| {
                let mut flag = Object::new();
                flag.bytes("flag", &[*letter]).bytes("value", token).text("meaning", flag_meaning(*letter));
                flag
            });
            object.objects("flags", flags);
            if reply.length.is_some() {
                object.bytes("value", &value);
            }
            if !reply.debug.is_empty() {
                object.bytes("internals", &reply.debug);
            }
            objects.push(object);
            if !self.shared.json {
                writeln!(cx.io.out, "{}  {}", Safe(&reply.code), meaning(reply.code))?;
                for (letter, token) in &reply.flags {
                    let shown = format!("{}{}", Safe(&[*letter]), Safe(token));
                    writeln!(cx.io.out, "  {shown:<12} {}", flag_meaning(*letter))?;
                }
                if !reply.debug.is_empty() {
                    writeln!(cx.io.out, "  {}", Safe(&reply.debug))?;
                }
                if let Some(length) = reply.length {
                    writeln!(cx.io.out, "  {length} bytes: {}", Safe(&value))?;
                }
            }
        }
        let mut all = Object::new();
        all.objects("replies", objects);
        Ok(Answer::new(status, all))
    }
}

/// A command line that is safe to send: one line, a key that fits, a length that is true, a reply that comes.
fn line(command: &[u8], data: Option<&[u8]>) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
    let wrong = |why: &str| Error::Status(2, format!("{}: {why}", Safe(command)));
    if command.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(wrong("a command is one line"));
    }
    let mut words: Vec<Vec<u8>> =
        command.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect();
    let name = words.first().map(Vec::as_slice).unwrap_or_default();
    if !matches!(name, b"mg" | b"ms" | b"md" | b"ma" | b"mn" | b"me") {
        return Err(wrong("no meta command, but mg, ms, md, ma, mn and me"));
    }
    let stores = name == b"ms";
    if name != b"mn" {
        let key = words.get(1).ok_or_else(|| wrong("needs a key"))?;
        check_key(key).map_err(|why| wrong(&why.to_string()))?;
    }
    if words.iter().skip(2).any(|word| word == b"q") {
        return Err(wrong("q would leave out the reply"));
    }
    let value = match (stores, data) {
        (false, _) => None,
        (true, None) => return Err(wrong("ms needs --data")),
        (true, Some(data)) => {
            match words.get(2).and_then(|word| number(word)) {
                Some(length) if length != data.len() as u64 => {
                    return Err(wrong(&format!("the data has {} bytes", data.len())));
                }
                Some(_) => {}
                None => words.insert(2, data.len().to_string().into_bytes()),
            }
            Some(data.to_vec())
        }
    };
    Ok((words.join(&b' '), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_lines() {
        let sent = |command: &[u8], data: Option<&[u8]>| line(command, data).map(|(line, _)| line).ok();
        assert_eq!(sent(b"mg  k s", None), Some(b"mg k s".to_vec()));
        assert_eq!(sent(b"ms k T30", Some(b"abc")), Some(b"ms k 3 T30".to_vec()));
        assert_eq!(sent(b"ms k 3", Some(b"abc")), Some(b"ms k 3".to_vec()));
        assert_eq!(sent(b"mn", None), Some(b"mn".to_vec()));
        for (command, data) in [
            (&b"get k"[..], None),
            (b"mg", None),
            (b"mg k\r\nflush_all", None),
            (b"mg k q", None),
            (b"ms k", None),
            (b"ms k 2", Some(&b"abc"[..])),
        ] {
            assert_eq!(sent(command, data), None, "{command:?}");
        }
    }
}
