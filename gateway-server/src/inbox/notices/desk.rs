//! Where notices wait for a process of PHP that takes them, one batch at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::notice::Notice;

/// The desk. Whoever reads the store offers a batch here, and the connections of workers take it.
#[derive(Default)]
pub struct NoticeDesk {
    state: Mutex<State>,
    /// Notified when a batch waits, or a batch that was with a process has come back.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// The batch that waits for a process.
    waiting: Option<Arc<[Notice]>>,
    /// The connections whose process would take a batch.
    takers: usize,
    /// The processes that have a batch now, which may be of the server process before this one.
    held: usize,
    /// The number up to which processes have handled notices.
    handled: u64,
}

/// A batch that is with a process. When this is dropped before [`HeldNotices::handled`], somebody else gets the batch.
pub struct HeldNotices {
    desk: Arc<NoticeDesk>,
    up_to: u64,
    notices: Arc<[Notice]>,
}

impl NoticeDesk {
    /// Waits until a process would take a batch. Whoever then reads the store offers what is there at that time. Gives the number up to which
    /// processes have handled notices.
    pub async fn wanted(&self) -> u64 {
        self.until(|state| state.takers > 0 && state.held == 0).await;
        self.state().handled
    }

    /// Has a process take the notices, and waits until one has handled them or has gone with them. Gives the number up to which notices
    /// are handled now.
    pub async fn offer(&self, notices: Vec<Notice>) -> u64 {
        // One batch is on its way at most, so that notices are handled in their order.
        self.until(|state| state.held == 0).await;
        self.state().waiting = Some(notices.into());
        self.changed.notify_waiters();
        self.until(|state| state.waiting.is_none() && state.held == 0).await;
        self.state().handled
    }

    /// Waits until there is a batch, and takes it.
    pub async fn take(self: &Arc<Self>) -> HeldNotices {
        let _taker = Taker::come(self);
        let mut taken = None;
        self.until(|state| {
            taken = state.waiting.take();
            state.held += usize::from(taken.is_some());
            taken.is_some()
        })
        .await;
        let notices = taken.unwrap_or_default();
        let up_to = notices.last().map_or(0, |last| last.number);
        HeldNotices { desk: Arc::clone(self), up_to, notices }
    }

    /// Takes that a process has a batch up to this number, which another server process has given to it.
    pub fn held_already(self: &Arc<Self>, up_to: u64) -> HeldNotices {
        self.state().held += 1;
        HeldNotices { desk: Arc::clone(self), up_to, notices: Arc::default() }
    }

    async fn until(&self, mut is_so: impl FnMut(&mut State) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_so(&mut self.state()) {
                return;
            }
            changed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a connection as one whose process would take a batch, for as long as this lasts.
struct Taker<'a>(&'a NoticeDesk);

impl<'a> Taker<'a> {
    fn come(desk: &'a NoticeDesk) -> Self {
        desk.state().takers += 1;
        desk.changed.notify_waiters();
        Self(desk)
    }
}

impl Drop for Taker<'_> {
    fn drop(&mut self) {
        self.0.state().takers -= 1;
    }
}

impl HeldNotices {
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// The number of the last notice.
    pub fn up_to(&self) -> u64 {
        self.up_to
    }

    /// The process has handled the notices.
    pub fn handled(self) {
        let mut state = self.desk.state();
        state.handled = state.handled.max(self.up_to);
    }
}

impl Drop for HeldNotices {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        state.held = state.held.saturating_sub(1);
        drop(state);
        self.desk.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt as _;

    use super::super::notice::Fact;
    use super::*;

    fn batch(numbers: std::ops::Range<u64>) -> Vec<Notice> {
        let one = |number| Notice {
            number,
            uid: Bytes::from_static(b"anna"),
            id: "m".into(),
            fact: Fact::Undelivered { stored_at: 1 },
        };
        numbers.map(one).collect()
    }

    #[tokio::test]
    async fn one_process_alone_has_a_batch_and_who_goes_with_it_leaves_it_to_others() {
        let desk = Arc::new(NoticeDesk::default());
        assert!(desk.wanted().now_or_never().is_none());
        let (first, second) = (desk.take(), desk.take());
        tokio::pin!(first, second);
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        desk.wanted().await;
        let offered = desk.offer(batch(1..4));
        tokio::pin!(offered);
        assert!(offered.as_mut().now_or_never().is_none());
        let held = first.await;
        assert_eq!((held.notices().len(), held.up_to()), (3, 3));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(desk.wanted().now_or_never().is_none());
        drop(held);
        // Nobody has handled it, so it is offered again.
        assert_eq!(offered.await, 0);
        let offered = desk.offer(batch(1..4));
        tokio::pin!(offered);
        assert!(offered.as_mut().now_or_never().is_none());
        second.await.handled();
        assert_eq!(offered.await, 3);
        assert!(desk.wanted().now_or_never().is_none());
    }

    #[tokio::test]
    async fn what_a_process_has_from_the_server_process_before_comes_first() {
        let desk = Arc::new(NoticeDesk::default());
        let held = desk.held_already(7);
        let other = desk.take();
        tokio::pin!(other);
        assert!(other.as_mut().now_or_never().is_none() && desk.wanted().now_or_never().is_none());
        held.handled();
        assert_eq!(desk.wanted().await, 7);
    }
}
