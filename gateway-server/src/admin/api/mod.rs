//! The HTTP API: `POST /api/{operation}` does what the method of that name of PHP's class does, by the same code.

mod arguments;
mod batch;
mod openapi;
mod results;
mod send;
mod session;
mod table;

pub(super) use openapi::describe;

use gateway_wire::bridge::Call;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::Operations;
use super::answer::{Answer, Refusal, json};
use crate::service::ServiceError;
use crate::telemetry::words::nearest;
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
    let _turn = if is_small { None } else { operations.large.acquire().await.ok() };
    let body = match body.trim_ascii() {
        // An empty body counts as an empty object, as many operations need no arguments.
        [] => json!({}),
        body => serde_json::from_slice(body)
            .map_err(|error| Refusal::invalid(format!("the body is no JSON: {error}")))?,
    };
    let mut run = Run { operations, room: MAX_ANSWER };
    let result = if name == "batch" { run.batch(&body).await } else { run.one(name, &body).await };
    drop(run);
    operations.backend.gateway.await_bindings().await;
    Ok(json(StatusCode::OK, &result?))
}

/// One request that is being carried out.
struct Run<'a> {
    operations: &'a Operations,
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
        let result = match (operation.call)(&arguments)? {
            Call::Order(order) => {
                gateway
                    .execute(&order, None)
                    .await
                    .map_err(ServiceError::from)?
                    .map_err(ServiceError::from)?;
                Value::Null
            }
            Call::Query(query) => {
                let (value, length) = gateway.query_value(&query).await?;
                self.room = self.room.checked_sub(length).ok_or(ServiceError::TooLarge)?;
                operation.result.json(&value, &arguments)?
            }
        };
        Ok(json!({"result": result}))
    }
}

impl Operation {
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
