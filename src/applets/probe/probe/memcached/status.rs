//! ping, version, detect: whether it is there, and what it is.

use std::io::Write;
use std::time::Duration;

use super::super::duration;
use super::options::Shared;
use super::server::{Door, Over, Server, Session};
use super::{Answer, Ask, Outcome};
use crate::applet::{Context, Error};
use crate::net::{Address, Deadline, wait};
use crate::output::units::{self, span};
use crate::output::{Safe, json::Object};
use crate::protocol::memcached::client::{Dialect, Login, Stats};

fn micros(time: Duration) -> Option<u64> {
    u64::try_from(time.as_micros()).ok()
}

fn transport(server: &Server, session: &Session) -> &'static str {
    match (server.over, &server.place.address) {
        (Over::Tls, _) => session.tls.as_ref().map_or("TLS", |tls| tls.version),
        (Over::Datagrams, _) => "UDP",
        (Over::Plain, Address::Unix(_)) => "unix socket",
        (Over::Plain, Address::Host(..)) => "plain",
    }
}

fn dialect(session: &Session) -> &'static str {
    match session.client.dialect() {
        Dialect::Text => "text",
        Dialect::Binary => "binary",
    }
}

fn door(session: &Session) -> String {
    match &session.login {
        Door::Open => String::from("no login"),
        Door::Passed(Login::Text) => String::from("logged in (-Y)"),
        Door::Passed(Login::Sasl) => String::from("logged in (SASL)"),
        Door::Sasl(list) => format!("login wanted (SASL: {})", Safe(list)),
    }
}

/// What a session is like, for machines.
fn describe(object: &mut Object, server: &Server, session: &Session) {
    object
        .bytes("version", &session.version)
        .text("protocol", dialect(session))
        .text("transport", transport(server, session))
        .text(
            "login",
            match &session.login {
                Door::Open => "none",
                Door::Passed(Login::Text) => "text",
                Door::Passed(Login::Sasl) => "sasl",
                Door::Sasl(_) => "sasl-wanted",
            },
        )
        .number("connect_us", micros(session.connect))
        .number("tls_us", session.handshake.and_then(micros))
        .number("answer_us", micros(session.answer));
    match session.tls.as_ref().and_then(|tls| tls.certificate.as_ref()) {
        None => object.null("certificate"),
        Some(certificate) => {
            let mut each = Object::new();
            certificate.describe(&mut each);
            object.object("certificate", each)
        }
    };
}

/// Tell whether it is up: the time to connect and to answer
#[derive(clap::Parser)]
#[command(name = "memcached ping", override_usage = "probe memcached [OPTIONS] [ADDRESS] ping [-c N] [-i TIME]")]
pub struct Ping {
    #[command(flatten)]
    shared: Shared,
    /// Ask N times, each on a connection of its own
    #[arg(short, value_name = "N", default_value_t = 1)]
    count: u32,
    /// Time from one to the next
    #[arg(short, value_name = "TIME", default_value = "1s", value_parser = duration)]
    interval: Duration,
}

impl Ask for Ping {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn check(&mut self, _cx: &mut Context<'_>) -> Result<(), Error> {
        match self.count {
            0 => Err(Error::usage("-c begins with 1")),
            _ => Ok(()),
        }
    }

    fn has_heading(&self) -> bool {
        false
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let mut data = Object::new();
        let mut times = Vec::new();
        let mut status = 0;
        let count = self.count;
        for round in 0..count {
            if round > 0 {
                // Nothing to wait for but the time.
                let _ = wait(&mut [], Deadline::after(self.interval));
            }
            match server.open(cx, &self.shared) {
                Err(failure) if count == 1 => return Err(failure.into()),
                Err(failure) => {
                    status = status.max(failure.status);
                    cx.note(format_args!("{}: {}", Safe(&server.address()), failure.message));
                }
                Ok(session) => {
                    if times.is_empty() {
                        describe(&mut data, server, &session);
                    }
                    times.push(session.answer);
                    if !self.shared.json {
                        self.line(cx, server, &session)?;
                        cx.io.out.flush()?;
                    }
                }
            }
        }
        data.number("sent", Some(count.into())).number("answered", u64::try_from(times.len()).ok());
        let mean = times.iter().sum::<Duration>().checked_div(u32::try_from(times.len()).unwrap_or(1));
        let (least, most) = (times.iter().min().copied(), times.iter().max().copied());
        data.number("answer_min_us", least.and_then(micros))
            .number("answer_mean_us", mean.and_then(micros))
            .number("answer_max_us", most.and_then(micros));
        if count > 1 && !self.shared.json {
            let spans = match (least, mean, most) {
                (Some(least), Some(mean), Some(most)) => {
                    format!(", answers in {} to {}, {} in the mean", span(least), span(most), span(mean))
                }
                _ => String::new(),
            };
            writeln!(cx.io.out, "{} asked {count}, answered {}{spans}", Safe(&server.address()), times.len())?;
        }
        Ok(Answer::new(status, data))
    }
}

impl Ping {
    fn line(&self, cx: &mut Context<'_>, server: &Server, session: &Session) -> Outcome<()> {
        let handshake = session.handshake.map(|time| format!("  TLS {}", span(time))).unwrap_or_default();
        writeln!(
            cx.io.out,
            "{} up  memcached {}  connect {}{handshake}  version {}  {}/{}, {}",
            Safe(&server.address()),
            Safe(&session.version),
            span(session.connect),
            span(session.answer),
            dialect(session),
            transport(server, session),
            door(session)
        )?;
        Ok(())
    }
}

/// Print the version
#[derive(clap::Parser)]
#[command(name = "memcached version", override_usage = "probe memcached [OPTIONS] [ADDRESS] version")]
pub struct Version {
    #[command(flatten)]
    shared: Shared,
}

impl Ask for Version {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn has_heading(&self) -> bool {
        false
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let session = server.open(cx, &self.shared)?;
        if !self.shared.json {
            if server.among {
                write!(cx.io.out, "{} ", Safe(&server.address()))?;
            }
            writeln!(cx.io.out, "{}", Safe(&session.version))?;
        }
        let mut data = Object::new();
        data.bytes("version", &session.version);
        for (key, index) in [("major", 0), ("minor", 1), ("patch", 2)] {
            data.number(key, session.numbers().map(|numbers| u64::from(numbers[index])));
        }
        Ok(Answer::new(0, data))
    }
}

/// Tell what the port speaks, and which login it wants
#[derive(clap::Parser)]
#[command(name = "memcached detect", override_usage = "probe memcached [OPTIONS] [ADDRESS] detect")]
pub struct Detect {
    #[command(flatten)]
    shared: Shared,
}

impl Ask for Detect {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let deadline = Deadline::after(self.shared.timeout);
        let survey = server.survey(cx, self.shared.timeout, deadline)?;
        let mut session = server.open_until(cx, &self.shared, deadline);
        let mut data = Object::new();
        let yes_no = |yes: Option<bool>| match yes {
            Some(true) => "yes",
            Some(false) => "no",
            None => "no answer",
        };
        for (key, known) in [("text", survey.text), ("binary", survey.binary), ("tls", survey.tls)] {
            match known {
                Some(yes) => data.bool(key, yes),
                None => data.null(key),
            };
        }
        data.bytes("first_bytes", &survey.start);
        let mut lines = vec![
            ("text", String::from(yes_no(survey.text))),
            ("binary", String::from(yes_no(survey.binary))),
            ("TLS", String::from(yes_no(survey.tls))),
        ];
        if survey.text == Some(false) && !survey.start.is_empty() {
            lines.push(("it says", Safe(&survey.start).to_string()));
        }
        let status = match &mut session {
            Err(failure) => {
                data.text("problem", &failure.message);
                lines.push(("but", failure.message.clone()));
                failure.status
            }
            Ok(session) => {
                describe(&mut data, server, session);
                lines.push(("version", Safe(&session.version).to_string()));
                lines.push(("over", format!("{}, in {}", transport(server, session), dialect(session))));
                lines.push(("login", door(session)));
                if let Some(certificate) = session.tls.as_ref().and_then(|tls| tls.certificate.as_ref()) {
                    let names: Vec<String> = certificate.names.iter().map(|name| Safe(name).to_string()).collect();
                    let (subject, issuer) = (Safe(&certificate.subject), Safe(&certificate.issuer));
                    lines.push(("certificate", format!("{subject}, by {issuer}")));
                    lines.push(("  names", names.join(", ")));
                    lines.push(("  until", units::utc(certificate.not_after)));
                }
                let settings = match session.login {
                    Door::Sasl(_) => Stats::new(),
                    _ => session.client.stats(Some(b"settings")).unwrap_or_default(),
                };
                let setting = |name: &str| {
                    settings.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value.as_slice())
                };
                let udp = setting("udpport").and_then(crate::protocol::memcached::text::number);
                data.number("udp_port", udp.filter(|port| *port > 0));
                if let Some(port) = udp {
                    lines.push(("UDP", if port == 0 { String::from("off") } else { format!("port {port}") }));
                }
                let proxy = setting("proxy_enabled").map(|value| value == b"yes");
                match proxy {
                    Some(yes) => data.bool("proxy", yes),
                    None => data.null("proxy"),
                };
                if proxy == Some(true) {
                    lines.push(("proxy", String::from("yes: what it says of keys is of the servers behind it")));
                }
                0
            }
        };
        if !self.shared.json {
            writeln!(cx.io.out, "{:<12} {} ({})", "address", Safe(&server.address()), server.place.how)?;
            for (name, value) in lines {
                writeln!(cx.io.out, "{name:<12} {value}")?;
            }
        }
        Ok(Answer::new(status, data))
    }
}
