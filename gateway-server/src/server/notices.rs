//! What PHP is told of messages in the store, and who tells it.

use std::sync::Arc;

use crate::config::Settings;
use crate::inbox::notices::WantedNotices;
use crate::net::WebhookKey;
use crate::php::Backend;
use crate::service::{NoticeTeller, Told};
use crate::webhook::Webhook;

/// Makes what tells PHP what has become of messages in the store, if the settings want that.
pub(super) fn teller(settings: &Settings, backend: &Backend) -> anyhow::Result<Option<NoticeTeller>> {
    let Some(inbox) = backend.gateway.inbox().filter(|_| !WantedNotices::of(settings).is_none()) else {
        return Ok(None);
    };
    let told = match &settings.webhook_url {
        None => Told::Workers(Arc::clone(&backend.notices)),
        Some(address) => {
            let key = WebhookKey::from_secret(&settings.webhook_secret);
            let key = key.map_err(|reason| anyhow::anyhow!("webhook_secret: {reason}"))?;
            let webhook = Webhook::new(address.clone(), key, settings.webhook_tls_ca.as_deref());
            Told::Webhook(Box::new(webhook.map_err(|reason| anyhow::anyhow!("webhook_tls_ca: {reason}"))?))
        }
    };
    Ok(Some(NoticeTeller::new(inbox.clone(), told)))
}
