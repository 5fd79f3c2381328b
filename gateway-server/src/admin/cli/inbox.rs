//! The commands `gateway-server inbox`: what waits in a running server's store, and what is done with the file of one that no server has
//! open.

use std::path::Path;

use anyhow::bail;
use serde_json::{Value, json};

use super::ask::{ask, post_json};
use super::target::Target;
use super::{pretty, print, table};
use crate::admin::query::encode;
use crate::inbox::bounds::Bounds;
use crate::inbox::sqlite::SqliteStore;
use crate::inbox::store::Store as _;
use crate::telemetry::words::counted;

/// Number of uids that are asked for in one request.
const PAGE: usize = 1000;

/// Prints the uids for which messages wait.
pub async fn inbox_list(target: &Target, limit: usize, as_json: bool) -> anyhow::Result<()> {
    let mut found: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    let has_more = loop {
        let page = (limit - found.len()).min(PAGE);
        let from = after.map_or_else(String::new, |after| format!("&after={}", encode(&after)));
        let mut page = ask(target, &format!("/inbox?limit={page}{from}")).await?;
        if let Value::Array(uids) = page["uids"].take() {
            found.extend(uids);
        }
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() || found.len() >= limit {
            break after.is_some();
        }
    };
    if as_json {
        return print(&pretty(&json!({"uids": found, "has_more": has_more}))?);
    }
    print(&table::inbox_list(&found, has_more))
}

/// Prints what waits for a uid.
pub async fn inbox_show(target: &Target, uid: &str, as_json: bool) -> anyhow::Result<()> {
    let answer = post_json(target, "/api/inboxOf", &json!({"uid": uid})).await?;
    let inbox = &answer["result"];
    if as_json {
        return print(&pretty(inbox)?);
    }
    print(&if inbox.is_null() { format!("nothing is kept of the uid {uid}\n") } else { table::inbox(inbox) })
}

/// Has everything of a uid forgotten.
pub async fn inbox_purge(target: &Target, uid: &str) -> anyhow::Result<()> {
    post_json(target, "/api/forget", &json!({"uid": uid})).await?;
    print(&format!("everything of the uid {uid} is forgotten\n"))
}

/// Reads the whole file of a store, and says what it holds. Gives an error if something is wrong with it.
pub fn check_store(file: &Path) -> anyhow::Result<()> {
    let mut store = open(file)?;
    let wrong = store.check()?;
    if !wrong.is_empty() {
        bail!("{} is damaged:\n{}", file.display(), wrong.join("\n"));
    }
    let totals = store.totals()?;
    let (messages, uids) =
        (counted(totals.messages as usize, "message"), counted(totals.uids as usize, "uid"));
    print(&format!("{}: nothing is wrong; {messages} wait, of {uids}\n", file.display()))
}

/// Copies the file of a store.
pub fn copy_store(file: &Path, to: &Path) -> anyhow::Result<()> {
    open(file)?.copy_to(to)?;
    print(&format!("{} is copied to {}\n", file.display(), to.display()))
}

/// Opens a store that is there.
fn open(file: &Path) -> anyhow::Result<SqliteStore> {
    if !file.exists() {
        if file == Path::new("jetstream") {
            bail!(
                "JetStream has no file that this could read: `nats stream report` and `nats stream backup` look after it"
            );
        }
        bail!("there is no {}", file.display());
    }
    Ok(SqliteStore::open(file, Bounds::default())?)
}
