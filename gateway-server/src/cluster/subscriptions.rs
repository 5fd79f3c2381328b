//! The subjects to which this node subscribes: one for each uid and group that its clients have.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tokio::sync::{Notify, watch};

use super::broker::Broker as _;
use super::nats::Nats;
use super::subject::{Hash, SubjectTarget, Subjects, append_id};
use crate::shard::{NameKind, NameWatch};

/// Time for which a subscription outlasts its last client, as a client that opens another page comes back sooner.
const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Subscriptions {
    subjects: Arc<Subjects>,
    changes: Mutex<Changes>,
    wake: Arc<Notify>,
    progress: Mutex<Progress>,
    /// The number of wanted subscriptions that all NATS servers with nodes are known to have.
    confirmed: watch::Sender<u64>,
}

/// The spread of the subscriptions among the NATS servers.
///
/// The server to which this node is connected confirms them itself. In a cluster of NATS servers it tells the other servers later
/// than it confirms, so each of those is probed through a node that is connected to it: the probe arrives there behind the
/// subscriptions.
#[derive(Default)]
struct Progress {
    /// The number of wanted subscriptions that this node's server has.
    own: u64,
    /// The other servers that nodes are connected to, by the hash of their ids.
    others: HashMap<u64, Other>,
}

/// Another NATS server.
struct Other {
    /// The number of wanted subscriptions that the server has.
    confirmed: u64,
    /// The number of subscriptions that it was last probed for.
    probed: u64,
    /// The time of the last probe.
    since: Instant,
}

/// Time without an echo after which a server is probed again.
const PROBE_AGAIN: Duration = Duration::from_millis(400);

#[derive(Default)]
struct Changes {
    /// True while there is a connection, which is told of changes.
    is_live: bool,
    /// The commands to the broker that have not been written.
    commands: Vec<u8>,
    /// The subscriptions without clients, which end after a while, with the time when the last client left.
    lingering: HashMap<(NameKind, Hash), Instant>,
    /// The number of subscriptions that have been wanted so far.
    wanted: u64,
}

impl Subscriptions {
    pub(super) fn new(subjects: Arc<Subjects>, wake: Arc<Notify>) -> Self {
        let progress = Mutex::default();
        Self { subjects, changes: Mutex::default(), wake, progress, confirmed: watch::Sender::new(0) }
    }

    /// The number of subscriptions that have been wanted so far.
    pub(super) fn wanted(&self) -> u64 {
        self.changes().wanted
    }

    /// Counts on behind the subscriptions of another process, so that no echo for it seems to be one for this process.
    pub(super) fn go_on_behind(&self, wanted: u64) {
        self.changes().wanted = wanted;
        self.confirmed.send_replace(wanted);
    }

    /// Begins a connection, which subscribes to all names that clients have now. From here on it is told of changes.
    pub(super) fn begin(&self) {
        self.progress().others.clear();
        let mut changes = self.changes();
        changes.commands.clear();
        changes.lingering.clear();
        changes.is_live = true;
    }

    /// Ends the connection. There is nothing to wait for without one.
    pub(super) fn end(&self) {
        let mut changes = self.changes();
        changes.is_live = false;
        changes.commands = Vec::new();
        changes.lingering = HashMap::new();
        self.confirmed.send_replace(changes.wanted);
    }

    /// Appends the commands of all changes since the last call. If a task waits for them to take effect, gives the number with
    /// which [`Subscriptions::confirm`] has to be called once the server has them.
    pub(super) fn take_commands(&self, out: &mut Vec<u8>) -> Option<u64> {
        let mut changes = self.changes();
        out.append(&mut changes.commands);
        changes.commands.shrink_to(64 << 10);
        (changes.wanted > *self.confirmed.borrow()).then_some(changes.wanted)
    }

    /// Notes that this node's server has so many subscriptions.
    pub(super) fn confirm(&self, wanted: u64) {
        let mut progress = self.progress();
        progress.own = progress.own.max(wanted);
        self.recompute(&progress);
    }

    /// Notes that another server has so many subscriptions.
    pub(super) fn echoed(&self, server: u64, wanted: u64) {
        let mut progress = self.progress();
        if let Some(other) = progress.others.get_mut(&server) {
            other.confirmed = other.confirmed.max(wanted);
        }
        self.recompute(&progress);
    }

    /// Sets the other servers whose subscriptions are waited for. Gives those that have to be probed for `wanted` subscriptions.
    pub(super) fn require(&self, wanted: u64, servers: impl Iterator<Item = u64>) -> Vec<u64> {
        let now = Instant::now();
        let mut progress = self.progress();
        let mut before = std::mem::take(&mut progress.others);
        let mut to_probe = Vec::new();
        for server in servers {
            let new = Other { confirmed: 0, probed: 0, since: now };
            let mut other = before.remove(&server).unwrap_or(new);
            let is_late = other.confirmed < wanted && now.duration_since(other.since) >= PROBE_AGAIN;
            if other.probed < wanted || is_late {
                (other.probed, other.since) = (wanted, now);
                to_probe.push(server);
            }
            progress.others.insert(server, other);
        }
        self.recompute(&progress);
        to_probe
    }

    fn recompute(&self, progress: &Progress) {
        let reached = progress.others.values().map(|other| other.confirmed).fold(progress.own, u64::min);
        self.confirmed.send_if_modified(|confirmed| {
            let is_news = reached > *confirmed;
            *confirmed = reached.max(*confirmed);
            is_news
        });
    }

    /// Ends the subscriptions that have had no client for a while.
    pub(super) fn tidy(&self) {
        let now = Instant::now();
        let mut changes = self.changes();
        let Changes { commands, lingering, .. } = &mut *changes;
        lingering.retain(|(sort, hash), since| {
            let stays = now.duration_since(*since) < LINGER;
            if !stays {
                Nats::unsubscribe(commands, |out| append_id(SubjectTarget::Holders(*sort, *hash), out));
            }
            stays
        });
        if lingering.len() < lingering.capacity() / 8 {
            lingering.shrink_to_fit();
        }
    }

    /// Waits until the pushes of the nodes that know this one reach what has been bound so far.
    pub(super) async fn settled(&self) {
        let wanted = self.changes().wanted;
        if *self.confirmed.borrow() >= wanted {
            return;
        }
        // The sender is a field of this struct, so it cannot be gone.
        let _ = self.confirmed.subscribe().wait_for(|confirmed| *confirmed >= wanted).await;
    }

    pub(super) fn append_name(&self, sort: NameKind, name: &[u8], out: &mut Vec<u8>) {
        self.subjects.append_subscription(self.subjects.holders(sort, name), out);
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NameWatch for Subscriptions {
    fn first(&self, sort: NameKind, name: &[u8]) {
        let hash = self.subjects.hash(name);
        let mut changes = self.changes();
        if !changes.is_live || changes.lingering.remove(&(sort, hash)).is_some() {
            return;
        }
        self.subjects.append_subscription(SubjectTarget::Holders(sort, hash), &mut changes.commands);
        changes.wanted += 1;
        drop(changes);
        self.wake.notify_one();
    }

    fn last(&self, sort: NameKind, name: &[u8]) {
        let hash = self.subjects.hash(name);
        let mut changes = self.changes();
        if changes.is_live {
            changes.lingering.insert((sort, hash), Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_first_and_the_last_are_told_and_the_last_late() {
        let subjects = Arc::new(Subjects::new("c", [1; 16]));
        let subscriptions = Subscriptions::new(subjects, Arc::default());
        let taken = || {
            let mut out = Vec::new();
            let wanted = subscriptions.take_commands(&mut out);
            (String::from_utf8(out).unwrap().lines().count(), wanted)
        };
        subscriptions.first(NameKind::Uid, b"before there is a connection");
        assert_eq!(taken(), (0, None));
        subscriptions.settled().await;

        subscriptions.begin();
        subscriptions.first(NameKind::Uid, b"a");
        subscriptions.first(NameKind::Group, b"a");
        assert_eq!(taken(), (2, Some(2)));
        let waits = subscriptions.settled();
        subscriptions.confirm(1);
        subscriptions.confirm(2);
        waits.await;

        subscriptions.last(NameKind::Uid, b"a");
        subscriptions.tidy();
        subscriptions.first(NameKind::Uid, b"a");
        assert_eq!(taken(), (0, None));
        subscriptions.last(NameKind::Uid, b"a");
        subscriptions.changes().lingering.values_mut().for_each(|since| *since -= LINGER);
        subscriptions.tidy();
        assert_eq!(taken(), (1, None));

        subscriptions.first(NameKind::Uid, b"b");
        let waits = subscriptions.settled();
        subscriptions.end();
        waits.await;
        assert_eq!(taken(), (0, None));
    }

    #[tokio::test]
    async fn all_servers_to_which_nodes_are_connected_have_to_take_them() {
        let subscriptions = Subscriptions::new(Arc::new(Subjects::new("c", [1; 16])), Arc::default());
        subscriptions.begin();
        subscriptions.first(NameKind::Uid, b"a");
        let is_settled = || *subscriptions.confirmed.borrow() == subscriptions.changes().wanted;
        assert_eq!(subscriptions.require(1, [7, 8].into_iter()), [7, 8]);
        assert!(subscriptions.require(1, [7, 8].into_iter()).is_empty());
        subscriptions.confirm(1);
        subscriptions.echoed(7, 1);
        subscriptions.echoed(9, 1);
        assert!(!is_settled());
        // The server that has not answered is probed again.
        subscriptions.progress().others.values_mut().for_each(|other| other.since -= PROBE_AGAIN);
        assert_eq!(subscriptions.require(1, [7, 8].into_iter()), [8]);
        subscriptions.echoed(8, 1);
        assert!(is_settled());
        subscriptions.first(NameKind::Uid, b"b");
        assert_eq!(subscriptions.require(2, [7, 8].into_iter()), [7, 8]);
        subscriptions.confirm(2);
        subscriptions.echoed(8, 2);
        assert!(!is_settled());
        // No node is connected to the server any more.
        assert!(subscriptions.require(2, [8].into_iter()).is_empty());
        assert!(is_settled());
        subscriptions.settled().await;
    }
}
