//! etcd: what it tells over plain HTTP (`/version`, `/health`), and the files that a member keeps.

pub mod client;
pub mod file;

pub use client::{Error, Health, Version, health, version};
