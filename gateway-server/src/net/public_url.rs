//! The address at which browsers find the server, as people write it.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

/// An address like `wss://example.com/ws`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(Uri);

impl PublicUrl {
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

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "it must be like wss://example.com/ws";
        let uri: Uri = text.parse().map_err(|error| format!("{error}; {example}"))?;
        let is_known = matches!(uri.scheme_str(), Some("ws" | "wss" | "http" | "https"));
        if !is_known || uri.host().is_none_or(str::is_empty) {
            return Err(example.to_owned());
        }
        Ok(Self(uri))
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_all_that_a_request_needs() {
        let parts = |text: &str| {
            let url: PublicUrl = text.parse().unwrap();
            (url.is_tls(), url.host().to_owned(), url.port(), url.path().to_owned())
        };
        assert_eq!(parts("wss://example.com/ws?a=1"), (true, "example.com".into(), 443, "/ws?a=1".into()));
        assert_eq!(parts("ws://[::1]:8282"), (false, "::1".into(), 8282, "/".into()));
        for wrong in ["example.com", "/ws", "ftp://example.com", "wss://"] {
            assert!(wrong.parse::<PublicUrl>().is_err(), "{wrong}");
        }
    }
}
