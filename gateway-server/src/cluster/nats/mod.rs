//! The client side of the NATS protocol, as far as a node needs it.
//!
//! This is no client library, as those keep a queue for each subscription, which takes several kilobytes for each uid that is
//! online. Here a subscription takes no memory in this process, and all messages come in the order in which the server sent them.

mod connect;
mod credentials;
mod look;
mod protocol;

pub(super) use connect::Options;
pub use look::{Server, look_at};
pub use protocol::{Malformed, Op, decode};

use bytes::BytesMut;
use connect::ConnectError;
use protocol::Info;

use super::broker::{Broker, Connection, Incoming, ServerInfo};
use crate::net::NatsAddress;

/// NATS without its persistence. It keeps the order of what one connection publishes, and loses what a connection has in flight
/// when it breaks: <https://docs.nats.io/nats-concepts/core-nats>.
pub(super) struct Nats;

impl Broker for Nats {
    type Address = NatsAddress;
    type Options = Options;
    type ConnectError = ConnectError;
    type Malformed = Malformed;

    async fn connect(address: &NatsAddress, options: &Options) -> Result<Connection, ConnectError> {
        connect::connect(address, options).await
    }

    fn decode(input: &mut BytesMut, max_payload: usize) -> Result<Option<Incoming>, Malformed> {
        Ok(decode(input, max_payload)?.map(|op| match op {
            Op::Message(payload) => Incoming::Frame(payload),
            Op::Ping => Incoming::Ping,
            Op::Pong => Incoming::Pong,
            Op::Error(error) => Incoming::Error(error),
            Op::Info(info) => Incoming::Info((*info).into()),
            Op::Nothing => Incoming::Nothing,
        }))
    }

    fn publish(
        out: &mut Vec<u8>,
        subject: impl FnOnce(&mut Vec<u8>),
        length: usize,
        payload: impl FnOnce(&mut Vec<u8>),
    ) {
        out.extend_from_slice(b"PUB ");
        subject(out);
        out.extend_from_slice(format!(" {length}\r\n").as_bytes());
        payload(out);
        out.extend_from_slice(b"\r\n");
    }

    fn subscribe(out: &mut Vec<u8>, subject: impl FnOnce(&mut Vec<u8>), id: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(b"SUB ");
        subject(out);
        out.push(b' ');
        id(out);
        out.extend_from_slice(b"\r\n");
    }

    fn unsubscribe(out: &mut Vec<u8>, id: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(b"UNSUB ");
        id(out);
        out.extend_from_slice(b"\r\n");
    }

    fn ping(out: &mut Vec<u8>) {
        out.extend_from_slice(b"PING\r\n");
    }

    fn pong(out: &mut Vec<u8>) {
        out.extend_from_slice(b"PONG\r\n");
    }
}

impl From<Info> for ServerInfo {
    fn from(info: Info) -> Self {
        Self {
            id: info.server_id,
            version: info.version,
            has_streams: info.jetstream,
            max_payload: info.max_payload,
            is_leaving: info.is_leaving,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_lines_as_nats_reads_them() {
        let mut out = Vec::new();
        let text = |text: &'static str| move |out: &mut Vec<u8>| out.extend_from_slice(text.as_bytes());
        Nats::subscribe(&mut out, text("gateway.c.all"), text("all"));
        Nats::unsubscribe(&mut out, text("all"));
        Nats::publish(&mut out, text("gateway.c.all"), 3, text("a\r\n"));
        Nats::ping(&mut out);
        Nats::pong(&mut out);
        let expected =
            "SUB gateway.c.all all\r\nUNSUB all\r\nPUB gateway.c.all 3\r\na\r\n\r\nPING\r\nPONG\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
