//! The store of messages for users who are not there.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tracing::{info, warn};

use crate::config::Settings;
use crate::inbox::bounds::Bounds;
use crate::inbox::jetstream::{JetStreamSettings, JetStreamStore, LateStore, OpenError};
use crate::inbox::notices::WantedNotices;
use crate::inbox::sqlite::SqliteStore;
use crate::inbox::store::Store;
use crate::inbox::worker::Opener;
use crate::inbox::writer::{Writer, WriterHandle, WriterSettings};
use crate::service::{Gateway, HubPost};

/// Makes what the store is asked by, if the settings name one. Its thread is started later.
pub(super) fn handle(settings: &Settings) -> Option<WriterHandle> {
    settings.store.as_ref().map(|_| {
        let watches = WantedNotices::of(settings).undelivered_after.is_some();
        WriterHandle::new(WriterSettings { watches, ..WriterSettings::default() })
    })
}

/// Starts the thread of the store. The store is opened at once, unless another process may have it still.
pub(super) fn start(
    settings: &Arc<Settings>,
    gateway: &Gateway,
    is_free: bool,
) -> anyhow::Result<Option<Writer>> {
    let (Some(path), Some(handle)) = (&settings.store, gateway.inbox()) else { return Ok(None) };
    if settings.has_jetstream() {
        return start_jetstream(settings, gateway, handle).map(Some);
    }
    let mut open = opener(path, settings);
    let store = is_free.then(&mut open).transpose().map_err(anyhow::Error::msg)?;
    let post = Box::new(HubPost::new(Arc::clone(gateway.hub())));
    let writer = Writer::start(handle.clone(), store, open, post).context("the thread of the store")?;
    info!(path = %path.display(), "messages wait in the store for users who are not there");
    Ok(Some(writer))
}

/// Starts the thread of the store of a cluster. Another process may have it open too.
fn start_jetstream(
    settings: &Arc<Settings>,
    gateway: &Gateway,
    handle: &WriterHandle,
) -> anyhow::Result<Writer> {
    let client = format!("gateway-server {} inbox", gateway.node());
    let jetstream = JetStreamSettings { server: Arc::clone(settings), client };
    let bounds = Bounds::of(settings);
    let (runtime, waker) = (Handle::current(), handle.clone());
    let open = move || JetStreamStore::open(&jetstream, bounds, &runtime, Box::new(waker.waker()));
    let store = match block_in_place(&open) {
        Ok(store) => {
            info!(
                version = store.version(),
                replicas = settings.store_replicas,
                "messages wait in JetStream for users who are not there; nats-server syncs its disk as its sync_interval says, every 2 minutes unless it is set"
            );
            Some(store)
        }
        Err(error @ OpenError::Unsuitable(_)) => return Err(error.into()),
        Err(OpenError::Unreachable(reason)) => {
            warn!(
                reason,
                "JetStream cannot be reached; messages for users who are not there are refused until it can"
            );
            None
        }
    };
    let open_again = open.clone();
    let late = move |store| -> Box<dyn Store> {
        let open = open.clone();
        Box::new(LateStore::new(store, Box::new(move || open().map_err(|error| error.to_string()))))
    };
    let first = late(store);
    // After an upgrade that has come to nothing, what was stored meanwhile is looked at at once.
    let again: Opener = Box::new(move || Ok(late(Some(open_again().map_err(|error| error.to_string())?))));
    let post = Box::new(HubPost::new(Arc::clone(gateway.hub())));
    Writer::start(handle.clone(), Some(first), again, post).context("the thread of the store")
}

fn opener(path: &Path, settings: &Settings) -> Opener {
    let (path, bounds, wanted) = (path.to_owned(), Bounds::of(settings), WantedNotices::of(settings));
    Box::new(move || {
        let mut store = SqliteStore::open(&path, bounds).map_err(|error| error.to_string())?;
        store.want_notices(wanted).map_err(|error| error.to_string())?;
        Ok(Box::new(store) as Box<dyn Store>)
    })
}
