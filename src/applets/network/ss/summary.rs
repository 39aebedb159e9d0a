//! How many sockets there are.

use std::io::{self, Write};

use crate::applet::Context;
use crate::output::json::Object;
use crate::target::network::{Network, counters};
use crate::target::sockets::{Protocol, State};

/// What went wrong, and on which side.
pub enum Trouble {
    Read(io::Error),
    Write(io::Error),
}

#[derive(Default)]
struct Tcp {
    all: u64,
    established: u64,
    listening: u64,
    orphaned: u64,
    time_wait: u64,
    close_wait: u64,
}

pub fn show(cx: &mut Context<'_>, network: &Network, json: bool) -> Result<(), Trouble> {
    let used = counters::sockets(network.pid).map_err(Trouble::Read)?;
    let mut tcp = [Tcp::default(), Tcp::default()];
    for (protocol, tcp) in [Protocol::Tcp, Protocol::Tcp6].into_iter().zip(&mut tcp) {
        for socket in network.source().internet(protocol, false).map_err(Trouble::Read)? {
            let socket = socket.map_err(Trouble::Read)?;
            tcp.all += 1;
            match socket.state {
                State::Established => tcp.established += 1,
                State::Listen => tcp.listening += 1,
                State::TimeWait => tcp.time_wait += 1,
                State::CloseWait => tcp.close_wait += 1,
                _ => {}
            }
            // No process holds it any more, and it still has something to say.
            let dying = matches!(
                socket.state,
                State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing | State::CloseWait
            );
            tcp.orphaned += u64::from(socket.inode == 0 && dying);
        }
    }
    let [four, six] = tcp;
    let both = |count: fn(&Tcp) -> u64| count(&four) + count(&six);
    let count = |group: &str, name: &str| counters::value(&used, group, name).unwrap_or(0);
    let total = counters::value(&used, "sockets", "used");
    let [raw, udp, frag] =
        ["RAW", "UDP", "FRAG"].map(|group| [count(group, "inuse"), count(&format!("{group}6"), "inuse")]);
    // What is in TIME_WAIT is no socket any more.
    let tcp = [four.all - four.time_wait, six.all - six.time_wait];
    let internet = [0, 1].map(|family| raw[family] + udp[family] + tcp[family]);
    let kinds = [("RAW", raw), ("UDP", udp), ("TCP", tcp), ("INET", internet), ("FRAG", frag)];
    let states = [
        ("estab", both(|it| it.established)),
        ("listen", both(|it| it.listening)),
        ("orphaned", both(|it| it.orphaned)),
        ("timewait", both(|it| it.time_wait)),
        ("closewait", both(|it| it.close_wait)),
    ];
    let mut text = String::new();
    if json {
        let mut object = Object::new();
        object.text("network", network.name()).number("total", total);
        let mut tcp_states = Object::new();
        tcp_states.number("all", Some(both(|it| it.all)));
        for (name, count) in states {
            tcp_states.number(name, Some(count));
        }
        object.object("tcp_states", tcp_states);
        for (name, [four, six]) in kinds {
            let mut kind = Object::new();
            kind.number("total", Some(four + six)).number("ipv4", Some(four)).number("ipv6", Some(six));
            object.object(&name.to_ascii_lowercase(), kind);
        }
        text = object.finish() + "\n";
    } else {
        let shown = states.map(|(name, count)| format!("{name} {count}")).join(", ");
        let total = total.map_or_else(|| String::from("-"), |total| total.to_string());
        text += &format!("Total: {total}\nTCP:   {} ({shown})\n\n", both(|it| it.all));
        text += "Transport Total     IP        IPv6\n";
        for (name, [four, six]) in kinds {
            text += &format!("{name:<9} {:<9} {four:<9} {six}\n", four + six);
        }
    }
    cx.io.out.write_all(text.as_bytes()).map_err(Trouble::Write)
}

#[cfg(test)]
mod tests {
    use crate::applet::capture;

    #[test]
    fn a_listener_is_counted() {
        let _listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let text = capture(&super::super::APPLET, &["-s"], b"").out;
        let titles: Vec<&str> = text.lines().map(|line| line.split_whitespace().next().unwrap_or_default()).collect();
        assert_eq!(titles, ["Total:", "TCP:", "", "Transport", "RAW", "UDP", "TCP", "INET", "FRAG"]);
        let json = capture(&super::super::APPLET, &["-s", "--json"], b"").out;
        assert!(
            json.contains("\"estab\":") && json.contains("},\"raw\":{\"total\":") && !json.contains("\"listen\":0,")
        );
    }
}
