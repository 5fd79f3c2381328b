//! The clients that counted messages have gone to, which are remembered for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::hub::CarriedAsk;
use crate::system::ages::millis;

/// How long it is remembered whom a message has gone to. It is far longer than anybody waits before asking.
const KEPT: Duration = Duration::from_secs(60);
/// The memory of all that is remembered, in bytes. What was sent first is forgotten first.
const KEPT_BYTES: usize = 32 << 20;
/// The memory that is taken by what is remembered of a message besides its clients, about.
const ENTRY: usize = 128;
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
    clients: HashMap<u64, (Instant, Vec<u32>)>,
    bytes: usize,
}

impl SentMessages {
    /// Remembers clients of a message.
    pub(super) fn add(&self, id: u64, clients: Vec<u32>, now: Instant) {
        let mut sent = self.lock();
        sent.forget(|since| now.saturating_duration_since(since) >= KEPT);
        let cost = |clients: &[u32]| ENTRY + size_of_val(clients);
        let all = match sent.clients.remove(&id) {
            None => clients,
            Some((_, mut before)) => {
                sent.bytes -= cost(&before);
                before.extend(clients);
                before.sort_unstable();
                before.dedup();
                before
            }
        };
        while sent.bytes + cost(&all) > KEPT_BYTES
            && let Some(oldest) = sent.clients.values().map(|(since, _)| *since).min()
        {
            sent.forget(|since| since <= oldest);
        }
        sent.bytes += cost(&all);
        sent.clients.insert(id, (now, all));
    }

    pub(super) fn clients(&self, id: u64) -> Option<Vec<u32>> {
        self.lock().clients.get(&id).map(|(_, clients)| clients.clone())
    }

    pub(super) fn carry(&self, now: Instant) -> Vec<(u64, u64, Vec<u32>)> {
        let age = |since: Instant| millis(now.saturating_duration_since(since));
        self.lock().clients.iter().map(|(id, (since, all))| (*id, age(*since), all.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Sent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sent {
    fn forget(&mut self, is_old: impl Fn(Instant) -> bool) {
        let bytes = &mut self.bytes;
        self.clients.retain(|_, (since, clients)| {
            let goes = is_old(*since);
            *bytes -= if goes { ENTRY + size_of_val(&clients[..]) } else { 0 };
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::ages::ago;

    #[test]
    fn what_was_sent_first_is_forgotten_first() {
        let (sent, now) = (SentMessages::default(), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        sent.add(1, vec![3, 1], now);
        sent.add(1, vec![2, 1], after(1));
        assert_eq!(sent.clients(1), Some(vec![1, 2, 3]));
        let many = vec![7; KEPT_BYTES / 8];
        sent.add(2, many.clone(), after(2));
        sent.add(3, many, after(3));
        assert!(sent.clients(1).is_none() && sent.clients(2).is_none() && sent.clients(3).is_some());
        assert!(sent.lock().bytes <= KEPT_BYTES);
        let there = SentMessages::default();
        for (id, age, clients) in sent.carry(after(4)) {
            assert_eq!((id, age, clients.len()), (3, 1000, KEPT_BYTES / 8));
            there.add(id, clients, ago(after(4), Duration::from_millis(age)));
        }
        assert_eq!(there.clients(3), sent.clients(3));
        let bytes = |messages: &SentMessages| messages.lock().bytes;
        assert_eq!(bytes(&there), bytes(&sent));
        sent.add(4, vec![], after(3) + KEPT);
        assert!(sent.clients(3).is_none());
        assert_eq!((bytes(&sent), sent.clients(4)), (ENTRY, Some(vec![])));
    }
}
