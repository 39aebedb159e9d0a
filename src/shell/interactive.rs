//! The shell as people type at it: prompt, line editing, history, job control.

use std::cell::RefCell;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use nix::sys::signal::Signal;
use nix::sys::termios::{self, SetArg, Termios};
use nix::unistd::{Pid, getpgrp, setpgid, tcgetpgrp};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, EditMode, Editor};

use super::builtins;
use super::complete::{Completion, Names};
use super::lexer::{ParseError, Parser};
use super::source::{Input, Source, Stop, Text as Lines};
use super::{Flow, Interrupt, Shell, Text};
use crate::output::Safe;
use crate::sys::{self, signal};

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

/// What the reader of lines is told before each command.
#[derive(Default)]
struct Prompts {
    first: String,
    further: String,
    names: Names,
}

/// Lines from an editor on the terminal.
struct Typed {
    editor: Editor<Completion, MemHistory>,
    prompts: Rc<RefCell<Prompts>>,
}

impl Source for Typed {
    fn more(&mut self, continued: bool) -> Result<Option<Vec<u8>>, Stop> {
        // Ctrl-C between two lines of a command, while the terminal was no longer and not yet the editor's.
        if continued && signal::is_pending(Signal::SIGINT) {
            return Err(Stop::Interrupted);
        }
        let prompt = {
            let prompts = self.prompts.borrow();
            if let Some(helper) = self.editor.helper_mut() {
                helper.names.clone_from(&prompts.names);
            }
            if continued { prompts.further.clone() } else { prompts.first.clone() }
        };
        match self.editor.readline(&prompt) {
            Ok(line) => {
                if !line.trim().is_empty() {
                    // A history in memory takes every line.
                    let _ = self.editor.add_history_entry(line.as_str());
                }
                Ok(Some([line.as_bytes(), b"\n"].concat()))
            }
            Err(ReadlineError::Eof) => Ok(None),
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
        let prompts = self.prompts.borrow();
        let prompt = if continued { &prompts.further } else { &prompts.first };
        // A prompt that cannot be shown is no reason to stop.
        let _ = self.errors.write_all(prompt.as_bytes());
        Input(sys::borrow(0)).more(continued)
    }
}

impl Shell<'_> {
    /// Reads and runs commands until the end of input or `exit`.
    pub(super) fn run_interactive(&mut self, quiet: bool) -> u8 {
        self.take_control();
        self.catch_keyboard();
        if !quiet {
            self.greet();
        }
        let prompts = Rc::new(RefCell::new(Prompts::default()));
        let Some(source) = self.reader(&prompts) else { return 2 };
        let mut parser = Parser::new(source);
        loop {
            // Signals that came while the line was typed: a Ctrl-C has done its work.
            if self.run_traps() == Err(Interrupt::Exit) {
                break;
            }
            self.report_jobs();
            *prompts.borrow_mut() = self.prompts();
            parser.aliases = Rc::clone(&self.aliases);
            let result = match parser.next_command() {
                Ok(None) => {
                    if self.terminal.is_some() {
                        self.say("exit");
                    }
                    break;
                }
                Ok(Some(list)) => self.run_list(&list, false),
                Err(ParseError::Stop(Stop::Failed(error))) => {
                    self.complain(format_args!("cannot read: {}", crate::applet::reason(&error)));
                    break;
                }
                Err(error) => Err(self.report_parse_error(&error)),
            };
            (self.loops, self.calls, self.tested) = (0, 0, 0);
            match result {
                Ok(())
                | Err(Interrupt::Break(_) | Interrupt::Continue(_) | Interrupt::Return | Interrupt::Departed) => {}
                Err(Interrupt::Abort) => parser.reset(),
                Err(Interrupt::Exit) => break,
            }
        }
        self.run_exit_trap();
        self.status
    }

    fn reader(&mut self, prompts: &Rc<RefCell<Prompts>>) -> Option<Box<dyn Source>> {
        let prompts = Rc::clone(prompts);
        if self.io.stdin.is_terminal() && self.io.out.file.is_terminal() {
            let mode = if self.options.vi { EditMode::Vi } else { EditMode::Emacs };
            let config = Config::builder().edit_mode(mode).auto_add_history(false).bracketed_paste(true);
            let config = config.completion_type(rustyline::CompletionType::List).build();
            match Editor::with_history(config, MemHistory::new()) {
                Ok(mut editor) => {
                    let chosen = self.variables.get(b"SIDEBOX_TARGET").map(crate::applet::os);
                    editor.set_helper(Some(Completion::new(chosen)));
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

    /// One line on what is being looked at.
    fn greet(&mut self) {
        let line = match self.files.target() {
            Ok(target) => {
                format!(
                    "target: process {} ({}), its files below @/; 'help' lists commands",
                    target.pid,
                    Safe(&target.comm)
                )
            }
            Err(absent) => absent.to_string(),
        };
        self.say(&line);
    }

    fn prompts(&mut self) -> Prompts {
        let first = match self.variables.get(b"PS1").map(<[u8]>::to_vec) {
            Some(text) => self.expand_prompt(&text).unwrap_or(text),
            None => self.default_prompt(),
        };
        let further = self.variables.get(b"PS2").unwrap_or(b"> ").to_vec();
        let further = self.expand_prompt(&further).unwrap_or(further);
        let text = |bytes: Text| String::from_utf8_lossy(&bytes).into_owned();
        Prompts { first: text(first), further: text(further), names: self.names() }
    }

    /// The target's name, where we are, and a failed status.
    fn default_prompt(&mut self) -> Text {
        let target = match self.files.target() {
            Ok(target) => Safe(&target.comm).to_string(),
            Err(_) => String::from("no target"),
        };
        let place = Safe(self.variables.get(b"PWD").unwrap_or_default()).to_string();
        let status = if self.status == 0 { String::new() } else { format!(" [{}]", self.status) };
        let sign = if nix::unistd::geteuid().is_root() { '#' } else { '$' };
        format!("{target} {place}{status} {sign} ").into_bytes()
    }

    /// PS1, PS2, PS4: parameters, substitutions and arithmetic expand; what cannot be parsed stands as it is.
    pub(super) fn expand_prompt(&mut self, text: &[u8]) -> Flow<Text> {
        if !text.iter().any(|byte| matches!(byte, b'$' | b'`' | b'\\')) {
            return Ok(text.to_vec());
        }
        let Ok(parts) = Parser::new(Box::new(Lines::new(text.to_vec()))).here_parts() else { return Ok(text.to_vec()) };
        let status = self.status;
        let expanded = self.expand_parts(&parts, true);
        self.status = status;
        match expanded {
            Err(Interrupt::Departed) => Err(Interrupt::Departed),
            expanded => Ok(expanded.unwrap_or_else(|_| text.to_vec())),
        }
    }

    /// What completion knows of the shell.
    fn names(&self) -> Names {
        let mut commands: Vec<Text> = builtins::TABLE.iter().map(|builtin| builtin.name.as_bytes().to_vec()).collect();
        let applets = self.applets.iter().flat_map(|group| group.applets).flat_map(|applet| applet.names);
        commands.extend(applets.map(|name| name.as_bytes().to_vec()));
        commands.extend(self.functions.keys().cloned());
        commands.extend(self.aliases.keys().cloned());
        commands.sort_unstable();
        commands.dedup();
        let variables = self.variables.names(b"").into_iter().map(<[u8]>::to_vec).collect();
        Names { commands, variables, path: self.variables.get(b"PATH").unwrap_or_default().to_vec() }
    }

    /// The terminal's descriptor, for job control.
    pub(super) fn terminal_fd(&self) -> Option<std::os::fd::RawFd> {
        self.terminal.as_ref().map(|terminal| terminal.fd.as_raw_fd())
    }
}
