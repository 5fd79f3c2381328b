//! The time limit of a stop. A thread of its own ends the process when it is over, whatever hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::lifecycle::stop::StopSignals;
use crate::system::ages::millis;
use crate::system::exit;

/// The time for what follows the last client: workers get their last events, and the other nodes of the cluster learn that this
/// one leaves.
const AFTER_CLIENTS: Duration = Duration::from_millis(2_500);

/// The time limits of a stop, in milliseconds: the one of the first request, and the one after another request.
#[derive(Debug, Default)]
pub struct Deadline {
    longest: AtomicU64,
    again: AtomicU64,
    begun: Notify,
}

impl Deadline {
    /// From now on, a stop that a signal asks for is limited to the sum of three times: `drain` to close the clients,
    /// `stop_timeout` for them to take their last messages, and [`AFTER_CLIENTS`].
    pub fn start(drain: Duration, stop_timeout: Duration) -> anyhow::Result<Arc<Self>> {
        let deadline = Arc::new(Self::default());
        deadline.set(drain, stop_timeout);
        let own = Arc::clone(&deadline);
        // The limit has a runtime of its own, as the server's may be what hangs.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut signals = {
            let _entered = runtime.enter();
            StopSignals::new()?
        };
        std::thread::Builder::new()
            .name("deadline".to_owned())
            .spawn(move || runtime.block_on(own.keep(&mut signals)))
            .context("the thread that keeps the time of a stop")?;
        Ok(deadline)
    }

    /// Replaces the times, for a stop that begins from now on.
    pub fn set(&self, drain: Duration, stop_timeout: Duration) {
        let after = stop_timeout + AFTER_CLIENTS;
        self.longest.store(millis(drain + after), Ordering::Relaxed);
        self.again.store(millis(after), Ordering::Relaxed);
    }

    /// Starts the time limit for a stop that no signal has asked for.
    pub fn begin(&self) {
        self.begun.notify_one();
    }

    async fn keep(&self, signals: &mut StopSignals) {
        tokio::select! {
            _ = signals.next() => {}
            () = self.begun.notified() => {}
        }
        let time = |millis: &AtomicU64| Duration::from_millis(millis.load(Ordering::Relaxed));
        let mut until = Instant::now() + time(&self.longest);
        let mut again = time(&self.again);
        loop {
            tokio::select! {
                () = sleep_until(until) => break,
                _ = signals.next() => {
                    until = until.min(Instant::now() + again);
                    // A third request leaves time only for what follows the last client.
                    again = AFTER_CLIENTS;
                }
            }
        }
        exit::now("the stop hangs, and took longer than drain_seconds and stop_timeout allow");
    }
}
