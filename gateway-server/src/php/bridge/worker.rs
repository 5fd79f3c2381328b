//! The connection of a worker, which is a process that handles events, from its login to its end.

use std::time::Duration;

use gateway_wire::bridge::{MAX_WORKER_NAME, ServerToWorker, WorkerToServer, frame};

use super::event_codec::FrameCodec;
use super::in_flight::InFlight;
use super::io::{Connection, Ended};
use super::progress_file::ProgressFile;
use crate::events::{Batch, Delivery, Event, REPLACED, WorkerConnection, encode_batch};
use crate::php::backend::Backend;

/// Batches that may be with the process: while it handles one, the next is on its way.
const WINDOW: usize = 4;

/// Serves the worker to its end. Gives why the connection ended, or nothing when the worker has left in good order.
pub(super) async fn serve(
    connection: &mut Connection,
    backend: &Backend,
    timeout: Duration,
) -> Result<(), Ended> {
    let (name, takes_moves) = match tokio::time::timeout(timeout, joined(connection)).await {
        Ok(Ok(joined)) => joined,
        Ok(Err(ended)) => return Err(ended),
        Err(_) => {
            let message = format!("the worker did not join within {timeout:?} (handshake_timeout)");
            return Err(Ended::Refused(message));
        }
    };
    let mut delivery = Delivery::join(&backend.workers, backend.gateway.hub(), name, takes_moves);
    let mut process = Process {
        connection,
        codec: FrameCodec::new(backend.gateway.node(), takes_moves),
        in_flight: InFlight::default(),
        is_leaving: false,
        progress_file: None,
    };
    let result = delivery.run(&mut process).await;
    delivery.leave(process.untaken()).await;
    result
}

/// Waits for the first frame of the worker, and gives the name that it says there, and whether it takes moves.
async fn joined(connection: &mut Connection) -> Result<(String, bool), Ended> {
    connection.flush().await?;
    let content = connection.next_frame(frame::MAX_LOGIN).await?;
    match said(&content)? {
        WorkerToServer::Join { name, .. } if name.len() > MAX_WORKER_NAME => {
            Err(Ended::Refused(format!("the worker's name has over {MAX_WORKER_NAME} bytes")))
        }
        WorkerToServer::Join { name, moves } => Ok((name.to_owned(), moves)),
        _ => Err(Ended::Refused("a worker must join before anything else".to_owned())),
    }
}

fn said(content: &[u8]) -> Result<WorkerToServer<'_>, Ended> {
    WorkerToServer::decode(content)
        .map_err(|error| Ended::Refused(format!("a bad frame of a worker: {error}")))
}

/// The process, what it has been sent, and what it has made of it.
struct Process<'a> {
    connection: &'a mut Connection,
    codec: FrameCodec,
    in_flight: InFlight,
    /// The process has said that it wants no more events.
    is_leaving: bool,
    /// Where the process counts the events that it has begun, which may be more than it has said.
    progress_file: Option<ProgressFile>,
}

impl WorkerConnection for Process<'_> {
    type Ended = Ended;

    const BATCH: usize = 64 << 10;

    fn hear(&mut self) -> Result<(), Ended> {
        while let Some(content) = self.connection.read_frame(frame::MAX_LOGIN)? {
            match said(&content)? {
                WorkerToServer::Progress { taken, done } => {
                    self.in_flight.progress(taken, done).map_err(Ended::Refused)?;
                }
                WorkerToServer::ProgressFile { name } => {
                    self.progress_file = ProgressFile::open(name);
                    self.tell(&ServerToWorker::ProgressFile { is_read: self.progress_file.is_some() })?;
                }
                // A process that does not read its pongs gets no more of them than it reads.
                WorkerToServer::Ping if self.connection.has_output() => {}
                WorkerToServer::Ping => self.tell(&ServerToWorker::Pong)?,
                WorkerToServer::Leave if !self.is_leaving => {
                    self.is_leaving = true;
                    self.tell(&ServerToWorker::End)?;
                }
                WorkerToServer::Leave | WorkerToServer::Join { .. } => {
                    return Err(Ended::Refused("a worker joins once and leaves once".to_owned()));
                }
            }
        }
        Ok(())
    }

    fn has_left(&self) -> bool {
        self.is_leaving && self.in_flight.is_done() && !self.connection.has_output()
    }

    /// A batch is done once the process has handled it.
    fn next_done(&mut self) -> Option<Batch> {
        self.in_flight.next_done()
    }

    fn has_room(&self) -> bool {
        self.in_flight.batches() < WINDOW && !self.connection.has_output() && !self.is_leaving
    }

    fn send(&mut self, mut batch: Batch) {
        encode_batch(&mut self.codec, &mut batch, self.connection.output(), |_| {});
        self.in_flight.sent(batch);
    }

    async fn exchange(&mut self) -> Result<(), Ended> {
        self.connection.exchange().await
    }

    fn replaced(&mut self) -> Ended {
        // What the process has begun by now is not for its successor.
        self.connection.read_what_is_there();
        self.hear().err().unwrap_or_else(|| Ended::Refused(REPLACED.to_owned()))
    }
}

impl Process<'_> {
    fn tell(&mut self, told: &ServerToWorker<'_>) -> Result<(), Ended> {
        self.connection.tell(told).map_err(|error| Ended::Refused(error.to_string()))
    }

    /// The events that the process has not begun to handle.
    fn untaken(mut self) -> Vec<Event> {
        if let Some(begun) = self.progress_file.as_ref().and_then(ProgressFile::read) {
            self.in_flight.has_begun(begun);
        }
        self.in_flight.untaken()
    }
}
