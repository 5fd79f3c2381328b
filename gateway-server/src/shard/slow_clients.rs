//! Clients that read too slowly: those that take nothing of what waits for them for a while and, when all outboxes together take
//! too much memory, those that hold most and take least.

use std::fmt::Display;
use std::time::{Duration, Instant};

use super::clients::Clients;
use super::connection::Phase;
use super::state::Shard;
use super::writer::farewell;
use crate::protocol::close;
use crate::telemetry::abuse_log::{self, Offence};

/// How many times in an `outbox_timeout` the shard looks at the clients for which something waits.
const LOOKS: u32 = 8;
/// A client for which something begins to wait has this long to show that it reads. It is not evicted before, unless far too much
/// waits.
const GRACE: Duration = Duration::from_secs(1);

/// A client that may be closed to free the memory of what waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EvictionCandidate {
    /// The key of its connection in its shard.
    pub(crate) key: usize,
    pub(crate) connection_id: u32,
    /// The burden that the client is for all others: the bytes that would become free without it, times the seconds that it needs
    /// to take a byte.
    pub(crate) weight: f64,
    /// The bytes that would become free without it.
    pub(crate) bytes: usize,
    /// Something has waited for the client too briefly to tell how quickly it reads.
    pub(crate) is_new: bool,
}

impl EvictionCandidate {
    /// Whether the client has to be closed. While some bytes (`has_to`) have to become free, each candidate does. For the room
    /// that is made beyond that (`is_to`), only those do whose weight is at least half of the heaviest one's.
    pub(crate) fn is_to_go(&self, heaviest: &Self, (has_to, is_to): (usize, usize)) -> bool {
        has_to > 0 || (is_to > 0 && self.weight >= heaviest.weight.min(f64::MAX) / 2.0)
    }
}

impl Clients {
    /// The clients that hold most and take least, at most `most` of them, the worst first.
    pub(crate) fn heaviest(&self, now: Instant, most: usize) -> Vec<EvictionCandidate> {
        let mut all: Vec<_> = self.slow.iter().filter_map(|key| self.burden(*key as usize, now)).collect();
        all.sort_unstable_by(|one, other| other.weight.total_cmp(&one.weight));
        all.truncate(most);
        all
    }

    fn burden(&self, key: usize, now: Instant) -> Option<EvictionCandidate> {
        let connection = self.connections.get(key)?;
        let outbox = &connection.extra()?.outbox;
        let pace = outbox.pace()?;
        let bytes = outbox.burden(&self.held);
        // A client that has been given up loses nothing by it: only the rest of a message that has begun waits for it.
        let is_given_up = outbox.is_given_up();
        let weight = if is_given_up { f64::INFINITY } else { bytes as f64 * pace.slowness(now) };
        let is_new = !is_given_up && pace.counted(now) < GRACE;
        Some(EvictionCandidate { key, connection_id: connection.connection_id, weight, bytes, is_new })
    }
}

impl Shard {
    /// Starts the eviction of slow clients when what waits for all clients takes too much memory.
    pub(super) fn make_room(&mut self) {
        let held = &mut self.clients.held;
        held.tell();
        if !held.total().is_exceeded() {
            return;
        }
        // The hub chooses among the clients of all shards. Only when memory grows faster than that takes, this shard chooses
        // among its own.
        held.total().tell();
        if held.total().is_far_exceeded(held.bytes()) {
            let heaviest = self.clients.heaviest(Instant::now(), usize::MAX);
            for one in &heaviest {
                if !one.is_to_go(&heaviest[0], self.clients.held.total().excess()) {
                    break;
                }
                self.give_up(one.key, one.connection_id);
            }
        }
    }

    /// Closes the clients of this shard that hold most of the memory, when the process has none left.
    pub(super) fn relieve_memory(&mut self) {
        const DETAIL: &str = "there is no memory left, and it holds most";
        self.shed(self.clients.partial_bytes() / 2, Offence::NoMemory, DETAIL);
        let most = self.clients.held.bytes() / 2;
        for one in self.clients.heaviest(Instant::now(), usize::MAX) {
            if self.clients.held.bytes() <= most {
                break;
            }
            self.close_slow(one.key, &DETAIL);
        }
        self.clients.held.tell();
        self.forget_kept(self.clients.resume.kept.bytes() / 2);
    }

    /// Closes a client that has been chosen for eviction.
    pub(super) fn give_up(&mut self, key: usize, connection_id: u32) {
        // The key may belong to another client by now, or nothing waits any more.
        let connection = self.clients.connections.get(key);
        if connection
            .is_some_and(|connection| connection.connection_id == connection_id && connection.has_outbox())
        {
            self.close_slow(key, &"what waits for all clients takes too much memory (max_outbox_bytes)");
        }
        self.clients.held.tell();
    }

    /// Closes the clients whose sockets have taken nothing of what waits for a whole `outbox_timeout`.
    pub(super) fn give_up_stalled(&mut self, now: Instant) {
        let timeout = self.settings.server.outbox_timeout;
        let every = timeout / LOOKS;
        self.look_at_slow = now + every;
        let idle: Vec<_> =
            self.clients.slow.iter().copied().filter(|key| self.idle(*key, now) >= every).collect();
        for key in idle {
            // The kernel reports room only when much of its buffer is free, which takes long on a slow line, so the shard tries
            // to write.
            self.write_for_client(key as usize, |shard| shard.write_outbox(key as usize));
            if self.idle(key, now) >= timeout {
                self.close_slow(
                    key as usize,
                    &format_args!("it took nothing for {timeout:?} (outbox_timeout)"),
                );
            }
        }
    }

    /// Ends a connection whose time for a close is over, if its client has taken nothing in that time. A client that has taken
    /// something gets as much time again, and once more after it has taken everything, so that it can answer the close frame.
    pub(super) fn close_by_now(&mut self, key: usize, now: Instant) {
        let connection_id = self.clients.connections[key].connection_id;
        if self.clients.connections[key].has_outbox() {
            self.write_for_client(key, |shard| shard.write_outbox(key));
        }
        let timeout = self.settings.server.close_timeout;
        let Some(connection) =
            self.clients.connections.get_mut(key).filter(|one| one.connection_id == connection_id)
        else {
            return;
        };
        let has_caught_up = std::mem::take(&mut connection.has_caught_up);
        if has_caught_up || connection.takes_within(timeout, now) {
            self.closing.push_back((now + timeout, key, connection_id));
        } else {
            self.abort(key);
        }
    }

    /// For how long the socket has taken nothing of what waits for an open connection; zero for any other.
    fn idle(&self, key: u32, now: Instant) -> Duration {
        let connection = self.clients.connections.get(key as usize);
        let open = connection.filter(|connection| connection.phase == Phase::Open);
        let pace = open.and_then(|connection| connection.extra()?.outbox.pace());
        pace.map_or(Duration::ZERO, |pace| pace.idle(now))
    }

    /// Closes a client that reads too slowly, and logs why.
    pub(super) fn close_slow(&mut self, key: usize, detail: &dyn Display) {
        abuse_log::report(Offence::TooSlow, self.clients.connections[key].peer(), detail);
        self.close_too_slow(key);
    }

    /// Closes a client and throws away what waits for it. If the client reads on within the `close_timeout`, it gets a close
    /// frame that says why.
    fn close_too_slow(&mut self, key: usize) {
        let key = self.park_if(true, key);
        self.forget(key);
        let connection = &mut self.clients.connections[key];
        if connection.phase != Phase::Open {
            return self.abort(key);
        }
        let connection_id = connection.connection_id;
        self.clients.resume.forget(key, connection_id);
        let connection = &mut self.clients.connections[key];
        connection.phase = Phase::Discarding;
        drop(self.clients.take_partial(key));
        let connection = &mut self.clients.connections[key];
        let farewell = farewell(connection.encoding, close::TOO_SLOW);
        connection.extra_mut().outbox.give_up(farewell, &mut self.clients.held);
        self.closing.push_back((Instant::now() + self.settings.server.close_timeout, key, connection_id));
        if self.clients.wait_for_room(key, &self.registry).is_err() {
            self.abort(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use bytes::Bytes;

    use super::super::command::Command;
    use super::super::testing::{TestShard, arrived, settings_with, stalled, tight};

    use super::*;
    use crate::protocol::{Encoded, websocket};

    /// A time longer than all timeouts of the settings.
    const LATER: Duration = Duration::from_secs(1000);

    fn message(length: usize) -> Bytes {
        Bytes::from(vec![b'y'; length])
    }

    #[test]
    fn whoever_holds_most_goes_first_when_it_is_far_too_much() {
        let mut shard = TestShard::new(tight());
        let _clients: Vec<_> = (1..=3).map(|connection_id| stalled(&mut shard, connection_id)).collect();
        // Frames that all clients share count once; if they did not, this would be far too much.
        for _ in 0..20 {
            let frame = message(200_000);
            for key in 0..3 {
                shard.shard.send(key, frame.clone());
            }
            shard.shard.write_turn();
        }
        for _ in 0..100 {
            if shard.shard.clients.key(2).is_some() {
                shard.shard.send(1, message(200_000));
                shard.shard.write_turn();
            }
            assert!(shard.shard.clients.held.total().bytes() < 22 << 20);
        }
        assert_eq!(shard.shard.clients.key(2), None, "the one with most");
        assert_eq!(shard.shard.clients.online().len(), 2);
        assert!(!shard.shard.clients.held.total().is_exceeded());
    }

    #[test]
    fn whoever_takes_nothing_goes_before_those_who_hold_more() {
        let mut shard = TestShard::new(tight());
        let mut clients: Vec<_> = (1..=2).map(|connection_id| stalled(&mut shard, connection_id)).collect();
        for _ in 0..60 {
            shard.shard.send(0, message(200_000));
            shard.shard.send(1, message(40_000));
            shard.shard.write_turn();
        }
        // One client reads.
        let waiting = |shard: &TestShard| shard.shard.clients.connections[0].waiting_bytes();
        let before = waiting(&shard);
        while before - waiting(&shard) < 3_000_000 {
            arrived(&mut clients[0]);
            shard.turn();
        }
        let heaviest = shard.shard.clients.heaviest(Instant::now(), 2);
        assert_eq!(heaviest.iter().map(|one| one.connection_id).collect::<Vec<_>>(), [2, 1], "{heaviest:?}");
        assert!(heaviest[0].bytes < heaviest[1].bytes, "{heaviest:?}");
        // A client that has been given up comes before all others.
        shard.shard.send(0, message(200_000));
        shard.shard.write_turn();
        let [other, reader] = heaviest[..] else { unreachable!() };
        shard.shard.give_up(reader.key, other.connection_id);
        assert_eq!(shard.shard.clients.online().len(), 2, "that is no client of this key");
        shard.shard.give_up(other.key, other.connection_id);
        assert_eq!(shard.shard.clients.online().len(), 1);
        assert_eq!(shard.shard.clients.heaviest(Instant::now(), 1)[0].connection_id, 2);
        shard.shard.give_up(other.key, other.connection_id);
        assert_eq!(shard.shard.clients.connections.len(), 1);
    }

    #[test]
    fn one_message_may_be_larger_than_all_that_may_wait() {
        let settings = settings_with(|settings| settings.listeners[0].outbox_bytes = 100_000);
        let mut shard = TestShard::new(settings);
        let mut clients: Vec<_> = (1..=2).map(|connection_id| stalled(&mut shard, connection_id)).collect();
        let large = Bytes::from(vec![b'L'; 3 << 20]);
        for key in 0..2 {
            shard.shard.send(key, large.clone());
            shard.shard.write_turn();
        }
        assert_eq!(shard.shard.clients.online().len(), 2, "both are sent it behind what waits");
        // The client reads nothing, and still its close frame and its last message come in time.
        let last = Some(Encoded::raw(Bytes::from_static(b"goodbye")));
        shard.shard.obey_alone(Command::Close { connection_id: 1, last });
        shard.shard.send(1, Bytes::from_static(b"one more"));
        shard.shard.write_turn();
        assert_eq!(shard.shard.clients.online().len(), 0, "too much waits for the other");
        let ends = [b"Lgoodbye\x88\x02\x03\xe8".to_vec(), websocket::close(close::TOO_SLOW).to_vec()];
        for (client, end) in clients.iter_mut().zip(ends) {
            let (mut all, start) = (Vec::new(), Instant::now());
            while !all.ends_with(&end) && start.elapsed() < Duration::from_secs(30) {
                all.extend(arrived(client));
                shard.turn();
            }
            assert!(all.ends_with(&end), "{:?}", &all[all.len() - 30..]);
        }
    }

    #[test]
    fn one_that_takes_nothing_is_given_up_in_time() {
        let settings = settings_with(|settings| settings.outbox_timeout = Duration::from_secs(60));
        let mut shard = TestShard::new(settings);
        let start = Instant::now();
        let mut clients: Vec<_> = (1..=2).map(|connection_id| stalled(&mut shard, connection_id)).collect();
        shard.shard.give_up_stalled(start + Duration::from_secs(59));
        assert_eq!(shard.shard.clients.online().len(), 2);
        // One client reads on.
        while shard.shard.clients.connections[0].has_outbox() {
            arrived(&mut clients[0]);
            shard.turn();
        }
        shard.shard.give_up_stalled(Instant::now() + Duration::from_secs(60));
        assert_eq!(shard.shard.clients.key(2), None);
        assert!(shard.shard.clients.key(1).is_some());
        // For the other client only the frame that has begun and a close frame are kept.
        assert!(shard.shard.clients.held.bytes() < 70_000, "{}", shard.shard.clients.held.bytes());
    }

    #[test]
    fn heartbeats_and_closes_wait_for_whoever_takes_something() {
        let settings = settings_with(|settings| settings.listeners[0].ping_not_response_limit = 1);
        let mut shard = TestShard::new(settings);
        let mut clients: Vec<_> = (1..=4).map(|connection_id| stalled(&mut shard, connection_id)).collect();
        for key in 0..4 {
            shard.shard.send(key, message(1_500_000));
            shard.shard.send(key, message(1_500_000));
        }
        // The first and the third client read on.
        for key in [0, 2] {
            let waiting = |shard: &TestShard| shard.shard.clients.connections[key].waiting_bytes();
            shard.turn();
            let (before, start) = (waiting(&shard), Instant::now());
            let mut some = vec![0; 100_000];
            while waiting(&shard) == before && start.elapsed() < Duration::from_secs(30) {
                let _ = clients[key].read(&mut some);
                shard.turn();
            }
            assert!(shard.shard.clients.connections[key].has_outbox());
        }
        for _ in 0..10 {
            shard.shard.look_at(0, 0, Instant::now());
            shard.shard.look_at(0, 1, Instant::now() + LATER);
        }
        assert_eq!(shard.shard.clients.key(2), None, "it says nothing and takes nothing");
        let connection = &shard.shard.clients.connections[0];
        assert_eq!((connection.quiet, connection.pending.is_empty()), (0, true), "no ping would help");
        for (key, time) in [(2, Duration::ZERO), (3, LATER)] {
            shard.shard.close(key, close::BY_APPLICATION, Phase::Closing);
            shard.shard.write_turn();
            shard.shard.close_by_now(key, Instant::now() + time);
        }
        assert!(shard.shard.clients.connections.contains(2) && !shard.shard.clients.connections.contains(3));
        // The client gets everything.
        let (mut all, start) = (Vec::new(), Instant::now());
        let end = websocket::close(close::BY_APPLICATION);
        while !all.ends_with(&end) && start.elapsed() < Duration::from_secs(30) {
            all.extend(arrived(&mut clients[2]));
            shard.turn();
        }
        assert!(all.ends_with(&end));
        // Nothing more waits for the client, and it does not answer.
        shard.shard.close_by_now(2, Instant::now() + LATER);
        assert!(shard.shard.clients.connections.contains(2));
        shard.shard.close_by_now(2, Instant::now() + LATER);
        assert!(!shard.shard.clients.connections.contains(2));
    }

    #[test]
    fn little_room_that_the_kernel_does_not_tell_of_is_progress() {
        let settings = settings_with(|settings| settings.outbox_timeout = Duration::from_secs(60));
        let mut shard = TestShard::new(settings);
        let mut client = stalled(&mut shard, 1);
        shard.shard.send(0, message(3_000_000));
        shard.shard.write_turn();
        let before = shard.shard.clients.connections[0].waiting_bytes();
        let start = Instant::now();
        let mut some = vec![0; 100_000];
        while shard.shard.clients.connections[0].waiting_bytes() == before
            && start.elapsed() < Duration::from_secs(30)
        {
            let _ = client.read(&mut some);
            // No turn runs, so the shard sees no event of the socket.
            shard.shard.give_up_stalled(Instant::now() + Duration::from_secs(50));
        }
        assert!(shard.shard.clients.connections[0].waiting_bytes() < before);
    }
}
