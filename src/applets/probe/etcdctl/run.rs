//! Commands that etcdctl starts: for each event of a watch, and under a lock. An applet of that name, else a program.

use nix::sys::signal::Signal;

use super::{Session, status};
use crate::applet::{self, Environment, Result, os, reason};
use crate::launch::{self, Change, Fork, Found};
use crate::output::Safe;
use crate::sys::{
    self,
    signal::{self, Disposition},
};

impl Session<'_, '_> {
    /// Runs it to its end and gives its status.
    pub fn run(&mut self, words: &[Vec<u8>], variables: &[(&str, String)]) -> Result<u8> {
        let child = self.start(words, variables)?;
        loop {
            match launch::wait(true, false) {
                Ok(Some(change @ (Change::Exited(..) | Change::Killed(..)))) if change.pid() == child => {
                    return Ok(change.status());
                }
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(self.fail(status::ERROR, error.desc())),
            }
        }
    }

    /// Starts it.
    pub fn start(&mut self, words: &[Vec<u8>], variables: &[(&str, String)]) -> Result<nix::unistd::Pid> {
        let args: Vec<_> = words.iter().map(|word| os(word)).collect();
        let mut env: Environment = self.cx.env.clone();
        for (name, value) in variables {
            env.set(os(name.as_bytes()), os(value.as_bytes()));
        }
        match launch::fork(self.cx.io) {
            Ok(Fork::Parent(pid)) => Ok(pid),
            Ok(Fork::Child) => sys::exit(self.become_command(&args, &env)),
            Err(error) => Err(self.fail(status::ERROR, reason(&error))),
        }
    }

    fn become_command(&mut self, args: &[std::ffi::OsString], env: &Environment) -> u8 {
        let Some(name) = args.first() else { return 0 };
        if let Some(applet) = applet::find(self.cx.applets, name.as_encoded_bytes()) {
            // What `lock` catches is not caught here; execve(2) does the same for a program.
            for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGCHLD] {
                if !signal::ignored(signal) {
                    let _ = signal::set(signal, Disposition::Default);
                }
            }
            signal::take().for_each(drop);
            let rest = args.get(1..).unwrap_or_default().to_vec();
            let mut cx = applet::Context::new(applet.names[0], rest, env, self.cx.io, self.cx.files, self.cx.applets);
            return applet::run(applet, &mut cx);
        }
        let (why, status) = match launch::search(name, env.get("PATH")) {
            Found::Program(path) => {
                let error = launch::execute(&path, args, env);
                (reason(&error), launch::start_status(&error))
            }
            Found::NotExecutable(_) => (String::from("cannot be executed"), 126),
            Found::Nothing => (String::from("no such command"), 127),
        };
        self.cx.note(format_args!("{}: {why}", Safe::os(name)));
        status
    }
}
