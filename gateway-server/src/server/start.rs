//! The start of what serves: the shards, and what serves PHP.

use std::net::SocketAddrV4;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;

use super::component_settings::ComponentSettings;
use super::inbox;
use super::keys::Keys;
use super::ports::Ports;
use crate::cluster::Cluster;
use crate::config::Settings;
use crate::events::{EventForwarders, Router};
use crate::hub::Hub;
use crate::inbox::writer::WriterHandle;
use crate::net::tls::Certificates;
use crate::php::bridge::Bridge;
use crate::php::gatewayworker::GatewayWorker;
use crate::php::{Attendance, Backend, LoginLimits, MemoryBudget};
use crate::service::Gateway;
use crate::shard::{ClientProofs, ResumeSecrets};

/// What serves, before anybody is let in.
pub(super) struct Started {
    pub(super) components: ComponentSettings,
    pub(super) cluster: Option<Arc<Cluster>>,
    pub(super) hub: Arc<Hub>,
    pub(super) backend: Arc<Backend>,
}

/// Starts the shards, so many of them if the settings do not say how many.
pub(super) fn start(
    newest: &watch::Sender<Arc<Settings>>,
    ports: &Ports,
    certificates: Certificates,
    keys: &Keys,
    shards: Option<usize>,
) -> anyhow::Result<Started> {
    let settings = &Arc::clone(&newest.borrow());
    let node = settings.node.unwrap_or_else(|| ports.node_address());
    let (proofs, secrets) = (ClientProofs::new(keys.proofs), ResumeSecrets::new(keys.secrets));
    let components =
        ComponentSettings::new(settings, shards, &ports.clients, node, proofs, secrets, certificates)?;
    let cluster =
        settings.is_clustered().then(|| Arc::new(Cluster::new(Arc::clone(settings), node, keys.instance)));
    let (hub, backend) = start_backend(newest.subscribe(), &components, node, keys, cluster.clone())?;
    Ok(Started { components, cluster, hub, backend })
}

/// Starts the shards, and makes what serves PHP.
fn start_backend(
    newest: watch::Receiver<Arc<Settings>>,
    components: &ComponentSettings,
    node: SocketAddrV4,
    keys: &Keys,
    cluster: Option<Arc<Cluster>>,
) -> anyhow::Result<(Arc<Hub>, Arc<Backend>)> {
    let settings = &Arc::clone(&newest.borrow());
    let workers = Arc::new(Router::new(settings));
    let names = cluster.as_ref().map(|cluster| cluster.names());
    let sinks = Box::new(EventForwarders(Arc::clone(&workers)));
    let inbox = inbox::handle(settings);
    let hub = Hub::start(
        components.shards,
        keys.connection_ids,
        &components.shard(settings),
        sinks,
        names,
        inbox.as_ref().map(WriterHandle::notes),
    )
    .context("cannot start the shards")?;
    let hub = Arc::new(hub);
    let listeners = components.watched(settings).into_iter().map(|listener| listener.name).collect();
    let gateway = Arc::new(Gateway::new(Arc::clone(&hub), node, newest, listeners, cluster, inbox));
    let logins = Arc::new(LoginLimits::new(settings.secret_key.clone()));
    let bridge = Bridge::new(Arc::clone(&logins), keys.instance);
    let gatewayworker = GatewayWorker::new(logins, node);
    let budget = MemoryBudget::new(settings.max_unfinished_bytes);
    Ok((
        hub,
        Arc::new(Backend {
            gateway,
            bridge,
            gatewayworker,
            workers,
            notices: Arc::default(),
            budget,
            attendance: Attendance::default(),
        }),
    ))
}
