//! probe memcached: the verbs, and what they have in common: which servers are asked, and how answers and failures are
//! told to people and to machines.
//!
//! Exit status: 0 yes, found, stored, healthy; 1 a meaningful no, a warning, or an unknown health; 2 a wrong use, or what is
//! not sent for the server's sake; and where there is no good answer, its category: 3 no connection, or closed without a
//! word; 4 no answer in time; 5 no memcached, or an answer that breaks off; 6 the server refuses; 7 a login is wanted, or was
//! refused; 8 TLS; 9 the verdict of `health` is fail. Of several servers the largest;
//! with `health --nagios` the statuses of a plugin, and of several servers the worst in their order.
//!
//! Longer than most, because the table of verbs is.

mod bench;
mod conns;
mod doctor;
mod explain;
mod flush;
mod health;
mod histogram;
mod keys;
mod latency;
mod many;
mod meta;
mod options;
mod raw;
mod server;
mod slabs;
mod spool;
mod stats;
mod status;
mod store;
mod top;
mod values;
mod watch;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Failure;
use crate::applet::{Context, Error, Exit, Result, nearest_of};
use crate::output::Safe;
use crate::output::json::Object;
use crate::protocol::memcached::client::Mode;
use options::Shared;
use server::Server;
use values::Getting;

/// One verb, which has been parsed.
trait Ask {
    fn shared(&self) -> &Shared;

    /// Looks at what can be judged before a server is asked.
    fn check(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        Ok(())
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> std::result::Result<Answer, Stop>;

    /// How several servers' answers, which are `NAME VALUE` lines, stand side by side.
    fn table(&self) -> Option<Table> {
        None
    }

    /// Whether an answer says by itself whose it is.
    fn has_heading(&self) -> bool {
        true
    }
}

/// What stands behind the columns of several servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Sums,
    Differences,
    /// No columns, but the samples of each metric together.
    Metrics,
    /// None either, but the worst comes first: a monitor shows one line.
    Worst,
}

/// What a verb found, besides what it has printed for people.
struct Answer {
    status: u8,
    /// For machines.
    data: Object,
}

impl Answer {
    fn new(status: u8, data: Object) -> Answer {
        Answer { status, data }
    }
}

/// Why a verb stopped.
enum Stop {
    Failure(Failure),
    Error(Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failure(failure)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

/// Of a write to standard output.
impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::Error(error.into())
    }
}

type Outcome<T> = std::result::Result<T, Stop>;

/// A row of the table of verbs.
struct Verb {
    names: &'static [&'static str],
    arguments: &'static str,
    about: &'static str,
    parse: fn(&mut Context<'_>) -> Result<Box<dyn Ask>>,
}

fn parse<T: clap::Parser + Ask + 'static>(cx: &mut Context<'_>) -> Result<Box<dyn Ask>> {
    Ok(Box::new(cx.parse::<T>()?))
}

const HEALTH: Verb = Verb {
    names: &["health"],
    arguments: "",
    about: "report with a verdict; the default",
    parse: parse::<health::Health>,
};

const VERBS: &[Verb] = &[
    Verb { names: &["ping"], arguments: "", about: "is it up, and how fast", parse: parse::<status::Ping> },
    HEALTH,
    Verb {
        names: &["doctor"],
        arguments: "",
        about: "what is wrong, and what to do about it",
        parse: parse::<doctor::Doctor>,
    },
    Verb {
        names: &["latency"],
        arguments: "",
        about: "how long each step takes, and lost packets",
        parse: parse::<latency::Latency>,
    },
    Verb {
        names: &["bench"],
        arguments: "",
        about: "operations a second, on keys of its own",
        parse: parse::<bench::Bench>,
    },
    Verb { names: &["version"], arguments: "", about: "its version", parse: parse::<status::Version> },
    Verb {
        names: &["detect"],
        arguments: "",
        about: "what the port speaks, and which login it wants",
        parse: parse::<status::Detect>,
    },
    Verb {
        names: &["stats"],
        arguments: "[NAME]",
        about: "statistics, also over an interval",
        parse: parse::<stats::Stats>,
    },
    Verb {
        names: &["settings"],
        arguments: "",
        about: "settings, also against a command line",
        parse: parse::<stats::Settings>,
    },
    Verb { names: &["slabs", "display"], arguments: "", about: "slab classes", parse: parse::<slabs::Slabs> },
    Verb { names: &["items"], arguments: "", about: "items of each slab class", parse: parse::<slabs::Items> },
    Verb {
        names: &["conns"],
        arguments: "",
        about: "connections, and how many are possible",
        parse: parse::<conns::Conns>,
    },
    Verb {
        names: &["get"],
        arguments: "KEY...",
        about: "values, raw in a pipe",
        parse: |cx| values::getting(cx, Getting::Get),
    },
    Verb {
        names: &["gets"],
        arguments: "KEY...",
        about: "values with flags and cas",
        parse: |cx| values::getting(cx, Getting::Gets),
    },
    Verb {
        names: &["gat"],
        arguments: "TIME KEY...",
        about: "values, and a new time to live",
        parse: |cx| values::getting(cx, Getting::Gat),
    },
    Verb {
        names: &["inspect"],
        arguments: "KEY...",
        about: "what the server knows of a key, leaving it as it is",
        parse: parse::<values::Inspect>,
    },
    Verb {
        names: &["set"],
        arguments: "KEY [VALUE]",
        about: "store a value",
        parse: |cx| store::storing(cx, Mode::Set),
    },
    Verb {
        names: &["add"],
        arguments: "KEY [VALUE]",
        about: "store where nothing is",
        parse: |cx| store::storing(cx, Mode::Add),
    },
    Verb {
        names: &["replace"],
        arguments: "KEY [VALUE]",
        about: "store where something is",
        parse: |cx| store::storing(cx, Mode::Replace),
    },
    Verb {
        names: &["append"],
        arguments: "KEY [VALUE]",
        about: "add to the end",
        parse: |cx| store::storing(cx, Mode::Append),
    },
    Verb {
        names: &["prepend"],
        arguments: "KEY [VALUE]",
        about: "add to the start",
        parse: |cx| store::storing(cx, Mode::Prepend),
    },
    Verb {
        names: &["cas"],
        arguments: "KEY UNIQUE [VALUE]",
        about: "store what has not changed since 'gets'",
        parse: |cx| store::storing(cx, Mode::Cas(0)),
    },
    Verb { names: &["incr"], arguments: "KEY [BY]", about: "count up", parse: |cx| store::counting(cx, true) },
    Verb {
        names: &["decr"],
        arguments: "KEY [BY]",
        about: "count down, not below 0",
        parse: |cx| store::counting(cx, false),
    },
    Verb { names: &["touch"], arguments: "KEY TIME", about: "give a new time to live", parse: parse::<store::Touch> },
    Verb { names: &["delete"], arguments: "KEY...", about: "delete", parse: parse::<store::Delete> },
    Verb {
        names: &["keys"],
        arguments: "",
        about: "list the keys, or sum up who has the memory",
        parse: parse::<keys::Keys>,
    },
    Verb {
        names: &["watch"],
        arguments: "[CLASS...]",
        about: "what it does, line by line",
        parse: parse::<watch::Watch>,
    },
    Verb { names: &["top"], arguments: "", about: "what is looked up most, live", parse: parse::<top::Top> },
    Verb {
        names: &["flush_all"],
        arguments: "--yes [DELAY]",
        about: "make all items invalid",
        parse: parse::<flush::Flush>,
    },
    Verb {
        names: &["meta"],
        arguments: "COMMAND...",
        about: "meta commands, with their flags explained",
        parse: parse::<meta::Meta>,
    },
    Verb {
        names: &["raw"],
        arguments: "TEXT...",
        about: "bytes as they are, and what comes back",
        parse: parse::<raw::Raw>,
    },
];

const MORE: &str = "\
ADDRESS is HOST[:PORT], [V6]:PORT, a path (@/PATH in the target), tls://HOST or udp://HOST. Without one: MEMCACHED_SERVERS,
else where the target listens, as its sockets and its command line tell, else 127.0.0.1:11211.
'probe memcached VERB --help' tells a verb's options, which stand behind it.
Exit status: 0 yes, 1 no or a warning, 2 usage, or not sent, 3 no connection, 4 no answer in time, 5 no memcached,
6 refused by the server, 7 login, 8 TLS, 9 unhealthy.";

/// Ask a memcached how it is, what it holds, and to hold something
#[derive(clap::Parser)]
#[command(name = "memcached", override_usage = "probe memcached [OPTIONS] [ADDRESS] [VERB [ARGUMENTS]]")]
struct General {
    #[command(flatten)]
    _shared: Shared,
}

pub fn usage() -> clap::Command {
    let line = |verb: &Verb| {
        let words = format!("{} {}", verb.names.join(", "), verb.arguments);
        format!("  {:<24} {}\n", words.trim_end(), verb.about)
    };
    let verbs: String = VERBS.iter().map(line).collect();
    <General as clap::CommandFactory>::command().after_help(format!("Verbs:\n{verbs}\n{MORE}"))
}

pub fn run(cx: &mut Context<'_>) -> Result<Exit> {
    // Before it is known what the arguments mean: also of what is wrong with them a plugin has to tell in its own way.
    let plugin = cx.args.iter().any(|arg| arg == "--nagios");
    match told(cx) {
        Err(Error::Message(why) | Error::Status(_, why) | Error::Usage(why)) if plugin => {
            writeln!(cx.io.out, "MEMCACHED UNKNOWN - {}", why.replace('|', "/"))?;
            Ok(Exit(3))
        }
        outcome => outcome,
    }
}

fn told(cx: &mut Context<'_>) -> Result<Exit> {
    let (address, verb) = split(&mut cx.args)?;
    if verb.is_none() && cx.args.iter().any(|arg| arg == "--help") {
        writeln!(cx.io.out, "{}", help())?;
        return Ok(Exit(0));
    }
    let verb = verb.unwrap_or(&HEALTH);
    let mut ask = (verb.parse)(cx)?;
    ask.check(cx)?;
    let servers = options::servers(cx, ask.shared(), address)?;
    many::ask(cx, &*ask, servers, verb.names[0])
}

fn help() -> String {
    let help = clap::Arg::new("help").long("help").action(clap::ArgAction::Help).help("Print this help");
    usage().disable_help_flag(true).arg(help).render_help().to_string().trim_end().to_string()
}

/// Takes the address and the verb out of the arguments. Before the verb only shared options are known, so that what
/// stands behind one of its own cannot be taken for a word of ours.
fn split(args: &mut Vec<OsString>) -> Result<(Option<OsString>, Option<&'static Verb>)> {
    let mut address = None;
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        let bytes = arg.as_bytes();
        if bytes.starts_with(b"-") && bytes.len() > 1 {
            match options::arity(bytes) {
                Some(arity) => at += 1 + arity,
                None => break,
            }
            continue;
        }
        if let Some(verb) = VERBS.iter().find(|verb| verb.names.iter().any(|name| name.as_bytes() == bytes)) {
            args.remove(at);
            return Ok((address, Some(verb)));
        }
        if address.is_some() {
            let mut names = VERBS.iter().flat_map(|verb| verb.names).copied();
            let hint = nearest_of(&mut names, bytes).map(|name| format!(", did you mean '{name}'?"));
            return Err(Error::usage(format_args!("{}: no such verb{}", Safe(bytes), hint.unwrap_or_default())));
        }
        address = Some(args.remove(at));
    }
    Ok((address, None))
}

/// A key that nobody else has.
fn own_key(verb: &str) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("sidebox:{verb}:{:x}", now.as_nanos()).into_bytes()
}

/// Says what became of a key, and among several servers where.
fn note_key(cx: &mut Context<'_>, server: &Server, key: &[u8], what: &str) {
    let address = if server.among { format!("{}: ", Safe(&server.address())) } else { String::new() };
    cx.note(format_args!("{address}{}: {what}", Safe(key)));
}

/// A key that has been checked: with a line break in it, it would be a command of its own.
fn check_key(key: &OsStr) -> Result<()> {
    use crate::protocol::memcached::text::BadKey;
    crate::protocol::memcached::text::check_key(key.as_bytes()).map_err(|why| {
        let hint = match why {
            BadKey::Forbidden => "; 'meta' sends it as base64: flag b",
            _ => "",
        };
        Error::Status(2, format!("{}: {why}{hint}", Safe::os(key)))
    })
}
