//! The decision who has the clients. It is taken once, by the thread that hands over or by one that was asked to stop, and the
//! other finds it taken.

use std::sync::{Mutex, PoisonError};

/// Whether the clients are given away.
#[derive(Debug, Default)]
pub struct Decision(Mutex<State>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The clients belong to the new server.
    Given,
    /// The clients stay.
    Kept,
}

/// Why the clients were not given away.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDecided<E> {
    #[error("the server was asked to stop")]
    Stopped,
    #[error("{0}")]
    NotSent(E),
}

impl Decision {
    /// Gives the clients away by sending the decision, unless they are to stay. If that cannot be sent, nothing is decided.
    pub fn give<E>(&self, send: impl FnOnce() -> Result<(), E>) -> Result<(), NotDecided<E>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == State::Kept {
            return Err(NotDecided::Stopped);
        }
        let sent = send();
        if sent.is_ok() {
            *state = State::Given;
        }
        sent.map_err(NotDecided::NotSent)
    }

    /// Whether the clients are to stay, as [`Decision::keep`] has decided.
    pub fn is_kept(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) == State::Kept
    }

    /// Keeps the clients, unless they are given away already, and then calls `end`, which ends the new process. Gives whether they
    /// stay.
    pub fn keep(&self, end: impl FnOnce()) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == State::Given {
            return false;
        }
        *state = State::Kept;
        end();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_decides_first_has_decided() {
        let decision = Decision::default();
        assert!(!decision.is_kept() && decision.keep(|| {}) && decision.is_kept());
        assert_eq!(decision.give(|| -> Result<(), ()> { panic!("it is kept") }), Err(NotDecided::Stopped));
        assert!(decision.keep(|| {}), "twice is once");

        let decision = Decision::default();
        assert_eq!(decision.give(|| Ok::<_, ()>(())), Ok(()));
        assert!(!decision.keep(|| panic!("it is given")));

        let decision = Decision::default();
        assert_eq!(decision.give(|| Err("closed")), Err(NotDecided::NotSent("closed")));
        assert!(!decision.is_kept() && decision.keep(|| {}));
    }
}
