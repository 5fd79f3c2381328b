//! The loop of a shard: poll, read, take commands, keep time, write.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::iter::Peekable;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Registry, Token};
use smallvec::SmallVec;
use socket2::SockRef;

use super::command::{Audience, Command, NewConnection, PlaceOf};
use super::connection::{Connection, Phase, Waits};
use super::drain::Drain;
use super::event_sink::{Client, EventSink, Welcome};
use super::fault::{self, Concerned};
use super::handle::ShardHandle;
use super::heartbeat::{Action, HeartbeatRounds};
use super::identity::ClaimedIdentity;
use super::inbox::{InboxReceiver, inbox};
use super::index::Index;
use super::membership::NameTable;
use super::rate_limit::RateMeters;
use super::reader::{INFLATED_IN_A_TURN, READ_BUFFER, READ_IN_A_TURN};
use super::state::Clients;
use super::sync::{Mutex, Waker};
use super::total_backlog::TotalBacklog;
use super::uring::Ring;
use super::write_batch::WriteBatch;
use super::writer::farewell;
use super::{Settings, coalesce};
use crate::protocol::close::{self, Close};
use crate::protocol::websocket::{self, Inflater, Kind};
use crate::protocol::{self, Encoded};
use crate::system::memory_reserve::NoMemory;
use crate::system::{exit, injected_faults, memory_reserve};
use crate::telemetry::abuse_log::{self, Offence};
use gateway_wire::ClientId;

const WAKE: Token = Token(usize::MAX);
/// Sockets that are looked after before commands are taken and what was caused is written.
const EVENTS_IN_A_ROW: usize = 64;
/// More than these are so much work that others wait for the core meanwhile.
const MANY_EVENTS: usize = 32;
/// Commands taken before what they caused is written; some [cost](Command::cost) more than one.
const COMMANDS_IN_A_ROW: usize = 1024;
/// Bytes of sessions, and of changes to them, that are merged before the same.
const MERGED_IN_A_ROW: usize = 256 << 10;

/// Starts a shard's thread.
pub(crate) fn start(
    shard: u16,
    settings: Settings,
    events: Box<dyn EventSink>,
    (uids, groups): (Arc<Index>, Arc<Index>),
    waiting: Arc<TotalBacklog>,
) -> io::Result<(ShardHandle, JoinHandle<()>)> {
    let mut poll = Poll::new()?;
    let (outside, inbox) = inbox(Waker::new(poll.registry(), WAKE)?);
    let (uids, groups) = (NameTable::new(uids, shard), NameTable::new(groups, shard));
    let clients = Clients::new(uids, groups, waiting);
    let state = Shard::new(poll.registry().try_clone()?, inbox, settings, events, clients);
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
        let turn = || shard.lock().unwrap_or_else(PoisonError::into_inner).turn(&events);
        match fault::or_end("a turn of a shard", turn) {
            ControlFlow::Continue(next) => {
                patience = next;
                // The kernel would leave the core to a busy shard for milliseconds, while a thread with a push waits for it.
                if patience == Some(Duration::ZERO) || events.iter().nth(MANY_EVENTS).is_some() {
                    std::thread::yield_now();
                }
            }
            ControlFlow::Break(()) => break,
        }
    }
    // The shard stays, as others hold it too, but it does nothing any more.
    shard.lock().unwrap_or_else(PoisonError::into_inner).inbox.close();
}

pub(super) struct Shard {
    pub(super) settings: Settings,
    registry: Registry,
    pub(super) inbox: InboxReceiver,
    pub(super) clients: Clients,
    /// Told of what they do.
    pub(super) events: Box<dyn EventSink>,
    pub(super) turn: WriteBatch,
    pub(super) buffer: Box<[u8]>,
    pub(super) inflater: Inflater,
    /// Connections that may have more to read than their share of a turn.
    pub(super) read_on: VecDeque<usize>,
    /// Bytes that may still be read in this turn.
    pub(super) may_read: usize,
    /// Bytes to which messages may still be inflated in this turn.
    pub(super) may_inflate: usize,
    /// The connection a message of which is inflated in part, and goes on with the next turn.
    pub(super) inflating: Option<usize>,
    /// Connections that were not read since nobody takes more of their events.
    pub(super) paused: Vec<usize>,
    /// The heartbeat's rounds of each door.
    rounds: Vec<HeartbeatRounds>,
    /// When those that were sent a close frame are dropped: by key and number, soonest first.
    pub(super) closing: VecDeque<(Instant, usize, u32)>,
    /// When it is looked next at those for whom something waits.
    pub(super) look_at_slow: Instant,
    /// The thread wakes up for it.
    watches_slow: bool,
    /// Clients are being closed, wave by wave.
    drain: Option<Drain>,
    /// All have been closed, and those that are still here then are dropped.
    stop_at: Option<Instant>,
    pub(super) meters: RateMeters,
    pub(super) borne: fault::Borne,
    /// What has been done so far, for those who watch whether anything is.
    pub(super) steps: Arc<AtomicU64>,
    /// For sends to many at once.
    pub(super) ring: Option<Ring>,
}

impl Shard {
    pub(super) fn new(
        registry: Registry,
        inbox: InboxReceiver,
        settings: Settings,
        events: Box<dyn EventSink>,
        clients: Clients,
    ) -> Self {
        let now = Instant::now();
        let ring = settings.io_uring.then(Ring::open).transpose();
        Self {
            ring: ring.inspect_err(|error| tracing::debug!(%error, "no io_uring")).unwrap_or_default(),
            rounds: settings.doors.iter().map(|door| HeartbeatRounds::new(&door.heartbeat, now)).collect(),
            settings,
            registry,
            inbox,
            clients,
            events,
            turn: WriteBatch::default(),
            buffer: vec![0; READ_BUFFER].into(),
            inflater: Inflater::default(),
            read_on: VecDeque::new(),
            may_read: READ_IN_A_TURN,
            may_inflate: INFLATED_IN_A_TURN,
            inflating: None,
            paused: Vec::new(),
            closing: VecDeque::new(),
            look_at_slow: now,
            watches_slow: false,
            drain: None,
            stop_at: None,
            meters: RateMeters::default(),
            borne: fault::Borne::default(),
            steps: Arc::default(),
        }
    }

    // ── For others, while the thread sleeps ─────────────────────────────────────────────────────────────────────────────

    /// Everything that was sent before is done, and the shard goes on.
    pub(super) fn is_free(&self) -> bool {
        self.inbox.is_empty() && self.stop_at.is_none()
    }

    pub(super) fn clients(&self) -> &Clients {
        &self.clients
    }

    /// One command, of which what it writes waits for [`Shard::flush`] or the next turn.
    pub(super) fn obey_alone(&mut self, command: Command) {
        let concerned = Concerned::by(&command);
        self.for_command(concerned, |shard| shard.obey(command, &mut std::iter::empty().peekable()));
        if self.turn.is_full() {
            self.write_turn();
        }
    }

    /// False if the thread must take note of a deadline.
    pub(super) fn flush(&mut self) -> bool {
        self.write_turn();
        self.closing.is_empty() && (self.watches_slow || !self.has_slow())
    }

    // ── Turns ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Does all that there is to do; gives how long to wait for more, unless the shard has ended.
    pub(super) fn turn(&mut self, events: &Events) -> ControlFlow<(), Option<Duration>> {
        (self.may_read, self.may_inflate) = (READ_IN_A_TURN, INFLATED_IN_A_TURN);
        // Clients that are new in this turn come before those that have had their share of others.
        for event in events {
            self.for_client(event.token().0, |shard| shard.on_event(event));
        }
        self.read_on();
        if self.inflating.is_none() {
            self.inflater.rest();
        }
        injected_faults::strike("turn");
        let commands_left = self.take_commands();
        self.keep_time(Instant::now());
        self.write_turn();
        if memory_reserve::is_short() {
            self.relieve_memory();
            self.write_turn();
        }
        if self.is_stopping() && self.clients.connections.is_empty() {
            return ControlFlow::Break(());
        }
        self.watches_slow = self.has_slow();
        let is_busy = commands_left || !self.read_on.is_empty() || self.inflating.is_some();
        ControlFlow::Continue(if is_busy { Some(Duration::ZERO) } else { self.patience() })
    }

    /// A client may have to be given up for taking nothing of what waits for it.
    fn has_slow(&self) -> bool {
        !self.clients.slow.is_empty() && !self.settings.outbox_timeout.is_zero()
    }

    fn patience(&self) -> Option<Duration> {
        let closing = self.closing.front().map(|(at, ..)| *at);
        let looks = self.rounds.iter().map(HeartbeatRounds::deadline);
        let wave = self.drain.as_ref().map(Drain::deadline);
        let slow = self.watches_slow.then_some(self.look_at_slow);
        let next = [closing, wave, self.stop_at, slow].into_iter().chain(looks).flatten().min()?;
        // Rounded up, as the poll rounds down to whole milliseconds and would spin through the last one.
        Some(next.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    // ── Sockets ─────────────────────────────────────────────────────────────────────────────────────────────────────

    fn on_event(&mut self, event: &Event) {
        let key = event.token().0;
        if event.token() == WAKE || !self.clients.connections.contains(key) {
            return;
        }
        if event.is_writable() {
            self.write_outbox(key);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            // Who waits for his turn is read when it comes, and who could not be written to may have gone.
            let connection = self.clients.connections.get(key);
            if connection.is_some_and(|connection| connection.waits != Waits::ForItsTurn) {
                self.read(key, event.is_read_closed() || event.is_error());
            }
        }
    }

    // ── Coming and going ────────────────────────────────────────────────────────────────────────────────────────────

    fn adopt(&mut self, number: u32, newcomer: NewConnection, identity: Option<Box<ClaimedIdentity>>) {
        if !self.clients.has_room_for_one() {
            // The end of its connection is all that it is told.
            return abuse_log::report(Offence::NoMemory, newcomer.address, &NoMemory);
        }
        let NewConnection { socket, tls, door, form, early, address, handshake, place } = newcomer;
        let (key, is_online) = match self.clients.insert(socket, number, form, door, &self.registry) {
            Ok(inserted) => inserted,
            Err(error) => return tracing::error!(%error, "a new connection cannot be polled and is dropped"),
        };
        if let Some(tls) = tls {
            self.clients.connections[key].speak_tls(tls);
            // It may hold what the client said behind its handshake.
            self.read_later(key);
        }
        if address.is_some() {
            self.clients.connections[key].extra_mut().rare_mut().address = address;
        }
        if let Some(place) = place {
            self.clients.places.insert(key, place);
        }
        if !is_online || self.is_stopping() {
            let close = if is_online { close::GOING_AWAY } else { close::TRY_AGAIN };
            return self.close(key, close, Phase::Closing);
        }
        if let Some(identity) = identity {
            self.clients.introduce(key, *identity, self.settings.bounds);
        }
        let client = Client::of(&self.clients.connections[key], &self.settings.doors);
        match self.events.connected(&client, handshake) {
            Welcome::BuiltIn => {
                let id = ClientId::new(self.settings.node, number);
                let proof = self.settings.proofs.of(number);
                let init = format!(r#"{{"type":"init","client_id":"{id}","proof":"{proof}"}}"#);
                self.send(key, protocol::message(form, Kind::Text, init.as_bytes()));
                self.clients.counts.messages_out += 1;
            }
            Welcome::Elsewhere => {}
            Welcome::Refused => self.close(key, close::TRY_AGAIN, Phase::Closing),
        }
        self.hear_early(key, &early);
    }

    /// From now on the client is offline for everybody else.
    pub(super) fn forget(&mut self, key: usize) {
        if self.clients.holds_its_number(key) {
            self.events.closed(&Client::of(&self.clients.connections[key], &self.settings.doors));
        }
        self.clients.forget(key);
    }

    /// Sends a close frame to those who know such a thing; others see the end of the connection behind what is queued. From
    /// now on the client is offline for everybody else.
    pub(super) fn close(&mut self, key: usize, close: Close, phase: Phase) {
        self.forget(key);
        if self.clients.connections[key].phase != Phase::Open {
            return;
        }
        let form = self.clients.connections[key].form;
        self.send(key, farewell(form, close));
        let connection = &mut self.clients.connections[key];
        connection.phase = if form.is_websocket() { phase } else { Phase::Discarding };
        let is_heard = connection.phase == Phase::Closing;
        self.closing.push_back((Instant::now() + self.settings.close_timeout, key, connection.number));
        if !is_heard {
            drop(self.clients.take_unfinished(key));
        }
    }

    /// Both sides have said what they had to say: what is queued goes out, then the socket closes.
    pub(super) fn finish(&mut self, key: usize) {
        self.clients.connections[key].phase = Phase::Finishing;
        self.after_write(key);
    }

    pub(super) fn drop_connection(&mut self, key: usize) {
        self.forget(key);
        self.meters.forget(key);
        if let Some((mut tls, _)) = self.clients.connections[key].tls() {
            tls.finish();
        }
        self.clients.remove(key, &self.registry);
    }

    /// Drops a connection whose peer is to get nothing more, or takes nothing more: the kernel must not keep what it has not
    /// sent yet.
    pub(super) fn abort(&mut self, key: usize) {
        // It fails only on a socket that is gone already.
        let _ = SockRef::from(&self.clients.connections[key].socket).set_linger(Some(Duration::ZERO));
        self.drop_connection(key);
    }

    // ── Commands ────────────────────────────────────────────────────────────────────────────────────────────────────

    fn take_commands(&mut self) -> bool {
        let mut commands = SmallVec::<[Command; 32]>::new();
        let mut cost = 0;
        self.clients.merged = 0;
        loop {
            let left = self.inbox.drain(commands.inline_size(), |command| {
                // One that may cost much is the last before it is seen whether there is time for more.
                let is_cheap = command.is_cheap();
                cost += command.cost();
                commands.push(command);
                is_cheap
            });
            let mut commands = commands.drain(..).peekable();
            while let Some(command) = commands.next() {
                let concerned = Concerned::by(&command);
                self.for_command(concerned, |shard| shard.obey(command, &mut commands));
            }
            if !left
                || cost >= COMMANDS_IN_A_ROW
                || self.clients.merged >= MERGED_IN_A_ROW
                || self.turn.is_full()
            {
                return left;
            }
        }
    }

    fn obey(&mut self, command: Command, next: &mut Peekable<impl Iterator<Item = Command>>) {
        match command {
            Command::Adopt { number, newcomer, identity } => self.adopt(number, newcomer, identity),
            Command::Deliver { to, frame } => {
                let (frame, messages) = coalesce::with_next(&to, frame, next);
                self.deliver(&to, frame, messages);
            }
            Command::Close { number, last } => {
                if let Some(key) = self.clients.key(number) {
                    if let Some(last) = last {
                        let last = self.turn.add(last)[self.clients.connections[key].form as usize];
                        self.turn.link(key, &mut self.clients.connections[key].pending, last);
                        self.clients.counts.messages_out += 1;
                    }
                    self.close(key, close::BY_APPLICATION, Phase::Closing);
                }
            }
            Command::Destroy { number } => {
                if let Some(key) = self.clients.key(number) {
                    self.abort(key);
                }
            }
            Command::GiveUp { key, number } => self.give_up(key, number),
            Command::Change { number, change } => self.clients.change(number, change, self.settings.bounds),
            Command::Ungroup { group } => self.clients.ungroup(&group),
            Command::Ask(question) => question(&self.clients),
            Command::Shrink => self.clients.shrink(),
            Command::ReadOn => self.resume(),
            Command::Configure(settings) => self.configure(&settings),
            Command::Recount(place_of) => self.recount(&place_of),
            Command::Stop { over, patience } => {
                let online = self.clients.online().len();
                self.drain = Some(Drain::new(online, over, patience, Instant::now()));
            }
        }
    }

    fn deliver(&mut self, to: &Audience, message: Encoded, messages: u64) {
        injected_faults::strike("delivery");
        let parts = to.parts();
        let again = (parts > 1).then(|| message.clone());
        let mut frames = self.turn.add(message);
        let mut receivers = 0;
        for part in 0..parts {
            // A long list may name everybody again and again: what waits to be written is bounded all the same.
            if self.turn.is_full()
                && let Some(message) = &again
            {
                self.write_turn();
                frames = self.turn.add(message.clone());
            }
            let Self { clients, turn, .. } = self;
            clients.each_of(to, part, |key, connection| {
                receivers += 1;
                turn.link(key, &mut connection.pending, frames[connection.form as usize]);
            });
        }
        self.clients.counts.messages_out += receivers * messages;
    }

    fn configure(&mut self, settings: &Settings) {
        self.clients.held.total().set_bound(settings.bounds.waiting);
        let now = Instant::now();
        for (door, new) in settings.doors.iter().enumerate() {
            if self.settings.doors[door].heartbeat == new.heartbeat {
                continue;
            }
            self.rounds[door] = HeartbeatRounds::new(&new.heartbeat, now);
            // Nobody is given up for silence that was allowed.
            for (_, connection) in &mut self.clients.connections {
                if usize::from(connection.door) == door {
                    connection.quiet = 0;
                }
            }
        }
        self.settings = settings.clone();
    }

    fn recount(&mut self, place_of: &PlaceOf) {
        let Self { clients, settings, .. } = self;
        for (key, connection) in &clients.connections {
            match place_of(Client::of(connection, &settings.doors).peer()) {
                Some(place) => drop(clients.places.insert(key, place)),
                None => drop(clients.places.remove(&key)),
            }
        }
    }

    // ── Time ────────────────────────────────────────────────────────────────────────────────────────────────────────

    fn keep_time(&mut self, now: Instant) {
        for door in 0..self.rounds.len() {
            for key in self.rounds[door].due(now, self.clients.connections.capacity()) {
                self.for_client(key, |shard| shard.look_at(door, key, now));
            }
        }
        while let Some((at, key, number)) = self.closing.front().copied() {
            if at > now {
                break;
            }
            self.closing.pop_front();
            // The key may belong to somebody new by now.
            let is_closing = |one: &Connection| one.number == number && one.phase != Phase::Open;
            if self.clients.connections.get(key).is_some_and(is_closing) {
                self.close_by_now(key, now);
            }
        }
        if self.has_slow() && now >= self.look_at_slow {
            self.give_up_stalled(now);
        }
        self.drain(now);
        if self.stop_at.is_some_and(|at| now >= at) {
            for key in self.clients.connections.iter().map(|(key, _)| key).collect::<Vec<_>>() {
                self.abort(key);
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.drain.is_some() || self.stop_at.is_some()
    }

    /// Closes those whose turn it is.
    fn drain(&mut self, now: Instant) {
        let Some(drain) = &mut self.drain else { return };
        let Some(left) = drain.left(now) else { return };
        if left == 0 {
            let at = now + drain.patience;
            // A second call does not make the first one's wait longer.
            self.stop_at = Some(self.stop_at.map_or(at, |before| before.min(at)));
            self.drain = None;
        }
        let due = self.clients.online().len().saturating_sub(left);
        for key in self.clients.online().take(due).collect::<Vec<_>>() {
            self.close(key, close::GOING_AWAY, Phase::Closing);
        }
    }

    /// A heartbeat's look at a connection, if it came in by this door.
    pub(super) fn look_at(&mut self, door: usize, key: usize, now: Instant) {
        // What one says that is paused or has to wait for its turn is not heard for our own reasons.
        let is_due = |one: &&mut Connection| {
            usize::from(one.door) == door && one.phase == Phase::Open && one.waits == Waits::No
        };
        let Some(connection) = self.clients.connections.get_mut(key).filter(is_due) else { return };
        let heartbeat = &self.settings.doors[door].heartbeat;
        let has_outbox = connection.has_outbox();
        // It is there while it takes of what waits for it. What it says to a ping would come behind all that.
        if has_outbox && connection.takes_within(heartbeat.look_every(), now) {
            connection.quiet = 0;
            return;
        }
        match heartbeat.look(&mut connection.quiet) {
            Action::Nothing => {}
            Action::Ping if has_outbox => {}
            Action::Ping => {
                let ping = match heartbeat.data.as_slice() {
                    [] if connection.form.is_websocket() => websocket::ping(),
                    // Its protocol has no ping.
                    [] => return,
                    data => protocol::message(connection.form, self.settings.message_kind, data),
                };
                self.send(key, ping);
            }
            Action::GiveUp => self.abort(key),
        }
    }
}
