//! What one end has sent and the other may not have seen.

use std::collections::VecDeque;

/// The messages of one direction: how many were sent, and those that the other end has not said that it has seen.
#[derive(Clone, Debug)]
pub struct SentMessages<M> {
    /// Number of messages that the other end has seen.
    seen: u64,
    /// The messages behind them, in order.
    unseen: VecDeque<(M, usize)>,
    /// The sum of what the unseen messages weigh.
    weight: usize,
}

/// The error for a count of seen messages that cannot be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeenError {
    /// The other end claims to have seen more than was sent.
    #[error("{claimed} messages cannot have been seen, as {sent} were sent")]
    BeyondSent {
        /// The number that it claims.
        claimed: u64,
        /// The number that was sent.
        sent: u64,
    },
    /// The other end has said before that it has seen more.
    #[error("{claimed} messages were seen, and before it were {before}")]
    Backwards {
        /// The number that it claims.
        claimed: u64,
        /// The number that it claimed before.
        before: u64,
    },
}

impl<M> Default for SentMessages<M> {
    fn default() -> Self {
        Self { seen: 0, unseen: VecDeque::new(), weight: 0 }
    }
}

impl<M> SentMessages<M> {
    /// Number of messages sent so far.
    pub fn sent(&self) -> u64 {
        self.seen + self.unseen.len() as u64
    }

    /// Number of messages that were sent and not seen.
    pub fn unseen(&self) -> usize {
        self.unseen.len()
    }

    /// The sum of what the unseen messages weigh.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Keeps a message that is sent now. `weight` is the memory that it takes, in bytes.
    pub fn push(&mut self, message: M, weight: usize) {
        self.weight += weight;
        self.unseen.push_back((message, weight));
    }

    /// Forgets the messages that the other end has seen.
    pub fn seen(&mut self, count: u64) -> Result<(), SeenError> {
        let forget =
            count.checked_sub(self.seen).ok_or(SeenError::Backwards { claimed: count, before: self.seen })?;
        if forget > self.unseen.len() as u64 {
            return Err(SeenError::BeyondSent { claimed: count, sent: self.sent() });
        }
        for (_, weight) in self.unseen.drain(..forget as usize) {
            self.weight -= weight;
        }
        self.seen = count;
        // A client that has seen all keeps nothing, and memory is given back after a peak.
        if self.unseen.is_empty() || self.unseen.len() < self.unseen.capacity() / 8 {
            self.unseen.shrink_to_fit();
        }
        Ok(())
    }

    /// The messages that were not seen, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &M> {
        self.unseen.iter().map(|(message, _)| message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_forgotten_and_lies_change_nothing() {
        let mut sent = SentMessages::default();
        for (message, weight) in [("a", 1), ("b", 20), ("c", 300)] {
            sent.push(message, weight);
        }
        assert_eq!((sent.sent(), sent.unseen(), sent.weight()), (3, 3, 321));
        sent.seen(2).unwrap();
        for lie in [1, 4, u64::MAX] {
            assert!(sent.seen(lie).is_err());
        }
        assert_eq!(sent.iter().collect::<Vec<_>>(), [&"c"]);
        assert_eq!((sent.sent(), sent.weight()), (3, 300));
        sent.seen(3).unwrap();
        assert_eq!((sent.sent(), sent.unseen(), sent.weight()), (3, 0, 0));
        assert_eq!(sent.unseen.capacity(), 0);
    }
}
