//! Simple commands (POSIX.1-2024, XCU 2.9.1): which command a name means, and where it runs.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;

use nix::sys::prctl;
use nix::unistd::Pid;

use super::super::builtins::{self, Builtin};
use super::super::map::Map;
use super::super::syntax::tree::{Assignment, Command, Modifier, Name, Parameter, Part, Redirect, Word, Written};
use super::super::syntax::word::is_element;
use super::super::variables::positional::Positional;
use super::super::{Flow, Interrupt, Shell, Text};
use super::redirect::Undo;
use crate::applet::{self, Applet, Caller, Context, Environment, Place, os};
use crate::launch::{self, Fork, Found};
use crate::output::Safe;
use crate::sys;

/// What a command name means, in the order of the search.
#[derive(Clone)]
pub enum Meaning {
    Builtin(&'static Builtin),
    Function(Rc<Command>),
    Applet(&'static Applet),
    Program,
}

impl Meaning {
    /// Whether the command only prints what the shell knows: it reads nothing, waits for nothing, runs nothing.
    pub fn is_immediate(&self) -> bool {
        match self {
            Meaning::Builtin(builtin) => !builtin.runs_commands && !builtin.needs_process && !builtin.reads_input,
            Meaning::Applet(applet) => applet.place == Place::Inline,
            Meaning::Function(_) | Meaning::Program => false,
        }
    }
}

/// A simple command whose words are expanded: what is to run, and what was written around it.
pub struct Invocation<'t> {
    pub meaning: Meaning,
    pub args: Vec<Text>,
    pub assignments: &'t [Assignment],
    pub redirects: &'t [Redirect],
    /// How it was written, for the list of jobs.
    pub text: &'t Written,
}

/// Builtins and applets by name; a builtin comes before an applet.
pub fn commands(applets: applet::Table) -> Map<&'static [u8], Meaning> {
    let applets = applets.iter().flat_map(|group| group.applets);
    let named = applets.flat_map(|applet| applet.names.iter().map(|name| (name.as_bytes(), Meaning::Applet(applet))));
    let builtins = builtins::TABLE.iter().map(|builtin| (builtin.name.as_bytes(), Meaning::Builtin(builtin)));
    let mut commands = Map::with_capacity_and_hasher(2 * builtins::TABLE.len(), Default::default());
    commands.extend(named.chain(builtins));
    commands
}

/// What `s=$s…` and `s="$s…"` add to the value, which then need not be copied. Only parts that may be expanded twice and
/// in any order, and no name that means more than its value.
fn appended(assignment: &Assignment) -> Option<(&[Part], bool)> {
    let (parts, quoted) = match assignment.value.parts.as_slice() {
        [Part::Double(parts)] => (parts.as_slice(), true),
        parts => (parts, false),
    };
    let plain = |part: &Part| match part {
        Part::Literal(_) | Part::Quoted(_) => true,
        Part::Parameter(parameter) => parameter.modifier == Modifier::None,
        _ => false,
    };
    // `$s`, or `${s-}`, which is what `s+=…` makes of it.
    let own = |parameter: &Parameter| {
        matches!(&parameter.name, Name::Variable(name) if *name == assignment.name)
            && match &parameter.modifier {
                Modifier::None => true,
                Modifier::Default { word, .. } => word.parts.is_empty(),
                _ => false,
            }
    };
    match parts {
        [Part::Parameter(first), rest @ ..] if own(first) && rest.iter().all(plain) => {
            (assignment.name != b"SIDEBOX_TARGET").then_some((rest, quoted))
        }
        _ => None,
    }
}

impl Shell<'_> {
    pub(in crate::shell) fn meaning(&self, name: &[u8]) -> Meaning {
        match (self.commands.get(name), self.functions.get(name)) {
            (Some(Meaning::Builtin(builtin)), _) if builtin.special => Meaning::Builtin(builtin),
            (_, Some(body)) => Meaning::Function(Rc::clone(body)),
            (Some(found), None) => found.clone(),
            (None, None) => Meaning::Program,
        }
    }

    pub(in crate::shell) fn run_simple(
        &mut self,
        assignments: &[Assignment],
        words: &[Word],
        redirects: &[Redirect],
        text: &Written,
        last: bool,
    ) -> Flow {
        self.substituted = None;
        let args = self.expand_words(words)?;
        let shown: Vec<Assignment>;
        let assignments = match self.options.xtrace {
            true => {
                shown = self.trace(assignments, &args)?;
                &shown
            }
            false => assignments,
        };
        let Some(name) = args.first() else {
            return self.run_assignments(assignments, redirects);
        };
        let meaning = self.meaning(name);
        self.run_invocation(Invocation { meaning, args, assignments, redirects, text }, last)
    }

    /// A command without a name: assignments, and redirections that happen and are gone.
    fn run_assignments(&mut self, assignments: &[Assignment], redirects: &[Redirect]) -> Flow {
        self.depart_for_redirects(redirects)?;
        let Some(undo) = self.redirect(redirects)? else { return Ok(()) };
        // What the assignments substitute sees the redirections, which is unspecified by the standard and wanted by people.
        let assigned = self.assign_all(assignments);
        self.undo(undo);
        assigned?;
        self.status = self.substituted.unwrap_or(0);
        Ok(())
    }

    fn assign_all(&mut self, assignments: &[Assignment]) -> Flow {
        for assignment in assignments {
            if let Some((rest, quoted)) = appended(assignment)
                && !self.options.allexport
            {
                let rest = self.expand_parts(rest, quoted)?;
                if self.variables.append(&assignment.name, &rest) {
                    continue;
                }
            }
            let value = self.expand_single(&assignment.value)?;
            self.assign(&assignment.name, value)?;
        }
        Ok(())
    }

    /// Assignments before a command are exported to it, and end with it.
    pub(in crate::shell) fn assign_for_command(&mut self, assignments: &[Assignment]) -> Flow {
        for assignment in assignments {
            let value = self.expand_single(&assignment.value)?;
            self.variables.hide(&assignment.name);
            self.assign(&assignment.name, value)?;
            self.variables.export(&assignment.name, true);
        }
        Ok(())
    }

    fn run_invocation(&mut self, invocation: Invocation<'_>, last: bool) -> Flow {
        self.depart_for(&invocation)?;
        match &invocation.meaning {
            Meaning::Builtin(builtin) if builtin.special => self.run_special(builtin, &invocation),
            Meaning::Builtin(_) | Meaning::Function(_) => self.run_here(invocation),
            Meaning::Applet(applet) if applet.place == Place::Inline => self.run_here(invocation),
            Meaning::Applet(applet) if (!last || self.is_virtual()) && self.is_guest(applet, &invocation.args) => {
                self.run_guest(applet, invocation)
            }
            Meaning::Applet(_) | Meaning::Program => {
                if last && self.traps.is_empty() && (self.subshell || !self.options.monitor) {
                    return self.become_command(invocation);
                }
                let Some(redirects) = self.expand_redirects(invocation.redirects)? else { return Ok(()) };
                let invocation = Invocation { redirects: &redirects, ..invocation };
                if invocation.assignments.is_empty() {
                    if let Meaning::Program = invocation.meaning {
                        // The child's memory would be lost with it.
                        self.locate(&invocation.args[0]);
                    }
                    return self.run_program(invocation);
                }
                // What their expansions assign stays, and an error in them ends this shell.
                self.variables.enter();
                let assigned = self.assign_for_command(invocation.assignments);
                let result = assigned.and_then(|()| self.run_program(Invocation { assignments: &[], ..invocation }));
                self.leave_scope();
                result
            }
        }
    }

    /// Runs a command in a process of its own.
    fn run_program(&mut self, invocation: Invocation<'_>) -> Flow {
        let mut group = None;
        match (self.fork(&mut group, true), &invocation.meaning) {
            (Ok(Fork::Child), _) => self.end_child(|shell| shell.become_command(invocation)),
            (Ok(Fork::Parent(pid)), _) => {
                self.wait_for_child(pid, group, invocation.text);
                Ok(())
            }
            // At a limit of processes the tools are needed most.
            (Err(error), Meaning::Applet(applet)) => {
                let name = applet.names[0];
                self.complain(format_args!("fork: {}; {name} runs in the shell itself", applet::reason(&error)));
                self.run_here(invocation)
            }
            (Err(error), _) => Err(self.cannot("fork", error)),
        }
    }

    /// Runs a command as the last thing of this process.
    fn become_command(&mut self, invocation: Invocation<'_>) -> Flow {
        self.variables.enter();
        self.assign_for_command(invocation.assignments)?;
        let Some(undo) = self.redirect(invocation.redirects)? else { return Ok(()) };
        undo.keep();
        self.status = self.replace_by(invocation.meaning, invocation.args);
        Ok(())
    }

    /// Runs a command in a foreground child of its own.
    /// `standard`: a program is searched for where the standard utilities are (`command -p`).
    pub(in crate::shell) fn run_child(
        &mut self,
        meaning: Meaning,
        args: Vec<Text>,
        standard: bool,
        text: &Written,
    ) -> Flow {
        self.run_in_child(text, |shell| {
            shell.status = match meaning {
                Meaning::Program if standard => {
                    let found = launch::search(&os(&args[0]), Some(launch::DEFAULT_PATH.as_ref()));
                    let (name, env) = (args[0].clone(), shell.variables.environment());
                    shell.execute(found, &name, args, &env)
                }
                _ => shell.replace_by(meaning, args),
            };
            Ok(())
        })
    }

    /// Becomes the command that the first argument names.
    fn replace_by(&mut self, meaning: Meaning, args: Vec<Text>) -> u8 {
        let name = args.first().cloned().unwrap_or_default();
        let env = self.variables.environment();
        self.replace(meaning, &name, args, &env)
    }

    pub(in crate::shell) fn wait_for_child(&mut self, pid: Pid, group: Option<Pid>, text: &Written) {
        let job = self.jobs.add(&[pid], group, text, false);
        self.status = self.wait_for_job(job);
    }

    /// A special builtin: assignments stay, and an error in it ends a script.
    fn run_special(&mut self, builtin: &'static Builtin, invocation: &Invocation<'_>) -> Flow {
        let Some(undo) = self.redirect(invocation.redirects)? else { return Err(Interrupt::Abort) };
        // `exec` passes them on to its command.
        let assigned = match builtin.name == "exec" && invocation.args.len() > 1 {
            true => self.assign_for_command(invocation.assignments),
            false => self.assign_all(invocation.assignments),
        };
        let result = assigned.and_then(|()| (builtin.run)(self, &invocation.args));
        self.undo_unless_kept(undo);
        self.status = result?;
        Ok(())
    }

    /// A builtin, a function or an inline applet: in this process, with redirections and assignments undone after.
    fn run_here(&mut self, invocation: Invocation<'_>) -> Flow {
        let Invocation { meaning, args, assignments, redirects, text } = invocation;
        let Some(undo) = self.redirect(redirects)? else { return Ok(()) };
        // A function's variables and those assigned before its call are of one scope: `local` finds the latter.
        let scoped = !assignments.is_empty() || matches!(meaning, Meaning::Function(_));
        if scoped {
            self.variables.enter();
        }
        let result = self.assign_for_command(assignments).and_then(|()| match meaning {
            Meaning::Function(body) => self.call(&body, args, text),
            Meaning::Builtin(builtin) => self.run_regular(builtin, &args),
            Meaning::Applet(applet) => {
                self.status = self.run_applet(applet, args);
                Ok(())
            }
            Meaning::Program => Ok(()),
        });
        if scoped {
            self.leave_scope();
        }
        self.undo_unless_kept(undo);
        result
    }

    /// `exec` without a command lets the redirections stand, also where it is run by `command`.
    fn undo_unless_kept(&mut self, undo: Undo) {
        if std::mem::take(&mut self.keeps_redirections) { undo.keep() } else { self.undo(undo) }
    }

    /// An error in a builtin that is not special ends no more than that (XCU 2.8.1).
    fn run_regular(&mut self, builtin: &'static Builtin, args: &[Text]) -> Flow {
        match (builtin.run)(self, args) {
            Ok(status) => self.status = status,
            Err(Interrupt::Abort) => {}
            Err(interrupt) => return Err(interrupt),
        }
        Ok(())
    }

    fn call(&mut self, body: &Rc<Command>, args: Vec<Text>, text: &Written) -> Flow {
        let outer = std::mem::replace(&mut self.arguments, Positional::of_call(args));
        let loops = std::mem::take(&mut self.loops);
        let outer_options = self.local_options.take();
        self.calls += 1;
        let result = self.run_command(body, text, false);
        self.calls -= 1;
        if let Some(options) = std::mem::replace(&mut self.local_options, outer_options) {
            self.options = *options;
        }
        self.loops = loops;
        self.arguments = outer;
        match result {
            Err(Interrupt::Return) => Ok(()),
            result => result,
        }
    }

    /// Runs an applet in this process, whose complaints are the shell's.
    pub(in crate::shell) fn run_applet(&mut self, applet: &'static Applet, args: Vec<Text>) -> u8 {
        let caller = self.known_line();
        match applet.place {
            Place::Inline => self.run_applet_with(applet, args, &Environment::default(), Some(caller)),
            Place::Child | Place::Guest { .. } => {
                let env = self.variables.environment();
                self.run_applet_with(applet, args, &env, Some(caller))
            }
        }
    }

    /// `caller`: the line of the shell that complains for the applet, if one does.
    pub(super) fn run_applet_with(
        &mut self,
        applet: &'static Applet,
        args: Vec<Text>,
        env: &Environment,
        caller: Option<Option<u32>>,
    ) -> u8 {
        let mut args = args.into_iter();
        let name = args.next().unwrap_or_default();
        let name = applet.names.iter().find(|known| known.as_bytes() == name).copied().unwrap_or(applet.names[0]);
        let args: Vec<OsString> = args.map(OsString::from_vec).collect();
        let mut cx = Context::new(name, args, env, self.io, &self.files, self.applets);
        cx.caller = caller.map(|line| Caller { name: &self.name, line });
        applet::run(applet, &mut cx)
    }

    /// Becomes the command of that name: runs the applet, or executes the program, with `args[0]` as its own name. Gives
    /// the status where that ends or fails.
    pub(in crate::shell) fn replace(
        &mut self,
        meaning: Meaning,
        name: &[u8],
        args: Vec<Text>,
        env: &Environment,
    ) -> u8 {
        match meaning {
            Meaning::Applet(applet) => {
                // As execve(2) would: ps and pgrep find a command by its name.
                if let Ok(name) = sys::c_string(name) {
                    let _ = prctl::set_name(&name);
                }
                self.run_applet_with(applet, args, env, None)
            }
            _ => {
                let found = self.locate(name);
                self.execute(found, name, args, env)
            }
        }
    }

    /// Executes what was found for a name.
    pub(in crate::shell) fn execute(&mut self, found: Found, name: &[u8], args: Vec<Text>, env: &Environment) -> u8 {
        let program = match found {
            Found::Program(program) => program,
            Found::NotExecutable(path) => {
                let why = if path.is_dir() { "is a directory" } else { "permission denied" };
                self.complain(format_args!("{}: {why}", Safe(name)));
                return 126;
            }
            Found::Nothing => {
                let near = self.nearest(name).map(|near| format!(", did you mean '{near}'?")).unwrap_or_default();
                let what = if is_element(name) { "arrays are not supported" } else { "not found" };
                self.complain(format_args!("{}: {what}{near}", Safe(name)));
                return 127;
            }
        };
        let arguments: Vec<OsString> = args.iter().map(|arg| os(arg)).collect();
        let error = launch::execute(&program, &arguments, env);
        if error.raw_os_error() == Some(libc::ENOEXEC) {
            return self.run_as_script(&program, args);
        }
        self.complain(format_args!("{}: {}", Safe(name), applet::reason(&error)));
        launch::start_status(&error)
    }

    /// A file that the kernel does not know how to run is a script of ours (XCU 2.9.1.6).
    fn run_as_script(&mut self, program: &std::path::Path, args: Vec<Text>) -> u8 {
        let mut words = vec![b"sh".to_vec(), super::super::start::path_bytes(program)];
        words.extend(args.into_iter().skip(1));
        match applet::find(self.applets, b"sh") {
            Some(applet) => self.run_applet(applet, words),
            None => 126,
        }
    }

    /// A known name that `name` may be a mistyping of, for someone who types.
    fn nearest(&self, name: &[u8]) -> Option<&'static str> {
        if !self.typed || name.contains(&b'/') {
            return None;
        }
        applet::nearest(self.applets, name)
    }
}
