//! Whether a shard's own thread answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

/// Asks one question at a time, however many want to know, so that they do not pile up in front of a shard that hangs.
pub(super) struct Liveness {
    is_asked: Arc<AtomicBool>,
    /// How many answers there have been.
    answers: watch::Sender<u64>,
    /// What the shard has done so far.
    steps: Arc<AtomicU64>,
}

/// The question that is under way.
pub(super) struct Question {
    is_asked: Arc<AtomicBool>,
    answers: watch::Sender<u64>,
}

impl Liveness {
    pub(super) fn new(steps: Arc<AtomicU64>) -> Self {
        Self { is_asked: Arc::default(), answers: watch::Sender::new(0), steps }
    }

    /// Nothing if it is asked already.
    pub(super) fn question(&self) -> Option<Question> {
        let is_new = !self.is_asked.swap(true, Ordering::SeqCst);
        is_new.then(|| Question { is_asked: Arc::clone(&self.is_asked), answers: self.answers.clone() })
    }

    pub(super) fn answers(&self) -> watch::Receiver<u64> {
        self.answers.subscribe()
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }
}

impl Question {
    /// Called by the shard's thread.
    pub(super) fn answer(self) {
        self.answers.send_modify(|answers| *answers += 1);
    }
}

impl Drop for Question {
    /// Answered or not, another may be asked; those who wait look whether it was.
    fn drop(&mut self) {
        self.is_asked.store(false, Ordering::SeqCst);
        self.answers.send_modify(|_| ());
    }
}
