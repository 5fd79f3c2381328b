//! The health of a store, which others see without waiting for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::store::StoreError;

/// How a store does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Working,
    /// A commit has taken this long and is not over.
    Slow(Duration),
    /// The disk is full.
    Full(String),
    /// The last commit failed for this reason. The store goes on trying.
    Failed(String),
    /// The thread of the store has ended.
    Ended,
}

impl Health {
    /// Gives what is wrong, for operators; `None` if nothing is.
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Working => None,
            Self::Slow(time) => Some(format!("the store has not answered for {} s", time.as_secs())),
            Self::Full(reason) | Self::Failed(reason) => Some(format!("the store fails: {reason}")),
            Self::Ended => Some("the thread of the store has ended".to_owned()),
        }
    }
}

/// What the thread of a store notes of its health.
pub(super) struct HealthNotes {
    begin: Instant,
    /// When the commit under way began, in milliseconds since `begin`, and 1; 0 while there is none.
    commit: AtomicU64,
    /// How the last commit went. The lock is held for moments.
    last: Mutex<Health>,
    /// From when on a commit is slow.
    slow: Duration,
}

impl HealthNotes {
    pub(super) fn new(slow: Duration) -> Self {
        Self { begin: Instant::now(), commit: AtomicU64::new(0), last: Mutex::new(Health::Working), slow }
    }

    pub(super) fn health(&self) -> Health {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match self.commit_so_far() {
            Some(time) if time >= self.slow && last != Health::Ended => Health::Slow(time),
            _ => last,
        }
    }

    /// Gives how long the commit under way has taken.
    fn commit_so_far(&self) -> Option<Duration> {
        let began = self.commit.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.begin.elapsed().saturating_sub(Duration::from_millis(began)))
    }

    pub(super) fn commit_begins(&self) {
        self.commit.store(self.begin.elapsed().as_millis() as u64 + 1, Ordering::Release);
    }

    pub(super) fn commit_ends(&self, result: Result<(), &StoreError>) {
        self.set(match result {
            Ok(()) => Health::Working,
            Err(error @ StoreError::DiskFull(_)) => Health::Full(error.to_string()),
            Err(error) => Health::Failed(error.to_string()),
        });
        self.commit.store(0, Ordering::Release);
    }

    pub(super) fn end(&self) {
        self.set(Health::Ended);
    }

    fn set(&self, health: Health) {
        let before =
            std::mem::replace(&mut *self.last.lock().unwrap_or_else(PoisonError::into_inner), health.clone());
        match (before, health) {
            (Health::Working, Health::Full(reason) | Health::Failed(reason)) => {
                tracing::error!(
                    reason,
                    "the store fails, so messages for users who are not there are refused"
                );
            }
            (Health::Full(_) | Health::Failed(_), Health::Working) => tracing::info!("the store works again"),
            _ => {}
        }
    }
}
