//! The address at which browsers find the server, as people write it.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use hyper::Uri;

use super::server_address::ServerAddress;

/// An address like `wss://example.com/ws`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(ServerAddress);

impl Deref for PublicUrl {
    type Target = ServerAddress;

    fn deref(&self) -> &ServerAddress {
        &self.0
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
        Ok(Self(ServerAddress(uri)))
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
