//! The cluster's state for operators.

use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::exposition::Exposition;
use crate::cluster::LinkState;
use crate::service::Gateway;

/// Gives the cluster's part of `GET /status`, or null when the server is in no cluster. `clients` is the number of this node's
/// clients.
pub(super) fn status(gateway: &Gateway, clients: u64) -> Value {
    let Some(cluster) = gateway.cluster() else { return Value::Null };
    let view = cluster.view();
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (is_up, nats, problem) = match &view.link {
        LinkState::Up { server } => (true, Some(server.as_str()), cluster.problem()),
        LinkState::Down { since, reason } => {
            (false, None, Some(format!("no connection for {} s: {reason}", since.elapsed().as_secs())))
        }
        LinkState::Conflict => (false, None, Some("another node has this one's address".to_owned())),
    };
    let node = |node: SocketAddrV4, clients: u64, state: &str, silent: f64| {
        json!({
            "node": node.to_string(),
            "clients": clients,
            "state": state,
            "silent_seconds": silent,
        })
    };
    let this = node(cluster.node(), clients, "self", 0.0);
    let nodes = view.others.iter().map(|other| {
        let silent = (other.silent_for.as_secs_f64() * 10.0).round() / 10.0;
        node(other.node, other.clients, if other.is_member { "here" } else { "gone" }, silent)
    });
    let is_known = |node: &SocketAddrV4| view.members().any(|member| member.node == *node);
    let unproven = view.unproven.iter().filter(|node| !is_known(node));
    let unproven = unproven.map(|unproven| node(*unproven, 0, "unproven", 0.0));
    let counts = cluster.counts();
    let moved = gateway.move_counts();
    json!({
        "name": cluster.name(),
        "is_connected": is_up,
        "nats": nats,
        "problem": problem,
        "clients": clients + view.clients(),
        "nodes": std::iter::once(this).chain(nodes).chain(unproven).collect::<Vec<_>>(),
        "waiting_bytes": view.waiting_bytes,
        "sent": count(&counts.sent),
        "received": count(&counts.received),
        "refused": count(&counts.refused),
        "missed": count(&counts.missed),
        "ignored": count(&counts.ignored),
        "unconfirmed": count(&counts.unconfirmed),
        "moved_in": moved.came,
        "moved_out": moved.went,
    })
}

pub(super) fn metrics(out: &mut Exposition, gateway: &Gateway, clients: u64) {
    let Some(cluster) = gateway.cluster() else { return };
    let view = cluster.view();
    let is_up = matches!(view.link, LinkState::Up { .. });
    out.gauge("gateway_cluster_connected", "Whether there is a connection to NATS.").is(u8::from(is_up));
    out.gauge("gateway_cluster_nodes", "Nodes that are there, this one included.")
        .is(view.members().count() + 1);
    out.gauge("gateway_cluster_unproven_nodes", "Nodes that are heard and have not shown that they live.")
        .is(view.unproven.len());
    out.gauge("gateway_cluster_clients", "Clients of all of them.").is(clients + view.clients());
    out.gauge("gateway_cluster_waiting_bytes", "What waits for other nodes, or is kept for them.")
        .is(view.waiting_bytes);
    let counts = cluster.counts();
    for (name, help, count) in [
        ("gateway_cluster_connections_total", "Connections to NATS.", &counts.connections),
        ("gateway_cluster_sent_total", "Frames to other nodes.", &counts.sent),
        ("gateway_cluster_received_total", "Frames of other nodes.", &counts.received),
        (
            "gateway_cluster_refused_total",
            "Orders that other nodes did not get, as PHP was told.",
            &counts.refused,
        ),
        ("gateway_cluster_missed_total", "Orders of other nodes that did not come, at most.", &counts.missed),
        (
            "gateway_cluster_ignored_total",
            "Frames that were not taken: not sealed, of nobody who is known to live, or sent again by somebody.",
            &counts.ignored,
        ),
        (
            "gateway_cluster_unconfirmed_total",
            "How often what was bound was not known to be reached by all nodes when PHP was told.",
            &counts.unconfirmed,
        ),
    ] {
        out.counter(name, help).is(count.load(Ordering::Relaxed));
    }
    let moved = gateway.move_counts();
    out.counter("gateway_cluster_moved_in_total", "Clients that came from other nodes.").is(moved.came);
    out.counter("gateway_cluster_moved_out_total", "Clients that were given to other nodes.").is(moved.went);
}
