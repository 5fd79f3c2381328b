//! A server with its clients and its PHP processes, through upgrades.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use gateway_tests::{Operator, Server, TestCertificate, eventually};
use gateway_wire::ClientId;
use nix::unistd::Pid;
use rlimit::Resource;
use tempfile::TempDir;
use tokio_rustls::rustls;

use super::crowd::{Crowd, Period, Seen, Size};
use super::member::Role;
use super::memory::{Memory, MemoryWatch};
use super::memory_group::MemoryGroup;
use super::php::{Asked, Pace, Php};
use crate::cores::Cores;

/// The time that passes before and behind each upgrade.
const BETWEEN: Duration = Duration::from_millis(500);
/// The time after which what has begun goes its way. At first the kernel asks each slow client several times a second whether it takes more,
/// which for ten thousands of them is much; it asks more and more seldom.
const SETTLING: Duration = Duration::from_secs(10);
/// The time for which it is looked what gaps there are without an upgrade.
const QUIET: Duration = Duration::from_secs(2);
/// Nothing but what is looked for happens on the connections: a client that reads nothing answers no ping, and is not given up.
const FLAGS: [&str; 8] = [
    "--operations",
    "127.0.0.1:0",
    "--ping-interval",
    "0",
    "--outbox-timeout",
    "600",
    "--log",
    "warn,gateway_server::server=info",
];

/// A server that is upgraded, and those who use it.
pub(crate) struct Place {
    server: Server,
    operator: Operator,
    crowd: Crowd,
    php: Option<Php>,
    ids: Vec<ClientId>,
    size: Size,
    /// The processes that carry TLS for earlier clients.
    relays: Vec<Pid>,
    /// Counts the memory of all of the server's processes, where that can be had.
    group: Option<Arc<MemoryGroup>>,
    /// Where the settings file is, which each process reads.
    _folder: TempDir,
    _certificate: Option<TestCertificate>,
}

/// What an upgrade was like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upgrade {
    /// The pause that the server reports.
    pub(crate) reported: Duration,
    /// From the request to its answer.
    pub(crate) whole: Duration,
    /// The memory of all of the server's processes before, and at most meanwhile unless nobody looked.
    pub(crate) before: Memory,
    pub(crate) peak: Option<Memory>,
    /// The same once the old process has gone, or is a relay.
    pub(crate) after: Memory,
    /// How many clients something waited for.
    pub(crate) slow: u64,
    /// How many clients got a relay.
    pub(crate) relayed: u64,
}

/// The settings of a server with a second listener for clients that speak TLS.
fn settings(certificate: &TestCertificate) -> String {
    let (certificate, key) = (certificate.certificate.display(), certificate.key.display());
    format!(
        "[[listener]]\nprotocol = \"websocket\"\naddress = \"127.0.0.1:0\"\ntls_certificate = \"{certificate}\"\n\
         tls_key = \"{key}\"\n"
    )
}

impl Place {
    /// Starts a server, on its cores, and connects its clients. The server may open `limit` files, if that is given.
    pub(crate) async fn open(size: Size, cores: Cores, limit: Option<u64>) -> anyhow::Result<Self> {
        let certificate = if size.tls > 0 { Some(TestCertificate::new()?) } else { None };
        let (shards, folder) = (cores.of_server().to_string(), tempfile::tempdir()?);
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, certificate.as_ref().map_or(String::new(), settings))?;
        let group = MemoryGroup::make().map(Arc::new);
        let mut begun = Ok(());
        let server = Server::start_with(|command| {
            command.args(FLAGS).args(["--shards", &shards, "--config"]).arg(file);
            begun = group.as_ref().map_or(Ok(()), |group| group.begin_in(command));
        });
        let server = cores.as_server(server).await?;
        begun.context("the server's cgroup")?;
        if let Some(limit) = limit {
            rlimit::prlimit(server.pid()?.as_raw(), Resource::NOFILE, Some((limit, limit)), None)?;
        }
        let tls = certificate.as_ref().map(|one| one.client(rustls::ALL_VERSIONS)).transpose()?;
        let tls = tls.zip(server.listeners.first().copied());
        let (crowd, ids) = Crowd::gather(server.websocket, tls, size).await?;
        let operator = Operator::of(&server)?;
        Ok(Self {
            server,
            operator,
            crowd,
            php: None,
            ids,
            size,
            relays: Vec::new(),
            group,
            _folder: folder,
            _certificate: certificate,
        })
    }

    /// Has PHP begin to push and ask.
    pub(crate) async fn begin(&mut self, pace: Pace) -> anyhow::Result<()> {
        self.php = Some(Php::start(self.server.register[0], self.size, &self.ids, pace).await?);
        let slow = self.size.of(|role| role == Role::Slow).count() as u64;
        eventually("clients that something waits for", Some(slow), async || self.slow().await).await?;
        Ok(())
    }

    /// Looks for a while what gaps there are without an upgrade, once what has begun goes its way.
    pub(crate) async fn settle(&mut self) {
        tokio::time::sleep(SETTLING).await;
        self.rest(Period::Quiet).await;
    }

    /// Looks for a while what gaps there are without an upgrade, if there are relays now.
    pub(crate) async fn rest_with_relays(&mut self) {
        if !self.relays.is_empty() {
            self.rest(Period::QuietWithRelays).await;
            self.crowd.begin(Period::Preparation);
        }
    }

    async fn rest(&mut self, period: Period) {
        self.crowd.begin(period);
        tokio::time::sleep(QUIET).await;
    }

    /// Upgrades the server while everything goes on, and looks at the memory meanwhile if it is told to.
    pub(crate) async fn upgrade(&mut self, looks_at_memory: bool) -> anyhow::Result<Upgrade> {
        self.fill().await?;
        let old = self.server.pid()?;
        let slow = self.slow().await?.unwrap_or_default();
        let processes: Vec<_> = self.relays.iter().copied().chain([old]).collect();
        let before = Memory::of(&processes, self.group.as_deref());
        self.crowd.begin(if looks_at_memory { Period::WatchedUpgrade } else { Period::Upgrade });
        let group = self.group.clone();
        let watch = if looks_at_memory { Some(MemoryWatch::start(processes, group)?) } else { None };
        let start = Instant::now();
        let upgraded = self.server.upgrade().await?;
        let whole = start.elapsed();
        tokio::time::sleep(BETWEEN).await;
        self.crowd.begin(Period::Preparation);
        let peak = watch.map(MemoryWatch::peak).transpose()?;
        ensure!(upgraded["clients"] == self.size.clients, "{upgraded}");
        let relayed = upgraded["relayed_clients"].as_u64().context("relayed_clients")?;
        if relayed > 0 {
            self.relays.push(old);
        }
        let pause = upgraded["pause_seconds"].as_f64().context("pause_seconds")?;
        let processes = [self.relays.as_slice(), &[self.server.pid()?]].concat();
        let after = Memory::of(&processes, self.group.as_deref());
        Ok(Upgrade { reported: Duration::from_secs_f64(pause), whole, before, peak, after, slow, relayed })
    }

    /// Has the slow clients read something, and sends them more.
    async fn fill(&mut self) -> anyhow::Result<()> {
        self.crowd.sip();
        self.php.as_mut().context("PHP has not begun")?.fill().await?;
        tokio::time::sleep(BETWEEN).await;
        Ok(())
    }

    /// Asks for an upgrade that is refused, and gives the sentence that says why.
    pub(crate) async fn refused(&mut self) -> anyhow::Result<String> {
        self.fill().await?;
        let process = self.server.pid()?;
        let files = self.server.open_files()?;
        self.crowd.begin(Period::Upgrade);
        let answer = self.operator.ask("POST", "/upgrade", "").await?;
        ensure!(answer.status == 409, "{answer:?}");
        ensure!(gateway_tests::children(process)?.is_empty(), "a new process was started");
        let now = self.server.open_files()?;
        ensure!(files.abs_diff(now) < 10, "{now} open files instead of {files}");
        tokio::time::sleep(BETWEEN).await;
        self.crowd.begin(Period::Preparation);
        Ok(answer.json()?["error"]["message"].as_str().context("a message")?.to_owned())
    }

    /// Ends the pushes, and waits until the clients have had everything.
    pub(crate) async fn close(self) -> anyhow::Result<(Seen, Asked)> {
        let (totals, asked) = self.php.context("PHP has not begun")?.stop().await?;
        Ok((self.crowd.leave(totals).await?, asked))
    }

    /// The number of clients that something waits for, or none while the server is too busy to say.
    async fn slow(&self) -> anyhow::Result<Option<u64>> {
        let answer = self.operator.get("/status").await?;
        Ok(if answer.status == 503 { None } else { answer.json()?["slow_clients"].as_u64() })
    }
}
