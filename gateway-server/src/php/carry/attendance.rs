//! Who of PHP is there, the call to come to rest, and those that have.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::form::ConnectionAtRest;

/// Time that a connection has which cannot come to rest where it is: in a login, or when it reads no answers. After it the
/// connection is closed, so that it holds up nobody.
pub(in crate::php) const GRACE: Duration = Duration::from_millis(100);

/// Who is asked to come to rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::php) enum Rest {
    #[default]
    Nobody,
    /// Everybody but workers. A query may wait for the orders that workers have sent before it, so workers go on until all queries
    /// are answered.
    Calls,
    Everybody,
}

/// Counts PHP's connections and the register ports, and has them come to rest.
#[derive(Default)]
pub struct Attendance {
    wanted: watch::Sender<Rest>,
    /// Register ports accept nobody.
    is_closed: watch::Sender<bool>,
    state: Mutex<State>,
    /// Notified when somebody has come to rest or has gone.
    fewer: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Those that are there and not at rest, in the order in which they came.
    present: BTreeMap<u64, Present>,
    /// The connections at rest, by the order in which they came.
    at_rest: BTreeMap<u64, ConnectionAtRest>,
    /// Connections that go on in the task of their register port, which has not taken them yet.
    returning: Vec<ConnectionAtRest>,
}

struct Present {
    peer: Option<SocketAddr>,
    kind: Kind,
}

/// Who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::php) enum Kind {
    /// A connection that calls, or that has not said yet what it is for.
    Call,
    Worker,
    /// The task of a register port, which rests when its new connections do.
    Port,
}

/// Somebody that is there, until this is dropped.
pub(in crate::php) struct Presence<'a> {
    attendance: &'a Attendance,
    id: u64,
}

/// Somebody that was asked to come to rest and is not.
pub(in crate::php) struct Restless {
    pub(in crate::php) others: usize,
    pub(in crate::php) peer: Option<SocketAddr>,
    pub(in crate::php) kind: Kind,
}

impl Attendance {
    /// Counts a connection or a register port, until what this gives is dropped.
    pub(in crate::php) fn enter(&self, peer: Option<SocketAddr>, kind: Kind) -> Presence<'_> {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.present.insert(id, Present { peer, kind });
        Presence { attendance: self, id }
    }

    /// Waits until calls, and with `Everybody` workers too, are asked to come to rest. Gives the future, which may be kept.
    pub(in crate::php) fn called(&self, who: Rest) -> impl Future<Output = ()> + Send + use<> {
        let mut wanted = self.wanted.subscribe();
        async move {
            // The sender is gone only when all else is.
            if wanted.wait_for(|wanted| *wanted >= who).await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Waits until a connection that cannot come to rest where it is has had its grace, and has to be closed.
    pub(in crate::php) async fn late(&self) {
        self.called(Rest::Calls).await;
        tokio::time::sleep(GRACE).await;
    }

    /// Waits until register ports may accept connections again.
    pub(in crate::php) async fn reopened(&self) {
        if self.is_closed.subscribe().wait_for(|is_closed| !is_closed).await.is_err() {
            std::future::pending().await
        }
    }

    /// Asks to come to rest. Gives false if that has been asked already.
    pub(super) fn call(&self, who: Rest) -> bool {
        self.is_closed.send_replace(true);
        self.wanted.send_if_modified(|wanted| {
            let is_more = *wanted < who;
            *wanted = who.max(*wanted);
            is_more
        })
    }

    /// Waits until all that were asked have come to rest.
    pub(super) async fn rested(&self, who: Rest) {
        loop {
            let fewer = self.fewer.notified();
            tokio::pin!(fewer);
            fewer.as_mut().enable();
            if self.restless(who).is_none() {
                return;
            }
            fewer.await;
        }
    }

    /// The first of those that were asked and are not at rest.
    pub(super) fn restless(&self, who: Rest) -> Option<Restless> {
        let state = self.state();
        let asked = state.present.values().filter(|one| one.kind != Kind::Worker || who == Rest::Everybody);
        let &Present { peer, kind } = asked.clone().min_by_key(|one| one.kind)?;
        Some(Restless { others: asked.filter(|one| one.kind == kind).count() - 1, peer, kind })
    }

    /// Gives those at rest. Who comes to rest later goes on.
    pub(super) fn take(&self) -> Vec<ConnectionAtRest> {
        self.state().take()
    }

    /// Asks nobody any more to come to rest, and gives those at rest.
    pub(super) fn release(&self) -> Vec<ConnectionAtRest> {
        let mut state = self.state();
        self.wanted.send_replace(Rest::Nobody);
        state.take()
    }

    /// Leaves connections to the tasks of their register ports, which go on accepting others behind them.
    pub(super) fn reopen(&self, young: Vec<ConnectionAtRest>) {
        self.state().returning.extend(young);
        self.is_closed.send_replace(false);
    }

    /// Takes the connections that go on in the task of this register port.
    pub(in crate::php) fn returning(&self, port: &str) -> Vec<ConnectionAtRest> {
        let mut state = self.state();
        let (own, others) =
            std::mem::take(&mut state.returning).into_iter().partition(|one| one.origin.port == port);
        state.returning = others;
        own
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes those at rest, in the order in which they came. Those that their register port has not taken yet came before.
    fn take(&mut self) -> Vec<ConnectionAtRest> {
        let mut all = std::mem::take(&mut self.returning);
        all.extend(std::mem::take(&mut self.at_rest).into_values());
        all
    }
}

impl Presence<'_> {
    /// From now on the connection is one of a worker.
    pub(in crate::php) fn is_worker(&self) {
        if let Some(present) = self.attendance.state().present.get_mut(&self.id) {
            present.kind = Kind::Worker;
        }
        self.attendance.fewer.notify_one();
    }

    /// Leaves a connection that has come to rest here. Gives it back if nobody is asked to rest any more, so that it has to go on.
    pub(in crate::php) fn rest(&self, connection: ConnectionAtRest) -> Option<ConnectionAtRest> {
        let mut state = self.attendance.state();
        if *self.attendance.wanted.borrow() == Rest::Nobody {
            return Some(connection);
        }
        state.at_rest.insert(self.id, connection);
        None
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.attendance.state().present.remove(&self.id);
        self.attendance.fewer.notify_one();
    }
}
