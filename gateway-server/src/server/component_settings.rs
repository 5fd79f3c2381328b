//! The settings of each component, made from the settings of the whole server.

use std::net::SocketAddrV4;
use std::sync::Arc;

use gateway_wire::token::{MIN_SECRET, TokenKey};
use tokio::net::TcpListener;
use tracing::warn;

use crate::admin::Watched;
use crate::cluster::ClusterSettings;
use crate::config::{EventHandlers, Listener, Outage, Routing, Settings};
use crate::events::{EventMode, RoutingPolicy};
use crate::listener::{Admission, HandshakeGate, ListenerSettings, Rules, TokenVerifier, TrustedProxies};
use crate::net::tls::Certificates;
use crate::php::{self, RegisterPortSettings};
use crate::shard::{ClientProofs, ResumeSecrets, ShardSettings};
use crate::system::{Secret, machine};
use crate::telemetry::ConnectionCounter;

pub(crate) fn certificates(settings: &Settings) -> anyhow::Result<Certificates> {
    let listeners: Vec<_> = settings.listeners.iter().map(|listener| listener.tls()).collect();
    Certificates::load(&listeners, settings.register_tls().as_ref())
}

/// For the cluster, if this is one node of several.
pub(crate) fn cluster(settings: &Settings) -> Option<ClusterSettings> {
    if settings.cluster_nats.is_empty() {
        return None;
    }
    Some(ClusterSettings {
        nats: settings.cluster_nats.clone(),
        name: settings.cluster_name.clone(),
        credentials: settings.cluster_credentials.clone(),
        authorities: settings.cluster_tls_ca.clone(),
        certificate: settings.cluster_tls_certificate.clone().zip(settings.cluster_tls_key.clone()),
        buffer: settings.cluster_buffer_bytes,
        is_buffered: settings.cluster_outage == Outage::Buffer,
        timeout: settings.cluster_timeout,
    })
}

pub(crate) fn event_mode(settings: &Settings) -> EventMode {
    match settings.events {
        EventHandlers::BuiltIn => EventMode::BuiltIn,
        EventHandlers::Workers => EventMode::Workers,
        EventHandlers::Auto => EventMode::Auto,
    }
}

pub(crate) fn routing_policy(settings: &Settings) -> RoutingPolicy {
    match settings.router {
        Routing::LeastClients => RoutingPolicy::LeastClients,
        Routing::ClientAddress => RoutingPolicy::ClientAddress,
        Routing::Random => RoutingPolicy::Random,
    }
}

/// Makes the token verifier for these settings. It inherits the replay cache of the verifier before it, so that a token that was
/// used once stays used.
pub(crate) fn token_verifier(settings: &Settings, before: &TokenVerifier) -> Arc<TokenVerifier> {
    let key = match (settings.token_key.as_bytes(), settings.secret_key.as_bytes()) {
        ([], []) => None,
        // A secret that is too short gives no key: the start has warned of it, and the error for each token says so.
        ([], secret) => TokenKey::derived(secret).ok(),
        (key, _) => Some(TokenKey::new(key)),
    };
    Arc::new(before.with(key, settings.require_token, settings.max_groups(), settings.max_session_bytes))
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
        settings: &Settings,
        index: usize,
        token_verifier: &Arc<TokenVerifier>,
    ) -> Arc<ListenerSettings> {
        let listener = &settings.listeners[index];
        Arc::new(ListenerSettings {
            protocol: listener.protocol,
            // The number fits, as the settings' check bounds the number of listeners.
            index: index as u8,
            certificate: self.certificates.of_listener(index),
            handshake_timeout: settings.handshake_timeout,
            max_handshakes: settings.max_handshakes,
            deflate: settings.deflate,
            rules: Rules {
                origins: listener.origins.clone(),
                paths: listener.paths.clone(),
                hosts: listener.hosts.clone(),
                subprotocols: listener.subprotocols.clone(),
                max_request_bytes: settings.max_request_bytes,
            },
            token_verifier: Arc::clone(token_verifier),
            handshakes_per_second: settings.handshakes_per_second,
            admission: Arc::clone(&self.admission),
            gate: Arc::clone(&self.gate),
            proxy_protocol: listener.proxy_protocol,
            trusted_proxies: Arc::new(TrustedProxies::new(settings.trusted_proxies.clone())),
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

    pub(crate) fn register_port(&self, settings: &Settings) -> RegisterPortSettings {
        RegisterPortSettings {
            handshake_timeout: settings.handshake_timeout,
            slots: Arc::clone(&self.register_slots),
            counter: Arc::clone(&self.register_counter),
            certificate: self.certificates.of_register(),
        }
    }
}
