//! GatewayWorker's own protocols, so that its unmodified PHP classes can be used: the register's, which says where the
//! gateways are, and the internal one of a gateway. Both are spoken on the register port.

mod barrier;
mod events;
mod input;
mod internal;
mod newcomers;
mod orders;
mod php_request;
mod queries;
mod register;
mod worker;

pub(super) use events::server_data;
pub(super) use internal::serve as serve_internal;
pub(super) use register::serve as serve_register;

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;

use gateway_wire::is_same_secret;
use tracing::debug;

use crate::php::LoginLimits;
use crate::php::memory_budget::Revoked;
use crate::shard::Stopped;
use crate::system::memory_reserve::NoMemory;
use crate::telemetry::abuse_log::{self, Offence};
use barrier::Barrier;
use events::Encoder;
use register::Gateways;

/// What all connections share.
pub struct GatewayWorker {
    logins: Arc<LoginLimits>,
    /// The address that client ids name, at which PHP then looks for the client.
    node: SocketAddrV4,
    gateways: Gateways,
    barrier: Barrier,
}

impl GatewayWorker {
    pub fn new(logins: Arc<LoginLimits>, node: SocketAddrV4) -> Self {
        Self { logins, node, gateways: Gateways::default(), barrier: Barrier::default() }
    }

    fn encoder(&self) -> Encoder {
        Encoder { node: self.node }
    }

    async fn check_secret(&self, peer: Option<SocketAddr>, given: &str) -> Result<(), Ended> {
        let knows = |secret: &[u8]| is_same_secret(given.as_bytes(), secret);
        let checked = self.logins.check(peer, knows).await;
        checked.map_err(|refused| Ended::Login(refused.advice("secretKey in PHP")))
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("PHP closed the connection")]
    Closed,
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Login(String),
    #[error(transparent)]
    Revoked(#[from] Revoked),
    #[error("the server has no memory for its packets now: {0}")]
    NoMemory(#[from] NoMemory),
    #[error("{0}")]
    Refused(String),
}

impl Ended {
    fn report(&self, peer: Option<SocketAddr>) {
        match self {
            Self::Closed | Self::Io(_) => {
                debug!(?peer, "a connection of GatewayWorker's classes ended: {self}")
            }
            Self::Stopped(_) => {}
            Self::NoMemory(_) => abuse_log::report(Offence::NoMemory, peer, self),
            Self::Login(_) => abuse_log::report(Offence::Login, peer, self),
            Self::Refused(_) | Self::Revoked(_) => abuse_log::report(Offence::Register, peer, self),
        }
    }
}
