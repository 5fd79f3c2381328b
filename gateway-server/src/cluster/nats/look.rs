//! A look at a server of NATS, for whoever wants to know whether a node could use it.

use super::connect::{Options, connect};
use crate::cluster::ClusterSettings;
use crate::net::NatsAddress;

/// What a server says of itself once a node has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub version: String,
    pub has_jetstream: bool,
}

/// Logs in as a node with these settings would, and leaves again. The error is a text for people.
pub async fn look_at(address: &NatsAddress, settings: &ClusterSettings) -> Result<Server, String> {
    let options = Options {
        name: "gateway-server doctor".to_owned(),
        credentials: settings.credentials.clone(),
        authorities: settings.authorities.clone(),
        certificate: settings.certificate.clone(),
    };
    let connection = connect(address, &options).await.map_err(|error| error.to_string())?;
    Ok(Server { version: connection.server.version, has_jetstream: connection.server.has_streams })
}
