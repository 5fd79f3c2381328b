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
    slot: Option<AdmissionSlot>,
    /// Whether a client that finds no slot may be one that has a slot already: one that is parked, and comes back.
    may_return: bool,
    /// Why there is no slot for the client, unless it is one that comes back.
    full: Option<Refusal>,
    /// The connection's slot among the handshakes.
    handshaking: &'a Permit<RateLimitKey>,
    /// The client's address, as far as it is known so far. It is the peer's until a proxy names another.
    pub(super) address: SocketAddr,
}

impl<'a> ClientAddress<'a> {
    /// Knows only the peer so far, and counts in no limit. With `may_return`, a limit refuses it only once its request was read.
    pub(super) fn of_peer(
        peer: SocketAddr,
        may_return: bool,
        trusted: &'a TrustedProxies,
        handshaking: &'a Permit<RateLimitKey>,
    ) -> Self {
        Self { trusted, slot: None, may_return, full: None, handshaking, address: peer }
    }

    /// Takes a slot among all clients.
    pub(super) fn enter(&mut self, admission: &Arc<Admission>) -> Result<(), Refusal> {
        match admission.enter() {
            Ok(slot) => self.slot = slot,
            Err(full) => self.fill(full)?,
        }
        Ok(())
    }

    /// Notes that there is no slot for the client, or refuses it.
    fn fill(&mut self, full: Refusal) -> Result<(), Refusal> {
        if !self.may_return {
            return Err(full);
        }
        self.slot = None;
        self.full = Some(full);
        Ok(())
    }

    /// True when the peer is a trusted proxy, whose requests name the client.
    pub(super) fn is_trusted_proxy(&self) -> bool {
        self.trusted.contains(self.address.ip())
    }

    /// Takes the client's address from the headers that a trusted proxy has written, and admits the client. Other clients are
    /// admitted already. Gives the refusal of a client for which there is no slot, unless it is one that comes back.
    pub(super) fn introduce(&mut self, headers: &HeaderMap<HeaderValue>) -> Result<Option<Refusal>, Refusal> {
        if self.is_trusted_proxy() {
            self.address = self.trusted.client_of(self.address, headers)?;
            self.admit()?;
        }
        Ok(self.full.take())
    }

    /// Takes a slot among those of the client's address.
    pub(super) fn admit(&mut self) -> Result<(), Refusal> {
        let share = share_of(self.address.ip(), false, self.trusted);
        if !self.handshaking.identify(share) {
            return Err(Refusal::too_many_handshakes(self.handshaking.share()));
        }
        match self.slot.as_mut().map_or(Ok(()), |slot| slot.come_from(self.address.ip())) {
            Ok(()) => Ok(()),
            Err(full) => self.fill(full),
        }
    }

    /// Gives the slot away, for a client whose handshake is done.
    pub(super) fn take_slot(&mut self) -> Option<AdmissionSlot> {
        self.slot.take()
    }
}
