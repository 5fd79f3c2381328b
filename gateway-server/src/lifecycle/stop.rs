//! Stopping: the signals that ask for it, and the clients that are told.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use crate::hub::Hub;

/// So many clients may come back in a second without being spread any further, so that a server with few stops at once.
const AT_LEAST_PER_SECOND: u32 = 1_000;

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From now on they no longer end the process by themselves.
    pub fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Closes the clients, evenly over `longest` or less, and waits until they have gone; the last may take `patience` for it. A
/// signal closes all that are left at once, and another waits for nobody.
pub async fn drain(
    hub: &Arc<Hub>,
    signals: &mut StopSignals,
    longest: Duration,
    patience: Duration,
) -> anyhow::Result<()> {
    let clients = hub.count(None).await.unwrap_or(0);
    let over = time_for(clients, longest);
    info!(clients, seconds = over.as_secs_f64(), "closing the clients");
    hub.stop(over, patience).await;
    let threads = Arc::clone(hub);
    let mut ended = tokio::task::spawn_blocking(move || threads.join_threads());
    for patience in [patience, Duration::ZERO] {
        tokio::select! {
            ended = &mut ended => return Ok(ended?),
            signal = signals.next() => info!("{signal} again: closing all that are left"),
        }
        hub.stop(Duration::ZERO, patience).await;
    }
    Ok(ended.await?)
}

fn time_for(clients: usize, longest: Duration) -> Duration {
    let clients = u32::try_from(clients).unwrap_or(u32::MAX);
    longest.min(Duration::from_secs(1) * clients / AT_LEAST_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_clients_take_no_time() {
        let longest = Duration::from_secs(5);
        assert_eq!(time_for(0, longest), Duration::ZERO);
        assert_eq!(time_for(20, longest), Duration::from_millis(20));
        assert_eq!(time_for(2_000, longest), Duration::from_secs(2));
        assert_eq!(time_for(usize::MAX, longest), longest);
        assert_eq!(time_for(1_000_000, Duration::ZERO), Duration::ZERO);
    }
}
