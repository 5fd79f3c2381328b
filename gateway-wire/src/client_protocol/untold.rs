//! The messages that one end has taken and the other was not told of.

use std::time::Duration;

/// The time for which the other end may be left without word of a message.
pub const SEEN_AFTER_TIME: Duration = Duration::from_secs(5);

/// How much one end may have taken before it tells the other how many messages these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenAfter {
    /// The number of messages.
    pub messages: u64,
    /// The number of their bytes.
    pub bytes: usize,
}

impl SeenAfter {
    /// A page tells rarely, as the server has to read it each time, and has room for what it keeps meanwhile: four times as many messages,
    /// and as much memory, by default.
    pub const PAGE: Self = Self { messages: 1024, bytes: 512 << 10 };
    /// The server tells more often, as a page has little room for what it has sent, and sends no more once that is full.
    pub const SERVER: Self = Self { messages: 256, bytes: 128 << 10 };
}

/// The latest time that another process may give, so that counting on from it cannot overflow.
const LATEST: Duration = Duration::from_secs(1 << 32);

/// The untold messages of one direction. Times are durations since any fixed moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Untold {
    messages: u64,
    bytes: usize,
    /// The time at which the first of them came.
    since: Duration,
}

impl Untold {
    /// Gives the numbers of messages and of bytes, and the time at which the first came.
    pub(super) fn export(&self) -> (u64, u64, Duration) {
        (self.messages, self.bytes as u64, self.since)
    }

    /// Takes over the untold messages of another process, of which there are never more than these bounds allow.
    pub(super) fn imported((messages, bytes, since): (u64, u64, Duration), after: SeenAfter) -> Self {
        let bytes = bytes.min(after.bytes as u64) as usize;
        Self { messages: messages.min(after.messages), bytes, since: since.min(LATEST) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// The time at which the first untold message came.
    pub(super) fn since(&self) -> Duration {
        self.since
    }

    /// Counts a message, and says whether it is time to tell the other end.
    pub(super) fn take(&mut self, bytes: usize, now: Duration, after: SeenAfter) -> bool {
        if self.is_empty() {
            self.since = now;
        }
        self.messages += 1;
        self.bytes += bytes;
        self.messages >= after.messages || self.bytes >= after.bytes || self.is_due(now)
    }

    /// Whether a message has waited for long.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        !self.is_empty() && now.saturating_sub(self.since) >= SEEN_AFTER_TIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_is_told_after_many_messages_many_bytes_or_some_time() {
        let at = Duration::from_secs;
        let after = SeenAfter { messages: 10, bytes: 1000 };
        let mut untold = Untold::default();
        assert!(!untold.is_due(at(1000)));
        assert!((1..10).all(|_| !untold.take(1, at(0), after)));
        assert!(untold.take(1, at(0), after));
        let mut untold = Untold::default();
        assert!(!untold.take(999, at(1), after) && untold.take(1, at(1), after));
        let mut untold = Untold::default();
        let mut take = |seconds| untold.take(0, at(seconds), after);
        assert!(!take(100) && !take(104) && take(105));
        assert_eq!((untold.is_due(at(104)), untold.is_due(at(105)), untold.since()), (false, true, at(100)));
    }
}
