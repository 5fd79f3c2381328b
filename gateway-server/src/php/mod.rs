//! The register port: what PHP speaks. The first byte of a connection tells in which tongue.

pub mod bridge;
mod cluster_host;
mod fair_share;
pub mod gatewayworker;
mod listener;
mod login_limits;
mod memory_budget;
mod ordered_handshakes;
mod tls;

pub use listener::{ConnectionSlots, RegisterPort, RegisterPortSettings, places, serve};
pub use login_limits::LoginLimits;
pub use memory_budget::MemoryBudget;

use std::sync::Arc;

use crate::events::Router;
use crate::service::Gateway;
use bridge::Bridge;
use gatewayworker::GatewayWorker;

/// What all connections of the register port share.
pub struct Backend {
    pub gateway: Gateway,
    pub bridge: Bridge,
    pub gatewayworker: GatewayWorker,
    /// Who handles events.
    pub workers: Arc<Router>,
    /// What PHP's connections may hold of memory.
    pub budget: Arc<MemoryBudget>,
}
