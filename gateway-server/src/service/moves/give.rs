//! The old node's part: it gives a client to the node at which the client has come back.

use std::time::Instant;

use gateway_wire::ClientId;
use gateway_wire::client_protocol::{GapReason, ResumeOffer};
use serde_bytes::ByteBuf;

use super::super::moved_clients::Departed;
use super::super::{Gateway, NotFound};
use crate::cluster::{MoveReply, MoveRequest, Whereabouts};
use crate::shard::Names;

impl Gateway {
    /// Answers a question of another node.
    pub async fn answer_about_move(&self, request: MoveRequest) -> MoveReply {
        let (offer, request) = match request {
            MoveRequest::Whereabouts { clients } => return self.whereabouts(clients).await,
            MoveRequest::Find { ref offer, .. }
            | MoveRequest::Take { ref offer, .. }
            | MoveRequest::Disown { ref offer, .. } => match ResumeOffer::from_subprotocol(offer) {
                Some(Ok(offer)) => (offer, request),
                _ => return MoveReply::Gap(GapReason::Unknown),
            },
        };
        let connection_id = match self.local(offer.secret.client()) {
            None if self.hears_missed(&request) => {
                return MoveReply::NotNow(
                    "this node hears the client's node, and the asking one does not".to_owned(),
                );
            }
            // This node may have been started again since it has got the client.
            None => return MoveReply::Gap(GapReason::Restarted),
            Some(connection_id) => connection_id,
        };
        if let Some(to) = self.moves.gone_on(connection_id) {
            return MoveReply::MovedOn(to);
        }
        let Ok(_giving) = self.moves.giving.try_read() else {
            return MoveReply::NotNow("a new process of the node takes over".to_owned());
        };
        if let MoveRequest::Disown { reason, .. } = request {
            // A shard that has ended has no clients any more.
            let _ = self.hub.disown(connection_id, &offer, reason).await;
            return MoveReply::Disowned;
        }
        if !self.takes_moves() {
            let _ = self.hub.disown(connection_id, &offer, GapReason::Moved).await;
            return MoveReply::Gap(GapReason::Moved);
        }
        let answered = match request {
            MoveRequest::Take { names, to, marks, .. } => {
                self.give(connection_id, &offer, names, to, marks).await
            }
            _ => self.find_for_other(connection_id, &offer).await,
        };
        answered.unwrap_or_else(|failed| match failed {
            NotFound::Gap(reason) => MoveReply::Gap(reason),
            NotFound::NotNow(reason) => MoveReply::NotNow(reason),
        })
    }

    /// Whether the asking node misses a node that this one hears.
    fn hears_missed(&self, request: &MoveRequest) -> bool {
        match (request, self.cluster.as_deref()) {
            (MoveRequest::Find { missed: Some(missed), .. }, Some(cluster)) => cluster.hears(*missed),
            _ => false,
        }
    }

    async fn find_for_other(&self, connection_id: u32, offer: &ResumeOffer) -> Result<MoveReply, NotFound> {
        let client = self.find_here(connection_id, offer).await?;
        // The rest of such a client and its close wait here, and are not given.
        if client.is_closed { Err(GapReason::Closed.into()) } else { Ok(MoveReply::Found(client)) }
    }

    /// Gives a client to another node, where it gets the client_id `to`.
    async fn give(
        &self,
        connection_id: u32,
        offer: &ResumeOffer,
        names: Names,
        to: ClientId,
        marks: Vec<(u64, u64)>,
    ) -> Result<MoveReply, NotFound> {
        let Some(cluster) = self.cluster.as_deref() else { return Err(GapReason::Moved.into()) };
        let begun = Instant::now();
        let others = marks.iter().map(|(instance, _)| *instance);
        let others = others.filter(|instance| *instance != cluster.instance());
        if !cluster.are_all_others(others) {
            return Err("the two nodes do not know the same others".to_owned().into());
        }
        cluster.catch_up(&marks).await?;
        let closed = cluster.close_fence().await?;
        // Who asks waits for the answer no longer than `cluster_timeout`, and a client that is given later would be nobody's.
        if begun.elapsed() > cluster.timeout() / 2 {
            return Err("the orders of other nodes came too late".to_owned().into());
        }
        let contained = cluster.carried_out(&closed);
        match self.hub.depart(connection_id, offer, names).await? {
            Ok(client) => {
                // Orders that name the client are forwarded from here on.
                self.moves.depart(connection_id, Departed { to, is_confirmed: false });
                Ok(MoveReply::Taken { client: ByteBuf::from(client.to_bytes()), contained })
            }
            Err(Some(reason)) => Err(reason.into()),
            Err(None) => Err("the client is bound anew".to_owned().into()),
        }
    }

    async fn whereabouts(&self, clients: Vec<ClientId>) -> MoveReply {
        let mut found = Vec::with_capacity(clients.len());
        for ClientId { connection: connection_id, .. } in clients {
            found.push(match self.moves.arrived(connection_id) {
                None => Whereabouts::Unknown,
                Some(None) => Whereabouts::Coming,
                Some(Some(_)) => {
                    let is_here = self.moves.gone_on(connection_id).is_some()
                        || self.hub.is_online(connection_id).await.unwrap_or(false);
                    if is_here { Whereabouts::Here } else { Whereabouts::Ended }
                }
            });
        }
        MoveReply::Whereabouts(found)
    }
}
