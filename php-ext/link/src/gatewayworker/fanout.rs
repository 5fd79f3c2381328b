//! Sends each call to the gateways that it concerns, and keeps what becomes of it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddrV4;

use gateway_wire::bridge::{Call, Order, Query, Request};
use gateway_wire::gatewayworker::Command;

use super::encode_order::{self, OrderCommands};
use super::encode_query;
use super::epoll::{Epoll, Ready};
use super::gateway::ClusterGateway;
use super::pending_query::{self, PendingQuery};
use super::session_event::SessionEvent;
use super::unacked::ReplyPurpose;

/// Workerman takes no larger packet unless it is told otherwise: over this many bytes, it closes the connection.
const MAX_PACKET: usize = 10 << 20;
/// While so many bytes wait for a gateway, no more calls are taken.
const MAX_BACKLOG: usize = 256 << 10;

#[derive(Default)]
pub(super) struct Fanout {
    pub(super) gateways: BTreeMap<SocketAddrV4, ClusterGateway>,
    /// Queries that wait for replies.
    queries: Vec<PendingQuery>,
    /// The number of the last call that was taken.
    pub(super) last_taken: u64,
    events: Vec<SessionEvent>,
    /// For each gateway the number of orders that it did not get, or perhaps did not, and the reason of the last.
    lost: BTreeMap<SocketAddrV4, (u64, String)>,
    /// Memory in which packets are made.
    packet: Vec<u8>,
}

impl Fanout {
    /// Whether every gateway has room for more, and none is being waited for.
    pub(super) fn takes_calls(&self) -> bool {
        self.gateways.values().all(|gateway| !gateway.is_awaited() && gateway.backlog() < MAX_BACKLOG)
    }

    /// Takes a call as PHP's thread has encoded it. The error is in words.
    pub(super) fn take(&mut self, call: &[u8]) -> Result<(), String> {
        let decoded = Request::decode(call);
        let Request { seq, call } =
            decoded.map_err(|error| format!("a call in the queue cannot be read: {error}"))?;
        self.last_taken = seq;
        match call {
            Call::Order(order) => self.order(seq, &order),
            Call::Query(query) => self.query(seq, &query),
        }
        Ok(())
    }

    /// Reads what a gateway has sent. Gives whether there was something; the error is the end of its connection.
    pub(super) fn read(&mut self, epoll: &Epoll, node: SocketAddrV4, ready: Ready) -> Result<bool, String> {
        let Some(gateway) = self.gateways.get_mut(&node) else { return Ok(false) };
        let Some(connection) = gateway.connection() else { return Ok(false) };
        if ready.output {
            connection.unblock(epoll)?;
        }
        let heard = connection.fill();
        let mut replied = false;
        while let Some((purpose, reply)) = connection.reply()? {
            replied = true;
            let ReplyPurpose::Query { seq, part } = purpose else { continue };
            let Some(index) = self.queries.iter().position(|query| query.seq == seq) else { continue };
            let taken = self.queries[index].take(node, part, reply);
            if let Err(error) = &taken {
                self.queries[index].add_missing(node, &error.to_string());
            }
            self.events.extend(pending_query::take_if_finished(&mut self.queries, index));
            // After a reply that cannot be read, the next ones may answer something else than is thought.
            taken.map_err(|error| error.to_string())?;
        }
        if replied {
            gateway.mark_up();
        }
        heard
    }

    /// Notes what a lost connection leaves undone: so many orders, and the queries with these numbers.
    pub(super) fn lost(&mut self, node: SocketAddrV4, orders: u64, queries: &[u64], why: &str) {
        if orders > 0 {
            self.note_lost(node, orders, why.to_owned());
        }
        for seq in queries {
            if let Some(index) = self.queries.iter().position(|query| query.seq == *seq) {
                self.queries[index].reply_lost(node, why);
                self.events.extend(pending_query::take_if_finished(&mut self.queries, index));
            }
        }
    }

    /// The number of the last call that is done with all before it.
    pub(super) fn last_done(&self) -> u64 {
        let unsettled = self.gateways.values().filter_map(ClusterGateway::first_unfinished).min();
        unsettled.map_or(self.last_taken, |first| first - 1)
    }

    pub(super) fn add_event(&mut self, event: SessionEvent) {
        self.events.push(event);
    }

    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty() || !self.lost.is_empty()
    }

    /// Takes out what is to be told, in the order in which PHP may look: trouble stands before the calls that are done by
    /// it, and these before the answer that made them so.
    pub(super) fn take_events(&mut self) -> Vec<SessionEvent> {
        let lost = std::mem::take(&mut self.lost).into_iter();
        let lost = lost.map(|(gateway, (calls, why))| SessionEvent::Lost { calls, gateway, why });
        self.events.extend(lost);
        self.events.sort_by_key(|event| match event {
            SessionEvent::Lost { .. } | SessionEvent::Refused(_) | SessionEvent::Partial(_) => 0,
            SessionEvent::Done(_) => 1,
            SessionEvent::Answer { .. } => 2,
        });
        std::mem::take(&mut self.events)
    }

    fn order(&mut self, seq: u64, order: &Order) {
        match encode_order::commands_for(order) {
            Err(error) => self.refuse(&error),
            Ok(OrderCommands::One(node, command)) => self.send(seq, node, &command),
            Ok(OrderCommands::Each(commands)) => {
                for (node, command) in commands {
                    self.send(seq, node, &command);
                }
            }
            Ok(OrderCommands::All(command, special)) => {
                // A command that is too large for one gateway is too large for all.
                if !self.encode(&command) {
                    return;
                }
                let packet = std::mem::take(&mut self.packet);
                let nodes: Vec<_> =
                    self.gateways.keys().filter(|node| !special.contains_key(node)).copied().collect();
                for node in nodes {
                    self.hand_over(seq, node, &packet);
                }
                self.packet = packet;
                for (node, command) in special {
                    self.send(seq, node, &command);
                }
            }
        }
    }

    /// Sends to one gateway. A gateway that is not there has no clients, so that nothing is to be done.
    fn send(&mut self, seq: u64, node: SocketAddrV4, command: &Command) {
        if self.gateways.contains_key(&node) && self.encode(command) {
            let packet = std::mem::take(&mut self.packet);
            self.hand_over(seq, node, &packet);
            self.packet = packet;
        }
    }

    fn hand_over(&mut self, seq: u64, node: SocketAddrV4, packet: &[u8]) {
        let Some(gateway) = self.gateways.get_mut(&node) else { return };
        match gateway.up() {
            Some(connection) => connection.send_order(seq, packet),
            None => {
                let why = gateway.why.clone();
                self.note_lost(node, 1, why);
            }
        }
    }

    fn note_lost(&mut self, node: SocketAddrV4, calls: u64, why: String) {
        let (lost, last) = self.lost.entry(node).or_default();
        *lost += calls;
        *last = why;
    }

    /// Encodes into the packet's memory. Gives whether the packet can be sent; otherwise the order is refused.
    fn encode(&mut self, command: &Command) -> bool {
        const KEPT: usize = 256 << 10;
        self.packet.clear();
        self.packet.shrink_to(KEPT);
        let encoded = command.encode(&mut self.packet);
        let length = self.packet.len();
        match encoded {
            Ok(()) if length <= MAX_PACKET => true,
            Ok(()) => {
                self.refuse(&format!(
                    "it makes a packet of {length} bytes, and GatewayWorker takes {MAX_PACKET}: send less, or in parts"
                ));
                false
            }
            Err(error) => {
                self.refuse(&error);
                false
            }
        }
    }

    fn refuse(&mut self, why: &dyn Display) {
        self.events.push(SessionEvent::Refused(why.to_string()));
    }

    fn query(&mut self, seq: u64, query: &Query) {
        let translated = match encode_query::commands_for(query) {
            Ok(translated) => translated,
            Err(error) => {
                self.events.push(SessionEvent::Answer { seq, answer: Err(error.to_string()) });
                return;
            }
        };
        let mut packets = Vec::with_capacity(translated.commands.len());
        for command in &translated.commands {
            let mut packet = Vec::new();
            let encoded = command.encode(&mut packet).map_err(|error| error.to_string());
            let fits = encoded.and_then(|()| {
                let length = packet.len();
                let error =
                    || format!("it takes {length} bytes, and GatewayWorker takes {MAX_PACKET}: ask for less");
                (length <= MAX_PACKET).then_some(()).ok_or_else(error)
            });
            if let Err(why) = fits {
                self.events.push(SessionEvent::Answer { seq, answer: Err(why) });
                return;
            }
            packets.push(packet);
        }
        let mut pending = PendingQuery::new(seq, translated.only.is_some(), translated.aggregate);
        for (node, gateway) in &mut self.gateways {
            if translated.only.is_some_and(|only| only != *node) {
                continue;
            }
            match gateway.up() {
                Some(connection) => {
                    for (part, packet) in packets.iter().enumerate() {
                        connection.send_query(ReplyPurpose::Query { seq, part }, packet);
                        pending.expect_reply();
                    }
                }
                None => pending.add_missing(*node, &gateway.why),
            }
        }
        match pending.finish() {
            Ok(finished) => self.events.extend(finished),
            Err(pending) => self.queries.push(pending),
        }
    }
}
