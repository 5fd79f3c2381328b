//! The widget on a page whose connection is cut: it says how the page is, and the page misses nothing that PHP pushes meanwhile.

use gateway_tests::{ALICE, Browser, PhpPeer, eventually, php, root};
use serde_json::json;

use super::widget::{Stage, on_yii2, state_is};

/// The number of messages that PHP pushes while the connection is cut now and then.
const PUSHED: usize = 300;
/// What the page must have counted before each cut.
const CUTS: [usize; 3] = [20, 100, 180];

#[tokio::test]
async fn a_page_counts_all_that_is_pushed_while_its_connection_is_cut() -> anyhow::Result<()> {
    on_yii2("a_page_counts_all_that_is_pushed_while_its_connection_is_cut", async || {
        let stage = Stage::set(true).await?;
        let browser = Browser::start().await?;
        let page = stage.page(&browser).await?;
        let counted = async || anyhow::Ok(page.texts("#count").await?.concat().parse::<usize>()?);

        let mut pusher = php()?
            .arg(root().join("tests/php/push_numbers.php"))
            .args([&stage.server.register[0].to_string(), ALICE.uid, &PUSHED.to_string()])
            .spawn()?;
        page.script("window.back = 0; gateway.addEventListener('recovered', () => { back += 1; })", vec![])
            .await?;
        for (cut, count) in CUTS.into_iter().enumerate() {
            eventually("messages", true, async || Ok(counted().await? >= count)).await?;
            stage.proxy.cut();
            eventually("recoveries", json!(cut + 1), async || page.script("return back", vec![]).await)
                .await?;
        }
        anyhow::ensure!(pusher.wait().await?.success(), "PHP has failed");
        let mut all: Vec<_> = (1..=PUSHED).map(|number| format!("number: {number}")).collect();
        eventually("all of them once and in order", all.clone(), async || page.texts("#pushed li").await)
            .await?;
        assert_eq!(counted().await?, PUSHED);
        let said = page.texts(".gateway-state").await?.concat();
        assert!(said.starts_with("connected, missed messages recovered: "), "{said}");

        // The page says that it is away, and how much it has missed when it is back.
        stage.proxy.take_down();
        state_is(&page, "waiting", "away, coming back").await?;
        assert_eq!(page.attribute(".gateway-state", "data-recovered").await?, None);
        let mut peer = PhpPeer::connect(stage.server.register[0]).await?;
        for number in PUSHED + 1..=PUSHED + 5 {
            peer.send_to_uid(ALICE.uid, &json!({"type": "number", "text": number}).to_string()).await?;
            all.push(format!("number: {number}"));
        }
        peer.acked().await?;
        stage.proxy.restore();
        page.script("gateway.connect()", vec![]).await?;
        state_is(&page, "open", "connected, missed messages recovered: 5").await?;
        eventually("what it has missed", all, async || page.texts("#pushed li").await).await?;
        assert_eq!(counted().await?, PUSHED + 5);
        Ok(())
    })
    .await
}
