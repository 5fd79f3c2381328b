//! A node for unit tests, which has no connection to the broker.

use std::time::Duration;

use super::{Cluster, ClusterSettings};

/// A node with the instance 7 and the address `10.0.0.1:1238`.
pub(super) fn cluster() -> Cluster {
    let settings = ClusterSettings {
        nats: vec!["nats://127.0.0.1".parse().unwrap()],
        name: "c".to_owned(),
        credentials: None,
        authorities: None,
        certificate: None,
        buffer: 1 << 20,
        is_buffered: true,
        timeout: Duration::from_secs(1),
    };
    Cluster::new(settings, b"secret", "10.0.0.1:1238".parse().unwrap(), 7)
}
