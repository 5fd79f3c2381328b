//! Tasks that are to run as long as the server, and what it means when one of them ends.

use std::collections::HashMap;
use std::future::Future;

use tokio::task::{Id, JoinSet};

/// Tasks that are stopped together.
#[derive(Default)]
pub(super) struct Tasks {
    running: JoinSet<()>,
    /// What has happened to the server when the task has ended.
    faults: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Starts a task that should never end. `fault` says in the log what has happened when it does.
    pub(super) fn spawn<F: Future + Send + 'static>(&mut self, fault: &'static str, task: F) {
        let task = self.running.spawn(async move {
            task.await;
        });
        self.faults.insert(task.id(), fault);
    }

    /// Waits until a task has ended, by itself or by a panic, and gives its fault. Without tasks this waits for ever.
    pub(super) async fn fault(&mut self) -> &'static str {
        let Some(ended) = self.running.join_next_with_id().await else { return std::future::pending().await };
        let id = ended.map_or_else(|panicked| panicked.id(), |(id, ())| id);
        self.faults.get(&id).copied().unwrap_or("a task ended")
    }

    /// Stops all tasks, and waits until they have been dropped.
    pub(super) async fn stop(&mut self) {
        self.running.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_task_that_ends_says_what_has_happened() {
        let mut tasks = Tasks::default();
        tasks.spawn("never", std::future::pending::<()>());
        tasks.spawn("returned", async {});
        assert_eq!(tasks.fault().await, "returned");
        tasks.spawn("panicked", async { panic!("as the test wishes") });
        assert_eq!(tasks.fault().await, "panicked");
        tasks.stop().await;
        assert!(tasks.running.is_empty());
    }
}
