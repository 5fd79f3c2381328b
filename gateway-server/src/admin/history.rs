//! The numbers of the last hour, so that whoever opens the dashboard sees what was before. They take the same memory from the first
//! sample on.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lifecycle::watchdog;
use crate::telemetry::histogram::{self, Counts};

/// The time between two samples.
pub(super) const EVERY: Duration = Duration::from_secs(10);
/// Samples that are kept: those of an hour.
const SAMPLES: usize = 360;

/// The names of the numbers, which are those that `GET /status` has.
pub(super) const NAMES: [&str; 14] = [
    "clients",
    "parked_clients",
    "resumed",
    "gaps",
    "resume_bytes",
    "messages_received",
    "messages_sent",
    "received_bytes",
    "sent_bytes",
    "slow_clients",
    "outbox_bytes",
    "php_connections",
    "memory_bytes",
    "shards_answered_in_seconds",
];

/// The samples of the last hour.
pub(super) struct History(Mutex<VecDeque<Sample>>);

/// The numbers at one moment, in the order of [`NAMES`], and how quickly shards had answered by then.
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) numbers: [f64; NAMES.len()],
    pub(super) answers: Counts,
}

impl History {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    pub(super) fn push(&self, sample: Sample) {
        let mut samples = self.samples();
        match samples.len() {
            // A server that nobody asks takes no samples, and no memory for them.
            0 => samples.reserve_exact(SAMPLES),
            SAMPLES => drop(samples.pop_front()),
            _ => {}
        }
        samples.push_back(sample);
    }

    /// How often the shards have answered within each bound, in the last hour.
    pub(super) fn answers(&self) -> Value {
        let samples = self.samples();
        // A process that is younger has counted from nothing.
        let before = samples
            .front()
            .filter(|_| samples.len() == SAMPLES)
            .map_or_else(Counts::default, |one| one.answers);
        let now = watchdog::ANSWERS.counts();
        let counts: Vec<_> = now.iter().zip(before).map(|(now, before)| now.saturating_sub(before)).collect();
        json!({"within_seconds": histogram::bounds().collect::<Vec<_>>(), "counts": counts})
    }

    /// A row for each sample, the oldest first. Its first number says how many seconds ago it was taken, the others are those of
    /// [`NAMES`].
    pub(super) fn rows(&self) -> Vec<Vec<f64>> {
        let samples = self.samples();
        let row = |sample: &Sample| [&[sample.at.elapsed().as_secs_f64()][..], &sample.numbers].concat();
        samples.iter().map(row).collect()
    }

    fn samples(&self) -> MutexGuard<'_, VecDeque<Sample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_in_the_same_memory() {
        let history = History::new();
        let first = Instant::now();
        let push = |number: usize| {
            let at = first + EVERY * number as u32;
            history.push(Sample { at, numbers: [number as f64; NAMES.len()], answers: Counts::default() });
        };
        push(0);
        let room = history.samples().capacity();
        (1..2 * SAMPLES).for_each(push);
        let samples = history.samples();
        assert_eq!((samples.len(), samples.capacity()), (SAMPLES, room));
        assert_eq!(samples[0].numbers[0], SAMPLES as f64);
    }
}
