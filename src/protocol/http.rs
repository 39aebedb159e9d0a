//! HTTP/1.1, as much as a probe needs: a GET, and its response read within bounds (RFC 9112). Pure.

/// Status line and headers, those of interim responses included.
const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 1024 * 1024;
/// A body with the framing of its chunks, which an honest server keeps small.
const MAX_CHUNKED: usize = 2 * MAX_BODY;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Why bytes are no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Something else than HTTP.
    NotHttp,
    /// HTTP with lengths that cannot be.
    Framing,
    TooLong,
}

/// A request that asks the server to close when it has answered.
pub fn get(host: &[u8], path: &str) -> Vec<u8> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: ");
    [head.as_bytes(), host, b"\r\nAccept: */*\r\nConnection: close\r\n\r\n"].concat()
}

/// Reads a response; `None` where more bytes are needed. `ended`: no more bytes will come, which is how some bodies end.
pub fn response(bytes: &[u8], ended: bool) -> Result<Option<Response>, Malformed> {
    let mut rest = bytes;
    let (head, body) = loop {
        let Some((head, body)) = head(rest)? else { return Ok(None) };
        if bytes.len() - body.len() > MAX_HEAD {
            return Err(Malformed::TooLong);
        }
        // Interim responses come before the one that counts.
        if !matches!(head.status, 100 | 102..200) {
            break (head, body);
        }
        rest = body;
    };
    let body = match head.length {
        _ if matches!(head.status, 101 | 204 | 304) => Some(Vec::new()),
        Length::Chunked => chunks(body)?,
        Length::Known(length) if length > MAX_BODY => return Err(Malformed::TooLong),
        Length::Known(length) => body.get(..length).map(<[u8]>::to_vec),
        Length::UntilClose if body.len() > MAX_BODY => return Err(Malformed::TooLong),
        Length::UntilClose => ended.then(|| body.to_vec()),
    };
    Ok(body.map(|body| Response { status: head.status, body }))
}

enum Length {
    Known(usize),
    Chunked,
    UntilClose,
}

struct Head {
    status: u16,
    length: Length,
}

/// Status line and headers, and what follows them.
fn head(bytes: &[u8]) -> Result<Option<(Head, &[u8])>, Malformed> {
    const START: &[u8] = b"HTTP/1.";
    let known = bytes.len().min(START.len());
    if bytes[..known] != START[..known] {
        return Err(Malformed::NotHttp);
    }
    let mut rest = bytes;
    let mut status = None;
    let mut length = Length::UntilClose;
    loop {
        let Some((line, after)) = line(rest) else {
            return if bytes.len() >= MAX_HEAD { Err(Malformed::TooLong) } else { Ok(None) };
        };
        if bytes.len() - after.len() > MAX_HEAD {
            return Err(Malformed::TooLong);
        }
        rest = after;
        match status {
            None => status = Some(status_line(line).ok_or(Malformed::NotHttp)?),
            Some(status) if line.is_empty() => return Ok(Some((Head { status, length }, rest))),
            Some(_) => length = header(line, length)?,
        }
    }
}

/// `HTTP/1.1 200 OK`; the reason may be missing.
fn status_line(line: &[u8]) -> Option<u16> {
    let digits = line.get(9..12).filter(|_| line[8] == b' ' && matches!(line.get(12), None | Some(b' ')))?;
    let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (100..1000).contains(&status).then_some(status)
}

/// What a header line says about the length of the body.
fn header(line: &[u8], length: Length) -> Result<Length, Malformed> {
    let Some(colon) = memchr::memchr(b':', line) else { return Err(Malformed::NotHttp) };
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.eq_ignore_ascii_case(b"transfer-encoding") {
        // Whatever else it was encoded with, we asked for nothing of it.
        return if value.eq_ignore_ascii_case(b"chunked") { Ok(Length::Chunked) } else { Err(Malformed::Framing) };
    }
    if !name.eq_ignore_ascii_case(b"content-length") {
        return Ok(length);
    }
    let text = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let value: usize = text.and_then(|text| text.parse().ok()).ok_or(Malformed::Framing)?;
    match length {
        Length::Known(other) if other != value => Err(Malformed::Framing),
        // Chunks win over a length (section 6.3).
        Length::Chunked => Ok(Length::Chunked),
        _ => Ok(Length::Known(value)),
    }
}

/// A body in chunks (section 7.1), with its trailer; `None` while it is not complete.
fn chunks(mut rest: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    if rest.len() > MAX_CHUNKED {
        return Err(Malformed::TooLong);
    }
    let mut body = Vec::new();
    loop {
        let Some((size, after)) = line(rest) else { return too_long(rest) };
        let digits = size.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'));
        let size = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok()).ok_or(Malformed::Framing)?;
        if size == 0 {
            return trailer(after).map(|complete| complete.then_some(body));
        }
        if size > MAX_BODY - body.len() {
            return Err(Malformed::TooLong);
        }
        let Some(chunk) = after.get(..size + 2) else { return Ok(None) };
        body.extend_from_slice(&chunk[..size]);
        rest = chunk_end(after, size)?;
    }
}

fn chunk_end(bytes: &[u8], size: usize) -> Result<&[u8], Malformed> {
    bytes[size..].strip_prefix(b"\r\n").ok_or(Malformed::Framing)
}

/// Whether the lines behind the last chunk are all there.
fn trailer(mut rest: &[u8]) -> Result<bool, Malformed> {
    let start = rest.len();
    while let Some((line, after)) = line(rest) {
        if line.is_empty() {
            return Ok(true);
        }
        rest = after;
    }
    if start > MAX_HEAD { Err(Malformed::TooLong) } else { Ok(false) }
}

fn too_long<T>(rest: &[u8]) -> Result<Option<T>, Malformed> {
    if rest.len() > MAX_HEAD { Err(Malformed::TooLong) } else { Ok(None) }
}

/// A line without its end, and what follows it.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    Some((bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]), &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(status: u16, body: &str) -> Result<Option<Response>, Malformed> {
        Ok(Some(Response { status, body: body.as_bytes().to_vec() }))
    }

    #[test]
    fn a_request() {
        let request = b"GET /version HTTP/1.1\r\nHost: [::1]:2379\r\nAccept: */*\r\nConnection: close\r\n\r\n";
        assert_eq!(get(b"[::1]:2379", "/version"), request);
    }

    #[test]
    fn a_known_length_is_complete_at_its_last_byte() {
        let bytes = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: x\r\ncontent-LENGTH:  5\r\n\r\nhello";
        for length in 0..bytes.len() {
            assert_eq!(response(&bytes[..length], false), Ok(None), "cut at {length}");
            assert_eq!(response(&bytes[..length], true), Ok(None), "cut at {length}");
        }
        assert_eq!(response(bytes, false), complete(503, "hello"));
        assert_eq!(response(&[bytes, b"more".as_slice()].concat(), false), complete(503, "hello"));
    }

    #[test]
    fn chunks_are_complete_at_the_empty_line() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n";
        for length in 0..bytes.len() {
            assert_eq!(response(&bytes[..length], true), Ok(None), "cut at {length}");
        }
        assert_eq!(response(bytes, false), complete(200, "hello!"));
    }

    #[test]
    fn a_body_until_the_end() {
        let bytes = b"HTTP/1.0 200\r\n\r\nhello";
        assert_eq!(response(bytes, false), Ok(None));
        assert_eq!(response(bytes, true), complete(200, "hello"));
    }

    #[test]
    fn no_body_and_interim_responses() {
        assert_eq!(response(b"HTTP/1.1 204 No Content\r\n\r\n", false), complete(204, ""));
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(response(bytes, false), complete(200, ""));
    }

    #[test]
    fn what_is_not_http() {
        for bytes in
            [&b"ERROR\r\n"[..], b"\x15\x03", b"HTTP/2", b"HTTP/1.1 2x0 OK\r\n", b"HTTP/1.1 200 OK\r\nnonsense\r\n"]
        {
            assert_eq!(response(bytes, false), Err(Malformed::NotHttp), "{bytes:?}");
        }
    }

    #[test]
    fn lengths_that_lie() {
        let body = |headers: &str, body: &str| {
            response(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{body}").as_bytes(), false)
        };
        assert_eq!(body("Content-Length: -1", ""), Err(Malformed::Framing));
        assert_eq!(body("Content-Length: 1\r\nContent-Length: 2", ""), Err(Malformed::Framing));
        assert_eq!(body("Content-Length: 1048577", ""), Err(Malformed::TooLong));
        assert_eq!(body("Content-Length: 99999999999999999999", ""), Err(Malformed::Framing));
        assert_eq!(body("Transfer-Encoding: gzip", ""), Err(Malformed::Framing));
        assert_eq!(body("Transfer-Encoding: chunked", "x\r\n"), Err(Malformed::Framing));
        assert_eq!(body("Transfer-Encoding: chunked", "+1\r\n"), Err(Malformed::Framing));
        assert_eq!(body("Transfer-Encoding: chunked", "ffffffffffffffff\r\n"), Err(Malformed::TooLong));
        assert_eq!(body("Transfer-Encoding: chunked", "1\r\nab\r\n"), Err(Malformed::Framing));
    }

    #[test]
    fn endless_heads_are_bounded() {
        let endless = [b"HTTP/1.1 200 OK\r\n".as_slice(), &b"X: y\r\n".repeat(MAX_HEAD / 6)].concat();
        assert_eq!(response(&endless, false), Err(Malformed::TooLong));
        let line = [b"HTTP/1.1 200 ".as_slice(), &vec![b'x'; MAX_HEAD]].concat();
        assert_eq!(response(&line, false), Err(Malformed::TooLong));
        let interim = b"HTTP/1.1 100\r\n\r\n".repeat(1 << 17);
        assert_eq!(response(&interim, false), Err(Malformed::TooLong));
    }

    #[test]
    fn chunks_that_are_mostly_framing_are_bounded() {
        let chunk = [b"1;".as_slice(), &vec![b'x'; 1 << 16], b"\r\na\r\n"].concat();
        let bytes = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(), &chunk.repeat(32)].concat();
        assert_eq!(response(&bytes, false), Err(Malformed::TooLong));
    }
}
