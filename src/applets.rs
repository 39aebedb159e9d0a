//! THE TABLE: every command, two lines each (its `mod` and its row), sorted within its group.

mod container {
    pub mod chroot;
    pub mod drift;
    pub mod inspect;
    pub mod nsenter;
    pub mod recipe;
    pub mod setpriv;
    #[path = "startup-script.rs"]
    pub mod startup_script;
    pub mod unshare;
    pub mod why;
}
mod files {
    pub mod cat;
    pub mod cp;
    pub mod gzip;
    pub mod ls;
    pub mod readlink;
    pub mod tar;
}
mod network {
    pub mod arp;
    pub mod ip;
    pub mod nc;
    pub mod netstat;
    pub mod ss;
}
#[expect(clippy::module_inception, reason = "the command is named as its group")]
mod probe {
    pub mod etcdctl;
    pub mod etcdutl;
    pub mod probe;
}
mod process {
    pub mod env;
    pub mod free;
    pub mod fuser;
    pub mod id;
    pub mod kill;
    pub mod lsof;
    pub mod pgrep;
    pub mod pidof;
    pub mod pmap;
    pub mod ps;
    pub mod pstree;
    pub mod sleep;
    pub mod top;
    pub mod uptime;
    pub mod vmstat;
}
mod script {
    pub mod echo;
    pub mod r#false;
    pub mod printf;
    pub mod sh;
    pub mod test;
    pub mod r#true;
}
mod text {
    pub mod grep;
    pub mod head;
}

mod multicall;

use crate::applet::{Group, Table};

pub use multicall::main;
#[cfg(fuzzing)]
pub use probe::etcdctl::fuzz as fuzz_etcdctl;

pub static TABLE: Table = &[
    Group {
        name: "files",
        about: "files and directories, ours and the target's (@/path)",
        applets: &[
            &files::cat::APPLET,
            &files::cp::APPLET,
            &files::gzip::APPLET,
            &files::ls::APPLET,
            &files::readlink::APPLET,
            &files::tar::APPLET,
        ],
    },
    Group { name: "text", about: "text", applets: &[&text::grep::APPLET, &text::head::APPLET] },
    Group {
        name: "process",
        about: "processes",
        applets: &[
            &process::env::APPLET,
            &process::free::APPLET,
            &process::fuser::APPLET,
            &process::id::APPLET,
            &process::kill::APPLET,
            &process::lsof::APPLET,
            &process::pgrep::APPLET,
            &process::pidof::APPLET,
            &process::pmap::APPLET,
            &process::ps::APPLET,
            &process::pstree::APPLET,
            &process::sleep::APPLET,
            &process::top::APPLET,
            &process::uptime::APPLET,
            &process::vmstat::APPLET,
        ],
    },
    Group {
        name: "network",
        about: "network",
        applets: &[
            &network::arp::APPLET,
            &network::ip::APPLET,
            &network::nc::APPLET,
            &network::netstat::APPLET,
            &network::ss::APPLET,
        ],
    },
    Group {
        name: "container",
        about: "the target as a container",
        applets: &[
            &container::chroot::APPLET,
            &container::drift::APPLET,
            &container::inspect::APPLET,
            &container::nsenter::APPLET,
            &container::recipe::APPLET,
            &container::setpriv::APPLET,
            &container::startup_script::APPLET,
            &container::unshare::APPLET,
            &container::why::APPLET,
        ],
    },
    Group {
        name: "probe",
        about: "servers",
        applets: &[&probe::etcdctl::APPLET, &probe::etcdutl::APPLET, &probe::probe::APPLET],
    },
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
