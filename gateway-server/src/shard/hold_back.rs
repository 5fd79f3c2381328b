//! Messages wait a moment, on listeners that have `coalesce`, so that those which follow go out with them in one write.

use std::time::{Duration, Instant};

use super::connection::Phase;
use super::state::Shard;

impl Shard {
    /// Holds those back that may wait, of connections that have got something in this turn. Gives the others. Those that were held back
    /// before become due when their time has come, and all do when the batch is full, has a rest, as it would never end else, or when the
    /// shard does not wait for anybody any more.
    pub(super) fn hold_back(&mut self, fresh: Vec<usize>) -> Vec<usize> {
        let may_hold = self.settings.listeners.iter().any(|listener| !listener.coalesce.is_zero());
        if !may_hold && !self.turn.holds_back() {
            return fresh;
        }
        let now = Instant::now();
        let is_over = self.turn.held_back().until.is_some_and(|until| until <= now);
        if is_over
            || self.turn.has_rest()
            || self.turn.is_full()
            || self.freezing.is_some()
            || self.is_stopping()
        {
            self.turn.release();
            return fresh;
        }
        let Self { clients, settings, turn, .. } = self;
        let mut fresh = fresh;
        fresh.retain(|key| {
            let open = clients.connections.get(*key).filter(|connection| connection.phase == Phase::Open);
            let coalesce = open.map_or(Duration::ZERO, |connection| {
                settings.listeners[usize::from(connection.listener)].coalesce
            });
            if !coalesce.is_zero() {
                turn.held_back_mut().add(*key, now + coalesce);
            }
            coalesce.is_zero()
        });
        fresh
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use bytes::Bytes;

    use super::super::ShardSettings;
    use super::super::audience::{Audience, Except};
    use super::super::carry::freezing::freezing;
    use super::super::command::Command;
    use super::super::testing::{TestShard, arrived, settings, settings_with};
    use crate::protocol::{Encoded, Encoding};
    use crate::shard::Origin;

    /// Longer than any of these tests, and shorter than until the first look at the heartbeat.
    const LONG: Duration = Duration::from_secs(15);

    fn coalescing(coalesce: Duration) -> ShardSettings {
        settings_with(|settings| settings.listeners[0].coalesce = coalesce)
    }

    fn to_all(text: impl Into<Bytes>) -> Command {
        let to = Audience::All { except: Except::default() };
        Command::Deliver { to, origin: Origin::HERE, frame: Encoded::raw(text.into()) }
    }

    fn give(shard: &mut TestShard, text: &'static str) {
        assert!(shard.shard.carry_out([to_all(text)].into_iter()));
        shard.turn();
    }

    #[test]
    fn messages_wait_until_their_time_has_come_and_the_thread_knows_when() {
        let mut shard = TestShard::new(settings());
        let mut client = shard.client(1, Encoding::Websocket);
        shard.shard.configure(&coalescing(LONG));
        give(&mut shard, "a");
        give(&mut shard, "b");
        assert_eq!(arrived(&mut client), b"");
        let until = shard.shard.turn.held_back().until.unwrap();
        assert!(until > Instant::now() + LONG / 2);
        let sleep = shard.shard.patience().unwrap();
        assert!((LONG / 2..=LONG + Duration::from_millis(1)).contains(&sleep), "{sleep:?}");
        // A thread that gives a command itself does not wake the shard's thread again, as that knows the deadline.
        shard.shard.obey_alone(to_all("c"));
        assert!(shard.shard.flush());
        // What comes at once is not held back longer than before.
        shard.shard.configure(&settings());
        assert_eq!(arrived(&mut client), b"");
        shard.shard.turn.held_back_mut().until = Some(Instant::now());
        shard.turn();
        assert_eq!(arrived(&mut client), b"abc");
        assert!(!shard.shard.turn.holds_back() && shard.shard.turn.held_back().until.is_none());
    }

    #[test]
    fn a_thread_that_has_something_held_back_wakes_the_shards_thread() {
        let mut shard = TestShard::new(settings());
        let mut client = shard.client(1, Encoding::Websocket);
        shard.shard.configure(&coalescing(LONG));
        shard.shard.obey_alone(to_all("a"));
        assert!(!shard.shard.flush());
        shard.turn();
        assert!(shard.shard.flush());
        assert_eq!(arrived(&mut client), b"");
    }

    #[test]
    fn a_listener_that_does_not_coalesce_and_a_close_wait_for_nobody() {
        let two = |coalesce| {
            settings_with(|settings| {
                let second = settings.listeners[0].clone();
                settings.listeners[0].coalesce = coalesce;
                settings.listeners.push(second);
            })
        };
        let mut shard = TestShard::new(two(Duration::ZERO));
        let (mut held, mut other) =
            (shard.client(1, Encoding::Websocket), shard.client(2, Encoding::Websocket));
        let key = shard.shard.clients.key(2).unwrap();
        shard.shard.clients.connections[key].listener = 1;
        shard.shard.configure(&two(LONG));
        give(&mut shard, "a");
        assert_eq!((arrived(&mut held), arrived(&mut other)), (Vec::new(), b"a".to_vec()));
        // A client that is closed gets what waits for it first, when that is due.
        shard
            .shard
            .obey_alone(Command::Close { connection_id: 1, last: Some(Encoded::raw(Bytes::from("last"))) });
        shard.turn();
        shard.shard.write_turn();
        let got = arrived(&mut held);
        assert_eq!(&got[..5], b"alast");
        assert!(got.len() > 5, "the close frame");
    }

    #[test]
    fn the_batch_ends_again_and_again_however_much_comes() {
        // More than two slices.
        const CLIENTS: u32 = 2100;
        let mut shard = TestShard::new(settings());
        let mut clients: Vec<_> = (1..=CLIENTS).map(|id| shard.client(id, Encoding::Websocket)).collect();
        shard.shard.configure(&coalescing(LONG));
        for round in 0..3 {
            give(&mut shard, "a");
            assert!(shard.shard.turn.holds_back());
            shard.shard.turn.held_back_mut().until = Some(Instant::now());
            // In each slice, and behind the last one, somebody gets something else.
            for _ in 0..3 {
                let to = Audience::Connections([1].into_iter().collect());
                let frame = Encoded::raw(Bytes::from("b"));
                let one = Command::Deliver { to, origin: Origin::HERE, frame };
                assert!(shard.shard.carry_out([one].into_iter()));
                shard.turn();
            }
            assert!(!shard.shard.turn.has_rest() && !shard.shard.turn.holds_back(), "round {round}");
            assert_eq!(shard.shard.turn.frames_held(), 0);
            assert_eq!(arrived(&mut clients[0]), b"abbb");
            assert_eq!(arrived(&mut clients[CLIENTS as usize - 1]), b"a");
        }
    }

    #[test]
    fn a_full_batch_and_a_freeze_end_the_waiting() {
        let mut shard = TestShard::new(settings());
        let mut client = shard.client(1, Encoding::Websocket);
        shard.shard.configure(&coalescing(LONG));
        let (mut given, mut got) = (0, 0);
        while got == 0 {
            assert!(given < 2 << 20, "a megabyte is the bound");
            let text = vec![b'x'; 12 << 10];
            given += text.len();
            shard.shard.obey_alone(to_all(text));
            shard.turn();
            got = arrived(&mut client).len();
        }
        assert!(given >= 1 << 20);
        while shard.shard.clients.connections.iter().any(|(_, connection)| connection.has_outbox()) {
            shard.turn();
            got += arrived(&mut client).len();
        }
        assert_eq!(got + arrived(&mut client).len(), given);
        give(&mut shard, "left");
        assert_eq!(arrived(&mut client), b"");
        let (frozen, _is_frozen, _frost) = freezing();
        shard.shard.obey_alone(Command::Freeze(frozen));
        assert!(shard.shard.freeze().is_some());
        assert_eq!(arrived(&mut client), b"left");
    }
}
