//! What connections do, until the thread of the store takes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hashbrown::HashMap;

use super::delivery::{Binding, Delivery};
use super::model::{Device, Millis};
use super::queue::Queue;

/// What one connection says that its user has read, until the thread of the store takes it; more is forgotten.
const READ: usize = 64;

/// Notes what connections do, for the thread of the store. Nobody waits, and what is noted of one connection is bounded: of several
/// acknowledgements or bindings, the last one counts.
#[derive(Clone)]
pub struct InboxNotes {
    table: Arc<Mutex<HashMap<u32, Note>>>,
    queue: Arc<Queue>,
}

/// What one connection has done: in this order.
#[derive(Default)]
struct Note {
    /// The thread of the store knows nothing of the connection yet.
    is_first: bool,
    got: Option<(u64, u64)>,
    read: Vec<(u64, u64)>,
    is_parked: bool,
    /// The connection has left the uid that the thread knows; whether the kernel has taken all that it was sent.
    left: Option<bool>,
    bound: Option<Binding>,
}

impl InboxNotes {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { table: Arc::default(), queue }
    }

    /// Notes that a connection is bound to a uid now. `is_first` says that it had none before.
    pub fn bound(&self, connection: u32, is_first: bool, uid: &[u8], device: Device, is_page: bool) {
        let uid = Bytes::copy_from_slice(uid);
        self.note(connection, |note| {
            note.is_first |= is_first;
            note.bound = Some(Binding { connection, uid, device, is_page });
        });
    }

    /// Notes that a connection that was bound to a uid is not any more. `has_taken_all` says that the kernel has taken all that it was
    /// sent.
    pub fn left(&self, connection: u32, has_taken_all: bool) {
        let mut table = self.lock();
        if table.get(&connection).is_some_and(|note| note.is_first && note.left.is_none()) {
            table.remove(&connection);
            return;
        }
        drop(table);
        self.note(connection, |note| {
            note.bound = None;
            note.left.get_or_insert(has_taken_all);
        });
    }

    /// Notes that a client has lost its connection and may come back.
    pub fn parked(&self, connection: u32) {
        self.note(connection, |note| note.is_parked = true);
    }

    /// Notes that a page has handled all messages up to a position.
    pub fn got(&self, connection: u32, epoch: u64, seq: u64) {
        self.note(connection, |note| match &mut note.got {
            Some((known, before)) if *known == epoch => *before = seq.max(*before),
            got => *got = Some((epoch, seq)),
        });
    }

    /// Notes that the user of a page has read a message.
    pub fn read(&self, connection: u32, epoch: u64, seq: u64) {
        self.note(connection, |note| {
            if note.read.len() < READ {
                note.read.push((epoch, seq));
            }
        });
    }

    fn note(&self, connection: u32, change: impl FnOnce(&mut Note)) {
        let mut table = self.lock();
        let is_news = table.is_empty();
        change(table.entry(connection).or_default());
        drop(table);
        if is_news {
            self.queue.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Note>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over what is noted.
    pub(super) fn hand_over(&self, delivery: &mut Delivery, now: Millis) {
        let notes = std::mem::take(&mut *self.lock());
        for (connection, Note { got, read, is_parked, left, bound, .. }) in notes {
            read.into_iter().for_each(|(epoch, seq)| delivery.read(connection, epoch, seq));
            if let Some((epoch, seq)) = got {
                delivery.got(connection, epoch, seq, now);
            }
            if is_parked {
                delivery.parked(connection);
            }
            if let Some(has_taken_all) = left {
                delivery.left(connection, has_taken_all, now);
            }
            bound.into_iter().for_each(|binding| delivery.bound(binding));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes() -> InboxNotes {
        InboxNotes::new(Arc::new(Queue::new(1 << 20)))
    }

    #[test]
    fn what_comes_and_goes_meanwhile_leaves_nothing() {
        let (notes, mut delivery) = (notes(), Delivery::default());
        for connection in 0..100 {
            notes.bound(connection, true, b"anna", Device::Shared, true);
            (0..1000).for_each(|seq| notes.read(connection, 7, seq));
            assert!(notes.lock()[&connection].read.len() <= READ);
            notes.left(connection, true);
        }
        assert!(notes.lock().is_empty());
        notes.bound(1, true, b"anna", Device::Shared, true);
        notes.hand_over(&mut delivery, 1);
        assert_eq!(delivery.connections(), 1);
        // The thread knows of this one, so it has to hear that it has gone.
        notes.bound(1, false, b"ben", Device::Shared, true);
        notes.left(1, true);
        notes.hand_over(&mut delivery, 1);
        assert_eq!(delivery.connections(), 0);
        assert!(notes.lock().is_empty());
    }
}
