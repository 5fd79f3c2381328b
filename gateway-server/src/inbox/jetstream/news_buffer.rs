//! The news that wait for the thread of the store, bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::inbox::store::News;

/// Wakes the thread of the store.
pub type Waker = Box<dyn Fn() + Send + Sync>;

/// The bytes of all news that wait at most, unless one alone has more.
const BYTES: usize = 16 << 20;
/// The bytes that one takes besides what it holds, roughly.
const OVERHEAD: usize = 256;

pub(super) struct NewsBuffer {
    waiting: Mutex<Waiting>,
    room: Notify,
    wake: Waker,
}

#[derive(Default)]
struct Waiting {
    news: VecDeque<News>,
    bytes: usize,
}

impl NewsBuffer {
    pub(super) fn new(wake: Waker) -> Self {
        Self { waiting: Mutex::default(), room: Notify::new(), wake }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one behind the others, once there is room.
    pub(super) async fn push(&self, news: News) {
        let cost = cost(&news);
        loop {
            {
                let mut waiting = self.lock();
                if waiting.news.is_empty() || waiting.bytes + cost <= BYTES {
                    waiting.bytes += cost;
                    waiting.news.push_back(news);
                    break;
                }
            }
            self.room.notified().await;
        }
        (self.wake)();
    }

    /// Takes everything that waits.
    pub(super) fn take(&self) -> VecDeque<News> {
        let Waiting { news, .. } = std::mem::take(&mut *self.lock());
        self.room.notify_one();
        news
    }
}

fn cost(news: &News) -> usize {
    OVERHEAD
        + match news {
            News::Stored { message, .. } => message.uid.len() + message.payload.len() + message.id.len(),
            News::Forgotten { uid, .. } => uid.len(),
            News::Everything => 0,
        }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn who_has_more_news_waits_for_room_and_their_order_stays() {
        let woken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&woken);
        let buffer = Arc::new(NewsBuffer::new(Box::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        })));
        let one = |epoch| News::Forgotten { uid: Bytes::from(vec![0; BYTES / 2 - OVERHEAD]), epoch, seq: 1 };
        buffer.push(one(1)).await;
        buffer.push(one(2)).await;
        let third = {
            let buffer = Arc::clone(&buffer);
            tokio::spawn(async move { buffer.push(one(3)).await })
        };
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        assert_eq!((buffer.take(), woken.load(Ordering::SeqCst)), (VecDeque::from([one(1), one(2)]), 2));
        third.await.unwrap();
        assert_eq!(buffer.take(), [one(3)]);
        // One alone may have more than there is room for.
        buffer.push(News::Forgotten { uid: Bytes::from(vec![0; BYTES + 1]), epoch: 4, seq: 1 }).await;
        assert_eq!(buffer.take().len(), 1);
    }
}
