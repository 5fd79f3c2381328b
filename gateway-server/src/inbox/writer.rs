//! The thread that owns the store: it does what others ask in groups, each group in one transaction, and answers behind that.
//!
//! Nothing else waits for the disk. A group is what has come while the group before it was written, so one request alone does not
//! wait for others, and many share one write.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::health::{Health, HealthNotes};
use super::model::{Device, Millis, Producer, Receipt, Totals, UidInbox, WaitingPage};
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

/// Asks the thread of a store.
#[derive(Clone)]
pub struct WriterHandle {
    queue: Arc<Queue>,
    notes: Arc<HealthNotes>,
}

/// A store with its thread.
pub struct Writer {
    handle: WriterHandle,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(store: Box<dyn Store>, settings: WriterSettings) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(settings.queue_bytes));
        let notes = Arc::new(HealthNotes::new(settings.slow));
        let handle = WriterHandle { queue: Arc::clone(&queue), notes: Arc::clone(&notes) };
        let worker = Worker { store, end: End { queue, notes }, now: 0 };
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
    pub fn health(&self) -> Health {
        self.notes.health()
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
        uid: Bytes,
        device: Device,
        after: u64,
        messages: usize,
        bytes: usize,
    ) -> impl Future<Output = Result<WaitingPage, Unavailable>> + use<> {
        self.ask(move |answer| Request::Read(Read::Waiting { uid, device, after, messages, bytes, answer }))
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
    notes: Arc<HealthNotes>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.notes.end();
        self.queue.abandon();
    }
}

/// What the thread has.
struct Worker {
    store: Box<dyn Store>,
    end: End,
    /// The last time of day that the store was told.
    now: Millis,
}

impl Worker {
    fn run(mut self) {
        let mut expiry_at = Instant::now();
        loop {
            let health = self.end.notes.health();
            let until_expiry = expiry_at.saturating_duration_since(Instant::now());
            let patience = if health == Health::Working { until_expiry } else { PROBE_PERIOD };
            match self.end.queue.take(patience) {
                Taken::Group(group) => self.do_group(group),
                Taken::Nothing if health != Health::Working => {
                    self.commit(|store, _| store.probe()).ok();
                }
                Taken::Nothing => {}
                Taken::Closed => break,
            }
            if Instant::now() >= expiry_at && self.end.notes.health() == Health::Working {
                let step = [Operation::Expire { at_most: EXPIRY_STEP }];
                let outcome = self.commit(|store, now| store.apply(now, &step));
                let has_more = outcome
                    .is_ok_and(|outcomes| matches!(outcomes[..], [Outcome::Expired { has_more: true, .. }]));
                if !has_more {
                    expiry_at = Instant::now() + EXPIRY_PERIOD;
                }
            }
        }
    }

    fn do_group(&mut self, group: Group) {
        if !group.answers.is_empty() {
            let result = self.commit(|store, now| store.apply(now, &group.operations));
            let mut outcomes = result.map(Vec::into_iter);
            for (count, answer) in group.answers {
                // Who no longer waits for the answer has gone, and what it asked for is done all the same.
                let _ = answer.send(match &mut outcomes {
                    Ok(outcomes) => Ok(outcomes.take(count).collect()),
                    Err(error) => Err(error.clone()),
                });
            }
        }
        for read in group.reads {
            self.read(read);
        }
    }

    /// Does something that writes to the disk, and notes how that goes.
    fn commit<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Store, Millis) -> Result<T, StoreError>,
    ) -> Result<T, Unavailable> {
        let now = self.now();
        self.end.notes.commit_begins();
        let result = work(&mut *self.store, now);
        self.end.notes.commit_ends(result.as_ref().map(|_| ()));
        Ok(result?)
    }

    fn read(&mut self, read: Read) {
        let now = self.now();
        let store = &mut self.store;
        match read {
            Read::Waiting { uid, device, after, messages, bytes, answer } => {
                send(answer, store.waiting(now, &uid, &device, after, messages, bytes));
            }
            Read::Receipt { id, uids, answer } => send(answer, store.receipt(now, &id, uids)),
            Read::InboxOf { uid, answer } => send(answer, store.inbox_of(now, &uid)),
            Read::Progress { producer, answer } => send(answer, store.progress(&producer)),
            Read::Totals { answer } => send(answer, store.totals()),
        }
    }

    /// Gives the time of day, which never goes back for the store.
    fn now(&mut self) -> Millis {
        self.now = self.now.max(millis(clock::since_epoch()));
        self.now
    }
}

/// Sends an answer, unless whoever asked has gone.
fn send<T>(answer: Answer<T>, result: Result<T, StoreError>) {
    let _ = answer.send(result.map_err(Unavailable::from));
}
