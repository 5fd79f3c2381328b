//! Times as another process can read them: how long ago something was, in milliseconds.

use std::time::{Duration, Instant};

/// The milliseconds of a time, or the most that fit.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The moment that was so long before `now`, or `now` if the clock does not reach so far back.
pub fn ago(now: Instant, age: Duration) -> Instant {
    now.checked_sub(age).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_do_not_fit_are_the_nearest_that_do() {
        let now = Instant::now();
        assert_eq!((millis(Duration::from_micros(1999)), millis(Duration::MAX)), (1, u64::MAX));
        assert_eq!((now - ago(now, Duration::from_millis(5))).as_millis(), 5);
        assert_eq!(ago(now, Duration::MAX), now);
    }
}
