//! The gateways that there are beside this server: those that have registered here, and other nodes of the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;
use tracing::info;

use super::ended::Ended;

/// Gateways that may register beside this server; the line with all of them stays below what PHP reads at once.
const MAX_GATEWAYS: usize = 4096;
/// Longest address of one, which may be a host name.
const MAX_ADDRESS: usize = 100;

/// What is known beside this server.
#[derive(Default)]
pub(super) struct Known {
    /// The internal addresses of gateways that registered, by their connections.
    pub(super) registered: BTreeMap<u64, String>,
    /// Other nodes of the cluster.
    pub(super) nodes: BTreeSet<SocketAddrV4>,
}

/// All of them, with who watches for changes.
#[derive(Default)]
pub(super) struct Gateways {
    pub(super) known: watch::Sender<Known>,
    next: AtomicU64,
    pub(super) has_warned: AtomicBool,
}

/// A gateway that has registered, which is gone when this is dropped.
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
        let is_added = self.known.send_if_modified(|Known { registered, .. }| {
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
        self.gateways.known.send_modify(|Known { registered, .. }| {
            if let Some(address) = registered.remove(&self.id) {
                info!(address, "a gateway of GatewayWorker has gone");
            }
        });
    }
}
