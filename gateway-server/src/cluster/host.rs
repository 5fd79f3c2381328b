//! What a cluster asks of the server that takes part in it.

use gateway_wire::bridge::{AnswerValue, Order, Query};
use std::net::SocketAddrV4;

use crate::shard::Sort;

/// This node, as the others use it.
pub trait Host: Send + Sync + 'static {
    /// Carries out what another node's PHP ordered, as far as this node's clients are concerned.
    fn obey(&self, order: &Order<'_>) -> impl Future<Output = Result<(), String>> + Send;

    /// Answers for this node's clients.
    fn answer(&self, query: &Query<'_>) -> impl Future<Output = Result<AnswerValue, String>> + Send;

    /// Writes what was ordered, at the end of a burst.
    fn settle(&self);

    fn clients(&self) -> impl Future<Output = u64> + Send;

    /// Gives all uids and groups, not all at once.
    fn each_name(&self, chunk: usize, visit: &mut dyn FnMut(Sort, &[u8])) -> bool;

    fn came(&self, node: SocketAddrV4);

    fn gone(&self, node: SocketAddrV4);
}
