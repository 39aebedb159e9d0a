//! `set -e`, `set -o errexit`: the options of the shell.

/// The state of every option.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub allexport: bool,
    /// `{a,b}` is expanded.
    pub braceexpand: bool,
    pub emacs: bool,
    pub errexit: bool,
    /// Functions and subshells inherit the ERR trap.
    pub errtrace: bool,
    pub hashall: bool,
    pub ignoreeof: bool,
    pub interactive: bool,
    pub monitor: bool,
    pub noclobber: bool,
    pub noexec: bool,
    pub noglob: bool,
    /// Function definitions are not put into the history; they never are apart from the line they stand on.
    pub nolog: bool,
    pub notify: bool,
    pub nounset: bool,
    /// `cd` and `pwd` follow links.
    pub physical: bool,
    pub pipefail: bool,
    /// For scripts that ask for what is always so.
    pub posix: bool,
    /// Taken and shown only: nothing is read at the start that a changed user id could not be trusted with.
    pub privileged: bool,
    pub stdin: bool,
    pub verbose: bool,
    pub vi: bool,
    pub xtrace: bool,
    /// A script was given by `-c`; only to show in `$-`.
    pub command: bool,
}

type Field = fn(&mut Options) -> &mut bool;

/// Letter (a blank where there is none), name, and where it is kept; sorted by name.
const TABLE: [(u8, &str, Field); 23] = [
    (b'a', "allexport", |o| &mut o.allexport),
    (b'B', "braceexpand", |o| &mut o.braceexpand),
    (b' ', "emacs", |o| &mut o.emacs),
    (b'e', "errexit", |o| &mut o.errexit),
    (b'E', "errtrace", |o| &mut o.errtrace),
    (b'h', "hashall", |o| &mut o.hashall),
    (b'I', "ignoreeof", |o| &mut o.ignoreeof),
    (b'i', "interactive", |o| &mut o.interactive),
    (b'm', "monitor", |o| &mut o.monitor),
    (b'C', "noclobber", |o| &mut o.noclobber),
    (b'n', "noexec", |o| &mut o.noexec),
    (b'f', "noglob", |o| &mut o.noglob),
    (b' ', "nolog", |o| &mut o.nolog),
    (b'b', "notify", |o| &mut o.notify),
    (b'u', "nounset", |o| &mut o.nounset),
    (b'P', "physical", |o| &mut o.physical),
    (b' ', "pipefail", |o| &mut o.pipefail),
    (b' ', "posix", |o| &mut o.posix),
    (b'p', "privileged", |o| &mut o.privileged),
    (b's', "stdin", |o| &mut o.stdin),
    (b'v', "verbose", |o| &mut o.verbose),
    (b' ', "vi", |o| &mut o.vi),
    (b'x', "xtrace", |o| &mut o.xtrace),
];

impl Options {
    /// Whether there is such a letter; sets it.
    pub fn set_letter(&mut self, letter: u8, on: bool) -> bool {
        let row = TABLE.iter().find(|(known, ..)| *known == letter && letter != b' ');
        row.map(|(.., field)| *field(self) = on).is_some()
    }

    /// Whether there is such a name; sets it.
    pub fn set_name(&mut self, name: &[u8], on: bool) -> bool {
        if on && matches!(name, b"vi" | b"emacs") {
            // One way of editing takes the other's place.
            (self.vi, self.emacs) = (false, false);
        }
        let row = TABLE.iter().find(|(_, known, _)| known.as_bytes() == name);
        row.map(|(.., field)| *field(self) = on).is_some()
    }

    /// Names and states, sorted.
    pub fn list(&self) -> Vec<(&'static str, bool)> {
        let mut copy = self.clone();
        TABLE.iter().map(|(_, name, field)| (*name, *field(&mut copy))).collect()
    }

    /// `$-`.
    pub fn letters(&self) -> Vec<u8> {
        let mut copy = self.clone();
        let on = TABLE.iter().filter(|(letter, _, field)| *letter != b' ' && *field(&mut copy));
        let mut letters: Vec<u8> = on.map(|(letter, ..)| *letter).collect();
        letters.extend(self.command.then_some(b'c'));
        letters
    }
}
