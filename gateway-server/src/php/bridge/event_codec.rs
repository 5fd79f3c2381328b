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
    /// Each event has a number, by which the process says how far it has come.
    last_number: u64,
}

impl FrameCodec {
    pub(super) fn new(node: SocketAddrV4) -> Self {
        Self { node, last_number: 0 }
    }
}

impl EventCodec for FrameCodec {
    type TooLarge = FrameTooLarge;

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), FrameTooLarge> {
        let serialized;
        let (kind, body) = match &event.kind {
            // A client that moved while another worker was to hear of it is a new one here.
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
