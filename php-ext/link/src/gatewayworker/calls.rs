//! Calls as they come out of the queue: told to the gateways that they concern.

use std::fmt::Display;
use std::io::IoSlice;
use std::net::SocketAddrV4;

use gateway_wire::bridge::frame::{self, HEADER, MAX_CALL};
use gateway_wire::bridge::{Call, Order, Query, Request};
use gateway_wire::gatewayworker::Command;

use super::orders::{self, Plan};
use super::replies::Open;
use super::unacked::Asked;
use super::{Session, SessionEvent, questions};

/// Largest packet that Workerman takes, unless it is told otherwise: over it, it closes the connection.
const MAX_PACKET: usize = 10 << 20;

impl Session {
    /// Whole calls, as the queue keeps them. Gives how many of the bytes were taken.
    pub(super) fn take_frames(&mut self, slices: &[IoSlice]) -> usize {
        let mut taken = 0;
        for slice in slices {
            let mut bytes: &[u8] = slice;
            while !bytes.is_empty() {
                if !self.takes_calls() {
                    return taken;
                }
                let Ok(Some(length)) = frame::content_length(bytes, MAX_CALL) else {
                    self.ending = Some("a call in the queue cannot be read".to_owned());
                    return taken;
                };
                let (call, rest) = bytes.split_at(HEADER + length);
                self.take(&call[HEADER..]);
                taken += call.len();
                bytes = rest;
            }
        }
        taken
    }

    fn take(&mut self, call: &[u8]) {
        match Request::decode(call) {
            Ok(Request { seq, call }) => {
                self.taken = seq;
                match call {
                    Call::Order(order) => self.order(seq, &order),
                    Call::Query(query) => self.query(seq, &query),
                }
            }
            // What PHP's thread has encoded.
            Err(error) => self.ending = Some(format!("a call in the queue cannot be read: {error}")),
        }
    }

    fn order(&mut self, seq: u64, order: &Order) {
        match orders::plan(order) {
            Err(error) => self.refuse(&error),
            Ok(Plan::One(node, command)) => self.tell(seq, node, &command),
            Ok(Plan::Each(commands)) => {
                for (node, command) in commands {
                    self.tell(seq, node, &command);
                }
            }
            Ok(Plan::All(command, special)) => {
                // What is too large for one is too large for all.
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
                    self.tell(seq, node, &command);
                }
            }
        }
    }

    /// A gateway that is not there has no clients, and nothing is to be done.
    fn tell(&mut self, seq: u64, node: SocketAddrV4, command: &Command) {
        if self.gateways.contains_key(&node) && self.encode(command) {
            let packet = std::mem::take(&mut self.packet);
            self.hand_over(seq, node, &packet);
            self.packet = packet;
        }
    }

    fn hand_over(&mut self, seq: u64, node: SocketAddrV4, packet: &[u8]) {
        let Some(gateway) = self.gateways.get_mut(&node) else { return };
        match gateway.up() {
            Some(line) => line.tell(seq, packet),
            None => {
                let why = gateway.why.clone();
                self.lost(node, 1, why);
            }
        }
    }

    pub(super) fn lost(&mut self, node: SocketAddrV4, calls: u64, why: String) {
        let (lost, last) = self.lost.entry(node).or_default();
        *lost += calls;
        *last = why;
    }

    /// Into the packet's memory, if it can be sent.
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
        let question = match questions::plan(query) {
            Ok(question) => question,
            Err(error) => {
                self.events.push(SessionEvent::Answer { seq, answer: Err(error.to_string()) });
                return;
            }
        };
        let mut packets = Vec::with_capacity(question.commands.len());
        for command in &question.commands {
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
        let mut open = Open::new(seq, question.of.is_some(), question.aggregate);
        for (node, gateway) in &mut self.gateways {
            if question.of.is_some_and(|of| of != *node) {
                continue;
            }
            match gateway.up() {
                Some(line) => {
                    for (part, packet) in packets.iter().enumerate() {
                        line.ask(Asked::ByCall { seq, part }, packet);
                        open.wait();
                    }
                }
                None => open.lacks(*node, &gateway.why),
            }
        }
        match open.finish() {
            Ok(finished) => self.events.extend(finished),
            Err(open) => self.open.push(open),
        }
    }
}
