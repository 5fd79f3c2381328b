//! The operations port: health, metrics, and who may ask.

use anyhow::Context as _;
use gateway_tests::{
    Client, Operator, PhpPeer, ProcessGroup, Server, done, eventually, root, server_binary, soon,
};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

const ON: [&str; 2] = ["--operations", "127.0.0.1:0"];

async fn start(flags: &[&str]) -> anyhow::Result<(Server, Operator)> {
    let server = Server::start(&[&ON[..], flags].concat()).await?;
    let operator = Operator::of(&server)?;
    Ok((server, operator))
}

async fn start_with_token(token: &str) -> anyhow::Result<(Server, Operator)> {
    let server = Server::start_with(|command| {
        command.args(ON).env("GATEWAY_OPERATIONS_TOKEN", token);
    })
    .await?;
    let operator = Operator::of(&server)?;
    Ok((server, operator))
}

async fn metric_becomes(operator: &Operator, name: &str, value: f64) -> anyhow::Result<()> {
    eventually(name, value, async || operator.metric(name).await).await
}

#[tokio::test]
async fn a_server_is_alive_and_ready_until_it_drains() -> anyhow::Result<()> {
    // The times are long so that, even on a busy machine, the client is what the stop waits for.
    let patience = ["--drain-seconds", "30", "--stop-timeout", "30", "--close-timeout", "30"];
    let (mut server, operator) = start(&patience).await?;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(operator.get(path).await?.status, 200, "{path}");
    }
    // A client that does not answer the close frame holds up the stop.
    let client = Client::connect(server.websocket).await?;
    server.signal(Signal::SIGTERM)?;
    eventually("not ready", 503, async || Ok(operator.get("/readyz").await?.status)).await?;
    assert_eq!(operator.get("/healthz").await?.status, 200);
    client.leave().await?;
    assert!(server.exit().await?.success());
    Ok(())
}

#[tokio::test]
async fn metrics_follow_what_clients_do() -> anyhow::Result<()> {
    let (server, operator) = start(&["--shards", "2"]).await?;
    assert_eq!(operator.metric("gateway_clients_total").await?, 0.0);
    let listener = format!("{{listener=\"websocket://{}\"}}", server.websocket);
    let mut one = Client::connect(server.websocket).await?;
    let mut two = Client::connect(server.websocket).await?;
    let clients = format!("gateway_clients{listener}");
    metric_becomes(&operator, &clients, 2.0).await?;
    assert_eq!(operator.metric(&format!("gateway_connections_accepted_total{listener}")).await?, 2.0);
    metric_becomes(&operator, &format!("gateway_handshakes{listener}"), 0.0).await?;
    let shards = [0, 1].map(|shard| format!("gateway_shard_clients{{shard=\"{shard}\"}}"));
    let by_shard = operator.metric(&shards[0]).await? + operator.metric(&shards[1]).await?;
    assert_eq!(by_shard, 2.0);
    // Both clients have got their `init` message.
    assert_eq!(operator.metric("gateway_messages_sent_total").await?, 2.0);
    let sent = operator.metric("gateway_sent_bytes_total").await?;
    assert!(sent > 100.0, "{sent}");

    one.send(Message::text("12345")).await?;
    metric_becomes(&operator, "gateway_messages_received_total", 1.0).await?;
    // The frame has 2 bytes of header, 4 of mask and 5 of text.
    assert_eq!(operator.metric("gateway_received_bytes_total").await?, 11.0);

    let mut php = PhpPeer::connect(server.register[0]).await?;
    assert_eq!(operator.metric("gateway_php_connections").await?, 1.0);
    let order = gateway_wire::bridge::Order::SendToAll {
        message: serde_bytes::Bytes::new(b"hello"),
        only: None,
        except: Vec::new(),
        raw: false,
    };
    php.order(order).await?;
    for client in [&mut one, &mut two] {
        assert_eq!(client.text().await?, "hello");
    }
    metric_becomes(&operator, "gateway_messages_sent_total", 4.0).await?;
    metric_becomes(&operator, "gateway_sent_bytes_total", sent + 14.0).await?;
    for (client, uid) in [(&one, "alice"), (&two, "alice")] {
        let (client, uid) = (client.id, serde_bytes::Bytes::new(uid.as_bytes()));
        php.order(gateway_wire::bridge::Order::BindUid { client, uid }).await?;
        php.order(gateway_wire::bridge::Order::JoinGroup { client, group: uid }).await?;
    }
    metric_becomes(&operator, "gateway_uids", 1.0).await?;
    metric_becomes(&operator, "gateway_groups", 1.0).await?;

    let offence = "gateway_offences_total{kind=\"protocol\"}";
    assert_eq!(operator.metric(offence).await?, 0.0);
    // A client's frame that is not masked is an offence.
    one.socket.get_mut().write_all(b"\x81\x01x").await?;
    metric_becomes(&operator, offence, 1.0).await?;
    two.leave().await?;
    metric_becomes(&operator, &clients, 0.0).await?;
    metric_becomes(&operator, "gateway_uids", 0.0).await?;
    assert_eq!(operator.metric("gateway_clients_total").await?, 2.0);
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_max_fds"] {
        assert!(operator.metric(name).await? > 1.0, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn history_events_and_how_quickly_shards_answer() -> anyhow::Result<()> {
    let (server, operator) = start(&["--shards", "2"]).await?;
    // The first sample is taken at the start.
    let history = async || operator.json("/history").await;
    eventually("a sample", true, async || Ok(!history().await?["rows"][0].is_null())).await?;
    let told = history().await?;
    assert_eq!(told["every_seconds"], 10);
    let names = told["names"].as_array().context("names")?;
    let status = operator.json("/status").await?;
    for (name, number) in names.iter().zip(told["rows"][0].as_array().context("a row")?) {
        let name = name.as_str().context("a name")?;
        assert!(number.is_number() && (name == "seconds_ago" || !status[name].is_null()), "{name}: {number}");
    }
    assert_eq!(told["rows"][0].as_array().map(Vec::len), Some(names.len()));

    let events = operator.json("/events").await?;
    let ready = events["events"].as_array().into_iter().flatten();
    let ready: Vec<_> =
        ready.filter(|event| event["text"].as_str().unwrap_or_default().contains(" ready ")).collect();
    let [ready] = ready[..] else { anyhow::bail!("{events}") };
    assert_eq!(ready["level"], "INFO");
    assert!(
        ready["text"].as_str().is_some_and(|text| text.contains(&format!("websocket={}", server.websocket)))
    );
    let newer = operator.json(&format!("/events?after={}", ready["number"])).await?;
    assert!(newer["events"].as_array().context("events")?.iter().all(|event| event["text"] != ready["text"]));
    assert_eq!(operator.get("/events?after=x").await?.status, 400);
    assert_eq!(operator.get("/events?since=1").await?.status, 400);

    eventually("an answer of the shards", true, async || {
        Ok(operator.metric("gateway_shard_answer_seconds_count").await? >= 1.0)
    })
    .await?;
    let all = operator.metric("gateway_shard_answer_seconds_bucket{le=\"+Inf\"}").await?;
    assert!(all >= operator.metric("gateway_shard_answer_seconds_bucket{le=\"0.5\"}").await?);
    let answers = operator.json("/status").await?["shard_answers"].take();
    let lengths = ["within_seconds", "counts"].map(|name| answers[name].as_array().map(Vec::len));
    assert_eq!(lengths, [Some(12), Some(13)]);
    Ok(())
}

#[tokio::test]
async fn metrics_show_who_reads_too_slowly() -> anyhow::Result<()> {
    let (server, operator) = start(&["--outbox-bytes", "100000000"]).await?;
    let mut client = Client::connect(server.websocket).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let message = vec![b'x'; 1 << 20];
    let order = || gateway_wire::bridge::Order::SendToClient {
        client: client.id,
        message: serde_bytes::Bytes::new(&message),
        raw: false,
    };
    for _ in 0..20 {
        php.order(order()).await?;
    }
    php.acked().await?;
    metric_becomes(&operator, "gateway_slow_clients", 1.0).await?;
    assert!(operator.metric("gateway_outbox_bytes").await? > 1e6);
    for _ in 0..20 {
        assert_eq!(client.text().await?.len(), message.len());
    }
    metric_becomes(&operator, "gateway_slow_clients", 0.0).await?;
    metric_becomes(&operator, "gateway_outbox_bytes", 0.0).await?;
    assert!(operator.metric("gateway_sent_bytes_total").await? > 20.0 * (1 << 20) as f64);
    Ok(())
}

#[tokio::test]
async fn whoever_has_the_token_may_ask_and_nobody_else() -> anyhow::Result<()> {
    let (_server, stranger) = start_with_token("t0ken").await?;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(stranger.get(path).await?.status, 200, "{path}");
    }
    for token in ["", "t0ke", "t0ken2", "T0KEN"] {
        let answer = stranger.clone().with_token(token).get("/metrics").await?;
        assert_eq!(answer.status, 401, "{token}");
        assert_eq!(answer.json()?["error"]["code"], "unauthorized");
        assert!(!answer.body.contains("t0ken"), "{answer:?}");
    }
    let answer = stranger.get("/metrics").await?;
    assert_eq!(answer.status, 401);
    assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
    let operator = stranger.with_token("t0ken");
    assert_eq!(operator.get("/metrics").await?.status, 200);
    // The five refusals are counted, but neither the two requests that were let in nor those for the health.
    assert_eq!(operator.metric("gateway_offences_total{kind=\"operations\"}").await?, 5.0);
    Ok(())
}

#[tokio::test]
async fn without_a_token_no_web_page_gets_anything() -> anyhow::Result<()> {
    let (_server, operator) = start(&[]).await?;
    let ask = async |headers: &str| {
        let request = format!("GET /metrics HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        operator.say(request.as_bytes()).await
    };
    for headers in ["Host: localhost\r\n", "Host: [::1]:1239\r\n", "Host: 127.0.0.1:1\r\n"] {
        assert_eq!(ask(headers).await?.status, 200, "{headers}");
    }
    for headers in [
        "Host: rebound.example.com:1239\r\n",
        "Host: 192.0.2.1\r\n",
        "",
        "Host: localhost\r\nHost: evil.example\r\n",
        "Host: localhost\r\nOrigin: https://evil.example\r\n",
        "Host: localhost\r\nOrigin: null\r\n",
    ] {
        let answer = ask(headers).await?;
        assert_eq!(answer.status, 403, "{headers}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_port_that_others_could_use_needs_a_token() -> anyhow::Result<()> {
    for (flags, key, advice) in [
        (&["--operations", "0.0.0.0:0"][..], "", "set operations_token, or listen on 127.0.0.1"),
        (&ON[..], "s3cr3t", "set operations_token too"),
    ] {
        let mut command = tokio::process::Command::new(server_binary()?);
        command.args(flags).args(["--websocket", "127.0.0.1:0", "--register", "127.0.0.1:0"]);
        command.env("GATEWAY_SECRET_KEY", key);
        let output = soon("the end", command.output()).await??;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && error.contains("operations: ") && error.contains(advice),
            "{error}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn garbage_and_huge_requests_are_refused() -> anyhow::Result<()> {
    let (server, operator) = start(&[]).await?;
    let long = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n", "c".repeat(20_000));
    assert_eq!(operator.say(long.as_bytes()).await?.status, 431);
    let many = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "a: b\r\n".repeat(100));
    assert_eq!(operator.say(many.as_bytes()).await?.status, 431);
    assert_eq!(operator.say(b"\xc1GW\x01\0\0\0\0\r\n\r\n").await?.status, 400);
    assert_eq!(operator.ask("DELETE", "/metrics", "").await?.status, 405);
    let answer = operator.get("/nowhere").await?;
    assert_eq!((answer.status, &answer.json()?["error"]["code"]), (404, &"not_found".into()));
    assert!(server.memory()? < 100 << 20);
    Ok(())
}

#[tokio::test]
async fn slow_requests_have_so_much_time_and_so_many_places() -> anyhow::Result<()> {
    const PLACES: usize = 1024;
    let (server, operator) = start(&[]).await?;
    let before = server.open_files()?;
    let mut slow = Vec::new();
    for _ in 0..PLACES + 500 {
        let mut socket = soon("connecting", TcpStream::connect(operator.address)).await??;
        socket.write_all(b"GET /healthz HT").await?;
        slow.push(socket);
    }
    // The connections that came first are closed to make room for others that ask something.
    for path in ["/healthz", "/readyz", "/status"] {
        assert_eq!(operator.get(path).await?.status, 200, "{path}");
    }
    eventually("as many connections as places", true, async || {
        Ok(server.open_files()? <= before + PLACES + 2)
    })
    .await?;
    let end = soon("the end of the first", slow[0].read(&mut [0; 9])).await?;
    assert!(end.map_or(true, |length| length == 0));
    let last = slow.last_mut().context("a socket")?;
    last.write_all(b"TP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    soon("the answer to the last", last.read_to_end(&mut answer)).await??;
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    drop(slow);
    // A connection that is idle after its request is closed too.
    let mut idle = soon("connecting", TcpStream::connect(operator.address)).await??;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut all = Vec::new();
    soon("the end of an idle connection", idle.read_to_end(&mut all)).await??;
    assert!(all.starts_with(b"HTTP/1.1 200 OK"));
    Ok(())
}

/// Runs a command of the program, and gives whether it succeeded and what it printed.
async fn run(server: Option<&Server>, args: &[&str], token: &str) -> anyhow::Result<(bool, String)> {
    let mut command = tokio::process::Command::new(server_binary()?);
    command.args(args);
    if let Some(address) = server.and_then(|server| server.operations) {
        command.args(["--operations", &address.to_string()]);
    }
    if !token.is_empty() {
        command.env("GATEWAY_OPERATIONS_TOKEN", token);
    }
    let output = soon("the command", command.output()).await??;
    let bytes = if output.status.success() { output.stdout } else { output.stderr };
    Ok((output.status.success(), String::from_utf8(bytes)?))
}

#[tokio::test]
async fn status_says_how_a_server_is_doing() -> anyhow::Result<()> {
    let (server, operator) = start(&["--listener", "text://127.0.0.1:0"]).await?;
    let _client = Client::connect(server.websocket).await?;
    metric_becomes(&operator, "gateway_clients_total", 1.0).await?;
    let (is_done, text) = run(Some(&server), &["status"], "").await?;
    assert!(is_done, "{text}");
    for part in ["  running  ", "1 now, 1 since the start", "text://127.0.0.1:", "clients by shard"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (_, json) = run(Some(&server), &["status", "--json"], "").await?;
    let status: serde_json::Value = serde_json::from_str(&json)?;
    assert_eq!(status["clients"], 1);
    assert_eq!(status["pid"].as_i64(), Some(server.pid()?.as_raw().into()));
    assert_eq!(status["listeners"][0]["clients"], 1);
    assert_eq!(status["listeners"][1]["clients"], 0);
    Ok(())
}

/// The program in the image of docker/server.Dockerfile is a script around the server. Commands that run in the container
/// later do not have the server's environment, only the image's, and must find the token all the same.
#[tokio::test]
async fn in_the_image_commands_find_the_token_of_the_server() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let kept = folder.path().join("operations_token").display().to_string();
    let script = std::fs::read_to_string(root().join("docker/gateway-server.sh"))?
        .replace("/usr/local/libexec/gateway-server", &server_binary()?.display().to_string())
        .replace("/run/push-gateway/operations_token", &kept);
    let program = folder.path().join("gateway-server");
    std::fs::write(&program, script)?;
    let image = |arguments: &[&str]| {
        let mut command = std::process::Command::new("sh");
        command.arg(&program).args(arguments);
        command
    };
    let mut server =
        image(&["--websocket", "127.0.0.1:0", "--register", "127.0.0.1:0", "--operations", "127.0.0.1:0"]);
    server.env("GATEWAY_SECRET_KEY", "s");
    let (_server, line) = ProcessGroup::start(server, " ready ").await?;
    let operations = line.split_whitespace().find_map(|word| word.strip_prefix("operations="));
    let operations = operations.context("operations=")?;

    let status = done(&mut image(&["status", "--operations", operations]))?;
    assert!(status.contains("clients by shard"), "{status}");
    let connections = done(&mut image(&["connections", "--operations", operations]))?;
    assert_eq!(connections.lines().last(), Some("0 connections"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&kept)?.permissions());
    assert_eq!(mode & 0o777, 0o600);
    // A token that is given in the environment is not replaced by the kept one.
    let mut other = image(&["status", "--operations", operations]);
    let other = other.env("GATEWAY_OPERATIONS_TOKEN", "another").output()?;
    let said = String::from_utf8_lossy(&other.stderr);
    assert!(said.contains("is not the server's operations_token"), "{said}");
    Ok(())
}

#[tokio::test]
async fn commands_say_why_they_cannot_ask() -> anyhow::Result<()> {
    // Nobody listens on a port that was just given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let (is_done, error) = run(None, &["status", "--operations", &free.to_string()], "").await?;
    assert!(!is_done && error.contains(&format!("no server answers at {free}")), "{error}");

    let (server, _) = start_with_token("t0ken").await?;
    let (is_done, error) = run(Some(&server), &["status"], "").await?;
    assert!(!is_done && error.contains("GATEWAY_OPERATIONS_TOKEN"), "{error}");
    let (is_done, error) = run(Some(&server), &["connections"], "wrong").await?;
    assert!(!is_done && error.contains("is not the server's operations_token"), "{error}");
    let (is_done, text) = run(Some(&server), &["connections"], "t0ken").await?;
    assert!(is_done && text.contains("0 connections"), "{text}");

    let file = tempfile::NamedTempFile::new()?;
    let operations = server.operations.map(|address| address.to_string()).unwrap_or_default();
    std::fs::write(file.path(), format!("operations = \"{operations}\"\noperations_token = \"t0ken\"\n"))?;
    let config = file.path().display().to_string();
    let (is_done, text) = run(None, &["connections", "--json", "--config", &config], "").await?;
    assert!(is_done && text.contains("\"has_more\": false"), "{text}");

    // This port belongs to a server of another kind: it does not speak HTTP.
    let (is_done, error) =
        run(None, &["status", "--operations", &server.register[0].to_string()], "").await?;
    assert!(!is_done && error.contains("does not answer as"), "{error}");
    Ok(())
}

#[tokio::test]
async fn connections_are_found_by_what_is_known_of_them() -> anyhow::Result<()> {
    let (server, operator) = start(&["--shards", "3"]).await?;
    let mut clients = Vec::new();
    let mut php = PhpPeer::connect(server.register[0]).await?;
    for number in 0..25 {
        let client = Client::connect(server.websocket).await?;
        let uid = format!("user {number}");
        let (client_id, uid) = (client.id, serde_bytes::Bytes::new(uid.as_bytes()));
        php.order(gateway_wire::bridge::Order::BindUid { client: client_id, uid }).await?;
        if number % 5 == 0 {
            let group = serde_bytes::Bytes::new(b"a&b");
            php.order(gateway_wire::bridge::Order::JoinGroup { client: client_id, group }).await?;
        }
        clients.push(client);
    }
    php.acked().await?;
    let ids = |found: &serde_json::Value| -> std::collections::BTreeSet<String> {
        let found = found["connections"].as_array().into_iter().flatten();
        found.filter_map(|one| Some(one["client_id"].as_str()?.to_owned())).collect()
    };

    // Reading page by page gives every connection exactly once.
    let (mut seen, mut pages, mut after) = (std::collections::BTreeSet::new(), 0, String::new());
    loop {
        let page = operator.json(&format!("/connections?limit=4{after}")).await?;
        let page_ids = ids(&page);
        assert!(page_ids.is_disjoint(&seen) && page_ids.len() <= 4);
        seen.extend(page_ids);
        pages += 1;
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, clients.iter().map(|client| client.id.to_string()).collect());
    assert!(pages >= 7, "{pages}");

    let one = operator.json("/connections?uid=user+7").await?;
    let connection = &one["connections"][0];
    assert_eq!(connection["client_id"], clients[7].id.to_string());
    assert_eq!(connection["uid"], "user 7");
    assert_eq!(connection["address"], clients[7].socket.get_ref().local_addr()?.to_string());
    assert_eq!(connection["listener"], format!("websocket://{}", server.websocket));
    assert_eq!((&connection["queued_bytes"], &connection["group_count"]), (&0.into(), &0.into()));
    assert_eq!(ids(&operator.json("/connections?group=a%26b").await?).len(), 5);
    assert_eq!(ids(&operator.json("/connections?group=a%26b&uid=user%207").await?).len(), 0);
    assert_eq!(ids(&operator.json("/connections?address=127.0.0.1").await?).len(), 25);
    assert_eq!(ids(&operator.json("/connections?address=127.0.0.2").await?).len(), 0);
    for wrong in
        ["limit=0", "limit=1001", "limit=x", "uuid=7", "address=x", "after=x", "uid=%zz", "uid=a&uid=b"]
    {
        let answer = operator.get(&format!("/connections?{wrong}")).await?;
        assert_eq!((answer.status, &answer.json()?["error"]["code"]), (400, &"invalid".into()), "{wrong}");
    }

    let (is_done, text) = run(Some(&server), &["connections", "--group", "a&b", "--limit", "3"], "").await?;
    assert!(is_done && text.contains("3 connections, and there are more (--limit)"), "{text}");
    let (_, text) = run(Some(&server), &["connections", "--address", "127.0.0.1"], "").await?;
    assert!(text.contains("25 connections\n") && text.contains("user 24"), "{text}");
    let (_, json) = run(Some(&server), &["connections", "--json", "--uid", "user 5"], "").await?;
    let found: serde_json::Value = serde_json::from_str(&json)?;
    assert_eq!(found["connections"][0]["groups"], serde_json::json!(["a&b"]));
    Ok(())
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() -> anyhow::Result<()> {
    let (_server, operator) = start(&[]).await?;
    let head = "POST /api/sendToAll HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let answer = operator.say(head.as_bytes()).await?;
    assert_eq!((answer.status, &answer.json()?["error"]["code"]), (504, &"timeout".into()));
    Ok(())
}

#[tokio::test]
async fn a_new_token_is_taken_at_sighup() -> anyhow::Result<()> {
    let (file, token) = (tempfile::NamedTempFile::new()?, tempfile::NamedTempFile::new()?);
    let text = format!("operations_token_file = {:?}\n", token.path().display().to_string());
    std::fs::write(file.path(), text)?;
    std::fs::write(token.path(), "old\n")?;
    let (mut server, operator) = start(&["--config", &file.path().display().to_string()]).await?;
    let [old, new] = ["old", "new"].map(|token| operator.clone().with_token(token));
    assert_eq!((old.get("/metrics").await?.status, new.get("/metrics").await?.status), (200, 401));
    std::fs::write(token.path(), "new\n")?;
    server.signal(Signal::SIGHUP)?;
    let line = server.logs("settings read, changed").await?;
    assert!(line.contains("operations_token"), "{line}");
    assert_eq!((old.get("/metrics").await?.status, new.get("/metrics").await?.status), (401, 200));
    Ok(())
}
