//! Events that a worker's process has been sent, until it says that it has handled them.

use std::collections::VecDeque;

use crate::events::{Batch, CarriedBatch, Event};
use crate::php::carry::form::WorkerAtRest;

#[derive(Default)]
pub(super) struct InFlight {
    /// Batches that are not done, each with the number of its last event.
    batches: VecDeque<(u64, Batch)>,
    /// The number of the last event sent, of the last that the process has begun to handle, and of the last that it has handled.
    sent: u64,
    taken: u64,
    done: u64,
}

impl InFlight {
    /// A batch has been sent, each of its events with the number that follows the last one's.
    pub(super) fn sent(&mut self, batch: Batch) {
        self.sent += batch.events.len() as u64;
        self.batches.push_back((self.sent, batch));
    }

    /// Goes on where a worker has come to rest. Numbers that do not fit together are raised to those that do.
    pub(super) fn again(at_rest: &mut WorkerAtRest) -> Self {
        let mut flight = Self::default();
        for (last, batch) in std::mem::take(&mut at_rest.batches) {
            // The batch was checked when it came.
            let batch = Batch::try_from(batch).unwrap_or_default();
            flight.sent = last.max(flight.sent.saturating_add(batch.events.len() as u64));
            flight.batches.push_back((flight.sent, batch));
        }
        flight.sent = flight.sent.max(at_rest.sent);
        flight.taken = at_rest.taken.min(flight.sent);
        flight.done = at_rest.done.min(flight.taken);
        flight
    }

    /// Says in a worker that comes to rest what is with its process.
    pub(super) fn rest(&self, at_rest: &mut WorkerAtRest) {
        at_rest.batches =
            self.batches.iter().map(|(last, batch)| (*last, CarriedBatch::from(batch))).collect();
        (at_rest.sent, at_rest.taken, at_rest.done) = (self.sent, self.taken, self.done);
    }

    /// The number of the last event that was sent.
    pub(super) fn last_sent(&self) -> u64 {
        self.sent
    }

    /// Takes in how far the process says that it has come.
    pub(super) fn progress(&mut self, taken: u64, done: u64) -> Result<(), String> {
        if !(self.taken..=self.sent).contains(&taken) || !(self.done..=taken).contains(&done) {
            return Err(format!(
                "a worker says that it has taken {taken} and done {done} of {} events, after {} and {}",
                self.sent, self.taken, self.done
            ));
        }
        (self.taken, self.done) = (taken, done);
        Ok(())
    }

    /// The process has begun to handle this many events, which may be more than it has said.
    pub(super) fn has_begun(&mut self, begun: u64) {
        self.taken = begun.clamp(self.taken, self.sent);
    }

    pub(super) fn next_done(&mut self) -> Option<Batch> {
        let (last, _) = self.batches.front()?;
        if *last > self.done {
            return None;
        }
        self.batches.pop_front().map(|(_, batch)| batch)
    }

    /// Whether the process has handled all that it was sent.
    pub(super) fn is_done(&self) -> bool {
        self.done == self.sent
    }

    /// How many batches are with the process.
    pub(super) fn batches(&self) -> usize {
        self.batches.len()
    }

    /// The events that the process has not begun to handle. An event that it had begun is given to nobody again: it may have been
    /// what ended the process, and half of its effects may have happened.
    pub(super) fn untaken(self) -> Vec<Event> {
        let numbered = self.batches.into_iter().flat_map(|(last, batch)| {
            let first = last + 1 - batch.events.len() as u64;
            (first..).zip(batch.events)
        });
        numbered.filter(|(number, _)| *number > self.taken).map(|(_, event)| event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventKind;

    fn batch(numbers: impl Iterator<Item = u32>) -> Batch {
        let mut batch = Batch::default();
        batch.events.extend(numbers.map(|number| Event::example(number, EventKind::Close)));
        batch
    }

    fn numbers(events: &[Event]) -> Vec<u32> {
        events.iter().map(|event| event.connection_id).collect()
    }

    #[test]
    fn an_event_that_cannot_be_sent_holds_up_no_batch() {
        let mut flight = InFlight::default();
        // The events 3 and 6 were too large, and have left their batches.
        flight.sent(batch([1, 2, 4, 5].into_iter()));
        flight.sent(batch([].into_iter()));
        flight.sent(batch([7, 8].into_iter()));
        flight.progress(3, 3).unwrap();
        assert!(flight.next_done().is_none());
        flight.progress(5, 4).unwrap();
        // The batch of which nothing could be sent is done with the one before it.
        assert_eq!(flight.next_done().map(|batch| numbers(&batch.events)), Some(vec![1, 2, 4, 5]));
        assert_eq!(flight.next_done().map(|batch| batch.events.len()), Some(0));
        assert!(flight.next_done().is_none() && !flight.is_done());
        assert_eq!(numbers(&flight.untaken()), [8]);
    }

    #[test]
    fn after_a_rest_it_is_as_before_whatever_came_back() {
        let mut flight = InFlight::default();
        flight.sent(batch(0..10));
        flight.sent(batch([].into_iter()));
        flight.sent(batch(10..20));
        flight.progress(10, 9).unwrap();
        let mut at_rest = WorkerAtRest::default();
        flight.rest(&mut at_rest);
        let mut again = InFlight::again(&mut at_rest.clone());
        assert!(again.next_done().is_none());
        again.progress(12, 10).unwrap();
        assert_eq!(again.next_done().map(|batch| batch.events.len()), Some(10));
        assert_eq!(again.next_done().map(|batch| batch.events.len()), Some(0));
        assert_eq!(numbers(&again.untaken()), (12..20).collect::<Vec<_>>());
        // Numbers of which the peer was wrong take nothing away and end nothing.
        at_rest.batches[0].0 = 3;
        (at_rest.sent, at_rest.taken, at_rest.done) = (u64::MAX, 4, 5);
        let again = InFlight::again(&mut at_rest);
        assert_eq!((again.taken, again.done), (4, 4));
        assert_eq!(numbers(&again.untaken()), (4..20).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_begun_nobody_gets_again() {
        let mut flight = InFlight::default();
        flight.sent(batch(0..10));
        flight.sent(batch(10..20));
        flight.progress(21, 0).unwrap_err();
        flight.progress(3, 2).unwrap();
        flight.progress(2, 2).unwrap_err();
        flight.has_begun(13);
        flight.has_begun(1);
        assert_eq!(numbers(&flight.untaken()), (13..20).collect::<Vec<_>>());
    }
}
