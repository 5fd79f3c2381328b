//! What the inbox holds and has done, which others read without waiting for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::model::Totals;
use super::store::Outcome;

/// What the thread of a store counts.
#[derive(Default)]
pub struct InboxCounts {
    uids: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
    notices: AtomicU64,
    lost_notices: AtomicU64,
    stored: AtomicU64,
    dropped: AtomicU64,
    acknowledged: AtomicU64,
    refused: AtomicU64,
    commits: AtomicU64,
    commit_micros: AtomicU64,
    webhook_told: AtomicU64,
    webhook_failures: AtomicU64,
}

/// What the inbox holds and has done at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InboxSnapshot {
    /// What the store holds.
    pub totals: Totals,
    /// The messages that were stored.
    pub stored: u64,
    /// The messages that made room for others before their time.
    pub dropped: u64,
    /// The acknowledgements that devices gave.
    pub acknowledged: u64,
    /// The orders that were refused.
    pub refused: u64,
    pub commits: u64,
    /// How long all commits have taken together.
    pub commit_time: Duration,
    /// The requests that the webhook has taken, and those that have failed.
    pub webhook_told: u64,
    pub webhook_failures: u64,
}

impl InboxCounts {
    pub(super) fn commit(&self, time: Duration) {
        add(&self.commits, 1);
        add(&self.commit_micros, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn totals(&self, totals: Totals) {
        let Totals { uids, messages, bytes, notices, lost_notices } = totals;
        let held = [(&self.uids, uids), (&self.messages, messages), (&self.bytes, bytes)];
        for (count, value) in
            held.into_iter().chain([(&self.notices, notices), (&self.lost_notices, lost_notices)])
        {
            count.store(value, Ordering::Relaxed);
        }
    }

    pub(super) fn outcome(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Stored { dropped, .. } => {
                add(&self.stored, 1);
                add(&self.dropped, *dropped);
            }
            Outcome::Acknowledged { news: true, .. } => add(&self.acknowledged, 1),
            Outcome::Refused(_) => add(&self.refused, 1),
            _ => {}
        }
    }

    pub(super) fn webhook(&self, is_told: bool) {
        add(if is_told { &self.webhook_told } else { &self.webhook_failures }, 1);
    }

    pub(super) fn refuse(&self, operations: usize) {
        add(&self.refused, operations as u64);
    }

    pub fn snapshot(&self) -> InboxSnapshot {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        InboxSnapshot {
            totals: Totals {
                uids: read(&self.uids),
                messages: read(&self.messages),
                bytes: read(&self.bytes),
                notices: read(&self.notices),
                lost_notices: read(&self.lost_notices),
            },
            stored: read(&self.stored),
            dropped: read(&self.dropped),
            acknowledged: read(&self.acknowledged),
            refused: read(&self.refused),
            commits: read(&self.commits),
            commit_time: Duration::from_micros(read(&self.commit_micros)),
            webhook_told: read(&self.webhook_told),
            webhook_failures: read(&self.webhook_failures),
        }
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
