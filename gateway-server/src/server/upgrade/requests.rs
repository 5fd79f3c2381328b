//! The requests for an upgrade: `POST /upgrade` on the operations port, and SIGUSR2.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::admin::{UpgradeRequest, Upgraded};

/// Receives the requests.
pub(crate) struct UpgradeRequests {
    signal: Signal,
    operations: mpsc::Receiver<UpgradeRequest>,
}

/// Who has asked for an upgrade.
pub(crate) enum Asked {
    /// A signal, which nobody answers.
    Signal,
    Operations(UpgradeRequest),
}

/// Catches SIGUSR2, which from now on does not end the process.
pub(crate) fn signal_for_upgrades() -> io::Result<Signal> {
    signal(SignalKind::user_defined2())
}

impl UpgradeRequests {
    pub(crate) fn new(signal: Signal, operations: mpsc::Receiver<UpgradeRequest>) -> Self {
        Self { signal, operations }
    }

    /// Waits for a request. Nothing is lost when the caller stops waiting.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            Some(()) = self.signal.recv() => Asked::Signal,
            Some(request) = self.operations.recv() => Asked::Operations(request),
            else => std::future::pending().await,
        }
    }

    /// Refuses the requests that have come while an upgrade was under way.
    pub(crate) fn refuse_waiting(&mut self) {
        while let Ok(request) = self.operations.try_recv() {
            request.answer(Err("another upgrade was under way".to_owned()));
        }
    }
}

impl Asked {
    pub(crate) fn answer(self, result: Result<Upgraded, String>) {
        if let Self::Operations(request) = self {
            request.answer(result);
        }
    }
}
