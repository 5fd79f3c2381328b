//! The store of messages for users who are not there.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tracing::info;

use crate::config::Settings;
use crate::inbox::bounds::Bounds;
use crate::inbox::sqlite::SqliteStore;
use crate::inbox::store::Store;
use crate::inbox::worker::Opener;
use crate::inbox::writer::{Writer, WriterHandle, WriterSettings};
use crate::service::{Gateway, HubPost};

/// Makes what the store is asked by, if the settings name one. Its thread is started later.
pub(super) fn handle(settings: &Settings) -> Option<WriterHandle> {
    settings.store.as_ref().map(|_| WriterHandle::new(WriterSettings::default()))
}

/// Starts the thread of the store. The store is opened at once, unless another process may have it still.
pub(super) fn start(settings: &Settings, gateway: &Gateway, is_free: bool) -> anyhow::Result<Option<Writer>> {
    let (Some(path), Some(handle)) = (&settings.store, gateway.inbox()) else { return Ok(None) };
    let mut open = opener(path.clone(), settings.store_bytes as u64);
    let store = is_free.then(&mut open).transpose().map_err(anyhow::Error::msg)?;
    let post = Box::new(HubPost::new(Arc::clone(gateway.hub())));
    let writer = Writer::start(handle.clone(), store, open, post).context("the thread of the store")?;
    info!(path = %path.display(), "messages wait in the store for users who are not there");
    Ok(Some(writer))
}

fn opener(path: PathBuf, store_bytes: u64) -> Opener {
    Box::new(move || {
        let store = SqliteStore::open(&path, Bounds { store_bytes, ..Bounds::default() });
        store.map(|store| -> Box<dyn Store> { Box::new(store) }).map_err(|error| error.to_string())
    })
}
