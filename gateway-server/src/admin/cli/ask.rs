//! A single request of the command line to the operations port.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::target::Target;

/// Time for one request and its answer.
const TIME: Duration = Duration::from_secs(15);
/// Time for a request that changes something, and its answer.
const CHANGE_TIME: Duration = Duration::from_secs(65);
/// Bytes of the longest answer.
const BYTES: usize = 64 << 20;

pub(super) async fn ask(target: &Target, path: &str) -> anyhow::Result<Value> {
    understood(target, get(target, path).await?)
}

/// Sends a request without a body that changes something, and gives the answer.
pub(super) async fn post(target: &Target, path: &str) -> anyhow::Result<Value> {
    understood(target, send(target, Method::POST, path, None, CHANGE_TIME).await?)
}

/// Sends a request with a body of JSON, and gives the answer.
pub(super) async fn post_json(target: &Target, path: &str, body: &Value) -> anyhow::Result<Value> {
    understood(target, send(target, Method::POST, path, Some(body), CHANGE_TIME).await?)
}

fn understood(target: &Target, (status, body): (StatusCode, Bytes)) -> anyhow::Result<Value> {
    let address = reachable(target.address);
    let value: Value = serde_json::from_slice(&body).with_context(|| no_answer(address))?;
    match (status, value["error"]["message"].as_str()) {
        (StatusCode::OK, _) => Ok(value),
        (StatusCode::UNAUTHORIZED, Some(message)) => {
            bail!("{address} refuses: {message} (operations_token_file, GATEWAY_OPERATIONS_TOKEN)")
        }
        (_, Some(message)) => bail!("{address} refuses: {message}"),
        (status, None) => bail!("{}: {status}", no_answer(address)),
    }
}

/// Sends a request and gives the answer, whatever its status is.
pub(super) async fn get(target: &Target, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    send(target, Method::GET, path, None, TIME).await
}

async fn send(
    target: &Target,
    method: Method,
    path: &str,
    body: Option<&Value>,
    time: Duration,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let address = reachable(target.address);
    timeout(time, exchange(address, target, method, path, body))
        .await
        .with_context(|| format!("{address} has not answered within {time:?}"))?
}

fn no_answer(address: SocketAddr) -> String {
    format!("{address} does not answer as a gateway-server's operations port does")
}

async fn exchange(
    address: SocketAddr,
    target: &Target,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let socket = TcpStream::connect(address).await.with_context(|| {
        format!(
            "no server answers at {address}: is it running, and with operations = \"{address}\"? \
             --operations or --config say where else it is"
        )
    })?;
    let no_answer = || no_answer(address);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.with_context(no_answer)?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header(HOST, address.to_string());
    if !target.token.is_empty() {
        let bearer = [b"Bearer ", target.token.as_bytes()].concat();
        request = request.header(AUTHORIZATION, bearer);
    }
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    let request = request.body(Full::new(body)).context("operations_token cannot stand in a header")?;
    let answer = sender.send_request(request).await.with_context(no_answer)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), BYTES).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("{error}")).with_context(no_answer)?.to_bytes();
    connection.abort();
    Ok((status, body))
}

/// Gives the address to ask. A server that listens on all addresses of this machine is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        address => address,
    }
}
