//! How far each PHP process has come, so that what it sends again takes effect once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway_wire::bridge::Producer;
use tokio::sync::{OwnedMutexGuard, watch};

/// Producers without a connection that are remembered; beyond, those that left first are forgotten.
const REMEMBERED: usize = 100_000;

#[derive(Default)]
pub(super) struct Producers {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    known: HashMap<Producer, Entry>,
    /// Producers whose connection ended, with its claim, the oldest first; one that came back stands here in vain.
    left: VecDeque<(Producer, u64)>,
}

#[derive(Default)]
struct Entry {
    progress: Arc<tokio::sync::Mutex<Progress>>,
    /// Counts the connections that have wanted the place. A newer claim tells the holder to let go.
    claims: watch::Sender<u64>,
}

#[derive(Default)]
pub(super) struct Progress {
    /// The highest order applied.
    pub(super) applied: u64,
}

/// A producer's place, held by one connection at a time.
pub(super) struct Place {
    pub(super) progress: OwnedMutexGuard<Progress>,
    producer: Producer,
    claim: u64,
    claims: watch::Receiver<u64>,
}

impl Producers {
    /// Takes the place from an older connection of the same producer, which is half dead if it exists: PHP has one
    /// connection at a time.
    pub(super) async fn take(&self, producer: Producer) -> Place {
        let (progress, claim, claims) = {
            let mut table = self.table();
            let entry = table.known.entry(producer).or_default();
            entry.claims.send_modify(|claims| *claims += 1);
            let claims = entry.claims.subscribe();
            let claim = *claims.borrow();
            (Arc::clone(&entry.progress), claim, claims)
        };
        Place { progress: progress.lock_owned().await, producer, claim, claims }
    }

    /// The connection ended.
    pub(super) fn leave(&self, place: Place) {
        let Place { producer, claim, .. } = place;
        let mut table = self.table();
        table.left.push_back((producer, claim));
        while table.left.len() > REMEMBERED {
            let Some((producer, claim)) = table.left.pop_front() else { return };
            if table.known.get(&producer).is_some_and(|entry| *entry.claims.borrow() == claim) {
                table.known.remove(&producer);
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Completes when a newer connection wants the place.
    pub(super) fn wanted(&self) -> impl Future<Output = ()> + use<> {
        let (mut claims, claim) = (self.claims.clone(), self.claim);
        async move {
            // The sender is gone only when the producer was forgotten, and then nobody wants its place.
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
    async fn those_that_left_first_are_forgotten_first() {
        let producers = Producers::default();
        let name = |number: usize| Producer((number as u128).to_be_bytes());
        let held = producers.take(name(0)).await;
        for number in 1..=REMEMBERED + 10 {
            let mut place = producers.take(name(number)).await;
            place.progress.applied = 1;
            producers.leave(place);
        }
        assert_eq!(producers.table().known.len(), REMEMBERED + 1);
        assert_eq!(producers.take(name(10)).await.progress.applied, 0);
        assert_eq!(producers.take(name(11)).await.progress.applied, 1);
        drop(held);
    }
}
