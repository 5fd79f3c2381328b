//! How each server is started.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use anyhow::Context as _;
use gateway_tests::{OriginalStack, ProcessGroup, TestCertificate, eventually, server_binary};

use crate::contender::{Contender, Mode, PING_INTERVAL, event_extension, node};
use crate::cores::Cores;
use crate::endpoint::Endpoint;
use crate::nginx::Nginx;
use crate::running::Running;
use crate::tokens::TOKEN_KEY;
use crate::{caddy, nginx, plain, reverb, ring, sockudo};

/// How long messages wait for others where they do.
const COALESCE: &str = "2ms";

impl Contender {
    pub(crate) async fn start(self, cores: Cores, mode: Mode) -> anyhow::Result<Running> {
        let certificate = (mode == Mode::Tls).then(TestCertificate::new).transpose()?;
        let folder = tempfile::tempdir()?;
        let in_folder =
            |name| folder.path().join(name).to_str().map(str::to_owned).context("the folder's name");
        // These do not say which port they have found free.
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
            Self::GatewayWorker | Self::GatewayWorkerEvent => return self.start_original(cores).await,
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
            Self::Sockudo => {
                ready = sockudo::READY;
                sockudo::command(&sockudo::find().context("Sockudo")?, chosen, folder.path())?
            }
            Self::Reverb => {
                ready = reverb::READY;
                let extension = event_extension().context("the extension event")?;
                reverb::command(&reverb::find().context("Reverb")?, chosen, &extension)
            }
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
            Self::Nchan | Self::Sockudo | Self::Reverb => (chosen, chosen),
            _ => addresses(&line)?,
        };
        if self == Self::Sockudo {
            // The line comes before the socket.
            let listens = async || Ok(std::net::TcpStream::connect(chosen).is_ok());
            eventually("Sockudo listens", true, listens).await?;
        }
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
        let extension = event_extension().filter(|_| self == Self::GatewayWorkerEvent);
        let stack = match &extension {
            None => cores.as_server(OriginalStack::start()).await?,
            Some(extension) => cores.as_server(OriginalStack::start_with_extension(extension)).await?,
        };
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
        // Both ends of all share the cores, so a client may answer late while a broadcast goes to everybody.
        let patient = ["--ping-not-response-limit", "4"];
        let command = pinging(cores, &[&["--reuse-port", "--websocket", &port], &patient[..]].concat())?;
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
