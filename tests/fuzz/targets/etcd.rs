//! etcd's messages and frames, of which what is decoded is encoded to something that decodes to the same; its configuration
//! file, its metrics, and what Kubernetes keeps in it.
#![no_main]

use prost::Message;
use sidebox::inspect::etcd::metrics::Metrics;
use sidebox::inspect::etcd::settings::Settings;
use sidebox::protocol::etcd::endpoint::Endpoint;
use sidebox::protocol::etcd::grpc::{Decoder, Status};
use sidebox::protocol::etcd::message::{
    LeaseTimeToLiveResponse, MembersResponse, RangeResponse, RoleGetResponse, SnapshotResponse, StatusResponse, TxnResponse,
    WatchResponse,
};

use sidebox::protocol::kubernetes;

fn check<M: Message + Default + PartialEq>(data: &[u8]) {
    if let Ok(message) = M::decode(data) {
        assert!(M::decode(message.encode_to_vec().as_slice()).is_ok_and(|again| again == message));
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::default();
    for piece in data.chunks(7) {
        decoder.push(piece);
        while let Ok(Some(message)) = decoder.next(1 << 20) {
            check::<RangeResponse>(&message);
        }
    }
    check::<RangeResponse>(data);
    check::<TxnResponse>(data);
    check::<WatchResponse>(data);
    check::<MembersResponse>(data);
    check::<StatusResponse>(data);
    check::<RoleGetResponse>(data);
    check::<SnapshotResponse>(data);
    check::<LeaseTimeToLiveResponse>(data);
    let _ = Status::parse(data, data);
    let _ = Endpoint::parse(data);
    let _ = Settings::of_file(data);
    let metrics = Metrics::parse(data);
    assert!(metrics.since(&metrics).fsync.quantile(0.99).is_none());
    let _ = (metrics.commit.quantile(0.5), kubernetes::parse(data));
    let _ = kubernetes::parse(&[b"k8s\0", data].concat());
});
