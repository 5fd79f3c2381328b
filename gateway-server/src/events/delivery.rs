//! Takes events from a worker's queue, and gives them to the connection of its process, from the process's coming to its end.

use std::sync::Arc;

use super::event::Event;
use super::router::Router;
use super::unassigned::give_up_later;
use super::worker_queue::{Batch, WorkerQueue};
use crate::config::EventHandlers;
use crate::hub::Hub;

/// The connection of a process that handles events, as its protocol has it.
pub trait WorkerConnection {
    /// Why the connection ended.
    type Ended;

    /// Bytes of events that the connection takes at once.
    const BATCH: usize;

    /// Takes in what the process has said. Protocols whose input is read elsewhere have nothing to do here.
    fn hear(&mut self) -> Result<(), Self::Ended> {
        Ok(())
    }

    /// Whether the process wants no more events, and has handled all that it got.
    fn has_left(&self) -> bool {
        false
    }

    /// Gives the oldest batch that has not been given yet, if the process has it, or has handled it where the protocol says so.
    fn next_done(&mut self) -> Option<Batch>;

    /// Whether another batch may be sent now.
    fn has_room(&self) -> bool;

    /// Puts a batch into the output.
    fn send(&mut self, batch: Batch);

    /// Waits until something can be read, written or sent, and does it. Nothing is lost when the caller stops waiting. While
    /// the connection has no room, only an end of the delivery makes the caller do so.
    fn exchange(&mut self) -> impl Future<Output = Result<(), Self::Ended>> + Send;

    /// Another process has taken this one's place. Gives why the connection ends.
    fn replaced(&mut self) -> Self::Ended;
}

/// What a process is told whose place another has taken.
pub const REPLACED: &str = "another worker of its name has taken its place";

/// The events of one process, as long as it serves. [`Delivery::leave`] must be called at its end.
pub struct Delivery<'a> {
    router: &'a Arc<Router>,
    hub: &'a Arc<Hub>,
    worker: Arc<WorkerQueue>,
    has_left: bool,
}

impl<'a> Delivery<'a> {
    /// A process of that name has come, and has announced moves or not.
    pub fn join(router: &'a Arc<Router>, hub: &'a Arc<Hub>, name: String, takes_moves: bool) -> Self {
        if router.mode() == EventHandlers::BuiltIn {
            tracing::info!(worker = name, "a worker is told of nothing, as events = \"builtin\"");
        }
        Self { router, hub, worker: router.join(name, takes_moves), has_left: false }
    }

    /// Goes on with the process of that name, whose connection has come to rest here or in the server process before this one. Gives
    /// `None` when the process has no place any more.
    pub fn rejoin(router: &'a Arc<Router>, hub: &'a Arc<Hub>, name: &str) -> Option<Self> {
        Some(Self { router, hub, worker: router.serving(name)?, has_left: false })
    }

    /// The name of the process.
    pub fn name(&self) -> &str {
        &self.worker.name
    }

    /// Whether the process has announced that it takes moves of clients.
    pub fn takes_moves(&self) -> bool {
        self.worker.takes_moves
    }

    /// Whether the process still has its place, so that it may come to rest there.
    pub fn has_place(&self) -> bool {
        !self.has_left && self.worker.is_serving()
    }

    /// Waits until another process has taken this one's place.
    pub async fn replaced(&self) {
        self.worker.replaced().await;
    }

    /// Delivers events until the process has left or its connection has ended. When the caller stops waiting, the connection
    /// still knows what its process has not got.
    pub async fn run<C: WorkerConnection>(&self, connection: &mut C) -> Result<(), C::Ended> {
        let Self { hub, worker, .. } = self;
        worker.handed_over().await;
        // What the worker before this one left is assigned now.
        hub.read_on().await;
        loop {
            connection.hear()?;
            if connection.has_left() {
                return Ok(());
            }
            let mut is_awaited = false;
            while let Some(batch) = connection.next_done() {
                is_awaited |= worker.done(batch);
            }
            if is_awaited {
                hub.read_on().await;
            }
            let has_room = connection.has_room();
            tokio::select! {
                biased;
                // This comes first: it ends a connection over which nothing has gone for however long.
                () = worker.replaced() => return Err(connection.replaced()),
                Some(batch) = worker.next(C::BATCH), if has_room => connection.send(batch),
                result = connection.exchange() => result?,
            }
        }
    }

    /// The process takes no more events: its clients, and the events that it has not got, go to a successor. Only the first call
    /// hands events over.
    pub async fn leave(&mut self, undelivered: Vec<Event>) {
        if !std::mem::replace(&mut self.has_left, true) && self.router.leave(&self.worker, undelivered) {
            give_up_later(Arc::clone(&self.worker), self.router, self.hub);
        }
        // The clients are assigned to another worker now, which may have room for them.
        self.hub.read_on().await;
    }
}
