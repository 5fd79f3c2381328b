//! The refusal of a peer: its response by HTTP or by a close frame, and its line in the log.

use std::fmt;
use std::net::IpAddr;

use tokio_tungstenite::tungstenite::Error;

use crate::protocol::close::Close;
use crate::protocol::websocket;
use crate::telemetry::abuse_log::Offence;
use crate::telemetry::words::counted;

/// The reason why a peer is not let in.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    pub(super) offence: Offence,
    /// The HTTP response, or `None` for a peer that speaks another protocol or has gone.
    answer: Option<Answer>,
    /// The close frame that is sent in place of a response once the handshake is done, as browsers tell pages the reason only
    /// then.
    close: Option<Close>,
    detail: String,
}

/// An HTTP response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    status: &'static str,
    /// The further headers, each with its line end.
    headers: &'static str,
    body: &'static str,
}

const ORIGIN: Answer =
    Answer { status: "403 Forbidden", headers: "", body: "Pages of this origin may not connect here." };
const PATH: Answer =
    Answer { status: "404 Not Found", headers: "", body: "There is no websocket at this path." };
const HOST: Answer =
    Answer { status: "421 Misdirected Request", headers: "", body: "This server does not serve this host." };
const AMBIGUOUS: Answer =
    Answer { status: "400 Bad Request", headers: "", body: "The request can be understood in several ways." };
const NOT_TLS: Answer = Answer {
    status: "400 Bad Request",
    headers: "",
    body: "This port speaks TLS: connect to it with wss://.",
};
const CONTRADICTORY_PROXY: Answer =
    Answer { status: "400 Bad Request", headers: "", body: "X-Forwarded-For and Forwarded disagree." };
const TOO_LONG: Answer =
    Answer { status: "431 Request Header Fields Too Large", headers: "", body: "The request is too long." };
const FULL: Answer =
    Answer { status: "503 Service Unavailable", headers: "Retry-After: 10\r\n", body: "The server is full." };
const FULL_FOR_ADDRESS: Answer = Answer {
    status: "429 Too Many Requests",
    headers: "Retry-After: 10\r\n",
    body: "Too many connections from this address.",
};
const TOO_MANY_HEADERS: Answer = Answer {
    status: "431 Request Header Fields Too Large",
    headers: "",
    body: "The request has too many headers.",
};

/// The answers to requests that do not ask for a websocket.
pub(super) mod answers {
    use super::Answer;

    pub(in super::super) const NOT_A_WEBSOCKET: Answer = Answer {
        status: "426 Upgrade Required",
        headers: "Upgrade: websocket\r\n",
        body: "This is a websocket port: connect to it with ws://.",
    };
    pub(in super::super) const NOT_UPGRADED: Answer = Answer {
        status: "426 Upgrade Required",
        headers: "Upgrade: websocket\r\n",
        body: "Upgrade: websocket or Connection: Upgrade is missing; a proxy in between has to pass both on.",
    };
    pub(in super::super) const VERSION: Answer = Answer {
        status: "426 Upgrade Required",
        headers: "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        body: "Websockets of version 13 are spoken here, and no others.",
    };
    pub(in super::super) const NO_VERSION: Answer = Answer {
        status: "400 Bad Request",
        headers: "Sec-WebSocket-Version: 13\r\n",
        body: "The request has no header Sec-WebSocket-Version.",
    };
    pub(in super::super) const NO_KEY: Answer = Answer {
        status: "400 Bad Request",
        headers: "",
        body: "The request has no header Sec-WebSocket-Key.",
    };
    pub(in super::super) const NOT_UNDERSTOOD: Answer =
        Answer { status: "400 Bad Request", headers: "", body: "The request is not as HTTP/1.1 has it." };
    pub(in super::super) const METHOD: Answer = Answer {
        status: "405 Method Not Allowed",
        headers: "Allow: GET\r\n",
        body: "A websocket is asked for by GET.",
    };
    pub(in super::super) const HTTP_VERSION: Answer = Answer {
        status: "505 HTTP Version Not Supported",
        headers: "",
        body: "A websocket is asked for by HTTP/1.1 here.",
    };
}

#[cfg(test)]
const ANSWERS: [Answer; 18] = [
    AMBIGUOUS,
    CONTRADICTORY_PROXY,
    NOT_TLS,
    ORIGIN,
    PATH,
    HOST,
    answers::NOT_A_WEBSOCKET,
    answers::NOT_UPGRADED,
    answers::VERSION,
    answers::NO_VERSION,
    answers::NO_KEY,
    answers::NOT_UNDERSTOOD,
    answers::METHOD,
    answers::HTTP_VERSION,
    TOO_MANY_HEADERS,
    FULL_FOR_ADDRESS,
    TOO_LONG,
    FULL,
];

impl Refusal {
    fn new(offence: Offence, answer: Answer, detail: String) -> Self {
        Self { offence, answer: Some(answer), close: None, detail }
    }

    pub(super) fn origin(origin: &str) -> Self {
        Self::new(Offence::NotAllowed, ORIGIN, format!("origin {origin:?} is not one of origins"))
    }

    pub(super) fn path(path: &str) -> Self {
        Self::new(Offence::NotAllowed, PATH, format!("path {path:?} is not one of paths"))
    }

    pub(super) fn host(host: &str) -> Self {
        Self::new(Offence::NotAllowed, HOST, format!("host {host:?} is not one of hosts"))
    }

    /// Refuses a request that other programs may read differently.
    pub(super) fn ambiguous(detail: String) -> Self {
        Self::new(Offence::NotAllowed, AMBIGUOUS, detail)
    }

    /// Refuses a peer that speaks HTTP on a port with TLS.
    pub(super) fn not_tls() -> Self {
        Self::new(Offence::Tls, NOT_TLS, "it does not speak TLS but HTTP".to_owned())
    }

    /// Refuses a peer whose TLS handshake failed, of which TLS has told it already.
    pub(super) fn tls(error: impl fmt::Display) -> Self {
        Self { offence: Offence::Tls, answer: None, close: None, detail: error.to_string() }
    }

    pub(super) fn proxy_header(error: impl fmt::Display) -> Self {
        Self { offence: Offence::Proxy, answer: None, close: None, detail: error.to_string() }
    }

    pub(super) fn untrusted_proxy() -> Self {
        Self::proxy_header("it is not one of trusted_proxies, and only those may come here (proxy_protocol)")
    }

    pub(super) fn contradictory_proxy(one: IpAddr, other: IpAddr) -> Self {
        let detail = format!(
            "X-Forwarded-For says {one}, Forwarded says {other}: the proxy is to remove the one that it does not write"
        );
        Self::new(Offence::Proxy, CONTRADICTORY_PROXY, detail)
    }

    pub(super) fn too_long(limit: usize) -> Self {
        let detail = format!("the request is over the limit of {limit} bytes (max_request_bytes)");
        Self::new(Offence::NotWebsocket, TOO_LONG, detail)
    }

    pub(super) fn too_many_headers(limit: usize) -> Self {
        let detail = format!("the request has over {limit} headers");
        Self::new(Offence::NotWebsocket, TOO_MANY_HEADERS, detail)
    }

    /// Refuses a request that does not ask for a websocket.
    pub(super) fn not_websocket(answer: Answer, detail: &str) -> Self {
        Self::new(Offence::NotWebsocket, answer, detail.to_owned())
    }

    pub(super) fn full(limit: usize) -> Self {
        let are = if limit == 1 { "is" } else { "are" };
        let connections = counted(limit, "connection");
        Self::new(Offence::Full, FULL, format!("there {are} {connections} already (max_connections)"))
    }

    pub(super) fn full_for_address(limit: usize) -> Self {
        let connections = counted(limit, "connection");
        let detail = format!("its address has {connections} already (max_connections_per_address)");
        Self::new(Offence::FullForAddress, FULL_FOR_ADDRESS, detail)
    }

    pub(super) fn too_many_handshakes(limit: usize) -> Self {
        let handshakes = counted(limit, "handshake");
        let detail =
            format!("its address has {handshakes} under way already, three quarters of max_handshakes");
        Self::new(Offence::FullForAddress, FULL_FOR_ADDRESS, detail)
    }

    pub(super) fn token(close: Close, detail: String) -> Self {
        Self { offence: Offence::Token, answer: None, close: Some(close), detail }
    }

    /// True when there is no room for anybody, and false when there is none for the peer's address.
    pub(super) fn is_for_all(&self) -> bool {
        self.offence == Offence::Full
    }

    /// True when the peer is told by a close frame, after the handshake.
    pub(super) fn is_for_websocket(&self) -> bool {
        self.close.is_some()
    }

    /// Gives the bytes that the peer is sent before it has to close.
    pub(super) fn response(&self) -> Option<Vec<u8>> {
        let answer = self.answer.as_ref().map(|answer| answer.to_string().into_bytes());
        answer.or_else(|| self.close.map(|close| websocket::close(close).to_vec()))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, headers, body } = self;
        let length = body.len() + 2;
        write!(
            f,
            "HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Type: text/plain\r\n\
             Content-Length: {length}\r\n\r\n{body}\r\n"
        )
    }
}

impl From<Error> for Refusal {
    /// Handles an error of the connection. The peer has gone, or its socket is broken, so there is no response.
    fn from(error: Error) -> Self {
        Self { offence: Offence::NotWebsocket, answer: None, close: None, detail: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_documented() {
        let page = include_str!("../../../docs/close-codes.md");
        for Answer { status, .. } in ANSWERS {
            assert!(page.contains(&format!("| {status} |")), "{status}");
        }
    }
}
