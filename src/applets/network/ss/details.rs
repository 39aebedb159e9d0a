//! What stands behind the addresses: timer, ids, memory, and the state of a TCP connection.

use std::fmt::Write;

use crate::output::Safe;
use crate::output::json::Object;
use crate::target::sockets::{Details, Information, Socket, Timer};

/// ` timer:(keepalive,1min50sec,0)`, nothing where nothing is waited for.
pub fn timer(out: &mut String, timer: Timer) {
    if let Some(name) = timer_name(timer.kind) {
        let tries = if timer.kind == 1 { timer.retransmits } else { timer.probes };
        let _ = write!(out, " timer:({name},{},{tries})", span(timer.milliseconds));
    }
}

pub fn timer_name(kind: u8) -> Option<&'static str> {
    match kind {
        0 => None,
        1 => Some("on"),
        2 => Some("keepalive"),
        3 => Some("timewait"),
        4 => Some("persist"),
        _ => Some("unknown"),
    }
}

/// As exact as it is near: `200ms`, `4.500ms`, `45sec`, `1min50sec`, `14min`.
fn span(milliseconds: u64) -> String {
    let (minutes, seconds, rest) = (milliseconds / 60_000, milliseconds / 1000 % 60, milliseconds % 1000);
    match (minutes, seconds, rest) {
        (10.., _, _) | (1.., 0, _) => format!("{minutes}min"),
        (1.., _, _) => format!("{minutes}min{seconds}sec"),
        (0, 10.., _) | (0, 1.., 0) => format!("{seconds}sec"),
        (0, 0, 0) => String::new(),
        (0, 0, _) => format!("{rest:03}ms"),
        (0, _, _) => format!("{seconds}.{rest:03}ms"),
    }
}

/// ` uid:65532 ino:2024 sk:1 <->`
pub fn ids(out: &mut String, socket: &Socket) {
    if socket.user != 0 {
        let _ = write!(out, " uid:{}", socket.user);
    }
    let _ = write!(out, " ino:{}", socket.inode);
    if let Some(details) = &socket.details {
        let shut = |bit: u8, open| if details.shutdown & bit != 0 { '-' } else { open };
        let _ = write!(out, " sk:{:x} {}-{}", details.cookie, shut(1, '<'), shut(2, '>'));
    }
}

/// The names of a socket's memory, for people and machines.
const MEMORY: [(&str, &str); 9] = [
    ("r", "received"),
    ("rb", "receive_limit"),
    ("t", "sent"),
    ("tb", "send_limit"),
    ("f", "reserved"),
    ("w", "queued"),
    ("o", "options"),
    ("bl", "backlog"),
    ("d", "drops"),
];

/// ` skmem:(r0,rb131072,…)`
pub fn memory(out: &mut String, details: &Details) {
    if let Some(numbers) = details.memory {
        let all: Vec<String> =
            MEMORY.iter().zip(numbers).map(|((name, _), number)| format!("{name}{number}")).collect();
        let _ = write!(out, " skmem:({})", all.join(","));
    }
}

/// How a number of the kernel's struct tcp_info is shown. Those that are zero are not.
enum Unit {
    Plain,
    /// Microseconds, shown as milliseconds.
    Micro,
    /// Bytes a second, shown as bits.
    Rate,
    /// With another one of the same kind behind a slash.
    MicroWith(usize, &'static str),
    With(usize, &'static str),
}

/// Names, places and widths in bytes.
static FIGURES: [(&str, usize, u8, Unit); 35] = [
    ("rto", 8, 4, Unit::Micro),
    ("rtt", 68, 4, Unit::MicroWith(72, "rttvar")),
    ("ato", 12, 4, Unit::Micro),
    ("mss", 16, 4, Unit::Plain),
    ("pmtu", 60, 4, Unit::Plain),
    ("rcvmss", 20, 4, Unit::Plain),
    ("advmss", 84, 4, Unit::Plain),
    ("cwnd", 80, 4, Unit::Plain),
    ("ssthresh", 76, 4, Unit::Plain),
    ("bytes_sent", 200, 8, Unit::Plain),
    ("bytes_retrans", 208, 8, Unit::Plain),
    ("bytes_acked", 120, 8, Unit::Plain),
    ("bytes_received", 128, 8, Unit::Plain),
    ("segs_out", 136, 4, Unit::Plain),
    ("segs_in", 140, 4, Unit::Plain),
    ("data_segs_out", 156, 4, Unit::Plain),
    ("data_segs_in", 152, 4, Unit::Plain),
    ("lastsnd", 44, 4, Unit::Plain),
    ("lastrcv", 52, 4, Unit::Plain),
    ("lastack", 56, 4, Unit::Plain),
    ("pacing_rate", 104, 8, Unit::Rate),
    ("delivery_rate", 160, 8, Unit::Rate),
    ("delivered", 192, 4, Unit::Plain),
    ("busy", 168, 8, Unit::Micro),
    ("unacked", 24, 4, Unit::Plain),
    ("retrans", 36, 4, Unit::With(100, "retrans_total")),
    ("lost", 32, 4, Unit::Plain),
    ("sacked", 28, 4, Unit::Plain),
    ("reordering", 88, 4, Unit::Plain),
    ("rcv_rtt", 92, 4, Unit::Micro),
    ("rcv_space", 96, 4, Unit::Plain),
    ("rcv_ssthresh", 64, 4, Unit::Plain),
    ("notsent", 144, 4, Unit::Plain),
    ("minrtt", 148, 4, Unit::Micro),
    ("snd_wnd", 228, 4, Unit::Plain),
];

/// The kernel's word for "no threshold", "nothing measured" and "the usual number".
const UNUSUAL: [(&str, u64); 3] = [("ssthresh", 0x7fff_ffff), ("minrtt", 0xffff_ffff), ("reordering", 3)];

fn figure(it: &Information, name: &str, at: usize, width: u8) -> Option<u64> {
    let number = if width == 8 { it.long(at) } else { it.short(at) }?;
    (!UNUSUAL.contains(&(name, number)) && number != u64::MAX).then_some(number)
}

/// Options and numbers of a connection as words.
pub fn information(out: &mut String, details: &Details) {
    let Some(it) = &details.information else { return };
    let options = it.byte(5).unwrap_or(0);
    for (bit, name) in [(1, "ts"), (2, "sack"), (8, "ecn"), (16, "ecnseen"), (32, "fastopen")] {
        let _ = if options & bit != 0 { write!(out, " {name}") } else { Ok(()) };
    }
    if !details.congestion.is_empty() {
        let _ = write!(out, " {}", Safe(&details.congestion));
    }
    if let Some(scale) = it.byte(6).filter(|_| options & 4 != 0) {
        let _ = write!(out, " wscale:{},{}", scale & 15, scale >> 4);
    }
    for (name, at, width, unit) in &FIGURES {
        let number = figure(it, name, *at, *width).unwrap_or(0);
        let second = |at: usize| it.short(at).unwrap_or(0);
        let _ = match unit {
            Unit::With(at, _) if number + second(*at) > 0 => write!(out, " {name}:{number}/{}", second(*at)),
            _ if number == 0 => Ok(()),
            Unit::Plain | Unit::With(..) => write!(out, " {name}:{number}"),
            Unit::Micro => write!(out, " {name}:{}", milliseconds(number)),
            Unit::MicroWith(at, _) => {
                write!(out, " {name}:{}/{}", milliseconds(number), milliseconds(second(*at)))
            }
            Unit::Rate => write!(out, " {name} {}bps", number.saturating_mul(8)),
        };
    }
}

/// Without zeros at the end.
fn milliseconds(micro: u64) -> String {
    let text = format!("{}.{:03}", micro / 1000, micro % 1000);
    String::from(text.trim_end_matches('0').trim_end_matches('.'))
}

/// The same for machines: times in milliseconds, rates in bits a second.
pub fn machine(details: &Details, object: &mut Object) {
    object.number("cookie", Some(details.cookie));
    object.number("interface_index", (details.interface != 0).then_some(details.interface.into()));
    match details.congestion.as_slice() {
        b"" => object.null("congestion"),
        name => object.bytes("congestion", name),
    };
    match details.memory {
        None => object.null("memory"),
        Some(numbers) => {
            let mut memory = Object::new();
            for ((_, key), number) in MEMORY.iter().zip(numbers) {
                memory.number(key, Some(number.into()));
            }
            object.object("memory", memory)
        }
    };
    let Some(it) = &details.information else {
        object.null("tcp");
        return;
    };
    let mut tcp = Object::new();
    for (name, at, width, unit) in &FIGURES {
        let number = figure(it, name, *at, *width);
        let time = |number: Option<u64>| number.map(|number| number as f64 / 1000.0);
        match unit {
            Unit::Plain => tcp.number(name, number),
            Unit::Micro => tcp.float(name, time(number)),
            Unit::Rate => tcp.number(name, number.map(|number| number.saturating_mul(8))),
            Unit::With(at, key) => tcp.number(name, number).number(key, it.short(*at)),
            Unit::MicroWith(at, key) => tcp.float(name, time(number)).float(key, time(it.short(*at))),
        };
    }
    object.object("tcp", tcp);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers() {
        let shown = |kind, milliseconds| {
            let mut out = String::new();
            timer(&mut out, Timer { kind, milliseconds, retransmits: 3, probes: 1 });
            out
        };
        for (kind, milliseconds, text) in [
            (0, 0, ""),
            (1, 200, " timer:(on,200ms,3)"),
            (1, 4500, " timer:(on,4.500ms,3)"),
            (3, 45_300, " timer:(timewait,45sec,1)"),
            (2, 110_000, " timer:(keepalive,1min50sec,1)"),
            (2, 7_199_000, " timer:(keepalive,119min,1)"),
            (4, 0, " timer:(persist,,1)"),
            (9, 1000, " timer:(unknown,1sec,1)"),
        ] {
            assert_eq!(shown(kind, milliseconds), text);
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_connection_in_words_and_for_machines() {
        let mut bytes = vec![0; 104];
        bytes[5] = 1 | 2 | 4;
        bytes[6] = 0x7a;
        let mut set = |at: usize, number: u32| bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        set(8, 204_000);
        set(68, 1500);
        set(72, 30);
        set(76, 0x7fff_ffff);
        set(80, 10);
        set(100, 2);
        let details = Details {
            cookie: 5,
            congestion: b"cubic\x1b".to_vec(),
            memory: Some([0, 131_072, 0, 87_040, 0, 0, 0, 0, 7]),
            information: Some(Information::new(&bytes)),
            ..Details::default()
        };
        let mut out = String::new();
        memory(&mut out, &details);
        information(&mut out, &details);
        assert_eq!(
            out,
            " skmem:(r0,rb131072,t0,tb87040,f0,w0,o0,bl0,d7) ts sack cubic\\x1b wscale:10,7 rto:204 rtt:1.5/0.03 cwnd:10 \
             retrans:0/2"
        );
        let mut object = Object::new();
        machine(&details, &mut object);
        let json = object.finish();
        let start = "{\"cookie\":5,\"interface_index\":null,\"congestion\":\"cubic\\u001b\",\"memory\":{\"received\":0,\
                     \"receive_limit\":131072,\"sent\":0,\"send_limit\":87040,\"reserved\":0,\"queued\":0,\"options\":0,\
                     \"backlog\":0,\"drops\":7},\"tcp\":{\"rto\":204,\"rtt\":1.5,\"rttvar\":0.03,\"ato\":0,\"mss\":0,";
        assert!(json.starts_with(start), "{json}");
        assert!(json.contains("\"ssthresh\":null,\"bytes_sent\":null,"), "{json}");
    }

    #[test]
    fn an_older_kernel_tells_less() {
        let mut out = String::new();
        information(&mut out, &Details { information: Some(Information::new(b"")), ..Details::default() });
        assert_eq!(out, "");
    }
}
