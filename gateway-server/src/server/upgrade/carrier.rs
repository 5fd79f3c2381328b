//! What the old process still does after an upgrade: it passes on the handshakes that were under way, and carries the bytes of the
//! clients that speak TLS, until they have gone.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::block_in_place;
use tracing::{error, info, warn};

use crate::handover::{NewProcess, pass_handshake, report_relayed};
use crate::lifecycle::stop::StopSignals;
use crate::listener::PassedHandshake;
use crate::relay::{Relay, RelayCounts, RelayHandle, RelayedClient};

/// How often the new process is told how the relay is doing.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// A relay that runs in a thread of its own, and the handshakes whose clients come to it or go to the new process.
pub(crate) struct Carrier {
    new: NewProcess,
    handshakes: Handshakes,
    counts: Arc<RelayCounts>,
    handle: RelayHandle,
    ended: oneshot::Receiver<()>,
}

type Handshakes = UnboundedReceiver<PassedHandshake>;

impl Carrier {
    /// Begins to carry the bytes of these clients, and to pass on the handshakes that are under way. Gives `None` if there is nothing to do.
    pub(crate) fn begin(
        new: NewProcess,
        clients: Vec<RelayedClient>,
        handshakes: Handshakes,
    ) -> anyhow::Result<Option<Self>> {
        if clients.is_empty() && handshakes.is_closed() && handshakes.is_empty() {
            return Ok(None);
        }
        let counts = Arc::new(RelayCounts::default());
        let relay = Relay::new(Arc::clone(&counts)).context("the relay of TLS clients")?;
        let handle = relay.handle();
        clients.into_iter().for_each(|client| handle.add(client));
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
        Ok(Some(Self { new, handshakes, counts, handle, ended }))
    }

    /// Passes on the handshakes until all have ended, and waits until all clients have gone. After a signal they have this time, in which
    /// the serving process may close them in order; a second signal cuts them off.
    pub(crate) async fn carry(mut self, signals: &mut StopSignals, patience: Duration) {
        let (mut may_pass, mut is_heard, mut is_reported, mut patience) = (true, true, false, patience);
        let mut reports = tokio::time::interval(REPORT_EVERY);
        loop {
            tokio::select! {
                _ = &mut self.ended => break,
                passed = self.handshakes.recv(), if may_pass => match passed {
                    Some(passed) => self.pass(passed),
                    None => {
                        may_pass = false;
                        self.handle.complete();
                    }
                },
                signal = signals.next() => {
                    info!("{signal}: the relay of TLS clients ends");
                    self.handle.stop_within(std::mem::take(&mut patience));
                }
                _ = reports.tick(), if is_heard => {
                    let report = self.counts.report();
                    // A process that waits for handshakes alone is no relay.
                    is_reported |= report.clients > 0;
                    if !is_reported {
                        continue;
                    }
                    let said = || report_relayed(&mut self.new, report.clients, &report.to_bytes());
                    if let Err(error) = block_in_place(said) {
                        warn!(%error, "the new process is not told how the relay of TLS clients is doing");
                        is_heard = false;
                        if error.is_end() {
                            // Nobody serves the clients any more, and the ends of their pairs are closed.
                            may_pass = false;
                            self.handshakes.close();
                            self.handle.complete();
                        }
                    }
                }
            }
        }
    }

    /// Passes a handshake on. Its client is lost if the new process is gone, as it would be with that process.
    fn pass(&mut self, passed: PassedHandshake) {
        let PassedHandshake { handshake, socket, relayed } = passed;
        let said = || pass_handshake(&mut self.new, &handshake.to_bytes(), &[socket.as_fd()]);
        match block_in_place(said) {
            Ok(()) => relayed.into_iter().for_each(|client| self.handle.add(client)),
            Err(error) => warn!(%error, "upgrade: a handshake is not passed on to the new process"),
        }
    }
}
