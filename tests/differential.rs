//! Scripts drawn at random from `differential/scripts.grammar` run in sidebox and in dash and bash: where these two
//! agree, sidebox has to. A script that fails is made smaller and printed with all answers, to become a spec case.
//!
//! `SIDEBOX_DIFFERENTIAL=5000` runs more than the usual number, `SIDEBOX_SEED=7` begins elsewhere (a failure names its
//! seed), and `SIDEBOX_ORACLES='dash busybox mksh'` asks others.

mod grammar;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::program::{Directory, Outcome, Program};
use crate::spec::{Oracle, shell};
use grammar::Grammar;

const USUAL: u64 = 200;
const THREADS: usize = 2;

/// What runs the scripts.
struct Shells<'a> {
    program: &'a Program,
    oracles: &'a [Oracle],
    directory: Directory,
}

impl Shells<'_> {
    fn ours(&self, script: &str) -> Outcome {
        self.directory.clear();
        shell(self.program.command("sh"), self.program.links(), script, &self.directory)
    }

    fn theirs(&self, script: &str) -> Vec<Outcome> {
        let run = |oracle: &Oracle| {
            self.directory.clear();
            shell(oracle.shell(), Path::new("/nonexistent"), script, &self.directory)
        };
        self.oracles.iter().map(run).collect()
    }

    /// Whether we differ each time: what a script's background jobs do first is nobody's promise.
    fn differs(&self, script: &str) -> bool {
        (0..3).all(|_| self.differs_once(script))
    }

    /// Whether the oracles agree with each other and not with us: on the output, and then on the status too.
    fn differs_once(&self, script: &str) -> bool {
        let theirs = self.theirs(script);
        let agreed = |same: fn(&Outcome, &Outcome) -> bool| theirs.iter().all(|other| same(other, &theirs[0]));
        if theirs.iter().any(|outcome| outcome.late) || !agreed(|one, other| one.out == other.out) {
            return false;
        }
        let ours = self.ours(script);
        ours.late
            || ours.out != theirs[0].out
            || agreed(|one, other| one.status == other.status) && ours.status != theirs[0].status
    }

    /// All that is to be known about a script.
    fn report(&self, seed: u64, script: &str) -> String {
        let show = |name: &str, outcome: &Outcome| {
            let quoted: String =
                outcome.out.split_inclusive('\n').map(|line| format!("      {}\n", line.escape_debug())).collect();
            let late = if outcome.late { ", killed" } else { "" };
            format!("  {name}: status {}{late}\n{quoted}", outcome.status)
        };
        let ours = self.ours(script);
        let mut report = format!("\n#### seed {seed}\n{}\n{}", script.trim_end(), show("sidebox", &ours));
        report.extend(ours.err.lines().map(|line| format!("    {}\n", line.escape_debug())));
        let named = self.oracles.iter().map(|oracle| format!("{oracle:?}").to_lowercase());
        report.extend(named.zip(self.theirs(script)).map(|(name, outcome)| show(&name, &outcome)));
        report
    }
}

#[test]
fn random_scripts() {
    let number = |name: &str, usual: u64| match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: {text}: no number")),
        Err(_) => usual,
    };
    let first = number("SIDEBOX_SEED", 1);
    let beyond = first + number("SIDEBOX_DIFFERENTIAL", USUAL);
    let names = std::env::var("SIDEBOX_ORACLES").unwrap_or_else(|_| String::from("dash bash"));
    let named = names.split_whitespace().map(|name| Oracle::named(name).unwrap_or_else(|| panic!("{name}: no oracle")));
    let oracles: Vec<Oracle> = named.collect();
    assert!(!oracles.is_empty(), "SIDEBOX_ORACLES names none");

    let grammar = Grammar::parse(include_str!("differential/scripts.grammar"));
    let program = Program::new();
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let shells = Shells { program: &program, oracles: &oracles, directory: Directory::new("differential") };
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= beyond {
                        break;
                    }
                    let script = grammar.script(seed);
                    if shells.differs(&script.to_string()) {
                        let smallest = grammar.reduce(script, |text| shells.differs(text)).to_string();
                        failures.lock().unwrap().push(shells.report(seed, &smallest));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    println!("{}", failures.concat());
    println!("differential: seeds {first} to {}, {} differ", beyond - 1, failures.len());
    assert!(failures.is_empty(), "{} of {} scripts differ", failures.len(), beyond - first);
}
