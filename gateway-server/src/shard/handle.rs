//! A shard as others reach it: through its inbox, or in their own thread while the shard's has nothing to do. The latter
//! saves waking two threads for a question, and one for an order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::oneshot;

use super::clients::Clients;
use super::command::Command;
use super::inbox::{InboxSender, Stopped};
use super::liveness::Liveness;
use super::panics;
use super::state::Shard;
use super::sync::{AtomicBool, Mutex};

pub(crate) struct ShardHandle {
    inbox: InboxSender,
    /// Locked by the shard's thread while it works, and by any other thread while the shard's thread sleeps in poll.
    shard: Arc<Mutex<Shard>>,
    /// Something was told that [`ShardHandle::flush`] is to write.
    has_unflushed: AtomicBool,
    pulse: Liveness,
}

impl ShardHandle {
    /// `steps` is counted by the shard.
    pub(super) fn new(inbox: InboxSender, shard: Arc<Mutex<Shard>>, steps: Arc<AtomicU64>) -> Self {
        Self { inbox, shard, has_unflushed: AtomicBool::new(false), pulse: Liveness::new(steps) }
    }

    /// Waits until the shard's own thread has answered. One that has ended is not waited for.
    pub(crate) async fn answers(&self) {
        let mut answers = self.pulse.answers();
        let before = *answers.borrow_and_update();
        while *answers.borrow_and_update() == before {
            if let Some(question) = self.pulse.question()
                && self.enqueue(Command::Ask(Box::new(move |_| question.answer()))).await.is_err()
            {
                return;
            }
            // The sender is this handle's own.
            let _ = answers.changed().await;
        }
    }

    /// What the shard has done so far: while that grows it is at work, even if it does not answer.
    pub(crate) fn steps(&self) -> u64 {
        self.pulse.steps()
    }

    /// Keeps the shard's thread from its work.
    #[cfg(test)]
    pub(super) fn hold(&self) -> super::sync::MutexGuard<'_, Shard> {
        self.shard.lock().unwrap()
    }

    /// Leaves it to the shard's thread.
    pub(crate) async fn enqueue(&self, command: Command) -> Result<(), Stopped> {
        self.inbox.send(command).await
    }

    /// Does what [`ShardHandle::send`] does, for a command that costs little. It takes effect in turn; what it has written to clients waits for
    /// [`ShardHandle::flush`], so that a burst goes out together.
    pub(crate) async fn execute_inline(&self, command: Command) -> Result<(), Stopped> {
        match self.try_execute(command) {
            None => {
                self.has_unflushed.store(true, Ordering::Release);
                Ok(())
            }
            Some(command) => self.enqueue(command).await,
        }
    }

    /// Gives the command back if the shard's thread is at work.
    fn try_execute(&self, command: Command) -> Option<Command> {
        match self.shard.try_lock() {
            Ok(mut shard) if shard.is_free() => {
                shard.obey_alone(command);
                None
            }
            _ => Some(command),
        }
    }

    /// Writes what was told.
    pub(crate) fn flush(&self) {
        if !self.has_unflushed.load(Ordering::Relaxed) || !self.has_unflushed.swap(false, Ordering::Acquire) {
            return;
        }
        let is_flushed = self.shard.try_lock().is_ok_and(|mut shard| shard.flush());
        if !is_flushed {
            // Its thread writes it then, or takes note of a new deadline.
            self.inbox.wake();
        }
    }

    pub(crate) async fn query_in_thread<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Clients) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (back, answer) = oneshot::channel();
        // The caller may have gone; then nobody misses the answer.
        self.enqueue(Command::Ask(Box::new(move |clients| drop(back.send(question(clients)))))).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Does what [`ShardHandle::ask`] does, for a question that is answered in no time.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Clients) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        match self.try_query(question) {
            Ok(answer) => answer.ok_or(Stopped),
            Err(question) => self.query_in_thread(question).await,
        }
    }

    /// Gives the question back if the shard's thread is at work, and no answer if the question panicked.
    fn try_query<T, Q: FnOnce(&Clients) -> T>(&self, question: Q) -> Result<Option<T>, Q> {
        match self.shard.try_lock() {
            Ok(shard) if shard.is_free() => Ok(panics::contained(|| question(shard.clients()))),
            _ => Err(question),
        }
    }
}
