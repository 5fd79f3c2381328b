//! The bridge's server side: one task for each PHP process.

mod durable_orders;
mod event_codec;
mod goodbye;
mod in_flight;
mod io;
mod login;
mod producers;
mod progress_file;
mod refused_orders;
mod session;
mod worker;
mod worker_notices;

pub(super) use session::serve;
pub(super) use worker::serve_again;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::php::login_limits::LoginLimits;
use producers::Producers;

/// The state that all bridge connections share.
pub struct Bridge {
    logins: Arc<LoginLimits>,
    /// A random number of this server process, by which PHP notices that the server was started again.
    instance: AtomicU64,
    pub(super) producers: Producers,
}

impl Bridge {
    pub fn new(logins: Arc<LoginLimits>, instance: u64) -> Self {
        Self { logins, instance: instance.into(), producers: Producers::default() }
    }

    pub(super) fn instance(&self) -> u64 {
        self.instance.load(Ordering::Relaxed)
    }

    /// This process goes on where another was, so that PHP notices nothing.
    pub(super) fn go_on_as(&self, instance: u64) {
        self.instance.store(instance, Ordering::Relaxed);
    }
}
