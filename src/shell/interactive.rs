//! The shell as people type at it: prompt, line editing, history, job control.

mod complete;
pub mod history;
pub mod idle;
mod prompt;

use std::cell::RefCell;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::termios::{self, SetArg, Termios};
use nix::unistd::{Pid, getpgrp, setpgid, tcgetpgrp};
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, EditMode, Editor};

use super::syntax::lexer::{ParseError, Parser};
use super::syntax::source::{self, Source, Stop};
use super::{Interrupt, Shell, Text};
use crate::output::{Safe, order};
use crate::sys::{self, signal};
use complete::{Completion, Names};
use idle::Idle;

/// The terminal that the shell controls, and how it was when the shell had it last.
pub struct Terminal {
    pub fd: OwnedFd,
    modes: Option<Termios>,
}

impl Terminal {
    /// Keeps the modes that a job left on purpose, `stty` for one.
    pub fn remember(&mut self) {
        self.modes = termios::tcgetattr(&self.fd).ok().or(self.modes.take());
    }

    /// Brings the modes back after a job that did not.
    pub fn restore(&self) {
        if let Some(modes) = &self.modes {
            let _ = termios::tcsetattr(&self.fd, SetArg::TCSADRAIN, modes);
        }
    }
}

/// What the reader of lines is told before each command, and what it gives back.
#[derive(Default)]
struct Prompts {
    first: String,
    further: String,
    vi: bool,
    /// How long to wait for a key.
    patience: Option<Duration>,
    names: Names,
    /// The history, where it has changed.
    recall: Option<Vec<String>>,
    /// The lines of the command, as they were typed.
    typed: Text,
}

/// How long a key may take that begins with the byte of Escape, in milliseconds.
const ESCAPE: u16 = 50;

/// Lines from an editor on the terminal.
struct Typed {
    editor: Editor<Completion, MemHistory>,
    prompts: Rc<RefCell<Prompts>>,
}

impl Source for Typed {
    fn is_input(&self) -> bool {
        // The terminal has shown it.
        false
    }

    fn more(&mut self, continued: bool) -> Result<Option<Vec<u8>>, Stop> {
        // Ctrl-C between two lines of a command, while the terminal was no longer and not yet the editor's.
        if continued && signal::is_pending(Signal::SIGINT) {
            return Err(Stop::Interrupted);
        }
        let mut prompts = self.prompts.borrow_mut();
        if let Some(helper) = self.editor.helper_mut() {
            helper.know(std::mem::take(&mut prompts.names));
            helper.idle = prompts.patience.and_then(Idle::start);
        }
        if let Some(list) = prompts.recall.take() {
            // The editor's copy is in memory and takes every line.
            let _ = self.editor.set_max_history_size(list.len()).and_then(|()| self.editor.clear_history());
            for line in list {
                let _ = self.editor.add_history_entry(line);
            }
        }
        self.editor.set_edit_mode(if prompts.vi { EditMode::Vi } else { EditMode::Emacs });
        if prompts.vi {
            // The editor's half a second would make a command typed right behind it another key.
            self.editor.set_keyseq_timeout(Some(ESCAPE));
        }
        let read = self.editor.readline(if continued { &prompts.further } else { &prompts.first });
        let idle = self.editor.helper_mut().and_then(|helper| helper.idle.take());
        match read {
            Ok(line) => {
                let line = [line.as_bytes(), b"\n"].concat();
                prompts.typed.extend_from_slice(&line);
                Ok(Some(line))
            }
            Err(ReadlineError::Eof) => Ok(None),
            Err(ReadlineError::Interrupted) if idle.is_some_and(|idle| idle.is_over()) => Err(Stop::Idle),
            Err(ReadlineError::Interrupted) => Err(Stop::Interrupted),
            Err(ReadlineError::Io(error)) => Err(Stop::Failed(error)),
            Err(error) => Err(Stop::Failed(std::io::Error::other(error))),
        }
    }
}

/// Lines from anything else, with prompts on standard error.
struct Plain {
    prompts: Rc<RefCell<Prompts>>,
    errors: File,
}

impl Source for Plain {
    fn more(&mut self, continued: bool) -> Result<Option<Vec<u8>>, Stop> {
        let mut prompts = self.prompts.borrow_mut();
        let prompt = if continued { &prompts.further } else { &prompts.first };
        // A prompt that cannot be shown is no reason to stop.
        let _ = self.errors.write_all(prompt.as_bytes());
        let line = source::line(sys::borrow(0), prompts.patience).inspect_err(|_| {
            // What is told then stands on a line of its own.
            let _ = self.errors.write_all(b"\n");
        })?;
        prompts.typed.extend_from_slice(line.as_deref().unwrap_or_default());
        Ok(line)
    }
}

impl Shell<'_> {
    /// Reads and runs commands until the end of input or `exit`.
    pub(super) fn run_interactive(&mut self, quiet: bool) -> u8 {
        self.take_control();
        self.catch_keyboard();
        if self.variables.get(b"PS1").is_none() {
            // Nothing is readonly yet that could be unset.
            let _ = self.variables.set(b"PS1", prompt::DEFAULT.to_vec());
        }
        self.load_history();
        if !quiet && self.io.err.is_terminal() {
            self.greet();
        }
        let prompts = Rc::new(RefCell::new(Prompts::default()));
        let Some(source) = self.reader(&prompts) else { return 2 };
        let mut parser = Parser::new(source);
        let (mut ends, mut recalled) = (0, None);
        loop {
            // Signals that came while the line was typed: a Ctrl-C has done its work.
            if self.run_traps() == Err(Interrupt::Exit) {
                break;
            }
            self.report_jobs();
            self.jobs.warned = self.jobs.warned.saturating_sub(1);
            *prompts.borrow_mut() = self.prompts(&mut recalled);
            parser.aliases = Rc::clone(&self.aliases);
            let parsed = parser.next_command();
            let typed = std::mem::take(&mut prompts.borrow_mut().typed);
            self.record(&typed);
            let result = match parsed {
                Ok(None) => {
                    ends += 1;
                    if self.ends_at_end_of_file(ends) {
                        break;
                    }
                    parser.reset();
                    continue;
                }
                Ok(Some(list)) => {
                    let result = self.run_list(&list, false);
                    if result == Err(Interrupt::Keyboard) {
                        // Behind the ^C that the terminal shows.
                        self.say("");
                    }
                    result
                }
                Err(ParseError::Stop(Stop::Idle)) => {
                    let seconds = prompts.borrow().patience.unwrap_or_default().as_secs();
                    self.complain(format_args!("no input for {seconds} s (TMOUT): the shell ends"));
                    break;
                }
                Err(ParseError::Stop(Stop::Failed(error))) => {
                    self.complain(format_args!("cannot read: {}", crate::applet::reason(&error)));
                    break;
                }
                Err(error) => Err(self.report_parse_error(&error)),
            };
            ends = 0;
            (self.loops, self.calls, self.tested) = (0, 0, 0);
            match result {
                Ok(())
                | Err(Interrupt::Break(_) | Interrupt::Continue(_) | Interrupt::Return | Interrupt::Departed) => {}
                Err(Interrupt::Abort | Interrupt::Keyboard) => parser.reset(),
                Err(Interrupt::Exit) => break,
            }
        }
        self.run_exit_trap();
        self.status
    }

    /// Whether Ctrl-D ends the shell: not with `set -o ignoreeof` or stopped jobs. One that comes again and again is a
    /// terminal that has gone away.
    fn ends_at_end_of_file(&mut self, ends: u32) -> bool {
        const PATIENCE: u32 = 10;
        if self.terminal.is_none() || ends >= PATIENCE {
            return true;
        }
        if self.options.ignoreeof {
            self.say("Use 'exit' to leave the shell.");
            return false;
        }
        if !self.may_leave() {
            return false;
        }
        self.say("exit");
        true
    }

    fn reader(&mut self, prompts: &Rc<RefCell<Prompts>>) -> Option<Box<dyn Source>> {
        let prompts = Rc::clone(prompts);
        if self.io.stdin.is_terminal() && self.io.out.file.is_terminal() {
            let config = Config::builder().auto_add_history(false).bracketed_paste(true);
            let config = config.completion_type(rustyline::CompletionType::List).build();
            match Editor::with_history(config, MemHistory::new()) {
                Ok(mut editor) => {
                    editor.set_helper(Some(Completion::default()));
                    return Some(Box::new(Typed { editor, prompts }));
                }
                Err(error) => self.complain(format_args!("no line editing: {}", Safe(error.to_string().as_bytes()))),
            }
        }
        match self.io.err.try_clone() {
            Ok(errors) => Some(Box::new(Plain { prompts, errors })),
            Err(error) => {
                self.complain(format_args!("standard error: {}", crate::applet::reason(&error)));
                None
            }
        }
    }

    /// Makes this process the leader of the terminal's foreground group. Without that there is no job control, which is
    /// said once.
    fn take_control(&mut self) {
        let private = [2, 0].into_iter().find_map(|fd| {
            let copy = sys::descriptor::save(fd).ok().map(sys::owned)?;
            copy.is_terminal().then_some(copy)
        });
        let Some(fd) = private else { return };
        let modes = termios::tcgetattr(&fd).ok();
        let own = getpgrp();
        let controlled = tcgetpgrp(&fd).and_then(|_| {
            // The leader of a session cannot change its group, and need not.
            if own != Pid::this() {
                setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            }
            Ok(())
        });
        self.terminal = Some(Terminal { fd, modes });
        match controlled {
            Ok(()) => {
                self.options.monitor = true;
                self.catch_keyboard();
                self.take_terminal();
            }
            Err(errno) => self.say(&format!("no job control: {}", errno.desc())),
        }
    }

    /// One line on what is being looked at and where to look; it names only commands that there are.
    fn greet(&mut self) {
        let line = match self.files.target() {
            Ok(target) => format!("target: process {} ({}), its files: @/", target.pid, Safe(&target.comm)),
            Err(absent) => absent.to_string(),
        };
        let known = |name: &&str| self.commands.contains_key(name.as_bytes());
        let names: Vec<&str> = ["help", "why", "inspect"].into_iter().filter(known).collect();
        self.say(&format!("{line}; see: {}", names.join(", ")));
    }

    /// What the reader of lines has to know for the next command. `recalled`: the history that it knows.
    fn prompts(&mut self, recalled: &mut Option<u64>) -> Prompts {
        let first = self.first_prompt();
        let further = self.variables.get(b"PS2").unwrap_or_default().to_vec();
        let further = self.expand_prompt(&further).unwrap_or(further);
        let text = |bytes: Text| String::from_utf8_lossy(&bytes).into_owned();
        let changed = recalled.replace(self.history.version) != Some(self.history.version);
        let recall = changed.then(|| self.history.iter().map(|(_, line)| text(line.clone())).collect());
        Prompts {
            first: text(first),
            further: text(further),
            vi: self.options.vi,
            patience: self.patience(),
            names: self.names(),
            recall,
            typed: Text::new(),
        }
    }

    /// What completion knows of the shell.
    fn names(&self) -> Names {
        let mut commands: Vec<Text> = self.commands.keys().map(|name| name.to_vec()).collect();
        commands.extend(self.functions.keys().cloned());
        commands.extend(self.aliases.keys().cloned());
        order::sort(&mut commands);
        commands.dedup();
        Names {
            commands,
            variables: self.variables.names(b"").into_iter().map(<[u8]>::to_vec).collect(),
            jobs: self.jobs.iter().map(|job| format!("%{}", job.id).into_bytes()).collect(),
            path: self.variables.get(b"PATH").unwrap_or_default().to_vec(),
            target: self.variables.get(b"SIDEBOX_TARGET").map(<[u8]>::to_vec),
        }
    }

    /// The terminal's descriptor, for job control.
    pub(super) fn terminal_fd(&self) -> Option<std::os::fd::RawFd> {
        self.terminal.as_ref().map(|terminal| terminal.fd.as_raw_fd())
    }
}
