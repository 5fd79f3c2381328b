//! A BusinessWorker process, which is told of events and gives orders on the same connection.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use gateway_wire::gatewayworker::Command;
use serde_bytes::ByteBuf;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, Interval, interval_at};

use super::ended::Ended;
use super::event_codec::PacketCodec;
use super::newcomers::Newcomers;
use super::session::Session;
use crate::events::{Batch, CarriedBatch, Delivery, Event, REPLACED, WorkerConnection, encode_batch};
use crate::hub::Hub;
use crate::php::carry::form::{BusinessWorkerAtRest, StateAtRest};
use crate::php::stream::Stream;

/// Events that were held back and are sent at once.
const DUE_AT_ONCE: usize = 256;
/// How long a process that takes no more events may still give orders.
const LAST_ORDERS: Duration = Duration::from_secs(1);
/// Connections to other machines are kept alive, as GatewayWorker does.
const PING: Duration = Duration::from_secs(25);

/// Serves the process to its end, or until its connection comes to rest. `at_rest` is what there is to go on with.
pub(super) async fn serve(
    mut session: Session<'_>,
    socket: Box<dyn Stream>,
    mut delivery: Delivery<'_>,
    at_rest: Option<BusinessWorkerAtRest>,
) -> Result<(StateAtRest, OwnedFd), Ended> {
    let (peer, backend) = (session.peer, session.backend);
    let handle = match socket.duplicate() {
        Ok(handle) => handle,
        Err(error) => {
            delivery.leave(at_rest.map(untold).unwrap_or_default()).await;
            return Err(error.into());
        }
    };
    let (mut reader, writer) = tokio::io::split(socket);
    let mut outgoing =
        Outgoing::new(backend.gateway.hub(), backend.gatewayworker.event_codec(), peer, writer);
    if let Some(at_rest) = at_rest {
        outgoing.go_on(at_rest);
    }
    let ended = tokio::select! {
        result = session.obey_worker(&mut reader, &handle) => result,
        result = async {
            let result = delivery.run(&mut outgoing).await;
            delivery.leave(outgoing.unsent()).await;
            // The process takes no more events, but what it ordered before is still to be read, up to the end.
            tokio::time::sleep(LAST_ORDERS).await;
            result
        } => result,
    };
    // What the process ordered before it ended has effect.
    backend.gateway.flush();
    // Whose place another has taken does not come to rest, but ends.
    if ended.is_ok() && delivery.has_place() {
        let at_rest = outgoing.at_rest(delivery.name(), session.input.unread());
        return Ok((StateAtRest::BusinessWorker(at_rest), handle.into()));
    }
    let unsent = outgoing.unsent();
    drop((reader, outgoing, handle));
    delivery.leave(unsent).await;
    // The protocol has no word for leaving: only an error ends the connection.
    Err(ended.err().unwrap_or(Ended::Closed))
}

/// The events that a process has not got whose connection has come to rest and cannot go on.
pub(super) fn untold(at_rest: BusinessWorkerAtRest) -> Vec<Event> {
    let BusinessWorkerAtRest { batch, ends, held_back, .. } = at_rest;
    let unsent = batch.into_iter().flat_map(|batch| batch.events).zip(ends).filter(|(_, end)| *end > 0);
    let events = unsent.map(|(event, _)| event).chain(held_back.into_iter().flat_map(|batch| batch.events));
    events.filter_map(|event| event.try_into().ok()).collect()
}

/// The sending half of the connection, with the events that are on their way over it.
struct Outgoing<'a, W> {
    hub: &'a Hub,
    writer: W,
    codec: PacketCodec,
    newcomers: Newcomers,
    /// The batch that is being written, until all of it is.
    batch: Option<Batch>,
    /// The batch as packets, and where each event's ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    written: usize,
    /// Ticks when a ping is due, for a process on another machine.
    pings: Option<Interval>,
}

impl<W: AsyncWrite + Send + Unpin> WorkerConnection for Outgoing<'_, W> {
    type Ended = Ended;

    const BATCH: usize = 256 << 10;

    /// A batch is done once all of it is written: the process does not say what it has handled.
    fn next_done(&mut self) -> Option<Batch> {
        if self.bytes.is_empty() { self.batch.take() } else { None }
    }

    /// What was held back and is due now goes first.
    fn has_room(&self) -> bool {
        self.bytes.is_empty() && !self.newcomers.is_due(Instant::now())
    }

    fn send(&mut self, batch: Batch) {
        let batch = self.newcomers.hold_back(batch, Instant::now());
        self.encode(batch);
    }

    async fn exchange(&mut self) -> Result<(), Ended> {
        if !self.bytes.is_empty() {
            return self.write().await;
        }
        if self.newcomers.is_due(Instant::now()) {
            self.send_due().await;
            return Ok(());
        }
        let next_ping = async {
            match &mut self.pings {
                Some(pings) => pings.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.newcomers.due() => {}
            _ = next_ping => Command::Ping.encode(&mut self.bytes)?,
        }
        Ok(())
    }

    fn replaced(&mut self) -> Ended {
        Ended::Refused(REPLACED.to_owned())
    }
}

impl<'a, W: AsyncWrite + Send + Unpin> Outgoing<'a, W> {
    fn new(hub: &'a Hub, codec: PacketCodec, peer: Option<SocketAddr>, writer: W) -> Self {
        let is_remote = peer.is_some_and(|peer| !peer.ip().to_canonical().is_loopback());
        Self {
            hub,
            writer,
            codec,
            newcomers: Newcomers::default(),
            batch: None,
            bytes: Vec::new(),
            ends: Vec::new(),
            written: 0,
            pings: is_remote.then(|| interval_at(Instant::now() + PING, PING)),
        }
    }

    fn encode(&mut self, mut batch: Batch) {
        encode_batch(&mut self.codec, &mut batch, &mut self.bytes, |end| self.ends.push(end));
        self.batch = Some(batch);
    }

    /// What is left when the connection comes to rest.
    fn at_rest(&mut self, name: &str, input: &[u8]) -> BusinessWorkerAtRest {
        let (newcomers, held_back) = self.newcomers.at_rest();
        BusinessWorkerAtRest {
            name: name.to_owned(),
            input: ByteBuf::from(input),
            output: ByteBuf::from(&self.bytes[self.written..]),
            batch: self.batch.as_ref().map(CarriedBatch::from),
            ends: self.ends.iter().map(|end| end.saturating_sub(self.written) as u64).collect(),
            newcomers,
            held_back,
        }
    }

    /// Goes on where the connection has come to rest. A batch that cannot be read was checked when it came.
    fn go_on(&mut self, at_rest: BusinessWorkerAtRest) {
        let BusinessWorkerAtRest { output, batch, ends, newcomers, held_back, .. } = at_rest;
        self.bytes = output.into_vec();
        self.batch = batch.and_then(|batch| batch.try_into().ok());
        self.ends = ends.into_iter().map(|end| usize::try_from(end).unwrap_or(usize::MAX)).collect();
        let held_back = held_back.into_iter().filter_map(|batch| batch.try_into().ok()).collect();
        self.newcomers.go_on(newcomers, held_back, Instant::now());
    }

    /// Writes all that waits.
    async fn write(&mut self) -> Result<(), Ended> {
        while self.written < self.bytes.len() {
            self.written += self.writer.write(&self.bytes[self.written..]).await?;
        }
        self.writer.flush().await?;
        self.bytes.clear();
        self.bytes.shrink_to(2 * Self::BATCH);
        self.ends.clear();
        self.written = 0;
        Ok(())
    }

    /// Puts what was held back and is due now into the output, with the sessions of now.
    async fn send_due(&mut self) {
        let mut sessions = Vec::new();
        for client in self.newcomers.who_is_due(DUE_AT_ONCE, Instant::now()) {
            // When the shards have stopped their clients have gone, of which the process is told all the same.
            sessions.push(self.hub.session_of(client).await.unwrap_or(None));
        }
        let batch = self.newcomers.take(sessions);
        self.encode(batch);
    }

    /// The events of which the process has not got the last byte: it cannot have handled them.
    fn unsent(&mut self) -> Vec<Event> {
        let events = self.batch.take().unwrap_or_default().events;
        let unsent = events.into_iter().zip(std::mem::take(&mut self.ends));
        let unsent = unsent.filter(|(_, end)| *end > self.written).map(|(event, _)| event);
        // The events of a client that are held back came behind all others of it.
        unsent.chain(self.newcomers.take_all()).collect()
    }
}
