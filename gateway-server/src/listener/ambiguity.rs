//! The refusal of ambiguous requests, which a proxy, the application or a rule may read differently than this server does.
//!
//! The HTTP parser already refuses folded lines, control characters, spaces before a colon and the like.

use tokio_tungstenite::tungstenite::handshake::server::Request;
use tokio_tungstenite::tungstenite::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, ORIGIN, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING,
};

use super::refusal::Refusal;

/// Headers that a request may have only once: of two, this server would read one and another program perhaps the other.
const SINGLE: [HeaderName; 5] = [HOST, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, AUTHORIZATION];
/// The port that addresses of a scheme leave out.
const USUAL_PORTS: [(&str, &str); 4] = [("http", ":80"), ("ws", ":80"), ("https", ":443"), ("wss", ":443")];

pub(super) fn check(request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    if let Some(name) = SINGLE.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        return Err(Refusal::ambiguous(format!("it has several headers {name}")));
    }
    if has_body(headers) {
        let detail = "it says that a body follows (Content-Length or Transfer-Encoding)".to_owned();
        return Err(Refusal::ambiguous(detail));
    }
    check_target(request)
}

/// True when the request announces a body. Frames follow the handshake, and a proxy would take them for the body, or the body for
/// frames.
fn has_body(headers: &HeaderMap) -> bool {
    let is_empty = |length: &[u8]| !length.is_empty() && length.iter().all(|byte| *byte == b'0');
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).iter().any(|length| !is_empty(length.as_bytes()))
}

/// Checks the request's target, which must be a path, or an address of the same host as the Host header.
fn check_target(request: &Request) -> Result<(), Refusal> {
    let uri = request.uri();
    let Some(authority) = uri.authority().map(|authority| authority.as_str()) else {
        return if uri.path().starts_with('/') {
            Ok(())
        } else {
            Err(Refusal::ambiguous(format!("{uri:?} is neither a path nor an address of a websocket")))
        };
    };
    let scheme = uri.scheme_str().unwrap_or_default();
    let Some((_, port)) = USUAL_PORTS.iter().find(|(name, _)| *name == scheme) else {
        return Err(Refusal::ambiguous(format!("{uri:?} is neither a path nor an address of a websocket")));
    };
    let without_port = |host: &str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if without_port(authority) == without_port(host) {
        Ok(())
    } else {
        Err(Refusal::ambiguous(format!("it asks for {authority:?}, and its header Host says {host:?}")))
    }
}

/// True when a segment of the path stands for this or the upper folder, also if it is escaped. Once it is resolved, the path
/// leads elsewhere than its beginning says, so a rule about the beginning would not hold.
pub(super) fn has_dot_segments(path: &str) -> bool {
    let path = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
    path.split(['/', '\\']).any(|segment| segment == "." || segment == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(target: &str, headers: &[(&'static str, &str)]) -> bool {
        let mut request = Request::new(());
        *request.uri_mut() = target.parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        check(&request).is_ok()
    }

    #[test]
    fn what_may_stand_once_stands_once() {
        let host = ("host", "example.com");
        assert!(is_taken("/", &[host]) && is_taken("/", &[]));
        assert!(is_taken("/", &[host, ("cookie", "a=1"), ("cookie", "b=2"), ("content-length", "0")]));
        for again in ["host", "origin", "sec-websocket-key", "sec-websocket-version", "authorization"] {
            assert!(is_taken("/", &[(again, "a")]));
            assert!(!is_taken("/", &[(again, "a"), ("accept", "a"), (again, "a")]), "{again}");
        }
        for body in [("content-length", "1"), ("content-length", ""), ("content-length", "+0")] {
            assert!(!is_taken("/", &[body]), "{body:?}");
        }
        assert!(!is_taken("/", &[("content-length", "0"), ("content-length", "7")]));
        assert!(!is_taken("/", &[("transfer-encoding", "identity")]));
    }

    #[test]
    fn an_address_is_of_the_host_that_the_header_names() {
        for (target, host, expected) in [
            ("http://example.com/chat", "example.com", true),
            ("http://Example.com:80/chat", "example.COM", true),
            ("wss://example.com/chat", "example.com:443", true),
            ("ws://[::1]:8282", "[::1]:8282", true),
            ("http://other/chat", "example.com", false),
            ("http://example.com:81/chat", "example.com", false),
            ("https://example.com:80/chat", "example.com", false),
            ("http://me@example.com/chat", "example.com", false),
            ("ftp://example.com/chat", "example.com", false),
            ("example.com:80", "example.com:80", false),
            ("*", "example.com", false),
        ] {
            assert_eq!(is_taken(target, &[("host", host)]), expected, "{target} {host}");
        }
        assert!(!is_taken("http://example.com/", &[]));
    }

    #[test]
    fn dot_segments() {
        for path in [
            "/chat/../admin",
            "/chat/%2e%2E/x",
            "/chat/.",
            "/./x",
            "/chat/..%2fx",
            r"/chat/..\x",
            "/chat/.%2e%5Cx",
        ] {
            assert!(has_dot_segments(path), "{path}");
        }
        for path in ["/", "/chat/...", "/chat/.well-known/x", "/chat/a..b", "/chat/%2e%2ex"] {
            assert!(!has_dot_segments(path), "{path}");
        }
    }
}
