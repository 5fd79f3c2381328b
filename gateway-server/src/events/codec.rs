//! How a protocol writes events, and what becomes of an event that it has no room for.

use std::fmt::Display;

use super::event::Event;
use super::worker_queue::Batch;
use crate::telemetry::abuse_log::{self, Offence};

/// Writes events in the form of one protocol. The implementations are in `php/`, each beside its protocol.
pub trait EventCodec {
    /// Says that an event is over the protocol's limit.
    type TooLarge: Display;

    /// Appends one event to `out`. When the event is too large, `out` is left as it was.
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), Self::TooLarge>;
}

/// Appends a batch to `out`, and calls `encoded` with the length of `out` after each event. An event that is too large is
/// reported and taken out of the batch: the process never sees it, so it could never confirm it, and no successor could get it
/// either.
pub fn encode_batch<C: EventCodec>(
    codec: &mut C,
    batch: &mut Batch,
    out: &mut Vec<u8>,
    mut encoded: impl FnMut(usize),
) {
    batch.events.retain(|event| match codec.encode(event, out) {
        Ok(()) => {
            encoded(out.len());
            true
        }
        Err(error) => {
            abuse_log::report(Offence::NoWorker, Some(event.peer), &error);
            false
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::event::EventKind;
    use super::*;

    /// Writes a connection's number as one byte, if it is no multiple of three.
    struct NoThirds;

    impl EventCodec for NoThirds {
        type TooLarge = &'static str;

        fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), &'static str> {
            if event.connection_id.is_multiple_of(3) {
                return Err("a third");
            }
            out.push(u8::try_from(event.connection_id).unwrap());
            Ok(())
        }
    }

    #[test]
    fn an_event_that_is_too_large_leaves_the_batch_and_the_output_without_it() {
        let mut batch = Batch::default();
        batch.events.extend((1..6).map(|connection_id| Event::example(connection_id, EventKind::Close)));
        let (mut out, mut ends) = (vec![0], Vec::new());
        encode_batch(&mut NoThirds, &mut batch, &mut out, |end| ends.push(end));
        assert_eq!((out, ends), (vec![0, 1, 2, 4, 5], vec![2, 3, 4, 5]));
        let connection_ids: Vec<_> = batch.events.iter().map(|event| event.connection_id).collect();
        assert_eq!(connection_ids, [1, 2, 4, 5]);
    }
}
