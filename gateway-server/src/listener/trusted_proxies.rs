//! The trusted proxies, which are believed when they name the client that they speak for.

use std::net::{IpAddr, SocketAddr};

use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue};

use super::refusal::Refusal;
use crate::net::Network;

/// The networks of the trusted proxies. There are none by default.
#[derive(Clone, Copy)]
pub(super) struct TrustedProxies<'s>(pub(super) &'s [Network]);

impl TrustedProxies<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Gives the client for which a trusted proxy sent a request, or the proxy itself when its headers name none.
    pub(super) fn client_of(
        &self,
        proxy: SocketAddr,
        headers: &HeaderMap<HeaderValue>,
    ) -> Result<SocketAddr, Refusal> {
        let by_x = self.walk(proxy, headers, "x-forwarded-for", address);
        let by_forwarded = self.walk(proxy, headers, "forwarded", |element| address(for_of(element)?));
        match (by_x, by_forwarded) {
            // The proxy wrote only one of the two headers, and the client may have written the other.
            (Some(one), Some(other)) if one.ip() != other.ip() => {
                Err(Refusal::contradictory_proxy(one.ip(), other.ip()))
            }
            (Some(client), _) | (None, Some(client)) => Ok(client),
            (None, None) => Ok(proxy),
        }
    }

    /// Finds the client in the headers of one name. Each proxy appends the address of its peer, so this reads from the end. The
    /// first address that is no trusted proxy's is the client; the client could have written anything before it.
    fn walk(
        &self,
        proxy: SocketAddr,
        headers: &HeaderMap<HeaderValue>,
        name: &str,
        parse: impl Fn(&str) -> Option<SocketAddr>,
    ) -> Option<SocketAddr> {
        let values: Vec<_> = headers.get_all(name).iter().collect();
        if values.is_empty() {
            return None;
        }
        let mut client = proxy;
        for value in values.into_iter().rev() {
            for element in value.as_bytes().rsplit(|byte| *byte == b',') {
                let element = std::str::from_utf8(element).ok();
                // An element that is no address, such as "unknown", hides the client, so the address that is known last stands
                // for it.
                let Some(address) = element.and_then(|element| parse(element.trim())) else {
                    return Some(client);
                };
                client = address;
                if !self.contains(address.ip()) {
                    return Some(client);
                }
            }
        }
        Some(client)
    }
}

/// Parses an address with or without a port, which is 0 then. An IPv6 address may be in brackets.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = || text.parse().ok().map(|address: IpAddr| SocketAddr::new(address, 0));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address: SocketAddr = text
        .parse()
        .ok()
        .or_else(bare)
        .or_else(|| bracketed().map(|address: std::net::Ipv6Addr| SocketAddr::new(address.into(), 0)))?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Gives the value of `for=` in an element of RFC 7239.
fn for_of(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(networks: &[&str]) -> Vec<Network> {
        networks.iter().map(|network| network.parse().unwrap()).collect()
    }

    fn client(trusted: &[Network], headers: &[(&'static str, &str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let proxy = "10.0.0.1:5000".parse().unwrap();
        TrustedProxies(trusted).client_of(proxy, &map).ok().map(|client| client.to_string())
    }

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        let all = trusted(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/33", "::1"]);
        let all = TrustedProxies(&all);
        for inside in ["10.255.0.1", "192.0.2.7", "::ffff:10.1.1.1", "2001:db8:7fff::1", "::1"] {
            assert!(all.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.6", "2001:db8:8000::1", "::2", "127.0.0.1", "::10.0.0.1"] {
            assert!(!all.contains(outside.parse().unwrap()), "{outside}");
        }
        let any = trusted(&["0.0.0.0/0"]);
        let any = TrustedProxies(&any);
        assert!(any.contains("1.2.3.4".parse().unwrap()) && !any.contains("::1".parse().unwrap()));
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_client() {
        let all = trusted(&["10.0.0.0/8", "fd00::/8"]);
        for (x_forwarded_for, expected) in [
            ("192.0.2.1", "192.0.2.1:0"),
            ("198.51.100.9, 192.0.2.1", "192.0.2.1:0"),
            ("198.51.100.9, 192.0.2.1 , 10.2.2.2,fd00::3", "192.0.2.1:0"),
            ("192.0.2.1:4711", "192.0.2.1:4711"),
            ("[2001:db8::1]:4711", "[2001:db8::1]:4711"),
            ("[2001:db8::1]", "[2001:db8::1]:0"),
            ("2001:db8::1", "[2001:db8::1]:0"),
            ("::ffff:192.0.2.1", "192.0.2.1:0"),
            ("10.2.2.2, 10.3.3.3", "10.2.2.2:0"),
            ("unknown, 10.2.2.2", "10.2.2.2:0"),
            ("192.0.2.1, unknown", "10.0.0.1:5000"),
            ("192.0.2.1,", "10.0.0.1:5000"),
            ("", "10.0.0.1:5000"),
        ] {
            assert_eq!(client(&all, &[("x-forwarded-for", x_forwarded_for)]).unwrap(), expected);
        }
        let several = [("x-forwarded-for", "198.51.100.9"), ("x-forwarded-for", "192.0.2.1, 10.2.2.2")];
        assert_eq!(client(&all, &several).unwrap(), "192.0.2.1:0");
        assert_eq!(client(&all, &[]).unwrap(), "10.0.0.1:5000");
    }

    #[test]
    fn forwarded_says_the_same_or_nobody_is_believed() {
        let all = trusted(&["10.0.0.0/8"]);
        for (forwarded, expected) in [
            ("for=192.0.2.1;proto=https;by=10.0.0.1", "192.0.2.1:0"),
            ("for=198.51.100.9, proto=https; For=\"[2001:db8::1]:4711\"", "[2001:db8::1]:4711"),
            ("for=192.0.2.1, for=_hidden", "10.0.0.1:5000"),
            ("for=\"198.51.100.9, for=192.0.2.1", "192.0.2.1:0"),
            ("by=10.0.0.1", "10.0.0.1:5000"),
        ] {
            assert_eq!(client(&all, &[("forwarded", forwarded)]).unwrap(), expected);
        }
        let x = ("x-forwarded-for", "192.0.2.1");
        assert_eq!(client(&all, &[x, ("forwarded", "for=192.0.2.1:80")]).unwrap(), "192.0.2.1:0");
        assert_eq!(client(&all, &[x, ("forwarded", "for=192.0.2.2")]), None);
    }
}
