//! The whole server: what listens, what serves, how it stops.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use anyhow::Context as _;
use gateway_wire::token::TokenKey;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::backend::bridge::Bridge;
use crate::backend::gatewayworker::GatewayWorker;
use crate::backend::workers::{Mode, Router, Sinks};
use crate::backend::{self, Backend, Port};
use crate::client::websocket::Kind;
use crate::listener::{self, Admission, Gate, Rules, TrustedProxies};
use crate::ops::config::{EventHandlers, MessageType, Settings};
use crate::ops::{descriptors, memory, offence};
use crate::shard::{self, Bounds, Door, Heartbeat, Hub, Rate};
use crate::tls::{self, Certificate};

/// How long a stop waits for workers to be told that their clients have gone.
const LAST_EVENTS: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT, and then until the clients have been told.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    descriptors::raise_limit();
    // Before anything listens: a signal from now on is a wish to stop.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let mut doors = Vec::new();
    for listener in &settings.listeners {
        doors.push(listener::bind_tcp(listener.address, settings.reuse_port, listener.protocol.name())?);
    }
    let certificates = certificates(&settings)?;
    let register_certificate = match &settings.register_tls {
        Some(files) => Some(Arc::new(Certificate::load(files.clone())?)),
        None => None,
    };
    let used = distinct(certificates.iter().chain([&register_certificate]));
    let mut tasks = JoinSet::new();
    if !used.is_empty() {
        tasks.spawn(tls::watch(used, signal(SignalKind::hangup())?));
    }
    let mut ports = Vec::new();
    for address in &settings.register {
        ports.push(Port::tcp(*address)?);
    }
    if let Some(path) = &settings.register_unix {
        ports.push(Port::unix(path)?);
    }

    let kind = match settings.message_type {
        MessageType::Text => Kind::Text,
        MessageType::Binary => Kind::Binary,
    };
    let node = settings.node.unwrap_or_else(|| node_address(&ports));
    let mode = match settings.events {
        EventHandlers::BuiltIn => Mode::BuiltIn,
        EventHandlers::Workers => Mode::Workers,
        EventHandlers::Auto => Mode::Auto,
    };
    let workers = Arc::new(Router::new(mode, settings.worker_buffer_bytes));
    let hub = Arc::new(start_shards(&settings, &doors, node, kind, Sinks(Arc::clone(&workers)))?);
    let instance = u64::from_ne_bytes(random()?);
    let bridge = Bridge::new(
        Arc::clone(&hub),
        settings.secret_key.clone(),
        instance,
        node,
        kind,
        settings.max_session_bytes,
    );
    announce(&settings, &doors, &ports)?;

    let admission = Arc::new(Admission::new(settings.max_connections, settings.max_connections_per_address));
    let trusted_proxies = Arc::new(TrustedProxies::new(settings.trusted_proxies.clone()));
    let gate = Arc::new(gate(&settings));
    for (number, socket) in doors.into_iter().enumerate() {
        let listener = &settings.listeners[number];
        let settings = listener::Settings {
            protocol: listener.protocol,
            // Their number is bounded where settings are checked.
            door: number as u8,
            certificate: certificates[number].clone(),
            handshake_timeout: settings.handshake_timeout,
            max_handshakes: settings.max_handshakes,
            deflate: settings.deflate,
            rules: Rules {
                origins: listener.origins.clone(),
                paths: listener.paths.clone(),
                hosts: listener.hosts.clone(),
                max_request_bytes: settings.max_request_bytes,
            },
            gate: Arc::clone(&gate),
            handshakes_per_second: settings.handshakes_per_second,
            admission: Arc::clone(&admission),
            proxy_protocol: listener.proxy_protocol,
            trusted_proxies: Arc::clone(&trusted_proxies),
        };
        tasks.spawn(listener::serve(socket, Arc::clone(&hub), settings));
    }
    let gatewayworker = GatewayWorker::new(settings.secret_key.clone(), node);
    let backend = Arc::new(Backend { bridge, gatewayworker, workers: Arc::clone(&workers) });
    for port in ports {
        let settings = backend::Settings {
            handshake_timeout: settings.handshake_timeout,
            certificate: register_certificate.clone(),
        };
        tasks.spawn(backend::serve(port, Arc::clone(&backend), settings));
    }

    tokio::select! {
        () = memory::watch(&hub) => warn!("the shards have ended: stopping"),
        _ = terminate.recv() => info!("SIGTERM: stopping"),
        _ = interrupt.recv() => info!("SIGINT: stopping"),
        Some(ended) = tasks.join_next() => warn!(?ended, "a listener ended: stopping"),
    }
    // Nobody new comes in; those who are here are told.
    tasks.shutdown().await;
    hub.stop(settings.stop_timeout).await;
    tokio::task::spawn_blocking(move || hub.join_threads()).await?;
    if tokio::time::timeout(LAST_EVENTS, workers.emptied()).await.is_err() {
        warn!("the workers did not take their last events in time");
    }
    for (offence, total) in offence::totals() {
        info!(offence, total, "since the start");
    }
    info!("stopped");
    Ok(())
}

/// Of each listener that has one. Those with the same files share it.
fn certificates(settings: &Settings) -> anyhow::Result<Vec<Option<Arc<Certificate>>>> {
    let mut certificates: Vec<Option<Arc<Certificate>>> = Vec::new();
    for listener in &settings.listeners {
        let known = certificates.iter().flatten().find(|one| listener.tls.as_ref() == Some(one.files()));
        certificates.push(match (known, &listener.tls) {
            (Some(known), _) => Some(Arc::clone(known)),
            (None, Some(files)) => Some(Arc::new(Certificate::load(files.clone())?)),
            (None, None) => None,
        });
    }
    Ok(certificates)
}

fn distinct<'a>(certificates: impl Iterator<Item = &'a Option<Arc<Certificate>>>) -> Arc<[Arc<Certificate>]> {
    let mut distinct: Vec<Arc<Certificate>> = Vec::new();
    for certificate in certificates.flatten() {
        if !distinct.iter().any(|one| Arc::ptr_eq(one, certificate)) {
            distinct.push(Arc::clone(certificate));
        }
    }
    distinct.into()
}

fn gate(settings: &Settings) -> Gate {
    let key = match (settings.token_key.as_bytes(), settings.secret_key.as_bytes()) {
        ([], []) => None,
        ([], secret) => Some(TokenKey::derived(secret)),
        (key, _) => Some(TokenKey::new(key)),
    };
    Gate::new(key, settings.require_token, settings.max_groups_per_client, settings.max_session_bytes)
}

fn start_shards(
    settings: &Settings,
    sockets: &[TcpListener],
    node: SocketAddrV4,
    kind: Kind,
    sinks: Sinks,
) -> anyhow::Result<Hub> {
    let shards = match settings.shards {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        shards => shards,
    };
    let mut doors = Vec::new();
    for (listener, socket) in settings.listeners.iter().zip(sockets) {
        doors.push(Door {
            port: socket.local_addr()?.port(),
            max_message: listener.max_message,
            outbox_bytes: listener.outbox_bytes,
            heartbeat: Heartbeat {
                interval: listener.ping_interval,
                not_response_limit: listener.ping_not_response_limit,
                data: listener.ping_data.clone().into_bytes(),
            },
            rate: Rate { messages: listener.messages_per_second, bytes: listener.bytes_per_second },
        });
    }
    let shard_settings = shard::Settings {
        node,
        message_kind: kind,
        doors: doors.into(),
        close_timeout: settings.close_timeout,
        bounds: Bounds {
            groups: match settings.max_groups_per_client {
                0 => usize::MAX,
                groups => groups,
            },
            session: settings.max_session_bytes,
        },
    };
    Hub::start(shards, random()?, &shard_settings, Box::new(sinks)).context("cannot start the shards")
}

/// The first register address that other machines could use, or loopback. A client id has room for IPv4 only.
fn node_address(ports: &[Port]) -> SocketAddrV4 {
    let addresses: Vec<_> = ports.iter().filter_map(Port::address).collect();
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

/// The line that says where the server listens, for people and for programs that wait for it.
fn announce(settings: &Settings, doors: &[TcpListener], ports: &[Port]) -> anyhow::Result<()> {
    let mut clients = Vec::new();
    for (listener, socket) in settings.listeners.iter().zip(doors) {
        clients.push((listener.protocol, socket.local_addr()?));
    }
    let others: Vec<_> =
        clients.iter().skip(1).map(|(protocol, address)| format!("{protocol}://{address}")).collect();
    let websocket = clients.first().map_or_else(String::new, |(_, address)| address.to_string());
    let mut register: Vec<_> =
        ports.iter().filter_map(Port::address).map(|address| address.to_string()).collect();
    register.extend(settings.register_unix.as_ref().map(|path| format!("unix://{}", path.display())));
    let others = if others.is_empty() { String::new() } else { format!(" listeners={}", others.join(",")) };
    info!(
        "gateway-server {} ready websocket={websocket} register={}{others}",
        env!("CARGO_PKG_VERSION"),
        register.join(",")
    );
    Ok(())
}

/// From the system's generator.
fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(bytes)
}
