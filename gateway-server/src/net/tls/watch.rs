//! Reads certificates again when their files change, or when SIGHUP asks for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use super::Certificate;
use crate::system::files::Reads;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The reads of certificates that are under way.
static READS: Reads = Reads::new();

/// Watches the files until the task is dropped.
pub async fn watch(certificates: Arc<[Arc<Certificate>]>, mut hangup: Signal) {
    let mut is_failing = false;
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
        // A failed look needs no repetition, as the next one comes anyway.
        match READS.run(look).await {
            Ok(()) => is_failing = false,
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    error!("the certificates cannot be looked at, the old ones stay: {error}");
                }
            }
        }
    }
}
