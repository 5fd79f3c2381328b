//! The clients that counted messages have gone to, which are remembered for a while.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::hub::CarriedAsk;
use crate::system::ages::millis;
use crate::system::sweep::keep_swept;

/// How long it is remembered whom a message has gone to. It is far longer than anybody waits before asking.
const KEPT: Duration = Duration::from_secs(60);
/// The memory of all that is remembered, in bytes. What was sent first is forgotten first.
const KEPT_BYTES: usize = 32 << 20;
/// The memory that is taken by what is remembered of a message besides its clients, about.
const ENTRY: usize = 128;
/// The time between two looks at messages that are to be forgotten.
const LOOK: Duration = Duration::from_secs(30);

/// What another process needs to say what has become of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedTracked {
    /// Counted messages: the number of each, how long ago it was sent, in milliseconds, and its clients.
    pub(super) sent: Vec<(u64, u64, Vec<u32>)>,
    pub(super) asks: Vec<CarriedAsk>,
}

impl CarriedTracked {
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.asks.is_empty()
    }
}

/// Whom messages have gone to.
#[derive(Default)]
pub(super) struct SentMessages(Mutex<Sent>);

#[derive(Default)]
struct Sent {
    clients: HashMap<u64, Vec<u32>>,
    /// When each message was sent, the first one first.
    times: VecDeque<(Instant, u64)>,
    bytes: usize,
    /// Whether a task looks for messages that are to be forgotten.
    is_swept: bool,
}

impl SentMessages {
    /// Remembers clients of a message.
    pub(super) fn add(self: &Arc<Self>, id: u64, clients: Vec<u32>, now: Instant) {
        let mut sent = self.lock();
        sent.add(id, clients, now);
        let messages = Arc::clone(self);
        keep_swept(&mut sent.is_swept, LOOK, move |now| messages.forget_old(now));
    }

    pub(super) fn clients(&self, id: u64) -> Option<Vec<u32>> {
        self.lock().clients.get(&id).cloned()
    }

    /// Gives what is remembered of each message, the first one first.
    pub(super) fn carry(&self, now: Instant) -> Vec<(u64, u64, Vec<u32>)> {
        let sent = self.lock();
        let carried = sent.times.iter().filter_map(|(since, id)| {
            let age = millis(now.saturating_duration_since(*since));
            Some((*id, age, sent.clients.get(id)?.clone()))
        });
        carried.collect()
    }

    /// Forgets old messages. Gives whether none is left, and so nobody has to look for more.
    fn forget_old(&self, now: Instant) -> bool {
        let mut sent = self.lock();
        sent.forget_old(now);
        sent.is_swept = !sent.times.is_empty();
        if !sent.is_swept {
            *sent = Sent::default();
        }
        !sent.is_swept
    }

    fn lock(&self) -> MutexGuard<'_, Sent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sent {
    fn add(&mut self, id: u64, clients: Vec<u32>, now: Instant) {
        let clients = match self.clients.remove(&id) {
            None => {
                self.times.push_back((now, id));
                clients
            }
            Some(mut before) => {
                self.bytes -= cost(&before);
                before.extend(clients);
                before.sort_unstable();
                before.dedup();
                before
            }
        };
        self.forget_old(now);
        while self.bytes + cost(&clients) > KEPT_BYTES && self.times.len() > 1 {
            self.forget_first();
        }
        self.bytes += cost(&clients);
        self.clients.insert(id, clients.into_boxed_slice().into_vec());
    }

    fn forget_old(&mut self, now: Instant) {
        while self.times.front().is_some_and(|(since, _)| now.saturating_duration_since(*since) >= KEPT) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let first = self.times.pop_front().and_then(|(_, id)| self.clients.remove(&id));
        self.bytes -= first.as_deref().map_or(0, cost);
    }
}

/// The memory of what is remembered of a message, in bytes.
fn cost(clients: &[u32]) -> usize {
    ENTRY + size_of_val(clients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::ages::ago;

    #[tokio::test]
    async fn what_was_sent_first_is_forgotten_first() {
        let (sent, now) = (Arc::new(SentMessages::default()), Instant::now());
        let bytes = |messages: &SentMessages| messages.lock().bytes;
        let after = |seconds| now + Duration::from_secs(seconds);
        sent.add(1, vec![3, 1], now);
        sent.add(1, vec![2, 1], after(1));
        assert_eq!((sent.clients(1), bytes(&sent)), (Some(vec![1, 2, 3]), ENTRY + 12));
        let many = vec![7; KEPT_BYTES / 8];
        sent.add(2, many.clone(), after(2));
        sent.add(3, many, after(3));
        assert!(sent.clients(1).is_none() && sent.clients(2).is_none() && sent.clients(3).is_some());
        assert!(bytes(&sent) <= KEPT_BYTES);
        let there = Arc::new(SentMessages::default());
        for (id, age, clients) in sent.carry(after(4)) {
            assert_eq!((id, age, clients.len()), (3, 1000, KEPT_BYTES / 8));
            there.add(id, clients, ago(after(4), Duration::from_millis(age)));
        }
        assert_eq!(there.clients(3), sent.clients(3));
        assert_eq!(bytes(&there), bytes(&sent));
        sent.add(4, vec![], after(3) + KEPT);
        assert!(sent.clients(3).is_none());
        assert_eq!((bytes(&sent), sent.clients(4)), (ENTRY, Some(vec![])));
        // A message whose clients take more than all that may be kept is kept alone, and as long as others.
        sent.add(5, vec![7; KEPT_BYTES], after(4) + KEPT);
        assert!(sent.clients(4).is_none() && sent.clients(5).is_some());
        assert!(!sent.forget_old(after(5) + KEPT) && sent.forget_old(after(4) + KEPT * 2));
        assert_eq!((bytes(&sent), sent.lock().is_swept), (0, false));
    }
}
