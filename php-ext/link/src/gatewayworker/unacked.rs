//! The orders and queries that one gateway was sent and has not confirmed.
//!
//! The protocol has no confirmations, but a gateway handles what arrives over one connection in order, and replies to queries
//! in order: a reply confirms everything that was sent before its query. Where the program asks nothing, a small query of the
//! session's own follows its orders.

use std::collections::VecDeque;

/// Orders that follow each other on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct OrderRun {
    /// The number of the first, when there is one.
    first: u64,
    count: u64,
}

/// A reply that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ExpectedReply {
    /// The orders that the reply confirms.
    orders: OrderRun,
    purpose: ReplyPurpose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplyPurpose {
    /// The query was sent only to have the orders before it confirmed.
    Confirmation,
    /// The query is one of those that call `seq` consists of.
    Query { seq: u64, part: usize },
}

#[derive(Debug, Default)]
pub(super) struct Unacked {
    due: VecDeque<ExpectedReply>,
    /// The orders that were sent after the last query.
    open: OrderRun,
    /// A query for confirmation is on its way.
    awaits_confirmation: bool,
}

/// The calls that a lost connection leaves unfinished.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct UnfinishedCalls {
    /// The number of orders of which it is unknown whether they took effect.
    pub(super) orders: u64,
    /// The numbers of the calls that are queries without an answer.
    pub(super) queries: Vec<u64>,
}

impl Unacked {
    pub(super) fn order_sent(&mut self, seq: u64) {
        if self.open.count == 0 {
            self.open.first = seq;
        }
        self.open.count += 1;
    }

    pub(super) fn query_sent(&mut self, purpose: ReplyPurpose) {
        self.awaits_confirmation |= purpose == ReplyPurpose::Confirmation;
        self.due.push_back(ExpectedReply { orders: std::mem::take(&mut self.open), purpose });
    }

    /// Whether a query for confirmation is due: there is something to confirm, and none is on its way.
    pub(super) fn needs_confirmation(&self) -> bool {
        self.open.count > 0 && !self.awaits_confirmation
    }

    /// Notes that a reply has arrived, and gives what it replies to; `None` when none was expected.
    pub(super) fn reply_received(&mut self) -> Option<ReplyPurpose> {
        let purpose = self.due.pop_front()?.purpose;
        self.awaits_confirmation &= purpose != ReplyPurpose::Confirmation;
        Some(purpose)
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.due.is_empty()
    }

    /// The lowest number of a call that is not done.
    pub(super) fn first_unfinished(&self) -> Option<u64> {
        let due = self.due.iter().find_map(|due| match due {
            ExpectedReply { orders: OrderRun { first, count: 1.. }, .. } => Some(*first),
            ExpectedReply { purpose: ReplyPurpose::Query { seq, .. }, .. } => Some(*seq),
            _ => None,
        });
        due.or((self.open.count > 0).then_some(self.open.first))
    }

    pub(super) fn close(self) -> UnfinishedCalls {
        let mut left = UnfinishedCalls { orders: self.open.count, queries: Vec::new() };
        for ExpectedReply { orders, purpose } in self.due {
            left.orders += orders.count;
            if let ReplyPurpose::Query { seq, .. } = purpose {
                left.queries.push(seq);
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_confirms_what_stands_before_its_question() {
        let mut unacked = Unacked::default();
        assert!(!unacked.needs_confirmation() && unacked.first_unfinished().is_none());
        unacked.order_sent(3);
        unacked.order_sent(5);
        assert!(unacked.needs_confirmation());
        unacked.query_sent(ReplyPurpose::Confirmation);
        unacked.order_sent(8);
        assert!(!unacked.needs_confirmation(), "one at a time");
        unacked.query_sent(ReplyPurpose::Query { seq: 9, part: 1 });
        unacked.order_sent(10);
        assert_eq!(unacked.first_unfinished(), Some(3));
        assert_eq!(unacked.reply_received(), Some(ReplyPurpose::Confirmation));
        assert_eq!(unacked.first_unfinished(), Some(8));
        assert!(unacked.needs_confirmation());
        assert_eq!(unacked.reply_received(), Some(ReplyPurpose::Query { seq: 9, part: 1 }));
        assert_eq!(unacked.first_unfinished(), Some(10));
        assert_eq!(unacked.reply_received(), None);
    }

    #[test]
    fn what_is_left_is_counted() {
        let mut unacked = Unacked::default();
        unacked.query_sent(ReplyPurpose::Confirmation);
        assert_eq!(unacked.first_unfinished(), None);
        unacked.order_sent(1);
        unacked.query_sent(ReplyPurpose::Query { seq: 2, part: 0 });
        unacked.order_sent(3);
        unacked.order_sent(4);
        assert_eq!(unacked.close(), UnfinishedCalls { orders: 3, queries: vec![2] });
    }
}
