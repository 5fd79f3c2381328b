//! The connection of a worker, which is a process that handles events, from its login to its end.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use gateway_wire::bridge::{MAX_WORKER_NAME, ServerToWorker, WorkerToServer, frame};
use serde_bytes::ByteBuf;

use super::event_codec::FrameCodec;
use super::goodbye::hang_up;
use super::in_flight::InFlight;
use super::io::{Connection, Ended};
use super::progress_file::ProgressFile;
use super::worker_notices::{NoticesOfWorker, told};
use crate::events::{Batch, Delivery, Event, REPLACED, WorkerConnection, encode_batch};
use crate::php::backend::Backend;
use crate::php::carry::attendance::{Presence, Rest};
use crate::php::carry::form::{StateAtRest, WorkerAtRest};
use crate::php::stream::{ConnectionSlot, Stream};

/// Batches that may be with the process: while it handles one, the next is on its way.
const WINDOW: usize = 4;

/// Time that a process over TLS has to handle what it was sent, when its connection has to end because the server goes on in another
/// process. What it has not begun by then, and has not said or counted to have, it gets again.
const LAST_EVENTS: Duration = Duration::from_millis(500);
/// Time for which all that waits for a process is kept whose connection could not come along, until it comes again by its name. It
/// begins anew with each further rest.
const ABSENCE: Duration = Duration::from_secs(10);

/// A worker at rest, with its descriptors.
type AtRest = (StateAtRest, Vec<OwnedFd>);

/// Serves the worker to its end, or until it comes to rest. Gives why the connection ended, or nothing when the worker has left in
/// good order.
pub(super) async fn serve(
    connection: &mut Connection,
    backend: &Backend,
    timeout: Duration,
    presence: &Presence<'_>,
) -> Result<Option<AtRest>, Ended> {
    let joined = tokio::select! {
        biased;
        joined = tokio::time::timeout(timeout, joined(connection)) => joined,
        () = backend.attendance.late() => return Err(Ended::AtRest),
    };
    let (name, takes_moves) = match joined {
        Ok(Ok(joined)) => joined,
        Ok(Err(ended)) => return Err(ended),
        Err(_) => {
            let message = format!("the worker did not join within {timeout:?} (handshake_timeout)");
            return Err(Ended::Refused(message));
        }
    };
    presence.is_worker();
    let delivery = Delivery::join(&backend.workers, backend.gateway.hub(), name, takes_moves);
    let process = Process {
        connection,
        codec: FrameCodec::new(backend.gateway.node(), takes_moves, 0),
        in_flight: InFlight::default(),
        is_leaving: false,
        is_ending: false,
        progress_file: None,
        notices: NoticesOfWorker::new(&backend.notices),
    };
    deliver(delivery, process, backend).await
}

/// Goes on with a worker where it has come to rest. Without a socket its process has to come again by its name, and others get what
/// was for it if it does not.
pub(in crate::php) async fn serve_again(
    socket: Option<Box<dyn Stream>>,
    peer: Option<SocketAddr>,
    backend: &Backend,
    slot: &ConnectionSlot,
    presence: &Presence<'_>,
    mut at_rest: WorkerAtRest,
    progress_file: Option<OwnedFd>,
) -> Option<AtRest> {
    presence.is_worker();
    slot.prove();
    let mut delivery = Delivery::rejoin(&backend.workers, backend.gateway.hub(), &at_rest.name)?;
    let in_flight = InFlight::again(&mut at_rest);
    let notices = NoticesOfWorker::again(&backend.notices, at_rest.notices);
    let progress_file = progress_file.map(ProgressFile::of);
    let Some(socket) = socket else {
        tokio::select! {
            biased;
            () = delivery.replaced() => {}
            () = backend.attendance.called(Rest::Everybody) => {
                return Some(rest(delivery.name(), (&[], &[]), (&in_flight, &notices), progress_file, at_rest.is_leaving, None));
            }
            () = tokio::time::sleep(ABSENCE), if !at_rest.is_leaving => {}
            () = std::future::ready(()), if at_rest.is_leaving => {}
        }
        delivery.leave(untaken(in_flight, progress_file.as_ref())).await;
        return None;
    };
    let output = at_rest.output.into_vec();
    let mut connection = Connection::again(socket, backend.budget.held(), &at_rest.input, output);
    connection.trust();
    let process = Process {
        connection: &mut connection,
        codec: FrameCodec::new(backend.gateway.node(), delivery.takes_moves(), in_flight.last_sent()),
        in_flight,
        is_leaving: at_rest.is_leaving,
        is_ending: false,
        progress_file,
        notices,
    };
    match deliver(delivery, process, backend).await {
        Ok(Some(at_rest)) => return Some(at_rest),
        Ok(None) => {}
        Err(ended) => hang_up(connection, peer, Err(ended)).await,
    }
    None
}

/// Delivers events to the worker to its end, or until it comes to rest.
async fn deliver(
    mut delivery: Delivery<'_>,
    mut process: Process<'_>,
    backend: &Backend,
) -> Result<Option<AtRest>, Ended> {
    let mut result = tokio::select! {
        biased;
        () = backend.attendance.called(Rest::Everybody) => None,
        result = delivery.run(&mut process) => Some(result),
    };
    if result.is_none() && !process.connection.socket.can_travel() {
        process.is_ending = true;
        let last = tokio::time::timeout(LAST_EVENTS, delivery.run(&mut process)).await;
        // A process that leaves, or whose connection has failed, is not waited for.
        result = last.ok().filter(|last| last.is_err() || process.is_leaving);
    }
    if result.is_none() && !delivery.has_place() {
        result = Some(delivery.run(&mut process).await);
    }
    let Some(result) = result else {
        let Process { connection, in_flight, is_leaving, progress_file, notices, .. } = process;
        let socket = if connection.socket.can_travel() { connection.socket.duplicate().ok() } else { None };
        let socket = socket.map(OwnedFd::from);
        return Ok(Some(rest(
            delivery.name(),
            connection.at_rest(),
            (&in_flight, &notices),
            progress_file,
            is_leaving,
            socket,
        )));
    };
    delivery.leave(untaken(process.in_flight, process.progress_file.as_ref())).await;
    result.map(|()| None)
}

/// A worker that has come to rest. `unfinished` is what was read and is not taken, and what is not written.
fn rest(
    name: &str,
    unfinished: (&[u8], &[u8]),
    (in_flight, notices): (&InFlight, &NoticesOfWorker),
    progress_file: Option<ProgressFile>,
    is_leaving: bool,
    socket: Option<OwnedFd>,
) -> AtRest {
    let (input, output) = if socket.is_some() { unfinished } else { (&[][..], &[][..]) };
    let mut at_rest = WorkerAtRest {
        name: name.to_owned(),
        input: ByteBuf::from(input),
        output: ByteBuf::from(output),
        is_leaving,
        has_socket: socket.is_some(),
        has_progress_file: progress_file.is_some(),
        notices: notices.rest(),
        ..WorkerAtRest::default()
    };
    in_flight.rest(&mut at_rest);
    let progress_file = progress_file.map(ProgressFile::into_descriptor);
    (StateAtRest::Worker(at_rest), socket.into_iter().chain(progress_file).collect())
}

/// The events that the process has not begun to handle.
fn untaken(mut in_flight: InFlight, progress_file: Option<&ProgressFile>) -> Vec<Event> {
    if let Some(begun) = progress_file.and_then(ProgressFile::read) {
        in_flight.has_begun(begun);
    }
    in_flight.untaken()
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
    /// The connection ends once the process has handled what it was sent.
    is_ending: bool,
    /// Where the process counts the events that it has begun, which may be more than it has said.
    progress_file: Option<ProgressFile>,
    notices: NoticesOfWorker,
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
                WorkerToServer::TakeNotices => self.notices.wanted(),
                WorkerToServer::NoticesDone { number } => {
                    self.notices.done(number).map_err(Ended::Refused)?;
                }
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
        (self.is_leaving || self.is_ending)
            && self.in_flight.is_done()
            && self.notices.is_done()
            && !self.connection.has_output()
    }

    /// A batch is done once the process has handled it.
    fn next_done(&mut self) -> Option<Batch> {
        self.in_flight.next_done()
    }

    fn has_room(&self) -> bool {
        self.in_flight.batches() < WINDOW
            && !self.connection.has_output()
            && !self.is_leaving
            && !self.is_ending
    }

    fn send(&mut self, mut batch: Batch) {
        encode_batch(&mut self.codec, &mut batch, self.connection.output(), |_| {});
        self.in_flight.sent(batch);
    }

    async fn exchange(&mut self) -> Result<(), Ended> {
        let takes_notices = self.notices.has_room() && self.has_room();
        let held = tokio::select! {
            biased;
            result = self.connection.exchange() => return result,
            held = self.notices.next(), if takes_notices => held,
        };
        self.tell(&ServerToWorker::Notices(told(&held)))?;
        self.notices.hold(held);
        Ok(())
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
}
