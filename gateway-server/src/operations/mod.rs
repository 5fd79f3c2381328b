//! The operations port: what operators and their programs ask the server over HTTP.

mod answer;
mod api;
mod body;
mod clients;
mod cluster;
pub mod command;
mod dashboard;
mod exposition;
mod guard;
mod metrics;
mod port;
mod process;
mod query;
mod routes;
mod snapshot;
mod status;
mod text;

pub use port::{bind, serve};
pub use snapshot::Watched;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use crate::backend::Backend;
use crate::listener::Tally;
use crate::ops::config::Secret;
use crate::shard::Hub;

/// What all requests share.
pub struct Operations {
    hub: Arc<Hub>,
    backend: Arc<Backend>,
    listeners: Vec<Watched>,
    /// Connections of PHP.
    php: Arc<Tally>,
    token: RwLock<Secret>,
    is_stopping: AtomicBool,
    started: SystemTime,
}

impl Operations {
    pub fn new(
        hub: Arc<Hub>,
        backend: Arc<Backend>,
        listeners: Vec<Watched>,
        php: Arc<Tally>,
        token: Secret,
    ) -> Self {
        Self {
            hub,
            backend,
            listeners,
            php,
            token: RwLock::new(token),
            is_stopping: AtomicBool::new(false),
            started: SystemTime::now(),
        }
    }

    /// For requests that come from now on.
    pub fn set_token(&self, token: Secret) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// From now on the server says that it is not ready for clients.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    fn token(&self) -> Secret {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
