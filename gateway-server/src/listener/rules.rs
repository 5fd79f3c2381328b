//! The rules that say which websocket requests a listener takes.

use tokio_tungstenite::tungstenite::handshake::server::Request;
use tokio_tungstenite::tungstenite::http::header::{HOST, ORIGIN};

use super::ambiguity;
use super::refusal::Refusal;
use crate::config::{Listener, Settings};

/// The rules of one listener. An empty list of origins, paths or hosts allows all of them; in an origin a star stands for any
/// subdomain, as in `https://*.example.com`, and at the end of a path for anything. A host with a port allows no other port.
#[derive(Clone, Copy)]
pub struct Rules<'s> {
    pub(super) server: &'s Settings,
    pub(super) listener: &'s Listener,
}

impl<'s> Rules<'s> {
    /// The rules of the listener with this index in the settings.
    pub fn of(server: &'s Settings, index: u8) -> Self {
        Self { server, listener: &server.listeners[usize::from(index)] }
    }

    pub(super) fn check(&self, request: &Request) -> Result<(), Refusal> {
        let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
        if !self.listener.hosts.is_empty() {
            let host = header(HOST).unwrap_or_default();
            if !self.listener.hosts.iter().any(|allowed| is_host(host, allowed)) {
                return Err(Refusal::host(host));
            }
        }
        let path = request.uri().path();
        if !self.listener.paths.is_empty() && ambiguity::has_dot_segments(path) {
            return Err(Refusal::ambiguous(format!("path {path:?} has dot segments, and paths is set")));
        }
        if !self.listener.paths.is_empty()
            && !self.listener.paths.iter().any(|allowed| is_path(path, allowed))
        {
            return Err(Refusal::path(path));
        }
        // Only browsers send an origin, and they always do. Another program could send any, so its absence is allowed.
        if let Some(origin) = header(ORIGIN).filter(|_| !self.listener.origins.is_empty())
            && !self.listener.origins.iter().any(|allowed| is_origin(origin, allowed))
        {
            return Err(Refusal::origin(origin));
        }
        Ok(())
    }
}

fn is_host(host: &str, allowed: &str) -> bool {
    // The port stands behind the last colon, unless that colon is a part of an IPv6 address.
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    host.eq_ignore_ascii_case(allowed) || name.is_some_and(|(name, _)| name.eq_ignore_ascii_case(allowed))
}

fn is_path(path: &str, allowed: &str) -> bool {
    match allowed.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == allowed,
    }
}

fn is_origin(origin: &str, allowed: &str) -> bool {
    let Some((scheme, domain)) = allowed.split_once("*.") else {
        return origin.eq_ignore_ascii_case(allowed);
    };
    let rest = origin.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme));
    let rest = rest.and_then(|_| origin.get(scheme.len()..)).unwrap_or_default();
    let Some(at) = rest.len().checked_sub(domain.len()) else { return false };
    // The part before the domain must not be empty and must end with a dot.
    rest.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(domain)) && at > 1 && rest[..at].ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        for (origin, allowed, expected) in [
            ("https://example.com", "https://example.com", true),
            ("HTTPS://Example.com", "https://example.com", true),
            ("http://example.com", "https://example.com", false),
            ("https://example.com:8443", "https://example.com", false),
            ("https://a.example.com", "https://*.example.com", true),
            ("https://a.b.example.com", "https://*.example.com", true),
            ("https://example.com", "https://*.example.com", false),
            ("https://.example.com", "https://*.example.com", false),
            ("https://evilexample.com", "https://*.example.com", false),
            ("https://a.example.com.evil.org", "https://*.example.com", false),
            ("http://a.example.com", "https://*.example.com", false),
            ("null", "https://*.example.com", false),
            ("ü", "https://*.example.com", false),
            ("null", "null", true),
        ] {
            assert_eq!(is_origin(origin, allowed), expected, "{origin} {allowed}");
        }
    }

    #[test]
    fn hosts_and_paths() {
        assert!(is_host("Example.com", "example.com") && is_host("example.com:8282", "example.com"));
        assert!(is_host("example.com:8282", "example.com:8282") && is_host("[::1]:8282", "[::1]"));
        assert!(!is_host("example.com:8283", "example.com:8282") && !is_host("a.example.com", "example.com"));
        assert!(!is_host("example.com:evil.org", "example.com") && !is_host("", "example.com"));
        assert!(is_path("/chat", "/chat") && is_path("/chat/7", "/chat/*") && is_path("/", "*"));
        assert!(!is_path("/chat/", "/chat") && !is_path("/chats", "/chat/*"));
    }
}
