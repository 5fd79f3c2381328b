//! How long relays may last: the serving process closes the clients of those that are older.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::info;

use crate::config::Settings;
use crate::hub::Hub;
use crate::relay::Relays;

/// How often the relays are looked at. Each reports as often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The number of clients that are closed at one look. As many may come back in a second without harm.
const AT_ONCE: usize = 1_000;

/// Closes the clients of relays that are older than `relay_seconds`, which is never for a time of zero.
pub(crate) async fn watch_relays(
    hub: Arc<Hub>,
    relays: Arc<Relays>,
    settings: watch::Receiver<Arc<Settings>>,
) {
    let mut told = HashSet::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let longest = settings.borrow().relay_seconds;
        let list = relays.list();
        told.retain(|pid| list.iter().any(|(report, _)| report.pid == *pid));
        let is_over = |age: &Duration| !longest.is_zero() && *age >= longest;
        for (report, _) in list.into_iter().filter(|(report, age)| report.clients > 0 && is_over(age)) {
            if told.insert(report.pid) {
                info!(pid = report.pid, clients = report.clients, "the clients of a relay are closed");
            }
            // Without shards the server ends.
            let _ = hub.close_relayed(report.pid, AT_ONCE).await;
        }
    }
}
