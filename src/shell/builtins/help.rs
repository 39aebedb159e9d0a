//! `help`: what can be typed here.

use super::super::{Flow, Shell, Text};
use super::TABLE;
use crate::applet;
use crate::output::Safe;

pub fn help(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let text = match args.get(1) {
        None => list(shell),
        Some(name) => match (super::find(name), applet::find(shell.applets, name)) {
            (Some(builtin), _) => format!("{} {}\n", builtin.name, builtin.usage),
            (None, Some(applet)) => applet::help(applet),
            (None, None) => {
                shell.complain(format_args!("help: {}: no such command", Safe(name)));
                return Ok(1);
            }
        },
    };
    Ok(shell.print(text.as_bytes()))
}

fn list(shell: &Shell<'_>) -> String {
    let mut text = String::from("Builtins of the shell:\n");
    for builtin in &TABLE {
        text.push_str(&format!("  {} {}\n", builtin.name, builtin.usage));
    }
    text.push_str("\nCommands ('help NAME' tells more); every path may be @/path, the target's live root:\n");
    for group in shell.applets.iter().filter(|group| !group.applets.is_empty()) {
        let names: Vec<&str> = group.applets.iter().flat_map(|applet| applet.names).copied().collect();
        text.push_str(&format!("  {:<10} {}\n", group.name, names.join(" ")));
    }
    text
}
