//! One process that handles events, and what waits for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::event::Event;

/// How long a worker waits for what the one before it of its name gives back, which takes no I/O.
const HAND_OVER: Duration = Duration::from_secs(1);

pub struct Worker {
    /// No two that serve have the same.
    pub(super) name: String,
    /// Clients that are with it.
    pub(super) clients: AtomicUsize,
    queue: Mutex<Queue>,
    /// Bytes that may wait.
    limit: Arc<AtomicUsize>,
    /// Something came in, or the worker's time is over.
    changed: Notify,
    /// Nothing waits any more.
    emptied: Notify,
    /// The one of its name whose place it has taken.
    predecessor: Weak<Worker>,
    /// It serves no more, or its connection has given back what it had.
    ended: Notify,
}

struct Queue {
    events: VecDeque<Event>,
    /// Bytes of the events that wait, and of those in a [`Batch`] that is not done.
    bytes: usize,
    state: State,
    /// Somebody is not read before there is room again.
    is_awaited: bool,
    /// Its connection has given back what its process has not got.
    has_left: bool,
}

#[derive(Clone)]
enum State {
    Serving,
    /// It has gone and was the last; what comes in waits for the next one.
    Orphaned,
    /// It has gone, and nothing of it waits or is on its way: its clients choose anew.
    Gone,
    /// It has gone, and this one has its queue, its clients, and what its connection gives back later.
    Inherited(Arc<Worker>),
}

/// Where a client's events go.
pub(super) enum Place {
    Here,
    /// There, once there is room.
    Full,
    At(Arc<Worker>),
    /// To whoever serves now.
    Anywhere,
}

/// Events on their way to the process.
#[derive(Default)]
pub struct Batch {
    pub events: Vec<Event>,
    bytes: usize,
}

impl Batch {
    /// Takes out an event that is to be sent later, in a batch of its own.
    pub fn put_aside(&mut self, event: Event) -> Self {
        let bytes = event.weight().min(self.bytes);
        self.bytes -= bytes;
        Self { events: vec![event], bytes }
    }

    /// Takes in what was put aside.
    pub fn append(&mut self, mut aside: Self) {
        self.events.append(&mut aside.events);
        self.bytes += aside.bytes;
    }
}

impl Worker {
    /// What its name has in common with that of the process which takes its place: our runner's are `name:number:pid@host`.
    pub(super) fn slot(&self) -> (&str, &str) {
        match self.name.rsplit_once(':').map(|(slot, process)| (slot, process.split_once('@'))) {
            Some((slot, Some((_, host)))) => (slot, host),
            _ => (&self.name, ""),
        }
    }

    pub(super) fn new(name: String, limit: Arc<AtomicUsize>, predecessor: Weak<Worker>) -> Self {
        let queue = Queue {
            events: VecDeque::new(),
            bytes: 0,
            state: State::Serving,
            is_awaited: false,
            has_left: false,
        };
        Self {
            name,
            clients: AtomicUsize::new(0),
            queue: Mutex::new(queue),
            limit,
            changed: Notify::new(),
            emptied: Notify::new(),
            predecessor,
            ended: Notify::new(),
        }
    }

    // ── For the sinks ───────────────────────────────────────────────────────────────────────────────────────────────

    /// Where the events of a client that is here belong now. Says [`Place::Full`] only if somebody is then woken later.
    pub(super) fn place(&self) -> Place {
        let mut queue = self.queue();
        match &queue.state {
            State::Inherited(heir) => Place::At(Arc::clone(heir)),
            State::Gone => Place::Anywhere,
            State::Serving | State::Orphaned if queue.bytes < self.limit.load(Ordering::Relaxed) => {
                Place::Here
            }
            State::Serving | State::Orphaned => {
                queue.is_awaited = true;
                Place::Full
            }
        }
    }

    /// Takes an event, over the limit too: what has been read of a client has no other place. Gives it back if it belongs
    /// elsewhere now.
    pub(super) fn push(&self, event: Event) -> Option<(Event, Place)> {
        let mut queue = self.queue();
        match &queue.state {
            State::Inherited(heir) => return Some((event, Place::At(Arc::clone(heir)))),
            State::Gone => return Some((event, Place::Anywhere)),
            State::Serving | State::Orphaned => {}
        }
        queue.bytes += event.weight();
        queue.events.push_back(event);
        drop(queue);
        self.changed.notify_one();
        None
    }

    // ── For the connection to the process ─────────────────────────────────────────────────────────────────────────────

    /// Waits until the worker whose place this one has taken has given back what its process has not got: that comes first.
    pub async fn handed_over(&self) {
        let Some(predecessor) = self.predecessor.upgrade() else { return };
        let _ = tokio::time::timeout(HAND_OVER, predecessor.until(|queue| queue.has_left)).await;
    }

    /// Waits until another process has taken this one's place, however long this one's connection has stood still.
    pub async fn replaced(&self) {
        self.until(|queue| !matches!(queue.state, State::Serving)).await;
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

    /// Waits for events, and takes about `bytes` of them. `None` once another process has taken this one's place.
    pub async fn next(&self, bytes: usize) -> Option<Batch> {
        loop {
            {
                let mut queue = self.queue();
                if !matches!(queue.state, State::Serving) {
                    return None;
                }
                let mut batch = Batch::default();
                while batch.bytes < bytes
                    && let Some(event) = queue.events.pop_front()
                {
                    batch.bytes += event.weight();
                    batch.events.push(event);
                }
                // Give memory back after a peak.
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

    /// A batch is with the process. Gives whether somebody waited for the room that it has left.
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

    /// Events that wait for it, and their bytes.
    pub(super) fn backlog(&self) -> (usize, usize) {
        let queue = self.queue();
        (queue.events.len(), queue.bytes)
    }

    // ── For the router, which lets one of these happen at a time ──────────────────────────────────────────────────────

    /// Another process of its name has come. Its own connection has still to give back what it has not got.
    pub(super) fn give_way(&self, heir: &Arc<Worker>) {
        let mut queue = self.queue();
        let events = std::mem::take(&mut queue.events);
        // Without a batch on its way there will be nothing to give back.
        let is_done = queue.bytes == 0;
        queue.state = if is_done { State::Gone } else { State::Inherited(Arc::clone(heir)) };
        // What clients say from now on comes behind it.
        heir.take_over(events);
        drop(queue);
        self.tell_the_end();
    }

    /// Its process has gone. `unsent` is put back first; what nobody has a place for is given back.
    pub(super) fn end(&self, unsent: Vec<Event>, heir: Option<&Arc<Worker>>) -> Ending {
        let mut queue = self.queue();
        queue.has_left = true;
        let ending = match queue.state {
            State::Inherited(_) | State::Gone if unsent.is_empty() => Ending::Settled,
            State::Inherited(_) | State::Gone => Ending::Unplaced(unsent),
            State::Serving | State::Orphaned => {
                unsent.into_iter().rev().for_each(|event| queue.events.push_front(event));
                match heir {
                    None => {
                        queue.become_orphan();
                        Ending::Orphaned
                    }
                    Some(_) if queue.events.is_empty() => {
                        queue.state = State::Gone;
                        Ending::Settled
                    }
                    Some(heir) => {
                        heir.take_over(std::mem::take(&mut queue.events));
                        queue.state = State::Inherited(Arc::clone(heir));
                        Ending::Settled
                    }
                }
            }
        };
        drop(queue);
        self.tell_the_end();
        ending
    }

    /// The one that has taken its place, if another has.
    pub(super) fn heir(&self) -> Option<Arc<Worker>> {
        match &self.queue().state {
            State::Inherited(heir) => Some(Arc::clone(heir)),
            _ => None,
        }
    }

    /// Puts first what another has given back: it came before what waits here. Gives it back if this one has gone too.
    pub(super) fn take_back(&self, events: Vec<Event>) -> Result<(), Vec<Event>> {
        let mut queue = self.queue();
        if !matches!(queue.state, State::Serving | State::Orphaned) {
            return Err(events);
        }
        queue.bytes += events.iter().map(Event::weight).sum::<usize>();
        events.into_iter().rev().for_each(|event| queue.events.push_front(event));
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// There is nobody for what its connection has given back: it waits here for the next worker.
    pub(super) fn keep(&self, events: Vec<Event>) {
        let mut queue = self.queue();
        queue.events.extend(events);
        queue.become_orphan();
    }

    fn tell_the_end(&self) {
        self.changed.notify_one();
        self.ended.notify_waiters();
    }

    /// Nobody came for what it left. Gives how many events are lost.
    pub(super) fn give_up(&self) -> usize {
        let mut queue = self.queue();
        if !matches!(queue.state, State::Orphaned) {
            return 0;
        }
        queue.state = State::Gone;
        queue.bytes = 0;
        std::mem::take(&mut queue.events).len()
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
    fn become_orphan(&mut self) {
        self.state = State::Orphaned;
        self.bytes = self.events.iter().map(Event::weight).sum();
    }
}

impl Drop for Worker {
    /// A worker may have been replaced any number of times while a client was silent: they go one after the other, not each
    /// within the end of the one before it.
    fn drop(&mut self) {
        let heir_of = |worker: &mut Self| {
            let queue = worker.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
            match std::mem::replace(&mut queue.state, State::Gone) {
                State::Inherited(heir) => Arc::into_inner(heir),
                _ => None,
            }
        };
        let mut next = heir_of(self);
        while let Some(mut worker) = next {
            next = heir_of(&mut worker);
        }
    }
}

/// What became of a worker whose process has gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its clients and what it left have somebody.
    Settled,
    /// They wait for the next one.
    Orphaned,
    /// Another has its clients, but not yet these events.
    Unplaced(Vec<Event>),
}
