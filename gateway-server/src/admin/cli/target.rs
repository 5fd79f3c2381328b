//! The server that a command asks.

use std::net::SocketAddr;

use crate::system::Secret;

/// The server's operations port, and the token for it.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SocketAddr,
    /// The token, which is empty when the server has none.
    pub token: Secret,
}
