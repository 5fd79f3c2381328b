//! The parts of a server without a process of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use gateway_server::events::{EventForwarders, EventMode, Router};
use gateway_server::hub::Hub;
use gateway_server::php::bridge::Bridge;
use gateway_server::php::gatewayworker::GatewayWorker;
use gateway_server::php::{
    Attendance, Backend, LoginLimits, MemoryBudget, RegisterPortSettings, connection_slots,
};
use gateway_server::protocol::websocket::MessageKind;
use gateway_server::service::Gateway;
use gateway_server::shard::{
    ClientProofs, Heartbeat, ListenerLimits, RateLimit, ResumeLimits, ResumeSecrets, ShardBounds,
    ShardSettings,
};
use gateway_server::system::Secret;

pub(crate) const NODE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1238);

pub(crate) fn router() -> Arc<Router> {
    Arc::new(Router::new(EventMode::Auto, 1 << 20))
}

/// Shards that tell the router what their clients do.
pub(crate) fn hub(shards: usize, resume: ResumeLimits, router: &Arc<Router>) -> io::Result<Hub> {
    let listener = ListenerLimits {
        port: 8282,
        max_message: 1 << 20,
        outbox_bytes: 1 << 20,
        coalesce: Duration::ZERO,
        heartbeat: Heartbeat { interval: Duration::ZERO, not_response_limit: 0, data: Vec::new() },
        rate: RateLimit::default(),
        resume,
    };
    let settings = ShardSettings {
        node: NODE,
        proofs: ClientProofs::new([7; 16]),
        secrets: ResumeSecrets::new([8; 16]),
        message_kind: MessageKind::Text,
        listeners: [listener].into(),
        io_uring: true,
        close_timeout: Duration::from_millis(10),
        outbox_timeout: Duration::ZERO,
        bounds: ShardBounds {
            groups: 100,
            session: 10_000,
            partial: 1 << 20,
            kept: 1 << 20,
            waiting: 16 << 20,
        },
    };
    Hub::start(shards, [7; 16], &settings, Box::new(EventForwarders(Arc::clone(router))), None, None)
}

/// What serves PHP.
pub(crate) fn backend(hub: &Arc<Hub>, router: Arc<Router>) -> Arc<Backend> {
    let logins = Arc::new(LoginLimits::new(Secret::default()));
    Arc::new(Backend {
        notices: Arc::default(),
        gateway: Gateway::new(Arc::clone(hub), NODE, MessageKind::Text, 10_000, Vec::new(), None, None)
            .into(),
        bridge: Bridge::new(Arc::clone(&logins), 1),
        gatewayworker: GatewayWorker::new(logins, NODE),
        workers: router,
        budget: MemoryBudget::new(64 << 20),
        attendance: Attendance::default(),
    })
}

pub(crate) fn register_port_settings() -> RegisterPortSettings {
    RegisterPortSettings {
        handshake_timeout: Duration::from_secs(60),
        counter: Arc::default(),
        slots: connection_slots(100),
        certificate: None,
    }
}
