//! What a gateway tells its workers.

use std::net::SocketAddrV4;

use super::packet::{HEADER, Packet, PacketError, flag};

/// The longest packet of an event. A BusinessWorker drops its connection, and all that waits on it, at one that is longer:
/// Workerman takes that for no packet (`TcpConnection::$defaultMaxPackageSize`).
pub(super) const MAX_EVENT: usize = 10 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket<'a> {
    pub kind: EventCommand,
    pub origin: Origin,
    /// The client's session, as PHP's `serialize()` gives it; nothing when there is none.
    pub session: &'a [u8],
    /// The message; of a websocket handshake a serialized array of `get`, `server` and `cookie`.
    pub body: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventCommand {
    Connect = 1,
    Message = 3,
    Close = 4,
    WebsocketConnect = 205,
}

/// Whom an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The gateway, as client ids name it.
    pub node: SocketAddrV4,
    pub connection: u32,
    pub client: SocketAddrV4,
    /// Where the gateway listens for clients.
    pub gateway_port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("command {0} of GatewayWorker's protocol is no event")]
pub struct NotAnEvent(pub u8);

impl<'a> EventPacket<'a> {
    /// Appends the packet. Over [`MAX_EVENT`], `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), PacketError> {
        let length = HEADER + self.session.len() + self.body.len();
        if length > MAX_EVENT {
            return Err(PacketError::TooLarge { length, limit: MAX_EVENT });
        }
        let Origin { node, connection, client, gateway_port } = self.origin;
        let flags = match self.kind {
            EventCommand::WebsocketConnect => 0,
            _ => flag::SCALAR,
        };
        Packet {
            command: self.kind as u8,
            node,
            client,
            connection,
            flags,
            gateway_port,
            extension: self.session,
            body: self.body,
        }
        .encode(out)
    }

    pub fn from_packet(packet: &Packet<'a>) -> Result<Self, NotAnEvent> {
        let kind = [
            EventCommand::Connect,
            EventCommand::Message,
            EventCommand::Close,
            EventCommand::WebsocketConnect,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == packet.command)
        .ok_or(NotAnEvent(packet.command))?;
        let origin = Origin {
            node: packet.node,
            connection: packet.connection,
            client: packet.client,
            gateway_port: packet.gateway_port,
        };
        Ok(Self { kind, origin, session: packet.extension, body: packet.body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let origin = Origin {
            node: "127.0.0.1:1238".parse().unwrap(),
            connection: u32::MAX,
            client: "10.0.0.9:50000".parse().unwrap(),
            gateway_port: 8282,
        };
        for (kind, flags) in [(EventCommand::Connect, 1), (EventCommand::WebsocketConnect, 0)] {
            let event = EventPacket { kind, origin, session: b"a:0:{}", body: b"body" };
            let mut bytes = Vec::new();
            event.encode(&mut bytes).unwrap();
            let packet = Packet::decode(&bytes).unwrap();
            assert_eq!((packet.flags, EventPacket::from_packet(&packet)), (flags, Ok(event)));
        }
        assert_eq!(EventPacket::from_packet(&Packet::new(5)), Err(NotAnEvent(5)));
    }
}
