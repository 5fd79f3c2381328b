//! Waiting for a state of another process that nothing announces, by looking again and again.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use crate::PATIENCE;

const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until `expected` is seen; fails with what was seen instead when the patience is over.
pub async fn eventually<T: PartialEq + Debug>(
    what: &str,
    expected: T,
    mut look: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let seen = look().await?;
        if seen == expected {
            return Ok(());
        }
        anyhow::ensure!(start.elapsed() < PATIENCE, "{what}: {seen:?} instead of {expected:?}");
        tokio::time::sleep(PAUSE).await;
    }
}
