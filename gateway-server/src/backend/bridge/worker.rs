//! A process that handles events, from its login to its end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use gateway_wire::ClientId;
use gateway_wire::bridge::{self as wire, EventKind, MAX_WORKER_NAME, Said, Told, frame};

use super::io::{Connection, Ended};
use super::tally::Tally;
use crate::backend::Backend;
use crate::backend::gatewayworker::server_data;
use crate::backend::workers::{Batch, Event, Kind, Mode, Worker};
use crate::ops::offence::{self, Offence};

/// Events that are encoded at once, in bytes.
const BATCH: usize = 64 << 10;
/// Batches that may be with the process: while it handles one, the next is on its way.
const WINDOW: usize = 4;
/// How long what the last worker left waits for the next one: about a restart of all of them.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why it ended, and the worker if it was the last one: see [`give_up`].
pub(super) type Served = (Result<(), Ended>, Option<Arc<Worker>>);

pub(super) async fn serve(connection: &mut Connection, backend: &Backend, timeout: Duration) -> Served {
    let (router, hub) = (&backend.workers, backend.bridge.hub());
    let name = match tokio::time::timeout(timeout, joined(connection)).await {
        Ok(Ok(name)) => name,
        Ok(Err(ended)) => return (Err(ended), None),
        Err(_) => {
            let message = format!("the worker did not join within {timeout:?} (handshake_timeout)");
            return (Err(Ended::Refused(message)), None);
        }
    };
    if router.mode() == Mode::BuiltIn {
        tracing::info!(worker = name, "a worker is told of nothing, as events = \"builtin\"");
    }
    let worker = router.join(name);
    let mut told = ToldSoFar { backend, sent: VecDeque::new(), number: 0, taken: 0, done: 0, tally: None };
    let result = told.run(connection, &worker).await;
    told.count_what_was_begun();
    let is_orphaned = router.leave(&worker, told.untaken());
    // Its clients are somebody else's now.
    let _ = hub.read_on().await;
    (result, is_orphaned.then_some(worker))
}

/// Waits for another worker to come after the last one, and not for ever.
pub(super) async fn give_up(worker: &Arc<Worker>, backend: &Backend) {
    tokio::time::sleep(PATIENCE).await;
    backend.workers.give_up(worker);
    let _ = backend.bridge.hub().read_on().await;
}

/// Its first frame. Gives its name.
async fn joined(connection: &mut Connection) -> Result<String, Ended> {
    connection.flush().await?;
    let content = connection.next_frame(frame::MAX_LOGIN).await?;
    match said(&content)? {
        Said::Join { name } if name.len() > MAX_WORKER_NAME => {
            Err(Ended::Refused(format!("the worker's name has over {MAX_WORKER_NAME} bytes")))
        }
        Said::Join { name } => Ok(name.to_owned()),
        _ => Err(Ended::Refused("a worker must join before anything else".to_owned())),
    }
}

fn said(content: &[u8]) -> Result<Said<'_>, Ended> {
    Said::decode(content).map_err(|error| Ended::Refused(format!("a bad frame of a worker: {error}")))
}

/// What the process has been told, and what it has made of it.
struct ToldSoFar<'a> {
    backend: &'a Backend,
    /// Batches that are not done, each with the number of its last event.
    sent: VecDeque<(u64, Batch)>,
    /// Of the last event sent.
    number: u64,
    taken: u64,
    done: u64,
    /// Where it counts what it has begun, which may be more than it has said.
    tally: Option<Tally>,
}

impl ToldSoFar<'_> {
    /// Until it has left, having handled everything that it had.
    async fn run(&mut self, connection: &mut Connection, worker: &Worker) -> Result<(), Ended> {
        let hub = self.backend.bridge.hub();
        // What the worker before it left has somebody now.
        hub.read_on().await?;
        let mut is_leaving = false;
        loop {
            while let Some(content) = connection.read_frame(frame::MAX_LOGIN)? {
                match said(&content)? {
                    Said::Progress { taken, done } => self.progressed(taken, done)?,
                    Said::Tally { name } => {
                        self.tally = Tally::open(name);
                        self.encode(&Told::Tally { is_read: self.tally.is_some() }, connection);
                    }
                    // One that does not read its pongs gets no more of them than it reads.
                    Said::Ping if connection.has_output() => {}
                    Said::Ping => self.encode(&Told::Pong, connection),
                    Said::Leave if !is_leaving => {
                        is_leaving = true;
                        self.encode(&Told::End, connection);
                    }
                    Said::Leave | Said::Join { .. } => {
                        return Err(Ended::Refused("a worker joins once and leaves once".to_owned()));
                    }
                }
            }
            if is_leaving && self.done == self.number && !connection.has_output() {
                return Ok(());
            }
            let mut is_awaited = false;
            while self.sent.front().is_some_and(|(last, _)| *last <= self.done)
                && let Some((_, batch)) = self.sent.pop_front()
            {
                is_awaited |= worker.done(batch);
            }
            if is_awaited {
                hub.read_on().await?;
            }
            let has_room = self.sent.len() < WINDOW && !connection.has_output() && !is_leaving;
            tokio::select! {
                biased;
                batch = worker.next(BATCH), if has_room => match batch {
                    Some(batch) => self.tell(batch, connection),
                    None => return Err(Ended::Refused("another worker of its name has taken its place".to_owned())),
                },
                result = connection.exchange() => result?,
            }
        }
    }

    fn progressed(&mut self, taken: u64, done: u64) -> Result<(), Ended> {
        if !(self.taken..=self.number).contains(&taken) || !(self.done..=taken).contains(&done) {
            return Err(Ended::Refused(format!(
                "a worker says that it has taken {taken} and done {done} of {} events, after {} and {}",
                self.number, self.taken, self.done
            )));
        }
        (self.taken, self.done) = (taken, done);
        Ok(())
    }

    fn tell(&mut self, batch: Batch, connection: &mut Connection) {
        let node = self.backend.bridge.node;
        for event in &batch.events {
            self.number += 1;
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
            let told = Told::Event(wire::Event {
                number: self.number,
                kind,
                client: ClientId::new(node, event.number),
                remote_address: &event.peer.ip().to_canonical().to_string(),
                remote_port: event.peer.port(),
                gateway_port: event.gateway_port,
                session: &event.session,
                body,
            });
            self.encode(&told, connection);
        }
        self.sent.push_back((self.number, batch));
    }

    fn encode(&self, told: &Told<'_>, connection: &mut Connection) {
        if let Err(error) = connection.tell(told) {
            offence::report(Offence::NoWorker, None, &error);
        }
    }

    fn count_what_was_begun(&mut self) {
        if let Some(begun) = self.tally.as_ref().and_then(Tally::read) {
            self.taken = begun.clamp(self.taken, self.number);
        }
    }

    /// The events that the process has not begun to handle. One that it had begun nobody handles again: it may have been
    /// that event that ended the process, and half of what it does may have been done.
    fn untaken(self) -> Vec<Event> {
        let numbered = self.sent.into_iter().flat_map(|(last, batch)| {
            let first = last - batch.events.len() as u64 + 1;
            (first..).zip(batch.events)
        });
        numbered.filter(|(number, _)| *number > self.taken).map(|(_, event)| event).collect()
    }
}
