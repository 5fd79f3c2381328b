//! `gateway-server doctor`: each check is made to find something.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway_tests::{
    Client, Diagnosis, Server, TestCertificate, done, in_own_network, root, server_binary, skip, soon,
};
use tempfile::{NamedTempFile, TempDir};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A secret that nobody guesses.
const STRONG: &str = "kS8vq2nP0fWm7xTeZa41";

/// Runs it with a secret in the environment.
async fn with_secret(secret: &str, flags: &[&str]) -> anyhow::Result<Diagnosis> {
    Diagnosis::with(|command| {
        command.env("GATEWAY_SECRET_KEY", secret).args(flags);
    })
    .await
}

#[tokio::test]
async fn nothing_is_to_be_mended_where_all_is_right() -> anyhow::Result<()> {
    let proxies = ["--trusted-proxies", "127.0.0.1"];
    let found = with_secret(STRONG, &proxies).await?;
    assert_eq!((found.code, &found.report["to_mend"]), (0, &0.into()), "{:#}", found.report);
    for check in ["settings", "server", "ports", "descriptors", "memory", "secrets", "proxies"] {
        found.assert("ok", check, "");
    }
    for check in ["certificates", "store", "nats", "public-url"] {
        found.assert("skipped", check, "");
    }
    // The page explains each.
    let page = std::fs::read_to_string(root().join("docs/doctor.md"))?;
    for finding in found.report["checks"].as_array().into_iter().flatten() {
        let check = finding["check"].as_str().unwrap_or_default();
        assert!(page.contains(&format!("\n| `{check}` |")), "{check}");
    }
    let ports = ["--websocket", "127.0.0.1:0", "--register", "127.0.0.1:0"];
    let mut command = Command::new(server_binary()?);
    let said = done(command.arg("doctor").args(ports).env("GATEWAY_SECRET_KEY", STRONG))?;
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].starts_with("ok       settings     "), "{said}");
    assert_eq!(lines.last(), Some(&"nothing is to be mended"), "{said}");
    // Each finding is one line.
    let checks = found.report["checks"].as_array().map_or(0, Vec::len);
    assert_eq!(lines.len(), checks + 1, "{said}");
    Ok(())
}

#[tokio::test]
async fn settings_that_are_wrong() -> anyhow::Result<()> {
    let mut file = NamedTempFile::new()?;
    writeln!(file, "ping_intervall = 3\n")?;
    let path = file.path().display().to_string();
    let found = Diagnosis::of(&["--config", &path]).await?;
    found.assert("mend", "settings", "did you mean ping_interval?");
    let found = Diagnosis::of(&["--require-token"]).await?;
    found.assert("mend", "settings", "require_token: there is no key to read tokens with");
    Ok(())
}

#[tokio::test]
async fn ports_that_are_taken_or_not_of_this_machine() -> anyhow::Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0").await?;
    let address = taken.local_addr()?.to_string();
    let found = Diagnosis::of(&["--websocket", &address, "--operations", "192.0.2.1:1"]).await?;
    // Operations beyond loopback want a token, which is told first.
    found.assert("mend", "settings", "operations");
    let found = Diagnosis::with(|command| {
        command.env("GATEWAY_OPERATIONS_TOKEN", STRONG);
        command.args(["--websocket", &address, "--operations", "192.0.2.1:1"]);
    })
    .await?;
    found.assert("mend", "ports", &format!("(pid {})", std::process::id()));
    found.assert("mend", "ports", "192.0.2.1:1 (operations) is no address of this machine");

    let folder = TempDir::new()?;
    let path = folder.path().join("missing/php.sock").display().to_string();
    let found = Diagnosis::of(&["--register-unix", &path]).await?;
    found.assert("mend", "ports", "php.sock (register_unix) cannot be made");
    let path = folder.path().join("file").display().to_string();
    std::fs::write(&path, "")?;
    let found = Diagnosis::of(&["--register-unix", &path]).await?;
    found.assert("mend", "ports", "is there, and is no socket");
    Ok(())
}

/// The flags that name the ports of a server that runs.
fn flags_of(server: &Server) -> Vec<String> {
    let mut flags = vec!["--websocket".to_owned(), server.websocket.to_string()];
    flags.extend(["--register".to_owned(), server.register[0].to_string()]);
    flags.extend(
        server.operations.iter().flat_map(|address| ["--operations".to_owned(), address.to_string()]),
    );
    flags
}

fn lent(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn a_server_that_runs_is_asked() -> anyhow::Result<()> {
    let server = Server::start(&["--operations", "127.0.0.1:0"]).await?;
    let flags = flags_of(&server);
    let found = Diagnosis::of(&lent(&flags)).await?;
    assert_eq!(found.code, 0, "{:#}", found.report);
    let version = env!("CARGO_PKG_VERSION");
    found.assert("ok", "server", &format!("gateway-server {version} runs with pid"));
    found.assert("ok", "descriptors", "are open");
    found.assert("ok", "register", "PHP can log in at");
    for (port, address) in [("websocket", server.websocket), ("register", server.register[0])] {
        found.assert("ok", "ports", &format!("{address} ({port}) accepts connections"));
    }
    // Its clients do not notice.
    let client = Client::connect(server.websocket).await?;
    Diagnosis::of(&lent(&flags)).await?;
    client.leave().await?;

    // Without its operations port it is heard at the register port, and what it lacks of these settings is told.
    let without = [&lent(&flags)[..4], &["--listener", "text://127.0.0.1:1"]].concat();
    let found = Diagnosis::of(&without).await?;
    found.assert("note", "server", "a gateway-server answers at the register port");
    found.assert("mend", "ports", "127.0.0.1:1 (listener text): Connection refused");
    Ok(())
}

#[tokio::test]
async fn secrets_that_differ_and_programs_that_are_no_gateway() -> anyhow::Result<()> {
    let server = Server::start_with(|command| {
        command.env("GATEWAY_SECRET_KEY", STRONG);
    })
    .await?;
    let flags = flags_of(&server);
    let found = with_secret(STRONG, &lent(&flags)).await?;
    found.assert("ok", "register", "PHP can log in");
    let found = with_secret("another that nobody guesses", &lent(&flags)).await?;
    found.assert("mend", "register", "the gateway refuses PHP: ");

    let page = TcpListener::bind("127.0.0.1:0").await?;
    let address = page.local_addr()?.to_string();
    let _page = tokio::spawn(async move {
        loop {
            let Ok((mut socket, _)) = page.accept().await else { return };
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let found = Diagnosis::of(&["--register", &address]).await?;
    found.assert("mend", "register", "what answers there is no gateway-server");

    // The tokens of the operations port differ.
    let server = Server::start_with(|command| {
        command.env("GATEWAY_OPERATIONS_TOKEN", STRONG).args(["--operations", "127.0.0.1:0"]);
    })
    .await?;
    let found = Diagnosis::of(&lent(&flags_of(&server))).await?;
    found.assert("mend", "operations", "refuses: ");
    Ok(())
}

#[test]
fn a_short_queue_of_connections() -> anyhow::Result<()> {
    in_own_network("a_short_queue_of_connections", async || {
        const LIMIT: &str = "/proc/sys/net/core/somaxconn";
        std::fs::write(LIMIT, "16")?;
        Diagnosis::of(&[]).await?.assert("mend", "backlog", "16 connections may wait");
        std::fs::write(LIMIT, "4096")?;
        Diagnosis::of(&[]).await?.assert("note", "backlog", "4096 connections may wait");
        std::fs::write(LIMIT, "65535")?;
        Diagnosis::of(&[]).await?.assert("ok", "backlog", "65535 connections may wait");
        Ok(())
    })
}

#[test]
fn connections_that_the_kernel_tracks() -> anyhow::Result<()> {
    const TEST: &str = "connections_that_the_kernel_tracks";
    const RULE: &str =
        "table inet t { chain c { type filter hook input priority 0; ct state established accept; }; }";
    in_own_network(TEST, async || {
        if Command::new("nft").arg("--version").output().is_err() {
            skip(TEST, "nft, which apt-get install nftables brings, is not there");
            return Ok(());
        }
        let server = Server::start(&[]).await?;
        Diagnosis::of(&[]).await?.assert("ok", "conntrack", "the kernel tracks no connections");
        done(Command::new("nft").arg(RULE))?;
        let _client = Client::connect(server.websocket).await?;
        let found = Diagnosis::of(&["--max-connections", "1000000000"]).await?;
        found.assert("mend", "conntrack", "too few for max_connections = 1000000000");
        let found = Diagnosis::of(&["--max-connections", "1000"]).await?;
        found.assert("ok", "conntrack", "the kernel tracks ");
        Ok(())
    })
}

#[tokio::test]
async fn limits_that_are_too_low() -> anyhow::Result<()> {
    let found = Diagnosis::of(&["--max-connections", "1000000000"]).await?;
    found.assert("mend", "descriptors", "too few for max_connections = 1000000000");
    found.assert("mend", "memory", "the bounds add up to ");
    let found = Diagnosis::of(&["--max-outbox-bytes", "1000000000000"]).await?;
    found.assert("mend", "memory", "the kernel may end it");
    Ok(())
}

#[tokio::test]
async fn certificates_that_browsers_refuse() -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut certificate = TestCertificate::new()?;
    let flags = certificate.flags();
    let flags = [&lent(&flags)[..], &["--hosts", "localhost"]].concat();
    let days = |days: u64| (now + Duration::from_secs(days * 86_400)).as_secs();

    certificate.renew_for("localhost", days(200))?;
    let found = Diagnosis::of(&flags).await?;
    assert_eq!(found.code, 0, "{:#}", found.report);
    // Its authority is nobody's.
    found.assert("note", "certificates", "vouches for");

    certificate.renew_for("localhost", now.as_secs() - 86_400)?;
    Diagnosis::of(&flags).await?.assert("mend", "certificates", " ended on ");
    certificate.renew_for("localhost", days(5) + 3600)?;
    Diagnosis::of(&flags).await?.assert("mend", "certificates", ", in 5 days");
    certificate.renew_for("www.example.com", days(200))?;
    Diagnosis::of(&flags).await?.assert(
        "mend",
        "certificates",
        "is not for localhost, but for www.example.com",
    );

    // A key of another certificate is wrong settings, with the same words as at the start.
    std::fs::copy(TestCertificate::new()?.key, &certificate.key)?;
    Diagnosis::of(&flags).await?.assert("mend", "settings", "it is not the key of the certificate");
    Ok(())
}

#[tokio::test]
async fn secrets_that_others_guess_or_read() -> anyhow::Result<()> {
    with_secret("changeme", &[]).await?.assert(
        "mend",
        "secrets",
        "secret_key is one that stands in examples",
    );
    with_secret("3dU7g", &[]).await?.assert("mend", "secrets", "secret_key has 5 bytes");
    with_secret(&"ab".repeat(20), &[]).await?.assert(
        "mend",
        "secrets",
        "secret_key is made of 2 different bytes",
    );
    let found = Diagnosis::with(|command| {
        command.env("GATEWAY_SECRET_KEY", STRONG).env("GATEWAY_TOKEN_KEY", STRONG);
    })
    .await?;
    found.assert("mend", "secrets", "token_key is the same as secret_key");
    assert!(!found.report.to_string().contains(STRONG), "{:#}", found.report);

    let mut file = NamedTempFile::new()?;
    writeln!(file, "{STRONG}")?;
    let path = file.path().display().to_string();
    let flags = ["--secret-key-file", &path];
    Diagnosis::of(&flags).await?.assert("ok", "secrets", "cannot be guessed or read");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644))?;
    Diagnosis::of(&flags).await?.assert("mend", "secrets", "all users of this machine may read it");
    std::fs::write(&path, format!("secret_key = \"{STRONG}\"\n"))?;
    Diagnosis::of(&["--config", &path]).await?.assert(
        "mend",
        "secrets",
        "all users of this machine may read it",
    );
    Ok(())
}

#[tokio::test]
async fn a_store_that_cannot_last() -> anyhow::Result<()> {
    let folder = TempDir::new_in(root().join("target"))?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let found = Diagnosis::of(&["--store", &path("missing/store")]).await?;
    found.assert("mend", "store", "cannot be written: No such file or directory");
    let found = Diagnosis::of(&["--store", &path("store"), "--store-bytes", "1000000000000000"]).await?;
    found.assert("mend", "store", "are free for ");
    let found = Diagnosis::of(&["--store", &path("store"), "--store-bytes", "1048576"]).await?;
    found.assert("ok", "store", "are free for ");
    assert!(!folder.path().join("store").exists(), "it leaves nothing behind");
    let found = Diagnosis::of(&["--store", &path("")]).await?;
    found.assert("mend", "store", "is no file");
    if let Ok(memory) = TempDir::new_in("/dev/shm") {
        let found = Diagnosis::of(&["--store", &memory.path().join("store").display().to_string()]).await?;
        found.assert("mend", "store", "is on tmpfs, in memory");
    }
    Ok(())
}

#[tokio::test]
async fn proxies_that_are_believed_too_much_or_not_at_all() -> anyhow::Result<()> {
    let found = Diagnosis::of(&["--trusted-proxies", "0.0.0.0/0"]).await?;
    found.assert("mend", "proxies", "trusted_proxies has 0.0.0.0/0");
    let found = Diagnosis::of(&["--max-connections-per-address", "10"]).await?;
    found.assert("mend", "proxies", "share max_connections_per_address");
    let found = Diagnosis::of(&["--trusted-proxies", "127.0.0.1"]).await?;
    found.assert("ok", "proxies", "127.0.0.1/32 are believed");
    Ok(())
}

/// Answers every request with this.
async fn page(answer: String) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}/ws", listener.local_addr()?);
    tokio::spawn(async move {
        loop {
            let Ok((mut socket, _)) = listener.accept().await else { return };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                if socket.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    Ok(url)
}

#[tokio::test]
async fn the_way_of_a_browser() -> anyhow::Result<()> {
    let mut server = Server::start(&["--operations", "127.0.0.1:0"]).await?;
    let url = format!("ws://{}/ws", server.websocket);
    let flags = flags_of(&server);
    let flags = [&lent(&flags)[..], &["--public-url", &url]].concat();
    let found = Diagnosis::of(&flags).await?;
    assert_eq!(found.code, 0, "{:#}", found.report);
    found.assert("ok", "public-url", "a websocket opens at ws://");
    // Whoever believes proxies should have one.
    let found = Diagnosis::of(&[&flags[..], &["--trusted-proxies", "10.0.0.1"]].concat()).await?;
    found.assert("mend", "proxies", "leads to the server itself, without a proxy");
    server.signal(nix::sys::signal::Signal::SIGTERM)?;
    soon("the server's end", server.exit()).await??;
    Diagnosis::of(&["--public-url", &url]).await?.assert("mend", "public-url", "Connection refused");

    for (answer, text) in [
        ("200 OK", "that is a page and no websocket"),
        ("400 Bad Request", "the gateway gets a request that asks for no websocket"),
        ("404 Not Found", "there is nothing at that path"),
        ("502 Bad Gateway", "the proxy does not reach the gateway"),
    ] {
        let url = page(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n")).await?;
        Diagnosis::of(&["--public-url", &url]).await?.assert("mend", "public-url", text);
    }
    let date = "Date: Sat, 01 Jan 2022 00:00:00 GMT";
    let url = page(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{date}\r\n\r\n")).await?;
    Diagnosis::of(&["--public-url", &url]).await?.assert("mend", "clock", "seconds apart from that of ws://");

    let certificate = TestCertificate::new()?;
    let server = Server::start(&lent(&certificate.flags())).await?;
    let url = format!("wss://localhost:{}", server.websocket.port());
    let found = Diagnosis::of(&["--public-url", &url]).await?;
    found.assert("mend", "public-url", "browsers refuse its TLS: ");

    let wrong = Command::new(server_binary()?).args(["doctor", "--public-url", "example.com"]).output()?;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("it must be like wss://example.com/ws"));
    Ok(())
}
