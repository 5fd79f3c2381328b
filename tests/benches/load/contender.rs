//! The servers that are compared, and what each can do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gateway_tests::{OriginalStack, root};

use crate::nginx::Nginx;
use crate::{caddy, pusher, reverb, ring, sockudo};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    Ours,
    /// Our server with clients that speak `gateway.2`, and so can come back.
    Gateway2,
    /// Our server with a store for messages to users who are not there.
    Store,
    /// Our server with messages that wait for those which follow.
    Coalesce,
    Plain,
    /// The plain loop with its sends through io_uring.
    Ring,
    UWebSockets,
    Ws,
    Nchan,
    SocketIo,
    Sockudo,
    Reverb,
    GatewayWorker,
    /// GatewayWorker with PHP's extension event.
    GatewayWorkerEvent,
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

impl Contender {
    pub(crate) const ALL: [Self; 16] = [
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
        Self::Sockudo,
        Self::Reverb,
        Self::GatewayWorker,
        Self::GatewayWorkerEvent,
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
            Self::Sockudo => "Sockudo",
            Self::Reverb => "Reverb",
            Self::GatewayWorker => "GatewayWorker",
            Self::GatewayWorkerEvent => "GatewayWorker, event",
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
            Self::Sockudo => sockudo::find().is_none().then(|| {
                "Sockudo is not in SOCKUDO_PATH, a folder with bin/sockudo: scripts/bench-peers gets it"
                    .to_owned()
            }),
            Self::Reverb => (reverb::find().is_none())
                .then(|| "REVERB_PATH names no application of Laravel with Reverb".to_owned())
                .or_else(|| missing_extension(event_extension())),
            Self::GatewayWorker => OriginalStack::missing(),
            Self::GatewayWorkerEvent => {
                OriginalStack::missing().or_else(|| missing_extension(event_extension()))
            }
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
        self.is_ours() || self.speaks_pusher() || self.is_original() || self == Self::SocketIo
    }

    /// True if the server pings clients, or an application on it does by the recipe of its documents.
    pub(crate) fn pings(self) -> bool {
        matches!(self, Self::Ours | Self::UWebSockets | Self::Ws)
    }

    /// The message by which a client asks to get the messages of its topic, where it has to; the server answers it.
    pub(crate) fn joins_by(self, topic: &str) -> Option<String> {
        match self {
            // The packet CONNECT of socket.io, in a message of engine.io.
            Self::SocketIo => Some("40".to_owned()),
            _ => self.speaks_pusher().then(|| pusher::subscription(topic)),
        }
    }

    fn speaks_pusher(self) -> bool {
        matches!(self, Self::Sockudo | Self::Reverb)
    }

    /// True for GatewayWorker, with or without an extension.
    pub(crate) fn is_original(self) -> bool {
        matches!(self, Self::GatewayWorker | Self::GatewayWorkerEvent)
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
            _ if self.speaks_pusher() => pusher::path(),
            _ => format!("/{topic}"),
        }
    }
}

pub(crate) fn node(script: &str, variable: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(root().join("tests/js").join(script)).env("NODE_PATH", node_modules(variable));
    command
}

/// The file of PHP's extension event, by which programs in PHP hold more clients than `select` takes.
pub(crate) fn event_extension() -> Option<PathBuf> {
    std::env::var_os("PHP_EVENT_EXTENSION").map(PathBuf::from)
}

fn missing_extension(extension: Option<PathBuf>) -> Option<String> {
    (!extension.is_some_and(|file| file.is_file()))
        .then(|| "PHP_EVENT_EXTENSION names no file of PHP's extension event".to_owned())
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
