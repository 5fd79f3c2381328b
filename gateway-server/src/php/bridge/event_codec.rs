//! Encodes an event as a frame of a worker's bridge connection.

use std::net::SocketAddrV4;

use gateway_wire::ClientId;
use gateway_wire::bridge::frame::FrameTooLarge;
use gateway_wire::bridge::{self as wire, ServerToWorker, WorkerEvent};

use super::io::KEPT;
use crate::events::{Event, EventCodec, EventKind};
use crate::php::gatewayworker::server_data;

pub(super) struct FrameCodec {
    /// The address of this server, which client ids name.
    node: SocketAddrV4,
    /// Whether the worker has announced that it takes moves.
    takes_moves: bool,
    /// Each event has a number, by which the process says how far it has come.
    last_number: u64,
}

impl FrameCodec {
    pub(super) fn new(node: SocketAddrV4, takes_moves: bool, last_number: u64) -> Self {
        Self { node, takes_moves, last_number }
    }
}

impl EventCodec for FrameCodec {
    type TooLarge = FrameTooLarge;

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), FrameTooLarge> {
        let (serialized, old_hex);
        let (kind, body) = match &event.kind {
            EventKind::Moved(old) if self.takes_moves => {
                old_hex = old.to_hex();
                (wire::EventKind::Move, &old_hex[..])
            }
            // A client that moved while another worker was to hear of it is a new one for a worker that takes no moves.
            EventKind::Connect | EventKind::Moved(_) => (wire::EventKind::Connect, &[][..]),
            EventKind::Message(message) => (wire::EventKind::Message, &message[..]),
            EventKind::Close => (wire::EventKind::Close, &[][..]),
            EventKind::Handshake(handshake) => {
                serialized = server_data(handshake, event.peer, event.gateway_port);
                (wire::EventKind::Handshake, &serialized[..])
            }
        };
        let frame = ServerToWorker::Event(WorkerEvent {
            number: self.last_number + 1,
            kind,
            client: ClientId::new(self.node, event.connection_id),
            remote_address: &event.peer.ip().to_canonical().to_string(),
            remote_port: event.peer.port(),
            gateway_port: event.gateway_port,
            session: &event.session,
            body,
        });
        // A frame that grew too large leaves its memory behind.
        frame.encode(out).inspect_err(|_| out.shrink_to(KEPT))?;
        self.last_number += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use gateway_wire::bridge::frame;

    use super::*;
    use crate::events::{Batch, encode_batch};

    const OLD: &str = "c00002010b5400000009";

    /// What a worker is told of these events, and what of them could go to a successor.
    fn told(takes_moves: bool, events: Vec<Event>) -> (Vec<(wire::EventKind, Vec<u8>)>, Vec<Event>) {
        let mut batch = Batch::default();
        batch.events = events;
        let node = "127.0.0.1:1238".parse().unwrap();
        let (mut out, mut start, mut told) = (Vec::new(), 0, Vec::new());
        let mut ends = Vec::new();
        encode_batch(&mut FrameCodec::new(node, takes_moves, 0), &mut batch, &mut out, |end| ends.push(end));
        for (number, end) in (1..).zip(ends) {
            let content = &out[start + frame::HEADER..end];
            start = end;
            let ServerToWorker::Event(event) = ServerToWorker::decode(content).unwrap() else { panic!() };
            assert_eq!((event.number, event.client), (number, ClientId::new(node, 7)));
            told.push((event.kind, event.body.to_vec()));
        }
        (told, batch.events)
    }

    #[test]
    fn who_has_moved_connects_at_a_worker_that_has_not_announced_moves() {
        let message = || EventKind::Message(Bytes::from("hello"));
        let kinds = || [EventKind::Moved(OLD.parse().unwrap()), message(), EventKind::Close];
        let events: Vec<_> = kinds().into_iter().map(|kind| Event::example(7, kind)).collect();
        for (takes_moves, first) in [
            (true, (wire::EventKind::Move, OLD.as_bytes().to_vec())),
            (false, (wire::EventKind::Connect, Vec::new())),
        ] {
            let (told, kept) = told(takes_moves, events.clone());
            let message = (wire::EventKind::Message, b"hello".to_vec());
            assert_eq!(told, [first, message, (wire::EventKind::Close, Vec::new())]);
            // What the worker has not taken is a move still, for a successor that takes it.
            assert_eq!(kept, events);
        }
    }
}
