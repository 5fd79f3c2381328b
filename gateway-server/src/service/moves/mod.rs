//! Clients that come back at another node than they have left. The node where a page has come asks the other one for everything that
//! this keeps, in steps of which each leaves the client at one node:
//!
//! 1. The new node asks whether the offer is good, and to what the client is bound.
//! 2. It makes room for the client and binds it, so that it receives what concerns the client. Until step 5 it keeps all of that,
//!    each message with the number of its order.
//! 3. It asks all nodes for [marks](crate::cluster::Marks): orders behind these reach it.
//! 4. It asks the old node for the client. That waits for all orders up to the marks, gives everything away together with the numbers
//!    of the orders that are contained, and from then on forwards orders that name the client.
//! 5. The new node drops of what it has kept what is contained, and greets the page.
//!
//! So each message is there once, whichever way it came. When step 4 or 5 fails after the old node has given the client away, the page
//! is asked to try again and hears of a gap; the old node finds that the new one does not have the client, and tells its workers that
//! it has gone.

mod fetch;
mod forward;
mod give;
mod watch;

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use gateway_wire::bridge::{Order, Route};
use gateway_wire::client_protocol::{GapReason, ResumeOffer};
use tracing::debug;

use super::moved_clients::{CarriedMoves, MovesAtRest};
use super::{Gateway, NotFound, OrderError, TurnedAway};
use crate::cluster::MoveRequest;
use crate::shard::{NewConnection, Origin, Resumable, Stopped};

/// The time that a page waits for a client that is on its way here, at most.
const ARRIVING: Duration = Duration::from_secs(1);
/// The time between two looks at whether such a client has arrived.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Where the client of an offer is.
enum Place {
    /// It is or was a client of this node.
    Here(u32),
    /// It is or was a client of another node.
    At(SocketAddrV4),
}

impl Gateway {
    /// Says whether a page may come back by this offer, to a client that may be at another node.
    pub async fn find_client(&self, offer: &ResumeOffer) -> Result<Resumable, NotFound> {
        match self.place_now(offer).await {
            Place::Here(connection_id) => self.find_here(connection_id, offer).await,
            // What few handshakes need takes no room in the tasks of all others.
            Place::At(node) => {
                let found = self.moves.turning_away.unless_begun(self.find_elsewhere(node, offer));
                Ok(Box::pin(found).await?.1)
            }
        }
    }

    /// Where the client of an offer is now. One that this server does not know, as it was started again, may have been given away
    /// before.
    async fn place_now(&self, offer: &ResumeOffer) -> Place {
        match self.place(offer) {
            Place::Here(connection_id)
                if self.cluster.is_some()
                    && self.find_here(connection_id, offer).await == Err(GapReason::Restarted.into()) =>
            {
                Place::At(self.node)
            }
            place => place,
        }
    }

    pub(super) async fn find_here(
        &self,
        connection_id: u32,
        offer: &ResumeOffer,
    ) -> Result<Resumable, NotFound> {
        let begun = Instant::now();
        // A page that was cut when it had just got its init may be here before this node has noted that its client is complete.
        while self.moves.arrived(connection_id) == Some(None) {
            if begun.elapsed() > ARRIVING {
                return Err(NotFound::NotNow("the client is on its way here".to_owned()));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(self.hub.find_client(connection_id, offer).await??)
    }

    /// Hands a connection to the client that has come back with it, which may be at another node yet.
    pub async fn come_back(&self, offer: &ResumeOffer, new_connection: NewConnection) -> Result<(), Stopped> {
        match self.place_now(offer).await {
            Place::Here(connection_id) => self.hub.come_back(connection_id, offer, new_connection).await,
            Place::At(node) => Box::pin(self.fetch(node, offer, new_connection)).await,
        }
    }

    /// Whether the client is one of this node, and not one that has to be fetched.
    pub fn has_here(&self, offer: &ResumeOffer) -> bool {
        matches!(self.place(offer), Place::Here(_))
    }

    /// Makes it impossible for a client to come back.
    pub async fn disown(&self, offer: &ResumeOffer, reason: GapReason) {
        match self.place(offer) {
            // A shard that has ended has no clients any more.
            Place::Here(connection_id) => drop(self.hub.disown(connection_id, offer, reason).await),
            Place::At(node) => {
                let Some(cluster) = &self.cluster else { return };
                let request = MoveRequest::Disown { offer: offer.to_subprotocol(), reason };
                if let Err(error) = cluster.ask_about_move(node, &request).await {
                    debug!(error, "a client of another node cannot be disowned");
                }
            }
        }
    }

    /// Closes the connection of a page that is to try again.
    pub async fn turn_away(&self, offer: &ResumeOffer, new_connection: NewConnection) -> Result<(), Stopped> {
        // No client has this connection id.
        self.hub.come_back(0, offer, new_connection).await
    }

    /// Carries out an order of a program that sends each node its part itself.
    pub async fn execute_for_gatewayworker(
        &self,
        order: &Order<'_>,
    ) -> Result<Result<(), OrderError>, Stopped> {
        if self.cluster.is_some() && !matches!(order.route(), Route::Client(_)) {
            self.moves.note_unnumbered();
        }
        self.execute_here(order, Origin::HERE).await
    }

    /// Asks pages whose clients are at other nodes to try again, from now on until the result is dropped.
    pub fn turn_moves_away(&self) -> TurnedAway {
        self.moves.turning_away.begin()
    }

    /// Waits for `timeout` at most until no client is on its way, and lets none move.
    pub async fn rest_moves(&self, timeout: Duration) -> Result<MovesAtRest, String> {
        match tokio::time::timeout(timeout, self.moves.rest()).await {
            Ok(rest) => rest.map_err(|stopped| stopped.to_string()),
            Err(_) => Err(format!("a client has been on its way from or to another node for {timeout:?}")),
        }
    }

    /// The clients that have moved, for another process.
    pub fn carry_moves(&self) -> CarriedMoves {
        self.moves.carry()
    }

    /// Goes on with the clients that have moved of another process.
    pub fn take_over_moves(&self, carried: CarriedMoves) {
        self.moves.take_over(carried);
    }

    fn place(&self, offer: &ResumeOffer) -> Place {
        let client = offer.secret.client();
        match self.local(client) {
            None => Place::At(client.node),
            Some(connection_id) => match self.moves.gone_on(connection_id) {
                Some(to) => Place::At(to.node),
                None => Place::Here(connection_id),
            },
        }
    }

    /// Whether clients may move to or from this node now.
    pub(super) fn takes_moves(&self) -> bool {
        self.hub.takes_moves() && !self.moves.has_unnumbered()
    }
}
