//! Marks: how a node finds out how far the orders of all others have come at a moment. Every node answers with an order of no effect,
//! whose number is the mark; it goes to all nodes, so that they all know that they have the orders before it.

use std::time::Instant;

use tokio::sync::{Mutex, MutexGuard};

/// The marks of all processes: the number that each has given.
pub type Marks = Vec<(u64, u64)>;

/// The latest round of marks, and when it began.
type Round = Option<(Instant, Marks)>;

/// The latest round of marks, which serves all who have waited for one before it began.
#[derive(Debug, Default)]
pub(super) struct LatestMarks(Mutex<Round>);

impl LatestMarks {
    /// Gives the marks of a round that began after this call, or else the place for those of a new one.
    pub(super) async fn after_now(&self) -> Result<Marks, MutexGuard<'_, Round>> {
        let asked = Instant::now();
        let latest = self.0.lock().await;
        match &*latest {
            Some((begun, marks)) if *begun >= asked => Ok(marks.clone()),
            _ => Err(latest),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_has_waited_since_before_a_round_is_served_by_it() {
        let latest = LatestMarks::default();
        let mut place = latest.after_now().await.unwrap_err();
        let mut waits = Box::pin(latest.after_now());
        assert!((&mut waits).now_or_never().is_none());
        *place = Some((Instant::now(), vec![(1, 2)]));
        drop(place);
        assert_eq!(waits.await.unwrap(), [(1, 2)]);
        assert!(latest.after_now().await.is_err());
    }
}
