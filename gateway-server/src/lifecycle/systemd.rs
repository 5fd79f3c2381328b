//! What systemd hears of the server, where it has started it: that it serves, reads its settings, lives, or stops.

use std::io;

use sd_notify::{NotifyState, notify};
use tracing::warn;

pub fn ready() {
    told(notify(&[NotifyState::Ready]));
}

/// Until it is [`ready`] again.
pub fn reloading() {
    told(NotifyState::monotonic_usec_now().and_then(|now| notify(&[NotifyState::Reloading, now])));
}

pub fn stopping() {
    told(notify(&[NotifyState::Stopping]));
}

/// Within every `WatchdogSec=`, or systemd ends the server and starts it again.
pub fn alive() {
    if sd_notify::watchdog_enabled().is_some() {
        told(notify(&[NotifyState::Watchdog]));
    }
}

/// All is well where nobody wants to hear it.
fn told(result: io::Result<()>) {
    if let Err(error) = result {
        warn!(%error, "systemd was not told (NOTIFY_SOCKET)");
    }
}
