//! Clients whose shard was packed, and is unpacked as the process that was to take them over does not.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpStream;
use std::os::fd::BorrowedFd;

use bytes::Bytes;

use super::super::Name;
use super::super::change::Change;
use super::super::clients::Clients;
use super::super::command::Command;
use super::super::membership::NameTable;
use super::super::testing::{TestShard, arrived, settings, stalled};
use super::buffers::WrittenBuffers;
use super::clock::Clock;
use super::record::CarriedClient;
use super::tests::{many, to_all, until};
use crate::protocol::Encoding;
use crate::protocol::websocket::{self, MessageKind};

/// What a shard knows of its clients.
#[derive(Debug, PartialEq)]
struct Known {
    /// Each client as it is written, with its times by one clock.
    clients: Vec<(usize, CarriedClient)>,
    buffers: Vec<Bytes>,
    /// The keys of those who hold each uid and each group.
    uids: BTreeMap<Vec<u8>, Vec<usize>>,
    groups: BTreeMap<Vec<u8>, Vec<usize>>,
    /// The bytes of messages that have come in part, of frames that are kept, and the number of clients that something waits for.
    sizes: [usize; 3],
}

impl Known {
    fn of(shard: &TestShard, clock: Clock) -> Self {
        let Clients { connections, uids, groups, slow, partial, resume, .. } = &shard.shard.clients;
        let mut buffers = WrittenBuffers::default();
        let written = connections.iter().map(|(key, connection)| {
            let mut client = shard.shard.carried_client(key, connection, clock, None, &mut buffers);
            client.groups.sort();
            (key, client)
        });
        let clients = written.collect();
        let holders = |table: &NameTable| -> BTreeMap<_, _> {
            let holders = |name: &[u8]| {
                let mut keys: Vec<_> = table.holders(name).collect();
                keys.sort_unstable();
                (name.to_vec(), keys)
            };
            table.names().map(holders).collect()
        };
        let sizes = [*partial, resume.kept.bytes(), slow.len()];
        let (uids, groups) = (holders(uids), holders(groups));
        Self { clients, buffers: buffers.take_unwritten(), uids, groups, sizes }
    }
}

fn change(shard: &mut TestShard, connection_id: u32, change: Change) {
    shard.shard.obey_alone(Command::Change { connection_id, change });
}

fn bind(shard: &mut TestShard, connection_id: u32, uid: &str) {
    let uid = shard.shard.clients.uids.claim(uid.as_bytes());
    change(shard, connection_id, Change::Bind { uid });
}

fn join(shard: &mut TestShard, connection_id: u32, group: &str) {
    let (back, _) = tokio::sync::oneshot::channel();
    let group = shard.shard.clients.groups.claim(group.as_bytes());
    change(shard, connection_id, Change::Join { group, back });
}

#[test]
fn clients_of_every_sort_are_what_they_were_once_a_packed_shard_thaws() {
    let (mut shard, mut clients) = many(&settings());
    for id in 1..=9 {
        bind(&mut shard, id, ["alice", "bob", "carol"][id as usize % 3]);
        ["all", &format!("of {id}")].into_iter().for_each(|group| join(&mut shard, id, group));
        let serialized = Bytes::from(format!("session {id}"));
        change(&mut shard, id, Change::SetSession { serialized });
    }
    shard.shard.write_turn();
    let keys: Vec<_> = shard.shard.clients.connections.iter().map(|(key, _)| key).collect();
    let clock = Clock::new();
    let (before, held) = (Known::of(&shard, clock), shard.shard.clients.held.bytes());
    let is_packed = |shard: &TestShard, key: usize| {
        shard.shard.clients.connections[key].extra().is_none_or(|extra| {
            extra.memberships.is_empty() && extra.session.is_empty() && extra.outbox.is_empty()
        })
    };
    for round in 0..3 {
        // The other process has everything and dies, or dies at once, or is given a part.
        shard.shard.is_frozen = true;
        match round {
            0 => drop(shard.written()),
            1 => {
                let mut gone = |_: &[u8], _: &[BorrowedFd<'_>]| Err(io::Error::other("gone"));
                shard.shard.write_carried(&mut Vec::new(), &mut gone).unwrap_err();
            }
            _ => {
                shard.shard.begin_packing();
                keys.iter().step_by(2).for_each(|key| shard.shard.pack(*key));
            }
        }
        let step = if round == 2 { 2 } else { 1 };
        assert!(keys.iter().step_by(step).all(|key| is_packed(&shard, *key)));
        assert_eq!(shard.shard.clients.uids.names().count() + shard.shard.clients.groups.names().count(), 0);
        shard.shard.thaw();
        assert_eq!(Known::of(&shard, clock), before);
        // What small frames were given to grow is gone.
        let now = shard.shard.clients.held.bytes();
        assert!((held - 2000..=held).contains(&now), "{now} bytes instead of {held}");
    }
    shard.shard.obey_alone(to_all("after"));
    let end = websocket::message(MessageKind::Text, b"after");
    for client in &mut clients[..2] {
        let mut all = Vec::new();
        until(&mut shard, "all", |_| {
            all.extend(arrived(client));
            all.ends_with(&end)
        });
        let kept = websocket::message(MessageKind::Text, b"kept");
        assert!(all.ends_with(&[&kept[..], &end].concat()));
    }
    assert!(shard.shard.clients.slow.is_empty());
    assert_eq!(shard.shard.clients.held.bytes(), 0);
}

#[test]
fn whatever_becomes_of_clients_they_are_the_same_before_and_after_packing() {
    const CLIENTS: usize = 12;
    let mut shard = TestShard::new(settings());
    let mut clients: Vec<TcpStream> = (1..=4).map(|id| stalled(&mut shard, id)).collect();
    clients.extend((5..=CLIENTS as u32).map(|id| shard.client(id, Encoding::Websocket)));
    let clock = Clock::new();
    let mut seed = 11_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    for _ in 0..300 {
        let id = 1 + random(CLIENTS) as u32;
        match random(6) {
            0 => bind(&mut shard, id, &format!("uid {}", random(8))),
            1 => change(&mut shard, id, Change::Unbind),
            2 => join(&mut shard, id, &format!("group {}", random(5))),
            3 => {
                let group = Name::from_slice(format!("group {}", random(5)).as_bytes());
                change(&mut shard, id, Change::Leave { group });
            }
            4 => {
                let serialized = Bytes::from(vec![b's'; [0, 1, 300, 5000][random(4)]]);
                change(&mut shard, id, Change::SetSession { serialized });
            }
            _ => shard.shard.obey_alone(to_all(&"m".repeat([1, 50, 126, 127, 5000][random(5)]))),
        }
        shard.shard.write_turn();
        let before = Known::of(&shard, clock);
        shard.shard.is_frozen = true;
        match random(3) {
            0 => drop(shard.written()),
            some => {
                shard.shard.begin_packing();
                (0..CLIENTS).filter(|_| random(3) < some).for_each(|key| shard.shard.pack(key));
            }
        }
        shard.shard.thaw();
        assert_eq!(Known::of(&shard, clock), before);
    }
    drop(clients);
    until(&mut shard, "the end", |shard| shard.shard.clients.connections.is_empty());
    let Clients { held, uids, groups, .. } = &shard.shard.clients;
    assert_eq!((held.bytes(), uids.names().count(), groups.names().count()), (0, 0, 0));
}
