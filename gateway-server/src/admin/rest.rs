//! The rest of the operations port before another process takes over: no request is served, and none waits for pages.

use tokio::sync::{OwnedSemaphorePermit, watch};

/// Tells requests that wait for pages that the port is to come to rest.
pub(super) struct RestWanted(watch::Sender<bool>);

/// The port is at rest, or is to come to rest, as long as this is held.
pub struct RequestsAtRest {
    wanted: watch::Sender<bool>,
    /// All places of requests. There is none while requests are still served.
    places: Option<OwnedSemaphorePermit>,
}

impl RestWanted {
    pub(super) fn new() -> Self {
        Self(watch::channel(false).0)
    }

    /// Begins to want rest. Only one at a time does.
    pub(super) fn want(&self) -> RequestsAtRest {
        self.0.send_replace(true);
        RequestsAtRest { wanted: self.0.clone(), places: None }
    }

    /// Waits until rest is wanted.
    pub(super) async fn wanted(&self) {
        // The sender lives as long as this.
        let _ = self.0.subscribe().wait_for(|is_wanted| *is_wanted).await;
    }
}

impl RequestsAtRest {
    /// Keeps all places of requests, so that no request is served.
    pub(super) fn with(mut self, places: OwnedSemaphorePermit) -> Self {
        self.places = Some(places);
        self
    }
}

impl Drop for RequestsAtRest {
    fn drop(&mut self) {
        self.wanted.send_replace(false);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn rest_is_wanted_as_long_as_somebody_holds_it() {
        let rest = RestWanted::new();
        assert!(rest.wanted().now_or_never().is_none());
        let mut waiting = Box::pin(rest.wanted());
        assert!((&mut waiting).now_or_never().is_none());
        let at_rest = rest.want();
        assert!(waiting.now_or_never().is_some() && rest.wanted().now_or_never().is_some());
        drop(at_rest);
        assert!(rest.wanted().now_or_never().is_none());
    }
}
