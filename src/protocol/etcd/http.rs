//! What an etcd tells over plain HTTP, on any stream, one request for each.

use std::fmt;
use std::io::{self, Read, Write};

use crate::net;
use crate::protocol::foreign;
use crate::protocol::http::{self, Malformed, Response};

/// Why there is no answer.
#[derive(Debug)]
pub enum Error {
    Io(io::Error),
    /// The server closed the connection before the answer was complete; how much of it had come.
    Closed(usize),
    /// Not HTTP, with the protocol's name where it is known.
    Foreign(Option<&'static str>),
    /// It speaks HTTP behind TLS only.
    Tls,
    /// HTTP with lengths that cannot be, or longer than allowed.
    Malformed,
    /// HTTP, but not etcd's: the status.
    Unexpected(u16),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => f.write_str(&net::reason(error)),
            Error::Closed(_) => f.write_str("closed without an answer"),
            Error::Foreign(name) => write!(f, "not HTTP but {}", name.unwrap_or("something else")),
            Error::Tls => f.write_str("a TLS port"),
            Error::Malformed => f.write_str("HTTP with lengths that cannot be"),
            Error::Unexpected(status) => write!(f, "HTTP status {status}"),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// GET /metrics: the text in which they are exposed.
pub fn metrics<S: Read + Write>(stream: &mut S, host: &[u8]) -> Result<Vec<u8>> {
    match answer(stream, host, "/metrics")? {
        Response { status: 200, body } => Ok(body),
        other => Err(Error::Unexpected(other.status)),
    }
}

/// The value of a metric without labels.
pub fn metric(text: &[u8], name: &str) -> Option<f64> {
    let line =
        text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b" "))?;
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}

fn answer<S: Read + Write>(stream: &mut S, host: &[u8], path: &str) -> Result<Response> {
    let sent = stream.write_all(&http::get(host, path)).and_then(|()| stream.flush());
    let answered = read(stream);
    // What a server said before it hung up tells more than the error of the write.
    let response = match (sent, answered) {
        (Err(error), Err(Error::Io(_) | Error::Closed(0))) => return Err(Error::Io(error)),
        (_, answered) => answered?,
    };
    // What Go's server tells plain HTTP on a TLS port.
    if response.status == 400 && response.body.ends_with(b"HTTP request to an HTTPS server.\n") {
        return Err(Error::Tls);
    }
    Ok(response)
}

fn read<S: Read>(stream: &mut S) -> Result<Response> {
    let mut bytes = Vec::new();
    let mut block = [0; 16 * 1024];
    loop {
        let length = match stream.read(&mut block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        bytes.extend_from_slice(&block[..length]);
        match http::response(&bytes, length == 0) {
            Ok(Some(response)) => return Ok(response),
            Ok(None) if length == 0 => return Err(Error::Closed(bytes.len())),
            Ok(None) => {}
            Err(Malformed::NotHttp) => {
                return Err(match foreign::recognise(&bytes) {
                    Some("TLS") => Error::Tls,
                    name => Error::Foreign(name),
                });
            }
            Err(Malformed::Framing | Malformed::TooLong) => return Err(Error::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of one recorded answer.
    struct Recorded<'a>(&'a [u8], Vec<u8>);

    impl Read for Recorded<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(7);
            self.0.read(&mut buffer[..length])
        }
    }

    impl Write for Recorded<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 4\r\n\r\na 1\n";

    fn ask(answer: &[u8]) -> Result<Vec<u8>> {
        metrics(&mut Recorded(answer, Vec::new()), b"h")
    }

    #[test]
    fn metrics_by_name() {
        let text = b"# TYPE a gauge\na_b 7\na{x=\"y\"} 1\na 2.5e+07\n";
        assert_eq!([metric(text, "a"), metric(text, "a_b"), metric(text, "b")], [Some(2.5e7), Some(7.0), None]);
        let answer = b"HTTP/1.1 200 OK\r\n\r\na 1\n";
        assert_eq!(metrics(&mut Recorded(answer, Vec::new()), b"h").unwrap(), b"a 1\n");
    }

    #[test]
    fn closed_at_every_byte() {
        for length in 0..ANSWER.len() {
            let closed = ask(&ANSWER[..length]);
            assert!(matches!(closed, Err(Error::Closed(held)) if held == length), "cut at {length}");
        }
        let mut stream = Recorded(ANSWER, Vec::new());
        assert_eq!(metrics(&mut stream, b"127.0.0.1:2379").unwrap(), b"a 1\n");
        assert!(stream.1.starts_with(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:2379\r\n"));
    }

    #[test]
    fn other_servers() {
        assert!(matches!(ask(b"ERROR\r\n"), Err(Error::Foreign(Some("memcached")))));
        assert!(matches!(ask(b"\x15\x03\x01\x00\x02\x02\x46"), Err(Error::Tls)));
        let tls = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        assert!(matches!(ask(tls), Err(Error::Tls)));
        assert!(matches!(ask(b"HTTP/1.1 404 Not Found\r\n\r\n404 page not found\n"), Err(Error::Unexpected(404))));
        assert!(matches!(ask(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), Err(Error::Malformed)));
    }
}
