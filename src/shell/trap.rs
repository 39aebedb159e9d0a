//! Traps (POSIX.1-2024, XCU trap).

use std::collections::BTreeMap;

use nix::sys::signal::Signal;

use super::source;
use super::{Flow, Interrupt, Shell, Text};
use crate::sys::signal::{self, Disposition};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    Exit,
    Signal(i32),
}

impl Condition {
    /// `EXIT`, `0`, `INT`, `SIGINT`, `2`.
    pub fn named(name: &[u8]) -> Option<Condition> {
        match signal::number(name)? {
            0 => Some(Condition::Exit),
            number => Some(Condition::Signal(number)),
        }
    }

    pub fn name(self) -> String {
        match self {
            Condition::Exit => String::from("EXIT"),
            Condition::Signal(number) => signal::name(number).unwrap_or_else(|| number.to_string()),
        }
    }
}

#[derive(Default)]
pub struct Traps {
    /// An empty action ignores.
    actions: BTreeMap<Condition, Text>,
    /// Of the shell that this one is a subshell of: listed until the first change.
    inherited: BTreeMap<Condition, Text>,
    /// Signals that came and whose action has not yet been run.
    waiting: Vec<Signal>,
}

impl Traps {
    pub fn list(&self) -> impl Iterator<Item = (Condition, &Text)> {
        let shown = if self.actions.is_empty() { &self.inherited } else { &self.actions };
        shown.iter().map(|(condition, action)| (*condition, action))
    }

    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Whether no more than the end has an action.
    pub fn only_exit(&self) -> bool {
        self.actions.keys().all(|condition| *condition == Condition::Exit)
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
        self.traps.inherited.clear();
        if let Condition::Signal(number) = condition
            && let Ok(signal) = Signal::try_from(number)
        {
            let known = self.traps.actions.contains_key(&condition);
            // What a script was started with ignored stays so.
            if !known && !self.options.interactive && signal::ignored(signal) {
                return;
            }
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

    /// What an untrapped signal does to this shell: an interactive one survives those of the keyboard.
    fn default_disposition(&self, signal: Signal) -> Disposition {
        match signal {
            Signal::SIGINT if self.options.interactive => Disposition::Catch,
            Signal::SIGTERM | Signal::SIGQUIT if self.options.interactive => Disposition::Ignore,
            Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU if self.options.monitor => Disposition::Ignore,
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

    /// In a forked child: traps are reset, what is ignored stays ignored (XCU 2.13).
    pub(super) fn reset_traps(&mut self, was_interactive: bool, was_monitor: bool) {
        use Signal::{SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU};
        let ignored = |action: &Text| action.is_empty();
        for (condition, _) in self.traps.actions.iter().filter(|(_, action)| !ignored(action)) {
            if let Condition::Signal(number) = condition
                && let Ok(signal) = Signal::try_from(*number)
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
        for signal in keyboard {
            if !self.traps.actions.get(&Condition::Signal(*signal as i32)).is_some_and(ignored) {
                let _ = signal::set(*signal, Disposition::Default);
            }
        }
        let actions = std::mem::take(&mut self.traps.actions);
        if !actions.is_empty() {
            self.traps.inherited.clone_from(&actions);
        }
        self.traps.actions = actions.into_iter().filter(|(_, action)| ignored(action)).collect();
        self.traps.waiting.clear();
    }

    /// Runs the actions of signals that have come. Between commands.
    pub(super) fn run_traps(&mut self) -> Flow {
        if !signal::pending() && self.traps.waiting.is_empty() {
            return Ok(());
        }
        self.traps.waiting.extend(signal::take());
        while !self.traps.waiting.is_empty() {
            let signal = self.traps.waiting.remove(0);
            match self.traps.actions.get(&Condition::Signal(signal as i32)).cloned() {
                Some(action) => self.run_action(action)?,
                None if signal == Signal::SIGINT && self.options.interactive => {
                    self.status = 128 + libc::SIGINT as u8;
                    return Err(Interrupt::Abort);
                }
                None => {}
            }
        }
        Ok(())
    }

    fn run_action(&mut self, action: Text) -> Flow {
        let status = self.status;
        let result = self.run_source(Box::new(source::Text::new(action)), false);
        // What ends the shell or a function has a status of its own.
        if !matches!(result, Err(Interrupt::Exit | Interrupt::Abort | Interrupt::Return)) {
            self.status = status;
        }
        result
    }

    /// The EXIT trap, once, when the shell ends. `exit` or an error in it sets the status.
    pub(super) fn run_exit_trap(&mut self) {
        if let Some(action) = self.traps.actions.remove(&Condition::Exit) {
            let status = self.status;
            (self.loops, self.calls, self.tested) = (0, 0, 0);
            let result = self.run_source(Box::new(source::Text::new(action)), false);
            if !matches!(result, Err(Interrupt::Exit | Interrupt::Abort)) {
                self.status = status;
            }
        }
    }
}
