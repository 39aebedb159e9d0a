//! true: POSIX.1-2024 XCU `true`. Takes and ignores any arguments.

use crate::applet::{Applet, Context, Exit, Place, Result};

pub static APPLET: Applet = Applet { names: &["true"], usage, run, place: Place::Inline, trouble: 1 };

fn usage() -> clap::Command {
    clap::Command::new("true").about("Do nothing, successfully")
}

fn run(_: &mut Context<'_>) -> Result<Exit> {
    Ok(Exit(0))
}
