//! A million messages over a connection that is reset again and again, and a host that vanishes without a word.

use std::hash::{BuildHasher as _, RandomState};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::SinkExt as _;
use gateway_tests::{
    BridgeWorker, Client, Operator, PhpPeer, ResettingProxy, SECRET, Server, eventually, in_own_network,
    new_producer, php, root, soon,
};
use gateway_wire::bridge::{Call, EventKind, Order, Request, WorkerToServer};
use serde_bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;

const MESSAGES: usize = 1_000_000;
const CUTS: usize = 20;
const CLIENTS: usize = 4;

/// PHP sends without a pause, so the server is allowed to keep everything that waits for a client: the test is about the way
/// to the server, not about clients that are too slow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_a_million_messages_comes_once_and_in_order() -> anyhow::Result<()> {
    let seed = match std::env::var("GATEWAY_TEST_SEED") {
        Ok(seed) => seed.parse().context("GATEWAY_TEST_SEED")?,
        Err(_) => RandomState::new().hash_one(CUTS),
    };
    println!("GATEWAY_TEST_SEED={seed}");
    let server = Server::start(&["--outbox-bytes", "100000000", "--ping-interval", "0"]).await?;
    let proxy = ResettingProxy::start(server.register[0], cuts(seed)?).await?;

    let expected = Arc::new(expected());
    let mut ids = String::new();
    let mut readers = Vec::new();
    for _ in 0..CLIENTS {
        let client = Client::connect(server.websocket).await?;
        ids.push_str(&format!("{}\n", client.id));
        readers.push(tokio::spawn(read(client, expected.clone())));
    }

    let started = Instant::now();
    let mut process = php()?
        .arg(root().join("tests/php/numbered.php"))
        .args([proxy.address.to_string(), MESSAGES.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = process.stdin.take().context("PHP's input")?;
    stdin.write_all(ids.as_bytes()).await?;
    drop(stdin);
    for reader in readers {
        reader.await??;
    }
    let output = soon("PHP's end", process.wait_with_output()).await??;
    anyhow::ensure!(output.status.success(), "PHP: {}", output.status);
    // Every cut was made, and the connection after the last one ended without an error.
    proxy.ended().await?;

    let stats: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    println!("{stats} after {:?}", started.elapsed());
    assert_eq!(stats["acked"], MESSAGES + CLIENTS);
    assert_eq!([&stats["queued"], &stats["dropped"]], [0, 0]);
    assert!(stats["resent"].as_u64() > Some(0), "nothing was under way at any of the cuts: {stats}");
    Ok(())
}

/// Checks that the client gets exactly the expected bytes.
async fn read(mut client: Client, expected: Arc<Vec<u8>>) -> anyhow::Result<()> {
    let socket = client.socket.get_mut();
    let mut buffer = vec![0; 1 << 18];
    let mut position = 0;
    while position < expected.len() {
        let length = soon("messages", socket.read(&mut buffer)).await??;
        anyhow::ensure!(length > 0, "the server closed the connection");
        let ahead = &expected[position..];
        if !ahead.starts_with(&buffer[..length]) {
            let at = ahead.iter().zip(&buffer[..length]).take_while(|(one, other)| one == other).count();
            let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
            anyhow::bail!("{:?} instead of {:?}", text(&buffer[at..length]), text(&ahead[at..]));
        }
        position += length;
    }
    Ok(())
}

/// The websocket frames of all messages, as bytes.
fn expected() -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..MESSAGES {
        let digits = number.to_string();
        bytes.extend([0x81, digits.len() as u8]);
        bytes.extend_from_slice(digits.as_bytes());
    }
    bytes
}

/// The distances between cuts. The cuts are at random points of the least that PHP sends: each message once.
fn cuts(seed: u64) -> anyhow::Result<Vec<usize>> {
    // Nine of ten calls are as long as this one or longer.
    let message = Bytes::new(b"100000");
    let order = Order::SendToUids { uids: [Bytes::new(b"u")].into(), message, raw: false };
    let mut call = Vec::new();
    Request { seq: 100_000, call: Call::Order(order) }.encode(&mut call)?;
    let least = (call.len() * (MESSAGES / 10 * 9)) as u64;

    let mut state = seed;
    let mut random = || {
        // These lines are the SplitMix64 generator.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let mut points: Vec<_> = (0..CUTS).map(|_| (random() % least) as usize).collect();
    points.sort_unstable();
    let mut last = 0;
    Ok(points.iter().map(|point| point - std::mem::replace(&mut last, *point)).collect())
}

/// The longest that the server may take to notice: a minute by its timeouts, and more on a busy machine.
const VANISHED: Duration = Duration::from_secs(100);

/// The host is stood for by an address: once it is removed, neither packets nor answers arrive.
#[test]
fn what_a_host_that_vanishes_has_not_got_goes_to_another_within_a_minute() -> anyhow::Result<()> {
    let test = "what_a_host_that_vanishes_has_not_got_goes_to_another_within_a_minute";
    in_own_network(test, async || {
        ip("add").await?;
        let mut server = Server::start_with(|command| {
            command
                .args(["--register", "127.0.0.1:0,10.78.0.1:0", "--operations", "127.0.0.1:0"])
                .args(["--shards", "1"])
                .env("GATEWAY_SECRET_KEY", SECRET)
                .env("GATEWAY_OPERATIONS_TOKEN", "t0ken");
        })
        .await?;
        let operator = Operator::of(&server)?.with_token("t0ken");
        let [here, there] = server.register[..] else { anyhow::bail!("two ports") };
        let mut far = BridgeWorker::connect_as(there, SECRET.as_bytes()).await?;
        far.say(&WorkerToServer::Join { name: "far", moves: false }).await?;
        server.logs("a worker joined").await?;
        // No bytes are under way to this connection, so the kernel has to ask by itself whether its host is still there.
        let _idle = PhpPeer::connect_as(there, new_producer(), SECRET.as_bytes()).await?;
        let mut client = Client::shake_hands(server.websocket, "/", &[]).await?;
        assert_eq!(far.told().await?.1, EventKind::Connect);
        let mut near = BridgeWorker::connect_as(here, SECRET.as_bytes()).await?;
        near.say(&WorkerToServer::Join { name: "near", moves: false }).await?;
        server.logs("a worker joined").await?;

        ip("del").await?;
        soon("sending", client.send(Message::text("is anybody there?"))).await??;
        let told = async {
            loop {
                let (_, kind, _, body) = near.told_of().await?;
                if kind == EventKind::Message {
                    return anyhow::Ok(body);
                }
            }
        };
        assert_eq!(tokio::time::timeout(VANISHED, told).await??, b"is anybody there?");
        eventually("connections of PHP", 1.0, async || operator.metric("gateway_php_connections").await).await
    })
}

async fn ip(word: &str) -> anyhow::Result<()> {
    let done = Command::new("ip").args(["address", word, "10.78.0.1/32", "dev", "lo"]).status();
    anyhow::ensure!(soon("ip", done).await??.success(), "ip address {word}");
    Ok(())
}
