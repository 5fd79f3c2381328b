//! How others find out whether a shard's own thread still answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

/// Puts one question at a time to the shard's thread, for all who wait for an answer, so that questions do not pile up in front
/// of a shard that hangs.
pub(super) struct Liveness {
    is_asked: Arc<AtomicBool>,
    /// The number of answers so far.
    answers: watch::Sender<u64>,
    /// The amount of work that the shard has done so far.
    steps: Arc<AtomicU64>,
}

/// The question that is on its way to the shard's thread.
pub(super) struct Question {
    is_asked: Arc<AtomicBool>,
    answers: watch::Sender<u64>,
}

impl Liveness {
    pub(super) fn new(steps: Arc<AtomicU64>) -> Self {
        Self { is_asked: Arc::default(), answers: watch::Sender::new(0), steps }
    }

    /// A question for the shard's thread, or `None` while another is on its way.
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
    /// Counts an answer; the shard's thread calls this.
    pub(super) fn answer(self) {
        self.answers.send_modify(|answers| *answers += 1);
    }
}

impl Drop for Question {
    /// Allows the next question, whether or not this one was answered, and wakes those who wait so that they look which it was.
    fn drop(&mut self) {
        self.is_asked.store(false, Ordering::SeqCst);
        self.answers.send_modify(|_| ());
    }
}
