//! The settings are read again on SIGHUP, and those that can change without a restart take effect.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use crate::config::{Change, Settings, Source};
use crate::lifecycle::systemd;
use crate::system::files::Reads;

static READS: Reads = Reads::new();

/// The settings that the server runs with, and where they were read from.
#[derive(Debug)]
pub(super) struct Reloads {
    source: Source,
    hangup: Signal,
    settings: Arc<Settings>,
    /// Whoever holds this keeps the settings from being read again, or is about to apply new ones.
    turn: Arc<Mutex<()>>,
}

impl Reloads {
    /// Catches SIGHUP, which from now on does not end the process.
    pub(super) fn new(source: Source, settings: Arc<Settings>) -> io::Result<Self> {
        Ok(Self { source, hangup: signal(SignalKind::hangup())?, settings, turn: Arc::default() })
    }

    /// The settings as they were last read.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is held while new settings are applied, so that nobody else changes the server meanwhile.
    pub(super) fn turn(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.turn)
    }

    /// Gives the settings to `apply` after each SIGHUP. This happens even when they are the same, as files that they name may
    /// have changed.
    pub(super) async fn serve(&mut self, apply: impl AsyncFn(&Arc<Settings>)) {
        while self.hangup.recv().await.is_some() {
            let turn = Arc::clone(&self.turn);
            let _turn = turn.lock().await;
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
        // The signal stream has ended, so there is nothing to do any more.
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
