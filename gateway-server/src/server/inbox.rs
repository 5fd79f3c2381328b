//! The store of messages for users who are not there.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tracing::info;

use crate::config::Settings;
use crate::inbox::bounds::Bounds;
use crate::inbox::notices::WantedNotices;
use crate::inbox::sqlite::SqliteStore;
use crate::inbox::store::Store;
use crate::inbox::worker::Opener;
use crate::inbox::writer::{Writer, WriterHandle, WriterSettings};
use crate::php::Backend;
use crate::service::{Gateway, HubPost, NoticeTeller, Told};
use crate::system::ages::millis;
use crate::webhook::{Webhook, WebhookKey};

/// Makes what the store is asked by, if the settings name one. Its thread is started later.
pub(super) fn handle(settings: &Settings) -> Option<WriterHandle> {
    settings.store.as_ref().map(|_| {
        let watches = wanted(settings).undelivered_after.is_some();
        WriterHandle::new(WriterSettings { watches, ..WriterSettings::default() })
    })
}

/// Starts the thread of the store. The store is opened at once, unless another process may have it still.
pub(super) fn start(settings: &Settings, gateway: &Gateway, is_free: bool) -> anyhow::Result<Option<Writer>> {
    let (Some(path), Some(handle)) = (&settings.store, gateway.inbox()) else { return Ok(None) };
    let mut open = opener(path.clone(), settings.store_bytes as u64, wanted(settings));
    let store = is_free.then(&mut open).transpose().map_err(anyhow::Error::msg)?;
    let post = Box::new(HubPost::new(Arc::clone(gateway.hub())));
    let writer = Writer::start(handle.clone(), store, open, post).context("the thread of the store")?;
    info!(path = %path.display(), "messages wait in the store for users who are not there");
    Ok(Some(writer))
}

fn opener(path: PathBuf, store_bytes: u64, wanted: WantedNotices) -> Opener {
    Box::new(move || {
        let store = SqliteStore::open(&path, Bounds { store_bytes, ..Bounds::default() });
        let mut store = store.map_err(|error| error.to_string())?;
        store.want_notices(wanted).map_err(|error| error.to_string())?;
        Ok(Box::new(store) as Box<dyn Store>)
    })
}

/// Which notices the store keeps for PHP.
fn wanted(settings: &Settings) -> WantedNotices {
    let after = settings.undelivered_seconds;
    let undelivered_after = (!after.is_zero()).then(|| millis(after));
    WantedNotices { receipts: settings.receipts, undelivered_after }
}

/// Makes what tells PHP what has become of messages in the store, if the settings want that.
pub(super) fn teller(settings: &Settings, backend: &Backend) -> anyhow::Result<Option<NoticeTeller>> {
    let Some(inbox) = backend.gateway.inbox().filter(|_| !wanted(settings).is_none()) else {
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
