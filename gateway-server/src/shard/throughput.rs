//! How quickly a client's socket takes what waits for it.

use std::time::{Duration, Instant};

/// The time over which bytes are counted; those that were taken earlier count less and less.
const WINDOW: Duration = Duration::from_secs(10);
/// The number of bytes that each socket is credited with at the start, so that no conclusion is drawn from little data.
const GIVEN: f64 = 262_144.0;

/// The throughput of one socket since something began to wait for it.
#[derive(Clone)]
pub(super) struct Throughput {
    /// When the socket last took something, or when something began to wait.
    last: Instant,
    /// The time from which `taken` is counted.
    since: Instant,
    /// The bytes that the socket has taken since then. Older ones are halved away.
    taken: f64,
}

impl Throughput {
    pub(super) fn new(now: Instant) -> Self {
        Self { last: now, since: now, taken: 0.0 }
    }

    /// Gives this as plain values: the last time, the time from which is counted, and the bytes that were taken.
    pub(super) fn parts(&self) -> (Instant, Instant, f64) {
        (self.last, self.since, self.taken)
    }

    pub(super) fn of_parts(last: Instant, since: Instant, taken: f64) -> Self {
        Self { last, since, taken: if taken.is_finite() { taken.max(0.0) } else { 0.0 } }
    }

    pub(super) fn took(&mut self, bytes: usize, now: Instant) {
        self.last = now;
        self.taken += bytes as f64;
        let counted = now.saturating_duration_since(self.since);
        if counted > WINDOW {
            self.taken /= 2.0;
            self.since += counted / 2;
        }
    }

    /// Whether the socket has taken anything since something began to wait.
    pub(super) fn has_taken(&self) -> bool {
        self.taken > 0.0
    }

    /// For how long the socket has taken nothing.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last)
    }

    /// The time over which `taken` is counted.
    pub(super) fn counted(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// The seconds that the socket needs for a byte. A socket for which something has just begun to wait counts as quick.
    pub(super) fn slowness(&self, now: Instant) -> f64 {
        self.counted(now).max(Duration::from_millis(1)).as_secs_f64() / (self.taken + GIVEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_little_is_slow() {
        let start = Instant::now();
        let [mut steady, mut drips, nothing] = [(); 3].map(|()| Throughput::new(start));
        for second in 1..=60 {
            let now = start + Duration::from_secs(second);
            steady.took(1 << 20, now);
            drips.took(1, now);
            let slowness = [&steady, &drips, &nothing].map(|pace| pace.slowness(now));
            assert!(
                slowness[0] * 4.0 < slowness[1] && slowness[1] <= slowness[2],
                "{slowness:?} at {second}"
            );
            assert_eq!((drips.idle(now), nothing.idle(now)), (Duration::ZERO, Duration::from_secs(second)));
        }
        // What the socket took earlier is forgotten, but not at once.
        let before = steady.slowness(start + Duration::from_secs(60));
        for second in 61..=120 {
            steady.took(1, start + Duration::from_secs(second));
        }
        assert!(steady.slowness(start + Duration::from_secs(120)) > 20.0 * before);
        assert!(nothing.slowness(start) < before, "nothing is known of it yet");
    }
}
