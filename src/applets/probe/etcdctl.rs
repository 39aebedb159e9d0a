//! etcdctl: a stand-in for etcd's own client, version 3.6, that scripts can use in its place. No standard but that
//! program's: commands, flags, `ETCDCTL_*` variables, output (`-w simple|json|fields|table|protobuf`), messages and exit
//! status are its own.
//!
//! What deviates, and why: a flag beside its variable wins with a note (there it is fatal); a failed connection is told
//! at once, with the endpoint and the layer, and so is a member without a leader, after the time of an election (there it is
//! "context deadline exceeded" after five seconds); `--command-timeout` limits each silence of a server and not the whole of a
//! long answer; a long `get` comes in pages, all of one revision, and a long `del` goes in steps; keys and values that would
//! harm a terminal are escaped there; an unknown word behind a group's name is an error; no warnings in JSON, no logs, no bars.
//!
//! Exit status: 0 done; 1 an error of the server, no connection, unhealthy, a wrong flag; 2 the user name or password is not
//! taken, or a lease cannot be asked about; 3 input that cannot be read; 4 a format or feature that is not there; 5
//! interrupted; 6 files; 128 wrong arguments. `lock` with a command has that command's.

mod check;
mod completion;
mod concurrency;
mod connect;
mod endpoint;
mod flags;
mod golang;
mod kv;
mod lease;
mod maintenance;
mod member;
mod mirror;
mod prompt;
mod run;
mod show;
mod table;
mod txn;
mod users;
mod watch;

use std::fmt::Display;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, asks_for_help};
use crate::output::Safe;
use crate::protocol::etcd::message::Call;
use crate::protocol::etcd::{Client, Failure};
use flags::{Asked, Given};
use show::Format;
use table::{Command, GLOBAL};

pub static APPLET: Applet = Applet { names: &["etcdctl"], usage, run, place: Place::Child, trouble: 1 };

fn usage() -> clap::Command {
    clap::Command::new("etcdctl").about(flags::ABOUT).override_help(flags::overview(&[]).trim_end().to_string())
}

/// etcdctl's exit statuses.
mod status {
    pub const ERROR: u8 = 1;
    pub const BAD_CONNECTION: u8 = 2;
    pub const INVALID_INPUT: u8 = 3;
    pub const BAD_FEATURE: u8 = 4;
    pub const INTERRUPTED: u8 = 5;
    pub const IO: u8 = 6;
    pub const BAD_ARGS: u8 = 128;
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    if asks_for_help(&cx.args) {
        return Err(Error::usage("help"));
    }
    let args: Vec<Vec<u8>> = cx.args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
    match flags::parse(&args) {
        Asked::Help(help) => {
            cx.io.out.write_all(help.as_bytes())?;
            Ok(Exit(0))
        }
        Asked::Wrong { help, complaint } => {
            cx.io.out.write_all(help.as_bytes())?;
            Err(fail(cx, status::ERROR, complaint))
        }
        Asked::Command(command, given) => {
            let mut session = Session { cx, command, given, format: Format::Simple };
            session.read_environment()?;
            session.format = match session.bytes("write-out") {
                b"simple" => Format::Simple,
                b"fields" => Format::Fields,
                b"json" => Format::Json,
                b"table" => Format::Table,
                b"protobuf" => Format::Protobuf,
                _ => return Err(session.fail(status::BAD_FEATURE, "unsupported output format")),
            };
            (command.run)(&mut session)
        }
    }
}

/// Complains as etcdctl does, and ends with a status.
fn fail(cx: &mut Context<'_>, status: u8, message: impl Display) -> Error {
    let flushed = cx.io.out.flush();
    let _ = cx.io.err.write_all(format!("Error: {message}\n").as_bytes());
    match flushed {
        Err(error) => Error::Write(error),
        Ok(()) => Error::Exit(Exit(status)),
    }
}

/// One command that runs.
struct Session<'s, 'c> {
    cx: &'s mut Context<'c>,
    command: &'static Command,
    given: Given,
    format: Format,
}

impl<'c> Session<'_, 'c> {
    /// The flags that are set by variables. The command line wins.
    fn read_environment(&mut self) -> Result<()> {
        let mut names = ["API", "WATCH_KEY", "WATCH_RANGE_END"].map(|name| format!("ETCDCTL_{name}")).to_vec();
        for flag in GLOBAL {
            let name = format!("ETCDCTL_{}", flag.name.to_ascii_uppercase().replace('-', "_"));
            names.push(name.clone());
            let Some(value) = self.cx.env.get(&name).map(|value| value.as_bytes().to_vec()) else { continue };
            if value.is_empty() {
                continue;
            }
            if self.given.is_set(flag.name) {
                if self.bytes(flag.name) != value {
                    self.cx.note(format_args!("--{} is used, and not the variable {name}", flag.name));
                }
                continue;
            }
            let argument = [b"--", flag.name.as_bytes(), b"=", &value].concat();
            match flags::read(&[], &[argument]) {
                Ok((read, _)) => self.given.values.extend(read.values),
                Err(why) => return Err(self.fail(status::ERROR, format_args!("{name}: {why}"))),
            }
        }
        let all = self.cx.env.iter().map(|(name, _)| name).filter(|name| name.as_bytes().starts_with(b"ETCDCTL_"));
        let unknown = all.filter(|name| !names.iter().any(|known| *name == known.as_str()));
        let unknown: Vec<String> = unknown.map(|name| Safe::os(name).to_string()).collect();
        for name in unknown {
            self.cx.note(format_args!("{name}: no variable of etcdctl's (--help names them)"));
        }
        Ok(())
    }

    fn fail(&mut self, status: u8, message: impl Display) -> Error {
        fail(self.cx, status, message)
    }

    fn bytes(&self, flag: &str) -> &[u8] {
        self.given.bytes(self.command, flag)
    }

    fn text(&self, flag: &str) -> String {
        String::from_utf8_lossy(self.bytes(flag)).into_owned()
    }

    fn bool(&self, flag: &str) -> bool {
        golang::parse_bool(&self.text(flag)).unwrap_or_default()
    }

    fn number(&self, flag: &str) -> i64 {
        golang::parse_int(&self.text(flag)).unwrap_or_default()
    }

    fn duration(&self, flag: &str) -> Duration {
        self.command.duration(&self.given, flag)
    }

    /// The words as text, which names of users, roles and members are.
    fn texts(&mut self) -> Result<Vec<String>> {
        let texts: std::result::Result<Vec<String>, Vec<u8>> =
            self.given.words.iter().map(|word| String::from_utf8(word.clone()).map_err(|_| word.clone())).collect();
        texts.map_err(|word| self.fail(status::BAD_ARGS, format_args!("{}: not UTF-8", Safe(&word))))
    }

    /// `fails` with a complaint about the number of words.
    fn expect(&mut self, right: bool, complaint: &str) -> Result<()> {
        if right { Ok(()) } else { Err(self.fail(status::BAD_ARGS, complaint)) }
    }

    fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        Ok(self.cx.io.out.write_all(bytes.as_ref())?)
    }

    fn ask<C: Call>(&mut self, client: &mut Client<'c>, request: &C) -> Result<C::Reply> {
        client.ask(request).map_err(|failure| self.failed(&failure))
    }

    fn failed(&mut self, failure: &Failure) -> Error {
        let status = match failure {
            Failure::Login(_) => status::BAD_CONNECTION,
            Failure::Interrupted => status::INTERRUPTED,
            _ => status::ERROR,
        };
        self.fail(status, failure)
    }
}

/// The languages of standard input: compares, operations and typed watches.
#[cfg(fuzzing)]
pub fn fuzz(line: &[u8]) {
    let _ = txn::parse_compare(line);
    if let Some(words) = txn::words(line) {
        let _ = flags::parse(&words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[test]
    fn complaints_of_the_command_line() {
        for (args, status, err) in [
            (&["get"][..], 128, "get command needs one argument as key and an optional argument as range_end"),
            (&["get", "foo", "-w", "bogus"], 4, "unsupported output format"),
            (&["get", "foo", "--consistency=x"], 4, "unknown consistency flag \"x\""),
            (
                &["get", "--prefix", "--from-key", "x"],
                128,
                "`--prefix` and `--from-key` cannot be set at the same time, choose one",
            ),
            (&["put", "foo"], 128, "put command needs 1 argument and input from stdin or 2 arguments"),
            (&["member", "add", "m2"], 128, "member peer urls not provided"),
            (&["move-leader", "zz"], 128, "strconv.ParseUint: parsing \"zz\": invalid syntax"),
            (&["watch"], 128, "bad number of arguments"),
            (&["bogus"], 1, "unknown command \"bogus\" for \"etcdctl\"\nRun 'etcdctl --help' for usage."),
            (&["--endpoints=", "get", "a"], 128, "an address is empty"),
            (&["--endpoints=h:x", "get", "a"], 128, "h:x: a port is a number from 1 to 65535"),
        ] {
            let done = capture(&APPLET, args, b"");
            assert_eq!((done.status, done.err), (status, format!("Error: {err}\n")), "{args:?}");
            assert_eq!(done.out, "");
        }
    }

    #[test]
    fn a_refused_connection_says_so_at_once() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let done = capture(&APPLET, &[&format!("--endpoints={closed}"), "get", "a"], b"");
        assert_eq!((done.status, done.err), (1, format!("Error: {closed}: connection refused\n")));
    }
}
