//! Queries whose answers the program takes later, while it does something else.

use std::io;
use std::mem;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::answer::QueryAnswer;
use crate::error::LinkError;
use crate::fork::{self, CloseOnFork};
use crate::shared::Shared;
use crate::target::Target;

/// A query that was sent. Dropping it gives its answer up.
#[derive(Debug)]
pub struct Question {
    shared: Arc<Shared>,
    target: Arc<Target>,
    seq: u64,
    asked: Instant,
    patience: Duration,
    /// The process that has asked: the memory of `shared` may be in any state in one that it has forked.
    generation: u32,
}

impl Question {
    pub(crate) fn new(shared: Arc<Shared>, target: Arc<Target>, seq: u64, patience: Duration) -> Self {
        Self { shared, target, seq, asked: Instant::now(), patience, generation: fork::generation() }
    }

    fn is_own(&self) -> bool {
        self.generation == fork::generation()
    }

    /// Whether [`Question::answer`] has something to give at once, be it an error.
    pub fn is_ready(&self) -> bool {
        !self.is_own() || self.left().is_zero() || self.shared.lock().later.is_answered(self.seq)
    }

    /// The rest of the time that the gateway has for its answer.
    pub fn left(&self) -> Duration {
        self.patience.saturating_sub(self.asked.elapsed())
    }

    /// Gives a socket that has something to read once the answer is there, or will not come. It does not tell of the time that
    /// [`Question::left`] gives.
    pub fn signal(&self) -> io::Result<UnixStream> {
        let (signal, watched) = UnixStream::pair()?;
        watched.set_nonblocking(true)?;
        signal.set_nonblocking(true)?;
        if self.is_own() {
            let signal = CloseOnFork::open(|| io::Result::Ok(signal))?;
            self.shared.lock().later.watch(self.seq, signal);
        }
        Ok(watched)
    }

    /// Takes the answer, for which this waits at most for `timeout`, and no longer than the gateway has time for it. `None` when
    /// that has time still.
    pub fn answer(&mut self, timeout: Duration) -> Option<Result<QueryAnswer, LinkError>> {
        let address = || self.target.to_string();
        if !self.is_own() {
            return Some(Err(LinkError::AskedByParent { address: address() }));
        }
        let deadline = Instant::now() + timeout.min(self.left());
        let (state, answer) = self.shared.wait(deadline, |state| state.later.take(self.seq));
        drop(state);
        match answer {
            None if self.left().is_zero() => {
                Some(Err(LinkError::NoAnswer { address: address(), waited: self.patience }))
            }
            answer => answer,
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if self.is_own() {
            self.shared.lock().later.forget(self.seq);
        } else {
            // The copy of the parent's memory is left as it is.
            mem::forget(Arc::clone(&self.shared));
        }
    }
}
