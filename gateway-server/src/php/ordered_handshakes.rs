//! New connections from PHP are served in order until their handshake is done.
//!
//! GatewayWorker's client opens a connection for each call, and calls must not overtake each other. So one task serves all new
//! connections, in the order in which they come and have input. A connection of GatewayWorker's internal protocol is done with its
//! handshake once its first command has taken effect, the others are with their first byte. If it goes on then, it gets a task of
//! its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

type Connection = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The future of a new connection, inside the shared task. It gives the connection's future once the handshake is done, so that
/// it can get a task of its own, or `None` once the connection has ended.
pub(super) struct OrderedHandshake {
    connection: Option<Connection>,
    is_grown: Arc<AtomicBool>,
}

/// The flag by which a connection says that its handshake is done.
#[derive(Clone, Default)]
pub(super) struct HandshakeDone(Arc<AtomicBool>);

impl OrderedHandshake {
    pub(super) fn new<F>(connection: impl FnOnce(HandshakeDone) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let is_grown = Arc::new(AtomicBool::new(false));
        let connection: Connection = Box::pin(connection(HandshakeDone(Arc::clone(&is_grown))));
        Self { connection: Some(connection), is_grown }
    }
}

impl HandshakeDone {
    pub(super) fn is_done(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Future for OrderedHandshake {
    type Output = Option<Connection>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        // A panic of one connection, which has been logged, must not end the others.
        let polled = catch_unwind(AssertUnwindSafe(|| connection.as_mut().poll(context)));
        match polled {
            Ok(Poll::Pending) if self.is_grown.load(Ordering::Relaxed) => Poll::Ready(self.connection.take()),
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) | Err(_) => Poll::Ready(None),
        }
    }
}
