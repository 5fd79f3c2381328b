//! Servers, PHP processes and pages are killed at random while messages are delivered: each device has each message once and in order,
//! but for those that a page handled and died before it noted that.
//!
//! `INBOX_MESSAGES`, `INBOX_UIDS` and `INBOX_KILLS` make it larger.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use gateway_tests::{FromInbox, PhpPeer, ResendingPhp, ResumingPage, Server, new_producer, store_folder};
use gateway_wire::bridge::{Order, Reply, kind};
use gateway_wire::client_protocol::InboxPosition;
use gateway_wire::token::{Claims, TokenKey};
use nix::sys::signal::Signal;
use serde_bytes::Bytes;
use tokio::net::TcpStream;

const KEY: &str = "a key for the tokens of pages";
/// The time for everything on a machine that is busy, for each 60 who are killed.
const LIMIT: Duration = Duration::from_secs(180);
/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(5);

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Gives a random number below the end.
fn below(end: u64) -> u64 {
    getrandom::u64().map_or(0, |number| number % end)
}

/// Where the server listens, whichever process it is.
#[derive(Clone, Copy)]
struct Ports {
    websocket: SocketAddr,
    register: SocketAddr,
}

async fn start(store: &Path, ports: Option<Ports>) -> anyhow::Result<(Server, Ports)> {
    let server = Server::start_with(|command| {
        command.arg("--store").arg(store).args(["--shards", "2"]).env("GATEWAY_TOKEN_KEY", KEY);
        if let Some(Ports { websocket, register }) = ports {
            command.args(["--websocket", &websocket.to_string(), "--register", &register.to_string()]);
        }
    })
    .await?;
    let ports = Ports { websocket: server.websocket, register: server.register[0] };
    Ok((server, ports))
}

/// What a device has on its disk, and what its pages have done.
#[derive(Default)]
struct Device {
    note: HashMap<u64, u64>,
    handled: Vec<usize>,
    /// The messages that a page has handled and not noted when it died.
    unnoted: Vec<usize>,
}

/// The course that all take part in.
struct Course {
    ports: Ports,
    messages: usize,
    /// How many pages and PHP processes are still to be killed.
    kills: AtomicUsize,
    begun: AtomicUsize,
    is_over: AtomicBool,
}

impl Course {
    /// Says whether somebody is killed now, one time in so many.
    fn strikes(&self, one_in: u32) -> bool {
        if self.kills.load(Ordering::Relaxed) == 0 || below(one_in.into()) > 0 {
            return false;
        }
        self.kills.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// A PHP process, and those that come after it was killed: together they deliver each message of a uid in order. Each is delivered again
/// until it is confirmed.
async fn php(course: &Course, uids: Vec<usize>) -> anyhow::Result<()> {
    let mut php = None;
    for message in 0..course.messages {
        let mut is_first = true;
        'again: loop {
            if !std::mem::take(&mut is_first) {
                tokio::time::sleep(PAUSE).await;
            }
            let peer = match &mut php {
                Some(peer) => peer,
                None => match PhpPeer::connect_as(course.ports.register, new_producer(), b"").await {
                    Ok(peer) => php.insert(peer),
                    Err(_) => continue,
                },
            };
            for uid in &uids {
                if deliver(peer, *uid, message).await.is_err() {
                    php = None;
                    continue 'again;
                }
            }
            if course.strikes(50) {
                php = None;
                continue;
            }
            while let Some(peer) = &mut php {
                match peer.reply().await {
                    Ok(Reply::Ack { seq }) if seq == peer.seq => break 'again,
                    Ok(Reply::Ack { .. }) => {}
                    Ok(other) => anyhow::bail!("{other:?}"),
                    Err(_) => php = None,
                }
            }
        }
    }
    Ok(())
}

async fn deliver(php: &mut PhpPeer, uid: usize, message: usize) -> anyhow::Result<()> {
    let (uid, id, message) = (format!("user-{uid}"), format!("{message}"), format!("{message}"));
    php.order(Order::Deliver {
        uid: Bytes::new(uid.as_bytes()),
        id: Bytes::new(id.as_bytes()),
        message: Bytes::new(message.as_bytes()),
        ttl: 3600,
        replace: None,
        for_new_devices: false,
        kind: kind::USUAL,
    })
    .await
    .map(drop)
}

/// The pages of one device, one after the other, until it has everything.
async fn device(course: &Course, uid: usize, name: String, device: &Mutex<Device>) -> anyhow::Result<()> {
    let claims = Claims { uid: format!("user-{uid}"), expires: u64::MAX / 4, ..Claims::default() };
    let token = TokenKey::new(KEY.as_bytes()).mint(&claims)?;
    let mut is_first = true;
    while !course.is_over.load(Ordering::Relaxed) {
        let mut page = ResumingPage::default();
        let Ok(tcp) = TcpStream::connect(course.ports.websocket).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if page.over(tcp, &format!("/?token={token}&device={name}"), &[]).await.is_err() {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        if std::mem::take(&mut is_first) {
            course.begun.fetch_add(1, Ordering::Relaxed);
        }
        live(course, &mut page, device).await;
    }
    Ok(())
}

/// The life of a page, until it is killed or its connection is lost.
async fn live(course: &Course, page: &mut ResumingPage, device: &Mutex<Device>) {
    let lock = || device.lock().unwrap_or_else(PoisonError::into_inner);
    let mut greatest = InboxPosition { epoch: 0, seq: 0 };
    loop {
        let is_done = lock().handled.iter().max().is_some_and(|last| last + 1 == course.messages);
        if is_done && course.is_over.load(Ordering::Relaxed) {
            return;
        }
        let next = match tokio::time::timeout(Duration::from_millis(100), page.inbox()).await {
            Err(_) if course.is_over.load(Ordering::Relaxed) => return,
            Err(_) => continue,
            Ok(next) => next,
        };
        let Ok(FromInbox::Message { is_new, at, message, .. }) = next else { return };
        if at.epoch == greatest.epoch && at.seq <= greatest.seq {
            continue;
        }
        greatest = at;
        let note = lock().note.get(&at.epoch).copied().unwrap_or(0);
        if is_new || at.seq > note {
            let Ok(message) = message.parse() else { return };
            lock().handled.push(message);
            if course.strikes(300) {
                lock().unnoted.push(message);
                return;
            }
            let mut device = lock();
            let note = device.note.entry(at.epoch).or_default();
            *note = at.seq.max(*note);
        }
        if page.say_counted(at.got()).await.is_err() || course.strikes(300) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_device_has_each_message_once_whoever_is_killed() -> anyhow::Result<()> {
    let (messages, uids, kills) =
        (number("INBOX_MESSAGES", 3000), number("INBOX_UIDS", 60), number("INBOX_KILLS", 60));
    let limit = LIMIT * u32::try_from(kills.div_ceil(60))?;
    let folder = store_folder()?;
    let store: PathBuf = folder.path().join("inbox");
    let (server, ports) = start(&store, None).await?;
    let course = Arc::new(Course {
        ports,
        messages: messages / uids,
        kills: AtomicUsize::new(kills * 2 / 3),
        begun: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    });
    // Uids have no device, one, two or three.
    let devices: Arc<Vec<(usize, Mutex<Device>)>> =
        Arc::new((0..uids).flat_map(|uid| (0..uid % 4).map(move |_| (uid, Mutex::default()))).collect());
    let mut pages = tokio::task::JoinSet::new();
    for at in 0..devices.len() {
        let (course, devices) = (Arc::clone(&course), Arc::clone(&devices));
        pages.spawn(async move {
            let (uid, known) = &devices[at];
            device(&course, *uid, format!("device-{at}"), known).await
        });
    }
    let begin = Instant::now();
    while course.begun.load(Ordering::Relaxed) < devices.len() {
        anyhow::ensure!(begin.elapsed() < limit, "not all pages have come");
        tokio::time::sleep(PAUSE).await;
    }
    let senders = try_join_all((0..8).map(|php_number| {
        let course = Arc::clone(&course);
        let own = (php_number..uids).step_by(8).collect();
        async move { php(&course, own).await }
    }));
    let server_kills = async {
        let mut server = server;
        for _ in 0..kills / 3 {
            tokio::time::sleep(Duration::from_millis(1 + below(150))).await;
            server.signal(Signal::SIGKILL)?;
            server.exit().await?;
            server = start(&store, Some(ports)).await?.0;
        }
        anyhow::Ok(server)
    };
    let course_run = async { tokio::try_join!(senders, server_kills) };
    let (_, _server) =
        tokio::time::timeout(limit, course_run).await.context("the course takes too long")??;
    let is_complete = |device: &Mutex<Device>| {
        let device = device.lock().unwrap_or_else(PoisonError::into_inner);
        device.handled.iter().max().is_some_and(|last| last + 1 == course.messages)
    };
    while !devices.iter().all(|(_, device)| is_complete(device)) {
        anyhow::ensure!(begin.elapsed() < limit, "some devices lack messages");
        tokio::time::sleep(PAUSE).await;
    }
    course.is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = pages.join_next().await {
        ended??;
    }
    let (mut handled, mut again) = (0, 0);
    for (uid, device) in &*devices {
        let mut device = device.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = 0;
        for message in std::mem::take(&mut device.handled) {
            handled += 1;
            if message == next {
                next += 1;
                continue;
            }
            let excused =
                device.unnoted.iter().position(|unnoted| *unnoted == message && message + 1 == next);
            let excused =
                excused.with_context(|| format!("user-{uid} handles {message} in place of {next}"))?;
            device.unnoted.swap_remove(excused);
            again += 1;
        }
        assert_eq!(next, course.messages, "user-{uid}");
    }
    println!(
        "{kills} kills: {handled} messages handled, {again} of them again, as their pages died before they noted them"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_under_load_lose_and_double_nothing() -> anyhow::Result<()> {
    const UPGRADES: usize = 5;
    let folder = store_folder()?;
    let store = folder.path().join("inbox");
    let mut server = Server::start_with(|command| {
        command.arg("--store").arg(&store).args(["--shards", "2", "--operations", "127.0.0.1:0"]);
        command.env("GATEWAY_TOKEN_KEY", KEY);
    })
    .await?;
    let ports = Ports { websocket: server.websocket, register: server.register[0] };
    let course = Arc::new(Course {
        ports,
        messages: usize::MAX,
        kills: AtomicUsize::new(0),
        begun: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    });
    let devices: Arc<Vec<Mutex<Device>>> = Arc::new((0..6).map(|_| Mutex::default()).collect());
    let mut pages = tokio::task::JoinSet::new();
    for at in 0..devices.len() {
        let (course, devices) = (Arc::clone(&course), Arc::clone(&devices));
        pages.spawn(async move { device(&course, at / 2, format!("device-{at}"), &devices[at]).await });
    }
    while course.begun.load(Ordering::Relaxed) < devices.len() {
        tokio::time::sleep(PAUSE).await;
    }
    let has_ended = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&has_ended);
    let sender = tokio::spawn(async move {
        let mut php = ResendingPhp::connect(ports.register).await?;
        let mut messages = 0;
        while !ended.load(Ordering::Relaxed) {
            for uid in 0..3 {
                let (uid, id) = (format!("user-{uid}"), format!("{messages}"));
                let [uid, id] = [&uid, &id].map(|text| Bytes::new(text.as_bytes()));
                let (message, ttl, replace) = (id, 3600, None);
                php.order(Order::Deliver {
                    uid,
                    id,
                    message,
                    ttl,
                    replace,
                    for_new_devices: false,
                    kind: kind::USUAL,
                })
                .await?;
            }
            messages += 1;
            if messages % 20 == 0 {
                php.confirmed().await?;
            }
        }
        php.confirmed().await?;
        anyhow::Ok(messages)
    });
    for _ in 0..UPGRADES {
        server.upgrade().await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    has_ended.store(true, Ordering::Relaxed);
    let messages: usize = sender.await??;
    let begin = Instant::now();
    let handled =
        |device: &Mutex<Device>| device.lock().unwrap_or_else(PoisonError::into_inner).handled.len();
    while !devices.iter().all(|device| handled(device) >= messages) {
        let counts: Vec<_> = devices.iter().map(handled).collect();
        anyhow::ensure!(begin.elapsed() < LIMIT, "{counts:?} of {messages} were handled");
        tokio::time::sleep(PAUSE).await;
    }
    course.is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = pages.join_next().await {
        ended??;
    }
    for device in &*devices {
        let device = device.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(device.handled.iter().copied().eq(0..messages), "{:?}", device.handled);
    }
    println!("{UPGRADES} upgrades while {messages} messages went to each of three uids with two devices");
    Ok(())
}
