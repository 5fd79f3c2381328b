//! How quickly a socket takes what waits for it.

use std::time::{Duration, Instant};

/// What was taken longer ago counts less and less.
const WINDOW: Duration = Duration::from_secs(10);
/// Bytes that every socket is believed to have taken: no conclusions are drawn from less.
const GIVEN: f64 = 262_144.0;

pub(super) struct Throughput {
    /// When it last took something, or something began to wait.
    last: Instant,
    /// Since when `taken` is counted.
    since: Instant,
    taken: f64,
}

impl Throughput {
    pub(super) fn new(now: Instant) -> Self {
        Self { last: now, since: now, taken: 0.0 }
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

    /// Something, since it began to wait.
    pub(super) fn has_taken(&self) -> bool {
        self.taken > 0.0
    }

    /// For how long it has taken nothing.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last)
    }

    /// For how long something has waited for it, as far as that counts.
    pub(super) fn counted(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Seconds that it needs for a byte. Who has just begun to wait is quick.
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
        // What it took before is forgotten, but not at once.
        let before = steady.slowness(start + Duration::from_secs(60));
        for second in 61..=120 {
            steady.took(1, start + Duration::from_secs(second));
        }
        assert!(steady.slowness(start + Duration::from_secs(120)) > 20.0 * before);
        assert!(nothing.slowness(start) < before, "nothing is known of it yet");
    }
}
