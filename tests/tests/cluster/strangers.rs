//! Attacks on what a node believes: recorded messages, wrong clocks, and text that comes in the clear before TLS.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use gateway_tests::{
    Client, Eavesdropper, Heard, Nats, Nodes, Operator, PhpPeer, SECRET, Server, Way, WrongClock, eventually,
    free_port, new_producer, soon,
};
use gateway_wire::bridge::AnswerValue;
use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;

/// The numbers of the kinds of messages, as frames contain them.
const ORDER: u8 = 1;
const HELLO: u8 = 5;
const BEAT: u8 = 6;
const RESUME: u8 = 8;

async fn start(nats: &str, prepare: impl FnOnce(&mut Command)) -> anyhow::Result<Server> {
    Server::start_with(|command| {
        command.args(["--cluster-nats", nats]).env("GATEWAY_SECRET_KEY", SECRET);
        prepare(command);
    })
    .await
}

async fn php(server: &Server) -> anyhow::Result<PhpPeer> {
    PhpPeer::connect_as(server.register[0], new_producer(), SECRET.as_bytes()).await
}

fn says(heard: &Heard, text: &str) -> bool {
    heard.payload.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn what_is_recorded_does_nothing_when_it_is_sent_again() -> anyhow::Result<()> {
    const PUSHES: usize = 20;
    let test = "what_is_recorded_does_nothing_when_it_is_sent_again";
    let Some(mut nodes) = Nodes::start(test, 2, &["--outbox-bytes", "100000000"]).await? else {
        return Ok(());
    };
    let mut spy = Eavesdropper::at(nodes.nats.address).await?;
    let mut php = nodes.php(0).await?;
    let mut client = nodes.client(1).await?;
    php.bind(client.id, "ann").await?;
    let long = "long ".repeat(20_000);
    for _ in 0..PUSHES {
        php.send_to_uid("ann", &long).await?;
    }
    assert_eq!(php.count().await?, AnswerValue::Int(1));
    // The node loses its connection, and asks the other node for what it may have missed.
    nodes.nodes[1].way.cut();
    let recorded = spy.hear_until(|heard| heard.kind() == Some(RESUME)).await?;
    ensure!(recorded.iter().any(|heard| says(heard, "long ")));
    for _ in 0..PUSHES {
        assert_eq!(client.text().await?, long);
    }

    // Everything short is sent again many times; long messages would take too much time.
    let mut heard = Vec::new();
    for _ in 0..20 {
        for again in recorded.iter().filter(|heard| heard.payload.len() < 1000) {
            spy.say(again).await?;
        }
        heard.extend(spy.flush().await?);
    }
    for again in &recorded {
        spy.say(again).await?;
    }
    php.send_to_uid("ann", "the end").await?;
    heard.extend(spy.hear_until(|heard| says(heard, "the end")).await?);
    assert_eq!(client.text().await?, "the end");
    // The node asks for what it missed, also after the cut, so each push may rightly be sent a few times.
    let resent = heard.iter().filter(|heard| says(heard, "long ")).count();
    ensure!(resent <= 3 * PUSHES, "{resent} of {PUSHES} pushes were sent again");
    nodes.nodes[0].server.logs("came again: somebody sends what he has recorded").await?;
    assert_eq!(php.count().await?, AnswerValue::Int(1));
    Ok(())
}

#[tokio::test]
async fn a_recording_of_a_node_that_has_gone_is_named_and_then_ignored() -> anyhow::Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, "operators\n")?;
    let path = file.path().to_str().context("a path in UTF-8")?;
    let flags = ["--operations", "127.0.0.1:0", "--operations-token-file", path];
    let test = "a_recording_of_a_node_that_has_gone_is_named_and_then_ignored";
    let Some(mut nodes) = Nodes::start(test, 1, &flags).await? else { return Ok(()) };
    let mut spy = Eavesdropper::at(nodes.nats.address).await?;
    nodes.add().await?;
    let mut other = nodes.php(1).await?;
    other.send_to_all("of another day").await?;
    other.acked().await?;
    let mut recorded = spy.hear_until(|heard| says(heard, "of another day")).await?;
    let hello = recorded.iter().find(|heard| heard.kind() == Some(HELLO)).context("its first word")?;
    let instance = hello.instance().to_vec();
    for _ in 0..3 {
        let more = spy.hear_until(|heard| heard.kind() == Some(BEAT) && heard.instance() == instance);
        recorded.extend(more.await?);
    }
    recorded.retain(|heard| heard.instance() == instance);
    ensure!(recorded.iter().any(|heard| heard.kind() == Some(ORDER)));

    // Both nodes end, and the first comes back as a new process, which has never heard of the other.
    let gone = nodes.nodes.remove(1).server.register[0].to_string();
    nodes.nodes[0].server.signal(Signal::SIGKILL)?;
    nodes.nodes[0].server.exit().await?;
    nodes.replace(0).await?;
    let mut php = nodes.php(0).await?;
    let mut client = nodes.client(0).await?;
    assert_eq!(php.count().await?, AnswerValue::Int(1));
    let playing = tokio::spawn(async move {
        for heard in recorded.iter().cycle() {
            if spy.say(heard).await.is_err() || spy.flush().await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });

    // The recorded node might really be there, so no answer counts as whole without it.
    let operator = Operator::of(&nodes.nodes[0].server)?.with_token("operators");
    let named = format!("node {gone} of the cluster is heard, and has not answered yet");
    eventually("a query fails", true, async || {
        Ok(php.count().await.is_err_and(|error| error.to_string().contains(&named)))
    })
    .await?;
    let readiness = operator.get("/readyz").await?;
    ensure!(readiness.status == 503 && readiness.body.contains(&named), "{readiness:?}");
    let status = operator.json("/status").await?;
    let mut states = status["cluster"]["nodes"].as_array().context("nodes")?.iter();
    ensure!(states.any(|node| node["node"] == *gone && node["state"] == "unproven"), "{status}");
    assert_eq!(operator.metric("gateway_cluster_nodes").await?, 1.0);

    // A real node would have answered by now, so it is ignored from here on.
    eventually("an answer", true, async || {
        Ok(php.count().await.is_ok_and(|count| count == AnswerValue::Int(1)))
    })
    .await?;
    assert_eq!(operator.get("/readyz").await?.status, 200);
    nodes.nodes[0].server.logs("and does not answer").await?;
    ensure!(operator.metric("gateway_cluster_ignored_total").await? > 0.0);
    ensure!(!playing.is_finished());
    playing.abort();
    php.send_to_all("of today").await?;
    assert_eq!(client.text().await?, "of today");
    Ok(())
}

#[tokio::test]
async fn clocks_may_differ_and_jump() -> anyhow::Result<()> {
    let test = "clocks_may_differ_and_jump";
    let Some(nats) = Nats::start(test).await? else { return Ok(()) };
    let Some(late) = WrongClock::new(test, "-20m")? else { return Ok(()) };
    let Some(jumping) = WrongClock::new(test, "+0")? else { return Ok(()) };
    let time = async |clock: &WrongClock| {
        let mut command = Command::new("date");
        clock.give(command.arg("+%s"));
        anyhow::Ok(String::from_utf8(command.output().await?.stdout)?.trim().parse::<i64>()?)
    };
    ensure!(time(&jumping).await? - time(&late).await? > 19 * 60, "libfaketime does nothing");
    let nodes = [
        start(&nats.url(), |_| {}).await?,
        start(&nats.url(), |command| late.give(command)).await?,
        start(&nats.url(), |command| jumping.give(command)).await?,
    ];
    let mut clients = Vec::new();
    for node in &nodes {
        let client = Client::connect(node.websocket).await?;
        php(node).await?.bind(client.id, "ann").await?;
        clients.push(client);
    }
    for offset in ["+0", "+40d", "-40d", "+0"] {
        jumping.set(offset)?;
        for node in &nodes {
            let mut php = php(node).await?;
            assert_eq!(php.count().await?, AnswerValue::Int(3), "{offset}");
            php.send_to_uid("ann", offset).await?;
            for client in &mut clients {
                assert_eq!(client.text().await?, offset);
            }
        }
        // The nodes' beats go on meanwhile; they do not depend on the time of day.
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_bound_is_reached_from_another_server_of_nats() -> anyhow::Result<()> {
    const PAIRS: usize = 60;
    let test = "what_is_bound_is_reached_from_another_server_of_nats";
    let route = free_port()?;
    let of_first = format!("nats://{route}");
    let flags = ["--cluster_name", "test", "--cluster", &of_first];
    let Some(first) = Nats::start_with(test, &flags).await? else { return Ok(()) };
    let way = Way::to(route).await?;
    way.delay(Duration::from_millis(30));
    let (of_second, to_first) = (format!("nats://{}", free_port()?), format!("nats://{}", way.address));
    let flags = ["--cluster_name", "test", "--cluster", &of_second, "--routes", &to_first];
    let second = Nats::start_with(test, &flags).await?.context("another NATS")?;

    let (one, two) = (start(&first.url(), |_| {}).await?, start(&second.url(), |_| {}).await?);
    let (mut here, mut there) = (php(&one).await?, php(&two).await?);
    let mut client = Client::connect(one.websocket).await?;
    eventually("both are seen", true, async || {
        Ok(there.count().await.is_ok_and(|count| count == AnswerValue::Int(1)))
    })
    .await?;
    for pair in 0..PAIRS {
        let uid = format!("uid {pair}");
        here.bind(client.id, &uid).await?;
        here.acked().await?;
        // PHP pushes by the other node as one that knows that the binding is done, because it was acked.
        there.send_to_uid(&uid, &uid).await?;
        assert_eq!(client.text().await?, uid);
    }

    // A link that stalls holds a binding up for a short time only, and messages that are sent meanwhile arrive later.
    way.stall();
    here.bind(client.id, "while it stood still").await?;
    soon("a bind while the way stands still", here.acked()).await??;
    there.send_to_uid("while it stood still", "late").await?;
    way.open();
    assert_eq!(client.text().await?, "late");
    Ok(())
}

#[tokio::test]
async fn nothing_that_comes_in_the_clear_passes_for_said_behind_tls() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let between = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let said =
                b"INFO {\"server_id\":\"x\",\"max_payload\":1048576,\"tls_required\":true}\r\nPONG\r\n";
            if socket.write_all(said).await.is_err() {
                break;
            }
            tokio::spawn(async move {
                // The connection stays open until the other side closes it.
                let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
            });
        }
    });
    let server = start(&format!("nats://{address}"), |_| {}).await?;
    let error = php(&server).await?.count().await.unwrap_err().to_string();
    ensure!(error.contains("6 bytes came in the clear behind the server's INFO"), "{error}");
    between.abort();
    Ok(())
}
