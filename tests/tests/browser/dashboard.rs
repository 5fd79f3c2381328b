//! The dashboard of the operations port, in a real browser.

use gateway_tests::{Browser, Client, Nodes, Operator, PhpPeer, ResumingPage, Server, Tab, eventually};
use gateway_wire::bridge::Order;
use gateway_wire::client_protocol::{GapReason, ResumeOffer, ResumeSecret};
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const TOKEN: &str = "the operators' token";

async fn start(token: &str, flags: &[&str]) -> anyhow::Result<(Server, String)> {
    let server = Server::start_with(|command| {
        command.args(["--operations", "127.0.0.1:0", "--shards", "2"]).args(flags);
        command.env("GATEWAY_OPERATIONS_TOKEN", token);
    })
    .await?;
    let page = format!("http://{}/", Operator::of(&server)?.address);
    Ok((server, page))
}

async fn shows(tab: &Tab, selector: &str, text: &str) -> anyhow::Result<()> {
    eventually(selector, Some(text.to_owned()), async || Ok(tab.texts(selector).await?.into_iter().next()))
        .await
}

async fn find(tab: &Tab, by: &str, what: &str) -> anyhow::Result<()> {
    tab.script("document.querySelector('#search input').value = ''", vec![]).await?;
    tab.choose("#search select", by).await?;
    tab.write("#search input", what).await?;
    tab.click("#search button").await
}

#[tokio::test]
async fn an_operator_sees_the_server_and_reaches_its_clients() -> anyhow::Result<()> {
    let (mut server, page) = start("", &[]).await?;
    let browser = Browser::start().await?;
    let tab = browser.open(&page).await?;
    shows(&tab, "#state", "running").await?;
    shows(&tab, "#tile-clients .value", "0").await?;

    let mut ann = Client::connect(server.websocket).await?;
    let bob = Client::connect(server.websocket).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    php.bind(ann.id, "ann & co").await?;
    shows(&tab, "#tile-clients .value", "2").await?;
    shows(&tab, "#listeners tbody td", &format!("websocket://{}", server.websocket)).await?;
    shows(&tab, "#tile-php .value", "1").await?;
    eventually("a line is drawn", true, async || {
        Ok(tab.attribute("#tile-clients .line", "d").await?.unwrap_or_default().matches('L').count() > 1)
    })
    .await?;
    for number in 0..50 {
        php.send_to_all(&format!("to all {number}")).await?;
        ann.text().await?;
    }
    let more = "return document.querySelector('#tile-out .most').textContent";
    eventually("messages a second", true, async || {
        Ok(tab.script(more, vec![]).await?.as_str().is_some_and(|most| !most.ends_with(" 0 /s")))
    })
    .await?;

    // Clients are found by uid, by client_id and without a condition, and a wrong value is explained.
    find(&tab, "uid", "ann & co").await?;
    shows(&tab, "#clients tbody td:nth-child(2)", "ann & co").await?;
    find(&tab, "client_id", &bob.id.to_string()).await?;
    shows(&tab, "#clients tbody td", &bob.id.to_string()).await?;
    shows(&tab, "#found", "found: 1").await?;
    find(&tab, "Address", "nowhere").await?;
    shows(&tab, "#found", "address must be an IP address").await?;
    find(&tab, "uid", "nobody").await?;
    shows(&tab, "#found", "Nobody was found.").await?;

    // A client is watched, gets a push, and is closed.
    find(&tab, "uid", "ann & co").await?;
    shows(&tab, "#found", "found: 1").await?;
    tab.click("#clients [data-say=watch]").await?;
    shows(&tab, "#watched code", &ann.id.to_string()).await?;
    php.bind(ann.id, "another").await?;
    eventually("the change", true, async || {
        Ok(tab.texts("#watched li").await?.iter().any(|line| line.ends_with("uid is now another")))
    })
    .await?;
    tab.click("#clients [data-say=push]").await?;
    tab.write("#push textarea", r#"{"type":"hello"}"#).await?;
    tab.click("#push .main").await?;
    assert_eq!(ann.text().await?, r#"{"type":"hello"}"#);
    tab.click("#clients [data-say=kick]").await?;
    tab.write("#kick textarea", "bye").await?;
    tab.click("#kick .main").await?;
    assert_eq!(ann.text().await?, "bye");
    ann.closed().await?;
    eventually("it has gone", true, async || {
        Ok(tab.texts("#watched li").await?.iter().any(|line| line.ends_with("has gone")))
    })
    .await?;

    // Everything that the page loads comes from this server, and the style sheet is in force.
    let foreign = "return performance.getEntriesByType('resource')
        .filter(({name}) => !name.startsWith(location.origin + '/')).map(({name}) => name)";
    assert_eq!(tab.script(foreign, vec![]).await?, json!([]));
    let display = "return getComputedStyle(document.querySelector('#tiles')).display";
    assert_eq!(tab.script(display, vec![]).await?, json!("grid"));

    server.signal(Signal::SIGKILL)?;
    server.exit().await?;
    shows(&tab, "#state", "no answer, trying again").await
}

#[tokio::test]
async fn groups_are_listed_and_pushed_to_and_so_is_everybody() -> anyhow::Result<()> {
    let (server, page) = start("", &[]).await?;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::connect(server.websocket).await?);
    }
    let mut php = PhpPeer::connect(server.register[0]).await?;
    for (client, group) in [(0, "tea & <b>"), (1, "tea & <b>"), (2, "coffee")] {
        let (client, group) = (clients[client].id, serde_bytes::Bytes::new(group.as_bytes()));
        php.order(Order::JoinGroup { client, group }).await?;
    }
    php.acked().await?;
    let browser = Browser::start().await?;
    let tab = browser.open(&page).await?;
    shows(&tab, "#state", "running").await?;
    tab.click("#search-groups button").await?;
    shows(&tab, "#groups-found", "Groups 2, memberships: 3").await?;
    tab.shows("#groups td:nth-child(1)", &["tea & <b>", "coffee"]).await?;
    tab.shows("#groups td:nth-child(2)", &["2", "1"]).await?;
    tab.write("#search-groups input", "off").await?;
    tab.click("#search-groups button").await?;
    tab.shows("#groups td:nth-child(1)", &["coffee"]).await?;
    tab.click("#groups button").await?;
    shows(&tab, "#push .to", "To group coffee · 1 Clients").await?;
    tab.write("#push textarea", "to the group").await?;
    tab.click("#push .main").await?;
    assert_eq!(clients[2].text().await?, "to the group");
    tab.click("#push-all").await?;
    shows(&tab, "#push .to", "To everybody · 3 Clients").await?;
    tab.write("#push textarea", "to all").await?;
    tab.click("#push .main").await?;
    for client in &mut clients {
        assert_eq!(client.text().await?, "to all");
    }
    Ok(())
}

#[tokio::test]
async fn what_was_before_the_page_is_shown() -> anyhow::Result<()> {
    let (server, page) = start("", &[]).await?;
    let operator = Operator::of(&server)?;
    eventually("two samples, ten seconds apart", true, async || {
        Ok(operator.json("/history").await?["rows"].as_array().is_some_and(|rows| rows.len() > 1))
    })
    .await?;
    // The log tells of a request for something else than a websocket.
    let mut stranger = TcpStream::connect(server.websocket).await?;
    stranger.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await?;

    let browser = Browser::start().await?;
    let tab = browser.open(&page).await?;
    shows(&tab, "#state", "running").await?;
    // A pixel of the drawing is a second, and the newest is on the right.
    let first = "return Math.min(...[...document.querySelector('#tile-memory .line').getAttribute('d')\
        .matchAll(/[ML]([0-9.]+)/g)].map(([, x]) => Number(x)))";
    eventually("a line from before the page was opened", true, async || {
        Ok(tab.script(first, vec![]).await?.as_f64().is_some_and(|x| x < 592.0))
    })
    .await?;
    tab.click("#span").await?;
    shows(&tab, "#span", "Last ten minutes").await?;
    eventually("an hour", true, async || {
        Ok(tab.script(first, vec![]).await?.as_f64().is_some_and(|x| x > 592.0))
    })
    .await?;

    let events = async || tab.texts("#events li").await;
    eventually("the lines of the log", [true, true], async || {
        let lines = events().await?;
        let has = |text: &str| lines.iter().any(|line| line.contains(text));
        Ok([has("ready websocket="), has("refused a connection that is no websocket")])
    })
    .await?;
    assert_eq!(tab.texts("#events [data-level=WARN] b").await?.first().map(String::as_str), Some("WARN"));
    eventually("how quickly shards answer", true, async || {
        let counts = tab.texts("#answers td:nth-child(2)").await?;
        Ok(counts.len() == 13 && counts.iter().any(|count| count != "0"))
    })
    .await
}

#[tokio::test]
async fn clients_that_come_back_are_shown() -> anyhow::Result<()> {
    let (server, page) = start("", &["--resume-seconds", "600"]).await?;
    let browser = Browser::start().await?;
    let tab = browser.open(&page).await?;
    for tile in ["parked", "kept", "resumed", "gaps"] {
        shows(&tab, &format!("#tile-{tile} .value"), if tile == "kept" { "0B" } else { "0" }).await?;
    }
    shows(&tab, "#gaps tbody td", "None").await?;

    let mut ann = ResumingPage::connected(server.websocket).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    php.bind(ann.id()?, "ann").await?;
    ann.reset()?;
    shows(&tab, "#tile-parked .value", "1").await?;
    php.send_to_uid("ann", &"x".repeat(100 << 10)).await?;
    eventually("the memory of what is kept", true, async || {
        let kept = tab.texts("#tile-kept .value").await?.concat();
        Ok(kept.strip_suffix("KiB").is_some_and(|number| number.parse::<u32>().is_ok_and(|kept| kept >= 100)))
    })
    .await?;
    find(&tab, "uid", "ann").await?;
    eventually("how long it is away", true, async || {
        Ok(tab.texts("#clients tbody td:nth-child(7)").await?.concat().ends_with(" s"))
    })
    .await?;

    ann.connect(server.websocket).await?;
    assert_eq!(ann.text().await?.len(), 100 << 10);
    shows(&tab, "#tile-resumed .value", "1").await?;
    shows(&tab, "#tile-parked .value", "0").await?;
    find(&tab, "uid", "ann").await?;
    shows(&tab, "#clients tbody td:nth-child(7)", "").await?;

    let mut stranger = ResumingPage::default();
    let stream = TcpStream::connect(server.websocket).await?;
    let guessed = ResumeOffer { secret: ResumeSecret::new(ann.id()?, [7; 16]), seen: 0 };
    stranger.over_with(stream, "/", &[], Some(guessed)).await?;
    assert_eq!(stranger.init.as_ref().and_then(|init| init.reason), Some(GapReason::Unknown));
    shows(&tab, "#tile-gaps .value", "1").await?;
    eventually("its reason", vec!["unknown".to_owned(), "1".to_owned()], async || {
        tab.texts("#gaps tbody td").await
    })
    .await
}

#[tokio::test]
async fn with_a_token_nothing_is_shown_without_it() -> anyhow::Result<()> {
    let (_server, page) = start(TOKEN, &[]).await?;
    let browser = Browser::start().await?;
    let tab = browser.open(&page).await?;
    shows(&tab, "#ask-token[open] h2", "The server asks for its token").await?;
    assert_eq!(tab.script("return document.querySelector('main').hidden", vec![]).await?, json!(true));
    tab.write("#ask-token input", "a wrong one").await?;
    tab.click("#ask-token .main").await?;
    shows(&tab, "#token-why", "the token is not the server's operations_token").await?;
    tab.write("#ask-token input", TOKEN).await?;
    tab.click("#ask-token .main").await?;
    shows(&tab, "#tile-clients .value", "0").await?;
    tab.reload().await?;
    shows(&tab, "#tile-clients .value", "0").await?;
    tab.click("#forget").await?;
    shows(&tab, "#ask-token[open] h2", "The server asks for its token").await?;
    // The token may stand behind the page's address; the page takes it from there and removes it.
    let given = format!("{page}dashboard#token={}", TOKEN.replace(' ', "%20"));
    let other = browser.open(&given).await?;
    shows(&other, "#tile-clients .value", "0").await?;
    assert_eq!(other.script("return location.hash", vec![]).await?, json!(""));
    Ok(())
}

#[tokio::test]
async fn the_page_can_be_put_into_no_other_and_others_cannot_act_for_it() -> anyhow::Result<()> {
    let (server, _) = start("", &[]).await?;
    let operator = Operator::of(&server)?;
    let page = operator.get("/dashboard").await?;
    let head = page.head.to_ascii_lowercase();
    for part in ["default-src 'none'", "frame-ancestors 'none'", "nosniff", "text/html"] {
        assert!(head.contains(part), "{part} in {head}");
    }
    assert_eq!(operator.get("/").await?.status, 302);
    assert_eq!(operator.ask("POST", "/dashboard", "").await?.status, 405);
    let address = operator.address;
    for (origin, status) in [
        (format!("http://{address}"), "200"),
        ("http://example.com".to_owned(), "403"),
        (format!("http://127.0.0.1:{}", address.port() - 1), "403"),
        (format!("https://{address}"), "403"),
        ("null".to_owned(), "403"),
    ] {
        let request = format!(
            "POST /api/getAllClientIdCount HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        let answer = operator.say(request.as_bytes()).await?;
        assert_eq!(answer.status.to_string(), status, "{origin}");
    }
    // Somebody else's domain may point to this machine (DNS rebinding), so the host's name is checked too.
    let request = format!(
        "GET /status HTTP/1.1\r\nHost: example.com:{0}\r\nOrigin: http://example.com:{0}\r\nConnection: close\r\n\r\n",
        address.port()
    );
    assert_eq!(operator.say(request.as_bytes()).await?.status, 403);
    Ok(())
}

#[tokio::test]
async fn the_nodes_of_a_cluster_are_shown() -> anyhow::Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, TOKEN)?;
    let path = file.path().display().to_string();
    let flags = ["--operations", "127.0.0.1:0", "--operations-token-file", &path];
    let Some(mut nodes) = Nodes::start("the_nodes_of_a_cluster_are_shown", 2, &flags).await? else {
        return Ok(());
    };
    let page = format!("http://{}/dashboard#token={}", Operator::of(&nodes.nodes[0].server)?.address, TOKEN);
    let browser = Browser::start().await?;
    let tab = browser.open(&page.replace(' ', "%20")).await?;
    shows(&tab, "#state", "running").await?;
    let other = nodes.nodes[1].server.register[0].to_string();
    let rows = "return [...document.querySelectorAll('#nodes tbody tr')]\
        .map((row) => [...row.cells].slice(0, 3).map((cell) => cell.textContent).join(' '))";
    let is_seen = async |expected: &str| {
        let expected = format!("{other} {expected}");
        eventually(&expected, true, async || {
            let rows = tab.script(rows, vec![]).await?;
            Ok(rows.as_array().is_some_and(|rows| rows.iter().any(|row| *row == expected.as_str())))
        })
        .await
    };
    let _client = nodes.client(1).await?;
    is_seen("here 1").await?;
    nodes.nodes[1].server.signal(Signal::SIGKILL)?;
    is_seen("has gone 1").await?;
    nodes.nats.kill().await?;
    eventually("the problem", true, async || {
        let texts = tab.texts("#cluster .problem").await?;
        Ok(texts.iter().any(|text| text.contains("no connection")))
    })
    .await
}
