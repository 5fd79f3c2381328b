//! The forms of messages that some client has needed.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::protocol::{Encoding, WantedEncodings};

/// The forms of messages that some client has needed. Once one client needs a form, more will, so these are never reset.
#[derive(Default)]
pub(super) struct WantedForms {
    deflated: AtomicBool,
    non_websocket: AtomicBool,
}

impl WantedForms {
    /// Notes that a client gets messages in this encoding.
    pub(super) fn note(&self, encoding: Encoding) {
        match encoding {
            Encoding::Websocket | Encoding::Gateway2 => {}
            Encoding::Deflated | Encoding::Gateway2Deflated => self.deflated.store(true, Ordering::Relaxed),
            Encoding::Text | Encoding::Frame | Encoding::Tcp => {
                self.non_websocket.store(true, Ordering::Relaxed)
            }
        }
    }

    pub(super) fn get(&self) -> WantedEncodings {
        WantedEncodings {
            deflated: self.deflated.load(Ordering::Relaxed),
            non_websocket: self.non_websocket.load(Ordering::Relaxed),
        }
    }
}
