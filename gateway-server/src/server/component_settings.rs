//! What each component has beside the settings, made for it when the server starts.

use std::net::SocketAddrV4;
use std::sync::Arc;

use gateway_wire::token::MIN_SECRET;
use tokio::net::TcpListener;
use tracing::warn;

use crate::admin::Watched;
use crate::config::{Listener, Settings};
use crate::listener::{Admission, HandshakeGate, ListenerSettings, TokenVerifier};
use crate::net::tls::Certificates;
use crate::php::{self, RegisterPortSettings};
use crate::shard::{ClientProofs, ResumeSecrets, ShardSettings};
use crate::system::{Secret, machine};
use crate::telemetry::ConnectionCounter;

pub(crate) fn certificates(settings: &Settings) -> anyhow::Result<Certificates> {
    let listeners: Vec<_> = settings.listeners.iter().map(|listener| listener.tls()).collect();
    Certificates::load(&listeners, settings.register_tls().as_ref())
}

/// Warns of secrets that can be guessed. Every page sees its token, and if a short secret signed it, the page can find the secret
/// by trying.
pub(crate) fn warn_of_guessable(settings: &Settings) {
    let is_short = |secret: &Secret| (1..MIN_SECRET).contains(&secret.as_bytes().len());
    if is_short(&settings.secret_key) {
        warn!(
            "secret_key is so short that it can be found out by trying: make it random and longer ({MIN_SECRET} bytes); \
             until then connect tokens need a token_key"
        );
    }
    if is_short(&settings.token_key) {
        warn!(
            "token_key is so short that whoever has a token can find it out: make it random and longer ({MIN_SECRET} bytes)"
        );
    }
}

/// The state and the settings that stay the same when the settings are read again.
pub(crate) struct ComponentSettings {
    /// Number of shards, which is at least one.
    pub(crate) shards: usize,
    /// The limits on the number of clients, which all listeners share.
    pub(crate) admission: Arc<Admission>,
    /// The gate between handshakes and the shards, which all listeners share.
    pub(crate) gate: Arc<HandshakeGate>,
    /// The ports that the listeners are bound to, one for each listener.
    ports: Arc<[u16]>,
    /// The connection counters, one for each listener.
    counters: Vec<Arc<ConnectionCounter>>,
    /// The address in the client ids of this server.
    node: SocketAddrV4,
    proofs: ClientProofs,
    secrets: ResumeSecrets,
    certificates: Certificates,
    /// The slots of all PHP connections, on all register ports together.
    register_slots: Arc<php::ConnectionSlots>,
    /// Counts the PHP connections on all register ports.
    register_counter: Arc<ConnectionCounter>,
}

impl ComponentSettings {
    pub(crate) fn new(
        settings: &Settings,
        shards: Option<usize>,
        sockets: &[TcpListener],
        node: SocketAddrV4,
        proofs: ClientProofs,
        secrets: ResumeSecrets,
        certificates: Certificates,
    ) -> std::io::Result<Self> {
        let ports = sockets.iter().map(|socket| Ok(socket.local_addr()?.port()));
        let shards = match settings.shards {
            // The next process after an upgrade has as many as the one before.
            0 => shards.unwrap_or_else(machine::threads),
            shards => shards.into(),
        };
        let admission = Admission::new(settings.max_connections, settings.max_connections_per_address);
        Ok(Self {
            shards,
            admission: Arc::new(admission),
            gate: Arc::default(),
            ports: ports.collect::<std::io::Result<_>>()?,
            counters: sockets.iter().map(|_| Arc::default()).collect(),
            node,
            proofs,
            secrets,
            certificates,
            register_slots: php::connection_slots(settings.max_register_connections),
            register_counter: Arc::default(),
        })
    }

    /// Gives the settings of the listener with this number.
    pub(crate) fn listener(
        &self,
        settings: &Arc<Settings>,
        index: usize,
        token_verifier: &Arc<TokenVerifier>,
    ) -> Arc<ListenerSettings> {
        Arc::new(ListenerSettings {
            server: Arc::clone(settings),
            // The number fits, as the settings' check bounds the number of listeners.
            index: index as u8,
            certificate: self.certificates.of_listener(index),
            token_verifier: Arc::clone(token_verifier),
            admission: Arc::clone(&self.admission),
            gate: Arc::clone(&self.gate),
            counter: Arc::clone(&self.counters[index]),
        })
    }

    /// Gives the listeners' names and counters, which the operations port shows.
    pub(crate) fn watched(&self, settings: &Settings) -> Vec<Watched> {
        let listeners = settings.listeners.iter().zip(self.ports.iter()).zip(&self.counters);
        let watched = |((listener, port), counter): ((&Listener, &u16), &Arc<ConnectionCounter>)| Watched {
            name: format!(
                "{}://{}",
                listener.protocol,
                std::net::SocketAddr::new(listener.address.ip(), *port)
            ),
            counter: Arc::clone(counter),
        };
        listeners.map(watched).collect()
    }

    /// The address in the client_ids.
    pub(crate) fn node(&self) -> SocketAddrV4 {
        self.node
    }

    /// Counts the connections that PHP has on all register ports.
    pub(crate) fn php_connections(&self) -> Arc<ConnectionCounter> {
        Arc::clone(&self.register_counter)
    }

    /// Gives the settings of the shards.
    pub(crate) fn shard(&self, settings: &Arc<Settings>) -> ShardSettings {
        let (ports, proofs, secrets) = (Arc::clone(&self.ports), self.proofs.clone(), self.secrets.clone());
        ShardSettings::new(settings, self.shards, ports, self.node, proofs, secrets)
    }

    pub(crate) fn register_port(&self, settings: &Arc<Settings>) -> RegisterPortSettings {
        RegisterPortSettings {
            server: Arc::clone(settings),
            slots: Arc::clone(&self.register_slots),
            counter: Arc::clone(&self.register_counter),
            certificate: self.certificates.of_register(),
        }
    }
}
