//! Where clients connect, with the limits and the heartbeat that each listener has of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::settings::Checks;
use crate::net::tls::{CertificateError, Files};
use crate::protocol::Protocol;
use crate::protocol::websocket::is_subprotocol;
use crate::system::machine;

/// A `[[listener]]` of the file, or `PROTOCOL://ADDRESS` elsewhere. What it does not say is as for the websocket listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerLayer {
    pub protocol: Protocol,
    pub address: SocketAddr,
    pub ping_interval: Option<f64>,
    pub ping_not_response_limit: Option<u8>,
    pub ping_data: Option<String>,
    pub max_message: Option<usize>,
    pub outbox_bytes: Option<usize>,
    pub origins: Option<Vec<String>>,
    pub paths: Option<Vec<String>>,
    pub hosts: Option<Vec<String>>,
    pub subprotocols: Option<Vec<String>>,
    pub messages_per_second: Option<f64>,
    pub bytes_per_second: Option<f64>,
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub proxy_protocol: Option<bool>,
}

#[derive(Clone, Debug)]
pub struct Listener {
    pub protocol: Protocol,
    pub address: SocketAddr,
    pub ping_interval: Duration,
    pub ping_not_response_limit: u8,
    pub ping_data: String,
    pub max_message: usize,
    pub outbox_bytes: usize,
    pub origins: Vec<String>,
    pub paths: Vec<String>,
    pub hosts: Vec<String>,
    pub subprotocols: Vec<String>,
    pub messages_per_second: f64,
    pub bytes_per_second: f64,
    pub tls: Option<Files>,
    pub proxy_protocol: bool,
}

/// Listeners at most: a client's record has a byte for which it came by.
const MAX_LISTENERS: usize = 256;

impl Listener {
    fn default_at(address: SocketAddr) -> Self {
        Self {
            protocol: Protocol::Websocket,
            address,
            ping_interval: Duration::from_secs(25),
            ping_not_response_limit: 2,
            ping_data: String::new(),
            max_message: machine::memory_share(64, 10 << 20),
            outbox_bytes: machine::memory_share(32, 16 << 20),
            origins: Vec::new(),
            paths: Vec::new(),
            hosts: Vec::new(),
            subprotocols: Vec::new(),
            messages_per_second: 0.0,
            bytes_per_second: 0.0,
            tls: None,
            proxy_protocol: false,
        }
    }
}

impl ListenerLayer {
    pub(super) fn new(protocol: Protocol, address: SocketAddr) -> Self {
        Self {
            protocol,
            address,
            ping_interval: None,
            ping_not_response_limit: None,
            ping_data: None,
            max_message: None,
            outbox_bytes: None,
            origins: None,
            paths: None,
            hosts: None,
            subprotocols: None,
            messages_per_second: None,
            bytes_per_second: None,
            tls_certificate: None,
            tls_key: None,
            proxy_protocol: None,
        }
    }

    fn settle(self, defaults: &Listener, checks: &mut Checks) -> Listener {
        Listener {
            protocol: self.protocol,
            address: self.address,
            ping_interval: self
                .ping_interval
                .map_or(defaults.ping_interval, |value| checks.seconds("ping_interval", value, 0.0)),
            ping_not_response_limit: self
                .ping_not_response_limit
                .map_or(defaults.ping_not_response_limit, |value| {
                    checks.within("ping_not_response_limit", value, 0, 100)
                }),
            ping_data: self.ping_data.unwrap_or_else(|| defaults.ping_data.clone()),
            max_message: self
                .max_message
                .map_or(defaults.max_message, |value| checks.within("max_message", value, 125, 1 << 30)),
            outbox_bytes: self
                .outbox_bytes
                .map_or(defaults.outbox_bytes, |value| checks.within("outbox_bytes", value, 1024, 1 << 30)),
            origins: self.origins.unwrap_or_else(|| defaults.origins.clone()),
            paths: self.paths.unwrap_or_else(|| defaults.paths.clone()),
            hosts: self.hosts.unwrap_or_else(|| defaults.hosts.clone()),
            subprotocols: self
                .subprotocols
                .map_or_else(|| defaults.subprotocols.clone(), |names| checked_subprotocols(names, checks)),
            messages_per_second: self
                .messages_per_second
                .map_or(defaults.messages_per_second, |value| checks.rate("messages_per_second", value)),
            bytes_per_second: self
                .bytes_per_second
                .map_or(defaults.bytes_per_second, |value| checks.rate("bytes_per_second", value)),
            tls: tls(self.tls_certificate, self.tls_key, defaults.tls.as_ref(), checks),
            proxy_protocol: self.proxy_protocol.unwrap_or(defaults.proxy_protocol),
        }
    }
}

/// Names as RFC 6455 has them: what stands in an answer must be one of those that a client offers, byte by byte.
fn checked_subprotocols(names: Vec<String>, checks: &mut Checks) -> Vec<String> {
    for name in &names {
        if !is_subprotocol(name) {
            let reason = format!("{name:?} is no name of a subprotocol: letters, digits and !#$%&'*+-.^_`|~");
            checks.refuse("subprotocols", reason);
        }
    }
    names
}

/// A listener that says nothing of it has TLS if the websocket listener has; empty paths are for one that is to have none.
fn tls(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    defaults: Option<&Files>,
    checks: &mut Checks,
) -> Option<Files> {
    let (is_given, is_key_given) = (certificate.is_some(), key.is_some());
    let named = |path: Option<PathBuf>| path.filter(|path| !path.as_os_str().is_empty());
    match (named(certificate), named(key)) {
        (Some(certificate), Some(key)) => {
            let files = Files { certificate, key, client_authorities: None, is_web: true };
            match files.load() {
                Ok(_) => {}
                Err(CertificateError::Key(reason)) => checks.refuse("tls_key", reason),
                Err(problem) => checks.refuse("tls_certificate", problem.to_string()),
            }
            Some(files)
        }
        (Some(certificate), None) => {
            let reason = format!("tls_key is missing, for the key of {}", certificate.display());
            checks.refuse("tls_certificate", reason);
            None
        }
        (None, Some(key)) => {
            let reason = format!("tls_certificate is missing, for the certificate of {}", key.display());
            checks.refuse("tls_key", reason);
            None
        }
        (None, None) if is_given || is_key_given => None,
        (None, None) => defaults.cloned(),
    }
}

/// The websocket listener, then the others.
pub(super) fn settle(
    websocket: ListenerLayer,
    others: Vec<ListenerLayer>,
    checks: &mut Checks,
) -> Vec<Listener> {
    let websocket = websocket.clone().settle(&Listener::default_at(websocket.address), checks);
    let mut listeners = vec![websocket];
    for (number, layer) in others.into_iter().enumerate() {
        checks.listener = Some(number);
        if number + 1 >= MAX_LISTENERS {
            checks.refuse("address", format!("there are over {MAX_LISTENERS} listeners"));
            break;
        }
        // With `reuse_port` they would share it, by chance.
        if layer.address.port() != 0 && listeners.iter().any(|other| other.address == layer.address) {
            checks.refuse("address", format!("another listener has {} already", layer.address));
        }
        listeners.push(layer.settle(&listeners[0], checks));
    }
    checks.listener = None;
    listeners
}

impl FromStr for ListenerLayer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let protocols = Protocol::ALL.map(Protocol::name).join(", ");
        let example = "a listener is PROTOCOL://ADDRESS:PORT, as text://0.0.0.0:8283";
        let (protocol, address) = text.split_once("://").ok_or(example)?;
        let protocol = Protocol::ALL
            .into_iter()
            .find(|one| one.name() == protocol)
            .ok_or_else(|| format!("there is no protocol {protocol}; the protocols are {protocols}"))?;
        let address = address.parse().map_err(|error| format!("{address}: {error}; {example}"))?;
        Ok(Self::new(protocol, address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_name_protocol_and_address() {
        let text: ListenerLayer = "text://127.0.0.1:8283".parse().unwrap();
        assert_eq!((text.protocol, text.address.port()), (Protocol::Text, 8283));
        for (wrong, reason) in [
            ("127.0.0.1:8283", "PROTOCOL://ADDRESS:PORT"),
            ("smtp://127.0.0.1:25", "no protocol smtp; the protocols are websocket, text, frame, tcp"),
            ("text://8283", "8283: invalid socket address"),
        ] {
            let error = wrong.parse::<ListenerLayer>().unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
