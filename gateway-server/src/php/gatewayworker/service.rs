//! The state that all connections of GatewayWorker's classes share.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;

use gateway_wire::is_same_secret;

use super::barrier::Barrier;
use super::ended::Ended;
use super::event_codec::PacketCodec;
use super::gateways::Gateways;
use crate::php::carry::attendance::Attendance;
use crate::php::login_limits::LoginLimits;

/// The state that all connections of GatewayWorker's classes share.
pub struct GatewayWorker {
    pub(super) logins: Arc<LoginLimits>,
    /// The address that stands in this server's client ids, at which PHP looks for the client.
    pub(super) node: SocketAddrV4,
    pub(super) gateways: Gateways,
    pub(super) barrier: Barrier,
}

impl GatewayWorker {
    pub fn new(logins: Arc<LoginLimits>, node: SocketAddrV4) -> Self {
        Self { logins, node, gateways: Gateways::default(), barrier: Barrier::default() }
    }

    pub(super) fn event_codec(&self) -> PacketCodec {
        PacketCodec { node: self.node }
    }

    /// Checks the secret of a peer. Who has to wait for the answer is not waited for when the others come to rest.
    pub(super) async fn check_secret(
        &self,
        peer: Option<SocketAddr>,
        given: &str,
        attendance: &Attendance,
    ) -> Result<(), Ended> {
        let knows = |secret: &[u8]| is_same_secret(given.as_bytes(), secret);
        let checked = tokio::select! {
            biased;
            checked = self.logins.check(peer, knows) => checked,
            () = attendance.late() => return Err(Ended::Closed),
        };
        checked.map_err(|refused| Ended::Login(refused.advice("secretKey in PHP")))
    }
}
