//! The state of a shard: everything that stands behind its lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use mio::Registry;

use super::ShardSettings;
use super::carry::freezing::Freezing;
use super::carry::packed::PackedClients;
use super::carry::unpolled::Unpolled;
use super::clients::Clients;
use super::command::Command;
use super::command_queue::CommandReceiver;
use super::drain::Drain;
use super::event_sink::EventSink;
use super::heartbeat::{Heartbeat, HeartbeatRounds};
use super::panics::PanicBudget;
use super::rate_limit::RateMeters;
use super::uring::Ring;
use super::write_batch::WriteBatch;
use crate::protocol::websocket::Inflater;

/// The size of the buffer into which a shard reads, in bytes. One buffer serves all its connections.
pub(super) const READ_BUFFER: usize = 64 << 10;
/// The number of bytes that a shard reads in a turn, from all clients together, before it takes commands and writes.
pub(super) const READ_IN_A_TURN: usize = 4 * READ_BUFFER;
/// The number of bytes to which a shard inflates messages in a turn, of all clients together, before it takes commands and
/// writes. A turn may exceed it by a few steps of the decompressor.
pub(super) const INFLATED_IN_A_TURN: usize = 4 * READ_BUFFER;

/// A shard. Whoever uses it holds its lock, by the rule at [`ShardHandle`](super::handle::ShardHandle).
pub(super) struct Shard {
    pub(super) settings: ShardSettings,
    /// Registers sockets in the poll of the shard's thread.
    pub(super) registry: Registry,
    /// The commands that other threads have sent.
    pub(super) commands: CommandReceiver,
    /// Commands that were taken from the queue and come before the others there, when the rest of the turn is written.
    pub(super) postponed: Vec<Command>,
    pub(super) clients: Clients,
    /// Is told what the clients do.
    pub(super) events: Box<dyn EventSink>,
    /// The frames that this turn has brought the clients so far.
    pub(super) turn: WriteBatch,
    /// The buffer for reads, of [`READ_BUFFER`] bytes.
    pub(super) buffer: Box<[u8]>,
    /// Decompresses the messages of all clients.
    pub(super) inflater: Inflater,
    /// The keys of the connections that have used their share of a turn and may have more to read.
    pub(super) read_on: VecDeque<usize>,
    /// The number of bytes that may still be read in this turn.
    pub(super) may_read: usize,
    /// The number of bytes to which messages may still be inflated in this turn.
    pub(super) may_inflate: usize,
    /// The connection that has a message inflated in part, which goes on in the next turn.
    pub(super) inflating: Option<usize>,
    /// The keys of the connections that are not read because their worker takes no more events.
    pub(super) paused: Vec<usize>,
    /// The heartbeat of each listener, in the order of the listeners.
    pub(super) rounds: Vec<HeartbeatRounds>,
    /// When the connections that were sent a close frame are dropped, as (time, key, connection id), the soonest first.
    pub(super) closing: VecDeque<(Instant, usize, u32)>,
    /// When clients are told how many of their messages were taken, as (time, key, connection id), the soonest first.
    pub(super) untold: VecDeque<(Instant, usize, u32)>,
    /// When the shard next looks at the clients for which something waits.
    pub(super) look_at_slow: Instant,
    /// Whether the thread, in its current sleep, wakes up at `look_at_slow`.
    pub(super) watches_slow: bool,
    /// Whether the thread, in its current sleep, wakes up when the messages that are held back have waited for long enough.
    pub(super) watches_held_back: bool,
    /// The schedule by which clients are being closed, while the shard stops.
    pub(super) drain: Option<Drain>,
    /// Whether clients that may come back stay while the shard stops, so that another node can fetch them.
    pub(super) keeps_parked: bool,
    /// When the connections that are still open are dropped: all clients have been sent their close frames.
    pub(super) stop_at: Option<Instant>,
    /// How much the clients with a rate limit have sent.
    pub(super) meters: RateMeters,
    /// Has the shard's thread freeze the shard at the end of the turn.
    pub(super) freezing: Option<Freezing>,
    /// Whether the shard is frozen: until it thaws, only who has frozen it uses it.
    pub(super) is_frozen: bool,
    /// What was taken from the clients of a frozen shard to be given back when it thaws.
    pub(super) packed: Option<Box<PackedClients>>,
    /// The connections that were taken over from another process and are not in the poll yet.
    pub(super) unpolled: Unpolled,
    /// How many more panics the shard survives.
    pub(super) panic_budget: PanicBudget,
    /// The amount of work done so far, by which a watchdog sees that the shard is alive.
    pub(super) steps: Arc<AtomicU64>,
    /// Sends to many clients by one system call, where the kernel permits it.
    pub(super) ring: Option<Ring>,
}

impl Shard {
    pub(super) fn new(
        registry: Registry,
        commands: CommandReceiver,
        settings: ShardSettings,
        events: Box<dyn EventSink>,
        clients: Clients,
    ) -> Self {
        let now = Instant::now();
        let ring = settings.server.io_uring.then(Ring::open).transpose();
        Self {
            ring: ring.inspect_err(|error| tracing::debug!(%error, "no io_uring")).unwrap_or_default(),
            rounds: settings
                .listeners
                .iter()
                .map(|listener| HeartbeatRounds::new(&Heartbeat(listener), now))
                .collect(),
            settings,
            registry,
            commands,
            postponed: Vec::new(),
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
            untold: VecDeque::new(),
            look_at_slow: now,
            watches_slow: false,
            watches_held_back: false,
            drain: None,
            keeps_parked: false,
            stop_at: None,
            meters: RateMeters::default(),
            freezing: None,
            is_frozen: false,
            packed: None,
            unpolled: Unpolled::default(),
            panic_budget: PanicBudget::default(),
            steps: Arc::default(),
        }
    }

    /// Whether another thread may carry out commands here now: none waits that has to come first, the shard is neither frozen nor about to
    /// end, and its thread is not in the middle of a turn that it writes in slices.
    pub(super) fn is_free(&self) -> bool {
        self.may_ask() && !self.turn.has_rest()
    }

    /// Whether another thread may ask something here now.
    pub(super) fn may_ask(&self) -> bool {
        self.commands.is_empty() && self.postponed.is_empty() && self.stop_at.is_none() && !self.is_frozen
    }

    pub(super) fn clients(&self) -> &Clients {
        &self.clients
    }
}
