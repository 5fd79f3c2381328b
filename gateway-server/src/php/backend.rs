//! What all connections of the register port share.

use std::sync::Arc;

use super::bridge::Bridge;
use super::gatewayworker::GatewayWorker;
use super::memory_budget::MemoryBudget;
use crate::events::Router;
use crate::service::Gateway;

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
