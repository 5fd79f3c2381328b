//! Every setting: one row each, of which its fields, its flag and variable, its checks, the differences of
//! a reload and the documents are made.
//!
//! A new setting is a row here, and the place where [`Settings`] or [`Listener`] are read for what it changes: each part of the server
//! has them. [`settings!`] says how a row is written.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use clap::ArgMatches;
use gateway_wire::bridge::frame::MAX_CALL;
use serde::Deserialize;

use super::choices::{EventHandlers, Outage, Routing};
use super::defaults::{choice, count_in_memory, list, memory_share, none, none_is, plain, seconds, text};
use super::differences::Differences;
use super::flag::FromFlags;
use super::invalid::Checks;
use super::kind::{
    Bytes, Confidential, Endpoints, Kind, List, Maybe, Milliseconds, Number, One, PathOrEmpty, PerSecond,
    Seconds, Switch, Text, Texts, Urls,
};
use super::row::{
    AT_ONCE, AT_ONCE_FOR_ALL, Effect, NEW_CONNECTIONS, NEW_CONNECTIONS_AND_ENDED, NEW_CONNECTIONS_COUNTED,
    OTHER_FILES, PINGS_ANEW, RESTART, Row, Scope, help, settings,
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
        #[chinese = "浏览器连接的地址"]
        websocket: One<SocketAddr>("ADDRESS") = plain(WEBSOCKET), "GATEWAY_WEBSOCKET", RESTART;

        /// Where other clients connect, and what they speak: websocket, text, frame or tcp; repeat it or separate by commas, as
        /// in text://0.0.0.0:8283. In the file each is a table [[listener]] with protocol and address, and with
        /// {LISTENER_SETTINGS} where those are to differ
        #[chinese = "其他客户端连接的地址，以及它们所用的协议：websocket、text、frame 或 tcp；可重复给出，或以逗号分隔，如 text://0.0.0.0:8283。\
            在文件中，每个监听端口是一个表 [[listener]]，含 protocol 和 address；以下各项如果要与 websocket 监听端口不同，也\
            写在表里：{LISTENER_SETTINGS}"]
        listener: Endpoints<RawListener>("PROTOCOL://ADDRESS") = none(), "GATEWAY_LISTENER", RESTART;

        /// Whether other servers that say the same may listen on the ports for clients too; the kernel spreads clients over them,
        /// each of which belongs to one server only
        #[chinese = "是否允许同样设置了此项的其他服务器也监听这些供客户端连接的端口；由内核把客户端分给各个服务器，每个客户\
            端只属于其中一个"]
        reuse_port: Switch() = plain(false), "GATEWAY_REUSE_PORT", RESTART;

        /// Where PHP connects; repeat it or separate by commas
        #[chinese = "PHP 连接的地址；可重复给出，或以逗号分隔"]
        register: List<SocketAddr>("ADDRESS") = list(REGISTER), "GATEWAY_REGISTER", RESTART;

        /// A unix socket where PHP connects as well
        #[chinese = "供 PHP 另外连接的 unix 套接字"]
        register_unix: Maybe<PathBuf>("PATH") = none(), "GATEWAY_REGISTER_UNIX", RESTART;

        /// A PEM file with the certificate of the register port: PHP on other machines then has to connect with tls://, and PHP
        /// on this one may
        #[chinese = "PEM 文件，注册端口的证书：设置后，其他机器上的 PHP 必须用 tls:// 连接，本机的 PHP 可用可不用"]
        register_tls_certificate: Maybe<PathBuf>("PATH") = none(), "GATEWAY_REGISTER_TLS_CERTIFICATE", OTHER_FILES;

        /// A PEM file with the private key of the certificate
        #[chinese = "PEM 文件，该证书的私钥"]
        register_tls_key: Maybe<PathBuf>("PATH") = none(), "GATEWAY_REGISTER_TLS_KEY", OTHER_FILES;

        /// A PEM file with certificates of authorities: PHP then has to show a certificate that one of them vouches for
        #[chinese = "PEM 文件，各证书颁发机构的证书：设置后，PHP 必须出示由其中之一担保的证书"]
        register_tls_client_ca: Maybe<PathBuf>("PATH") = none(), "GATEWAY_REGISTER_TLS_CLIENT_CA", OTHER_FILES;

        /// The secret that PHP must know
        secret_key: Confidential() = none(), "GATEWAY_SECRET_KEY", RESTART;

        /// A file whose first line is the secret that PHP must know. The secret itself may stand in the variable
        /// GATEWAY_SECRET_KEY, or as secret_key in the TOML file; no flag takes it, as flags show in lists of processes
        #[chinese = "一个文件，首行是 PHP 必须知道的密钥。密钥本身也可以写在环境变量 GATEWAY_SECRET_KEY 中，或作为 secret_key 写\
            在 TOML 文件中；不能用命令行参数给出，因为参数会显示在进程列表中"]
        secret_key_file: Maybe<PathBuf>("PATH") = none(), "GATEWAY_SECRET_KEY_FILE", Effect::Within("secret_key");

        /// The key that connect tokens are signed with
        token_key: Confidential() = none_is("a key made of the secret"), "GATEWAY_TOKEN_KEY", NEW_CONNECTIONS;

        /// A file whose first line is the key that connect tokens are signed with; like the secret it may stand in the variable
        /// GATEWAY_TOKEN_KEY, or as token_key in the TOML file
        #[chinese = "一个文件，首行是给连接令牌签名的密钥；与 secret_key 一样，也可以写在环境变量 GATEWAY_TOKEN_KEY 中，或作\
            为 token_key 写在 TOML 文件中"]
        token_key_file: Maybe<PathBuf>("PATH") =
            none_is("a key made of the secret"), "GATEWAY_TOKEN_KEY_FILE", Effect::Within("token_key");

        /// Whether only clients with a connect token are let in
        #[chinese = "是否只允许带连接令牌的客户端连接"]
        require_token: Switch() = plain(false), "GATEWAY_REQUIRE_TOKEN", NEW_CONNECTIONS;

        /// Where operators ask for health, metrics and clients over HTTP, and programs push by the HTTP API, as 127.0.0.1:1239
        #[chinese = "运维端口的地址，如 127.0.0.1:1239：运维人员在此经 HTTP 查询健康状况、指标和客户端，程序在此用 HTTP 接口\
            推送"]
        operations: Maybe<SocketAddr>("ADDRESS") = none(), "GATEWAY_OPERATIONS", RESTART;

        /// The token that the operations port wants, as in `Authorization: Bearer TOKEN`
        operations_token: Confidential() = none(), "GATEWAY_OPERATIONS_TOKEN", NEW_CONNECTIONS;

        /// A file whose first line is the token that the operations port wants, as in `Authorization: Bearer TOKEN`; like the
        /// secret it may stand in the variable GATEWAY_OPERATIONS_TOKEN, or as operations_token in the TOML file. Without one the
        /// port has to be on loopback, and secret_key unset
        #[chinese = "一个文件，首行是运维端口要求的令牌，请求须在头部带上它：`Authorization: Bearer TOKEN`；与 secret_key 一\
            样，也可以写在环境变量 GATEWAY_OPERATIONS_TOKEN 中，或作为 operations_token 写在 TOML 文件中。没有令牌时，端口必\
            须在回环地址上，而且不能设置 secret_key"]
        operations_token_file: Maybe<PathBuf>("PATH") =
            none(), "GATEWAY_OPERATIONS_TOKEN_FILE", Effect::Within("operations_token");

        /// The address that client ids name for this server
        #[chinese = "client_id 中代表本服务器的地址"]
        node: Maybe<SocketAddrV4>("IPV4:PORT") = none_is("the first register address"), "GATEWAY_NODE", RESTART;

        /// Servers of NATS, over which this server is one node of a cluster, as nats://10.0.0.1:4222, or with tls:// and with
        /// user:password@ or token@ before the host; repeat it or separate by commas. Flags show in lists of processes, so a
        /// password belongs into the file or the variable. All nodes need the same secret_key, and each a node of its own
        #[chinese = "NATS 服务器的地址，如 nats://10.0.0.1:4222，本服务器经由它们成为集群的一个节点；也可以用 tls://，并在主\
            机名前写 user:password@ 或 token@；可重复给出，或以逗号分隔。命令行参数会显示在进程列表中，因此密码应写在文件或\
            环境变量中。所有节点的 secret_key 必须相同，node 各不相同"]
        cluster_nats: Urls() = none(), "GATEWAY_CLUSTER_NATS", RESTART;

        /// The name of the cluster, which several may have of one NATS
        #[chinese = "集群的名称；多个集群使用同一个 NATS 时用它区分"]
        cluster_name: Text("NAME", texts::cluster_name) = text("gateway"), "GATEWAY_CLUSTER_NAME", RESTART;

        /// A file with credentials for NATS, as nsc writes it (.creds)
        #[chinese = "用于 NATS 的凭据文件，即 nsc 写出的 .creds 文件"]
        cluster_credentials: Maybe<PathBuf>("PATH") = none(), "GATEWAY_CLUSTER_CREDENTIALS", RESTART;

        /// A PEM file with certificates of authorities that may vouch for the servers of NATS
        #[chinese = "PEM 文件，可以为 NATS 服务器担保的各证书颁发机构的证书"]
        cluster_tls_ca: Maybe<PathBuf>("PATH") = none_is("those of the system"), "GATEWAY_CLUSTER_TLS_CA", RESTART;

        /// A PEM file with the certificate that this node shows to NATS
        #[chinese = "PEM 文件，本节点向 NATS 出示的证书"]
        cluster_tls_certificate: Maybe<PathBuf>("PATH") = none(), "GATEWAY_CLUSTER_TLS_CERTIFICATE", RESTART;

        /// A PEM file with the private key of that certificate
        #[chinese = "PEM 文件，该证书的私钥"]
        cluster_tls_key: Maybe<PathBuf>("PATH") = none(), "GATEWAY_CLUSTER_TLS_KEY", RESTART;

        /// Bytes that may wait for other nodes, or be kept in case that one of them misses something
        #[chinese = "等待发给其他节点的内容，以及为防其中某个节点漏收而保留的内容，最多多少字节"]
        cluster_buffer_bytes: Bytes(1 << 20..=1 << 40) = memory_share(16, 64 << 20), "GATEWAY_CLUSTER_BUFFER_BYTES", RESTART;

        /// What becomes of pushes to other nodes while there is no connection to NATS: they wait for one (buffer), or PHP is told
        /// at once that they failed (fail)
        #[chinese = "与 NATS 没有连接时，如何处理发给其他节点的推送：等待连接恢复（buffer），或立即告知 PHP 推送失败（fail）"]
        cluster_outage: One<Outage>("POLICY") = choice(Outage::Buffer), "GATEWAY_CLUSTER_OUTAGE", RESTART;

        /// Seconds that other nodes may take to answer; one that does not makes the call fail
        #[chinese = "其他节点最多可用多少秒应答；有节点没有按时应答时，调用失败"]
        cluster_timeout: Seconds(0.01) = seconds(2), "GATEWAY_CLUSTER_TIMEOUT", RESTART;

        /// A file in which messages wait for users who are not there (Gateway::deliverToUid), an SQLite database of this server alone; it
        /// is made if it is not there. In a cluster it is the word jetstream: they wait in JetStream of the NATS servers of
        /// cluster_nats, for all nodes
        #[chinese = "一个文件，消息在其中等待不在线的用户（Gateway::deliverToUid）；它是本服务器专用的 SQLite 数据库，不存在\
            时会创建。在集群中写 jetstream：消息在 cluster_nats 的 NATS 服务器的 JetStream 中等待，由所有节点共用"]
        store: Maybe<PathBuf>("PATH") = none(), "GATEWAY_STORE", RESTART;

        /// Bytes that the files of the store may take, or the messages in JetStream; when it is more, messages are refused
        #[chinese = "存储的文件，或 JetStream 中的消息，最多可占多少字节；超出时拒绝新的消息"]
        store_bytes: Bytes(1 << 20..=1 << 50) = plain(10 << 30), "GATEWAY_STORE_BYTES", RESTART;

        /// Servers of NATS that each keep all messages of the store in JetStream; with 3, one of them may fail
        #[chinese = "保存 JetStream 中全部消息的 NATS 服务器数，每台各保存一份；为 3 时允许其中一台失效"]
        store_replicas: Number<u8>(1..=5) = plain(1), "GATEWAY_STORE_REPLICAS", RESTART;

        /// Whether PHP is told what devices have received and users have read of the messages in the store: by webhook_url, or else by
        /// Events::onReceipt of workers
        #[chinese = "存储中的消息被设备收到、被用户读过时，是否告知 PHP：通过 webhook_url，没有设置它时通过工作进程的 Events::onReceipt"]
        receipts: Switch() = plain(false), "GATEWAY_RECEIPTS", RESTART;

        /// Seconds after which PHP is told of a message in the store that no device has acknowledged: by webhook_url, or else by
        /// Events::onUndelivered of workers; 0 never tells
        #[chinese = "存储中的消息多少秒没有任何设备确认时告知 PHP：通过 webhook_url，没有设置它时通过工作进程的 Events::onUndelivered；\
            0 表示从不告知"]
        undelivered_seconds: Seconds(0.0) = seconds(0), "GATEWAY_UNDELIVERED_SECONDS", RESTART;

        /// The http:// or https:// address of a program that is told what becomes of messages in the store, by signed POST requests, each
        /// again until the answer is 2xx
        #[chinese = "一个程序的 http:// 或 https:// 地址，以签名的 POST 请求告知它存储中的消息结果如何；每个请求重复发送，直\
            到应答为 2xx"]
        webhook_url: Maybe<WebhookAddress>("URL") = none(), "GATEWAY_WEBHOOK_URL", RESTART;

        /// The secret that signs these requests: whsec_ and base64 of 24 to 64 random bytes
        webhook_secret: Confidential() = none(), "GATEWAY_WEBHOOK_SECRET", RESTART;

        /// A file whose first line is the secret that signs the requests to webhook_url: whsec_ and base64 of 24 to 64 random bytes; like
        /// secret_key it may stand in the variable GATEWAY_WEBHOOK_SECRET, or as webhook_secret in the TOML file
        #[chinese = "一个文件，首行是给发往 webhook_url 的请求签名的密钥：whsec_ 加上 24 到 64 个随机字节的 base64；与 secret_key 一\
            样，也可以写在环境变量 GATEWAY_WEBHOOK_SECRET 中，或作为 webhook_secret 写在 TOML 文件中"]
        webhook_secret_file: Maybe<PathBuf>("PATH") =
            none(), "GATEWAY_WEBHOOK_SECRET_FILE", Effect::Within("webhook_secret");

        /// A PEM file with certificates of authorities that may vouch for webhook_url
        #[chinese = "PEM 文件，可以为 webhook_url 担保的各证书颁发机构的证书"]
        webhook_tls_ca: Maybe<PathBuf>("PATH") = none_is("those of the system"), "GATEWAY_WEBHOOK_TLS_CA", RESTART;

        /// Threads that serve established connections; 0 is one for each core, where an eighth of the memory has 4 MiB for each
        #[chinese = "处理已建立的连接的线程数；0 表示每核一个，以内存的八分之一能容纳每个线程 4 MiB 为限"]
        shards: Number<u16>(0..=1024) = plain(0), "GATEWAY_SHARDS", RESTART;

        /// Whether to send to many clients at once through io_uring, where the kernel permits it
        #[chinese = "内核允许时，是否经由 io_uring 一次发给许多客户端"]
        io_uring: Switch() = plain(true), "GATEWAY_IO_URING", RESTART;
    }

    listener {
        /// Seconds of silence after which a client is pinged; 0 never pings
        #[chinese = "客户端沉默多少秒后向它发送 ping；0 表示从不发送"]
        ping_interval: Seconds(0.0) = seconds(25), "GATEWAY_PING_INTERVAL", PINGS_ANEW;

        /// Unanswered pings after which a client is closed; 0 never closes
        #[chinese = "多少个 ping 没有应答后关闭客户端；0 表示从不关闭"]
        ping_not_response_limit: Number<u8>(0..=100) = plain(2), "GATEWAY_PING_NOT_RESPONSE_LIMIT", PINGS_ANEW;

        /// Message to ping with; empty sends a websocket ping, which browsers answer by themselves, and nothing to clients of
        /// other protocols
        #[chinese = "作为 ping 发送的消息；为空时发送 websocket 的 ping，浏览器会自动应答，对使用其他协议的客户端则什么也不\
            发"]
        ping_data: One<String>("TEXT") = none_is("empty"), "GATEWAY_PING_DATA", PINGS_ANEW;
    }

    global {
        /// Who handles events, and so greets new clients: the server itself by the init message (builtin), PHP workers only
        /// (workers), or PHP workers while there are any and else the server (auto)
        #[chinese = "由谁处理事件，因而由谁问候新客户端：服务器自己，用 init 消息（builtin）；只由 PHP 工作进程（workers）；\
            有 PHP 工作进程时由它们，否则由服务器（auto）"]
        events: One<EventHandlers>("WHO") = choice(EventHandlers::Auto), "GATEWAY_EVENTS", RESTART;

        /// Which worker gets a new client, and keeps it: the one with the fewest clients (least-clients), the same one for all
        /// clients of an address while the same workers are there (client-address), or any (random)
        #[chinese = "新客户端交给哪个工作进程，此后一直由它处理：客户端最少的（least-clients）；只要工作进程不变，同一地址的\
            客户端总是同一个（client-address）；任意一个（random）"]
        router: One<Routing>("HOW") = choice(Routing::LeastClients), "GATEWAY_ROUTER", RESTART;

        /// Bytes that may wait for a PHP worker before its clients are not read any further
        #[chinese = "等待一个 PHP 工作进程的内容最多多少字节，超出后暂停读取它的客户端"]
        worker_buffer_bytes: Bytes(64 << 10..=1 << 30) = memory_share(32, 10_240_000), "GATEWAY_WORKER_BUFFER_BYTES", AT_ONCE;

        /// Whether messages from PHP reach clients as text or as binary
        #[chinese = "PHP 的消息以文本（text）还是二进制（binary）到达客户端"]
        message_type: One<MessageKind>("TYPE") = choice(MessageKind::Text), "GATEWAY_MESSAGE_TYPE", RESTART;

        /// Whether messages are compressed for clients that want it (permessage-deflate), which costs CPU once a message and no
        /// memory for a client
        #[chinese = "是否为提出压缩的客户端压缩消息（permessage-deflate）；每条消息耗用一次 CPU，不为客户端占用内存"]
        deflate: Switch() = plain(false), "GATEWAY_DEFLATE", NEW_CONNECTIONS;
    }

    listener {
        /// Bytes of the longest message that a client may send
        #[chinese = "客户端可以发送的最长的消息，按字节计"]
        max_message: Bytes(125..=1 << 30) = memory_share(64, 10 << 20), "GATEWAY_MAX_MESSAGE", AT_ONCE_FOR_ALL;

        /// Bytes that may wait for a client that takes them slowly, with what it costs to keep them; one for which more wait is
        /// closed at the next message
        #[chinese = "接收慢的客户端最多可有多少字节在等待，包括保存它们的开销；等待的超过此数的客户端，在下一条消息时被关闭"]
        outbox_bytes: Bytes(1024..=1 << 30) = memory_share(32, 16 << 20), "GATEWAY_OUTBOX_BYTES", AT_ONCE_FOR_ALL;

        /// How long a message may wait so that those which follow go out with it in one write, as 2ms: many messages a second to
        /// the same clients cost less processor time, and each arrives so much later. 0 sends at once
        #[chinese = "一条消息最多可以等待多久，以便与随后的消息一次写出，如 2ms：每秒有许多消息发给同样的客户端时，耗用的 CPU 时\
            间更少，而每条消息晚到这么久。0 表示立即发送"]
        coalesce: Milliseconds(1000) = seconds(0), "GATEWAY_COALESCE", AT_ONCE_FOR_ALL;

        /// A PEM file with the certificate of this server, and after it those between it and its authority: browsers then connect
        /// with wss://. Read again when it changes, and at SIGHUP. In the file a listener that is to have none says ""
        #[chinese = "PEM 文件，本服务器的证书，后面跟着它与证书颁发机构之间的中间证书：设置后，浏览器用 wss:// 连接。文件改\
            变时以及收到 SIGHUP 时重新读取。在设置文件中，不用 TLS 的监听端口写 \"\""]
        tls_certificate: PathOrEmpty() = none(), "GATEWAY_TLS_CERTIFICATE", OTHER_FILES;

        /// A PEM file with the private key of the certificate
        #[chinese = "PEM 文件，该证书的私钥"]
        tls_key: PathOrEmpty() = none(), "GATEWAY_TLS_KEY", OTHER_FILES;

        /// Whether every connection begins with a header of the PROXY protocol, version 1 or 2, as proxies send that do not speak
        /// HTTP. Others are refused
        #[chinese = "是否每个连接都以 PROXY 协议的头部开始，版本 1 或 2；不使用 HTTP 的代理会发送这种头部。没有头部的连接会\
            被拒绝"]
        proxy_protocol: Switch() = plain(false), "GATEWAY_PROXY_PROTOCOL", RESTART;
    }

    global {
        /// Proxies that are believed when X-Forwarded-For or Forwarded says whom they speak for, by address or network as
        /// 10.0.0.0/8; repeat it or separate by commas. With proxy_protocol they alone may connect
        #[chinese = "可信代理的地址，或 10.0.0.0/8 这样的网络：它们在 X-Forwarded-For 或 Forwarded 中说明的客户端会被采信；\
            可重复给出，或以逗号分隔。设置了 proxy_protocol 时，只有它们可以连接"]
        trusted_proxies: List<Network>("NETWORK") = none(), "GATEWAY_TRUSTED_PROXIES", NEW_CONNECTIONS;
    }

    listener {
        /// Pages that may connect, by their origin as https://example.com or https://*.example.com; repeat it or separate by
        /// commas. Programs that are no browsers say no origin and are let in
        #[chinese = "可以连接的页面，按来源给出，如 https://example.com 或 https://*.example.com；可重复给出，或以逗号分隔。\
            不是浏览器的程序不声明来源，可以连接"]
        origins: List<String>("ORIGIN") = none_is("any"), "GATEWAY_ORIGINS", NEW_CONNECTIONS;

        /// Paths at which browsers may connect, as /chat or /chat/*
        #[chinese = "浏览器可以连接的路径，如 /chat 或 /chat/*"]
        paths: List<String>("PATH") = none_is("any"), "GATEWAY_PATHS", NEW_CONNECTIONS;

        /// Hosts that browsers may connect to, as example.com, or with a port for no other
        #[chinese = "浏览器可以连接的主机名，如 example.com；写明端口时只限这个端口"]
        hosts: List<String>("HOST") = none_is("any"), "GATEWAY_HOSTS", NEW_CONNECTIONS;

        /// Websocket subprotocols that are spoken, as mqtt: a client is answered the first of those it offers that is one of
        /// them, or is gateway, the one of connect tokens. A message means the same whatever was answered
        #[chinese = "支持的 websocket 子协议，如 mqtt：应答客户端所提的第一个属于其中的，或为 gateway（连接令牌所用）的。无\
            论应答什么，消息的含义都一样"]
        subprotocols: Texts("NAME", texts::subprotocol) = none(), "GATEWAY_SUBPROTOCOLS", NEW_CONNECTIONS;
    }

    global {
        /// Connections of clients at once, on all listeners; 0 is no limit
        #[chinese = "所有监听端口上同时连接的客户端数；0 为不限"]
        max_connections: Number<usize>(0..=usize::MAX) = plain(0), "GATEWAY_MAX_CONNECTIONS", NEW_CONNECTIONS_COUNTED;

        /// Connections of clients at once from one IPv4 address or one /64 of IPv6; 0 is no limit. Behind a proxy all have its
        /// address, unless proxy_protocol or trusted_proxies says otherwise
        #[chinese = "来自一个 IPv4 地址或一个 IPv6 /64 的、同时连接的客户端数；0 为不限。在代理之后，所有客户端的地址都是代\
            理的地址，除非由 proxy_protocol 或 trusted_proxies 得知客户端的地址"]
        max_connections_per_address: Number<usize>(0..=usize::MAX) =
            plain(0), "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS", NEW_CONNECTIONS_COUNTED;

        /// Connections that a listener takes in a second; more wait in the kernel's queue. 0 is no limit
        #[chinese = "一个监听端口每秒接受的连接数；其余的在内核队列中等待。0 为不限"]
        handshakes_per_second: PerSecond("NUMBER") = plain(0.0), "GATEWAY_HANDSHAKES_PER_SECOND", NEW_CONNECTIONS;

        /// Bytes of the longest websocket request, with all its headers
        #[chinese = "最长的 websocket 请求，包括全部头部，按字节计"]
        max_request_bytes: Bytes(1 << 10..=1 << 20) = plain(16 << 10), "GATEWAY_MAX_REQUEST_BYTES", NEW_CONNECTIONS;
    }

    listener {
        /// Messages, fragments of them, pings and pongs that a client may send in a second, over a few seconds; one that sends
        /// more is closed. 0 is no limit
        #[chinese = "客户端每秒可以发送的消息、消息的分段、ping 和 pong 的总数，按几秒累计；发送更多的客户端被关闭。0 为不限"]
        messages_per_second: PerSecond("NUMBER") = plain(0.0), "GATEWAY_MESSAGES_PER_SECOND", AT_ONCE_FOR_ALL;

        /// The same in bytes, with those that compressed messages are inflated to
        #[chinese = "同样的限制，按字节计，压缩的消息按解压后的长度计"]
        bytes_per_second: PerSecond("BYTES") = plain(0.0), "GATEWAY_BYTES_PER_SECOND", AT_ONCE_FOR_ALL;

        /// Seconds for which a client of the subprotocol gateway.2 may be without a connection: it stays online, and gets what it
        /// has missed when it comes back. 0 lets none come back
        #[chinese = "使用子协议 gateway.2 的客户端可以多少秒没有连接：其间它仍在线，回来时得到漏掉的内容。0 表示谁也不能回来"]
        resume_seconds: Seconds(0.0) = seconds(60), "GATEWAY_RESUME_SECONDS", NEW_CONNECTIONS_AND_ENDED;

        /// Messages that are kept for such a client until it says that it has seen them, which it does every 1,024 messages;
        /// with more it cannot come back
        #[chinese = "为这样的客户端保留多少条消息，直到它表示已收下，它每 1,024 条表示一次；超出后它不能再回来"]
        resume_messages: Number<usize>(1..=1 << 20) = plain(4096), "GATEWAY_RESUME_MESSAGES", AT_ONCE_FOR_ALL;

        /// Bytes of memory that these messages may take, and outbox_bytes at least; one message alone may take more
        #[chinese = "这些消息可以占用的内存，按字节计，至少为 outbox_bytes；单独一条消息可以更大"]
        resume_bytes: Bytes(1024..=1 << 30) = memory_share(64, 2 << 20), "GATEWAY_RESUME_BYTES", AT_ONCE_FOR_ALL;
    }

    global {
        /// Bytes of memory that the messages may take which are kept for clients that can come back, of all clients together. What
        /// many have not seen counts once. When it is more, the longest parked can come back no more, unbound ones first
        #[chinese = "为可以回来的所有客户端保留的消息合计可以占用的内存，按字节计。许多客户端都没有收下的消息只计一次。超出\
            时，搁置最久的客户端不能再回来，没有绑定 uid 的先行"]
        resume_total_bytes: Bytes(1 << 20..=1 << 40) =
            memory_share(16, 256 << 20), "GATEWAY_RESUME_TOTAL_BYTES", AT_ONCE_FOR_ALL;

        /// Groups that a client may be in; 0 is no limit
        #[chinese = "一个客户端最多可以加入多少个 group；0 为不限"]
        max_groups_per_client: Number<usize>(0..=usize::MAX) = plain(1000), "GATEWAY_MAX_GROUPS_PER_CLIENT", AT_ONCE_FOR_ALL;

        /// Bytes of a client's longest session, serialized
        #[chinese = "一个客户端的会话最多多少字节，按序列化后的长度计"]
        max_session_bytes: Bytes(64..=MAX_CALL / 2) = plain(1 << 20), "GATEWAY_MAX_SESSION_BYTES", AT_ONCE_FOR_ALL;

        /// Bytes that messages which have not come whole may take, of all clients together, though always four of the longest
        /// messages a shard; those who hold most are closed when it is more. As many again may calls of PHP take that have not
        /// come whole, and answers that it has not read
        #[chinese = "所有客户端尚未收完整的消息合计可占多少字节，但每个分片总能容纳四条最长的消息；超出时，占用最多的客户端\
            被关闭。尚未收完整的 PHP 调用，以及 PHP 尚未读取的应答，另可占同样多"]
        max_unfinished_bytes: Bytes(1 << 20..=1 << 40) =
            memory_share(8, 256 << 20), "GATEWAY_MAX_UNFINISHED_BYTES", AT_ONCE_FOR_ALL;

        /// Bytes of memory that what waits for slow clients may take, of all clients together, and one message besides; when it
        /// is more, those are closed who hold most and take least. What many wait for counts once
        #[chinese = "所有接收慢的客户端等待的内容合计可占的内存，按字节计，另加一条消息；超出时，占用最多而接收最少的客户端\
            被关闭。许多客户端都在等待的内容只计一次"]
        max_outbox_bytes: Bytes(1 << 20..=1 << 40) = memory_share(4, 1 << 30), "GATEWAY_MAX_OUTBOX_BYTES", AT_ONCE_FOR_ALL;

        /// Seconds that a client may take nothing at all of what waits for it; 0 is no limit
        #[chinese = "有内容在等待的客户端最多可以多少秒什么也不收；0 为不限"]
        outbox_timeout: Seconds(0.0) = seconds(30), "GATEWAY_OUTBOX_TIMEOUT", AT_ONCE_FOR_ALL;

        /// Connections of PHP processes at once, on all register ports; more take the place of one that has not logged in within
        /// a second, or wait in the kernel's queue. Of those that have not, one other machine may have a quarter
        #[chinese = "所有注册端口上同时连接的 PHP 进程数；更多的取代一个一秒内没有登录的连接，或在内核队列中等待。没有登录的\
            连接中，其他任何一台机器最多占四分之一"]
        max_register_connections: Number<usize>(1..=1 << 20) =
            count_in_memory(4, 16, 65_536), "GATEWAY_MAX_REGISTER_CONNECTIONS", RESTART;

        /// Seconds that a websocket or register handshake may take
        #[chinese = "websocket 握手或注册端口的握手最多可用多少秒"]
        handshake_timeout: Seconds(0.01) = seconds(10), "GATEWAY_HANDSHAKE_TIMEOUT", NEW_CONNECTIONS;

        /// Handshakes that may be under way at once; when there are so many, one that takes more than a second makes room for the
        /// next, first of the address that has most. Three quarters may be of one address that is neither this machine nor one of
        /// trusted_proxies
        #[chinese = "可以同时进行的握手数；达到此数时，已超过一秒的握手让位给下一个，先从握手最多的地址开始。除本机和 trusted_proxies 外，\
            任何地址最多占四分之三"]
        max_handshakes: Number<usize>(1..=1 << 24) = count_in_memory(8, 32, 10_000), "GATEWAY_MAX_HANDSHAKES", NEW_CONNECTIONS;

        /// Seconds that a client may take to answer a close frame. While it takes of what waits for it, it gets as many again
        #[chinese = "客户端最多可用多少秒应答关闭帧。只要它还在接收等待它的内容，就再得到同样多的时间"]
        close_timeout: Seconds(0.01) = seconds(5), "GATEWAY_CLOSE_TIMEOUT", AT_ONCE;

        /// Seconds over which a stop spreads the closing of clients, which then do not all come back at once; with few clients it
        /// takes less, as a thousand may go in a second. 0 closes all at once
        #[chinese = "停止时在多少秒内陆续关闭客户端，这样它们不会同时回来；客户端少时用时更短，因为一秒可以关闭一千个。0 表\
            示一次全部关闭"]
        drain_seconds: Seconds(0.0) = seconds(5), "GATEWAY_DRAIN_SECONDS", AT_ONCE;

        /// Seconds that a stop then waits for clients to take their last messages, and in a cluster for other nodes to fetch those of
        /// `gateway.2` that come back there
        #[chinese = "停止时在此之后再等待多少秒，让客户端收完最后的消息，在集群中还让其他节点取走在那里回来的 `gateway.2` 客\
            户端"]
        stop_timeout: Seconds(0.01) = seconds(3), "GATEWAY_STOP_TIMEOUT", AT_ONCE;

        /// Seconds that an earlier process may carry the TLS of its clients after an upgrade. Those that are left then are closed, come
        /// back after a moment and, if they speak `gateway.2`, miss nothing. 0 is no limit
        #[chinese = "升级之后，先前的进程最多可以为其客户端承载 TLS 多少秒。到时剩下的客户端被关闭，稍后回来，使用 `gateway.2` 的\
            不会漏掉任何内容。0 为不限"]
        relay_seconds: Seconds(0.0) = seconds(0), "GATEWAY_RELAY_SECONDS", AT_ONCE;

        /// What is logged: error, warn, info, debug or trace
        #[chinese = "记录哪些级别的日志：error、warn、info、debug 或 trace"]
        log: Text("LEVEL", texts::log) = text("info"), "GATEWAY_LOG", AT_ONCE;

        /// How it is logged: text or json
        #[chinese = "日志的格式：text 或 json"]
        log_format: One<LogFormat>("FORMAT") = choice(LogFormat::Text), "GATEWAY_LOG_FORMAT", RESTART;
    }
}
