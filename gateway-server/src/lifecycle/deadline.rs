//! The time that a stop has, whatever hangs: a thread of its own ends the process when that is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::lifecycle::stop::StopSignals;
use crate::system::exit;

/// For what comes when the clients have gone: workers hear their last events, and other nodes of the farewell.
const AFTER_CLIENTS: Duration = Duration::from_millis(2_500);

/// Milliseconds that a stop may take, and those that it may take once it has been asked for again.
#[derive(Debug, Default)]
pub struct Deadline {
    longest: AtomicU64,
    again: AtomicU64,
    begun: Notify,
}

impl Deadline {
    /// From now on a signal to stop ends the process in time: `drain` for the clients to be closed, and then `stop_timeout` for them to
    /// take their last messages.
    pub fn start(drain: Duration, stop_timeout: Duration) -> anyhow::Result<Arc<Self>> {
        let deadline = Arc::new(Self::default());
        deadline.set(drain, stop_timeout);
        let own = Arc::clone(&deadline);
        // Not the runtime that may hang.
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

    /// For a stop from now on.
    pub fn set(&self, drain: Duration, stop_timeout: Duration) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let after = stop_timeout + AFTER_CLIENTS;
        self.longest.store(millis(drain + after), Ordering::Relaxed);
        self.again.store(millis(after), Ordering::Relaxed);
    }

    /// A stop begins for another reason than a signal.
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
                    // The next one waits for nobody.
                    again = AFTER_CLIENTS;
                }
            }
        }
        exit::now("the stop hangs, and took longer than drain_seconds and stop_timeout allow");
    }
}
