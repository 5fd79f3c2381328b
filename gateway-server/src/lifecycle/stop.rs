//! Stops the server: the signals that ask for it, and the closing of the clients.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use crate::hub::Hub;

/// The number of clients that may reconnect in a second without harm. A server with few clients therefore stops sooner
/// than its settings allow.
const AT_LEAST_PER_SECOND: u32 = 1_000;

/// The signals that ask for a stop: SIGTERM and SIGINT.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Receives the signals, which from then on do not end the process by themselves.
    pub fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for a signal, and gives its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Closes the clients, spread evenly over `longest` or less, and waits until they have gone, for `patience` after the last close.
/// With `keeps_parked`, clients that may come back are waited for as long, so that other nodes can fetch them. A signal closes all that
/// are left at once, and a second one ends the wait too.
pub async fn drain(
    hub: &Arc<Hub>,
    signals: &mut StopSignals,
    longest: Duration,
    patience: Duration,
    keeps_parked: bool,
) -> anyhow::Result<()> {
    let clients = hub.count(None).await.unwrap_or(0);
    let over = time_for(clients, longest);
    info!(clients, seconds = over.as_secs_f64(), "closing the clients");
    hub.stop(over, patience, keeps_parked).await;
    let threads = Arc::clone(hub);
    let mut ended = tokio::task::spawn_blocking(move || threads.join_threads());
    for patience in [patience, Duration::ZERO] {
        tokio::select! {
            ended = &mut ended => return Ok(ended?),
            signal = signals.next() => info!("{signal} again: closing all that are left"),
        }
        hub.stop(Duration::ZERO, patience, false).await;
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
