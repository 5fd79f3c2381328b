//! The time that encoding and decoding a call of the bridge takes, without the network.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gateway_wire::ClientId;
use gateway_wire::bridge::{Call, Order, Query, Request, frame};
use serde_bytes::Bytes;

fn calls(criterion: &mut Criterion) {
    let client = ClientId::from_bytes([7; ClientId::BYTES]);
    let (uid, message) = (Bytes::new(b"12345678"), Bytes::new(&[b'x'; 64]));
    let calls = [
        ("sendToUid", Call::Order(Order::SendToUids { uids: [uid].into(), message, raw: false })),
        ("sendToAll", Call::Order(Order::SendToAll { message, only: None, except: vec![], raw: false })),
        ("bindUid", Call::Order(Order::BindUid { client, uid })),
        ("isUidOnline", Call::Query(Query::IsUidOnline { uid })),
    ];
    for (name, call) in calls {
        let request = Request { seq: 1 << 20, call };
        let mut bytes = Vec::new();
        request.encode(&mut bytes).expect("a small call");
        criterion.bench_function(&format!("encode {name}"), |bencher| {
            let mut out = Vec::with_capacity(256);
            bencher.iter(|| {
                out.clear();
                black_box(&request).encode(&mut out)
            });
        });
        criterion.bench_function(&format!("decode {name}"), |bencher| {
            bencher.iter(|| Request::decode(black_box(&bytes[frame::HEADER..])).is_ok());
        });
    }
}

criterion_group!(benches, calls);
criterion_main!(benches);
