//! The eviction of slow clients: when what waits for all clients takes too much memory, the clients that hold most and take least
//! are closed, whichever shard they are in.

use std::time::{Duration, Instant};

use super::Hub;
use crate::shard::Stopped;
use crate::shard::slow_clients::EvictionCandidate;

/// The number of clients of each shard that are closed, at most, before the hub looks whether that was enough.
const AT_ONCE: usize = 1024;
/// The wait before the next attempt when no client could be closed.
const PAUSE: Duration = Duration::from_millis(100);

impl Hub {
    /// Watches the memory of what waits for the clients of all shards. When it exceeds the bound, the clients that hold most and
    /// take least are closed. Returns when the shards have ended.
    pub async fn watch_waiting(&self) {
        loop {
            self.waiting().exceeded().await;
            while self.waiting().is_exceeded() {
                match self.give_up_heaviest().await {
                    Ok(true) => {}
                    Ok(false) => tokio::time::sleep(PAUSE).await,
                    Err(Stopped) => return,
                }
            }
        }
    }

    /// Closes as many clients as it takes, as far as there are candidates. Gives whether there were any.
    async fn give_up_heaviest(&self) -> Result<bool, Stopped> {
        let now = Instant::now();
        let shards = self.ask_all(move |clients| clients.heaviest(now, AT_ONCE)).await?;
        let each = |(shard, of_shard): (usize, Vec<EvictionCandidate>)| {
            of_shard.into_iter().map(move |one| (shard, one))
        };
        let mut heaviest: Vec<_> = shards.into_iter().enumerate().flat_map(each).collect();
        heaviest.retain(|(_, one)| !one.is_new);
        heaviest.sort_unstable_by(|(_, one), (_, other)| other.weight.total_cmp(&one.weight));
        let (mut has_to, mut is_to) = self.waiting().excess();
        for (shard, one) in &heaviest {
            if !one.is_to_go(&heaviest[0].1, (has_to, is_to)) {
                break;
            }
            (has_to, is_to) = (has_to.saturating_sub(one.bytes), is_to.saturating_sub(one.bytes));
            self.give_up(*shard, one.key, one.connection_id).await?;
        }
        // Each shard answers only after it has carried out the closes, so this waits for them.
        self.count(None).await?;
        Ok(!heaviest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::protocol::{Encoded, Encoding};
    use crate::shard::BuiltInSink;
    use crate::shard::Origin;
    use crate::shard::testing::{new_connection, tight};

    fn message(length: usize) -> Bytes {
        Bytes::from(vec![b'y'; length])
    }

    #[tokio::test]
    async fn whoever_holds_most_is_found_in_any_shard() {
        let hub = Arc::new(Hub::start(3, [7; 16], &tight(), Box::new(BuiltInSink), None, None).unwrap());
        let mut clients = Vec::new();
        for _ in 0..9 {
            let (new_connection, client) = new_connection(Encoding::Websocket);
            clients.push(client);
            hub.adopt(new_connection, None).await.unwrap();
        }
        let watched = Arc::clone(&hub);
        let watch = tokio::spawn(async move { watched.watch_waiting().await });
        let connection_ids = hub.clients(None).await.unwrap();
        assert_eq!(connection_ids.len(), 9);
        // Some of what waits is shared by all clients.
        hub.send_to_all(Encoded::raw(message(6 << 20)), Vec::new(), Origin::HERE).await.unwrap();
        for greedy in [connection_ids[0], connection_ids[4], connection_ids[8]] {
            // One client holds most. It is too much, but not so much that its shard makes room by itself.
            let start = Instant::now();
            while hub.is_online(greedy).await.unwrap() && start.elapsed() < Duration::from_secs(30) {
                if !hub.waiting().is_exceeded() {
                    hub.send_to_connections(Encoded::raw(message(500_000)), &[greedy], Origin::HERE)
                        .await
                        .unwrap();
                    hub.flush();
                } else {
                    tokio::time::sleep(PAUSE).await;
                }
            }
            let online = hub.clients(None).await.unwrap();
            assert!(!online.contains(&greedy));
        }
        assert_eq!(hub.count(None).await.unwrap(), 6);
        assert!(!hub.waiting().is_exceeded());
        watch.abort();
    }
}
