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
        let rested = tokio::time::timeout(timeout, async {
            if self.queue().is_up() {
                // The other process gets what NATS has received since it subscribed. What came before that, and waits to be read here,
                // is ahead of the answer of NATS, and is still taken.
                self.written().await;
            }
            self.rest.ask(true);
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::super::testing::cluster;
    use super::*;

    #[tokio::test]
    async fn what_nats_has_had_before_is_taken_until_it_has_answered() {
        let cluster = cluster();
        cluster.queue().up();
        let mut rests = Box::pin(cluster.rest(Duration::from_secs(30)));
        assert!((&mut rests).now_or_never().is_none());
        assert!(!cluster.rest.is_asked(), "NATS may have frames that only this process gets");
        cluster.writes_done.send_replace(1);
        assert!((&mut rests).now_or_never().is_none());
        assert!(cluster.rest.is_asked());
        // What it has begun meanwhile is on its way, too.
        cluster.writes_done.send_replace(2);
        assert_eq!(rests.await, Ok(()));
    }
}
