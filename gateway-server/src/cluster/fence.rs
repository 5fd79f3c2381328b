//! The fence between numbering orders and carrying them out. An order passes it from before its number is known here until this node's
//! clients have it; whoever closes it knows exactly which orders these clients have got.

use std::time::Duration;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The time that a closing waits for orders that pass, at most. Orders that come meanwhile wait too.
const PATIENCE: Duration = Duration::from_millis(500);

/// The fence of a node.
#[derive(Debug, Default)]
pub(super) struct Fence(RwLock<()>);

/// The passage of an order, which lasts until this is dropped.
#[derive(Debug)]
pub struct Passage<'a>(#[expect(dead_code, reason = "it is held, and not read")] RwLockReadGuard<'a, ()>);

/// The closed fence, until this is dropped: no order is between its number and this node's clients.
#[derive(Debug)]
pub struct ClosedFence<'a>(
    #[expect(dead_code, reason = "it is held, and not read")] RwLockWriteGuard<'a, ()>,
);

impl Fence {
    /// Lets an order pass.
    pub(super) async fn pass(&self) -> Passage<'_> {
        Passage(self.0.read().await)
    }

    /// Closes the fence once all orders that pass have passed.
    pub(super) async fn close(&self) -> Result<ClosedFence<'_>, String> {
        match tokio::time::timeout(PATIENCE, self.0.write()).await {
            Ok(guard) => Ok(ClosedFence(guard)),
            Err(_) => Err(format!("an order has not been carried out for {PATIENCE:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn closing_waits_for_orders_that_pass_and_not_for_ever() {
        let fence = Fence::default();
        let (one, other) = (fence.pass().await, fence.pass().await);
        assert!(fence.close().await.is_err());
        drop((one, other));
        let closed = fence.close().await.unwrap();
        assert!(fence.pass().now_or_never().is_none());
        drop(closed);
        assert!(fence.pass().now_or_never().is_some());
    }
}
