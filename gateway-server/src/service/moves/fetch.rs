//! The new node's part: it fetches a client from the node that the client has left.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use gateway_wire::client_protocol::{GapReason, ResumeOffer};
use tracing::{debug, info};

use super::super::{Gateway, NotFound};
use crate::cluster::{ClosedFence, Cluster, Marks, MoveReply, MoveRequest};
use crate::hub::ArrivalSlot;
use crate::protocol::Encoding;
use crate::shard::{DetachedClient, Names, NewConnection, Resumable, Stopped};

/// How many nodes are asked one after the other for a client that has gone on again and again.
const MOST_NODES: usize = 4;
/// How often a client is asked for that is bound anew meanwhile.
const ATTEMPTS: usize = 3;

/// The time within which a client that was taken has to be completed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What has been done for a client before its node is asked for it.
struct Prepared<'h> {
    /// The node that has the client.
    node: SocketAddrV4,
    /// The names to which it is bound here.
    names: Names,
    /// Its place here.
    slot: ArrivalSlot<'h>,
    /// The numbers of orders behind which everything that concerns the client reaches this node.
    marks: Marks,
}

/// Closes the fence once this node has received all orders up to these numbers. What hinders that may pass.
async fn close_once_caught_up<'c>(
    cluster: &'c Cluster,
    contained: &[(u64, u64)],
) -> Result<ClosedFence<'c>, String> {
    let start = Instant::now();
    loop {
        let closed = match cluster.catch_up(contained).await {
            Ok(()) => cluster.close_fence().await,
            Err(error) => Err(error),
        };
        match closed {
            Err(error) if start.elapsed() < PATIENCE => debug!(error, "a client that was taken waits"),
            done => return done,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Gateway {
    /// Finds a client at another node. Gives the node, as the client may have gone on from the first one, and what is known of it.
    pub(super) async fn find_elsewhere(
        &self,
        node: SocketAddrV4,
        offer: &ResumeOffer,
    ) -> Result<(SocketAddrV4, Resumable), NotFound> {
        let cluster = self.cluster.as_deref().ok_or(GapReason::Moved)?;
        if !self.takes_moves() {
            self.disown(offer, GapReason::Moved).await;
            return Err(GapReason::Moved.into());
        }
        let missed = match self.find_at(cluster, node, offer, None).await {
            Ok((at, Some(client))) => return Ok((at, client)),
            Ok((at, None)) => Some(at).filter(|at| *at != self.node),
            Err(NotFound::Gap(GapReason::Restarted)) => None,
            Err(failed) => return Err(failed),
        };
        // The node was started again, or is not there as far as this one knows. It may have given the client away before, without the
        // page's knowledge, or another node may hear it.
        for other in cluster.others().await?.into_iter().filter(|other| *other != node) {
            match self.find_at(cluster, other, offer, missed).await {
                Ok((at, Some(client))) => return Ok((at, client)),
                // A node that cannot say it now may have the client.
                Err(NotFound::NotNow(reason)) => return Err(reason.into()),
                Ok((_, None)) | Err(NotFound::Gap(_)) => {}
            }
        }
        Err(GapReason::Restarted.into())
    }

    /// Finds a client at a node, or at those to which it has gone on from there. Gives the last of these nodes, and no client if that
    /// node is not there: it took its clients with it, as far as this node knows.
    async fn find_at(
        &self,
        cluster: &Cluster,
        node: SocketAddrV4,
        offer: &ResumeOffer,
        missed: Option<SocketAddrV4>,
    ) -> Result<(SocketAddrV4, Option<Resumable>), NotFound> {
        let mut node = node;
        for _ in 0..MOST_NODES {
            let request = MoveRequest::Find { offer: offer.to_subprotocol(), missed };
            match cluster.ask_about_move(node, &request).await? {
                None => return Ok((node, None)),
                Some(MoveReply::Found(client)) => return Ok((node, Some(client))),
                Some(MoveReply::Gap(reason)) => return Err(reason.into()),
                Some(MoveReply::MovedOn(to)) if to.node == self.node => {
                    return Err("the client is on its way here".to_owned().into());
                }
                Some(MoveReply::MovedOn(to)) => node = to.node,
                Some(MoveReply::NotNow(reason)) => return Err(reason.into()),
                Some(_) => return Err("another node has answered something else".to_owned().into()),
            }
        }
        Err(GapReason::Moved.into())
    }

    /// Fetches a client from another node, and gives it its connection. A page whose client cannot be had is asked to try again.
    pub(super) async fn fetch(
        &self,
        node: SocketAddrV4,
        offer: &ResumeOffer,
        new_connection: NewConnection,
    ) -> Result<(), Stopped> {
        let Some(cluster) = self.cluster.as_deref() else {
            return self.turn_away(offer, new_connection).await;
        };
        let mut new_connection = Some(new_connection);
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            match self.fetch_once(cluster, node, offer, &mut new_connection).await {
                Ok(()) => return Ok(()),
                Err(NotFound::NotNow(again)) => reason = again,
                Err(NotFound::Gap(gap)) => {
                    reason = gap.word().to_owned();
                    break;
                }
            }
        }
        info!(client_id = %offer.secret.client(), reason, "a client could not be fetched from its node");
        match new_connection {
            Some(new_connection) => self.turn_away(offer, new_connection).await,
            None => Ok(()),
        }
    }

    async fn fetch_once(
        &self,
        cluster: &Cluster,
        node: SocketAddrV4,
        offer: &ResumeOffer,
        new_connection: &mut Option<NewConnection>,
    ) -> Result<(), NotFound> {
        let _slot = self.moves.slots.acquire().await.map_err(|_| GapReason::Restarted)?;
        let Some((encoding, listener)) = new_connection.as_ref().map(|new| (new.encoding, new.listener))
        else {
            return Err(GapReason::Unknown.into());
        };
        let prepared = self.prepare(cluster, node, offer, encoding, listener);
        // The client is where it was until it is asked for, so the page may be turned away until then.
        let Prepared { node, names, slot, marks } = self.moves.turning_away.unless_begun(prepared).await?;
        let old = offer.secret.client();
        let to = slot.client();
        let connection_id = to.connection;
        self.moves.expect(connection_id, old);
        let taken =
            self.take(cluster, node, MoveRequest::Take { offer: offer.to_subprotocol(), names, to, marks });
        let arrived = async {
            let (client, contained) = taken.await?;
            self.moves.arrive(connection_id, None, client.known_as());
            // From here on the client is nowhere else, so a hindrance that passes is waited for.
            let _closed = close_once_caught_up(cluster, &contained).await?;
            let Some(new_connection) = new_connection.take() else { return Ok(false) };
            Ok::<bool, NotFound>(
                slot.complete(offer, client, contained.into_iter().collect(), new_connection).await?,
            )
        };
        match arrived.await {
            Ok(true) => {
                self.moves.arrive(connection_id, Some(Instant::now()), []);
                info!(client_id = %to, was = %old, "a client has come from another node");
                Ok(())
            }
            Ok(false) => {
                self.moves.forget_arrived(connection_id);
                Err("the client could not be completed".to_owned().into())
            }
            Err(error) => {
                self.moves.forget_arrived(connection_id);
                Err(error)
            }
        }
    }

    /// Makes room for a client of another node, and binds it here.
    async fn prepare(
        &self,
        cluster: &Cluster,
        node: SocketAddrV4,
        offer: &ResumeOffer,
        encoding: Encoding,
        listener: u8,
    ) -> Result<Prepared<'_>, NotFound> {
        let (node, Resumable { names, .. }) = self.find_elsewhere(node, offer).await?;
        let slot = {
            let _closed = cluster.close_fence().await?;
            self.hub.await_arrival(&names, encoding, listener).await?
        };
        let Some(slot) = slot else { return Err("this node has no room, or stops".to_owned().into()) };
        if !cluster.settled().await {
            return Err("not all NATS servers know to what the client is bound".to_owned().into());
        }
        let marks = cluster.marks().await?;
        Ok(Prepared { node, names, slot, marks })
    }

    async fn take(
        &self,
        cluster: &Cluster,
        node: SocketAddrV4,
        request: MoveRequest,
    ) -> Result<(DetachedClient, Vec<(u64, u64)>), NotFound> {
        match cluster.ask_about_move(node, &request).await? {
            Some(MoveReply::Taken { client, contained }) => {
                let client = DetachedClient::from_bytes(&client).map_err(|error| error.to_string())?;
                Ok((client, contained))
            }
            Some(MoveReply::Gap(reason)) => Err(reason.into()),
            Some(MoveReply::NotNow(reason)) => Err(reason.into()),
            Some(MoveReply::MovedOn(_)) => Err("the client has just gone on".to_owned().into()),
            None => Err(GapReason::Restarted.into()),
            Some(_) => Err("another node has answered something else".to_owned().into()),
        }
    }
}
