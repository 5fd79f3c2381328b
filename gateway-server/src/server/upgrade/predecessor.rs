//! What the new process hears of the old one after an upgrade.

use std::sync::Arc;

use anyhow::Context as _;
use tracing::warn;

use crate::handover::{AfterDecision, Channel, hear_after_decision};
use crate::relay::{RelayReport, Relays};

/// Hears how the relay of the old process is doing, in a thread of its own, until that process has gone.
pub(super) fn hear(mut channel: Channel, relays: Arc<Relays>) -> anyhow::Result<()> {
    let thread = std::thread::Builder::new().name("predecessor".to_owned());
    let hearing = move || {
        let mut pid = None;
        // An error says that the old process has ended.
        while let Ok(said) = hear_after_decision(&mut channel) {
            match said {
                AfterDecision::Relayed(_, report) => match RelayReport::from_bytes(&report) {
                    Ok(report) => {
                        pid = Some(report.pid);
                        relays.note(report);
                    }
                    Err(error) => {
                        warn!(%error, "upgrade: the relay of the old process reports what this one does not understand")
                    }
                },
                AfterDecision::Handshake(..) => {
                    warn!("upgrade: the old process passes a handshake, which this one does not take");
                }
            }
        }
        if let Some(pid) = pid {
            relays.forget(pid);
        }
    };
    thread.spawn(hearing).context("the thread that hears of the old process")?;
    Ok(())
}
