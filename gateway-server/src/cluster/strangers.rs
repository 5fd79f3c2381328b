//! Strangers: senders of authentic frames that claim to be nodes, and have not shown that they live now.
//!
//! A stranger's frames may be a recording that somebody plays. Each stranger is greeted, and a node that lives answers the
//! greeting. Until then the cluster may be larger than it is known to be, so queries to all nodes have to wait.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::heartbeat::{Heartbeat, SILENCE};

/// Time for which a stranger may keep queries waiting when no node vouches for it. A node answers within a round trip, but a
/// recording would keep them waiting for as long as it is played.
const PROVING: Duration = Duration::from_secs(10);
/// The first and the longest pause between two greetings of the same stranger.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// Number of strangers that are remembered. Beyond it the one that has been silent for longest is forgotten.
const MAX_STRANGERS: usize = 256;

#[derive(Default)]
pub(super) struct Strangers {
    by_instance: HashMap<u64, Stranger>,
}

struct Stranger {
    node: SocketAddrV4,
    first: Instant,
    last: Instant,
    next_greeting: Instant,
    pause: Duration,
    /// The time when a living node last said that it hears this stranger.
    vouched: Option<Instant>,
}

/// The way to treat a stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Approach {
    /// The stranger is greeted.
    Greet,
    /// The stranger was greeted just now, and has time to answer.
    Wait,
    /// The stranger has not answered for long, and is greeted nevertheless.
    Suspect,
}

impl Strangers {
    pub(super) fn hear(&mut self, instance: u64, heartbeat: &Heartbeat, now: Instant) -> Approach {
        if !self.by_instance.contains_key(&instance) && self.by_instance.len() == MAX_STRANGERS {
            let most_silent = self.by_instance.iter().min_by_key(|(_, stranger)| stranger.last);
            if let Some(instance) = most_silent.map(|(instance, _)| *instance) {
                self.by_instance.remove(&instance);
            }
        }
        let stranger = self.by_instance.entry(instance).or_insert_with(|| Stranger {
            node: heartbeat.node,
            first: now,
            last: now,
            next_greeting: now,
            pause: PAUSES.0,
            vouched: None,
        });
        stranger.last = now;
        if now < stranger.next_greeting {
            return Approach::Wait;
        }
        stranger.next_greeting = now + stranger.pause;
        stranger.pause = (stranger.pause * 2).min(PAUSES.1);
        if stranger.pause == PAUSES.1 { Approach::Suspect } else { Approach::Greet }
    }

    /// Forgets a stranger that has shown that it lives, or whose address another process has.
    pub(super) fn forget(&mut self, instance: u64) {
        self.by_instance.remove(&instance);
    }

    /// Notes that a living node says that it hears this instance.
    pub(super) fn vouch(&mut self, instance: u64, now: Instant) {
        if let Some(stranger) = self.by_instance.get_mut(&instance) {
            stranger.vouched = Some(now);
        }
    }

    /// The addresses of strangers that may well be nodes. Answers of the whole cluster are incomplete without them.
    pub(super) fn waited_for(&self, now: Instant) -> impl Iterator<Item = SocketAddrV4> {
        let is_recent = move |time: Instant, within| now.duration_since(time) < within;
        let is_waited_for = move |stranger: &&Stranger| {
            let is_vouched = stranger.vouched.is_some_and(|vouched| is_recent(vouched, SILENCE));
            is_recent(stranger.last, SILENCE) && (is_recent(stranger.first, PROVING) || is_vouched)
        };
        self.by_instance.values().filter(is_waited_for).map(|stranger| stranger.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat() -> Heartbeat {
        Heartbeat { node: "10.0.0.1:1238".parse().unwrap(), ..Heartbeat::default() }
    }

    #[test]
    fn a_recording_keeps_nobody_waiting_for_long_and_a_node_that_others_hear_does() {
        let (mut strangers, start) = (Strangers::default(), Instant::now());
        assert_eq!(strangers.hear(1, &heartbeat(), start), Approach::Greet);
        assert_eq!(strangers.hear(1, &heartbeat(), start), Approach::Wait);
        let names = |strangers: &Strangers, now| strangers.waited_for(now).collect::<Vec<_>>();
        assert_eq!(names(&strangers, start), [heartbeat().node]);
        assert!(names(&strangers, start + SILENCE).is_empty());

        let mut now = start;
        while now < start + PROVING {
            now += Duration::from_millis(500);
            strangers.hear(1, &heartbeat(), now);
        }
        assert_eq!(strangers.hear(1, &heartbeat(), now + PAUSES.1), Approach::Suspect);
        assert!(names(&strangers, now).is_empty());
        strangers.vouch(1, now);
        strangers.vouch(2, now);
        assert_eq!(names(&strangers, now), [heartbeat().node]);
        strangers.forget(1);
        assert!(names(&strangers, now).is_empty());
    }

    #[test]
    fn those_who_are_remembered_are_bounded() {
        let (mut strangers, now) = (Strangers::default(), Instant::now());
        for instance in 0..2 * MAX_STRANGERS as u64 {
            strangers.hear(instance, &heartbeat(), now + Duration::from_millis(instance));
        }
        assert_eq!(strangers.by_instance.len(), MAX_STRANGERS);
        assert!(strangers.by_instance.contains_key(&(MAX_STRANGERS as u64)));
    }
}
