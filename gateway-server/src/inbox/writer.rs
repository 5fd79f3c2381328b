//! Asking the thread of a store. Nobody else waits for the disk.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::counts::{InboxCounts, InboxSnapshot};
use super::delivery::Post;
use super::health::{Health, HealthNotes};
use super::model::{PageRequest, Producer, Receipt, Totals, UidInbox, UidSummary, WaitingPage};
use super::notes::InboxNotes;
use super::notices::Notice;
use super::pause::{AtRest, pause};
use super::queue::Queue;
use super::request::{Answer, Read, Request, Unavailable};
use super::store::{Operation, Outcome, Store};
use super::worker::{End, Opener, Worker};

/// What a writer needs to know.
#[derive(Clone, Copy, Debug)]
pub struct WriterSettings {
    /// The memory of all requests that wait, in bytes.
    pub queue_bytes: usize,
    /// From when on a commit is slow, so that requests are refused at once.
    pub slow: Duration,
    /// Whether the store watches over messages that no device has acknowledged.
    pub watches: bool,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self { queue_bytes: 64 << 20, slow: Duration::from_secs(1), watches: false }
    }
}

/// Asks the thread of a store. It may be asked before the thread has started, which then answers.
#[derive(Clone)]
pub struct WriterHandle {
    queue: Arc<Queue>,
    health: Arc<HealthNotes>,
    counts: Arc<InboxCounts>,
    notes: InboxNotes,
    /// Notified when notices wait for PHP.
    has_notices: Arc<Notify>,
    watches: bool,
}

/// The thread of a store.
pub struct Writer {
    handle: WriterHandle,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread for whoever has this handle. It opens the store if that is not open yet, and tries until it can.
    pub fn start(
        handle: WriterHandle,
        store: Option<Box<dyn Store>>,
        open: Opener,
        post: Box<dyn Post>,
    ) -> io::Result<Self> {
        let end = End {
            queue: Arc::clone(&handle.queue),
            counts: Arc::clone(&handle.counts),
            health: Arc::clone(&handle.health),
            has_notices: Arc::clone(&handle.has_notices),
        };
        let worker = Worker::new(store, open, post, handle.notes.clone(), end, handle.watches);
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
        Self {
            queue,
            health: Arc::new(HealthNotes::new(settings.slow)),
            counts: Arc::default(),
            notes,
            has_notices: Arc::default(),
            watches: settings.watches,
        }
    }

    /// Gives what wakes the thread when the store has news.
    pub fn waker(&self) -> impl Fn() + Send + Sync + use<> {
        let queue = Arc::clone(&self.queue);
        move || queue.wake()
    }

    pub fn health(&self) -> Health {
        self.health.health()
    }

    /// What the store holds and has done.
    pub fn counts(&self) -> InboxSnapshot {
        self.counts.snapshot()
    }

    /// Counts a request to the webhook, which has taken it or not.
    pub fn count_webhook(&self, is_told: bool) {
        self.counts.webhook(is_told);
    }

    /// The bytes of the requests that wait.
    pub fn queue_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Says whether the queue takes much more.
    pub fn has_room(&self) -> bool {
        self.queue.has_room()
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

    /// Gives uids for which messages wait; see [`Store::uids`].
    pub fn uids(
        &self,
        after: Bytes,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<UidSummary>, Unavailable>> + use<> {
        self.ask(move |answer| Request::Read(Read::Uids { after, limit, answer }))
    }

    /// Gives how far a producer has come; see [`Store::progress`].
    pub fn progress(
        &self,
        producer: Producer,
    ) -> impl Future<Output = Result<Option<u64>, Unavailable>> + use<> {
        self.ask(move |answer| Request::Read(Read::Progress { producer, answer }))
    }

    /// Gives the oldest notices for PHP; see [`Store::notices`].
    pub fn notices(
        &self,
        limit: usize,
        bytes: usize,
    ) -> impl Future<Output = Result<Vec<Notice>, Unavailable>> + use<> {
        self.ask(move |answer| Request::Read(Read::Notices { limit, bytes, answer }))
    }

    /// Waits until notices may wait for PHP that were not there when this was called last. One caller alone waits.
    pub async fn notices_come(&self) {
        self.has_notices.notified().await;
    }

    pub fn totals(&self) -> impl Future<Output = Result<Totals, Unavailable>> + use<> {
        self.ask(move |answer| Request::Read(Read::Totals { answer }))
    }

    /// Has the thread close the store behind everything that was asked before, and waits until it has. Requests wait from then on.
    pub async fn rest(&self) -> Result<AtRest, Unavailable> {
        let (pause, at_rest, closed) = pause();
        self.queue.push(Request::Pause(pause))?;
        closed.await.map(|()| at_rest).map_err(|_| Unavailable::Ended)
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
