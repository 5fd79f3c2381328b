//! Gives new settings to the running server.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tracing::error;

use crate::admin::Operations;
use crate::config::Settings;
use crate::hub::Hub;
use crate::listener::{ListenerSettings, TokenVerifier};
use crate::php::{Backend, RegisterPortSettings};
use crate::server::component_settings::{self, ComponentSettings};
use crate::telemetry::logs::Logs;

/// The handles by which new settings reach the server's components.
pub(crate) struct LiveServer {
    pub(crate) logs: Logs,
    pub(crate) hub: Arc<Hub>,
    pub(crate) parts: ComponentSettings,
    /// The token verifier of the newest settings.
    pub(crate) gate: Mutex<Arc<TokenVerifier>>,
    /// The channels to the listeners, in the order of the settings.
    pub(crate) listeners: Vec<watch::Sender<Arc<ListenerSettings>>>,
    pub(crate) backend: Arc<Backend>,
    pub(crate) register_ports: watch::Sender<RegisterPortSettings>,
    pub(crate) operations: Arc<Operations>,
}

impl LiveServer {
    /// Applies the settings. Afterwards everything follows them, except connections whose handshake was under way.
    pub(crate) async fn apply(&self, settings: &Settings) {
        if let Err(error) = self.logs.set_filter(&settings.log) {
            error!("{error:#}");
        }
        // An error means that a shard has ended, which ends the server anyway.
        let _ = self.hub.configure(self.parts.shard(settings)).await;
        self.backend.gateway.set_max_session(settings.max_session_bytes);
        self.backend.workers.set_limit(settings.worker_buffer_bytes);
        self.backend.budget.set_limit(settings.max_unfinished_bytes);
        self.hub.read_on().await;
        self.register_ports.send_replace(self.parts.register_port(settings));
        self.operations.set_token(settings.operations_token.clone());
        let is_recounted =
            self.parts.admission.set(settings.max_connections, settings.max_connections_per_address);
        let gate = self.renew_gate(settings);
        for (number, listener) in self.listeners.iter().enumerate() {
            listener.send_replace(self.parts.listener(settings, number, &gate));
        }
        if is_recounted {
            self.recount().await;
        }
        // The shards take commands in order, so a shard that answers this has taken all that came before.
        let _ = self.hub.count(None).await;
    }

    fn renew_gate(&self, settings: &Settings) -> Arc<TokenVerifier> {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        *gate = component_settings::gate(settings, &gate);
        Arc::clone(&gate)
    }

    /// Counts the existing connections again, as they were not counted while there was no limit.
    async fn recount(&self) {
        let admission = Arc::clone(&self.parts.admission);
        let place_of = move |peer: Option<std::net::SocketAddr>| {
            let place = admission.recount(peer.map(|peer| peer.ip()))?;
            Some(Box::new(place) as Box<dyn Send>)
        };
        let _ = self.hub.recount(Arc::new(place_of)).await;
    }
}
