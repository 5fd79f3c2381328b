//! A part of the server hangs, or reading one of its files does: the server goes on serving, the log says so, and a stop ends
//! in time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use gateway_tests::{Client, Operator, Server, TestCertificate, done, eventually, soon};
use nix::sys::signal::Signal;
use tokio::net::UnixDatagram;

use super::panics;

/// Puts a pipe that nobody writes to in the place of a file, so that reading it hangs.
fn becomes_a_pipe(path: &Path) -> anyhow::Result<()> {
    std::fs::remove_file(path)?;
    done(Command::new("mkfifo").arg(path)).map(drop)
}

/// All files that the server reads again while it runs, and their good contents.
struct Files {
    folder: tempfile::TempDir,
    certificate: TestCertificate,
}

impl Files {
    fn new() -> anyhow::Result<Self> {
        let it = Self { folder: tempfile::tempdir()?, certificate: TestCertificate::new()? };
        it.write("secret", "s3cr3t\n")?;
        it.write(
            "gateway.toml",
            &format!(
                "secret_key_file = {:?}\nmax_connections = 100\n[[listener]]\nprotocol = \"websocket\"\n\
                 address = \"127.0.0.1:0\"\ntls_certificate = {:?}\ntls_key = {:?}\n",
                it.path("secret"),
                it.certificate.certificate,
                it.certificate.key
            ),
        )?;
        Ok(it)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.path(name), text)?)
    }

    async fn server(&self) -> anyhow::Result<Server> {
        Server::start(&["--config", &self.path("gateway.toml").display().to_string(), "--shards", "1"]).await
    }
}

async fn stops(mut server: Server) -> anyhow::Result<()> {
    server.signal(Signal::SIGTERM)?;
    assert!(server.exit().await?.success());
    Ok(())
}

#[tokio::test]
async fn pipes_in_place_of_files_end_neither_reloads_nor_the_stop() -> anyhow::Result<()> {
    for (name, said) in [
        ("gateway.toml", "it is a pipe, not a regular file"),
        ("secret", "secret_key_file: "),
        ("certificate", "tls_certificate: "),
    ] {
        let files = Files::new()?;
        let mut server = files.server().await?;
        let path = match name {
            "certificate" => files.certificate.certificate.clone(),
            name => files.path(name),
        };
        let good = std::fs::read(&path)?;
        becomes_a_pipe(&path)?;
        for _ in 0..2 {
            server.signal(Signal::SIGHUP)?;
            server.logs(said).await?;
            server.logs("SIGHUP: the settings stay as they were").await?;
        }
        Client::connect(server.websocket).await?;
        std::fs::remove_file(&path)?;
        std::fs::write(&path, good)?;
        server.signal(Signal::SIGHUP)?;
        server.logs("SIGHUP: settings read").await?;
        becomes_a_pipe(&path)?;
        server.signal(Signal::SIGHUP)?;
        stops(server).await?;
    }
    Ok(())
}

#[tokio::test]
async fn settings_that_cannot_be_read_are_said() -> anyhow::Result<()> {
    let files = Files::new()?;
    let mut server = files.server().await?;
    std::fs::remove_file(files.path("gateway.toml"))?;
    // This is a regular file of which every read at its beginning fails with EIO.
    std::os::unix::fs::symlink("/proc/self/mem", files.path("gateway.toml"))?;
    server.signal(Signal::SIGHUP)?;
    let line = server.logs("cannot read the configuration").await?;
    assert!(line.contains("Input/output error"), "{line}");
    std::fs::remove_file(files.path("gateway.toml"))?;
    files.write("gateway.toml", &"#".repeat(5 << 20))?;
    server.signal(Signal::SIGHUP)?;
    server.logs("it is longer than").await?;
    Client::connect(server.websocket).await?;
    stops(server).await
}

/// Asks for a fault: the server hangs the next time that it comes to this place.
async fn hang(server: &Server, place: &str) -> anyhow::Result<Client> {
    let mut client = Client::connect(server.websocket).await?;
    client.send(format!("hang at {place}").into()).await?;
    Ok(client)
}

#[tokio::test]
async fn a_shard_that_hangs_is_named_and_ends_the_process() -> anyhow::Result<()> {
    let test = "a_shard_that_hangs_is_named_and_ends_the_process";
    let Some(mut server) = panics::start(test, &[]).await? else { return Ok(()) };
    let operator = Operator::of(&server)?;
    let mut client = hang(&server, "turn").await?;
    eventually("readiness", (503, "shard 0 did not answer within 800ms\n".to_owned()), async || {
        let answer = operator.get("/readyz").await?;
        Ok((answer.status, answer.body))
    })
    .await?;
    assert_eq!(operator.get("/healthz").await?.status, 200);
    for path in ["/status", "/metrics"] {
        // The request fails if the process has ended meanwhile.
        if let Ok(answer) = operator.get(path).await {
            assert_eq!(answer.status, 503, "{answer:?}");
        }
    }
    server.logs("shard 0 hangs, and has not answered").await?;
    assert_eq!(server.exit().await?.code(), Some(70));
    client.gone().await
}

#[tokio::test]
async fn a_stop_ends_in_time_though_a_shard_hangs() -> anyhow::Result<()> {
    let times = ["--drain-seconds", "0.2", "--stop-timeout", "0.2"];
    let Some(mut server) = panics::start("a_stop_ends_in_time_though_a_shard_hangs", &times).await? else {
        return Ok(());
    };
    let operator = Operator::of(&server)?;
    let _client = hang(&server, "turn").await?;
    eventually("readiness", 503, async || Ok(operator.get("/readyz").await?.status)).await?;
    let start = Instant::now();
    server.signal(Signal::SIGTERM)?;
    server.logs("the stop hangs, and took longer than drain_seconds and stop_timeout allow").await?;
    assert_eq!(server.exit().await?.code(), Some(70));
    // The watchdog alone would have ended the process as well, somewhat later.
    println!("it took {:?}", start.elapsed());
    Ok(())
}

/// The messages are those that systemd waits for with `WatchdogSec=`.
#[tokio::test]
async fn systemd_hears_that_it_lives_for_as_long_as_all_shards_answer() -> anyhow::Result<()> {
    if !panics::has_faults("systemd_hears_that_it_lives_for_as_long_as_all_shards_answer")? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("notify");
    let supervisor = UnixDatagram::bind(&path)?;
    let mut server = Server::start_with(|command| {
        command.args(["--shards", "1"]);
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "10000000").env("GATEWAY_TEST_FAULTS", "1");
    })
    .await?;
    let mut state = [0; 256];
    for expected in ["READY=1", "WATCHDOG=1", "WATCHDOG=1"] {
        let length = soon("what the server says", supervisor.recv(&mut state)).await??;
        assert_eq!(String::from_utf8_lossy(&state[..length]).trim_end(), expected);
    }
    let client = hang(&server, "turn").await?;
    assert_eq!(server.exit().await?.code(), Some(70));
    drop(client);
    // The server sends nothing more once the shard has hung for more than a round, which was for four more; only what was already on its
    // way may still come.
    let mut said = 0;
    while supervisor.try_recv(&mut state).is_ok() {
        said += 1;
    }
    assert!(said <= 3, "{said}");
    Ok(())
}
