//! The heartbeat: which clients are pinged, and which are closed because they stay silent.

use std::time::{Duration, Instant};

use crate::config::Listener;

/// The heartbeat of one listener, with the meaning that GatewayWorker gives its settings. Everything that a client sends, a
/// websocket pong included, counts as a sign of life. Without a ping interval no client is pinged or closed.
pub(super) struct Heartbeat<'a>(pub(super) &'a Listener);

/// What one look of the heartbeat decides about a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    Ping,
    GiveUp,
}

impl PartialEq for Heartbeat<'_> {
    fn eq(&self, other: &Self) -> bool {
        let parts = |one: &Listener| (one.ping_interval, one.ping_not_response_limit);
        parts(self.0) == parts(other.0) && self.data() == other.data()
    }
}

impl Heartbeat<'_> {
    /// The payload that is sent as a ping. If it is empty, websocket clients get a ping frame, which browsers answer by
    /// themselves, and clients of other protocols get nothing, but are still closed when they stay silent.
    pub(super) fn data(&self) -> &[u8] {
        self.0.ping_data.as_bytes()
    }

    /// The time between two looks at a client. It is half an interval where silence ends connections, so that a client that was
    /// heard just after a look is not closed a whole interval late.
    pub(super) fn look_every(&self) -> Duration {
        if self.0.ping_not_response_limit > 0 { self.0.ping_interval / 2 } else { self.0.ping_interval }
    }

    /// Looks at a client once. `quiet` is the number of looks since the client was last heard; this counts it up.
    pub(super) fn look(&self, quiet: &mut u8) -> Action {
        let looks_per_interval = if self.0.ping_not_response_limit > 0 { 2 } else { 1 };
        let limit = u16::from(self.0.ping_not_response_limit) * 2;
        // The first look after the client was heard only starts the count.
        if limit > 0 && u16::from(*quiet) > limit {
            return Action::GiveUp;
        }
        let silent_looks = *quiet;
        *quiet = quiet.saturating_add(1);
        if silent_looks > 0 && (looks_per_interval == 1 || silent_looks.is_multiple_of(2)) {
            Action::Ping
        } else {
            Action::Nothing
        }
    }
}

/// Spreads the looks at all connections over time: each step covers a few slots of the connection table.
pub(super) struct HeartbeatRounds {
    /// The time between two steps, or `None` where the heartbeat is off.
    step: Option<Duration>,
    /// The time of the next step.
    next: Instant,
    /// The number of steps of the current round that are done.
    done: usize,
}

/// A round looks once at every slot of the table, in this many steps.
const STEPS_PER_ROUND: u32 = 32;

impl HeartbeatRounds {
    pub(super) fn new(heartbeat: &Heartbeat<'_>, now: Instant) -> Self {
        let step = (!heartbeat.0.ping_interval.is_zero()).then(|| heartbeat.look_every() / STEPS_PER_ROUND);
        Self { step, next: now + step.unwrap_or_default(), done: 0 }
    }

    /// The time of the next step, and the number of steps of the current round that are done.
    pub(super) fn position(&self) -> (Instant, usize) {
        (self.next, self.done)
    }

    /// Goes on with the round of another process, within the step that this heartbeat makes.
    pub(super) fn resume(&mut self, (next, done): (Instant, usize), now: Instant) {
        let latest = now + self.step.unwrap_or_default();
        self.next = next.min(latest);
        self.done = done % STEPS_PER_ROUND as usize;
    }

    /// The time of the next step, when [`HeartbeatRounds::due`] is to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.step.map(|_| self.next)
    }

    /// The range of slots to look at now, of a table of `slots` slots. It is empty before the next step is due.
    pub(super) fn due(&mut self, now: Instant, slots: usize) -> std::ops::Range<usize> {
        let Some(step) = self.step.filter(|_| now >= self.next) else { return 0..0 };
        // A loop that was held up does not look faster afterwards, as its clients had no chance to answer meanwhile.
        self.next = now + step;
        // A round takes the same time with few slots, where most steps cover none.
        let steps = STEPS_PER_ROUND as usize;
        let start = self.done * slots / steps;
        self.done += 1;
        let end = self.done * slots / steps;
        self.done %= steps;
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    /// A listener with a heartbeat every ten seconds.
    fn listener(ping_not_response_limit: u8) -> Listener {
        let default = Settings::default().listeners.remove(0);
        Listener { ping_interval: Duration::from_secs(10), ping_not_response_limit, ..default }
    }

    fn looks(not_response_limit: u8, n: usize) -> String {
        let (listener, mut quiet) = (listener(not_response_limit), 0);
        let heartbeat = Heartbeat(&listener);
        (0..n)
            .map(|_| match heartbeat.look(&mut quiet) {
                Action::Nothing => '-',
                Action::Ping => 'P',
                Action::GiveUp => 'X',
            })
            .collect()
    }

    #[test]
    fn silence_is_pinged_once_an_interval_and_given_up_after_the_limit() {
        assert_eq!(looks(0, 6), "-PPPPP");
        assert_eq!(looks(1, 5), "--PXX");
        assert_eq!(looks(2, 7), "--P-PXX");
        assert_eq!(looks(0, 1000).matches('X').count(), 0);
        assert_eq!(looks(120, 300).find('X'), Some(241));
    }

    #[test]
    fn every_slot_is_seen_once_a_round() {
        let now = Instant::now();
        for slots in [1, 4, 33, 1000] {
            let mut rounds = HeartbeatRounds::new(&Heartbeat(&listener(1)), now);
            assert!(rounds.due(now, slots).is_empty());
            let mut seen = vec![0; slots];
            let mut at = now;
            for round in 1..=2 {
                for _ in 0..STEPS_PER_ROUND {
                    at += rounds.step.unwrap();
                    rounds.due(at, slots).for_each(|slot| seen[slot] += 1);
                }
                assert!(seen.iter().all(|times| *times == round), "{seen:?}");
            }
        }
    }

    #[test]
    fn zero_looks_at_nobody() {
        let off = Listener { ping_interval: Duration::ZERO, ..listener(2) };
        let mut rounds = HeartbeatRounds::new(&Heartbeat(&off), Instant::now());
        assert_eq!(rounds.deadline(), None);
        assert!(rounds.due(Instant::now() + Duration::from_secs(3600), 10).is_empty());
    }
}
