//! Applets that a script may run without a process: those of [`Place::Guest`].
//!
//! A fork, the page faults after it and the wait take longer than most of what `cat`, `ls` and their like do. Where they
//! run in the shell's own process nobody may see a difference, so there must be none who types, no signal that is caught,
//! no end by SIGPIPE or SIGXFSZ that would be the shell's, nothing of the process that they are asked about, and no
//! standard stream that is closed. Whatever else ends the process (Ctrl-C, SIGTERM) ends a script as well.

use std::os::fd::RawFd;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::super::{Flow, Shell, Text};
use super::departing::may_be_descriptor;
use super::simple::{Invocation, Meaning};
use crate::applet::{Applet, Place, Reads};
use crate::sys;

impl Shell<'_> {
    /// Whether an applet with these arguments, of which the first is its name, is one that the shell may run itself.
    pub(super) fn is_guest(&self, applet: &Applet, args: &[Text]) -> bool {
        let Place::Guest { reads } = applet.place else { return false };
        let args = args.get(1..).unwrap_or_default();
        let names_files = args.iter().any(|arg| !arg.starts_with(b"-")) && !args.iter().any(|arg| arg == b"-");
        // /proc/self is another one in another process.
        let personal = |arg: &Text| may_be_descriptor(arg) || memchr::memmem::find(arg, b"self").is_some();
        !self.typed
            && self.may_be_virtual()
            && self.pid != Pid::from_raw(1)
            && (reads == Reads::Never || names_files)
            && !args.iter().any(personal)
            && (0..3).all(|fd| kind(fd).is_some())
    }

    /// Runs it, once its redirections stand, here or, where its output could end the process, in a child.
    pub(super) fn run_guest(&mut self, applet: &'static Applet, invocation: Invocation<'_>) -> Flow {
        let Invocation { args, assignments, redirects, text, .. } = invocation;
        let Some(undo) = self.redirect(redirects)? else { return Ok(()) };
        self.variables.enter();
        let result = self.assign_for_command(assignments).and_then(|()| {
            if !self.output_is_harmless() {
                return self.run_child(Meaning::Applet(applet), args, false, text);
            }
            let env = self.variables.environment();
            self.status = self.run_applet_with(applet, args, &env, None);
            Ok(())
        });
        self.leave_scope();
        self.undo(undo);
        result
    }

    /// Whether no write to standard output sends a signal.
    fn output_is_harmless(&self) -> bool {
        self.io.out.is_captured()
            || match kind(1) {
                Some(libc::S_IFREG) => getrlimit(Resource::RLIMIT_FSIZE).is_ok_and(|(soft, _)| soft == RLIM_INFINITY),
                Some(libc::S_IFCHR) => true,
                _ => false,
            }
    }
}

/// The kind of file that a descriptor is open for, if it is open.
fn kind(fd: RawFd) -> Option<libc::mode_t> {
    fstat(sys::borrow(fd)).ok().map(|stat| stat.st_mode & libc::S_IFMT)
}
