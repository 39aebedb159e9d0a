//! THE TABLE: every command, two lines each (its `mod` and its row), sorted within its group.

mod container {}
mod files {}
mod network {
    pub mod nc;
    pub mod netstat;
}
mod probe {}
mod process {
    pub mod ps;
}
mod script {
    pub mod echo;
    pub mod r#false;
    pub mod printf;
    pub mod sh;
    pub mod test;
    pub mod r#true;
}
mod text {}

mod multicall;

use crate::applet::{Group, Table};

pub use multicall::main;

pub static TABLE: Table = &[
    Group { name: "files", about: "files and directories, ours and the target's (@/path)", applets: &[] },
    Group { name: "text", about: "text", applets: &[] },
    Group { name: "process", about: "processes", applets: &[&process::ps::APPLET] },
    Group { name: "network", about: "network", applets: &[&network::nc::APPLET, &network::netstat::APPLET] },
    Group { name: "container", about: "containers", applets: &[] },
    Group { name: "probe", about: "servers", applets: &[] },
    Group {
        name: "script",
        about: "shell and scripts",
        applets: &[
            &script::echo::APPLET,
            &script::r#false::APPLET,
            &script::printf::APPLET,
            &script::sh::APPLET,
            &script::test::APPLET,
            &script::r#true::APPLET,
        ],
    },
];
