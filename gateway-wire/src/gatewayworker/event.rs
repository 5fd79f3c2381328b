//! The packets of events, from a gateway to its workers.

use std::net::SocketAddrV4;

use super::packet::{HEADER, Packet, PacketError, flag};

/// Longest packet of an event, in bytes: Workerman's `TcpConnection::$defaultMaxPackageSize`. At a longer one a BusinessWorker takes it
/// for no packet, and closes the connection with all events that wait on it.
pub(super) const MAX_EVENT: usize = 10 << 20;

/// Something that a client did, as a gateway tells a BusinessWorker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket<'a> {
    /// The kind of thing that the client did.
    pub kind: EventCommand,
    /// The client that did it.
    pub origin: Origin,
    /// The client's session, as PHP's `serialize()` writes it; empty when there is none.
    pub session: &'a [u8],
    /// The message of [`EventCommand::Message`]; for [`EventCommand::WebsocketConnect`] an array of `get`, `server` and `cookie` as
    /// PHP's `serialize()` writes it; else empty.
    pub body: &'a [u8],
}

/// The kind of an event, by the number of its command in GatewayWorker's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventCommand {
    /// The client has connected: `CMD_ON_CONNECT`.
    Connect = 1,
    /// The client has sent a message: `CMD_ON_MESSAGE`.
    Message = 3,
    /// The client's connection has ended: `CMD_ON_CLOSE`.
    Close = 4,
    /// The client has done its websocket handshake: `CMD_ON_WEBSOCKET_CONNECT`.
    WebsocketConnect = 205,
}

/// The client that an event is about, and the gateway that holds its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The internal address of the gateway, as client ids name it.
    pub node: SocketAddrV4,
    /// The client's connection: the last 32 bits of its client id.
    pub connection: u32,
    /// The client's own address. The protocol has no room for IPv6.
    pub client: SocketAddrV4,
    /// The port of the gateway to which the client is connected.
    pub gateway_port: u16,
}

/// The error for a packet whose command, named here, is that of no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("command {0} of GatewayWorker's protocol is no event")]
pub struct NotAnEvent(pub u8);

impl<'a> EventPacket<'a> {
    /// Appends the packet. Over 10 MiB, the most that a BusinessWorker takes, it is an error, and `out` is left as it was.
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

    /// Reads an event from a packet. A packet with another command is an error.
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
