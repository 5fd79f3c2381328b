//! SIGHUP: some settings change while the server runs, and the others are named as needing a restart.

use std::time::Duration;

use gateway_tests::{Client, Greeted, PhpPeer, PlainClient, Server, eventually, soon};
use gateway_wire::bridge::{AnswerValue, Order, Reply};
use gateway_wire::token::{Claims, TokenKey};
use nix::sys::signal::Signal;
use serde_bytes::Bytes;
use tempfile::NamedTempFile;
use tokio_tungstenite::tungstenite::Message;

/// A server and the settings file that it was started with.
struct Reloaded {
    server: Server,
    file: NamedTempFile,
}

impl Reloaded {
    async fn start(text: &str) -> anyhow::Result<Self> {
        let file = NamedTempFile::with_suffix(".toml")?;
        std::fs::write(file.path(), text)?;
        let server =
            Server::start(&["--config", &file.path().display().to_string(), "--shards", "2"]).await?;
        Ok(Self { server, file })
    }

    /// Writes another text into the file, sends SIGHUP, and waits until the server logs `expected`.
    async fn reload(&mut self, text: &str, expected: &str) -> anyhow::Result<String> {
        std::fs::write(self.file.path(), text)?;
        self.server.signal(Signal::SIGHUP)?;
        self.server.logs(expected).await
    }

    async fn php(&self) -> anyhow::Result<PhpPeer> {
        PhpPeer::connect(self.server.register[0]).await
    }

    /// Connects a client that must be refused, and gives what it is told.
    async fn refusal(&self, path: &str, headers: &[(&'static str, &str)]) -> anyhow::Result<String> {
        match Client::shake_hands(self.server.websocket, path, headers).await {
            Err(refusal) => Ok(refusal.to_string()),
            Ok(_) => anyhow::bail!("it was let in"),
        }
    }
}

#[tokio::test]
async fn limits_count_those_who_were_there_before() -> anyhow::Result<()> {
    let mut it = Reloaded::start("").await?;
    let one = Client::connect(it.server.websocket).await?;
    let two = Client::connect(it.server.websocket).await?;
    it.reload("max_connections = 2\n", "SIGHUP: settings read, changed: max_connections").await?;
    assert!(it.refusal("/", &[]).await?.contains("503"));
    one.leave().await?;
    let three = eventually("there is room again", true, async || {
        Ok(Client::connect(it.server.websocket).await.is_ok())
    });
    three.await?;

    it.reload("max_connections_per_address = 1\n", "changed: max_connections, max_connections_per_address")
        .await?;
    assert!(it.refusal("/", &[]).await?.contains("429"));
    two.leave().await?;
    it.reload("", "changed: max_connections_per_address").await?;
    let _crowd = (Client::connect(it.server.websocket).await?, Client::connect(it.server.websocket).await?);
    Ok(())
}

#[tokio::test]
async fn each_listener_gets_its_rules() -> anyhow::Result<()> {
    let listener = "[[listener]]\nprotocol = \"websocket\"\naddress = \"127.0.0.1:0\"\n";
    let mut it = Reloaded::start(listener).await?;
    let other = it.server.listeners[0];
    let origin = |origin| [("origin", origin)];
    let mut early = Greeted::connect(it.server.websocket, "/", &origin("https://a.example")).await?.client;
    let text = format!(
        "origins = [\"https://b.example\"]\nmax_request_bytes = 2000\n{listener}paths = [\"/two\"]\n"
    );
    it.reload(&text, "changed: origins, listener 1: origins, listener 1: paths, max_request_bytes").await?;
    assert!(it.refusal("/", &origin("https://a.example")).await?.contains("403"));
    Client::shake_hands(it.server.websocket, "/", &origin("https://b.example")).await?;
    Client::shake_hands(other, "/two", &[]).await?;
    assert!(Client::shake_hands(other, "/", &[]).await.is_err());
    assert!(it.refusal("/", &[("cookie", &"c".repeat(2000))]).await?.contains("431"));
    // A client that is already connected stays, although it would be refused now.
    it.php().await?.send_to_all("still here").await?;
    assert_eq!(early.text().await?, "still here");
    Ok(())
}

#[tokio::test]
async fn clients_get_the_heartbeat_and_limits_of_their_listener() -> anyhow::Result<()> {
    let listener = "[[listener]]\nprotocol = \"text\"\naddress = \"127.0.0.1:0\"\n";
    let mut it = Reloaded::start(&format!("ping_interval = 0\n{listener}")).await?;
    let mut browser = Client::connect(it.server.websocket).await?;
    let mut device = PlainClient::connect(it.server.listeners[0]).await?;
    let text = format!(
        "ping_interval = 0\nmax_message = 200\n{listener}ping_interval = 0.2\nping_data = \"are you there\"\n"
    );
    it.reload(&text, "listener 1: ping_interval, listener 1: ping_data").await?;
    // The greeting was sent before the ping.
    device.line().await?;
    assert_eq!(device.line().await?, "are you there");
    browser.send(Message::text("x".repeat(201))).await?;
    assert_eq!(browser.closed().await?.0, 1009);

    let mut noisy = Client::connect(it.server.websocket).await?;
    it.reload(&format!("messages_per_second = 0.2\nping_interval = 0\n{listener}"), "messages_per_second")
        .await?;
    for _ in 0..3 {
        noisy.send(Message::text("x")).await?;
    }
    assert_eq!(noisy.closed().await?.0, 4429);
    Ok(())
}

#[tokio::test]
async fn what_php_may_keep_of_a_client_changes() -> anyhow::Result<()> {
    let mut it = Reloaded::start("").await?;
    let client = Client::connect(it.server.websocket).await?;
    let mut php = it.php().await?;
    it.reload(
        "max_session_bytes = 64\nmax_groups_per_client = 1\n",
        "max_groups_per_client, max_session_bytes",
    )
    .await?;
    let session = format!("a:1:{{i:0;s:60:\"{}\";}}", "x".repeat(60));
    let session = Order::SetSession { client: client.id, session: Bytes::new(session.as_bytes()) };
    let join = |group| Order::JoinGroup { client: client.id, group: Bytes::new(group) };
    for (order, setting) in
        [(session, "max_session_bytes"), (join(b"one"), ""), (join(b"two"), "max_groups_per_client")]
    {
        php.order(order).await?;
        if setting.is_empty() {
            php.acked().await?;
            continue;
        }
        let Reply::Error { message, .. } = php.reply().await? else { anyhow::bail!("no error") };
        assert!(message.contains(setting), "{message}");
        php.acked().await?;
    }
    Ok(())
}

#[tokio::test]
async fn tokens_can_be_required_and_their_key_replaced() -> anyhow::Result<()> {
    let expires = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() + 60;
    let path = |key: &str, once: Option<&str>| {
        let claims = Claims {
            uid: "7".to_owned(),
            groups: vec!["news".to_owned()],
            expires,
            once: once.map(str::to_owned),
            ..Claims::default()
        };
        anyhow::Ok(format!("/?token={}", TokenKey::new(key.as_bytes()).mint(&claims)?))
    };
    async fn code(address: std::net::SocketAddr, path: &str) -> anyhow::Result<Option<u16>> {
        let mut socket = Client::shake_hands(address, path, &[]).await?;
        match soon("a message", futures_util::StreamExt::next(&mut socket)).await? {
            Some(Ok(Message::Text(_))) => Ok(None),
            Some(Ok(Message::Close(Some(frame)))) => Ok(Some(frame.code.into())),
            other => anyhow::bail!("{other:?} instead of a greeting or a close frame"),
        }
    }
    let mut it = Reloaded::start("token_key = \"one\"\n").await?;
    let at = it.server.websocket;
    let once = path("one", Some("x"))?;
    assert_eq!(code(at, "/").await?, None);
    assert_eq!(code(at, &once).await?, None);
    it.reload("token_key = \"one\"\nrequire_token = true\n", "changed: require_token").await?;
    assert_eq!(code(at, "/").await?, Some(4401));
    // The reload has not made the server forget which tokens were used.
    assert_eq!(code(at, &once).await?, Some(4401));
    assert_eq!(code(at, &path("one", None)?).await?, None);
    it.reload("token_key = \"two\"\nmax_groups_per_client = 0\n", "changed: token_key").await?;
    assert_eq!(code(at, &path("one", None)?).await?, Some(4401));
    assert_eq!(code(at, &path("two", None)?).await?, None);
    Ok(())
}

#[tokio::test]
async fn more_is_logged_from_now_on() -> anyhow::Result<()> {
    let mut it = Reloaded::start("").await?;
    it.reload("log = \"gateway_server=debug\"\n", "changed: log").await?;
    drop(it.php().await?);
    it.server.logs("a bridge ended").await.map(drop)
}

#[tokio::test]
async fn what_needs_a_restart_is_named() -> anyhow::Result<()> {
    let mut it = Reloaded::start("message_type = \"text\"\n").await?;
    let text =
        "message_type = \"binary\"\nevents = \"builtin\"\nsecret_key = \"s3cr3t\"\nmax_connections = 1\n";
    it.reload(text, "changed: max_connections").await?;
    it.server.logs("only by a restart: secret_key, events, message_type").await?;
    let mut tab = Client::connect(it.server.websocket).await?;
    // The message still needs no secret and is still text, as the settings said at the start.
    it.php().await?.send_to_all("hello").await?;
    assert_eq!(tab.text().await?, "hello");
    // These settings are wrong as long as nothing is restarted, so none of them is applied.
    it.reload(
        "secret_key = \"s3cr3t of 16 bytes\"\nrequire_token = true\n",
        "there is no key to read tokens with",
    )
    .await?;
    it.server.logs("SIGHUP: the settings stay as they were").await?;
    assert!(it.refusal("/", &[]).await?.contains("503"));
    Ok(())
}

#[tokio::test]
async fn what_of_a_listener_needs_a_restart_is_named_and_what_flags_hide_too() -> anyhow::Result<()> {
    let listener = "[[listener]]\nprotocol = \"text\"\naddress = \"127.0.0.1:0\"\n";
    let mut it = Reloaded::start(listener).await?;
    it.reload(&format!("{listener}proxy_protocol = true\n"), "none has changed that can").await?;
    it.server.logs("only by a restart: listener 1: proxy_protocol").await?;
    // The server was started with a flag for `shards`, which hides the file's value.
    it.reload("shards = 7\nmax_connections = 5\n", "changed: max_connections").await?;
    it.server.logs("a flag or a variable says otherwise: shards").await.map(drop)
}

#[tokio::test]
async fn a_file_that_is_wrong_changes_nothing() -> anyhow::Result<()> {
    let mut it = Reloaded::start("max_connections = 1\n").await?;
    let name = it.file.path().display().to_string();
    let _tab = Client::connect(it.server.websocket).await?;
    for (wrong, said) in [
        (
            "max_connections = 9\nping_intervall = 1\n",
            ":2:1: there is no setting ping_intervall; did you mean",
        ),
        ("max_connections = 9\n\nmax_message = 1\n", ":3:1: max_message: 1 is not within 125 to 1073741824"),
        (
            "max_connections = 9\nping_interval = \"\"\n",
            ":2:17: ping_interval: it must be a number of seconds",
        ),
        ("max_connections = 9\nwhat", ":2:"),
    ] {
        it.reload(wrong, &format!("{name}{said}")).await?;
        it.server.logs("SIGHUP: the settings stay as they were").await?;
        assert!(it.refusal("/", &[]).await?.contains("503"));
    }
    it.reload("max_connections = 2\n", "changed: max_connections").await?;
    let _other = Client::connect(it.server.websocket).await?;
    std::fs::remove_file(it.file.path())?;
    it.server.signal(Signal::SIGHUP)?;
    it.server.logs(&format!("cannot read the configuration {name}")).await?;
    std::fs::write(it.file.path(), "")?;
    Ok(())
}

#[tokio::test]
async fn hundreds_of_reloads_lose_nothing() -> anyhow::Result<()> {
    const RELOADS: usize = 300;
    let texts = [
        "ping_interval = 30\nmax_connections = 1000\norigins = [\"https://a.example\"]\n",
        "ping_interval = 20\noutbox_bytes = 100000\nmax_connections_per_address = 900\nmax_handshakes = 9\n",
    ];
    let mut it = Reloaded::start(texts[0]).await?;
    let mut tabs = Vec::new();
    for _ in 0..20 {
        tabs.push(Client::connect(it.server.websocket).await?);
    }
    let (register, websocket) = (it.server.register[0], it.server.websocket);
    let mut php = PhpPeer::connect(register).await?;
    let is_done = std::cell::Cell::new(false);
    let reload = async {
        for number in 0..RELOADS {
            it.reload(texts[(number + 1) % 2], "SIGHUP: settings read, changed: ").await?;
        }
        is_done.set(true);
        anyhow::Ok(())
    };
    let talk = async {
        let mut sent = 0;
        // At least 100 messages are sent, however fast the reloads are.
        while !is_done.get() || sent < 100 {
            let text = format!("message {sent}");
            php.send_to_all(&text).await?;
            for tab in &mut tabs {
                assert_eq!(tab.text().await?, text);
            }
            Client::connect(websocket).await?.leave().await?;
            sent += 1;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(reload, talk)?;
    eventually("the newcomers have left", AnswerValue::Int(20), async || php.count().await).await?;
    let stopped = std::time::Instant::now();
    it.server.signal(Signal::SIGTERM)?;
    assert!(it.server.exit().await?.success());
    assert!(stopped.elapsed() < Duration::from_secs(5));
    Ok(())
}
