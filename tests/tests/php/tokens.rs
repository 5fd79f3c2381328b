//! Connect tokens: a client with a good one is bound before anything else happens, and a client with a bad one is closed.

use std::io::BufRead as _;
use std::time::{SystemTime, UNIX_EPOCH};

use gateway_tests::{Client, Greeted, PhpPeer, Server, WorkerPeer, php, skip, soon};
use gateway_wire::bridge::AnswerValue;
use gateway_wire::gatewayworker::EventCommand;
use gateway_wire::token::{Claims, TokenKey};
use tokio_tungstenite::tungstenite::Message;

const KEY: &str = "a key for tokens";

async fn start(flags: &[&str]) -> anyhow::Result<Server> {
    Server::start_with(|command| {
        command.args(["--shards", "2"]).args(flags).env("GATEWAY_TOKEN_KEY", KEY);
    })
    .await
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

fn claims(uid: &str) -> Claims {
    Claims { uid: uid.to_owned(), expires: now() + 60, ..Claims::default() }
}

fn mint(claims: &Claims) -> anyhow::Result<String> {
    Ok(TokenKey::new(KEY.as_bytes()).mint(claims)?)
}

/// Connects a client that must be closed, and gives the code and the reason.
async fn closed(
    server: &Server,
    path: &str,
    headers: &[(&'static str, &str)],
) -> anyhow::Result<(u16, String)> {
    let mut socket = Client::shake_hands(server.websocket, path, headers).await?;
    match soon("a close frame", futures_util::StreamExt::next(&mut socket)).await? {
        Some(Ok(Message::Close(Some(frame)))) => Ok((frame.code.into(), frame.reason.to_string())),
        other => anyhow::bail!("{other:?} instead of a close frame"),
    }
}

/// Gives the token that PHP's `Gateway::token()` makes.
async fn by_php(arguments: &str, settings: &str) -> anyhow::Result<String> {
    let code = format!("{settings} echo Gateway::token({arguments});");
    let output = soon("PHP", php()?.arg("-r").arg(code).output()).await??;
    anyhow::ensure!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Sets the clock of a server that runs under libfaketime: this many seconds are added to the machine's time.
fn set_clock(file: &tempfile::NamedTempFile, seconds: i64) -> anyhow::Result<()> {
    Ok(std::fs::write(file.path(), format!("{seconds:+}\n"))?)
}

#[tokio::test]
async fn a_token_that_was_used_stays_so_however_the_clock_jumps() -> anyhow::Result<()> {
    let Some(library) = libfaketime() else {
        skip("a_token_that_was_used_stays_so_however_the_clock_jumps", "libfaketime is not installed");
        return Ok(());
    };
    let clock = tempfile::NamedTempFile::new()?;
    set_clock(&clock, 0)?;
    let server = Server::start_with(|command| {
        command.args(["--shards", "2"]).env("GATEWAY_TOKEN_KEY", KEY).env("LD_PRELOAD", library);
        command.env("FAKETIME_TIMESTAMP_FILE", clock.path()).env("FAKETIME_NO_CACHE", "1");
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    })
    .await?;
    let once = |name: &str, expires| {
        let claims = Claims { once: Some(name.to_owned()), expires, ..claims("1") };
        anyhow::Ok(format!("/?token={}", mint(&claims)?))
    };
    let refused = (4401, "token refused".to_owned());
    let used = once("used", now() + 600)?;
    Client::shake_hands(server.websocket, &used, &[]).await?;
    assert_eq!(closed(&server, &used, &[]).await?, refused);
    // An hour later the token has expired. Another token comes then, for which the server goes through the used ones and
    // might forget those that have expired.
    set_clock(&clock, 3600)?;
    assert_eq!(closed(&server, &used, &[]).await?, (4401, "token expired".to_owned()));
    Client::shake_hands(server.websocket, &once("then", now() + 7200)?, &[]).await?;
    for seconds in [0, -100_000] {
        set_clock(&clock, seconds)?;
        assert_eq!(closed(&server, &used, &[]).await?, refused, "{seconds}");
    }
    // Tokens that nobody has used are still good.
    Client::shake_hands(server.websocket, &once("unused", now() + 60)?, &[]).await.map(drop)
}

fn libfaketime() -> Option<std::path::PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|folder| folder.path());
    folders.map(|folder| folder.join("faketime/libfaketime.so.1")).find(|library| library.exists())
}

#[tokio::test]
async fn a_token_of_php_binds_joins_and_sets_the_session_at_once() -> anyhow::Result<()> {
    let server = start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let arguments = "42, 60, ['news', 7], ['name' => 'Ann', 5 => [1, 2.5, null, true]]";
    let token = by_php(arguments, &format!("Gateway::$tokenKey = '{KEY}';")).await?;
    let in_query = format!("/?x=1&token={token}");
    let protocol = format!("gateway, gateway.token.{token}");
    for (path, headers) in
        [(in_query.as_str(), vec![]), ("/", vec![("sec-websocket-protocol", protocol.as_str())])]
    {
        let mut client = Greeted::connect(server.websocket, path, &headers).await?.client;
        // The client is bound before it is greeted, so a push after the greeting reaches it.
        php.send_to_uid("42", "hello").await?;
        assert_eq!(client.text().await?, "hello");
        assert_eq!(php.clients_of("42").await?, [client.id]);
        for group in ["news", "7"] {
            let order = gateway_wire::bridge::Order::SendToGroups {
                groups: [serde_bytes::Bytes::new(group.as_bytes())].into_iter().collect(),
                except: Vec::new(),
                message: serde_bytes::Bytes::new(group.as_bytes()),
                raw: false,
            };
            php.order(order).await?;
            assert_eq!(client.text().await?, group);
        }
        let session = php.ask(gateway_wire::bridge::Query::Session { client: client.id }).await?;
        let expected = r#"a:2:{s:4:"name";s:3:"Ann";i:5;a:4:{i:0;i:1;i:1;d:2.5;i:2;N;i:3;b:1;}}"#;
        assert_eq!(session, AnswerValue::Str(expected.as_bytes().to_vec()));
        client.leave().await?;
    }
    assert_eq!(php.clients_of("42").await?, []);
    Ok(())
}

#[tokio::test]
async fn what_is_no_good_token_is_refused_by_a_close_code() -> anyhow::Result<()> {
    let mut server = start(&["--require-token", "true"]).await?;
    let good = mint(&claims("1"))?;
    let expired = mint(&Claims { expires: now() - 1, ..claims("1") })?;
    let other = TokenKey::new(b"another key").mint(&claims("1"))?;
    let many = mint(&Claims { groups: (0..1001).map(|n| n.to_string()).collect(), ..claims("1") })?;
    let none = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap_or_default());
    let missing = (4401, "token missing".to_owned());
    let refused = (4401, "token refused".to_owned());
    assert_eq!(closed(&server, "/", &[]).await?, missing);
    assert_eq!(closed(&server, "/?tokens=1&nottoken=2", &[]).await?, missing);
    assert_eq!(
        closed(&server, &format!("/?token={expired}"), &[]).await?,
        (4401, "token expired".to_owned())
    );
    for token in ["", "x", "a.b.c", &other, &many, &none, &good[..good.len() - 1], &good.replace('.', "..")] {
        assert_eq!(closed(&server, &format!("/?token={token}"), &[]).await?, refused, "{token}");
    }
    let twice = format!("/?token={good}&token={good}");
    assert_eq!(closed(&server, &twice, &[]).await?, refused);
    // A browser that offers the subprotocol wants it chosen; otherwise it would not read as far as the close code.
    let as_protocol = [("sec-websocket-protocol", "gateway, gateway.token.x")];
    assert_eq!(closed(&server, "/", &as_protocol).await?, refused);
    // The good token is still good, and no part of any token is in the log.
    let _admitted = Client::shake_hands(server.websocket, &format!("/?token={good}"), &[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    gateway_tests::eventually("one client", 1, async || Ok(php.clients_of("1").await?.len())).await?;
    server.signal(nix::sys::signal::Signal::SIGTERM)?;
    let mut log = String::new();
    while let Ok(line) = server.logs("").await {
        log += &line;
    }
    assert!(log.contains("offence=\"token\""), "{log}");
    for token in [&good, &expired, &other, &none] {
        assert!(!log.contains(token.split('.').nth(1).unwrap_or_default()), "{log}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_good_once_is_not_good_again() -> anyhow::Result<()> {
    let server = start(&[]).await?;
    let token = by_php("'7', 60, [], [], true", &format!("Gateway::$tokenKey = '{KEY}';")).await?;
    let path = format!("/?token={token}");
    let first = Greeted::connect(server.websocket, &path, &[]).await?.client;
    for _ in 0..2 {
        assert_eq!(closed(&server, &path, &[]).await?, (4401, "token refused".to_owned()));
    }
    first.leave().await?;
    assert_eq!(closed(&server, &path, &[]).await?.0, 4401);
    // Twenty clients come at once with the same token: one of them is let in.
    let token = mint(&Claims { once: Some("a race".to_owned()), ..claims("8") })?;
    let path = format!("/?token={token}");
    let all = (0..20).map(|_| Greeted::connect(server.websocket, &path, &[]));
    let admitted = futures_util::future::join_all(all).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(admitted, 1);
    Ok(())
}

#[tokio::test]
async fn without_a_key_of_its_own_the_secret_makes_one() -> anyhow::Result<()> {
    let server = Server::start_with(|command| {
        command.env("GATEWAY_SECRET_KEY", "geheim, mit 24 Zeichen..");
    })
    .await?;
    let token = by_php("'alice'", "Gateway::$secretKey = 'geheim, mit 24 Zeichen..';").await?;
    let path = format!("/?token={token}");
    Greeted::connect(server.websocket, &path, &[]).await?;
    // The secret itself is not the key, and tokens of a server with another key are refused.
    let wrong = TokenKey::new(b"geheim, mit 24 Zeichen..").mint(&claims("alice"))?;
    assert_eq!(closed(&server, &format!("/?token={wrong}"), &[]).await?.0, 4401);
    let keyless = Server::start(&[]).await?;
    assert_eq!(closed(&keyless, &path, &[]).await?.0, 4401);
    Greeted::connect(keyless.websocket, "/", &[]).await.map(drop)
}

/// With a short secret as the key, anybody who has a token could find the secret by trying, without asking the server.
#[tokio::test]
async fn no_key_is_made_of_a_short_secret() -> anyhow::Result<()> {
    let secret = "15 bytes, short";
    let mut server = Server::start_with(|command| {
        command.env("GATEWAY_SECRET_KEY", secret);
    })
    .await?;
    let key = format!("hash_hmac('sha256', 'gateway connect token v1', '{secret}', true)");
    let path = format!("/?token={}", by_php("'alice'", &format!("Gateway::$tokenKey = {key};")).await?);
    assert_eq!(closed(&server, &path, &[]).await?, (4401, "token refused".to_owned()));
    server.logs("set token_key, or a secret_key of 16 bytes or more").await?;
    Greeted::connect(server.websocket, "/", &[]).await?;

    let code = format!("Gateway::$secretKey = '{secret}'; echo Gateway::token('alice');");
    let output = soon("PHP", php()?.arg("-r").arg(code).output()).await??;
    let said = String::from_utf8([output.stdout, output.stderr].concat())?;
    assert!(!output.status.success() && said.contains("set Gateway::$tokenKey"), "{said}");
    // With a token key of its own, a short secret does no harm to tokens.
    let settings = format!("Gateway::$secretKey = '{secret}'; Gateway::$tokenKey = '{KEY}';");
    let token = by_php("'alice'", &settings).await?;
    let server = start(&[]).await?;
    Greeted::connect(server.websocket, &format!("/?token={token}"), &[]).await.map(drop)
}

#[test]
fn a_short_secret_is_warned_of_at_the_start() -> anyhow::Result<()> {
    let start = |secret: &str, token_key: &str| {
        let mut command = std::process::Command::new(gateway_tests::server_binary()?);
        command.args(["--websocket", "127.0.0.1:0", "--register", "127.0.0.1:0"]);
        command.env("GATEWAY_SECRET_KEY", secret).env("GATEWAY_TOKEN_KEY", token_key);
        let mut process = command.stderr(std::process::Stdio::piped()).spawn()?;
        let log = process.stderr.take().into_iter().flat_map(|log| std::io::BufReader::new(log).lines());
        let mut lines = Vec::new();
        for line in log.map_while(Result::ok) {
            lines.push(line);
            if lines.last().is_some_and(|line| line.contains(" ready ")) {
                break;
            }
        }
        process.kill()?;
        process.wait()?;
        anyhow::Ok(lines.join("\n"))
    };
    let log = start("s3cr3t", "t0k3n")?;
    for key in ["secret_key", "token_key"] {
        assert!(log.contains(&format!("{key} is so short that")), "{log}");
    }
    let long = "0123456789abcdef";
    for log in [start(long, long)?, start("", "")?] {
        assert!(log.contains(" ready ") && !log.contains("is so short that"), "{log}");
    }
    Ok(())
}

#[tokio::test]
async fn workers_see_the_session_of_a_token_from_the_first_event_on() -> anyhow::Result<()> {
    let mut server = start(&[]).await?;
    let mut worker = WorkerPeer::connect(server.register[0], "w:0").await?;
    server.logs("a worker joined").await?;
    let session = serde_json::from_str(r#"{"name":"Ann"}"#)?;
    let token = mint(&Claims { session, ..claims("1") })?;
    let _socket = Client::shake_hands(server.websocket, &format!("/?token={token}"), &[]).await?;
    let told = worker.told().await?;
    assert_eq!((told.kind, told.session.as_str()), (EventCommand::Connect, r#"a:1:{s:4:"name";s:3:"Ann";}"#));
    Ok(())
}

#[tokio::test]
async fn clients_that_leave_before_they_are_there_leave_nothing_behind() -> anyhow::Result<()> {
    let server = start(&[]).await?;
    for round in 0..20 {
        let visits = (0..50).map(async |number| {
            let token = mint(&claims(&format!("{round}-{number}")))?;
            drop(Client::shake_hands(server.websocket, &format!("/?token={token}"), &[]).await);
            anyhow::Ok(())
        });
        futures_util::future::try_join_all(visits).await?;
    }
    let mut php = PhpPeer::connect(server.register[0]).await?;
    gateway_tests::eventually("nobody", AnswerValue::Int(0), async || php.count().await).await?;
    for round in 0..20 {
        assert_eq!(php.clients_of(&format!("{round}-7")).await?, []);
    }
    Ok(())
}
