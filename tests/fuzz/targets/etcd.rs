//! etcd's messages and frames. What is decoded is encoded to something that decodes to the same.
#![no_main]

use prost::Message;
use sidebox::protocol::etcd::endpoint::Endpoint;
use sidebox::protocol::etcd::grpc::{Decoder, Status};
use sidebox::protocol::etcd::message::{
    LeaseTimeToLiveResponse, MembersResponse, RangeResponse, RoleGetResponse, SnapshotResponse, StatusResponse, TxnResponse,
    WatchResponse,
};

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
});
