//! Upgrades that cannot be: each is refused with a sentence before anything moves, and the old process goes on.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use gateway_tests::{
    Answer, Client, Operator, PhpPeer, PlainClient, Server, copy_program, eventually, server_binary, skip,
    soon,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;

/// A server that runs from a copy of the binary in a folder, with a settings file there.
async fn start_in(folder: &Path, settings: &str) -> anyhow::Result<Server> {
    let binary = folder.join("gateway-server");
    copy_program(&server_binary()?, &binary)?;
    std::fs::write(folder.join("gateway.toml"), settings)?;
    Server::start_binary(&binary, |command| {
        command.arg("--config").arg(folder.join("gateway.toml")).args(["--operations", "127.0.0.1:0"]);
    })
    .await
}

async fn upgrade(server: &Server) -> anyhow::Result<Answer> {
    Operator::of(server)?.ask("POST", "/upgrade", "").await
}

/// Asks for an upgrade that cannot be, and gives the sentence. The client is served on.
async fn refused(server: &Server, client: &mut Client) -> anyhow::Result<String> {
    let answer = upgrade(server).await?;
    ensure!(answer.status == 409, "{answer:?}");
    let mut php = PhpPeer::connect(server.register[0]).await?;
    php.send_to_all("served on").await?;
    php.acked().await?;
    assert_eq!(client.text().await?, "served on");
    Client::connect(server.websocket).await?.leave().await?;
    Ok(answer.json()?["error"]["message"].as_str().context("a message")?.to_owned())
}

#[tokio::test]
async fn settings_that_may_not_change_are_named() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = start_in(folder.path(), "shards = 2\n").await?;
    let mut client = Client::connect(server.websocket).await?;
    for (settings, named) in [
        ("shards = 3\n", "shards is 2 in the running server and 3 in its settings"),
        ("shards = 2\nnode = \"192.0.2.7:1238\"\n", "node is 127.0.0.1:"),
        (
            "shards = 2\n[[listener]]\nprotocol = \"text\"\naddress = \"127.0.0.1:0\"\n",
            "listener is websocket://127.0.0.1:0 in the running server and websocket://127.0.0.1:0, text://127.0.0.1:0",
        ),
        ("shards = \"many\"\n", "has ended: exit status 78"),
    ] {
        std::fs::write(folder.path().join("gateway.toml"), settings)?;
        let sentence = refused(&server, &mut client).await?;
        ensure!(sentence.contains(named), "{sentence:?} without {named:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_program_that_is_no_server_changes_nothing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut server = start_in(folder.path(), "").await?;
    let mut client = Client::connect(server.websocket).await?;
    let binary = folder.path().join("gateway-server");
    let install = |content: &str, mode: u32| -> anyhow::Result<()> {
        // As an upgrade of a package does, another file takes the place of the one that runs.
        let new = folder.path().join("new");
        std::fs::write(&new, content)?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode))?;
        Ok(std::fs::rename(new, &binary)?)
    };
    std::fs::remove_file(&binary)?;
    for (content, mode, named) in [
        (None, 0, "is not there any more: install the program again"),
        (Some("#!/bin/sh\nexit 3\n"), 0o644, "may not be executed by the server's user"),
        (Some("#!/bin/sh\nexit 3\n"), 0o755, "has ended: exit status 3"),
        (
            Some("#!/bin/sh\necho hello >&0\n"),
            0o755,
            "the other server does not speak the language of hand-overs",
        ),
        (Some("#!/bin/sh\nkill -STOP $$\n"), 0o755, "the other server has done nothing for 5 s"),
    ] {
        if let Some(content) = content {
            install(content, mode)?;
        }
        let sentence = refused(&server, &mut client).await?;
        ensure!(sentence.contains(named), "{sentence:?} without {named:?}");
    }
    // Nor does a file from which nobody could ever read to the end.
    std::fs::remove_file(&binary)?;
    nix::unistd::mkfifo(&binary, nix::sys::stat::Mode::S_IRWXU)?;
    let sentence = refused(&server, &mut client).await?;
    ensure!(sentence.contains("may not be executed"), "{sentence:?}");
    // The right program takes over after all.
    copy_program(&server_binary()?, &folder.path().join("right"))?;
    std::fs::rename(folder.path().join("right"), &binary)?;
    server.upgrade().await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    php.send_to_all("from the new one").await?;
    assert_eq!(client.text().await?, "from the new one");
    Ok(())
}

/// Lets nobody open a file until this is dropped: who tries waits in the kernel, as with a filesystem that does not answer.
struct Lease(Child);

impl Lease {
    async fn of(file: &Path) -> anyhow::Result<Self> {
        /// It takes a lease for writing, and another signal than the one that would end it.
        const PROGRAM: &str = r#"
            open(my $file, "<", $ARGV[0]) or die "$!";
            fcntl($file, 10, 23) or die "F_SETSIG: $!";
            fcntl($file, 1024, 1) or die "F_SETLEASE: $!";
            $| = 1;
            print "held\n";
            <STDIN>;
        "#;
        let mut perl = Command::new("perl");
        perl.arg("-e").arg(PROGRAM).arg(file).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut perl = perl.spawn().context("perl")?;
        let mut held = [0; 5];
        soon("a lease", perl.stdout.take().context("its output")?.read_exact(&mut held)).await??;
        Ok(Self(perl))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_does_not_even_begin_holds_up_nobody() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut server = start_in(folder.path(), "drain_seconds = 0\n").await?;
    let mut client = Client::connect(server.websocket).await?;
    let (operator, old) = (Operator::of(&server)?, server.pid()?);
    let install = || -> anyhow::Result<_> {
        let (binary, new) = (folder.path().join("gateway-server"), folder.path().join("new"));
        copy_program(&server_binary()?, &new)?;
        std::fs::rename(new, &binary)?;
        Ok(binary)
    };
    let is_starting = async || Ok(!gateway_tests::children(old)?.is_empty());
    let mut lease = match Lease::of(&install()?).await {
        Ok(lease) => lease,
        Err(error) => {
            let reason = format!("perl takes no lease of a file here: {error:#}");
            skip("a_program_that_does_not_even_begin_holds_up_nobody", &reason);
            return Ok(());
        }
    };
    let asked = {
        let server = operator.clone();
        tokio::spawn(async move { server.ask("POST", "/upgrade", "").await })
    };
    eventually("a new process", true, is_starting).await?;
    // The server serves meanwhile, and does what its signals say.
    let mut php = PhpPeer::connect(server.register[0]).await?;
    php.send_to_all("meanwhile").await?;
    assert_eq!(client.text().await?, "meanwhile");
    Client::connect(server.websocket).await?.leave().await?;
    ensure!(!asked.is_finished());
    let answer = soon("the answer", asked).await???;
    ensure!(answer.status == 409 && answer.body.contains("has not begun to run within 5 s"), "{answer:?}");
    eventually("no process that was not started", false, is_starting).await?;
    // The client's connection is not kept open by a process that was not started.
    let leaving = Client::connect(server.websocket).await?;
    leaving.leave().await?;
    assert!(refused(&server, &mut client).await?.contains("has not begun to run within 5 s"));
    lease.0.kill().await?;
    server.upgrade().await?;
    assert!(server.exit().await?.success());

    let old = server.pid()?;
    let lease = Lease::of(&install()?).await?;
    let asked = tokio::spawn(async move { operator.ask("POST", "/upgrade", "").await });
    eventually("a new process", true, async || Ok(!gateway_tests::children(old)?.is_empty())).await?;
    server.signal(Signal::SIGTERM)?;
    let (code, _) = client.closed().await?;
    assert_eq!(code, 1001);
    let answer = soon("the answer", asked).await???;
    ensure!(answer.body.contains("the server was asked to stop"), "{answer:?}");
    eventually("the server's end", true, async || Ok(kill(old, None).is_err())).await?;
    drop(lease);
    Ok(())
}

#[tokio::test]
async fn who_says_half_a_thing_holds_up_no_upgrade() -> anyhow::Result<()> {
    let unix = tempfile::tempdir()?;
    let path = unix.path().join("register");
    let path_text = path.display().to_string();
    let flags =
        ["--operations", "127.0.0.1:0", "--listener", "text://127.0.0.1:0", "--register-unix", &path_text];
    let mut server = Server::start(&flags).await?;
    let operations = server.operations.context("--operations")?;
    let mut client = Client::connect(server.websocket).await?;
    let mut strangers = Vec::new();
    for (address, half) in [
        (server.websocket, &b"GET / HTTP/1.1\r\nHost: x\r\n"[..]),
        (server.websocket, b""),
        (server.listeners[0], b"half a line"),
        (server.register[0], b""),
        (server.register[0], b"{\"event\":\"worker_conn"),
        (server.register[0], &[0, 0, 0, 40, 1, 2, 3]),
        (operations, b"GET /status HTTP/1.1\r\n"),
    ] {
        let mut stranger = PlainClient::connect(address).await?;
        stranger.write(half).await?;
        strangers.push(stranger);
    }
    for _ in 0..3 {
        let upgraded = server.upgrade().await?;
        ensure!(upgraded["pause_seconds"].as_f64().is_some_and(|pause| pause < 2.0), "{upgraded}");
        ensure!(path.exists(), "the unix socket's file stays");
        let mut php = PhpPeer::connect_unix(&path).await?;
        php.send_to_all("still here").await?;
        php.acked().await?;
        assert_eq!(client.text().await?, "still here");
    }
    // The client that had sent half a line is one of those that were handed over.
    strangers[2].write(b" and the rest\n").await?;
    client.send(Message::Ping(vec![1].into())).await?;
    Ok(())
}

#[tokio::test]
async fn a_stop_during_an_upgrade_is_a_stop() -> anyhow::Result<()> {
    for wait in [0, 3, 6, 9, 12, 15, 20] {
        let server = Server::start(&["--operations", "127.0.0.1:0", "--drain-seconds", "0"]).await?;
        let mut client = Client::connect(server.websocket).await?;
        let old = server.pid()?;
        let operator = Operator::of(&server)?;
        let answer = tokio::spawn(async move { operator.ask("POST", "/upgrade", "").await });
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        // A service manager signals all processes of the service.
        let mut processes = gateway_tests::children(old).unwrap_or_default();
        processes.push(old);
        for process in &processes {
            let _ = kill(*process, Signal::SIGTERM);
        }
        // One whose upgrade was through has the new process stop as any server does. It may have been nobody's child by then.
        let answer = answer.await?.ok().and_then(|answer| answer.json().ok());
        let successor = answer.and_then(|answer| i32::try_from(answer["pid"].as_i64()?).ok());
        if let Some(successor) = successor.map(Pid::from_raw) {
            let _ = kill(successor, Signal::SIGTERM);
            processes.push(successor);
        }
        let code = client.closed().await?.0;
        ensure!(code == 1001, "{code}");
        eventually("nobody listens", true, async || Ok(Client::connect(server.websocket).await.is_err()))
            .await?;
        let are_over = || processes.iter().all(|process| is_over(*process));
        eventually("no process of the service is left", true, async || Ok(are_over())).await?;
    }
    Ok(())
}

/// Whether a process has ended, also if nobody has asked for its end yet.
fn is_over(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
    stat.map_or(true, |stat| stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('Z')))
}
