//! The messages that one end has taken and the other was not told of.

use std::time::Duration;

/// The number of messages after which the other end is told how many were taken.
pub const SEEN_AFTER_MESSAGES: u64 = 256;
/// The number of bytes of messages after which it is told.
pub const SEEN_AFTER_BYTES: usize = 128 << 10;
/// The time for which the other end may be left without word of a message.
pub const SEEN_AFTER_TIME: Duration = Duration::from_secs(5);

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
    pub(super) fn imported((messages, bytes, since): (u64, u64, Duration)) -> Self {
        let bytes = bytes.min(SEEN_AFTER_BYTES as u64) as usize;
        Self { messages: messages.min(SEEN_AFTER_MESSAGES), bytes, since: since.min(LATEST) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// The time at which the first untold message came.
    pub(super) fn since(&self) -> Duration {
        self.since
    }

    /// Counts a message, and says whether it is time to tell the other end.
    pub(super) fn take(&mut self, bytes: usize, now: Duration) -> bool {
        if self.is_empty() {
            self.since = now;
        }
        self.messages += 1;
        self.bytes += bytes;
        self.messages >= SEEN_AFTER_MESSAGES || self.bytes >= SEEN_AFTER_BYTES || self.is_due(now)
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
        let mut untold = Untold::default();
        assert!(!untold.is_due(at(1000)));
        assert!((1..SEEN_AFTER_MESSAGES).all(|_| !untold.take(1, at(0))));
        assert!(untold.take(1, at(0)));
        let mut untold = Untold::default();
        assert!(!untold.take(SEEN_AFTER_BYTES - 1, at(1)) && untold.take(1, at(1)));
        let mut untold = Untold::default();
        assert!(!untold.take(0, at(100)) && !untold.take(0, at(104)) && untold.take(0, at(105)));
        assert_eq!((untold.is_due(at(104)), untold.is_due(at(105)), untold.since()), (false, true, at(100)));
    }
}
