//! Every setting: one row each, of which its fields, its flag and variable, its checks, the differences of
//! a reload and the documents are made.
//!
//! A new setting is a row here, and the place where [`Settings`] or [`Listener`] are read for what it changes. [`settings!`]
//! says how a row is written.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use clap::ArgMatches;
use gateway_wire::bridge::frame::MAX_CALL;
use serde::Deserialize;

use super::choices::{EventHandlers, Outage, Routing};
use super::defaults::{choice, count_in_memory, list, memory_share, none, none_is, plain, seconds, text};
use super::flag::FromFlags;
use super::invalid::Checks;
use super::kind::{
    Bytes, Confidential, Endpoints, Kind, List, Maybe, Milliseconds, Number, One, PathOrEmpty, PerSecond,
    Seconds, Switch, Text, Texts, Urls,
};
use super::row::{
    AT_ONCE, AT_ONCE_FOR_ALL, Differences, Effect, NEW_CONNECTIONS, NEW_CONNECTIONS_AND_ENDED,
    NEW_CONNECTIONS_COUNTED, OTHER_FILES, PINGS_ANEW, RESTART, Row, Scope, help, settings,
};
use super::texts;
use crate::net::{Network, WebhookAddress};
use crate::protocol::Protocol;
use crate::protocol::websocket::MessageKind;
use crate::telemetry::logs::LogFormat;

/// Where browsers connect by default.
pub(super) const WEBSOCKET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8282);

/// Where PHP connects by default: both ports are usual in projects with GatewayWorker.
const REGISTER: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1238),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1236),
];

settings! {
    global {
        /// Where browsers connect
        websocket: One<SocketAddr>("ADDRESS") = plain(WEBSOCKET), "GATEWAY_WEBSOCKET", RESTART;

        /// Where other clients connect, and what they speak: websocket, text, frame or tcp; repeat it or separate by commas, as
        /// in text://0.0.0.0:8283. In the file each is a table [[listener]] with protocol and address, and with
        /// {LISTENER_SETTINGS} where those are to differ
        listener: Endpoints<RawListener>("PROTOCOL://ADDRESS") = none(), "GATEWAY_LISTENER", RESTART;

        /// Whether other servers that say the same may listen on the ports for clients too; the kernel spreads clients over them,
        /// each of which belongs to one server only
        reuse_port: Switch() = plain(false), "GATEWAY_REUSE_PORT", RESTART;

        /// Where PHP connects; repeat it or separate by commas
        register: List<SocketAddr>("ADDRESS") = list(REGISTER), "GATEWAY_REGISTER", RESTART;

        /// A unix socket where PHP connects as well
        register_unix: Maybe<PathBuf>("PATH") = none(), "GATEWAY_REGISTER_UNIX", RESTART;

        /// A PEM file with the certificate of the register port: PHP on other machines then has to connect with tls://, and PHP
        /// on this one may
        register_tls_certificate: Maybe<PathBuf>("PATH") = none(), "GATEWAY_REGISTER_TLS_CERTIFICATE", OTHER_FILES;

        /// A PEM file with the private key of the certificate
        register_tls_key: Maybe<PathBuf>("PATH") = none(), "GATEWAY_REGISTER_TLS_KEY", OTHER_FILES;

        /// A PEM file with certificates of authorities: PHP then has to show a certificate that one of them vouches for
        register_tls_client_ca: Maybe<PathBuf>("PATH") = none(), "GATEWAY_REGISTER_TLS_CLIENT_CA", OTHER_FILES;

        /// The secret that PHP must know
        secret_key: Confidential() = none(), "GATEWAY_SECRET_KEY", RESTART;

        /// A file whose first line is the secret that PHP must know. The secret itself may stand in the variable
        /// GATEWAY_SECRET_KEY, or as secret_key in the TOML file; no flag takes it, as flags show in lists of processes
        secret_key_file: Maybe<PathBuf>("PATH") = none(), "GATEWAY_SECRET_KEY_FILE", Effect::Within("secret_key");

        /// The key that connect tokens are signed with
        token_key: Confidential() = none_is("a key made of the secret"), "GATEWAY_TOKEN_KEY", NEW_CONNECTIONS;

        /// A file whose first line is the key that connect tokens are signed with; like the secret it may stand in the variable
        /// GATEWAY_TOKEN_KEY, or as token_key in the TOML file
        token_key_file: Maybe<PathBuf>("PATH") =
            none_is("a key made of the secret"), "GATEWAY_TOKEN_KEY_FILE", Effect::Within("token_key");

        /// Whether only clients with a connect token are let in
        require_token: Switch() = plain(false), "GATEWAY_REQUIRE_TOKEN", NEW_CONNECTIONS;

        /// Where operators ask for health, metrics and clients over HTTP, and programs push by the HTTP API, as 127.0.0.1:1239
        operations: Maybe<SocketAddr>("ADDRESS") = none(), "GATEWAY_OPERATIONS", RESTART;

        /// The token that the operations port wants, as in `Authorization: Bearer TOKEN`
        operations_token: Confidential() = none(), "GATEWAY_OPERATIONS_TOKEN", NEW_CONNECTIONS;

        /// A file whose first line is the token that the operations port wants, as in `Authorization: Bearer TOKEN`; like the
        /// secret it may stand in the variable GATEWAY_OPERATIONS_TOKEN, or as operations_token in the TOML file. Without one the
        /// port has to be on loopback, and secret_key unset
        operations_token_file: Maybe<PathBuf>("PATH") =
            none(), "GATEWAY_OPERATIONS_TOKEN_FILE", Effect::Within("operations_token");

        /// The address that client ids name for this server
        node: Maybe<SocketAddrV4>("IPV4:PORT") = none_is("the first register address"), "GATEWAY_NODE", RESTART;

        /// Servers of NATS, over which this server is one node of a cluster, as nats://10.0.0.1:4222, or with tls:// and with
        /// user:password@ or token@ before the host; repeat it or separate by commas. Flags show in lists of processes, so a
        /// password belongs into the file or the variable. All nodes need the same secret_key, and each a node of its own
        cluster_nats: Urls() = none(), "GATEWAY_CLUSTER_NATS", RESTART;

        /// The name of the cluster, which several may have of one NATS
        cluster_name: Text("NAME", texts::cluster_name) = text("gateway"), "GATEWAY_CLUSTER_NAME", RESTART;

        /// A file with credentials for NATS, as nsc writes it (.creds)
        cluster_credentials: Maybe<PathBuf>("PATH") = none(), "GATEWAY_CLUSTER_CREDENTIALS", RESTART;

        /// A PEM file with certificates of authorities that may vouch for the servers of NATS
        cluster_tls_ca: Maybe<PathBuf>("PATH") = none_is("those of the system"), "GATEWAY_CLUSTER_TLS_CA", RESTART;

        /// A PEM file with the certificate that this node shows to NATS
        cluster_tls_certificate: Maybe<PathBuf>("PATH") = none(), "GATEWAY_CLUSTER_TLS_CERTIFICATE", RESTART;

        /// A PEM file with the private key of that certificate
        cluster_tls_key: Maybe<PathBuf>("PATH") = none(), "GATEWAY_CLUSTER_TLS_KEY", RESTART;

        /// Bytes that may wait for other nodes, or be kept in case that one of them misses something
        cluster_buffer_bytes: Bytes(1 << 20..=1 << 40) = memory_share(16, 64 << 20), "GATEWAY_CLUSTER_BUFFER_BYTES", RESTART;

        /// What becomes of pushes to other nodes while there is no connection to NATS: they wait for one (buffer), or PHP is told
        /// at once that they failed (fail)
        cluster_outage: One<Outage>("POLICY") = choice(Outage::Buffer), "GATEWAY_CLUSTER_OUTAGE", RESTART;

        /// Seconds that other nodes may take to answer; one that does not makes the call fail
        cluster_timeout: Seconds(0.01) = seconds(2), "GATEWAY_CLUSTER_TIMEOUT", RESTART;

        /// A file in which messages wait for users who are not there (Gateway::deliverToUid), an SQLite database of this server alone; it
        /// is made if it is not there. In a cluster it is the word jetstream: they wait in JetStream of the NATS servers of
        /// cluster_nats, for all nodes
        store: Maybe<PathBuf>("PATH") = none(), "GATEWAY_STORE", RESTART;

        /// Bytes that the files of the store may take, or the messages in JetStream; when it is more, messages are refused
        store_bytes: Bytes(1 << 20..=1 << 50) = plain(10 << 30), "GATEWAY_STORE_BYTES", RESTART;

        /// Servers of NATS that each keep all messages of the store in JetStream; with 3, one of them may fail
        store_replicas: Number<u8>(1..=5) = plain(1), "GATEWAY_STORE_REPLICAS", RESTART;

        /// Whether PHP is told what devices have received and users have read of the messages in the store: by webhook_url, or else by
        /// Events::onReceipt of workers
        receipts: Switch() = plain(false), "GATEWAY_RECEIPTS", RESTART;

        /// Seconds after which PHP is told of a message in the store that no device has acknowledged: by webhook_url, or else by
        /// Events::onUndelivered of workers; 0 never tells
        undelivered_seconds: Seconds(0.0) = seconds(0), "GATEWAY_UNDELIVERED_SECONDS", RESTART;

        /// The http:// or https:// address of a program that is told what becomes of messages in the store, by signed POST requests, each
        /// again until the answer is 2xx
        webhook_url: Maybe<WebhookAddress>("URL") = none(), "GATEWAY_WEBHOOK_URL", RESTART;

        /// The secret that signs these requests: whsec_ and base64 of 24 to 64 random bytes
        webhook_secret: Confidential() = none(), "GATEWAY_WEBHOOK_SECRET", RESTART;

        /// A file whose first line is the secret that signs the requests to webhook_url: whsec_ and base64 of 24 to 64 random bytes; like
        /// secret_key it may stand in the variable GATEWAY_WEBHOOK_SECRET, or as webhook_secret in the TOML file
        webhook_secret_file: Maybe<PathBuf>("PATH") =
            none(), "GATEWAY_WEBHOOK_SECRET_FILE", Effect::Within("webhook_secret");

        /// A PEM file with certificates of authorities that may vouch for webhook_url
        webhook_tls_ca: Maybe<PathBuf>("PATH") = none_is("those of the system"), "GATEWAY_WEBHOOK_TLS_CA", RESTART;

        /// Threads that serve established connections; 0 is one for each core, where an eighth of the memory has 4 MiB for each
        shards: Number<u16>(0..=1024) = plain(0), "GATEWAY_SHARDS", RESTART;

        /// Whether to send to many clients at once through io_uring, where the kernel permits it
        io_uring: Switch() = plain(true), "GATEWAY_IO_URING", RESTART;
    }

    listener {
        /// Seconds of silence after which a client is pinged; 0 never pings
        ping_interval: Seconds(0.0) = seconds(25), "GATEWAY_PING_INTERVAL", PINGS_ANEW;

        /// Unanswered pings after which a client is closed; 0 never closes
        ping_not_response_limit: Number<u8>(0..=100) = plain(2), "GATEWAY_PING_NOT_RESPONSE_LIMIT", PINGS_ANEW;

        /// Message to ping with; empty sends a websocket ping, which browsers answer by themselves, and nothing to clients of
        /// other protocols
        ping_data: One<String>("TEXT") = none_is("empty"), "GATEWAY_PING_DATA", PINGS_ANEW;
    }

    global {
        /// Who handles events, and so greets new clients: the server itself by the init message (builtin), PHP workers only
        /// (workers), or PHP workers while there are any and else the server (auto)
        events: One<EventHandlers>("WHO") = choice(EventHandlers::Auto), "GATEWAY_EVENTS", RESTART;

        /// Which worker gets a new client, and keeps it: the one with the fewest clients (least-clients), the same one for all
        /// clients of an address while the same workers are there (client-address), or any (random)
        router: One<Routing>("HOW") = choice(Routing::LeastClients), "GATEWAY_ROUTER", RESTART;

        /// Bytes that may wait for a PHP worker before its clients are not read any further
        worker_buffer_bytes: Bytes(64 << 10..=1 << 30) = memory_share(32, 10_240_000), "GATEWAY_WORKER_BUFFER_BYTES", AT_ONCE;

        /// Whether messages from PHP reach clients as text or as binary
        message_type: One<MessageKind>("TYPE") = choice(MessageKind::Text), "GATEWAY_MESSAGE_TYPE", RESTART;

        /// Whether messages are compressed for clients that want it (permessage-deflate), which costs CPU once a message and no
        /// memory for a client
        deflate: Switch() = plain(false), "GATEWAY_DEFLATE", NEW_CONNECTIONS;
    }

    listener {
        /// Bytes of the longest message that a client may send
        max_message: Bytes(125..=1 << 30) = memory_share(64, 10 << 20), "GATEWAY_MAX_MESSAGE", AT_ONCE_FOR_ALL;

        /// Bytes that may wait for a client that takes them slowly, with what it costs to keep them; one for which more wait is
        /// closed at the next message
        outbox_bytes: Bytes(1024..=1 << 30) = memory_share(32, 16 << 20), "GATEWAY_OUTBOX_BYTES", AT_ONCE_FOR_ALL;

        /// How long a message may wait so that those which follow go out with it in one write, as 2ms: many messages a second to
        /// the same clients cost less processor time, and each arrives so much later. 0 sends at once
        coalesce: Milliseconds(1000) = seconds(0), "GATEWAY_COALESCE", AT_ONCE_FOR_ALL;

        /// A PEM file with the certificate of this server, and after it those between it and its authority: browsers then connect
        /// with wss://. Read again when it changes, and at SIGHUP. In the file a listener that is to have none says ""
        tls_certificate: PathOrEmpty() = none(), "GATEWAY_TLS_CERTIFICATE", OTHER_FILES;

        /// A PEM file with the private key of the certificate
        tls_key: PathOrEmpty() = none(), "GATEWAY_TLS_KEY", OTHER_FILES;

        /// Whether every connection begins with a header of the PROXY protocol, version 1 or 2, as proxies send that do not speak
        /// HTTP. Others are refused
        proxy_protocol: Switch() = plain(false), "GATEWAY_PROXY_PROTOCOL", RESTART;
    }

    global {
        /// Proxies that are believed when X-Forwarded-For or Forwarded says whom they speak for, by address or network as
        /// 10.0.0.0/8; repeat it or separate by commas. With proxy_protocol they alone may connect
        trusted_proxies: List<Network>("NETWORK") = none(), "GATEWAY_TRUSTED_PROXIES", NEW_CONNECTIONS;
    }

    listener {
        /// Pages that may connect, by their origin as https://example.com or https://*.example.com; repeat it or separate by
        /// commas. Programs that are no browsers say no origin and are let in
        origins: List<String>("ORIGIN") = none_is("any"), "GATEWAY_ORIGINS", NEW_CONNECTIONS;

        /// Paths at which browsers may connect, as /chat or /chat/*
        paths: List<String>("PATH") = none_is("any"), "GATEWAY_PATHS", NEW_CONNECTIONS;

        /// Hosts that browsers may connect to, as example.com, or with a port for no other
        hosts: List<String>("HOST") = none_is("any"), "GATEWAY_HOSTS", NEW_CONNECTIONS;

        /// Websocket subprotocols that are spoken, as mqtt: a client is answered the first of those it offers that is one of
        /// them, or is gateway, the one of connect tokens. A message means the same whatever was answered
        subprotocols: Texts("NAME", texts::subprotocol) = none(), "GATEWAY_SUBPROTOCOLS", NEW_CONNECTIONS;
    }

    global {
        /// Connections of clients at once, on all listeners; 0 is no limit
        max_connections: Number<usize>(0..=usize::MAX) = plain(0), "GATEWAY_MAX_CONNECTIONS", NEW_CONNECTIONS_COUNTED;

        /// Connections of clients at once from one IPv4 address or one /64 of IPv6; 0 is no limit. Behind a proxy all have its
        /// address, unless proxy_protocol or trusted_proxies says otherwise
        max_connections_per_address: Number<usize>(0..=usize::MAX) =
            plain(0), "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS", NEW_CONNECTIONS_COUNTED;

        /// Connections that a listener takes in a second; more wait in the kernel's queue. 0 is no limit
        handshakes_per_second: PerSecond("NUMBER") = plain(0.0), "GATEWAY_HANDSHAKES_PER_SECOND", NEW_CONNECTIONS;

        /// Bytes of the longest websocket request, with all its headers
        max_request_bytes: Bytes(1 << 10..=1 << 20) = plain(16 << 10), "GATEWAY_MAX_REQUEST_BYTES", NEW_CONNECTIONS;
    }

    listener {
        /// Messages, fragments of them, pings and pongs that a client may send in a second, over a few seconds; one that sends
        /// more is closed. 0 is no limit
        messages_per_second: PerSecond("NUMBER") = plain(0.0), "GATEWAY_MESSAGES_PER_SECOND", AT_ONCE_FOR_ALL;

        /// The same in bytes, with those that compressed messages are inflated to
        bytes_per_second: PerSecond("BYTES") = plain(0.0), "GATEWAY_BYTES_PER_SECOND", AT_ONCE_FOR_ALL;

        /// Seconds for which a client of the subprotocol gateway.2 may be without a connection: it stays online, and gets what it
        /// has missed when it comes back. 0 lets none come back
        resume_seconds: Seconds(0.0) = seconds(60), "GATEWAY_RESUME_SECONDS", NEW_CONNECTIONS_AND_ENDED;

        /// Messages that are kept for such a client until it says that it has seen them, which it does every 1,024 messages;
        /// with more it cannot come back
        resume_messages: Number<usize>(1..=1 << 20) = plain(4096), "GATEWAY_RESUME_MESSAGES", AT_ONCE_FOR_ALL;

        /// Bytes of memory that these messages may take, and outbox_bytes at least; one message alone may take more
        resume_bytes: Bytes(1024..=1 << 30) = memory_share(64, 2 << 20), "GATEWAY_RESUME_BYTES", AT_ONCE_FOR_ALL;
    }

    global {
        /// Bytes of memory that the messages may take which are kept for clients that can come back, of all clients together. What
        /// many have not seen counts once. When it is more, the longest parked can come back no more, unbound ones first
        resume_total_bytes: Bytes(1 << 20..=1 << 40) =
            memory_share(16, 256 << 20), "GATEWAY_RESUME_TOTAL_BYTES", AT_ONCE_FOR_ALL;

        /// Groups that a client may be in; 0 is no limit
        max_groups_per_client: Number<usize>(0..=usize::MAX) = plain(1000), "GATEWAY_MAX_GROUPS_PER_CLIENT", AT_ONCE_FOR_ALL;

        /// Bytes of a client's longest session, serialized
        max_session_bytes: Bytes(64..=MAX_CALL / 2) = plain(1 << 20), "GATEWAY_MAX_SESSION_BYTES", AT_ONCE_FOR_ALL;

        /// Bytes that messages which have not come whole may take, of all clients together, though always four of the longest
        /// messages a shard; those who hold most are closed when it is more. As many again may calls of PHP take that have not
        /// come whole, and answers that it has not read
        max_unfinished_bytes: Bytes(1 << 20..=1 << 40) =
            memory_share(8, 256 << 20), "GATEWAY_MAX_UNFINISHED_BYTES", AT_ONCE_FOR_ALL;

        /// Bytes of memory that what waits for slow clients may take, of all clients together, and one message besides; when it
        /// is more, those are closed who hold most and take least. What many wait for counts once
        max_outbox_bytes: Bytes(1 << 20..=1 << 40) = memory_share(4, 1 << 30), "GATEWAY_MAX_OUTBOX_BYTES", AT_ONCE_FOR_ALL;

        /// Seconds that a client may take nothing at all of what waits for it; 0 is no limit
        outbox_timeout: Seconds(0.0) = seconds(30), "GATEWAY_OUTBOX_TIMEOUT", AT_ONCE_FOR_ALL;

        /// Connections of PHP processes at once, on all register ports; more take the place of one that has not logged in within
        /// a second, or wait in the kernel's queue. Of those that have not, one other machine may have a quarter
        max_register_connections: Number<usize>(1..=1 << 20) =
            count_in_memory(4, 16, 65_536), "GATEWAY_MAX_REGISTER_CONNECTIONS", RESTART;

        /// Seconds that a websocket or register handshake may take
        handshake_timeout: Seconds(0.01) = seconds(10), "GATEWAY_HANDSHAKE_TIMEOUT", NEW_CONNECTIONS;

        /// Handshakes that may be under way at once; when there are so many, one that takes more than a second makes room for the
        /// next, first of the address that has most. Three quarters may be of one address that is neither this machine nor one of
        /// trusted_proxies
        max_handshakes: Number<usize>(1..=1 << 24) = count_in_memory(8, 32, 10_000), "GATEWAY_MAX_HANDSHAKES", NEW_CONNECTIONS;

        /// Seconds that a client may take to answer a close frame. While it takes of what waits for it, it gets as many again
        close_timeout: Seconds(0.01) = seconds(5), "GATEWAY_CLOSE_TIMEOUT", AT_ONCE;

        /// Seconds over which a stop spreads the closing of clients, which then do not all come back at once; with few clients it
        /// takes less, as a thousand may go in a second. 0 closes all at once
        drain_seconds: Seconds(0.0) = seconds(5), "GATEWAY_DRAIN_SECONDS", AT_ONCE;

        /// Seconds that a stop then waits for clients to take their last messages, and in a cluster for other nodes to fetch those of
        /// `gateway.2` that come back there
        stop_timeout: Seconds(0.01) = seconds(3), "GATEWAY_STOP_TIMEOUT", AT_ONCE;

        /// Seconds that an earlier process may carry the TLS of its clients after an upgrade. Those that are left then are closed, come
        /// back after a moment and, if they speak `gateway.2`, miss nothing. 0 is no limit
        relay_seconds: Seconds(0.0) = seconds(0), "GATEWAY_RELAY_SECONDS", AT_ONCE;

        /// What is logged: error, warn, info, debug or trace
        log: Text("LEVEL", texts::log) = text("info"), "GATEWAY_LOG", AT_ONCE;

        /// How it is logged: text or json
        log_format: One<LogFormat>("FORMAT") = choice(LogFormat::Text), "GATEWAY_LOG_FORMAT", RESTART;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::process::Command as Process;

    use clap::Parser;

    use super::super::defaults::DefaultName;
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: RawConfig,
    }

    /// A value of a setting that is not its default, as a flag takes it and as the file has it.
    fn sample(row: &Row) -> (String, String) {
        let quoted = |text: &str| (text.to_owned(), format!("\"{text}\""));
        let listed = |text: &str| (text.to_owned(), format!("[\"{text}\"]"));
        let bare = |text: &str| (text.to_owned(), text.to_owned());
        match (row.name, row.value_name) {
            ("listener", _) => (
                "text://127.0.0.1:1".to_owned(),
                "[{ protocol = \"text\", address = \"127.0.0.1:1\" }]".to_owned(),
            ),
            ("register", _) => listed("127.0.0.1:7"),
            ("trusted_proxies", _) => listed("10.0.0.0/8"),
            ("cluster_nats", _) => listed("nats://127.0.0.1:4222"),
            ("origins" | "paths" | "hosts" | "subprotocols", _) => listed("sample"),
            ("webhook_url", _) => quoted("https://example.com/webhook"),
            ("events", _) => quoted("workers"),
            ("router", _) => quoted("random"),
            ("cluster_outage", _) => quoted("fail"),
            ("message_type", _) => quoted("binary"),
            ("log_format", _) => quoted("json"),
            ("log", _) => quoted("debug"),
            (_, "BOOL") => bare(if row.default.to_string() == "true" { "false" } else { "true" }),
            (_, "ADDRESS" | "IPV4:PORT") => quoted("127.0.0.1:7"),
            ("max_request_bytes", _) => bare("2048"),
            ("store_replicas", _) => bare("3"),
            (_, "BYTES") => bare("2000000"),
            (_, "SECONDS" | "NUMBER") => bare("7"),
            (_, "DURATION") => quoted("7ms"),
            (_, "PATH" | "NAME" | "TEXT" | "SECRET") => quoted("sample"),
            (name, value_name) => panic!("{name} wants a {value_name}, of which there is no sample here"),
        }
    }

    fn in_file(row: &Row) -> RawConfig {
        let (_, value) = sample(row);
        toml::from_str(&format!("{} = {value}", row.name))
            .unwrap_or_else(|error| panic!("{}: {error}", row.name))
    }

    fn resolved(raw: RawConfig) -> String {
        let mut checks = Checks::default();
        let websocket = raw.websocket_listener(WEBSOCKET).fill_in(None, &mut checks);
        let settings = raw.fill_in(vec![websocket], &mut checks);
        format!("{:?}", checks.done(settings).unwrap())
    }

    #[test]
    fn each_setting_is_taken_from_the_file_and_from_its_flag() {
        let defaults = resolved(RawConfig::default());
        for row in table() {
            let by_file = in_file(&row);
            assert_ne!(resolved(by_file.clone()), defaults, "{} changes nothing", row.name);
            if row.flag.is_none() {
                continue;
            }
            let flag = format!("--{}={}", row.name.replace('_', "-"), sample(&row).0);
            let by_flag = Line::try_parse_from(["gateway-server", &flag]).map(|line| line.settings);
            let by_flag = by_flag.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(format!("{by_flag:?}"), format!("{by_file:?}"), "{}", row.name);
            let (both, hidden) = by_flag.hiding(by_file);
            assert_eq!((resolved(both) != defaults, hidden), (true, vec![row.name]));
        }
    }

    /// The test starts itself again, as variables are set for a process.
    #[test]
    fn each_setting_is_taken_from_its_variable() {
        const IS_INSIDE: &str = "TEST_PRINTS_WHAT_THE_ENVIRONMENT_SAYS";
        if std::env::var_os(IS_INSIDE).is_some() {
            let flags = Line::try_parse_from(["gateway-server"]).map(|line| line.settings).unwrap();
            println!("SETTINGS {:?}", flags.over(RawConfig::from_environment().unwrap()));
            return;
        }
        let test = "config::table::tests::each_setting_is_taken_from_its_variable";
        let rows = table();
        let output = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(IS_INSIDE, "1")
            .envs(rows.iter().map(|row| (row.variable, sample(row).0)))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let by_file = rows.iter().map(in_file).fold(RawConfig::default(), RawConfig::over);
        assert!(said.contains(&format!("SETTINGS {by_file:?}\n")), "{said}\nis not\n{by_file:?}");
    }

    #[test]
    fn a_listener_has_its_own_value_or_that_of_the_websocket_listener() {
        let listener_keys = "protocol = \"text\"\naddress = \"127.0.0.1:1\"\n";
        let listener = |raw: RawConfig| {
            let mut checks = Checks::default();
            let websocket = raw.websocket_listener(WEBSOCKET).fill_in(None, &mut checks);
            let others = raw.listener.unwrap_or_default();
            let other = others.into_iter().next().unwrap().fill_in(Some(&websocket), &mut checks);
            format!("{:?}", checks.done(other).unwrap())
        };
        let parse = |text: String| -> RawConfig { toml::from_str(&text).unwrap() };
        let defaults = listener(parse(format!("[[listener]]\n{listener_keys}")));
        for row in table().into_iter().filter(|row| row.scope == Scope::Listener) {
            let (name, value) = (row.name, sample(&row).1);
            let own = listener(parse(format!("[[listener]]\n{listener_keys}{name} = {value}")));
            let inherited = listener(parse(format!("{name} = {value}\n[[listener]]\n{listener_keys}")));
            assert_eq!((own != defaults, &own), (true, &inherited), "{name}");
        }
    }

    #[test]
    fn each_difference_is_named_and_only_live_ones_are_taken() {
        let resolve = |raw: RawConfig| {
            let mut checks = Checks::default();
            let websocket = raw.websocket_listener(WEBSOCKET).fill_in(None, &mut checks);
            checks.done(raw.fill_in(vec![websocket], &mut Checks::default())).unwrap()
        };
        let old = resolve(RawConfig::default());
        for row in table() {
            let new = resolve(in_file(&row));
            let mut differences = Differences::default();
            let listener = old.listeners[0].take_over(&new.listeners[0], &mut differences);
            let taken = old.take_over(&new, vec![listener], &mut differences);
            let named: &[&str] = &[row.name];
            let (live, fixed, expected): (&[&str], &[&str], _) = match row.effect {
                Effect::Live(_) => (named, &[], &new),
                Effect::Restart(_) => (&[], named, &old),
                Effect::Within(_) => (&[], &[], &new),
            };
            assert_eq!(
                (&differences.live[..], &differences.fixed[..]),
                (&owned(live)[..], &owned(fixed)[..])
            );
            assert_eq!(format!("{taken:?}"), format!("{expected:?}"), "{}", row.name);
        }
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rows_are_complete_and_defaults_are_within_their_ranges() {
        let rows = table();
        for row in &rows {
            assert_eq!(row.variable, format!("GATEWAY_{}", row.name.to_uppercase()));
            assert!(row.text.len() > 10 && !row.default.to_string().is_empty(), "{}", row.name);
            assert!(!row.text.contains(['{', '\n']) && !row.text.ends_with('.'), "{}", row.text);
            if let Effect::Within(name) = row.effect {
                assert!(rows.iter().any(|other| other.name == name), "{name}");
            }
            if let DefaultName::Value(default) = &row.default
                && ["BYTES", "SECONDS", "NUMBER"].contains(&row.value_name)
            {
                let raw: RawConfig = toml::from_str(&format!("{} = {default}", row.name)).unwrap();
                assert_eq!(resolved(raw), resolved(RawConfig::default()), "{}", row.name);
            }
        }
        let names: BTreeSet<_> = rows.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), rows.len());
    }
}
