//! Attempts to guess the secret on the register port, by each of its protocols.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gateway_tests::{PhpPeer, Server, connect_from, new_producer, soon};
use gateway_wire::gatewayworker::{Command, RegisterLine};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SECRET: &str = "s3cr3t";

async fn start(flags: &[&str]) -> anyhow::Result<Server> {
    Server::start_with(|command| {
        command.args(flags).env("GATEWAY_SECRET_KEY", SECRET);
    })
    .await
}

async fn guess(server: &Server, secret: &str) -> anyhow::Result<()> {
    PhpPeer::connect_as(server.register[0], new_producer(), secret.as_bytes()).await.map(drop)
}

/// Sends `bytes` from the address `from`, and gives whether the server answers instead of closing.
async fn is_let_in(from: &str, to: SocketAddr, bytes: &[u8]) -> anyhow::Result<bool> {
    let mut socket = connect_from(from, to).await?;
    socket.write_all(bytes).await?;
    // A peer with the right secret gets an answer.
    let mut answer = [0; 1];
    Ok(soon("an answer or the end", socket.read(&mut answer)).await?.is_ok_and(|length| length > 0))
}

fn line(secret: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    RegisterLine::WorkerConnect { secret_key: secret.to_owned() }.encode(&mut bytes);
    bytes
}

/// The bytes of a login and a query.
fn packets(secret: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Command::ClientConnect { secret_key: secret.into() }.encode(&mut bytes)?;
    Command::IsOnline { connection: 1 }.encode(&mut bytes)?;
    Ok(bytes)
}

#[tokio::test]
async fn a_port_that_all_users_of_the_machine_may_use_is_warned_of() -> anyhow::Result<()> {
    let mut open = Server::start(&[]).await?;
    let line = open.logs("no secret_key is set").await?;
    assert!(line.contains("all users of this machine may push"), "{line}");
    // A server with a secret has nothing to warn of, from its start to its end.
    let mut guarded = start(&[]).await?;
    guarded.signal(Signal::SIGTERM)?;
    let line = guarded.logs("no secret_key is set").await;
    anyhow::ensure!(line.is_err(), "{line:?}");
    Ok(())
}

#[tokio::test]
async fn a_folder_where_all_users_may_put_a_socket_is_warned_of() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("register.sock");
    let socket = socket.to_str().context("a path that is no text")?;
    // The first mode is that of /tmp: the sticky bit protects files that exist, but anybody may take a name that is free.
    for (mode, is_warned) in [(0o1777, true), (0o750, false)] {
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode))?;
        let mut server = start(&["--register-unix", socket]).await?;
        server.signal(Signal::SIGTERM)?;
        let line = server.logs("register_unix: all users of this machine may listen in").await;
        assert_eq!(line.is_ok(), is_warned, "{mode:o}: {line:?}");
        server.exit().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_address_that_guesses_is_slowed_and_others_are_not() -> anyhow::Result<()> {
    let server = start(&[]).await?;
    let to = server.register[0];
    for (from, wrong, right) in
        [("127.0.0.2", line("wrong"), line(SECRET)), ("127.0.0.3", packets("wrong")?, packets(SECRET)?)]
    {
        for _ in 0..10 {
            assert!(!is_let_in(from, to, &wrong).await?);
        }
        // After ten wrong secrets at once, the server looks at one a second from this address.
        let start = Instant::now();
        for _ in 0..2 {
            assert!(!is_let_in(from, to, &wrong).await?);
        }
        assert!(start.elapsed() > Duration::from_secs(1), "{:?}", start.elapsed());
        // The right secret has to wait for its turn, too; from then on the server knows the address as honest.
        assert!(is_let_in(from, to, &right).await?);
        for _ in 0..20 {
            assert!(is_let_in(from, to, &right).await?);
        }
        // That the address is known does not make its wrong guesses quicker.
        let start = Instant::now();
        for _ in 0..3 {
            assert!(!is_let_in(from, to, &wrong).await?);
        }
        assert!(start.elapsed() > Duration::from_secs(1), "{:?}", start.elapsed());
    }
    let start = Instant::now();
    for _ in 0..10 {
        guess(&server, "wrong").await.unwrap_err();
    }
    guess(&server, "wrong").await.unwrap_err();
    assert!(start.elapsed() > Duration::from_millis(900), "{:?}", start.elapsed());
    guess(&server, SECRET).await
}

#[tokio::test]
async fn many_guesses_at_once_are_not_all_looked_at() -> anyhow::Result<()> {
    let server = start(&[]).await?;
    let start = Instant::now();
    let guesses = (0..200).map(|number: u32| {
        let server = &server;
        async move { guess(server, &number.to_string()).await.err().map(|error| error.to_string()) }
    });
    let results = futures_util::future::join_all(guesses).await;
    let told = |text: &str| results.iter().flatten().filter(|error| error.contains(text)).count();
    let looked_at = told("wrong secret:");
    assert!(looked_at as u64 <= 11 + start.elapsed().as_secs(), "{results:?}");
    assert_eq!(looked_at + told("too many wrong secrets from this address"), 200, "{results:?}");
    guess(&server, SECRET).await
}

/// Thousands of PHP processes may come from one machine, and so may somebody who guesses.
#[tokio::test]
async fn whoever_knows_the_secret_does_not_wait_for_one_who_guesses_beside_him() -> anyhow::Result<()> {
    for secret in [SECRET, "a secret that is long enough"] {
        let server = Server::start_with(|command| {
            command.env("GATEWAY_SECRET_KEY", secret);
        })
        .await?;
        guess(&server, secret).await?;
        let start = Instant::now();
        let (mut looked_at, mut too_many) = (0, 0);
        for _ in 0..5 {
            let guesses =
                (0..40).map(|number: u32| {
                    let server = &server;
                    async move {
                        guess(server, &format!("{number} wrong")).await.err().map(|error| error.to_string())
                    }
                });
            let honest = (0..40).map(|_| guess(&server, secret));
            let (guesses, honest) =
                tokio::join!(futures_util::future::join_all(guesses), futures_util::future::join_all(honest));
            honest.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
            let told = |text: &str| guesses.iter().flatten().filter(|error| error.contains(text)).count();
            looked_at += told("wrong secret:");
            too_many += told("too many wrong secrets from this address");
        }
        assert_eq!(looked_at + too_many, 200);
        // The server looks at ten guesses at once, at those that already waited, and at one more for each second that the
        // test takes.
        assert!(looked_at as u64 <= 16 + start.elapsed().as_secs(), "{looked_at} in {:?}", start.elapsed());
    }
    Ok(())
}

#[tokio::test]
async fn no_secret_is_ever_logged() -> anyhow::Result<()> {
    let mut server = Server::start_with(|command| {
        command.args(["--log", "trace"]).env("GATEWAY_SECRET_KEY", SECRET).env("GATEWAY_TOKEN_KEY", "t0k3n");
    })
    .await?;
    let to = server.register[0];
    guess(&server, SECRET).await?;
    guess(&server, "gu3ss").await.unwrap_err();
    for (secret, is_right) in [("gu3ss", false), (SECRET, true)] {
        assert_eq!(is_let_in("127.0.0.1", to, &line(secret)).await?, is_right);
        assert_eq!(is_let_in("127.0.0.1", to, &packets(secret)?).await?, is_right);
    }
    let broken = format!("{{\"event\":\"worker_connect\",\"secret_key\":\"{SECRET}\",\n");
    assert!(!is_let_in("127.0.0.1", to, broken.as_bytes()).await?);
    let processes = std::fs::read_to_string(format!("/proc/{}/cmdline", server.pid()?))?;
    server.signal(Signal::SIGTERM)?;
    let mut log = processes;
    while let Ok(line) = server.logs("").await {
        log += &line;
    }
    assert!(log.contains("refused a login") && log.contains("stopped"), "{log}");
    for secret in [SECRET, "t0k3n", "gu3ss"] {
        assert!(!log.contains(secret), "{log}");
    }
    Ok(())
}

#[tokio::test]
async fn more_connections_than_allowed_wait() -> anyhow::Result<()> {
    let mut server = start(&["--max-register-connections", "2"]).await?;
    let register = server.register[0];
    let connect = || PhpPeer::connect_as(register, new_producer(), SECRET.as_bytes());
    let mut first = connect().await?;
    let _second = connect().await?;
    server.logs("max_register_connections").await?;
    let third = connect();
    tokio::pin!(third);
    tokio::select! {
        third = &mut third => anyhow::bail!("a third came in: {:?}", third.err()),
        // The first connection is served all the while.
        counted = async { for _ in 0..100 { first.count().await?; } anyhow::Ok(()) } => counted?,
    }
    drop(first);
    third.await?.count().await.map(drop)
}
