//! The gateways besides this server: those of GatewayWorker that have registered here, and the other nodes of the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;
use tracing::info;

use super::ended::Ended;

/// Number of gateways that may register besides this server. The line that lists them all stays shorter than what PHP reads at
/// once.
const MAX_GATEWAYS: usize = 4096;
/// Bytes of the longest address that a gateway may register; the address may contain a host name.
const MAX_ADDRESS: usize = 100;

/// The addresses of all gateways besides this server.
#[derive(Default)]
pub(super) struct KnownGateways {
    /// The internal addresses of the gateways that registered, by the id of their registration.
    pub(super) registered: BTreeMap<u64, String>,
    /// The addresses of the cluster's other nodes.
    pub(super) nodes: BTreeSet<SocketAddrV4>,
}

/// The known gateways and the subscribers to their changes.
#[derive(Default)]
pub(super) struct Gateways {
    pub(super) known: watch::Sender<KnownGateways>,
    next: AtomicU64,
    /// True once the log has the warning that PHP on another machine cannot reach this server's address.
    pub(super) has_warned: AtomicBool,
}

/// The entry of a gateway that has registered, which is removed when this is dropped.
pub(super) struct Registration<'a> {
    gateways: &'a Gateways,
    id: u64,
}

impl Gateways {
    pub(super) fn add(&self, address: String) -> Result<Registration<'_>, Ended> {
        let is_sound = (1..=MAX_ADDRESS).contains(&address.len())
            && address.bytes().all(|byte| byte.is_ascii_graphic())
            && address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if !is_sound {
            let address = gateway_wire::excerpt(address.as_bytes());
            return Err(Ended::Refused(format!(
                "{address:?} is no address of a gateway: it must be ip:port"
            )));
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let is_added = self.known.send_if_modified(|KnownGateways { registered, .. }| {
            let has_room = registered.len() < MAX_GATEWAYS;
            if has_room {
                info!(address, "a gateway of GatewayWorker registered");
                registered.insert(id, address);
            }
            has_room
        });
        if !is_added {
            return Err(Ended::Refused(format!("{MAX_GATEWAYS} gateways have registered already")));
        }
        Ok(Registration { gateways: self, id })
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.gateways.known.send_modify(|KnownGateways { registered, .. }| {
            if let Some(address) = registered.remove(&self.id) {
                info!(address, "a gateway of GatewayWorker has gone");
            }
        });
    }
}
