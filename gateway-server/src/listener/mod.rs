//! The listeners for clients: each accepts connections, performs their handshakes, and hands the clients to the shards.

mod accept;
mod accept_pace;
mod admission;
mod ambiguity;
mod begun;
mod client_address;
mod client_socket;
mod continued;
mod device;
mod farewell;
mod handshake;
mod handshake_gate;
mod newcomer;
mod refusal;
mod replay_cache;
mod request;
mod resumption;
mod rules;
mod stream;
mod subprotocol;
mod tls;
mod token;
mod trusted_proxies;
mod upgrade;

pub use accept::serve;
pub use admission::{Admission, AdmissionSlot};
pub use begun::{BegunHandshake, MalformedHandshake, PassedHandshake};
pub use continued::ContinuedHandshakes;
pub use handshake_gate::{ClosedGate, HandshakeGate};
pub use newcomer::Newcomer;
pub use refusal::Refusal;
pub use replay_cache::UsedTokens;
pub use resumption::{ClientRegistry, Resumption};
pub use rules::{MAX_REQUEST, Rules};
pub use token::TokenVerifier;
pub use trusted_proxies::TrustedProxies;
pub use upgrade::{Opened, upgrade};

use std::sync::Arc;
use std::time::Duration;

use crate::net::tls::Certificate;
use crate::protocol::Protocol;
use crate::telemetry::ConnectionCounter;

/// Settings of one listener. A reload of the settings makes new ones, which count for connections from then on.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// The protocol that the listener's clients speak.
    pub protocol: Protocol,
    /// The index of the listener in the settings' list of listeners.
    pub index: u8,
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
    pub token_verifier: Arc<TokenVerifier>,
    /// Connections that are accepted per second; faster ones wait in the kernel's queue. Zero is no limit.
    pub handshakes_per_second: f64,
    /// The limits on the number of clients, which all listeners share.
    pub admission: Arc<Admission>,
    /// The gate between handshakes and the shards, which all listeners share.
    pub gate: Arc<HandshakeGate>,
    /// True when every connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// The proxies that are believed when they name a client. If any are set, only they may connect with the PROXY protocol.
    pub trusted_proxies: Arc<TrustedProxies>,
    /// Counts the connections that came, and those whose handshake is under way.
    pub counter: Arc<ConnectionCounter>,
}
