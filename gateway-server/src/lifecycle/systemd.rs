//! Tells systemd the state of the server, if that has started it: ready, reloading, alive or stopping.

use std::io;

use sd_notify::{NotifyState, notify};
use tracing::warn;

pub fn ready() {
    told(notify(&[NotifyState::Ready]));
}

/// Says that the server reloads its settings, until [`ready`] is called.
pub fn reloading() {
    told(NotifyState::monotonic_usec_now().and_then(|now| notify(&[NotifyState::Reloading, now])));
}

pub fn stopping() {
    told(notify(&[NotifyState::Stopping]));
}

/// Says that another process is the server from now on.
pub fn replaced_by(pid: u32) {
    told(notify(&[NotifyState::MainPid(pid)]));
}

/// Says that the server is alive. If `WatchdogSec=` is set, this has to come within that time, or systemd restarts the server.
pub fn alive() {
    if sd_notify::watchdog_enabled().is_some() {
        told(notify(&[NotifyState::Watchdog]));
    }
}

/// Logs a failure. Without systemd there is nothing to tell, which is no failure.
fn told(result: io::Result<()>) {
    if let Err(error) = result {
        warn!(%error, "systemd was not told (NOTIFY_SOCKET)");
    }
}
