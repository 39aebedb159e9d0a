//! The one integration binary: `cargo test --test main`. Everything here looks at sidebox from outside, or at its
//! sources as text. `tests/check` runs it, with what it needs installed.

// The lists in clippy.toml are the contract of a command. A test starts programs, reads its own environment and prints.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods)]

mod budgets;
mod differential;
mod etcd;
mod etcdutl;
mod hostile;
mod interactive;
mod layers;
mod memcached;
mod program;
mod recipe;
mod shell;
mod spec;
mod table;
