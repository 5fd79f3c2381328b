//! Times that two processes of one machine tell each other.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The longest time, in microseconds, by which a time may differ from the one in the header. It is ten years.
const FARTHEST: i64 = 315_360_000_000_000;

/// A moment from which times are counted, as this process sees it. All times are microseconds, which are negative before the moment.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Clock {
    moment: Instant,
    /// The same moment by the machine's clock that all processes share (`CLOCK_MONOTONIC`).
    header: i64,
}

impl Clock {
    /// A clock that counts from now on.
    pub(super) fn new() -> Self {
        Self { moment: Instant::now(), header: now() }
    }

    /// The clock of the process that has written this header.
    pub(super) fn of(header: i64) -> Self {
        let passed = now().saturating_sub(header).clamp(0, FARTHEST);
        let clock = Self { moment: Instant::now(), header };
        Self { moment: clock.instant(-passed), header }
    }

    /// What another process needs to make the same clock.
    pub(super) fn header(self) -> i64 {
        self.header
    }

    pub(in crate::shard) fn time(self, at: Instant) -> i64 {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(FARTHEST);
        match at.checked_duration_since(self.moment) {
            Some(after) => micros(after),
            None => -micros(self.moment.saturating_duration_since(at)),
        }
    }

    pub(in crate::shard) fn instant(self, time: i64) -> Instant {
        let distance = Duration::from_micros(time.unsigned_abs().min(FARTHEST as u64));
        let at = if time < 0 { self.moment.checked_sub(distance) } else { self.moment.checked_add(distance) };
        at.unwrap_or(self.moment)
    }
}

/// The machine's clock, in microseconds.
fn now() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clocks_of_one_header_mean_the_same_moments() {
        let one = Clock::new();
        let other = Clock::of(one.header());
        for (at, time) in [
            (one.moment + Duration::from_millis(7), 7000),
            (one.moment - Duration::from_millis(7), -7000),
            (one.moment, 0),
        ] {
            assert_eq!((one.time(at), one.instant(time)), (time, at));
            let difference = other.time(at) - time;
            assert!(difference.abs() < 1_000_000, "{difference} µs");
        }
        for header in [i64::MIN, -1, 0, i64::MAX] {
            let strange = Clock::of(header);
            for time in [i64::MIN, -1, 0, 1, i64::MAX] {
                // A time that nobody can have written gives any moment.
                strange.time(strange.instant(time));
            }
        }
    }
}
