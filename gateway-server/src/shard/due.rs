//! The connections of a turn to which something is still to be written.

/// The keys of connections, in the order in which they are written to. Each stands here once.
#[derive(Default)]
pub(super) struct Due {
    keys: Vec<usize>,
    /// The number of keys at the beginning that are done with.
    done: usize,
}

impl Due {
    pub(super) fn is_empty(&self) -> bool {
        self.done == self.keys.len()
    }

    /// Adds sorted keys. What is due stays sorted: connections are visited in the order in which they lie in memory, which is faster for
    /// many clients.
    pub(super) fn add(&mut self, keys: Vec<usize>) {
        if self.is_empty() {
            // Nobody is due, so these are all.
            *self = Self { keys, done: 0 };
        } else if !keys.is_empty() {
            self.keys.drain(..self.done);
            self.done = 0;
            self.keys.extend(keys);
            self.keys.sort_unstable();
            self.keys.dedup();
        }
    }

    /// Gives the next keys, at most so many, and counts them as done with.
    pub(super) fn next(&mut self, most: usize) -> &[usize] {
        let from = self.done;
        self.done = self.keys.len().min(from + most);
        &self.keys[from..self.done]
    }

    /// Takes the memory of keys that are done with already, while nobody is due.
    pub(super) fn give(&mut self, keys: Vec<usize>) {
        *self = Self { done: keys.len(), keys };
    }

    /// Gives the memory back for other keys.
    pub(super) fn into_keys(self) -> Vec<usize> {
        self.keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_once_and_in_order() {
        let mut due = Due::default();
        assert!(due.is_empty());
        due.add(vec![2, 4, 6, 8]);
        assert_eq!(due.next(2), [2, 4]);
        // A connection that is done with can become due again, and one that is due already stands here once.
        due.add(vec![4, 6, 7]);
        assert!(!due.is_empty());
        assert_eq!(due.next(2), [4, 6]);
        assert_eq!(due.next(9), [7, 8]);
        assert!(due.is_empty());
        assert!(due.next(9).is_empty());
        due.give(vec![1, 2]);
        assert!(due.is_empty() && due.next(9).is_empty());
        assert_eq!(due.into_keys().len(), 2);
    }
}
