//! The servers that are compared, and how each is started.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use gateway_tests::{OriginalStack, ProcessGroup, TestCertificate, root, server_binary};

use crate::cores::Cores;
use crate::endpoint::Endpoint;
use crate::nginx::Nginx;
use crate::running::Running;
use crate::tokens::TOKEN_KEY;
use crate::{caddy, nginx, plain, ring};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    Ours,
    /// Our server with clients that speak `gateway.2`, and so can come back.
    Gateway2,
    /// Our server with a store for messages to users who are not there.
    Store,
    /// Our server with messages that wait for those which follow, for [`COALESCE`].
    Coalesce,
    Plain,
    /// The plain loop with its sends through io_uring.
    Ring,
    UWebSockets,
    Ws,
    Nchan,
    SocketIo,
    GatewayWorker,
    /// Our server without TLS behind a proxy that speaks it.
    BehindNginx,
    BehindCaddy,
}

/// What a server is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Clients without TLS. Without pings, nothing but what is measured happens on the connections.
    Plain,
    Tls,
    /// Clients with a connect token, as the server has a key for these.
    Tokens,
    /// Clients that are pinged every [`PING_INTERVAL`].
    Pinging,
    /// Clients that come back and get what they have missed, where a server has to be told.
    Recovering,
}

/// How often clients are pinged where they are; it is our server's usual interval.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(25);

/// How long messages wait for others where they do.
const COALESCE: &str = "2ms";

impl Contender {
    pub(crate) const ALL: [Self; 13] = [
        Self::Ours,
        Self::Gateway2,
        Self::Store,
        Self::Coalesce,
        Self::Plain,
        Self::Ring,
        Self::UWebSockets,
        Self::Ws,
        Self::Nchan,
        Self::SocketIo,
        Self::GatewayWorker,
        Self::BehindNginx,
        Self::BehindCaddy,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "gateway-server",
            Self::Gateway2 => "gateway-server, gateway.2",
            Self::Store => "gateway-server, store",
            Self::Coalesce => "gateway-server, coalesce",
            Self::Plain => "plain send loop",
            Self::Ring => "plain io_uring loop",
            Self::UWebSockets => "uWebSockets",
            Self::Ws => "ws",
            Self::Nchan => "nchan",
            Self::SocketIo => "socket.io",
            Self::GatewayWorker => "GatewayWorker",
            Self::BehindNginx => "gateway-server behind nginx",
            Self::BehindCaddy => "gateway-server behind Caddy",
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
            Self::Ours | Self::Gateway2 | Self::Store | Self::Coalesce | Self::Plain => None,
            Self::Ring => ring::missing(),
            Self::SocketIo => {
                module("SOCKET_IO_PATH", "socket.io").or_else(|| module("SOCKET_IO_PATH", "socket.io-client"))
            }
            Self::UWebSockets => module("UWS_PATH", "uwebsockets"),
            Self::Ws => module("WS_PATH", "ws"),
            Self::Nchan => (!Nginx::find().is_some_and(|nginx| nginx.has_nchan())).then(|| {
                "neither installed (libnginx-mod-nchan) nor in NGINX_PATH: scripts/bench-peers gets it"
                    .to_owned()
            }),
            Self::GatewayWorker => OriginalStack::missing(),
            Self::BehindNginx => Nginx::find().is_none().then(|| {
                "nginx is neither installed nor in NGINX_PATH: scripts/bench-peers gets it".to_owned()
            }),
            Self::BehindCaddy => caddy::find().is_none().then(|| {
                "Caddy is neither installed nor in CADDY_PATH: scripts/bench-peers gets it".to_owned()
            }),
        }
    }

    /// True if the server, or what stands in front of it, is another project's, which can be left out.
    pub(crate) fn is_peer(self) -> bool {
        self.is_proxied() || !self.is_ours() && !matches!(self, Self::Plain | Self::Ring)
    }

    /// True if another project's proxy stands in front of our server.
    pub(crate) fn is_proxied(self) -> bool {
        matches!(self, Self::BehindNginx | Self::BehindCaddy)
    }

    /// True if the server takes clients with TLS.
    pub(crate) fn speaks_tls(self) -> bool {
        self.is_proxied() || matches!(self, Self::Ours | Self::UWebSockets)
    }

    /// True if the server sends each client a first message by itself.
    pub(crate) fn greets(self) -> bool {
        self.is_ours() || matches!(self, Self::SocketIo | Self::GatewayWorker)
    }

    /// True if the server pings clients, or an application on it does by the recipe of its documents.
    pub(crate) fn pings(self) -> bool {
        matches!(self, Self::Ours | Self::UWebSockets | Self::Ws)
    }

    /// The message by which a client asks to get messages, where it has to; the server answers it.
    pub(crate) fn joins_by(self) -> Option<&'static [u8]> {
        // The packet CONNECT of socket.io, in a message of engine.io.
        (self == Self::SocketIo).then_some(b"40")
    }

    pub(crate) fn is_ours(self) -> bool {
        self.is_proxied() || matches!(self, Self::Ours | Self::Gateway2 | Self::Store | Self::Coalesce)
    }

    /// True if the server sends a client's messages back.
    pub(crate) fn echoes(self) -> bool {
        matches!(self, Self::Plain | Self::UWebSockets | Self::Ws)
    }

    pub(crate) fn path(self, topic: &str) -> String {
        match self {
            Self::Nchan => format!("/subscribe/{topic}"),
            Self::SocketIo => format!("/socket.io/?EIO=4&transport=websocket&topic={topic}"),
            _ => format!("/{topic}"),
        }
    }

    pub(crate) async fn start(self, cores: Cores, mode: Mode) -> anyhow::Result<Running> {
        let certificate = (mode == Mode::Tls).then(TestCertificate::new).transpose()?;
        let folder = tempfile::tempdir()?;
        let in_folder =
            |name| folder.path().join(name).to_str().map(str::to_owned).context("the folder's name");
        // nginx and Caddy do not say which port they have found free.
        let chosen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut ready = "ready ";
        let mut command = match self {
            Self::Ours if mode == Mode::Pinging => pinging(cores, &["--websocket", "127.0.0.1:0"])?,
            Self::Ours => {
                let secure = certificate.as_ref().map(TestCertificate::flags);
                let secure: Vec<_> = secure.iter().flatten().map(String::as_str).collect();
                ours(cores, &secure)?
            }
            Self::BehindNginx | Self::BehindCaddy => ours(cores, &[])?,
            Self::Gateway2 => ours(cores, &["--operations", "127.0.0.1:0"])?,
            Self::Store => ours(cores, &["--store", &in_folder("store")?])?,
            Self::Coalesce => ours(cores, &["--coalesce", COALESCE])?,
            Self::SocketIo => node("bench_socket_io.js", "SOCKET_IO_PATH"),
            Self::GatewayWorker => return self.start_original(cores).await,
            Self::Plain | Self::Ring => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg(plain::ARGUMENT);
                if self == Self::Ring {
                    command.arg(ring::ARGUMENT);
                }
                command
            }
            Self::UWebSockets => {
                let mut command = node("bench_uws.js", "UWS_PATH");
                if let Some(certificate) = &certificate {
                    command.arg(&certificate.certificate).arg(&certificate.key);
                }
                command
            }
            Self::Ws => node("bench_ws.js", "WS_PATH"),
            Self::Nchan => {
                ready = nginx::READY;
                Nginx::find().context("nginx with nchan")?.with_nchan(chosen, folder.path())?
            }
        };
        match mode {
            Mode::Pinging => drop(command.env("PING_SECONDS", PING_INTERVAL.as_secs().to_string())),
            Mode::Recovering => drop(command.env("RECOVERS", "true")),
            Mode::Tokens => drop(command.env("GATEWAY_TOKEN_KEY", TOKEN_KEY)),
            Mode::Plain | Mode::Tls => {}
        }
        let (process, line) = cores.as_server(ProcessGroup::start_silent(command, ready)).await?;
        let (mut websocket, register) = match self {
            _ if self.is_ours() => our_addresses(&line)?,
            Self::Nchan => (chosen, chosen),
            _ => addresses(&line)?,
        };
        let operations = line.split_whitespace().find_map(|word| word.strip_prefix("operations="));
        let operations = operations.map(str::parse).transpose()?;
        let mut groups = vec![process];
        if self.is_proxied() {
            let certificate = certificate.as_ref().context("a proxy speaks TLS")?;
            let (command, ready) = match self {
                Self::BehindNginx => {
                    let nginx = Nginx::find().context("nginx")?;
                    (nginx.in_front(chosen, websocket, certificate, folder.path())?, nginx::READY)
                }
                _ => {
                    let caddy = caddy::find().context("Caddy")?;
                    (caddy::in_front(&caddy, chosen, websocket, certificate, folder.path())?, caddy::READY)
                }
            };
            groups.push(cores.as_server(ProcessGroup::start_silent(command, ready)).await?.0);
            websocket = chosen;
        }
        let websocket =
            if mode == Mode::Tls { Endpoint::with_tls(websocket)? } else { Endpoint::plain(websocket) };
        let (_folder, _certificate) = (Some(folder), certificate);
        Ok(Running { contender: self, websocket, register, operations, groups, _folder, _certificate })
    }

    /// Starts the processes of GatewayWorker, one of each kind.
    async fn start_original(self, cores: Cores) -> anyhow::Result<Running> {
        let stack = cores.as_server(OriginalStack::start()).await?;
        Ok(Running {
            contender: self,
            websocket: Endpoint::plain(stack.websocket),
            register: stack.internal,
            operations: None,
            groups: vec![stack.processes],
            _folder: Some(stack.data),
            _certificate: None,
        })
    }

    /// Starts our server with its usual pings, on a port that it shares with others.
    pub(crate) async fn sharing(cores: Cores, port: Option<SocketAddr>) -> anyhow::Result<Running> {
        let port = port.map_or_else(|| "127.0.0.1:0".to_owned(), |port| port.to_string());
        let command = pinging(cores, &["--reuse-port", "--websocket", &port])?;
        let (process, line) = cores.as_server(ProcessGroup::start_silent(command, "ready ")).await?;
        let (websocket, register) = our_addresses(&line)?;
        Ok(Running {
            contender: Self::Ours,
            websocket: Endpoint::plain(websocket),
            register,
            operations: None,
            groups: vec![process],
            _folder: None,
            _certificate: None,
        })
    }
}

/// Gives the command of our server. Without pings, nothing but what is measured happens on the connections.
fn ours(cores: Cores, flags: &[&str]) -> anyhow::Result<Command> {
    let mut command = pinging(cores, &["--websocket", "127.0.0.1:0", "--ping-interval", "0"])?;
    command.args(flags);
    Ok(command)
}

fn pinging(cores: Cores, flags: &[&str]) -> anyhow::Result<Command> {
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

/// Reads the address for clients, and that of who publishes where it is another one, from the line of a server in JavaScript.
fn addresses(line: &str) -> anyhow::Result<(SocketAddr, SocketAddr)> {
    let mut addresses = line.trim_start_matches("ready ").split_whitespace();
    let websocket = addresses.next().context("an address")?.parse()?;
    Ok((websocket, addresses.next().map_or(Ok(websocket), str::parse)?))
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
pub(crate) fn peers() -> PathBuf {
    // The running program is target/release/deps/load-…, and the folder stands in target.
    let bench = std::env::current_exe().unwrap_or_default();
    bench.ancestors().nth(3).unwrap_or(Path::new("target")).join("bench-peers")
}
