//! The front doors for clients: accept, let each connection shake hands in its own task if its protocol wants it, hand it to
//! a shard.

mod accept_pace;
mod admission;
mod ambiguity;
mod client_address;
mod farewell;
mod handshake;
mod refusal;
mod replay_cache;
mod request;
mod rules;
mod stream;
mod subprotocol;
mod tls;
mod token;
mod trusted_proxies;

pub use admission::{Admission, AdmissionSlot};
pub use handshake::shake;
pub use refusal::Refusal;
pub use rules::{MAX_REQUEST, Rules};
pub use token::TokenVerifier;
pub use trusted_proxies::TrustedProxies;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::handshake::server::Request;
use tracing::debug;

use crate::hub::Hub;
use crate::net::tls::Certificate;
use crate::net::{Permit, Permits, RateLimitKey, Turns, give_way, pause_after_failed_accept, proxy_protocol};
use crate::protocol::{Encoding, Protocol};
use crate::shard::{Handshake, Identity, NewConnection};
use crate::system::injected_faults;
use crate::system::memory_reserve::{self, NoMemory};
use crate::telemetry::ConnectionCounter;
use crate::telemetry::abuse_log::{self, Offence};
use accept_pace::AcceptPace;
use client_address::ClientAddress;
use farewell::RefusedPeer;
use stream::Stream;

#[derive(Clone, Debug)]
pub struct ListenerSettings {
    pub protocol: Protocol,
    /// The place of its [`ListenerLimits`](crate::shard::ListenerLimits) in the shards' settings.
    pub door: u8,
    /// Clients speak TLS.
    pub certificate: Option<Arc<Certificate>>,
    pub handshake_timeout: Duration,
    /// Handshakes under way at once; then the one that has stood still longest makes room for the next.
    pub max_handshakes: usize,
    /// Whether clients may have their messages compressed.
    pub deflate: bool,
    /// Which requests for a websocket are taken.
    pub rules: Rules,
    /// Reads connect tokens.
    pub gate: Arc<TokenVerifier>,
    /// Connections a second; more wait in the kernel's queue. Zero is no limit.
    pub handshakes_per_second: f64,
    /// The one for all listeners.
    pub admission: Arc<Admission>,
    /// Every connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    pub trusted_proxies: Arc<TrustedProxies>,
    /// Counts those that came, and those that shake hands.
    pub tally: Arc<ConnectionCounter>,
}

/// What the opening handshake gave.
pub struct Accepted {
    pub form: Encoding,
    /// What the client said behind its request already, which was read with it.
    pub early: Box<[u8]>,
    pub handshake: Option<Box<Handshake>>,
    pub identity: Option<Box<Identity>>,
}

/// Connections that are accepted before others have their turn.
const ACCEPTED_IN_A_ROW: u64 = 16;
/// The queue of newcomers whose handshake is to begin.
static TURNS: Turns = Turns::new(8);

/// A handshake that takes longer than this, where there is no room for all, makes room for another.
const STALLED: Duration = Duration::from_secs(1);

/// Three quarters of the places for one address, so that the next from another finds one.
fn handshakes(settings: &ListenerSettings) -> Arc<Permits<RateLimitKey>> {
    let most = settings.max_handshakes;
    Permits::new(most, most - most / 4, STALLED)
}

/// Accepts until the task is dropped, by the newest settings.
pub async fn serve(listener: TcpListener, hub: Arc<Hub>, mut newest: watch::Receiver<Arc<ListenerSettings>>) {
    let mut settings = Arc::clone(&newest.borrow_and_update());
    let mut places = handshakes(&settings);
    let mut pace = AcceptPace::new(settings.handshakes_per_second);
    for turn in 1_u64.. {
        if turn.is_multiple_of(ACCEPTED_IN_A_ROW) {
            give_way().await;
        }
        let accepted = tokio::select! {
            accepted = accept(&listener, &places, &mut pace) => accepted,
            Ok(()) = newest.changed() => {
                let old = std::mem::replace(&mut settings, Arc::clone(&newest.borrow_and_update()));
                if settings.max_handshakes != old.max_handshakes {
                    places = handshakes(&settings);
                }
                if settings.handshakes_per_second != old.handshakes_per_second {
                    pace = AcceptPace::new(settings.handshakes_per_second);
                }
                continue;
            }
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after_failed_accept(&error).await;
                continue;
            }
        };
        pace.count();
        if memory_reserve::is_short() {
            abuse_log::report(Offence::NoMemory, Some(peer), &NoMemory);
            continue;
        }
        injected_faults::strike("listener");
        let peer = canonical(peer);
        // Settings that came just now count, too.
        let settings = Arc::clone(&newest.borrow());
        let key = client_address::share_of(peer.ip(), settings.proxy_protocol, &settings.trusted_proxies);
        let Some(place) = places.enter(key) else {
            let refusal = Refusal::too_many_handshakes(places.share());
            abuse_log::report(refusal.offence, Some(peer), &refusal);
            continue;
        };
        let handshaking = settings.tally.enter();
        let hub = Arc::clone(&hub);
        tokio::spawn(async move {
            place.begin();
            TURNS.next().await;
            establish(socket, peer, &hub, &settings, &place).await;
            drop((place, handshaking));
        });
    }
}

/// A connection that cannot be served yet stays in the kernel's queue.
async fn accept(
    listener: &TcpListener,
    places: &Permits<RateLimitKey>,
    pace: &mut AcceptPace,
) -> io::Result<(TcpStream, SocketAddr)> {
    places.room().await;
    pace.next().await;
    listener.accept().await
}

async fn establish(
    socket: TcpStream,
    peer: SocketAddr,
    hub: &Hub,
    settings: &ListenerSettings,
    place: &Permit<RateLimitKey>,
) {
    let peer = Some(peer);
    // Whom the log names.
    let mut client = peer;
    let wants = hub.wants_handshakes();
    let timeout = settings.handshake_timeout;
    let deadline = Instant::now() + timeout;
    let taken = tokio::select! {
        biased;
        taken = timeout_at(deadline, take(socket, peer, &mut client, settings, wants, place)) => Some(taken),
        () = place.evicted() => None,
    };
    let Some(taken) = taken else {
        let detail = "no handshake yet, and others wanted its place (max_handshakes)";
        return abuse_log::report(Offence::HandshakeStalled, client, &detail);
    };
    let (socket, Accepted { form, early, handshake, identity }, place) = match taken {
        Ok(Ok(taken)) => taken,
        Ok(Err(farewell)) => {
            abuse_log::report(farewell.refusal.offence, client, &farewell.refusal);
            tokio::select! {
                _ = timeout_at(deadline, farewell.say()) => {}
                () = place.evicted() => {}
            }
            return;
        }
        Err(_) => {
            let detail = format!("no handshake within {timeout:?} (handshake_timeout)");
            return abuse_log::report(Offence::HandshakeStalled, client, &detail);
        }
    };
    let (socket, tls) = socket.into_parts();
    let handed_over = prepare(&socket).and_then(|()| socket.into_std());
    match handed_over {
        Ok(socket) => {
            // A limit may have come while it shook hands.
            let place = place.or_else(|| settings.admission.recount(client.map(|client| client.ip())));
            let place = place.map(|place| -> Box<dyn Send> { Box::new(place) });
            let address = client.filter(|_| client != peer);
            let door = settings.door;
            let newcomer = NewConnection { socket, tls, door, form, early, address, handshake, place };
            if hub.adopt(newcomer, identity).await.is_err() {
                debug!("a client came while the server stops");
            }
        }
        Err(error) => debug!(%error, "a client vanished during its handshake"),
    }
}

/// All that comes before a client is one. `client` becomes what is known of its address, also when it is refused.
async fn take(
    mut socket: TcpStream,
    peer: Option<SocketAddr>,
    client: &mut Option<SocketAddr>,
    settings: &ListenerSettings,
    wants: bool,
    handshaking: &Permit<RateLimitKey>,
) -> Result<(Stream, Accepted, Option<AdmissionSlot>), RefusedPeer> {
    let is_websocket = settings.protocol == Protocol::Websocket;
    let mut caller =
        match ClientAddress::enter(peer, &settings.admission, &settings.trusted_proxies, handshaking) {
            Ok(caller) => caller,
            Err(refusal) => return Err(refuse_early(socket, settings, refusal)),
        };
    if settings.proxy_protocol {
        if !settings.trusted_proxies.is_empty() && !caller.is_trusted_proxy() {
            return Err(Refusal::untrusted_proxy().into());
        }
        if let Some(address) =
            proxy_protocol::take_header(&mut socket).await.map_err(Refusal::proxy_header)?
        {
            caller.address = Some(address);
            *client = caller.address;
        }
    }
    // A trusted proxy says in its request who comes.
    if !(is_websocket && caller.is_trusted_proxy())
        && let Err(refusal) = caller.admit()
    {
        return Err(refuse_early(socket, settings, refusal));
    }
    let mut socket = match &settings.certificate {
        Some(certificate) => tls::accept(socket, certificate).await?,
        None => Stream::Plain(socket),
    };
    let established = if is_websocket {
        let admit = |request: &Request| caller.introduce(request.headers());
        let shaken =
            shake(&mut socket, &settings.rules, &settings.gate, settings.deflate, wants, admit).await;
        *client = caller.address;
        match shaken {
            Ok(established) => established,
            Err(refusal) => return Err(RefusedPeer::on(socket, refusal)),
        }
    } else {
        Accepted { form: settings.protocol.form(), early: Box::default(), handshake: None, identity: None }
    };
    Ok((socket, established, caller.into_place()))
}

/// A peer without a place learns of it before its handshake, but not by TLS: that would cost more than the limit saves.
fn refuse_early(socket: TcpStream, settings: &ListenerSettings, refusal: Refusal) -> RefusedPeer {
    if settings.protocol == Protocol::Websocket && settings.certificate.is_none() {
        RefusedPeer::on(Stream::Plain(socket), refusal)
    } else {
        refusal.into()
    }
}

/// An IPv4 address that has come over a socket of IPv6 is written as what it is.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Bytes that the kernel keeps unsent for a client: without a bound it takes megabytes for one that does not read. What it
/// refuses waits in the outbox, which is bounded by a setting.
const UNSENT: u32 = 128 << 10;

fn prepare(socket: &TcpStream) -> io::Result<()> {
    // A push is one small write that must not wait for more.
    socket.set_nodelay(true)?;
    SockRef::from(socket).set_tcp_notsent_lowat(UNSENT)
}
