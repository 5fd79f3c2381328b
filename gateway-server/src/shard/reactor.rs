//! The poll loop of a shard: in each turn it polls, reads, takes commands, looks at its deadlines and writes.

use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token};

use super::ShardSettings;
use super::carry::freezing::Freezing;
use super::clients::Clients;
use super::command_queue::command_queue;
use super::connection::Waits;
use super::drain::Drain;
use super::event_sink::EventSink;
use super::handle::ShardHandle;
use super::heartbeat::HeartbeatRounds;
use super::index::Index;
use super::membership::NameTable;
use super::panics;
use super::resume::ResumeState;
use super::state::Shard;
use super::state::{INFLATED_IN_A_TURN, READ_IN_A_TURN};
use super::sync::{Mutex, MutexGuard, Waker};
use super::total_backlog::TotalBacklog;
use crate::inbox::notes::InboxNotes;
use crate::system::{exit, injected_faults, memory_reserve};

/// The token of the wake-up in the poll; all other tokens are keys of connections.
const WAKE: Token = Token(usize::MAX);
/// The largest number of sockets that one turn handles before it takes commands and writes.
const EVENTS_IN_A_ROW: usize = 64;
/// A turn with more sockets than this is so much work that the thread lets others have the core after it.
const MANY_EVENTS: usize = 32;

/// Starts the thread of a shard.
pub(crate) fn start(
    shard: u16,
    settings: ShardSettings,
    events: Box<dyn EventSink>,
    (uids, groups): (Arc<Index>, Arc<Index>),
    waiting: Arc<TotalBacklog>,
    parked: Arc<AtomicUsize>,
    inbox_notes: Option<InboxNotes>,
) -> io::Result<(ShardHandle, JoinHandle<()>)> {
    let mut poll = Poll::new()?;
    let (outside, commands) = command_queue(Waker::new(poll.registry(), WAKE)?);
    let (uids, groups) = (NameTable::new(uids, shard), NameTable::new(groups, shard));
    let resume = ResumeState::new(settings.secrets.clone(), settings.node, parked);
    let clients = Clients::new(uids, groups, waiting, resume, inbox_notes);
    let state = Shard::new(poll.registry().try_clone()?, commands, settings, events, clients);
    let state = Arc::new(Mutex::new(state));
    let steps = Arc::clone(&state.lock().unwrap_or_else(PoisonError::into_inner).steps);
    let handle = ShardHandle::new(outside, Arc::clone(&state), steps);
    let thread =
        std::thread::Builder::new().name(format!("shard-{shard}")).spawn(move || run(&mut poll, &state))?;
    Ok((handle, thread))
}

fn run(poll: &mut Poll, shard: &Mutex<Shard>) {
    let mut events = Events::with_capacity(EVENTS_IN_A_ROW);
    let mut patience = Some(Duration::ZERO);
    loop {
        match poll.poll(&mut events, patience) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => exit::now(&format!("a shard cannot wait for its sockets: {error}")),
        }
        let turn = || {
            let mut shard = lock(shard);
            let next = shard.turn(&events);
            (next, shard.freeze())
        };
        let (next, freezing) = panics::or_end("a turn of a shard", turn);
        match next {
            ControlFlow::Continue(_) if let Some(freezing) = freezing => {
                let steps = Arc::clone(&lock(shard).steps);
                freezing.wait(&steps);
                lock(shard).thaw();
                patience = Some(Duration::ZERO);
            }
            ControlFlow::Continue(next) => {
                patience = next;
                // Without this the kernel may leave the core to a busy shard for milliseconds, while a thread that has a push for
                // it waits.
                if patience == Some(Duration::ZERO) || events.iter().nth(MANY_EVENTS).is_some() {
                    std::thread::yield_now();
                }
            }
            ControlFlow::Break(()) => break,
        }
    }
    // Other threads hold the shard too, so its memory stays, but nothing is done there any more.
    let mut shard = lock(shard);
    shard.postponed.clear();
    shard.commands.close();
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    /// Does one turn: all that there is to do now, within the bounds of a turn. Gives how long to sleep in poll, with `None` for
    /// no limit, or `Break` when the shard has ended.
    pub(super) fn turn(&mut self, events: &Events) -> ControlFlow<(), Option<Duration>> {
        (self.may_read, self.may_inflate) = (READ_IN_A_TURN, INFLATED_IN_A_TURN);
        // Clients that have something new come before those that wait since they have used their share of an earlier turn.
        for event in events {
            self.for_client(event.token().0, |shard| shard.on_event(event));
        }
        self.hear_restored();
        self.read_on();
        if self.inflating.is_none() {
            self.inflater.rest();
        }
        injected_faults::strike("turn");
        let commands_left = self.take_commands();
        self.keep_time(Instant::now());
        self.write_slice();
        if memory_reserve::is_short() {
            self.relieve_memory();
            self.write_turn();
        }
        if self.is_stopping() && self.clients.connections.is_empty() {
            return ControlFlow::Break(());
        }
        self.watches_slow = self.has_slow();
        self.watches_held_back = self.turn.holds_back();
        let is_busy = commands_left
            || !self.turn.is_empty()
            || !self.read_on.is_empty()
            || self.unpolled.is_due()
            || self.inflating.is_some();
        ControlFlow::Continue(if is_busy { Some(Duration::ZERO) } else { self.patience() })
    }

    /// Freezes the shard if somebody has asked for it, and gives what its thread then waits with.
    pub(super) fn freeze(&mut self) -> Option<Freezing> {
        let freezing = self.freezing.take()?;
        // What was written may have closed clients, which are sent something in turn. Commands that were taken before the freeze are
        // carried out before it.
        while !self.turn.is_empty() || self.turn.holds_back() || !self.postponed.is_empty() {
            self.write_turn();
            let postponed = std::mem::take(&mut self.postponed);
            self.carry_out(postponed.into_iter());
        }
        self.is_frozen = true;
        Some(freezing)
    }

    /// Goes on after a freeze.
    pub(super) fn thaw(&mut self) {
        self.unpack();
        self.is_frozen = false;
        // The clients that were taken over meanwhile did not come in the order of their deadlines.
        self.closing.make_contiguous().sort_unstable();
        self.untold.make_contiguous().sort_unstable();
    }

    /// Whether a client may have to be closed because it takes nothing of what waits for it.
    pub(super) fn has_slow(&self) -> bool {
        !self.clients.slow.is_empty() && !self.settings.server.outbox_timeout.is_zero()
    }

    /// The time until the next deadline, or `None` if there is none.
    pub(super) fn patience(&self) -> Option<Duration> {
        let closing = self.closing.front().map(|(at, ..)| *at);
        let looks = self.rounds.iter().map(HeartbeatRounds::deadline);
        let wave = self.drain.as_ref().map(Drain::deadline);
        let slow = self.watches_slow.then_some(self.look_at_slow);
        let untold = self.untold.front().map(|(at, ..)| *at);
        let parked = self.clients.resume.parked.deadline();
        let held_back = self.turn.held_back().until;
        let unpolled = self.unpolled.deadline();
        let deadlines = [closing, wave, self.stop_at, slow, untold, parked, held_back, unpolled];
        let next = deadlines.into_iter().chain(looks).flatten().min()?;
        // The time is rounded up, as poll rounds down to whole milliseconds and would spin through the last one.
        Some(next.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    fn on_event(&mut self, event: &Event) {
        let key = event.token().0;
        if event.token() == WAKE || !self.clients.connections.contains(key) {
            return;
        }
        if event.is_writable() {
            self.write_outbox(key);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            // A client that has used its share is read when its turn comes. A client to which the write failed may have gone
            // already.
            let connection = self.clients.connections.get(key);
            if connection.is_some_and(|connection| connection.waits != Waits::ForItsTurn) {
                self.read(key, event.is_read_closed() || event.is_error());
            }
        }
    }
}
