//! Where there is no room, a newcomer gets that of the client which has been away for longest: of its address, or else of all.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use gateway_tests::{
    Client, Operator, PhpPeer, PlainClient, ResumingPage, Server, WorkerPeer, connect_from, eventually,
};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Query};
use gateway_wire::client_protocol::{GapReason, Opened};
use gateway_wire::gatewayworker::EventCommand;
use gateway_wire::token::{Claims, TokenKey};

async fn parked(server: &Server, count: usize) -> anyhow::Result<()> {
    let operator = Operator::of(server)?;
    eventually("parked clients", count as f64, async || operator.metric("gateway_parked_clients").await).await
}

/// Comes, or comes back, from one of the addresses of this machine.
async fn come(page: &mut ResumingPage, server: &Server, source: &str) -> anyhow::Result<()> {
    page.over(connect_from(source, server.websocket).await?, "/", &[]).await
}

/// A page that has come from this address and lost its connection; `others` clients are parked already.
async fn away(server: &Server, source: &str, others: usize) -> anyhow::Result<ResumingPage> {
    let mut page = ResumingPage::default();
    come(&mut page, server, source).await?;
    page.reset()?;
    parked(server, others + 1).await?;
    Ok(page)
}

async fn is_online(php: &mut PhpPeer, client: ClientId) -> anyhow::Result<bool> {
    Ok(php.ask(Query::IsOnline { client }).await? == AnswerValue::Bool(true))
}

#[tokio::test]
async fn the_longest_parked_of_the_address_goes_and_then_of_all() -> anyhow::Result<()> {
    let flags =
        ["--operations", "127.0.0.1:0", "--max-connections", "4", "--shards", "3", "--events", "workers"];
    let server = Server::start(&flags).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut worker = WorkerPeer::connect(server.register[0], "worker").await?;
    eventually("the worker is known", true, async || {
        Ok(ResumingPage::connected(server.websocket).await.is_ok())
    })
    .await?;
    parked(&server, 1).await?;
    // The page that has only tried the worker goes first, as it has been away for longest.
    let mut pages = Vec::new();
    for (others, source) in ["127.0.0.2", "127.0.0.3", "127.0.0.3"].into_iter().enumerate() {
        pages.push(away(&server, source, 1 + others).await?);
    }
    let ids = pages.iter().map(ResumingPage::id).collect::<Result<Vec<_>, _>>()?;
    let mut closed = async || loop {
        let event = worker.told().await?;
        if event.kind == EventCommand::Close {
            return anyhow::Ok(event.client);
        }
    };
    // Each newcomer stays, so that the next one has no room again.
    let mut newcomers = Vec::new();
    for (source, goes) in [
        ("127.0.0.4", None),
        ("127.0.0.3", Some(ids[1])),
        ("127.0.0.4", Some(ids[0])),
        ("127.0.0.4", Some(ids[2])),
    ] {
        let mut newcomer = ResumingPage::default();
        come(&mut newcomer, &server, source).await?;
        newcomers.push(newcomer);
        let gone = closed().await?;
        assert!(goes.is_none_or(|goes| goes == gone), "{gone} for one from {source}");
        assert!(!is_online(&mut php, gone).await?);
    }
    parked(&server, 0).await?;
    // Nobody is ended who is connected.
    assert!(come(&mut ResumingPage::default(), &server, "127.0.0.3").await.is_err());
    assert_eq!(php.count().await?, AnswerValue::Int(4));
    // Who comes back is told why it is another client now.
    for mut newcomer in newcomers {
        newcomer.close(1000).await?;
    }
    for page in &mut pages {
        eventually("room", true, async || Ok(come(page, &server, "127.0.0.2").await.is_ok())).await?;
        assert_eq!(page.gap(), Some(GapReason::Overflow));
    }
    Ok(())
}

#[tokio::test]
async fn an_address_without_room_takes_none_of_others() -> anyhow::Result<()> {
    let flags = ["--operations", "127.0.0.1:0", "--max-connections-per-address", "2"];
    let server = Server::start(&flags).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut other = away(&server, "127.0.0.3", 0).await?;
    let from = async |source| Client::over(connect_from(source, server.websocket).await?).await;
    let (_one, two) = (from("127.0.0.2").await?, from("127.0.0.2").await?);
    assert!(from("127.0.0.2").await.is_err());
    two.leave().await?;
    let mut page = ResumingPage::default();
    eventually("room", true, async || Ok(come(&mut page, &server, "127.0.0.2").await.is_ok())).await?;
    let id = page.id()?;
    page.reset()?;
    parked(&server, 2).await?;
    let _three = from("127.0.0.2").await?;
    assert!(!is_online(&mut php, id).await?);
    come(&mut other, &server, "127.0.0.3").await?;
    assert_eq!(other.outcome(), &Opened::Recovered { missed: 0 });
    // Who comes back from another address takes a place there, and leaves the one that it had.
    come(&mut other, &server, "127.0.0.4").await?;
    assert_eq!(other.outcome(), &Opened::Recovered { missed: 0 });
    let _others = (from("127.0.0.3").await?, from("127.0.0.3").await?, from("127.0.0.4").await?);
    assert!(from("127.0.0.4").await.is_err() && from("127.0.0.3").await.is_err());
    // Where there is none, it keeps the one that it had.
    other.reset()?;
    parked(&server, 1).await?;
    come(&mut other, &server, "127.0.0.3").await?;
    assert_eq!(other.outcome(), &Opened::Recovered { missed: 0 });
    assert!(from("127.0.0.4").await.is_err());
    Ok(())
}

#[tokio::test]
async fn clients_of_other_protocols_get_room_too() -> anyhow::Result<()> {
    let listener = "text://127.0.0.1:0";
    let flags = ["--operations", "127.0.0.1:0", "--max-connections", "1", "--listener", listener];
    let server = Server::start(&flags).await?;
    let mut page = away(&server, "127.0.0.1", 0).await?;
    let mut client = PlainClient::connect(server.listeners[0]).await?;
    assert!(client.line().await?.contains("init"));
    let mut refused = PlainClient::connect(server.listeners[0]).await?;
    refused.ended().await?;
    drop(client);
    eventually("room", true, async || Ok(come(&mut page, &server, "127.0.0.1").await.is_ok())).await?;
    assert_eq!(page.gap(), Some(GapReason::Overflow));
    Ok(())
}

#[tokio::test]
async fn without_a_good_token_nobody_makes_room_and_without_room_no_token_is_used_up() -> anyhow::Result<()> {
    const KEY: &str = "a key of thirty-two bytes or more";
    let server = Server::start_with(|command| {
        command
            .args([
                "--operations",
                "127.0.0.1:0",
                "--max-connections-per-address",
                "1",
                "--require-token",
                "true",
            ])
            .env("GATEWAY_TOKEN_KEY", KEY);
    })
    .await?;
    let key = TokenKey::new(KEY.as_bytes());
    let token = |once: &str| {
        let expires = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 100;
        let claims =
            Claims { uid: "7".to_owned(), expires, once: Some(once.to_owned()), ..Claims::default() };
        anyhow::Ok(format!("/?token={}", key.mint(&claims)?))
    };
    let from = async |source, path: &str| {
        let mut page = ResumingPage::default();
        page.over(connect_from(source, server.websocket).await?, path, &[]).await?;
        anyhow::Ok(page)
    };
    // One is away at each of two addresses.
    for (others, source) in ["127.0.0.2", "127.0.0.3"].into_iter().enumerate() {
        from(source, &token(source)?).await?.reset()?;
        parked(&server, others + 1).await?;
    }
    for bad in ["/", "/?token=x", &token("127.0.0.3")?] {
        assert!(from("127.0.0.2", bad).await.is_err(), "{bad}");
        parked(&server, 2).await?;
    }
    // The other address has nobody who could make room for a third.
    let here = from("127.0.0.4", &token("here")?).await?;
    assert!(from("127.0.0.4", &token("refused before")?).await.is_err());
    drop(here);
    parked(&server, 3).await?;
    from("127.0.0.4", &token("refused before")?).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_as_come_at_once_find_room() -> anyhow::Result<()> {
    const PLACES: usize = 40;
    let places = PLACES.to_string();
    let flags = ["--operations", "127.0.0.1:0", "--max-connections", &places, "--shards", "2"];
    let server = Server::start(&flags).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let pages = join_all((0..PLACES).map(|_| ResumingPage::connected(server.websocket))).await;
    for page in pages {
        page?.reset()?;
    }
    parked(&server, PLACES).await?;
    let newcomers = join_all((0..PLACES).map(|_| Client::connect(server.websocket))).await;
    let newcomers = newcomers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let ids: HashSet<_> = newcomers.iter().map(|client| client.id).collect();
    assert_eq!((ids.len(), php.count().await?), (PLACES, AnswerValue::Int(PLACES as i64)));
    parked(&server, 0).await?;
    assert!(Client::connect(server.websocket).await.is_err());
    Ok(())
}
