//! The HTTP API: `POST /api/{operation}` does what the method of that name of PHP's class does, by the same code.

mod action;
mod arguments;
mod batch;
mod openapi;
mod results;
mod send;
mod session;
mod table;
mod tracked;
mod waiting;

pub(super) use openapi::describe;

use gateway_wire::bridge::Order;
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::sync::SemaphorePermit;

use super::Operations;
use super::answer::{Answer, Refusal, json};
use crate::service::ServiceError;
use crate::telemetry::words::nearest;
use action::Action;
use arguments::Arguments;
use results::Shape;
use table::{OPERATIONS, Operation};

/// Bytes of the longest body of a request.
pub(super) const MAX_BODY: usize = 1 << 20;
/// Bytes that the answers of one request may have together.
const MAX_ANSWER: usize = 64 << 20;
/// Bytes of a body up to which its request counts as small. JSON takes up to 40 times its bytes in memory.
const SMALL: usize = 64 << 10;

/// Answers a request. `name` is the part of the path behind `/api/`.
pub(super) async fn answer(operations: &Operations, name: &str, body: &[u8]) -> Result<Answer, Refusal> {
    // Only a single order with a small body takes little memory for sure; other requests wait for their turn.
    let is_small =
        body.len() <= SMALL && (name != "batch" && matches!(Operation::find(name)?.result, Shape::Nothing));
    let turn = if is_small { None } else { operations.large.acquire().await.ok() };
    let body = match body.trim_ascii() {
        // An empty body counts as an empty object, as many operations need no arguments.
        [] => json!({}),
        body => serde_json::from_slice(body)
            .map_err(|error| Refusal::invalid(format!("the body is no JSON: {error}")))?,
    };
    let is_batch = name == "batch";
    let mut run = Run { operations, turn, is_batch, room: MAX_ANSWER };
    let result = if is_batch { run.batch(&body).await } else { run.one(name, &body).await };
    let _turn = run.turn.take();
    drop(run);
    operations.backend.gateway.await_bindings().await;
    Ok(json(StatusCode::OK, &result?))
}

/// One request that is being carried out.
struct Run<'a> {
    operations: &'a Operations,
    /// The turn of a request that may take much memory. It lasts until the answer is written.
    turn: Option<SemaphorePermit<'a>>,
    is_batch: bool,
    /// Bytes that its further answers may have.
    room: usize,
}

impl Drop for Run<'_> {
    /// Writes the messages that the request's orders have queued, even when its time ran out before its end.
    fn drop(&mut self) {
        self.operations.backend.gateway.flush();
    }
}

impl Run<'_> {
    async fn one(&mut self, name: &str, arguments: &Value) -> Result<Value, Refusal> {
        let operation = Operation::find(name)?;
        let arguments = Arguments::read(operation.parameters, arguments)?;
        let gateway = &self.operations.backend.gateway;
        let (value, length) = match (operation.call)(&arguments)? {
            Action::Order(order) => {
                self.order(&order).await?;
                return Ok(json!({"result": null}));
            }
            Action::Query(query) => gateway.query_value(&query).await?,
            Action::Tracked(order, query) if operation.waits_for_pages() => {
                if self.is_batch {
                    let message =
                        format!("{name} cannot stand in a batch, as it waits for the answers of pages");
                    return Err(Refusal::invalid(message));
                }
                self.answers(&order, &query).await?
            }
            Action::Tracked(order, query) => {
                self.order(&order).await?;
                gateway.query_value(&query).await?
            }
        };
        self.room = self.room.checked_sub(length).ok_or(ServiceError::TooLarge)?;
        let result = operation.result.json(&value, &arguments)?;
        Ok(json!({"result": result}))
    }

    async fn order(&self, order: &Order<'_>) -> Result<(), Refusal> {
        let done = self.operations.backend.gateway.execute(order, None).await;
        Ok(done.map_err(ServiceError::from)?.map_err(ServiceError::from)?)
    }
}

impl Operation {
    /// Whether the result is there only once pages have answered.
    fn waits_for_pages(&self) -> bool {
        matches!(self.result, Shape::Answers)
    }

    fn find(name: &str) -> Result<&'static Self, Refusal> {
        OPERATIONS.iter().find(|operation| operation.name == name).ok_or_else(|| {
            let hint = nearest(name, OPERATIONS.iter().map(|operation| operation.name)).map_or_else(
                || "GET /openapi.json lists all".to_owned(),
                |nearest| format!("did you mean {nearest}?"),
            );
            let message = format!("there is no operation {}; {hint}", gateway_wire::excerpt(name.as_bytes()));
            Refusal::new(StatusCode::NOT_FOUND, "unknown_operation", message)
        })
    }
}

impl From<ServiceError> for Refusal {
    fn from(error: ServiceError) -> Self {
        let (status, code) = match error {
            ServiceError::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopped"),
            ServiceError::Remote(_) => (StatusCode::SERVICE_UNAVAILABLE, "cluster"),
            ServiceError::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
            ServiceError::TooLarge => (StatusCode::UNPROCESSABLE_ENTITY, "answer_too_large"),
        };
        Self::new(status, code, error.to_string())
    }
}
