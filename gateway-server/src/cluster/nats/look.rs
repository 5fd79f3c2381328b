//! A look at a server of NATS, for whoever wants to know whether a node could use it.

use super::connect::{Options, connect};
use crate::config::Settings;
use crate::net::NatsAddress;

/// What a server says of itself once a node has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub version: String,
    pub has_jetstream: bool,
}

/// Logs in as a node with these settings would, and leaves again. The error is a text for people.
pub async fn look_at(address: &NatsAddress, settings: &Settings) -> Result<Server, String> {
    let options = Options::of(settings, "gateway-server doctor".to_owned());
    let connection = connect(address, &options).await.map_err(|error| error.to_string())?;
    Ok(Server { version: connection.server.version, has_jetstream: connection.server.has_streams })
}
