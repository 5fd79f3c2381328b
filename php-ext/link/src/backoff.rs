//! The pauses between attempts to reach a gateway or a register.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// The backoff of [`gateway_wire::Backoff`] with the link's bounds and the system's random numbers.
#[derive(Debug)]
pub(crate) struct ReconnectBackoff(gateway_wire::Backoff);

impl Default for ReconnectBackoff {
    fn default() -> Self {
        Self(gateway_wire::Backoff::new(FIRST, LONGEST))
    }
}

impl ReconnectBackoff {
    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.0.is_fresh()
    }

    /// Counts a failure, and gives how long to wait after it.
    pub(crate) fn next_pause(&mut self) -> Duration {
        self.0.next_pause(getrandom::u32().ok())
    }
}
