//! The handshake of a connection, from its accept to the hand-over of the client to a shard.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use gateway_wire::client_protocol::{GapReason, ResumeOffer};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::handshake::server::Request;
use tracing::debug;

use super::admission::{Admission, AdmissionSlot};
use super::client_address::ClientAddress;
use super::farewell::RefusedPeer;
use super::newcomer::Newcomer;
use super::refusal::Refusal;
use super::resumption::{ClientRegistry, Resumption};
use super::stream::Stream;
use super::upgrade::{Opened, upgrade};
use super::{ListenerSettings, tls};
use crate::hub::Hub;
use crate::net::{Permit, RateLimitKey, proxy_protocol};
use crate::protocol::Protocol;
use crate::service::{Gateway, NotFound};
use crate::shard::NewConnection;
use crate::telemetry::abuse_log::{self, Offence};

/// A client whose handshake is done.
struct Accepted {
    stream: Stream,
    /// The protocol that was agreed on, and the client's identity.
    opened: Opened,
    /// The client's slot in the limits, or `None` when there is no limit.
    slot: Option<AdmissionSlot>,
}

/// Performs the handshake and hands the client to a shard, or refuses it. The slot among the handshakes may be taken away
/// meanwhile.
pub(super) async fn perform(
    socket: TcpStream,
    peer: SocketAddr,
    gateway: &Gateway,
    settings: &ListenerSettings,
    slot: &Permit<RateLimitKey>,
) {
    let timeout = settings.handshake_timeout;
    let deadline = Instant::now() + timeout;
    // A client that is parked has a slot, which its return does not need twice, and which a newcomer may take over.
    let may_return = gateway.hub().has_parked();
    let mut client = ClientAddress::of_peer(peer, may_return, &settings.trusted_proxies, slot);
    let result = tokio::select! {
        biased;
        result = timeout_at(deadline, accept(socket, &mut client, settings, gateway)) => Some(result),
        () = slot.evicted() => None,
    };
    match result {
        Some(Ok(Ok(accepted))) => hand_over(accepted, peer, client.address, gateway, settings).await,
        Some(Ok(Err(refused))) => {
            abuse_log::report(refused.refusal.offence, Some(client.address), &refused.refusal);
            // The peer does not count in the limits while it is told.
            drop(client.take_slot());
            tokio::select! {
                _ = timeout_at(deadline, refused.say()) => {}
                () = slot.evicted() => {}
            }
        }
        Some(Err(_)) => {
            let detail = format!("no handshake within {timeout:?} (handshake_timeout)");
            abuse_log::report(Offence::HandshakeStalled, Some(client.address), &detail);
        }
        None => {
            let detail = "no handshake yet, and others wanted its place (max_handshakes)";
            abuse_log::report(Offence::HandshakeStalled, Some(client.address), &detail);
        }
    }
}

/// Performs the handshake. Afterwards `client` has the client's address as far as it is known, even when the client is refused.
async fn accept(
    mut socket: TcpStream,
    client: &mut ClientAddress<'_>,
    settings: &ListenerSettings,
    gateway: &Gateway,
) -> Result<Accepted, RefusedPeer> {
    let is_websocket = settings.protocol == Protocol::Websocket;
    if let Err(refusal) = client.enter(&settings.admission) {
        return Err(refuse_early(socket, settings, refusal));
    }
    if settings.proxy_protocol {
        if !settings.trusted_proxies.is_empty() && !client.is_trusted_proxy() {
            return Err(Refusal::untrusted_proxy().into());
        }
        if let Some(address) =
            proxy_protocol::take_header(&mut socket).await.map_err(Refusal::proxy_header)?
        {
            client.address = address;
        }
    }
    // A trusted proxy names the client in its request, so its connection is admitted later.
    if !(is_websocket && client.is_trusted_proxy())
        && let Err(refusal) = client.admit()
    {
        return Err(refuse_early(socket, settings, refusal));
    }
    if !is_websocket && client.take_refusal().is_some() {
        client.make_room(&settings.admission, gateway.hub()).await?;
    }
    let mut stream = match &settings.certificate {
        Some(certificate) => tls::accept(socket, certificate).await?,
        None => Stream::Plain(socket),
    };
    let opened = if is_websocket {
        let ListenerSettings { rules, token_verifier, deflate, admission, .. } = settings;
        let mut arrival = Arrival { client, admission, hub: gateway.hub() };
        let wants_handshake = gateway.hub().wants_handshakes();
        match upgrade(&mut stream, gateway, rules, token_verifier, *deflate, wants_handshake, &mut arrival)
            .await
        {
            Ok(opened) => opened,
            Err(refusal) => return Err(RefusedPeer::on(stream, refusal)),
        }
    } else {
        Opened::at_once(settings.protocol.encoding())
    };
    Ok(Accepted { stream, opened, slot: client.take_slot() })
}

/// Refuses a peer before its handshake. A peer that would speak TLS is not told, as a TLS handshake costs more than the limit
/// saves.
fn refuse_early(socket: TcpStream, settings: &ListenerSettings, refusal: Refusal) -> RefusedPeer {
    if settings.protocol == Protocol::Websocket && settings.certificate.is_none() {
        RefusedPeer::on(Stream::Plain(socket), refusal)
    } else {
        refusal.into()
    }
}

/// Hands the client to a shard.
async fn hand_over(
    accepted: Accepted,
    peer: SocketAddr,
    client: SocketAddr,
    gateway: &Gateway,
    settings: &ListenerSettings,
) {
    let Accepted { stream, opened, slot } = accepted;
    let Opened { encoding, early, handshake, identity, resumption } = opened;
    let (socket, tls) = stream.into_parts();
    let socket = match prepare(&socket).and_then(|()| socket.into_std()) {
        Ok(socket) => socket,
        Err(error) => return debug!(%error, "a client vanished during its handshake"),
    };
    let slot = match resumption {
        // A client that comes back keeps the slot that it has, if there is no other for it.
        Resumption::Good(offer) if gateway.has_here(&offer) => slot,
        // A limit may have been set during the handshake, so the connection is counted now.
        _ => slot.or_else(|| settings.admission.recount(Some(client.ip()))),
    };
    let new_connection = NewConnection {
        socket,
        tls,
        listener: settings.index,
        encoding,
        early,
        address: (client != peer).then_some(client),
        handshake,
        slot: slot.map(|slot| -> Box<dyn Send> { Box::new(slot) }),
        gap: if let Resumption::Gap(reason) = resumption { Some(reason) } else { None },
    };
    let handed_over = match resumption {
        Resumption::Good(offer) => gateway.come_back(&offer, new_connection).await,
        Resumption::NotNow(offer) => gateway.turn_away(&offer, new_connection).await,
        Resumption::NotAsked | Resumption::Gap(_) => gateway.hub().adopt(new_connection, identity).await,
    };
    if handed_over.is_err() {
        debug!("a client came while the server stops");
    }
}

/// The sender of a request, and those at whom it asks for a slot.
struct Arrival<'a, 'p> {
    client: &'a mut ClientAddress<'p>,
    admission: &'a Arc<Admission>,
    hub: &'a Hub,
}

impl Newcomer for Arrival<'_, '_> {
    fn admit(&mut self, request: &Request) -> Result<Option<Refusal>, Refusal> {
        self.client.introduce(request.headers())
    }

    fn may_show_secret(&self) -> bool {
        let may = self
            .client
            .share()
            .is_none_or(|key| self.admission.wrong_secrets.may(key, std::time::Instant::now()));
        if !may {
            abuse_log::report(Offence::Resume, Some(self.client.address), &"too many were wrong");
        }
        may
    }

    fn has_shown_wrong_secret(&self) {
        if let Some(key) = self.client.share() {
            self.admission.wrong_secrets.fail(key, std::time::Instant::now());
        }
    }

    async fn may_find_room(&self, full: &Refusal) -> bool {
        self.client.find_room(full, self.hub).await
    }

    async fn make_room(&mut self) -> Result<(), Refusal> {
        self.client.make_room(self.admission, self.hub).await
    }
}

impl ClientRegistry for Gateway {
    async fn find(&self, offer: &ResumeOffer) -> Result<Option<Bytes>, NotFound> {
        Ok(self.find_client(offer).await?.subject.map(|uid| Bytes::from(uid.into_vec())))
    }

    fn has_slot(&self, offer: &ResumeOffer) -> bool {
        self.has_here(offer)
    }

    async fn disown(&self, offer: &ResumeOffer) {
        Gateway::disown(self, offer, GapReason::Identity).await;
    }
}

/// Bytes that the kernel keeps unsent for a client. Without this bound it takes megabytes for a client that does not read. What
/// the kernel does not take waits in the outbox, which a setting bounds.
const UNSENT: u32 = 128 << 10;

fn prepare(socket: &TcpStream) -> io::Result<()> {
    // A push is one small write, and must not wait until more bytes follow.
    socket.set_nodelay(true)?;
    SockRef::from(socket).set_tcp_notsent_lowat(UNSENT)
}
