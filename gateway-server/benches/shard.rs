//! The hot parts of a shard: the index of the shards that hold a name, and the messages that wait for a slow client.

// These modules are private to the shard and use nothing else of it, so their files are compiled here once more.
#[allow(dead_code, unused_imports)]
#[path = "../src/shard/backlog.rs"]
mod backlog;
#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "../src/shard/index.rs"]
mod index;
#[allow(dead_code, unused_imports)]
#[path = "../src/shard/outbox.rs"]
mod outbox;
#[allow(dead_code, unused_imports)]
#[path = "../src/shard/packed_bytes.rs"]
mod packed_bytes;
#[allow(dead_code, unused_imports)]
#[path = "../src/shard/packed_chunks.rs"]
mod packed_chunks;
#[allow(dead_code, unused_imports)]
#[path = "../src/shard/throughput.rs"]
mod throughput;
#[allow(dead_code, unused_imports)]
#[path = "../src/shard/total_backlog.rs"]
mod total_backlog;

use std::hint::black_box;
use std::io::{self, Write};

use backlog::Backlog;
use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use index::Index;
use outbox::Outbox;

const NAMES: usize = 100_000;

fn names(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("index of 100,000 names");
    let names: Vec<String> = (0..NAMES).map(|name| format!("user-{name}")).collect();
    let index = Index::new(None);
    for name in &names {
        index.add(name.as_bytes(), 0);
    }
    let mut next = 0;
    // With this step, names that follow each other in time are far from each other in memory.
    let mut any = || {
        next = (next + 7919) % NAMES;
        names[next].as_bytes()
    };
    group.bench_function("shards of a name", |bencher| bencher.iter(|| index.shards(black_box(any()))));
    group.bench_function("shards of nobody", |bencher| bencher.iter(|| index.shards(black_box(b"nobody"))));
    group.bench_function("add and remove", |bencher| {
        bencher.iter(|| {
            let name = any();
            index.add(name, 1);
            index.remove(name, 1);
        });
    });
}

/// A socket that takes at most this many bytes at once.
struct Socket(usize);

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len().min(self.0))
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| slice.len()).sum::<usize>().min(self.0))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn waiting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("outbox");
    let frame = Bytes::from(vec![b'x'; 66]);
    let filled = |frames| {
        let (mut outbox, mut held) = (Outbox::default(), Backlog::default());
        (0..frames).for_each(|_| outbox.push(frame.clone(), &mut held));
        (outbox, held)
    };
    for frames in [1, 16, 1000] {
        group.bench_function(format!("push {frames} frames"), |bencher| {
            bencher.iter(|| filled(black_box(frames)))
        });
        group.bench_function(format!("write {frames} frames"), |bencher| {
            let write =
                |(outbox, held): &mut (Outbox, Backlog)| outbox.write_to(&mut Socket(64 << 10), held).is_ok();
            bencher.iter_batched_ref(|| filled(frames), write, BatchSize::SmallInput);
        });
    }
}

criterion_group!(benches, names, waiting);
criterion_main!(benches);
