//! Drops what the last worker left when no other comes in time.

use std::sync::Arc;

use super::router::Router;
use super::worker_queue::WorkerQueue;
use crate::hub::Hub;

/// Drops the last worker's events unless another worker comes in time. The wait is a task of its own, so that the place of the
/// connection that has ended is free for others.
pub(super) fn give_up_later(worker: Arc<WorkerQueue>, router: &Arc<Router>, hub: &Arc<Hub>) {
    let (router, hub) = (Arc::clone(router), Arc::clone(hub));
    tokio::spawn(async move {
        tokio::time::sleep(worker.patience()).await;
        router.give_up(&worker);
        // An error means that the server stops.
        hub.read_on().await;
    });
}
