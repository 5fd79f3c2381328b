//! The answer to `GET /connections`: the clients page by page, and what is known of each.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use gateway_wire::ClientId;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::Operations;
use super::answer::{Answer, Refusal, json};
use super::query::Parameters;
use super::text::text_of;
use crate::shard::{ConnectionFilter, ConnectionInfo, Cursor, Name};

/// Number of clients on a page by default, and the largest number that may be asked for.
const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

pub(super) async fn answer(operations: &Operations, query: Option<&str>) -> Result<Answer, Refusal> {
    let mut parameters = Parameters::parse(query)?;
    let name = |bytes: Vec<u8>| Name::from_slice(&bytes);
    let client: Option<ClientId> = parameters.take_as("client_id", "a client_id, 20 hexadecimal digits")?;
    let filter = ConnectionFilter {
        connection_id: client.map(|client| client.connection),
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
    let from = parameters.take_as("after", "what next was in the page before")?.unwrap_or_default();
    parameters.none_left()?;
    let is_elsewhere = client.is_some_and(|client| client.node != operations.backend.gateway.node());
    let (page, next) = match is_elsewhere {
        true => (Vec::new(), None),
        false => operations.hub.page(&filter, from, limit).await?,
    };
    let next = next.map(|next| next.to_string());
    let connections: Vec<_> = page.iter().map(|info| operations.show(info)).collect();
    Ok(json(StatusCode::OK, &json!({"connections": connections, "next": next})))
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.shard, self.key)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (shard, key) = text.split_once('.').ok_or(())?;
        Ok(Self { shard: shard.parse().map_err(drop)?, key: key.parse().map_err(drop)? })
    }
}

impl Operations {
    fn id(&self, connection_id: u32) -> ClientId {
        ClientId::new(self.backend.gateway.node(), connection_id)
    }

    fn show(&self, info: &ConnectionInfo) -> Value {
        json!({
            "client_id": self.id(info.connection_id).to_string(),
            "uid": info.uid.as_deref().map(text_of),
            "groups": info.groups.iter().map(|group| text_of(group)).collect::<Vec<_>>(),
            "group_count": info.group_count,
            "address": info.address.map(|address| address.to_string()),
            "listener": self.listeners.get(usize::from(info.listener)).map(|listener| &listener.name),
            "queued_bytes": info.queued,
            "parked_seconds": info.parked.map(|parked| parked.as_secs()),
            "kept_bytes": info.kept,
        })
    }
}
