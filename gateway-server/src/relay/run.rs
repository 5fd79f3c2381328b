//! The thread of a relay: one poll loop over all of its clients.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token};
use slab::Slab;
use tracing::error;

use super::client::RelayedClient;
use super::handle::RelayHandle;
use super::report::RelayCounts;
use super::session::{Inbound, Outbound, Ready, Rest, Session, TAKEN_AT_ONCE};
use crate::net::has_reset;

/// The token of the wake-up. A client has two tokens, twice its key for its socket and one more for its pair.
const WAKE: Token = Token(usize::MAX);
const EVENTS_IN_A_ROW: usize = 256;
/// How long a client may take nothing of what is left for it once the serving process has closed its end. The kernel is as patient with
/// connections that a process has closed.
const PATIENCE: Duration = Duration::from_secs(60);
/// The number of times within [`PATIENCE`] that the relay looks at those clients.
const LOOKS: u32 = 12;

/// A relay. Its clients belong to the thread that runs it.
pub struct Relay {
    poll: Poll,
    handle: RelayHandle,
    sessions: Slab<Session>,
    /// The keys of clients that go on in the next turn.
    queue: Vec<usize>,
    /// The number of clients whose serving process has closed its end.
    orphans: usize,
    look_at: Instant,
    buffer: Box<[u8]>,
    counts: Arc<RelayCounts>,
    patience: Duration,
}

impl Relay {
    pub fn new(counts: Arc<RelayCounts>) -> io::Result<Self> {
        let poll = Poll::new()?;
        Ok(Self {
            handle: RelayHandle::new(poll.registry(), WAKE)?,
            poll,
            sessions: Slab::new(),
            queue: Vec::new(),
            orphans: 0,
            look_at: Instant::now(),
            buffer: vec![0; TAKEN_AT_ONCE].into(),
            counts,
            patience: PATIENCE,
        })
    }

    /// Sets how long a client may take nothing of what is left for it once the serving process has closed its end, 60 seconds by
    /// default. Until then, such a client is the serving process's matter.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The handle by which other threads give the relay clients and end it.
    pub fn handle(&self) -> RelayHandle {
        self.handle.clone()
    }

    /// Carries bytes until all clients have gone and no further ones come, or until the relay is told to stop. The clients that are
    /// left then are cut off.
    pub fn run(mut self) -> io::Result<()> {
        let result = self.carry();
        self.handle.end(true);
        for session in self.sessions.drain() {
            session.cut();
            self.counts.gone();
        }
        result
    }

    fn carry(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_IN_A_ROW);
        loop {
            let told = self.handle.take();
            told.added.into_iter().for_each(|client| self.add(client));
            if told.is_complete && self.sessions.is_empty() && self.handle.end(false) {
                return Ok(());
            }
            if told.stop_at.is_some_and(|at| at <= Instant::now()) {
                return Ok(());
            }
            match self.poll.poll(&mut events, self.time_to_sleep(told.stop_at)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            for event in &events {
                self.on_event(event);
            }
            for key in std::mem::take(&mut self.queue) {
                // A client may have gone since it was queued, and another one have its key.
                if let Some(session) = self.sessions.get_mut(key) {
                    let ready = std::mem::take(&mut session.next);
                    self.work(key, ready);
                }
            }
            self.look_at_orphans();
        }
    }

    /// How long to sleep in poll, rounded up, as poll rounds down to whole milliseconds.
    fn time_to_sleep(&self, stop_at: Option<Instant>) -> Option<Duration> {
        if !self.queue.is_empty() {
            return Some(Duration::ZERO);
        }
        let look_at = (self.orphans > 0).then_some(self.look_at);
        let next = [stop_at, look_at].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    fn add(&mut self, client: RelayedClient) {
        let entry = self.sessions.vacant_entry();
        let key = entry.key();
        let session = entry.insert(Session::new(client));
        self.counts.came();
        if let Err(error) = session.register(self.poll.registry(), Token(2 * key), Token(2 * key + 1)) {
            error!(%error, "a relayed client cannot be polled and is dropped");
            return self.remove(key, Session::reset);
        }
        // The TLS session may hold bytes of both directions, of which no socket tells.
        self.queue(key, Ready { inbound: true, outbound: true, ..Ready::default() });
    }

    fn on_event(&mut self, event: &Event) {
        let Token(token) = event.token();
        if event.token() == WAKE || !self.sessions.contains(token / 2) {
            return;
        }
        let has_ended = event.is_error() || event.is_read_closed() || event.is_write_closed();
        let [can_read, can_write] = [event.is_readable(), event.is_writable()].map(|can| can || has_ended);
        let is_pair = token % 2 == 1;
        let (inbound, outbound) = if is_pair { (can_write, can_read) } else { (can_read, can_write) };
        let is_orphaned = is_pair && event.is_write_closed();
        let has_failed = !is_pair && event.is_error();
        self.work(token / 2, Ready { inbound, outbound, is_orphaned, has_failed });
    }

    /// Does what there is to do for one client.
    fn work(&mut self, key: usize, ready: Ready) {
        let session = &mut self.sessions[key];
        if ready.is_orphaned && session.orphaned.is_none() {
            if has_reset(&session.pair) {
                return self.remove(key, Session::reset);
            }
            // With both directions shut by each end's own will, the serving process has not closed its end, but nothing is left to
            // wait for either.
            session.orphaned = Some(Instant::now());
            if session.inbound == Inbound::Open {
                session.inbound = Inbound::Refused;
            }
            if self.orphans == 0 {
                self.look_at = Instant::now() + self.patience / LOOKS;
            }
            self.orphans += 1;
        }
        let mut next = Ready::default();
        if ready.inbound {
            next.inbound = session.carry_inbound(&self.counts) == Rest::More;
        }
        // The client has ended its direction before, so that no read tells of the failure.
        if ready.has_failed && session.inbound != Inbound::Open {
            session.outbound = Outbound::Refused;
        }
        if ready.outbound {
            match session.carry_outbound(&mut self.buffer, &self.counts) {
                Rest::Nothing => {}
                Rest::More => next.outbound = true,
                Rest::Reset => return self.remove(key, Session::reset),
            }
        }
        if session.is_over() {
            return self.remove(key, drop);
        }
        self.queue(key, next);
    }

    fn queue(&mut self, key: usize, ready: Ready) {
        let next = &mut self.sessions[key].next;
        if ready.is_any() && !next.is_any() {
            self.queue.push(key);
        }
        next.inbound |= ready.inbound;
        next.outbound |= ready.outbound;
    }

    /// Resets the connections of clients that take nothing, for whom nobody else cares any more.
    fn look_at_orphans(&mut self) {
        let now = Instant::now();
        if self.orphans == 0 || now < self.look_at {
            return;
        }
        self.look_at = now + self.patience / LOOKS;
        let patience = self.patience;
        let is_stuck = |session: &Session| session.orphaned.is_some_and(|at| now - at >= patience);
        let stuck: Vec<_> =
            self.sessions.iter().filter(|(_, session)| is_stuck(session)).map(|(key, _)| key).collect();
        for key in stuck {
            self.remove(key, Session::reset);
        }
    }

    /// Ends the connection of a client.
    fn remove(&mut self, key: usize, end: impl FnOnce(Session)) {
        let session = self.sessions.remove(key);
        self.orphans -= usize::from(session.orphaned.is_some());
        end(session);
        self.counts.gone();
    }
}
