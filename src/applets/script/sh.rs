//! sh: the shell (POSIX.1-2024, XCU sh). All of it is the `shell` module.

use crate::applet::{Applet, Place};
use crate::shell;

pub static APPLET: Applet =
    Applet { names: &["sh"], usage: shell::usage, run: shell::main, place: Place::Child, trouble: 2 };
