//! The inbox of a cluster, in JetStream: whatever node a message is delivered at, and wherever its devices are, each has it once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use gateway_tests::{
    FromInbox, IN_JETSTREAM, Nats, Node, Nodes, Operator, PATIENCE, PhpPeer, ResumingPage, SECRET, Server,
    WebhookReceiver, WebhookRequest, eventually, field, free_port, list, new_producer, server_binary, soon,
};
use gateway_wire::bridge::{AnswerValue, Order, Query};
use nix::sys::signal::Signal;
use serde_bytes::Bytes;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::sync::RwLock;

/// Numbers that were delivered in the test of failures.
const NUMBERS: usize = 240;

fn bytes(text: &str) -> &Bytes {
    Bytes::new(text.as_bytes())
}

/// A file with the token of operators.
fn token() -> anyhow::Result<NamedTempFile> {
    let file = NamedTempFile::new()?;
    std::fs::write(&file, "operators\n")?;
    Ok(file)
}

/// The flags of a server that operators may ask.
fn operated(token: &NamedTempFile) -> anyhow::Result<[&str; 4]> {
    let path = token.path().to_str().context("a path in UTF-8")?;
    Ok(["--operations", "127.0.0.1:0", "--operations-token-file", path])
}

fn operator(node: &Node) -> anyhow::Result<Operator> {
    Ok(Operator::of(&node.server)?.with_token("operators"))
}

/// A page of a device that is bound to a uid, at a node.
async fn page(node: &Node, php: &mut PhpPeer, device: &str, uid: &str) -> anyhow::Result<ResumingPage> {
    let page = ResumingPage::of_device(node.server.websocket, device).await?;
    php.bind(page.id()?, uid).await?;
    Ok(page)
}

/// The number of messages that wait for all devices of a uid.
async fn waiting(php: &mut PhpPeer, uid: &str) -> anyhow::Result<i64> {
    let inbox = php.ask(Query::InboxOf { uid: bytes(uid) }).await?;
    let waiting = list(field(&inbox, "devices")).iter().map(|device| match field(device, "waiting") {
        AnswerValue::Int(count) => *count,
        _ => 0,
    });
    Ok(waiting.sum())
}

#[tokio::test]
async fn what_is_delivered_at_one_node_reaches_devices_at_others() -> anyhow::Result<()> {
    const TEST: &str = "what_is_delivered_at_one_node_reaches_devices_at_others";
    let token = token()?;
    let flags = operated(&token)?;
    let Some(nodes) = Nodes::start_with_inbox(TEST, 3, &flags).await? else { return Ok(()) };
    let [mut first, mut second, mut third] = [nodes.php(0).await?, nodes.php(1).await?, nodes.php(2).await?];
    // Nobody has ever been there.
    first.deliver("ann", "m1", "one").await?;
    first.acked().await?;
    let mut phone = page(&nodes.nodes[1], &mut second, "phone", "ann").await?;
    assert!(matches!(phone.inbox().await?, FromInbox::Message { is_new: false, id, message, .. }
        if id == "m1" && message == "one"));
    let mut laptop = page(&nodes.nodes[2], &mut third, "laptop", "ann").await?;
    assert_eq!(laptop.handle().await?, "one");
    for (php, id) in [(&mut first, "m2"), (&mut second, "m3"), (&mut third, "m4")] {
        php.deliver("ann", id, id).await?;
        php.acked().await?;
    }
    // The same id is the same message, whichever node it comes to.
    first.deliver("ann", "m3", "again").await?;
    first.acked().await?;
    for id in ["m2", "m3", "m4"] {
        assert!(
            matches!(phone.inbox().await?, FromInbox::Message { is_new: true, id: found, .. } if found == id)
        );
        assert_eq!(laptop.handle().await?, id);
    }
    // A third node knows what has become of it.
    eventually("the devices that have m4", vec![("laptop", true), ("phone", false)], async || {
        let receipt = first.ask(Query::Receipt { id: bytes("m4") }).await?;
        let devices = list(&receipt).iter().flat_map(|of_uid| list(field(of_uid, "devices")));
        let mut devices: Vec<_> = devices
            .map(|device| {
                let is_received = matches!(field(device, "received"), AnswerValue::Int(_));
                let is_laptop = *field(device, "device") == AnswerValue::Str(b"laptop".to_vec());
                (if is_laptop { "laptop" } else { "phone" }, is_received)
            })
            .collect();
        devices.sort_unstable();
        Ok(devices)
    })
    .await?;
    assert_eq!(waiting(&mut first, "ann").await?, 4);
    // The phone has acknowledged nothing, and comes to another node.
    drop(phone);
    let mut phone = page(&nodes.nodes[0], &mut first, "phone", "ann").await?;
    for message in ["one", "m2", "m3", "m4"] {
        assert_eq!(phone.handle().await?, message);
    }
    eventually("what waits", 0, async || waiting(&mut second, "ann").await).await?;
    let operator = operator(&nodes.nodes[1])?;
    let listed = operator.get("/inbox").await?.body;
    assert!(!listed.contains("ann"), "{listed}");

    third.order(Order::Forget { uid: bytes("ann") }).await?;
    third.acked().await?;
    first.deliver("ann", "m1", "anew").await?;
    first.acked().await?;
    for page in [&mut phone, &mut laptop] {
        assert_eq!(page.handle().await?, "anew");
    }
    Ok(())
}

/// A device whose page goes to another node when it loses one, and keeps the note that gateway.js keeps.
struct Device<'n> {
    nodes: &'n RwLock<Nodes>,
    page: Option<ResumingPage>,
    place: usize,
    /// The greatest position that was handled, of each epoch.
    note: HashMap<u64, u64>,
    numbers: Vec<usize>,
}

impl Device<'_> {
    /// Handles the next message. Any failure makes the page go elsewhere.
    async fn step(&mut self) -> anyhow::Result<()> {
        let page = match &mut self.page {
            Some(page) => page,
            none => {
                self.place += 1;
                let nodes = self.nodes.read().await;
                let place = self.place % nodes.nodes.len();
                let mut php = nodes.php(place).await?;
                none.insert(page(&nodes.nodes[place], &mut php, "phone", "bob").await?)
            }
        };
        let FromInbox::Message { is_new, at, message, .. } = page.inbox().await? else {
            bail!("something is lost");
        };
        let note = self.note.entry(at.epoch).or_default();
        if is_new || at.seq > *note {
            self.numbers.push(message.parse()?);
        }
        *note = at.seq.max(*note);
        page.say_counted(at.got()).await
    }
}

/// Delivers numbers one after the other, each at another node, and again until one has kept it.
async fn deliver(nodes: &RwLock<Nodes>, progress: &Progress) -> anyhow::Result<()> {
    for number in 0..NUMBERS {
        let start = Instant::now();
        let mut place = number;
        let (id, message) = (format!("n{number}"), number.to_string());
        loop {
            place += 1;
            let delivered = async {
                let mut php = {
                    let nodes = nodes.read().await;
                    nodes.php(place % nodes.nodes.len()).await?
                };
                php.deliver("bob", &id, &message).await?;
                php.acked().await
            };
            match delivered.await {
                Ok(()) => break,
                Err(error) => ensure!(start.elapsed() < PATIENCE * 2, "{number} is not kept: {error:#}"),
            }
            progress.refused.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
        progress.kept.store(number + 1, Ordering::SeqCst);
    }
    Ok(())
}

/// What a test of failures knows of the numbers that are delivered meanwhile.
#[derive(Default)]
struct Progress {
    kept: AtomicUsize,
    refused: AtomicUsize,
}

/// Waits until a count of numbers has come so far.
async fn until(counter: &AtomicUsize, count: usize) -> anyhow::Result<()> {
    let begin = Instant::now();
    while counter.load(Ordering::SeqCst) < count {
        ensure!(begin.elapsed() < PATIENCE * 2, "the numbers come to no end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Delivers numbers while things fail, and sees each come once and in order.
async fn numbers_come_in_order(
    nodes: &RwLock<Nodes>,
    progress: &Progress,
    faults: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let mut device = Device { nodes, page: None, place: 0, note: HashMap::new(), numbers: Vec::new() };
    let handled = async {
        let begin = Instant::now();
        while device.numbers.len() < NUMBERS {
            if tokio::time::timeout(PATIENCE / 3, device.step()).await.ok().and_then(Result::ok).is_none() {
                device.page = None;
            }
            ensure!(begin.elapsed() < PATIENCE * 6, "{:?} of {NUMBERS}", device.numbers.len());
        }
        Ok(())
    };
    tokio::try_join!(deliver(nodes, progress), faults, handled)?;
    assert_eq!(device.numbers, (0..NUMBERS).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_number_comes_once_and_in_order_whatever_fails() -> anyhow::Result<()> {
    const TEST: &str = "each_number_comes_once_and_in_order_whatever_fails";
    let Some(nodes) = Nodes::start_with_inbox(TEST, 3, &["--resume-seconds", "0"]).await? else {
        return Ok(());
    };
    let (nodes, progress) = (RwLock::new(nodes), Progress::default());
    let Progress { kept, refused } = &progress;
    let faults = async {
        for place in 0..3 {
            until(kept, 20 + 20 * place).await?;
            let mut nodes = nodes.write().await;
            nodes.nodes[place].server.signal(Signal::SIGKILL)?;
            nodes.nodes[place].server.exit().await?;
            nodes.replace(place).await?;
        }
        until(kept, 80).await?;
        // Whoever delivers while NATS hangs is refused in the end.
        nodes.read().await.nats.signal(Signal::SIGSTOP)?;
        until(refused, refused.load(Ordering::SeqCst) + 3).await?;
        nodes.read().await.nats.signal(Signal::SIGCONT)?;
        for count in [120, 160, 200] {
            until(kept, count).await?;
            let mut nodes = nodes.write().await;
            nodes.nats.kill().await?;
            nodes.nats.restart().await?;
        }
        Ok(())
    };
    numbers_come_in_order(&nodes, &progress, faults).await
}

/// The addresses by which three servers of one NATS find each other.
fn routes() -> anyhow::Result<[String; 3]> {
    Ok([free_port()?, free_port()?, free_port()?].map(|route| format!("nats://{route}")))
}

/// Starts one of the three.
async fn one_of_three(test: &str, number: usize, routes: &[String; 3]) -> anyhow::Result<Option<Nats>> {
    let (name, all) = (format!("n{number}"), routes.join(","));
    let flags = ["-n", &name, "--cluster_name", "test", "--cluster", &routes[number], "--routes", &all];
    Nats::start_jetstream_with(test, &flags).await
}

#[tokio::test]
async fn a_server_waits_for_a_nats_of_which_a_part_is_still_to_come() -> anyhow::Result<()> {
    const TEST: &str = "a_server_waits_for_a_nats_of_which_a_part_is_still_to_come";
    let routes = routes()?;
    let Some(first) = one_of_three(TEST, 0, &routes).await? else { return Ok(()) };
    let Some(_second) = one_of_three(TEST, 1, &routes).await? else { return Ok(()) };
    let url = first.url();
    let start = |replicas: &'static str, cluster: &'static str| {
        Server::start_with(|command| {
            command.args(["--store", "jetstream", "--store-replicas", replicas, "--cluster-nats", &url]);
            // Each server of NATS has room for both.
            command.args(["--cluster-name", cluster, "--store-bytes", "64000000"]);
            command.env("GATEWAY_SECRET_KEY", SECRET);
        })
    };
    // Another store tells that the two can keep one.
    drop(start("1", "other").await?);
    let (server, third) = tokio::join!(start("3", "gateway"), one_of_three(TEST, 2, &routes));
    let (server, _third) = (server?, third?);
    let mut php = PhpPeer::connect_as(server.register[0], new_producer(), SECRET.as_bytes()).await?;
    php.deliver("ann", "m1", "one").await?;
    php.acked().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_of_three_servers_may_lose_any_of_them() -> anyhow::Result<()> {
    const TEST: &str = "a_nats_of_three_servers_may_lose_any_of_them";
    let routes = routes()?;
    let mut servers = Vec::new();
    for number in 0..3 {
        let Some(server) = one_of_three(TEST, number, &routes).await? else { return Ok(()) };
        servers.push(server);
    }
    let urls: Vec<_> = servers.iter().map(Nats::url).collect();
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    // Each node has one of the servers first, and knows of all.
    let urls = urls.join(",");
    let flags = ["--store-replicas", "3", "--cluster-nats", &urls, "--resume-seconds", "0"];
    let mut nodes = Nodes::over(servers.remove(0), 0, &[&IN_JETSTREAM[..], &flags].concat()).await?;
    for address in addresses {
        nodes.add_by(address).await?;
    }
    let (nodes, progress) = (RwLock::new(nodes), Progress::default());
    let faults = async {
        for lost in 0..3 {
            until(&progress.kept, 40 + 60 * lost).await?;
            match lost {
                0 => nodes.write().await.nats.kill().await?,
                _ => servers[lost - 1].kill().await?,
            }
            // The two others go on.
            until(&progress.kept, 70 + 60 * lost).await?;
            match lost {
                0 => nodes.write().await.nats.restart().await?,
                _ => servers[lost - 1].restart().await?,
            }
        }
        Ok(())
    };
    numbers_come_in_order(&nodes, &progress, faults).await
}

#[tokio::test]
async fn a_jetstream_that_does_not_answer_refuses_and_comes_back() -> anyhow::Result<()> {
    const TEST: &str = "a_jetstream_that_does_not_answer_refuses_and_comes_back";
    let token = token()?;
    let flags = operated(&token)?;
    let Some(mut nodes) = Nodes::start_with_inbox(TEST, 2, &flags).await? else { return Ok(()) };
    let mut php = nodes.php(0).await?;
    php.deliver("ann", "m1", "one").await?;
    php.acked().await?;
    let operator = operator(&nodes.nodes[0])?;
    nodes.nats.kill().await?;
    php.deliver("ann", "m2", "two").await?;
    let refused = php.acked().await.err().context("it was kept by nobody")?.to_string();
    assert!(refused.contains("deliver it again with the same id"), "{refused}");
    assert_eq!(operator.get("/readyz").await?.status, 503);
    nodes.nats.restart().await?;
    eventually("readiness", 200, async || Ok(operator.get("/readyz").await?.status)).await?;
    php.deliver("ann", "m2", "two").await?;
    php.acked().await?;
    let mut other = nodes.php(1).await?;
    let mut page = page(&nodes.nodes[1], &mut other, "phone", "ann").await?;
    assert_eq!((page.handle().await?, page.handle().await?), ("one".into(), "two".into()));
    Ok(())
}

#[tokio::test]
async fn a_server_starts_only_with_a_jetstream_that_it_can_use() -> anyhow::Result<()> {
    const TEST: &str = "a_server_starts_only_with_a_jetstream_that_it_can_use";
    let Some(plain) = Nats::start(TEST).await? else { return Ok(()) };
    let run = async |flags: &[&str]| {
        let mut command = tokio::process::Command::new(server_binary()?);
        command.args(["--websocket", "127.0.0.1:0", "--register", "127.0.0.1:0"]).args(flags);
        let output =
            soon("the end", command.env("GATEWAY_SECRET_KEY", SECRET).kill_on_drop(true).output()).await??;
        ensure!(!output.status.success(), "it has served");
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let said = run(&["--store", "jetstream", "--cluster-nats", &plain.url()]).await?;
    assert!(said.contains("JetStream is off") || said.contains("2.10.0 or newer"), "{said}");
    let said = run(&["--store", "jetstream"]).await?;
    assert!(said.contains("set cluster_nats"), "{said}");
    let said = run(&["--store", "/tmp/inbox", "--cluster-nats", &plain.url()]).await?;
    assert!(said.contains("set it to \"jetstream\""), "{said}");
    Ok(())
}

#[tokio::test]
async fn an_upgrade_loses_and_doubles_nothing() -> anyhow::Result<()> {
    const TEST: &str = "an_upgrade_loses_and_doubles_nothing";
    let token = token()?;
    let flags = operated(&token)?;
    let Some(mut nodes) = Nodes::start_with_inbox(TEST, 2, &flags).await? else { return Ok(()) };
    let (mut php, mut other) = (nodes.php(0).await?, nodes.php(1).await?);
    let mut page = page(&nodes.nodes[0], &mut php, "phone", "ann").await?;
    other.deliver("ann", "m1", "one").await?;
    other.acked().await?;
    assert_eq!(page.handle().await?, "one");
    let operator = operator(&nodes.nodes[0])?;
    let server = &mut nodes.nodes[0].server;
    let delivered = async {
        for number in 0..50 {
            other.deliver("ann", &format!("n{number}"), &number.to_string()).await?;
            other.acked().await?;
        }
        anyhow::Ok(())
    };
    let (upgraded, delivered) = tokio::join!(server.upgrade_by(&operator), delivered);
    upgraded?;
    delivered?;
    // What was sent and not acknowledged comes again, which pages tell by its position.
    let (mut last, mut numbers) = (0, Vec::new());
    while numbers.len() < 50 {
        let FromInbox::Message { at, message, .. } = page.inbox().await? else { bail!("something is lost") };
        if at.seq > last {
            numbers.push(message.parse::<usize>()?);
        }
        last = at.seq.max(last);
        page.say_counted(at.got()).await?;
    }
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    let mut php =
        PhpPeer::connect_as(nodes.nodes[0].server.register[0], new_producer(), SECRET.as_bytes()).await?;
    eventually("what waits", 0, async || waiting(&mut php, "ann").await).await
}

/// What a webhook was told, each as the id of the message and what has become of it.
fn told(request: &WebhookRequest) -> anyhow::Result<Vec<String>> {
    let body: Value = serde_json::from_slice(&request.body)?;
    let all = |name: &str| body["data"][name].as_array().cloned().unwrap_or_default();
    let receipts = all("receipts").into_iter().map(|one| format!("{} {}", one["id"], one["event"]));
    let undelivered = all("undelivered").into_iter().map(|one| format!("{} undelivered", one["id"]));
    Ok(receipts.chain(undelivered).map(|line| line.replace('"', "")).collect())
}

/// Several nodes note what becomes of messages, and one at a time tells it.
#[tokio::test]
async fn the_application_is_told_once_whichever_nodes_are_there() -> anyhow::Result<()> {
    const TEST: &str = "the_application_is_told_once_whichever_nodes_are_there";
    let mut receiver = WebhookReceiver::start().await?;
    let secret = NamedTempFile::new()?;
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")?;
    let path = secret.path().to_str().context("a path in UTF-8")?;
    let url = format!("http://{}/", receiver.address);
    let flags =
        ["--receipts", "--undelivered-seconds", "1", "--webhook-url", &url, "--webhook-secret-file", path];
    let Some(mut nodes) = Nodes::start_with_inbox(TEST, 3, &flags).await? else { return Ok(()) };
    let (mut first, mut second) = (nodes.php(0).await?, nodes.php(1).await?);
    let mut phone = page(&nodes.nodes[1], &mut second, "phone", "ann").await?;
    let mut lines = Vec::new();
    for number in 0..20 {
        first.deliver("ann", &format!("m{number}"), "x").await?;
        phone.handle().await?;
    }
    second.deliver("ben", "late", "nobody is there").await?;
    while lines.len() < 21 {
        lines.extend(told(&receiver.request().await?)?);
    }
    lines.sort();
    let mut expected: Vec<_> = (0..20).map(|number| format!("m{number} received")).collect();
    expected.push("late undelivered".to_owned());
    expected.sort();
    assert_eq!(lines, expected);

    // Whoever has told until now is among those that are killed, or is the one that is left.
    for place in [0, 2] {
        nodes.nodes[place].server.signal(Signal::SIGKILL)?;
        nodes.nodes[place].server.exit().await?;
    }
    second.deliver("ann", "last", "x").await?;
    phone.handle().await?;
    second.deliver("ben", "later", "nobody is there").await?;
    let mut lines = Vec::new();
    while lines.len() < 2 {
        let request = receiver.request().await.context("nobody tells any more")?;
        // What a node was telling when it was killed comes again.
        lines.extend(
            told(&request)?.into_iter().filter(|line| line.starts_with("last") || line.starts_with("later")),
        );
    }
    lines.sort();
    assert_eq!(lines, ["last received", "later undelivered"]);
    Ok(())
}
