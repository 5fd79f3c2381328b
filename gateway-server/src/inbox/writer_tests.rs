//! The thread of a store with disks that are slow, full or gone, and stores that panic.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::bounds::{Bounds, DEFAULT_TTL};
use super::delivery::{Content, Post, Sending};
use super::health::Health;
use super::memory_store::MemoryStore;
use super::model::{
    Device, Millis, NewDevice, NewMessage, PageRequest, Producer, Receipt, Totals, UidInbox, UidSummary,
    WaitingPage,
};
use super::notices::Notice;
use super::request::Unavailable;
use super::sqlite::SqliteStore;
use super::store::{Operation, Outcome, Store, StoreError};
use super::worker::Opener;
use super::writer::{Writer, WriterHandle, WriterSettings};

/// What the store does with the next batch that has messages.
enum Next {
    Work,
    Fail(StoreError),
    Panic,
}

/// A store in memory that says when it is given messages, and does with them what the test says then.
struct Guided {
    store: MemoryStore,
    begun: Sender<usize>,
    next: Receiver<Next>,
}

impl Store for Guided {
    fn apply(&mut self, now: Millis, operations: &[Operation]) -> Result<Vec<Outcome>, StoreError> {
        if matches!(operations, [Operation::Deliver(_), ..]) {
            self.begun.send(operations.len()).unwrap();
            match self.next.recv().unwrap() {
                Next::Work => {}
                Next::Fail(error) => return Err(error),
                Next::Panic => panic!("the test wants it"),
            }
        }
        self.store.apply(now, operations)
    }

    fn waiting(&mut self, now: Millis, page: &PageRequest) -> Result<WaitingPage, StoreError> {
        self.store.waiting(now, page)
    }

    fn receipt(&mut self, now: Millis, id: &str, uids: usize) -> Result<Vec<Receipt>, StoreError> {
        self.store.receipt(now, id, uids)
    }

    fn inbox_of(&mut self, now: Millis, uid: &[u8]) -> Result<Option<UidInbox>, StoreError> {
        self.store.inbox_of(now, uid)
    }

    fn uids(&mut self, after: &[u8], limit: usize) -> Result<Vec<UidSummary>, StoreError> {
        self.store.uids(after, limit)
    }

    fn progress(&mut self, producer: &Producer) -> Result<Option<u64>, StoreError> {
        self.store.progress(producer)
    }

    fn notices(&mut self, limit: usize, bytes: usize) -> Result<Vec<Notice>, StoreError> {
        self.store.notices(limit, bytes)
    }

    fn has_undelivered(&mut self, now: Millis) -> Result<bool, StoreError> {
        self.store.has_undelivered(now)
    }

    fn totals(&mut self) -> Result<Totals, StoreError> {
        self.store.totals()
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A post for connections, of which there are none.
struct Nobody;

impl Post for Nobody {
    fn send(&mut self, sendings: Vec<Sending>) {
        panic!("{sendings:?}");
    }

    fn taken(&mut self, connections: Vec<u32>) -> Vec<u32> {
        connections
    }
}

pub(super) fn start(store: Box<dyn Store>, settings: WriterSettings) -> Writer {
    let open = Box::new(|| Err("the test has another one".to_owned()));
    Writer::start(WriterHandle::new(settings), Some(store), open, Box::new(Nobody)).unwrap()
}

fn guided(settings: WriterSettings) -> (Writer, Receiver<usize>, Sender<Next>) {
    let ((begun, has_begun), (next, receiver)) = (channel(), channel());
    let store = Guided { store: MemoryStore::new(Bounds::default()), begun, next: receiver };
    (start(Box::new(store), settings), has_begun, next)
}

fn on_disk(path: &Path) -> Writer {
    let store = SqliteStore::open(path, Bounds::default()).unwrap();
    start(Box::new(store), WriterSettings::default())
}

fn deliver(id: &str) -> Vec<Operation> {
    vec![Operation::Deliver(NewMessage {
        uid: Bytes::from_static(b"anna"),
        id: id.into(),
        payload: Bytes::from_static(b"x"),
        is_binary: false,
        ttl: DEFAULT_TTL,
        replace: None,
        new_device: NewDevice::All,
        producer: None,
    })]
}

/// Waits until the health is as wanted.
async fn until(handle: &WriterHandle, wanted: impl Fn(&Health) -> bool) {
    let begin = Instant::now();
    while !wanted(&handle.health()) {
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", handle.health());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_comes_during_a_commit_shares_the_next_one() {
    let (writer, begun, next) = guided(WriterSettings::default());
    let first = writer.handle().apply(deliver("m0"));
    assert_eq!(begun.recv().unwrap(), 1);
    let others: Vec<_> =
        (1..=20).map(|number| writer.handle().apply(deliver(&format!("m{number}")))).collect();
    let totals = writer.handle().totals();
    next.send(Next::Work).unwrap();
    assert!(matches!(first.await.unwrap()[..], [Outcome::Stored { seq: 1, .. }]));
    assert_eq!(begun.recv().unwrap(), 20);
    next.send(Next::Work).unwrap();
    for (seq, other) in (2..).zip(others) {
        assert!(matches!(other.await.unwrap()[..], [Outcome::Stored { seq: stored, .. }] if stored == seq));
    }
    assert_eq!(totals.await.unwrap().messages, 21);
    assert!(writer.stop());
}

#[tokio::test]
async fn requests_are_refused_at_once_while_a_commit_is_slow() {
    let settings = WriterSettings { slow: Duration::from_millis(20), ..WriterSettings::default() };
    let (writer, begun, next) = guided(settings);
    let slow = writer.handle().apply(deliver("a"));
    begun.recv().unwrap();
    until(writer.handle(), |health| matches!(health, Health::Slow(_))).await;
    assert_eq!(writer.handle().apply(deliver("b")).await, Err(Unavailable::Slow));
    assert_eq!(writer.handle().totals().await, Err(Unavailable::Slow));
    next.send(Next::Work).unwrap();
    assert_eq!(slow.await.unwrap().len(), 1);
    until(writer.handle(), |health| *health == Health::Working).await;
    next.send(Next::Work).unwrap();
    assert!(writer.handle().apply(deliver("b")).await.is_ok());
    assert!(writer.stop());
}

#[tokio::test]
async fn a_commit_that_fails_refuses_its_group_alone() {
    let (writer, _begun, next) = guided(WriterSettings::default());
    for (error, is_full) in
        [(StoreError::DiskFull("no space".into()), true), (StoreError::Io("error 5".into()), false)]
    {
        next.send(Next::Fail(error.clone())).unwrap();
        assert_eq!(writer.handle().apply(deliver("a")).await, Err(Unavailable::Store(error)));
        match writer.handle().health() {
            Health::Full(reason) => assert!(is_full && reason.contains("no space")),
            Health::Failed(reason) => assert!(!is_full && reason.contains("error 5")),
            health => panic!("{health:?}"),
        }
    }
    next.send(Next::Work).unwrap();
    assert!(writer.handle().apply(deliver("a")).await.is_ok());
    assert_eq!(writer.handle().health(), Health::Working);
    // The health comes back without a request, too.
    next.send(Next::Fail(StoreError::Io("error 5".into()))).unwrap();
    assert!(writer.handle().apply(deliver("b")).await.is_err());
    until(writer.handle(), |health| *health == Health::Working).await;
    assert!(writer.stop());
}

#[tokio::test]
async fn a_thread_that_panics_is_seen_and_nobody_waits_for_it() {
    let (writer, begun, next) = guided(WriterSettings::default());
    let first = writer.handle().apply(deliver("a"));
    begun.recv().unwrap();
    let second = writer.handle().apply(deliver("b"));
    next.send(Next::Panic).unwrap();
    assert_eq!((first.await, second.await), (Err(Unavailable::Ended), Err(Unavailable::Ended)));
    until(writer.handle(), |health| *health == Health::Ended).await;
    assert_eq!(writer.handle().apply(deliver("c")).await, Err(Unavailable::Ended));
    assert!(!writer.stop());
}

#[tokio::test]
async fn a_store_whose_file_was_removed_refuses_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let [here, away] = ["here", "away"].map(|name| folder.path().join(name));
    std::fs::create_dir(&here).unwrap();
    let writer = on_disk(&here.join("store"));
    assert!(writer.handle().apply(deliver("a")).await.is_ok());
    std::fs::rename(&here, &away).unwrap();
    let refused = writer.handle().apply(deliver("b")).await;
    assert!(matches!(refused, Err(Unavailable::Store(StoreError::Gone(_)))), "{refused:?}");
    assert!(matches!(writer.handle().health(), Health::Failed(_)));
    std::fs::rename(&away, &here).unwrap();
    until(writer.handle(), |health| *health == Health::Working).await;
    assert!(writer.handle().apply(deliver("b")).await.is_ok());
    assert_eq!(writer.handle().totals().await.unwrap().messages, 2);
    assert!(writer.stop());
}

#[tokio::test]
async fn what_has_had_its_time_goes_without_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut store = SqliteStore::open(&path, Bounds { messages: 10_000, ..Bounds::default() }).unwrap();
    let old: Vec<_> = (0..1200).flat_map(|number| deliver(&format!("m{number}"))).collect();
    store.apply(1, &old).unwrap();
    assert_eq!(store.totals().unwrap().messages, 1200);
    let writer = start(Box::new(store), WriterSettings::default());
    let begin = Instant::now();
    while writer.handle().totals().await.unwrap() != Totals::default() {
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
    assert!(writer.stop());
}

/// A post that passes on what connections are sent.
struct Heard(Sender<Sending>);

impl Post for Heard {
    fn send(&mut self, sendings: Vec<Sending>) {
        sendings.into_iter().for_each(|sending| self.0.send(sending).unwrap());
    }

    fn taken(&mut self, connections: Vec<u32>) -> Vec<u32> {
        connections
    }
}

/// Starts the thread of a store on disk, and gives what connections are sent.
fn heard(path: &Path) -> (Writer, Receiver<Sending>) {
    let path = path.to_owned();
    let (sender, heard) = channel();
    let open: Opener = Box::new(move || {
        let store = SqliteStore::open(&path, Bounds::default()).map_err(|error| error.to_string())?;
        Ok(Box::new(store))
    });
    let handle = WriterHandle::new(WriterSettings::default());
    (Writer::start(handle, None, open, Box::new(Heard(sender))).unwrap(), heard)
}

const PATIENCE: Duration = Duration::from_secs(30);

/// Gives whether the next message to connections has not waited, and its position.
fn next(heard: &Receiver<Sending>) -> (Vec<u32>, bool, u64, u64) {
    let sending = heard.recv_timeout(PATIENCE).unwrap();
    match sending.content {
        Content::Message { is_new, epoch, seq, .. } => (sending.connections, is_new, epoch, seq),
        Content::Lost { .. } => panic!("{sending:?}"),
    }
}

#[tokio::test]
async fn what_is_stored_goes_to_who_is_there_and_what_waits_to_who_comes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (writer, messages) = heard(&path);
    writer.handle().apply(deliver("a")).await.unwrap();
    let notes = writer.handle().notes();
    notes.bound(7, true, b"anna", Device::Invented("phone".into()), true);
    let (connections, is_new, epoch, seq) = next(&messages);
    assert_eq!((connections, is_new, seq), (vec![7], false, 1));
    writer.handle().apply(deliver("b")).await.unwrap();
    assert_eq!(next(&messages), (vec![7], true, epoch, 2));
    notes.got(7, epoch, 2);
    // What pages have acknowledged is on disk when the thread has ended, however soon that is.
    assert!(writer.stop());
    let (writer, messages) = heard(&path);
    writer.handle().apply(deliver("c")).await.unwrap();
    writer.handle().notes().bound(8, true, b"anna", Device::Invented("phone".into()), true);
    assert_eq!(next(&messages), (vec![8], false, epoch, 3));
    assert!(writer.stop());
}

#[tokio::test]
async fn another_process_has_the_store_during_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (writer, messages) = heard(&path);
    writer.handle().apply(deliver("a")).await.unwrap();
    let at_rest = writer.handle().rest().await.unwrap();
    let other = SqliteStore::open(&path, Bounds::default()).unwrap();
    // What comes meanwhile waits, and the store is opened again once it is free.
    let waiting = writer.handle().apply(deliver("b"));
    drop(at_rest);
    until(writer.handle(), |health| matches!(health, Health::Failed(_))).await;
    drop(other);
    assert!(matches!(waiting.await.unwrap()[..], [Outcome::Stored { seq: 2, .. }]));
    writer.handle().notes().bound(7, true, b"anna", Device::Shared, false);
    assert_eq!([next(&messages).3, next(&messages).3], [1, 2]);
    // A thread whose store another process has for good ends, and says so.
    writer.handle().rest().await.unwrap().leave();
    until(writer.handle(), |health| *health == Health::Ended).await;
    assert!(SqliteStore::open(&path, Bounds::default()).is_ok());
    assert!(writer.stop());
}
