//! How far each PHP process has come, so that what it sends again takes effect once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use gateway_wire::bridge::Producer;
use tokio::sync::{Notify, OwnedMutexGuard};

/// Producers without a connection that are remembered; beyond, those that left first are forgotten.
const REMEMBERED: usize = 100_000;

#[derive(Default)]
pub(super) struct Producers {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    known: HashMap<Producer, Arc<Entry>>,
    /// Producers in the order in which their connections ended; one that came back stands here in vain.
    left: VecDeque<(Producer, u64)>,
}

struct Entry {
    progress: Arc<tokio::sync::Mutex<Progress>>,
    /// Tells the connection that holds the progress to let go.
    takeover: Notify,
}

#[derive(Default)]
pub(super) struct Progress {
    /// The highest order applied.
    pub(super) applied: u64,
    /// How many connections this producer has had.
    connections: u64,
}

/// A producer's place, held by one connection at a time.
pub(super) struct Place {
    producer: Producer,
    entry: Arc<Entry>,
    pub(super) progress: OwnedMutexGuard<Progress>,
}

impl Producers {
    /// Takes the place from an older connection of the same producer, which is half dead if it exists: PHP has one
    /// connection at a time.
    pub(super) async fn take(&self, producer: Producer) -> Place {
        let entry = {
            let mut table = self.table();
            Arc::clone(
                table
                    .known
                    .entry(producer)
                    .or_insert_with(|| Arc::new(Entry { progress: Arc::default(), takeover: Notify::new() })),
            )
        };
        entry.takeover.notify_waiters();
        let mut progress = Arc::clone(&entry.progress).lock_owned().await;
        progress.connections += 1;
        Place { producer, entry, progress }
    }

    /// The connection ended.
    pub(super) fn leave(&self, place: Place) {
        let Place { producer, entry: _, progress } = place;
        let connections = progress.connections;
        drop(progress);
        let mut table = self.table();
        table.left.push_back((producer, connections));
        while table.left.len() > REMEMBERED {
            let Some((producer, connections)) = table.left.pop_front() else { break };
            // It has not come back since: nobody holds its progress, and it has had no more connections.
            let is_gone = table.known.get(&producer).is_some_and(|entry| {
                entry.progress.try_lock().is_ok_and(|progress| progress.connections == connections)
            });
            if is_gone {
                table.known.remove(&producer);
            }
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Completes when a newer connection wants the place.
    pub(super) fn wanted(&self) -> impl Future<Output = ()> + use<> {
        let entry = Arc::clone(&self.entry);
        async move { entry.takeover.notified().await }
    }
}
