//! How a shard reads its clients: each client has a share of a turn, so that one that sends much holds up nobody. A turn is one
//! pass of the shard's poll loop.

use std::io::{ErrorKind, Read as _};
use std::time::Instant;

use super::clients::Clients;
use super::connection::{Phase, Waits};
use super::event_sink::Client;
use super::rate_limit::RateLimit;
use super::resume::{Heard as HeardControl, Message, control_frame};
use super::state::{INFLATED_IN_A_TURN, READ_BUFFER, Shard};
use super::tls::Heard;
use crate::protocol::close::{self, Close};
use crate::protocol::websocket::{self, Incoming};
use crate::protocol::{Decoder, PartialMessage};
use crate::system::injected_faults;
use crate::telemetry::abuse_log::{self, Offence};

/// The number of reads from one client before the others have their turn.
const READS_IN_A_ROW: usize = 2;
/// The number of reads from one TLS client before the others have their turn. TLS reads 18 KiB at a time.
const TLS_READS_IN_A_ROW: usize = 4;
/// The cost of a frame beside its bytes, in bytes that the client could have sent instead.
const FRAME_COST: usize = 32;
/// The number of pings of one read that are answered one by one. Of further ones only the newest is answered, as RFC 6455 permits
/// (5.5.3).
const PONGS_IN_A_ROW: usize = 64;
/// The number of bytes of a turn's decompression that go at most to the message that was begun in an earlier turn.
const INFLATED_ON_IN_A_TURN: usize = INFLATED_IN_A_TURN / 2;

impl Shard {
    /// Reads one client's share. A short read means that the kernel has no more, unless the end of the stream was seen with the
    /// same event (`end_seen`), as that is not reported again.
    pub(super) fn read(&mut self, key: usize, end_seen: bool) {
        for _ in 0..READS_IN_A_ROW {
            if self.may_read == 0 || self.inflating == Some(key) {
                break;
            }
            let Some(connection) = self.clients.connections.get_mut(key) else { return };
            if connection.phase == Phase::Open && !self.events.takes_more(connection.connection_id) {
                return self.pause(key);
            }
            if self.is_behind(key) {
                self.hear_on(key);
                continue;
            }
            let Some(connection) = self.clients.connections.get_mut(key) else { return };
            if connection.is_tls {
                return self.read_tls(key, end_seen);
            }
            let Some(socket) = &mut connection.socket else { return };
            match socket.read(&mut self.buffer) {
                Ok(0) => return self.lose(key, false),
                Ok(length) => {
                    self.hear(key, length);
                    if length < self.buffer.len() && !end_seen {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.lose(key, false),
            }
        }
        self.read_later(key);
    }

    /// Reads one client's share, as [`Shard::read`] does, through TLS, which reads less at a time.
    fn read_tls(&mut self, key: usize, end_seen: bool) {
        for _ in 0..TLS_READS_IN_A_ROW {
            if self.may_read == 0 || self.is_behind(key) {
                break;
            }
            let Some(connection) = self.clients.connections.get_mut(key) else { return };
            if connection.phase == Phase::Open && !self.events.takes_more(connection.connection_id) {
                return self.pause(key);
            }
            let Some((mut tls, _)) = connection.tls() else { return };
            let heard = tls.read(&mut self.buffer);
            let is_last = tls.is_drained() && !end_seen;
            match heard {
                Ok(Heard::Bytes(length)) => {
                    self.hear(key, length);
                    if is_last {
                        return;
                    }
                }
                Ok(Heard::Something) if is_last => return,
                Ok(Heard::Something) => {}
                Ok(Heard::Nothing) => return,
                Ok(Heard::End) => return self.lose(key, false),
                Err(error) => {
                    if error.kind() == ErrorKind::InvalidData {
                        abuse_log::report(Offence::Tls, connection.peer(), &error);
                    }
                    return self.lose(key, false);
                }
            }
        }
        self.read_later(key);
    }

    /// Handles the `length` bytes of a client that stand in the read buffer.
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

    /// Handles the bytes that the client sent behind its handshake, before anything that comes later.
    pub(super) fn hear_early(&mut self, key: usize, early: &[u8]) {
        for part in early.chunks(READ_BUFFER) {
            // An earlier part may have ended the connection.
            if !self.clients.connections.contains(key) {
                return;
            }
            self.buffer[..part.len()].copy_from_slice(part);
            self.hear(key, part.len());
        }
    }

    /// Whether the shard has read something of this client that it has not decoded yet.
    fn is_behind(&self, key: usize) -> bool {
        self.partial(key).is_some_and(PartialMessage::is_behind)
    }

    /// The undecoded input of a client, if it is one that may send compressed messages.
    fn partial(&self, key: usize) -> Option<&PartialMessage> {
        let connection = self.clients.connections.get(key).filter(|connection| {
            connection.encoding.is_deflated() && matches!(connection.phase, Phase::Open | Phase::Closing)
        })?;
        connection.extra()?.partial()
    }

    /// Whether the shard may keep a message of this client that is inflated in part. Only one client at a time may have such a
    /// message, so that all of them together take no more memory than one.
    fn may_keep_inflated(&self, key: usize) -> bool {
        self.inflating.is_none_or(|other| {
            other == key || !self.partial(other).is_some_and(PartialMessage::is_inflating)
        })
    }

    /// Whether the client's next message can be inflated only once the message of another client is whole.
    fn waits_to_inflate(&self, key: usize) -> bool {
        !self.may_keep_inflated(key) && self.partial(key).is_some_and(PartialMessage::waits_to_inflate)
    }

    /// Goes on with the message that was begun in an earlier turn. It gets its share of this turn, however much there is to do
    /// for others.
    fn inflate_on(&mut self) {
        let Some(key) = self.inflating.take() else { return };
        // The key may belong to another client by now.
        if !self.partial(key).is_some_and(PartialMessage::is_inflating) {
            return self.queue_up(key);
        }
        let for_others = self.may_inflate.saturating_sub(INFLATED_ON_IN_A_TURN);
        self.may_inflate = self.may_inflate.clamp(1, INFLATED_ON_IN_A_TURN);
        self.for_client(key, |shard| {
            shard.hear_on(key);
            shard.queue_up(key);
        });
        self.may_inflate += for_others;
    }

    /// Puts a client into the queue of those to read. It was in no queue while its message was the one inflated in part.
    fn queue_up(&mut self, key: usize) {
        if let Some(connection) = self.clients.connections.get_mut(key)
            && connection.waits == Waits::ForItsTurn
        {
            connection.waits = Waits::No;
            self.read_later(key);
        }
    }

    fn hear_on(&mut self, key: usize) {
        self.take_input(key, 0);
        if self.turn.is_full() {
            self.write_turn();
        }
    }

    /// Reads the clients that have used their share of an earlier turn, in their order, as far as this turn allows. One of them
    /// is read in any case.
    pub(super) fn read_on(&mut self) {
        self.may_read = self.may_read.max(READ_BUFFER);
        self.inflate_on();
        self.may_inflate = self.may_inflate.max(1);
        let mut held_up = Vec::new();
        for _ in 0..self.read_on.len() {
            if self.may_read == 0 {
                break;
            }
            let Some(key) = self.read_on.pop_front() else { break };
            if self.waits_to_inflate(key) || self.may_inflate == 0 && self.is_behind(key) {
                held_up.push(key);
                continue;
            }
            // The key may belong to another client by now, which is read when it has sent something.
            if let Some(connection) = self.clients.connections.get_mut(key)
                && connection.waits == Waits::ForItsTurn
            {
                connection.waits = Waits::No;
                self.for_client(key, |shard| shard.read(key, true));
            }
        }
        // The clients that were passed over come before those that have had a share of this turn.
        held_up.into_iter().rev().for_each(|key| self.read_on.push_front(key));
    }

    pub(super) fn read_later(&mut self, key: usize) {
        let Some(connection) = self.clients.connections.get_mut(key) else { return };
        if connection.waits != Waits::ForItsTurn {
            connection.waits = Waits::ForItsTurn;
            // The client with the message inflated in part is served by `inflate_on`, not by the queue.
            if self.inflating != Some(key) {
                self.read_on.push_back(key);
            }
        }
    }

    /// Stops reading a client until [`Command::ReadOn`](super::command::Command::ReadOn). What it sends stays in its socket,
    /// which slows it down.
    fn pause(&mut self, key: usize) {
        let connection = &mut self.clients.connections[key];
        if connection.waits != Waits::ForEventsTaken {
            connection.waits = Waits::ForEventsTaken;
            self.paused.push(key);
        }
    }

    /// Reads on from all paused clients, as their events may be taken again.
    pub(super) fn read_paused(&mut self) {
        for key in std::mem::take(&mut self.paused) {
            let connection = self.clients.connections.get(key);
            if connection.is_some_and(|connection| connection.waits == Waits::ForEventsTaken) {
                self.read_later(key);
            }
        }
    }

    /// Decodes `length` bytes of the buffer behind the input that was kept before, and handles what is whole.
    fn take_input(&mut self, key: usize, length: usize) {
        self.inflater.allow(self.may_inflate, self.may_keep_inflated(key));
        let mut partial = self.clients.take_partial(key);
        let Self { clients, buffer, turn, inflater, settings, events, .. } = self;
        let Clients { connections, resume, counts, inbox_notes, .. } = clients;
        let connection = &mut connections[key];
        let listener = &settings.listeners[usize::from(connection.listener)];
        let rate = RateLimit::of(listener);
        let mut decoder =
            Decoder { encoding: connection.encoding, max_message: listener.max_message, inflater };
        // A client that has been sent a close frame is offline for everybody else, so its messages are dropped.
        let is_heard = connection.phase == Phase::Open;
        let mut closed = None;
        let is_counted = connection.encoding.is_gateway2();
        let mut control = HeardControl::default();
        let mut heard = 0;
        let mut messages = 0;
        let mut pings = 0;
        let mut newest_pong = None;
        let result = decoder.decode(&mut buffer[..length], &mut partial, |incoming| {
            heard += 1;
            match incoming {
                Incoming::Message(kind, message) if is_heard => {
                    let for_somebody = if is_counted {
                        resume.hear(key, kind, message, &mut control)
                    } else {
                        Some(Message::Application(message))
                    };
                    if let Some(reply) = control.reply(false) {
                        let frame = turn.add_frame(control_frame(reply));
                        turn.link(key, &mut connection.pending, frame);
                    }
                    let Some(message) = for_somebody else { return };
                    messages += 1;
                    let message = match message {
                        Message::Application(message) => message,
                        Message::Answer(id, answer) => {
                            let client = Client::of(connection, &settings.ports);
                            return events.answered(&client, id, answer);
                        }
                        Message::Got(at) => {
                            let notes = inbox_notes.iter();
                            return notes
                                .for_each(|notes| notes.got(connection.connection_id, at.epoch, at.seq));
                        }
                        Message::Read(at) => {
                            let notes = inbox_notes.iter();
                            return notes
                                .for_each(|notes| notes.read(connection.connection_id, at.epoch, at.seq));
                        }
                    };
                    injected_faults::arm(message);
                    injected_faults::strike("message");
                    events.message(&Client::of(connection, &settings.ports), message);
                }
                Incoming::Message(..) | Incoming::Pong | Incoming::Fragment => {}
                Incoming::Ping(payload) => {
                    pings += 1;
                    let pong = websocket::pong(payload);
                    if pings <= PONGS_IN_A_ROW {
                        let pong = turn.add_frame(pong);
                        turn.link(key, &mut connection.pending, pong);
                    } else {
                        newest_pong = Some(pong);
                    }
                }
                Incoming::Close(code) => closed = Some(code),
            }
        });
        if let Some(reply) = control.reply(true) {
            let frame = turn.add_frame(control_frame(reply));
            turn.link(key, &mut connection.pending, frame);
        }
        if let Some(pong) = newest_pong {
            let pong = turn.add_frame(pong);
            turn.link(key, &mut connection.pending, pong);
        }
        self.may_read = self.may_read.saturating_sub(heard * FRAME_COST);
        let phase = connection.phase;
        let (inflated, sent) = (inflater.inflated(), length + inflater.sent());
        counts.messages_in += messages;
        counts.bytes_in += length as u64;
        if let Err(violation) = result {
            let kind = if violation.is_for_want_of_memory() { Offence::NoMemory } else { Offence::Protocol };
            abuse_log::report(kind, clients.connections[key].peer(), &violation);
        }
        self.may_inflate = self.may_inflate.saturating_sub(inflated);
        if partial.as_ref().is_some_and(PartialMessage::is_inflating) {
            let before = self.inflating.replace(key);
            before.filter(|before| *before != key).into_iter().for_each(|before| self.queue_up(before));
        } else if self.inflating == Some(key) {
            self.inflating = None;
            self.queue_up(key);
        }
        self.clients.keep_partial(key, partial);
        match (result, phase) {
            (Err(violation), Phase::Open) => self.close(key, violation.close(), Phase::Discarding),
            (_, Phase::Open) if control.error.is_some() => {
                if let Some(error) = control.error {
                    abuse_log::report(Offence::Protocol, self.clients.connections[key].peer(), &error);
                }
                self.close(key, close::MALFORMED_CONTROL, Phase::Discarding);
            }
            (Ok(()), Phase::Open) if let Some(code) = closed => {
                // A page that only replaces its connection comes back.
                let key = self.park_if(code.is_some_and(close::is_to_come_back), key);
                // A page learns from the answer's code, in some browsers, how its connection has ended.
                let code = code.filter(|_| is_counted).unwrap_or(close::BY_APPLICATION.code);
                self.close(key, Close { code, ..close::BY_APPLICATION }, Phase::Finishing);
            }
            // The client answers the server's close frame, or sends what cannot be decoded after it.
            (Err(_), _) => self.finish(key),
            (Ok(()), _) if closed.is_some() => self.finish(key),
            (Ok(()), Phase::Open) if rate.is_limited() => self.meter(key, rate, heard, sent),
            _ => {}
        }
        if is_counted && self.clients.connections.contains(key) {
            self.note_untold(key);
        }
        let bound = self.settings.partial_bytes;
        if self.clients.partial_bytes() > bound {
            // Closing some clients more than needed leaves some room. Whoever fills it again has to send that much first, and
            // looking for the clients that hold most takes longer the more clients there are.
            self.shed(bound - bound / 8, Offence::Unfinished, "max_unfinished_bytes");
        }
        if self.is_behind(key) {
            self.read_later(key);
        }
    }

    /// Closes the clients that hold most of the memory of partial messages, until those messages take `most` bytes or less.
    pub(super) fn shed(&mut self, most: usize, offence: Offence, detail: &str) {
        for (key, _) in self.clients.longest_partial() {
            if self.clients.partial_bytes() <= most {
                break;
            }
            let peer = self.clients.connections[key].peer();
            abuse_log::report(offence, peer, &detail);
            self.close(key, close::TRY_AGAIN, Phase::Discarding);
            drop(self.clients.take_partial(key));
        }
    }

    /// Counts what a client has sent, including what it was inflated to, and closes the client if it is too much.
    fn meter(&mut self, key: usize, rate: RateLimit, messages: usize, bytes: usize) {
        if !self.meters.count(key, rate, messages, bytes, Instant::now()) {
            let peer = self.clients.connections[key].peer();
            abuse_log::report(Offence::TooManyMessages, peer, &"messages_per_second or bytes_per_second");
            self.close(key, close::TOO_MANY_MESSAGES, Phase::Discarding);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::{Arc, Mutex};

    use gateway_wire::ClientId;

    use super::super::testing::{TestShard, arrived, settings, settings_with};
    use super::super::{EventSink, Handshake, ShardSettings, Welcome};
    use super::*;
    use crate::protocol::Encoding;
    use crate::protocol::websocket::{MessageKind, deflated_message};

    const MESSAGE: usize = 1 << 20;

    /// A frame as a client sends it, masked with zeros.
    fn masked(frame: &[u8]) -> Vec<u8> {
        let header = match frame[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let mut masked = frame.to_vec();
        masked[1] |= 0x80;
        masked.splice(header..header, [0; 4]);
        masked
    }

    fn bomb() -> Vec<u8> {
        masked(&deflated_message(MessageKind::Binary, &vec![0; MESSAGE]).unwrap())
    }

    /// Repeats a message of zeros as often as one read brings it.
    fn bombs() -> Vec<u8> {
        bomb().repeat(READ_BUFFER / bomb().len())
    }

    /// The number of messages that each of three clients has sent.
    #[derive(Clone, Default)]
    struct CountedMessages(Arc<Mutex<[usize; 3]>>);

    impl EventSink for CountedMessages {
        fn connected(&mut self, _: &Client<'_>, _: Option<Box<Handshake>>) -> Welcome {
            Welcome::BuiltIn
        }

        fn moved(&mut self, _: &Client<'_>, _: ClientId) -> Welcome {
            Welcome::BuiltIn
        }

        fn message(&mut self, client: &Client<'_>, _: &[u8]) {
            self.0.lock().unwrap()[client.connection_id as usize] += 1;
        }

        fn closed(&mut self, _: &Client<'_>) {}

        fn moved_away(&mut self, _: &Client<'_>) {}

        fn takes_more(&mut self, _: u32) -> bool {
            true
        }
    }

    fn limited(messages: f64, bytes: f64) -> ShardSettings {
        settings_with(|settings| {
            let listener = &mut settings.listeners[0];
            (listener.messages_per_second, listener.bytes_per_second) = (messages, bytes);
        })
    }

    #[test]
    fn what_a_few_bytes_are_inflated_to_is_a_share_of_the_turn() {
        let heard = CountedMessages::default();
        let mut shard = TestShard::telling(settings(), Box::new(heard.clone()));
        let mut attackers: Vec<_> =
            (0..3).map(|connection_id| shard.client(connection_id, Encoding::Deflated)).collect();
        let mut honest = shard.client(9, Encoding::Websocket);
        let bombs = bombs();
        for attacker in &mut attackers {
            attacker.write_all(&bombs).unwrap();
        }
        let (mut before, mut turns) = (0, 0);
        loop {
            honest.write_all(&masked(&websocket::ping())).unwrap();
            shard.turn();
            turns += 1;
            assert_eq!(arrived(&mut honest), websocket::pong(b""), "in turn {turns}");
            let messages = *heard.0.lock().unwrap();
            let sum = messages.iter().sum();
            assert!(before <= sum && sum <= before + 1, "{messages:?} in turn {turns}, after {before}");
            assert!(messages.iter().all(|of_one| of_one.abs_diff(messages[0]) <= 1), "{messages:?}");
            // The memory is that of one message and of the input of the clients that wait; two messages would take more.
            assert!(shard.shard.clients.partial_bytes() < MESSAGE + MESSAGE / 2);
            before = sum;
            if !shard.is_busy() {
                break;
            }
        }
        let sum = 3 * bombs.len() / bomb().len();
        assert_eq!(before, sum);
        // A turn goes at most one step too far for each of three: the clients that are new, those that wait, and the message that
        // was begun.
        assert!(turns * (INFLATED_IN_A_TURN + 3 * READ_BUFFER) >= sum * MESSAGE, "{turns} turns");
        assert_eq!(shard.shard.clients.partial_bytes(), 0);
    }

    #[test]
    fn small_messages_pass_a_long_one_that_is_inflated_in_part() {
        let heard = CountedMessages::default();
        let mut shard = TestShard::telling(settings(), Box::new(heard.clone()));
        let [mut long, mut small] =
            [0, 1].map(|connection_id| shard.client(connection_id, Encoding::Deflated));
        let message = vec![b'x'; 1000];
        let message = masked(&deflated_message(MessageKind::Binary, &message).unwrap());
        // The message that follows the long one stays behind it.
        long.write_all(&[bomb(), message.clone()].concat()).unwrap();
        for turn in 1.. {
            small.write_all(&message).unwrap();
            shard.turn();
            let [of_long, of_small, _] = *heard.0.lock().unwrap();
            assert_eq!(of_small, turn);
            if of_long > 0 {
                assert!(turn > MESSAGE / INFLATED_IN_A_TURN && of_long == 2, "{of_long} in turn {turn}");
                break;
            }
        }
        while shard.is_busy() {
            shard.turn();
        }
        assert_eq!((shard.shard.clients.partial_bytes(), shard.shard.inflating), (0, None));
    }

    #[test]
    fn whoever_goes_within_its_message_leaves_its_turn_to_the_next() {
        for end in 0..4 {
            let heard = CountedMessages::default();
            let settings = limited(0.0, if end == 3 { 7e4 } else { 0.0 });
            let mut shard = TestShard::telling(settings, Box::new(heard.clone()));
            let [mut first, mut next] =
                [0, 1].map(|connection_id| shard.client(connection_id, Encoding::Deflated));
            // The last byte begins the next frame.
            first.write_all(&[bomb(), vec![0x82]].concat()).unwrap();
            while shard.shard.inflating.is_none() {
                shard.turn();
            }
            if end != 3 {
                next.write_all(&bomb()).unwrap();
            }
            let key = shard.shard.clients.key(0).unwrap();
            match end {
                0 => drop(first),
                1 => shard.shard.close(key, close::TRY_AGAIN, Phase::Discarding),
                2 => shard.shard.shed(0, Offence::Unfinished, "test"),
                _ => {}
            }
            let start = Instant::now();
            while shard.is_busy() || heard.0.lock().unwrap()[1] == 0 && end != 3 {
                shard.turn();
                assert!(start.elapsed().as_secs() < 60, "{end}");
            }
            assert_eq!(heard.0.lock().unwrap()[0], usize::from(end == 0), "{end}");
            assert_eq!(shard.shard.clients.partial_bytes(), 0, "{end}");
            // A closed client is still read, so that the server sees the end of its connection.
            let places = shard.shard.clients.connections.len();
            assert_eq!(places, if end == 0 { 1 } else { 2 }, "{end}");
        }
    }

    #[test]
    fn whoever_waits_for_its_turn_is_not_taken_for_silent() {
        let settings = settings_with(|settings| settings.listeners[0].ping_not_response_limit = 1);
        let mut shard = TestShard::new(settings);
        let mut client = shard.client(1, Encoding::Deflated);
        client.write_all(&bombs()).unwrap();
        while !shard.is_busy() {
            shard.turn();
        }
        let key = shard.shard.clients.key(1).unwrap();
        (0..5).for_each(|_| shard.shard.look_at(0, key, Instant::now()));
        while shard.is_busy() {
            shard.turn();
        }
        assert_eq!(shard.shard.clients.counts.messages_in as usize, bombs().len() / bomb().len());
        assert_eq!(arrived(&mut client), b"");
        // A client that sends nothing is pinged, and then closed.
        for _ in 0..5 {
            if let Some(key) = shard.shard.clients.key(1) {
                shard.shard.look_at(0, key, Instant::now());
            }
        }
        assert_eq!(shard.shard.clients.key(1), None);
    }

    #[test]
    fn of_many_pings_in_a_row_the_first_are_answered_and_the_newest() {
        let mut shard = TestShard::new(settings());
        let mut client = shard.client(1, Encoding::Websocket);
        let ping = |number: usize| masked(&[&[0x89, 4], format!("{number:04}").as_bytes()].concat());
        let pings: Vec<u8> = (0..3000).flat_map(ping).collect();
        client.write_all(&pings).unwrap();
        let mut pongs = Vec::new();
        while !pongs.ends_with(b"2999") {
            shard.turn();
            pongs.extend(arrived(&mut client));
        }
        let numbers: Vec<&[u8]> =
            pongs.chunks(6).map(|pong| pong.strip_prefix(b"\x8a\x04").unwrap()).collect();
        assert!(numbers.is_sorted() && numbers.len() < 1000, "{} pongs", numbers.len());
        assert!((0..PONGS_IN_A_ROW).all(|number| numbers[number] == format!("{number:04}").as_bytes()));
    }

    #[test]
    fn what_messages_are_inflated_to_counts_as_sent() {
        let mut shard = TestShard::new(limited(0.0, 1e6));
        let mut client = shard.client(1, Encoding::Deflated);
        client.write_all(&bombs()).unwrap();
        loop {
            shard.turn();
            if !shard.is_busy() {
                break;
            }
        }
        // The client may send five seconds of its rate, and some more while that is inflated.
        let messages = shard.shard.clients.counts.messages_in as usize;
        assert!((4..bombs().len() / bomb().len()).contains(&messages), "{messages}");
        assert_eq!(arrived(&mut client), websocket::close(close::TOO_MANY_MESSAGES));
    }

    #[test]
    fn fragments_and_control_frames_count_as_messages() {
        for frame in [[0x00, 0x80], [0x89, 0x80], [0x8a, 0x80]] {
            let mut shard = TestShard::new(limited(1.0, 0.0));
            let mut client = shard.client(1, Encoding::Websocket);
            let frame = [&frame[..], &[0; 4]].concat();
            client.write_all(&[0x01, 0x80, 0, 0, 0, 0]).unwrap();
            client.write_all(&frame.repeat(6)).unwrap();
            shard.turn();
            assert!(arrived(&mut client).ends_with(&websocket::close(close::TOO_MANY_MESSAGES)), "{frame:?}");
        }
    }
}
