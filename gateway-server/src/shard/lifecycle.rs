//! The life of a connection in a shard: how it is adopted, closed, finished and dropped.

use std::time::Instant;

use bytes::Bytes;

use super::command::NewConnection;
use super::connection::Phase;
use super::event_sink::{Client, Welcome};
use super::identity::ClaimedIdentity;
use super::state::Shard;
use super::writer::farewell;
use crate::net::reset_on_close;
use crate::protocol::close::{self, Close};
use crate::protocol::websocket::MessageKind;
use crate::protocol::{self};
use crate::system::memory_reserve::NoMemory;
use crate::telemetry::abuse_log::{self, Offence};
use gateway_wire::ClientId;

impl Shard {
    /// Takes over a connection whose handshake is done, and reports the client to the event sink.
    pub(super) fn adopt(
        &mut self,
        connection_id: u32,
        new_connection: NewConnection,
        identity: Option<Box<ClaimedIdentity>>,
    ) {
        if !self.clients.has_room_for_one() {
            // The client only sees the end of its connection, as there is no memory to tell it more.
            return abuse_log::report(Offence::NoMemory, new_connection.address, &NoMemory);
        }
        let NewConnection {
            socket,
            tls,
            answer,
            listener,
            encoding,
            early,
            address,
            handshake,
            slot,
            device,
            gap,
        } = new_connection;
        let inserted = self.clients.insert(socket, tls, connection_id, encoding, listener, &self.registry);
        let (key, is_online) = match inserted {
            Ok(inserted) => inserted,
            Err(error) => {
                return tracing::error!(%error, "a new connection cannot be polled and is dropped");
            }
        };
        if self.clients.connections[key].is_tls {
            // The TLS session may hold bytes that the client sent behind its handshake.
            self.read_later(key);
        }
        if address.is_some() {
            self.clients.connections[key].extra_mut().rare_mut().address = address;
        }
        if device.is_some() && self.clients.inbox_notes.is_some() {
            self.clients.connections[key].extra_mut().rare_mut().device = device;
        }
        if let Some(slot) = slot {
            self.clients.slots.insert(key, slot);
        }
        if !is_online || self.is_stopping() {
            let close = if is_online { close::GOING_AWAY } else { close::TRY_AGAIN };
            self.send_answer(key, answer);
            return self.close(key, close, Phase::Closing);
        }
        let has_token = identity.is_some();
        if let Some(identity) = identity {
            self.clients.introduce(key, *identity, self.settings.server.max_groups());
        }
        let client = Client::of(&self.clients.connections[key], &self.settings.ports);
        match self.events.connected(&client, handshake) {
            Welcome::Refused => {
                self.send_answer(key, answer);
                self.close(key, close::TRY_AGAIN, Phase::Closing);
            }
            // The server itself sends the init of this subprotocol, whoever handles events.
            Welcome::BuiltIn | Welcome::Elsewhere if encoding.is_gateway2() => {
                self.begin_to_count(key, has_token);
                self.send_init(key, answer, false, gap);
                self.clients.counts.messages_out += 1;
            }
            Welcome::BuiltIn => {
                let id = ClientId::new(self.settings.node, connection_id);
                let proof = self.settings.proofs.of(connection_id);
                let init = format!(r#"{{"type":"init","client_id":"{id}","proof":"{proof}"}}"#);
                self.send_behind(
                    key,
                    answer,
                    protocol::message(encoding, MessageKind::Text, init.as_bytes()),
                );
                self.clients.counts.messages_out += 1;
            }
            Welcome::Elsewhere => self.send_answer(key, answer),
        }
        self.hear_early(key, &early);
    }

    /// Adds the answer to a client's opening handshake to what it gets in this turn, unless it has it already.
    pub(super) fn send_answer(&mut self, key: usize, answer: Bytes) {
        if !answer.is_empty() {
            self.send(key, answer);
        }
    }

    /// Adds the first message of a connection to what it gets in this turn, behind the answer to the opening handshake. Both are one
    /// frame here, as one is sent at less cost than two.
    pub(super) fn send_behind(&mut self, key: usize, answer: Bytes, message: Bytes) {
        let frame = if answer.is_empty() { message } else { [answer, message].concat().into() };
        self.send(key, frame);
    }

    /// Makes the client offline for everybody else, and reports that it has gone.
    pub(super) fn forget(&mut self, key: usize) {
        // Nobody was told yet of a client that another node has not given.
        if self.clients.holds_its_number(key) && !self.clients.resume.is_arriving(key) {
            self.events.closed(&Client::of(&self.clients.connections[key], &self.settings.ports));
        }
        self.clients.forget(key);
    }

    /// Begins to close a connection: a websocket client gets a close frame, a client of another protocol the end of the
    /// connection, both behind what is queued. From then on the client is offline for everybody else.
    pub(super) fn close(&mut self, key: usize, close: Close, phase: Phase) {
        if self.clients.connections[key].phase == Phase::Parked {
            return self.drop_connection(key);
        }
        let key = self.park_if(close.keeps_client(), key);
        self.forget(key);
        if self.clients.connections[key].phase != Phase::Open {
            return;
        }
        self.clients.resume.forget(key, self.clients.connections[key].connection_id);
        let encoding = self.clients.connections[key].encoding;
        self.send(key, farewell(encoding, close));
        let connection = &mut self.clients.connections[key];
        connection.phase = if encoding.is_websocket() { phase } else { Phase::Discarding };
        let is_heard = connection.phase == Phase::Closing;
        self.closing.push_back((
            Instant::now() + self.settings.server.close_timeout,
            key,
            connection.connection_id,
        ));
        if !is_heard {
            drop(self.clients.take_partial(key));
        }
    }

    /// Parks the client whose connection is about to be closed, if `is_kept` and it may come back. Gives the key of the connection.
    pub(super) fn park_if(&mut self, is_kept: bool, key: usize) -> usize {
        if !is_kept || !self.may_be_parked(key) {
            return key;
        }
        self.park_behind(key).unwrap_or_else(|error| {
            tracing::error!(%error, "a new connection cannot be polled and is dropped");
            key
        })
    }

    /// Closes the socket once what is queued is written; both sides have sent their close frames.
    pub(super) fn finish(&mut self, key: usize) {
        self.clients.connections[key].phase = Phase::Finishing;
        self.after_write(key);
    }

    pub(super) fn drop_connection(&mut self, key: usize) {
        self.forget(key);
        self.meters.forget(key);
        if let Some((mut tls, _)) = self.clients.connections[key].tls() {
            tls.finish();
        }
        self.clients.remove(key, &self.registry);
    }

    /// Drops a connection whose peer is to get nothing more, or takes nothing more. The kernel throws away what it has not sent
    /// yet.
    pub(super) fn abort(&mut self, key: usize) {
        if let Some(socket) = &self.clients.connections[key].socket {
            reset_on_close(socket);
        }
        self.drop_connection(key);
    }
}
