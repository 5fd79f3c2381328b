//! The listeners for clients: each accepts connections, performs each handshake in a task of its own, and hands the client to a
//! shard.

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

/// Settings of one listener. A reload of the settings makes new ones, which count for connections from then on.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// The protocol that the listener's clients speak.
    pub protocol: Protocol,
    /// The index of the listener's [`ListenerLimits`](crate::shard::ListenerLimits) in the shards' settings.
    pub door: u8,
    /// The certificate with which clients must speak TLS, or `None` for a listener without TLS.
    pub certificate: Option<Arc<Certificate>>,
    /// Time that a client has from the accept to the end of its handshake. It is never zero.
    pub handshake_timeout: Duration,
    /// Number of handshakes that may be under way at once, at least one. Beyond it, one that takes longer than a second makes
    /// room for the next.
    pub max_handshakes: usize,
    /// True when messages are compressed for clients that offer it.
    pub deflate: bool,
    /// The rules for websocket requests.
    pub rules: Rules,
    /// The token verifier, which checks connect tokens.
    pub gate: Arc<TokenVerifier>,
    /// Connections that are accepted per second; faster ones wait in the kernel's queue. Zero is no limit.
    pub handshakes_per_second: f64,
    /// The limits on the number of clients, which all listeners share.
    pub admission: Arc<Admission>,
    /// True when every connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// The proxies that are believed when they name a client. If any are set, only they may connect with the PROXY protocol.
    pub trusted_proxies: Arc<TrustedProxies>,
    /// Counts the connections that came, and those whose handshake is under way.
    pub tally: Arc<ConnectionCounter>,
}

/// The result of a finished handshake.
pub struct Accepted {
    /// The encoding of the messages to the client.
    pub form: Encoding,
    /// The bytes behind the request that were read with it: frames of a client that does not wait for the answer.
    pub early: Box<[u8]>,
    /// The request, when the application's events want it.
    pub handshake: Option<Box<Handshake>>,
    /// The identity in the client's connect token, if it has one.
    pub identity: Option<Box<Identity>>,
}

/// Number of accepts in a row after which other tasks have their turn.
const ACCEPTED_IN_A_ROW: u64 = 16;
/// The queue of new connections whose handshake is about to begin. Eight of them go on at a time.
static TURNS: Turns = Turns::new(8);

/// Time after which a handshake makes room for another one, when there are no more slots.
const STALLED: Duration = Duration::from_secs(1);

/// Makes the slots for handshakes. One address may take three quarters of them, so that others find one.
fn handshakes(settings: &ListenerSettings) -> Arc<Permits<RateLimitKey>> {
    let most = settings.max_handshakes;
    Permits::new(most, most - most / 4, STALLED)
}

/// Accepts connections until the task is dropped. Each connection gets the newest settings at its start.
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
        // Settings that have just changed count for this connection too.
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

/// Accepts a connection once there is a slot for its handshake. Until then it waits in the kernel's queue.
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
    // The address that the log names.
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
            // A limit may have been set during the handshake, so the connection is counted now.
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

/// Does everything that comes before the hand-over to a shard. Sets `client` to the client's address, as far as it is known, even
/// when the client is refused.
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
    // A trusted proxy names the client in its request, so its connection is admitted later.
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

/// Refuses a peer before its handshake. A peer that would speak TLS is not told, as a TLS handshake costs more than the limit
/// saves.
fn refuse_early(socket: TcpStream, settings: &ListenerSettings, refusal: Refusal) -> RefusedPeer {
    if settings.protocol == Protocol::Websocket && settings.certificate.is_none() {
        RefusedPeer::on(Stream::Plain(socket), refusal)
    } else {
        refusal.into()
    }
}

/// Writes an IPv4 address that came over an IPv6 socket as an IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Bytes that the kernel keeps unsent for a client. Without this bound it takes megabytes for a client that does not read. What
/// the kernel does not take waits in the outbox, which a setting bounds.
const UNSENT: u32 = 128 << 10;

fn prepare(socket: &TcpStream) -> io::Result<()> {
    // A push is one small write, and must not wait until more bytes follow.
    socket.set_nodelay(true)?;
    SockRef::from(socket).set_tcp_notsent_lowat(UNSENT)
}
