//! The bridge's server side: one task for each PHP process.

mod event_codec;
mod in_flight;
mod io;
mod login;
mod producers;
mod progress_file;
mod session;
mod worker;

pub(super) use session::serve;

use std::sync::Arc;

use crate::php::login_limits::LoginLimits;
use producers::Producers;

/// The state that all bridge connections share.
pub struct Bridge {
    logins: Arc<LoginLimits>,
    /// A random number of this server process, by which PHP notices that the server was started again.
    instance: u64,
    producers: Producers,
}

impl Bridge {
    pub fn new(logins: Arc<LoginLimits>, instance: u64) -> Self {
        Self { logins, instance, producers: Producers::default() }
    }
}
