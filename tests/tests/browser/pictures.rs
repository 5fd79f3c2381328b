//! The demo and the dashboard as people see them: in light and dark, on a telephone, and in Chinese.

use gateway_tests::{
    ALICE, BOB, Browser, Client, Demo, Operator, Page, PhpPeer, ResumingPage, Server, View, eventually,
    on_default_ports, page_language, shows_chinese,
};
use gateway_wire::bridge::Order;
use serde_bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const COMMENTS: [&str; 3] =
    ["早上好！今天的会议改到下午三点。", "Thank you, I shall be there.", "收到，下午见。"];

#[test]
fn the_demo() -> anyhow::Result<()> {
    on_default_ports("the_demo", async || {
        let demo = Demo::start(Page::Plain).await?;
        let (alices, bobs) = tokio::try_join!(Browser::start(), Browser::start())?;
        let alice = demo.log_in(&alices, ALICE).await?;
        let bob = demo.log_in(&bobs, BOB).await?;
        for (writer, to, text) in [(&bob, ALICE, 0), (&alice, BOB, 1), (&bob, ALICE, 2)] {
            writer.comment(to, COMMENTS[text]).await?;
        }
        demo.bound(&alice, ALICE).await?;
        for view in [View::LIGHT, View::DARK, View::NARROW] {
            view.of(&alice.tab).await?;
            alice.tab.reload().await?;
            demo.bound(&alice, ALICE).await?;
            bob.comment(ALICE, "明天见。").await?;
            alice.counts_to(1).await?;
            view.picture(&alice.tab, "demo").await?;
        }
        shows_chinese(&alice.tab, "#comments").await
    })
}

/// A server to which something has happened.
async fn busy_server() -> anyhow::Result<(Server, Vec<Client>, PhpPeer, TcpStream)> {
    let server =
        Server::start(&["--operations", "127.0.0.1:0", "--shards", "2", "--resume-seconds", "600"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut clients = Vec::new();
    for (uid, group) in
        [("小明", "聊天室"), ("小红", "聊天室"), ("ann", "news"), ("bob", "news"), ("1007", "订单")]
    {
        let client = Client::connect(server.websocket).await?;
        php.bind(client.id, uid).await?;
        php.order(Order::JoinGroup { client: client.id, group: Bytes::new(group.as_bytes()) }).await?;
        clients.push(client);
    }
    let mut away = ResumingPage::connected(server.websocket).await?;
    php.bind(away.id()?, "离开的用户").await?;
    away.reset()?;
    for number in 0..300 {
        php.send_to_all(&format!("{number}: {}", "x".repeat(200))).await?;
    }
    php.acked().await?;
    // The log tells of a request for something else than a websocket.
    let mut stranger = TcpStream::connect(server.websocket).await?;
    stranger.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    Ok((server, clients, php, stranger))
}

#[tokio::test]
async fn the_dashboard() -> anyhow::Result<()> {
    let (server, _clients, _php, _stranger) = busy_server().await?;
    let page = format!("http://{}/dashboard", Operator::of(&server)?.address);
    let browser = Browser::start().await?;
    for view in View::ALL {
        let tab = browser.open("about:blank").await?;
        view.of(&tab).await?;
        tab.go(&page).await?;
        tab.shows("#tile-clients .value", &["6"]).await?;
        tab.click("#search button").await?;
        tab.click("#search-groups button").await?;
        eventually("clients and groups", (6, 3), async || {
            let rows = async |selector: &str| anyhow::Ok(tab.texts(selector).await?.len());
            Ok((rows("#clients tbody tr").await?, rows("#groups tbody tr").await?))
        })
        .await?;
        eventually("a line is drawn", true, async || {
            let line = tab.attribute("#tile-clients .line", "d").await?.unwrap_or_default();
            Ok(line.matches('L').count() > 1)
        })
        .await?;
        eventually("figures in all tiles", true, async || {
            let figures = tab.texts("#tiles .value").await?;
            Ok(figures.len() == 12 && figures.iter().all(|figure| !figure.is_empty()))
        })
        .await?;
        view.picture(&tab, "dashboard").await?;
        // Uids and groups are Chinese in both languages.
        shows_chinese(&tab, "#clients tbody").await?;
        let is_chinese = view.language == "zh-CN";
        assert_eq!(page_language(&tab).await?, if is_chinese { "zh-CN" } else { "en" });
        if is_chinese {
            shows_chinese(&tab, "#push-all").await?;
        }
    }
    Ok(())
}
