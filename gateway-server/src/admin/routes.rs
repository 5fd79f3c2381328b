//! The routes of the operations port: each path, with its access check and its answer.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use tokio::time::timeout;

use super::answer::{Answer, Refusal, json, text};
use super::{
    Operations, api, auth, body, clients, dashboard, events, inbox, metrics, sampling, status, upgrade,
};
use crate::cluster::Cluster;
use crate::net::{Permit, RateLimitKey};
use crate::telemetry::abuse_log::{self, Offence};

/// Time for one request, its body included.
const TIME: Duration = Duration::from_secs(10);

const API: &str = "/api/";
pub(super) const UPGRADE: &str = "/upgrade";
/// The statuses of requests that are refused access. The log reports each.
const NOT_LET_IN: [StatusCode; 3] =
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::UNSUPPORTED_MEDIA_TYPE];

pub(super) async fn respond(
    request: Request<Incoming>,
    peer: SocketAddr,
    operations: &Operations,
    slot: &Permit<RateLimitKey>,
) -> Answer {
    let time = if request.uri().path() == UPGRADE { upgrade::TIME } else { TIME };
    let answered = timeout(time, route(request, operations, slot)).await.unwrap_or_else(|_| {
        let message = format!("not done within {time:?}; what was asked for may be done in part");
        Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message))
    });
    answered.unwrap_or_else(|refusal| {
        if NOT_LET_IN.contains(&refusal.status) {
            abuse_log::report(Offence::Operations, Some(peer), &refusal.message);
        }
        refusal.answer()
    })
}

async fn route(
    request: Request<Incoming>,
    operations: &Operations,
    slot: &Permit<RateLimitKey>,
) -> Result<Answer, Refusal> {
    // These paths need no token: load balancers ask for health, and the dashboard's page holds no data itself.
    match request.uri().path() {
        "/healthz" => {
            only(&request, &Method::GET)?;
            return Ok(text(StatusCode::OK, "alive\n"));
        }
        "/readyz" => {
            only(&request, &Method::GET)?;
            return Ok(readiness(operations).await);
        }
        path => {
            if let Some(answer) = dashboard::answer(path) {
                only(&request, &Method::GET)?;
                return Ok(answer);
            }
        }
    }
    let token = operations.token();
    auth::check(request.uri(), request.headers(), &token)?;
    if request.uri().path() == UPGRADE {
        only(&request, &Method::POST)?;
        return upgrade::respond(operations).await;
    }
    let _served = operations.served.acquire().await;
    if operations.is_replaced.load(Ordering::Relaxed) {
        let message = "another process has taken over from this one: ask again";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "replaced", message));
    }
    // A connection that has lost its slot is closed anyway, so its request is not served.
    if !slot.prove() {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "others wanted the connection's place",
        ));
    }
    match request.uri().path() {
        "/metrics" => {
            only(&request, &Method::GET)?;
            metrics::answer_metrics(operations).await
        }
        "/status" => {
            only(&request, &Method::GET)?;
            status::answer(operations).await
        }
        "/connections" => {
            only(&request, &Method::GET)?;
            clients::answer(operations, request.uri().query()).await
        }
        "/history" => {
            only(&request, &Method::GET)?;
            Ok(sampling::answer(operations))
        }
        "/events" => {
            only(&request, &Method::GET)?;
            events::answer(request.uri().query())
        }
        "/inbox" => {
            only(&request, &Method::GET)?;
            inbox::answer(operations, request.uri().query()).await
        }
        "/openapi.json" => {
            only(&request, &Method::GET)?;
            Ok(json(StatusCode::OK, &api::describe()))
        }
        path if path.starts_with(API) => {
            only(&request, &Method::POST)?;
            auth::check_body(&request, &token)?;
            let name = path[API.len()..].to_owned();
            let body = body::read(request.into_body(), api::MAX_BODY).await?;
            api::answer(operations, &name, &body).await
        }
        path => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!(
                "there is nothing at {path}; there are /dashboard, /healthz, /readyz, /metrics, /status, /connections, /history, /events, /inbox, /openapi.json, /upgrade, /api/{{operation}}"
            ),
        )),
    }
}

async fn readiness(operations: &Operations) -> Answer {
    if operations.is_stopping() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    if let Some(problem) = operations.backend.gateway.cluster().and_then(Cluster::problem) {
        return text(StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n"));
    }
    if let Some(problem) = operations.backend.gateway.inbox().and_then(|inbox| inbox.health().problem()) {
        return text(StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n"));
    }
    match operations.all_shards_answer().await {
        Ok(()) => text(StatusCode::OK, "ready\n"),
        Err(refusal) => text(refusal.status, format!("{}\n", refusal.message)),
    }
}

/// Refuses other methods than `method`. `HEAD` is allowed where `GET` is.
fn only(request: &Request<Incoming>, method: &Method) -> Result<(), Refusal> {
    let given = request.method();
    if given == method || (given == Method::HEAD && method == Method::GET) {
        return Ok(());
    }
    let code = if method == Method::POST { "only_post" } else { "only_get" };
    let message = format!("{} takes {method}, not {given}", request.uri().path());
    Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, code, message))
}
