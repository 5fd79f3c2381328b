//! The messages that one end has sent and the other has not said that it has seen.

use std::collections::VecDeque;

/// The unseen messages of one direction, the oldest first. Several messages that were joined stand as one entry.
#[derive(Clone, Debug)]
pub(super) struct Unseen<M> {
    /// The number of messages that the other end has said that it has seen.
    seen: u64,
    /// The entries that are kept, each with the number of its messages. The other end may have seen the first messages of the
    /// first entry.
    kept: VecDeque<(M, u32)>,
    /// The number of messages in all entries.
    messages: u64,
    /// What all entries weigh, in bytes.
    weight: usize,
}

impl<M> Unseen<M> {
    /// No messages, of which the other end has seen so many.
    pub(super) fn none(seen: u64) -> Self {
        Self { seen, kept: VecDeque::new(), messages: 0, weight: 0 }
    }

    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The number of messages that are kept.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// What everything that is kept weighs, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// The memory of the list itself, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.kept.capacity() * size_of::<(M, u32)>()
    }

    pub(super) fn push(&mut self, entry: M, messages: u32, weight: usize) {
        self.kept.push_back((entry, messages));
        self.messages += u64::from(messages);
        self.weight += weight;
    }

    /// Forgets the entries of which all messages are among the first `count` of the `sent` messages. `release` is given each entry,
    /// and gives its weight.
    pub(super) fn forget_seen(&mut self, count: u64, sent: u64, mut release: impl FnMut(M) -> usize) {
        self.seen = count;
        while let Some((_, messages)) = self.kept.front()
            && self.first(sent) + u64::from(*messages) <= count
        {
            self.forget_oldest(&mut release);
        }
        // Memory is given back after a peak.
        if self.kept.len() < self.kept.capacity() / 8 {
            self.kept.shrink_to_fit();
        }
    }

    /// Forgets the oldest entry.
    pub(super) fn forget_oldest(&mut self, mut release: impl FnMut(M) -> usize) {
        if let Some((entry, messages)) = self.kept.pop_front() {
            self.messages -= u64::from(messages);
            self.weight -= release(entry);
        }
    }

    /// The number of messages that were sent before the first one that is kept. `sent` is the number of all that were sent.
    pub(super) fn first(&self, sent: u64) -> u64 {
        sent - self.messages
    }

    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = &(M, u32)> {
        self.kept.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_messages_are_forgotten_together() {
        let mut unseen = Unseen::none(10);
        for (entry, messages, weight) in [('a', 1, 1), ('b', 5, 20), ('c', 1, 300)] {
            unseen.push(entry, messages, weight);
        }
        let mut released = Vec::new();
        let mut seen = |unseen: &mut Unseen<char>, count| {
            unseen.forget_seen(count, 17, |entry| {
                released.push(entry);
                if entry == 'a' { 1 } else { 20 }
            });
            (unseen.first(17), unseen.messages(), unseen.weight())
        };
        assert_eq!(seen(&mut unseen, 10), (10, 7, 321));
        assert_eq!(seen(&mut unseen, 15), (11, 6, 320));
        assert_eq!(seen(&mut unseen, 16), (16, 1, 300));
        assert_eq!((unseen.seen(), unseen.entries().count(), unseen.is_empty()), (16, 1, false));
        unseen.forget_oldest(|_| 300);
        assert_eq!((unseen.first(17), unseen.weight(), unseen.is_empty()), (17, 0, true));
        assert_eq!(released, ['a', 'b']);
    }
}
