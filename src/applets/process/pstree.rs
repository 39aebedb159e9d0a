//! pstree: processes as a tree, drawn as psmisc does: identical branches once with their number, threads in braces.
//!
//! What deviates: without an operand all trees are shown, because containers that share their processes are trees beside
//! each other, and where a tree or a branch belongs to somebody else than its parent, it says whose it is. Names are
//! escaped. Lines are not cut. UTF-8 lines are drawn unless LC_ALL, LC_CTYPE or LANG says `C` or `POSIX`.
//!
//! Longer than most because drawing a tree with branches folded together takes half of it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use crate::applet::{Applet, Context, Environment, Error, Exit, Place, Result, reason};
use crate::output::{Safe, order};
use crate::target::process::{Stat, split_arguments};
use crate::target::{Kinship, Reader, Users, Whose};

pub static APPLET: Applet = Applet {
    names: &["pstree"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

/// Show processes as a tree
#[derive(clap::Parser, Default)]
struct Options {
    /// Show arguments, a process a line
    #[arg(short, long)]
    arguments: bool,
    /// Show process ids
    #[arg(short = 'p', long)]
    show_pids: bool,
    /// Show process groups
    #[arg(short = 'g', long)]
    show_pgids: bool,
    /// With the ancestors of the process too
    #[arg(short = 's', long)]
    show_parents: bool,
    /// Show the user where it is not the parent's
    #[arg(short, long)]
    uid_changes: bool,
    /// Sort by process id, not by name
    #[arg(short, long)]
    numeric_sort: bool,
    /// Show identical branches each
    #[arg(short, long)]
    compact_not: bool,
    /// No threads
    #[arg(short = 'T', long)]
    hide_threads: bool,
    /// Draw with ASCII characters
    #[arg(short = 'A', long, overrides_with = "unicode")]
    ascii: bool,
    /// Draw with Unicode characters
    #[arg(short = 'U', long)]
    unicode: bool,
    /// Do not cut lines, which is the default
    #[arg(short = 'l', long = "long")]
    _long: bool,
    /// Only the target's processes
    #[arg(short = 'N', long)]
    target_only: bool,
    /// Only the tree below a process, or those of a user
    #[arg(value_name = "PID|USER")]
    root: Option<OsString>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let target = if options.target_only { Some(cx.target()?.pid) } else { cx.files.target().ok().map(|it| it.pid) };
    let users = Users::new(cx.files);
    let unreadable = |error| Error::message(format_args!("the list of processes: {}", reason(&error)));
    let mut nodes = read(&options, target).map_err(unreadable)?;
    let processes = nodes.iter().enumerate().filter(|(_, node)| !node.thread);
    let index: HashMap<i32, usize> = processes.map(|(at, node)| (node.pid, at)).collect();
    let parents: Vec<Option<usize>> = nodes.iter().map(|node| index.get(&node.parent).copied()).collect();
    // Of -s: each ancestor with the one child that is shown of it.
    let mut path: HashMap<usize, usize> = HashMap::new();
    let roots: Vec<usize> = match &options.root {
        None => (0..nodes.len()).filter(|at| parents[*at].is_none() && !nodes[*at].kernel).collect(),
        Some(root) => match root.to_str().and_then(|text| text.parse::<i32>().ok()) {
            Some(pid) => {
                let mut chain: Vec<usize> = index.get(&pid).copied().into_iter().collect();
                while options.show_parents
                    && let Some(parent) = chain.last().and_then(|at| parents[*at])
                    && !chain.contains(&parent)
                {
                    chain.push(parent);
                }
                path = chain.iter().skip(1).zip(&chain).map(|(parent, child)| (*parent, *child)).collect();
                chain.last().copied().into_iter().collect()
            }
            None => {
                let is = |node: &Node| !node.thread && users.is(root.as_bytes(), node.user, node.whose);
                let top = |at: &usize| is(&nodes[*at]) && parents[*at].is_none_or(|parent| !is(&nodes[parent]));
                (0..nodes.len()).filter(top).collect()
            }
        },
    };
    if let (Some(root), true) = (&options.root, roots.is_empty()) {
        return Err(Error::message(format_args!("{}: no process", Safe::os(root))));
    }
    label(&mut nodes, &parents, &options, &users, target.is_some());
    let mut children = vec![Vec::new(); nodes.len()];
    for (at, parent) in parents.iter().enumerate() {
        let shown = |parent: &&usize| path.get(parent).is_none_or(|child| *child == at);
        parent.iter().filter(shown).for_each(|parent| children[*parent].push(at));
    }
    for list in &mut children {
        let node = |at: &usize| &nodes[*at];
        match options.numeric_sort {
            true => order::sort_by_key(list, |at| node(at).pid),
            false => {
                order::sort_by(list, |a, b| (&node(a).comm, node(a).user, a).cmp(&(&node(b).comm, node(b).user, b)))
            }
        }
    }
    let lines = if options.ascii || !options.unicode && !is_utf8(cx.env) { &ASCII } else { &UNICODE };
    let mut tree =
        Tree { nodes, children, drawn: vec![false; parents.len()], lines, options: &options, out: Vec::new() };
    for root in roots {
        tree.draw(root, 1, "", "", 0);
        cx.io.out.write_all(&std::mem::take(&mut tree.out))?;
    }
    Ok(Exit(0))
}

/// A process or a thread.
struct Node {
    pid: i32,
    group: i32,
    /// Whether it is one of its parent's threads.
    thread: bool,
    parent: i32,
    comm: Vec<u8>,
    arguments: Vec<u8>,
    user: u32,
    whose: Whose,
    kernel: bool,
    label: String,
}

fn read(options: &Options, target: Option<i32>) -> std::io::Result<Vec<Node>> {
    let mut reader = Reader::open()?;
    let mut kinship = Kinship::new(&mut reader, target);
    let mut nodes = Vec::new();
    for pid in reader.pids()? {
        let Ok(stat) = reader.stat(pid) else { continue };
        let whose = kinship.whose(&mut reader, &stat);
        if options.target_only && whose != Whose::Target {
            continue;
        }
        let Ok(owner) = reader.owner(pid) else { continue };
        let arguments = match options.arguments {
            true => split_arguments(reader.arguments(pid).unwrap_or_default()).skip(1).collect::<Vec<_>>().join(&b' '),
            false => Vec::new(),
        };
        let node = |stat: Stat, thread: bool, arguments| Node {
            pid: stat.pid,
            group: stat.group,
            thread,
            parent: if thread { pid } else { stat.parent },
            kernel: stat.is_kernel_thread(),
            comm: stat.comm,
            arguments,
            user: owner.user,
            whose,
            label: String::new(),
        };
        let threads = if stat.threads > 1 && !options.hide_threads {
            reader.threads(pid).unwrap_or_default()
        } else {
            Vec::new()
        };
        nodes.push(node(stat, false, arguments));
        for thread in threads.into_iter().filter(|thread| *thread != pid) {
            if let Ok(stat) = reader.thread_stat(pid, thread) {
                nodes.push(node(stat, true, Vec::new()));
            }
        }
    }
    Ok(nodes)
}

/// Writes what is shown of each: `name`, `name(pid,user,whose)`, and with arguments `name,pid,user,whose arguments`.
fn label(nodes: &mut [Node], parents: &[Option<usize>], options: &Options, users: &Users, told_apart: bool) {
    for at in 0..nodes.len() {
        let (node, parent) = (&nodes[at], parents[at].map(|parent| &nodes[parent]));
        let mut marks = Vec::new();
        if options.show_pids {
            marks.push(node.pid.to_string());
        }
        if options.show_pgids {
            marks.push(node.group.to_string());
        }
        if options.uid_changes
            && parent.is_none_or(|parent| parent.user != node.user)
            && (parent.is_some() || node.user > 0)
        {
            let name = users.user(node.user, node.whose).map(|name| Safe(name).to_string());
            marks.push(name.unwrap_or_else(|| node.user.to_string()));
        }
        if told_apart && parent.is_none_or(|parent| parent.whose != node.whose) {
            marks.push(String::from(node.whose.word()));
        }
        let name = match node.thread {
            true => format!("{{{}}}", Safe(&node.comm)),
            false => Safe(&node.comm).to_string(),
        };
        let marks = match (marks.is_empty(), options.arguments) {
            (true, _) => String::new(),
            (false, true) => format!(",{}", marks.join(",")),
            (false, false) => format!("({})", marks.join(",")),
        };
        let arguments = if node.arguments.is_empty() { String::new() } else { format!(" {}", Safe(&node.arguments)) };
        nodes[at].label = format!("{name}{marks}{arguments}");
    }
}

/// The pieces that lines are made of.
struct Lines {
    only: &'static str,
    first: &'static str,
    middle: &'static str,
    last: &'static str,
    beside: &'static str,
}

const ASCII: Lines = Lines { only: "---", first: "-+-", middle: "|-", last: "`-", beside: "|" };
const UNICODE: Lines = Lines { only: "───", first: "─┬─", middle: "├─", last: "└─", beside: "│" };

struct Tree<'a> {
    nodes: Vec<Node>,
    children: Vec<Vec<usize>>,
    /// Once each, so that a circle ends: parents are read one after the other, and ids are used again.
    drawn: Vec<bool>,
    lines: &'a Lines,
    options: &'a Options,
    out: Vec<u8>,
}

/// How deep a tree is drawn: every level takes some of the stack.
const DEPTH: usize = 1000;

impl Tree<'_> {
    /// Draws `count` identical branches: from the end of a line that has `before` as its indentation, each leaf with
    /// `close` behind it.
    fn draw(&mut self, at: usize, count: usize, before: &str, close: &str, depth: usize) {
        self.drawn[at] = true;
        let mut label = self.nodes[at].label.clone();
        let mut close = close.to_string();
        if count > 1 {
            label = format!("{count}*[{label}");
            close.push(']');
        }
        let children = if depth < DEPTH { self.branches(at) } else { Vec::new() };
        self.out.extend_from_slice(label.as_bytes());
        let lines = self.lines;
        if self.options.arguments || children.is_empty() {
            self.out.extend_from_slice(close.as_bytes());
            self.out.push(b'\n');
        }
        let indent = if self.options.arguments { 2 } else { label.chars().count() + 1 };
        let here = format!("{before}{:indent$}", "");
        let last = children.len().saturating_sub(1);
        for (index, (child, count)) in children.into_iter().enumerate() {
            let line = if index == last { lines.last } else { lines.middle };
            let piece = match (self.options.arguments, index, last) {
                (false, 0, 0) => String::from(lines.only),
                (false, 0, _) => String::from(lines.first),
                _ => format!("{here}{line}"),
            };
            self.out.extend_from_slice(piece.as_bytes());
            let beside = if index == last { " " } else { lines.beside };
            let below = format!("{here}{beside} ");
            self.draw(child, count, &below, &close, depth + 1);
        }
    }

    /// The branches of a node, those that look the same once with their number.
    fn branches(&mut self, at: usize) -> Vec<(usize, usize)> {
        let mut branches: Vec<(usize, usize)> = Vec::new();
        for child in std::mem::take(&mut self.children[at]) {
            if self.drawn[child] {
                continue;
            }
            let alone = self.options.compact_not
                || self.options.show_pids
                || self.options.arguments && !self.nodes[child].thread;
            let same = branches.iter_mut().filter(|_| !alone).find(|(other, _)| self.look_same(*other, child, 0));
            match same {
                Some((_, count)) => *count += 1,
                None => branches.push((child, 1)),
            }
        }
        branches
    }

    fn look_same(&self, a: usize, b: usize, depth: usize) -> bool {
        let (below_a, below_b) = (&self.children[a], &self.children[b]);
        depth < DEPTH
            && self.nodes[a].label == self.nodes[b].label
            && below_a.len() == below_b.len()
            && below_a.iter().zip(below_b).all(|(a, b)| self.look_same(*a, *b, depth + 1))
    }
}

/// Whether the locale's variables leave room for more than ASCII: the first one that is not empty counts.
fn is_utf8(env: &Environment) -> bool {
    let set = |name| env.get(name).filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    locale.is_none_or(|locale| locale != "C" && locale != "POSIX")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    /// A tree of names and parents' numbers; number 0 is the root.
    fn drawn(processes: &[(&str, usize)], options: &Options, lines: &Lines) -> String {
        let node = |(pid, (name, parent)): (usize, &(&str, usize))| Node {
            pid: pid as i32,
            group: 0,
            thread: name.starts_with('{'),
            parent: *parent as i32,
            comm: name.as_bytes().to_vec(),
            arguments: Vec::new(),
            user: 0,
            whose: Whose::Other,
            kernel: false,
            label: name.to_string(),
        };
        let nodes: Vec<Node> = processes.iter().enumerate().map(node).collect();
        let mut children = vec![Vec::new(); nodes.len()];
        processes.iter().enumerate().skip(1).for_each(|(at, (_, parent))| children[*parent].push(at));
        let mut tree = Tree { drawn: vec![false; nodes.len()], nodes, children, lines, options, out: Vec::new() };
        tree.draw(0, 1, "", "", 0);
        String::from_utf8(tree.out).unwrap()
    }

    const SOME: [(&str, usize); 8] =
        [("init", 0), ("a", 0), ("b", 1), ("a", 0), ("b", 3), ("c", 0), ("d", 5), ("e", 5)];

    #[test]
    fn identical_branches_once() {
        let options = Options::default();
        let ascii = "init-+-2*[a---b]\n     `-c-+-d\n         `-e\n";
        assert_eq!(drawn(&SOME, &options, &ASCII), ascii);
        assert_eq!(drawn(&SOME, &options, &UNICODE), "init─┬─2*[a───b]\n     └─c─┬─d\n         └─e\n");
        assert_eq!(drawn(&[("init", 0)], &options, &ASCII), "init\n");
    }

    #[test]
    fn identical_branches_each() {
        let options = Options { compact_not: true, ..Options::default() };
        assert_eq!(drawn(&SOME, &options, &ASCII), "init-+-a---b\n     |-a---b\n     `-c-+-d\n         `-e\n");
    }

    #[test]
    fn a_process_a_line() {
        let options = Options { arguments: true, ..Options::default() };
        let expected = "init\n  |-a\n  |   `-b\n  |-a\n  |   `-b\n  `-c\n      |-d\n      `-e\n";
        assert_eq!(drawn(&SOME, &options, &ASCII), expected);
        let threads = [("init", 0), ("{t}", 0), ("{t}", 0)];
        assert_eq!(drawn(&threads, &options, &ASCII), "init\n  `-2*[{t}]\n");
    }

    #[test]
    fn a_circle_and_a_long_chain_end() {
        let circle = [("init", 0), ("a", 2), ("b", 1)];
        assert_eq!(drawn(&circle, &Options::default(), &ASCII), "init\n");
        let names: Vec<(&str, usize)> = (0..5000usize).map(|at| ("x", at.saturating_sub(1))).collect();
        assert!(drawn(&names, &Options::default(), &ASCII).len() > 4 * DEPTH);
    }

    #[test]
    fn our_own_tree() {
        let pid = std::process::id().to_string();
        let done = capture(&APPLET, &["-Ap", &pid], b"");
        assert!(done.status == 0 && done.out.contains(&format!("({pid}")), "{done:?}");
        let all = capture(&APPLET, &["-Ap"], b"").out;
        assert!(all.contains("(1)") || all.contains("(1,"), "{all}");
        assert_eq!(capture(&APPLET, &["2147483647"], b"").err, "pstree: 2147483647: no process\n");
        assert_eq!(capture(&APPLET, &["no such user"], b"").status, 1);
    }
}
