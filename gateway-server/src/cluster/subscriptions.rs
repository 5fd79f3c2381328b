//! The subjects to which this node subscribes: those of the uids and groups that its clients have.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tokio::sync::{Notify, watch};

use super::subject::{Hash, SubjectTarget, Subjects, append_id};
use crate::shard::{NameKind, NameWatch};

/// How long a subscription outlasts the last client that it is for: those who go to another page come back sooner.
const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Subscriptions {
    subjects: Arc<Subjects>,
    changes: Mutex<Changes>,
    wake: Arc<Notify>,
    progress: Mutex<Progress>,
    /// All NATS servers to which nodes are connected are known to have so many of the subscriptions that were wanted.
    confirmed: watch::Sender<u64>,
}

/// How far subscriptions have spread among the NATS servers.
///
/// The server to which this node is connected confirms them itself. Where servers are a cluster, it tells the others later than it
/// answers, so each of those is probed through a node that is connected to it: the probe arrives there behind the subscriptions.
#[derive(Default)]
struct Progress {
    /// The server of this node has so many.
    own: u64,
    others: HashMap<u64, Other>,
}

/// Another NATS server.
struct Other {
    /// It has so many of the subscriptions.
    confirmed: u64,
    /// It was probed for so many last, and when.
    probed: u64,
    since: Instant,
}

/// After how long without an echo a server is probed again.
const PROBE_AGAIN: Duration = Duration::from_millis(400);

#[derive(Default)]
struct Changes {
    /// There is a connection that is told of changes.
    is_live: bool,
    /// The commands of NATS that have not been written.
    commands: Vec<u8>,
    /// Subscriptions that nobody needs since then, and that end after a while.
    lingering: HashMap<(NameKind, Hash), Instant>,
    /// How many subscriptions have been wanted so far.
    wanted: u64,
}

impl Subscriptions {
    pub(super) fn new(subjects: Arc<Subjects>, wake: Arc<Notify>) -> Self {
        let progress = Mutex::default();
        Self { subjects, changes: Mutex::default(), wake, progress, confirmed: watch::Sender::new(0) }
    }

    /// A new connection subscribes to all names that clients have now; from here on it is told of changes.
    pub(super) fn begin(&self) {
        self.progress().others.clear();
        let mut changes = self.changes();
        changes.commands.clear();
        changes.lingering.clear();
        changes.is_live = true;
    }

    /// There is no connection, and nothing to wait for.
    pub(super) fn end(&self) {
        let mut changes = self.changes();
        changes.is_live = false;
        changes.commands = Vec::new();
        changes.lingering = HashMap::new();
        self.confirmed.send_replace(changes.wanted);
    }

    /// Appends the commands of all changes since the last call, and gives the number that is to be given to
    /// [`Subscriptions::confirm`] once the server has them, if anybody waits for that.
    pub(super) fn take_commands(&self, out: &mut Vec<u8>) -> Option<u64> {
        let mut changes = self.changes();
        out.append(&mut changes.commands);
        changes.commands.shrink_to(64 << 10);
        (changes.wanted > *self.confirmed.borrow()).then_some(changes.wanted)
    }

    /// The server of this node has so many.
    pub(super) fn confirm(&self, wanted: u64) {
        let mut progress = self.progress();
        progress.own = progress.own.max(wanted);
        self.settle(&progress);
    }

    /// Another server has so many.
    pub(super) fn echoed(&self, server: u64, wanted: u64) {
        let mut progress = self.progress();
        if let Some(other) = progress.others.get_mut(&server) {
            other.confirmed = other.confirmed.max(wanted);
        }
        self.settle(&progress);
    }

    /// From here on exactly these other servers are waited for. Gives those that are to be probed for so many subscriptions.
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
        self.settle(&progress);
        to_probe
    }

    fn settle(&self, progress: &Progress) {
        let reached = progress.others.values().map(|other| other.confirmed).fold(progress.own, u64::min);
        self.confirmed.send_if_modified(|confirmed| {
            let is_news = reached > *confirmed;
            *confirmed = reached.max(*confirmed);
            is_news
        });
    }

    /// Ends subscriptions that nobody has needed for a while.
    pub(super) fn tidy(&self) {
        let now = Instant::now();
        let mut changes = self.changes();
        let Changes { commands, lingering, .. } = &mut *changes;
        lingering.retain(|(sort, hash), since| {
            let stays = now.duration_since(*since) < LINGER;
            if !stays {
                commands.extend_from_slice(b"UNSUB ");
                append_id(SubjectTarget::Holders(*sort, *hash), commands);
                commands.extend_from_slice(b"\r\n");
            }
            stays
        });
        if lingering.len() < lingering.capacity() / 8 {
            lingering.shrink_to_fit();
        }
    }

    /// Waits until the pushes of other nodes find what has been bound so far, if they find this node at all.
    pub(super) async fn settled(&self) {
        let wanted = self.changes().wanted;
        if *self.confirmed.borrow() >= wanted {
            return;
        }
        // The sender is here.
        let _ = self.confirmed.subscribe().wait_for(|confirmed| *confirmed >= wanted).await;
    }

    pub(super) fn append_subscription(&self, to: SubjectTarget, out: &mut Vec<u8>) {
        out.extend_from_slice(b"SUB ");
        self.subjects.append(to, out);
        out.push(b' ');
        append_id(to, out);
        out.extend_from_slice(b"\r\n");
    }

    pub(super) fn append_name(&self, sort: NameKind, name: &[u8], out: &mut Vec<u8>) {
        self.append_subscription(self.subjects.holders(sort, name), out);
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
        self.append_subscription(SubjectTarget::Holders(sort, hash), &mut changes.commands);
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
        // The one that has not answered is asked again.
        subscriptions.progress().others.values_mut().for_each(|other| other.since -= PROBE_AGAIN);
        assert_eq!(subscriptions.require(1, [7, 8].into_iter()), [8]);
        subscriptions.echoed(8, 1);
        assert!(is_settled());
        subscriptions.first(NameKind::Uid, b"b");
        assert_eq!(subscriptions.require(2, [7, 8].into_iter()), [7, 8]);
        subscriptions.confirm(2);
        subscriptions.echoed(8, 2);
        assert!(!is_settled());
        // Nobody is connected to it any more.
        assert!(subscriptions.require(2, [8].into_iter()).is_empty());
        assert!(is_settled());
        subscriptions.settled().await;
    }
}
