//! The inbox in a real browser.

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
