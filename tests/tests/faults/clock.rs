//! The machine's clock jumps forward and back while a server runs. Only what depends on dates may notice.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway_tests::{Client, Operator, PhpPeer, Server, eventually, skip};
use gateway_wire::token::{Claims, TokenKey};
use nix::sys::signal::Signal;

/// The path of libfaketime in Debian, for either architecture.
fn faketime() -> Option<String> {
    let places = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
    let library = |place: &str| format!("/usr/lib/{place}/faketime/libfaketimeMT.so.1");
    places.map(library).into_iter().find(|path| Path::new(path).exists())
}

#[tokio::test]
async fn a_clock_that_jumps_costs_nobody_the_connection() -> anyhow::Result<()> {
    let Some(library) = faketime() else {
        skip(
            "a_clock_that_jumps_costs_nobody_the_connection",
            "libfaketime is not installed (Debian package libfaketime)",
        );
        return Ok(());
    };
    let clock = tempfile::NamedTempFile::new()?;
    let set = |clock_says: &str| std::fs::write(clock.path(), format!("{clock_says}\n"));
    set("+0")?;
    let mut server = Server::start_with(|command| {
        command.args(["--shards", "1", "--operations", "127.0.0.1:0"]);
        command.args(["--ping-interval", "0.5", "--ping-not-response-limit", "2", "--ping-data", "ping"]);
        command.env("GATEWAY_TOKEN_KEY", "a key").env("LD_PRELOAD", &library);
        command.env("FAKETIME_TIMESTAMP_FILE", clock.path()).env("FAKETIME_NO_CACHE", "1");
        // The monotonic clock, which never jumps on a real machine, is not faked either.
        command.env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    })
    .await?;
    let operator = Operator::of(&server)?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut client = Client::connect(server.websocket).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let claims = Claims {
        uid: "7".to_owned(),
        expires: (now + Duration::from_secs(600)).as_secs(),
        ..Claims::default()
    };
    let path = format!("/?token={}", TokenKey::new(b"a key").mint(&claims)?);
    let websocket = server.websocket;
    let comes_in = async || {
        let mut socket = Client::shake_hands(websocket, &path, &[]).await?;
        let first = futures_util::StreamExt::next(&mut socket).await;
        anyhow::Ok(matches!(first, Some(Ok(message)) if message.is_text()))
    };
    for (clock_says, is_token_good) in [("+0", true), ("+3600", false), ("-86400", true), ("+0", true)] {
        set(clock_says)?;
        eventually("the token, as the clock is", is_token_good, comes_in).await?;
        // The client answers three rounds of the heartbeat.
        for _ in 0..3 {
            assert_eq!(client.text().await?, "ping", "{clock_says}");
            client.send("pong".into()).await?;
        }
        php.send_to_all("still here").await?;
        while client.text().await? != "still here" {}
        assert_eq!(operator.get("/readyz").await?.status, 200);
        let uptime = operator.metric("gateway_uptime_seconds").await?;
        assert!(uptime > 0.0 && uptime < 600.0, "{uptime}, {clock_says}");
    }
    set("-86400")?;
    server.signal(Signal::SIGTERM)?;
    let last = loop {
        match client.message().await? {
            tokio_tungstenite::tungstenite::Message::Text(_) => {}
            other => break other,
        }
    };
    assert!(last.is_close(), "{last:?}");
    assert!(server.exit().await?.success());
    Ok(())
}
