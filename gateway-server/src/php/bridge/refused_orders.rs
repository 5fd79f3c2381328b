//! The durable orders of a PHP process that failed. It must hear of each, also when the connection is lost before it has: so the
//! gateway has it send these again, and says again that they failed.

use std::collections::VecDeque;

/// The ranges of orders that are remembered. One range has orders in a row that failed for the same reason.
const RANGES: usize = 100;

/// The durable orders that failed, the first in front.
#[derive(Default)]
pub(super) struct RefusedOrders(VecDeque<Range>);

struct Range {
    first: u64,
    last: u64,
    message: String,
}

impl RefusedOrders {
    /// Remembers that an order failed. `follows` says that no durable order between the last one that failed and this one took effect.
    pub(super) fn add(&mut self, seq: u64, message: &str, follows: bool) {
        if let Some(last) = self.0.back_mut().filter(|last| follows && last.message == message) {
            last.last = seq;
            return;
        }
        if self.0.len() == RANGES {
            self.0.pop_front();
        }
        self.0.push_back(Range { first: seq, last: seq, message: message.to_owned() });
    }

    /// Gives the number up to which the process may be told that its orders took effect.
    pub(super) fn settled(&self, applied: u64) -> u64 {
        self.0.front().map_or(applied, |first| first.first - 1)
    }

    /// Gives the number up to which orders may be confirmed once the process was answered up to this one.
    pub(super) fn confirmable(&self, seq: u64, applied: u64) -> u64 {
        let next = self.0.iter().find(|range| range.last > seq);
        next.map_or(applied, |range| seq.max(range.first - 1))
    }

    /// Forgets what the process has heard of: it begins to send again with this order.
    pub(super) fn begin_with(&mut self, seq: u64) {
        while let Some(first) = self.0.front_mut()
            && first.first < seq
        {
            if first.last >= seq {
                first.first = seq;
                break;
            }
            self.0.pop_front();
        }
    }

    /// Gives why an order failed that the process sends again.
    pub(super) fn why(&self, seq: u64) -> Option<&str> {
        self.0.iter().find(|range| (range.first..=range.last).contains(&seq)).map(|range| &*range.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_in_a_row_is_one_range() {
        let mut refused = RefusedOrders::default();
        assert_eq!(refused.settled(9), 9);
        for (seq, message, follows) in
            [(3, "full", false), (5, "full", true), (8, "full", false), (9, "bad", true)]
        {
            refused.add(seq, message, follows);
        }
        assert_eq!(refused.settled(9), 2);
        let why = [2, 3, 4, 5, 7, 8, 9, 10].map(|seq| refused.why(seq));
        let (full, bad) = (Some("full"), Some("bad"));
        assert_eq!(why, [None, full, full, full, None, full, bad, None]);
        let confirmable = [1, 2, 3, 4, 5, 6, 9].map(|seq| refused.confirmable(seq, 20));
        assert_eq!(confirmable, [2, 2, 3, 4, 7, 7, 20]);
        refused.begin_with(4);
        assert_eq!((refused.settled(9), refused.why(3), refused.why(5)), (3, None, full));
        refused.begin_with(9);
        assert_eq!((refused.settled(9), refused.why(8), refused.why(9)), (8, None, bad));
        refused.begin_with(10);
        assert_eq!(refused.settled(9), 9);
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut refused = RefusedOrders::default();
        (1..=1000).for_each(|seq| refused.add(seq, &seq.to_string(), true));
        assert_eq!((refused.0.len(), refused.settled(1000)), (RANGES, 900));
    }
}
