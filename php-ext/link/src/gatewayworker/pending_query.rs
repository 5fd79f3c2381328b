//! A query whose replies are on their way: what has arrived of the answer, and what will not.

use std::net::SocketAddrV4;

use super::aggregate::{Aggregate, MalformedReply};
use super::session_event::SessionEvent;

#[derive(Debug)]
pub(super) struct PendingQuery {
    pub(super) seq: u64,
    /// Only one gateway can answer.
    of_one: bool,
    aggregate: Aggregate,
    /// The number of replies that are still to come.
    left: usize,
    has_some: bool,
    /// The gateways that do not answer, and why.
    missing: Vec<(SocketAddrV4, String)>,
}

impl PendingQuery {
    pub(super) fn new(seq: u64, of_one: bool, aggregate: Aggregate) -> Self {
        Self { seq, of_one, aggregate, left: 0, has_some: false, missing: Vec::new() }
    }

    /// Counts one more reply as expected.
    pub(super) fn expect_reply(&mut self) {
        self.left += 1;
    }

    pub(super) fn add_missing(&mut self, node: SocketAddrV4, why: &str) {
        if self.missing.last().is_none_or(|(last, _)| *last != node) {
            self.missing.push((node, why.to_owned()));
        }
    }

    /// Notes that an expected reply will not come.
    pub(super) fn reply_lost(&mut self, node: SocketAddrV4, why: &str) {
        self.left = self.left.saturating_sub(1);
        self.add_missing(node, why);
    }

    pub(super) fn take(
        &mut self,
        node: SocketAddrV4,
        part: usize,
        reply: &[u8],
    ) -> Result<(), MalformedReply> {
        self.left = self.left.saturating_sub(1);
        self.aggregate.take(node, part, reply)?;
        self.has_some = true;
        Ok(())
    }

    /// Once no more replies are expected: gives the answer, and whether it lacks something. Otherwise gives the query back.
    pub(super) fn finish(self) -> Result<Vec<SessionEvent>, Self> {
        if self.left > 0 {
            return Err(self);
        }
        let Self { seq, of_one, aggregate, has_some, missing, .. } = self;
        if missing.is_empty() {
            return Ok(vec![SessionEvent::Answer { seq, answer: Ok(aggregate.value()) }]);
        }
        let missing: Vec<_> = missing.iter().map(|(node, why)| format!("{node}: {why}")).collect();
        let missing = missing.join(", ");
        if of_one || !has_some {
            return Ok(vec![SessionEvent::Answer { seq, answer: Err(missing) }]);
        }
        Ok(vec![SessionEvent::Partial(missing), SessionEvent::Answer { seq, answer: Ok(aggregate.value()) }])
    }
}

/// Takes the query out of `all` if it is answered.
pub(super) fn take_if_finished(all: &mut Vec<PendingQuery>, index: usize) -> Vec<SessionEvent> {
    match all.swap_remove(index).finish() {
        Ok(finished) => finished,
        Err(open) => {
            all.push(open);
            Vec::new()
        }
    }
}
