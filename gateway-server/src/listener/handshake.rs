//! The handshake of a connection, from its accept to the hand-over of the client to a shard.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use gateway_wire::client_protocol::{GapReason, ResumeOffer};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::handshake::server::Request;
use tracing::debug;

use super::admission::{Admission, AdmissionSlot};
use super::begun::{BegunHandshake, PassedHandshake};
use super::client_address::ClientAddress;
use super::client_socket::ClientSocket;
use super::farewell::RefusedPeer;
use super::handshake_gate::{Turn, UnderWay};
use super::newcomer::Newcomer;
use super::refusal::Refusal;
use super::resumption::{ClientRegistry, Resumption};
use super::stream::Stream;
use super::upgrade::{Opened, open};
use super::{ListenerSettings, request, tls};
use crate::hub::Hub;
use crate::net::{Permit, RateLimitKey, proxy_protocol, relay_pair};
use crate::protocol::Protocol;
use crate::relay::RelayedClient;
use crate::service::{Gateway, NotFound};
use crate::shard::NewConnection;
use crate::system::ages::millis;
use crate::system::injected_faults;
use crate::telemetry::abuse_log::{self, Offence};

/// A connection at the start of its handshake, or where another process has left it.
pub(super) struct Incoming {
    socket: ClientSocket,
    peer: SocketAddr,
    /// The client's address, which is the peer's unless a header of the PROXY protocol has named another.
    client: SocketAddr,
    /// How long the handshake may take.
    time: Duration,
    is_past_proxy_header: bool,
    /// Whether the client speaks TLS with another process, which has the other end of the socket.
    is_relayed: bool,
    /// What was read of the request.
    read: Vec<u8>,
}

/// A client whose handshake is done.
struct Accepted<'g> {
    stream: Stream,
    /// The protocol that was agreed on, and the client's identity.
    opened: Opened,
    /// The client's slot in the limits, or `None` when there is no limit.
    slot: Option<AdmissionSlot>,
    is_relayed: bool,
    /// The turn to use the shards, which lasts until one of them has the client.
    _turn: Turn<'g>,
}

/// Why a handshake does not end here with a client.
enum NotAccepted {
    Refused(RefusedPeer),
    /// Another process has taken over, and goes on with it.
    Passed(Passed),
}

/// A handshake that another process is to go on with.
struct Passed {
    stream: Stream,
    is_past_proxy_header: bool,
    is_relayed: bool,
    read: Vec<u8>,
}

impl<R: Into<RefusedPeer>> From<R> for NotAccepted {
    fn from(refused: R) -> Self {
        Self::Refused(refused.into())
    }
}

impl Incoming {
    /// A connection that was just accepted.
    pub(super) fn new(socket: ClientSocket, peer: SocketAddr, settings: &ListenerSettings) -> Self {
        Self {
            socket,
            peer,
            client: peer,
            time: settings.server.handshake_timeout,
            is_past_proxy_header: false,
            is_relayed: false,
            read: Vec::new(),
        }
    }

    /// A connection whose handshake another process has begun.
    pub(super) fn begun(begun: BegunHandshake, socket: ClientSocket, settings: &ListenerSettings) -> Self {
        let time = begun.left().min(settings.server.handshake_timeout);
        let BegunHandshake { peer, client, is_past_proxy_header, is_relayed, read, .. } = begun;
        Self { socket, peer, client, time, is_past_proxy_header, is_relayed, read: read.into_vec() }
    }
}

/// A handshake, and what it needs.
pub(super) struct Handshake {
    pub(super) incoming: Incoming,
    pub(super) gateway: Arc<Gateway>,
    pub(super) settings: Arc<ListenerSettings>,
    /// The slot among the handshakes.
    pub(super) slot: Permit<RateLimitKey>,
    pub(super) under_way: UnderWay,
}

impl Handshake {
    /// Performs the handshake in a task of its own, once `turn` has come.
    pub(super) fn spawn(self, turn: impl Future<Output = ()> + Send + 'static) {
        let gateway = Arc::clone(&self.gateway);
        let handshake = self.perform();
        tokio::spawn(async move {
            turn.await;
            handshake.await;
            gateway.flush();
        });
    }

    /// Performs the handshake now if the client has sent its request already, and else in a task of its own. The first message of the
    /// client may wait in its shard afterwards, until somebody has that [write](Gateway::flush).
    pub(super) async fn begin(self) {
        let gateway = Arc::clone(&self.gateway);
        let mut handshake = Box::pin(self.perform());
        if !is_done_at_once(handshake.as_mut()).await {
            tokio::spawn(async move {
                handshake.await;
                gateway.flush();
            });
        }
    }

    async fn perform(self) {
        let Self { incoming, gateway, settings, slot, under_way } = self;
        let handshaking = settings.counter.enter();
        slot.begin();
        injected_faults::strike("handshake");
        perform(incoming, &gateway, &settings, &slot, &under_way).await;
        drop((slot, handshaking, under_way));
    }
}

/// Goes on with the future until it has to wait, and says whether it is done, which one that panics is too: the panic hook has told of
/// it, as it does of one in a task.
async fn is_done_at_once(mut future: Pin<&mut impl Future<Output = ()>>) -> bool {
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        Poll::Ready(!matches!(polled, Ok(Poll::Pending)))
    })
    .await
}

/// Performs the handshake and hands the client to a shard, or refuses it. The slot among the handshakes may be taken away
/// meanwhile.
async fn perform(
    incoming: Incoming,
    gateway: &Gateway,
    settings: &ListenerSettings,
    slot: &Permit<RateLimitKey>,
    under_way: &UnderWay,
) {
    let (peer, deadline) = (incoming.peer, Instant::now() + incoming.time);
    // A client that is parked has a slot, which its return does not need twice, and which a newcomer may take over.
    let may_return = gateway.hub().has_parked();
    let mut client = ClientAddress::of_peer(peer, may_return, settings.trusted_proxies(), slot);
    let result = tokio::select! {
        biased;
        result = timeout_at(deadline, accept(incoming, &mut client, settings, gateway)) => Some(result),
        () = slot.evicted() => None,
    };
    match result {
        Some(Ok(Ok(accepted))) => hand_over(accepted, peer, client.address, gateway, settings).await,
        Some(Ok(Err(NotAccepted::Passed(passed)))) => {
            match passed.into_passed(peer, client.address, deadline, settings.index) {
                Ok(passed) => under_way.pass(passed),
                Err(error) => debug!(%error, "a client vanished during its handshake"),
            }
        }
        Some(Ok(Err(NotAccepted::Refused(refused)))) => {
            abuse_log::report(refused.refusal.offence, Some(client.address), &refused.refusal);
            // The peer does not count in the limits while it is told.
            drop(client.take_slot());
            tokio::select! {
                _ = timeout_at(deadline, refused.say()) => {}
                () = slot.evicted() => {}
            }
        }
        Some(Err(_)) => {
            let detail =
                format!("no handshake within {:?} (handshake_timeout)", settings.server.handshake_timeout);
            abuse_log::report(Offence::HandshakeStalled, Some(client.address), &detail);
        }
        None => {
            let detail = "no handshake yet, and others wanted its place (max_handshakes)";
            abuse_log::report(Offence::HandshakeStalled, Some(client.address), &detail);
        }
    }
}

/// Performs the handshake. Afterwards `client` has the client's address as far as it is known, even when the client is refused.
///
/// What needs the shards waits until the gate is open. A handshake that has not come so far when another process takes over is passed
/// on with what was read of it, and nothing was done for it yet but TLS.
async fn accept<'g>(
    incoming: Incoming,
    client: &mut ClientAddress<'_>,
    settings: &'g ListenerSettings,
    gateway: &Gateway,
) -> Result<Accepted<'g>, NotAccepted> {
    let Incoming { mut socket, mut is_past_proxy_header, is_relayed, mut read, .. } = incoming;
    let gate = &settings.gate;
    let is_websocket = settings.listener().protocol == Protocol::Websocket;
    if let Err(refusal) = client.enter(&settings.admission) {
        return Err(refuse_early(socket, settings, is_relayed, refusal).into());
    }
    if is_past_proxy_header {
        client.address = incoming.client;
    } else if settings.listener().proxy_protocol {
        if !settings.trusted_proxies().is_empty() && !client.is_trusted_proxy() {
            return Err(Refusal::untrusted_proxy().into());
        }
        if let Some(address) = proxy_protocol::take_header(socket.polled().map_err(Refusal::proxy_header)?)
            .await
            .map_err(Refusal::proxy_header)?
        {
            client.address = address;
        }
        is_past_proxy_header = true;
    }
    // A trusted proxy names the client in its request, so its connection is admitted later.
    if !(is_websocket && client.is_trusted_proxy())
        && let Err(refusal) = client.admit()
    {
        return Err(refuse_early(socket, settings, is_relayed, refusal).into());
    }
    let passed =
        |stream, read| NotAccepted::Passed(Passed { stream, is_past_proxy_header, is_relayed, read });
    if !is_websocket && client.take_refusal().is_some() {
        let Ok(_turn) = gate.turn().await else { return Err(passed(Stream::Plain(socket), read)) };
        client.make_room(&settings.admission, gateway.hub()).await?;
    }
    let mut stream = match &settings.certificate {
        // A client that has sent a part of its request has begun without TLS, or with TLS of another process.
        Some(certificate) if !is_relayed && read.is_empty() => {
            let first = tokio::select! {
                biased;
                () = gate.handed_over() => None,
                first = tls::first_byte(&mut socket) => Some(first?),
            };
            let Some(first) = first else { return Err(passed(Stream::Plain(socket), read)) };
            tls::accept(socket, first, certificate).await?
        }
        _ => Stream::Plain(socket),
    };
    if !is_websocket {
        let Ok(turn) = gate.turn().await else { return Err(passed(stream, read)) };
        let opened = Opened::at_once(settings.listener().protocol.encoding());
        return Ok(Accepted { stream, opened, slot: client.take_slot(), is_relayed, _turn: turn });
    }
    let ListenerSettings { server, token_verifier, admission, .. } = settings;
    let request = tokio::select! {
        biased;
        () = gate.handed_over() => None,
        request = request::read(&mut stream, &mut read, server.max_request_bytes) => Some(request),
    };
    let request = match request {
        None => return Err(passed(stream, read)),
        Some(Err(refusal)) => return Err(RefusedPeer::on(stream, refusal).into()),
        Some(Ok(request)) => request,
    };
    let Ok(turn) = gate.turn().await else { return Err(passed(stream, read)) };
    drop(read);
    let mut arrival = Arrival { client, admission, hub: gateway.hub() };
    let wants_handshake = gateway.hub().wants_handshakes();
    let rules = settings.rules();
    match open(&mut stream, request, gateway, rules, token_verifier, wants_handshake, &mut arrival).await {
        Ok(mut opened) => {
            // A client of another node may take a while to come, and the page is not to wait for so long.
            if matches!(&opened.resumption, Resumption::Good(offer) if !gateway.has_here(offer))
                && let Err(refusal) = opened.say(&mut stream).await
            {
                return Err(refusal.into());
            }
            Ok(Accepted { stream, opened, slot: client.take_slot(), is_relayed, _turn: turn })
        }
        Err(refusal) => Err(RefusedPeer::on(stream, refusal).into()),
    }
}

impl Passed {
    /// Makes of the handshake what another process goes on with. One over TLS gets a pair of sockets, as TLS stays in this process.
    fn into_passed(
        self,
        peer: SocketAddr,
        client: SocketAddr,
        deadline: Instant,
        listener: u8,
    ) -> io::Result<PassedHandshake> {
        let Self { stream, is_past_proxy_header, is_relayed, read } = self;
        let (socket, tls) = stream.into_parts();
        let socket = socket.into_std()?;
        let (socket, relayed) = match tls {
            None => (OwnedFd::from(socket), None),
            Some(tls) => {
                let (pair, served) = relay_pair()?;
                (served, Some(RelayedClient { tcp: mio::net::TcpStream::from_std(socket), tls, pair }))
            }
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let handshake = BegunHandshake {
            listener,
            peer,
            client,
            is_past_proxy_header,
            is_relayed: is_relayed || relayed.is_some(),
            read: read.into(),
            left_millis: millis(left.max(LEAST)),
        };
        Ok(PassedHandshake { handshake, socket, relayed })
    }
}

/// What a handshake that is passed on gets at least, as the way to the other process takes a moment.
const LEAST: Duration = Duration::from_millis(100);

/// Refuses a peer before its handshake. A peer that would speak TLS is not told, as a TLS handshake costs more than the limit
/// saves.
fn refuse_early(
    socket: ClientSocket,
    settings: &ListenerSettings,
    is_relayed: bool,
    refusal: Refusal,
) -> RefusedPeer {
    if settings.listener().protocol == Protocol::Websocket && (settings.certificate.is_none() || is_relayed) {
        RefusedPeer::on(Stream::Plain(socket), refusal)
    } else {
        refusal.into()
    }
}

/// Hands the client to a shard.
async fn hand_over(
    accepted: Accepted<'_>,
    peer: SocketAddr,
    client: SocketAddr,
    gateway: &Gateway,
    settings: &ListenerSettings,
) {
    let Accepted { stream, opened, slot, is_relayed, _turn } = accepted;
    let Opened { answer, encoding, early, handshake, identity, device, resumption } = opened;
    let (socket, tls) = stream.into_parts();
    let socket = match socket.into_std() {
        Ok(socket) => socket,
        Err(error) => return debug!(%error, "a client vanished during its handshake"),
    };
    let slot = match resumption {
        // A client that comes back keeps the slot that it has, if there is no other for it.
        Resumption::Good(offer) if gateway.has_here(&offer) => slot,
        // A limit may have been set during the handshake, so the connection is counted now.
        _ => slot.or_else(|| settings.admission.recount(|| Some(client.ip()))),
    };
    let new_connection = NewConnection {
        socket,
        tls,
        answer: answer.into(),
        listener: settings.index,
        encoding,
        early,
        // The other end of a pair is not the client.
        address: (is_relayed || client != peer).then_some(client),
        handshake,
        slot: slot.map(|slot| -> Box<dyn Send> { Box::new(slot) }),
        device,
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
