//! The state that all connections of the register port share.

use std::sync::Arc;

use super::bridge::Bridge;
use super::carry::attendance::Attendance;
use super::gatewayworker::GatewayWorker;
use super::memory_budget::MemoryBudget;
use crate::events::Router;
use crate::inbox::notices::NoticeDesk;
use crate::service::Gateway;

/// The state that all connections of the register port share, whichever protocol they speak.
pub struct Backend {
    pub gateway: Arc<Gateway>,
    pub bridge: Bridge,
    pub gatewayworker: GatewayWorker,
    /// The router hands the clients' events to the PHP processes that handle them.
    pub workers: Arc<Router>,
    /// Where processes take what they are told of messages in the inbox.
    pub notices: Arc<NoticeDesk>,
    /// The budget bounds the memory that unfinished calls and unread answers of all PHP connections take together.
    pub budget: Arc<MemoryBudget>,
    /// The connections that are there, which may be asked to come to rest.
    pub attendance: Attendance,
}
