//! The handle by which other threads reach a shard: through its command queue, or by doing the work themselves while the shard's thread
//! sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::oneshot;

use super::carry::freezing::freezing;
use super::carry::frozen::FrozenShard;
use super::clients::Clients;
use super::command::Command;
use super::command_queue::{CommandSender, Stopped};
use super::liveness::Liveness;
use super::panics;
use super::state::Shard;
use super::sync::{AtomicBool, Mutex};

/// The way from other threads to one shard.
///
/// Locking rule: a shard and everything in it stands behind one mutex. The shard's own thread holds the lock while it works,
/// which is for one turn of its loop, and releases it before it sleeps in `poll`. While it sleeps, any other thread may take the
/// lock and carry out a command or a query itself. Only the shard's own thread ever waits for the lock: another one that finds it
/// taken, or finds commands in the inbox that have to come first, leaves its own to the shard's thread by way of the inbox. A
/// holder of the lock takes no other shard's lock and waits for no I/O; the other locks that it may take, such as those of the
/// index, of the total backlog and of the workers' queues, are held for moments only.
///
/// A frozen shard is an exception: its thread waits without the lock, which [`FrozenShard`] alone takes until the shard thaws, for as
/// long as it likes.
///
/// Working in the caller's thread saves waking two threads for a query and one for a command.
pub(crate) struct ShardHandle {
    /// The queue of commands for the shard's thread.
    commands: CommandSender,
    /// The shard itself; the locking rule is at [`ShardHandle`].
    shard: Arc<Mutex<Shard>>,
    /// Whether a command that was carried out in a caller's thread has left frames that [`ShardHandle::flush`] has to write.
    has_unflushed: AtomicBool,
    /// Shows whether the shard's own thread still answers.
    pulse: Liveness,
}

impl ShardHandle {
    /// Makes the handle of a shard that counts its work in `steps`.
    pub(super) fn new(commands: CommandSender, shard: Arc<Mutex<Shard>>, steps: Arc<AtomicU64>) -> Self {
        Self { commands, shard, has_unflushed: AtomicBool::new(false), pulse: Liveness::new(steps) }
    }

    /// Waits until the shard's own thread has answered a question, or returns at once if that thread has ended.
    pub(crate) async fn answers(&self) {
        let mut answers = self.pulse.answers();
        let before = *answers.borrow_and_update();
        while *answers.borrow_and_update() == before {
            if let Some(question) = self.pulse.question()
                && self.enqueue(Command::Ask(Box::new(move |_| question.answer()))).await.is_err()
            {
                return;
            }
            // The channel cannot be closed, as this handle owns its sending end.
            let _ = answers.changed().await;
        }
    }

    /// The amount of work that the shard has done so far. A shard for which this grows is alive, even if it does not answer yet.
    pub(crate) fn steps(&self) -> u64 {
        self.pulse.steps()
    }

    /// Takes the shard's lock and so keeps its thread from working, for a test.
    #[cfg(test)]
    pub(super) fn hold(&self) -> super::sync::MutexGuard<'_, Shard> {
        self.shard.lock().unwrap()
    }

    /// Freezes the shard behind all commands that are in the inbox already.
    pub(crate) async fn freeze(&self) -> Result<FrozenShard, Stopped> {
        let (freezing, is_frozen, frost) = freezing();
        self.enqueue(Command::Freeze(freezing)).await?;
        is_frozen.await.map_err(|_| Stopped)?;
        Ok(FrozenShard::new(Arc::clone(&self.shard), frost))
    }

    /// Leaves the command to the shard's thread, by way of the inbox. Waits while the inbox is full.
    pub(crate) async fn enqueue(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await
    }

    /// Carries the command out in the calling thread if the shard's thread sleeps, and else leaves it to that thread as
    /// [`ShardHandle::enqueue`] does. It is meant for commands that cost little. Commands of one caller take effect in their
    /// order either way. The frames that they bring are written by [`ShardHandle::flush`], so that those of a burst go out
    /// together.
    pub(crate) async fn execute_inline(&self, command: Command) -> Result<(), Stopped> {
        match self.try_execute(command) {
            None => {
                self.has_unflushed.store(true, Ordering::Release);
                Ok(())
            }
            Some(command) => self.enqueue(command).await,
        }
    }

    /// Carries the command out, or gives it back if the lock is taken or other commands have to come first.
    fn try_execute(&self, command: Command) -> Option<Command> {
        match self.shard.try_lock() {
            Ok(mut shard) if shard.is_free() => {
                shard.obey_alone(command);
                None
            }
            _ => Some(command),
        }
    }

    /// Writes the frames that [`ShardHandle::execute_inline`] has left.
    pub(crate) fn flush(&self) {
        if !self.has_unflushed.load(Ordering::Relaxed) || !self.has_unflushed.swap(false, Ordering::Acquire) {
            return;
        }
        let is_flushed = self.shard.try_lock().is_ok_and(|mut shard| shard.flush());
        if !is_flushed {
            // The shard's thread writes the frames then, or takes note of a new deadline.
            self.commands.wake();
        }
    }

    /// Has the shard's thread answer the question, behind all commands that are in the inbox already.
    pub(crate) async fn query_in_thread<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Clients) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (back, answer) = oneshot::channel();
        // The caller may have given up; then nobody receives the answer.
        self.enqueue(Command::Ask(Box::new(move |clients| drop(back.send(question(clients)))))).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Answers the question in the calling thread if the shard's thread sleeps, and else as [`ShardHandle::query_in_thread`]
    /// does. It is meant for questions that take little time.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Clients) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        match self.try_query(question) {
            Ok(answer) => answer.ok_or(Stopped),
            Err(question) => self.query_in_thread(question).await,
        }
    }

    /// Answers the question, with `None` if it panicked, or gives it back if the lock is taken or commands have to come first.
    fn try_query<T, Q: FnOnce(&Clients) -> T>(&self, question: Q) -> Result<Option<T>, Q> {
        match self.shard.try_lock() {
            Ok(shard) if shard.may_ask() => Ok(panics::contained(|| question(shard.clients()))),
            _ => Err(question),
        }
    }
}
