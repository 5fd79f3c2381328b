//! What the old process still does after an upgrade: it carries the bytes of the clients that speak TLS, until they have gone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;
use tokio::task::block_in_place;
use tracing::{error, info, warn};

use crate::handover::{NewProcess, report_relayed};
use crate::lifecycle::stop::StopSignals;
use crate::relay::{Relay, RelayCounts, RelayHandle, RelayedClient};

/// How often the new process is told how the relay is doing.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// A relay that runs in a thread of its own.
pub(crate) struct Carrier {
    new: NewProcess,
    counts: Arc<RelayCounts>,
    handle: RelayHandle,
    ended: oneshot::Receiver<()>,
}

impl Carrier {
    /// Begins to carry the bytes of these clients. Gives `None` if there are none.
    pub(crate) fn begin(new: NewProcess, clients: Vec<RelayedClient>) -> anyhow::Result<Option<Self>> {
        if clients.is_empty() {
            return Ok(None);
        }
        let counts = Arc::new(RelayCounts::default());
        let relay = Relay::new(Arc::clone(&counts)).context("the relay of TLS clients")?;
        let handle = relay.handle();
        clients.into_iter().for_each(|client| handle.add(client));
        handle.complete();
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("relay".to_owned())
            .spawn(move || {
                if let Err(error) = relay.run() {
                    error!(%error, "the relay of TLS clients has ended");
                }
                let _ = end.send(());
            })
            .context("the thread of the relay")?;
        Ok(Some(Self { new, counts, handle, ended }))
    }

    /// Waits until all clients have gone. After a signal they have this time, in which the serving process may close them in order; a
    /// second signal cuts them off.
    pub(crate) async fn carry(mut self, signals: &mut StopSignals, patience: Duration) {
        let (mut is_heard, mut patience) = (true, patience);
        loop {
            tokio::select! {
                _ = &mut self.ended => break,
                signal = signals.next() => {
                    info!("{signal}: the relay of TLS clients ends");
                    self.handle.stop_within(std::mem::take(&mut patience));
                }
                () = tokio::time::sleep(REPORT_EVERY), if is_heard => {
                    let report = self.counts.report();
                    let said = || report_relayed(&mut self.new, report.clients, &report.to_bytes());
                    if let Err(error) = block_in_place(said) {
                        warn!(%error, "the new process is not told how the relay of TLS clients is doing");
                        is_heard = false;
                    }
                }
            }
        }
    }
}
