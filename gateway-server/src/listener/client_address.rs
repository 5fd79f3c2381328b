//! The address of a client during its handshake, and the slots that it takes in the limits.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue};

use super::admission::{Admission, AdmissionSlot};
use super::refusal::Refusal;
use super::trusted_proxies::TrustedProxies;
use crate::net::{Permit, RateLimitKey};

/// The rate limit key under which a handshake counts. `None` for this machine and for proxies, which speak for many clients.
pub(super) fn share_of(address: IpAddr, is_proxy: bool, trusted: &TrustedProxies) -> Option<RateLimitKey> {
    let is_known = is_proxy || address.to_canonical().is_loopback() || trusted.contains(address);
    (!is_known).then(|| RateLimitKey::of(address))
}

/// A connection during its handshake, whose address a trusted proxy may still name.
pub(super) struct ClientAddress<'a> {
    trusted: &'a TrustedProxies,
    /// The slot among all clients, or `None` when there is no limit.
    place: Option<AdmissionSlot>,
    /// The connection's slot among the handshakes.
    handshaking: &'a Permit<RateLimitKey>,
    /// The client's address, as far as it is known so far. It is the peer's until a proxy names another.
    pub(super) address: Option<SocketAddr>,
}

impl<'a> ClientAddress<'a> {
    /// Takes a slot among all clients, while only the peer is known.
    pub(super) fn enter(
        peer: Option<SocketAddr>,
        admission: &Arc<Admission>,
        trusted: &'a TrustedProxies,
        handshaking: &'a Permit<RateLimitKey>,
    ) -> Result<Self, Refusal> {
        Ok(Self { trusted, place: admission.enter()?, handshaking, address: peer })
    }

    /// True when the peer is a trusted proxy, whose requests name the client.
    pub(super) fn is_trusted_proxy(&self) -> bool {
        self.address.is_some_and(|address| self.trusted.contains(address.ip()))
    }

    /// Takes the client's address from the headers that a trusted proxy has written, and admits the client. Other clients are
    /// admitted already.
    pub(super) fn introduce(&mut self, headers: &HeaderMap<HeaderValue>) -> Result<(), Refusal> {
        let Some(proxy) = self.address.filter(|_| self.is_trusted_proxy()) else { return Ok(()) };
        self.address = Some(self.trusted.client_of(proxy, headers)?);
        self.admit()
    }

    /// Takes a slot among those of the client's address.
    pub(super) fn admit(&mut self) -> Result<(), Refusal> {
        let share = self.address.and_then(|address| share_of(address.ip(), false, self.trusted));
        if !self.handshaking.identify(share) {
            return Err(Refusal::too_many_handshakes(self.handshaking.share()));
        }
        match (&mut self.place, self.address) {
            (Some(place), Some(address)) => place.come_from(address.ip()),
            _ => Ok(()),
        }
    }

    pub(super) fn into_place(self) -> Option<AdmissionSlot> {
        self.place
    }
}
