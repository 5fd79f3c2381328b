//! How fast connections of a listener are accepted.

use std::time::{Duration, Instant};

/// Connections of one listener a second, of which a second's may come at once. Those that come faster wait in the kernel's
/// queue.
#[derive(Debug)]
pub(super) struct AcceptPace {
    per_second: f64,
    ready: f64,
    at: Instant,
}

impl AcceptPace {
    /// Zero is no limit.
    pub(super) fn new(per_second: f64) -> Self {
        Self { per_second, ready: per_second.max(1.0), at: Instant::now() }
    }

    /// Waits until the next one may come.
    pub(super) async fn next(&mut self) {
        while let Some(wait) = self.wait(Instant::now()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// One has come.
    pub(super) fn count(&mut self) {
        self.ready -= 1.0;
    }

    fn wait(&mut self, now: Instant) -> Option<Duration> {
        if self.per_second == 0.0 {
            return None;
        }
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.ready = (self.ready + gained).min(self.per_second.max(1.0));
        self.at = now;
        // The timer counts in milliseconds; less would spin.
        (self.ready < 1.0).then(|| Duration::from_secs_f64((1.0 - self.ready) / self.per_second + 0.001))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_lets_a_seconds_worth_come_at_once() {
        let mut pace = AcceptPace::new(10.0);
        let start = pace.at;
        let at_once = (0..100)
            .take_while(|_| {
                pace.wait(start).is_none() && {
                    pace.count();
                    true
                }
            })
            .count();
        assert_eq!(at_once, 10);
        let wait = pace.wait(start).unwrap();
        assert!(wait >= Duration::from_millis(100) && wait < Duration::from_millis(110), "{wait:?}");
        assert_eq!(pace.wait(start + wait), None);
        assert_eq!(AcceptPace::new(0.0).wait(start), None);
    }
}
