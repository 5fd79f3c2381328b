//! Moves of clients from one node of the cluster to another, as far as the shards are concerned.

use std::sync::atomic::Ordering;

use gateway_wire::ClientId;
use gateway_wire::client_protocol::ResumeOffer;
use tokio::sync::oneshot;

use super::Hub;
use crate::protocol::Encoding;
use crate::shard::arrival::{Arrival, Arrived};
use crate::shard::claim::NameClaim;
use crate::shard::command::{Command, NewConnection};
use crate::shard::detached_client::NotDeparted;
use crate::shard::{Contained, DetachedClient, Names, Stopped};

/// The slot of a client that comes from another node. Until it is completed, dropping this forgets the client.
pub struct ArrivalSlot<'a> {
    hub: &'a Hub,
    connection_id: u32,
    is_done: bool,
}

impl Hub {
    /// Whether clients may go on at another node, or come from one.
    pub fn takes_moves(&self) -> bool {
        self.sinks.takes_moves()
    }

    /// Whether a client comes from another node at this moment.
    pub fn has_arrivals(&self) -> bool {
        self.arrivals.load(Ordering::Relaxed) > 0
    }

    /// Makes room for a client that another node is about to give, and binds it to its names. What is sent to it is kept from now on.
    /// Gives `None` if there is no room.
    pub async fn await_arrival(
        &self,
        names: &Names,
        encoding: Encoding,
        listener: u8,
    ) -> Result<Option<ArrivalSlot<'_>>, Stopped> {
        self.want(encoding);
        let (connection_id, shard) = self.connection_ids.issue();
        let slot = ArrivalSlot { hub: self, connection_id, is_done: false };
        self.arrivals.fetch_add(1, Ordering::Relaxed);
        let claim = |index, name: &[u8]| NameClaim::new(index, name, shard);
        let arrival = Arrival {
            uid: names.uid.as_ref().map(|uid| claim(&self.uids, uid)),
            groups: names.groups.iter().map(|group| claim(&self.groups, group)).collect(),
            encoding,
            listener,
        };
        let (back, has_room) = oneshot::channel();
        let arrival = Box::new(arrival);
        self.shards[shard].enqueue(Command::AwaitArrival { connection_id, arrival, back }).await?;
        Ok(has_room.await.map_err(|_| Stopped)?.then_some(slot))
    }

    /// Gives a client to another node, which has bound it to `names`.
    pub async fn depart(
        &self,
        connection_id: u32,
        offer: &ResumeOffer,
        names: Names,
    ) -> Result<Result<Box<DetachedClient>, NotDeparted>, Stopped> {
        let (back, departed) = oneshot::channel();
        let offer = Box::new(*offer);
        self.shard_of(connection_id)
            .execute_inline(Command::Depart { connection_id, offer, names, back })
            .await?;
        departed.await.map_err(|_| Stopped)
    }

    /// Forgets a client that was given to another node, which has taken it or has not.
    pub async fn settle_departed(&self, connection_id: u32, was_taken: bool) {
        // A shard that has ended has told its workers of all its clients.
        let _ =
            self.shard_of(connection_id).enqueue(Command::SettleDeparted { connection_id, was_taken }).await;
    }
}

impl ArrivalSlot<'_> {
    /// The client_id that the client gets here.
    pub fn client(&self) -> ClientId {
        ClientId::new(self.hub.node, self.connection_id)
    }

    /// Completes the client with what the other node has given, and gives it its connection. Gives whether the client is here now; a page
    /// that cannot have it at this moment is asked to try again.
    pub async fn complete(
        mut self,
        offer: &ResumeOffer,
        client: DetachedClient,
        contained: Contained,
        new_connection: NewConnection,
    ) -> Result<bool, Stopped> {
        let (back, completed) = oneshot::channel();
        let arrived = Box::new(Arrived { offer: *offer, client, contained });
        let connection_id = self.connection_id;
        self.is_done = true;
        self.hub
            .shard_of(connection_id)
            .enqueue(Command::CompleteArrival { connection_id, arrived, new_connection, back })
            .await?;
        completed.await.map_err(|_| Stopped)
    }
}

impl Drop for ArrivalSlot<'_> {
    fn drop(&mut self) {
        self.hub.arrivals.fetch_sub(1, Ordering::Relaxed);
        if !self.is_done {
            let connection_id = self.connection_id;
            // This must not wait. If the command queue is full, the shard forgets the client when its time is over.
            let _ = futures_util::FutureExt::now_or_never(
                self.hub.shard_of(connection_id).enqueue(Command::AbandonArrival { connection_id }),
            );
        }
    }
}
