//! The address of a client during its handshake, and the slots that it takes in the limits.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue};

use super::admission::{Admission, AdmissionSlot};
use super::refusal::Refusal;
use super::trusted_proxies::TrustedProxies;
use crate::hub::Hub;
use crate::net::{Permit, RateLimitKey};

/// The number of parked clients that are ended at most to make room for one. It may take more than one, as a slot that is free may be
/// taken by somebody else, and as a client that comes back from another address may keep the slot that it had.
const EVICTED: usize = 4;

/// The rate limit key under which a handshake counts. `None` for this machine and for proxies, which speak for many clients.
pub(super) fn share_of(address: IpAddr, is_proxy: bool, trusted: TrustedProxies<'_>) -> Option<RateLimitKey> {
    let is_known = is_proxy || address.to_canonical().is_loopback() || trusted.contains(address);
    (!is_known).then(|| RateLimitKey::of(address))
}

/// A connection during its handshake, whose address a trusted proxy may still name.
pub(super) struct ClientAddress<'a> {
    trusted: TrustedProxies<'a>,
    /// The slot among all clients, or `None` when there is no limit.
    slot: Option<AdmissionSlot>,
    /// Whether there are parked clients, so that a client that finds no slot may be one that comes back and has a slot already, or
    /// may get the slot of one that is away.
    has_parked: bool,
    /// Why there is no slot for the client, as far as it is known so far.
    full: Option<Refusal>,
    /// The connection's slot among the handshakes.
    handshaking: &'a Permit<RateLimitKey>,
    /// The client's address, as far as it is known so far. It is the peer's until a proxy names another.
    pub(super) address: SocketAddr,
}

impl<'a> ClientAddress<'a> {
    /// Knows only the peer so far, and counts in no limit. With `has_parked`, a limit refuses it only once it is
    /// known whether a client that is parked makes room.
    pub(super) fn of_peer(
        peer: SocketAddr,
        has_parked: bool,
        trusted: TrustedProxies<'a>,
        handshaking: &'a Permit<RateLimitKey>,
    ) -> Self {
        Self { trusted, slot: None, has_parked, full: None, handshaking, address: peer }
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
        if !self.has_parked {
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

    /// The rate limit key under which the client counts, or `None` for this machine and for proxies.
    pub(super) fn share(&self) -> Option<RateLimitKey> {
        share_of(self.address.ip(), false, self.trusted)
    }

    /// Takes the client's address from the headers that a trusted proxy has written, and admits the client. Other clients are
    /// admitted already. Gives the refusal of a client for which there is no slot, which counts unless it is one that comes back or
    /// finds room.
    pub(super) fn introduce(&mut self, headers: &HeaderMap<HeaderValue>) -> Result<Option<Refusal>, Refusal> {
        if self.is_trusted_proxy() {
            self.address = self.trusted.client_of(self.address, headers)?;
            self.admit()?;
        }
        Ok(self.full.take())
    }

    /// Takes a slot among those of the client's address.
    pub(super) fn admit(&mut self) -> Result<(), Refusal> {
        if !self.handshaking.identify(self.share()) {
            return Err(Refusal::too_many_handshakes(self.handshaking.share()));
        }
        match self.slot.as_mut().map_or(Ok(()), |slot| slot.come_from(self.address.ip())) {
            Ok(()) => Ok(()),
            Err(full) => self.fill(full),
        }
    }

    /// Gives the refusal of a client for which there is no slot, if there is none.
    pub(super) fn take_refusal(&mut self) -> Option<Refusal> {
        self.full.take()
    }

    /// Says whether a parked client may make room for a client for which there is no slot.
    pub(super) async fn find_room(&self, full: &Refusal, hub: &Hub) -> bool {
        hub.has_parked_to_evict(RateLimitKey::of(self.address.ip()), full.is_for_all()).await
    }

    /// Takes a slot for a client for which there was none, by ending clients that are parked.
    pub(super) async fn make_room(&mut self, admission: &Arc<Admission>, hub: &Hub) -> Result<(), Refusal> {
        let address = self.address.ip();
        let _turn = hub.eviction_turn().await;
        let mut evicted = 0;
        loop {
            let full = match admission.enter_from(address) {
                Ok(slot) => {
                    self.slot = slot;
                    return Ok(());
                }
                Err(full) => full,
            };
            let of_all = full.is_for_all();
            if evicted == EVICTED
                || !matches!(hub.evict_parked(RateLimitKey::of(address), of_all).await, Ok(true))
            {
                return Err(full);
            }
            evicted += 1;
        }
    }

    /// Gives the slot away, for a client whose handshake is done.
    pub(super) fn take_slot(&mut self) -> Option<AdmissionSlot> {
        self.slot.take()
    }
}
