//! The inbox in a real browser: what PHP delivers is handled once and in order, whatever pages and connections do meanwhile.

use std::path::Path;

use anyhow::Context as _;
use gateway_tests::{OutageProxy, PhpPeer, eventually, field, list, store_folder};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, Query};
use serde_bytes::Bytes;
use serde_json::{Value, json};

use crate::browser_client::{FAST, Page, Stage};

/// Has a page note what its websockets offer.
const NOTES_OFFERS: &str = "
    window.offers = [];
    window.WebSocket = class extends WebSocket {
        constructor(url, offered) {
            super(url, offered);
            offers.push(offered);
        }
    };
";

/// Has a page note the messages of its inbox in `handled`. With `window.holds` a message waits until `release` is called.
const HANDLES: &str = "
    window.handled = [];
    window.messages = [];
    gateway.on('lost', (count) => handled.push({lost: count}));
    gateway.on('inbox', (message) => {
        handled.push([message.id, message.data, message.isNew]);
        messages.push(message);
        return window.holds && new Promise((resolve) => { window.release = resolve; });
    });
";

/// The most messages that are kept for a uid.
const MOST: usize = 1000;

/// A server with a store, and a browser.
struct Inbox {
    stage: Stage,
    php: PhpPeer,
    _folder: tempfile::TempDir,
}

impl Inbox {
    async fn start() -> anyhow::Result<Self> {
        let folder = store_folder()?;
        let path = folder.path().join("store");
        let stage = Stage::set(&["--store", path_text(&path)]).await?;
        let php = stage.peer().await?;
        Ok(Self { stage, php, _folder: folder })
    }

    /// Opens a page that is bound to Ann, and handles what comes.
    async fn page(&self, options: &str) -> anyhow::Result<Page> {
        let page = self.stage.page("/module").await?;
        connect(&page, &format!("http://{}/", self.stage.server.websocket), options).await?;
        Ok(page)
    }

    async fn deliver(&mut self, id: &str, message: &str) -> anyhow::Result<()> {
        self.php.deliver("ann", id, message).await?;
        self.php.acked().await
    }

    /// Waits until no device of Ann waits for anything.
    async fn nothing_waits(&mut self) -> anyhow::Result<()> {
        let ann = Bytes::new(b"ann");
        eventually("messages that wait", vec![0], async || {
            let inbox = self.php.ask(Query::InboxOf { uid: ann }).await?;
            Ok(list(field(&inbox, "devices")).iter().map(|device| number(field(device, "waiting"))).collect())
        })
        .await
    }
}

/// Connects a page that is bound to Ann, and handles what comes.
async fn connect(page: &Page, url: &str, options: &str) -> anyhow::Result<()> {
    page.run(&format!("start('{url}', {{bind: '/bind?uid=ann', {options}{FAST}}}); {HANDLES}")).await?;
    page.has(1, json!({"event": "bound"})).await
}

/// Waits until a page has handled this, and nothing else since the last look.
async fn handles(page: &Page, expected: Value) -> anyhow::Result<()> {
    let count = expected.as_array().map_or(0, Vec::len);
    let enough = format!("return handled.length >= {count}");
    eventually("messages", json!(true), async || page.run(&enough).await).await?;
    assert_eq!(page.run("return handled.splice(0)").await?, expected);
    Ok(())
}

fn path_text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

fn number(value: &AnswerValue) -> i64 {
    if let AnswerValue::Int(number) = value { *number } else { -1 }
}

/// Opens a page that connects with these options, and gives it with what it has offered.
async fn offering(stage: &Stage, options: &str) -> anyhow::Result<(Page, Value)> {
    let page = stage.page("/module").await?;
    page.run(NOTES_OFFERS).await?;
    page.start(stage.server.websocket, &format!("{{{options}{FAST}}}")).await?;
    page.has(1, json!({"type": "init"})).await?;
    let offers = page.run("return offers").await?;
    Ok((page, offers))
}

#[tokio::test]
async fn the_pages_of_a_browser_name_one_device_for_the_inbox() -> anyhow::Result<()> {
    let stage = Stage::set(&[]).await?;
    let (page, offers) = offering(&stage, "").await?;
    let device = page.run("return localStorage['gateway device']").await?;
    let named = device.as_str().unwrap_or_default();
    assert!(named.len() == 32 && named.bytes().all(|byte| byte.is_ascii_hexdigit()), "{device}");
    let expected = json!([["gateway.2", "gateway", format!("gateway.device.{named}")]]);
    assert_eq!(offers, expected);
    // The page beside it, and one that comes later.
    assert_eq!(offering(&stage, "").await?.1, expected);
    page.run("gateway.close()").await?;
    assert_eq!(offering(&stage, "").await?.1, expected);
    assert_eq!(
        offering(&stage, "device: 'mine', ").await?.1,
        json!([["gateway.2", "gateway", "gateway.device.mine"]])
    );
    assert_eq!(offering(&stage, "device: false, ").await?.1, json!([["gateway.2", "gateway"]]));
    assert_eq!(offering(&stage, "resume: false, ").await?.1, json!([[]]));
    Ok(())
}

#[tokio::test]
async fn what_waits_in_the_inbox_comes_once_and_what_is_new_to_every_tab() -> anyhow::Result<()> {
    let mut inbox = Inbox::start().await?;
    inbox.deliver("m1", r#"{"type":"order","number":17}"#).await?;
    inbox.deliver("m2", "gateway:= ü").await?;
    let page = inbox.page("").await?;
    let waited = json!([["m1", {"type": "order", "number": 17}, false], ["m2", "gateway:= ü", false]]);
    handles(&page, waited.clone()).await?;
    inbox.nothing_waits().await?;
    let beside = inbox.page("").await?;
    inbox.deliver("m3", "").await?;
    for page in [&page, &beside] {
        handles(page, json!([["m3", "", true]])).await?;
    }

    // PHP hears what the user has read.
    assert_eq!(page.run("return [messages[0].read(), messages[0].read()]").await?, json!([true, false]));
    let id = Bytes::new(b"m1");
    eventually("a receipt", true, async || {
        let receipt = inbox.php.ask(Query::Receipt { id }).await?;
        let device = list(field(list(&receipt).first().context("no receipt")?, "devices")).first();
        Ok(device.is_some_and(|device| number(field(device, "read")) > 0))
    })
    .await?;

    // A page that is loaded anew has nothing of it, and neither has one without a handler of its own.
    page.0.reload().await?;
    page.comes_to("typeof Gateway", "function").await?;
    connect(&page, &format!("http://{}/", inbox.stage.server.websocket), "").await?;
    inbox.deliver("m4", r#"{"type":"order","number":18}"#).await?;
    handles(&page, json!([["m4", {"type": "order", "number": 18}, true]])).await?;
    let plain = inbox.stage.page("/module").await?;
    plain.start(inbox.stage.server.websocket, &format!("{{bind: '/bind?uid=ann', {FAST}}}")).await?;
    plain.has(1, json!({"event": "bound"})).await?;
    inbox.nothing_waits().await?;
    inbox.deliver("m5", r#"{"type":"order","number":19}"#).await?;
    plain.has(1, json!({"type": "order", "number": 19})).await?;
    plain.has(1, json!({"type": "order"})).await?;
    inbox.nothing_waits().await?;

    // Another device gets what no device has acknowledged, which is nothing.
    let other = inbox.page("device: 'other', ").await?;
    inbox.deliver("m6", "six").await?;
    handles(&other, json!([["m6", "six", true]])).await
}

#[tokio::test]
async fn a_message_of_the_inbox_that_a_page_has_not_handled_comes_again() -> anyhow::Result<()> {
    let mut inbox = Inbox::start().await?;
    let page = inbox.page("").await?;
    page.run("window.holds = true").await?;
    for number in 1..=3 {
        inbox.deliver(&format!("m{number}"), "x").await?;
    }
    handles(&page, json!([["m1", "x", true]])).await?;
    page.run("release()").await?;
    handles(&page, json!([["m2", "x", true]])).await?;
    // It is left while it handles the second one. What it has noted is acknowledged by the next page, if it has not said so.
    page.0.reload().await?;
    page.comes_to("typeof Gateway", "function").await?;
    connect(&page, &format!("http://{}/", inbox.stage.server.websocket), "").await?;
    handles(&page, json!([["m2", "x", false], ["m3", "x", false]])).await?;
    inbox.nothing_waits().await
}

#[tokio::test]
async fn a_page_that_is_cut_or_becomes_another_client_handles_the_inbox_once() -> anyhow::Result<()> {
    let mut inbox = Inbox::start().await?;
    let proxy = OutageProxy::start(inbox.stage.server.websocket).await?;
    let page = inbox.stage.page("/module").await?;
    connect(&page, &format!("http://{}/", proxy.address), "").await?;
    let mut expected = Vec::new();
    for round in 0..6 {
        for number in 0..50 {
            let id = format!("m{round}-{number}");
            inbox.php.deliver("ann", &id, "x").await?;
            expected.push(id);
            if number == 25 {
                proxy.take_down();
            }
        }
        inbox.php.acked().await?;
        if round % 2 == 1 {
            // The client is looked for by its uid, as the page has none while it is away.
            let clients: Vec<ClientId> = inbox.php.clients_of("ann").await?;
            for client in clients {
                inbox.php.order(Order::Destroy { client }).await?;
            }
            inbox.php.acked().await?;
        }
        proxy.restore();
        let count = expected.len();
        page.comes_to(&format!("handled.length >= {count}"), true).await?;
    }
    inbox.nothing_waits().await?;
    let ids = page.run("return handled.map(([id]) => id)").await?;
    assert_eq!(ids, json!(expected));
    assert!(!page.those(json!({"event": "recovered"})).await?.is_empty());
    assert!(page.those(json!({"event": "gap"})).await?.len() >= 3);
    Ok(())
}

#[tokio::test]
async fn a_page_is_told_what_the_inbox_has_lost() -> anyhow::Result<()> {
    const LOST: usize = 5;
    let mut inbox = Inbox::start().await?;
    let page = inbox.page("").await?;
    inbox.deliver("before", "x").await?;
    handles(&page, json!([["before", "x", true]])).await?;
    inbox.nothing_waits().await?;
    page.run("gateway.close()").await?;
    eventually("nobody", 0, async || Ok(inbox.php.clients_of("ann").await?.len())).await?;
    for number in 0..MOST + LOST {
        inbox.php.deliver("ann", &format!("m{number}"), "x").await?;
    }
    inbox.php.acked().await?;
    page.run("gateway.connect()").await?;
    let messages = (LOST..MOST + LOST).map(|number| json!([format!("m{number}"), "x", false]));
    let expected: Vec<_> = [json!({"lost": LOST})].into_iter().chain(messages).collect();
    handles(&page, json!(expected)).await?;
    inbox.nothing_waits().await
}
