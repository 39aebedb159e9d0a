//! memcached: the classic text protocol (doc/protocol.txt of its source). The meta commands and the binary protocol
//! get codecs of their own beside this one.

pub mod client;
pub mod codec;

pub use client::{Client, Error};
pub use codec::Refusal;
