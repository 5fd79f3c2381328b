//! The taking over of clients into a frozen shard.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

use hashbrown::HashMap;
use mio::net::TcpStream;

use super::super::connection::{Connection, Phase};
use super::super::event_sink::Client;
use super::super::outbox::{Chunk, OutboxParts};
use super::super::state::Shard;
use super::super::throughput::Throughput;
use super::buffers::ReadBuffers;
use super::clock::Clock;
use super::malformed::MalformedBatch;
use super::record::{
    Batch, CarriedClient, CarriedInflating, CarriedMeter, CarriedOutbox, CarriedPartial, CarriedShard, Item,
    phase_of,
};
use crate::inbox::model::Device;
use crate::net::RateLimitKey;
use crate::protocol::websocket::{
    CompressedParts, FragmentsParts, InflatingParts, PartialFrames, PartialParts,
};
use crate::protocol::{Encoding, PartialMessage};
use crate::system::memory_reserve::NoMemory;

/// What earlier batches have brought that later ones need.
#[derive(Default)]
pub(in crate::shard) struct Restoration {
    buffers: ReadBuffers,
    /// The indexes of the frames that are kept for clients that may come back, by the numbers of their buffers.
    kept: HashMap<u32, u32>,
    has_begun: bool,
}

/// What a batch has brought: the encodings of its clients.
pub(crate) type Restored = Vec<Encoding>;

const SMALL_FRAMES: MalformedBatch = MalformedBatch::Contradiction("the small frames of a client");

fn contradiction(what: &'static str) -> MalformedBatch {
    MalformedBatch::Contradiction(what)
}

impl Shard {
    /// Takes over the clients of a batch.
    pub(in crate::shard) fn restore_batch(
        &mut self,
        restoration: &mut Restoration,
        bytes: &[u8],
        sockets: Vec<OwnedFd>,
    ) -> Result<Restored, MalformedBatch> {
        let Batch { header, items } = Batch::from_bytes(bytes)?;
        let clock = Clock::of(header);
        let expected =
            items.iter().filter(|item| matches!(item, Item::Client(client) if client.has_socket)).count();
        if sockets.len() != expected {
            return Err(MalformedBatch::Sockets { came: sockets.len(), expected });
        }
        let mut sockets = VecDeque::from(sockets);
        let mut restored = Restored::new();
        for item in items {
            match item {
                Item::Shard(shard) if !restoration.has_begun => {
                    restoration.has_begun = true;
                    self.restore_shard(*shard, clock);
                }
                _ if !restoration.has_begun => return Err(contradiction("the shard does not come first")),
                Item::Shard(_) => return Err(contradiction("the shard comes twice")),
                Item::Buffer { bytes, is_last } => restoration.buffers.piece(bytes.into_vec(), is_last)?,
                Item::Client(client) => {
                    let socket = if client.has_socket { sockets.pop_front() } else { None };
                    let encoding = self.restore_client(*client, socket, clock, restoration)?;
                    if !restored.contains(&encoding) {
                        restored.push(encoding);
                    }
                }
            }
        }
        Ok(restored)
    }

    fn restore_shard(&mut self, shard: CarriedShard, clock: Clock) {
        let CarriedShard { sizes, counts, reasons, rounds } = shard;
        self.reserve(sizes);
        counts.add_to(&mut self.clients.counts);
        self.clients.resume.import_reasons(reasons, clock);
        for (rounds, (next, done)) in self.rounds.iter_mut().zip(rounds) {
            rounds.resume((clock.instant(next), done as usize), Instant::now());
        }
    }

    fn restore_client(
        &mut self,
        client: CarriedClient,
        socket: Option<OwnedFd>,
        clock: Clock,
        restoration: &mut Restoration,
    ) -> Result<Encoding, MalformedBatch> {
        let (phase, encoding) = self.check(&client)?;
        if !self.clients.has_room_for_one() {
            return Err(NoMemory.into());
        }
        let (connection_id, listener) = (client.connection_id, client.listener);
        let mut connection = match socket {
            // The socket may also be a unix socket, on which the calls that are made for a TCP socket do the same.
            Some(socket) => {
                let socket = TcpStream::from_std(std::net::TcpStream::from(socket));
                Connection::new(socket, connection_id, encoding, listener)
            }
            None => Connection::without_socket(connection_id, encoding, listener),
        };
        connection.phase = phase;
        connection.quiet = client.quiet;
        connection.has_caught_up = client.has_caught_up;
        connection.has_returned = client.has_returned;
        if client.address.is_some() {
            connection.extra_mut().rare_mut().address = client.address;
        }
        let key = match client.is_online {
            true => self.clients.add_online(connection),
            false => self.clients.add(connection),
        };
        if client.has_socket {
            self.unpolled.add(key);
        }
        if !matches!(phase, Phase::Open | Phase::Parked) {
            let at = client.deadline.map(|at| clock.instant(at));
            let at = at.unwrap_or_else(|| Instant::now() + self.settings.server.close_timeout);
            self.closing.push_back((at, key, connection_id));
        }
        if let Some((sort, name)) = &client.device
            && self.clients.inbox_notes.is_some()
        {
            let device = Device::from_row(*sort, name).filter(Device::is_valid);
            let device = device.ok_or(contradiction("the device of a client"))?;
            self.clients.connections[key].extra_mut().rare_mut().device = Some(device);
        }
        self.restore_names(key, &client);
        if let Some(session) = client.session {
            self.clients.connections[key].extra_mut().session.set(&restoration.buffers.own(session)?);
        }
        if let Some(outbox) = client.outbox {
            let parts = outbox_parts(outbox, clock, &mut restoration.buffers)?;
            let outbox = &mut self.clients.connections[key].extra_mut().outbox;
            if !outbox.fill(parts, &mut self.clients.held) {
                return Err(contradiction("what waits for a client"));
            }
            self.clients.slow.insert(key as u32);
        }
        if let Some(partial) = client.partial {
            let partial = partial_message(partial, &mut restoration.buffers)?;
            self.clients.keep_partial(key, Some(partial));
        }
        if let Some(CarriedMeter { at, messages, bytes }) = client.meter {
            self.meters.import(key, (clock.instant(at), messages, bytes));
        }
        if let Some(resume) = client.resume {
            let address = client.address.map(|address: SocketAddr| RateLimitKey::of(address.ip()));
            let Restoration { buffers, kept, .. } = restoration;
            self.clients
                .resume
                .import((key, connection_id), *resume, clock, address, kept, |number| {
                    buffers.shared(number).ok()
                })
                .map_err(contradiction)?;
            self.note_untold(key);
        }
        self.clients.connections[key].slim();
        if let Some(exported) = client.events {
            let client = Client::of(&self.clients.connections[key], &self.settings.ports);
            self.events.restore(&client, &exported);
        }
        Ok(encoding)
    }

    /// Checks what the parts of a client say of each other. Gives its phase and encoding.
    fn check(&self, client: &CarriedClient) -> Result<(Phase, Encoding), MalformedBatch> {
        let phase = phase_of(client.phase).ok_or(contradiction("the phase of a client"))?;
        let encoding =
            Encoding::of_number(client.encoding).ok_or(contradiction("the encoding of a client"))?;
        if usize::from(client.listener) >= self.settings.listeners.len() {
            return Err(contradiction("the listener of a client"));
        }
        if client.has_socket == (phase == Phase::Parked) {
            return Err(contradiction("a client has a socket and is parked, or neither"));
        }
        let (is_parked, is_departed) = client
            .resume
            .as_ref()
            .map_or((false, false), |resume| (resume.is_parked(), resume.is_departed()));
        if (phase == Phase::Parked) != (is_parked || is_departed) || is_departed && client.is_online {
            return Err(contradiction("how a client is parked"));
        }
        let may_be_online = matches!(phase, Phase::Open | Phase::Parked);
        if client.is_online && !may_be_online || !client.is_online && phase == Phase::Open {
            return Err(contradiction("whether a client is online"));
        }
        if client.is_online && self.clients.key(client.connection_id).is_some() {
            return Err(contradiction("two clients with one connection id"));
        }
        Ok((phase, encoding))
    }

    /// Binds a client to its uid and groups, of which it may have more than the settings allow by now.
    fn restore_names(&mut self, key: usize, client: &CarriedClient) {
        let uid = client.uid.as_ref().map(|uid| self.clients.uids.claim(uid));
        let groups = client.groups.iter().map(|group| self.clients.groups.claim(group)).collect();
        self.clients.bind_all(key, uid, groups, usize::MAX);
    }
}

fn outbox_parts(
    outbox: CarriedOutbox,
    clock: Clock,
    buffers: &mut ReadBuffers,
) -> Result<OutboxParts<Chunk>, MalformedBatch> {
    let CarriedOutbox { chunks, joined, taken, pong, pace: (last, since, bytes), is_given_up } = outbox;
    let joined = joined.map(|joined| buffers.own(joined)).transpose()?.unwrap_or_default();
    let mut rest = &joined[..];
    let chunk = |(number, is_joined): (u32, bool)| {
        if !is_joined {
            return Ok(Chunk::Frame(buffers.shared(number)?));
        }
        let (frames, behind) = rest.split_at_checked(number as usize).ok_or(SMALL_FRAMES)?;
        rest = behind;
        Ok(Chunk::Joined(frames.to_vec()))
    };
    let chunks = chunks.into_iter().map(chunk).collect::<Result<_, MalformedBatch>>()?;
    if !rest.is_empty() {
        return Err(SMALL_FRAMES);
    }
    Ok(OutboxParts {
        chunks,
        taken: number(taken)?,
        pong: pong.map(number).transpose()?,
        pace: Throughput::of_parts(clock.instant(last), clock.instant(since), bytes),
        is_given_up,
    })
}

fn partial_message(
    partial: CarriedPartial,
    buffers: &mut ReadBuffers,
) -> Result<PartialMessage, MalformedBatch> {
    let bytes = Vec::from(buffers.own(partial.bytes)?);
    let Some(websocket) = partial.websocket else { return Ok(PartialMessage::Bytes(bytes)) };
    let fragments = match websocket.fragments {
        Some((is_text, is_deflated, bytes)) => {
            Some(FragmentsParts { is_text, is_deflated, bytes: Vec::from(buffers.own(bytes)?) })
        }
        None => None,
    };
    let inflating = match websocket.inflating {
        Some(CarriedInflating { is_text, frame: Some(range), .. }) => {
            let compressed = CompressedParts::Frame(number(range.start)?..number(range.end)?);
            Some(InflatingParts { is_text, compressed })
        }
        Some(CarriedInflating { is_text, fragments: Some(bytes), .. }) => {
            let compressed = CompressedParts::Fragments(Vec::from(buffers.own(bytes)?));
            Some(InflatingParts { is_text, compressed })
        }
        Some(_) => return Err(contradiction("a compressed message without bytes")),
        None => None,
    };
    let parts = PartialParts { bytes, fragments, inflating, is_behind: websocket.is_behind };
    let frames = PartialFrames::of_parts(parts).ok_or(contradiction("what a client has sent in part"))?;
    Ok(PartialMessage::Websocket(frames))
}

fn number(number: u64) -> Result<usize, MalformedBatch> {
    usize::try_from(number).map_err(|_| contradiction("a number is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_frames_take_all_of_their_buffer_and_no_more() {
        let restored = |chunks: &[(u32, bool)], joined: &[u8]| {
            let mut buffers = ReadBuffers::default();
            buffers.piece(b"frame".to_vec(), true).unwrap();
            buffers.piece(joined.to_vec(), true).unwrap();
            let outbox = CarriedOutbox {
                chunks: chunks.to_vec(),
                joined: Some(1),
                taken: 0,
                pong: None,
                pace: (0, 0, 0.0),
                is_given_up: false,
            };
            let parts = outbox_parts(outbox, Clock::new(), &mut buffers)?;
            let text = |chunk: &Chunk| match chunk {
                Chunk::Frame(frame) => format!("{}.", String::from_utf8_lossy(frame)),
                Chunk::Joined(frames) => String::from_utf8_lossy(frames).into_owned(),
            };
            Ok::<_, MalformedBatch>(parts.chunks.iter().map(text).collect::<Vec<_>>())
        };
        let sound = [(2, true), (0, false), (1, true), (0, true)];
        assert_eq!(restored(&sound, b"abc").unwrap(), ["ab", "frame.", "c", ""]);
        for joined in ["ab", "abcd", ""] {
            let error = restored(&sound, joined.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("the small frames of a client"), "{error}");
        }
        assert!(restored(&[(u32::MAX, true)], b"abc").is_err() && restored(&[(7, false)], b"").is_err());
    }
}
