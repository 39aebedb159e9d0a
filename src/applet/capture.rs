//! An applet run on memory files, for the unit tests of the tools. In every build, because these are in another package; the linker
//! drops what nobody calls.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, Write};

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{Applet, Context, Environment, Streams, run};
use crate::target::Files;

/// What a command did, for tests.
#[derive(Debug, PartialEq, Eq)]
pub struct Captured {
    pub status: u8,
    pub out: String,
    pub err: String,
}

/// Runs an applet on memory files.
pub fn capture(applet: &Applet, args: &[&str], stdin: &[u8]) -> Captured {
    let memory = || {
        let fd = memfd_create(c"test", MFdFlags::MFD_CLOEXEC).unwrap();
        File::from(fd)
    };
    let (mut input, output, errors) = (memory(), memory(), memory());
    input.write_all(stdin).unwrap();
    input.rewind().unwrap();
    let mut io = Streams::new(input, output.try_clone().unwrap(), errors.try_clone().unwrap());
    let env = Environment::default();
    let files = Files::new(None);
    let args = args.iter().map(OsString::from).collect();
    let mut cx = Context::new(applet.names[0], args, &env, &mut io, &files, &[]);
    let status = run(applet, &mut cx);
    let text = |mut file: File| {
        file.rewind().unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Captured { status, out: text(output), err: text(errors) }
}
