//! false: POSIX.1-2024 XCU `false`. Takes and ignores any arguments.

use crate::applet::{Applet, Context, Exit, Place, Result};

pub static APPLET: Applet = Applet { names: &["false"], usage, run, place: Place::Inline, trouble: 1 };

fn usage() -> clap::Command {
    clap::Command::new("false").about("Do nothing, unsuccessfully")
}

fn run(_: &mut Context<'_>) -> Result<Exit> {
    Ok(Exit(1))
}
