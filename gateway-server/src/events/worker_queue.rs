//! The events that wait for one worker, and who has them once the worker has gone.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::event::Event;

/// How long a worker waits for what its predecessor of the same name gives back. Giving back takes no I/O.
const HAND_OVER: Duration = Duration::from_secs(1);
/// How long events wait for a worker after the last one has gone: about as long as a restart of all workers takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The queue of one worker. Shards push into it, and the [`Delivery`](super::Delivery) of the worker's connection takes from it.
pub struct WorkerQueue {
    /// The worker's name. No two workers that serve have the same.
    pub(super) name: String,
    /// Whether the worker has announced that it takes moves of clients.
    pub(super) takes_moves: bool,
    /// How many clients are assigned to the worker.
    pub(super) clients: AtomicUsize,
    queue: Mutex<Queue>,
    /// Bytes of events that may wait before clients are no longer read.
    limit: Arc<AtomicUsize>,
    /// Notified when an event came in, or the worker serves no more.
    changed: Notify,
    /// Notified when nothing waits any more.
    emptied: Notify,
    /// The worker of the same name whose place this one has taken.
    predecessor: Weak<WorkerQueue>,
    /// Notified when the worker serves no more, or its connection has given back what it had.
    ended: Notify,
}

/// What the lock of a [`WorkerQueue`] guards.
struct Queue {
    events: VecDeque<Event>,
    /// Bytes of the events that wait, and of those in each [`Batch`] that is not done.
    bytes: usize,
    state: Lifecycle,
    /// A client is not read before there is room again.
    is_awaited: bool,
    /// The connection has given back what its process has not got.
    has_left: bool,
    /// Until when the events of a worker that has gone wait for another; `None` stands for as long as necessary.
    waits_until: Option<Instant>,
}

/// Whether the worker serves, and who succeeds it if not.
#[derive(Clone)]
enum Lifecycle {
    Serving,
    /// The worker has gone and was the last; what comes in waits for the next worker.
    Unassigned,
    /// The worker has gone, and none of its events waits or is on its way: its clients choose anew.
    Gone,
    /// The worker has gone, and this one has its events, its clients, and what its connection gives back later.
    Succeeded(Arc<WorkerQueue>),
}

/// Where the events of a client belong that is assigned to a queue.
pub(super) enum Destination {
    /// They belong in this queue.
    Here,
    /// They belong in this queue, once there is room.
    Full,
    /// They belong in the queue of the successor.
    Successor(Arc<WorkerQueue>),
    /// They belong in the queue of any worker that serves now.
    Anywhere,
}

/// Events on their way to the worker's process.
#[derive(Default)]
pub struct Batch {
    pub events: Vec<Event>,
    bytes: usize,
}

impl Batch {
    /// Counts an event, which the caller has taken out of this batch, to a batch of its own that is sent later.
    pub fn put_aside(&mut self, event: Event) -> Self {
        let bytes = event.weight().min(self.bytes);
        self.bytes -= bytes;
        Self { events: vec![event], bytes }
    }

    /// The events of a batch that another process has begun.
    pub(super) fn of(events: Vec<Event>, bytes: usize) -> Self {
        Self { events, bytes }
    }

    /// The bytes that the batch takes in its worker's queue.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Moves a batch that was put aside to the end of this one.
    pub fn append(&mut self, mut aside: Self) {
        self.events.append(&mut aside.events);
        self.bytes += aside.bytes;
    }
}

impl WorkerQueue {
    /// The part of the worker's name that a process which replaces it has too: our runner's names are `name:connection_id:pid@host`.
    pub(super) fn slot(&self) -> (&str, &str) {
        match self.name.rsplit_once(':').map(|(slot, process)| (slot, process.split_once('@'))) {
            Some((slot, Some((_, host)))) => (slot, host),
            _ => (&self.name, ""),
        }
    }

    pub(super) fn new(
        name: String,
        takes_moves: bool,
        limit: Arc<AtomicUsize>,
        predecessor: Weak<WorkerQueue>,
    ) -> Self {
        let queue = Queue {
            events: VecDeque::new(),
            bytes: 0,
            state: Lifecycle::Serving,
            is_awaited: false,
            has_left: false,
            waits_until: None,
        };
        Self {
            name,
            takes_moves,
            clients: AtomicUsize::new(0),
            queue: Mutex::new(queue),
            limit,
            changed: Notify::new(),
            emptied: Notify::new(),
            predecessor,
            ended: Notify::new(),
        }
    }

    // ── For the forwarders ───────────────────────────────────────────────────────────────────────────────────────────────

    /// Where the events of a client that is assigned here belong now. After [`Destination::Full`], [`WorkerQueue::done`] says
    /// later that there is room.
    pub(super) fn destination(&self) -> Destination {
        let mut queue = self.queue();
        match &queue.state {
            Lifecycle::Succeeded(successor) => Destination::Successor(Arc::clone(successor)),
            Lifecycle::Gone => Destination::Anywhere,
            Lifecycle::Serving | Lifecycle::Unassigned
                if queue.bytes < self.limit.load(Ordering::Relaxed) =>
            {
                Destination::Here
            }
            Lifecycle::Serving | Lifecycle::Unassigned => {
                queue.is_awaited = true;
                Destination::Full
            }
        }
    }

    /// Takes an event, over the limit too, because what has been read from a client has no other place. Gives the event back if
    /// it belongs elsewhere now.
    pub(super) fn push(&self, event: Event) -> Option<(Event, Destination)> {
        let mut queue = self.queue();
        match &queue.state {
            Lifecycle::Succeeded(successor) => {
                return Some((event, Destination::Successor(Arc::clone(successor))));
            }
            Lifecycle::Gone => return Some((event, Destination::Anywhere)),
            Lifecycle::Serving | Lifecycle::Unassigned => {}
        }
        queue.bytes += event.weight();
        queue.events.push_back(event);
        drop(queue);
        self.changed.notify_one();
        None
    }

    // ── For the delivery ─────────────────────────────────────────────────────────────────────────────

    /// Waits until the predecessor has given back what its process has not got: those events come first.
    pub async fn handed_over(&self) {
        let Some(predecessor) = self.predecessor.upgrade() else { return };
        let _ = tokio::time::timeout(HAND_OVER, predecessor.until(|queue| queue.has_left)).await;
    }

    /// Waits until another process has taken this one's place.
    pub async fn replaced(&self) {
        self.until(|queue| !matches!(queue.state, Lifecycle::Serving)).await;
    }

    async fn until(&self, is_so: impl Fn(&Queue) -> bool) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if is_so(&self.queue()) {
                return;
            }
            ended.await;
        }
    }

    /// Waits for events, and takes about `bytes` of them. Gives `None` once another process has taken this one's place.
    pub async fn next(&self, bytes: usize) -> Option<Batch> {
        loop {
            {
                let mut queue = self.queue();
                if !matches!(queue.state, Lifecycle::Serving) {
                    return None;
                }
                let mut batch = Batch::default();
                while batch.bytes < bytes
                    && let Some(event) = queue.events.pop_front()
                {
                    batch.bytes += event.weight();
                    batch.events.push(event);
                }
                // After a peak the queue gives its memory back.
                if queue.events.is_empty() && queue.events.capacity() > 1024 {
                    queue.events = VecDeque::new();
                }
                if !batch.events.is_empty() {
                    return Some(batch);
                }
            }
            self.changed.notified().await;
        }
    }

    /// A batch is done: its events wait no more. Gives whether clients wait for the room that it has left.
    #[must_use]
    pub fn done(&self, batch: Batch) -> bool {
        let mut queue = self.queue();
        queue.bytes = queue.bytes.saturating_sub(batch.bytes);
        let is_empty = queue.bytes == 0;
        let has_room = queue.bytes <= self.limit.load(Ordering::Relaxed) / 2;
        let is_awaited = has_room && std::mem::take(&mut queue.is_awaited);
        drop(queue);
        if is_empty {
            self.emptied.notify_waiters();
        }
        is_awaited
    }

    /// The number of events that wait, and their bytes with those of events on their way.
    pub(super) fn backlog(&self) -> (usize, usize) {
        let queue = self.queue();
        (queue.events.len(), queue.bytes)
    }

    // ── For the router, which lets one of these happen at a time ──────────────────────────────────────────────────────

    /// Another process of the same name has come. The connection of this one has still to give back what its process has not got.
    pub(super) fn give_way(&self, successor: &Arc<WorkerQueue>) {
        let mut queue = self.queue();
        let events = std::mem::take(&mut queue.events);
        // Without a batch on its way there will be nothing to give back.
        let is_done = queue.bytes == 0;
        queue.state = if is_done { Lifecycle::Gone } else { Lifecycle::Succeeded(Arc::clone(successor)) };
        // What clients say from now on comes behind these events.
        successor.take_over(events);
        drop(queue);
        self.notify_end();
    }

    /// The worker's process has gone. `unsent` is put back at the front; when another worker has the queue already, it is
    /// returned.
    pub(super) fn end(&self, unsent: Vec<Event>, successor: Option<&Arc<WorkerQueue>>) -> Ending {
        let mut queue = self.queue();
        queue.has_left = true;
        let ending = match queue.state {
            Lifecycle::Succeeded(_) | Lifecycle::Gone if unsent.is_empty() => Ending::Assigned,
            Lifecycle::Succeeded(_) | Lifecycle::Gone => Ending::Returned(unsent),
            Lifecycle::Serving | Lifecycle::Unassigned => {
                unsent.into_iter().rev().for_each(|event| queue.events.push_front(event));
                match successor {
                    None => {
                        queue.become_unassigned();
                        Ending::Unassigned
                    }
                    Some(_) if queue.events.is_empty() => {
                        queue.state = Lifecycle::Gone;
                        Ending::Assigned
                    }
                    Some(successor) => {
                        successor.take_over(std::mem::take(&mut queue.events));
                        queue.state = Lifecycle::Succeeded(Arc::clone(successor));
                        Ending::Assigned
                    }
                }
            }
        };
        drop(queue);
        self.notify_end();
        ending
    }

    /// The worker that has taken this one's place, if another has.
    pub(super) fn successor(&self) -> Option<Arc<WorkerQueue>> {
        match &self.queue().state {
            Lifecycle::Succeeded(successor) => Some(Arc::clone(successor)),
            _ => None,
        }
    }

    /// Puts events at the front that another worker has given back, as they came before what waits here. Gives them back if this
    /// worker has gone too.
    pub(super) fn take_back(&self, events: Vec<Event>) -> Result<(), Vec<Event>> {
        let mut queue = self.queue();
        if !matches!(queue.state, Lifecycle::Serving | Lifecycle::Unassigned) {
            return Err(events);
        }
        queue.bytes += events.iter().map(Event::weight).sum::<usize>();
        events.into_iter().rev().for_each(|event| queue.events.push_front(event));
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// Keeps what the connection has given back for the next worker, as there is no other now.
    pub(super) fn keep(&self, events: Vec<Event>) {
        let mut queue = self.queue();
        queue.events.extend(events);
        queue.become_unassigned();
    }

    fn notify_end(&self) {
        self.changed.notify_one();
        self.ended.notify_waiters();
    }

    /// Drops what the worker left, as no other came. Gives how many events are lost.
    pub(super) fn give_up(&self) -> usize {
        let mut queue = self.queue();
        if !matches!(queue.state, Lifecycle::Unassigned) {
            return 0;
        }
        queue.state = Lifecycle::Gone;
        queue.bytes = 0;
        std::mem::take(&mut queue.events).len()
    }

    // ── For the hand-over to another process ─────────────────────────────────────────────────────────────────────────────

    /// Gives each event that waits in the form that the caller wants, and the bytes of those that are with the worker's connection.
    pub(super) fn contents<T>(&self, form: impl Fn(&Event) -> T) -> (Vec<T>, usize) {
        let queue = self.queue();
        let waiting: usize = queue.events.iter().map(Event::weight).sum();
        (queue.events.iter().map(form).collect(), queue.bytes.saturating_sub(waiting))
    }

    /// Takes in what another process has had in this queue.
    pub(super) fn fill(&self, waiting: Vec<Event>, on_its_way: usize) {
        let mut queue = self.queue();
        let bytes: usize = waiting.iter().map(Event::weight).sum();
        queue.bytes = bytes.saturating_add(on_its_way);
        queue.events = waiting.into();
    }

    /// Whether the worker has gone and its events wait for another.
    pub(super) fn is_unassigned(&self) -> bool {
        matches!(self.queue().state, Lifecycle::Unassigned)
    }

    /// Whether no other process has taken this one's place.
    pub(super) fn is_serving(&self) -> bool {
        matches!(self.queue().state, Lifecycle::Serving)
    }

    /// Has the events wait for another worker for this long.
    pub(super) fn wait_for_successor(&self, patience: Duration) {
        let mut queue = self.queue();
        queue.state = Lifecycle::Unassigned;
        queue.waits_until = Instant::now().checked_add(patience);
    }

    /// How much longer the events of a worker that has gone wait for another.
    pub(super) fn patience(&self) -> Duration {
        let until = self.queue().waits_until;
        until.map_or(PATIENCE, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Waits until nothing waits.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.queue().bytes == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn take_over(&self, events: VecDeque<Event>) {
        let mut queue = self.queue();
        queue.bytes += events.iter().map(Event::weight).sum::<usize>();
        queue.events.extend(events);
        drop(queue);
        self.changed.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn become_unassigned(&mut self) {
        self.state = Lifecycle::Unassigned;
        self.waits_until = Instant::now().checked_add(PATIENCE);
        self.bytes = self.events.iter().map(Event::weight).sum();
    }
}

impl Drop for WorkerQueue {
    /// A worker may have been replaced any number of times while a client was silent. Its successors are dropped in a loop,
    /// because dropping each within its predecessor would overflow the stack.
    fn drop(&mut self) {
        let successor_of = |worker: &mut Self| {
            let queue = worker.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
            match std::mem::replace(&mut queue.state, Lifecycle::Gone) {
                Lifecycle::Succeeded(successor) => Arc::into_inner(successor),
                _ => None,
            }
        };
        let mut next = successor_of(self);
        while let Some(mut worker) = next {
            next = successor_of(&mut worker);
        }
    }
}

/// What became of the clients and events of a worker whose process has gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Another worker has them, or there are none.
    Assigned,
    /// They wait for the next worker.
    Unassigned,
    /// Another worker has the clients, but not yet these events.
    Returned(Vec<Event>),
}
