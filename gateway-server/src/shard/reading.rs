//! What clients say: each is read by its share of a turn, so that one that says much holds up nobody.

use std::io::{ErrorKind, Read as _};
use std::time::Instant;

use super::connection::{Phase, Waits};
use super::events::Client;
use super::run::Shard;
use super::tls::Heard;
use super::{Door, Rate};
use crate::client::websocket::{self, Incoming};
use crate::client::{Decoder, close};
use crate::ops::injected;
use crate::ops::offence::{self, Offence};

/// One buffer for all reads of a shard.
pub(super) const READ_BUFFER: usize = 64 << 10;
/// Reads from one client before others have their turn.
const READS_IN_A_ROW: usize = 2;
/// The same of TLS, which reads 4 KiB at once.
const TLS_READS_IN_A_ROW: usize = 16;
/// Bytes that are read of all before commands are taken and what was caused is written.
pub(super) const READ_IN_A_TURN: usize = 4 * READ_BUFFER;

impl Shard {
    /// Reads one client's share. A short read means that the kernel has no more, unless an end was `seen` with it,
    /// which is then not reported again.
    pub(super) fn read(&mut self, key: usize, end_seen: bool) {
        for _ in 0..READS_IN_A_ROW {
            if self.may_read == 0 {
                break;
            }
            let Some(connection) = self.clients.connections.get_mut(key) else { return };
            if connection.phase == Phase::Open && !self.events.takes_more(connection.number) {
                return self.pause(key);
            }
            if connection.is_tls {
                return self.read_tls(key);
            }
            match connection.socket.read(&mut self.buffer) {
                Ok(0) => return self.drop_connection(key),
                Ok(length) => {
                    self.hear(key, length);
                    if length < self.buffer.len() && !end_seen {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.drop_connection(key),
            }
        }
        self.read_later(key);
    }

    /// As [`Shard::read`], through TLS, which reads less at once.
    fn read_tls(&mut self, key: usize) {
        for _ in 0..TLS_READS_IN_A_ROW {
            let Some(connection) = self.clients.connections.get_mut(key) else { return };
            if connection.phase == Phase::Open && !self.events.takes_more(connection.number) {
                return self.pause(key);
            }
            let Some((mut tls, _)) = connection.tls() else { return };
            match tls.read(&mut self.buffer) {
                Ok(Heard::Bytes(length)) => self.hear(key, length),
                Ok(Heard::Something) => {}
                Ok(Heard::Nothing) => return,
                Ok(Heard::End) => return self.drop_connection(key),
                Err(error) => {
                    if error.kind() == ErrorKind::InvalidData {
                        offence::report(Offence::Tls, connection.peer(), &error);
                    }
                    return self.drop_connection(key);
                }
            }
        }
        self.read_later(key);
    }

    /// What a client has said stands in the buffer.
    fn hear(&mut self, key: usize, length: usize) {
        self.may_read = self.may_read.saturating_sub(length);
        let connection = &mut self.clients.connections[key];
        connection.quiet = 0;
        if matches!(connection.phase, Phase::Open | Phase::Closing) {
            self.take_input(key, length);
        }
        if self.turn.is_full() {
            self.write_turn();
        }
    }

    /// Those that had more to say than their share of the turn before.
    pub(super) fn read_on(&mut self) {
        for key in std::mem::take(&mut self.read_on) {
            // The key may belong to somebody new by now, who is read when there is something to read.
            if let Some(connection) = self.clients.connections.get_mut(key)
                && connection.waits == Waits::ForItsTurn
            {
                connection.waits = Waits::No;
                self.for_client(key, |shard| shard.read(key, true));
            }
        }
    }

    pub(super) fn read_later(&mut self, key: usize) {
        let Some(connection) = self.clients.connections.get_mut(key) else { return };
        if connection.waits != Waits::ForItsTurn {
            connection.waits = Waits::ForItsTurn;
            self.read_on.push(key);
        }
    }

    /// Leaves what a client says in its socket, which slows it down, until [`Command::ReadOn`].
    fn pause(&mut self, key: usize) {
        let connection = &mut self.clients.connections[key];
        if connection.waits != Waits::ForEventsTaken {
            connection.waits = Waits::ForEventsTaken;
            self.paused.push(key);
        }
    }

    /// More of their events may be taken.
    pub(super) fn resume(&mut self) {
        for key in std::mem::take(&mut self.paused) {
            let connection = self.clients.connections.get(key);
            if connection.is_some_and(|connection| connection.waits == Waits::ForEventsTaken) {
                self.read_later(key);
            }
        }
    }

    /// Takes in `length` bytes of the buffer.
    fn take_input(&mut self, key: usize, length: usize) {
        let mut unfinished = self.clients.take_unfinished(key);
        let Self { clients, buffer, turn, inflater, settings, events, .. } = self;
        let connection = &mut clients.connections[key];
        let Door { max_message, rate, .. } = settings.doors[usize::from(connection.door)];
        let mut decoder = Decoder { form: connection.form, max_message, inflater };
        // Whoever has been sent a close frame has gone for everybody else.
        let is_heard = connection.phase == Phase::Open;
        let mut is_closed = false;
        let mut heard = 0;
        let mut messages = 0;
        let result = decoder.decode(&mut buffer[..length], &mut unfinished, |incoming| {
            heard += 1;
            match incoming {
                Incoming::Message(_, message) if is_heard => {
                    messages += 1;
                    injected::arm(message);
                    injected::strike("message");
                    events.message(&Client::of(connection, &settings.doors), message);
                }
                Incoming::Message(..) | Incoming::Pong => {}
                Incoming::Ping(payload) => {
                    let pong = turn.add_frame(websocket::pong(payload));
                    turn.link(key, &mut connection.pending, pong);
                }
                Incoming::Close => is_closed = true,
            }
        });
        let phase = connection.phase;
        clients.counts.messages_in += messages;
        clients.counts.bytes_in += length as u64;
        if let Err(violation) = result {
            offence::report(Offence::Protocol, clients.connections[key].peer(), &violation);
        }
        self.clients.keep_unfinished(key, unfinished);
        match (result, phase) {
            (Err(violation), Phase::Open) => self.close(key, violation.close(), Phase::Discarding),
            (Ok(()), Phase::Open) if is_closed => self.close(key, close::BY_APPLICATION, Phase::Finishing),
            // It answers the close frame that we sent, or nothing that it says is understood any more.
            (Err(_), _) => self.finish(key),
            (Ok(()), _) if is_closed => self.finish(key),
            (Ok(()), Phase::Open) if rate.is_limited() => self.meter(key, rate, heard, length),
            _ => {}
        }
        if self.clients.unfinished_bytes() > self.settings.bounds.unfinished {
            self.shed();
        }
    }

    /// Frees memory, at the cost of those who hold most of it, when messages that are not whole take too much.
    fn shed(&mut self) {
        while self.clients.unfinished_bytes() > self.settings.bounds.unfinished
            && let Some(key) = self.clients.longest_unfinished()
        {
            let peer = self.clients.connections[key].peer();
            offence::report(Offence::Unfinished, peer, &"max_unfinished_bytes");
            self.close(key, close::TRY_AGAIN, Phase::Discarding);
            drop(self.clients.take_unfinished(key));
        }
    }

    /// Counts what a client has sent, and closes it when it was too much.
    fn meter(&mut self, key: usize, rate: Rate, messages: usize, bytes: usize) {
        if !self.meters.count(key, rate, messages, bytes, Instant::now()) {
            let peer = self.clients.connections[key].peer();
            offence::report(Offence::TooManyMessages, peer, &"messages_per_second or bytes_per_second");
            self.close(key, close::TOO_MANY_MESSAGES, Phase::Discarding);
        }
    }
}
