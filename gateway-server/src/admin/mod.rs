//! The operations port: an HTTP server for operators and their programs.

mod answer;
mod api;
mod auth;
mod body;
pub mod cli;
mod clients;
mod cluster;
mod dashboard;
mod events;
mod exposition;
mod history;
mod http;
mod inbox;
mod metrics;
mod process;
mod query;
mod relays;
mod rest;
mod routes;
mod sampling;
mod snapshot;
mod status;
mod text;
mod upgrade;

pub use http::{bind, serve};
pub use rest::RequestsAtRest;
pub use sampling::keep_history;
pub use snapshot::Watched;
pub use upgrade::{UpgradeRequest, Upgraded};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use answer::Refusal;
use history::History;
use hyper::StatusCode;
use rest::RestWanted;

use tokio::sync::{Semaphore, mpsc, watch};

use crate::config::Settings;
use crate::hub::Hub;
use crate::lifecycle::watchdog;
use crate::php::Backend;
use crate::relay::Relays;
use crate::system::Secret;
use crate::telemetry::ConnectionCounter;

/// Number of requests that are served at once, besides those for health. Further ones wait for their turn.
const SERVED: usize = 64;
/// Number of them that may have large bodies or answers.
const LARGE: usize = 8;
/// Number of them that may wait for the answers of pages. Further ones are refused.
const ASKING: usize = SERVED / 2;

/// The state that all requests share.
pub struct Operations {
    hub: Arc<Hub>,
    backend: Arc<Backend>,
    listeners: Vec<Watched>,
    /// The counter of PHP's connections.
    php: Arc<ConnectionCounter>,
    /// The settings that count now.
    settings: watch::Receiver<Arc<Settings>>,
    is_stopping: AtomicBool,
    /// Whether another process has taken over from this one, so that nothing can be answered here any more.
    is_replaced: AtomicBool,
    upgrades: upgrade::UpgradeRequests,
    /// Counts the connections on which an upgrade was asked for.
    upgraders: Arc<ConnectionCounter>,
    served: Arc<Semaphore>,
    /// Earlier processes of this server that still carry clients.
    relays: Arc<Relays>,
    history: History,
    large: Semaphore,
    asking: Semaphore,
    rest_wanted: RestWanted,
    started: SystemTime,
    /// The time of the start on the monotonic clock.
    running_since: Instant,
}

impl Operations {
    /// Makes the state, and gives the upgrades that will be asked for.
    pub fn new(
        hub: Arc<Hub>,
        backend: Arc<Backend>,
        listeners: Vec<Watched>,
        php: Arc<ConnectionCounter>,
        settings: watch::Receiver<Arc<Settings>>,
    ) -> (Self, mpsc::Receiver<UpgradeRequest>) {
        let (upgrades, requests) = upgrade::channel();
        let operations = Self {
            hub,
            backend,
            listeners,
            php,
            settings,
            is_stopping: AtomicBool::new(false),
            is_replaced: AtomicBool::new(false),
            upgrades,
            upgraders: Arc::default(),
            served: Arc::new(Semaphore::new(SERVED)),
            relays: Arc::default(),
            history: History::new(),
            large: Semaphore::new(LARGE),
            asking: Semaphore::new(ASKING),
            rest_wanted: RestWanted::new(),
            started: SystemTime::now(),
            running_since: Instant::now(),
        };
        (operations, requests)
    }

    /// The table of the relays, which is empty until somebody fills it.
    pub fn relays(&self) -> Arc<Relays> {
        Arc::clone(&self.relays)
    }

    /// Makes the readiness check say that the server stops.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Waits until no request is served, and lets none begin as long as the result is held. Requests for health and upgrades do not
    /// count. A request that waits for the answers of pages is refused, as these may take longer than an upgrade waits.
    pub async fn rest(&self) -> Option<RequestsAtRest> {
        let at_rest = self.rest_wanted.want();
        let places = Arc::clone(&self.served).acquire_many_owned(SERVED as u32).await.ok()?;
        Some(at_rest.with(places))
    }

    /// Refuses all further requests, as another process serves now.
    pub fn replace(&self) {
        self.is_replaced.store(true, Ordering::Relaxed);
        self.served.close();
    }

    /// Whether somebody who has asked for an upgrade may not have its answer yet.
    pub fn is_answering_upgrade(&self) -> bool {
        self.upgraders.present() > 0
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Checks that all shards answer. The error, which comes within a second, names the shards that do not.
    async fn all_shards_answer(&self) -> Result<(), Refusal> {
        let silent = self.hub.silent(watchdog::ANSWER).await;
        if silent.is_empty() {
            return Ok(());
        }
        let names = silent.iter().map(|shard| format!("shard {shard}")).collect::<Vec<_>>().join(", ");
        let message = format!("{names} did not answer within {:?}", watchdog::ANSWER);
        Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "shard_silent", message))
    }

    /// The token that requests need. An empty one lets in programs of this machine only.
    fn token(&self) -> Secret {
        self.settings.borrow().operations_token.clone()
    }
}
