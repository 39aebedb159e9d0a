//! Which protocol a reply is in, when it is not the one that was expected: the first bytes tell.

/// Names what begins like this; `None` for what nobody knows, or too few bytes.
pub fn recognise(reply: &[u8]) -> Option<&'static str> {
    const STARTS: [(&[u8], &str); 19] = [
        (b"HTTP/", "HTTP"),
        (b"<!DOCTYPE", "HTTP"),
        (b"<html", "HTTP"),
        (b"SSH-", "SSH"),
        (b"-ERR ", "Redis"),
        (b"-NOAUTH", "Redis"),
        (b"-DENIED", "Redis"),
        (b"+PONG", "Redis"),
        (b"+OK ", "POP3"),
        (b"* OK ", "IMAP"),
        (b"RFB 0", "VNC"),
        (b"220 ", "SMTP or FTP"),
        (b"220-", "SMTP or FTP"),
        (b"AMQP", "AMQP"),
        (b"VERSION ", "memcached"),
        (b"ERROR\r\n", "memcached"),
        (b"CLIENT_ERROR", "memcached"),
        (b"\x81", "memcached's binary protocol"),
        // A TLS record: the version's major number behind a type that a server begins with.
        (b"\x16\x03", "TLS"),
    ];
    match reply {
        [0x15, 0x03, _, 0, 2, ..] => Some("TLS"),
        // The settings frame that an HTTP/2 server begins with (RFC 9113, section 3.4).
        [0, 0, length, 4, 0 | 1, 0, 0, 0, 0, ..] if length % 6 == 0 => Some("HTTP/2"),
        // Sequence number 0 and protocol version 10.
        [_, _, 0, 0, 10, b'0'..=b'9', ..] => Some("MySQL"),
        _ => STARTS.iter().find(|(start, _)| reply.starts_with(start)).map(|(_, name)| *name),
    }
}

#[cfg(test)]
mod tests {
    use super::recognise;

    #[test]
    fn first_words() {
        for (reply, name) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], Some("HTTP")),
            (b"-ERR unknown command 'version'\r\n", Some("Redis")),
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", Some("SSH")),
            (b"\x15\x03\x01\x00\x02\x02\x46", Some("TLS")),
            (b"\x15\x03\x03\x00\x02\x02\x0a", Some("TLS")),
            (b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00", Some("HTTP/2")),
            (b"J\x00\x00\x00\n8.0.36\x00", Some("MySQL")),
            (b"ERROR\r\n", Some("memcached")),
            (b"hello\r\n", None),
            (b"", None),
        ] {
            assert_eq!(recognise(reply), name);
        }
    }
}
