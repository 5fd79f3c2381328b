//! The whole server: it binds the ports, starts what serves them, and stops all of it in order.

mod component_settings;
mod live;
mod ports;
mod reload;
mod tasks;

use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::admin::{self, Operations};
use crate::cluster::Cluster;
use crate::config::{Settings, Source};
use crate::events::{EventForwarders, Router};
use crate::hub::Hub;
use crate::lifecycle::deadline::Deadline;
use crate::lifecycle::stop::{self, StopSignals};
use crate::lifecycle::{memory, systemd, watchdog};
use crate::listener::{self, TokenVerifier};
use crate::net::tls;
use crate::php::bridge::Bridge;
use crate::php::gatewayworker::GatewayWorker;
use crate::php::{self, Attendance, Backend, LoginLimits, MemoryBudget};
use crate::service::Gateway;
use crate::shard::{ClientProofs, ResumeSecrets};
use crate::system::descriptors;
use crate::telemetry::abuse_log;
use crate::telemetry::logs::{self, Logs};
use component_settings::ComponentSettings;
use live::LiveServer;
use ports::Ports;
use reload::Reloads;
use tasks::Tasks;

/// Time that a stop waits for the PHP workers to take the events of the clients that have gone.
const LAST_EVENTS: std::time::Duration = std::time::Duration::from_secs(1);

/// Time that a start waits for the other nodes of the cluster.
const JOINING: std::time::Duration = std::time::Duration::from_secs(5);

/// Starts the log, which is what the settings say from the first line on.
pub fn start_logs(settings: &Settings) -> anyhow::Result<Logs> {
    logs::start(&settings.log, settings.log_format)
}

/// Runs the server until SIGTERM or SIGINT, and then until its clients have gone.
pub async fn run(settings: Settings, source: Source, logs: Logs) -> anyhow::Result<()> {
    let Some(mut server) = Server::build(settings, source, logs).await? else {
        return Ok(());
    };
    let fault = server.run().await;
    server.stop(fault).await
}

/// A server that serves.
pub struct Server {
    stop_signals: StopSignals,
    deadline: Arc<Deadline>,
    reloads: Reloads,
    live: LiveServer,
    cluster: Option<Arc<Cluster>>,
    client_listeners: Tasks,
    php_listeners: Tasks,
    /// The tasks that run until the process ends.
    background: Tasks,
}

impl Server {
    /// Binds the ports and starts everything that serves them. Gives `None` when a signal has asked for a stop meanwhile.
    pub async fn build(settings: Settings, source: Source, logs: Logs) -> anyhow::Result<Option<Self>> {
        descriptors::raise_limit();
        // The signals are caught before anything listens, so that from now on a signal stops the server in order.
        let mut stop_signals = StopSignals::new()?;
        let deadline = Deadline::start(settings.drain_seconds, settings.stop_timeout)?;
        let settings = Arc::new(settings);
        let reloads = Reloads::new(source, Arc::clone(&settings))?;
        let certificates = component_settings::certificates(&settings)?;
        let watched_certificates = certificates.all();
        let ports = Ports::bind(&settings)?;
        let node = settings.node.unwrap_or_else(|| ports.node_address());
        let (proofs, secrets) = (ClientProofs::new(random()?), ResumeSecrets::new(random()?));
        let components =
            ComponentSettings::new(&settings, &ports.clients, node, proofs, secrets, certificates)?;
        let instance = u64::from_ne_bytes(random()?);
        let cluster = component_settings::cluster(&settings)
            .map(|cluster| Arc::new(Cluster::new(cluster, settings.secret_key.as_bytes(), node, instance)));
        let (hub, backend) = start_backend(&settings, &components, node, instance, cluster.clone())?;

        let mut background = Tasks::default();
        if !watched_certificates.is_empty() {
            let watch = tls::watch(watched_certificates, signal(SignalKind::hangup())?);
            background.spawn("the certificates are not watched any more", watch);
        }
        if let Some(cluster) = &cluster {
            let (task, host) = (Arc::clone(cluster), Arc::clone(&backend));
            background.spawn("the cluster is not served any more", async move { task.run(host).await });
            // No client is let in before the other nodes know of this one.
            tokio::select! {
                joined = cluster.joined(JOINING) => joined.map_err(|reason| anyhow::anyhow!(reason))?,
                signal = stop_signals.next() => {
                    info!("{signal}: stopping before it has served");
                    return Ok(None);
                }
            }
        }
        component_settings::warn_of_guessable(&settings);
        ports.announce(&settings)?;
        ports.warn_of_open_register(&settings);
        systemd::ready();

        let token_verifier = component_settings::token_verifier(&settings, &TokenVerifier::open());
        let mut client_listeners = Tasks::default();
        let mut listeners = Vec::new();
        for (index, socket) in ports.clients.into_iter().enumerate() {
            let (sender, receiver) = watch::channel(components.listener(&settings, index, &token_verifier));
            listeners.push(sender);
            client_listeners
                .spawn("a listener ended", listener::serve(socket, Arc::clone(&backend.gateway), receiver));
        }
        let register_ports = watch::Sender::new(components.register_port(&settings));
        let mut php_listeners = Tasks::default();
        for port in ports.register {
            let task = php::serve(port, Arc::clone(&backend), register_ports.subscribe());
            php_listeners.spawn("a register port ended", task);
        }
        let operations = Arc::new(Operations::new(
            Arc::clone(&hub),
            Arc::clone(&backend),
            components.watched(&settings),
            components.php_connections(),
            settings.operations_token.clone(),
        ));
        if let Some(port) = ports.operations {
            background.spawn("the operations port ended", admin::serve(port, Arc::clone(&operations)));
        }
        let shards = Arc::clone(&hub);
        background.spawn("what waits for clients is not watched any more", async move {
            shards.watch_waiting().await
        });
        let moves = Arc::clone(&backend.gateway);
        background.spawn("the clients that move are not watched any more", async move {
            moves.watch_moves().await
        });
        background.spawn("the shards are not watched any more", watchdog::watch(Arc::clone(&hub)));

        let token_verifier = Mutex::new(token_verifier);
        let live = LiveServer {
            logs,
            hub,
            components,
            token_verifier,
            listeners,
            backend,
            register_ports,
            operations,
        };
        Ok(Some(Self {
            stop_signals,
            deadline,
            reloads,
            live,
            cluster,
            client_listeners,
            php_listeners,
            background,
        }))
    }

    /// Serves, and reads the settings again on SIGHUP, until a signal asks for a stop or something has ended that never should.
    /// Gives the fault in that case.
    pub async fn run(&mut self) -> Option<&'static str> {
        let apply = async |settings: &Settings| {
            self.deadline.set(settings.drain_seconds, settings.stop_timeout);
            self.live.apply(settings).await;
        };
        tokio::select! {
            () = memory::watch(&self.live.hub) => Some("the shards have ended"),
            () = self.reloads.serve(apply) => Some("the settings are not read again any more"),
            signal = self.stop_signals.next() => {
                info!("{signal}: stopping");
                None
            }
            fault = self.client_listeners.fault() => Some(fault),
            fault = self.php_listeners.fault() => Some(fault),
            fault = self.background.fault() => Some(fault),
        }
    }

    /// Closes the clients, and then stops everything. Gives an error when there was a fault, so that the supervisor starts the
    /// server again.
    pub async fn stop(mut self, fault: Option<&'static str>) -> anyhow::Result<()> {
        if let Some(fault) = fault {
            error!("{fault}: stopping");
            self.deadline.begin();
        }
        systemd::stopping();
        self.live.operations.stop();
        // New clients are not accepted any more. PHP is served as long as there are clients.
        self.client_listeners.stop().await;
        let settings = self.reloads.settings();
        // Other nodes may fetch the clients that come back there.
        let keeps_parked = self.cluster.as_ref().is_some_and(|cluster| cluster.has_others());
        let (longest, patience) = (settings.drain_seconds, settings.stop_timeout);
        stop::drain(&self.live.hub, &mut self.stop_signals, longest, patience, keeps_parked).await?;
        self.php_listeners.stop().await;
        if tokio::time::timeout(LAST_EVENTS, self.live.backend.workers.emptied()).await.is_err() {
            warn!("the workers did not take their last events in time");
        }
        if let Some(cluster) = &self.cluster {
            cluster.leave().await;
        }
        for (offence, total) in abuse_log::totals().into_iter().filter(|(_, total)| *total > 0) {
            info!(offence, total, "since the start");
        }
        info!("stopped");
        fault.map_or(Ok(()), |fault| Err(anyhow::anyhow!("{fault}, so it has stopped")))
    }
}

/// Starts the shards, and makes what serves PHP.
fn start_backend(
    settings: &Settings,
    components: &ComponentSettings,
    node: SocketAddrV4,
    instance: u64,
    cluster: Option<Arc<Cluster>>,
) -> anyhow::Result<(Arc<Hub>, Arc<Backend>)> {
    let router = Router::new(component_settings::event_mode(settings), settings.worker_buffer_bytes);
    let workers = Arc::new(router.with_policy(component_settings::routing_policy(settings)));
    let names = cluster.as_ref().map(|cluster| cluster.names());
    let sinks = Box::new(EventForwarders(Arc::clone(&workers)));
    let hub = Hub::start(components.shards, random()?, &components.shard(settings), sinks, names)
        .context("cannot start the shards")?;
    let hub = Arc::new(hub);
    let message_kind = component_settings::message_kind(settings);
    let listeners = components.watched(settings).into_iter().map(|listener| listener.name).collect();
    let gateway =
        Gateway::new(Arc::clone(&hub), node, message_kind, settings.max_session_bytes, listeners, cluster);
    let gateway = Arc::new(gateway);
    let logins = Arc::new(LoginLimits::new(settings.secret_key.clone()));
    let bridge = Bridge::new(Arc::clone(&logins), instance);
    let gatewayworker = GatewayWorker::new(logins, node);
    let budget = MemoryBudget::new(settings.max_unfinished_bytes);
    Ok((hub, Arc::new(Backend { gateway, bridge, gatewayworker, workers, budget, attendance: Attendance::default() })))
}

/// Gives bytes of the system's random generator.
fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(bytes)
}
