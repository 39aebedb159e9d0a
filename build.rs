//! How the shipped binary is linked: without the tables for unwinding, a tenth of it. A panic ends the process
//! (`panic = "abort"`), so that nothing reads them (`src/sys/unwind.rs`). And with one copy of functions that are the
//! same, and two mappings instead of four, which each start has to make: nothing is relocated, and constants may lie in
//! what can be executed.

// A build script speaks to cargo by its environment and what it prints.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods)]

use std::env;
use std::fs;
use std::path::Path;

/// The first object of a C program refers to its own part, which is empty.
const WITHOUT_UNWINDING: &str = "SECTIONS { /DISCARD/ : {
    *(EXCLUDE_FILE(*crtbegin*.o *crtend*.o) .eh_frame)
    *(.gcc_except_table .gcc_except_table.* .comment)
} } INSERT BEFORE .text;
";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let set = |name: &str| env::var(name).expect("cargo sets it");
    if set("PROFILE") != "release" || set("CARGO_CFG_TARGET_ENV") != "musl" {
        return;
    }
    let script = Path::new(&set("OUT_DIR")).join("without-unwinding.ld");
    fs::write(&script, WITHOUT_UNWINDING).expect("cargo made the directory");
    for argument in
        [&*format!("-T{}", script.display()), "--no-eh-frame-hdr", "--icf=all", "-znorelro", "--no-rosegment"]
    {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
