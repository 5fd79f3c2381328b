//! The parser of a websocket request. It takes every spelling that can be understood in one way only, and says what is wrong with
//! others.
//!
//! GatewayWorker takes any bytes as a target, and some devices and scripts put JSON there unescaped. The type of a target takes
//! fewer bytes, so the others are escaped for it; the application gets the bytes that came.

use httparse::{EMPTY_HEADER, Header, Status};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use tokio_tungstenite::tungstenite::http::{Method, Uri, Version};

use super::refusal::{Refusal, answers};

/// Number of headers for which there is room at first; browsers and proxies send fewer.
const USUAL_HEADERS: usize = 64;
/// Number of headers that a request may have.
const MAX_HEADERS: usize = 1000;
const VERSION: &[u8] = b"13";

/// A client's request for a websocket.
pub(super) struct UpgradeRequest {
    pub(super) request: Request,
    /// Path and query as the client wrote them.
    pub(super) target: Vec<u8>,
    /// The bytes behind the request that were read with it: frames of a client that does not wait for the answer.
    pub(super) early: Box<[u8]>,
}

/// Reads a request of at most `limit` bytes, in pieces of any size, behind what was read of it before. What is read stays in `bytes`, so
/// that another process can go on when the caller stops waiting.
pub(super) async fn read(
    socket: &mut (impl AsyncRead + Unpin),
    bytes: &mut Vec<u8>,
    limit: usize,
) -> Result<UpgradeRequest, Refusal> {
    let mut before = 0_usize;
    bytes.reserve(1024);
    loop {
        // The request is parsed at its first piece, as that shows garbage early, and when it is complete. It is not parsed at
        // each piece between, as a peer could make that costly.
        let news = &bytes[before.saturating_sub(2)..];
        if !bytes.is_empty() && (before == 0 || has_empty_line(news)) {
            match parse(bytes)? {
                Some((length, _)) if length > limit => return Err(Refusal::too_long(limit)),
                Some((length, opening)) => {
                    return Ok(UpgradeRequest { early: bytes[length..].into(), ..opening });
                }
                None => {}
            }
        }
        if bytes.len() > limit {
            return Err(Refusal::too_long(limit));
        }
        before = bytes.len();
        let read = socket.read_buf(bytes).await.map_err(Error::from)?;
        if read == 0 {
            return Err(Error::Protocol(ProtocolError::HandshakeIncomplete).into());
        }
    }
}

/// Whether there is an empty line, which ends a request. Lines may end with a line feed alone.
fn has_empty_line(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', bytes).any(|end| {
        let rest = &bytes[end + 1..];
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    })
}

/// Makes the response that accepts a request. It is an error if the request does not ask for a websocket.
pub(super) fn accept(request: &Request) -> Result<Response, Refusal> {
    let headers = request.headers();
    let has = |name, word: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(word))
    };
    let key = headers.get(SEC_WEBSOCKET_KEY);
    if !has(UPGRADE, "websocket") || !has(CONNECTION, "upgrade") {
        return Err(match key {
            Some(_) => Refusal::not_websocket(
                answers::NOT_UPGRADED,
                "Upgrade: websocket or Connection: Upgrade is missing, which a proxy may have removed",
            ),
            None => Refusal::not_websocket(answers::NOT_A_WEBSOCKET, "it asks for no websocket"),
        });
    }
    match headers.get(SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) {
        Some(VERSION) => {}
        Some(_) => {
            return Err(Refusal::not_websocket(answers::VERSION, "its version of websockets is not 13"));
        }
        None => return Err(Refusal::not_websocket(answers::NO_VERSION, "it has no Sec-WebSocket-Version")),
    }
    let Some(key) = key else {
        return Err(Refusal::not_websocket(answers::NO_KEY, "it has no Sec-WebSocket-Key"));
    };
    let mut response = Response::new(());
    let answer = response.headers_mut();
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    answer.insert(SEC_WEBSOCKET_ACCEPT, accept.map_err(|_| not_understood("its key"))?);
    Ok(response)
}

/// Parses the request at the start of `bytes` and gives its length. Gives `None` while it is not complete.
fn parse(bytes: &[u8]) -> Result<Option<(usize, UpgradeRequest)>, Refusal> {
    // HTTP allows a few empty lines before a request.
    let empty = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let request = &bytes[empty..];
    if request.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) {
        return Err(not_understood("its first byte"));
    }
    let Some(end) = request.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let line = request[..end].strip_suffix(b"\r").unwrap_or(&request[..end]);
    let (method, target, version) = request_line(line)?;
    let headers = &request[end + 1..];
    let mut usual = [EMPTY_HEADER; USUAL_HEADERS];
    let mut many;
    let status = match httparse::parse_headers(headers, &mut usual) {
        Err(httparse::Error::TooManyHeaders) => {
            many = vec![EMPTY_HEADER; MAX_HEADERS];
            httparse::parse_headers(headers, &mut many)
        }
        status => status,
    };
    let (length, headers) = match status {
        Ok(Status::Complete(parsed)) => parsed,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::too_many_headers(MAX_HEADERS)),
        Err(_) => return Err(not_understood("a line of its headers")),
    };
    if method != b"GET" {
        return Err(Refusal::not_websocket(answers::METHOD, "its method is not GET"));
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.version_mut() = version;
    *request.uri_mut() = uri(target).ok_or_else(|| not_understood("its target"))?;
    for Header { name, value } in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| not_understood("a header's name"))?;
        let value = HeaderValue::from_bytes(value).map_err(|_| not_understood("a header's value"))?;
        request.headers_mut().try_append(name, value).map_err(|_| Refusal::too_many_headers(MAX_HEADERS))?;
    }
    let target = match request.uri().authority() {
        None => target.split(|byte| *byte == b'#').next().unwrap_or_default().to_vec(),
        Some(_) => request.uri().path_and_query().map(|target| target.as_str().into()).unwrap_or_default(),
    };
    Ok(Some((empty + end + 1 + length, UpgradeRequest { request, target, early: Box::default() })))
}

/// Splits the first line into method, target and version, which one space separates.
fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], Version), Refusal> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(not_understood("its first line"));
    };
    let is_visible = |word: &[u8]| !word.is_empty() && word.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
    if !is_visible(method) || !is_visible(target) {
        return Err(not_understood("its first line"));
    }
    match version {
        b"HTTP/1.1" => Ok((method, target, Version::HTTP_11)),
        // Some old proxies write this version for all requests that they forward.
        b"HTTP/1.0" => Ok((method, target, Version::HTTP_10)),
        _ if version.starts_with(b"HTTP/") => {
            Err(Refusal::not_websocket(answers::HTTP_VERSION, "it is not of HTTP/1.1"))
        }
        _ => Err(not_understood("its first line")),
    }
}

/// Parses the target, with escapes for bytes that the type does not take.
fn uri(target: &[u8]) -> Option<Uri> {
    if let Ok(uri) = Uri::try_from(target) {
        return Some(uri);
    }
    let mut escaped = String::with_capacity(2 * target.len());
    for byte in target {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                escaped.push_str(&format!("%{byte:02X}"));
            }
            byte => escaped.push(char::from(*byte)),
        }
    }
    Uri::try_from(escaped).ok()
}

fn not_understood(what: &str) -> Refusal {
    Refusal::not_websocket(answers::NOT_UNDERSTOOD, &format!("{what} is not as HTTP/1.1 has it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(request: &[u8]) -> UpgradeRequest {
        parse(request).unwrap().unwrap().1
    }

    #[test]
    fn a_target_keeps_its_bytes() {
        for (target, path, query) in [
            (&b"/?data={\"uid\":1}"[..], "/", Some("data={\"uid\":1}")),
            (b"/a?x=\xff\xfe", "/a", Some("x=%FF%FE")),
            ("/grüß?ü".as_bytes(), "/grüß", Some("ü")),
            (b"/a|b?`<x>`\\", "/a|b", None),
            (b"/a?b#c", "/a", Some("b")),
        ] {
            let UpgradeRequest { request, target: raw, .. } =
                parsed(&[b"GET ", target, b" HTTP/1.1\r\n\r\n"].concat());
            let shown = String::from_utf8_lossy(target);
            if let Some(query) = query {
                let unescaped = request.uri().query().map(|query| query.replace("%22", "\""));
                assert_eq!(
                    unescaped.map(|query| query.replace("%7B", "{").replace("%7D", "}")).as_deref(),
                    Some(query),
                    "{shown}"
                );
            }
            assert_eq!(request.uri().path().replace("%7C", "|"), path, "{shown}");
            assert!(
                target.starts_with(&raw) && (raw.len() == target.len() || target[raw.len()] == b'#'),
                "{shown}"
            );
        }
    }

    #[test]
    fn what_is_no_request_says_why() {
        for (bytes, reason) in [
            (&b"\x16\x03\x01"[..], "its first byte"),
            (b"GET / HTTP/1.1 x\r\n", "its first line"),
            (b"GET  / HTTP/1.1\r\n", "its first line"),
            (b"GET /\x01 HTTP/1.1\r\n", "its first line"),
            (b"PRI * HTTP/2.0\r\n", "it is not of HTTP/1.1"),
            (b"GET / SMTP\r\n", "its first line"),
            (b"POST / HTTP/1.1\r\n\r\n", "its method is not GET"),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "a line of its headers"),
        ] {
            let refusal = parse(bytes).err().unwrap().to_string();
            assert!(refusal.starts_with(reason), "{}: {refusal}", String::from_utf8_lossy(bytes));
        }
        assert!(parse(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap().is_none());
        let many = |count: usize| [b"GET / HTTP/1.1\r\n", &b"a: b\r\n".repeat(count)[..], b"\r\n"].concat();
        assert_eq!(parsed(&many(MAX_HEADERS)).request.headers().len(), MAX_HEADERS);
        assert!(parse(&many(MAX_HEADERS + 1)).is_err());
    }
}
