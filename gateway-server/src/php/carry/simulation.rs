//! PHP's connections come to rest and go on hundreds of times, over real sockets and with a real backend, while everything that PHP
//! runs pushes, asks, handles events and stops in the middle of its packets: each order and each event once and in order.

use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_wire::bridge::{
    self, Call, Login, Order, PREFACE, Producer, Query, Reply, Request, ServerToWorker, WorkerToServer, frame,
};
use gateway_wire::gatewayworker::{
    Command, EventCommand, EventPacket, MAX_PACKET, Packet, RegisterLine, packet_length, reply,
};
use serde_bytes::Bytes;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::at_rest::{PhpAtRest, rest};
use super::attendance::Attendance;
use crate::config::Settings;
use crate::events::{EventForwarders, Router};
use crate::hub::Hub;
use crate::php::backend::Backend;
use crate::php::bridge::Bridge;
use crate::php::gatewayworker::GatewayWorker;
use crate::php::listener::serve;
use crate::php::login_limits::LoginLimits;
use crate::php::memory_budget::MemoryBudget;
use crate::php::register_port::RegisterPort;
use crate::php::settings::{RegisterPortSettings, connection_slots};
use crate::protocol::Encoding;
use crate::service::Gateway;
use crate::shard::testing::{new_connection, settings, with_client};
use crate::shard::{BuiltInSink, EventSink, EventSinks as _};
use crate::system::Secret;

const NODE: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 1);
/// How often PHP comes to rest.
const RESTS: u64 = 200;
/// The clients whose events workers handle.
const CLIENTS: u32 = 4;
/// Two with the extension, and one with GatewayWorker's class.
const PUSHERS: usize = 3;
/// Nothing in the simulation takes this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all that takes part shares.
#[derive(Clone)]
struct Shared {
    address: SocketAddr,
    /// The client that gets all messages, and whose session is set.
    client: u32,
    /// How often PHP has come to rest, and `u64::MAX` when it will not again.
    rests: watch::Receiver<u64>,
    /// How many of those that push have stopped within a packet.
    stopped: Arc<watch::Sender<usize>>,
    is_pusher: bool,
    /// The numbers of the events that workers have handled, of each client.
    handled: Arc<Mutex<BTreeMap<u32, Vec<u64>>>>,
    /// How many events have been handled.
    events: Arc<AtomicU64>,
}

/// A server process as far as PHP is concerned.
struct Process {
    backend: Arc<Backend>,
    port: OwnedFd,
    task: JoinHandle<()>,
    sink: Box<dyn EventSink>,
}

fn settings_of_port() -> RegisterPortSettings {
    RegisterPortSettings {
        server: Settings { handshake_timeout: PATIENCE, ..Settings::default() }.into(),
        slots: connection_slots(1000),
        counter: Arc::default(),
        certificate: None,
    }
}

fn backend(gateway: &Arc<Gateway>, instance: u64) -> Arc<Backend> {
    let logins = Arc::new(LoginLimits::new(Secret::default()));
    Arc::new(Backend {
        notices: Arc::default(),
        gateway: Arc::clone(gateway),
        bridge: Bridge::new(Arc::clone(&logins), instance),
        gatewayworker: GatewayWorker::new(logins, NODE),
        workers: Arc::new(Router::new(&Settings { worker_buffer_bytes: 64 << 20, ..Settings::default() })),
        budget: MemoryBudget::new(64 << 20),
        attendance: Attendance::default(),
    })
}

impl Process {
    fn start(backend: Arc<Backend>, port: RegisterPort, sink: Option<Box<dyn EventSink>>) -> Self {
        let descriptor = port.as_fd().try_clone_to_owned().unwrap();
        let task = tokio::spawn(serve(port, Arc::clone(&backend), watch::channel(settings_of_port()).1));
        let sink = sink.unwrap_or_else(|| EventForwarders(Arc::clone(&backend.workers)).sink());
        Self { backend, port: descriptor, task, sink }
    }

    /// Goes on in another process, which has nothing of this one but what this one has written.
    fn hand_over(self, at_rest: PhpAtRest) -> Self {
        let new = backend(&self.backend.gateway, 0);
        let mut sink = EventForwarders(Arc::clone(&new.workers)).sink();
        for client in 1..=CLIENTS {
            let exported = self.sink.export(client).unwrap();
            with_client(client, b"", |client| sink.restore(client, &exported));
        }
        let written = at_rest.write(&self.backend);
        let descriptors = written.descriptors.iter().map(|one| one.try_clone_to_owned().unwrap()).collect();
        let there = PhpAtRest::read(&written.bytes, descriptors, &new).unwrap();
        drop(written);
        drop(at_rest);
        self.task.abort();
        there.go_on(&new, &settings_of_port());
        Self::start(new, RegisterPort::tcp_again(self.port).unwrap(), Some(sink))
    }
}

async fn write(socket: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    socket.write_all(bytes).await
}

/// Writes the bytes with a break at `at`, during which PHP comes to rest and goes on.
async fn write_with_break(
    socket: &mut TcpStream,
    bytes: &[u8],
    at: usize,
    shared: &mut Shared,
) -> std::io::Result<()> {
    let (first, second) = bytes.split_at(at % bytes.len());
    write(socket, first).await?;
    shared.rest_from_now().await;
    write(socket, second).await
}

impl Shared {
    fn is_over(&self) -> bool {
        *self.rests.borrow() == u64::MAX
    }

    /// Waits until PHP has come to rest once more.
    async fn rest_from_now(&mut self) {
        let now = *self.rests.borrow();
        self.stopped.send_modify(|stopped| *stopped += usize::from(self.is_pusher));
        let _ = self.rests.wait_for(|rests| *rests > now || *rests == u64::MAX).await;
        self.stopped.send_modify(|stopped| *stopped -= usize::from(self.is_pusher));
    }

    fn handle(&self, client: u32, message: &[u8]) {
        let number = std::str::from_utf8(message).unwrap().parse().unwrap();
        self.handled.lock().unwrap().entry(client).or_default().push(number);
        self.events.fetch_add(1, Ordering::Relaxed);
    }
}

/// The next frame of a bridge, or `None` at the end of the connection.
async fn next_frame(socket: &mut (impl AsyncRead + Unpin), input: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(length) = frame::content_length(input, frame::MAX_REPLY).unwrap() {
            let content = input[frame::HEADER..frame::HEADER + length].to_vec();
            input.drain(..frame::HEADER + length);
            return Some(content);
        }
        if !matches!(socket.read_buf(input).await, Ok(1..)) {
            return None;
        }
    }
}

/// A connection over which each write goes at once, so that what is written first arrives first on another connection too.
async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

async fn log_in(address: SocketAddr, role: &str, producer: Producer) -> Option<(TcpStream, Vec<u8>, u64)> {
    let mut socket = connect(address).await;
    let mut input = Vec::new();
    write(&mut socket, &PREFACE).await.ok()?;
    let hello = next_frame(&mut socket, &mut input).await?;
    let Ok(Reply::Hello { nonce, instance }) = Reply::decode(&hello) else { panic!("no hello") };
    assert_eq!(instance, 77, "PHP would take this for a server that was started again");
    let mut login = Vec::new();
    Login::new(role, producer, b"", &nonce, [0; bridge::NONCE_BYTES]).encode(&mut login).unwrap();
    write(&mut socket, &login).await.ok()?;
    let welcome = next_frame(&mut socket, &mut input).await?;
    let Ok(Reply::Welcome { applied, .. }) = Reply::decode(&welcome) else { panic!("no welcome") };
    Some((socket, input, applied))
}

/// Whether the call of this number is a question.
fn asks(number: u64) -> bool {
    number.is_multiple_of(13)
}

/// A PHP process with the extension: it pushes, asks now and then, and after a lost connection sends again what was not confirmed.
/// Gives how many orders it has given.
async fn extension(mut shared: Shared, number: u8) -> u64 {
    let mut confirmed = 0;
    while !shared.is_over() {
        let Some((mut socket, mut input, applied)) =
            log_in(shared.address, Login::PHP, Producer([number; 16])).await
        else {
            continue;
        };
        // A question is confirmed by its answer alone.
        assert!(
            applied >= confirmed || asks(confirmed),
            "{applied} is less than the {confirmed} that were confirmed"
        );
        let mut sent = applied.max(confirmed);
        'connected: while !shared.is_over() || sent > confirmed {
            let mut bytes = Vec::new();
            for _ in 0..3 {
                sent += 1;
                let message = format!("extension{number} {sent}");
                let message = Bytes::new(message.as_bytes());
                let order = Order::SendToAll { message, only: None, except: vec![], raw: false };
                let call = if asks(sent) { Call::Query(Query::ClientCount {}) } else { Call::Order(order) };
                Request { seq: sent, call }.encode(&mut bytes).unwrap();
            }
            let at = usize::try_from(sent).unwrap();
            let written = if sent % 5 == 0 {
                write_with_break(&mut socket, &bytes, at, &mut shared).await
            } else {
                write(&mut socket, &bytes).await
            };
            if written.is_err() {
                break;
            }
            while confirmed < sent {
                let Some(content) = next_frame(&mut socket, &mut input).await else { break 'connected };
                match Reply::decode(&content).unwrap() {
                    Reply::Ack { seq } | Reply::Answer { seq, .. } => confirmed = seq,
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    confirmed
}

/// The next packet of the internal protocol.
async fn next_packet(socket: &mut (impl AsyncRead + Unpin), input: &mut Vec<u8>) -> Vec<u8> {
    loop {
        if let Some(length) = packet_length(input, MAX_PACKET).unwrap() {
            return input.drain(..length).collect();
        }
        assert!(
            socket.read_buf(input).await.unwrap() > 0,
            "the connection of a GatewayWorker program was closed"
        );
    }
}

async fn ask(socket: &mut TcpStream, question: &Command<'_>, at: usize, shared: &mut Shared) -> Vec<u8> {
    let mut bytes = Vec::new();
    question.encode(&mut bytes).unwrap();
    if at == usize::MAX {
        write(socket, &bytes).await.unwrap();
    } else {
        write_with_break(socket, &bytes, at, shared).await.unwrap();
    }
    let mut input = Vec::new();
    loop {
        if let Some(length) = reply::content_length(&input, MAX_PACKET).unwrap() {
            return input.split_off(input.len() - length);
        }
        assert!(socket.read_buf(&mut input).await.unwrap() > 0, "a question was not answered");
    }
}

/// A PHP process with GatewayWorker's class: a connection for each order, which stops in the middle of every other.
async fn gateway_client(mut shared: Shared) -> u64 {
    let mut number = 0;
    while !shared.is_over() {
        number += 1;
        let message = format!("client {number}");
        let mut bytes = Vec::new();
        Command::SendToAll { message: message.as_bytes(), only: None, except: vec![], raw: false }
            .encode(&mut bytes)
            .unwrap();
        let mut socket = connect(shared.address).await;
        if number % 2 == 0 {
            let at = usize::try_from(number / 2).unwrap();
            write_with_break(&mut socket, &bytes, at, &mut shared).await.unwrap();
            let count = ask(&mut socket, &Command::GetClientCount { group: None }, at / 2, &mut shared).await;
            assert_eq!(count, b"i:1;");
        } else {
            write(&mut socket, &bytes).await.unwrap();
        }
    }
    number
}

/// A BusinessWorker process, which handles events. What it orders on the connection for its events has effect before what it asks
/// over another is answered.
async fn business_worker(mut shared: Shared) {
    let mut socket = connect(shared.address).await;
    let mut bytes = Vec::new();
    let secret_key = String::new();
    Command::WorkerConnect { worker_key: "w:0".to_owned(), secret_key }.encode(&mut bytes).unwrap();
    write(&mut socket, &bytes).await.unwrap();
    let (mut reader, mut writer) = socket.into_split();
    let handler = shared.clone();
    let events = async {
        let mut input = Vec::new();
        loop {
            let packet = next_packet(&mut reader, &mut input).await;
            let packet = Packet::decode(&packet).unwrap();
            let Ok(event) = EventPacket::from_packet(&packet) else { continue };
            if event.kind == EventCommand::Message {
                handler.handle(event.origin.connection, event.body);
            }
        }
    };
    let orders = async {
        let mut asking = connect(shared.address).await;
        let mut number = 0;
        while !shared.is_over() {
            number += 1;
            let session = format!("a:1:{{i:0;i:{number};}}");
            let mut bytes = Vec::new();
            let connection = shared.client;
            Command::SetSession { connection, session: session.as_bytes() }.encode(&mut bytes).unwrap();
            let (first, second) = bytes.split_at(number % bytes.len());
            write(&mut writer, first).await.unwrap();
            if number % 3 == 0 {
                shared.rest_from_now().await;
            }
            write(&mut writer, second).await.unwrap();
            let question = Command::GetSession { connection };
            assert_eq!(
                ask(&mut asking, &question, usize::MAX, &mut shared.clone()).await,
                session.as_bytes()
            );
        }
    };
    tokio::select! {
        () = events => {}
        () = async { orders.await; std::future::pending().await } => {}
    }
}

/// A worker of the bridge, which reads nothing for a while now and then.
async fn worker(mut shared: Shared) {
    let Some((mut socket, mut input, _)) = log_in(shared.address, Login::WORKER, Producer([9; 16])).await
    else {
        panic!("the worker could not log in")
    };
    let mut bytes = Vec::new();
    WorkerToServer::Join { name: "worker:0:7@host", moves: true }.encode(&mut bytes).unwrap();
    write(&mut socket, &bytes).await.unwrap();
    let mut last = 0;
    loop {
        let content = next_frame(&mut socket, &mut input).await.expect("a worker's connection was closed");
        let ServerToWorker::Event(event) = ServerToWorker::decode(&content).unwrap() else { panic!() };
        assert_eq!(event.number, last + 1);
        last = event.number;
        if event.kind == bridge::EventKind::Message {
            shared.handle(event.client.connection, event.body);
        }
        let mut bytes = Vec::new();
        WorkerToServer::Progress { taken: last, done: last }.encode(&mut bytes).unwrap();
        if last % 7 == 0 {
            let at = usize::try_from(last / 7).unwrap();
            write_with_break(&mut socket, &bytes, at, &mut shared).await.unwrap();
        } else {
            write(&mut socket, &bytes).await.unwrap();
        }
    }
}

/// A program of GatewayWorker that is told the addresses of gateways.
async fn register(mut shared: Shared) {
    let mut socket = connect(shared.address).await;
    let mut line = Vec::new();
    RegisterLine::WorkerConnect { secret_key: String::new() }.encode(&mut line);
    write_with_break(&mut socket, &line, 7, &mut shared).await.unwrap();
    let (reader, mut writer) = socket.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut ping = Vec::new();
    RegisterLine::Ping.encode(&mut ping);
    for at in 0.. {
        let line = lines.next_line().await.unwrap().expect("a register connection was closed");
        let told = RegisterLine::decode(line.as_bytes()).unwrap();
        assert!(
            matches!(told, RegisterLine::BroadcastAddresses { addresses, .. } if addresses == [NODE.to_string()])
        );
        let (first, second) = ping.split_at(at % ping.len());
        write(&mut writer, first).await.unwrap();
        shared.rest_from_now().await;
        write(&mut writer, second).await.unwrap();
    }
}

/// Counts the messages of each sender at the client, and checks that none is missing, doubled or too early.
async fn count_messages(client: std::net::TcpStream, counts: watch::Sender<BTreeMap<String, u64>>) {
    let mut lines = BufReader::new(TcpStream::from_std(client).unwrap()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Some((sender, number)) = line.split_once(' ') else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        counts.send_modify(|counts| {
            let last = counts.entry(sender.to_owned()).or_default();
            // A question has a number too, and is no message.
            let next = *last + if sender.starts_with("extension") && asks(*last + 1) { 2 } else { 1 };
            let is_next = number == next;
            assert!(is_next, "{sender}: {number} after {last}");
            *last = number;
        });
    }
}

async fn simulate(goes_elsewhere: bool) {
    let hub = Hub::start(1, [0; 16], &settings(), Box::new(BuiltInSink), None, None).unwrap();
    let hub = Arc::new(hub);
    let (connection, client) = new_connection(Encoding::Text);
    hub.adopt(connection, None).await.unwrap();
    let id = hub.clients(None).await.unwrap()[0];
    let gateway =
        Gateway::new(Arc::clone(&hub), NODE, watch::channel(Arc::default()).1, Vec::new(), None, None);
    let port = RegisterPort::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = port.address().unwrap();
    let mut process = Process::start(backend(&gateway.into(), 77), port, None);

    let (rests, seen) = watch::channel(0);
    let mut shared = Shared {
        address,
        client: id,
        rests: seen,
        stopped: Arc::new(watch::Sender::new(0)),
        is_pusher: false,
        handled: Arc::default(),
        events: Arc::default(),
    };
    let mut stopped = shared.stopped.subscribe();
    let (counts, mut counted) = watch::channel(BTreeMap::new());
    let counting = tokio::spawn(count_messages(client, counts));
    let mut always = JoinSet::new();
    always.spawn(business_worker(shared.clone()));
    always.spawn(worker(shared.clone()));
    while process.backend.workers.report().len() < 2 {
        tokio::task::yield_now().await;
    }
    always.spawn(register(shared.clone()));
    shared.is_pusher = true;
    let callers = [1, 2].map(|number| tokio::spawn(extension(shared.clone(), number)));
    let client = tokio::spawn(gateway_client(shared.clone()));
    for client in 1..=CLIENTS {
        with_client(client, b"", |client| process.sink.connected(client, None));
    }
    let mut number = 0;
    let mut say = |sink: &mut Box<dyn EventSink>| {
        number += 1;
        for client in 1..=CLIENTS {
            with_client(client, b"a:0:{}", |client| sink.message(client, number.to_string().as_bytes()));
        }
        number
    };
    for turn in 1..=RESTS {
        say(&mut process.sink);
        // Some are pushed between two rests, unless all that push have stopped within a packet.
        let before: u64 = counted.borrow().values().sum();
        let more = async {
            tokio::select! {
                more = counted.wait_for(|counts| counts.values().sum::<u64>() > before + turn % 7) => drop(more),
                stopped = stopped.wait_for(|stopped| *stopped == PUSHERS) => drop(stopped),
            }
        };
        tokio::time::timeout(PATIENCE, more).await.expect("nobody pushes any more");
        let at_rest = rest(&process.backend, &settings_of_port(), PATIENCE).await.unwrap();
        // What clients do meanwhile waits.
        say(&mut process.sink);
        if goes_elsewhere {
            process = process.hand_over(at_rest);
        } else {
            at_rest.go_on(&process.backend, &settings_of_port());
        }
        rests.send_replace(turn);
        if let Some(ended) = always.try_join_next() {
            panic!("{ended:?}");
        }
    }
    let said = say(&mut process.sink);
    rests.send_replace(u64::MAX);
    let mut given = BTreeMap::new();
    for (number, caller) in (1..).zip(callers) {
        given.insert(format!("extension{number}"), caller.await.unwrap());
    }
    given.insert("client".to_owned(), client.await.unwrap());
    let all = counted.wait_for(|counts| {
        given.iter().all(|(sender, given)| {
            let last = counts.get(sender).copied().unwrap_or(0);
            // The last call of an extension may have been a question.
            last == *given || sender.starts_with("extension") && asks(*given) && last + 1 == *given
        })
    });
    tokio::time::timeout(PATIENCE, all).await.expect("orders are missing").unwrap();
    let everything = async {
        while shared.events.load(Ordering::Relaxed) < said * u64::from(CLIENTS) {
            if let Some(ended) = always.try_join_next() {
                panic!("{ended:?}");
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, everything).await.expect("events are missing");
    let handled = shared.handled.lock().unwrap().clone();
    let expected: Vec<_> = (1..=said).collect();
    assert_eq!(handled.len(), CLIENTS as usize);
    for (client, numbers) in handled {
        assert_eq!(numbers, expected, "client {client}");
    }
    counting.abort();
    process.task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn php_goes_on_in_the_same_process_as_if_nothing_had_been() {
    simulate(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn php_goes_on_in_another_process_as_if_nothing_had_been() {
    simulate(true).await;
}
