//! The progress of each PHP process, so that an order that is sent again after a lost connection takes effect only once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway_wire::bridge::Producer;
use tokio::sync::{OwnedMutexGuard, watch};

use super::refused_orders::RefusedOrders;

/// Number of producers without a connection whose progress is remembered. Beyond it the server forgets those whose connection
/// ended first.
const REMEMBERED: usize = 100_000;

#[derive(Default)]
pub(in crate::php) struct Producers {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    known: HashMap<Producer, Entry>,
    /// Producers whose connection ended, with the claim of that connection, the oldest first. An entry is stale when the producer
    /// has connected again, as its claim is higher then.
    left: VecDeque<(Producer, u64)>,
}

#[derive(Default)]
struct Entry {
    progress: Arc<tokio::sync::Mutex<Progress>>,
    /// The number of connections that have claimed the producer so far. A higher number than its own tells the owning connection
    /// to let go.
    claims: watch::Sender<u64>,
}

#[derive(Default)]
pub(super) struct Progress {
    /// The sequence number of the latest order that took effect.
    pub(super) applied: u64,
    /// The durable orders that failed, of which PHP may not have heard.
    pub(super) refused: RefusedOrders,
}

/// The exclusive right of one connection to carry out a producer's orders.
pub(super) struct ProducerLease {
    pub(super) progress: OwnedMutexGuard<Progress>,
    producer: Producer,
    claim: u64,
    claims: watch::Receiver<u64>,
}

impl Producers {
    /// Waits for the exclusive right to a producer. A PHP process has one connection at a time, so an older connection of the
    /// same producer is half dead and is told to let go.
    pub(super) async fn take(&self, producer: Producer) -> ProducerLease {
        let (progress, claim, claims) = {
            let mut table = self.table();
            let entry = table.known.entry(producer).or_default();
            entry.claims.send_modify(|claims| *claims += 1);
            let claims = entry.claims.subscribe();
            let claim = *claims.borrow();
            (Arc::clone(&entry.progress), claim, claims)
        };
        ProducerLease { progress: progress.lock_owned().await, producer, claim, claims }
    }

    /// Gives the right back at the end of the connection, and remembers the producer's progress.
    pub(super) fn leave(&self, lease: ProducerLease) {
        let ProducerLease { producer, claim, .. } = lease;
        let mut table = self.table();
        table.left.push_back((producer, claim));
        while table.left.len() > REMEMBERED {
            let Some((producer, claim)) = table.left.pop_front() else { return };
            if table.known.get(&producer).is_some_and(|entry| *entry.claims.borrow() == claim) {
                table.known.remove(&producer);
            }
        }
    }

    /// Gives the producers without a connection and how far each has come, the one that left first at the front.
    pub(in crate::php) fn at_rest(&self) -> Vec<(Producer, u64)> {
        let table = self.table();
        let newest = table.left.iter().filter_map(|(producer, claim)| {
            let entry = table.known.get(producer).filter(|entry| *entry.claims.borrow() == *claim)?;
            // Without a connection nobody has it locked.
            Some((*producer, entry.progress.try_lock().ok()?.applied))
        });
        newest.collect()
    }

    /// Goes on with the producers of another process, the one that left first at the front.
    pub(in crate::php) fn go_on(&self, producers: impl Iterator<Item = (Producer, u64)>) {
        let mut table = self.table();
        for (producer, applied) in producers.take(REMEMBERED) {
            let progress = Arc::new(tokio::sync::Mutex::new(Progress { applied, ..Progress::default() }));
            let claims = watch::Sender::default();
            let claim = *claims.borrow();
            table.known.insert(producer, Entry { progress, claims });
            table.left.push_back((producer, claim));
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProducerLease {
    /// The process whose orders these are.
    pub(super) fn producer(&self) -> Producer {
        self.producer
    }

    /// Completes when a newer connection claims the producer.
    pub(super) fn wanted(&self) -> impl Future<Output = ()> + use<> {
        let (mut claims, claim) = (self.claims.clone(), self.claim);
        async move {
            // The sender is gone only when the producer was forgotten, and then no newer connection has claimed it.
            if claims.wait_for(|newest| *newest != claim).await.is_err() {
                std::future::pending().await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCER: Producer = Producer([1; 16]);

    #[tokio::test]
    async fn a_newer_connection_gets_the_place_and_goes_on() {
        let producers = Arc::new(Producers::default());
        let mut old = producers.take(PRODUCER).await;
        old.progress.applied = 7;
        let newer = {
            let producers = Arc::clone(&producers);
            tokio::spawn(async move { producers.take(PRODUCER).await.progress.applied })
        };
        old.wanted().await;
        producers.leave(old);
        assert_eq!(newer.await.unwrap(), 7);
    }

    #[tokio::test]
    async fn another_process_knows_how_far_each_has_come_and_who_left_first() {
        let producers = Producers::default();
        let name = |number: u8| Producer([number; 16]);
        for (number, applied) in [(1, 10), (2, 20), (3, 30), (1, 11)] {
            let mut lease = producers.take(name(number)).await;
            lease.progress.applied = applied;
            producers.leave(lease);
        }
        let there = Producers::default();
        there.go_on(producers.at_rest().into_iter());
        assert_eq!(there.at_rest(), [(name(2), 20), (name(3), 30), (name(1), 11)]);
        assert_eq!(there.take(name(1)).await.progress.applied, 11);
        assert_eq!(there.take(name(4)).await.progress.applied, 0);
    }

    #[tokio::test]
    async fn those_that_left_first_are_forgotten_first() {
        let producers = Producers::default();
        let name = |number: usize| Producer((number as u128).to_be_bytes());
        let held = producers.take(name(0)).await;
        for number in 1..=REMEMBERED + 10 {
            let mut lease = producers.take(name(number)).await;
            lease.progress.applied = 1;
            producers.leave(lease);
        }
        assert_eq!(producers.table().known.len(), REMEMBERED + 1);
        assert_eq!(producers.take(name(10)).await.progress.applied, 0);
        assert_eq!(producers.take(name(11)).await.progress.applied, 1);
        drop(held);
    }
}
