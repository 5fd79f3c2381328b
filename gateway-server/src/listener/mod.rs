//! The front doors for clients: accept, let each connection shake hands in its own task if its protocol wants it, hand it to
//! a shard.

mod accept;
mod admission;
mod handshake;
mod refusal;
mod rules;
mod token;
mod used;

pub use accept::{bind_tcp, pause_after_failed_accept};
pub use admission::{Admission, Place};
pub use handshake::shake;
pub use refusal::Refusal;
pub use rules::{MAX_REQUEST, Rules};
pub use token::Gate;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::debug;

use crate::client::{Form, Protocol};
use crate::ops::offence::{self, Offence};
use crate::shard::{Handshake, Hub, Identity, Newcomer};
use admission::Pace;

#[derive(Clone, Debug)]
pub struct Settings {
    pub protocol: Protocol,
    /// The place of its [`Door`](crate::shard::Door) in the shards' settings.
    pub door: u8,
    pub handshake_timeout: Duration,
    /// Handshakes under way at once; more wait in the kernel's queue.
    pub max_handshakes: usize,
    /// Whether clients may have their messages compressed.
    pub deflate: bool,
    /// Which requests for a websocket are taken.
    pub rules: Rules,
    /// Reads connect tokens.
    pub gate: Arc<Gate>,
    /// Connections a second; more wait in the kernel's queue. Zero is no limit.
    pub handshakes_per_second: f64,
    /// The one for all listeners.
    pub admission: Arc<Admission>,
}

/// What the opening handshake gave.
pub struct Established {
    pub form: Form,
    pub handshake: Option<Box<Handshake>>,
    pub identity: Option<Box<Identity>>,
}

/// Accepts until the task is dropped, by the newest settings.
pub async fn serve(listener: TcpListener, hub: Arc<Hub>, mut newest: watch::Receiver<Arc<Settings>>) {
    let mut settings = Arc::clone(&newest.borrow_and_update());
    let mut places = Arc::new(Semaphore::new(settings.max_handshakes));
    let mut pace = Pace::new(settings.handshakes_per_second);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places, &mut pace) => accepted,
            Ok(()) = newest.changed() => {
                let old = std::mem::replace(&mut settings, Arc::clone(&newest.borrow_and_update()));
                if settings.max_handshakes != old.max_handshakes {
                    places = Arc::new(Semaphore::new(settings.max_handshakes));
                }
                if settings.handshakes_per_second != old.handshakes_per_second {
                    pace = Pace::new(settings.handshakes_per_second);
                }
                continue;
            }
        };
        let (place, socket) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after_failed_accept(&error).await;
                continue;
            }
        };
        pace.count();
        let hub = Arc::clone(&hub);
        // Those that came just now, too.
        let settings = Arc::clone(&newest.borrow());
        tokio::spawn(async move {
            establish(socket, &hub, &settings).await;
            drop(place);
        });
    }
}

/// A connection and its place among the handshakes. A place first: a connection that cannot be served yet stays in the
/// kernel's queue.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    pace: &mut Pace,
) -> io::Result<(OwnedSemaphorePermit, TcpStream)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    pace.next().await;
    let (socket, _) = listener.accept().await?;
    Ok((place, socket))
}

async fn establish(mut socket: TcpStream, hub: &Hub, settings: &Settings) {
    let peer = socket.peer_addr().ok();
    let timeout = settings.handshake_timeout;
    let established = async {
        let is_websocket = settings.protocol == Protocol::Websocket;
        let place = match settings.admission.enter(admission::address_of(&socket)) {
            Ok(place) => place,
            Err(refusal) => {
                offence::report(refusal.offence, peer, &refusal);
                if is_websocket {
                    handshake::refuse(&mut socket, &refusal).await;
                }
                return Ok(None);
            }
        };
        let established = if is_websocket {
            handshake::websocket(&mut socket, settings, hub.wants_handshakes()).await?
        } else {
            Established { form: settings.protocol.form(), handshake: None, identity: None }
        };
        Ok::<_, Refusal>(Some((established, place)))
    };
    let (Established { form, handshake, identity }, place) =
        match tokio::time::timeout(timeout, established).await {
            Ok(Ok(Some(established))) => established,
            Ok(Ok(None)) => return,
            Ok(Err(refusal)) => return offence::report(refusal.offence, peer, &refusal),
            Err(_) => {
                let detail = format!("no handshake within {timeout:?} (handshake_timeout)");
                return offence::report(Offence::HandshakeStalled, peer, &detail);
            }
        };
    let handed_over = prepare(&socket).and_then(|()| socket.into_std());
    match handed_over {
        Ok(socket) => {
            // A limit may have come while it shook hands.
            let place = place.or_else(|| settings.admission.recount(peer.map(|peer| peer.ip())));
            let place = place.map(|place| -> Box<dyn Send> { Box::new(place) });
            let newcomer = Newcomer { socket, door: settings.door, form, handshake, identity, place };
            if hub.adopt(newcomer).await.is_err() {
                debug!("a client came while the server stops");
            }
        }
        Err(error) => debug!(%error, "a client vanished during its handshake"),
    }
}

/// Bytes that the kernel keeps unsent for a client: without a bound it takes megabytes for one that does not read. What it
/// refuses waits in the outbox, which is bounded by a setting.
const UNSENT: u32 = 128 << 10;

fn prepare(socket: &TcpStream) -> io::Result<()> {
    // A push is one small write that must not wait for more.
    socket.set_nodelay(true)?;
    SockRef::from(socket).set_tcp_notsent_lowat(UNSENT)
}
