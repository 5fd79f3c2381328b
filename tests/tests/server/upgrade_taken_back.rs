//! Upgrades that fail at the last moment: the new process has everything, and the old one has packed its clients. These are what they
//! were then, whatever sort they are of.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use futures_util::StreamExt as _;
use gateway_server::handover::{Inherited, ListeningSocket, Offer, Taker, inherited, take};
use gateway_tests::{
    Client, Greeted, Operator, PhpPeer, PlainClient, ResumingPage, Server, TestCertificate, copy_program,
    deflated, eventually, greeted, server_binary,
};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, Query};
use serde_bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;

/// The messages that wait for the client that reads nothing, and the length of each: more than the kernel takes for it.
const WAITING: usize = 60;
const LONG: usize = 60_000;
/// A ping as a client sends it.
const PING: [u8; 11] = *b"\x89\x85\0\0\0\0hello";
/// The header of a client that compresses its messages.
const DEFLATES: (&str, &str) = ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits");
/// The clients that have a connection.
const CONNECTED: usize = 10;

/// A new process that takes everything, and in the end does not take over.
#[derive(Default)]
struct ThinksBetter {
    sockets: usize,
}

impl Taker for ThinksBetter {
    fn check(&mut self, _: &Offer) -> Result<(), String> {
        Ok(())
    }

    fn listeners(&mut self, _: Vec<ListeningSocket>, _: Vec<OwnedFd>) -> Result<(), String> {
        Ok(())
    }

    fn clients(&mut self, _: u32, _: Vec<u8>, sockets: Vec<OwnedFd>) -> Result<(), String> {
        self.sockets += sockets.len();
        Ok(())
    }

    fn state(&mut self, _: &str, _: Vec<u8>, _: Vec<OwnedFd>) -> Result<(), String> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        Err(format!("it has the sockets of {} clients, and thinks better of it", self.sockets))
    }

    fn is_asked_to_stop(&self) -> bool {
        false
    }
}

#[test]
#[ignore = "the server of the other test starts it, as its new process"]
fn plays_a_new_process() -> anyhow::Result<()> {
    if let Inherited::Channel(mut channel) = inherited()? {
        take(&mut channel, &mut ThinksBetter::default());
    }
    Ok(())
}

/// Puts another program in the place of the server's binary, as an upgrade of a package does.
fn install(folder: &Path, make: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let new = folder.join("new");
    make(&new)?;
    Ok(std::fs::rename(new, folder.join("gateway-server"))?)
}

/// Makes a program that runs [`plays_a_new_process`].
fn make_player(program: &Path) -> anyhow::Result<()> {
    let tests = std::env::current_exe()?;
    let name = "upgrade_taken_back::plays_a_new_process";
    let script = format!("#!/bin/sh\nexec '{}' --ignored --exact {name} >/dev/null 2>&1\n", tests.display());
    std::fs::write(program, script)?;
    Ok(std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755))?)
}

/// An answer with its lists and maps in order: the server gives them in none.
fn sorted(value: AnswerValue) -> AnswerValue {
    let order = |value: &AnswerValue| format!("{value:?}");
    match value {
        AnswerValue::List(values) => {
            let mut values: Vec<_> = values.into_iter().map(sorted).collect();
            values.sort_by_key(order);
            AnswerValue::List(values)
        }
        AnswerValue::Map(entries) => {
            let entries = entries.into_iter().map(|(key, value)| (order(&key), (key, sorted(value))));
            AnswerValue::Map(entries.collect::<BTreeMap<_, _>>().into_values().collect())
        }
        other => other,
    }
}

/// What PHP is told of all clients.
async fn told_of_all(server: &Server) -> anyhow::Result<Vec<AnswerValue>> {
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut told = Vec::new();
    for query in [
        Query::ClientCount {},
        Query::Clients { groups: None },
        Query::Uids { groups: None },
        Query::GroupClients {},
        Query::GroupUids {},
        Query::Sessions { groups: None },
    ] {
        told.push(sorted(php.ask(query).await?));
    }
    for uid in ["web", "both"] {
        told.push(sorted(php.ask(Query::ClientsOfUid { uid: Bytes::new(uid.as_bytes()) }).await?));
    }
    Ok(told)
}

/// Gives a client a uid, groups and a session.
async fn introduce(php: &mut PhpPeer, client: ClientId, uid: &str) -> anyhow::Result<()> {
    php.bind(client, uid).await?;
    for group in ["everybody", &format!("only {uid}")] {
        php.order(Order::JoinGroup { client, group: Bytes::new(group.as_bytes()) }).await?;
    }
    let session = format!(r#"a:1:{{s:3:"uid";s:{}:"{uid}";}}"#, uid.len());
    php.order(Order::SetSession { client, session: Bytes::new(session.as_bytes()) }).await?;
    php.acked().await
}

fn long(number: usize) -> String {
    format!("{number} {}", "x".repeat(LONG))
}

/// Waits for the answer to a ping, before which nothing else may come.
async fn pong(client: &mut Client) -> anyhow::Result<()> {
    let message = client.socket.next().await.context("the end")??;
    ensure!(message == Message::Pong(b"hello".to_vec().into()), "{message:?} instead of a pong");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_every_sort_are_what_they_were() -> anyhow::Result<()> {
    const ROUNDS: usize = 3;
    let (folder, certificate) = (tempfile::tempdir()?, TestCertificate::new()?);
    let tls = format!(
        "tls_certificate = \"{}\"\ntls_key = \"{}\"\n",
        certificate.certificate.display(),
        certificate.key.display()
    );
    let listener = |protocol: &str, tls: &str| {
        format!("[[listener]]\nprotocol = \"{protocol}\"\naddress = \"127.0.0.1:0\"\n{tls}")
    };
    let listeners = [listener("text", ""), listener("frame", ""), listener("websocket", &tls)].concat();
    let settings =
        format!("shards = 2\nping_interval = 0\noutbox_timeout = 600\noutbox_bytes = 100000000\n{listeners}");
    std::fs::write(folder.path().join("gateway.toml"), settings)?;
    copy_program(&server_binary()?, &folder.path().join("gateway-server"))?;
    let mut server = Server::start_binary(&folder.path().join("gateway-server"), |command| {
        command.arg("--config").arg(folder.path().join("gateway.toml"));
        command.args(["--operations", "127.0.0.1:0"]);
    })
    .await?;
    let operator = Operator::of(&server)?;
    let mut php = PhpPeer::connect(server.register[0]).await?;

    let mut web = Client::connect(server.websocket).await?;
    introduce(&mut php, web.id, "web").await?;
    // Two of one user, who may be in two shards, and one of nobody.
    let (mut one, mut other) =
        (Client::connect(server.websocket).await?, Client::connect(server.websocket).await?);
    introduce(&mut php, one.id, "both").await?;
    introduce(&mut php, other.id, "both").await?;
    let mut nobody = Client::connect(server.websocket).await?;
    let squeezed = deflated(TcpStream::connect(server.websocket).await?);
    let mut squeezed = Greeted::over(squeezed, "/", &[DEFLATES]).await?.client;
    introduce(&mut php, squeezed.id, "squeezed").await?;
    let mut line = PlainClient::connect(server.listeners[0]).await?;
    introduce(&mut php, greeted(line.line().await?.as_bytes())?, "line").await?;
    let mut frame = PlainClient::connect(server.listeners[1]).await?;
    introduce(&mut php, greeted(&framed(&mut frame).await?)?, "frame").await?;
    let mut secret = certificate.connect(server.listeners[2]).await?;
    introduce(&mut php, secret.id, "secret").await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    introduce(&mut php, page.id()?, "page").await?;
    let mut away = ResumingPage::connected(server.websocket).await?;
    introduce(&mut php, away.id()?, "away").await?;
    drop(away.socket.take());
    away.end.cut();
    // Something waits for one, the first of it in part.
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let mut slow = Client::over(socket.connect(server.websocket).await?).await?;
    introduce(&mut php, slow.id, "slow").await?;
    for number in 0..WAITING {
        php.send_to_uid("slow", &long(number)).await?;
        php.send_to_uid("slow", &format!("small {number}")).await?;
    }
    php.acked().await?;
    eventually("a client that something waits for", 1.0, async || {
        operator.metric("gateway_slow_clients").await
    })
    .await?;
    eventually("a page that is away", 1.0, async || operator.metric("gateway_parked_clients").await).await?;

    let before = told_of_all(&server).await?;
    let status = operator.json("/status").await?;
    ensure!(status["clients"] == CONNECTED + 1, "{status}");
    for round in 0..ROUNDS {
        install(folder.path(), make_player)?;
        // A frame has come in part.
        web.socket.get_mut().write_all(&PING[..4]).await?;
        let answer = operator.ask("POST", "/upgrade", "").await?;
        let expected = format!("it has the sockets of {CONNECTED} clients, and thinks better of it");
        ensure!(answer.status == 409 && answer.body.contains(&expected), "{answer:?}");

        assert_eq!(told_of_all(&server).await?, before);
        assert_eq!(operator.json("/status").await?["clients"], CONNECTED + 1);
        assert_eq!(operator.metric("gateway_slow_clients").await?, 1.0);
        web.socket.get_mut().write_all(&PING[4..]).await?;
        pong(&mut web).await?;
        push(&server, round).await?;
        let expected = messages(round);
        for client in [&mut web, &mut one, &mut other] {
            assert_eq!([client.text().await?, client.text().await?], expected);
        }
        assert_eq!(nobody.text().await?, expected[0]);
        assert_eq!([squeezed.text().await?, squeezed.text().await?], expected);
        assert_eq!([line.line().await?, line.line().await?], expected);
        for expected in &expected {
            assert_eq!(framed(&mut frame).await?, expected.as_bytes());
        }
        assert_eq!([secret.text().await?, secret.text().await?], expected);
        assert_eq!([page.text().await?, page.text().await?], expected);
    }
    // The right program takes over what was taken back.
    install(folder.path(), |new| copy_program(&server_binary()?, new))?;
    let upgraded = server.upgrade().await?;
    ensure!(upgraded["relayed_clients"] == 1, "{upgraded}");
    assert_eq!(told_of_all(&server).await?, before);
    away.come_back(server.websocket).await?;
    for number in 0..WAITING {
        assert_eq!(slow.text().await?, long(number));
        assert_eq!(slow.text().await?, format!("small {number}"));
    }
    for round in 0..ROUNDS {
        let expected = messages(round);
        assert_eq!([slow.text().await?, slow.text().await?], expected);
        assert_eq!([away.text().await?, away.text().await?], expected);
    }
    ensure!(away.gap().is_none(), "{:?}", away.gap());
    web.leave().await
}

/// What everybody gets in a round, and after it what those get who are in the group of all.
fn messages(round: usize) -> [String; 2] {
    [format!("round {round}"), format!("round {round} for the group")]
}

async fn push(server: &Server, round: usize) -> anyhow::Result<()> {
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let [all, group] = messages(round);
    php.send_to_all(&all).await?;
    let (groups, message) = ([Bytes::new(b"everybody")].into(), Bytes::new(group.as_bytes()));
    php.order(Order::SendToGroups { groups, message, except: vec![], raw: false }).await?;
    php.acked().await
}

/// Reads a message of GatewayWorker's protocol `frame`: its length in four bytes, with these, and its bytes.
async fn framed(client: &mut PlainClient) -> anyhow::Result<Vec<u8>> {
    let length = u32::from_be_bytes(client.bytes(4).await?.try_into().ok().context("four bytes")?);
    client.bytes(length as usize - 4).await
}
