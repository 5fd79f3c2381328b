//! What a shard is: everything that stands behind its lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use mio::Registry;

use super::ShardSettings;
use super::clients::Clients;
use super::drain::Drain;
use super::event_sink::EventSink;
use super::heartbeat::HeartbeatRounds;
use super::inbox::InboxReceiver;
use super::panics::PanicBudget;
use super::rate_limit::RateMeters;
use super::uring::Ring;
use super::write_batch::WriteBatch;
use crate::protocol::websocket::Inflater;

/// One buffer for all reads of a shard.
pub(super) const READ_BUFFER: usize = 64 << 10;
/// Bytes that are read of all before commands are taken and what was caused is written.
pub(super) const READ_IN_A_TURN: usize = 4 * READ_BUFFER;
/// Bytes that messages of all are inflated to before the same, rounded up to whole steps or to the end of a message.
pub(super) const INFLATED_IN_A_TURN: usize = 4 * READ_BUFFER;

pub(super) struct Shard {
    pub(super) settings: ShardSettings,
    pub(super) registry: Registry,
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
    pub(super) rounds: Vec<HeartbeatRounds>,
    /// When those that were sent a close frame are dropped: by key and number, soonest first.
    pub(super) closing: VecDeque<(Instant, usize, u32)>,
    /// When it is looked next at those for whom something waits.
    pub(super) look_at_slow: Instant,
    /// The thread wakes up for it.
    pub(super) watches_slow: bool,
    /// Clients are being closed, wave by wave.
    pub(super) drain: Option<Drain>,
    /// All have been closed, and those that are still here then are dropped.
    pub(super) stop_at: Option<Instant>,
    pub(super) meters: RateMeters,
    pub(super) panic_budget: PanicBudget,
    /// What has been done so far, for those who watch whether anything is.
    pub(super) steps: Arc<AtomicU64>,
    /// For sends to many at once.
    pub(super) ring: Option<Ring>,
}

impl Shard {
    pub(super) fn new(
        registry: Registry,
        inbox: InboxReceiver,
        settings: ShardSettings,
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
            panic_budget: PanicBudget::default(),
            steps: Arc::default(),
        }
    }

    /// Everything that was sent before is done, and the shard goes on.
    pub(super) fn is_free(&self) -> bool {
        self.inbox.is_empty() && self.stop_at.is_none()
    }

    pub(super) fn clients(&self) -> &Clients {
        &self.clients
    }
}
