//! watch: the events of a key, a range or a prefix, for ever; a command for each of them behind `--`; several watches read
//! from standard input with `-i`. A watch goes on at another endpoint, behind the last event, when its own is lost.
//! Longer than most, because the words, the stream and the typed watches share one state.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use prost::Message;

use super::show::{Fields, Json, Manner, array, header_json, pair_json};
use super::table::COMMANDS;
use super::{Format, Session, flags, golang, kv, status, txn};
use crate::applet::{Error, Exit, Result, reason};
use crate::net::Deadline;
use crate::output::Safe;
use crate::protocol::etcd::client::{Next, Stream, decode};
use crate::protocol::etcd::message::{
    Event, EventType, WATCH, WatchAction, WatchCreate, WatchProgress, WatchRequest, WatchResponse,
};
use crate::protocol::etcd::{Client, Failure};

/// Between attempts to reach a server that is gone.
const PAUSE: Duration = Duration::from_millis(500);

/// One watch of a stream.
struct Watch {
    /// As it would be asked for again.
    request: WatchCreate,
    command: Vec<Vec<u8>>,
    /// Once the server has created it.
    id: Option<i64>,
}

/// What words ask for: the key and its range, and the command for each event.
struct Wanted {
    words: Vec<Vec<u8>>,
    command: Vec<Vec<u8>>,
}

pub fn watch(session: &mut Session<'_, '_>) -> Result<Exit> {
    let variable = |session: &Session<'_, '_>, name: &str| {
        session.cx.env.get(name).map(|value| std::os::unix::ffi::OsStrExt::as_bytes(value).to_vec()).unwrap_or_default()
    };
    let key = variable(session, "ETCDCTL_WATCH_KEY");
    let end = variable(session, "ETCDCTL_WATCH_RANGE_END");
    if key.is_empty() && !end.is_empty() {
        let end = golang::quote(&end);
        let complaint = format!("ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END={end}");
        return Err(session.fail(status::BAD_ARGS, complaint));
    }
    let named: Vec<Vec<u8>> = [key, end].into_iter().filter(|word| !word.is_empty()).collect();
    let mut watcher = Watcher { named, watches: Vec::new(), revision: 0, foreign: 0 };
    if session.bool("interactive") {
        return watcher.interactive(session);
    }
    let wanted = watcher.wanted(session)?;
    let watch = create(session, wanted)?;
    watcher.watches.push(watch);
    let mut client = session.client()?;
    let mut stream = watcher.start(&mut client).map_err(|failure| session.failed(&failure))?;
    loop {
        match client.next(&mut stream, None, None) {
            Ok(Next::Message(bytes)) => {
                let reply = decode(&bytes).map_err(|failure| session.failed(&failure))?;
                watcher.handle(session, &reply)?;
                if watcher.watches.is_empty() {
                    return Err(session.fail(status::INTERRUPTED, "watch is canceled by the server"));
                }
            }
            Ok(Next::Other) => {}
            Ok(Next::End) => stream = watcher.again(session, &mut client)?,
            Err(failure) if watcher.may_pass(&client, &failure) => stream = watcher.again(session, &mut client)?,
            Err(failure) => return Err(session.failed(&failure)),
        }
    }
}

/// A watch, from the flags and words that are in force.
fn create(session: &mut Session<'_, '_>, wanted: Wanted) -> Result<Watch> {
    let prefix = session.bool("prefix");
    session.expect(!wanted.words.is_empty(), "bad number of arguments")?;
    let both = "`range_end` and `--prefix` are mutually exclusive";
    session.expect(!(prefix && wanted.words.len() == 2), both)?;
    let (key, range_end) = kv::range_of(&wanted.words, prefix, false);
    let request = WatchCreate {
        key,
        range_end,
        start_revision: session.number("rev"),
        progress_notify: session.bool("progress-notify"),
        prev_kv: session.bool("prev-kv"),
        watch_id: 0,
        fragment: false,
    };
    Ok(Watch { request, command: wanted.command, id: None })
}

struct Watcher {
    /// What the variables name.
    named: Vec<Vec<u8>>,
    watches: Vec<Watch>,
    /// Of the last answer.
    revision: i64,
    /// How many endpoints in a row were something else than etcd.
    foreign: usize,
}

impl Watcher {
    /// The words in force, with what stands behind `--` as the command.
    fn wanted(&self, session: &mut Session<'_, '_>) -> Result<Wanted> {
        let given = session.given.words.clone();
        let at = session.given.separator;
        let (words, command) = given.split_at(at.unwrap_or(given.len()));
        let separator = "bad number of arguments (found separator --, but no commands)";
        session.expect(at.is_none() || !command.is_empty(), separator)?;
        let conflict = "bad number of arguments (found conflicting environment key)";
        session.expect(words.is_empty() || self.named.is_empty(), conflict)?;
        session.expect(!(words.is_empty() && self.named.is_empty()), "bad number of arguments")?;
        let words = if words.is_empty() { self.named.clone() } else { words.to_vec() };
        Ok(Wanted { words, command: command.to_vec() })
    }

    /// Asks for all the watches on a new stream.
    fn start(&mut self, client: &mut Client<'_>) -> std::result::Result<Stream, Failure> {
        let mut stream = client.open(WATCH, true)?;
        for watch in &mut self.watches {
            watch.id = None;
            send(client, &mut stream, watch)?;
        }
        Ok(stream)
    }

    /// Whether another try may find an etcd: not where nothing else was found at any endpoint.
    fn may_pass(&mut self, client: &Client<'_>, failure: &Failure) -> bool {
        let foreign = |failure: &Failure| matches!(failure, Failure::Foreign(_));
        self.foreign = match failure {
            Failure::At(all) if all.iter().all(|(_, failure)| foreign(failure)) => client.endpoints().len(),
            failure if foreign(failure) => self.foreign + 1,
            _ => 0,
        };
        failure.is_transport() && self.foreign < client.endpoints().len()
    }

    /// The same after the stream was lost, at whichever endpoint answers again, however long that takes.
    fn again<'c>(&mut self, session: &mut Session<'_, 'c>, client: &mut Client<'c>) -> Result<Stream> {
        let mut said = false;
        loop {
            client.abandon();
            match self.start(client) {
                Ok(stream) => return Ok(stream),
                Err(failure) if self.may_pass(client, &failure) => {
                    if !said {
                        session.cx.note(format_args!("{failure}: trying again"));
                        said = true;
                    }
                }
                Err(failure) => return Err(session.failed(&failure)),
            }
            let _ = crate::net::wait(&mut [], Deadline::after(PAUSE));
        }
    }

    /// What one answer says: shows events, and runs the commands for them.
    fn handle(&mut self, session: &mut Session<'_, '_>, reply: &WatchResponse) -> Result<()> {
        if reply.created && !reply.canceled {
            // They are created in the order in which they were asked for.
            if let Some(watch) = self.watches.iter_mut().find(|watch| watch.id.is_none()) {
                watch.id = Some(reply.watch_id);
            }
            return Ok(());
        }
        let revision = reply.header.map_or(0, |header| header.revision);
        self.revision = revision;
        if reply.canceled {
            session.cx.io.out.flush()?;
            let why = match (reply.compact_revision, reply.cancel_reason.as_str()) {
                (1.., _) => "etcdserver: mvcc: required revision has been compacted",
                (_, "") => "etcdserver: mvcc: required revision is a future revision",
                (_, why) => why,
            };
            let line = format!("watch was canceled ({})\n", Safe(why.as_bytes()));
            let _ = session.cx.io.err.write_all(line.as_bytes());
        } else if reply.events.is_empty() && revision != 0 {
            session.write(format!("progress notify: {revision}\n"))?;
        }
        let shown = show(session, reply)?;
        session.write(shown)?;
        session.cx.io.out.flush()?;
        let at = match reply.created {
            // Refused as soon as it was asked for.
            true => self.watches.iter().position(|watch| watch.id.is_none()),
            false => self.watches.iter().position(|watch| watch.id == Some(reply.watch_id)),
        };
        let Some(at) = at else { return Ok(()) };
        if reply.canceled {
            self.watches.remove(at);
            return Ok(());
        }
        let Some(watch) = self.watches.get_mut(at) else { return Ok(()) };
        if let Some(last) = reply.events.iter().filter_map(|event| event.kv.as_ref()).map(|kv| kv.mod_revision).max() {
            watch.request.start_revision = last.saturating_add(1);
        }
        let command = watch.command.clone();
        if !command.is_empty() {
            for event in &reply.events {
                run(session, &command, revision, event)?;
            }
        }
        Ok(())
    }

    /// Watches that are typed.
    fn interactive(&mut self, session: &mut Session<'_, '_>) -> Result<Exit> {
        let mut client = session.client()?;
        let mut stream = self.start(&mut client).map_err(|failure| session.failed(&failure))?;
        let input = session.cx.io.stdin.try_clone()?;
        let mut held: Vec<u8> = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            while let Some(end) = memchr::memchr(b'\n', &held) {
                let line: Vec<u8> = held.drain(..=end).collect();
                self.line(session, &mut client, &mut stream, line.trim_ascii_end())?;
            }
            match client.next(&mut stream, None, Some(input.as_fd())) {
                Ok(Next::Message(bytes)) => {
                    let reply = decode(&bytes).map_err(|failure| session.failed(&failure))?;
                    self.handle(session, &reply)?;
                }
                Ok(Next::Other) => match (&input).read(&mut buffer) {
                    Ok(length) if length > 0 => held.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                    Ok(_) => {
                        let complaint = "Error reading watch request line: EOF";
                        return Err(session.fail(status::INVALID_INPUT, complaint));
                    }
                    Err(error) => {
                        let complaint = format!("Error reading watch request line: {}", reason(&error));
                        return Err(session.fail(status::INVALID_INPUT, complaint));
                    }
                },
                Ok(Next::End) => stream = self.again(session, &mut client)?,
                Err(failure) if self.may_pass(&client, &failure) => stream = self.again(session, &mut client)?,
                Err(failure) => return Err(session.failed(&failure)),
            }
        }
    }

    /// `watch [flags] KEY [END] [-- COMMAND]`, or `progress`.
    fn line<'c>(
        &mut self,
        session: &mut Session<'_, 'c>,
        client: &mut Client<'c>,
        stream: &mut Stream,
        line: &[u8],
    ) -> Result<()> {
        let complain = |session: &mut Session<'_, '_>, text: String| {
            let _ = session.cx.io.err.write_all(text.as_bytes());
            Ok(())
        };
        let shown = Safe(line);
        let words = txn::words(line).unwrap_or_default();
        match words.first().map(Vec::as_slice) {
            Some(b"watch") if words.len() < 2 && self.named.is_empty() => {
                complain(session, format!("Invalid command {shown} (command type or key is not provided)\n"))
            }
            Some(b"watch") => {
                let command = session.command;
                let read = COMMANDS.iter().find(|command| command.path == ["watch"]).map(|command| command.flags);
                let given = match flags::read(read.unwrap_or_default(), words.get(1..).unwrap_or_default()) {
                    Ok((given, _)) => given,
                    Err(why) => return Err(session.fail(status::BAD_ARGS, why)),
                };
                let own = std::mem::replace(&mut session.given, given);
                // What the command line says of how to write holds here too.
                session.given.values.extend(own.values.iter().filter(|(name, _)| *name == "hex").cloned());
                let made = self.wanted(session).and_then(|wanted| create(session, wanted));
                (session.given, session.command) = (own, command);
                let mut watch = made?;
                send(client, stream, &mut watch).map_err(|failure| session.failed(&failure))?;
                self.watches.push(watch);
                Ok(())
            }
            Some(b"progress") => {
                let request = WatchRequest { action: Some(WatchAction::Progress(WatchProgress {})) };
                client.send(stream, &request, false).map_err(|failure| session.failed(&failure))
            }
            None => complain(session, format!("Invalid command: {shown} (watch and progress supported)\n")),
            Some(_) => complain(session, format!("Invalid command {shown} (only support watch)\n")),
        }
    }
}

fn send(client: &mut Client<'_>, stream: &mut Stream, watch: &mut Watch) -> std::result::Result<(), Failure> {
    client.send(stream, &WatchRequest { action: Some(WatchAction::Create(watch.request.clone())) }, false)
}

fn type_name(event: &Event) -> &'static str {
    if event.r#type == EventType::Delete as i32 { "DELETE" } else { "PUT" }
}

fn show(session: &mut Session<'_, '_>, reply: &WatchResponse) -> Result<Vec<u8>> {
    let manner = session.manner();
    Ok(match session.format {
        Format::Simple => simple(reply, manner),
        Format::Fields => fields(reply, manner.hex).into_bytes(),
        Format::Json => (json(reply) + "\n").into_bytes(),
        // Neither which watch it is, nor why it ended.
        Format::Protobuf => {
            let named = WatchResponse { watch_id: 0, cancel_reason: String::new(), fragment: false, ..reply.clone() };
            named.encode_to_vec()
        }
        Format::Table => return Err(session.unsupported()),
    })
}

fn simple(reply: &WatchResponse, manner: Manner) -> Vec<u8> {
    let mut out = Vec::new();
    for event in &reply.events {
        out.extend_from_slice(format!("{}\n", type_name(event)).as_bytes());
        event.prev_kv.iter().chain(&event.kv).for_each(|pair| manner.pair(&mut out, pair));
    }
    out
}

fn fields(reply: &WatchResponse, hex: bool) -> String {
    let mut fields = Fields { out: String::new(), hex };
    fields.header(reply.header.as_ref());
    for event in &reply.events {
        fields.line("Type", type_name(event));
        event.prev_kv.iter().for_each(|pair| fields.pair("Prev", pair));
        event.kv.iter().for_each(|pair| fields.pair("", pair));
    }
    fields.out
}

fn json(reply: &WatchResponse) -> String {
    let event = |event: &Event| {
        let mut json = Json::new();
        json.number("type", event.r#type);
        if let Some(pair) = &event.kv {
            json.raw("kv", &pair_json(pair));
        }
        if let Some(pair) = &event.prev_kv {
            json.raw("prev_kv", &pair_json(pair));
        }
        json.finish()
    };
    let events = match reply.events.as_slice() {
        [] => String::from("null"),
        events => array(events.iter().map(event)),
    };
    let truth = |value: bool| if value { "true" } else { "false" };
    Json::new()
        .raw("Header", &header_json(&reply.header.unwrap_or_default()))
        .raw("Events", &events)
        .raw("CompactRevision", &reply.compact_revision.to_string())
        .raw("Canceled", truth(reply.canceled))
        .raw("Created", truth(reply.created))
        .finish()
}

/// The command for an event, which finds it in its environment.
fn run(session: &mut Session<'_, '_>, command: &[Vec<u8>], revision: i64, event: &Event) -> Result<()> {
    let pair = event.kv.clone().unwrap_or_default();
    let variables = [
        ("ETCD_WATCH_REVISION", revision.to_string()),
        ("ETCD_WATCH_EVENT_TYPE", golang::quote(type_name(event).as_bytes())),
        ("ETCD_WATCH_KEY", golang::quote(&pair.key)),
        ("ETCD_WATCH_VALUE", golang::quote(&pair.value)),
    ];
    let status = session.run(command, &variables)?;
    if status == 0 {
        return Ok(());
    }
    let words: Vec<String> = command.iter().map(|word| golang::quote(word)).collect();
    let line = format!("command [{}] error (exit status {status})\n", words.join(" "));
    session.cx.io.out.flush()?;
    let _ = session.cx.io.err.write_all(line.as_bytes());
    Err(Error::Exit(Exit(status::ERROR)))
}
