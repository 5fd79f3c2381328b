//! The reasons why a connection of GatewayWorker's classes ends, and the log's line about each.

use std::io;
use std::net::SocketAddr;

use tracing::debug;

use crate::php::memory_budget::Revoked;
use crate::shard::Stopped;
use crate::system::memory_reserve::NoMemory;
use crate::telemetry::abuse_log::{self, Offence};

/// The reason why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
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
    pub(super) fn report(&self, peer: Option<SocketAddr>) {
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
