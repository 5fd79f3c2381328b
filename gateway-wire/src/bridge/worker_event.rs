//! What is said on a worker's connection, once its login is done: events to the worker, and how far it has come.
//!
//! ```text
//! worker                                       gateway
//!  │ Join { name } ─────────────────────────────▶ │
//!  │ ◀──────────────────────── WorkerEvent 1, WorkerEvent 2 … │
//!  │ Progress { taken: 1, done: 0 } ────────────▶ │   before event 1 is handled
//!  │ Progress { taken: 2, done: 1 } ────────────▶ │
//!  │ ProgressFile { name } ─────────────────────▶ │   it could count them in that file instead
//!  │ ◀──────────── ProgressFile { is_read: true } │   it may, and from now on says so only now and then
//!  │ Ping ──────────────────────────────────────▶ │   now and then, while nothing comes
//!  │ ◀────────────────────────────────────── Pong │
//!  │ Leave ─────────────────────────────────────▶ │   it wants no more, and handles what it has
//!  │ ◀─────────────────────────────────────── End │   no more will come
//!  │ Progress { taken: 2, done: 2 } ────────────▶ │   and both hang up
//! ```
//!
//! What a worker has not taken when its connection ends another one gets; what it has taken nobody gets again.

use serde::{Deserialize, Serialize};

use super::frame::{self, FrameTooLarge, MAX_LOGIN, MAX_REPLY};
use super::{DecodeError, decode};
use crate::ClientId;

/// From the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerToWorker<'a> {
    #[serde(rename = "e", borrow)]
    Event(WorkerEvent<'a>),
    /// Whether the file that was offered is here, and is looked at when the worker ends.
    #[serde(rename = "tally")]
    ProgressFile { is_read: bool },
    /// To a ping, at once.
    #[serde(rename = "pong")]
    Pong,
    /// The last word.
    #[serde(rename = "end")]
    End,
}

/// What a client did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerEvent<'a> {
    /// Counts the events of a connection upwards from 1.
    pub number: u64,
    pub kind: EventKind,
    pub client: ClientId,
    /// The client's own address.
    pub remote_address: &'a str,
    pub remote_port: u16,
    /// Where the gateway listens for clients.
    pub gateway_port: u16,
    /// The client's session, as PHP's `serialize()` gives it; nothing when there is none.
    #[serde(with = "serde_bytes")]
    pub session: &'a [u8],
    /// The message; of a websocket handshake a serialized array of `get`, `server` and `cookie`.
    #[serde(with = "serde_bytes")]
    pub body: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    #[serde(rename = "connect")]
    Connect,
    #[serde(rename = "handshake")]
    Handshake,
    #[serde(rename = "message")]
    Message,
    #[serde(rename = "close")]
    Close,
}

/// From the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerToServer<'a> {
    /// Comes first. No two workers that serve have the same name.
    #[serde(rename = "join")]
    Join { name: &'a str },
    /// The number of the last event that it has begun to handle, and of the last one that it has handled.
    #[serde(rename = "p")]
    Progress { taken: u64, done: u64 },
    /// The name of a file as in [`tally`](super::progress_file).
    #[serde(rename = "tally")]
    ProgressFile { name: &'a str },
    /// Is anybody there? The system of a gateway that hangs, or a proxy with nobody behind it, confirms every packet.
    #[serde(rename = "ping")]
    Ping,
    #[serde(rename = "leave")]
    Leave,
}

/// Longest name of a worker, in bytes.
pub const MAX_WORKER_NAME: usize = 256;

impl<'a> ServerToWorker<'a> {
    /// Appends it as a frame. Over the limit, `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameTooLarge> {
        frame::append(out, MAX_REPLY, |out| frame::write_msgpack(out, self))
    }

    pub fn decode(content: &'a [u8]) -> Result<Self, DecodeError> {
        decode(content)
    }
}

impl<'a> WorkerToServer<'a> {
    /// Appends it as a frame. Over the limit, `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameTooLarge> {
        frame::append(out, MAX_LOGIN, |out| frame::write_msgpack(out, self))
    }

    pub fn decode(content: &'a [u8]) -> Result<Self, DecodeError> {
        decode(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: EventKind) -> ServerToWorker<'static> {
        ServerToWorker::Event(WorkerEvent {
            number: u64::MAX,
            kind,
            client: ClientId::new("127.0.0.1:1238".parse().unwrap(), 7),
            remote_address: "2001:db8::1",
            remote_port: 50_000,
            gateway_port: 8282,
            session: b"a:0:{}",
            body: b"\xff any bytes",
        })
    }

    #[test]
    fn round_trip_and_every_truncation_is_an_error() {
        let kinds = [EventKind::Connect, EventKind::Handshake, EventKind::Message, EventKind::Close];
        for one in kinds.into_iter().map(told).chain([
            ServerToWorker::ProgressFile { is_read: true },
            ServerToWorker::Pong,
            ServerToWorker::End,
        ]) {
            let mut bytes = Vec::new();
            one.encode(&mut bytes).unwrap();
            let content = &bytes[frame::HEADER..];
            assert_eq!(ServerToWorker::decode(content).unwrap(), one);
            for end in 0..content.len() {
                ServerToWorker::decode(&content[..end]).unwrap_err();
            }
        }
        let progress = WorkerToServer::Progress { taken: 8, done: 7 };
        let (join, tally) =
            (WorkerToServer::Join { name: "chat:0" }, WorkerToServer::ProgressFile { name: "t" });
        for one in [join, progress, tally, WorkerToServer::Ping, WorkerToServer::Leave] {
            let mut bytes = Vec::new();
            one.encode(&mut bytes).unwrap();
            let content = &bytes[frame::HEADER..];
            assert_eq!(WorkerToServer::decode(content).unwrap(), one);
            for end in 0..content.len() {
                WorkerToServer::decode(&content[..end]).unwrap_err();
            }
        }
    }

    #[test]
    fn trailing_bytes_are_an_error() {
        let mut bytes = Vec::new();
        WorkerToServer::Leave.encode(&mut bytes).unwrap();
        bytes.push(0xc0);
        WorkerToServer::decode(&bytes[frame::HEADER..]).unwrap_err();
    }
}
