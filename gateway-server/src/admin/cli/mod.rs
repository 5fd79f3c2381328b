//! The commands `gateway-server status`, `health`, `connections`, `inbox` and `upgrade`, which ask a running server.

mod ask;
mod inbox;
mod table;
mod target;

use std::io::Write as _;
use std::net::IpAddr;

use anyhow::Context as _;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::query::encode;
pub use inbox::{check_store, copy_store, inbox_list, inbox_purge, inbox_show};
pub use target::Target;

use ask::{ask, get, post};

/// The filter for the clients to show.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub uid: Option<String>,
    pub group: Option<String>,
    pub address: Option<IpAddr>,
    /// Number of clients that are shown at most.
    pub limit: usize,
}

/// Number of clients that are asked for in one request.
const PAGE: usize = 1000;

/// Gives the status of the server that runs.
pub async fn status_of(target: &Target) -> anyhow::Result<Value> {
    ask(target, "/status").await
}

pub async fn status(target: &Target, as_json: bool) -> anyhow::Result<()> {
    let status = status_of(target).await?;
    print(&if as_json { pretty(&status)? } else { table::status(&status) })
}

/// Prints whether the server is ready. Gives an error, and so a failing exit code, when it takes no clients.
pub async fn health(target: &Target, as_json: bool) -> anyhow::Result<()> {
    let (status, body) = get(target, "/readyz").await?;
    let said = String::from_utf8_lossy(&body).trim().to_owned();
    anyhow::ensure!(status == StatusCode::OK, "not ready: {said}");
    print(&if as_json { pretty(&json!({"state": said}))? } else { said + "\n" })
}

/// Has a process of the installed binary take over from the running one, and waits until it has. Gives an error when it could not.
pub async fn upgrade(target: &Target, as_json: bool) -> anyhow::Result<()> {
    let upgraded = post(target, "/upgrade").await?;
    print(&if as_json { pretty(&upgraded)? } else { table::upgraded(&upgraded) })
}

pub async fn connections(target: &Target, wanted: &Wanted, as_json: bool) -> anyhow::Result<()> {
    let mut found: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    let has_more = loop {
        let limit = (wanted.limit - found.len()).min(PAGE);
        let mut page = ask(target, &path(wanted, limit, after.as_deref())).await?;
        if let Value::Array(connections) = page["connections"].take() {
            found.extend(connections);
        }
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() || found.len() >= wanted.limit {
            break after.is_some();
        }
    };
    if as_json {
        return print(&pretty(&json!({"connections": found, "has_more": has_more}))?);
    }
    print(&table::connections(&found, has_more))
}

fn path(wanted: &Wanted, limit: usize, after: Option<&str>) -> String {
    let address = wanted.address.map(|address| address.to_string());
    let filters = [
        ("uid", wanted.uid.as_deref()),
        ("group", wanted.group.as_deref()),
        ("address", address.as_deref()),
        ("after", after),
    ];
    let filters = filters.iter().filter_map(|(name, value)| Some(format!("&{name}={}", encode((*value)?))));
    format!("/connections?limit={limit}{}", filters.collect::<String>())
}

fn pretty(value: &Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Prints to the standard output. It is no error when the reader has closed it, as `head` does.
pub fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(()),
    }
}
