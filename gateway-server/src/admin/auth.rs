//! The access check of the operations port: a request needs the token. Without a token set, it must come from a program of this
//! machine, and not from a browser here on behalf of another website's page.

use std::net::IpAddr;

use gateway_wire::is_same_secret;
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::{Request, StatusCode, Uri};

use super::answer::Refusal;
use crate::system::Secret;

pub(super) fn check(uri: &Uri, headers: &HeaderMap, token: &Secret) -> Result<(), Refusal> {
    if token.is_empty() { check_is_local(uri, headers) } else { check_token(headers, token) }
}

fn check_token(headers: &HeaderMap, token: &Secret) -> Result<(), Refusal> {
    let unauthorized = |message| Err(Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", message));
    let Some(given) = headers.get(AUTHORIZATION) else {
        return unauthorized("say operations_token in a header: Authorization: Bearer TOKEN");
    };
    match bearer(given.as_bytes()) {
        Some(given) if is_same_secret(given, token.as_bytes()) => Ok(()),
        Some(_) => unauthorized("the token is not the server's operations_token"),
        None => unauthorized("the header must be: Authorization: Bearer TOKEN"),
    }
}

fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Checks that the request names this machine. A website can make its host name resolve to an address of this machine, so that
/// its page's requests arrive here.
fn check_is_local(uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let forbidden = |code, message: &str| Err(Refusal::new(StatusCode::FORBIDDEN, code, message));
    // The dashboard is a page too. Its origin is this port, and the host name is checked below.
    let is_own = |origin: &HeaderValue| {
        let host = origin.as_bytes().strip_prefix(b"http://");
        host.is_some() && host == headers.get(HOST).map(HeaderValue::as_bytes)
    };
    if !headers.get_all(ORIGIN).iter().all(is_own) {
        return forbidden(
            "from_a_page",
            "other pages than the dashboard may ask only where operations_token is set, and known",
        );
    }
    let mut hosts = headers.get_all(HOST).iter();
    let is_local = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(is_loopback),
        _ => false,
    };
    if !is_local || uri.host().is_some_and(|host| !is_loopback(host)) {
        return forbidden(
            "foreign_host",
            "without operations_token the Host header must be localhost, 127.0.0.1 or [::1]",
        );
    }
    Ok(())
}

/// Checks the type of a body. Browsers send bodies of other types than JSON to any address without asking there first, for any
/// page, and a request without an origin would pass the other checks. A token is proof enough, as browsers ask before they send
/// one.
pub(super) fn check_body(request: &Request<Incoming>, token: &Secret) -> Result<(), Refusal> {
    if !token.is_empty() || request.body().is_end_stream() || is_json(request.headers()) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not_json",
        "without operations_token a request with a body needs the header Content-Type: application/json (curl --json)",
    ))
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let name = only.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

fn is_loopback(host: &str) -> bool {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => {
            if port.parse::<u16>().is_err() {
                return false;
            }
            name
        }
        _ => host,
    };
    let address = without_port.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let address = address.unwrap_or(without_port);
    address.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine() {
        for host in ["localhost", "LOCALHOST:1239", "127.0.0.1", "127.8.9.1:80", "[::1]", "[::1]:1239"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "example.com", "localhost.example.com:1239", "10.0.0.1", "[::2]:1239", "127.0.0.1:x"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn only_json_is_json() {
        let headers = |types: &[&'static str]| -> HeaderMap {
            types.iter().map(|one| (CONTENT_TYPE, HeaderValue::from_static(one))).collect()
        };
        for json in ["application/json", "Application/JSON; charset=utf-8", " application/json ;x"] {
            assert!(is_json(&headers(&[json])), "{json}");
        }
        let safe =
            ["text/plain", "multipart/form-data", "text/plain; application/json", "application/jsonp", ""];
        for other in safe {
            assert!(!is_json(&headers(&[other])), "{other}");
        }
        assert!(!is_json(&headers(&[])));
        assert!(!is_json(&headers(&["application/json", "text/plain"])));
    }

    #[test]
    fn a_token_is_said_as_a_bearer_says_it() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bearer  abc "), Some(&b"abc"[..]));
        for header in [&b"abc"[..], b"Basic abc", b"", b"Bearer"] {
            assert_eq!(bearer(header), None);
        }
    }
}
