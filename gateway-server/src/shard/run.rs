//! The loop of a shard: poll, read, take commands, keep time, write.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hashbrown::HashMap;
use mio::event::Event;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;
use smallvec::SmallVec;

use super::Settings;
use super::command::{Audience, Command, Except, Question};
use super::connection::{Connection, Phase};
use super::heartbeat::{Action, Rounds};
use super::inbox::{Inbox, Outside, inbox};
use super::index::Index;
use super::members::Names;
use super::outbox::write_some;
use super::turn::{Chain, Turn};
use crate::client::close::{self, Close};
use crate::client::websocket::{self, Decoder, Incoming, Kind};
use crate::ops::offence::{self, Offence};
use gateway_wire::ClientId;

const WAKE: Token = Token(usize::MAX);
/// One buffer for all reads of a shard.
const READ_BUFFER: usize = 64 << 10;
/// Reads from one client before others have their turn.
const READS_IN_A_ROW: usize = 4;
/// Commands taken before what they caused is written.
const COMMANDS_IN_A_ROW: usize = 1024;
/// Slices of one vectored write; more than this many frames for one client go out in several.
const SLICES: usize = 32;

pub(super) fn start(
    shard: u16,
    settings: Settings,
    uids: Arc<Index>,
    groups: Arc<Index>,
) -> io::Result<(Outside, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let (outside, inbox) = inbox(Waker::new(poll.registry(), WAKE)?);
    let thread = std::thread::Builder::new().name(format!("shard-{shard}")).spawn(move || {
        let (uids, groups) = (Names::new(uids, shard), Names::new(groups, shard));
        Shard::new(poll, inbox, settings, uids, groups).run();
    })?;
    Ok((outside, thread))
}

struct Shard {
    settings: Settings,
    poll: Poll,
    inbox: Inbox,
    connections: Slab<Connection>,
    /// Keys of the connections that count as online; one that is closing is in the slab only.
    online: HashMap<u32, u32>,
    uids: Names,
    groups: Names,
    turn: Turn,
    buffer: Box<[u8]>,
    /// Connections that may have more to read than their share of a turn.
    read_on: Vec<usize>,
    rounds: Rounds,
    /// When those that were sent a close frame are dropped: by key and number, soonest first.
    closing: VecDeque<(Instant, usize, u32)>,
    stop_at: Option<Instant>,
}

impl Shard {
    fn new(poll: Poll, inbox: Inbox, settings: Settings, uids: Names, groups: Names) -> Self {
        Self {
            rounds: Rounds::new(&settings.heartbeat, Instant::now()),
            settings,
            poll,
            inbox,
            connections: Slab::new(),
            online: HashMap::new(),
            uids,
            groups,
            turn: Turn::default(),
            buffer: vec![0; READ_BUFFER].into(),
            read_on: Vec::new(),
            closing: VecDeque::new(),
            stop_at: None,
        }
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        let mut commands_left = false;
        loop {
            let patience = if commands_left || !self.read_on.is_empty() {
                Some(Duration::ZERO)
            } else {
                self.patience()
            };
            match self.poll.poll(&mut events, patience) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "a shard cannot wait for its sockets and ends");
                    return;
                }
            }
            for key in std::mem::take(&mut self.read_on) {
                self.read(key, true);
            }
            for event in &events {
                self.on_event(event);
            }
            commands_left = self.take_commands();
            self.keep_time(Instant::now());
            self.write_turn();
            if self.stop_at.is_some() && self.connections.is_empty() {
                return;
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        let closing = self.closing.front().map(|(at, ..)| *at);
        let next = [closing, self.rounds.deadline(), self.stop_at].into_iter().flatten().min()?;
        // Rounded up, as the poll rounds down to whole milliseconds and would spin through the last one.
        Some(next.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    // ── Sockets ─────────────────────────────────────────────────────────────────────────────────────────────────────

    fn on_event(&mut self, event: &Event) {
        let key = event.token().0;
        if event.token() == WAKE || !self.connections.contains(key) {
            return;
        }
        if event.is_writable() {
            self.write_outbox(key);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(key, event.is_read_closed() || event.is_error());
        }
    }

    /// Reads one client's share. A short read means that the kernel has no more, unless an end was `seen` with it,
    /// which is then not reported again.
    fn read(&mut self, key: usize, end_seen: bool) {
        for _ in 0..READS_IN_A_ROW {
            let Some(connection) = self.connections.get_mut(key) else { return };
            match connection.socket.read(&mut self.buffer) {
                Ok(0) => return self.drop_connection(key),
                Ok(length) => {
                    connection.quiet = 0;
                    if matches!(connection.phase, Phase::Open | Phase::Closing) {
                        self.take_input(key, length);
                    }
                    if self.turn.is_full() {
                        self.write_turn();
                    }
                    if length < self.buffer.len() && !end_seen {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.drop_connection(key),
            }
        }
        self.read_on.push(key);
    }

    /// Takes in `length` bytes of the buffer.
    fn take_input(&mut self, key: usize, length: usize) {
        let decoder = Decoder { max_message: self.settings.max_message };
        let Self { connections, buffer, turn, .. } = self;
        let connection = &mut connections[key];
        let mut unfinished = connection.existing_extra_mut().and_then(|extra| extra.unfinished.take());
        let mut is_closed = false;
        let result = decoder.decode(&mut buffer[..length], &mut unfinished, |incoming| match incoming {
            // Nobody listens to clients while the built-in events serve.
            Incoming::Message(..) | Incoming::Pong => {}
            Incoming::Ping(payload) => {
                let pong = turn.add_frame(websocket::pong(payload));
                turn.link(key, &mut connection.pending, pong);
            }
            Incoming::Close => is_closed = true,
        });
        if unfinished.is_some() {
            connection.extra_mut().unfinished = unfinished;
        } else {
            connection.slim();
        }

        if let Err(violation) = result {
            offence::report(Offence::Protocol, connection.socket.peer_addr().ok(), &violation);
        }
        match (result, connection.phase) {
            (Err(violation), Phase::Open) => self.close(key, violation.close(), Phase::Discarding),
            (Ok(()), Phase::Open) if is_closed => self.close(key, close::BY_APPLICATION, Phase::Finishing),
            // It answers the close frame that we sent, or nothing that it says is understood any more.
            (Err(_), _) => self.finish(key),
            (Ok(()), _) if is_closed => self.finish(key),
            _ => {}
        }
    }

    // ── Coming and going ────────────────────────────────────────────────────────────────────────────────────────────

    fn adopt(&mut self, socket: std::net::TcpStream, number: u32) {
        let entry = self.connections.vacant_entry();
        let key = entry.key();
        let mut socket = mio::net::TcpStream::from_std(socket);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut socket, Token(key), interest) {
            tracing::error!(%error, "a new connection cannot be polled and is dropped");
            return;
        }
        entry.insert(Connection::new(socket, number));

        // Numbers come again only after 2³² others.
        if self.online.contains_key(&number) {
            return self.close(key, close::TRY_AGAIN, Phase::Closing);
        }
        self.online.insert(number, key as u32);
        if self.stop_at.is_some() {
            return self.close(key, close::GOING_AWAY, Phase::Closing);
        }
        let id = ClientId::new(self.settings.node, number);
        let init = format!(r#"{{"type":"init","client_id":"{id}"}}"#);
        self.send(key, websocket::message(Kind::Text, init.as_bytes()));
    }

    /// Sends a close frame. From now on the client is offline for everybody else.
    fn close(&mut self, key: usize, close: Close, phase: Phase) {
        self.forget(key);
        if self.connections[key].phase != Phase::Open {
            return;
        }
        self.send(key, websocket::close(close));
        let connection = &mut self.connections[key];
        connection.phase = phase;
        self.closing.push_back((Instant::now() + self.settings.close_timeout, key, connection.number));
    }

    /// Both sides have said what they had to say: what is queued goes out, then the socket closes.
    fn finish(&mut self, key: usize) {
        self.connections[key].phase = Phase::Finishing;
        self.after_write(key);
    }

    /// Takes the client out of everything by which others find it.
    fn forget(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if self.online.get(&connection.number) == Some(&(key as u32)) {
            self.online.remove(&connection.number);
            // Give memory back after a peak.
            if self.online.len() < self.online.capacity() / 8 {
                self.online.shrink_to_fit();
            }
        }
        if let Some(extra) = connection.existing_extra_mut() {
            extra.memberships.leave_all(&mut self.uids, &mut self.groups, key);
        }
    }

    fn drop_connection(&mut self, key: usize) {
        self.forget(key);
        let mut connection = self.connections.remove(key);
        // Closing the descriptor takes it out of the poll as well; this is for the poll's own books.
        let _ = self.poll.registry().deregister(&mut connection.socket);
        if self.connections.is_empty() {
            self.connections.shrink_to_fit();
        }
    }

    // ── Commands ────────────────────────────────────────────────────────────────────────────────────────────────────

    fn take_commands(&mut self) -> bool {
        let mut commands = SmallVec::<[Command; 32]>::new();
        let mut taken = 0;
        loop {
            let left = self.inbox.drain(commands.inline_size(), |command| commands.push(command));
            taken += commands.len();
            for command in commands.drain(..) {
                self.obey(command);
            }
            if !left || taken >= COMMANDS_IN_A_ROW || self.turn.is_full() {
                return left;
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Adopt { socket, number } => self.adopt(socket, number),
            Command::Deliver { to, frame } => self.deliver(&to, frame),
            Command::Close { number, last } => {
                if let Some(key) = self.key(number) {
                    if let Some(last) = last {
                        self.send(key, last);
                    }
                    self.close(key, close::BY_APPLICATION, Phase::Closing);
                }
            }
            Command::Bind { number, uid } => match self.key(number) {
                Some(key) => self.connections[key].extra_mut().memberships.bind(&mut self.uids, &uid, key),
                None => self.uids.disclaim(&uid),
            },
            Command::Unbind { number } => {
                if let Some(key) = self.key(number) {
                    self.connections[key].extra_mut().memberships.unbind(&mut self.uids, key);
                    self.connections[key].slim();
                }
            }
            Command::Join { number, group } => match self.key(number) {
                Some(key) => {
                    self.connections[key].extra_mut().memberships.join(&mut self.groups, &group, key)
                }
                None => self.groups.disclaim(&group),
            },
            Command::Leave { number, group } => {
                if let Some(key) = self.key(number) {
                    self.connections[key].extra_mut().memberships.leave(&mut self.groups, &group, key);
                    self.connections[key].slim();
                }
            }
            Command::Ask(question) => self.answer(question),
            Command::Stop { patience } => self.stop(patience),
        }
    }

    fn key(&self, number: u32) -> Option<usize> {
        self.online.get(&number).map(|key| *key as usize)
    }

    fn deliver(&mut self, to: &Audience, frame: Bytes) {
        let frame = self.turn.add_frame(frame);
        let Self { connections, turn, online, uids, groups, .. } = self;
        let mut link = |key: usize, connection: &mut Connection, except: &Except| {
            if !except.has(connection.number) {
                turn.link(key, &mut connection.pending, frame);
            }
        };
        let nobody = Except::default();
        match to {
            Audience::All { except } => {
                for (key, connection) in connections.iter_mut().filter(|(_, one)| one.phase == Phase::Open) {
                    link(key, connection, except);
                }
            }
            Audience::Connections(numbers) => {
                for key in numbers.iter().filter_map(|number| online.get(number)) {
                    link(*key as usize, &mut connections[*key as usize], &nobody);
                }
            }
            Audience::Uids(names) => {
                for key in names.iter().flat_map(|uid| uids.holders(uid)) {
                    link(key, &mut connections[key], &nobody);
                }
            }
            Audience::Groups { groups: names, except } => {
                for key in names.iter().flat_map(|group| groups.holders(group)) {
                    link(key, &mut connections[key], except);
                }
            }
        }
    }

    /// Whoever asked may have gone; then nobody misses the answer.
    fn answer(&self, question: Question) {
        match question {
            Question::IsOnline(number, back) => drop(back.send(self.online.contains_key(&number))),
            Question::IsUidOnline(uid, back) => drop(back.send(self.uids.is_held(&uid))),
            Question::ConnectionsOfUid(uid, back) => {
                drop(back.send(self.uids.holders(&uid).map(|key| self.connections[key].number).collect()));
            }
            Question::UidOf(number, back) => {
                let extra = self.key(number).and_then(|key| self.connections[key].extra());
                let uid = extra.and_then(|extra| extra.memberships.uid.as_deref());
                drop(back.send(uid.map(Bytes::copy_from_slice)));
            }
            Question::Count(back) => drop(back.send(self.online.len())),
        }
    }

    fn stop(&mut self, patience: Duration) {
        self.stop_at = Some(Instant::now() + patience);
        for key in self.online.values().map(|key| *key as usize).collect::<Vec<_>>() {
            self.close(key, close::GOING_AWAY, Phase::Closing);
        }
    }

    // ── Time ────────────────────────────────────────────────────────────────────────────────────────────────────────

    fn keep_time(&mut self, now: Instant) {
        for key in self.rounds.due(now, self.connections.capacity()) {
            let Some(connection) = self.connections.get_mut(key).filter(|one| one.phase == Phase::Open)
            else {
                continue;
            };
            match self.settings.heartbeat.look(&mut connection.quiet) {
                Action::Nothing => {}
                Action::Ping => self.send(key, self.ping()),
                Action::GiveUp => self.drop_connection(key),
            }
        }
        while let Some((at, key, number)) = self.closing.front().copied() {
            if at > now {
                break;
            }
            self.closing.pop_front();
            // The key may belong to somebody new by now.
            let is_closing = |one: &Connection| one.number == number && one.phase != Phase::Open;
            if self.connections.get(key).is_some_and(is_closing) {
                self.drop_connection(key);
            }
        }
        if self.stop_at.is_some_and(|at| now >= at) {
            for key in self.connections.iter().map(|(key, _)| key).collect::<Vec<_>>() {
                self.drop_connection(key);
            }
        }
    }

    fn ping(&self) -> Bytes {
        match self.settings.heartbeat.data.as_slice() {
            [] => websocket::ping(),
            data => websocket::message(self.settings.message_kind, data),
        }
    }

    // ── Writing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    fn send(&mut self, key: usize, frame: Bytes) {
        let frame = self.turn.add_frame(frame);
        self.turn.link(key, &mut self.connections[key].pending, frame);
    }

    /// Writes to each client, once, what the turn has brought it.
    fn write_turn(&mut self) {
        let touched = self.turn.take_touched();
        for key in &touched {
            self.write_pending(*key);
        }
        self.turn.end(touched);
    }

    fn write_pending(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let chain = std::mem::replace(&mut connection.pending, Chain::EMPTY);
        if let Err(error) = write_frames(connection, self.turn.frames(chain), self.settings.outbox_bytes) {
            if error.kind() == ErrorKind::StorageFull {
                offence::report(Offence::TooSlow, connection.socket.peer_addr().ok(), &error);
            }
            return self.drop_connection(key);
        }
        self.after_write(key);
    }

    fn write_outbox(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if let (socket, Some(outbox)) = connection.socket_and_outbox()
            && !outbox.is_empty()
        {
            if outbox.write_to(socket).is_err() {
                return self.drop_connection(key);
            }
            connection.slim();
        }
        self.after_write(key);
    }

    /// Goes on with a close once all is written.
    fn after_write(&mut self, key: usize) {
        let connection = &self.connections[key];
        if connection.has_outbox() || !connection.pending.is_empty() {
            return;
        }
        match connection.phase {
            Phase::Finishing => self.drop_connection(key),
            // The peer learns that nothing more comes; when it closes too, or its time is over, the socket goes.
            Phase::Discarding => drop(connection.socket.shutdown(Shutdown::Write)),
            Phase::Open | Phase::Closing => {}
        }
    }
}

/// Writes straight to the socket, unless others wait there already; what the kernel refuses waits in the outbox.
fn write_frames<'a>(
    connection: &mut Connection,
    mut frames: impl Iterator<Item = &'a Bytes>,
    outbox_bytes: usize,
) -> io::Result<()> {
    let mut rest = SmallVec::<[Bytes; SLICES]>::new();
    while rest.is_empty() && !connection.has_outbox() {
        let batch: SmallVec<[&Bytes; SLICES]> = frames.by_ref().take(SLICES).collect();
        if batch.is_empty() {
            return Ok(());
        }
        let slices: SmallVec<[IoSlice; SLICES]> = batch.iter().map(|frame| IoSlice::new(frame)).collect();
        let written = write_some(&mut connection.socket, &slices)?;
        rest = unwritten(&batch, written.unwrap_or(0));
    }
    let outbox = &mut connection.extra_mut().outbox;
    for frame in rest.into_iter().chain(frames.cloned()) {
        // One message may be larger than all the space there is, if nothing else waits.
        if !outbox.is_empty() && outbox.bytes() + frame.len() > outbox_bytes {
            let reason = format!("{} bytes wait for it already (outbox_bytes)", outbox.bytes());
            return Err(io::Error::new(ErrorKind::StorageFull, reason));
        }
        outbox.push(frame);
    }
    Ok(())
}

/// What is left of some frames of which `written` bytes went out.
fn unwritten(frames: &[&Bytes], mut written: usize) -> SmallVec<[Bytes; SLICES]> {
    let mut rest = SmallVec::new();
    for frame in frames {
        if written >= frame.len() {
            written -= frame.len();
        } else {
            rest.push(frame.slice(written..));
            written = 0;
        }
    }
    rest
}
