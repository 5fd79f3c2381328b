//! The parts of a server without a process of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use gateway_server::config::Settings;
use gateway_server::events::{EventForwarders, Router};
use gateway_server::hub::Hub;
use gateway_server::php::bridge::Bridge;
use gateway_server::php::gatewayworker::GatewayWorker;
use gateway_server::php::{
    Attendance, Backend, LoginLimits, MemoryBudget, RegisterPortSettings, connection_slots,
};
use gateway_server::service::Gateway;
use gateway_server::shard::{ClientProofs, ResumeSecrets, ShardSettings};
use gateway_server::system::Secret;
use tokio::sync::watch;

pub(crate) const NODE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1238);

pub(crate) fn router() -> Arc<Router> {
    Arc::new(Router::new(&Settings::default()))
}

/// Settings by which a client may hold little, and none is closed by the clock, as a file has them.
const LITTLE: &str = "
max_message = 1048576
outbox_bytes = 1048576
resume_bytes = 1048576
ping_interval = 0
close_timeout = 0.01
outbox_timeout = 0
max_groups_per_client = 100
max_session_bytes = 10000
max_unfinished_bytes = 1048576
resume_total_bytes = 1048576
max_outbox_bytes = 16777216
handshake_timeout = 60
";

/// These settings, and what else the text of a file says.
pub(crate) fn settings(more: &str) -> Arc<Settings> {
    let settings = Settings::of_file(&format!("{LITTLE}{more}"));
    Arc::new(settings.unwrap_or_else(|problems| panic!("{problems:?}")))
}

/// The same for those who read them whenever they need one.
pub(crate) fn newest_settings() -> watch::Receiver<Arc<Settings>> {
    watch::channel(settings("")).1
}

/// Shards that tell the router what their clients do.
pub(crate) fn hub(shards: usize, settings: &Arc<Settings>, router: &Arc<Router>) -> io::Result<Hub> {
    let (proofs, secrets) = (ClientProofs::new([7; 16]), ResumeSecrets::new([8; 16]));
    let settings = ShardSettings::new(settings, shards, [8282].into(), NODE, proofs, secrets);
    Hub::start(shards, [7; 16], &settings, Box::new(EventForwarders(Arc::clone(router))), None, None)
}

/// What serves PHP.
pub(crate) fn backend(hub: &Arc<Hub>, router: Arc<Router>) -> Arc<Backend> {
    let logins = Arc::new(LoginLimits::new(Secret::default()));
    Arc::new(Backend {
        notices: Arc::default(),
        gateway: Gateway::new(Arc::clone(hub), NODE, newest_settings(), Vec::new(), None, None).into(),
        bridge: Bridge::new(Arc::clone(&logins), 1),
        gatewayworker: GatewayWorker::new(logins, NODE),
        workers: router,
        budget: MemoryBudget::new(64 << 20),
        attendance: Attendance::default(),
    })
}

pub(crate) fn register_port_settings() -> RegisterPortSettings {
    RegisterPortSettings {
        server: settings(""),
        counter: Arc::default(),
        slots: connection_slots(100),
        certificate: None,
    }
}
