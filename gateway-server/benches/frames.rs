//! The speed of websocket frames, to clients and from them.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gateway_server::protocol::websocket::{self, FrameDecoder, MessageKind};

const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for size in [64, 1024] {
        let payload = vec![b'x'; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("text of {size} bytes"), |bencher| {
            bencher.iter(|| websocket::message(MessageKind::Text, black_box(&payload)));
        });
    }
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let mut decoder = FrameDecoder { max_message: 1 << 20, inflater: None };
    let cases = [
        ("a ping", 0x89, 4, 1),
        ("text of 64 bytes", 0x81, 64, 1),
        ("16 texts of 1024 bytes", 0x81, 1024, 16),
    ];
    for (name, first, size, frames) in cases {
        let input = masked(first, size).repeat(frames);
        group.throughput(Throughput::Elements(frames as u64));
        group.bench_function(name, |bencher| {
            // Frames are unmasked in place, so each turn needs fresh ones.
            bencher.iter_batched_ref(
                || input.clone(),
                |input| {
                    let mut seen = 0;
                    let result = decoder.decode(input, &mut None, |incoming| {
                        black_box(incoming);
                        seen += 1;
                    });
                    (result.is_ok(), seen)
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn masked(first: u8, size: usize) -> Vec<u8> {
    let mut frame = vec![first];
    match size {
        0..=125 => frame.push(0x80 | size as u8),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(size as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(std::iter::repeat_n(b'x', size).zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

criterion_group!(benches, encode, decode);
criterion_main!(benches);
