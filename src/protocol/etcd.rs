//! etcd: what it tells over plain HTTP (`/version`, `/health`).

pub mod client;

pub use client::{Error, Health, Version, health, version};
