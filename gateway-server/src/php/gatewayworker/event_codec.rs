//! Encodes an event as a packet of GatewayWorker's internal protocol.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use gateway_wire::gatewayworker::{self as wire, EventCommand, Origin, PacketError};
use gateway_wire::php_serialize::Writer;

use super::php_request::{cookies, query};
use crate::events::{Event, EventCodec, EventKind};
use crate::shard::Handshake;

#[derive(Clone, Copy)]
pub(super) struct PacketCodec {
    /// The address of this server, which every packet names.
    pub(super) node: SocketAddrV4,
}

impl EventCodec for PacketCodec {
    type TooLarge = PacketError;

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), PacketError> {
        let serialized;
        let (kind, body) = match &event.kind {
            // The protocol has no event for a move. A client that moved while another worker was to hear of it is a new one here.
            EventKind::Connect | EventKind::Moved(_) => (EventCommand::Connect, &[][..]),
            EventKind::Message(message) => (EventCommand::Message, &message[..]),
            EventKind::Close => (EventCommand::Close, &[][..]),
            EventKind::Handshake(handshake) => {
                serialized = server_data(handshake, event.peer, event.gateway_port);
                (EventCommand::WebsocketConnect, &serialized[..])
            }
        };
        let origin = Origin {
            node: self.node,
            connection: event.connection_id,
            client: SocketAddrV4::new(ipv4(event.peer.ip()), event.peer.port()),
            gateway_port: event.gateway_port,
        };
        wire::EventPacket { kind, origin, session: &event.session, body }.encode(out)
    }
}

/// `['get' => …, 'server' => …, 'cookie' => …]`
pub(in crate::php) fn server_data(handshake: &Handshake, peer: SocketAddr, gateway_port: u16) -> Vec<u8> {
    let header =
        |name: &str| handshake.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &value[..]);
    let query_string = handshake.uri.iter().position(|byte| *byte == b'?');
    let query_string = query_string.map_or(&b""[..], |at| &handshake.uri[at + 1..]);
    let peer_ip = peer.ip().to_canonical().to_string();
    let fixed = [
        ("QUERY_STRING", Value::Text(query_string)),
        ("REQUEST_METHOD", Value::Text(b"GET")),
        ("REQUEST_URI", Value::Text(&handshake.uri)),
        ("SERVER_PROTOCOL", Value::Text(handshake.protocol.as_bytes())),
        ("SERVER_NAME", header("host").map_or(Value::Null, Value::Text)),
        ("CONTENT_TYPE", header("content-type").map_or(Value::Null, Value::Text)),
        ("REMOTE_ADDR", Value::Text(peer_ip.as_bytes())),
        ("REMOTE_PORT", Value::Int(peer.port().into())),
        ("SERVER_PORT", Value::Int(gateway_port.into())),
    ];
    let fixed = fixed.map(|(name, value)| (name.to_owned(), value));
    let headers = handshake
        .headers
        .iter()
        .map(|(name, value)| (format!("HTTP_{}", name.to_uppercase().replace('-', "_")), Value::Text(value)));
    let server: Vec<_> = fixed.into_iter().chain(headers).collect();

    let mut out = Vec::new();
    Writer::new(&mut out).array(["get", "server", "cookie"].iter(), |writer, part| {
        writer.string(part.as_bytes());
        match *part {
            "get" => query(query_string).write(writer),
            "server" => writer.array(server.iter(), |writer, (name, value)| {
                writer.string(name.as_bytes());
                value.write(writer);
            }),
            _ => cookies(header("cookie").unwrap_or_default()).write(writer),
        }
    });
    out
}

enum Value<'a> {
    Null,
    Int(i64),
    Text(&'a [u8]),
}

impl Value<'_> {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Null => writer.null(),
            Self::Int(number) => writer.int(*number),
            Self::Text(text) => writer.string(text),
        }
    }
}

/// The protocol has no room for other addresses; GatewayWorker too gives 0.0.0.0 for them.
fn ipv4(ip: IpAddr) -> Ipv4Addr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_moved_connects() {
        let encoded = |kind| {
            let mut out = Vec::new();
            let mut codec = PacketCodec { node: "127.0.0.1:1238".parse().unwrap() };
            codec.encode(&Event::example(7, kind), &mut out).unwrap();
            out
        };
        let moved = EventKind::Moved("c00002010b5400000009".parse().unwrap());
        assert_eq!(encoded(moved), encoded(EventKind::Connect));
    }

    #[test]
    fn a_handshake_is_the_array_that_php_knows() {
        let handshake = Handshake {
            uri: b"/chat?room=7&x[]=a".to_vec(),
            protocol: "HTTP/1.1",
            headers: vec![
                ("host".to_owned(), b"example.org:8282".to_vec()),
                ("user-agent".to_owned(), b"\xff".to_vec()),
                ("cookie".to_owned(), b"a=1; b=%20".to_vec()),
            ],
        };
        let bytes = server_data(&handshake, "10.0.0.1:50000".parse().unwrap(), 8282);
        let expected = [
            &br#"a:3:{s:3:"get";a:2:{s:4:"room";s:1:"7";s:1:"x";a:1:{i:0;s:1:"a";}}"#[..],
            br#"s:6:"server";a:12:{s:12:"QUERY_STRING";s:12:"room=7&x[]=a";s:14:"REQUEST_METHOD";s:3:"GET";"#,
            br#"s:11:"REQUEST_URI";s:18:"/chat?room=7&x[]=a";s:15:"SERVER_PROTOCOL";s:8:"HTTP/1.1";"#,
            br#"s:11:"SERVER_NAME";s:16:"example.org:8282";s:12:"CONTENT_TYPE";N;s:11:"REMOTE_ADDR";s:8:"10.0.0.1";"#,
            br#"s:11:"REMOTE_PORT";i:50000;s:11:"SERVER_PORT";i:8282;s:9:"HTTP_HOST";s:16:"example.org:8282";"#,
            b"s:15:\"HTTP_USER_AGENT\";s:1:\"\xff\";s:11:\"HTTP_COOKIE\";s:10:\"a=1; b=%20\";}",
            br#"s:6:"cookie";a:2:{s:1:"a";s:1:"1";s:1:"b";s:3:"%20";}}"#,
        ]
        .concat();
        assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&expected));
    }
}
