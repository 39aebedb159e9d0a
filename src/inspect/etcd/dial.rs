//! How an endpoint of etcd is connected to: TCP or a Unix socket (`@/` in the target), with TLS where its scheme or its user
//! asks for it.

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::inspect::secrets::{authorities, certificates, private_key};
use crate::net::dial::{tcp, unix};
use crate::net::tls::{self, Names, Settings, Trust};
use crate::net::{Address, Deadline, Family, Resolver};
use crate::output::Safe;
use crate::protocol::etcd::Endpoint;
use crate::protocol::etcd::client::{Dial, Socket};
use crate::target::Files;

/// The flags of etcd's own clients.
pub static NAMES: Names = Names {
    ca: "--cacert",
    cert: "--cert",
    key: "--key",
    server_name: None,
    insecure: Some("--insecure-skip-tls-verify"),
    plain: "http:// asks for none",
};

/// Files that say who is believed, and who we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    pub authority: Option<PathBuf>,
    /// The server's own certificate, which is believed for any name.
    pub own: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Whoever the server is.
    pub anyone: bool,
    /// What the server's certificate is for, where that is not the endpoint's name.
    pub name: Option<Vec<u8>>,
}

/// How to connect: with TLS where an endpoint's scheme says so, or `over_tls` where it says nothing. `names`: of the flags.
pub fn dial<'c>(
    files: &'c Files,
    secrets: Secrets,
    names: &'static Names,
    over_tls: bool,
    endpoints: &[Endpoint],
) -> Result<Dial<'c>, String> {
    let client = OnceCell::new();
    if endpoints.iter().any(|endpoint| endpoint.tls.unwrap_or(over_tls)) {
        let _ = client.set(Ok(secrets.client(files, names)?));
    }
    Ok(Rc::new(move |endpoint: &Endpoint, deadline: Deadline, protocol: &[u8]| -> io::Result<Socket> {
        let socket = match &endpoint.address {
            Address::Unix(path) => files.reach(path).and_then(|reached| unix(reached.path(), deadline))?,
            Address::Host(host, port) => {
                let addresses = Resolver::of_system().lookup(host, *port, Family::Any, deadline)?;
                tcp(&addresses, 0, deadline)?
            }
        };
        if !endpoint.tls.unwrap_or(over_tls) {
            return Ok(Socket::Plain(socket));
        }
        // A member that others told of may want TLS where they did not.
        let client = client.get_or_init(|| secrets.client(files, names));
        let client = client.as_ref().map_err(|why: &String| io::Error::other(why.clone()))?.clone();
        let name = secrets.name.as_deref().unwrap_or(endpoint.host());
        client.speaking(protocol).handshake(socket, name).map(|stream| Socket::Tls(Box::new(stream)))
    }))
}

impl Secrets {
    /// Whether anything is there that only TLS needs.
    pub fn is_given(&self) -> bool {
        self.anyone || [&self.authority, &self.certificate, &self.key].iter().any(|path| path.is_some())
    }

    /// TLS with them. Without authorities, the public ones are believed: ours, or those that the target knows.
    pub fn client(&self, files: &Files, names: &'static Names) -> Result<tls::Client, String> {
        let trust = match &self.authority {
            _ if self.anyone => Trust::Anyone,
            Some(path) => {
                let origin = Safe::path(path).to_string();
                let mut believed = certificates(files, path)?;
                if let Some(own) = &self.own {
                    believed.extend(certificates(files, own).unwrap_or_default());
                }
                Trust::Roots { certificates: believed, origin, own: self.own.is_some() }
            }
            None if self.own.is_some() => {
                let path = self.own.as_deref().unwrap_or(Path::new(""));
                let origin = Safe::path(path).to_string();
                Trust::Roots { certificates: certificates(files, path)?, origin, own: true }
            }
            None => {
                let (certificates, origin) = authorities(files, None)
                    .unwrap_or_else(|| (Vec::new(), format!("{}, which is not given,", names.ca)));
                Trust::Roots { certificates, origin, own: false }
            }
        };
        let identity = match (&self.certificate, &self.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificates(files, certificate)?, private_key(files, key)?)),
            _ => return Err(format!("{} and {} go together", names.cert, names.key)),
        };
        tls::Client::new(Settings { trust, identity, names })
    }
}
