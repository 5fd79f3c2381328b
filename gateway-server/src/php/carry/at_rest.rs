//! PHP's side of a hand-over to another process of the server.
//!
//! The process that gives has its connections come to rest ([`rest`]), freezes its shards, and writes what has come to rest, with the
//! events that wait ([`PhpAtRest::write`]). The process that takes reads it ([`PhpAtRest::read`]) and goes on
//! ([`PhpAtRest::go_on`]). When nothing comes of it, the first process goes on itself, by the same code.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use gateway_wire::bridge::Producer;
use rustix::time::{ClockId, clock_gettime};
use serde_bytes::ByteBuf;

use super::attendance::{Kind, Rest, Restless};
use super::form::{CarriedState, ConnectionAtRest, MalformedPhp, StateAtRest, with_descriptors};
use crate::php::backend::Backend;
use crate::php::connection;
use crate::php::ordered_handshakes::HandshakeDone;
use crate::php::settings::RegisterPortSettings;

/// PHP's connections at rest. They are closed when this is dropped.
#[must_use]
pub struct PhpAtRest {
    /// The connections in the order in which they came.
    connections: Vec<ConnectionAtRest>,
}

/// Why PHP's connections could not come to rest. They go on as before.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAtRest {
    #[error("PHP's connections are coming to rest already")]
    Already,
    #[error("{0}")]
    Late(String),
}

/// What PHP's connections are written as, and the descriptors that go with it.
pub struct WrittenPhp<'a> {
    pub bytes: Vec<u8>,
    pub descriptors: Vec<BorrowedFd<'a>>,
}

/// Has all that is at rest go on unless it comes to an end well.
struct Attempt<'a> {
    backend: &'a Arc<Backend>,
    settings: &'a RegisterPortSettings,
    is_over: bool,
}

/// Has PHP's connections come to rest: register ports accept nobody, calls that have come are carried out and answered, and nothing
/// more is read. If that takes longer than `timeout`, everything goes on as before.
pub async fn rest(
    backend: &Arc<Backend>,
    settings: &RegisterPortSettings,
    timeout: Duration,
) -> Result<PhpAtRest, NotAtRest> {
    let attendance = &backend.attendance;
    if !attendance.call(Rest::Calls) {
        return Err(NotAtRest::Already);
    }
    let mut attempt = Attempt { backend, settings, is_over: false };
    let until = tokio::time::Instant::now() + timeout;
    for who in [Rest::Calls, Rest::Everybody] {
        attendance.call(who);
        if tokio::time::timeout_at(until, attendance.rested(who)).await.is_err()
            && let Some(restless) = attendance.restless(who)
        {
            return Err(NotAtRest::Late(late(&restless, timeout)));
        }
    }
    attempt.is_over = true;
    Ok(PhpAtRest { connections: attendance.take() })
}

/// Says what was waited for.
fn late(restless: &Restless, timeout: Duration) -> String {
    let Restless { others, peer, kind } = restless;
    let from = peer.map_or_else(|| "a unix socket".to_owned(), |peer| peer.to_string());
    let others = if *others == 0 { String::new() } else { format!(", and {others} more like it,") };
    match kind {
        Kind::Call => format!(
            "a call that PHP has sent from {from}{others} was not done within {timeout:?}: it waits for another node, for memory, or \
             for a worker's orders"
        ),
        Kind::Worker => format!(
            "the connection of a worker from {from}{others} did not come to rest within {timeout:?}: its orders wait for another node \
             or for memory"
        ),
        Kind::Port => format!("a register port did not come to rest within {timeout:?}"),
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            PhpAtRest { connections: Vec::new() }.go_on(self.backend, self.settings);
        }
    }
}

impl PhpAtRest {
    /// Writes all that goes on in another process. The shards must be frozen, so that no event comes behind.
    pub fn write(&self, backend: &Backend) -> WrittenPhp<'_> {
        let producers = backend.bridge.producers.at_rest();
        let state = CarriedState {
            written_at: monotonic(),
            instance: backend.bridge.instance(),
            producers: producers
                .into_iter()
                .map(|(name, applied)| (ByteBuf::from(name.0), applied))
                .collect(),
            workers: backend.workers.carry(),
            connections: self.connections.iter().map(|one| (one.origin.clone(), one.state.clone())).collect(),
        };
        let descriptors = self.connections.iter().flat_map(|one| &one.descriptors);
        WrittenPhp { bytes: state.to_bytes(), descriptors: descriptors.map(|one| one.as_fd()).collect() }
    }

    /// Reads what another process has written, into a backend that has served nobody. Clients that workers know may have come before.
    pub fn read(bytes: &[u8], descriptors: Vec<OwnedFd>, backend: &Backend) -> Result<Self, MalformedPhp> {
        let CarriedState { written_at, instance, producers, workers, connections } =
            CarriedState::from_bytes(bytes)?;
        let connections = with_descriptors(connections, descriptors)?;
        check(&connections)?;
        let producers = producers.into_iter().map(|(name, applied)| {
            let length = name.len();
            let name = name.into_vec().try_into().map_err(|_| MalformedPhp::Producer(length))?;
            Ok((Producer(name), applied))
        });
        let producers = producers.collect::<Result<Vec<_>, MalformedPhp>>()?;
        let since = Duration::from_nanos(monotonic().saturating_sub(written_at));
        backend.workers.take_over(workers, since, backend.gateway.hub())?;
        backend.bridge.producers.go_on(producers.into_iter());
        backend.bridge.go_on_as(instance);
        Ok(Self { connections })
    }

    /// Goes on with the connections. A process that has read them calls this before its register ports accept anybody, as a call must
    /// not overtake those that have come before it. The other nodes of a cluster are known by then, since BusinessWorkers
    /// give up gateways of which they are not told.
    pub fn go_on(self, backend: &Arc<Backend>, settings: &RegisterPortSettings) {
        let mut connections = backend.attendance.release();
        connections.extend(self.connections);
        let (young, mut grown): (Vec<_>, Vec<_>) =
            connections.into_iter().partition(|one| one.state.is_young());
        // Who reads the addresses of gateways must find them all, and a query must find the workers whose orders it waits for.
        grown.sort_by_key(|one| match &one.state {
            StateAtRest::Register(register) if register.gateway.is_some() => 0,
            StateAtRest::BusinessWorker(_) | StateAtRest::Worker(_) => 1,
            _ => 2,
        });
        for ConnectionAtRest { origin, state, descriptors } in grown {
            let (backend, settings) = (Arc::clone(backend), settings.clone());
            spawn_begun(async move {
                let done = HandshakeDone::default();
                connection::go_on(origin, (state, descriptors), &backend, &settings, &done).await;
            });
        }
        backend.attendance.reopen(young);
    }
}

/// Starts a task that has done its first steps when this returns.
fn spawn_begun(task: impl Future<Output = ()> + Send + 'static) {
    let mut task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(task);
    // The task is polled again when it is spawned, and says then who wakes it.
    if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        tokio::spawn(task);
    }
}

/// Checks the events that connections have, which are read when they go on.
fn check(connections: &[ConnectionAtRest]) -> Result<(), MalformedPhp> {
    for connection in connections {
        let batches = match &connection.state {
            StateAtRest::BusinessWorker(worker) => worker.batch.iter().chain(&worker.held_back).collect(),
            StateAtRest::Worker(worker) => worker.batches.iter().map(|(_, batch)| batch).collect(),
            StateAtRest::New | StateAtRest::Register(_) | StateAtRest::Internal(_) => Vec::new(),
        };
        batches.into_iter().try_for_each(crate::events::CarriedBatch::check)?;
    }
    Ok(())
}

/// Nanoseconds of the clock that all processes of a machine share.
fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}
