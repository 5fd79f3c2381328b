//! The whole server: it binds the ports, starts what serves them, and stops all of it in order.

mod component_settings;
mod live;
mod reload;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::admin::{self, Operations};
use crate::cluster::Cluster;
use crate::config::{EventHandlers, Routing, Settings, Source};
use crate::events::{EventForwarders, EventMode, Router, RoutingPolicy};
use crate::hub::Hub;
use crate::lifecycle::deadline::Deadline;
use crate::lifecycle::stop::{self, StopSignals};
use crate::lifecycle::{memory, systemd, watchdog};
use crate::listener::{self, TokenVerifier};
use crate::net::bind_tcp;
use crate::net::tls;
use crate::php::bridge::Bridge;
use crate::php::gatewayworker::GatewayWorker;
use crate::php::{self, Backend, LoginLimits, MemoryBudget, RegisterPort};
use crate::service::Gateway;
use crate::shard::{ClientProofs, NameWatch};
use crate::system::descriptors;
use crate::telemetry::abuse_log;
use crate::telemetry::logs::{self, Logs};
use component_settings::ComponentSettings;
use live::LiveServer;
use reload::Reloads;

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
    descriptors::raise_limit();
    // The signals are caught before anything listens, so that from now on a signal stops the server in order.
    let mut stop_signals = StopSignals::new()?;
    let deadline = Deadline::start(settings.drain_seconds, settings.stop_timeout)?;
    let settings = Arc::new(settings);
    let mut reloads = Reloads::new(source, Arc::clone(&settings))?;

    let mut doors = Vec::new();
    for listener in &settings.listeners {
        doors.push(bind_tcp(listener.address, settings.reuse_port, listener.protocol.name())?);
    }
    let certificates = component_settings::certificates(&settings)?;
    let mut watches = JoinSet::new();
    let watched = certificates.all();
    if !watched.is_empty() {
        watches.spawn(tls::watch(watched, signal(SignalKind::hangup())?));
    }
    let mut ports = Vec::new();
    for address in &settings.register {
        ports.push(RegisterPort::tcp(*address)?);
    }
    if let Some(path) = &settings.register_unix {
        ports.push(RegisterPort::unix(path)?);
    }

    let operations_port = settings.operations.map(admin::bind).transpose()?;

    let node = settings.node.unwrap_or_else(|| node_address(&ports));
    let parts = ComponentSettings::new(&settings, &doors, node, ClientProofs::new(random()?), certificates)?;
    let mode = match settings.events {
        EventHandlers::BuiltIn => EventMode::BuiltIn,
        EventHandlers::Workers => EventMode::Workers,
        EventHandlers::Auto => EventMode::Auto,
    };
    let choice = match settings.router {
        Routing::LeastClients => RoutingPolicy::LeastClients,
        Routing::ClientAddress => RoutingPolicy::ClientAddress,
        Routing::Random => RoutingPolicy::Random,
    };
    let workers = Arc::new(Router::new(mode, settings.worker_buffer_bytes).with_policy(choice));
    let instance = u64::from_ne_bytes(random()?);
    let cluster = component_settings::cluster(&settings)
        .map(|cluster| Arc::new(Cluster::new(cluster, settings.secret_key.as_bytes(), node, instance)));
    let names = cluster.as_ref().map(|cluster| cluster.names());
    let hub = Arc::new(start_shards(&settings, &parts, EventForwarders(Arc::clone(&workers)), names)?);
    let logins = Arc::new(LoginLimits::new(settings.secret_key.clone()));
    let gateway = Gateway::new(
        Arc::clone(&hub),
        node,
        component_settings::message_kind(&settings),
        settings.max_session_bytes,
        cluster.clone(),
    );
    let bridge = Bridge::new(Arc::clone(&logins), instance);
    let gatewayworker = GatewayWorker::new(logins, node);
    let budget = MemoryBudget::new(settings.max_unfinished_bytes);
    let backend = Arc::new(Backend { gateway, bridge, gatewayworker, workers: Arc::clone(&workers), budget });
    let mut nodes = JoinSet::new();
    if let Some(cluster) = &cluster {
        let (task, host) = (Arc::clone(cluster), Arc::clone(&backend));
        nodes.spawn(async move { task.run(host).await });
        // No client is let in before the other nodes know of this one.
        tokio::select! {
            joined = cluster.joined(JOINING) => joined.map_err(|reason| anyhow::anyhow!(reason))?,
            signal = stop_signals.next() => {
                info!("{signal}: stopping before it has served");
                return Ok(());
            }
        }
    }
    component_settings::warn_of_guessable(&settings);
    announce(&settings, &doors, &ports, operations_port.as_ref())?;
    if settings.secret_key.is_empty() && !settings.register.is_empty() {
        warn!(
            "no secret_key is set: all users of this machine may push, handle events, and listen here while the server is down"
        );
    }
    for folder in ports.iter().filter_map(RegisterPort::open_folder) {
        warn!(
            "register_unix: all users of this machine may listen in {} while the server is down; choose a folder that is its user's alone",
            folder.display()
        );
    }
    systemd::ready();

    let gate = component_settings::gate(&settings, &TokenVerifier::open());
    let mut client_listeners = JoinSet::new();
    let mut listeners = Vec::new();
    for (number, socket) in doors.into_iter().enumerate() {
        let (sender, receiver) = watch::channel(parts.listener(&settings, number, &gate));
        listeners.push(sender);
        client_listeners.spawn(listener::serve(socket, Arc::clone(&hub), receiver));
    }
    let register_ports = watch::Sender::new(parts.register_port(&settings));
    let mut php_listeners = JoinSet::new();
    for port in ports {
        php_listeners.spawn(php::serve(port, Arc::clone(&backend), register_ports.subscribe()));
    }
    let operations = Arc::new(Operations::new(
        Arc::clone(&hub),
        Arc::clone(&backend),
        parts.watched(&settings),
        parts.php_connections(),
        settings.operations_token.clone(),
    ));
    let mut operators = JoinSet::new();
    if let Some(port) = operations_port {
        operators.spawn(admin::serve(port, Arc::clone(&operations)));
    }
    let mut waiting = JoinSet::new();
    let shards = Arc::clone(&hub);
    waiting.spawn(async move { shards.watch_waiting().await });
    let mut watchdog = JoinSet::new();
    watchdog.spawn(watchdog::watch(Arc::clone(&hub)));
    let live = LiveServer {
        logs,
        hub: Arc::clone(&hub),
        parts,
        gate: Mutex::new(gate),
        listeners,
        backend,
        register_ports,
        operations: Arc::clone(&operations),
    };

    let apply = async |settings: &Settings| {
        deadline.set(settings.drain_seconds, settings.stop_timeout);
        live.apply(settings).await;
    };
    let fault = tokio::select! {
        () = memory::watch(&hub) => Some("the shards have ended"),
        () = reloads.serve(apply) => Some("the settings are not read again any more"),
        signal = stop_signals.next() => {
            info!("{signal}: stopping");
            None
        }
        Some(_) = client_listeners.join_next() => Some("a listener ended"),
        Some(_) = watches.join_next() => Some("the certificates are not watched any more"),
        Some(_) = nodes.join_next() => Some("the cluster is not served any more"),
        Some(_) = operators.join_next() => Some("the operations port ended"),
        Some(_) = php_listeners.join_next() => Some("a register port ended"),
        Some(_) = waiting.join_next() => Some("what waits for clients is not watched any more"),
        Some(_) = watchdog.join_next() => Some("the shards are not watched any more"),
    };
    if let Some(fault) = fault {
        error!("{fault}: stopping");
        deadline.begin();
    }
    systemd::stopping();
    operations.stop();
    // New clients are not accepted any more. PHP is served as long as there are clients.
    client_listeners.shutdown().await;
    let settings = reloads.settings();
    stop::drain(&hub, &mut stop_signals, settings.drain_seconds, settings.stop_timeout).await?;
    php_listeners.shutdown().await;
    if tokio::time::timeout(LAST_EVENTS, workers.emptied()).await.is_err() {
        warn!("the workers did not take their last events in time");
    }
    if let Some(cluster) = &cluster {
        cluster.leave().await;
    }
    for (offence, total) in abuse_log::totals().into_iter().filter(|(_, total)| *total > 0) {
        info!(offence, total, "since the start");
    }
    info!("stopped");
    // The error gives an exit code by which the supervisor starts the server again.
    fault.map_or(Ok(()), |fault| Err(anyhow::anyhow!("{fault}, so it has stopped")))
}

fn start_shards(
    settings: &Settings,
    parts: &ComponentSettings,
    sinks: EventForwarders,
    names: Option<Arc<dyn NameWatch>>,
) -> anyhow::Result<Hub> {
    Hub::start(parts.shards, random()?, &parts.shard(settings), Box::new(sinks), names)
        .context("cannot start the shards")
}

/// The address in the client ids when no setting names one: the first register address that other machines could use, else
/// loopback with its port. A client id has room for an IPv4 address only.
fn node_address(ports: &[RegisterPort]) -> SocketAddrV4 {
    let addresses: Vec<_> = ports.iter().filter_map(RegisterPort::address).collect();
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    match first {
        Some(SocketAddr::V4(address)) if !address.ip().is_unspecified() => *address,
        Some(address) => {
            if address.is_ipv6() && !address.ip().is_loopback() {
                warn!(
                    "client ids have no room for the IPv6 address {address}, and name 127.0.0.1:{}: if there are several \
                     servers, set node to an IPv4 address that is another for each",
                    address.port()
                );
            }
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, address.port())
        }
        None => SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1238),
    }
}

/// Logs the line that says where the server listens, for people and for programs that wait for it.
fn announce(
    settings: &Settings,
    doors: &[TcpListener],
    ports: &[RegisterPort],
    operations: Option<&TcpListener>,
) -> anyhow::Result<()> {
    let mut clients = Vec::new();
    for (listener, socket) in settings.listeners.iter().zip(doors) {
        clients.push((listener.protocol, socket.local_addr()?));
    }
    let others: Vec<_> =
        clients.iter().skip(1).map(|(protocol, address)| format!("{protocol}://{address}")).collect();
    let websocket = clients.first().map_or_else(String::new, |(_, address)| address.to_string());
    let mut register: Vec<_> =
        ports.iter().filter_map(RegisterPort::address).map(|address| address.to_string()).collect();
    register.extend(settings.register_unix.as_ref().map(|path| format!("unix://{}", path.display())));
    let others = Some(others.join(",")).filter(|others| !others.is_empty());
    let operations = operations.map(TcpListener::local_addr).transpose()?;
    info!(
        %websocket,
        register = %register.join(","),
        listeners = others.map(display),
        operations = operations.map(display),
        "gateway-server {} ready",
        env!("CARGO_PKG_VERSION"),
    );
    Ok(())
}

/// Gives bytes of the system's random generator.
fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(bytes)
}
