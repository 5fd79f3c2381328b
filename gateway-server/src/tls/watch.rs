//! Reads certificates again when their files change, or when SIGHUP asks for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::info;

use super::Certificate;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Watches until the task is dropped.
pub async fn watch(certificates: Arc<[Arc<Certificate>]>, mut hangup: Signal) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_asked = tokio::select! {
            _ = looks.tick() => false,
            _ = hangup.recv() => true,
        };
        if is_asked {
            info!("SIGHUP: reading the certificates again");
        }
        let certificates = Arc::clone(&certificates);
        let look = move || {
            let look = if is_asked { Certificate::read_again } else { Certificate::look };
            certificates.iter().for_each(|certificate| look(certificate));
        };
        // A disk may be slow. A panic in there has been logged, and the next look comes.
        let _ = spawn_blocking(look).await;
    }
}
