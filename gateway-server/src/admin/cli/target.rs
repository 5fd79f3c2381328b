//! The server that a command asks.

use std::net::SocketAddr;

use crate::system::Secret;

/// Whom to ask.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SocketAddr,
    pub token: Secret,
}
