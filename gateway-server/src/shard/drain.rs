//! How a stopping shard closes its clients: in waves, so that they do not all reconnect at the same time.

use std::time::{Duration, Instant};

/// The time between two waves.
const WAVE_EVERY: Duration = Duration::from_millis(100);

/// The schedule by which the clients of a shard are closed evenly over some time, a wave every 100 ms.
#[derive(Debug)]
pub(super) struct Drain {
    clients: usize,
    start: Instant,
    over: Duration,
    next: Instant,
    /// The time that the shard waits after the last wave for clients to take their last messages.
    pub(super) patience: Duration,
}

impl Drain {
    pub(super) fn new(clients: usize, over: Duration, patience: Duration, now: Instant) -> Self {
        Self { clients, start: now, over, next: now, patience }
    }

    /// The time of the next wave, when [`Drain::left`] is to be called.
    pub(super) fn deadline(&self) -> Instant {
        self.next
    }

    /// The number of clients that are to be left after the wave that is due now, or `None` if none is due. After the last wave it
    /// is 0.
    pub(super) fn left(&mut self, now: Instant) -> Option<usize> {
        if now < self.next {
            return None;
        }
        self.next = now + WAVE_EVERY;
        let at_end_of_wave = self.next.saturating_duration_since(self.start);
        let rest = self.over.saturating_sub(at_end_of_wave);
        // With a duration of zero the rest is zero too; the 1 only avoids a division by zero.
        Some((self.clients as u128 * rest.as_nanos() / self.over.as_nanos().max(1)) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(clients: usize, over: Duration) -> Vec<usize> {
        let start = Instant::now();
        let mut drain = Drain::new(clients, over, Duration::ZERO, start);
        let mut left = Vec::new();
        while left.last() != Some(&0) {
            let now = drain.deadline();
            left.extend(drain.left(now));
            assert_eq!(drain.left(now), None);
        }
        left
    }

    #[test]
    fn waves_are_even() {
        assert_eq!(waves(100, Duration::from_millis(500)), [80, 60, 40, 20, 0]);
        assert_eq!(waves(3, Duration::from_millis(450)), [2, 1, 1, 0]);
        let many = waves(100_000, Duration::from_secs(5));
        assert_eq!((many.len(), many[0], many[48]), (50, 98_000, 2_000));
    }

    #[test]
    fn without_time_all_go_at_once() {
        for over in [Duration::ZERO, Duration::from_millis(3), WAVE_EVERY] {
            assert_eq!(waves(1_000, over), [0]);
        }
        assert_eq!(waves(0, Duration::from_secs(5)), [0]);
    }

    #[test]
    fn a_loop_that_was_held_up_goes_on_by_the_clock() {
        let start = Instant::now();
        let mut drain = Drain::new(100, Duration::from_secs(1), Duration::ZERO, start);
        assert_eq!(drain.left(start), Some(90));
        assert_eq!(drain.left(start + Duration::from_millis(500)), Some(40));
        assert_eq!(drain.left(start + Duration::from_secs(7)), Some(0));
    }
}
