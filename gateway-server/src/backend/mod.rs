//! The register port: what PHP speaks. The first byte of a connection tells in which tongue.

pub mod bridge;
pub mod gatewayworker;
mod held;
mod logins;
mod node;
mod port;
mod secured;
mod share;
pub mod workers;
mod young;

pub use held::Budget;
pub use logins::Logins;
pub use port::{Places, Port, Settings, places, serve};

use std::sync::Arc;

use crate::service::Gateway;
use bridge::Bridge;
use gatewayworker::GatewayWorker;
use workers::Router;

/// What all connections of the register port share.
pub struct Backend {
    pub gateway: Gateway,
    pub bridge: Bridge,
    pub gatewayworker: GatewayWorker,
    /// Who handles events.
    pub workers: Arc<Router>,
    /// What PHP's connections may hold of memory.
    pub budget: Arc<Budget>,
}
