//! memcached: a codec for each protocol (`text`, `meta`, `binary`, `udp`) and for what is listed and told (`dump`, `watch`),
//! and a client that speaks two of them over any stream (`channel` has those that there are).

pub mod binary;
pub mod channel;
pub mod client;
pub mod dump;
pub mod meta;
pub mod text;
pub mod udp;
pub mod watch;
pub mod wire;

pub use client::{Client, Error};
pub use text::Refusal;
