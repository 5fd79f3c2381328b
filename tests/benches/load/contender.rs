//! The servers that are compared, and how each is started.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gateway_tests::{PATIENCE, ProcessGroup, root, server_binary};

use crate::cores::Cores;
use crate::plain;
use crate::publisher::Publisher;

/// The pause between two looks at what a server says of itself.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    Ours,
    /// Our server with clients that speak `gateway.2`, and so can come back.
    Gateway2,
    /// Our server with a store for messages to users who are not there.
    Store,
    Plain,
    UWebSockets,
    Ws,
    Nchan,
    SocketIo,
}

pub(crate) struct Running {
    pub(crate) contender: Contender,
    pub(crate) websocket: SocketAddr,
    register: SocketAddr,
    /// Where our server says how many clients are parked.
    operations: Option<SocketAddr>,
    processes: ProcessGroup,
    _folder: Option<tempfile::TempDir>,
}

impl Contender {
    pub(crate) const ALL: [Self; 8] = [
        Self::Ours,
        Self::Gateway2,
        Self::Store,
        Self::Plain,
        Self::UWebSockets,
        Self::Ws,
        Self::Nchan,
        Self::SocketIo,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "gateway-server",
            Self::Gateway2 => "gateway-server, gateway.2",
            Self::Store => "gateway-server, store",
            Self::Plain => "plain send loop",
            Self::UWebSockets => "uWebSockets",
            Self::Ws => "ws",
            Self::Nchan => "nchan",
            Self::SocketIo => "socket.io",
        }
    }

    /// Gives the reason why this server cannot be measured here, if there is one.
    pub(crate) fn missing(self) -> Option<String> {
        let module = |variable: &str, name: &str| {
            let found = node_modules(variable).join(name).is_dir();
            (!found)
                .then(|| format!("{variable} names no node_modules with {name}: scripts/bench-peers gets it"))
        };
        match self {
            Self::Ours | Self::Gateway2 | Self::Store | Self::Plain => None,
            Self::SocketIo => {
                module("SOCKET_IO_PATH", "socket.io").or_else(|| module("SOCKET_IO_PATH", "socket.io-client"))
            }
            Self::UWebSockets => module("UWS_PATH", "uwebsockets"),
            Self::Ws => module("WS_PATH", "ws"),
            Self::Nchan => Nginx::find().is_none().then(|| {
                "neither installed (libnginx-mod-nchan) nor in NGINX_PATH: scripts/bench-peers gets it"
                    .to_owned()
            }),
        }
    }

    /// True if the server is another project's, which can be left out.
    pub(crate) fn is_peer(self) -> bool {
        !self.is_ours() && self != Self::Plain
    }

    /// True if the server sends each client a first message by itself.
    pub(crate) fn greets(self) -> bool {
        self.is_ours()
    }

    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::Gateway2 | Self::Store)
    }

    /// True if the server sends a client's messages back.
    pub(crate) fn echoes(self) -> bool {
        matches!(self, Self::Plain | Self::UWebSockets | Self::Ws)
    }

    pub(crate) fn path(self, topic: &str) -> String {
        match self {
            Self::Nchan => format!("/subscribe/{topic}"),
            _ => format!("/{topic}"),
        }
    }

    pub(crate) async fn start(self, cores: Cores) -> anyhow::Result<Running> {
        let mut folder = None;
        let mut ready = "ready ";
        let mut nginx_address = None;
        let command = match self {
            // Without pings, nothing but what is measured happens on the connections.
            Self::Ours => ours(cores, &["--websocket", "127.0.0.1:0", "--ping-interval", "0"])?,
            Self::Gateway2 => {
                let operations = ["--operations", "127.0.0.1:0"];
                ours(
                    cores,
                    &[["--websocket", "127.0.0.1:0", "--ping-interval", "0"].as_slice(), &operations]
                        .concat(),
                )?
            }
            Self::Store => {
                let file = folder.insert(tempfile::tempdir()?).path().join("store");
                let file = file.to_str().context("the folder's name")?;
                ours(cores, &["--websocket", "127.0.0.1:0", "--ping-interval", "0", "--store", file])?
            }
            Self::SocketIo => node("bench_socket_io.js", "SOCKET_IO_PATH"),
            Self::Plain => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg(plain::ARGUMENT);
                command
            }
            Self::UWebSockets => node("bench_uws.js", "UWS_PATH"),
            Self::Ws => node("bench_ws.js", "WS_PATH"),
            Self::Nchan => {
                let nginx = Nginx::find().context("nginx with nchan")?;
                let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
                nginx_address = Some(address);
                ready = "getrlimit(RLIMIT_NOFILE)";
                nginx.command(address, folder.insert(tempfile::tempdir()?).path())?
            }
        };
        let (processes, line) = cores.as_server(ProcessGroup::start_silent(command, ready)).await?;
        let (websocket, register) = match (self, nginx_address) {
            _ if self.is_ours() => our_addresses(&line)?,
            (_, Some(address)) => (address, address),
            _ => {
                let address = line.trim_start_matches("ready ").parse()?;
                (address, address)
            }
        };
        let operations = line.split_whitespace().find_map(|word| word.strip_prefix("operations="));
        let operations = operations.map(str::parse).transpose()?;
        Ok(Running { contender: self, websocket, register, operations, processes, _folder: folder })
    }

    /// Starts our server with its usual pings, on a port that it shares with others.
    pub(crate) async fn sharing(cores: Cores, port: Option<SocketAddr>) -> anyhow::Result<Running> {
        let port = port.map_or_else(|| "127.0.0.1:0".to_owned(), |port| port.to_string());
        let command = ours(cores, &["--reuse-port", "--websocket", &port])?;
        let (processes, line) = cores.as_server(ProcessGroup::start_silent(command, "ready ")).await?;
        let (websocket, register) = our_addresses(&line)?;
        let contender = Self::Ours;
        Ok(Running { contender, websocket, register, operations: None, processes, _folder: None })
    }
}

fn ours(cores: Cores, flags: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(server_binary()?);
    let shards = cores.of_server().to_string();
    command.args(["--register", "127.0.0.1:0", "--shards", &shards]).args(flags);
    Ok(command)
}

/// Reads the addresses for clients and for PHP from the line with which the server says that it is ready.
fn our_addresses(line: &str) -> anyhow::Result<(SocketAddr, SocketAddr)> {
    let value = |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key));
    Ok((
        value("websocket=").context("websocket=")?.parse()?,
        value("register=").context("register=")?.parse()?,
    ))
}

impl Running {
    pub(crate) fn publisher(&self) -> anyhow::Result<Publisher> {
        match self.contender {
            ours if ours.is_ours() => Publisher::bridge(self.register),
            Contender::Nchan | Contender::SocketIo => Publisher::http(self.register),
            _ => Publisher::websocket(self.register),
        }
    }

    /// Waits until so many of our server's clients are parked.
    pub(crate) fn wait_for_parked(&self, clients: usize) -> anyhow::Result<()> {
        let operations = self.operations.context("a server with an operations port")?;
        let (start, line) = (Instant::now(), format!("\ngateway_parked_clients {clients}\n"));
        loop {
            let mut socket = TcpStream::connect(operations)?;
            write!(socket, "GET /metrics HTTP/1.1\r\nHost: {operations}\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer)?;
            if answer.contains(&line) {
                return Ok(());
            }
            anyhow::ensure!(start.elapsed() < PATIENCE, "{clients} clients are not parked");
            std::thread::sleep(LOOK);
        }
    }

    /// The CPU time that all threads of the server have taken so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut sum = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.processes.leader()))? {
            // A thread may have ended since the folder was read.
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
            sum += text.split_whitespace().next().context("schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// The bytes of user memory; shared pages count in part.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.processes.leader()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("Pss")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}

pub(crate) fn node(script: &str, variable: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(root().join("tests/js").join(script)).env("NODE_PATH", node_modules(variable));
    command
}

fn node_modules(variable: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| peers().join("node_modules"), PathBuf::from)
}

/// The folder into which scripts/bench-peers puts the other servers.
fn peers() -> PathBuf {
    // The running program is target/release/deps/load-…, and the folder stands in target.
    let bench = std::env::current_exe().unwrap_or_default();
    bench.ancestors().nth(3).unwrap_or(Path::new("target")).join("bench-peers")
}

struct Nginx {
    binary: PathBuf,
    module: PathBuf,
}

impl Nginx {
    /// Finds nginx below the folder in NGINX_PATH, among the other servers, or installed.
    fn find() -> Option<Self> {
        let given = std::env::var_os("NGINX_PATH").map(PathBuf::from);
        given.into_iter().chain([peers().join("nginx"), "/".into()]).find_map(|folder| {
            let binary = folder.join("usr/sbin/nginx");
            let module = folder.join("usr/lib/nginx/modules/ngx_nchan_module.so");
            (binary.exists() && module.exists()).then_some(Self { binary, module })
        })
    }

    fn command(&self, address: SocketAddr, folder: &Path) -> anyhow::Result<Command> {
        let [config, scratch] = ["nginx.conf", "scratch"].map(|name| folder.join(name));
        let (module, folder, scratch) = (self.module.display(), folder.display(), scratch.display());
        let as_root = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
        let text = format!(
            "load_module {module};
            daemon off; master_process off; {as_root} worker_rlimit_nofile {limit};
            pid {folder}/pid; error_log stderr notice;
            events {{ worker_connections {connections}; }}
            http {{
                access_log off; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 1h;
                client_body_temp_path {scratch}; proxy_temp_path {scratch}; fastcgi_temp_path {scratch};
                uwsgi_temp_path {scratch}; scgi_temp_path {scratch};
                nchan_shared_memory_size 256M;
                server {{
                    listen {address} backlog=4096;
                    location ~ ^/subscribe/(.+)$ {{
                        nchan_subscriber websocket; nchan_channel_id $1; nchan_subscriber_first_message newest;
                    }}
                    location ~ ^/publish/(.+)$ {{
                        nchan_publisher http; nchan_channel_id $1; nchan_store_messages off;
                    }}
                }}
            }}\n",
            limit = rlimit::getrlimit(rlimit::Resource::NOFILE)?.0,
            connections = rlimit::getrlimit(rlimit::Resource::NOFILE)?.0.min(100_000),
        );
        std::fs::File::create(&config)?.write_all(text.as_bytes())?;
        let mut command = Command::new(&self.binary);
        command.arg("-c").arg(config).args(["-e", "stderr"]);
        Ok(command)
    }
}
