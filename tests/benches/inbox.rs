//! Messages for users who are not there: how many a second are on disk before PHP hears so, after what time it hears, what those that
//! wait take in memory, and how soon a login has them. Redis with `appendfsync always`, where it is installed, does the same writes, and
//! from PHP Yii's queue on it, where YII2_QUEUE_PATH and YII2_REDIS_PATH name the sources of yiisoft/yii2-queue and yiisoft/yii2-redis.
//!
//! `make bench-inbox` runs it. `INBOX_BENCH_DIR` names the folder of the files, on the disk that is to be measured.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::future::try_join_all;
use gateway_tests::{
    Client, PhpPeer, ResumingPage, Server, extension, free_port, php_of_the_machine, root, skip,
};
use gateway_wire::bridge::{Call, Order, Reply, Request, kind};
use serde_bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// How long each rate is measured.
const TIME: Duration = Duration::from_secs(5);
/// The producers, and how many messages each has under way at most.
const LOADS: [(usize, usize); 5] = [(1, 1), (16, 1), (64, 1), (4, 256), (16, 256)];
const PAYLOAD: usize = 200;
/// The uids over which messages are spread, so that no inbox is full.
const UIDS: u64 = 100_000;
/// The messages that wait when the memory is looked at, and those of one uid when its login is measured.
const WAITING: u64 = 1_000_000;
const OF_ONE: u64 = 100;
/// The clients whose memory is looked at.
const CLIENTS: usize = 8000;

#[derive(Default)]
struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = match std::env::var_os("INBOX_BENCH_DIR") {
        Some(folder) => tempfile::tempdir_in(PathBuf::from(folder))?,
        None => tempfile::tempdir()?,
    };
    let redis = Redis::start(folder.path()).await?;
    if redis.is_none() {
        println!("redis-server is not installed: the store alone");
    }
    println!(
        "{:<10}{:>10}{:>14}{:>14}{:>10}{:>10}{:>8}",
        "producers", "under way", "writer", "messages/s", "p50 ms", "p99 ms", "ratio"
    );
    for (producers, window) in LOADS {
        let server = start(&folder.path().join(format!("store-{producers}-{window}"))).await?;
        let ours =
            load(producers, window, async |number| Ours::new(server.register[0], number).await).await?;
        print_row(producers, window, "deliverToUid", &ours, None);
        if let Some(redis) = &redis {
            let address = redis.address;
            let theirs = load(producers, window, async |_| Theirs::new(address).await).await?;
            print_row(producers, window, "redis RPUSH", &theirs, Some(ours.rate / theirs.rate));
        }
    }
    from_php(folder.path(), redis.as_ref()).await?;
    bound_clients(folder.path()).await?;
    memory_and_login(folder.path()).await
}

/// The processes of PHP that write at once, and how many messages each of them writes.
const PHP_LOADS: [(usize, usize); 2] = [(1, 1000), (8, 250)];

/// Measures messages that PHP itself writes, beside jobs that it pushes to Yii's queue.
async fn from_php(folder: &Path, redis: Option<&Redis>) -> anyhow::Result<()> {
    if let Err(missing) = extension() {
        skip("messages from PHP", &missing.to_string());
        return Ok(());
    }
    let queue = ["YII2_PATH", "YII2_QUEUE_PATH", "YII2_REDIS_PATH"];
    let missing = queue.into_iter().find(|name| std::env::var_os(name).is_none_or(|path| path.is_empty()));
    if let Some(name) = missing {
        skip("Yii's queue", &format!("{name} names no sources"));
    }
    println!("\n{:<14}{:>32}{:>14}{:>10}{:>10}", "PHP processes", "call", "messages/s", "p50 ms", "p99 ms");
    for (processes, calls) in PHP_LOADS {
        let server = start(&folder.join(format!("store-php-{processes}"))).await?;
        let register = server.register[0];
        let mut sides = vec![
            ("deliver", "deliverToUid", register),
            ("deliver-receipt", "deliverToUid and receipt", register),
        ];
        if let (Some(redis), None) = (redis, missing) {
            sides.push(("queue", "Yii's queue on redis, push", redis.address));
        }
        for (what, name, address) in sides {
            let all = (0..processes).map(|_| php_writes(what, address, calls));
            let all = try_join_all(all).await?;
            let mean = |of: fn(&Figures) -> f64| all.iter().map(of).sum::<f64>() / processes as f64;
            let (rate, p50, p99) =
                (mean(|one| one.rate) * processes as f64, mean(|one| one.p50), mean(|one| one.p99));
            println!("{processes:<14}{name:>32}{rate:>14.0}{p50:>10.3}{p99:>10.3}");
        }
    }
    Ok(())
}

/// Has a process of PHP write messages one after the other, and gives what it says of that.
async fn php_writes(what: &str, address: SocketAddr, calls: usize) -> anyhow::Result<Figures> {
    let output = Command::from(php_of_the_machine()?)
        .arg(root().join("tests/php/bench_queue.php"))
        .args([what, &address.to_string(), &calls.to_string()])
        .kill_on_drop(true)
        .output()
        .await?;
    let said: serde_json::Value =
        serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
    let number = |name: &str| said[name].as_f64().with_context(|| format!("{name} in {said}"));
    Ok(Figures { rate: number("rate")?, p50: number("p50")? / 1e3, p99: number("p99")? / 1e3 })
}

/// Measures what a client that is bound to a uid takes in memory, without a store and with one.
async fn bound_clients(folder: &Path) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    for store in [None, Some(folder.join("store-clients"))] {
        let server = match &store {
            None => Server::start(&[]).await?,
            Some(store) => start(store).await?,
        };
        let mut php = PhpPeer::connect(server.register[0]).await?;
        let before = server.memory()?;
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let client = Client::connect(server.websocket).await?;
            php.bind(client.id, &format!("user-{number}")).await?;
            clients.push(client);
        }
        php.acked().await?;
        // The store has heard of all of them once it has done what comes behind them.
        deliver(&mut php, "nobody", "last").await?;
        if store.is_some() {
            php.acked().await?;
        }
        bytes.push((server.memory()? - before) as f64 / CLIENTS as f64);
    }
    println!(
        "\na bound client takes {:.0} bytes, with a store {:.0} ({:.2} times as many)",
        bytes[0],
        bytes[1],
        bytes[1] / bytes[0]
    );
    Ok(())
}

fn print_row(producers: usize, window: usize, what: &str, figures: &Figures, ratio: Option<f64>) {
    let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    let Figures { rate, p50, p99 } = figures;
    println!("{producers:<10}{window:>10}{what:>14}{rate:>14.0}{p50:>10.2}{p99:>10.2}{ratio:>8}");
}

async fn start(store: &Path) -> anyhow::Result<Server> {
    Server::start(&["--store", store.to_str().context("the folder's name")?]).await
}

/// Somebody who writes messages and hears when each is on disk.
trait Producer {
    /// Sends the message with this number.
    async fn send(&mut self, number: u64) -> anyhow::Result<()>;

    /// Waits for news, and gives how many messages are on disk altogether.
    async fn confirmed(&mut self) -> anyhow::Result<u64>;
}

/// Measures producers that all write at once, each with so many messages under way.
async fn load<P: Producer>(
    producers: usize,
    window: usize,
    make: impl AsyncFn(u64) -> anyhow::Result<P>,
) -> anyhow::Result<Figures> {
    let mut all = Vec::new();
    for number in 0..producers {
        all.push(make(number as u64).await?);
    }
    let begin = Instant::now();
    let parts = try_join_all(all.into_iter().map(async |mut producer| {
        let (mut sent, mut done) = (Vec::<Instant>::new(), 0);
        let mut times = Vec::new();
        while begin.elapsed() < TIME || done < sent.len() {
            while begin.elapsed() < TIME && sent.len() - done < window {
                producer.send(sent.len() as u64).await?;
                sent.push(Instant::now());
            }
            let confirmed = usize::try_from(producer.confirmed().await?)?;
            let now = Instant::now();
            times.extend(sent[done..confirmed].iter().map(|at| (now - *at).as_secs_f64() * 1000.0));
            done = confirmed;
        }
        anyhow::Ok(times)
    }))
    .await?;
    let seconds = begin.elapsed().as_secs_f64();
    let mut times = parts.concat();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Ok(Figures { rate: times.len() as f64 / seconds, p50: at(0.5), p99: at(0.99) })
}

struct Ours {
    php: PhpPeer,
    number: u64,
}

impl Ours {
    async fn new(register: SocketAddr, number: u64) -> anyhow::Result<Self> {
        Ok(Self { php: PhpPeer::connect(register).await?, number })
    }
}

impl Producer for Ours {
    async fn send(&mut self, number: u64) -> anyhow::Result<()> {
        let uid = format!("user-{}", (self.number * 7919 + number) % UIDS);
        deliver(&mut self.php, &uid, &format!("{}-{number}", self.number)).await
    }

    async fn confirmed(&mut self) -> anyhow::Result<u64> {
        match self.php.reply().await? {
            Reply::Ack { seq } => Ok(seq),
            other => bail!("{other:?} instead of an ack"),
        }
    }
}

async fn deliver(php: &mut PhpPeer, uid: &str, id: &str) -> anyhow::Result<()> {
    let message = [b'x'; PAYLOAD];
    php.order(Order::Deliver {
        uid: Bytes::new(uid.as_bytes()),
        id: Bytes::new(id.as_bytes()),
        message: Bytes::new(&message),
        ttl: 86_400,
        replace: None,
        for_new_devices: false,
        kind: kind::USUAL,
    })
    .await
    .map(drop)
}

struct Redis {
    address: SocketAddr,
    _process: Child,
}

impl Redis {
    async fn start(folder: &Path) -> anyhow::Result<Option<Self>> {
        let address = free_port()?;
        let port = address.port().to_string();
        let arguments = [
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--save",
            "",
        ];
        let process = Command::new("redis-server")
            .args(arguments)
            .current_dir(folder)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(process) = process else { return Ok(None) };
        let begin = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            anyhow::ensure!(begin.elapsed() < Duration::from_secs(10), "redis does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Some(Self { address, _process: process }))
    }
}

struct Theirs {
    socket: TcpStream,
    done: u64,
}

impl Theirs {
    async fn new(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, done: 0 })
    }
}

impl Producer for Theirs {
    async fn send(&mut self, number: u64) -> anyhow::Result<()> {
        let key = format!("inbox:user-{}", number % UIDS);
        let message = "x".repeat(PAYLOAD);
        let command = format!("*3\r\n$5\r\nRPUSH\r\n${}\r\n{key}\r\n${PAYLOAD}\r\n{message}\r\n", key.len());
        Ok(self.socket.write_all(command.as_bytes()).await?)
    }

    async fn confirmed(&mut self) -> anyhow::Result<u64> {
        let mut answers = [0; 4096];
        let length = self.socket.read(&mut answers).await?;
        anyhow::ensure!(length > 0, "redis has closed the connection");
        self.done += answers[..length].iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(self.done)
    }
}

/// Measures what messages that wait take in memory, and how long a login takes until its page has handled all of its own.
async fn memory_and_login(folder: &Path) -> anyhow::Result<()> {
    let server = start(&folder.join("store-full")).await?;
    let before = server.memory()?;
    let producers = 16;
    try_join_all((0..producers).map(async |producer| {
        let mut php = PhpPeer::connect(server.register[0]).await?;
        let mut bytes = Vec::new();
        for number in (producer..WAITING).step_by(producers as usize) {
            let (uid, id) = (format!("user-{}", number / OF_ONE), format!("{number}"));
            php.seq += 1;
            let order = Order::Deliver {
                uid: Bytes::new(uid.as_bytes()),
                id: Bytes::new(id.as_bytes()),
                message: Bytes::new(&[b'x'; PAYLOAD]),
                ttl: 86_400,
                replace: None,
                for_new_devices: false,
                kind: kind::USUAL,
            };
            Request { seq: php.seq, call: Call::Order(order) }.encode(&mut bytes)?;
            if bytes.len() > 32 << 10 {
                php.write(&bytes).await?;
                bytes.clear();
                php.acked().await?;
            }
        }
        php.write(&bytes).await?;
        php.acked().await
    }))
    .await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let after = server.memory()?;
    println!(
        "\n{WAITING} waiting messages: {:.1} MiB more memory",
        (after as f64 - before as f64) / 1048576.0
    );
    let mut times = Vec::new();
    for uid in 0..200 {
        let mut page = ResumingPage::default();
        let tcp = TcpStream::connect(server.websocket).await?;
        page.over(tcp, "/?device=phone", &[]).await?;
        let begin = Instant::now();
        php.bind(page.id()?, &format!("user-{uid}")).await?;
        for _ in 0..OF_ONE {
            page.handle().await?;
        }
        times.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "a login with {OF_ONE} waiting, until its page has acknowledged all: p50 {:.2} ms, p99 {:.2} ms",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
    Ok(())
}
