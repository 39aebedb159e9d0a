//! What people see: untrusted bytes made safe, tables, JSON, numbers with units. Opens, reads and writes nothing
//! by itself: it formats into what the caller hands over.

pub mod columns;
pub mod completion;
pub mod escape;
pub mod json;
pub mod mode;
pub mod order;
pub mod safe;
pub mod table;
pub mod units;

pub use safe::{Safe, shown};
