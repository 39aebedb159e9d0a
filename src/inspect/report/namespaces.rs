//! Which namespaces the target shares with us.

use super::{Scene, Section};
use crate::inspect::Level;
use crate::target::access::Check;
use crate::target::namespaces::Namespace;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("namespaces");
    let pid = scene.pid();
    let mut found = Vec::new();
    for namespace in Namespace::ALL {
        let shared = namespace.shared(&mut scene.reader, pid);
        match shared {
            Check::Passed => section.object.bool(namespace.name(), true),
            Check::Failed => section.object.bool(namespace.name(), false),
            Check::Unknown => section.object.null(namespace.name()),
        };
        found.push((namespace.name(), shared));
    }
    for (outcome, label, level) in [
        (Check::Passed, "shared", Level::Ok),
        (Check::Failed, "apart", Level::Ok),
        (Check::Unknown, "unknown", Level::Unknown),
    ] {
        let names: Vec<&str> = found.iter().filter(|(_, shared)| *shared == outcome).map(|(name, _)| *name).collect();
        if !names.is_empty() {
            section.finding(level, label, names.join(" "), "");
        }
    }
    section
}
