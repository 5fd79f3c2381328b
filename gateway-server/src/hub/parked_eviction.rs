//! The eviction of parked clients: a newcomer for whom there is no slot gets that of the client which has been away for longest.

use tokio::sync::{SemaphorePermit, oneshot};

use super::Hub;
use crate::net::RateLimitKey;
use crate::shard::Stopped;
use crate::shard::command::Command;

/// A parked client, and the shard that has it.
struct Candidate {
    shard: usize,
    key: usize,
    connection_id: u32,
}

impl Hub {
    /// Waits for the turn to evict parked clients, so that of several newcomers each takes the slot that it has made free.
    pub async fn eviction_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.evictions.acquire().await.ok()
    }

    /// Whether there is a parked client that [`Hub::evict_parked`] would end.
    pub async fn has_parked_to_evict(&self, address: RateLimitKey, of_all: bool) -> bool {
        self.longest_parked(address, of_all).await.is_ok_and(|longest| longest.is_some())
    }

    /// Ends the client that is parked for longest, of those from an address, or, with `of_all`, of all if that has none. Gives
    /// false if there is none.
    pub async fn evict_parked(&self, address: RateLimitKey, of_all: bool) -> Result<bool, Stopped> {
        let Some(Candidate { shard, key, connection_id }) = self.longest_parked(address, of_all).await?
        else {
            return Ok(false);
        };
        let (done, slot_is_free) = oneshot::channel();
        self.shards[shard].execute_inline(Command::EvictParked { key, connection_id, done }).await?;
        // The shard only drops the sender.
        let _ = slot_is_free.await;
        Ok(true)
    }

    async fn longest_parked(
        &self,
        address: RateLimitKey,
        of_all: bool,
    ) -> Result<Option<Candidate>, Stopped> {
        for address in [Some(Some(address)), of_all.then_some(None)].into_iter().flatten() {
            let of_shards = self.ask_all(move |clients| clients.longest_parked(address)).await?;
            let each =
                of_shards.into_iter().enumerate().filter_map(|(shard, longest)| Some((shard, longest?)));
            if let Some((shard, (_, key, connection_id))) = each.min_by_key(|(_, (since, ..))| *since) {
                return Ok(Some(Candidate { shard, key, connection_id }));
            }
        }
        Ok(None)
    }
}
