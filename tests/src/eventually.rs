//! Waiting for what comes about in another process, and that nothing announces.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use crate::PATIENCE;

const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until `expected` is seen.
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
