//! Holds back the first events of a new client for a moment, and sends them with the session that the client has then.
//!
//! A BusinessWorker sends the session that a callback has written only after that callback, while each event carries the session
//! that the gateway had at that moment. When an event's session is older than its own, the worker notices this only once and asks
//! for the new one; the next event with the same old session it takes for up to date. GatewayWorker's gateways report a
//! connection before its handshake, so the callback has a round trip to the client in which to end. This server learns of a
//! client after its handshake, so the client could answer what onConnect sent before onConnect has ended. The delay gives the
//! callback that time.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use tokio::time::{Instant, sleep_until};

use crate::events::{Batch, CarriedBatch, Event, EventKind};

/// How long the first events of a client wait: its handshake and, as long as it has no session, its first message.
const MOMENT: Duration = Duration::from_millis(5);
/// A client counts as new for this long, if it says nothing.
const NEW_FOR: Duration = Duration::from_secs(1);

/// The new clients of one worker, and their events that are delayed.
#[derive(Default)]
pub(super) struct Newcomers {
    /// The clients that are new, and how many events of each wait.
    clients: HashMap<u32, usize>,
    /// When each client stops being new, in order of time.
    ends: VecDeque<(Instant, u32)>,
    /// The events that wait, each in a batch of its own, and when each is due.
    waiting: VecDeque<(Instant, Batch)>,
}

impl Newcomers {
    /// Takes the events that have to be delayed out of a batch. Once an event is delayed, so are all later ones of the same
    /// client.
    pub(super) fn hold_back(&mut self, mut batch: Batch, now: Instant) -> Batch {
        self.forget_the_old(now);
        if self.clients.is_empty() && !batch.events.iter().any(Event::is_first) {
            return batch;
        }
        for event in std::mem::take(&mut batch.events) {
            if self.must_wait(&event, now) {
                let aside = batch.put_aside(event);
                self.waiting.push_back((now + MOMENT, aside));
            } else {
                batch.events.push(event);
            }
        }
        batch
    }

    fn must_wait(&mut self, event: &Event, now: Instant) -> bool {
        if event.is_first() {
            self.clients.insert(event.connection_id, 0);
            self.ends.push_back((now + NEW_FOR, event.connection_id));
            return false;
        }
        let Some(waiting) = self.clients.get_mut(&event.connection_id) else { return false };
        let is_early = match event.kind {
            EventKind::Handshake(_) => true,
            EventKind::Message(_) => event.session.is_empty(),
            EventKind::Connect | EventKind::Moved(_) | EventKind::Close => false,
        };
        if *waiting > 0 || is_early {
            *waiting += 1;
            return true;
        }
        self.clients.remove(&event.connection_id);
        false
    }

    fn forget_the_old(&mut self, now: Instant) {
        while let Some((end, connection_id)) = self.ends.front().copied()
            && end <= now
        {
            self.ends.pop_front();
            if self.clients.get(&connection_id).is_some_and(|waiting| *waiting > 0) {
                self.ends.push_back((now + NEW_FOR, connection_id));
            } else {
                self.clients.remove(&connection_id);
            }
        }
    }

    /// Waits until [`Newcomers::who_is_due`] has at least one client.
    pub(super) async fn due(&self) {
        match self.waiting.front() {
            Some((due, _)) => sleep_until(*due).await,
            None => std::future::pending().await,
        }
    }

    /// Whether [`Newcomers::who_is_due`] has somebody.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.waiting.front().is_some_and(|(due, _)| *due <= now)
    }

    /// Gives the client of each event that is due, `most` at most.
    pub(super) fn who_is_due(&self, most: usize, now: Instant) -> Vec<u32> {
        let due = self.waiting.iter().take(most).take_while(|(due, _)| *due <= now);
        due.flat_map(|(_, batch)| batch.events.iter().map(|event| event.connection_id)).collect()
    }

    /// Takes as many events as there are sessions and gives each its session. `None` stands for a client that has gone: its event
    /// keeps the session that it has.
    pub(super) fn take(&mut self, sessions: Vec<Option<Bytes>>) -> Batch {
        let mut all = Batch::default();
        let taken = sessions.len().min(self.waiting.len());
        for ((_, mut batch), session) in self.waiting.drain(..taken).zip(sessions) {
            for event in &mut batch.events {
                if let Some(session) = &session {
                    event.session = session.clone();
                }
                let Some(waiting) = self.clients.get_mut(&event.connection_id) else { continue };
                *waiting -= 1;
                if *waiting == 0 && !matches!(event.kind, EventKind::Handshake(_)) {
                    self.clients.remove(&event.connection_id);
                }
            }
            all.append(batch);
        }
        all
    }

    /// Gives the clients that are new, and the events that wait.
    pub(super) fn at_rest(&self) -> (Vec<u32>, Vec<CarriedBatch>) {
        let waiting = self.waiting.iter().map(|(_, batch)| CarriedBatch::from(batch)).collect();
        (self.clients.keys().copied().collect(), waiting)
    }

    /// Goes on with the clients that are new and the events that wait. They wait a moment more.
    pub(super) fn go_on(&mut self, clients: Vec<u32>, waiting: Vec<Batch>, now: Instant) {
        let of_waiting =
            waiting.iter().flat_map(|batch| batch.events.iter().map(|event| event.connection_id));
        for client in clients.into_iter().chain(of_waiting.clone()) {
            if self.clients.insert(client, 0).is_none() {
                self.ends.push_back((now + NEW_FOR, client));
            }
        }
        for client in of_waiting {
            *self.clients.entry(client).or_default() += 1;
        }
        self.waiting = waiting.into_iter().map(|batch| (now + MOMENT, batch)).collect();
    }

    /// Takes all events that wait, due or not.
    pub(super) fn take_all(&mut self) -> Vec<Event> {
        self.clients.clear();
        std::mem::take(&mut self.waiting).into_iter().flat_map(|(_, batch)| batch.events).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Handshake;

    fn event(connection_id: u32, kind: EventKind) -> Event {
        Event::example(connection_id, kind)
    }

    fn handshake(connection_id: u32) -> Event {
        let handshake = Handshake { uri: b"/".to_vec(), protocol: "HTTP/1.1", headers: Vec::new() };
        event(connection_id, EventKind::Handshake(Box::new(handshake)))
    }

    fn message(connection_id: u32, text: &'static str) -> Event {
        event(connection_id, EventKind::Message(Bytes::from(text)))
    }

    fn batch(events: Vec<Event>) -> Batch {
        let mut batch = Batch::default();
        batch.events = events;
        batch
    }

    /// Takes the events that are due a moment later, and gives each the session.
    fn told(newcomers: &mut Newcomers, at: Instant) -> Vec<Event> {
        assert!(newcomers.who_is_due(1000, at + MOMENT / 2).is_empty());
        let due = newcomers.who_is_due(1000, at + MOMENT);
        newcomers.take(due.iter().map(|_| Some(Bytes::from("new"))).collect()).events
    }

    #[test]
    fn what_a_client_does_first_has_the_session_that_its_connect_has_left() {
        let mut newcomers = Newcomers::default();
        let now = Instant::now();
        let events =
            vec![event(1, EventKind::Connect), handshake(1), message(2, "of another"), message(1, "a")];
        let at_once = newcomers.hold_back(batch(events), now).events;
        assert_eq!(at_once, [event(1, EventKind::Connect), message(2, "of another")]);
        let later = told(&mut newcomers, now);
        let with_session = |event| Event { session: Bytes::from("new"), ..event };
        assert_eq!(later, [with_session(handshake(1)), with_session(message(1, "a"))]);
        // The client's first event has been sent, so its next one is not delayed.
        let next = newcomers.hold_back(batch(vec![message(1, "b")]), now).events;
        assert_eq!(next, [message(1, "b")]);
        assert!(newcomers.clients.is_empty());
    }

    #[test]
    fn a_first_message_waits_while_there_is_no_session_and_its_close_waits_behind_it() {
        let mut newcomers = Newcomers::default();
        let now = Instant::now();
        let events =
            vec![event(1, EventKind::Connect), handshake(1), event(2, EventKind::Connect), handshake(2)];
        assert_eq!(newcomers.hold_back(batch(events), now).events.len(), 2);
        assert_eq!(told(&mut newcomers, now).len(), 2);
        let has_one = Event { session: Bytes::from("one"), ..message(2, "b") };
        let events = vec![message(1, "a"), has_one.clone(), event(1, EventKind::Close)];
        assert_eq!(newcomers.hold_back(batch(events), now).events, [has_one]);
        let kinds: Vec<_> = told(&mut newcomers, now).into_iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::Message(Bytes::from("a")), EventKind::Close]);
        assert!(newcomers.clients.is_empty());
    }

    #[test]
    fn who_has_moved_is_as_new_as_who_connects() {
        let mut newcomers = Newcomers::default();
        let now = Instant::now();
        let moved = event(1, EventKind::Moved("c00002010b5400000009".parse().unwrap()));
        let at_once = newcomers.hold_back(batch(vec![moved.clone(), message(1, "a")]), now).events;
        assert_eq!(at_once, [moved]);
        assert_eq!(told(&mut newcomers, now).len(), 1);
    }

    #[test]
    fn what_is_held_back_goes_on_after_a_rest_in_its_order() {
        let mut newcomers = Newcomers::default();
        let now = Instant::now();
        let events =
            vec![event(1, EventKind::Connect), handshake(1), event(2, EventKind::Connect), message(1, "a")];
        assert_eq!(newcomers.hold_back(batch(events), now).events.len(), 2);
        let (clients, waiting) = newcomers.at_rest();
        let waiting = waiting.into_iter().map(|batch| batch.try_into().unwrap()).collect();
        let mut later = Newcomers::default();
        later.go_on(clients, waiting, now);
        // Who was new is new still, and what comes later of those who wait comes behind.
        assert!(
            later.hold_back(batch(vec![message(2, "b"), event(1, EventKind::Close)]), now).events.is_empty()
        );
        let kinds: Vec<_> = told(&mut later, now).into_iter().map(|event| event.connection_id).collect();
        assert_eq!(kinds, [1, 1, 2, 1]);
        assert!(later.clients.is_empty());
    }

    #[test]
    fn silent_clients_are_forgotten_and_what_waits_is_given_back() {
        let mut newcomers = Newcomers::default();
        let now = Instant::now();
        newcomers.hold_back(batch(vec![event(1, EventKind::Connect)]), now);
        let later = now + NEW_FOR;
        let events = vec![message(1, "late"), event(2, EventKind::Connect), handshake(2), message(2, "a")];
        let at_once = newcomers.hold_back(batch(events), later).events;
        assert_eq!(at_once, [message(1, "late"), event(2, EventKind::Connect)]);
        assert_eq!(newcomers.take_all(), [handshake(2), message(2, "a")]);
    }
}
