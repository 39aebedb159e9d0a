//! What servers speak. Each protocol has its codec, which turns bytes into values and back and does nothing else, and
//! its client, which is generic over the stream, so that it runs on recorded bytes.

pub mod etcd;
pub mod foreign;
pub mod http;
pub mod kubernetes;
pub mod memcached;
