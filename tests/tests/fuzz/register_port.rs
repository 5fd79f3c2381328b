//! Anything that may come in by the register port and the operations port, to a server that has clients: nothing panics, and
//! a connection whose peer has ended its side is closed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::panics;
use crate::parts::{self, NODE};
use crate::worker_frames::worker_frames;
use gateway_server::admin;
use gateway_server::admin::Operations;
use gateway_server::hub::Hub;
use gateway_server::php;
use gateway_server::php::RegisterPort;
use gateway_server::protocol::Encoding;
use gateway_server::shard::NewConnection;
use gateway_tests::{OWN_NONCE, Rng, fuzz, new_producer, packets, requests, soon};
use gateway_wire::ClientId;
use gateway_wire::bridge::{Login, PREFACE, Reply, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A server without a process of its own, on a unix socket.
struct Target {
    runtime: Runtime,
    hub: Arc<Hub>,
    directory: tempfile::TempDir,
    operations: SocketAddr,
    clients: Vec<ClientId>,
    /// The clients' ends of their connections, the newest first. Nobody reads from them.
    peers: Mutex<VecDeque<std::net::TcpStream>>,
}

impl Target {
    fn start() -> anyhow::Result<Self> {
        panics::watch();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let directory = tempfile::tempdir()?;
        let router = parts::router();
        let hub = Arc::new(parts::hub(2, &parts::settings("resume_seconds = 0"), &router)?);
        let backend = parts::backend(&hub, router);
        let port = runtime.block_on(async { RegisterPort::unix(&directory.path().join("php")) })?;
        let settings = parts::register_port_settings();
        let (_, settings) = watch::channel(settings);
        runtime.spawn(php::serve(port, Arc::clone(&backend), settings));
        let listener = runtime.block_on(async { admin::bind("127.0.0.1:0".parse()?) })?;
        let operations = listener.local_addr()?;
        let asked =
            Operations::new(Arc::clone(&hub), backend, Vec::new(), Arc::default(), parts::newest_settings());
        runtime.spawn(admin::serve(listener, Arc::new(asked.0)));
        let (clients, peers) = (Vec::new(), Mutex::default());
        let mut target = Self { runtime, hub, directory, operations, clients, peers };
        target.clients = target.runtime.block_on(target.populate())?;
        Ok(target)
    }

    /// Sees to it that three clients are connected.
    async fn populate(&self) -> anyhow::Result<Vec<ClientId>> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        while self.hub.count(None).await? < 3 {
            let client = std::net::TcpStream::connect(listener.local_addr()?)?;
            let (socket, _) = listener.accept()?;
            socket.set_nonblocking(true)?;
            let new_connection = NewConnection {
                socket,
                tls: None,
                answer: Default::default(),
                address: None,
                listener: 0,
                encoding: Encoding::Websocket,
                early: Box::default(),
                handshake: None,
                slot: None,
                device: None,
                gap: None,
            };
            self.hub.adopt(new_connection, None).await?;
            let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
            peers.push_front(client);
            // The ends of clients that have gone are the older ones.
            peers.truncate(3);
        }
        Ok(self.hub.clients(None).await?.into_iter().map(|number| ClientId::new(NODE, number)).collect())
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("php")
    }

    /// Sends `input` after `opening`, and waits until the server has closed.
    fn say(&self, opening: impl AsyncFn(&mut UnixStream) -> anyhow::Result<()>, input: &[u8]) {
        let said = self.runtime.block_on(async {
            self.populate().await?;
            let mut socket = connect(&self.path()).await?;
            opening(&mut socket).await?;
            // The server may close before it has read everything.
            if socket.write_all(input).await.is_ok() && socket.shutdown().await.is_ok() {
                let mut answers = Vec::new();
                let _ = soon("the end of a connection", socket.read_to_end(&mut answers)).await?;
            }
            anyhow::Ok(())
        });
        if let Err(error) = said {
            panic!("{error:#}");
        }
        panics::assert_none();
    }

    /// Requests the path in the input's first line with the rest as the body, and waits for the answer.
    fn ask(&self, input: &[u8]) {
        let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
        let (path, body) = (&input[..end], input.get(end + 1..).unwrap_or_default());
        let method = if body.is_empty() { "GET" } else { "POST" };
        let head = format!(
            "Host: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let request = [method.as_bytes(), b" /", path, b" HTTP/1.1\r\n", head.as_bytes(), body].concat();
        let asked = self.runtime.block_on(async {
            self.populate().await?;
            let mut socket = soon("connecting", TcpStream::connect(self.operations)).await??;
            let mut answer = Vec::new();
            // A malformed request may be answered before its end.
            if socket.write_all(&request).await.is_ok() {
                let _ = soon("an answer", socket.read_to_end(&mut answer)).await?;
            }
            let is_fault = answer.starts_with(b"HTTP/1.1 500");
            anyhow::ensure!(!is_fault, "{}", answer.escape_ascii());
            anyhow::Ok(())
        });
        if let Err(error) = asked {
            panic!("{error:#}");
        }
        panics::assert_none();
    }
}

async fn connect(path: &Path) -> anyhow::Result<UnixStream> {
    Ok(soon("connecting", UnixStream::connect(path)).await??)
}

/// Logs in as a PHP process that knows the secret.
async fn log_in(socket: &mut UnixStream, role: &str) -> anyhow::Result<()> {
    socket.write_all(&PREFACE).await?;
    let Reply::Hello { nonce, .. } = reply(socket).await? else { anyhow::bail!("no hello") };
    let mut login = Vec::new();
    Login::new(role, new_producer(), b"", &nonce, OWN_NONCE).encode(&mut login)?;
    socket.write_all(&login).await?;
    let welcome = reply(socket).await?;
    anyhow::ensure!(matches!(welcome, Reply::Welcome { .. }), "{welcome:?} instead of a welcome");
    Ok(())
}

async fn reply(socket: &mut UnixStream) -> anyhow::Result<Reply> {
    let mut content = vec![0; soon("a reply", socket.read_u32()).await?? as usize];
    soon("a reply", socket.read_exact(&mut content)).await??;
    Ok(Reply::decode(&content)?)
}

async fn nothing(_: &mut UnixStream) -> anyhow::Result<()> {
    Ok(())
}

/// Mostly makes the input one frame by writing its length anew; otherwise few changed inputs would get past the frame's
/// header.
fn repaired(input: &[u8], rng: &mut Rng) -> Vec<u8> {
    match input.split_at_checked(frame::HEADER) {
        Some((_, content)) if rng.below(4) > 0 => {
            let header = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
            [&header[..], content].concat()
        }
        _ => input.to_vec(),
    }
}

/// All checks are in one test, because a panic in another thread or task could not be told from those of a test beside it.
#[test]
fn register_port() -> anyhow::Result<()> {
    let target = Target::start()?;
    let client = target.clients[0];
    let connection = client.connection;
    let one_after_another = |corpus: Vec<Vec<u8>>| [corpus.clone(), vec![corpus.concat()]].concat();

    let lines = [
        &b"{\"event\":\"worker_connect\",\"secret_key\":\"\"}\n{\"event\":\"ping\"}\n"[..],
        b"{\"event\":\"gateway_connect\",\"address\":\"127.0.0.1:2900\",\"secret_key\":\"\"}\n",
    ];
    let corpus = [packets(connection)?, lines.map(<[u8]>::to_vec).into()].concat();
    fuzz("register port", &one_after_another(corpus), |input, _| target.say(nothing, input));

    let corpus = one_after_another(requests(client)?);
    fuzz("bridge as PHP", &corpus, |input, rng| {
        let input = repaired(input, rng);
        target.say(async |socket: &mut UnixStream| log_in(socket, Login::PHP).await, &input);
    });

    let corpus = worker_frames(1, 0)?;
    fuzz("bridge as a worker", &one_after_another(corpus), |input, rng| {
        let input = repaired(input, rng);
        target.say(async |socket: &mut UnixStream| log_in(socket, Login::WORKER).await, &input);
    });

    let requests = [
        "api/sendToAll\n{\"message\":\"hi\",\"client_id_array\":[\"7f00000104d6deadbeef\"]}",
        "api/sendToUid\n{\"uid\":[\"a\",7],\"message\":\"\\u6f22\\ud83d\\ude00\"}",
        "api/batch\n[{\"operation\":\"getAllClientCount\"},{\"operation\":\"isUidOnline\",\"arguments\":{\"uid\":1}}]",
        "api/updateSession\n{\"client_id\":\"7f00000104d6deadbeef\",\"session\":{\"a\":[1,-2.5e3,null,{\"b\":true}]}}",
        "connections?uid=7&group=g&address=127.0.0.1&limit=2&after=1%20x",
        "status",
        "metrics",
        "openapi.json",
    ];
    let corpus: Vec<_> = requests.map(|request| request.as_bytes().to_vec()).into();
    fuzz("HTTP API", &corpus, |input, _| target.ask(input));
    Ok(())
}
