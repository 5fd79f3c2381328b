//! The links of one PHP thread: one for each target, a small number in all.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::LinkError;
use crate::fork;
use crate::link::{Link, LinkLimits, Unconfirmed};
use crate::target::Target;

/// The most links that a thread keeps. Programs use one target, rarely two; each link costs a thread and a connection.
pub const MAX_LINKS: usize = 8;

/// The open links of a thread, the most recently used first.
#[derive(Debug, Default)]
pub struct LinkPool {
    generation: u32,
    /// The link used last stands first.
    links: Vec<Link>,
    batching: bool,
}

impl LinkPool {
    /// A pool without links.
    pub const fn new() -> Self {
        Self { generation: 0, links: Vec::new(), batching: false }
    }

    /// Gives the link to `target`, opened with `limits` if it is not open. The least recently used link makes room, after a
    /// flush of at most `flush`; what that could not deliver is added to `undelivered`.
    pub fn link_to(
        &mut self,
        target: &Arc<Target>,
        limits: impl FnOnce() -> LinkLimits,
        flush: impl Fn() -> Duration,
        undelivered: &mut Vec<Unconfirmed>,
    ) -> Result<&mut Link, LinkError> {
        self.forget_parent_links();
        let same = |link: &Link| Arc::ptr_eq(link.target(), target) || link.target() == target;
        let index = match self.links.iter().position(same) {
            Some(index) if self.links[index].io_thread_has_ended() => {
                undelivered.extend(self.links.remove(index).flush(Duration::ZERO));
                None
            }
            found => found,
        };
        match index {
            Some(0) => {}
            Some(index) => self.links[..=index].rotate_right(1),
            None => {
                while self.links.len() >= MAX_LINKS {
                    undelivered.extend(self.links.pop().and_then(|link| close(link, flush())));
                }
                self.links.insert(0, Link::new(target.clone(), limits())?);
            }
        }
        self.links[0].set_batching(self.batching);
        Ok(&mut self.links[0])
    }

    /// Chooses whether orders are batched from now on, for [`LinkPool::send_batches`] to send. A link that is opened later
    /// batches too.
    pub fn set_batching(&mut self, batching: bool) {
        self.forget_parent_links();
        if self.batching != batching {
            self.batching = batching;
            self.links.iter_mut().for_each(|link| link.set_batching(batching));
        }
    }

    /// Sends what the links have batched.
    pub fn send_batches(&mut self) {
        self.forget_parent_links();
        self.links.iter_mut().for_each(Link::send_batch);
    }

    /// Iterates over the open links. In a forked child those of the parent are not among them.
    pub fn iter(&mut self) -> impl Iterator<Item = &Link> {
        self.forget_parent_links();
        self.links.iter()
    }

    /// Waits, at most for `timeout` altogether, for the orders that were handed over since the last flush, and gives what could
    /// not be delivered. Older orders were reported by an earlier flush.
    pub fn flush(&mut self, timeout: Duration) -> Vec<Unconfirmed> {
        self.forget_parent_links();
        let left = remaining(timeout);
        let mut unconfirmed = Vec::new();
        for link in self.links.iter_mut().filter(|link| link.has_unreported_orders()) {
            unconfirmed.extend(link.flush_unless_silent(left()));
            link.mark_reported();
        }
        unconfirmed
    }

    /// Waits, at most for `timeout` altogether, until every order that was handed over is confirmed, and says whether they are.
    /// A later flush reports the orders that are not.
    pub fn confirm(&mut self, timeout: Duration) -> bool {
        self.unconfirmed(timeout).is_empty()
    }

    /// Does the same, and gives what is not confirmed.
    pub fn unconfirmed(&mut self, timeout: Duration) -> Vec<Unconfirmed> {
        self.forget_parent_links();
        let left = remaining(timeout);
        // All of them are waited for, also behind one that does not answer.
        self.links.iter().filter_map(|link| link.flush_unless_silent(left())).collect()
    }

    /// Flushes and closes all links, within `flush` altogether, and gives what could not be delivered.
    pub fn close(&mut self, flush: Duration) -> Vec<Unconfirmed> {
        self.forget_parent_links();
        let left = remaining(flush);
        mem::take(&mut self.links).into_iter().filter_map(|link| close(link, left())).collect()
    }

    /// Forgets the parent's links in a forked child: there are no threads behind them, and their memory may be in any state.
    fn forget_parent_links(&mut self) {
        let generation = fork::generation();
        if mem::replace(&mut self.generation, generation) != generation {
            mem::forget(mem::take(&mut self.links));
            self.batching = false;
        }
    }
}

/// An I/O thread may take so long to end once it has nothing to do; one that resolves a name ends by itself later.
const JOIN_TIMEOUT: Duration = Duration::from_millis(200);

fn close(link: Link, flush: Duration) -> Option<Unconfirmed> {
    // A link that is down has had its time at the last flush, which reported it.
    let waited = !link.has_unreported_orders() && link.is_down();
    let unconfirmed = if waited { None } else { link.flush(flush) };
    link.close(JOIN_TIMEOUT);
    unconfirmed
}

fn remaining(bound: Duration) -> impl Fn() -> Duration {
    let deadline = Instant::now() + bound;
    move || deadline.saturating_duration_since(Instant::now())
}
