//! The address of an HTTP or websocket server: what a request to it needs.

use std::fmt;

use hyper::Uri;

/// An address with a host. Whoever makes one has checked that, and its scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress(pub(super) Uri);

impl ServerAddress {
    pub fn is_tls(&self) -> bool {
        matches!(self.0.scheme_str(), Some("wss" | "https"))
    }

    /// The host without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    pub fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// The host and the port as the header `Host` has them.
    pub fn authority(&self) -> &str {
        self.0.authority().map_or("", |authority| authority.as_str())
    }

    /// The path with the query.
    pub fn path(&self) -> &str {
        self.0.path_and_query().map_or("/", |path| path.as_str())
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
