//! Gives new settings to the running server.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tracing::error;

use crate::admin::Operations;
use crate::config::Settings;
use crate::hub::Hub;
use crate::listener::{ListenerSettings, TokenVerifier};
use crate::php::{Backend, RegisterPortSettings};
use crate::server::component_settings::ComponentSettings;
use crate::telemetry::logs::Logs;

/// The handles by which new settings reach the server's components.
pub(crate) struct LiveServer {
    pub(crate) logs: Logs,
    /// The settings that count now, for those who read them whenever they need one.
    pub(crate) settings: watch::Sender<Arc<Settings>>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) components: ComponentSettings,
    /// The token verifier of the newest settings.
    pub(crate) token_verifier: Mutex<Arc<TokenVerifier>>,
    /// The channels to the listeners, in the order of the settings.
    pub(crate) listeners: Vec<watch::Sender<Arc<ListenerSettings>>>,
    pub(crate) backend: Arc<Backend>,
    pub(crate) register_ports: watch::Sender<RegisterPortSettings>,
    pub(crate) operations: Arc<Operations>,
}

impl LiveServer {
    /// Applies the settings. Afterwards everything follows them, except connections whose handshake was under way.
    pub(crate) async fn apply(&self, settings: &Arc<Settings>) {
        if let Err(error) = self.logs.set_filter(&settings.log) {
            error!("{error:#}");
        }
        // An error means that a shard has ended, which ends the server anyway.
        let _ = self.hub.configure(self.components.shard(settings)).await;
        self.settings.send_replace(Arc::clone(settings));
        self.backend.workers.set_limit(settings.worker_buffer_bytes);
        self.backend.budget.set_limit(settings.max_unfinished_bytes);
        self.hub.read_on().await;
        self.register_ports.send_replace(self.components.register_port(settings));
        let is_recounted =
            self.components.admission.set(settings.max_connections, settings.max_connections_per_address);
        let token_verifier = self.renew_token_verifier(settings);
        for (index, listener) in self.listeners.iter().enumerate() {
            listener.send_replace(self.components.listener(settings, index, &token_verifier));
        }
        if is_recounted {
            self.recount().await;
        }
        // The shards take commands in order, so a shard that answers this has taken all that came before.
        let _ = self.hub.count(None).await;
    }

    /// The token verifier of the newest settings.
    pub(crate) fn token_verifier(&self) -> Arc<TokenVerifier> {
        Arc::clone(&self.token_verifier.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn renew_token_verifier(&self, settings: &Arc<Settings>) -> Arc<TokenVerifier> {
        let mut token_verifier = self.token_verifier.lock().unwrap_or_else(PoisonError::into_inner);
        *token_verifier = Arc::new(token_verifier.with(settings));
        Arc::clone(&token_verifier)
    }

    /// Counts the existing connections again, as they were not counted while there was no limit.
    pub(crate) async fn recount(&self) {
        let admission = Arc::clone(&self.components.admission);
        let slot_of = move |peer: &dyn Fn() -> Option<std::net::SocketAddr>| {
            let slot = admission.recount(|| peer().map(|peer| peer.ip()))?;
            Some(Box::new(slot) as Box<dyn Send>)
        };
        let _ = self.hub.recount(Arc::new(slot_of)).await;
    }
}
