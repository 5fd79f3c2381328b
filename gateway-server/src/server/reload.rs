//! SIGHUP: the settings are read again, and those that can change do.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::config::{Change, Settings, Source};
use crate::lifecycle::systemd;
use crate::system::files::Reads;

static READS: Reads = Reads::new();

/// The settings that are served by, and where they came from.
#[derive(Debug)]
pub(super) struct Reloads {
    source: Source,
    hangup: Signal,
    settings: Arc<Settings>,
}

impl Reloads {
    /// From now on SIGHUP no longer ends the process.
    pub(super) fn new(source: Source, settings: Arc<Settings>) -> io::Result<Self> {
        Ok(Self { source, hangup: signal(SignalKind::hangup())?, settings })
    }

    /// The newest ones.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Gives settings to `apply` whenever they have been read again, changed or not: files that they name may have.
    pub(super) async fn serve(&mut self, apply: impl AsyncFn(&Settings)) {
        while self.hangup.recv().await.is_some() {
            systemd::reloading();
            let (source, settings) = (self.source.clone(), Arc::clone(&self.settings));
            let read = READS.run(move || read(&source, &settings)).await;
            match read.unwrap_or_else(|failed| Err(anyhow::Error::from(failed).context("the settings"))) {
                Ok(change) => {
                    self.settings = Arc::new(change.settings);
                    apply(&self.settings).await;
                    say(&change.live, &change.fixed, &change.hidden);
                }
                Err(wrong) => {
                    format!("{wrong:#}").lines().for_each(|line| error!("{line}"));
                    error!("SIGHUP: the settings stay as they were");
                }
            }
            systemd::ready();
        }
        // No signal comes any more.
        std::future::pending().await
    }
}

fn read(source: &Source, settings: &Settings) -> anyhow::Result<Change> {
    let new = source.settings()?;
    let change = settings.change(&new).map_err(|invalid| source.explain(&invalid))?;
    Ok(Change { hidden: source.hidden()?, ..change })
}

fn say(live: &[String], fixed: &[String], hidden: &[&str]) {
    if live.is_empty() {
        info!("SIGHUP: settings read, none has changed that can");
    } else {
        info!("SIGHUP: settings read, changed: {}", live.join(", "));
    }
    if !fixed.is_empty() {
        warn!("SIGHUP: changed in the file, but only by a restart: {}", fixed.join(", "));
    }
    if !hidden.is_empty() {
        info!("SIGHUP: in the file, but a flag or a variable says otherwise: {}", hidden.join(", "));
    }
}
