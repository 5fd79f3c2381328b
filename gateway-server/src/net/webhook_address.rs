//! The address of a webhook, as a setting gives it.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use hyper::Uri;
use serde::{Deserialize, Deserializer};

use super::server_address::ServerAddress;

/// An address like `https://shop.example.com/push/webhook`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookAddress(ServerAddress);

impl Deref for WebhookAddress {
    type Target = ServerAddress;

    fn deref(&self) -> &ServerAddress {
        &self.0
    }
}

impl FromStr for WebhookAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "it must be like https://shop.example.com/push/webhook";
        let uri: Uri = text.parse().map_err(|error| format!("{error}; {example}"))?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(scheme) => return Err(format!("there is no scheme {scheme}://; {example}")),
            None => return Err(format!("there is no http:// or https:// before it; {example}")),
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(
                "leave out the user and the password: each request is signed, see webhook_secret".into()
            );
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err(format!("there is no host in it; {example}"));
        }
        let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
        if let Some(port) = port.filter(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
            return Err(format!("{port:?} is no port; {example}"));
        }
        Ok(Self(ServerAddress(uri)))
    }
}

impl fmt::Display for WebhookAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for WebhookAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_their_parts() {
        for (text, is_tls, host, port, authority, path) in [
            ("https://example.com", true, "example.com", 443, "example.com", "/"),
            ("http://example.com/a/b?c=d", false, "example.com", 80, "example.com", "/a/b?c=d"),
            ("http://[::1]:8080/hook", false, "::1", 8080, "[::1]:8080", "/hook"),
        ] {
            let address: WebhookAddress = text.parse().unwrap();
            let parts =
                (address.is_tls(), address.host(), address.port(), address.authority(), address.path());
            assert_eq!(parts, (is_tls, host, port, authority, path));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        for (text, reason) in [
            ("example.com/hook", "https://"),
            ("/hook", "no http:// or https://"),
            ("ftp://example.com/", "no scheme ftp://"),
            ("https://user:pw@example.com/", "leave out the user"),
            ("https://", "https://shop"),
            ("https://example.com:0/", "\"0\" is no port"),
            ("https://example.com:99999/", "\"99999\" is no port"),
            ("https://example.com:/", "\"\" is no port"),
            ("https://[::1]:0", "is no port"),
            ("", "https://shop"),
            ("https://example.com/a b", "https://shop"),
        ] {
            let error = text.parse::<WebhookAddress>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
