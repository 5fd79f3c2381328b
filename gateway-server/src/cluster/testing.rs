//! A node for unit tests, which has no connection to the broker.

use std::time::Duration;

use super::Cluster;
use crate::config::Settings;
use crate::system::Secret;

/// A node with the instance 7 and the address `10.0.0.1:1238`.
pub(super) fn cluster() -> Cluster {
    let settings = Settings {
        cluster_nats: vec!["nats://127.0.0.1".parse().unwrap()],
        cluster_name: "c".to_owned(),
        cluster_buffer_bytes: 1 << 20,
        cluster_timeout: Duration::from_secs(1),
        secret_key: Secret::new("secret"),
        ..Settings::default()
    };
    Cluster::new(settings.into(), "10.0.0.1:1238".parse().unwrap(), 7)
}
