//! Running what the parser made: lists, pipelines, compound commands (POSIX.1-2024, XCU 2.9).

mod conditional;
pub mod departing;
mod guest;
mod pipeline;
pub mod redirect;
pub mod simple;
mod subshell;
mod timed;
mod trace;

use std::rc::Rc;

use super::expand::pattern;
use super::syntax::lexer::{ParseError, Parser};
use super::syntax::source::{Source, Stop};
use super::syntax::tree::{Arithmetic, Arm, ArmEnd, Command, Connector, Item, Kind, List, Part, Pipeline, Written};
use super::{Flow, Interrupt, Shell};
use crate::applet::reason;
use crate::sys;

impl Shell<'_> {
    /// Reads and runs commands until the text ends. A syntax error has been reported: status 2.
    /// `last`: the process ends after it, so that the last command of a text may take its place.
    pub(super) fn run_source(&mut self, source: Box<dyn Source + '_>, last: bool) -> Flow {
        let mut parser = Parser::new(source);
        let outer = self.line;
        let mut ran = false;
        let result = loop {
            parser.aliases = Rc::clone(&self.aliases);
            parser.verbose = self.options.verbose;
            let next = parser.next_command();
            if !parser.lines.is_empty() {
                self.show(&std::mem::take(&mut parser.lines));
            }
            match next {
                Ok(None) => break Ok(()),
                Ok(Some(list)) if list.items.is_empty() => {}
                Ok(Some(list)) => {
                    ran = true;
                    let last = last && parser.at_end();
                    if let Err(interrupt) = self.run_list(&list, last) {
                        break Err(interrupt);
                    }
                }
                Err(error) => break Err(self.report_parse_error(&error)),
            }
        };
        if !ran && result.is_ok() {
            self.status = 0;
        }
        self.line = outer;
        result
    }

    pub(super) fn report_parse_error(&mut self, error: &ParseError) -> Interrupt {
        match error {
            ParseError::Syntax { line, message } => {
                self.line = *line;
                self.abort(message)
            }
            ParseError::Stop(Stop::Interrupted | Stop::Idle) => {
                self.status = 128 + libc::SIGINT as u8;
                Interrupt::Keyboard
            }
            ParseError::Stop(Stop::Failed(error)) => {
                let interrupt = self.abort(format_args!("cannot read: {}", reason(error)));
                if self.calls == 0 {
                    // XCU sh, EXIT STATUS: the shell's own commands could not be read.
                    self.status = 128;
                }
                interrupt
            }
        }
    }

    /// Runs a list. `last`: the process ends after it, so that its last command needs no process of its own.
    pub(super) fn run_list(&mut self, list: &List, last: bool) -> Flow {
        for (index, item) in list.items.iter().enumerate() {
            self.run_item(item, last && index + 1 == list.items.len())?;
            self.run_traps()?;
        }
        Ok(())
    }

    fn run_item(&mut self, item: &Item, last: bool) -> Flow {
        if self.options.noexec {
            return Ok(());
        }
        if item.background {
            return self.run_background(item);
        }
        self.run_and_or(item, last)
    }

    fn run_and_or(&mut self, item: &Item, last: bool) -> Flow {
        let count = item.rest.len();
        self.run_tested(&item.first, &item.text, last, count > 0)?;
        for (index, (connector, pipeline)) in item.rest.iter().enumerate() {
            self.run_traps()?;
            if (self.status == 0) == (*connector == Connector::And) {
                self.run_tested(pipeline, &item.text, last, index + 1 < count)?;
            }
        }
        Ok(())
    }

    /// A pipeline of an and-or list; the status of all but the last is tested by what follows.
    fn run_tested(&mut self, pipeline: &Pipeline, text: &Written, last: bool, tested: bool) -> Flow {
        self.tested += usize::from(tested);
        let result = self.run_pipeline(pipeline, text, last && !tested);
        self.tested -= usize::from(tested);
        result
    }

    fn run_pipeline(&mut self, pipeline: &Pipeline, text: &Written, last: bool) -> Flow {
        match pipeline.timed {
            Some(format) => self.run_timed(pipeline, format, text),
            None => self.run_commands(pipeline, text, last),
        }
    }

    /// A pipeline without its `time`.
    pub(super) fn run_commands(&mut self, pipeline: &Pipeline, text: &Written, last: bool) -> Flow {
        self.tested += usize::from(pipeline.negated);
        let result = match pipeline.commands.as_slice() {
            [command] => self.run_command(command, text, last && !pipeline.negated),
            commands => self.run_pipe(commands, text),
        };
        self.tested -= usize::from(pipeline.negated);
        result?;
        if pipeline.negated {
            self.status = u8::from(self.status == 0);
        }
        Ok(())
    }

    /// The ERR trap and `set -e`: what follows a command that failed, where nothing tests it.
    pub(super) fn check_errexit(&mut self) -> Flow {
        if self.status == 0 || self.tested > 0 {
            return Ok(());
        }
        self.run_error_trap()?;
        if self.options.errexit { Err(Interrupt::Exit) } else { Ok(()) }
    }

    fn run_background(&mut self, item: &Item) -> Flow {
        self.depart()?;
        let monitor = self.options.monitor;
        let prepare = |shell: &mut Self| {
            shell.jobs.clear();
            if !monitor {
                // XCU 2.12 and 2.9.3.1: the keyboard does not reach it, and it does not read what is typed.
                shell.ignore_keyboard();
                if let Ok(null) = shell.files.open(std::path::Path::new("/dev/null")) {
                    let _ = sys::descriptor::duplicate(&null, 0);
                }
            }
        };
        self.limit_jobs();
        let (pids, group) = match (&item.first, item.rest.as_slice()) {
            (Pipeline { negated: false, timed: None, commands }, []) if !self.options.pipefail => {
                self.start_pipe(commands, false, prepare)?
            }
            _ => {
                let mut group = None;
                let pid = self.start_child(&mut group, false, |shell| {
                    prepare(shell);
                    shell.run_and_or(item, true)
                })?;
                (vec![pid], group)
            }
        };
        let job = self.jobs.add(&pids, group, &item.text, true);
        let Some(pid) = pids.last() else { return Ok(()) };
        self.last_background = Some(*pid);
        if self.options.interactive {
            self.say(&format!("[{job}] {pid}"));
        }
        self.status = 0;
        Ok(())
    }

    pub(super) fn run_command(&mut self, command: &Rc<Command>, text: &Written, last: bool) -> Flow {
        self.line = command.line;
        if sys::stack::is_exhausted() {
            return Err(self.abort("nested too deeply"));
        }
        match &command.kind {
            Kind::Simple { assignments, words } => {
                self.run_simple(assignments, words, &command.redirects, text, last)?;
                return self.check_errexit();
            }
            Kind::Function { name, body } => {
                Rc::make_mut(&mut self.functions).insert(name.clone(), Rc::clone(body));
                self.status = 0;
                return Ok(());
            }
            Kind::Subshell(list) => {
                self.run_subshell(list, command, text, last)?;
                return self.check_errexit();
            }
            _ => {}
        }
        self.depart_for_redirects(&command.redirects)?;
        let Some(undo) = self.redirect(&command.redirects)? else { return self.check_errexit() };
        let result = self.run_compound(&command.kind, last && command.redirects.is_empty());
        self.undo(undo);
        result
    }

    fn run_compound(&mut self, kind: &Kind, last: bool) -> Flow {
        match kind {
            Kind::Brace(list) => self.run_list(list, last),
            Kind::If { branches, otherwise } => {
                for (condition, body) in branches {
                    if self.test(condition)? {
                        return self.run_list(body, last);
                    }
                }
                match otherwise {
                    // It still sees the condition's status.
                    Some(list) => self.run_list(list, last),
                    None => {
                        self.status = 0;
                        Ok(())
                    }
                }
            }
            Kind::While { until, condition, body } => self.run_while(*until, condition, body),
            Kind::For { name, words, body } => {
                let values = match words {
                    Some(words) => self.expand_words(words)?,
                    None => self.arguments.to_vec(),
                };
                if values.is_empty() {
                    self.status = 0;
                }
                self.looped(|shell| {
                    for value in values {
                        shell.assign(name, value)?;
                        if shell.round(body)? {
                            break;
                        }
                    }
                    Ok(())
                })
            }
            Kind::Case { word, arms } => {
                let subject = self.expand_single(word)?;
                self.run_case(&subject, arms, last)
            }
            Kind::Count { header, body } => self.run_count(header, body),
            Kind::Arithmetic(parts) => self.run_arithmetic(parts),
            Kind::Conditional(condition) => self.run_condition(condition),
            Kind::Simple { .. } | Kind::Subshell(_) | Kind::Function { .. } => Ok(()),
        }
    }

    /// Runs a condition, in which a failure is an answer.
    fn test(&mut self, condition: &List) -> Flow<bool> {
        self.tested += 1;
        let result = self.run_list(condition, false);
        self.tested -= 1;
        result?;
        Ok(self.status == 0)
    }

    fn run_while(&mut self, until: bool, condition: &List, body: &List) -> Flow {
        self.looped(|shell| {
            let mut status = 0;
            loop {
                match shell.test(condition) {
                    Ok(holds) if holds != until => {}
                    Ok(_) => break,
                    Err(Interrupt::Continue(1)) => continue,
                    Err(Interrupt::Break(1)) => break,
                    Err(interrupt) => return Err(outward(interrupt)),
                }
                let left = shell.round(body)?;
                status = shell.status;
                if left {
                    break;
                }
            }
            shell.status = status;
            Ok(())
        })
    }

    /// `for ((first; condition; next))`
    fn run_count(&mut self, [first, condition, next]: &[Arithmetic; 3], body: &List) -> Flow {
        // Without a condition it holds.
        let endless =
            condition.parts.iter().all(|part| matches!(part, Part::Literal(text) if text.trim_ascii().is_empty()));
        self.arithmetic(first)?;
        self.status = 0;
        self.looped(|shell| {
            while endless || shell.arithmetic(condition)? != 0 {
                if shell.round(body)? {
                    break;
                }
                shell.arithmetic(next)?;
            }
            Ok(())
        })
    }

    fn looped(&mut self, body: impl FnOnce(&mut Self) -> Flow) -> Flow {
        self.loops += 1;
        let result = body(self);
        self.loops -= 1;
        result
    }

    /// One round of a loop; `true` where it was the last.
    fn round(&mut self, body: &List) -> Flow<bool> {
        match self.run_list(body, false) {
            Ok(()) | Err(Interrupt::Continue(1)) => Ok(false),
            Err(Interrupt::Break(1)) => Ok(true),
            Err(interrupt) => Err(outward(interrupt)),
        }
    }

    fn run_case(&mut self, subject: &[u8], arms: &[Arm], last: bool) -> Flow {
        let mut end = ArmEnd::TryNext;
        let encoding = self.encoding(subject);
        let mut any = false;
        for arm in arms {
            let mut fits = end == ArmEnd::FallThrough;
            for word in &arm.patterns {
                fits = fits || pattern::matches(&self.expand_pattern(word)?, subject, encoding);
            }
            if !fits {
                continue;
            }
            if arm.body.items.is_empty() {
                self.status = 0;
            }
            any = true;
            end = arm.end;
            self.run_list(&arm.body, last && end == ArmEnd::Leave)?;
            if end == ArmEnd::Leave {
                break;
            }
        }
        if !any {
            self.status = 0;
        }
        Ok(())
    }
}

/// A break or continue as the next loop out sees it.
fn outward(interrupt: Interrupt) -> Interrupt {
    match interrupt {
        Interrupt::Break(levels) => Interrupt::Break(levels - 1),
        Interrupt::Continue(levels) => Interrupt::Continue(levels - 1),
        other => other,
    }
}
