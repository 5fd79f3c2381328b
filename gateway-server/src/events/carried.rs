//! Events and the queues of workers, in the form in which another process takes them over.

use std::net::SocketAddr;

use bytes::Bytes;
use gateway_wire::ClientId;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::event::{Event, EventKind};
use super::worker_queue::Batch;
use crate::shard::Handshake;

/// The only version of a request besides HTTP/1.1 that opens a websocket.
const HTTP_1_0: &str = "HTTP/1.0";

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedEvent {
    kind: CarriedKind,
    connection_id: u32,
    peer: SocketAddr,
    gateway_port: u16,
    session: ByteBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum CarriedKind {
    Connect,
    /// The client_id that the client had at another node.
    Moved(String),
    Handshake {
        uri: ByteBuf,
        is_http_1_0: bool,
        headers: Vec<(String, ByteBuf)>,
    },
    Message(ByteBuf),
    Close,
}

/// Events on their way to a worker's process, and the bytes that they take in the worker's queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedBatch {
    pub events: Vec<CarriedEvent>,
    pub bytes: u64,
}

impl CarriedBatch {
    /// Checks that the events can be read.
    pub fn check(&self) -> Result<(), MalformedEvent> {
        let is_sound = |event: &CarriedEvent| match &event.kind {
            CarriedKind::Moved(old) => old.parse::<ClientId>().is_ok(),
            _ => true,
        };
        if self.events.iter().all(is_sound) { Ok(()) } else { Err(MalformedEvent) }
    }
}

/// The queue of one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CarriedQueue {
    pub(super) name: String,
    pub(super) takes_moves: bool,
    pub(super) waiting: Vec<CarriedEvent>,
    /// Bytes of the events that are with the worker's connection.
    pub(super) on_its_way: u64,
}

/// The queues of all workers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedWorkers {
    pub(super) serving: Vec<CarriedQueue>,
    /// The last worker that has gone, and for how many milliseconds more its events wait for another.
    pub(super) unassigned: Option<(CarriedQueue, u64)>,
}

/// Bytes that came from another process are no events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event names a client_id that is none")]
pub struct MalformedEvent;

impl From<&Event> for CarriedEvent {
    fn from(event: &Event) -> Self {
        let kind = match &event.kind {
            EventKind::Connect => CarriedKind::Connect,
            EventKind::Moved(old) => CarriedKind::Moved(old.to_string()),
            EventKind::Handshake(handshake) => CarriedKind::Handshake {
                uri: ByteBuf::from(&handshake.uri[..]),
                is_http_1_0: handshake.protocol == HTTP_1_0,
                headers: handshake
                    .headers
                    .iter()
                    .map(|(name, value)| (name.clone(), ByteBuf::from(&value[..])))
                    .collect(),
            },
            EventKind::Message(message) => CarriedKind::Message(ByteBuf::from(&message[..])),
            EventKind::Close => CarriedKind::Close,
        };
        let Event { connection_id, peer, gateway_port, .. } = *event;
        Self { kind, connection_id, peer, gateway_port, session: ByteBuf::from(&event.session[..]) }
    }
}

impl TryFrom<CarriedEvent> for Event {
    type Error = MalformedEvent;

    fn try_from(event: CarriedEvent) -> Result<Self, MalformedEvent> {
        let CarriedEvent { kind, connection_id, peer, gateway_port, session } = event;
        let kind = match kind {
            CarriedKind::Connect => EventKind::Connect,
            CarriedKind::Moved(old) => EventKind::Moved(old.parse().map_err(|_| MalformedEvent)?),
            CarriedKind::Handshake { uri, is_http_1_0, headers } => {
                let protocol = if is_http_1_0 { HTTP_1_0 } else { "HTTP/1.1" };
                let headers = headers.into_iter().map(|(name, value)| (name, value.into_vec())).collect();
                EventKind::Handshake(Box::new(Handshake { uri: uri.into_vec(), protocol, headers }))
            }
            CarriedKind::Message(message) => EventKind::Message(Bytes::from(message.into_vec())),
            CarriedKind::Close => EventKind::Close,
        };
        Ok(Self { kind, connection_id, peer, gateway_port, session: Bytes::from(session.into_vec()) })
    }
}

impl From<&Batch> for CarriedBatch {
    fn from(batch: &Batch) -> Self {
        Self { events: batch.events.iter().map(CarriedEvent::from).collect(), bytes: batch.bytes() as u64 }
    }
}

impl TryFrom<CarriedBatch> for Batch {
    type Error = MalformedEvent;

    fn try_from(batch: CarriedBatch) -> Result<Self, MalformedEvent> {
        Ok(Self::of(events(batch.events)?, usize::try_from(batch.bytes).unwrap_or(usize::MAX)))
    }
}

pub(super) fn events(carried: Vec<CarriedEvent>) -> Result<Vec<Event>, MalformedEvent> {
    carried.into_iter().map(Event::try_from).collect()
}

#[cfg(test)]
impl CarriedBatch {
    /// A batch with an event of each kind.
    pub(crate) fn example() -> Self {
        let handshake = Handshake {
            uri: b"/chat?\xff".to_vec(),
            protocol: HTTP_1_0,
            headers: vec![("host".to_owned(), b"example.org".to_vec())],
        };
        let kinds = [
            EventKind::Connect,
            EventKind::Moved("c00002010b5400000009".parse().unwrap()),
            EventKind::Handshake(Box::new(handshake)),
            EventKind::Message(Bytes::from_static(b"\0hello")),
            EventKind::Close,
        ];
        let event = |(kind, id)| Event {
            session: Bytes::from_static(b"a:1:{s:1:\"k\";i:7;}"),
            ..Event::example(id, kind)
        };
        let events = kinds.into_iter().zip(1..).map(event).map(|event| CarriedEvent::from(&event)).collect();
        Self { events, bytes: 777 }
    }
}

#[cfg(test)]
impl CarriedWorkers {
    /// A worker that serves, and one whose events wait for another.
    pub(crate) fn example() -> Self {
        let queue = |name: &str, takes_moves| CarriedQueue {
            name: name.to_owned(),
            takes_moves,
            waiting: CarriedBatch::example().events,
            on_its_way: 77,
        };
        Self { serving: vec![queue("w:0:7@host", true)], unassigned: Some((queue("gone", false), 9_000)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_event_comes_back_as_it_was() {
        let handshake = |protocol| Handshake {
            uri: b"/chat?\xff".to_vec(),
            protocol,
            headers: vec![("host".to_owned(), b"example.org".to_vec())],
        };
        let kinds = [
            EventKind::Connect,
            EventKind::Moved("c00002010b5400000009".parse().unwrap()),
            EventKind::Handshake(Box::new(handshake("HTTP/1.1"))),
            EventKind::Handshake(Box::new(handshake(HTTP_1_0))),
            EventKind::Message(Bytes::from_static(b"\0hello")),
            EventKind::Close,
        ];
        let events: Vec<_> = kinds.into_iter().zip(1..).map(|(kind, id)| Event::example(id, kind)).collect();
        let batch = Batch::of(events.clone(), 77);
        let bytes = rmp_serde::to_vec(&CarriedBatch::from(&batch)).unwrap();
        let back = Batch::try_from(rmp_serde::from_slice::<CarriedBatch>(&bytes).unwrap()).unwrap();
        assert_eq!((&back.events, back.bytes()), (&events, 77));
    }

    #[test]
    fn what_is_no_client_id_is_an_error() {
        let mut carried = CarriedEvent::from(&Event::example(1, EventKind::Connect));
        carried.kind = CarriedKind::Moved("nobody".to_owned());
        assert_eq!(Event::try_from(carried), Err(MalformedEvent));
    }
}
