//! The frames of a worker's connection after its login: events to the worker, and its progress with them.
//!
//! ```text
//! worker                                       gateway
//!  │ Join { name, moves } ──────────────────────▶ │   moves only if the worker takes them
//!  │ ◀──────────────────────── WorkerEvent 1, WorkerEvent 2 … │
//!  │ Progress { taken: 1, done: 0 } ────────────▶ │   before event 1 is handled
//!  │ Progress { taken: 2, done: 1 } ────────────▶ │
//!  │ ProgressFile { name } ─────────────────────▶ │   the worker offers to count them in that file instead
//!  │ ◀──────────── ProgressFile { is_read: true } │   the gateway can read it: fewer Progress frames from here on
//!  │ TakeNotices ───────────────────────────────▶ │   only a worker that handles notices of the inbox says this
//!  │ ◀────────────────────────── WorkerNotices 812 │   see [`worker_notices`](super::worker_notices)
//!  │ NoticesDone { number: 812 } ───────────────▶ │   they are handled
//!  │ Ping ──────────────────────────────────────▶ │   sent now and then while no event comes
//!  │ ◀────────────────────────────────────── Pong │
//!  │ Leave ─────────────────────────────────────▶ │   the worker wants no more, and handles what it has
//!  │ ◀─────────────────────────────────────── End │   no more will come
//!  │ Progress { taken: 2, done: 2 } ────────────▶ │   all is handled, and both hang up
//! ```
//!
//! When a worker's connection ends, the events that it has not taken go to another worker. Nobody gets again an event that it has
//! taken, because half of what the event causes may have been done already.
//!
//! A client that moves from one node of a cluster to another has another client_id there. Workers that understand this announce it
//! in their [`Join`](WorkerToServer::Join), whose array then has a second element, `true`; that of all others has the name alone,
//! as it had before there were moves. Clients move only while every worker has announced it, at the node that they leave and at
//! the one to which they come. There the first event of the client is an [`EventKind::Move`] with its old client_id, instead of
//! [`EventKind::Connect`]. A move whose worker goes before it has taken it may find a successor that has not announced moves. That
//! one gets it as an [`EventKind::Connect`] without the old client_id, as it gets a client that came while there was no worker: so
//! the client's other events, its close among them, are not those of a client that the worker has never heard of.

use serde::{Deserialize, Serialize};

use super::frame::{self, FrameTooLarge, MAX_LOGIN, MAX_REPLY};
use super::worker_notices::WorkerNotices;
use super::{DecodeError, decode};
use crate::ClientId;

/// A frame from the gateway to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerToWorker<'a> {
    /// An event for the worker to handle. Events of one client are to be handled in the order in which they come.
    #[serde(rename = "e", borrow)]
    Event(WorkerEvent<'a>),
    /// The answer to the worker's offer of a file.
    #[serde(rename = "tally")]
    ProgressFile {
        /// Whether the gateway could open the file, and will read it when the worker ends.
        is_read: bool,
    },
    /// What has become of messages in the inbox, for a worker that takes this.
    #[serde(rename = "notices", borrow)]
    Notices(WorkerNotices<'a>),
    /// The answer to a ping, sent at once.
    #[serde(rename = "pong")]
    Pong,
    /// The answer to [`WorkerToServer::Leave`], and the gateway's last frame: no event follows it.
    #[serde(rename = "end")]
    End,
}

/// Something that a client did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerEvent<'a> {
    /// The event's number: the events on one worker's connection are counted upwards from 1.
    pub number: u64,
    /// The kind of thing that the client did.
    pub kind: EventKind,
    /// The client that did it.
    pub client: ClientId,
    /// The client's own address: IPv4 or IPv6, without a port.
    pub remote_address: &'a str,
    /// The client's own port.
    pub remote_port: u16,
    /// The port of the gateway to which the client is connected.
    pub gateway_port: u16,
    /// The client's session, as PHP's `serialize()` writes it; empty when there is none.
    #[serde(with = "serde_bytes")]
    pub session: &'a [u8],
    /// The message of [`EventKind::Message`]; for [`EventKind::Handshake`] an array of `get`, `server` and `cookie` as PHP's
    /// `serialize()` writes it; for [`EventKind::Move`] the old client_id, as 20 hexadecimal digits; else empty.
    #[serde(with = "serde_bytes")]
    pub body: &'a [u8],
}

/// The kind of a [`WorkerEvent`]; each has its own method of the program's class `Events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// The client has connected: `onConnect` in PHP.
    #[serde(rename = "connect")]
    Connect,
    /// The client has done its websocket handshake: `onWebSocketConnect` in PHP.
    #[serde(rename = "handshake")]
    Handshake,
    /// The client has come from another node of the cluster, and has another client_id since: `onMove` in PHP. Only workers that have
    /// announced moves are told this.
    #[serde(rename = "move")]
    Move,
    /// The client has sent a message: `onMessage` in PHP.
    #[serde(rename = "message")]
    Message,
    /// The client's connection has ended: `onClose` in PHP.
    #[serde(rename = "close")]
    Close,
}

/// A frame from a worker to the gateway. Its content has at most [`MAX_LOGIN`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerToServer<'a> {
    /// The worker's first frame.
    #[serde(rename = "join")]
    Join {
        /// The worker's name, of at most [`MAX_WORKER_NAME`] bytes. A worker takes the place of another one of the same name.
        name: &'a str,
        /// Whether the worker takes [`EventKind::Move`]. Without it the frame is that of workers which know of no moves.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        moves: bool,
    },
    /// Says how far the worker has come. Neither number ever goes down.
    #[serde(rename = "p")]
    Progress {
        /// The number of the last event that the worker has begun to handle; 0 before the first.
        taken: u64,
        /// The number of the last event that the worker has handled; at most `taken`.
        done: u64,
    },
    /// The offer to count in a [`progress_file`](super::progress_file) instead of sending a [`WorkerToServer::Progress`] for each event.
    #[serde(rename = "tally")]
    ProgressFile {
        /// The file's name, from [`progress_file::name`](super::progress_file::name).
        name: &'a str,
    },
    /// Asks for a [`ServerToWorker::Pong`], to find out whether the gateway is alive: for a gateway that hangs the system still
    /// confirms every packet, and so does a proxy with nobody behind it.
    #[serde(rename = "ping")]
    Ping,
    /// The worker takes notices of the inbox from now on.
    #[serde(rename = "notices")]
    TakeNotices,
    /// The worker has handled all notices of a batch.
    #[serde(rename = "noticed")]
    NoticesDone {
        /// The number of the batch.
        number: u64,
    },
    /// The worker wants no more events. The gateway answers with [`ServerToWorker::End`].
    #[serde(rename = "leave")]
    Leave,
}

/// Longest name of a worker, in bytes.
pub const MAX_WORKER_NAME: usize = 256;

impl<'a> ServerToWorker<'a> {
    /// Says whether the content of a frame begins as that of an event.
    #[must_use]
    pub fn begins_event(content: &[u8]) -> bool {
        content.starts_with(b"\x81\xa1e")
    }

    /// Appends this as a frame. Over [`MAX_REPLY`] bytes it is an error, and `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameTooLarge> {
        frame::append(out, MAX_REPLY, |out| frame::write_msgpack(out, self))
    }

    /// Reads the content of a frame.
    pub fn decode(content: &'a [u8]) -> Result<Self, DecodeError> {
        decode(content)
    }
}

impl<'a> WorkerToServer<'a> {
    /// Appends this as a frame. Over [`MAX_LOGIN`] bytes it is an error, and `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameTooLarge> {
        frame::append(out, MAX_LOGIN, |out| frame::write_msgpack(out, self))
    }

    /// Reads the content of a frame.
    pub fn decode(content: &'a [u8]) -> Result<Self, DecodeError> {
        decode(content)
    }
}

#[cfg(test)]
mod tests {
    use super::super::worker_notices::{ReceiptNotice, UndeliveredNotice};
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

    fn notices() -> WorkerNotices<'static> {
        let receipt = ReceiptNotice {
            uid: b"\xff",
            id: "m1",
            device: "phone",
            is_signed: true,
            is_read: false,
            at: 1_700_000_000_000,
        };
        let undelivered = UndeliveredNotice { uid: b"anna", id: "m2", stored: 1 };
        WorkerNotices { number: 812, receipts: vec![receipt], undelivered: vec![undelivered] }
    }

    #[test]
    fn round_trip_and_every_truncation_is_an_error() {
        let kinds =
            [EventKind::Connect, EventKind::Handshake, EventKind::Move, EventKind::Message, EventKind::Close];
        for one in kinds.into_iter().map(told).chain([
            ServerToWorker::ProgressFile { is_read: true },
            ServerToWorker::Notices(notices()),
            ServerToWorker::Pong,
            ServerToWorker::End,
        ]) {
            let mut bytes = Vec::new();
            one.encode(&mut bytes).unwrap();
            let content = &bytes[frame::HEADER..];
            assert_eq!(ServerToWorker::begins_event(content), matches!(one, ServerToWorker::Event(_)));
            assert_eq!(ServerToWorker::decode(content).unwrap(), one);
            for end in 0..content.len() {
                ServerToWorker::decode(&content[..end]).unwrap_err();
            }
        }
        let progress = WorkerToServer::Progress { taken: 8, done: 7 };
        let [join, moving] = [false, true].map(|moves| WorkerToServer::Join { name: "chat:0", moves });
        let tally = WorkerToServer::ProgressFile { name: "t" };
        for one in [
            join,
            moving,
            progress,
            tally,
            WorkerToServer::TakeNotices,
            WorkerToServer::NoticesDone { number: u64::MAX },
            WorkerToServer::Ping,
            WorkerToServer::Leave,
        ] {
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
    fn a_join_without_moves_is_that_of_workers_that_know_of_none() {
        let bytes_of = |moves| {
            let mut bytes = Vec::new();
            WorkerToServer::Join { name: "chat:0", moves }.encode(&mut bytes).unwrap();
            bytes.split_off(frame::HEADER)
        };
        // The first is what the extension sent before there were moves: a map of one key, whose value is an array of one string.
        assert_eq!(bytes_of(false), b"\x81\xa4join\x91\xa6chat:0");
        assert_eq!(bytes_of(true), b"\x81\xa4join\x92\xa6chat:0\xc3");
        let joined = |moves| WorkerToServer::Join { name: "chat:0", moves };
        for (content, moves) in [
            (&b"\x81\xa4join\x91\xa6chat:0"[..], false),
            (b"\x81\xa4join\x92\xa6chat:0\xc2", false),
            (b"\x81\xa4join\x92\xa6chat:0\xc3", true),
        ] {
            assert_eq!(WorkerToServer::decode(content).unwrap(), joined(moves));
        }
        for wrong in [
            &b"\x81\xa4join\x90"[..],
            b"\x81\xa4join\x92\xa6chat:0\x01",
            b"\x81\xa4join\x93\xa6chat:0\xc3\xc3",
        ] {
            WorkerToServer::decode(wrong).unwrap_err();
        }
    }

    #[test]
    fn the_kinds_have_these_names() {
        for (kind, name) in [
            (EventKind::Connect, &b"\xa7connect"[..]),
            (EventKind::Handshake, b"\xa9handshake"),
            (EventKind::Move, b"\xa4move"),
            (EventKind::Message, b"\xa7message"),
            (EventKind::Close, b"\xa5close"),
        ] {
            assert_eq!(rmp_serde::to_vec(&kind).unwrap(), name);
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
