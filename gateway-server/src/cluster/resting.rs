//! A node's part in the cluster comes to rest before another process takes it over: no further frame is taken, and what has begun is
//! finished.
//!
//! Frames that come meanwhile are held. They are taken afterwards if this process goes on; otherwise the other process has them too, as
//! it has subscribed before.

use std::time::Duration;

use super::Cluster;
use super::rest::Rest;

impl AsRef<Rest> for Cluster {
    fn as_ref(&self) -> &Rest {
        &self.rest
    }
}

impl Cluster {
    /// Takes no further frame, finishes what has begun, and sends everything that waits. Gives an error if that takes longer than
    /// `timeout`, and then goes on as before.
    pub async fn rest(&self, timeout: Duration) -> Result<(), String> {
        self.rest.ask(true);
        let rested = tokio::time::timeout(timeout, async {
            self.rest.ended().await;
            if self.queue().is_up() {
                self.written().await;
            }
        });
        if rested.await.is_ok() {
            return Ok(());
        }
        self.go_on();
        Err(format!(
            "a question of another node was not answered within {timeout:?}, or the connection to NATS takes nothing"
        ))
    }

    /// Goes on after [`Cluster::rest`].
    pub fn go_on(&self) {
        self.rest.ask(false);
    }
}
