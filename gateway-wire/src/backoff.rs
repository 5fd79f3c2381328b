//! How long to wait before the next attempt to connect: doubling, with jitter so that many processes do not come at once.

use std::time::Duration;

/// The pauses between attempts. It reads no clock and has no source of random numbers; its owner brings both.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// The pause after the first failure is `first` at most; it doubles with each, up to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// An attempt has led to something, so that the next failure counts as the first.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Whether nothing has failed since the last success.
    pub fn is_fresh(&self) -> bool {
        self.failures == 0
    }

    /// Counts a failure, and gives a pause between half and all of the time due. Without a random number it is all of it.
    pub fn next_pause(&mut self, random: Option<u32>) -> Duration {
        let due = self.first.saturating_mul(1 << self.failures.min(16)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let fraction = random.map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
        due.mul_f64(0.5 + fraction / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_a_limit_and_starts_over() {
        let first = Duration::from_millis(50);
        let mut backoff = Backoff::new(first, Duration::from_secs(2));
        assert!(backoff.is_fresh());
        let randoms = [None, Some(0), Some(u32::MAX), Some(7), None, Some(1 << 31), Some(0), None];
        for (due, random) in
            [50, 100, 200, 400, 800, 1600, 2000, 2000].map(Duration::from_millis).into_iter().zip(randoms)
        {
            let pause = backoff.next_pause(random);
            assert!(due / 2 <= pause && pause <= due, "{pause:?} for {due:?}");
        }
        assert!(!backoff.is_fresh());
        backoff.reset();
        assert_eq!(backoff.next_pause(None), first);
    }
}
