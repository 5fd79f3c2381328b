//! Pages whose clients are at other nodes are turned away while another process is to take over: a node that does not answer would hold
//! the hand-over up for as long as it may take to answer. They are asked to try again, and come to the new process then.

use std::sync::Arc;

use tokio::sync::watch;

use super::NotFound;

/// Whether such pages are turned away.
#[derive(Debug, Default)]
pub(super) struct TurningAway(Arc<watch::Sender<bool>>);

/// Keeps such pages away until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct TurnedAway(Arc<watch::Sender<bool>>);

impl TurningAway {
    /// Turns such pages away, those included that wait already.
    pub(super) fn begin(&self) -> TurnedAway {
        self.0.send_replace(true);
        TurnedAway(Arc::clone(&self.0))
    }

    /// Does a step of a page that may be turned away meanwhile. The step is dropped then.
    pub(super) async fn unless_begun<T>(
        &self,
        step: impl Future<Output = Result<T, NotFound>>,
    ) -> Result<T, NotFound> {
        let mut turning_away = self.0.subscribe();
        tokio::select! {
            biased;
            // The channel cannot be closed, as this owns its sending end.
            _ = turning_away.wait_for(|is_begun| *is_begun) => {
                Err(NotFound::NotNow("a new process of the node takes over".to_owned()))
            }
            done = step => done,
        }
    }
}

impl Drop for TurnedAway {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_waits_is_turned_away_and_later_nobody() {
        let turning_away = TurningAway::default();
        let mut waits = Box::pin(turning_away.unless_begun(std::future::pending::<Result<(), NotFound>>()));
        assert!((&mut waits).now_or_never().is_none());
        let turned_away = turning_away.begin();
        assert!(matches!(waits.await, Err(NotFound::NotNow(_))));
        assert!(
            turning_away.unless_begun(async { Ok(()) }).await.is_err(),
            "who comes now is not let in either"
        );
        drop(turned_away);
        assert_eq!(turning_away.unless_begun(async { Ok(7) }).await, Ok(7));
    }
}
