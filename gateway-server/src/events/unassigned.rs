//! What the last worker left waits for the next one, and not for ever.

use std::sync::Arc;
use std::time::Duration;

use super::router::Router;
use super::worker_queue::Worker;
use crate::hub::Hub;

/// About a restart of all workers.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gives the last worker's events up unless another worker comes in time. The wait is a task of its own, so that the place of the
/// connection that has ended is free for others.
pub(super) fn give_up_later(worker: Arc<Worker>, router: &Arc<Router>, hub: &Arc<Hub>) {
    let (router, hub) = (Arc::clone(router), Arc::clone(hub));
    tokio::spawn(async move {
        tokio::time::sleep(PATIENCE).await;
        router.give_up(&worker);
        // An error means that the server stops.
        hub.read_on().await;
    });
}
