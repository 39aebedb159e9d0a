//! Why a call has no answer: one line each that names the layer.

use std::fmt;
use std::io;

use super::grpc::Status;
use crate::net;
use crate::output::Safe;

#[derive(Debug)]
pub enum Failure {
    /// No connection: the name, the address, the port, TLS.
    Dial(io::Error),
    /// The connection broke, with what the system or TLS says of it.
    Lost(io::Error),
    /// A connection, and no answer in time.
    Silent,
    /// The server closed the connection; whether it had said anything before.
    Closed(bool),
    /// What answers speaks another protocol, with its name where that is known.
    Foreign(Option<&'static str>),
    /// TLS was spoken where none is.
    Plain,
    /// HTTP/2, but no gRPC: what shows it.
    NotGrpc(String),
    /// HTTP/2 or gRPC that was broken off, or has something in it that cannot be.
    Protocol(String),
    /// The server's answer, which is an error.
    Status(Status),
    /// The server does not take the user name and password.
    Login(Status),
    /// A signal came.
    Interrupted,
    /// What happened at each endpoint.
    At(Vec<(Vec<u8>, Failure)>),
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// The server's own words for it.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Failure::Status(status) | Failure::Login(status) => Some(status),
            _ => None,
        }
    }

    /// Whether nothing was answered, so that another endpoint may do better.
    pub fn is_transport(&self) -> bool {
        !matches!(self, Failure::Status(_) | Failure::Login(_) | Failure::Interrupted)
    }

    /// Whether the server cannot have taken the call for its own.
    pub fn is_unheard(&self) -> bool {
        use Failure::{Closed, Dial, Foreign, NotGrpc, Plain};
        matches!(self, Dial(_) | Closed(false) | Foreign(_) | Plain | NotGrpc(_))
    }

    /// Whether the server has not begun with the call, because its member knows of no leader.
    pub fn lacks_leader(&self) -> bool {
        self.status().is_some_and(|status| status.message == "etcdserver: no leader")
    }

    /// Whether a learner has refused what voting members do.
    pub fn is_of_learner(&self) -> bool {
        self.status().is_some_and(|status| status.message == "etcdserver: rpc not supported for learner")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Dial(error) if error.kind() == io::ErrorKind::TimedOut => f.write_str("no connection: timed out"),
            Failure::Dial(error) | Failure::Lost(error) => f.write_str(&net::reason(error)),
            Failure::Silent => f.write_str("no answer in time (context deadline exceeded)"),
            Failure::Closed(false) => f.write_str("closed without an answer: a TLS port (https://), or not etcd"),
            Failure::Closed(true) => f.write_str("the server closed the connection"),
            Failure::Foreign(Some("TLS")) => f.write_str("this is a TLS port: https://"),
            Failure::Foreign(Some("HTTP")) => {
                f.write_str("plain HTTP, not etcd's gRPC: the peer port, a metrics port, or not etcd")
            }
            Failure::Foreign(Some(name)) => write!(f, "not etcd: this looks like {name}"),
            Failure::Foreign(None) => f.write_str("not etcd: what answers is not HTTP/2"),
            Failure::Plain => f.write_str("TLS on a port without it: http://"),
            Failure::NotGrpc(why) => write!(f, "HTTP/2, but not etcd: {}", Safe(why.as_bytes())),
            Failure::Protocol(why) => Safe(why.as_bytes()).fmt(f),
            Failure::Status(status) | Failure::Login(status) => status.fmt(f),
            Failure::Interrupted => f.write_str("interrupted"),
            Failure::At(tried) => {
                for (index, (endpoint, failure)) in tried.iter().enumerate() {
                    write!(f, "{}{}: {failure}", if index > 0 { "; " } else { "" }, Safe(endpoint))?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_each() {
        let refused = || Failure::Dial(io::ErrorKind::ConnectionRefused.into());
        let status = Status { code: 7, message: String::from("etcdserver: permission denied\n") };
        for (failure, line) in [
            (refused(), "connection refused"),
            (Failure::Dial(io::ErrorKind::TimedOut.into()), "no connection: timed out"),
            (Failure::Foreign(Some("Redis")), "not etcd: this looks like Redis"),
            (Failure::Status(status), "etcdserver: permission denied\\n"),
            (
                Failure::At(vec![(b"a:1".to_vec(), refused()), (b"b\x1b".to_vec(), Failure::Silent)]),
                "a:1: connection refused; b\\x1b: no answer in time (context deadline exceeded)",
            ),
        ] {
            assert_eq!(failure.to_string(), line);
        }
    }
}
