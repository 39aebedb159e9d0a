//! etcd: gRPC over HTTP/2 (`message`, `grpc`, `client`), what it tells over plain HTTP (`http`), and the files that a member
//! keeps (`file`).

pub mod client;
pub mod discovery;
pub mod endpoint;
pub mod failure;
pub mod file;
pub mod grpc;
pub mod http;
pub mod message;
pub mod range;
pub mod snapshot;

pub use client::{Client, Settings};
pub use endpoint::Endpoint;
pub use failure::Failure;
