//! What PHP is told of messages in the store, and who tells it.

use std::sync::Arc;

use crate::config::Settings;
use crate::inbox::notices::WantedNotices;
use crate::php::Backend;
use crate::service::{NoticeTeller, Told};
use crate::webhook::Webhook;

/// Makes what tells PHP what has become of messages in the store, if the settings want that.
pub(super) fn teller(settings: &Settings, backend: &Backend) -> anyhow::Result<Option<NoticeTeller>> {
    let Some(inbox) = backend.gateway.inbox().filter(|_| !WantedNotices::of(settings).is_none()) else {
        return Ok(None);
    };
    let told = match Webhook::of(settings).map_err(anyhow::Error::msg)? {
        None => Told::Workers(Arc::clone(&backend.notices)),
        Some(webhook) => Told::Webhook(Box::new(webhook)),
    };
    Ok(Some(NoticeTeller::new(inbox.clone(), told)))
}
