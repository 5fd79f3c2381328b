//! The questions of a server, as shards and those who ask share them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gateway_wire::client_protocol::AskId;

use super::table::{CarriedAsk, NotAsked, Reply, Table};
use crate::system::sweep::keep_swept;

/// The time between two looks at questions that are to be forgotten.
const LOOK: Duration = Duration::from_secs(30);

/// The questions of a server.
#[derive(Default)]
pub struct Asks {
    /// The number of questions. While there is none, nobody looks further.
    count: AtomicUsize,
    table: Mutex<Table>,
}

impl Asks {
    /// Begins a question that is about to go to `pages`, and that `others` cannot answer. A question that has begun goes on with these.
    pub fn begin(self: &Arc<Self>, id: AskId, pages: &[u32], others: &[u32]) -> Result<(), NotAsked> {
        let mut table = self.table();
        table.begin(id, pages, others, Instant::now())?;
        self.changed(&mut table);
        Ok(())
    }

    /// Waits until all clients have answered or will not, at most for this time. Gives how far they have come, or `None` for a question
    /// that nobody has asked here.
    pub async fn replies(&self, id: AskId, wait: Duration) -> Option<Vec<(u32, Reply)>> {
        let complete = self.table().complete(id)?;
        let over = tokio::time::sleep(wait);
        tokio::pin!(over);
        loop {
            let notified = complete.notified();
            tokio::pin!(notified);
            // What changes behind the look at the answers wakes this too.
            notified.as_mut().enable();
            let (replies, is_complete) = self.table().replies(id)?;
            if is_complete {
                return Some(replies);
            }
            tokio::select! {
                () = notified => {}
                () = &mut over => return Some(self.table().replies(id)?.0),
            }
        }
    }

    /// Whether this question was asked here, and is remembered.
    pub fn knows(&self, id: AskId) -> bool {
        self.table().knows(id)
    }

    /// Gives all questions for another process.
    pub fn carry(&self) -> Vec<CarriedAsk> {
        self.table().carry(Instant::now())
    }

    /// Goes on with the questions of another process, whose clients are here.
    pub fn take_over(self: &Arc<Self>, carried: Vec<CarriedAsk>) {
        let (mut table, now) = (self.table(), Instant::now());
        carried.into_iter().for_each(|one| table.take_over(one, now));
        self.changed(&mut table);
    }

    /// Takes an answer. One that nobody waits for, and any but the first of a client, is dropped.
    pub(super) fn answered(&self, client: u32, id: AskId, answer: &[u8]) {
        if self.count.load(Ordering::Acquire) > 0 {
            self.table().answer(client, id, answer);
        }
    }

    /// Notes that a client has gone.
    pub(super) fn gone(&self, client: u32) {
        if self.count.load(Ordering::Acquire) > 0 {
            self.table().leave(client);
        }
    }

    /// Counts the questions, and has old ones forgotten while there are any.
    fn changed(self: &Arc<Self>, table: &mut Table) {
        self.count.store(table.len(), Ordering::Release);
        if table.len() > 0 {
            let asks = Arc::clone(self);
            keep_swept(&mut table.is_swept, LOOK, move |now| asks.forget_old(now));
        }
    }

    /// Forgets old questions. Gives whether none is left, and so nobody has to look for more.
    fn forget_old(&self, now: Instant) -> bool {
        let mut table = self.table();
        table.forget_old(now);
        self.count.store(table.len(), Ordering::Release);
        table.is_swept = table.len() > 0;
        !table.is_swept
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::table::{ALL_ANSWER_BYTES, ANSWER_BYTES, KEPT, MOST_ASKED};
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
        let asks = Arc::new(Asks::default());
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
        let asks = Arc::new(Asks::default());
        asks.begin(ID, &[1, 2], &[3]).unwrap();
        asks.answered(2, ID, b"two");
        let there = Arc::new(Asks::default());
        there.take_over(asks.carry());
        assert_eq!(sorted(&there).await, sorted(&asks).await);
        there.answered(2, ID, b"again");
        there.answered(1, ID, b"one");
        assert_eq!(sorted(&there).await, [(1, answer("one")), (2, answer("two")), (3, Reply::Never)]);
        assert!(there.replies(ID, Duration::from_secs(60)).await.is_some());
    }

    #[tokio::test]
    async fn answers_are_bounded_and_forgotten() {
        let asks = Arc::new(Asks::default());
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
        assert!(asks.table().bytes() <= ALL_ANSWER_BYTES);
        asks.table().forget_old(Instant::now() + KEPT);
        let left = asks.table().bytes();
        assert_eq!((left, asks.knows(ID)), (0, false));
    }

    #[tokio::test]
    async fn questions_are_forgotten_while_nobody_asks() {
        let (asks, now) = (Arc::new(Asks::default()), Instant::now());
        asks.begin(ID, &[1], &[]).unwrap();
        assert!(asks.table().is_swept && !asks.forget_old(now));
        assert!(asks.forget_old(now + KEPT * 2));
        assert_eq!((asks.count.load(Ordering::Acquire), asks.table().is_swept), (0, false));
        asks.begin(ID, &[1], &[]).unwrap();
        assert!(asks.table().is_swept && asks.knows(ID));
    }
}
