//! argv[0] to applet to exit status.
//!
//! Without Rust's runtime: it would ignore SIGPIPE and open /dev/null for closed descriptors before anyone could see
//! what the process was started with, and a shell has to pass both on.

#![no_main]
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};
use std::mem::ManuallyDrop;

use sidebox::{applet::Streams, applets, sys};

#[global_allocator]
static HEAP: sys::heap::Heap = sys::heap::Heap;

// SAFETY: the C runtime calls `main` once with the kernel's arguments; no other symbol has that name.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, vector: *const *const c_char) -> c_int {
    // SAFETY: as above.
    let args = unsafe { sys::arguments(count, vector) };
    // The end of the process closes them; one that was closed from the start cannot be closed again.
    let mut io = ManuallyDrop::new(Streams::standard());
    let status = applets::main(args, &mut io);
    sys::exit(status)
}
