//! Questions to pages: whom each has gone to, and what they have answered. Each shard tells of answers, and of clients that go, through
//! the event sink of its own, which is wrapped here.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway_wire::ClientId;
use gateway_wire::client_protocol::AskId;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use tokio::sync::Notify;

use crate::shard::event_sink::{Client, EventSink, Handshake, Welcome};
use crate::system::ages::{ago, millis};

/// The largest number of clients that one question may go to.
pub(super) const MOST_ASKED: usize = 1000;
/// The bytes of all answers to one question. A client whose answer goes beyond them has not answered.
const ANSWER_BYTES: usize = 8 << 20;
/// The memory of the answers to all questions, in bytes, with the same effect.
const ALL_ANSWER_BYTES: usize = 64 << 20;
/// The number of questions of which the answers are kept at the same time.
const MOST_QUESTIONS: usize = 100_000;
/// How long answers are kept for who has asked. It is far longer than anybody waits.
const KEPT: Duration = Duration::from_secs(120);
/// The memory that an answer takes besides its bytes, about.
const ANSWER_COST: usize = 64;

/// The answer of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The client may still answer.
    Awaited,
    Answered(Bytes),
    /// The client has gone, cannot answer, or has answered too much.
    Never,
}

/// Why a question is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    #[error("a question may go to {MOST_ASKED} clients at most, and this one concerns {0}")]
    TooMany(usize),
    #[error("{MOST_QUESTIONS} questions are being asked already: ask again later")]
    Busy,
}

/// A question as another process goes on with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedAsk {
    id: u64,
    /// How long ago it was asked, in milliseconds.
    age: u64,
    /// The clients that may still answer.
    awaited: Vec<u32>,
    /// The clients that will not answer.
    never: Vec<u32>,
    answered: Vec<(u32, ByteBuf)>,
}

/// The questions of a server.
#[derive(Default)]
pub struct Asks {
    /// The number of questions. While there is none, nobody looks further.
    count: AtomicUsize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    asked: HashMap<AskId, Asked>,
    /// The memory of all answers, in bytes.
    bytes: usize,
}

struct Asked {
    replies: HashMap<u32, Reply>,
    /// The number of clients that may still answer.
    awaited: usize,
    bytes: usize,
    since: Instant,
    changed: Arc<Notify>,
}

impl Asks {
    /// Begins a question that is about to go to `pages`, and that `others` cannot answer. A question that has begun goes on with these.
    pub fn begin(&self, id: AskId, pages: &[u32], others: &[u32]) -> Result<(), NotAsked> {
        let mut table = self.table();
        table.forget_old(Instant::now());
        let before = table.asked.get(&id).map_or(0, |asked| asked.replies.len());
        let all = before + pages.len() + others.len();
        if all > MOST_ASKED {
            return Err(NotAsked::TooMany(all));
        }
        if table.asked.len() >= MOST_QUESTIONS && !table.asked.contains_key(&id) {
            return Err(NotAsked::Busy);
        }
        let asked = table.asked.entry(id).or_insert_with(|| Asked {
            replies: HashMap::new(),
            awaited: 0,
            bytes: 0,
            since: Instant::now(),
            changed: Arc::default(),
        });
        for (clients, reply) in [(pages, Reply::Awaited), (others, Reply::Never)] {
            for client in clients {
                asked.replies.entry(*client).or_insert_with(|| {
                    asked.awaited += usize::from(reply == Reply::Awaited);
                    reply.clone()
                });
            }
        }
        self.count.store(table.asked.len(), Ordering::Release);
        Ok(())
    }

    /// Waits until all clients have answered or will not, at most for this time. Gives how far they have come, or `None` for a question
    /// that nobody has asked here.
    pub async fn replies(&self, id: AskId, wait: Duration) -> Option<Vec<(u32, Reply)>> {
        let changed = Arc::clone(&self.table().asked.get(&id)?.changed);
        let over = tokio::time::sleep(wait);
        tokio::pin!(over);
        loop {
            let notified = changed.notified();
            tokio::pin!(notified);
            // What changes behind the look at the answers wakes this too.
            notified.as_mut().enable();
            let (replies, is_complete) = self.replies_now(id)?;
            if is_complete {
                return Some(replies);
            }
            tokio::select! {
                () = notified => {}
                () = &mut over => return Some(self.replies_now(id)?.0),
            }
        }
    }

    /// Whether this question was asked here, and is remembered.
    pub fn knows(&self, id: AskId) -> bool {
        self.table().asked.contains_key(&id)
    }

    /// Gives all questions for another process.
    pub fn carry(&self) -> Vec<CarriedAsk> {
        let now = Instant::now();
        self.table().asked.iter().map(|(id, asked)| asked.carry(*id, now)).collect()
    }

    /// Goes on with the questions of another process, whose clients are here.
    pub fn take_over(&self, carried: Vec<CarriedAsk>) {
        let now = Instant::now();
        for CarriedAsk { id, age, awaited, never, answered } in carried {
            let id = AskId(id);
            let pages: Vec<u32> =
                awaited.into_iter().chain(answered.iter().map(|(client, _)| *client)).collect();
            // What is beyond the bounds of this process is forgotten.
            if self.begin(id, &pages, &never).is_ok() {
                answered.iter().for_each(|(client, answer)| self.answered(*client, id, answer));
                if let Some(asked) = self.table().asked.get_mut(&id) {
                    asked.since = ago(now, Duration::from_millis(age));
                }
            }
        }
    }

    fn replies_now(&self, id: AskId) -> Option<(Vec<(u32, Reply)>, bool)> {
        let table = self.table();
        let asked = table.asked.get(&id)?;
        let replies = asked.replies.iter().map(|(client, reply)| (*client, reply.clone()));
        Some((replies.collect(), asked.awaited == 0))
    }

    /// Takes an answer. One that nobody waits for, and any but the first of a client, is dropped.
    fn answered(&self, client: u32, id: AskId, answer: &[u8]) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut table = self.table();
        let left = ALL_ANSWER_BYTES.saturating_sub(table.bytes);
        let Some(asked) = table.asked.get_mut(&id) else { return };
        let room = left.min(ANSWER_BYTES - asked.bytes);
        let cost = answer.len() + ANSWER_COST;
        let reply = if cost <= room { Reply::Answered(Bytes::copy_from_slice(answer)) } else { Reply::Never };
        let taken = if reply == Reply::Never { 0 } else { cost };
        if asked.decide(client, reply) {
            asked.bytes += taken;
            table.bytes += taken;
        }
    }

    /// Notes that a client has gone.
    fn gone(&self, client: u32) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        self.table().asked.values_mut().for_each(|asked| {
            asked.decide(client, Reply::Never);
        });
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget_old(&mut self, now: Instant) {
        let bytes = &mut self.bytes;
        self.asked.retain(|_, asked| {
            let is_kept = now.saturating_duration_since(asked.since) < KEPT;
            *bytes -= if is_kept { 0 } else { asked.bytes };
            is_kept
        });
    }
}

impl Asked {
    fn carry(&self, id: AskId, now: Instant) -> CarriedAsk {
        let age = millis(now.saturating_duration_since(self.since));
        let mut carried = CarriedAsk { id: id.0, age, awaited: vec![], never: vec![], answered: vec![] };
        for (client, reply) in &self.replies {
            match reply {
                Reply::Awaited => carried.awaited.push(*client),
                Reply::Never => carried.never.push(*client),
                Reply::Answered(answer) => carried.answered.push((*client, ByteBuf::from(&answer[..]))),
            }
        }
        carried
    }

    /// Decides what a client has answered. Gives false where that is decided already, or the client was not asked.
    fn decide(&mut self, client: u32, decided: Reply) -> bool {
        let Some(reply) = self.replies.get_mut(&client).filter(|reply| **reply == Reply::Awaited) else {
            return false;
        };
        *reply = decided;
        self.awaited -= 1;
        if self.awaited == 0 {
            self.changed.notify_waiters();
        }
        true
    }
}

/// Tells the questions what they have to know of a shard's events, all of which go on to another sink.
pub(super) struct AskingSink {
    sink: Box<dyn EventSink>,
    asks: Arc<Asks>,
}

impl AskingSink {
    pub(super) fn around(sink: Box<dyn EventSink>, asks: &Arc<Asks>) -> Box<dyn EventSink> {
        Box::new(Self { sink, asks: Arc::clone(asks) })
    }
}

impl EventSink for AskingSink {
    fn connected(&mut self, client: &Client<'_>, handshake: Option<Box<Handshake>>) -> Welcome {
        self.sink.connected(client, handshake)
    }

    fn moved(&mut self, client: &Client<'_>, old: ClientId) -> Welcome {
        self.sink.moved(client, old)
    }

    fn message(&mut self, client: &Client<'_>, message: &[u8]) {
        self.sink.message(client, message);
    }

    fn answered(&mut self, client: &Client<'_>, id: AskId, answer: &str) {
        self.asks.answered(client.connection_id, id, answer.as_bytes());
    }

    fn closed(&mut self, client: &Client<'_>) {
        self.asks.gone(client.connection_id);
        self.sink.closed(client);
    }

    fn moved_away(&mut self, client: &Client<'_>) {
        self.asks.gone(client.connection_id);
        self.sink.moved_away(client);
    }

    fn takes_more(&mut self, connection_id: u32) -> bool {
        self.sink.takes_more(connection_id)
    }

    fn export(&self, connection_id: u32) -> Option<Bytes> {
        self.sink.export(connection_id)
    }

    fn restore(&mut self, client: &Client<'_>, exported: &[u8]) {
        self.sink.restore(client, exported);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: AskId = AskId(7);
    const NO_TIME: Duration = Duration::ZERO;

    async fn sorted(asks: &Asks) -> Vec<(u32, Reply)> {
        let mut replies = asks.replies(ID, NO_TIME).await.unwrap();
        replies.sort_unstable_by_key(|(client, _)| *client);
        replies
    }

    fn answer(text: &'static str) -> Reply {
        Reply::Answered(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn each_client_that_was_asked_answers_once() {
        let asks = Asks::default();
        asks.answered(1, ID, b"before it was asked");
        assert!(!asks.knows(ID) && asks.replies(ID, NO_TIME).await.is_none());
        asks.begin(ID, &[1, 2], &[3]).unwrap();
        asks.begin(ID, &[4, 1], &[]).unwrap();
        asks.answered(2, ID, b"two");
        asks.answered(2, ID, b"two again");
        asks.answered(3, ID, b"it cannot have been asked");
        asks.answered(9, ID, b"somebody else");
        asks.answered(1, AskId(8), b"another question");
        asks.gone(4);
        asks.answered(4, ID, b"after it has gone");
        assert_eq!(
            sorted(&asks).await,
            [(1, Reply::Awaited), (2, answer("two")), (3, Reply::Never), (4, Reply::Never)]
        );
    }

    #[tokio::test]
    async fn who_waits_goes_on_with_the_last_answer() {
        let asks = Arc::new(Asks::default());
        asks.begin(ID, &[1, 2], &[]).unwrap();
        let waiting = tokio::spawn({
            let asks = Arc::clone(&asks);
            async move { asks.replies(ID, Duration::from_secs(60)).await.unwrap().len() }
        });
        asks.answered(1, ID, b"");
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        asks.gone(2);
        assert_eq!(waiting.await.unwrap(), 2);
        asks.begin(AskId(8), &[], &[]).unwrap();
        assert_eq!(asks.replies(AskId(8), Duration::from_secs(60)).await, Some(vec![]));
    }

    #[tokio::test]
    async fn another_process_goes_on_with_questions_and_answers() {
        let asks = Asks::default();
        asks.begin(ID, &[1, 2], &[3]).unwrap();
        asks.answered(2, ID, b"two");
        let there = Asks::default();
        there.take_over(asks.carry());
        assert_eq!(sorted(&there).await, sorted(&asks).await);
        there.answered(2, ID, b"again");
        there.answered(1, ID, b"one");
        assert_eq!(sorted(&there).await, [(1, answer("one")), (2, answer("two")), (3, Reply::Never)]);
        assert!(there.replies(ID, Duration::from_secs(60)).await.is_some());
    }

    #[tokio::test]
    async fn answers_are_bounded_and_forgotten() {
        let asks = Asks::default();
        let many: Vec<u32> = (0..MOST_ASKED as u32).collect();
        asks.begin(ID, &many, &[]).unwrap();
        assert_eq!(asks.begin(ID, &[5000], &[]), Err(NotAsked::TooMany(1001)));
        let large = vec![b'x'; ANSWER_BYTES / 2];
        for client in 0..3 {
            asks.answered(client, ID, &large);
        }
        let replies = sorted(&asks).await;
        assert!(matches!(replies[0].1, Reply::Answered(_)));
        assert_eq!(
            [&replies[1].1, &replies[2].1, &replies[3].1],
            [&Reply::Never, &Reply::Never, &Reply::Awaited]
        );
        // Other questions share a bound too.
        for other in 0..40 {
            let id = AskId(100 + other);
            asks.begin(id, &[1], &[]).unwrap();
            asks.answered(1, id, &large);
        }
        assert!(asks.table().bytes <= ALL_ANSWER_BYTES);
        asks.table().forget_old(Instant::now() + KEPT);
        let left = asks.table().bytes;
        assert_eq!((left, asks.knows(ID)), (0, false));
    }
}
