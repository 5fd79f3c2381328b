//! Which clients have come from other nodes, and which have gone to them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use gateway_wire::ClientId;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedRwLockWriteGuard, OwnedSemaphorePermit, RwLock as AsyncRwLock, Semaphore};

use super::turning_away::TurningAway;
use crate::shard::Stopped;
use crate::system::ages::{ago, millis};

/// The number of clients that may come from other nodes at the same time. Further ones wait.
const AT_ONCE: usize = 64;
/// The time after an order of a GatewayWorker program in which no client moves. Such programs send an order to each node themselves,
/// so that nobody knows which of a client's nodes has it already.
const UNNUMBERED: Duration = Duration::from_secs(5);

/// The clients that have come from other nodes, and those that have gone to them.
pub(super) struct MovedClients {
    /// The clients that were given to another node, by their connection ids here.
    departed: RwLock<HashMap<u32, Departed>>,
    /// The clients that have come or are coming.
    arrived: RwLock<ArrivedClients>,
    /// Whether any client is in each table, so that all orders need not lock them.
    has_departed: AtomicBool,
    has_arrived: AtomicBool,
    /// The slots of clients that come at the same time.
    pub(super) slots: Arc<Semaphore>,
    /// Is read by whoever gives a client away, and written while none may be.
    pub(super) giving: Arc<AsyncRwLock<()>>,
    /// Whether pages whose clients are at other nodes are turned away.
    pub(super) turning_away: TurningAway,
    started: Instant,
    /// The time of the latest order without a number, in milliseconds since the start and one more; 0 before the first.
    unnumbered: AtomicU64,
    came: AtomicU64,
    went: AtomicU64,
}

/// How many clients have moved since the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveCounts {
    /// Clients that came from other nodes.
    pub came: u64,
    /// Clients that were given to other nodes.
    pub went: u64,
}

/// Keeps clients from moving until this is dropped.
#[must_use]
pub struct MovesAtRest {
    _coming: OwnedSemaphorePermit,
    _going: OwnedRwLockWriteGuard<()>,
}

/// The clients that have moved, as one process writes them for the one that takes over from it. Times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedMoves {
    /// The connection ids of clients that were given to other nodes, and their client_ids there.
    departed: Vec<(u32, ClientId)>,
    /// The connection ids of clients that have come, the time since then, and their client_ids before.
    arrived: Vec<(u32, u64, Vec<ClientId>)>,
    /// The time since the latest order without a number.
    unnumbered: Option<u64>,
    came: u64,
    went: u64,
}

/// A client that was given to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Departed {
    /// Its client_id there.
    pub(super) to: ClientId,
    /// The other node has said that it has the client.
    pub(super) is_confirmed: bool,
}

/// The clients that have come from other nodes or are coming.
#[derive(Default)]
struct ArrivedClients {
    by_connection: HashMap<u32, ArrivedClient>,
    /// The connection ids here by old client_ids.
    known_as: HashMap<ClientId, u32>,
    /// The same for clients that another node has not given yet, and so has itself.
    expected_as: HashMap<ClientId, u32>,
}

/// A client that has come from another node or is coming.
#[derive(Default)]
struct ArrivedClient {
    /// When the client was complete, or `None` while it is coming.
    since: Option<Instant>,
    /// The client_ids by which it was known before.
    known_as: Vec<ClientId>,
}

impl Default for MovedClients {
    fn default() -> Self {
        Self {
            departed: RwLock::default(),
            arrived: RwLock::default(),
            has_departed: AtomicBool::new(false),
            has_arrived: AtomicBool::new(false),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            giving: Arc::default(),
            turning_away: TurningAway::default(),
            started: Instant::now(),
            unnumbered: AtomicU64::new(0),
            came: AtomicU64::new(0),
            went: AtomicU64::new(0),
        }
    }
}

impl MovedClients {
    /// The connection id of a client that has come from another node, by its old client_id.
    pub(super) fn connection_of(&self, old: ClientId) -> Option<u32> {
        if !self.has_arrived.load(Ordering::Relaxed) {
            return None;
        }
        self.read(&self.arrived).known_as.get(&old).copied()
    }

    /// The client_id that a client of this node has at the node to which it has gone.
    pub(super) fn gone_on(&self, connection_id: u32) -> Option<ClientId> {
        if !self.has_departed() {
            return None;
        }
        self.departed(connection_id).map(|departed| departed.to)
    }

    /// Whether any client was given to another node.
    pub(super) fn has_departed(&self) -> bool {
        self.has_departed.load(Ordering::Relaxed)
    }

    /// A client that was given to another node, by its connection id here.
    pub(super) fn departed(&self, connection_id: u32) -> Option<Departed> {
        self.read(&self.departed).get(&connection_id).copied()
    }

    pub(super) fn all_departed(&self) -> Vec<(u32, Departed)> {
        self.read(&self.departed)
            .iter()
            .map(|(connection_id, departed)| (*connection_id, *departed))
            .collect()
    }

    /// Notes that a client was given to another node, or that this node has said that it has the client.
    pub(super) fn depart(&self, connection_id: u32, departed: Departed) {
        if self.write(&self.departed).insert(connection_id, departed).is_none() {
            self.went.fetch_add(1, Ordering::Relaxed);
        }
        self.has_departed.store(true, Ordering::Relaxed);
    }

    pub(super) fn forget_departed(&self, connection_id: u32) {
        let mut departed = self.write(&self.departed);
        departed.remove(&connection_id);
        self.has_departed.store(!departed.is_empty(), Ordering::Relaxed);
    }

    /// When a client that has come from another node was complete; the inner `None` says that it is coming.
    pub(super) fn arrived(&self, connection_id: u32) -> Option<Option<Instant>> {
        self.read(&self.arrived).by_connection.get(&connection_id).map(|client| client.since)
    }

    pub(super) fn all_arrived(&self) -> Vec<(u32, Option<Instant>)> {
        self.read(&self.arrived).by_connection.iter().map(|(id, client)| (*id, client.since)).collect()
    }

    /// The connection id of a client that has come or is expected, by its old client_id.
    pub(super) fn expected(&self, old: ClientId) -> Option<u32> {
        if !self.has_arrived.load(Ordering::Relaxed) {
            return None;
        }
        let arrived = self.read(&self.arrived);
        arrived.known_as.get(&old).or_else(|| arrived.expected_as.get(&old)).copied()
    }

    /// Notes that another node is asked for a client.
    pub(super) fn expect(&self, connection_id: u32, old: ClientId) {
        let mut arrived = self.write(&self.arrived);
        arrived.by_connection.insert(connection_id, ArrivedClient::default());
        arrived.expected_as.insert(old, connection_id);
        self.has_arrived.store(true, Ordering::Relaxed);
    }

    /// Notes that a client was given, or with `since` that it is complete, and client_ids by which it was known before.
    pub(super) fn arrive(
        &self,
        connection_id: u32,
        since: Option<Instant>,
        known_as: impl IntoIterator<Item = ClientId>,
    ) {
        let mut arrived = self.write(&self.arrived);
        let ArrivedClients { by_connection, known_as: all_known, expected_as } = &mut *arrived;
        let client = by_connection.entry(connection_id).or_default();
        if since.is_some() && client.since.is_none() {
            self.came.fetch_add(1, Ordering::Relaxed);
        }
        client.since = since;
        // Few clients are expected at a time.
        expected_as.retain(|_, known| *known != connection_id);
        for old in known_as {
            all_known.insert(old, connection_id);
            if !client.known_as.contains(&old) {
                client.known_as.push(old);
            }
        }
        self.has_arrived.store(true, Ordering::Relaxed);
    }

    pub(super) fn forget_arrived(&self, connection_id: u32) {
        let mut arrived = self.write(&self.arrived);
        for old in arrived.by_connection.remove(&connection_id).unwrap_or_default().known_as {
            // The client may have come here again since, under another connection id.
            if arrived.known_as.get(&old) == Some(&connection_id) {
                arrived.known_as.remove(&old);
            }
        }
        arrived.expected_as.retain(|_, known| *known != connection_id);
        self.has_arrived.store(!arrived.by_connection.is_empty(), Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> MoveCounts {
        MoveCounts { came: self.came.load(Ordering::Relaxed), went: self.went.load(Ordering::Relaxed) }
    }

    /// Waits until no client is on its way, and lets none move.
    pub(super) async fn rest(&self) -> Result<MovesAtRest, Stopped> {
        let coming = Arc::clone(&self.slots).acquire_many_owned(AT_ONCE as u32).await.map_err(|_| Stopped)?;
        Ok(MovesAtRest { _coming: coming, _going: Arc::clone(&self.giving).write_owned().await })
    }

    /// What another process needs to go on. No client may be on its way.
    pub(super) fn carry(&self) -> CarriedMoves {
        let MoveCounts { came, went } = self.counts();
        let arrived = self.read(&self.arrived);
        let complete = |(id, client): (&u32, &ArrivedClient)| {
            Some((*id, millis(client.since?.elapsed()), client.known_as.clone()))
        };
        let latest = self.unnumbered.load(Ordering::Relaxed).checked_sub(1);
        CarriedMoves {
            departed: self.all_departed().into_iter().map(|(id, departed)| (id, departed.to)).collect(),
            arrived: arrived.by_connection.iter().filter_map(complete).collect(),
            unnumbered: latest.map(|latest| millis(self.started.elapsed()).saturating_sub(latest)),
            came,
            went,
        }
    }

    /// Goes on as another process. Whether the other nodes have its clients is asked anew, as the answer may have come too late.
    pub(super) fn take_over(&self, carried: CarriedMoves) {
        let now = Instant::now();
        for (connection_id, to) in carried.departed {
            self.depart(connection_id, Departed { to, is_confirmed: false });
        }
        for (connection_id, since, known_as) in carried.arrived {
            let since = ago(now, Duration::from_millis(since));
            self.arrive(connection_id, Some(since), known_as);
        }
        if carried.unnumbered.is_some_and(|age| Duration::from_millis(age) < UNNUMBERED) {
            self.note_unnumbered();
        }
        self.came.store(carried.came, Ordering::Relaxed);
        self.went.store(carried.went, Ordering::Relaxed);
    }

    fn read<'a, T>(&self, table: &'a RwLock<T>) -> RwLockReadGuard<'a, T> {
        table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<'a, T>(&self, table: &'a RwLock<T>) -> RwLockWriteGuard<'a, T> {
        table.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_unnumbered(&self) {
        self.unnumbered.store(self.started.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
    }

    /// Whether an order without a number may still be on its way to one of the nodes.
    pub(super) fn has_unnumbered(&self) -> bool {
        let latest = self.unnumbered.load(Ordering::Relaxed);
        latest > 0 && self.started.elapsed() < Duration::from_millis(latest) + UNNUMBERED
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn another_process_goes_on_with_the_clients_that_have_moved() {
        let (old, new) = (MovedClients::default(), MovedClients::default());
        let id = |connection| ClientId::new("10.0.0.2:1238".parse().unwrap(), connection);
        old.depart(7, Departed { to: id(9), is_confirmed: true });
        old.arrive(3, Some(Instant::now()), [id(5), id(6)]);
        old.expect(4, id(8));
        old.note_unnumbered();
        new.take_over(old.carry());
        assert_eq!(new.departed(7), Some(Departed { to: id(9), is_confirmed: false }));
        assert_eq!((new.connection_of(id(5)), new.connection_of(id(6))), (Some(3), Some(3)));
        assert_eq!((new.arrived(4), new.expected(id(8))), (None, None), "who is on the way is not carried");
        assert!(new.has_unnumbered() && !MovedClients::default().has_unnumbered());
        assert_eq!(new.counts(), MoveCounts { came: 1, went: 1 });
        let carried = new.carry();
        assert_eq!(carried.departed, [(7, id(9))]);
    }

    #[tokio::test]
    async fn no_client_moves_at_rest() {
        let moves = MovedClients::default();
        let coming = moves.slots.acquire().await.unwrap();
        assert!(moves.rest().now_or_never().is_none());
        drop(coming);
        let going = moves.giving.try_read().unwrap();
        assert!(moves.rest().now_or_never().is_none());
        drop(going);
        let rest = moves.rest().await.unwrap();
        assert!(moves.slots.try_acquire().is_err() && moves.giving.try_read().is_err());
        drop(rest);
        assert!(moves.slots.try_acquire().is_ok() && moves.giving.try_read().is_ok());
    }

    #[test]
    fn clients_are_known_by_their_old_ids_until_they_are_forgotten() {
        let moves = MovedClients::default();
        let id = |connection| ClientId::new("10.0.0.2:1238".parse().unwrap(), connection);
        assert_eq!((moves.gone_on(7), moves.connection_of(id(7))), (None, None));
        moves.depart(7, Departed { to: id(9), is_confirmed: false });
        moves.expect(3, id(6));
        assert_eq!(
            (moves.connection_of(id(6)), moves.expected(id(6)), moves.arrived(3)),
            (None, Some(3), Some(None))
        );
        moves.arrive(3, None, [id(8)]);
        assert_eq!((moves.expected(id(6)), moves.expected(id(8))), (None, Some(3)));
        moves.arrive(3, Some(Instant::now()), [id(5)]);
        assert_eq!((moves.gone_on(7), moves.gone_on(8)), (Some(id(9)), None));
        assert_eq!((moves.connection_of(id(8)), moves.connection_of(id(5))), (Some(3), Some(3)));
        assert_eq!(moves.connection_of(id(7)), None);
        moves.depart(7, Departed { to: id(9), is_confirmed: true });
        moves.arrive(4, None, [id(6)]);
        assert_eq!(moves.counts(), MoveCounts { came: 1, went: 1 }, "who is coming has not come");
        moves.forget_departed(7);
        moves.forget_arrived(3);
        moves.forget_arrived(4);
        assert!(moves.all_departed().is_empty() && moves.all_arrived().is_empty());
        assert_eq!((moves.gone_on(7), moves.connection_of(id(8))), (None, None));
    }

    #[test]
    fn an_order_without_a_number_holds_moves_up_for_a_while() {
        let moves = MovedClients::default();
        assert!(!moves.has_unnumbered());
        moves.note_unnumbered();
        assert!(moves.has_unnumbered());
        let earlier = MovedClients { started: Instant::now() - 2 * UNNUMBERED, ..MovedClients::default() };
        earlier.unnumbered.store(1, Ordering::Relaxed);
        assert!(!earlier.has_unnumbered());
    }
}
