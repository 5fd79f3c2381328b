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
pub use rules::Rules;
pub use token::TokenVerifier;
pub use upgrade::{Opened, upgrade};

use std::sync::Arc;

use self::trusted_proxies::TrustedProxies;
use crate::config::{Listener, Settings};
use crate::net::tls::Certificate;
use crate::telemetry::ConnectionCounter;

/// What one listener goes by: the settings, and beside them what is made for it. A reload of the settings makes new ones, which
/// count for connections from then on. A setting that concerns handshakes is read here, where it is needed.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// The settings of the server.
    pub(crate) server: Arc<Settings>,
    /// The index of the listener in the settings' list of listeners.
    pub(crate) index: u8,
    /// The certificate with which clients must speak TLS, or `None` for a listener without TLS.
    pub(crate) certificate: Option<Arc<Certificate>>,
    /// The token verifier, which checks connect tokens.
    pub(crate) token_verifier: Arc<TokenVerifier>,
    /// The limits on the number of clients, which all listeners share.
    pub(crate) admission: Arc<Admission>,
    /// The gate between handshakes and the shards, which all listeners share.
    pub(crate) gate: Arc<HandshakeGate>,
    /// Counts the connections that came, and those whose handshake is under way.
    pub(crate) counter: Arc<ConnectionCounter>,
}

impl ListenerSettings {
    /// The settings that this listener has of its own.
    fn listener(&self) -> &Listener {
        &self.server.listeners[usize::from(self.index)]
    }

    /// The rules for websocket requests.
    fn rules(&self) -> Rules<'_> {
        Rules::of(&self.server, self.index)
    }

    /// The proxies that are believed when they name a client. If any are set, only they may connect with the PROXY protocol.
    fn trusted_proxies(&self) -> TrustedProxies<'_> {
        TrustedProxies(&self.server.trusted_proxies)
    }
}
