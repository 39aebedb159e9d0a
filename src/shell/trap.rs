//! Traps (POSIX.1-2024, XCU trap).

use std::collections::BTreeMap;

use nix::sys::signal::Signal;

use super::syntax::source;
use super::{Flow, Interrupt, Shell, Text};
use crate::sys;
use crate::sys::signal::{self, Disposition};

/// What ends a process that does nothing about it, and that people and engines send.
pub const FATAL: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    Exit,
    Signal(i32),
    /// A command failed where `set -e` would end the shell (as in ksh and bash).
    Error,
}

impl Condition {
    /// `EXIT`, `0`, `INT`, `SIGINT`, `2`, `ERR`.
    pub fn named(name: &[u8]) -> Option<Condition> {
        if name.eq_ignore_ascii_case(b"ERR") {
            return Some(Condition::Error);
        }
        match signal::number(name)? {
            0 => Some(Condition::Exit),
            number => Some(Condition::Signal(number)),
        }
    }

    /// All that can be trapped.
    pub fn all() -> impl Iterator<Item = Condition> {
        let fixed = [libc::SIGKILL, libc::SIGSTOP];
        let named = move |number: &i32| !fixed.contains(number) && signal::name(*number).is_some();
        std::iter::once(Condition::Exit).chain((1..=libc::SIGRTMAX()).filter(named).map(Condition::Signal))
    }

    pub fn name(self) -> String {
        match self {
            Condition::Exit => String::from("EXIT"),
            Condition::Error => String::from("ERR"),
            Condition::Signal(number) => signal::name(number).unwrap_or_else(|| number.to_string()),
        }
    }
}

#[derive(Default)]
pub struct Traps {
    /// An empty action ignores.
    actions: BTreeMap<Condition, Text>,
    /// Of the shell that this one is a subshell of: listed until the first change (XCU trap).
    inherited: Option<BTreeMap<Condition, Text>>,
    /// Signals that came and whose action has not yet been run.
    waiting: Vec<Signal>,
    /// What the shell was started with ignored, as far as it was asked to change it: one bit each.
    fixed: u64,
    /// SIGINT and SIGQUIT are ignored since this is an asynchronous list, in which a trap may change that.
    asynchronous: bool,
    /// While an action is run: the status before it, and how many calls were being run.
    interrupted: Option<(u8, usize)>,
}

impl Traps {
    pub fn list(&self) -> impl Iterator<Item = (Condition, &Text)> {
        let shown = self.inherited.as_ref().unwrap_or(&self.actions);
        shown.iter().map(|(condition, action)| (*condition, action))
    }

    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Whether no more than the end has an action.
    pub fn only_exit(&self) -> bool {
        self.actions.keys().all(|condition| *condition == Condition::Exit)
    }

    /// Signals whose actions have not yet been run.
    pub fn waiting(&self) -> &[Signal] {
        &self.waiting
    }

    /// Takes a signal as one that has come.
    pub fn note(&mut self, signal: Signal) {
        self.waiting.push(signal);
    }

    /// The first signal that has come and ends a builtin's waiting: a trapped one, or Ctrl-C in an interactive shell.
    pub fn arrived(&mut self, interactive: bool) -> Option<Signal> {
        self.waiting.extend(signal::take());
        let ends = |signal: &&Signal| {
            self.actions.contains_key(&Condition::Signal(**signal as i32)) || interactive && **signal == Signal::SIGINT
        };
        self.waiting.iter().find(ends).copied()
    }
}

impl Shell<'_> {
    /// Sets an action: `None` for the default, empty to ignore.
    pub(super) fn set_trap(&mut self, condition: Condition, action: Option<Text>) {
        self.traps.inherited = None;
        if let Condition::Signal(number) = condition
            && let Ok(signal) = Signal::try_from(number)
            && !self.stays_ignored(signal)
        {
            let disposition = match &action {
                None => self.default_disposition(signal),
                Some(action) if action.is_empty() => Disposition::Ignore,
                Some(_) => Disposition::Catch,
            };
            // SIGKILL and SIGSTOP cannot be changed, which is no error (the result is unspecified by the standard).
            let _ = signal::set(signal, disposition);
        }
        match action {
            Some(action) => self.traps.actions.insert(condition, action),
            None => self.traps.actions.remove(&condition),
        };
    }

    /// What a script was started with ignored cannot be trapped (XCU trap); the action is only listed, as everywhere.
    fn stays_ignored(&mut self, signal: Signal) -> bool {
        let bit = 1 << signal as i32;
        let known = self.traps.actions.contains_key(&Condition::Signal(signal as i32))
            || self.traps.asynchronous && matches!(signal, Signal::SIGINT | Signal::SIGQUIT);
        if !known && !self.options.interactive && signal::ignored(signal) {
            self.traps.fixed |= bit;
        }
        self.traps.fixed & bit != 0
    }

    /// In the child that runs an asynchronous list without job control: the keyboard does not reach it (XCU 2.12).
    pub(super) fn ignore_keyboard(&mut self) {
        for signal in [Signal::SIGINT, Signal::SIGQUIT] {
            if !self.stays_ignored(signal) {
                let _ = signal::set(signal, Disposition::Ignore);
            }
        }
        self.traps.asynchronous = true;
    }

    /// What an untrapped signal does to this shell: an interactive one survives those of the keyboard.
    fn default_disposition(&self, signal: Signal) -> Disposition {
        match signal {
            Signal::SIGINT if self.options.interactive => Disposition::Catch,
            // Its PID 1 is asked to end by whoever runs the container.
            Signal::SIGTERM if self.options.interactive && self.is_init() => Disposition::End,
            Signal::SIGTERM | Signal::SIGQUIT if self.options.interactive => Disposition::Ignore,
            Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU if self.options.monitor => Disposition::Ignore,
            signal if self.is_init() && FATAL.contains(&signal) => Disposition::End,
            _ => Disposition::Default,
        }
    }

    /// The signals that an interactive shell handles on its own account.
    pub(super) fn catch_keyboard(&mut self) {
        use Signal::{SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU};
        for signal in [SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU] {
            if !self.traps.actions.contains_key(&Condition::Signal(signal as i32)) {
                let _ = signal::set(signal, self.default_disposition(signal));
            }
        }
    }

    /// Whether the kernel takes this process for init, which no signal ends that it has no handler for.
    pub(super) fn is_init(&self) -> bool {
        self.pid.as_raw() == 1 && !self.subshell
    }

    /// As PID 1: lets the signals end the shell that would end any other process.
    pub(super) fn catch_fatal(&mut self) {
        for signal in FATAL.iter().filter(|_| self.is_init()) {
            let _ = signal::set(*signal, self.default_disposition(*signal));
        }
    }

    /// In a forked child: traps are reset, what is ignored stays ignored (XCU 2.13).
    pub(super) fn reset_traps(&mut self, was_interactive: bool, was_monitor: bool) {
        use Signal::{SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU};
        let ignored = |action: &Text| action.is_empty();
        for (condition, _) in self.traps.actions.iter().filter(|(_, action)| !ignored(action)) {
            if let Condition::Signal(number) = condition
                && let Ok(signal) = Signal::try_from(*number)
                && self.traps.fixed & 1 << number == 0
            {
                let _ = signal::set(signal, Disposition::Default);
            }
        }
        let keyboard: &[Signal] = match (was_interactive, was_monitor) {
            (true, true) => &[SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU],
            (true, false) => &[SIGINT, SIGQUIT, SIGTERM],
            (false, true) => &[SIGTSTP, SIGTTIN, SIGTTOU],
            (false, false) => &[],
        };
        let fatal = if self.is_init() { &FATAL[..] } else { &[] };
        for signal in keyboard.iter().chain(fatal) {
            if !self.traps.actions.get(&Condition::Signal(*signal as i32)).is_some_and(ignored) {
                let _ = signal::set(*signal, Disposition::Default);
            }
        }
        let actions = std::mem::take(&mut self.traps.actions);
        if !actions.is_empty() {
            self.traps.inherited = Some(actions.clone());
        }
        let errtrace = self.options.errtrace;
        let stays =
            |(condition, action): &(Condition, Text)| ignored(action) || errtrace && *condition == Condition::Error;
        self.traps.actions = actions.into_iter().filter(stays).collect();
        self.traps.waiting.clear();
    }

    /// Runs the actions of signals that have come. Between commands.
    pub(super) fn run_traps(&mut self) -> Flow {
        if !signal::pending() && self.traps.waiting.is_empty() {
            return Ok(());
        }
        self.take_signals();
        while !self.traps.waiting.is_empty() {
            let signal = self.traps.waiting.remove(0);
            match self.traps.actions.get(&Condition::Signal(signal as i32)).cloned() {
                Some(action) => self.run_action(action)?,
                None if signal == Signal::SIGINT && self.options.interactive => {
                    if self.is_virtual() {
                        // It is meant for the commands around the subshell too.
                        self.traps.waiting.push(signal);
                    }
                    self.status = 128 + libc::SIGINT as u8;
                    return Err(Interrupt::Keyboard);
                }
                None if self.is_init() && FATAL.contains(&signal) => sys::exit(128 + signal as u8),
                None => {}
            }
        }
        Ok(())
    }

    /// Notes the signals that have come.
    pub(super) fn take_signals(&mut self) {
        self.traps.waiting.extend(signal::take());
    }

    /// The action of ERR, which functions and subshells inherit only under `set -E`.
    pub(super) fn run_error_trap(&mut self) -> Flow {
        if self.calls > 0 && !self.options.errtrace {
            return Ok(());
        }
        // Not for what fails in it.
        let Some(action) = self.traps.actions.remove(&Condition::Error) else { return Ok(()) };
        let result = self.run_action(action.clone());
        self.traps.actions.entry(Condition::Error).or_insert(action);
        result
    }

    /// `$?` is afterwards what it was before, unless the action ends more than itself.
    fn run_action(&mut self, action: Text) -> Flow {
        let status = self.status;
        let outer = self.traps.interrupted.replace((status, self.calls));
        let result = self.run_source(Box::new(source::Text::at(self.line, action)), false);
        self.traps.interrupted = outer;
        if result.is_ok() {
            self.status = status;
        }
        result
    }

    /// The status of `exit` without an operand: in an action the one from before it (XCU exit).
    pub(super) fn status_of_exit(&self) -> u8 {
        self.traps.interrupted.map_or(self.status, |(status, _)| status)
    }

    /// The same for `return`, where it ends the action and not a function called by it.
    pub(super) fn status_of_return(&self) -> u8 {
        let ended = self.traps.interrupted.filter(|(_, calls)| *calls == self.calls);
        ended.map_or(self.status, |(status, _)| status)
    }

    /// The EXIT trap, once, when the shell ends. `exit` in it sets the status.
    pub(super) fn run_exit_trap(&mut self) {
        if let Some(action) = self.traps.actions.remove(&Condition::Exit) {
            (self.loops, self.calls, self.tested) = (0, 0, 0);
            // All that can still be interrupted is this.
            let _ = self.run_action(action);
        }
    }
}
