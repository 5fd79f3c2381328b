//! Coming back: a client gets a new connection, what it has missed, and then what is new.

use bytes::Bytes;
use gateway_wire::client_protocol::{GapReason, Init, ResumeOffer};
use mio::net::TcpStream;

use super::super::command::NewConnection;
use super::super::connection::{Connection, Phase};
use super::super::state::Shard;
use crate::protocol::close;
use crate::protocol::websocket::{self, MessageKind, own_messages};

impl Shard {
    /// Begins to count with a new client of the subprotocol `gateway.2`, which came with a connect token or without.
    pub(in crate::shard) fn begin_to_count(&mut self, key: usize, has_token: bool) {
        let connection = &self.clients.connections[key];
        let may_return = !self.settings.listeners[usize::from(connection.listener)].resume_seconds.is_zero();
        let (connection_id, came) = (connection.connection_id, self.clients.counts.came);
        self.clients.resume.begin(key, connection_id, came, may_return, has_token);
    }

    /// Sends the init message of the subprotocol `gateway.2`. `gap` says why the client that the page asked for could not be
    /// resumed.
    pub(in crate::shard) fn send_init(
        &mut self,
        key: usize,
        answer: Bytes,
        resumed: bool,
        gap: Option<GapReason>,
    ) {
        let connection_id = self.clients.connections[key].connection_id;
        let proof = self.settings.proofs.of(connection_id);
        let resume = &mut self.clients.resume;
        let client = resume.id(connection_id);
        let (secrets, counts) = (resume.secrets.clone(), &mut resume.counts);
        if let Some(reason) = gap {
            counts.gap(reason);
        }
        let init = resume.change(key, |record, _| Init {
            client_id: client.to_string(),
            proof,
            resume: record.gap().is_none().then(|| secrets.secret(client, record.latest_secret()).to_text()),
            seen: record.taken(),
            resumed,
            missed: record.missed(),
            reason: gap,
        });
        let Some(json) = init.and_then(|init| serde_json::to_vec(&init).ok()) else {
            return self.send_answer(key, answer);
        };
        self.send_behind(key, answer, websocket::message(MessageKind::Text, &json));
    }

    /// Gives a client that comes back its new connection. A page whose offer is not good any more is asked to try again: it was
    /// when the handshake looked.
    pub(in crate::shard) fn come_back(
        &mut self,
        connection_id: u32,
        offer: &ResumeOffer,
        new_connection: NewConnection,
    ) {
        let found = self.clients.find(connection_id, offer);
        let is_good = match found {
            Ok(key) => {
                !self.clients.resume.is_arriving(key)
                    && self.keep_pending(key)
                    && self.resume_record(key, connection_id, offer)
            }
            Err(_) => false,
        };
        let Some(key) = found.ok().filter(|_| is_good && !self.is_stopping()) else {
            return self.turn_away(connection_id, new_connection);
        };
        self.unplug(key);
        let Some((answer, early)) = self.reconnect(key, new_connection) else {
            return self.wait_for_return(key);
        };
        let is_closed = self.clients.resume.closed.remove(&connection_id).is_some();
        self.go_on(key, answer);
        if is_closed {
            self.clients.resume.bury(connection_id, GapReason::Closed);
            return self.close(key, close::BY_APPLICATION, Phase::Closing);
        }
        self.hear_early(key, &early);
    }

    /// Gives a client without a connection a new one. Gives the answer that the page gets first and what it has sent already, or `None`
    /// if the connection cannot be used.
    pub(super) fn reconnect(
        &mut self,
        key: usize,
        new_connection: NewConnection,
    ) -> Option<(Bytes, Box<[u8]>)> {
        let NewConnection { socket, tls, answer, listener, encoding, early, address, slot, .. } =
            new_connection;
        self.clients.resume.parked.remove(key);
        if let Err(error) = self.clients.plug_in(key, socket, tls, &self.registry) {
            tracing::error!(%error, "a new connection cannot be polled and is dropped");
            return None;
        }
        // Without a new slot, the client keeps the one that it has had while it was parked.
        if let Some(slot) = slot {
            self.clients.slots.insert(key, slot);
        }
        self.clients.change_listener(key, listener);
        let connection = &mut self.clients.connections[key];
        connection.encoding = encoding;
        connection.phase = Phase::Open;
        connection.has_returned = true;
        if address.is_some() || connection.has_own_address() {
            connection.extra_mut().rare_mut().address = address;
            connection.slim();
        }
        if connection.is_tls {
            self.read_later(key);
        }
        Some((answer, early))
    }

    /// Sends a client that has come back the answer to its handshake, its init, and everything that it has not seen.
    pub(super) fn go_on(&mut self, key: usize, answer: Bytes) {
        let encoding = self.clients.connections[key].encoding;
        self.clients.resume.counts.resumed += 1;
        self.send_init(key, answer, true, None);
        for (frame, skip) in self.clients.resume.unseen(key) {
            if encoding.is_deflated() && skip == 0 {
                self.send(key, frame);
            } else {
                own_messages(frame, encoding.is_deflated())
                    .skip(skip)
                    .for_each(|frame| self.send(key, frame));
            }
        }
    }

    pub(super) fn resume_record(&mut self, key: usize, connection_id: u32, offer: &ResumeOffer) -> bool {
        let resume = &mut self.clients.resume;
        let secret = resume.secret_of(key, connection_id);
        resume
            .change(key, |record, kept| record.resume(offer, secret, |frame| kept.release(frame)))
            .is_some_and(|resumed| resumed.is_ok())
    }

    /// Closes a new connection that is nobody's.
    pub(super) fn turn_away(&mut self, connection_id: u32, new_connection: NewConnection) {
        let NewConnection { socket, tls, answer, listener, encoding, .. } = new_connection;
        let mut connection = Connection::new(TcpStream::from_std(socket), connection_id, encoding, listener);
        connection.speak_tls(tls);
        let Ok(key) = self.clients.place(connection, &self.registry) else {
            return;
        };
        if self.clients.connections[key].is_tls {
            self.read_later(key);
        }
        self.send_answer(key, answer);
        self.close(key, close::TRY_AGAIN, Phase::Closing);
    }
}
