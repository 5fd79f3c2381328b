//! The handle of a relay, by which other threads give it clients and end it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::{Registry, Token, Waker};

use super::client::RelayedClient;

/// A relay as other threads see it.
#[derive(Clone)]
pub struct RelayHandle {
    state: Arc<Mutex<State>>,
    waker: Arc<Waker>,
}

#[derive(Default)]
struct State {
    /// Clients that the relay has not begun with.
    added: Vec<RelayedClient>,
    /// No further clients come, so the relay ends with the last that it has.
    is_complete: bool,
    /// When the relay ends, whoever is left.
    stop_at: Option<Instant>,
    /// The relay has ended, and takes nobody.
    has_ended: bool,
}

/// What other threads have told the relay.
#[derive(Default)]
pub(super) struct Told {
    pub(super) added: Vec<RelayedClient>,
    pub(super) is_complete: bool,
    pub(super) stop_at: Option<Instant>,
}

impl RelayHandle {
    pub(super) fn new(registry: &Registry, wake: Token) -> io::Result<Self> {
        Ok(Self { state: Arc::default(), waker: Arc::new(Waker::new(registry, wake)?) })
    }

    /// Gives the relay a client. A relay that has ended drops it.
    pub fn add(&self, client: RelayedClient) {
        self.tell(|state| {
            if !state.has_ended {
                state.added.push(client);
            }
        });
    }

    /// Says that no further clients come: the relay ends with the last that it has.
    pub fn complete(&self) {
        self.tell(|state| state.is_complete = true);
    }

    /// Ends the relay when its last client goes, and after this time at the latest. A shorter time than an earlier call's counts.
    pub fn stop_within(&self, time: Duration) {
        self.tell(|state| {
            // A time that no clock reaches is no limit.
            let stop_at = Instant::now().checked_add(time);
            state.stop_at = [state.stop_at, stop_at].into_iter().flatten().min();
            state.is_complete = true;
        });
    }

    pub(super) fn take(&self) -> Told {
        let mut state = self.lock();
        Told {
            added: std::mem::take(&mut state.added),
            is_complete: state.is_complete,
            stop_at: state.stop_at,
        }
    }

    /// Ends the taking of clients, if none has been added since the last [`RelayHandle::take`] or `is_forced`. Gives whether it has
    /// ended.
    pub(super) fn end(&self, is_forced: bool) -> bool {
        let mut state = self.lock();
        state.has_ended |= is_forced || state.added.is_empty();
        if state.has_ended {
            state.added.clear();
        }
        state.has_ended
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        // The call fails only without memory in the kernel, and then the relay sees the change with its next event.
        let _ = self.waker.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
