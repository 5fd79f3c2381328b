//! What the benchmark names in docs/performance.md and in its chart, in English and in Chinese.
//!
//! `{}` stands for a number, which the Chinese text names by its place: `{0}` is the first one.

/// The English text of a thing and the Chinese one.
pub(super) type Translation = (&'static str, &'static str);

/// The scenarios, which are the titles of tables, and what scenarios are called where a server was not measured in them.
pub(super) const SCENARIOS: &[Translation] = &[
    ("idle, {} connections", "空闲，{0} 个连接"),
    ("idle, {} connections with a uid each", "空闲，{0} 个连接，各有一个 uid"),
    ("idle, {} connections with a ping every {} s", "空闲，{0} 个连接，每 {1} s 一次 ping"),
    ("idle, {} connections, over {} servers", "空闲，{0} 个连接，分布在 {1} 个服务器上"),
    (
        "idle, {} connections with a uid each, over {} servers",
        "空闲，{0} 个连接，各有一个 uid，分布在 {1} 个服务器上",
    ),
    ("kept of {} connections that have gone", "{0} 个连接离开之后仍占用的"),
    ("kept of {} connections with a uid each that have gone", "{0} 个各有一个 uid 的连接离开之后仍占用的"),
    ("fan-out to {}, {} B, {} in flight", "广播给 {0} 个，{1} B，{2} 条在途"),
    ("unicast among {}, {} B, {} in flight", "单播给 {0} 个之一，{1} B，{2} 条在途"),
    ("{} clients come back, with {} missed messages each", "{0} 个客户端回来，各漏掉 {1} 条消息"),
    ("ping and pong, {} clients", "ping 与 pong，{0} 个客户端"),
    ("echo, {} clients", "回显，{0} 个客户端"),
    ("{} messages a second to {}", "每秒 {0} 条消息发给 {1} 个客户端"),
    ("connect, shake hands, go", "连接、握手、离开"),
    (
        "have all of {} messages, of {} clients that were cut meanwhile",
        "{1} 个其间被切断的客户端中，收全 {0} 条消息的",
    ),
    ("{} clients", "{0} 个客户端"),
    ("{} clients with a topic each", "{0} 个客户端，各有一个主题"),
    ("{} idle connections", "{0} 个空闲连接"),
    ("{} idle connections with a uid each", "{0} 个空闲连接，各有一个 uid"),
];

/// What stands behind the name of a scenario. Several may follow each other.
pub(super) const ENDINGS: &[Translation] = &[
    (", TLS", "，TLS"),
    (", TLS with tickets", "，TLS，带票据"),
    (", connect tokens", "，连接令牌"),
    (", all cores for all", "，多核"),
    (", with and without a store", "，有与没有存储"),
    (", with and without coalesce", "，使用与不使用 coalesce"),
    (", with and without gateway.2", "，使用与不使用 gateway.2"),
];

/// The columns of tables.
pub(super) const COLUMNS: &[Translation] = &[
    ("per second", "每秒"),
    ("bytes each", "每个的字节"),
    ("clients", "客户端"),
    ("CPU µs a client and second", "CPU µs/客户端/秒"),
    ("÷ plain loop", "÷ 纯循环"),
    ("ours ÷ this", "我们 ÷ 此行"),
    ("CPU s per million", "CPU 秒/百万次"),
    ("÷ without gateway.2", "÷ 不用 gateway.2"),
    ("÷ without a store", "÷ 没有存储"),
    ("÷ without coalesce", "÷ 不用 coalesce"),
    ("a second a core", "每核每秒"),
    ("segments each", "每个的报文段"),
    ("server busy", "服务器忙"),
    ("generator busy", "发生器忙"),
    ("p50 ms", "p50 ms"),
    ("p99 ms", "p99 ms"),
    ("p99.9 ms", "p99.9 ms"),
    ("pings a minute", "ping/分钟"),
    // An upgrade.
    ("something waits for", "有内容等待的"),
    ("longest gap ms", "最长间隔 ms"),
    ("reported pause ms", "报告的停顿 ms"),
    ("MB before", "之前 MB"),
    ("MB at the peak", "峰值 MB"),
    ("peak ÷ before", "峰值 ÷ 之前"),
    ("with the kernel's", "连同内核"),
    // A wave of reconnects.
    ("server", "服务器"),
    ("clients that come back", "回来的客户端"),
    ("all have come after ms", "全部回来 ms"),
    ("CPU µs each", "每个 CPU µs"),
    ("p50 of pushes ms, before / in the wave", "推送的 p50 ms，之前 / 其间"),
    ("p99", "p99"),
    ("longest", "最长"),
];

/// The servers that are compared.
pub(super) const SERVERS: &[Translation] = &[
    ("gateway-server", "gateway-server"),
    ("gateway-server, gateway.2", "gateway-server，gateway.2"),
    ("gateway-server, store", "gateway-server，存储"),
    ("gateway-server, coalesce", "gateway-server，coalesce"),
    ("plain send loop", "纯发送循环"),
    ("plain io_uring loop", "纯 io_uring 循环"),
    ("uWebSockets", "uWebSockets"),
    ("ws", "ws"),
    ("nchan", "nchan"),
    ("socket.io", "socket.io"),
    ("Sockudo", "Sockudo"),
    ("Reverb", "Reverb"),
    ("GatewayWorker", "GatewayWorker"),
    ("GatewayWorker, event", "GatewayWorker，event"),
    ("gateway-server behind nginx", "gateway-server，前有 nginx"),
    ("gateway-server behind Caddy", "gateway-server，前有 Caddy"),
];

/// How figures were made, as it stands behind the machine's name.
pub(super) const CIRCUMSTANCES: &[Translation] = &[
    ("the server on one core, the generator on another", "服务器用一个核，发生器用另一个核"),
    ("server and generator on the same core", "服务器和发生器用同一个核"),
];

/// The chart: its title, the words that stand for it where it is not shown, and its file.
pub(super) const CHART: &[Translation] = &[
    ("Rates as ratios to a plain send loop", "各项速率与纯发送循环之比"),
    ("Rates as ratios to the plain loop", "各项速率与纯循环之比"),
    ("performance.svg", "performance.zh-CN.svg"),
];
