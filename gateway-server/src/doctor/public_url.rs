//! The way of a browser: through the public address to a websocket.

use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::http::header::{DATE, HOST};
use tokio_tungstenite::tungstenite::http::{HeaderMap, Request, StatusCode};

use super::clock;
use super::finding::Finding;
use crate::config::Settings;
use crate::net::PublicUrl;
use crate::net::tls::client_config;

/// The time that each step may take.
const TIME: Duration = Duration::from_secs(5);

/// What has come of the request for a websocket.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
}

pub(super) async fn look(settings: &Settings, url: Option<&PublicUrl>) -> Vec<Finding> {
    let Some(url) = url else {
        return vec![Finding::skipped(
            "public-url",
            "--public-url says where browsers connect, as wss://example.com/ws",
        )];
    };
    match ask(url).await {
        Err(problem) => {
            let advice = "see the name's address, the firewall, the proxy and its certificate: docs/proxies.md, docs/tls.md";
            vec![Finding::mend("public-url", format!("{url}: {problem}"), advice)]
        }
        Ok((answer, peer)) => {
            let mut findings = vec![judged(settings, url, answer.status)];
            let date = answer.headers.get(DATE).and_then(|date| date.to_str().ok());
            findings.extend(date.and_then(|date| clock::compared(date, &url.to_string())));
            findings.extend(is_without_proxy(settings, url, peer));
            findings
        }
    }
}

/// Opens a websocket as a browser does, and closes it. Gives the answer, and the address that has given it.
async fn ask(url: &PublicUrl) -> Result<(Answer, IpAddr), String> {
    let late = |what: &str| format!("no {what} within {TIME:?}");
    let socket = timeout(TIME, TcpStream::connect((url.host(), url.port())));
    let socket = socket.await.map_err(|_| late("connection"))?.map_err(|error| error.to_string())?;
    let peer = socket.peer_addr().map_err(|error| error.to_string())?.ip();
    if !url.is_tls() {
        return Ok((timeout(TIME, open(url, socket)).await.map_err(|_| late("answer"))??, peer));
    }
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client_config(None, None)?));
    let name = ServerName::try_from(url.host().to_owned()).map_err(|error| error.to_string())?;
    let stream = timeout(TIME, connector.connect(name, socket)).await.map_err(|_| late("answer in TLS"))?;
    let stream = stream.map_err(|error| format!("browsers refuse its TLS: {error}"))?;
    Ok((timeout(TIME, open(url, stream)).await.map_err(|_| late("answer"))??, peer))
}

async fn open(url: &PublicUrl, stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<Answer, String> {
    let request = Request::builder()
        // TLS is spoken already.
        .uri(format!("ws://{}{}", url.authority(), url.path()))
        .header(HOST, url.authority())
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key())
        .body(())
        .map_err(|error| error.to_string())?;
    match client_async(request, stream).await {
        Ok((mut websocket, response)) => {
            // The server is told, so that it does not take the check for a client whose connection was lost.
            let _ = timeout(TIME, websocket.close(None)).await;
            Ok(Answer { status: response.status(), headers: response.headers().clone() })
        }
        Err(Error::Http(response)) => {
            Ok(Answer { status: response.status(), headers: response.headers().clone() })
        }
        Err(error) => Err(format!("what answers there speaks no HTTP: {error}")),
    }
}

fn judged(settings: &Settings, url: &PublicUrl, status: StatusCode) -> Finding {
    let mend = |why: &str, advice: &str| {
        Finding::mend("public-url", format!("{url} answers {status}: {why}"), advice)
    };
    match status {
        StatusCode::SWITCHING_PROTOCOLS => Finding::ok("public-url", format!("a websocket opens at {url}")),
        StatusCode::UNAUTHORIZED if settings.require_token => {
            Finding::ok("public-url", format!("{url} is reached, and wants a token (require_token)"))
        }
        StatusCode::BAD_REQUEST | StatusCode::UPGRADE_REQUIRED => mend(
            "the gateway gets a request that asks for no websocket",
            "have the proxy pass on Upgrade and Connection, over HTTP/1.1: docs/proxies.md",
        ),
        StatusCode::FORBIDDEN => mend("it refuses the page", "see origins, and the proxy's own rules"),
        StatusCode::NOT_FOUND => {
            mend("there is nothing at that path", "see paths, and which paths the proxy leads to the gateway")
        }
        StatusCode::MISDIRECTED_REQUEST => {
            mend("the gateway is not for that host", "see hosts, and the Host that the proxy passes on")
        }
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => mend(
            "the proxy does not reach the gateway, or that takes no clients",
            "see whether the server runs, and which address the proxy has for it",
        ),
        status if status.is_success() || status.is_redirection() => mend(
            "that is a page and no websocket",
            "have the proxy lead this path to the gateway: docs/proxies.md",
        ),
        _ => mend("no websocket opens", "see the logs of the proxy and of the server"),
    }
}

/// Whether clients come to the server itself, although it believes proxies.
fn is_without_proxy(settings: &Settings, url: &PublicUrl, peer: IpAddr) -> Option<Finding> {
    if settings.trusted_proxies.is_empty() || !is_own(peer) {
        return None;
    }
    let mut listeners = settings.listeners.iter();
    listeners.any(|listener| listener.address.port() == url.port()).then(|| {
        let found = format!("trusted_proxies is set, and {url} leads to the server itself, without a proxy");
        let advice =
            "leave trusted_proxies out, or have the proxy on the public port and websocket on loopback";
        Finding::mend("proxies", found, advice)
    })
}

/// Whether an address is one of this machine, where alone a socket can be bound to it.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}
