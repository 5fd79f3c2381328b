//! Who a connection comes from, and whether there is room for it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue};

use super::admission::{Admission, AdmissionSlot};
use super::refusal::Refusal;
use super::trusted_proxies::TrustedProxies;
use crate::net::{Permit, RateLimitKey};

/// The address in whose share of the handshakes a connection counts. This machine has none, and neither has a proxy, which speaks for many.
pub(super) fn share_of(address: IpAddr, is_proxy: bool, trusted: &TrustedProxies) -> Option<RateLimitKey> {
    let is_known = is_proxy || address.to_canonical().is_loopback() || trusted.contains(address);
    (!is_known).then(|| RateLimitKey::of(address))
}

pub(super) struct ClientAddress<'a> {
    trusted: &'a TrustedProxies,
    place: Option<AdmissionSlot>,
    /// Its place among the handshakes.
    handshaking: &'a Permit<RateLimitKey>,
    /// The client's address, as far as it is known by now.
    pub(super) address: Option<SocketAddr>,
}

impl<'a> ClientAddress<'a> {
    /// Takes a place among all, before anything is known but the peer.
    pub(super) fn enter(
        peer: Option<SocketAddr>,
        admission: &Arc<Admission>,
        trusted: &'a TrustedProxies,
        handshaking: &'a Permit<RateLimitKey>,
    ) -> Result<Self, Refusal> {
        Ok(Self { trusted, place: admission.enter()?, handshaking, address: peer })
    }

    /// Whether its requests say whom it speaks for.
    pub(super) fn is_trusted_proxy(&self) -> bool {
        self.address.is_some_and(|address| self.trusted.contains(address.ip()))
    }

    /// Believes what a proxy has written into the headers of a request. Others are admitted already.
    pub(super) fn introduce(&mut self, headers: &HeaderMap<HeaderValue>) -> Result<(), Refusal> {
        let Some(proxy) = self.address.filter(|_| self.is_trusted_proxy()) else { return Ok(()) };
        self.address = Some(self.trusted.client_of(proxy, headers)?);
        self.admit()
    }

    /// Takes a place among those of its address.
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
