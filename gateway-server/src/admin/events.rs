//! The answer to `GET /events`: the last lines of the log, for those who have no other way to it.

use hyper::StatusCode;
use serde_json::json;

use super::answer::{Answer, Refusal, json};
use super::query::Parameters;
use crate::telemetry::logs;

pub(super) fn answer(query: Option<&str>) -> Result<Answer, Refusal> {
    let mut parameters = Parameters::parse(query)?;
    let after = parameters.take_as("after", "the number of an event")?.unwrap_or(0);
    parameters.none_left()?;
    let events = logs::recent(after).into_iter().map(|line| {
        json!({"number": line.number, "unix_seconds": line.at.as_secs_f64(), "level": line.level, "text": line.text})
    });
    Ok(json(StatusCode::OK, &json!({"events": events.collect::<Vec<_>>()})))
}
