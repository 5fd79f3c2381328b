//! The limits for the sender of a websocket request, as the handshake asks for them.

use std::future::Future;

use tokio_tungstenite::tungstenite::handshake::server::Request;

use super::refusal::Refusal;

/// The sender of a request, as the limits see it.
pub trait Newcomer {
    /// Checks the limits. Gives the refusal of one for whom there is no slot, which counts unless it comes back or finds room.
    fn admit(&mut self, request: &Request) -> Result<Option<Refusal>, Refusal>;

    /// Says whether a resume secret is looked at, which it is unless too many from the same address were wrong.
    fn may_show_secret(&self) -> bool;

    /// Counts a resume secret that was wrong.
    fn has_shown_wrong_secret(&self);

    /// Says whether a parked client may make room.
    fn may_find_room(&self, full: &Refusal) -> impl Future<Output = bool> + Send;

    /// Takes the slot of a parked client.
    fn make_room(&mut self) -> impl Future<Output = Result<(), Refusal>> + Send;
}
