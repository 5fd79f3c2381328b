//! What this node subscribes to: the uids and groups that its clients have.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tokio::sync::{Notify, watch};

use super::subject::{Hash, Subjects, To, append_id};
use crate::shard::{NameWatch, Sort};

/// How long a subscription outlasts the last client that it is for: those who go to another page come back sooner.
const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Subscriptions {
    subjects: Arc<Subjects>,
    changes: Mutex<Changes>,
    wake: Arc<Notify>,
    reach: Mutex<Reach>,
    /// Up to which of the wishes all servers to which nodes are connected are known to have taken them.
    taken: watch::Sender<u64>,
}

/// How far wishes for subscriptions have come.
///
/// The server to which this node is connected says so itself. Where servers are a cluster, it tells the others later than it
/// answers, so that each is asked through a node that is connected to it: the question comes there behind the subscriptions.
#[derive(Default)]
struct Reach {
    /// The server of this node has taken so many.
    own: u64,
    others: HashMap<u64, Other>,
}

/// Another server.
struct Other {
    taken: u64,
    /// Up to which of the wishes it was asked for last, and when.
    asked: u64,
    since: Instant,
}

/// After how long a server is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(400);

#[derive(Default)]
struct Changes {
    /// There is a connection that wants to know.
    is_live: bool,
    commands: Vec<u8>,
    /// Subscribed to, and to be given up after a while.
    parting: HashMap<(Sort, Hash), Instant>,
    /// Subscriptions wished for so far.
    wished: u64,
}

impl Subscriptions {
    pub(super) fn new(subjects: Arc<Subjects>, wake: Arc<Notify>) -> Self {
        let reach = Mutex::default();
        Self { subjects, changes: Mutex::default(), wake, reach, taken: watch::Sender::new(0) }
    }

    /// A new connection subscribes to all that is held now; from here on it is told of changes.
    pub(super) fn begin(&self) {
        self.reach().others.clear();
        let mut changes = self.changes();
        changes.commands.clear();
        changes.parting.clear();
        changes.is_live = true;
    }

    /// There is no connection, and nothing to wait for.
    pub(super) fn end(&self) {
        let mut changes = self.changes();
        changes.is_live = false;
        changes.commands = Vec::new();
        changes.parting = HashMap::new();
        self.taken.send_replace(changes.wished);
    }

    /// Appends the commands of all changes since, and gives what is to be [`Subscriptions::confirm`]ed once the server has taken
    /// them, if there is anything that somebody waits for.
    pub(super) fn take(&self, out: &mut Vec<u8>) -> Option<u64> {
        let mut changes = self.changes();
        out.append(&mut changes.commands);
        changes.commands.shrink_to(64 << 10);
        (changes.wished > *self.taken.borrow()).then_some(changes.wished)
    }

    /// The server of this node has taken so many.
    pub(super) fn confirm(&self, wished: u64) {
        let mut reach = self.reach();
        reach.own = reach.own.max(wished);
        self.settle(&reach);
    }

    /// Another server has.
    pub(super) fn echoed(&self, server: u64, wished: u64) {
        let mut reach = self.reach();
        if let Some(other) = reach.others.get_mut(&server) {
            other.taken = other.taken.max(wished);
        }
        self.settle(&reach);
    }

    /// Waits for these other servers and no more, and gives those that are to be asked for so many wishes.
    pub(super) fn require(&self, wished: u64, servers: impl Iterator<Item = u64>) -> Vec<u64> {
        let now = Instant::now();
        let mut reach = self.reach();
        let mut before = std::mem::take(&mut reach.others);
        let mut to_ask = Vec::new();
        for server in servers {
            let new = Other { taken: 0, asked: 0, since: now };
            let mut other = before.remove(&server).unwrap_or(new);
            let is_late = other.taken < wished && now.duration_since(other.since) >= ASK_AGAIN;
            if other.asked < wished || is_late {
                (other.asked, other.since) = (wished, now);
                to_ask.push(server);
            }
            reach.others.insert(server, other);
        }
        self.settle(&reach);
        to_ask
    }

    fn settle(&self, reach: &Reach) {
        let reached = reach.others.values().map(|other| other.taken).fold(reach.own, u64::min);
        self.taken.send_if_modified(|taken| {
            let is_news = reached > *taken;
            *taken = reached.max(*taken);
            is_news
        });
    }

    /// Gives up what nobody has come back to.
    pub(super) fn tidy(&self) {
        let now = Instant::now();
        let mut changes = self.changes();
        let Changes { commands, parting, .. } = &mut *changes;
        parting.retain(|(sort, hash), since| {
            let stays = now.duration_since(*since) < LINGER;
            if !stays {
                commands.extend_from_slice(b"UNSUB ");
                append_id(To::Holders(*sort, *hash), commands);
                commands.extend_from_slice(b"\r\n");
            }
            stays
        });
        if parting.len() < parting.capacity() / 8 {
            parting.shrink_to_fit();
        }
    }

    /// Waits until other nodes' pushes find what has been bound so far, if they find this node at all.
    pub(super) async fn settled(&self) {
        let wished = self.changes().wished;
        if *self.taken.borrow() >= wished {
            return;
        }
        // The sender is here.
        let _ = self.taken.subscribe().wait_for(|taken| *taken >= wished).await;
    }

    pub(super) fn append_subscription(&self, to: To, out: &mut Vec<u8>) {
        out.extend_from_slice(b"SUB ");
        self.subjects.append(to, out);
        out.push(b' ');
        append_id(to, out);
        out.extend_from_slice(b"\r\n");
    }

    pub(super) fn append_name(&self, sort: Sort, name: &[u8], out: &mut Vec<u8>) {
        self.append_subscription(self.subjects.holders(sort, name), out);
    }

    fn reach(&self) -> MutexGuard<'_, Reach> {
        self.reach.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NameWatch for Subscriptions {
    fn first(&self, sort: Sort, name: &[u8]) {
        let hash = self.subjects.hash(name);
        let mut changes = self.changes();
        if !changes.is_live || changes.parting.remove(&(sort, hash)).is_some() {
            return;
        }
        self.append_subscription(To::Holders(sort, hash), &mut changes.commands);
        changes.wished += 1;
        drop(changes);
        self.wake.notify_one();
    }

    fn last(&self, sort: Sort, name: &[u8]) {
        let hash = self.subjects.hash(name);
        let mut changes = self.changes();
        if changes.is_live {
            changes.parting.insert((sort, hash), Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_first_and_the_last_are_told_and_the_last_late() {
        let subjects = Arc::new(Subjects::new("c", [1; 16]));
        let interest = Subscriptions::new(subjects, Arc::default());
        let taken = || {
            let mut out = Vec::new();
            let wished = interest.take(&mut out);
            (String::from_utf8(out).unwrap().lines().count(), wished)
        };
        interest.first(Sort::Uid, b"before there is a connection");
        assert_eq!(taken(), (0, None));
        interest.settled().await;

        interest.begin();
        interest.first(Sort::Uid, b"a");
        interest.first(Sort::Group, b"a");
        assert_eq!(taken(), (2, Some(2)));
        let waits = interest.settled();
        interest.confirm(1);
        interest.confirm(2);
        waits.await;

        interest.last(Sort::Uid, b"a");
        interest.tidy();
        interest.first(Sort::Uid, b"a");
        assert_eq!(taken(), (0, None));
        interest.last(Sort::Uid, b"a");
        interest.changes().parting.values_mut().for_each(|since| *since -= LINGER);
        interest.tidy();
        assert_eq!(taken(), (1, None));

        interest.first(Sort::Uid, b"b");
        let waits = interest.settled();
        interest.end();
        waits.await;
        assert_eq!(taken(), (0, None));
    }

    #[tokio::test]
    async fn all_servers_to_which_nodes_are_connected_have_to_take_them() {
        let interest = Subscriptions::new(Arc::new(Subjects::new("c", [1; 16])), Arc::default());
        interest.begin();
        interest.first(Sort::Uid, b"a");
        let is_settled = || *interest.taken.borrow() == interest.changes().wished;
        assert_eq!(interest.require(1, [7, 8].into_iter()), [7, 8]);
        assert!(interest.require(1, [7, 8].into_iter()).is_empty());
        interest.confirm(1);
        interest.echoed(7, 1);
        interest.echoed(9, 1);
        assert!(!is_settled());
        // The one that has not answered is asked again.
        interest.reach().others.values_mut().for_each(|other| other.since -= ASK_AGAIN);
        assert_eq!(interest.require(1, [7, 8].into_iter()), [8]);
        interest.echoed(8, 1);
        assert!(is_settled());
        interest.first(Sort::Uid, b"b");
        assert_eq!(interest.require(2, [7, 8].into_iter()), [7, 8]);
        interest.confirm(2);
        interest.echoed(8, 2);
        assert!(!is_settled());
        // Nobody is connected to it any more.
        assert!(interest.require(2, [8].into_iter()).is_empty());
        assert!(is_settled());
        interest.settled().await;
    }
}
