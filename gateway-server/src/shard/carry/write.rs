//! The writing of a frozen shard's clients, with their sockets.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use bytes::Bytes;
use hashbrown::HashMap;
use mio::net::UnixStream;
use serde_bytes::ByteBuf;
use slab::Slab;

use super::super::clients::Clients;
use super::super::connection::{Connection, ConnectionExt, Phase};
use super::super::outbox::{Chunk, Outbox, OutboxParts};
use super::super::state::Shard;
use super::buffers::WrittenBuffers;
use super::clock::Clock;
use super::record::{
    BatchWriter, CarriedClient, CarriedCounts, CarriedFrames, CarriedInflating, CarriedMeter, CarriedOutbox,
    CarriedPartial, CarriedShard, CarriedSizes, Item, phase_number,
};
use crate::inbox::model::Device;
use crate::net::relay_pair;
use crate::protocol::PartialMessage;
use crate::protocol::websocket::{CompressedParts, FragmentsParts, InflatingParts, PartialParts};

/// The largest number of bytes of a batch, but for one client that exceeds it.
pub(super) const BATCH_BYTES: usize = 256 << 10;
/// The largest number of sockets of a batch.
pub(super) const BATCH_SOCKETS: usize = 250;
/// The longest piece of a buffer, in bytes.
const PIECE: usize = BATCH_BYTES / 4;
/// The bytes that a client, a socket, a name or a number takes in a batch, at most.
const ITEM: usize = 256;
const NAME: usize = 8;

/// What takes the batches: their bytes, and the sockets of their clients.
pub(in crate::shard) type Out<'o> = dyn FnMut(&[u8], &[BorrowedFd<'_>]) -> io::Result<()> + Send + 'o;

/// The relay's end of the pair that stands for a TLS client's socket, by the key of the client.
pub(in crate::shard) type RelayEnds = Vec<(usize, UnixStream)>;

/// The socket of a client, by the client's key, or the end of a pair that stands for it.
enum Descriptor {
    Socket(usize),
    Served(OwnedFd),
}

/// Gathers items into batches.
struct Batches<'o> {
    header: i64,
    items: BatchWriter,
    descriptors: Vec<Descriptor>,
    bytes: usize,
    out: &'o mut Out<'o>,
}

impl Batches<'_> {
    /// Makes room for an item with so many bytes, and with a socket or without.
    fn make_room(&mut self, bytes: usize, connections: &Slab<Connection>) -> io::Result<()> {
        let is_full = self.bytes + bytes > BATCH_BYTES || self.descriptors.len() == BATCH_SOCKETS;
        if is_full && !self.items.is_empty() {
            self.flush(connections)?;
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Writes the buffers that the next item names.
    fn buffers(&mut self, buffers: Vec<Bytes>, connections: &Slab<Connection>) -> io::Result<()> {
        for buffer in buffers {
            // An empty buffer is one empty piece.
            let pieces = buffer.len().div_ceil(PIECE).max(1);
            for piece in 0..pieces {
                let end = buffer.len().min((piece + 1) * PIECE);
                let bytes = ByteBuf::from(&buffer[piece * PIECE..end]);
                self.make_room(bytes.len() + NAME, connections)?;
                self.items.push(&Item::Buffer { bytes, is_last: piece + 1 == pieces });
            }
        }
        Ok(())
    }

    fn flush(&mut self, connections: &Slab<Connection>) -> io::Result<()> {
        let bytes = self.items.take_bytes(self.header);
        let descriptors = std::mem::take(&mut self.descriptors);
        let borrowed: Vec<_> = descriptors
            .iter()
            .filter_map(|descriptor| match descriptor {
                Descriptor::Socket(key) => connections[*key].socket.as_ref().map(AsFd::as_fd),
                Descriptor::Served(end) => Some(end.as_fd()),
            })
            .collect();
        self.bytes = 0;
        (self.out)(&bytes, &borrowed)
    }
}

impl Shard {
    /// Writes the clients of a frozen shard, and packs each once it is written; when the shard thaws they are what they were. For each
    /// TLS client a pair of sockets is made, whose one end is added to `relay_ends`.
    pub(in crate::shard) fn write_carried(
        &mut self,
        relay_ends: &mut RelayEnds,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        let clock = Clock::new();
        let mut out = |bytes: &[u8], sockets: &[BorrowedFd<'_>]| out(bytes, sockets);
        let mut batches = Batches {
            header: clock.header(),
            items: BatchWriter::default(),
            descriptors: Vec::new(),
            bytes: 0,
            out: &mut out,
        };
        batches.items.push(&Item::Shard(Box::new(self.carried_shard(clock))));
        let deadlines: HashMap<usize, (Instant, u32)> =
            self.closing.iter().map(|(at, key, connection_id)| (*key, (*at, *connection_id))).collect();
        let mut buffers = WrittenBuffers::default();
        let keys: Vec<u32> = self.clients.connections.iter().map(|(key, _)| key as u32).collect();
        self.begin_packing();
        for key in keys.into_iter().map(|key| key as usize) {
            if self.clients.resume.is_arriving(key) {
                continue;
            }
            let connections = &self.clients.connections;
            let connection = &connections[key];
            let deadline = deadlines.get(&key).filter(|(_, id)| *id == connection.connection_id);
            let client =
                self.carried_client(key, connection, clock, deadline.map(|(at, _)| *at), &mut buffers);
            batches.buffers(buffers.take_unwritten(), connections)?;
            batches.make_room(weight(&client), connections)?;
            batches.items.push(&Item::Client(Box::new(client)));
            match &connection.socket {
                Some(_) if connection.is_tls => {
                    let (relay, served) = relay_pair()?;
                    relay_ends.push((key, relay));
                    batches.descriptors.push(Descriptor::Served(served));
                }
                Some(_) => batches.descriptors.push(Descriptor::Socket(key)),
                None => {}
            }
            self.pack(key);
        }
        batches.flush(&self.clients.connections)?;
        self.end_packing();
        Ok(())
    }

    fn carried_shard(&self, clock: Clock) -> CarriedShard {
        let Clients { connections, uids, groups, .. } = &self.clients;
        CarriedShard {
            sizes: CarriedSizes {
                connections: connections.len() as u32,
                uids: uids.len() as u32,
                groups: groups.len() as u32,
            },
            counts: CarriedCounts::of(&self.clients.counts),
            reasons: self.clients.resume.export_reasons(clock),
            rounds: self
                .rounds
                .iter()
                .map(|rounds| (clock.time(rounds.position().0), rounds.position().1 as u32))
                .collect(),
        }
    }

    pub(super) fn carried_client(
        &self,
        key: usize,
        connection: &Connection,
        clock: Clock,
        deadline: Option<Instant>,
        buffers: &mut WrittenBuffers,
    ) -> CarriedClient {
        let connection_id = connection.connection_id;
        let is_online = self.clients.holds_its_number(key);
        let resume = self
            .clients
            .resume
            .export(key, connection_id, clock, |frame| buffers.shared(frame))
            .map(Box::new);
        let is_known = is_online || resume.as_ref().is_some_and(|resume| resume.is_departed());
        let extra = connection.extra();
        let session = extra.map_or(&[][..], |extra| extra.session.bytes());
        let memberships = extra.map(|extra| &extra.memberships);
        let is_address_unknown_to_socket = connection.has_own_address() || connection.is_tls;
        let partial = extra.and_then(ConnectionExt::partial);
        let inflated = partial.map_or(0, |partial| partial.inflated());
        CarriedClient {
            connection_id,
            is_online,
            has_socket: connection.is_connected(),
            phase: phase_number(connection.phase),
            deadline: deadline.filter(|_| connection.phase != Phase::Open).map(|at| clock.time(at)),
            has_caught_up: connection.has_caught_up,
            has_returned: connection.has_returned,
            encoding: connection.encoding as u8,
            listener: connection.listener,
            quiet: connection.quiet,
            address: if is_address_unknown_to_socket { connection.peer() } else { None },
            uid: memberships.and_then(|names| names.uid.as_deref()).map(ByteBuf::from),
            groups: memberships.map_or_else(Vec::new, |names| {
                names.groups.iter().map(|group| ByteBuf::from(&**group)).collect()
            }),
            session: (!session.is_empty()).then(|| buffers.own(Bytes::copy_from_slice(session))),
            outbox: extra.and_then(|extra| carried_outbox(&extra.outbox, clock, buffers)),
            partial: partial.map(|partial| carried_partial(partial, buffers)),
            meter: self.meters.export(key).map(|(at, messages, bytes)| CarriedMeter {
                at: clock.time(at),
                messages,
                // What is inflated again counts again.
                bytes: bytes - inflated as f32,
            }),
            resume,
            events: if is_known { self.events.export(connection_id) } else { None }
                .map(|bytes| ByteBuf::from(&bytes[..])),
            device: match connection.device() {
                Device::Shared => None,
                named => Some((named.as_row().0, named.as_row().1.to_owned())),
            },
        }
    }
}

fn carried_outbox(outbox: &Outbox, clock: Clock, buffers: &mut WrittenBuffers) -> Option<CarriedOutbox> {
    let mut joined = Vec::new();
    let parts = outbox.parts(|chunk| match chunk {
        Chunk::Frame(frame) => (buffers.shared(frame), false),
        Chunk::Joined(frames) => {
            joined.extend_from_slice(frames);
            (frames.len() as u32, true)
        }
    });
    let OutboxParts { chunks, taken, pong, pace, is_given_up } = parts?;
    let (last, since, bytes) = pace.parts();
    Some(CarriedOutbox {
        chunks,
        joined: (!joined.is_empty()).then(|| buffers.own(joined.into())),
        taken: taken as u64,
        pong: pong.map(|pong| pong as u64),
        pace: (clock.time(last), clock.time(since), bytes),
        is_given_up,
    })
}

fn carried_partial(partial: &PartialMessage, buffers: &mut WrittenBuffers) -> CarriedPartial {
    let PartialParts { bytes, fragments, inflating, is_behind } = match partial {
        PartialMessage::Websocket(frames) => frames.parts(),
        PartialMessage::Bytes(bytes) => {
            return CarriedPartial { bytes: buffers.own(Bytes::copy_from_slice(bytes)), websocket: None };
        }
    };
    let bytes = buffers.own(bytes.into());
    let fragments = fragments.map(|FragmentsParts { is_text, is_deflated, bytes }| {
        (is_text, is_deflated, buffers.own(bytes.into()))
    });
    let inflating = inflating.map(|InflatingParts { is_text, compressed }| match compressed {
        CompressedParts::Frame(range) => {
            let frame = Some(range.start as u64..range.end as u64);
            CarriedInflating { is_text, frame, fragments: None }
        }
        CompressedParts::Fragments(bytes) => {
            CarriedInflating { is_text, frame: None, fragments: Some(buffers.own(bytes.into())) }
        }
    });
    CarriedPartial { bytes, websocket: Some(CarriedFrames { fragments, inflating, is_behind }) }
}

/// The bytes that a client takes in a batch, at most, without its buffers.
fn weight(client: &CarriedClient) -> usize {
    let names = client.uid.iter().chain(&client.groups).map(|name| name.len() + NAME).sum::<usize>();
    let chunks = client.outbox.as_ref().map_or(0, |outbox| NAME * outbox.chunks.len());
    let events = client.events.as_ref().map_or(0, |events| events.len());
    let resume = client.resume.as_ref().map_or(0, |resume| resume.weight());
    let device = client.device.as_ref().map_or(0, |(_, name)| NAME + name.len());
    ITEM + names + chunks + events + resume + device
}
