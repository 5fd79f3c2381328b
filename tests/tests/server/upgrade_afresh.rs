//! An old process that dies while it hands over: the new one, which has not everything, starts afresh on the same listening sockets, and
//! who waits in them is served.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use gateway_tests::{Client, Operator, PhpPeer, Server, children, runs_to_take_over};
use gateway_wire::bridge::Order;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_bytes::Bytes;
use tokio::net::TcpStream;

/// Clients whose sessions take a while to be handed over, and the bytes of each session.
const CLIENTS: usize = 60;
const SESSION: usize = 1_000_000;

/// The numbers of the sockets of a process.
fn sockets(process: Pid) -> BTreeSet<String> {
    let Ok(open) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return BTreeSet::new() };
    let targets = open.filter_map(|one| std::fs::read_link(one.ok()?.path()).ok());
    let names = targets.map(|target| target.display().to_string());
    names.filter(|name| name.starts_with("socket:")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_in_a_listening_socket_is_served_by_the_process_that_starts_afresh() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let unix = folder.path().join("register");
    let flags = ["--operations", "127.0.0.1:0", "--register-unix", &unix.display().to_string()];
    let mut server = Server::start(&flags).await?;
    let (old, listening) = (server.pid()?, sockets(server.pid()?));
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut clients = Vec::new();
    let session = format!("a:1:{{i:0;s:{SESSION}:\"{}\";}}", "x".repeat(SESSION));
    for _ in 0..CLIENTS {
        let client = Client::connect(server.websocket).await?;
        php.order(Order::SetSession { client: client.id, session: Bytes::new(session.as_bytes()) }).await?;
        php.acked().await?;
        clients.push(client);
    }
    let operator = Operator::of(&server)?;
    let answer = tokio::spawn(async move { operator.ask("POST", "/upgrade", "").await });
    let start = Instant::now();
    let new = loop {
        // Once it has one of the old one's sockets, it has the listening ones, and nobody accepts.
        let mut started = children(old)?.into_iter().filter(|new| runs_to_take_over(*new));
        if let Some(new) = started.find(|new| sockets(*new).intersection(&listening).next().is_some()) {
            break new;
        }
        ensure!(!answer.is_finished() && start.elapsed() < Duration::from_secs(20), "no new process");
        tokio::task::yield_now().await;
    };
    let waiting =
        [TcpStream::connect(server.websocket).await?, TcpStream::connect(server.register[0]).await?];
    kill(old, Signal::SIGKILL)?;
    server.adopt(new);
    ensure!(answer.await?.is_err(), "the upgrade was over before the old process died");
    for client in &mut clients {
        client.gone().await?;
    }
    let [websocket, register] = waiting;
    let client = Client::over(websocket).await?;
    let mut php = PhpPeer::over(register).await?;
    php.bind(client.id, "one who has waited").await?;
    assert_eq!(php.clients_of("one who has waited").await?, [client.id]);
    // The unix socket is the same too, and the server goes on to be upgraded.
    PhpPeer::connect_unix(&unix).await?;
    served_next(&mut server, client, &unix).await
}

async fn served_next(server: &mut Server, mut client: Client, unix: &Path) -> anyhow::Result<()> {
    let upgraded = server.upgrade().await?;
    ensure!(upgraded["clients"] == 1, "{upgraded}");
    let mut php = PhpPeer::connect_unix(unix).await.context("the unix socket")?;
    php.send_to_all("from the third process").await?;
    assert_eq!(client.text().await?, "from the third process");
    Ok(())
}
