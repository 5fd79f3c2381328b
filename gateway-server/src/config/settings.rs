//! Every setting, with what it means, its default and what it may be.

use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gateway_wire::bridge::frame::MAX_CALL;
use gateway_wire::token::MIN_SECRET;
use serde::Deserialize;

use super::listener::{self, Listener, ListenerLayer};
use crate::cluster;
use crate::listener::MAX_REQUEST;
use crate::net::tls::{CertificateError, Files};
use crate::net::{NatsAddress, Network};
use crate::protocol::Protocol;
use crate::shard::MAX_SESSION;
use crate::system::{Secret, files, machine};
use crate::telemetry::logs::{self, LogFormat};

/// The memory that a connection of PHP which holds little is reckoned to take, in bytes.
const REGISTER_CONNECTION: u64 = 16 << 10;
/// The memory that a client's handshake, with TLS, is reckoned to take, in bytes.
const HANDSHAKE: u64 = 32 << 10;
/// Bytes of a file whose first line is a secret.
const MAX_SECRET_FILE: u64 = 64 << 10;

/// What one source says; the same keys are known to the file, the environment and the flags. The comments are the text of
/// `--help`.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Where browsers connect [default: 0.0.0.0:8282]
    #[arg(long, env = "GATEWAY_WEBSOCKET", value_name = "ADDRESS")]
    pub websocket: Option<SocketAddr>,

    /// Where other clients connect, and what they speak: websocket, text, frame or tcp; repeat it or separate by commas, as in
    /// text://0.0.0.0:8283. In the file each is a table [[listener]] with protocol and address, and with ping_interval,
    /// ping_not_response_limit, ping_data, max_message, outbox_bytes, tls_certificate and tls_key, proxy_protocol, origins,
    /// paths, hosts, subprotocols, messages_per_second or bytes_per_second where those are to differ [default: none]
    #[arg(long, env = "GATEWAY_LISTENER", value_name = "PROTOCOL://ADDRESS", value_delimiter = ',')]
    pub listener: Option<Vec<ListenerLayer>>,

    /// Whether other servers that say the same may listen on the ports for clients too; the kernel spreads clients over them,
    /// each of which belongs to one server only [default: false]
    #[arg(long, env = "GATEWAY_REUSE_PORT", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub reuse_port: Option<bool>,

    /// Where PHP connects; repeat it or separate by commas [default: 127.0.0.1:1238,127.0.0.1:1236]
    #[arg(long, env = "GATEWAY_REGISTER", value_name = "ADDRESS", value_delimiter = ',')]
    pub register: Option<Vec<SocketAddr>>,

    /// A unix socket where PHP connects as well [default: none]
    #[arg(long, env = "GATEWAY_REGISTER_UNIX", value_name = "PATH")]
    pub register_unix: Option<PathBuf>,

    /// A PEM file with the certificate of the register port: PHP on other machines then has to connect with tls://, and PHP on
    /// this one may [default: none]
    #[arg(long, env = "GATEWAY_REGISTER_TLS_CERTIFICATE", value_name = "PATH")]
    pub register_tls_certificate: Option<PathBuf>,

    /// A PEM file with the private key of the certificate [default: none]
    #[arg(long, env = "GATEWAY_REGISTER_TLS_KEY", value_name = "PATH")]
    pub register_tls_key: Option<PathBuf>,

    /// A PEM file with certificates of authorities: PHP then has to show a certificate that one of them vouches for
    /// [default: none]
    #[arg(long, env = "GATEWAY_REGISTER_TLS_CLIENT_CA", value_name = "PATH")]
    pub register_tls_client_ca: Option<PathBuf>,

    /// See `secret_key_file`.
    #[arg(skip)]
    pub secret_key: Option<Secret>,

    /// A file whose first line is the secret that PHP must know. The secret itself may stand in the variable
    /// GATEWAY_SECRET_KEY, or as secret_key in the TOML file; no flag takes it, as flags show in lists of processes
    /// [default: none]
    #[arg(long, env = "GATEWAY_SECRET_KEY_FILE", value_name = "PATH")]
    pub secret_key_file: Option<PathBuf>,

    /// See `token_key_file`.
    #[arg(skip)]
    pub token_key: Option<Secret>,

    /// A file whose first line is the key that connect tokens are signed with; like the secret it may stand in the variable
    /// GATEWAY_TOKEN_KEY, or as token_key in the TOML file [default: a key made of the secret]
    #[arg(long, env = "GATEWAY_TOKEN_KEY_FILE", value_name = "PATH")]
    pub token_key_file: Option<PathBuf>,

    /// Whether only clients with a connect token are let in [default: false]
    #[arg(long, env = "GATEWAY_REQUIRE_TOKEN", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub require_token: Option<bool>,

    /// Where operators ask for health, metrics and clients over HTTP, and programs push by the HTTP API, as 127.0.0.1:1239
    /// [default: none]
    #[arg(long, env = "GATEWAY_OPERATIONS", value_name = "ADDRESS")]
    pub operations: Option<SocketAddr>,

    /// See `operations_token_file`.
    #[arg(skip)]
    pub operations_token: Option<Secret>,

    /// A file whose first line is the token that the operations port wants, as in `Authorization: Bearer TOKEN`; like the
    /// secret it may stand in the variable GATEWAY_OPERATIONS_TOKEN, or as operations_token in the TOML file. Without one the
    /// port has to be on loopback, and secret_key unset [default: none]
    #[arg(long, env = "GATEWAY_OPERATIONS_TOKEN_FILE", value_name = "PATH")]
    pub operations_token_file: Option<PathBuf>,

    /// The address that client ids name for this server [default: the first register address]
    #[arg(long, env = "GATEWAY_NODE", value_name = "IPV4:PORT")]
    pub node: Option<SocketAddrV4>,

    /// Servers of NATS, over which this server is one node of a cluster, as nats://10.0.0.1:4222, or with tls:// and with
    /// user:password@ or token@ before the host; repeat it or separate by commas. Flags show in lists of processes, so a
    /// password belongs into the file or the variable. All nodes need the same secret_key, and each a node of its own
    /// [default: none]
    #[arg(
        long,
        env = "GATEWAY_CLUSTER_NATS",
        value_name = "URL",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub cluster_nats: Option<Vec<NatsAddress>>,

    /// The name of the cluster, which several may have of one NATS [default: gateway]
    #[arg(long, env = "GATEWAY_CLUSTER_NAME", value_name = "NAME")]
    pub cluster_name: Option<String>,

    /// A file with credentials for NATS, as nsc writes it (.creds) [default: none]
    #[arg(long, env = "GATEWAY_CLUSTER_CREDENTIALS", value_name = "PATH")]
    pub cluster_credentials: Option<PathBuf>,

    /// A PEM file with certificates of authorities that may vouch for the servers of NATS [default: those of the system]
    #[arg(long, env = "GATEWAY_CLUSTER_TLS_CA", value_name = "PATH")]
    pub cluster_tls_ca: Option<PathBuf>,

    /// A PEM file with the certificate that this node shows to NATS [default: none]
    #[arg(long, env = "GATEWAY_CLUSTER_TLS_CERTIFICATE", value_name = "PATH")]
    pub cluster_tls_certificate: Option<PathBuf>,

    /// A PEM file with the private key of that certificate [default: none]
    #[arg(long, env = "GATEWAY_CLUSTER_TLS_KEY", value_name = "PATH")]
    pub cluster_tls_key: Option<PathBuf>,

    /// Bytes that may wait for other nodes, or be kept in case that one of them misses something [default: a sixteenth
    /// of the memory, but 67108864 at most]
    #[arg(long, env = "GATEWAY_CLUSTER_BUFFER_BYTES", value_name = "BYTES")]
    pub cluster_buffer_bytes: Option<usize>,

    /// What becomes of pushes to other nodes while there is no connection to NATS: they wait for one (buffer), or PHP is told
    /// at once that they failed (fail) [default: buffer]
    #[arg(long, env = "GATEWAY_CLUSTER_OUTAGE", value_name = "POLICY")]
    pub cluster_outage: Option<Outage>,

    /// Seconds that other nodes may take to answer; one that does not makes the call fail [default: 2]
    #[arg(long, env = "GATEWAY_CLUSTER_TIMEOUT", value_name = "SECONDS")]
    pub cluster_timeout: Option<f64>,

    /// Threads that serve established connections; 0 is one for each core, where an eighth of
    /// the memory has 4 MiB for each [default: 0]
    #[arg(long, env = "GATEWAY_SHARDS", value_name = "NUMBER")]
    pub shards: Option<u16>,

    /// Whether to send to many clients at once through io_uring, where the kernel permits it [default: true]
    #[arg(long, env = "GATEWAY_IO_URING", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub io_uring: Option<bool>,

    /// Seconds of silence after which a client is pinged; 0 never pings [default: 25]
    #[arg(long, env = "GATEWAY_PING_INTERVAL", value_name = "SECONDS")]
    pub ping_interval: Option<f64>,

    /// Unanswered pings after which a client is closed; 0 never closes [default: 2]
    #[arg(long, env = "GATEWAY_PING_NOT_RESPONSE_LIMIT", value_name = "NUMBER")]
    pub ping_not_response_limit: Option<u8>,

    /// Message to ping with; empty sends a websocket ping, which browsers answer by themselves, and nothing to clients of
    /// other protocols [default: empty]
    #[arg(long, env = "GATEWAY_PING_DATA", value_name = "TEXT")]
    pub ping_data: Option<String>,

    /// Who handles events, and so greets new clients: the server itself by the init message (builtin), PHP workers only
    /// (workers), or PHP workers while there are any and else the server (auto) [default: auto]
    #[arg(long, env = "GATEWAY_EVENTS", value_name = "WHO")]
    pub events: Option<EventHandlers>,

    /// Which worker gets a new client, and keeps it: the one with the fewest clients (least-clients), the same one for all
    /// clients of an address while the same workers are there (client-address), or any (random) [default: least-clients]
    #[arg(long, env = "GATEWAY_ROUTER", value_name = "HOW")]
    pub router: Option<Routing>,

    /// Bytes that may wait for a PHP worker before its clients are not read any further [default: a 32nd
    /// of the memory, but 10240000 at most]
    #[arg(long, env = "GATEWAY_WORKER_BUFFER_BYTES", value_name = "BYTES")]
    pub worker_buffer_bytes: Option<usize>,

    /// Whether messages from PHP reach clients as text or as binary [default: text]
    #[arg(long, env = "GATEWAY_MESSAGE_TYPE", value_name = "TYPE")]
    pub message_type: Option<MessageType>,

    /// Whether messages are compressed for clients that want it (permessage-deflate), which costs CPU once a message and
    /// no memory for a client [default: false]
    #[arg(long, env = "GATEWAY_DEFLATE", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub deflate: Option<bool>,

    /// Bytes of the longest message that a client may send [default: a 64th of the memory, but 10485760 at most]
    #[arg(long, env = "GATEWAY_MAX_MESSAGE", value_name = "BYTES")]
    pub max_message: Option<usize>,

    /// Bytes that may wait for a client that takes them slowly, with what it costs to keep them; one for which more wait is closed
    /// at the next message [default: a 32nd of the memory, but 16777216 at most]
    #[arg(long, env = "GATEWAY_OUTBOX_BYTES", value_name = "BYTES")]
    pub outbox_bytes: Option<usize>,

    /// A PEM file with the certificate of this server, and after it those between it and its authority: browsers then connect
    /// with wss://. Read again when it changes, and at SIGHUP. In the file a listener that is to have none says "" [default:
    /// none]
    #[arg(long, env = "GATEWAY_TLS_CERTIFICATE", value_name = "PATH")]
    pub tls_certificate: Option<PathBuf>,

    /// A PEM file with the private key of the certificate [default: none]
    #[arg(long, env = "GATEWAY_TLS_KEY", value_name = "PATH")]
    pub tls_key: Option<PathBuf>,

    /// Whether every connection begins with a header of the PROXY protocol, version 1 or 2, as proxies send that do not speak
    /// HTTP. Others are refused [default: false]
    #[arg(long, env = "GATEWAY_PROXY_PROTOCOL", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub proxy_protocol: Option<bool>,

    /// Proxies that are believed when X-Forwarded-For or Forwarded says whom they speak for, by address or network as
    /// 10.0.0.0/8; repeat it or separate by commas. With proxy_protocol they alone may connect [default: none]
    #[arg(long, env = "GATEWAY_TRUSTED_PROXIES", value_name = "NETWORK", value_delimiter = ',')]
    pub trusted_proxies: Option<Vec<Network>>,

    /// Pages that may connect, by their origin as https://example.com or https://*.example.com; repeat it or separate by
    /// commas. Programs that are no browsers say no origin and are let in [default: any]
    #[arg(long, env = "GATEWAY_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub origins: Option<Vec<String>>,

    /// Paths at which browsers may connect, as /chat or /chat/* [default: any]
    #[arg(long, env = "GATEWAY_PATHS", value_name = "PATH", value_delimiter = ',')]
    pub paths: Option<Vec<String>>,

    /// Hosts that browsers may connect to, as example.com, or with a port for no other [default: any]
    #[arg(long, env = "GATEWAY_HOSTS", value_name = "HOST", value_delimiter = ',')]
    pub hosts: Option<Vec<String>>,

    /// Websocket subprotocols that are spoken, as mqtt: a client is answered the first of those it offers that is one of them, or
    /// is gateway, the one of connect tokens. A message means the same whatever was answered [default: none]
    #[arg(long, env = "GATEWAY_SUBPROTOCOLS", value_name = "NAME", value_delimiter = ',')]
    pub subprotocols: Option<Vec<String>>,

    /// Connections of clients at once, on all listeners; 0 is no limit [default: 0]
    #[arg(long, env = "GATEWAY_MAX_CONNECTIONS", value_name = "NUMBER")]
    pub max_connections: Option<usize>,

    /// Of them, those from one IPv4 address or one /64 of IPv6; 0 is no limit. Behind a proxy all have its
    /// address, unless proxy_protocol or trusted_proxies says otherwise [default: 0]
    #[arg(long, env = "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS", value_name = "NUMBER")]
    pub max_connections_per_address: Option<usize>,

    /// Connections that a listener takes in a second; more wait in the kernel's queue. 0 is no limit [default: 0]
    #[arg(long, env = "GATEWAY_HANDSHAKES_PER_SECOND", value_name = "NUMBER")]
    pub handshakes_per_second: Option<f64>,

    /// Bytes of the longest websocket request, with all its headers [default: 16384]
    #[arg(long, env = "GATEWAY_MAX_REQUEST_BYTES", value_name = "BYTES")]
    pub max_request_bytes: Option<usize>,

    /// Messages, fragments of them, pings and pongs that a client may send in a second, over a few seconds; one that sends
    /// more is closed. 0 is no limit [default: 0]
    #[arg(long, env = "GATEWAY_MESSAGES_PER_SECOND", value_name = "NUMBER")]
    pub messages_per_second: Option<f64>,

    /// The same in bytes, with those that compressed messages are inflated to [default: 0]
    #[arg(long, env = "GATEWAY_BYTES_PER_SECOND", value_name = "BYTES")]
    pub bytes_per_second: Option<f64>,

    /// Groups that a client may be in; 0 is no limit [default: 1000]
    #[arg(long, env = "GATEWAY_MAX_GROUPS_PER_CLIENT", value_name = "NUMBER")]
    pub max_groups_per_client: Option<usize>,

    /// Bytes of a client's longest session, serialized [default: 1048576]
    #[arg(long, env = "GATEWAY_MAX_SESSION_BYTES", value_name = "BYTES")]
    pub max_session_bytes: Option<usize>,

    /// Bytes that messages which have not come whole may take, of all clients together, though always four of the longest
    /// messages a shard; those who hold most are closed when it is more. As many again may calls of PHP take that have not come whole, and answers that it has not read [default: an eighth of the memory, but 268435456 at most]
    #[arg(long, env = "GATEWAY_MAX_UNFINISHED_BYTES", value_name = "BYTES")]
    pub max_unfinished_bytes: Option<usize>,

    /// Bytes of memory that what waits for slow clients may take, of all clients together, and one message besides; when it is
    /// more, those are closed who hold most and take least. What many wait for counts once [default: a quarter of the memory, but 1073741824 at most]
    #[arg(long, env = "GATEWAY_MAX_OUTBOX_BYTES", value_name = "BYTES")]
    pub max_outbox_bytes: Option<usize>,

    /// Seconds that a client may take nothing at all of what waits for it; 0 is no limit [default: 30]
    #[arg(long, env = "GATEWAY_OUTBOX_TIMEOUT", value_name = "SECONDS")]
    pub outbox_timeout: Option<f64>,

    /// Connections of PHP processes at once, on all register ports; more take the place of one that has not logged in
    /// within a second, or wait in the kernel's queue. Of those that have not, one other machine may have a quarter [default:
    /// 65536, but fewer where a quarter of the memory is less than 16 KiB for each]
    #[arg(long, env = "GATEWAY_MAX_REGISTER_CONNECTIONS", value_name = "NUMBER")]
    pub max_register_connections: Option<usize>,

    /// Seconds that a websocket or register handshake may take [default: 10]
    #[arg(long, env = "GATEWAY_HANDSHAKE_TIMEOUT", value_name = "SECONDS")]
    pub handshake_timeout: Option<f64>,

    /// Handshakes that may be under way at once; when there are so many, one that takes more than a second makes room for the
    /// next, first of the address that has most. Three quarters may be of one address that is neither this machine nor one of
    /// trusted_proxies [default: 10000, but fewer where an eighth of the memory is less than 32 KiB for each]
    #[arg(long, env = "GATEWAY_MAX_HANDSHAKES", value_name = "NUMBER")]
    pub max_handshakes: Option<usize>,

    /// Seconds that a client may take to answer a close frame. While it takes of what waits for it, it gets as many again
    /// [default: 5]
    #[arg(long, env = "GATEWAY_CLOSE_TIMEOUT", value_name = "SECONDS")]
    pub close_timeout: Option<f64>,

    /// Seconds over which a stop spreads the closing of clients, which then do not all come back at once; with few clients it
    /// takes less, as a thousand may go in a second. 0 closes all at once [default: 5]
    #[arg(long, env = "GATEWAY_DRAIN_SECONDS", value_name = "SECONDS")]
    pub drain_seconds: Option<f64>,

    /// Seconds that a stop then waits for clients to take their last messages [default: 3]
    #[arg(long, env = "GATEWAY_STOP_TIMEOUT", value_name = "SECONDS")]
    pub stop_timeout: Option<f64>,

    /// What is logged: error, warn, info, debug or trace [default: info]
    #[arg(long, env = "GATEWAY_LOG", value_name = "LEVEL")]
    pub log: Option<String>,

    /// How it is logged: text or json [default: text]
    #[arg(long, env = "GATEWAY_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// The one for browsers first.
    pub listeners: Vec<Listener>,
    pub reuse_port: bool,
    pub register: Vec<SocketAddr>,
    pub register_unix: Option<PathBuf>,
    pub register_tls: Option<Files>,
    pub secret_key: Secret,
    /// What connect tokens are signed with, if not with a key made of the secret.
    pub token_key: Secret,
    pub require_token: bool,
    pub operations: Option<SocketAddr>,
    /// Empty if whoever reaches the port may use it.
    pub operations_token: Secret,
    pub node: Option<SocketAddrV4>,
    /// If this is one node of several.
    pub cluster: Option<cluster::ClusterSettings>,
    pub shards: usize,
    pub io_uring: bool,
    pub events: EventHandlers,
    pub router: Routing,
    pub worker_buffer_bytes: usize,
    pub message_type: MessageType,
    pub deflate: bool,
    pub trusted_proxies: Vec<Network>,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub handshakes_per_second: f64,
    pub max_request_bytes: usize,
    pub max_groups_per_client: usize,
    pub max_session_bytes: usize,
    pub max_unfinished_bytes: usize,
    pub max_outbox_bytes: usize,
    pub outbox_timeout: Duration,
    pub max_register_connections: usize,
    pub handshake_timeout: Duration,
    pub max_handshakes: usize,
    pub close_timeout: Duration,
    pub drain_seconds: Duration,
    pub stop_timeout: Duration,
    pub log: String,
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EventHandlers {
    #[value(name = "builtin")]
    BuiltIn,
    Workers,
    Auto,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Routing {
    LeastClients,
    ClientAddress,
    Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Outage {
    Buffer,
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum MessageType {
    Text,
    Binary,
}

/// A setting with a value that it cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// Which `[[listener]]`, counted from 0, the key belongs to, if to one.
    pub listener: Option<usize>,
    pub key: &'static str,
    pub reason: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(listener) = self.listener {
            write!(f, "listener {}: ", listener + 1)?;
        }
        write!(f, "{}: {}", self.key, self.reason)
    }
}

impl Layer {
    /// What `self` says, and `below` where it says nothing.
    pub fn over(self, below: Self) -> Self {
        self.hiding(below).0
    }

    /// Does what [`Layer::over`] does, and gives the names of those settings to which both give a value.
    pub(super) fn hiding(self, below: Self) -> (Self, Vec<&'static str>) {
        macro_rules! merge {
            ($($key:ident),* $(,)?) => {{
                let both = [$((self.$key.is_some() && below.$key.is_some(), stringify!($key))),*];
                let hidden = both.into_iter().filter_map(|(is_hidden, key)| is_hidden.then_some(key)).collect();
                (Self { $($key: self.$key.or(below.$key)),* }, hidden)
            }};
        }
        merge! {
            websocket, listener, reuse_port, register, register_unix, register_tls_certificate, register_tls_key,
            register_tls_client_ca, secret_key, secret_key_file, token_key, token_key_file, require_token, operations,
            operations_token, operations_token_file, node, cluster_nats, cluster_name, cluster_credentials, cluster_tls_ca,
            cluster_tls_certificate, cluster_tls_key, cluster_buffer_bytes, cluster_outage, cluster_timeout, shards, io_uring,
            ping_interval,
            ping_not_response_limit, ping_data, events, router, worker_buffer_bytes, message_type, deflate, max_message,
            outbox_bytes, tls_certificate, tls_key, proxy_protocol, trusted_proxies, origins, paths, hosts, subprotocols, max_connections, max_connections_per_address,
            handshakes_per_second, max_request_bytes, messages_per_second, bytes_per_second,
            max_groups_per_client, max_session_bytes,
            max_unfinished_bytes, max_outbox_bytes, outbox_timeout, max_register_connections, handshake_timeout,
            max_handshakes, close_timeout, drain_seconds, stop_timeout, log, log_format,
        }
    }

    /// Where the operations port is, and its token, whatever else may be wrong.
    pub(super) fn operations(self) -> Result<(Option<SocketAddr>, Secret), Vec<Invalid>> {
        let mut checks = Checks::default();
        let token = checks.secret("operations_token", self.operations_token, self.operations_token_file);
        if checks.invalid.is_empty() { Ok((self.operations, token)) } else { Err(checks.invalid) }
    }

    /// Fills in the defaults and checks everything, so that all that is wrong can be said at once.
    pub fn settle(self) -> Result<Settings, Vec<Invalid>> {
        let mut checks = Checks::default();
        let websocket = ListenerLayer {
            ping_interval: self.ping_interval,
            ping_not_response_limit: self.ping_not_response_limit,
            ping_data: self.ping_data,
            max_message: self.max_message,
            outbox_bytes: self.outbox_bytes,
            origins: self.origins,
            paths: self.paths,
            hosts: self.hosts,
            subprotocols: self.subprotocols,
            messages_per_second: self.messages_per_second,
            bytes_per_second: self.bytes_per_second,
            tls_certificate: self.tls_certificate,
            tls_key: self.tls_key,
            proxy_protocol: self.proxy_protocol,
            ..ListenerLayer::new(
                Protocol::Websocket,
                self.websocket.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 8282))),
            )
        };
        let timeout = checks.seconds("cluster_timeout", self.cluster_timeout.unwrap_or(2.0), 0.01);
        let cluster = cluster::ClusterSettings {
            nats: self.cluster_nats.unwrap_or_default(),
            name: self.cluster_name.unwrap_or_else(|| "gateway".to_owned()),
            credentials: self.cluster_credentials,
            authorities: self.cluster_tls_ca,
            certificate: checks.pair(
                ("cluster_tls_certificate", self.cluster_tls_certificate),
                ("cluster_tls_key", self.cluster_tls_key),
            ),
            buffer: self.cluster_buffer_bytes.unwrap_or_else(|| machine::memory_share(16, 64 << 20)),
            is_buffered: self.cluster_outage != Some(Outage::Fail),
            timeout,
        };
        let cluster = checks.cluster(cluster);
        let settings = Settings {
            listeners: listener::settle(websocket, self.listener.unwrap_or_default(), &mut checks),
            reuse_port: self.reuse_port.unwrap_or(false),
            register: self.register.unwrap_or_else(|| {
                vec![SocketAddr::from(([127, 0, 0, 1], 1238)), SocketAddr::from(([127, 0, 0, 1], 1236))]
            }),
            register_unix: self.register_unix,
            register_tls: checks.register_tls(
                self.register_tls_certificate,
                self.register_tls_key,
                self.register_tls_client_ca,
            ),
            secret_key: checks.secret("secret_key", self.secret_key, self.secret_key_file),
            token_key: checks.secret("token_key", self.token_key, self.token_key_file),
            require_token: self.require_token.unwrap_or(false),
            operations: self.operations,
            operations_token: checks.secret(
                "operations_token",
                self.operations_token,
                self.operations_token_file,
            ),
            node: self.node,
            cluster,
            shards: checks.within("shards", self.shards.unwrap_or(0), 0, 1024).into(),
            io_uring: self.io_uring.unwrap_or(true),
            events: self.events.unwrap_or(EventHandlers::Auto),
            router: self.router.unwrap_or(Routing::LeastClients),
            worker_buffer_bytes: checks.within(
                "worker_buffer_bytes",
                self.worker_buffer_bytes.unwrap_or_else(|| machine::memory_share(32, 10_240_000)),
                64 << 10,
                1 << 30,
            ),
            message_type: self.message_type.unwrap_or(MessageType::Text),
            deflate: self.deflate.unwrap_or(false),
            trusted_proxies: self.trusted_proxies.unwrap_or_default(),
            max_connections: self.max_connections.unwrap_or(0),
            max_connections_per_address: self.max_connections_per_address.unwrap_or(0),
            handshakes_per_second: checks
                .rate("handshakes_per_second", self.handshakes_per_second.unwrap_or(0.0)),
            max_request_bytes: checks.within(
                "max_request_bytes",
                self.max_request_bytes.unwrap_or(MAX_REQUEST),
                1 << 10,
                1 << 20,
            ),
            max_groups_per_client: self.max_groups_per_client.unwrap_or(1000),
            max_unfinished_bytes: checks.within(
                "max_unfinished_bytes",
                self.max_unfinished_bytes.unwrap_or_else(|| machine::memory_share(8, 256 << 20)),
                1 << 20,
                1 << 40,
            ),
            max_outbox_bytes: checks.within(
                "max_outbox_bytes",
                self.max_outbox_bytes.unwrap_or_else(|| machine::memory_share(4, 1 << 30)),
                1 << 20,
                1 << 40,
            ),
            outbox_timeout: checks.seconds("outbox_timeout", self.outbox_timeout.unwrap_or(30.0), 0.0),
            max_register_connections: checks.within(
                "max_register_connections",
                self.max_register_connections
                    .unwrap_or_else(|| machine::count_in_share(4, REGISTER_CONNECTION, 65_536)),
                1,
                1 << 20,
            ),
            max_session_bytes: checks.within(
                "max_session_bytes",
                self.max_session_bytes.unwrap_or(MAX_SESSION),
                64,
                MAX_CALL / 2,
            ),
            handshake_timeout: checks.seconds(
                "handshake_timeout",
                self.handshake_timeout.unwrap_or(10.0),
                0.01,
            ),
            max_handshakes: checks.within(
                "max_handshakes",
                self.max_handshakes.unwrap_or_else(|| machine::count_in_share(8, HANDSHAKE, 10_000)),
                1,
                1 << 24,
            ),
            close_timeout: checks.seconds("close_timeout", self.close_timeout.unwrap_or(5.0), 0.01),
            drain_seconds: checks.seconds("drain_seconds", self.drain_seconds.unwrap_or(5.0), 0.0),
            stop_timeout: checks.seconds("stop_timeout", self.stop_timeout.unwrap_or(3.0), 0.01),
            log: self.log.unwrap_or_else(|| "info".to_owned()),
            log_format: self.log_format.unwrap_or(LogFormat::Text),
        };
        checks.log_filter(&settings.log);
        checks.together(&settings);
        if checks.invalid.is_empty() { Ok(settings) } else { Err(checks.invalid) }
    }
}

impl Settings {
    /// What no setting shows alone.
    pub(super) fn check(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::default();
        checks.together(self);
        if checks.invalid.is_empty() { Ok(()) } else { Err(checks.invalid) }
    }
}

#[derive(Default)]
pub(super) struct Checks {
    invalid: Vec<Invalid>,
    /// Whose settings are checked now, if those of one `[[listener]]`.
    pub(super) listener: Option<usize>,
}

impl Checks {
    pub(super) fn refuse(&mut self, key: &'static str, reason: String) {
        self.invalid.push(Invalid { listener: self.listener, key, reason });
    }

    pub(super) fn within<T: PartialOrd + fmt::Display + Copy>(
        &mut self,
        key: &'static str,
        value: T,
        low: T,
        high: T,
    ) -> T {
        if value < low || value > high {
            self.refuse(key, format!("{value} is not within {low} to {high}"));
        }
        value
    }

    pub(super) fn seconds(&mut self, key: &'static str, value: f64, low: f64) -> Duration {
        const A_DAY: f64 = 86_400.0;
        if !(low..=A_DAY).contains(&value) {
            self.refuse(key, format!("{value} seconds is not within {low} to {A_DAY}"));
            return Duration::ZERO;
        }
        Duration::from_secs_f64(value)
    }

    /// So many in a second; zero is no limit.
    pub(super) fn rate(&mut self, key: &'static str, value: f64) -> f64 {
        if value == 0.0 { value } else { self.within(key, value, 0.01, 1e9) }
    }

    fn secret(&mut self, name: &'static str, secret: Option<Secret>, file: Option<PathBuf>) -> Secret {
        let key = match name {
            "token_key" => "token_key_file",
            "operations_token" => "operations_token_file",
            _ => "secret_key_file",
        };
        match (secret, file) {
            (Some(_), Some(_)) => {
                self.refuse(key, format!("{name} is given too: leave one of them out"));
                Secret::default()
            }
            (Some(secret), None) => secret,
            (None, None) => Secret::default(),
            (None, Some(path)) => match files::read_text(&path, MAX_SECRET_FILE) {
                Ok(text) if text.lines().next().is_some_and(|line| !line.is_empty()) => {
                    Secret::new(text.lines().next().unwrap_or_default())
                }
                Ok(_) => {
                    self.refuse(key, format!("the first line of {} is empty", path.display()));
                    Secret::default()
                }
                Err(error) => {
                    self.refuse(key, format!("{}: {error}", path.display()));
                    Secret::default()
                }
            },
        }
    }

    fn together(&mut self, settings: &Settings) {
        self.register_is_guarded(settings);
        self.tokens_can_be_required(settings);
        self.operations_are_guarded(settings);
        if settings.cluster.is_some() && settings.secret_key.is_empty() {
            let reason =
                "whoever may use NATS could push to all clients: set secret_key, the same on all nodes";
            self.refuse("cluster_nats", reason.to_owned());
        }
    }

    fn cluster(&mut self, settings: cluster::ClusterSettings) -> Option<cluster::ClusterSettings> {
        let is_word = |name: &str| {
            (1..=32).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        if !is_word(&settings.name) {
            let reason = "it must be 1 to 32 letters, digits, - or _";
            self.refuse("cluster_name", format!("{:?}: {reason}", settings.name));
        }
        self.within("cluster_buffer_bytes", settings.buffer, 1 << 20, 1 << 40);
        (!settings.nats.is_empty()).then_some(settings)
    }

    fn operations_are_guarded(&mut self, settings: &Settings) {
        let Some(address) = settings.operations.filter(|_| settings.operations_token.is_empty()) else {
            return;
        };
        if !address.ip().is_loopback() {
            let reason = "can be reached from other machines: set operations_token, or listen on 127.0.0.1";
            self.refuse("operations", format!("{address} {reason}"));
        } else if !settings.secret_key.is_empty() {
            let reason =
                "everybody on this machine could push there without secret_key: set operations_token too";
            self.refuse("operations", reason.to_owned());
        }
    }

    fn register_tls(
        &mut self,
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
        client_authorities: Option<PathBuf>,
    ) -> Option<Files> {
        let is_without_certificate = certificate.is_none() && key.is_none();
        let files = self.pair(("register_tls_certificate", certificate), ("register_tls_key", key));
        match files {
            Some((certificate, key)) => {
                let files = Files { certificate, key, client_authorities, is_web: false };
                if let Err(problem) = files.load() {
                    let setting = match problem {
                        CertificateError::Certificate(_) => "register_tls_certificate",
                        CertificateError::Key(_) => "register_tls_key",
                        CertificateError::ClientAuthorities(_) => "register_tls_client_ca",
                    };
                    self.refuse(setting, problem.to_string());
                }
                Some(files)
            }
            None => {
                if is_without_certificate && client_authorities.is_some() {
                    self.refuse("register_tls_client_ca", of_no_use_without("register_tls_certificate"));
                }
                None
            }
        }
    }

    /// A certificate and its key: both or neither.
    fn pair(
        &mut self,
        (certificate_name, certificate): (&'static str, Option<PathBuf>),
        (key_name, key): (&'static str, Option<PathBuf>),
    ) -> Option<(PathBuf, PathBuf)> {
        match (&certificate, &key) {
            (Some(_), None) => self.refuse(certificate_name, of_no_use_without(key_name)),
            (None, Some(_)) => self.refuse(key_name, of_no_use_without(certificate_name)),
            _ => {}
        }
        certificate.zip(key)
    }

    fn log_filter(&mut self, log: &str) {
        if let Err(error) = logs::filter(log) {
            self.refuse("log", format!("{log:?} is not a level: {error}"));
        }
    }

    fn tokens_can_be_required(&mut self, settings: &Settings) {
        if !settings.require_token {
            return;
        }
        if settings.token_key.is_empty() && settings.secret_key.as_bytes().len() < MIN_SECRET {
            self.refuse(
                "require_token",
                format!(
                    "there is no key to read tokens with: set token_key, or a secret_key of {MIN_SECRET} bytes or more"
                ),
            );
        }
        let others = settings.listeners.iter().find(|listener| listener.protocol != Protocol::Websocket);
        if let Some(other) = others {
            let protocol = other.protocol.name();
            self.refuse(
                "require_token",
                format!("clients of the {protocol} listener have no way to bring one"),
            );
        }
    }

    fn register_is_guarded(&mut self, settings: &Settings) {
        if settings.register.is_empty() && settings.register_unix.is_none() {
            self.refuse(
                "register",
                "PHP has no way in: give an address, or a path in register_unix".to_owned(),
            );
        }
        let open = settings.register.iter().find(|address| !address.ip().is_loopback());
        if let Some(open) = open.filter(|_| settings.secret_key.is_empty()) {
            self.refuse(
                "register",
                format!("{open} can be reached from other machines: set secret_key, or listen on 127.0.0.1"),
            );
        }
    }
}

fn of_no_use_without(what: &str) -> String {
    format!("it is of no use without {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_layers_win() {
        let file = Layer { shards: Some(3), ping_interval: Some(10.0), ..Layer::default() };
        let flags = Layer { shards: Some(5), ..Layer::default() };
        let settings = flags.over(file).settle().unwrap();
        let websocket = &settings.listeners[0];
        assert_eq!(
            (settings.shards, websocket.ping_interval.as_secs(), websocket.outbox_bytes),
            (5, 10, 16 << 20)
        );
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let layer = Layer {
            register: Some(vec!["0.0.0.0:1238".parse().unwrap()]),
            max_message: Some(1),
            ping_interval: Some(f64::NAN),
            log: Some("a=b=c".to_owned()),
            ..Layer::default()
        };
        let keys: Vec<_> = layer.settle().unwrap_err().iter().map(|invalid| invalid.key).collect();
        assert_eq!(keys, ["ping_interval", "max_message", "log", "register"]);
    }

    #[test]
    fn a_certificate_for_nats_needs_its_key() {
        let half = Layer { cluster_tls_certificate: Some("a.pem".into()), ..Layer::default() };
        let other_half = Layer { cluster_tls_key: Some("a.pem".into()), ..Layer::default() };
        let refused = |layer: Layer| layer.settle().unwrap_err().remove(0).to_string();
        assert_eq!(refused(half), "cluster_tls_certificate: it is of no use without cluster_tls_key");
        assert_eq!(refused(other_half), "cluster_tls_key: it is of no use without cluster_tls_certificate");
    }

    #[test]
    fn a_secret_opens_the_register_to_other_machines_and_is_never_printed() {
        let layer = Layer {
            register: Some(vec!["0.0.0.0:1238".parse().unwrap()]),
            secret_key: Some(Secret::new("s3cr3t")),
            ..Layer::default()
        };
        assert!(!format!("{layer:?}{:?}", layer.clone().settle().unwrap()).contains("s3cr3t"));
    }
}
