//! Whether a node takes frames of other nodes, and what it has begun for them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

/// Bytes of held frames beyond which nothing more is read from the broker, which keeps the rest.
pub(super) const MAX_HELD: usize = 32 << 20;

/// Whether a node is to rest, and what has not ended yet.
#[derive(Debug, Default)]
pub(super) struct Rest(watch::Sender<RestState>);

#[derive(Debug, Default)]
struct RestState {
    is_asked: bool,
    /// True while a connection takes frames.
    is_taking: bool,
    /// The number of questions of other nodes that are being answered.
    questions: usize,
}

/// A connection that takes frames, until this is dropped.
#[derive(Debug)]
pub(super) struct Taking<'a>(&'a Rest);

/// A question of another node that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Question<C: AsRef<Rest>>(Arc<C>);

/// The frames that are held.
#[derive(Debug, Default)]
pub(super) struct Held {
    frames: VecDeque<Bytes>,
    bytes: usize,
}

impl Rest {
    /// Notes that frames are taken, once the node does not rest.
    pub(super) async fn take(&self) -> Taking<'_> {
        loop {
            let may = |state: &mut RestState| {
                let may = !state.is_asked;
                state.is_taking |= may;
                may
            };
            if self.0.send_if_modified(may) {
                return Taking(self);
            }
            self.over().await;
        }
    }

    pub(super) fn is_asked(&self) -> bool {
        self.0.borrow().is_asked
    }

    /// Waits until the node is to rest.
    pub(super) async fn asked(&self) {
        self.until(|state| state.is_asked).await;
    }

    /// Waits until the node does not rest.
    pub(super) async fn over(&self) {
        self.until(|state| !state.is_asked).await;
    }

    /// Asks the node to rest, or to go on.
    pub(super) fn ask(&self, is_asked: bool) {
        self.0.send_modify(|state| state.is_asked = is_asked);
    }

    /// Waits until no frame is taken and no question is being answered.
    pub(super) async fn ended(&self) {
        self.until(|state| !state.is_taking && state.questions == 0).await;
    }

    async fn until(&self, is_so: impl FnMut(&RestState) -> bool) {
        // The sender is `self`, so it cannot be gone.
        let _ = self.0.subscribe().wait_for(is_so).await;
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.is_taking = false);
    }
}

impl<C: AsRef<Rest>> Question<C> {
    /// Notes that a question is being answered.
    pub(super) fn of(rest: Arc<C>) -> Self {
        (*rest).as_ref().0.send_modify(|state| state.questions += 1);
        Self(rest)
    }
}

impl<C: AsRef<Rest>> Drop for Question<C> {
    fn drop(&mut self) {
        (*self.0).as_ref().0.send_modify(|state| state.questions -= 1);
    }
}

impl Held {
    pub(super) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_HELD
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    impl AsRef<Rest> for Rest {
        fn as_ref(&self) -> &Rest {
            self
        }
    }

    #[tokio::test]
    async fn no_frame_is_taken_while_the_node_rests() {
        let rest = Arc::new(Rest::default());
        let (taking, question) = (rest.take().await, Question::of(Arc::clone(&rest)));
        assert!(!rest.is_asked() && rest.asked().now_or_never().is_none());
        rest.ask(true);
        rest.asked().await;
        let has_ended = || rest.ended().now_or_never();
        assert_eq!(has_ended(), None);
        drop(taking);
        assert_eq!(has_ended(), None);
        drop(question);
        assert_eq!(has_ended(), Some(()));
        assert!(rest.take().now_or_never().is_none() && rest.over().now_or_never().is_none());
        rest.ask(false);
        drop(rest.take().await);
    }

    #[test]
    fn held_frames_are_counted() {
        let mut held = Held::default();
        held.push(Bytes::from(vec![1; MAX_HELD - 1]));
        assert!(!held.is_full());
        held.push(Bytes::from_static(b"a"));
        assert!(held.is_full());
        assert_eq!(held.pop().map(|frame| frame[0]), Some(1));
        assert!(!held.is_full());
        assert_eq!(held.pop(), Some(Bytes::from_static(b"a")));
        assert_eq!((held.pop(), held.bytes), (None, 0));
    }
}
