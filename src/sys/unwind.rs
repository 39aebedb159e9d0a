//! No backtraces in the shipped binary, which is linked without the tables that they are made from (build.rs).
//!
//! What the standard library asks of an unwinder (Itanium C++ ABI: Exception Handling, section 1) is answered here, so
//! that neither the unwinder is linked nor, since the optimizer sees that no frame is ever shown, the readers of debug
//! information that would name one: 0.25 MB.

use std::ffi::{c_int, c_void};

/// `_URC_END_OF_STACK`
const END_OF_STACK: c_int = 5;

/// A panic's message calls it where RUST_BACKTRACE is set, and learns that there are no frames.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_for_each_frame: *const c_void, _argument: *mut c_void) -> c_int {
    END_OF_STACK
}

/// What only an unwinder would call, about a frame.
macro_rules! never_called {
    ($($name:ident)*) => { $(
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> usize {
            0
        }
    )* };
}

never_called! {
    _Unwind_DeleteException _Unwind_GetDataRelBase _Unwind_GetIP _Unwind_GetIPInfo _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart _Unwind_GetTextRelBase _Unwind_RaiseException _Unwind_Resume _Unwind_SetGR _Unwind_SetIP
}
