//! Pressure stall information: how long work waited for processor, memory and storage in the last ten seconds; the
//! group's where there is such a file, else the whole machine's.

use super::{Scene, Section};
use crate::inspect::Level;
use crate::output::json::Object;
use crate::target::cgroup::Pressure;

/// Percent of the time; more is felt.
const FELT: f64 = 20.0;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("pressure");
    let (mut shown, mut known) = (Vec::new(), false);
    for what in ["cpu", "memory", "io"] {
        let own = scene.group(what).and_then(|group| Pressure::parse(&group.text(&format!("{what}.pressure"))?));
        let (scope, found) = match own {
            Some(own) => ("its own", Some(own)),
            None => ("the machine's", Pressure::of_machine(&mut scene.reader, what)),
        };
        let mut object = Object::new();
        object.float("some_percent", found.map(|found| found.some));
        object.float("full_percent", found.and_then(|found| found.full));
        object.bool("machine", own.is_none());
        section.object.object(what, object);
        known |= found.is_some();
        match found {
            // The target waits for it. Where only the machine does, others may be the cause.
            Some(found) if found.some >= FELT && own.is_some() => {
                let text = format!("something waited {} % of the last 10 s", found.some);
                section.finding(Level::Warn, what, text, "there is not enough of it, or too much is wanted");
            }
            Some(found) if found.some >= FELT => {
                let text = format!("on the machine something waited {} % of the last 10 s", found.some);
                section.finding(Level::Note, what, text, "");
            }
            Some(found) => shown.push(format!("{what} {} % ({scope})", found.some)),
            None => {}
        }
    }
    match shown.is_empty() {
        false => section.fact("waiting", shown.join(", ")),
        true if known => {}
        true => {
            section.finding(Level::Unknown, "waiting", "the kernel keeps no account of it (PSI, boot option psi=1)", "")
        }
    }
    section
}
