//! Which clients are pinged, and which are given up.

use std::time::{Duration, Instant};

/// Settings with GatewayWorker's meaning. What a client sends, a websocket pong included, makes it count as heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Clients that were silent for this long are pinged; zero pings nobody.
    pub interval: Duration,
    /// A client that leaves this many pings unanswered is closed; 0 closes nobody.
    pub not_response_limit: u8,
    /// What is sent as a ping; empty is a ping of the websocket protocol, which browsers answer by themselves, and nothing
    /// for clients of other protocols, which are still given up when they stay silent.
    pub data: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    Ping,
    GiveUp,
}

impl Heartbeat {
    /// How often each client is looked at: twice an interval when silence ends connections, so that one heard just
    /// after a look is not given up a whole interval late.
    pub(super) fn look_every(&self) -> Duration {
        if self.not_response_limit > 0 { self.interval / 2 } else { self.interval }
    }

    /// One look at a client. `quiet` counts the looks since it was heard.
    pub(super) fn look(&self, quiet: &mut u8) -> Action {
        let looks_per_interval = if self.not_response_limit > 0 { 2 } else { 1 };
        let limit = u16::from(self.not_response_limit) * 2;
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

/// Spreads the looks over time, a few slots of the connection table at each step.
pub(super) struct HeartbeatRounds {
    step: Option<Duration>,
    next: Instant,
    /// Steps of this round so far.
    done: usize,
}

const STEPS_PER_ROUND: u32 = 32;

impl HeartbeatRounds {
    pub(super) fn new(heartbeat: &Heartbeat, now: Instant) -> Self {
        let step = (!heartbeat.interval.is_zero()).then(|| heartbeat.look_every() / STEPS_PER_ROUND);
        Self { step, next: now + step.unwrap_or_default(), done: 0 }
    }

    /// When [`HeartbeatRounds::due`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.step.map(|_| self.next)
    }

    /// The slots, of a table of `slots`, to look at now.
    pub(super) fn due(&mut self, now: Instant, slots: usize) -> std::ops::Range<usize> {
        let Some(step) = self.step.filter(|_| now >= self.next) else { return 0..0 };
        // A loop that was held up does not make up for it by looking faster: clients had no chance to answer.
        self.next = now + step;
        // A round takes its time with few slots too: then most steps have none.
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

    fn heartbeat(not_response_limit: u8) -> Heartbeat {
        Heartbeat { interval: Duration::from_secs(10), not_response_limit, data: Vec::new() }
    }

    fn looks(heartbeat: &Heartbeat, n: usize) -> String {
        let mut quiet = 0;
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
        assert_eq!(looks(&heartbeat(0), 6), "-PPPPP");
        assert_eq!(looks(&heartbeat(1), 5), "--PXX");
        assert_eq!(looks(&heartbeat(2), 7), "--P-PXX");
        assert_eq!(looks(&heartbeat(0), 1000).matches('X').count(), 0);
        assert_eq!(looks(&heartbeat(120), 300).find('X'), Some(241));
    }

    #[test]
    fn every_slot_is_seen_once_a_round() {
        let now = Instant::now();
        for slots in [1, 4, 33, 1000] {
            let mut rounds = HeartbeatRounds::new(&heartbeat(1), now);
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
        let off = Heartbeat { interval: Duration::ZERO, ..heartbeat(2) };
        let mut rounds = HeartbeatRounds::new(&off, Instant::now());
        assert_eq!(rounds.deadline(), None);
        assert!(rounds.due(Instant::now() + Duration::from_secs(3600), 10).is_empty());
    }
}
