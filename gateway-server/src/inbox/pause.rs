//! The pause in which another process has the store.

use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::sync::oneshot;

/// What the thread of the store has of a pause.
pub(super) struct Pause {
    closed: oneshot::Sender<()>,
    after: Receiver<AfterPause>,
}

/// What comes after a pause.
pub(super) enum AfterPause {
    /// The thread opens the store again.
    GoOn,
    /// Another process has the store now.
    End,
}

/// A store that is closed. When this is dropped, its thread opens it again.
pub struct AtRest {
    after: Option<Sender<AfterPause>>,
}

/// Makes a pause, what ends it, and what completes once the store is closed.
pub(super) fn pause() -> (Pause, AtRest, oneshot::Receiver<()>) {
    let ((closed, is_closed), (sender, after)) = (oneshot::channel(), channel());
    (Pause { closed, after }, AtRest { after: Some(sender) }, is_closed)
}

impl Pause {
    /// Says that the store is closed, and waits for the end of the pause.
    pub(super) fn wait(self) -> AfterPause {
        // Who has given up waiting has dropped the other end too.
        let _ = self.closed.send(());
        self.after.recv().unwrap_or(AfterPause::GoOn)
    }
}

impl AtRest {
    /// Leaves the store to another process.
    pub fn leave(mut self) {
        if let Some(after) = self.after.take() {
            let _ = after.send(AfterPause::End);
        }
    }
}
