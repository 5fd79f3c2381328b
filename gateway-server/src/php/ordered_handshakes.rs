//! New connections from PHP, until they have said their first words.
//!
//! GatewayWorker's client opens a connection for each call, and calls must not overtake each other. So one task serves all that
//! are new, in the order in which they come and have something to say; those that go on get a task of their own then.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

type Connection = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection and whether it is new. Gives the connection once it is not, or nothing once it has ended.
pub(super) struct OrderedHandshake {
    connection: Option<Connection>,
    is_grown: Arc<AtomicBool>,
}

/// A connection says by it that its first words were understood and have taken effect.
#[derive(Clone)]
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
        // The panic of one, which has been logged, is not that of the others.
        let polled = catch_unwind(AssertUnwindSafe(|| connection.as_mut().poll(context)));
        match polled {
            Ok(Poll::Pending) if self.is_grown.load(Ordering::Relaxed) => Poll::Ready(self.connection.take()),
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) | Err(_) => Poll::Ready(None),
        }
    }
}
