//! What the global flags say of a connection: which endpoints, who they have to be, who we are.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use super::{Session, golang, prompt, status};
use crate::applet::{Result, os, reason};
use crate::inspect::etcd::dial::{NAMES, Secrets, dial};
use crate::net::tls::Names;
use crate::net::{Deadline, Resolver};
use crate::output::Safe;
use crate::protocol::etcd::client::{KeepAlive, Limits};
use crate::protocol::etcd::{Client, Endpoint, Settings, discovery};

impl<'c> Session<'_, 'c> {
    /// A client of the endpoints that the flags name.
    pub fn client(&mut self) -> Result<Client<'c>> {
        let endpoints = self.endpoints()?;
        let user = self.user("user", "password", "Password: ")?;
        self.client_of(&endpoints, user, "", &NAMES)
    }

    /// The endpoints that the flags name, or the records of a domain.
    fn endpoints(&mut self) -> Result<Vec<Vec<u8>>> {
        let (domain, name) = (self.bytes("discovery-srv").to_vec(), self.bytes("discovery-srv-name").to_vec());
        let mut found = Vec::new();
        if !domain.is_empty() {
            let deadline = Deadline::after(self.duration("dial-timeout"));
            found = match discovery::endpoints(&Resolver::of_system(), &domain, &name, deadline) {
                Ok(found) => found,
                Err(why) => {
                    let (domain, why) = (Safe(&domain), reason(&why));
                    return Err(self.fail(status::ERROR, format_args!("SRV records of {domain}: {why}")));
                }
            };
        }
        if !self.bool("insecure-discovery") {
            let (with_tls, without): (Vec<_>, Vec<_>) = found.into_iter().partition(|url| url.starts_with(b"https:"));
            for url in without {
                let line = format!("ignoring discovered insecure endpoint {}\n", golang::quote(&url));
                let _ = self.cx.io.err.write_all(line.as_bytes());
            }
            found = with_tls;
        }
        if found.is_empty() { Ok(self.given.list(self.command, "endpoints")) } else { Ok(found) }
    }

    /// A client of these endpoints; the flags about TLS begin with `prefix`, and messages call them `names`.
    pub fn client_of(
        &mut self,
        texts: &[Vec<u8>],
        user: Option<(String, String)>,
        prefix: &str,
        names: &'static Names,
    ) -> Result<Client<'c>> {
        let mut endpoints = Vec::new();
        for text in texts.iter().map(|text| text.trim_ascii()) {
            // Behind a last comma is no endpoint.
            if text.is_empty() && texts.len() > 1 {
                continue;
            }
            match Endpoint::parse(text) {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(why) if text.is_empty() => return Err(self.fail(status::BAD_ARGS, why)),
                Err(why) => return Err(self.fail(status::BAD_ARGS, format_args!("{}: {why}", Safe(text)))),
            }
        }
        let settings = Settings {
            dial_timeout: self.duration("dial-timeout"),
            timeout: Some(self.duration("command-timeout")),
            limits: Limits {
                message: match self.number("max-recv-bytes") {
                    0 => i32::MAX as usize,
                    limit => usize::try_from(limit).unwrap_or(0),
                },
                // Servers take it amiss when they are asked more often.
                keep_alive: KeepAlive {
                    time: self.duration("keepalive-time").max(Duration::from_secs(10)),
                    timeout: self.duration("keepalive-timeout"),
                },
                interruptible: false,
            },
            user,
        };
        let named = |name: &str| {
            let path = self.bytes(&format!("{prefix}{name}"));
            (!path.is_empty()).then(|| PathBuf::from(os(path)))
        };
        // Records that have to be of servers with TLS could name any; the domain is what was asked for.
        let strict = prefix.is_empty() && !self.bool("insecure-discovery");
        let domain = Some(self.bytes("discovery-srv").to_vec()).filter(|domain| strict && !domain.is_empty());
        let mut secrets = Secrets {
            authority: named("cacert"),
            own: None,
            certificate: named("cert"),
            key: named("key"),
            anyone: prefix.is_empty() && self.bool("insecure-skip-tls-verify"),
            name: domain,
        };
        let plain = endpoints.iter().find(|endpoint| endpoint.tls == Some(false));
        if let Some(plain) = plain
            && [&secrets.authority, &secrets.certificate, &secrets.key].iter().any(|path| path.is_some())
        {
            // They are read all the same, as there.
            secrets.client(self.cx.files, names).map_err(|why| self.fail(status::BAD_ARGS, why))?;
            let Names { ca, cert, key, .. } = names;
            self.cx.note(format_args!("{}: {ca}, {cert} and {key} are not used: it is without TLS", Safe(&plain.text)));
        }
        // A bare host and port speaks TLS where something is given that only TLS needs.
        let over_tls = secrets.is_given() || !self.bool(&format!("{prefix}insecure-transport"));
        // Where Go looks, too.
        secrets.authority = secrets.authority.or_else(|| self.cx.env.get("SSL_CERT_FILE").map(PathBuf::from));
        let dial = dial(self.cx.files, secrets, names, over_tls, &endpoints);
        let dial = dial.map_err(|why| self.fail(status::BAD_ARGS, why))?;
        Ok(Client::new(settings, endpoints, dial))
    }

    /// A user's name and password; asks for what is missing.
    pub fn user(&mut self, user: &str, password: &str, question: &str) -> Result<Option<(String, String)>> {
        let user = self.text(user);
        if user.is_empty() {
            return Ok(None);
        }
        let password = self.text(password);
        if !password.is_empty() {
            return Ok(Some((user, password)));
        }
        if let Some((name, password)) = user.split_once(':') {
            return Ok(Some((name.to_string(), password.to_string())));
        }
        let password = prompt::password(self, question)?;
        Ok(Some((user, password)))
    }
}
