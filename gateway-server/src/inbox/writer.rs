//! The thread that owns the store: it does what others ask in groups, each group in one transaction, and answers behind that. Then it
//! sends what was stored to the connections that are there.
//!
//! Nothing else waits for the disk. A group is what has come while the group before it was written, so one request alone does not
//! wait for others, and many share one write.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::delivery::{Delivery, Post};
use super::health::{Health, HealthNotes};
use super::model::{Millis, PageRequest, Producer, Receipt, Totals, UidInbox, WaitingPage};
use super::notes::InboxNotes;
use super::queue::{Group, Queue, Taken};
use super::request::{Answer, Read, Request, Unavailable};
use super::store::{Operation, Outcome, Store, StoreError};
use crate::system::ages::millis;
use crate::telemetry::clock;

/// How often the thread looks for what has had its time.
const EXPIRY_PERIOD: Duration = Duration::from_secs(60);
/// How many messages, devices and producers go in one step of that at most.
const EXPIRY_STEP: usize = 500;
/// How often the thread tries whether a store that has failed works again, while nobody asks for anything.
const PROBE_PERIOD: Duration = Duration::from_secs(1);
/// How long operations wait for others that nobody waits for: acknowledgements, and what was written to whom.
const LAZY: Duration = Duration::from_millis(20);
/// How often the thread asks whether sockets have taken what they were sent.
const TAKEN_PERIOD: Duration = Duration::from_millis(20);
/// How often the thread looks at connections that have waited for long.
const TICK: Duration = Duration::from_secs(1);
/// The pages that are read before the requests that have come meanwhile.
const PAGES: usize = 64;
/// The pages that are read before they are sent.
const PAGES_IN_MEMORY: usize = 16;

/// What a writer needs to know.
#[derive(Clone, Copy, Debug)]
pub struct WriterSettings {
    /// The memory of all requests that wait, in bytes.
    pub queue_bytes: usize,
    /// From when on a commit is slow, so that requests are refused at once.
    pub slow: Duration,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self { queue_bytes: 64 << 20, slow: Duration::from_secs(1) }
    }
}

/// Asks the thread of a store. It may be asked before the thread has started, which then answers.
#[derive(Clone)]
pub struct WriterHandle {
    queue: Arc<Queue>,
    health: Arc<HealthNotes>,
    notes: InboxNotes,
}

/// The thread of a store.
pub struct Writer {
    handle: WriterHandle,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread for whoever has this handle.
    pub fn start(handle: WriterHandle, store: Box<dyn Store>, post: Box<dyn Post>) -> io::Result<Self> {
        let end = End { queue: Arc::clone(&handle.queue), health: Arc::clone(&handle.health) };
        let (notes, delivery) = (handle.notes.clone(), Delivery::default());
        let begin = Instant::now();
        let worker = Worker {
            store,
            post,
            notes,
            delivery,
            end,
            now: 0,
            expiry_at: begin,
            tick_at: begin,
            lazy_until: None,
        };
        let thread = thread::Builder::new().name("inbox".into()).spawn(move || worker.run())?;
        Ok(Self { handle, thread })
    }

    pub fn handle(&self) -> &WriterHandle {
        &self.handle
    }

    /// Does what waits, closes the store and ends the thread. It says whether the thread had not panicked.
    pub fn stop(self) -> bool {
        self.handle.queue.close();
        self.thread.join().is_ok()
    }
}

impl WriterHandle {
    pub fn new(settings: WriterSettings) -> Self {
        let queue = Arc::new(Queue::new(settings.queue_bytes));
        let notes = InboxNotes::new(Arc::clone(&queue));
        Self { queue, health: Arc::new(HealthNotes::new(settings.slow)), notes }
    }

    pub fn health(&self) -> Health {
        self.health.health()
    }

    /// Where what connections do is noted.
    pub fn notes(&self) -> &InboxNotes {
        &self.notes
    }

    /// Does these operations in one transaction. They are in the queue when this returns, so their order is that of the calls; the
    /// outcomes come once they are on disk.
    pub fn apply(
        &self,
        operations: Vec<Operation>,
    ) -> impl Future<Output = Result<Vec<Outcome>, Unavailable>> + use<> {
        self.ask(move |answer| Request::Apply(operations, answer))
    }

    /// Gives the messages that wait for a device; see [`Store::waiting`].
    pub fn waiting(
        &self,
        page: PageRequest,
    ) -> impl Future<Output = Result<WaitingPage, Unavailable>> + use<> {
        self.ask(move |answer| Request::Read(Read::Waiting { page, answer }))
    }

    /// Gives what has become of a message; see [`Store::receipt`].
    pub fn receipt(
        &self,
        id: Box<str>,
        uids: usize,
    ) -> impl Future<Output = Result<Vec<Receipt>, Unavailable>> + use<> {
        self.ask(move |answer| Request::Read(Read::Receipt { id, uids, answer }))
    }

    /// Gives what waits for a uid; see [`Store::inbox_of`].
    pub fn inbox_of(
        &self,
        uid: Bytes,
    ) -> impl Future<Output = Result<Option<UidInbox>, Unavailable>> + use<> {
        self.ask(move |answer| Request::Read(Read::InboxOf { uid, answer }))
    }

    /// Gives how far a producer has come; see [`Store::progress`].
    pub fn progress(
        &self,
        producer: Producer,
    ) -> impl Future<Output = Result<Option<u64>, Unavailable>> + use<> {
        self.ask(move |answer| Request::Read(Read::Progress { producer, answer }))
    }

    pub fn totals(&self) -> impl Future<Output = Result<Totals, Unavailable>> + use<> {
        self.ask(move |answer| Request::Read(Read::Totals { answer }))
    }

    fn ask<T, F: FnOnce(Answer<T>) -> Request>(
        &self,
        request: F,
    ) -> impl Future<Output = Result<T, Unavailable>> + use<T, F> {
        let (sender, receiver) = oneshot::channel();
        let pushed = match self.health() {
            Health::Slow(_) => Err(Unavailable::Slow),
            _ => self.queue.push(request(sender)),
        };
        async move {
            pushed?;
            receiver.await.unwrap_or(Err(Unavailable::Ended))
        }
    }
}

/// Says that the thread has ended, however it does.
struct End {
    queue: Arc<Queue>,
    health: Arc<HealthNotes>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.health.end();
        self.queue.abandon();
    }
}

/// What the thread has.
struct Worker {
    store: Box<dyn Store>,
    post: Box<dyn Post>,
    notes: InboxNotes,
    delivery: Delivery,
    end: End,
    /// The last time of day that the store was told.
    now: Millis,
    expiry_at: Instant,
    tick_at: Instant,
    /// When the operations that nobody waits for are done at the latest, if there are any.
    lazy_until: Option<Instant>,
}

impl Worker {
    fn run(mut self) {
        loop {
            let is_working = self.end.health.health() == Health::Working;
            let patience = if is_working { self.patience() } else { PROBE_PERIOD };
            let taken = self.end.queue.take(patience);
            self.now();
            self.notes.hand_over(&mut self.delivery, self.now);
            match taken {
                Taken::Group(group) => self.do_group(group),
                Taken::Nothing if self.is_due(is_working) => self.do_group(Group::default()),
                Taken::Nothing if !is_working => {
                    self.commit(|store, _| store.probe()).ok();
                }
                Taken::Nothing => {}
                Taken::Closed => break,
            }
            self.deliver();
            self.expire();
        }
        // What pages have acknowledged does not come again.
        if self.delivery.has_operations() {
            self.do_group(Group::default());
        }
    }

    /// Gives for how long the thread may wait for a request.
    fn patience(&self) -> Duration {
        if self.delivery.is_waited_for() {
            return Duration::ZERO;
        }
        let tick_at = self.delivery.needs_ticks().then_some(self.tick_at);
        let next = [self.lazy_until, tick_at].into_iter().flatten().fold(self.expiry_at, Instant::min);
        let patience = next.saturating_duration_since(Instant::now());
        if self.delivery.untaken().is_empty() { patience } else { patience.min(TAKEN_PERIOD) }
    }

    /// Says whether the operations of the delivery are to be done without a request. After a failure they are tried all.
    fn is_due(&self, is_working: bool) -> bool {
        let has_operations = self.delivery.has_operations();
        let is_late = self.lazy_until.is_some_and(|until| until <= Instant::now());
        self.delivery.has_arrivals() || has_operations && (is_late || !is_working)
    }

    fn do_group(&mut self, group: Group) {
        let of_delivery = self.delivery.take_operations();
        let count = of_delivery.len();
        let operations = [of_delivery, group.operations].concat();
        if !operations.is_empty() {
            match self.commit(|store, now| store.apply(now, &operations)) {
                Ok(mut outcomes) => {
                    let of_group = outcomes.split_off(count.min(outcomes.len()));
                    self.delivery.committed(outcomes);
                    self.tell_delivery(&operations[count..], &of_group);
                    let mut outcomes = of_group.into_iter();
                    for (count, answer) in group.answers {
                        // Who no longer waits for the answer has gone, and what it asked for is done all the same.
                        let _ = answer.send(Ok(outcomes.by_ref().take(count).collect()));
                    }
                }
                Err(error) => {
                    self.delivery.failed();
                    for (_, answer) in group.answers {
                        let _ = answer.send(Err(error.clone()));
                    }
                }
            }
        }
        for read in group.reads {
            self.read(read);
        }
    }

    /// Tells the delivery what was stored and forgotten.
    fn tell_delivery(&mut self, operations: &[Operation], outcomes: &[Outcome]) {
        for (operation, outcome) in operations.iter().zip(outcomes) {
            match (operation, outcome) {
                (Operation::Deliver(message), Outcome::Stored { epoch, seq, .. }) => {
                    self.delivery.stored(message, *epoch, *seq, self.now);
                }
                (Operation::Forget { uid }, Outcome::Done) => self.delivery.forgotten(uid),
                _ => {}
            }
        }
    }

    /// Sends what was stored, and what waits for connections that have room.
    fn deliver(&mut self) {
        self.send();
        for count in 1..=PAGES {
            let Some((connection, wanted)) = self.delivery.next_page() else { break };
            match self.store.waiting(self.now, &wanted) {
                Ok(page) => self.delivery.page(connection, page, self.now),
                Err(error) => {
                    tracing::debug!(%error, "what waits for a connection cannot be read");
                    self.delivery.page_failed(connection);
                }
            }
            if count % PAGES_IN_MEMORY == 0 {
                self.send();
            }
        }
        self.send();
        let untaken = self.delivery.untaken();
        if !untaken.is_empty() {
            for connection in self.post.taken(untaken) {
                self.delivery.taken(connection, self.now);
            }
        }
        if Instant::now() >= self.tick_at {
            self.delivery.tick(self.now);
            self.tick_at = Instant::now() + TICK;
        }
        self.lazy_until = match self.delivery.has_operations() {
            true => self.lazy_until.or_else(|| Some(Instant::now() + LAZY)),
            false => None,
        };
    }

    fn send(&mut self) {
        let sendings = self.delivery.take_sendings();
        if !sendings.is_empty() {
            self.post.send(sendings);
        }
    }

    /// Removes what has had its time, in steps.
    fn expire(&mut self) {
        if Instant::now() < self.expiry_at || self.end.health.health() != Health::Working {
            return;
        }
        let step = [Operation::Expire { at_most: EXPIRY_STEP }];
        let outcome = self.commit(|store, now| store.apply(now, &step));
        let has_more =
            outcome.is_ok_and(|outcomes| matches!(outcomes[..], [Outcome::Expired { has_more: true, .. }]));
        if !has_more {
            self.expiry_at = Instant::now() + EXPIRY_PERIOD;
        }
    }

    /// Does something that writes to the disk, and notes how that goes.
    fn commit<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Store, Millis) -> Result<T, StoreError>,
    ) -> Result<T, Unavailable> {
        let now = self.now();
        self.end.health.commit_begins();
        let result = work(&mut *self.store, now);
        self.end.health.commit_ends(result.as_ref().map(|_| ()));
        Ok(result?)
    }

    fn read(&mut self, read: Read) {
        let now = self.now();
        let store = &mut self.store;
        match read {
            Read::Waiting { page, answer } => answer_with(answer, store.waiting(now, &page)),
            Read::Receipt { id, uids, answer } => answer_with(answer, store.receipt(now, &id, uids)),
            Read::InboxOf { uid, answer } => answer_with(answer, store.inbox_of(now, &uid)),
            Read::Progress { producer, answer } => answer_with(answer, store.progress(&producer)),
            Read::Totals { answer } => answer_with(answer, store.totals()),
        }
    }

    /// Gives the time of day, which never goes back for the store.
    fn now(&mut self) -> Millis {
        self.now = self.now.max(millis(clock::since_epoch()));
        self.now
    }
}

/// Sends an answer, unless whoever asked has gone.
fn answer_with<T>(answer: Answer<T>, result: Result<T, StoreError>) {
    let _ = answer.send(result.map_err(Unavailable::from));
}
