//! The bound on how much each client may send.

use std::time::Instant;

use hashbrown::HashMap;

use crate::config::Listener;

/// How much a client may send in a second. It may save up some seconds' worth and send that at once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RateLimit {
    /// Messages in a second; zero is no limit. Every frame counts as one, control frames and fragments included.
    messages: f64,
    /// Bytes in a second, those that compressed messages are inflated to included; zero is no limit.
    bytes: f64,
}

/// How much a client may send at once, in seconds of its rate. It may always send one message.
const BURST: f64 = 5.0;

/// How far each client is ahead of its rate, by the key of its connection. Only clients of listeners with a limit are in here,
/// once they have sent something.
#[derive(Default)]
pub(super) struct RateMeters(HashMap<usize, RateMeter>);

/// How far one client was ahead of its rates at a moment: the messages and bytes that it had sent too early.
struct RateMeter {
    /// The moment.
    at: Instant,
    messages: f32,
    bytes: f32,
}

impl RateLimit {
    /// The limit of each client that came in by a listener.
    pub(super) fn of(listener: &Listener) -> Self {
        Self { messages: listener.messages_per_second, bytes: listener.bytes_per_second }
    }

    pub(super) fn is_limited(&self) -> bool {
        self.messages > 0.0 || self.bytes > 0.0
    }
}

impl RateMeters {
    /// Counts what a client has sent. Gives false if it is too much.
    pub(super) fn count(
        &mut self,
        key: usize,
        rate: RateLimit,
        messages: usize,
        bytes: usize,
        now: Instant,
    ) -> bool {
        let meter = self.0.entry(key).or_insert(RateMeter { at: now, messages: 0.0, bytes: 0.0 });
        let passed = now.saturating_duration_since(meter.at).as_secs_f64();
        meter.at = now;
        let mut fits = true;
        for (ahead, rate, sent) in
            [(&mut meter.messages, rate.messages, messages), (&mut meter.bytes, rate.bytes, bytes)]
        {
            if rate > 0.0 {
                let now_ahead = (f64::from(*ahead) - passed * rate).max(0.0) + sent as f64;
                fits &= now_ahead <= (BURST * rate).max(1.0);
                *ahead = now_ahead as f32;
            }
        }
        fits
    }

    /// How many messages and bytes a client is ahead of its rates now, for another node that takes it over.
    pub(super) fn ahead(&self, key: usize, rate: RateLimit, now: Instant) -> (f32, f32) {
        let Some(meter) = self.0.get(&key) else { return (0.0, 0.0) };
        let passed = now.saturating_duration_since(meter.at).as_secs_f64();
        let left = |ahead: f32, rate: f64| (f64::from(ahead) - passed * rate).max(0.0) as f32;
        (left(meter.messages, rate.messages), left(meter.bytes, rate.bytes))
    }

    /// Takes over how far a client was ahead elsewhere.
    pub(super) fn take_over(&mut self, key: usize, (messages, bytes): (f32, f32), now: Instant) {
        let sound = |ahead: f32| ahead.is_finite() && ahead >= 0.0;
        if sound(messages) && sound(bytes) && messages + bytes > 0.0 {
            self.0.insert(key, RateMeter { at: now, messages, bytes });
        }
    }

    /// How far a connection was ahead, as plain values: at what moment, and by how many messages and bytes.
    pub(super) fn export(&self, key: usize) -> Option<(Instant, f32, f32)> {
        self.0.get(&key).map(|meter| (meter.at, meter.messages, meter.bytes))
    }

    /// Goes on with the meter of another process.
    pub(super) fn import(&mut self, key: usize, (at, messages, bytes): (Instant, f32, f32)) {
        // `max` makes a number of what is none.
        self.0.insert(key, RateMeter { at, messages: messages.max(0.0), bytes: bytes.max(0.0) });
    }

    /// Forgets a connection that has ended.
    pub(super) fn forget(&mut self, key: usize) {
        if self.0.remove(&key).is_some() && self.0.len() < self.0.capacity() / 8 {
            self.0.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut meters = RateMeters::default();
        let rate = RateLimit { messages: 2.0, bytes: 0.0 };
        let start = Instant::now();
        for _ in 0..10 {
            assert!(meters.count(1, rate, 1, 1 << 20, start));
        }
        assert!(meters.count(2, rate, 10, 0, start));
        assert!(!meters.count(1, rate, 1, 0, start));
        let later = start + Duration::from_secs(1);
        assert!(meters.count(2, rate, 2, 0, later) && !meters.count(2, rate, 1, 0, later));
        meters.forget(2);
        assert!(meters.count(2, rate, 10, 0, later));
    }

    #[test]
    fn a_client_is_as_far_ahead_at_another_node() {
        let (mut here, mut there) = (RateMeters::default(), RateMeters::default());
        let rate = RateLimit { messages: 2.0, bytes: 100.0 };
        let start = Instant::now();
        assert!(here.count(1, rate, 10, 300, start));
        let later = start + Duration::from_secs(1);
        assert_eq!(here.ahead(1, rate, later), (8.0, 200.0));
        assert_eq!(here.ahead(2, rate, later), (0.0, 0.0));
        there.take_over(9, here.ahead(1, rate, later), later);
        assert!(there.count(9, rate, 2, 300, later) && !there.count(9, rate, 1, 0, later));
        for unsound in [(f32::NAN, 1.0), (f32::INFINITY, 0.0), (-1.0, 5.0), (0.0, 0.0)] {
            there.take_over(5, unsound, later);
        }
        assert!(there.count(5, rate, 10, 500, later));
    }

    #[test]
    fn bytes_are_counted_too() {
        let mut meters = RateMeters::default();
        let rate = RateLimit { messages: 0.0, bytes: 1000.0 };
        let start = Instant::now();
        assert!(meters.count(1, rate, 9999, 5000, start) && !meters.count(1, rate, 0, 1, start));
    }
}
