//! A BusinessWorker of GatewayWorker's protocol that is played by the test itself, so that a test can also say what no real
//! one would say.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use gateway_wire::ClientId;
use gateway_wire::gatewayworker::{Command, EventCommand, EventPacket, MAX_PACKET, Packet, packet_length};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::soon;

pub struct WorkerPeer {
    socket: TcpStream,
    input: Vec<u8>,
}

/// An event that a worker got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedEvent {
    pub kind: EventCommand,
    pub client: ClientId,
    /// The port on which the client came in.
    pub gateway_port: u16,
    pub session: String,
    pub body: Vec<u8>,
}

impl WorkerPeer {
    pub async fn connect(register: SocketAddr, name: &str) -> anyhow::Result<Self> {
        let socket = soon("connecting", TcpStream::connect(register)).await??;
        socket.set_nodelay(true)?;
        let mut peer = Self { socket, input: Vec::new() };
        peer.order(Command::WorkerConnect { worker_key: name.to_owned(), secret_key: String::new() }).await?;
        Ok(peer)
    }

    pub async fn order(&mut self, command: Command<'_>) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes)?;
        Ok(soon("writing", self.socket.write_all(&bytes)).await??)
    }

    /// Waits for the next event.
    pub async fn told(&mut self) -> anyhow::Result<ReceivedEvent> {
        let bytes = soon("an event", async {
            loop {
                if let Some(length) = packet_length(&self.input, MAX_PACKET)? {
                    let rest = self.input.split_off(length);
                    return anyhow::Ok(std::mem::replace(&mut self.input, rest));
                }
                let mut more = vec![0; 64 << 10];
                let length = self.socket.read(&mut more).await?;
                ensure!(length > 0, "the server closed the worker's connection");
                self.input.extend_from_slice(&more[..length]);
            }
        })
        .await??;
        let EventPacket { kind, origin, session, body } = EventPacket::from_packet(&Packet::decode(&bytes)?)?;
        Ok(ReceivedEvent {
            kind,
            gateway_port: origin.gateway_port,
            client: ClientId::new(origin.node, origin.connection),
            session: String::from_utf8(session.to_vec())?,
            body: body.to_vec(),
        })
    }

    /// Waits for the next event, which must be of this kind. Handshake events are passed over.
    pub async fn told_of(&mut self, kind: EventCommand) -> anyhow::Result<ReceivedEvent> {
        let mut told = self.told().await?;
        while told.kind == EventCommand::WebsocketConnect && kind != EventCommand::WebsocketConnect {
            told = self.told().await?;
        }
        ensure!(told.kind == kind, "{told:?} instead of {kind:?}");
        Ok(told)
    }

    /// Waits for the next message, and gives its client and its text.
    pub async fn message(&mut self) -> anyhow::Result<(ClientId, String)> {
        let ReceivedEvent { client, body, .. } = self.told_of(EventCommand::Message).await?;
        Ok((client, String::from_utf8(body).context("a message of text")?))
    }
    /// Waits for messages that each begin with a number, in the order of these numbers and with nothing between them.
    pub async fn numbered_messages(&mut self, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
        for number in numbers {
            let (_, text) = self.message().await?;
            let first = text.split(' ').next().unwrap_or_default();
            ensure!(first == number.to_string(), "message {first} instead of {number}");
        }
        Ok(())
    }
}
