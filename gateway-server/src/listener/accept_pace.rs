//! The limit on the rate at which a listener accepts connections.

use std::time::{Duration, Instant};

/// The pace of one listener. The connections of one second may come at once; faster ones wait in the kernel's queue.
#[derive(Debug)]
pub(super) struct AcceptPace {
    /// Connections per second. Zero is no limit.
    per_second: f64,
    /// Connections that may be accepted now.
    ready: f64,
    at: Instant,
}

impl AcceptPace {
    /// Starts with the connections of one second. Zero is no limit.
    pub(super) fn new(per_second: f64) -> Self {
        Self { per_second, ready: per_second.max(1.0), at: Instant::now() }
    }

    /// Waits until the next connection may be accepted.
    pub(super) async fn next(&mut self) {
        while let Some(wait) = self.wait(Instant::now()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// Counts an accepted connection.
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
        // The timer works in milliseconds, and a shorter wait would poll without sleeping.
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
