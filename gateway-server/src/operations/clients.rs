//! `GET /connections`: clients page by page, and what is known of each.

use std::net::IpAddr;

use gateway_wire::ClientId;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::Operations;
use super::answer::{Answer, Refusal, json};
use super::query::Parameters;
use super::text::text_of;
use crate::shard::{Filter, Name, Sight};

/// Clients of a page, if nothing else is said, and at most.
const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

pub(super) async fn answer(operations: &Operations, query: Option<&str>) -> Result<Answer, Refusal> {
    let mut parameters = Parameters::parse(query)?;
    let name = |bytes: Vec<u8>| Name::from_slice(&bytes);
    let filter = Filter {
        uid: parameters.take("uid").map(name),
        group: parameters.take("group").map(name),
        address: parameters
            .take_as("address", "an IP address")?
            .map(|address: IpAddr| address.to_canonical()),
    };
    let limit = parameters.take_as("limit", "a number")?.unwrap_or(LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Refusal::invalid(format!("limit must be within 1 to {MAX_LIMIT}")));
    }
    let after: Option<ClientId> = parameters.take_as("after", "a client_id")?;
    parameters.none_left()?;
    let Some(from) = after.map_or(Some(0), |after| after.connection.checked_add(1)) else {
        return Ok(json(StatusCode::OK, &json!({"connections": [], "next": null})));
    };
    // One more shows whether there is another page.
    let mut page = operations.hub.page(filter, from, limit + 1).await?;
    let has_more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| has_more).map(|last| operations.id(last.number).to_string());
    let connections: Vec<_> = page.iter().map(|sight| operations.show(sight)).collect();
    Ok(json(StatusCode::OK, &json!({"connections": connections, "next": next})))
}

impl Operations {
    fn id(&self, number: u32) -> ClientId {
        ClientId::new(self.backend.bridge.node(), number)
    }

    fn show(&self, sight: &Sight) -> Value {
        json!({
            "client_id": self.id(sight.number).to_string(),
            "uid": sight.uid.as_deref().map(text_of),
            "groups": sight.groups.iter().map(|group| text_of(group)).collect::<Vec<_>>(),
            "group_count": sight.group_count,
            "address": sight.address.map(|address| address.to_string()),
            "listener": self.listeners.get(usize::from(sight.door)).map(|listener| &listener.name),
            "queued_bytes": sight.queued,
        })
    }
}
