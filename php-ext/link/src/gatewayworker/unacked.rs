//! What one gateway has been told and has not confirmed.
//!
//! The protocol has no acks, but a gateway takes what comes over one connection in turn, and answers questions in turn:
//! an answer confirms all that was told before the question. Where the program asks nothing, a small question of our own
//! follows its orders.

use std::collections::VecDeque;

/// OrderRun that follow each other on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct OrderRun {
    /// The number of the first, when there is one.
    first: u64,
    count: u64,
}

/// A reply that is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ExpectedReply {
    /// What it confirms.
    orders: OrderRun,
    asked: ReplyPurpose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplyPurpose {
    /// Only to have the orders before it confirmed.
    Confirmation,
    /// One of the questions that call `seq` takes.
    Query { seq: u64, part: usize },
}

#[derive(Debug, Default)]
pub(super) struct Unacked {
    due: VecDeque<ExpectedReply>,
    /// RegisterTarget after the last question.
    open: OrderRun,
    /// A question of ours is under way.
    sealed: bool,
}

/// What a lost connection leaves behind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct UnfinishedCalls {
    /// OrderRun of which nobody knows whether they took effect.
    pub(super) orders: u64,
    /// Questions without an answer.
    pub(super) questions: Vec<u64>,
}

impl Unacked {
    pub(super) fn told(&mut self, seq: u64) {
        if self.open.count == 0 {
            self.open.first = seq;
        }
        self.open.count += 1;
    }

    pub(super) fn asked(&mut self, asked: ReplyPurpose) {
        self.sealed |= asked == ReplyPurpose::Confirmation;
        self.due.push_back(ExpectedReply { orders: std::mem::take(&mut self.open), asked });
    }

    /// It is time for a question of ours: there is something to confirm, and none is under way.
    pub(super) fn wants_seal(&self) -> bool {
        self.open.count > 0 && !self.sealed
    }

    /// A reply has come: what it answers. `None` when none was due.
    pub(super) fn answered(&mut self) -> Option<ReplyPurpose> {
        let asked = self.due.pop_front()?.asked;
        self.sealed &= asked != ReplyPurpose::Confirmation;
        Some(asked)
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.due.is_empty()
    }

    /// The lowest number of a call that is not settled.
    pub(super) fn first_unsettled(&self) -> Option<u64> {
        let due = self.due.iter().find_map(|due| match due {
            ExpectedReply { orders: OrderRun { first, count: 1.. }, .. } => Some(*first),
            ExpectedReply { asked: ReplyPurpose::Query { seq, .. }, .. } => Some(*seq),
            _ => None,
        });
        due.or((self.open.count > 0).then_some(self.open.first))
    }

    pub(super) fn close(self) -> UnfinishedCalls {
        let mut left = UnfinishedCalls { orders: self.open.count, questions: Vec::new() };
        for ExpectedReply { orders, asked } in self.due {
            left.orders += orders.count;
            if let ReplyPurpose::Query { seq, .. } = asked {
                left.questions.push(seq);
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
        assert!(!unacked.wants_seal() && unacked.first_unsettled().is_none());
        unacked.told(3);
        unacked.told(5);
        assert!(unacked.wants_seal());
        unacked.asked(ReplyPurpose::Confirmation);
        unacked.told(8);
        assert!(!unacked.wants_seal(), "one at a time");
        unacked.asked(ReplyPurpose::Query { seq: 9, part: 1 });
        unacked.told(10);
        assert_eq!(unacked.first_unsettled(), Some(3));
        assert_eq!(unacked.answered(), Some(ReplyPurpose::Confirmation));
        assert_eq!(unacked.first_unsettled(), Some(8));
        assert!(unacked.wants_seal());
        assert_eq!(unacked.answered(), Some(ReplyPurpose::Query { seq: 9, part: 1 }));
        assert_eq!(unacked.first_unsettled(), Some(10));
        assert_eq!(unacked.answered(), None);
    }

    #[test]
    fn what_is_left_is_counted() {
        let mut unacked = Unacked::default();
        unacked.asked(ReplyPurpose::Confirmation);
        assert_eq!(unacked.first_unsettled(), None);
        unacked.told(1);
        unacked.asked(ReplyPurpose::Query { seq: 2, part: 0 });
        unacked.told(3);
        unacked.told(4);
        assert_eq!(unacked.close(), UnfinishedCalls { orders: 3, questions: vec![2] });
    }
}
