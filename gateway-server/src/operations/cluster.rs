//! The other nodes, as operators see them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::exposition::Exposition;
use crate::cluster::{Cluster, Link};

/// For `GET /status`; null for a server that is alone. `clients` are those of this node.
pub(super) fn status(cluster: Option<&Cluster>, clients: u64) -> Value {
    let Some(cluster) = cluster else { return Value::Null };
    let view = cluster.view();
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (is_up, nats, problem) = match &view.link {
        Link::Up { server } => (true, Some(server.as_str()), None),
        Link::Down { since, reason } => {
            (false, None, Some(format!("no connection for {} s: {reason}", since.elapsed().as_secs())))
        }
        Link::Conflict => (false, None, Some("another node has this one's address".to_owned())),
    };
    let node = |node: String, clients: u64, is_here: bool, silent: f64, is_self: bool| {
        json!({
            "node": node,
            "clients": clients,
            "state": if is_self { "self" } else if is_here { "here" } else { "gone" },
            "silent_seconds": silent,
        })
    };
    let this = node(cluster.node().to_string(), clients, true, 0.0, true);
    let nodes = view.others.iter().map(|other| {
        let silent = (other.silent_for.as_secs_f64() * 10.0).round() / 10.0;
        node(other.node.to_string(), other.clients, other.is_member, silent, false)
    });
    let counts = cluster.counts();
    json!({
        "name": cluster.name(),
        "is_connected": is_up,
        "nats": nats,
        "problem": problem,
        "clients": clients + view.clients(),
        "nodes": std::iter::once(this).chain(nodes).collect::<Vec<_>>(),
        "waiting_bytes": view.waiting_bytes,
        "sent": count(&counts.sent),
        "received": count(&counts.received),
        "refused": count(&counts.refused),
        "missed": count(&counts.missed),
    })
}

pub(super) fn metrics(out: &mut Exposition, cluster: &Cluster, clients: u64) {
    let view = cluster.view();
    let is_up = matches!(view.link, Link::Up { .. });
    out.gauge("gateway_cluster_connected", "Whether there is a connection to NATS.").is(u8::from(is_up));
    out.gauge("gateway_cluster_nodes", "Nodes that are there, this one included.")
        .is(view.members().count() + 1);
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
    ] {
        out.counter(name, help).is(count.load(Ordering::Relaxed));
    }
}
