//! Counts how long something takes, by bounds that do not change.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The bounds in microseconds. What takes longer than all of them is counted by itself.
pub const BOUNDS: [u64; 12] =
    [100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000];

/// How often something took so long: at most the bound at the same place, and more than the one before.
pub type Counts = [u64; BOUNDS.len() + 1];

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; BOUNDS.len() + 1],
    /// The sum of all times, in nanoseconds.
    nanoseconds: AtomicU64,
}

impl Histogram {
    pub const fn new() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; BOUNDS.len() + 1], nanoseconds: AtomicU64::new(0) }
    }

    pub fn add(&self, time: Duration) {
        let place = BOUNDS.partition_point(|bound| Duration::from_micros(*bound) < time);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub fn counts(&self) -> Counts {
        std::array::from_fn(|place| self.counts[place].load(Ordering::Relaxed))
    }

    /// The sum of all times, in seconds.
    pub fn sum(&self) -> f64 {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64()
    }
}

/// The bounds in seconds.
pub fn bounds() -> impl Iterator<Item = f64> {
    BOUNDS.iter().map(|bound| Duration::from_micros(*bound).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_at_the_first_bound_that_it_does_not_exceed() {
        let histogram = Histogram::new();
        for micros in [0, 100, 101, 500_000, 500_001, 60_000_000] {
            histogram.add(Duration::from_micros(micros));
        }
        let mut expected = [0; BOUNDS.len() + 1];
        (expected[0], expected[1], expected[11], expected[12]) = (2, 1, 1, 2);
        assert_eq!(histogram.counts(), expected);
        assert!((histogram.sum() - 61.000_202).abs() < 1e-9, "{}", histogram.sum());
        assert_eq!(bounds().next(), Some(0.0001));
    }
}
