//! The target's processes: how many, below whom, and whether any are zombies or stuck.

use super::{Scene, Section};
use crate::inspect::Level;
use crate::output::Safe;
use crate::output::json::Object;
use crate::target::process::Stat;

/// Of a tree people see this many, machines this many times ten.
const SHOWN: usize = 10;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("processes");
    let count = scene.family.len();
    let zombies = scene.family.iter().filter(|stat| stat.state == b'Z').count();
    let stuck = scene.family.iter().filter(|stat| stat.state == b'D').count();
    section.fact("count", count);
    if zombies > 0 {
        let advice = "their parent does not wait for them: start the container with an init (--init)";
        section.finding(Level::Warn, "zombies", zombies, advice);
    }
    if stuck > 0 {
        section.finding(
            Level::Note,
            "waiting",
            format_args!("{stuck} in uninterruptible sleep"),
            "slow storage, if it stays",
        );
    }
    let number = |count: usize| u64::try_from(count).ok();
    section.object.number("count", number(count)).number("zombies", number(zombies));
    section.object.number("uninterruptible", number(stuck));
    if count > 1 {
        let tree = tree(&scene.family, scene.pid());
        for (depth, stat) in tree.iter().take(SHOWN) {
            let indent = "  ".repeat(*depth);
            section.fact("tree", format_args!("{indent}{} {}", stat.pid, Safe(&stat.comm)));
        }
        if tree.len() > SHOWN {
            section.fact("tree", format_args!("and {} more (ps)", tree.len() - SHOWN));
        }
    }
    let rows = scene.family.iter().take(SHOWN * 10).map(|stat| {
        let mut row = Object::new();
        row.number("pid", u64::try_from(stat.pid).ok()).number("ppid", u64::try_from(stat.parent).ok());
        row.bytes("comm", &stat.comm).text("state", &char::from(stat.state).to_string());
        row.number("threads", Some(stat.threads));
        row
    });
    section.object.objects("tree", rows);
    section
}

/// Each process below its parent with its depth; those whose parent is none of them stand at the top.
fn tree(family: &[Stat], first: i32) -> Vec<(usize, &Stat)> {
    /// Deeper ones are shown at this depth.
    const DEPTH: usize = 8;
    let mut known: std::collections::HashMap<i32, Vec<&Stat>> = std::collections::HashMap::new();
    let pids: std::collections::HashSet<i32> = family.iter().map(|stat| stat.pid).collect();
    let mut open: Vec<(usize, &Stat)> = Vec::new();
    for stat in family.iter().rev() {
        // The process itself stands at the top, whoever its parent is.
        match stat.pid != first && stat.parent != stat.pid && pids.contains(&stat.parent) {
            true => known.entry(stat.parent).or_default().push(stat),
            false => open.push((0, stat)),
        }
    }
    let mut tree = Vec::new();
    while let Some((depth, stat)) = open.pop() {
        tree.push((depth, stat));
        let children = known.remove(&stat.pid).unwrap_or_default();
        open.extend(children.into_iter().map(|child| ((depth + 1).min(DEPTH), child)));
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_stand_below_their_parents() {
        let stat = |pid, parent| Stat { pid, parent, ..Stat::default() };
        // 30 and 31 are each other's parents, as when both changed while we read.
        let family = [stat(1, 0), stat(5, 1), stat(6, 5), stat(7, 1), stat(20, 99), stat(30, 31), stat(31, 30)];
        let shown: Vec<(usize, i32)> = tree(&family, 1).iter().map(|(depth, stat)| (*depth, stat.pid)).collect();
        assert_eq!(shown, [(0, 1), (1, 5), (2, 6), (1, 7), (0, 20)]);
    }
}
