//! The count of what one end has taken from the other.

use std::time::Duration;

/// Number of messages after which the other end is told how many were taken.
pub const SEEN_AFTER_MESSAGES: u64 = 64;
/// Bytes of messages after which it is told.
pub const SEEN_AFTER_BYTES: usize = 16 << 10;
/// Time for which the other end may be left without word of a message.
pub const SEEN_AFTER_TIME: Duration = Duration::from_secs(5);

/// Counts the messages that were taken, and says when the other end should be told. Times are durations since any fixed moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedCount {
    taken: u64,
    /// What the other end was last told.
    told: u64,
    /// Bytes of the messages that it was not told of.
    untold_bytes: usize,
    /// The time at which the first of them came.
    untold_since: Duration,
}

impl ReceivedCount {
    /// Number of messages taken so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Counts a message. Gives the number to tell the other end, if it is time.
    pub fn take(&mut self, bytes: usize, now: Duration) -> Option<u64> {
        if self.taken == self.told {
            self.untold_since = now;
        }
        self.taken += 1;
        self.untold_bytes += bytes;
        let is_due = self.taken - self.told >= SEEN_AFTER_MESSAGES
            || self.untold_bytes >= SEEN_AFTER_BYTES
            || now.saturating_sub(self.untold_since) >= SEEN_AFTER_TIME;
        is_due.then(|| self.tell())
    }

    /// Gives the number to tell the other end if a message has waited for long. Call it from time to time.
    pub fn due(&mut self, now: Duration) -> Option<u64> {
        let is_due = self.taken > self.told && now.saturating_sub(self.untold_since) >= SEEN_AFTER_TIME;
        is_due.then(|| self.tell())
    }

    /// Gives the number of messages taken, of which the other end is told now.
    pub fn tell(&mut self) -> u64 {
        self.told = self.taken;
        self.untold_bytes = 0;
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_is_told_after_many_messages_many_bytes_or_some_time() {
        let at = Duration::from_secs;
        let mut count = ReceivedCount::default();
        assert!((1..SEEN_AFTER_MESSAGES).all(|_| count.take(1, at(0)).is_none()));
        assert_eq!(count.take(1, at(0)), Some(64));
        assert_eq!(count.take(SEEN_AFTER_BYTES - 1, at(1)), None);
        assert_eq!(count.take(1, at(1)), Some(66));
        assert_eq!((count.due(at(100)), count.take(0, at(100))), (None, None));
        assert_eq!((count.due(at(104)), count.due(at(105)), count.due(at(200))), (None, Some(67), None));
        assert_eq!((count.take(0, at(200)), count.take(0, at(205))), (None, Some(69)));
        assert_eq!((count.take(0, at(205)), count.tell(), count.due(at(300))), (None, 70, None));
    }
}
