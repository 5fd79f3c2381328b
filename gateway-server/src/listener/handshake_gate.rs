//! The gate between handshakes and the shards, which is closed while another process takes over: the shards do no work then, and what
//! they are told afterwards is lost if that process has taken over.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::timeout;

use super::begun::PassedHandshake;

/// The number of handshakes that may be at the shards at the same time. Further ones wait a moment.
const AT_ONCE: u32 = 1 << 20;

/// The gate, which all listeners share.
#[derive(Debug)]
pub struct HandshakeGate {
    /// The turns to use the shards. Whoever closes the gate takes them all.
    turns: Semaphore,
    is_handed_over: watch::Sender<bool>,
    /// What handshakes begin with, until the shards are handed over. The channel is not bounded, as each handshake passes one message at
    /// most, and `max_handshakes` bounds these.
    passing: Mutex<Option<UnboundedSender<PassedHandshake>>>,
    /// The handshakes that are passed on come here, until the shards are handed over.
    passed: Mutex<Option<UnboundedReceiver<PassedHandshake>>>,
}

/// A handshake that is under way.
#[derive(Debug)]
pub(super) struct UnderWay(UnboundedSender<PassedHandshake>);

/// Lets a handshake use the shards for as long as this lives.
pub(super) type Turn<'g> = SemaphorePermit<'g>;

/// Another process has the shards' clients.
#[derive(Debug)]
pub(super) struct HandedOver;

/// Keeps the gate closed. Dropping this opens it, and what has waited goes on.
#[derive(Debug)]
pub struct ClosedGate<'g> {
    gate: &'g HandshakeGate,
    /// The turns of all handshakes.
    _turns: SemaphorePermit<'g>,
}

impl Default for HandshakeGate {
    fn default() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            turns: Semaphore::new(AT_ONCE as usize),
            is_handed_over: watch::Sender::new(false),
            passing: Mutex::new(Some(sender)),
            passed: Mutex::new(Some(receiver)),
        }
    }
}

impl HandshakeGate {
    /// Begins a handshake. Gives `None` once another process has taken over, when nobody accepts here any more.
    pub(super) fn begin(&self) -> Option<UnderWay> {
        self.passing.lock().unwrap_or_else(PoisonError::into_inner).clone().map(UnderWay)
    }

    /// Waits until the shards can be used.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, HandedOver> {
        self.turns.acquire().await.map_err(|_| HandedOver)
    }

    /// Waits until another process has taken over.
    pub(super) async fn handed_over(&self) {
        // The channel cannot be closed, as the gate owns its sending end.
        let _ = self.is_handed_over.subscribe().wait_for(|is_handed_over| *is_handed_over).await;
    }

    /// Closes the gate once the handshakes that use the shards have done so. Gives `None` if that takes longer than this.
    pub async fn close(&self, within: Duration) -> Option<ClosedGate<'_>> {
        let turns = timeout(within, self.turns.acquire_many(AT_ONCE)).await.ok()?.ok()?;
        Some(ClosedGate { gate: self, _turns: turns })
    }
}

impl ClosedGate<'_> {
    /// Leaves the gate closed for good, as another process has taken over, and gives the handshakes that are passed on to it. They end
    /// when all handshakes of this process have.
    pub fn hand_over(self) -> UnboundedReceiver<PassedHandshake> {
        let Self { gate, .. } = self;
        gate.passing.lock().unwrap_or_else(PoisonError::into_inner).take();
        let passed = gate.passed.lock().unwrap_or_else(PoisonError::into_inner).take();
        gate.turns.close();
        gate.is_handed_over.send_replace(true);
        // Nobody closes the gate again after this.
        passed.unwrap_or_else(|| mpsc::unbounded_channel().1)
    }
}

impl UnderWay {
    /// Passes the handshake on to the process that has taken over.
    pub(super) fn pass(&self, handshake: PassedHandshake) {
        // Without a receiver this process ends.
        let _ = self.0.send(handshake);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn it_closes_behind_who_uses_the_shards_and_opens_again() {
        let gate = HandshakeGate::default();
        let turn = gate.turn().await.unwrap();
        assert!(gate.close(Duration::from_millis(10)).await.is_none());
        // A close that was given up keeps nobody out.
        drop(gate.turn().now_or_never().unwrap().unwrap());
        let mut closing = Box::pin(gate.close(LONG));
        assert!(closing.as_mut().now_or_never().is_none());
        let mut waiting = Box::pin(gate.turn());
        assert!(waiting.as_mut().now_or_never().is_none(), "nobody overtakes the close");
        drop(turn);
        let closed = closing.await.unwrap();
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(closed);
        drop(waiting.await.unwrap());
        assert!(gate.handed_over().now_or_never().is_none() && gate.begin().is_some());
    }

    #[tokio::test]
    async fn who_waits_when_another_process_takes_over_is_told_so() {
        let gate = HandshakeGate::default();
        let under_way = gate.begin().unwrap();
        let closed = gate.close(LONG).await.unwrap();
        let mut waiting = Box::pin(gate.turn());
        assert!(waiting.as_mut().now_or_never().is_none());
        let mut passed = closed.hand_over();
        assert!(waiting.await.is_err() && gate.turn().await.is_err() && gate.begin().is_none());
        gate.handed_over().await;
        assert!(passed.recv().now_or_never().is_none(), "a handshake is under way");
        drop(under_way);
        assert!(passed.recv().await.is_none());
    }
}
