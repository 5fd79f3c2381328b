//! The interface by which the cluster uses the server that takes part in it.

use gateway_wire::bridge::{AnswerValue, Order, Query};
use std::net::SocketAddrV4;

use super::move_request::{MoveReply, MoveRequest};
use crate::shard::{NameKind, Origin};

/// What a node answers whose clients have all gone since it stops, and which leaves the cluster next.
pub const WITHOUT_CLIENTS: &str = "the server has stopped serving clients";

/// The server as the cluster uses it for other nodes.
pub trait Host: Send + Sync + 'static {
    /// Carries out an order of another node's PHP on this node's clients.
    fn execute(&self, order: &Order<'_>, origin: Origin) -> impl Future<Output = Result<(), String>> + Send;

    /// Carries out an order whose sender waits for its outcome on clients that have gone on at another node.
    fn execute_for_moved(&self, order: &Order<'_>) -> impl Future<Output = Result<(), String>> + Send;

    /// Answers a query from this node's clients. The error is [`WITHOUT_CLIENTS`] once all of them have gone as the server stops.
    fn answer(&self, query: &Query<'_>) -> impl Future<Output = Result<AnswerValue, String>> + Send;

    /// Answers a question of another node about clients that come back there.
    fn answer_about_move(&self, request: MoveRequest) -> impl Future<Output = MoveReply> + Send;

    /// Writes the messages that orders have queued, at the end of a burst of orders.
    fn flush(&self);

    fn clients(&self) -> impl Future<Output = u64> + Send;

    /// Visits the uids and groups in the chunk with this number, as visiting all at once would take long. Gives whether there are
    /// more chunks.
    fn each_name(&self, chunk: usize, visit: &mut dyn FnMut(NameKind, &[u8])) -> bool;

    fn node_joined(&self, node: SocketAddrV4);

    fn node_left(&self, node: SocketAddrV4);
}
