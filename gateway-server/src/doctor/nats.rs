//! The servers of NATS: reached, logged in to, and able to keep the store where that is in JetStream.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::finding::Finding;
use crate::cluster;
use crate::config::Settings;

/// The time that a server of NATS may take to answer.
const TIME: Duration = Duration::from_secs(5);

pub(super) async fn look(settings: &Settings) -> Vec<Finding> {
    if !settings.is_clustered() {
        return vec![Finding::skipped("nats", "this server is no node of a cluster (cluster_nats)")];
    }
    let needs_jetstream = settings.store.as_deref() == Some(Path::new("jetstream"));
    let mut findings = Vec::new();
    for address in &settings.cluster_nats {
        let found = timeout(TIME, cluster::nats::look_at(address, settings)).await;
        findings.push(match found {
            Ok(Ok(server)) if needs_jetstream && !server.has_jetstream => Finding::mend(
                "nats",
                format!("{address} is NATS {} without JetStream, and store is \"jetstream\"", server.version),
                "start it with --jetstream, or with a jetstream block in its settings",
            ),
            Ok(Ok(server)) => {
                let with = if server.has_jetstream { "with" } else { "without" };
                Finding::ok("nats", format!("{address} is NATS {} {with} JetStream", server.version))
            }
            Ok(Err(reason)) => Finding::mend("nats", format!("{address}: {reason}"), ADVICE),
            Err(_) => Finding::mend("nats", format!("{address} does not answer within {TIME:?}"), ADVICE),
        });
    }
    findings
}

const ADVICE: &str = "see whether nats-server runs there, whether a firewall holds it up, and whether user, password or credentials are its";
