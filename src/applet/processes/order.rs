//! The order in which processes are shown: by columns, or as a forest.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ffi::OsString;

use crate::applet::{Error, Result};
use crate::output::table::Cell;
use crate::output::{Safe, order};
use crate::target::Whose;
use crate::target::process::Stat;

use super::{Field, Row, field};

/// How a forest is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forest {
    /// With lines: `f`, `--forest`.
    Lines,
    /// By spaces only: `-H`.
    Spaces,
}

/// The columns to sort by, the first one first, and whether the largest comes first.
pub struct Keys(Vec<(&'static Field, bool)>);

impl Keys {
    /// Names between commas, each perhaps behind a `+` or a `-`.
    pub fn parse(lists: &[OsString]) -> Result<Keys> {
        let mut keys = Vec::new();
        for list in lists {
            let wrong = |item: &[u8]| Error::usage(format_args!("{}: no such column to sort by", Safe(item)));
            let text = list.to_str().ok_or_else(|| wrong(list.as_encoded_bytes()))?;
            for item in text.split([',', ' ']).filter(|item| !item.is_empty()) {
                let field = field(item.trim_start_matches(['+', '-'])).ok_or_else(|| wrong(item.as_bytes()))?;
                keys.push((field, item.starts_with('-')));
            }
        }
        Ok(Keys(keys))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What this process is sorted by, read while it is there.
    pub fn of(&self, row: &mut Row) -> Vec<Cell> {
        self.0.iter().map(|(field, _)| (field.value)(row).map_or(Cell::Unknown, short)).collect()
    }

    pub fn sort(&self, kept: &mut [Kept]) {
        order::sort_by(kept, |a, b| {
            let pairs = self.0.iter().zip(a.keys.iter().zip(&b.keys));
            let mut orders = pairs.map(|((_, descending), (a, b))| {
                let order = compare(a, b);
                if *descending { order.reverse() } else { order }
            });
            orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
    }
}

/// The most of a text that is kept to sort by it: command lines may be long, and there may be many.
const KEY: usize = 256;

fn short(cell: Cell) -> Cell {
    match cell {
        Cell::Bytes(mut text) | Cell::Strings(_, mut text) => {
            text.truncate(KEY);
            text.shrink_to_fit();
            Cell::Bytes(text)
        }
        other => other,
    }
}

/// What has no value comes first.
pub fn compare(a: &Cell, b: &Cell) -> Ordering {
    let number = |cell: &Cell| match cell {
        Cell::Number(number) | Cell::Shown(number, _) => Some(i128::from(*number)),
        Cell::Signed(number) => Some(i128::from(*number)),
        _ => None,
    };
    let text = |cell: &Cell| match cell {
        Cell::Bytes(text) => Some(text.clone()),
        Cell::Text(text) | Cell::Null(text) => Some(text.clone().into_bytes()),
        _ => None,
    };
    match (a, b) {
        (Cell::Float(a), Cell::Float(b)) => a.total_cmp(b),
        _ => number(a).cmp(&number(b)).then_with(|| text(a).cmp(&text(b))),
    }
}

/// A process that waits for its turn.
pub struct Kept {
    pub stat: Stat,
    pub whose: Whose,
    pub keys: Vec<Cell>,
    /// What draws its place in the forest.
    pub lines: String,
}

/// How deep a forest is drawn; what is deeper stands below its ancestor there.
const DEPTH: usize = 100;

/// Puts every process behind its parent. What has no parent here is a root; so is one of a circle, which ids that are
/// used again can make.
pub fn plant(kept: Vec<Kept>, forest: Forest) -> Vec<Kept> {
    let index: HashMap<i32, usize> = kept.iter().enumerate().map(|(at, kept)| (kept.stat.pid, at)).collect();
    let mut children = vec![Vec::new(); kept.len()];
    let mut roots = Vec::new();
    for (at, process) in kept.iter().enumerate() {
        match index.get(&process.stat.parent).filter(|parent| **parent != at) {
            Some(parent) => children[*parent].push(at),
            None => roots.push(at),
        }
    }
    // Last ones first, as from a stack: the process, its own lines, and those below it.
    let mut open: Vec<(usize, String, String, usize)> = Vec::new();
    let mut slots: Vec<Option<Kept>> = kept.into_iter().map(Some).collect();
    let mut planted = Vec::with_capacity(slots.len());
    let all: Vec<usize> = roots.into_iter().chain(0..slots.len()).collect();
    for root in all {
        open.push((root, String::new(), String::new(), 0));
        while let Some((at, lines, below, depth)) = open.pop() {
            let Some(mut process) = slots[at].take() else { continue };
            process.lines = lines;
            planted.push(process);
            let last = children[at].last().copied();
            for child in children[at].iter().rev() {
                let deeper = match (forest, Some(*child) == last) {
                    _ if depth >= DEPTH => "",
                    (Forest::Spaces, _) => "  ",
                    (Forest::Lines, true) => "    ",
                    (Forest::Lines, false) => " |  ",
                };
                let lines = match forest {
                    Forest::Lines => format!("{below} \\_ "),
                    Forest::Spaces => format!("{below}  "),
                };
                open.push((*child, lines, format!("{below}{deeper}"), depth + 1));
            }
        }
    }
    planted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planted(pairs: &[(i32, i32)], forest: Forest) -> Vec<(i32, String)> {
        let kept = |(pid, parent): &(i32, i32)| Kept {
            stat: Stat { pid: *pid, parent: *parent, ..Stat::default() },
            whose: Whose::Other,
            keys: Vec::new(),
            lines: String::new(),
        };
        let planted = plant(pairs.iter().map(kept).collect(), forest);
        planted.into_iter().map(|kept| (kept.stat.pid, kept.lines)).collect()
    }

    #[test]
    fn children_stand_below_their_parents() {
        let pairs = [(1, 0), (2, 1), (3, 1), (4, 2), (9, 7)];
        let lines: Vec<String> =
            planted(&pairs, Forest::Lines).into_iter().map(|(pid, lines)| format!("{lines}{pid}")).collect();
        assert_eq!(lines, ["1", " \\_ 2", " |   \\_ 4", " \\_ 3", "9"]);
        let lines: Vec<String> =
            planted(&pairs, Forest::Spaces).into_iter().map(|(pid, lines)| format!("{lines}{pid}")).collect();
        assert_eq!(lines, ["1", "  2", "    4", "  3", "9"]);
    }

    #[test]
    fn circles_and_long_chains() {
        assert_eq!(planted(&[(1, 2), (2, 1), (3, 3)], Forest::Lines).len(), 3);
        let chain: Vec<(i32, i32)> = (1..5000).map(|pid| (pid, pid - 1)).collect();
        let planted = planted(&chain, Forest::Lines);
        assert!(planted.len() == 4999 && planted.iter().all(|(_, lines)| lines.len() <= 4 * (DEPTH + 1)));
    }

    #[test]
    fn cells_in_order() {
        let mut cells = [Cell::Number(10), Cell::Unknown, Cell::Signed(-2), Cell::Shown(9, String::from("0:09"))];
        order::sort_by(&mut cells, compare);
        assert_eq!(cells, [Cell::Unknown, Cell::Signed(-2), Cell::Shown(9, String::from("0:09")), Cell::Number(10)]);
        assert_eq!(compare(&Cell::Float(9.5), &Cell::Float(10.0)), Ordering::Less);
        assert_eq!(compare(&Cell::Bytes(b"a".to_vec()), &Cell::Null(String::from("b"))), Ordering::Less);
        assert_eq!(short(Cell::Strings(Vec::new(), vec![b'x'; 1000])), Cell::Bytes(vec![b'x'; KEY]));
    }
}
