//! A process that handles events, from its login to its end.

use std::time::Duration;

use gateway_wire::ClientId;
use gateway_wire::bridge::{self as wire, EventKind, MAX_WORKER_NAME, ServerToWorker, WorkerToServer, frame};

use super::in_flight::InFlight;
use super::io::{Connection, Ended};
use super::progress_file::ProgressFile;
use crate::events::{Batch, Event, Kind, Mode, Worker, give_up_later};
use crate::php::backend::Backend;
use crate::php::gatewayworker::server_data;
use crate::telemetry::abuse_log::{self, Offence};

/// Events that are encoded at once, in bytes.
const BATCH: usize = 64 << 10;
/// Batches that may be with the process: while it handles one, the next is on its way.
const WINDOW: usize = 4;

/// Gives why it ended.
pub(super) async fn serve(
    connection: &mut Connection,
    backend: &Backend,
    timeout: Duration,
) -> Result<(), Ended> {
    let (router, hub) = (&backend.workers, backend.gateway.hub());
    let name = match tokio::time::timeout(timeout, joined(connection)).await {
        Ok(Ok(name)) => name,
        Ok(Err(ended)) => return Err(ended),
        Err(_) => {
            let message = format!("the worker did not join within {timeout:?} (handshake_timeout)");
            return Err(Ended::Refused(message));
        }
    };
    if router.mode() == Mode::BuiltIn {
        tracing::info!(worker = name, "a worker is told of nothing, as events = \"builtin\"");
    }
    let worker = router.join(name);
    let mut told =
        ToldSoFar { backend, in_flight: InFlight::default(), is_leaving: false, progress_file: None };
    let result = told.run(connection, &worker).await;
    let is_orphaned = router.leave(&worker, told.untaken());
    // Its clients are somebody else's now.
    hub.read_on().await;
    if is_orphaned {
        give_up_later(worker, router, hub);
    }
    result
}

/// Its first frame. Gives its name.
async fn joined(connection: &mut Connection) -> Result<String, Ended> {
    connection.flush().await?;
    let content = connection.next_frame(frame::MAX_LOGIN).await?;
    match said(&content)? {
        WorkerToServer::Join { name } if name.len() > MAX_WORKER_NAME => {
            Err(Ended::Refused(format!("the worker's name has over {MAX_WORKER_NAME} bytes")))
        }
        WorkerToServer::Join { name } => Ok(name.to_owned()),
        _ => Err(Ended::Refused("a worker must join before anything else".to_owned())),
    }
}

fn said(content: &[u8]) -> Result<WorkerToServer<'_>, Ended> {
    WorkerToServer::decode(content)
        .map_err(|error| Ended::Refused(format!("a bad frame of a worker: {error}")))
}

/// What the process has been told, and what it has made of it.
struct ToldSoFar<'a> {
    backend: &'a Backend,
    in_flight: InFlight,
    /// It wants no more.
    is_leaving: bool,
    /// Where it counts what it has begun, which may be more than it has said.
    progress_file: Option<ProgressFile>,
}

impl ToldSoFar<'_> {
    /// Until it has left, having handled everything that it had.
    async fn run(&mut self, connection: &mut Connection, worker: &Worker) -> Result<(), Ended> {
        let hub = self.backend.gateway.hub();
        worker.handed_over().await;
        // What the worker before it left has somebody now.
        hub.read_on().await;
        loop {
            self.hear(connection)?;
            if self.is_leaving && self.in_flight.is_done() && !connection.has_output() {
                return Ok(());
            }
            let mut is_awaited = false;
            while let Some(batch) = self.in_flight.next_done() {
                is_awaited |= worker.done(batch);
            }
            if is_awaited {
                hub.read_on().await;
            }
            let has_room = self.in_flight.batches() < WINDOW && !connection.has_output() && !self.is_leaving;
            tokio::select! {
                biased;
                // However long nothing has gone over this connection.
                () = worker.replaced() => {
                    connection.read_what_is_there();
                    self.hear(connection)?;
                    return Err(Ended::Refused("another worker of its name has taken its place".to_owned()));
                }
                Some(batch) = worker.next(BATCH), if has_room => self.tell(batch, connection),
                result = connection.exchange() => result?,
            }
        }
    }

    /// What the process has said so far.
    fn hear(&mut self, connection: &mut Connection) -> Result<(), Ended> {
        while let Some(content) = connection.read_frame(frame::MAX_LOGIN)? {
            match said(&content)? {
                WorkerToServer::Progress { taken, done } => {
                    self.in_flight.progress(taken, done).map_err(Ended::Refused)?;
                }
                WorkerToServer::ProgressFile { name } => {
                    self.progress_file = ProgressFile::open(name);
                    let answer = ServerToWorker::ProgressFile { is_read: self.progress_file.is_some() };
                    connection.tell(&answer).map_err(|error| Ended::Refused(error.to_string()))?;
                }
                // One that does not read its pongs gets no more of them than it reads.
                WorkerToServer::Ping if connection.has_output() => {}
                WorkerToServer::Ping => {
                    connection
                        .tell(&ServerToWorker::Pong)
                        .map_err(|error| Ended::Refused(error.to_string()))?;
                }
                WorkerToServer::Leave if !self.is_leaving => {
                    self.is_leaving = true;
                    connection
                        .tell(&ServerToWorker::End)
                        .map_err(|error| Ended::Refused(error.to_string()))?;
                }
                WorkerToServer::Leave | WorkerToServer::Join { .. } => {
                    return Err(Ended::Refused("a worker joins once and leaves once".to_owned()));
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, batch: Batch, connection: &mut Connection) {
        let node = self.backend.gateway.node();
        self.in_flight.send(batch, |number, event| {
            let serialized;
            let (kind, body) = match &event.kind {
                Kind::Connect => (EventKind::Connect, &[][..]),
                Kind::Message(message) => (EventKind::Message, &message[..]),
                Kind::Close => (EventKind::Close, &[][..]),
                Kind::Handshake(handshake) => {
                    serialized = server_data(handshake, event.peer, event.gateway_port);
                    (EventKind::Handshake, &serialized[..])
                }
            };
            let told = connection.tell(&ServerToWorker::Event(wire::WorkerEvent {
                number,
                kind,
                client: ClientId::new(node, event.number),
                remote_address: &event.peer.ip().to_canonical().to_string(),
                remote_port: event.peer.port(),
                gateway_port: event.gateway_port,
                session: &event.session,
                body,
            }));
            if let Err(error) = &told {
                abuse_log::report(Offence::NoWorker, Some(event.peer), error);
            }
            told.is_ok()
        });
    }

    fn untaken(mut self) -> Vec<Event> {
        if let Some(begun) = self.progress_file.as_ref().and_then(ProgressFile::read) {
            self.in_flight.has_begun(begun);
        }
        self.in_flight.untaken()
    }
}
