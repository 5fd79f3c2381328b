//! The part of this node that other nodes of the cluster use: their orders and queries are carried out on this node's clients.

use std::net::SocketAddrV4;

use gateway_wire::bridge::{AnswerValue, Order, Query};

use super::backend::Backend;
use crate::cluster::{Host, MoveReply, MoveRequest};
use crate::shard::{NameKind, Origin};

impl Host for Backend {
    async fn execute(&self, order: &Order<'_>, origin: Origin) -> Result<(), String> {
        let done = self.gateway.execute_here(order, origin).await.map_err(|stopped| stopped.to_string())?;
        done.map_err(|undone| undone.to_string())
    }

    async fn execute_for_moved(&self, order: &Order<'_>) -> Result<(), String> {
        self.gateway.execute_for_moved(order).await
    }

    async fn answer(&self, query: &Query<'_>) -> Result<AnswerValue, String> {
        self.gateway.answer(query).await
    }

    async fn answer_about_move(&self, request: MoveRequest) -> MoveReply {
        self.gateway.answer_about_move(request).await
    }

    fn flush(&self) {
        self.gateway.flush();
    }

    async fn clients(&self) -> u64 {
        self.gateway.hub().count(None).await.map_or(0, |count| count as u64)
    }

    fn each_name(&self, part: usize, visit: &mut dyn FnMut(NameKind, &[u8])) -> bool {
        self.gateway.hub().each_name(part, visit)
    }

    fn node_joined(&self, node: SocketAddrV4) {
        self.gatewayworker.node_came(node);
    }

    fn node_left(&self, node: SocketAddrV4) {
        self.gatewayworker.node_gone(node);
    }
}
