//! What a cluster asks of the server that takes part in it.

use gateway_wire::bridge::{AnswerValue, Order, Query};
use std::net::SocketAddrV4;

use crate::shard::NameKind;

/// This node, as the others use it.
pub trait Host: Send + Sync + 'static {
    /// Carries out what another node's PHP ordered, as far as this node's clients are concerned.
    fn execute(&self, order: &Order<'_>) -> impl Future<Output = Result<(), String>> + Send;

    /// Answers for this node's clients.
    fn answer(&self, query: &Query<'_>) -> impl Future<Output = Result<AnswerValue, String>> + Send;

    /// Writes what was ordered, at the end of a burst.
    fn flush(&self);

    fn clients(&self) -> impl Future<Output = u64> + Send;

    /// Gives all uids and groups, not all at once.
    fn each_name(&self, chunk: usize, visit: &mut dyn FnMut(NameKind, &[u8])) -> bool;

    fn node_joined(&self, node: SocketAddrV4);

    fn node_left(&self, node: SocketAddrV4);
}
