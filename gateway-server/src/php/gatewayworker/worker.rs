//! A BusinessWorker process: told of events, and giving orders on the same connection.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use gateway_wire::gatewayworker::Command;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, interval_at};

use super::ended::Ended;
use super::events::Encoder;
use super::newcomers::Newcomers;
use super::session::Session;
use crate::events::{Batch, Event, Mode, Worker, give_up_later};
use crate::hub::Hub;
use crate::php::stream::Stream;
use crate::telemetry::abuse_log::{self, Offence};

/// Events that are encoded at once, in bytes.
const BATCH: usize = 256 << 10;
/// Events that were held back and are sent at once.
const DUE_AT_ONCE: usize = 256;
/// How long a process that takes no more events may still give orders.
const LAST_ORDERS: Duration = Duration::from_secs(1);
/// Connections to other machines are kept alive, as GatewayWorker does.
const PING: Duration = Duration::from_secs(25);

/// Serves it to its end.
pub(super) async fn serve(mut session: Session<'_>, socket: Box<dyn Stream>, name: String) -> Ended {
    let (peer, backend) = (session.peer, session.backend);
    let (router, hub) = (&backend.workers, backend.gateway.hub());
    if router.mode() == Mode::BuiltIn {
        tracing::info!(worker = name, "a worker is told of nothing, as events = \"builtin\"");
    }
    let handle = match socket.duplicate() {
        Ok(handle) => handle,
        Err(error) => return error.into(),
    };
    let worker = router.join(name);
    let mut outgoing = Outgoing {
        peer,
        encoder: backend.gatewayworker.encoder(),
        newcomers: Newcomers::default(),
        batch: Batch::default(),
        bytes: Vec::new(),
        ends: Vec::new(),
        written: 0,
    };
    let (mut reader, mut writer) = tokio::io::split(socket);
    let mut is_orphaned = None;
    let Err(ended) = tokio::select! {
        result = session.obey_worker(&mut reader, &handle) => result,
        result = async {
            let result = tokio::select! {
                result = outgoing.run(&worker, hub, &mut writer) => result,
                // However long nothing has gone over this connection.
                () = worker.replaced() => {
                    Err(Ended::Refused("another worker of its name has taken its place".to_owned()))
                }
            };
            is_orphaned = Some(router.leave(&worker, outgoing.unsent()));
            // Its clients are somebody else's now.
            hub.read_on().await;
            // It takes no more events, but what it ordered before is still to be read, up to the end.
            tokio::time::sleep(LAST_ORDERS).await;
            result
        } => result,
    };
    // What it ordered before it ended has effect.
    backend.gateway.flush();
    let is_orphaned = is_orphaned.unwrap_or_else(|| router.leave(&worker, outgoing.unsent()));
    drop((reader, writer, handle));
    // Its clients are somebody else's now.
    hub.read_on().await;
    if is_orphaned {
        give_up_later(worker, router, hub);
    }
    ended
}

/// Events on their way.
struct Outgoing {
    peer: Option<SocketAddr>,
    encoder: Encoder,
    newcomers: Newcomers,
    batch: Batch,
    /// The batch as packets, and where each event's ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    written: usize,
}

impl Outgoing {
    async fn run(
        &mut self,
        worker: &Worker,
        hub: &Hub,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Infallible, Ended> {
        worker.handed_over().await;
        // What the worker before it left has somebody now.
        hub.read_on().await;
        let is_remote = self.peer.is_some_and(|peer| !peer.ip().to_canonical().is_loopback());
        let mut pings = interval_at(Instant::now() + PING, PING);
        loop {
            tokio::select! {
                biased;
                () = self.newcomers.due() => {
                    let mut sessions = Vec::new();
                    for client in self.newcomers.who_is_due(DUE_AT_ONCE, Instant::now()) {
                        // When the shards have stopped their clients have gone, of which the process is told all the same.
                        sessions.push(hub.session_of(client).await.unwrap_or(None));
                    }
                    let batch = self.newcomers.take(sessions);
                    self.encode(batch);
                }
                Some(batch) = worker.next(BATCH) => {
                    let batch = self.newcomers.hold_back(batch, Instant::now());
                    self.encode(batch);
                }
                _ = pings.tick(), if is_remote => Command::Ping.encode(&mut self.bytes)?,
            }
            while self.written < self.bytes.len() {
                self.written += writer.write(&self.bytes[self.written..]).await?;
            }
            writer.flush().await?;
            self.bytes.clear();
            self.bytes.shrink_to(2 * BATCH);
            self.ends.clear();
            self.written = 0;
            if worker.done(std::mem::take(&mut self.batch)) {
                hub.read_on().await;
            }
        }
    }

    fn encode(&mut self, batch: Batch) {
        for event in &batch.events {
            if let Err(error) = self.encoder.encode(event, &mut self.bytes) {
                abuse_log::report(Offence::NoWorker, Some(event.peer), &error);
            }
            self.ends.push(self.bytes.len());
        }
        self.batch = batch;
    }

    /// The events of which the process has not got the last byte: it cannot have handled them.
    fn unsent(&mut self) -> Vec<Event> {
        let events = std::mem::take(&mut self.batch).events.into_iter().zip(std::mem::take(&mut self.ends));
        let unsent = events.filter(|(_, end)| *end > self.written).map(|(event, _)| event);
        // The events of a client that are held back came behind all others of it.
        unsent.chain(self.newcomers.take_all()).collect()
    }
}
